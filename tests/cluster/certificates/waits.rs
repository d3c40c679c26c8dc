//! Pairs that somebody else writes: a new one is shown when the registration's bundle verifies it, and not before.

use podgraft::server::identity::{make, unix_now};

use super::scene::{SECRET, Scene};
use crate::harness::story::Story;
use crate::harness::wait;

const DAY: i64 = 86_400;

/// An authority's certificate, and a certificate of it with its key.
struct Issued {
    authority: String,
    certificate: String,
    key: String,
}

fn issued(scene: &Scene) -> Issued {
    let authority = make::authority(unix_now(), DAY).unwrap();
    let leaf = make::leaf(&authority.certificate, &authority.key, &[scene.server_name()], unix_now(), DAY).unwrap();
    Issued { authority: authority.certificate, certificate: leaf.certificate, key: leaf.key }
}

pub fn secret(story: &Story) {
    let mut scene = Scene::new(story, true);
    let first = issued(&scene);
    let put = |scene: &Scene, issued: &Issued| scene.put_secret(&[("tls.crt", &issued.certificate), ("tls.key", &issued.key)]);
    put(&scene, &first);
    scene.set_bundle(&first.authority);
    let flags = [format!("--tls-secret={SECRET}")];
    scene.start(2, &["--certs=secret", &flags[0]]);
    changes(&mut scene, &first, put);
    // What is no good replaces nothing.
    let (before, third) = (scene.shown(), issued(&scene));
    scene.put_secret(&[("tls.crt", &third.certificate)]);
    wait::until("it to be refused", || {
        let refused = scene.metrics("podgraft_reloads_total", "what=\"certificate\",result=\"error\"");
        if refused.iter().all(|number| *number >= 1.0) { Ok(()) } else { Err(refused) }
    });
    assert_eq!(scene.shown(), before);
}

pub fn files(story: &Story) {
    let mut scene = Scene::new(story, true);
    let first = issued(&scene);
    let folder = story.plane.folder.join("data").join(format!("{}-files", story.name));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    let put = |_: &Scene, issued: &Issued| {
        std::fs::write(&certificate, &issued.certificate).unwrap();
        std::fs::write(&key, &issued.key).unwrap();
    };
    put(&scene, &first);
    scene.set_bundle(&first.authority);
    let flags = [format!("--tls-cert={}", certificate.display()), format!("--tls-key={}", key.display())];
    scene.start(2, &["--certs=files", &flags[0], &flags[1]]);
    changes(&mut scene, &first, put);
}

/// Under calls: a pair is there before the bundle verifies it, then the bundle has both, then only the new one; then one replaced at once.
fn changes(scene: &mut Scene, first: &Issued, put: impl Fn(&Scene, &Issued)) {
    scene.in_force();
    scene.leave_slowly();
    let reloaded: [f64; 2] = scene.metrics("podgraft_reloads_total", "what=\"certificate\",result=\"ok\"").try_into().unwrap();
    let (made, lost) = scene.under_calls(2, || {
        let second = issued(scene);
        put(scene, &second);
        wait::until("it to be said that the pair waits", || {
            let waits = |replica: &crate::harness::podgraft::Serving| replica.held.printed().contains("which waits until it is trusted");
            if scene.replicas.iter().all(waits) { Ok(()) } else { Err("not all say so") }
        });
        assert_eq!(scene.metrics("podgraft_certificate_trusted", ""), [1.0; 2], "the old one is shown");
        scene.set_bundle(&format!("{}{}", first.authority, second.authority));
        scene.until_shown(&second.certificate);
        scene.set_bundle(&second.authority);
        assert_eq!(scene.metrics("podgraft_reloads_total", "what=\"certificate\",result=\"ok\""), reloaded.map(|number| number + 1.0));
    });
    assert!(lost.is_empty(), "{} of {made} Pods were lost: {}", lost.len(), lost[0]);
}

/// Who may not read the registration takes a new pair as it comes, and says that it does not know.
pub fn unreadable(story: &Story) {
    let mut scene = Scene::new(story, false);
    let first = issued(&scene);
    let folder = story.plane.folder.join("data").join(format!("{}-files", story.name));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    let put = |issued: &Issued| {
        std::fs::write(&certificate, &issued.certificate).unwrap();
        std::fs::write(&key, &issued.key).unwrap();
    };
    put(&first);
    let flags = [format!("--tls-cert={}", certificate.display()), format!("--tls-key={}", key.display())];
    scene.start(1, &["--certs=files", &flags[0], &flags[1]]);
    let second = issued(&scene);
    put(&second);
    scene.until_shown(&second.certificate);
    let verbose =
        ureq::get(format!("http://{}/readyz?verbose", scene.replicas[0].admin)).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(verbose.contains("[!]trust: the webhook configuration cannot be read"), "{verbose}");
    let metrics = ureq::get(format!("http://{}/metrics", scene.replicas[0].admin)).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(!metrics.contains("podgraft_certificate_trusted"), "{metrics}");
}
