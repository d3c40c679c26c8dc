//! Podgraft as its own authority, and what gets in its way: whoever writes is killed, may not write, or writes where somebody wants an entry gone.

use std::fs;
use std::time::{Duration, Instant};

use podgraft::server::identity::{make, unix_now};
use serde_json::{Value, json};

use super::managed::{ask, rotate_leaf, signer, until_another_signs, until_nobody_writes};
use super::scene::{SECRET, Scene};
use crate::clock::{Clock, DAY};
use crate::harness::story::Story;
use crate::harness::{say, wait};

const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// Whoever holds the Lease dies with it, twice, in the middle of a change of authority: another one goes on from there.
pub fn killed(story: &Story) {
    // Whoever is killed takes the calls with him that he was about to answer.
    story.faults_are_meant();
    let mut scene = Scene::new(story, true);
    // Everything has to be in a bundle for five seconds.
    scene.start(3, &["--certs=managed", "--ca-lifetime=100s", "--leaf-lifetime=90s"]);
    scene.in_force();
    scene.leave_slowly();
    let calls = scene.under_calls(2, || {
        for _ in 0..2 {
            let before = signer(&scene);
            ask(&scene, "ca");
            kill_the_holder(&scene);
            until_another_signs(&scene, &before);
            scene.trusted().unwrap();
        }
    });
    assert!(calls.lost.len() <= 4, "two makers, two deaths: {:?}", calls.lost);
    let distrusted: Vec<&str> = calls.lost.iter().map(|lost| lost.why.as_str()).filter(|why| why.contains("x509")).collect();
    assert!(distrusted.is_empty(), "{distrusted:?}");
    scene.in_force();
}

