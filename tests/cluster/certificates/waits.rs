//! Pairs that somebody else writes: a new one is shown when the registration's bundle verifies it, and not before.

use podgraft::server::identity::{make, unix_now};

use super::scene::{SECRET, Scene};
use crate::harness::story::Story;
use crate::harness::wait;
use crate::outage::Forwarder;

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
    let calls = scene.under_calls(2, || {
        let second = issued(scene);
        put(scene, &second);
        wait::until("it to be said that the pair waits", || {
            let waits = |replica: &crate::harness::podgraft::Serving| replica.held.printed().contains("which waits until it is trusted");
            if scene.replicas.iter().all(waits) { Ok(()) } else { Err("not all say so") }
        });
        assert_eq!(scene.metrics("podgraft_certificate_trusted", ""), [1.0; 2], "the old one is shown");
        assert!(scene.verbose(0).contains("[!]certificate: a new one waits"), "{}", scene.verbose(0));
        scene.set_bundle(&format!("{}{}", first.authority, second.authority));
        scene.until_shown(&second.certificate);
        scene.set_bundle(&second.authority);
        assert_eq!(scene.metrics("podgraft_reloads_total", "what=\"certificate\",result=\"ok\""), reloaded.map(|number| number + 1.0));
    });
    calls.all_fine();
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
    let verbose = scene.verbose(0);
    assert!(verbose.contains("[!]trust: the webhook configuration cannot be read"), "{verbose}");
    let metrics = ureq::get(format!("http://{}/metrics", scene.replicas[0].admin)).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(!metrics.contains("podgraft_certificate_trusted"), "{metrics}");
}

/// What `openssl req -x509` makes: a serving certificate that is its own authority, and is in the bundle itself.
pub fn itself(story: &Story) {
    let mut scene = Scene::new(story, true);
    let made = || {
        let mut params = rcgen::CertificateParams::new(vec![scene.server_name()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let now = time::OffsetDateTime::now_utc();
        (params.not_before, params.not_after) = (now - time::Duration::HOUR, now + time::Duration::DAY);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Issued { authority: certificate.clone(), certificate, key: key.serialize_pem() }
    };
    let (first, second) = (made(), made());
    let put = |scene: &Scene, issued: &Issued| scene.put_secret(&[("tls.crt", &issued.certificate), ("tls.key", &issued.key)]);
    put(&scene, &first);
    scene.set_bundle(&first.authority);
    let flags = [format!("--tls-secret={SECRET}")];
    scene.start(2, &["--certs=secret", &flags[0]]);
    scene.in_force();
    scene.leave_slowly();
    assert_eq!(scene.metrics("podgraft_certificate_trusted", ""), [1.0; 2]);
    let calls = scene.under_calls(2, || {
        put(&scene, &second);
        scene.set_bundle(&format!("{}{}", first.authority, second.authority));
        scene.until_shown(&second.certificate);
        scene.set_bundle(&second.authority);
        assert_eq!(scene.metrics("podgraft_certificate_trusted", ""), [1.0; 2]);
    });
    calls.all_fine();
}

/// Watches that are dead and do not say so are noticed, those of the Secret and of the registration too.
pub fn deaf(story: &Story) {
    let mut scene = Scene::new(story, true);
    let forwarder = Forwarder::to(story.plane.url().strip_prefix("https://").unwrap().parse().unwrap());
    scene.account = scene.account.at(story.plane, &format!("https://{}", forwarder.address));
    let first = issued(&scene);
    scene.put_secret(&[("tls.crt", &first.certificate), ("tls.key", &first.key)]);
    scene.set_bundle(&first.authority);
    let flags = [format!("--tls-secret={SECRET}")];
    scene.start(1, &["--certs=secret", &flags[0], "--watch-timeout=5s"]);
    scene.in_force();
    let ages = scene.metrics("podgraft_store_age_seconds", "store=\"certificate_secret\"");
    assert!(ages.iter().all(|age| *age < 60.0), "{ages:?}");
    forwarder.fall_silent();
    let second = issued(&scene);
    scene.put_secret(&[("tls.crt", &second.certificate), ("tls.key", &second.key)]);
    scene.set_bundle(&format!("{}{}", first.authority, second.authority));
    scene.until_shown(&second.certificate);
}
