//! The real cert-manager renews certificate and authority; replicas that watch its Secret, and one that has it from files, as a kubelet mounts
//! it.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::calls::{self, Calls, Changes};
use super::scene::{SECRET, Scene};
use crate::harness::cert_manager::CertManager;
use crate::harness::story::Story;
use crate::harness::wait;

/// What cannot be helped where a bundle is replaced: so many Pods at one renewal, and so near to the change.
const LOST: usize = 4;
const NEAR: Duration = Duration::from_millis(250);

/// Where a replica has its pair from.
#[derive(Clone, Copy)]
enum From {
    Secret,
    Files,
}

/// An injector as of today adds new authorities to the bundle: nothing is lost, also while it does not come to it for three seconds. The first
/// half on connections that are kept, the second on new ones.
pub fn merging(story: &Story) {
    let cert_manager = CertManager::start(story.plane, true).unwrap();
    let (calls, _) = renewals(story, &cert_manager, [From::Secret, From::Secret, From::Files], |number, scene, renew, mount| {
        if number == calls::rounds(story) / 2 {
            scene.leave_slowly();
        }
        // Three times it is stopped.
        if number % 7 == 3 {
            cert_manager.injector.signal("STOP");
            renew();
            thread::sleep(Duration::from_secs(3));
            assert!(scene.trusted().is_err(), "the bundle has the new authority, though nobody wrote it");
            cert_manager.injector.signal("CONT");
        } else {
            renew();
        }
        // A kubelet is later than the API.
        thread::sleep(Duration::from_millis(300));
        mount();
    });
    for calls in calls {
        calls.all_fine();
    }
}

/// An older one replaces what is in the bundle: between that moment and the change of the pair calls may be lost, and no more than these. The
/// first half on connections that are kept, the second on new ones.
pub fn replacing(story: &Story) {
    replaced(story, From::Secret, |_, _, renew, _| renew());
}

/// With files it is as well if they are read when the bundle changes. (Else every call is lost until they are: nobody can help that.)
pub fn replacing_files(story: &Story) {
    replaced(story, From::Files, |cert_manager, scene, renew, mount| {
        let waiting = || -> Vec<usize> {
            scene.replicas.iter().map(|replica| replica.held.printed().matches("which waits until it is trusted").count()).collect()
        };
        let before = waiting();
        cert_manager.injector.signal("STOP");
        renew();
        mount();
        wait::until("all replicas to have read the files", || {
            if waiting().iter().zip(&before).all(|(now, before)| now > before) { Ok(()) } else { Err("not all have") }
        });
        cert_manager.injector.signal("CONT");
    });
}

fn replaced(story: &Story, from: From, how: impl Fn(&CertManager, &Scene, &dyn Fn(), &dyn Fn())) {
    story.faults_are_meant();
    let cert_manager = CertManager::start(story.plane, false).unwrap();
    let (calls, changes) = renewals(story, &cert_manager, [from; 3], |number, scene, renew, mount| {
        if number == calls::rounds(story) / 2 {
            scene.leave_slowly();
        }
        how(&cert_manager, scene, renew, mount);
    });
    let made: usize = calls.iter().map(|calls| calls.made).sum();
    let numbers: Vec<usize> = calls.iter().map(|calls| calls.lost.len()).collect();
    let lost = calls.iter().flat_map(|calls| &calls.lost).max_by_key(|lost| changes.distance(lost));
    let farthest = lost.map_or(Duration::ZERO, |lost| changes.distance(lost));
    crate::harness::say(&format!("{}: {made} Pods, lost at each renewal: {numbers:?}, up to {farthest:?} from the change", story.name));
    assert!(numbers.iter().all(|number| *number <= LOST), "{numbers:?}: {lost:?}");
    assert!(farthest <= NEAR, "{farthest:?} from the change of the bundle: {lost:?}");
}

/// Renews authority and certificate again and again under calls; `how` is told which renewal it is, and renews and mounts. Gives the calls of each
/// renewal, and when the bundle changed.
fn renewals(
    story: &Story,
    cert_manager: &CertManager,
    replicas: [From; 3],
    how: impl Fn(usize, &Scene, &dyn Fn(), &dyn Fn()),
) -> (Vec<Calls>, Changes) {
    let mut scene = Scene::injected(story, SECRET);
    let (namespace, name) = (scene.account.namespace.clone(), scene.server_name());
    cert_manager.issue(&namespace, SECRET, &[&name]);
    wait::until("the first certificate", || if scene.secret("tls.crt").is_empty() { Err("none") } else { Ok(()) });
    let folder = story.plane.folder.join("data").join(format!("{}-mount", story.name));
    std::fs::create_dir_all(&folder).unwrap();
    mount(&scene, &folder, 0);
    let secret = format!("--tls-secret={SECRET}");
    let files = [format!("--tls-cert={}/tls.crt", folder.display()), format!("--tls-key={}/tls.key", folder.display())];
    let (secret, files) = (["--certs=secret", &secret], ["--certs=files", &files[0], &files[1]]);
    scene.start_each(&replicas.map(|from| match from {
        From::Secret => &secret[..],
        From::Files => &files[..],
    }));
    scene.in_force();
    let (mut all, changes) = (Vec::new(), scene.changes());
    for number in 0..calls::rounds(story) {
        let renew = || {
            cert_manager.renew(&namespace, &format!("{SECRET}-ca"));
            cert_manager.renew(&namespace, SECRET);
        };
        all.push(scene.under_calls(2, || {
            how(number, &scene, &renew, &|| mount(&scene, &folder, number + 1));
            scene.until_shown(&scene.secret("tls.crt"));
        }));
    }
    (all, changes)
}

/// As kubelet mounts a Secret: a folder a version, and a link that is swapped.
fn mount(scene: &Scene, folder: &Path, version: usize) {
    let inside = folder.join(format!("..{version}"));
    std::fs::create_dir_all(&inside).unwrap();
    for file in ["tls.crt", "tls.key"] {
        std::fs::write(inside.join(file), scene.secret(file)).unwrap();
        let _ = std::os::unix::fs::symlink(Path::new("..data").join(file), folder.join(file));
    }
    let (new, data) = (folder.join("..new"), folder.join("..data"));
    std::os::unix::fs::symlink(format!("..{version}"), &new).unwrap();
    std::fs::rename(new, data).unwrap();
}
