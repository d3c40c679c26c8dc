//! Tables of what is seen and what follows, and whole rotations step by step.

use std::collections::BTreeMap;

use super::super::edit;
use super::super::material::{AUTHORITY_KEY, NEXT, ROTATE};
use super::*;
use crate::server::identity::secret::{AUTHORITIES, CERTIFICATE, Content, KEY};
use crate::server::identity::trust::tests::{NAME, NOW, webhook};

const DAY: i64 = 86_400;
const LIVES: Lives = Lives { leaf: 90 * DAY, authority: 1825 * DAY };
const LONG: Option<Duration> = Some(Duration::from_secs(10));

/// A cluster on paper: the Secret, the bundle, and what the one replica shows.
struct Paper {
    content: Option<Content>,
    bundle: Vec<Authority>,
    shown: Option<Pair>,
}

impl Paper {
    fn empty() -> Paper {
        Paper { content: None, bundle: Vec::new(), shown: None }
    }

    /// As it is a moment after the first start.
    fn started() -> Paper {
        let mut paper = Paper::empty();
        paper.run(NOW, LONG, &["Create", "Restore"]);
        paper
    }

    fn material(&self) -> Option<Material> {
        self.content.as_ref().map(Material::read)
    }

    fn step(&self, now: i64, settled: Option<Duration>) -> Step {
        self.seen(now, settled, &self.registration())
    }

    fn seen(&self, now: i64, settled: Option<Duration>, registration: &Registration) -> Step {
        let material = self.material();
        decide(&Scene { now, lives: LIVES, name: NAME, material: material.as_ref(), registration, shown: self.shown.as_ref(), settled })
    }

    fn registration(&self) -> Registration {
        Registration::Read(vec![webhook(&self.bundle.iter().collect::<Vec<_>>())])
    }

    /// Does a step, and what the replica does then: show what the bundle verifies.
    fn act(&mut self, step: &Step, now: i64) {
        if matches!(step, Step::Restore | Step::Trim) {
            let (material, registration) = (self.material(), self.registration());
            let shown = self.shown.as_ref();
            let scene =
                Scene { now, lives: LIVES, name: NAME, material: material.as_ref(), registration: &registration, shown, settled: None };
            self.bundle = bundle(&wanted(&scene), &self.bundle, *step == Step::Trim, now);
        } else {
            self.content = Some(edit::after(step, self.content.as_ref(), &[NAME.to_owned()], LIVES, now).unwrap());
        }
        let pair = self.material().unwrap().pair.unwrap();
        if self.shown.is_none() || trust::verify(&self.bundle, &pair, NAME, now).is_ok() {
            self.shown = Some(pair);
        }
    }

    /// Does what is to be done until there is nothing; the names of the steps must be these.
    fn run(&mut self, now: i64, settled: Option<Duration>, wanted: &[&str]) {
        let mut done = Vec::new();
        loop {
            let step = self.step(now, settled);
            if let Step::Nothing(seconds) = step {
                assert!((1..=60).contains(&seconds), "{seconds}");
                break;
            }
            let word = format!("{step:?}");
            done.push(word.split('(').next().unwrap().to_owned());
            self.act(&step, now);
            assert!(done.len() < 20, "{done:?}");
        }
        assert_eq!(done, wanted);
    }

    /// What callers see: whether what is shown is trusted.
    fn works(&self, now: i64) -> bool {
        trust::verify(&self.bundle, self.shown.as_ref().unwrap(), NAME, now).is_ok()
    }
}

#[test]
fn with_nothing_everything_is_made() {
    let paper = Paper::started();
    assert!(paper.works(NOW));
    assert!(matches!(paper.step(NOW, LONG), Step::Nothing(_)));
}

#[test]
fn a_leaf_is_renewed_when_a_third_is_left() {
    let mut paper = Paper::started();
    let due = NOW + 60 * DAY;
    assert!(matches!(paper.step(due - 1, LONG), Step::Nothing(1)));
    let before = paper.shown.clone().unwrap();
    paper.run(due, LONG, &["Issue"]);
    assert!(paper.shown.as_ref().unwrap().not_after > before.not_after && paper.works(due));
    assert_eq!(paper.bundle.len(), 1, "the authority stays");
}

