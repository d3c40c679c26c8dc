//! Podgraft as its own authority.

use std::collections::BTreeSet;
use std::time::Duration;

use podgraft::server::identity::trust::Authority;
use podgraft::server::identity::{make, unix_now};
use serde_json::json;

use super::calls;
use super::scene::Scene;
use crate::harness::podgraft::{Serving, Takes};
use crate::harness::story::Story;
use crate::harness::{say, wait};

/// Everything has to be in a bundle for two seconds (a twentieth of it) before anybody relies on it.
const FLAGS: [&str; 3] = ["--certs=managed", "--ca-lifetime=40s", "--leaf-lifetime=30s"];

/// Five of them with nothing there, and whenever all of it is taken away: they come to one authority, and no Pod goes without.
pub fn nothing(story: &Story) {
    let mut scene = Scene::new(story, true);
    scene.start(5, &["--certs=managed"]);
    scene.in_force();
    let together = || {
        wait::until("what the Secret holds to be trusted", || scene.trusted());
        scene.until_shown(&scene.secret("tls.crt"));
    };
    together();
    let mut seen = BTreeSet::from([scene.secret("ca.crt")]);
    let calls = scene.under_calls(2, || {
        for _ in 0..10 {
            story.api.delete(&scene.secret_path()).unwrap().object("the Secret, gone");
            wait::until("another Secret", || if scene.secret("tls.crt").is_empty() { Err("none") } else { Ok(()) });
            assert!(seen.insert(scene.secret("ca.crt")), "an authority that was gone is back");
            together();
        }
    });
    calls.all_fine();
    assert_eq!(scene.shown().into_iter().collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(scene.metrics("podgraft_certificate_trusted", ""), [1.0; 5]);
    until_nobody_writes(&scene);
    let authority = scene.metrics("podgraft_certificate_not_after_timestamp_seconds", "certificate=\"ca\"")[0] as i64;
    let left = authority - unix_now();
    assert!((1824 * 86_400..=1825 * 86_400).contains(&left), "{left}");
}

/// The Lease is held while somebody writes, and nobody's otherwise.
pub fn until_nobody_writes(scene: &Scene) {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/podgraft-tls", scene.account.namespace);
    wait::until("the Lease to be given back", || {
        let lease = scene.story.api.get(&path).unwrap().object("the Lease");
        if lease["spec"]["holderIdentity"].is_null() { Ok(()) } else { Err(lease["spec"].to_string()) }
    });
}

/// Five that start at the same moment with nothing there, again and again: each time they come to one authority.
pub fn starts(story: &Story) {
    let mut scene = Scene::new(story, true);
    let mut seen = BTreeSet::new();
    for _ in 0..calls::rounds(story) {
        scene.start(5, &["--certs=managed"]);
        wait::until("what the Secret holds to be trusted", || scene.trusted());
        scene.until_shown(&scene.secret("tls.crt"));
        assert_eq!(Authority::all_in(scene.secret("ca.crt").as_bytes()).len(), 1);
        assert!(seen.insert(scene.secret("ca.crt")), "an authority of an earlier start");
        scene.in_force();
        until_nobody_writes(&scene);
        scene.kill_all();
        story.api.delete(&scene.secret_path()).unwrap().object("the Secret, gone");
    }
}

/// Certificate and authority of last week.
pub fn expired(story: &Story) {
    let mut scene = Scene::new(story, true);
    let past = unix_now() - 7 * 86_400;
    let authority = make::authority(past, 86_400).unwrap();
    let leaf = make::leaf(&authority.certificate, &authority.key, &[scene.server_name()], past, 86_400).unwrap();
    let old = &authority.certificate;
    scene.put_secret(&[("tls.crt", &leaf.certificate), ("tls.key", &leaf.key), ("ca.crt", old), ("ca.key", &authority.key)]);
    scene.set_bundle(old);
    scene.start(2, &["--certs=managed"]);
    assert_ne!(scene.secret("ca.crt"), *old, "it was ready before it was replaced");
    scene.in_force();
    scene.until_shown(&scene.secret("tls.crt"));
    wait::until("the old authority to be gone from the bundle", || {
        let bundle = scene.bundle();
        if bundle.contains(old.trim()) { Err("it is there") } else { Ok(()) }
    });
}

/// Asks for a certificate (`leaf`) or for an authority (`ca`).
pub fn ask(scene: &Scene, what: &str) {
    let ask = json!({"metadata": {"annotations": {"podgraft.dev/rotate": what}}});
    scene.story.api.patch(&scene.secret_path(), "merge", &ask).object("the Secret");
}

/// Asks for a certificate, and waits until all show it.
pub fn rotate_leaf(scene: &Scene) {
    let before = scene.secret("tls.crt");
    ask(scene, "leaf");
    wait::until("another certificate", || if scene.secret("tls.crt") == before { Err("the old one") } else { Ok(()) });
    scene.until_shown(&scene.secret("tls.crt"));
}

/// Waits until another authority than this one signs, and all show a certificate of it.
pub fn until_another_signs(scene: &Scene, before: &Authority) {
    wait::until("another authority to sign", || {
        let now = Authority::all_in(scene.secret("ca.crt").as_bytes());
        if now.first() == Some(before) { Err("the old one signs") } else { Ok(()) }
    });
    // A natural renewal may come in between: then the one after it.
    wait::until("all replicas to show it", || {
        let wanted = Authority::all_in(scene.secret("tls.crt").as_bytes())[0].der().to_vec();
        if scene.shown().iter().all(|leaf| *leaf == wanted) { Ok(()) } else { Err("not all do") }
    });
}

/// The authority that signs.
pub fn signer(scene: &Scene) -> Authority {
    Authority::all_in(scene.secret("ca.crt").as_bytes()).remove(0)
}

fn rotate(scene: &Scene) {
    let before = signer(scene);
    ask(scene, "ca");
    until_another_signs(scene, &before);
}

/// Certificates alone: the authority and the bundles stay as they are. The first half on connections that are kept, the second on new ones.
pub fn leaves(story: &Story) {
    let mut scene = Scene::new(story, true);
    scene.start(3, &["--certs=managed"]);
    scene.in_force();
    let rounds = calls::rounds(story);
    let (authorities, bundles) = (scene.secret("ca.crt"), scene.bundles());
    let calls = scene.under_calls(2, || {
        for number in 0..rounds {
            if number == rounds / 2 {
                scene.leave_slowly();
            }
            rotate_leaf(&scene);
        }
    });
    calls.all_fine();
    assert_eq!((scene.secret("ca.crt"), scene.bundles()), (authorities, bundles));
    for reloads in scene.metrics("podgraft_reloads_total", "what=\"certificate\",result=\"ok\"") {
        assert!(reloads >= rounds as f64, "{reloads}");
    }
}

/// The most of a few looks: a connection may come or go between two of the figures of one.
fn takes(replica: &Serving) -> Takes {
    let looks = (0..5).map(|_| replica.takes());
    looks.reduce(|most, one| Takes { memory: most.memory.max(one.memory), files: most.files.max(one.files) }).unwrap()
}

fn rotations(story: &Story, kept: bool) {
    let mut scene = Scene::new(story, true);
    scene.start(3, &FLAGS);
    scene.in_force();
    if !kept {
        scene.leave_slowly();
    }
    let rounds = calls::rounds(story);
    let mut early = Vec::new();
    let calls = scene.under_calls(2, || {
        for number in 0..rounds {
            // Once caches and connections are there.
            if number == rounds / 4 {
                early = scene.replicas.iter().map(takes).collect();
            }
            rotate(&scene);
        }
    });
    calls.all_fine();
    for (replica, early) in scene.replicas.iter().zip(early) {
        wait::until("no more files to be open than after a quarter, but for a few connections", || {
            let now = replica.takes();
            if now.files <= early.files + 4 { Ok(()) } else { Err(now) }
        });
        let now = replica.takes();
        say(&format!("{}: {rounds} rotations, after a quarter of them {early:?}, now {now:?}", story.name));
        assert!(now.memory <= early.memory + (early.memory / 8).max(4 << 20), "{early:?}, {now:?}");
    }
    for reloads in scene.metrics("podgraft_reloads_total", "what=\"certificate\",result=\"ok\"") {
        assert!(reloads >= rounds as f64, "{reloads}");
    }
    assert_eq!(scene.metrics("podgraft_reloads_total", "what=\"certificate\",result=\"error\""), [0.0; 3]);
    // What has expired does not pile up.
    wait::until("old authorities to be gone", || {
        let number = Authority::all_in(scene.bundle().as_bytes()).len();
        if number <= 12 { Ok(()) } else { Err(number) }
    });
}

pub fn rotations_kept(story: &Story) {
    rotations(story, true);
}

pub fn rotations_new(story: &Story) {
    rotations(story, false);
}

/// Nobody asks: what lives half a minute is renewed by itself, authority and all.
pub fn short_lives(story: &Story) {
    let mut scene = Scene::new(story, true);
    scene.start(3, &FLAGS);
    scene.in_force();
    let calls = scene.under_calls(2, || {
        for _ in 0..2 {
            let before = Authority::all_in(scene.secret("ca.crt").as_bytes()).remove(0);
            wait::until("another authority to sign", || {
                let now = Authority::all_in(scene.secret("ca.crt").as_bytes());
                if now.first() == Some(&before) { Err("the old one signs") } else { Ok(()) }
            });
        }
    });
    calls.all_fine();
}

/// Emptied, replaced, overwritten: back within seconds, and nobody else's field is touched.
pub fn drift(story: &Story) {
    // Pods that are made while the bundle is wrong are lost, as they have to be.
    story.faults_are_meant();
    let mut scene = Scene::new(story, true);
    scene.start(3, &["--certs=managed"]);
    scene.in_force();
    let good = scene.bundle();
    let back = |what: &str| {
        wait::until_within(Duration::from_secs(5), &format!("the bundles to be back after they were {what}"), || {
            let bundles = scene.bundles();
            if bundles.iter().all(|bundle| *bundle == good) { Ok(()) } else { Err(bundles.map(|bundle| bundle.len())) }
        })
        .unwrap();
        scene.in_force();
    };
    for _ in 0..3 {
        scene.set_bundle("");
        back("emptied");
    }
    let mut object = scene.object("");
    object["metadata"]["labels"] = json!({"kept": "yes"});
    story.kubectl().run_with(&["replace", "-f", "-"], &object.to_string()).fine();
    back("replaced");
    let path = format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{}", story.name);
    let now = story.api.get(&path).unwrap().object("the registration");
    assert_eq!(now["metadata"]["labels"]["kept"], "yes");
    assert_eq!(now["webhooks"][0]["failurePolicy"], "Fail");
    let managers = now["metadata"]["managedFields"].as_array().unwrap();
    let ours = managers.iter().find(|entry| entry["manager"] == "podgraft-ca-bundle").unwrap();
    assert_eq!(ours["operation"], "Apply");
    let fields = &ours["fieldsV1"]["f:webhooks"][format!("k:{{\"name\":\"{}\"}}", scene.registration.webhook())];
    assert_eq!(fields["f:clientConfig"], json!({"f:caBundle": {}}));
    assert_eq!(fields.as_object().unwrap().len(), 3, "besides the key and the entry itself: {fields}");
    // Somebody else's authority stays until it is known that nobody needs it, and goes then.
    let other = make::authority(unix_now(), 3600).unwrap().certificate;
    scene.set_bundle(&other);
    wait::until("ours to be there too", || if scene.bundle().contains(good.trim()) { Ok(()) } else { Err("it is not") });
    assert!(scene.bundle().contains(other.trim()));
    scene.in_force();
    wait::until("the other's to be gone", || if scene.bundle() == good { Ok(()) } else { Err("it is there") });
}
