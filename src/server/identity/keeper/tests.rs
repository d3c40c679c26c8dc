//! What a keeper does as time goes by, and what it says.

use super::*;
use crate::server::identity::trust::Authority;
use crate::server::identity::trust::tests::{NAME, NOW, made, webhook};
use crate::server::identity::{make, secret};

const LOOK: Duration = Duration::from_secs(2);

fn keeper(made: i64) -> Keeper {
    let names = vec!["localhost".to_owned()];
    let identity = Arc::new(Identity::new(Pair::ephemeral(&names, made).unwrap()));
    Keeper::new(Source::Ephemeral(names), None, identity, Arc::new(Metrics::new()), Ready::default(), LOOK)
}

#[test]
fn an_ephemeral_pair_is_made_anew_in_the_last_third() {
    let mut young = keeper(unix_now() - 59 * 86_400);
    let before = young.identity.pair().unwrap().not_after;
    assert_eq!(young.tick(), LOOK);
    assert_eq!(young.identity.pair().unwrap().not_after, before);
    let mut old = keeper(unix_now() - 61 * 86_400);
    old.tick();
    assert!(old.identity.pair().unwrap().not_after > unix_now() + 80 * 86_400);
}

#[test]
fn not_ready_while_what_is_shown_has_expired() {
    let mut keeper = keeper(unix_now() - 100 * 86_400);
    assert!(keeper.ready.reasons().join("").contains("certificate: the certificate expired at"));
    keeper.tick();
    assert!(keeper.ready.is_ready());
    assert!(keeper.metrics.text().contains("podgraft_reloads_total{what=\"certificate\",result=\"ok\"} 1"));
}

/// A keeper that shows nothing yet, of a Secret that was not read.
fn of_secret() -> (Keeper, watch::Sender<secret::Seen>, watch::Sender<Arc<Registration>>) {
    let (seen, secret) = watch::channel(secret::Seen::Unread(None));
    let (known, registration) = watch::channel(Arc::new(Registration::Unread));
    let source = Source::Secret(SecretPair::new("grafting/tls".to_owned(), secret));
    let keeper = Keeper::new(source, Some(registration), Arc::default(), Arc::new(Metrics::new()), Ready::default(), LOOK);
    (keeper, seen, known)
}

fn there(made: &make::Made) -> secret::Seen {
    let data = [(secret::CERTIFICATE, &made.certificate), (secret::KEY, &made.key)];
    let data = data.map(|(name, text)| (name.to_owned(), text.clone().into_bytes())).into();
    secret::Seen::There(Arc::new(secret::Content { data, annotations: std::collections::BTreeMap::new() }))
}