#[test]
fn an_authority_is_replaced_in_steps_that_break_nothing() {
    let mut paper = Paper::started();
    // The last certificate of the old authority is a day old.
    let due = NOW + 1825 * DAY - 1825 * DAY / 3;
    paper.run(due - DAY, LONG, &["Issue"]);
    // The next authority goes into the bundle, and nothing more until it has been there for a while.
    paper.run(due, None, &["Prepare", "Restore"]);
    assert_eq!(paper.bundle.len(), 2);
    let before = paper.shown.clone().unwrap();
    paper.run(due, Some(Duration::from_secs(9)), &[]);
    assert!(matches!(paper.step(due, None), Step::Nothing(1)));
    paper.run(due, LONG, &["Promote"]);
    assert!(paper.works(due) && paper.shown.as_ref().unwrap().chain() != before.chain());
    assert_eq!(paper.bundle.len(), 2, "another replica may show the old one");
    assert_eq!(trust::verify(&paper.bundle, &before, NAME, due), Ok(()));
    // When the last certificate of the old one is gone, so is the old one.
    let last = due + 90 * DAY;
    paper.run(due + 60 * DAY, LONG, &["Issue"]);
    assert!(matches!(paper.step(last, LONG), Step::Nothing(_)));
    paper.run(last + 1, LONG, &["Prune", "Trim"]);
    assert_eq!(paper.bundle.len(), 1);
    assert!(paper.works(last + 1));
    assert_eq!(paper.content.as_ref().unwrap().annotations, BTreeMap::new(), "nothing is left of it");
}

#[test]
fn what_has_expired_is_replaced_at_once() {
    let mut paper = Paper::started();
    let late = NOW + 100 * DAY;
    assert!(!paper.works(late));
    paper.run(late, LONG, &["Issue"]);
    assert!(paper.works(late));
    // A clock that jumped by six years: nobody is left to convince.
    let much_later = NOW + 2200 * DAY;
    paper.run(much_later, LONG, &["Replace", "Restore"]);
    assert!(paper.works(much_later));
    assert_eq!(paper.bundle.len(), 1);
    // In the middle of a rotation there is a next one, which is better than a third.
    let mut paper = Paper::started();
    paper.run(NOW + 1300 * DAY, None, &["Issue", "Prepare", "Restore"]);
    let next = paper.material().unwrap().next.unwrap();
    paper.run(NOW + 1900 * DAY, LONG, &["Promote", "Trim"]);
    assert_eq!(paper.bundle, [next]);
}

#[test]
fn clocks_may_jump() {
    let paper = Paper::started();
    for jump in [-DAY, -3600, 0, DAY, 59 * DAY] {
        let step = paper.step(NOW + jump, LONG);
        // Before what there is was made, even backdated, a new certificate is no help: the authority is as young. It is made anew.
        let fine = if jump < -3600 { matches!(step, Step::Replace(_)) } else { matches!(step, Step::Nothing(_)) };
        assert!(fine, "{jump}: {step:?}");
    }
    let mut back = Paper::started();
    back.run(NOW - DAY, LONG, &["Replace", "Restore"]);
    assert!(back.works(NOW - DAY) && back.works(NOW), "and is good for those whose clocks are right");
}

#[test]
fn bundles_are_put_right() {
    let mut paper = Paper::started();
    let bundle = std::mem::take(&mut paper.bundle);
    assert_eq!(paper.step(NOW, None), Step::Restore);
    // Somebody's own beside ours stays until it is known that nobody needs it.
    let other = Paper::started().bundle.remove(0);
    paper.bundle = vec![other, bundle[0].clone()];
    assert_eq!(paper.step(NOW, Some(Duration::from_secs(5))), Step::Nothing(1));
    paper.run(NOW, LONG, &["Trim"]);
    assert_eq!(paper.bundle, bundle);
    // One of two.
    let two = Registration::Read(vec![webhook(&[&bundle[0]]), webhook(&[])]);
    assert_eq!(paper.seen(NOW, LONG, &two), Step::Restore);
    // Where nothing is known of bundles, nothing is written there.
    for unknown in [Registration::Unread, Registration::Unreadable(String::new()), Registration::Read(Vec::new())] {
        assert!(matches!(paper.seen(NOW, None, &unknown), Step::Nothing(_)));
    }
}