/// Kills a replica while it has the Lease: it is stopped at first, to see whether it still has it.
fn kill_the_holder(scene: &Scene) {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/{SECRET}", scene.account.namespace);
    let holder = || scene.story.api.get(&path).unwrap().body["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
    let end = Instant::now() + wait::PATIENCE;
    while Instant::now() < end {
        let held = holder();
        let Some(number) = (0..scene.replicas.len()).find(|number| held.starts_with(&scene.name_of(*number))) else { continue };
        scene.replicas[number].held.signal("STOP");
        if holder() == held {
            return scene.kill(number);
        }
        scene.replicas[number].held.signal("CONT");
    }
    panic!("nobody was seen with the Lease");
}

/// A replica whose clock is a day off makes nothing, as it would not be valid for others: it says so, and another one does. Whoever calls has the
/// right time all along, and no call is lost.
pub fn clock(story: &Story) {
    let folder = story.plane.folder.join("data").join(format!("{}-clock", story.name));
    fs::create_dir_all(&folder).unwrap();
    let clock = match Clock::new(&folder) {
        Ok(clock) => clock,
        Err(trouble) => return say(&format!("LEFT OUT: nobody changed the clock of a replica ({trouble})")),
    };
    let mut scene = Scene::new(story, true);
    scene.first = clock.environment().to_vec();
    scene.start(3, &["--certs=managed"]);
    scene.in_force();
    let authority = signer(&scene);
    let calls = scene.under_calls(2, || {
        for seconds in [DAY, -DAY] {
            clock.jump(seconds);
            let before = scene.secret("tls.crt");
            ask(&scene, "leaf");
            wait::until("another certificate", || if scene.secret("tls.crt") == before { Err("the old one") } else { Ok(()) });
            clock.jump(0);
            scene.until_shown(&scene.secret("tls.crt"));
        }
    });
    calls.all_fine();
    // Where nobody else can.
    until_nobody_writes(&scene);
    let others = || scene.replicas.iter().skip(1).map(|replica| &replica.held);
    others().for_each(|held| held.signal("STOP"));
    for (seconds, why) in [(DAY, "this machine's clock is 86"), (-DAY, "this machine's clock is -86")] {
        // Also in the middle of a turn.
        clock.jump(seconds);
        let before = scene.secret("tls.crt");
        ask(&scene, "leaf");
        wait::until("it to say that its clock is wrong", || {
            if scene.replicas[0].held.printed().contains(why) { Ok(()) } else { Err("it says nothing") }
        });
        assert_eq!(scene.secret("tls.crt"), before);
        clock.jump(0);
        wait::until("another certificate", || if scene.secret("tls.crt") == before { Err("the old one") } else { Ok(()) });
    }
    others().for_each(|held| held.signal("CONT"));
    scene.until_shown(&scene.secret("tls.crt"));
    assert!(signer(&scene) == authority, "there was no reason for another authority");
}

/// Without the right to write bundles certificates are renewed all the same, and an authority is when its owner writes the bundle; that it may
/// not is said, and tried again until it may.
pub fn no_right(story: &Story) {
    // In the end the bundle is empty for a while.
    story.faults_are_meant();
    let mut scene = Scene::new(story, true);
    may_patch(&scene, false);
    let day = 86_400;
    let authority = make::authority(unix_now(), 1000 * day).unwrap();
    let leaf = make::leaf(&authority.certificate, &authority.key, &[scene.server_name()], unix_now(), 90 * day).unwrap();
    let ca = &authority.certificate;
    scene.put_secret(&[("tls.crt", &leaf.certificate), ("tls.key", &leaf.key), ("ca.crt", ca), ("ca.key", &authority.key)]);
    scene.set_bundle(ca);
    scene.start(2, &["--certs=managed"]);
    scene.in_force();
    scene.leave_slowly();
    let calls = scene.under_calls(2, || {
        let before = signer(&scene);
        ask(&scene, "ca");
        wait::until("it to be said", || {
            let said = |line: &str| line.contains("managed certificates cannot be written") && line.contains("cannot patch resource");
            if scene.replicas.iter().any(|replica| replica.held.printed().lines().any(said)) { Ok(()) } else { Err("it is not") }
        });
        rotate_leaf(&scene);
        assert_eq!(signer(&scene), before);
        // The owner does it.
        scene.set_bundle(&format!("{ca}{}", scene.secret("next-ca.crt")));
        until_another_signs(&scene, &before);
    });
    calls.all_fine();
    scene.set_bundle("");
    wait::until("all to know that they are not trusted", || {
        let known = scene.metrics("podgraft_certificate_trusted", "");
        if known == [0.0; 2] { Ok(()) } else { Err(known) }
    });
    assert!(scene.verbose(0).contains("[!]trust: the caBundle of webhook"), "{}", scene.verbose(0));
    may_patch(&scene, true);
    scene.in_force();
    scene.trusted().unwrap();
}

/// Takes the right to patch registrations away, or gives it back.
fn may_patch(scene: &Scene, may: bool) {
    const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let api = &scene.story.api;
    let about = |rule: &Value| {
        let said = |key: &str, word: &str| rule[key].as_array().is_some_and(|words| words.iter().any(|one| one == word));
        said("resources", "mutatingwebhookconfigurations") && said("resourceNames", &scene.registration.name)
    };
    let roles = api.get(ROLES).unwrap().object("the roles");
    let mut changed = 0;
    for role in roles["items"].as_array().unwrap() {
        let mut rules = role["rules"].as_array().cloned().unwrap_or_default();
        for rule in rules.iter_mut().filter(|rule| about(rule)) {
            let verbs = rule["verbs"].as_array_mut().unwrap();
            verbs.retain(|verb| verb != "patch");
            verbs.extend(may.then(|| json!("patch")));
            changed += 1;
        }
        if rules.iter().any(about) {
            let path = format!("{ROLES}/{}", role["metadata"]["name"].as_str().unwrap());
            api.patch(&path, "merge", &json!({"rules": rules})).object("the role");
        }
    }
    assert!(changed > 0, "nobody has rights on the registration");
}

/// Whoever applies a registration from his side cannot take an entry out of it, as its bundle is ours: he deletes the registration first, and a
/// moment after it is there again it is in force.
pub fn entry(story: &Story) {
    story.faults_are_meant();
    let mut scene = Scene::new(story, true);
    let path = format!("{MUTATING}/{}", scene.registration.name);
    story.api.delete(&path).unwrap().object("the registration, gone");
    let one = scene.object("");
    let mut two = one.clone();
    let mut second = one["webhooks"][0].clone();
    second["name"] = json!(format!("{}.second.podgraft.dev", story.name));
    two["webhooks"].as_array_mut().unwrap().push(second);
    let apply = |object: &Value| story.kubectl().run_with(&["apply", "--server-side", "-f", "-"], &object.to_string());
    apply(&two).fine();
    scene.start(2, &["--certs=managed"]);
    let bundles = || {
        let object = story.api.get(&path).unwrap().object("the registration");
        object["webhooks"].as_array().unwrap().iter().filter(|webhook| webhook["clientConfig"]["caBundle"].is_string()).count()
    };
    wait::until("both entries to have a bundle", || if bundles() == 2 { Ok(()) } else { Err(bundles()) });
    scene.in_force();
    let said = apply(&one).refused();
    assert!(said.err.contains("sideEffects") && said.err.contains("webhooks[1]"), "{}", said.err);
    story.api.delete(&path).unwrap().object("the registration, gone");
    apply(&one).fine();
    wait::until_within(Duration::from_secs(5), "the bundle to be there", || if bundles() == 1 { Ok(()) } else { Err(bundles()) }).unwrap();
    scene.in_force();
}