#[test]
fn a_new_pair_waits_for_the_bundle_and_then_a_second() {
    let (mut keeper, seen, known) = of_secret();
    let (moment, later) = (Instant::now(), |millis| Duration::from_millis(millis));
    keeper.tick_at(NOW, moment);
    let verbose = keeper.ready.verbose();
    assert!(verbose.contains("[-]certificate failed: Secret grafting/tls: it has not been read yet"), "{verbose}");

    // What is there first is shown at once; readiness waits for the bundle.
    let leaf = |authority: &make::Made| {
        make::leaf(&authority.certificate, &authority.key, &["podgraft.grafting.svc".to_owned()], NOW, 86_400).unwrap()
    };
    let (one, two) = (make::authority(NOW, 864_000).unwrap(), make::authority(NOW, 864_000).unwrap());
    let (first, second) = (leaf(&one), leaf(&two));
    let authority = |made: &make::Made| Authority::all_in(made.certificate.as_bytes()).remove(0);
    let read = |bundle: &[&Authority]| known.send_replace(Arc::new(Registration::Read(vec![webhook(bundle)])));
    let (one, two) = (authority(&one), authority(&two));
    seen.send_replace(there(&first));
    keeper.tick_at(NOW, moment);
    let shown = |keeper: &Keeper| keeper.identity.pair().unwrap().chain().to_vec();
    let before = shown(&keeper);
    assert!(!keeper.ready.is_ready());
    read(&[]);
    keeper.tick_at(NOW, moment);
    assert!(!keeper.ready.is_ready());
    assert!(keeper.metrics.text().contains("podgraft_certificate_trusted 0\n"));
    read(&[&one]);
    keeper.tick_at(NOW, moment);
    assert!(keeper.ready.is_ready(), "{}", keeper.ready.verbose());
    assert!(keeper.metrics.text().contains("podgraft_certificate_trusted 1\n"));

    // A new one waits until the bundle verifies it, and a second.
    seen.send_replace(there(&second));
    assert_eq!(keeper.tick_at(NOW, moment), WAITING);
    assert_eq!(shown(&keeper), before);
    assert!(keeper.ready.verbose().contains("[!]certificate: a new one waits, the old one is shown: the caBundle"), "it is said");
    read(&[&one, &two]);
    keeper.tick_at(NOW, moment + later(100));
    keeper.tick_at(NOW, moment + later(1000));
    assert_eq!(shown(&keeper), before, "the second is not over");
    read(&[&one]);
    keeper.tick_at(NOW, moment + later(1050));
    read(&[&one, &two]);
    keeper.tick_at(NOW, moment + later(1200));
    keeper.tick_at(NOW, moment + later(2100));
    assert_eq!(shown(&keeper), before, "the second began anew");
    assert_eq!(keeper.tick_at(NOW, moment + later(2200)), LOOK);
    assert_ne!(shown(&keeper), before);
    assert!(!keeper.ready.verbose().contains("[!]certificate"));

    // An untrusted bundle is said, and is no reason not to be ready.
    read(&[&one]);
    keeper.tick_at(NOW, moment);
    assert!(keeper.ready.is_ready());
    assert!(keeper.ready.verbose().contains("[!]trust: the caBundle of webhook"), "{}", keeper.ready.verbose());
    // Back to the first pair, which is trusted, while what is shown is not: at once.
    seen.send_replace(there(&first));
    keeper.tick_at(NOW, moment);
    assert_eq!(shown(&keeper), before);
}

/// A replica that has started with the pair of an authority, and what the bundle may hold: that one, and another.
fn started(now: i64) -> (Keeper, watch::Sender<secret::Seen>, watch::Sender<Arc<Registration>>, [Authority; 2]) {
    let (mut keeper, seen, known) = of_secret();
    let (one, other) = (make::authority(now, 864_000).unwrap(), make::authority(now, 864_000).unwrap());
    let leaf = make::leaf(&one.certificate, &one.key, &[NAME.to_owned()], now, 86_400).unwrap();
    seen.send_replace(there(&leaf));
    keeper.tick_at(now, Instant::now());
    let read = |made: &make::Made| Authority::all_in(made.certificate.as_bytes()).remove(0);
    (keeper, seen, known, [read(&one), read(&other)])
}

/// Ready, it would let a rollout take those away that are trusted.
#[test]
fn a_replica_that_nobody_trusts_is_not_ready_however_long_it_takes() {
    let (mut keeper, _seen, known, [one, other]) = started(NOW);
    let later = Instant::now() + 10 * SETTLING;
    let read = |bundles: &[&[&Authority]]| {
        known.send_replace(Arc::new(Registration::Read(bundles.iter().map(|bundle| webhook(bundle)).collect())));
    };
    read(&[&[&other], &[]]);
    keeper.tick_at(NOW, later);
    assert!(keeper.ready.reasons().join("").contains("trust: the caBundle of webhook"), "{:?}", keeper.ready.reasons());
    // Somebody can call it: the rest is a matter for the alert.
    read(&[&[&other], &[&one]]);
    keeper.tick_at(NOW, Instant::now());
    assert!(!keeper.ready.is_ready(), "not before its time is over");
    keeper.tick_at(NOW, later);
    assert!(keeper.ready.is_ready());
    // Once ready, it does not become so again.
    read(&[&[&other]]);
    keeper.tick_at(NOW, later);
    assert!(keeper.ready.is_ready());
}