#[test]
fn a_next_authority_that_nobody_can_be_known_to_trust_waits() {
    let mut paper = Paper::started();
    let due = NOW + 1300 * DAY;
    paper.run(due, None, &["Issue", "Prepare", "Restore"]);
    assert!(matches!(paper.seen(due, LONG, &Registration::Unreadable(String::new())), Step::Nothing(_)));
    assert_eq!(paper.seen(due, LONG, &Registration::Read(Vec::new())), Step::Promote, "nobody calls");
}

/// The owner copies the authority into the registration himself, say, or there is no right to.
#[test]
fn a_certificate_is_renewed_whatever_a_change_of_authority_waits_for() {
    let unreadable = Registration::Unreadable(String::new());
    let mut paper = Paper::started();
    let mut done = Vec::new();
    for day in (0..1900).step_by(10) {
        let now = NOW + day * DAY;
        let step = paper.seen(now, LONG, &unreadable);
        if !matches!(step, Step::Nothing(_)) {
            paper.act(&step, now);
            done.push(format!("{step:?}").split('(').next().unwrap().to_owned());
        }
        paper.material().unwrap().usable(NAME, now).unwrap();
    }
    let number = |word: &str| done.iter().filter(|step| *step == word).count();
    assert_eq!((number("Prepare"), number("Promote")), (1, 1), "{done:?}");
    assert!(number("Issue") > 25 && number("Issue") + 2 == done.len(), "{done:?}");
    // A bundle that does not take what is written.
    let mut paper = Paper::started();
    paper.content.as_mut().unwrap().annotations.insert(ROTATE.to_owned(), "ca".to_owned());
    paper.act(&paper.step(NOW, LONG), NOW);
    assert_eq!(paper.step(NOW, LONG), Step::Restore);
    let due = NOW + 60 * DAY;
    let step = paper.step(due, LONG);
    assert!(matches!(step, Step::Issue(_)), "{step:?}");
    paper.act(&step, due);
    assert_eq!(paper.step(due, LONG), Step::Restore);
}

#[test]
fn a_certificate_that_could_not_live_longer_is_not_made_again_and_again() {
    let mut paper = Paper::started();
    let unreadable = Registration::Unreadable(String::new());
    let end = NOW + 1825 * DAY;
    for now in [end - 30 * DAY, end - 600, end - 1] {
        while !matches!(paper.seen(now, LONG, &unreadable), Step::Nothing(_)) {
            let step = paper.seen(now, LONG, &unreadable);
            assert!(now == end - 30 * DAY, "{step:?}");
            paper.act(&step, now);
        }
    }
}

#[test]
fn who_asked_for_an_authority_gets_one_though_the_certificate_is_due_too() {
    let mut paper = Paper::started();
    paper.content.as_mut().unwrap().annotations.insert(ROTATE.to_owned(), "ca".to_owned());
    paper.run(NOW + 60 * DAY, None, &["Issue", "Prepare", "Restore"]);
}

#[test]
fn others_in_the_same_configuration_are_left_alone() {
    let mut paper = Paper::started();
    let theirs = Paper::started().bundle;
    let other = Webhook { server_name: "other.shop.svc".to_owned(), ..webhook(&theirs.iter().collect::<Vec<_>>()) };
    let together = |paper: &Paper| Registration::Read(vec![webhook(&paper.bundle.iter().collect::<Vec<_>>()), other.clone()]);
    assert!(matches!(paper.seen(NOW, LONG, &together(&paper)), Step::Nothing(_)));
    paper.bundle.clear();
    assert_eq!(paper.seen(NOW, LONG, &together(&paper)), Step::Restore);
    assert_eq!(ours(std::slice::from_ref(&other), NAME).count(), 0);
}

#[test]
fn a_secret_written_by_hand_is_followed() {
    let mut paper = Paper::started();
    let before = paper.bundle.clone();
    let theirs = Paper::started().content.unwrap();
    // With the authority's key it is as one of ours; the old authority stays until the new pair is shown.
    paper.content = Some(theirs.clone());
    assert_eq!(paper.step(NOW, LONG), Step::Restore);
    let (material, registration) = (paper.material(), paper.registration());
    let shown = paper.shown.as_ref();
    let scene =
        Scene { now: NOW, lives: LIVES, name: NAME, material: material.as_ref(), registration: &registration, shown, settled: None };
    assert_eq!(wanted(&scene).len(), 2);
    paper.run(NOW, LONG, &["Restore", "Trim"]);
    assert!(paper.works(NOW) && paper.bundle.len() == 1 && paper.bundle != before);
    // Without it, it is good until it has to be renewed; then an authority of our own follows, step by step.
    let mut keyless = Paper::started();
    keyless.content.as_mut().unwrap().data.remove(AUTHORITY_KEY);
    keyless.run(NOW + 59 * DAY, LONG, &[]);
    keyless.run(NOW + 60 * DAY, None, &["Prepare", "Restore"]);
    keyless.run(NOW + 60 * DAY, LONG, &["Promote"]);
    assert!(keyless.works(NOW + 60 * DAY));
}

#[test]
fn what_is_of_no_use_is_replaced() {
    let good = Paper::started().content.unwrap();
    let other = Paper::started().content.unwrap();
    type Data = BTreeMap<String, Vec<u8>>;
    let broken = |change: &dyn Fn(&mut Data)| {
        let mut content = good.clone();
        change(&mut content.data);
        Paper { content: Some(content), ..Paper::empty() }.step(NOW, LONG)
    };
    for (what, step, issue) in [
        ("empty", broken(&BTreeMap::clear), false),
        ("half a certificate", broken(&|data| drop(data.insert(CERTIFICATE.to_owned(), good.value(CERTIFICATE)[..100].to_vec()))), true),
        ("another's key", broken(&|data| drop(data.insert(KEY.to_owned(), other.value(KEY).to_vec()))), true),
        ("another's authority", broken(&|data| drop(data.insert(AUTHORITIES.to_owned(), other.value(AUTHORITIES).to_vec()))), false),
        ("garbage", broken(&|data| drop(data.insert(AUTHORITIES.to_owned(), b"garbage".to_vec()))), false),
    ] {
        let fine = if issue { matches!(step, Step::Issue(_)) } else { matches!(step, Step::Replace(_)) };
        assert!(fine, "{what}: {step:?}");
    }
    // A next authority without its key is as none.
    let mut content = good.clone();
    content.data.insert(NEXT.to_owned(), other.value(AUTHORITIES).to_vec());
    let bundle = Authority::all_in(good.value(AUTHORITIES));
    let paper = Paper { content: Some(content), bundle, shown: None };
    assert!(matches!(paper.step(NOW, LONG), Step::Nothing(_)));
    assert!(matches!(paper.step(NOW + 1300 * DAY, LONG), Step::Issue(_)));
}

#[test]
fn a_service_of_another_name_gets_its_certificate() {
    let paper = Paper::started();
    let (material, registration) = (paper.material(), paper.registration());
    let scene = Scene {
        now: NOW,
        lives: LIVES,
        name: "other.grafting.svc",
        material: material.as_ref(),
        registration: &registration,
        shown: None,
        settled: LONG,
    };
    assert!(matches!(decide(&scene), Step::Issue(_)));
}

#[test]
fn a_person_may_ask() {
    for (word, steps) in [("leaf", &["Issue"][..]), ("ca", &["Prepare", "Restore", "Promote"])] {
        let mut paper = Paper::started();
        paper.content.as_mut().unwrap().annotations.insert(ROTATE.to_owned(), word.to_owned());
        let before = paper.shown.clone().unwrap();
        paper.run(NOW, LONG, steps);
        assert!(paper.works(NOW) && paper.shown.as_ref().unwrap().chain() != before.chain());
        assert!(!paper.content.unwrap().annotations.contains_key(ROTATE));
    }
}

#[test]
fn whole_years_on_paper() {
    let mut paper = Paper::started();
    let (mut authorities, mut day) = (1, 0);
    let mut known = paper.bundle.clone();
    while day < 9000 {
        day += 20;
        let now = NOW + day * DAY;
        for settled in [None, LONG] {
            for _ in 0..5 {
                let step = paper.step(now, settled);
                if !matches!(step, Step::Nothing(_)) {
                    paper.act(&step, now);
                }
                assert!(paper.works(now), "day {day}: {step:?}");
                assert!(!matches!(step, Step::Replace(_)), "day {day}: {step:?}");
            }
        }
        if paper.bundle.iter().any(|authority| !known.contains(authority)) {
            authorities += 1;
            known = paper.bundle.clone();
        }
        assert!(paper.bundle.len() <= 2);
    }
    assert_eq!(authorities, 8, "9000 days are seven times two thirds of five years");
}