#[test]
fn what_stands_in_the_way_ends_where_nobody_has_written_a_bundle_or_nobody_calls() {
    for (bundles, calls) in [(&[&[] as &[&Authority], &[]][..], true), (&[], false)] {
        let (mut keeper, _seen, known, _) = started(NOW);
        known.send_replace(Arc::new(Registration::Read(bundles.iter().map(|bundle| webhook(bundle)).collect())));
        keeper.tick_at(NOW, Instant::now());
        assert_eq!(keeper.ready.is_ready(), !calls);
        keeper.tick_at(NOW, Instant::now() + 2 * SETTLING);
        assert!(keeper.ready.is_ready());
        let said = if calls { "podgraft_certificate_trusted 0\n" } else { "" };
        let text = keeper.metrics.text();
        let trusted: String =
            text.lines().filter(|line| line.starts_with("podgraft_certificate_trusted")).map(|line| format!("{line}\n")).collect();
        assert_eq!(trusted, said, "nobody calls, so nobody knows");
    }
}

#[test]
fn a_pair_that_waits_is_kept_while_the_clock_goes_back() {
    let (mut keeper, seen, known, [one, _]) = started(NOW - 40_000);
    known.send_replace(Arc::new(Registration::Read(vec![webhook(&[&one])])));
    let before = keeper.identity.pair().unwrap();
    let second = make::authority(NOW, 864_000).unwrap();
    seen.send_replace(there(&make::leaf(&second.certificate, &second.key, &[NAME.to_owned()], NOW, 86_400).unwrap()));
    let (moment, second) = (Instant::now(), Authority::all_in(second.certificate.as_bytes()).remove(0));
    keeper.tick_at(NOW, moment);
    keeper.tick_at(NOW - 10_000, moment);
    assert!(keeper.ready.verbose().contains("not valid before"), "{}", keeper.ready.verbose());
    known.send_replace(Arc::new(Registration::Read(vec![webhook(&[&one, &second])])));
    keeper.tick_at(NOW - 10_000, moment + 10 * SOON);
    keeper.tick_at(NOW - 10_000, moment + 20 * SOON);
    assert_eq!(keeper.identity.pair().unwrap().chain(), before.chain(), "it is not valid yet");
    keeper.tick_at(NOW, moment + 30 * SOON);
    keeper.tick_at(NOW, moment + 40 * SOON);
    assert_ne!(keeper.identity.pair().unwrap().chain(), before.chain(), "and is not forgotten");
}

#[test]
fn changed_and_back_again_is_no_change() {
    let (mut keeper, seen, known) = of_secret();
    let (one, two) = (made(10), made(10));
    known.send_replace(Arc::new(Registration::Read(vec![webhook(&[&one.0])])));
    keeper.identity.show(one.1.clone());
    drop(seen);
    keeper.looked(Look::New(Box::new(two.1)));
    assert!(keeper.waiting.is_some());
    keeper.looked(Look::New(Box::new(one.1)));
    assert!(keeper.waiting.is_none());
}

#[test]
fn a_configuration_that_may_not_be_read_holds_nothing_up() {
    let (mut keeper, seen, known) = of_secret();
    known.send_replace(Arc::new(Registration::Unreadable("not permitted".to_owned())));
    let authority = make::authority(NOW, 864_000).unwrap();
    for _ in 0..2 {
        let leaf = make::leaf(&authority.certificate, &authority.key, &["localhost".to_owned()], NOW, 86_400).unwrap();
        seen.send_replace(there(&leaf));
        keeper.tick_at(NOW, Instant::now());
        assert!(keeper.waiting.is_none() && keeper.ready.is_ready());
    }
    assert!(keeper.ready.verbose().contains("[!]trust: the webhook configuration cannot be read: not permitted"));
    assert!(!keeper.metrics.text().contains("podgraft_certificate_trusted"), "it is not known");
}
