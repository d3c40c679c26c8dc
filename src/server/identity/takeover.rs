//! When a new pair takes the place of the one that is shown: not before whoever calls trusts it.
//!
//! What is lost otherwise was measured with the real cert-manager: a pair that is shown before the registration's bundle verifies it fails
//! every review on a new connection until it does. The API server learns of a bundle by a watch of its own, as we do: where the bundle
//! verifies both pairs nothing is lost by waiting a second for it.

use super::trust::{Registration, Trust};
use super::{Pair, PairError};

/// What to do with a new pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// It is shown now.
    AtOnce,
    /// It is shown when this has been so for a second.
    Soon,
    /// It has to wait, and why.
    Waits(String),
}

/// Looks whether a new pair may take over at a time (Unix).
#[must_use]
pub fn judge(shown: &Pair, next: &Pair, registration: &Registration, now: i64) -> Takeover {
    // Nobody trusts what is shown: there is nothing to lose. (A clock that went back is no reason to hurry.)
    if matches!(shown.valid_at(now), Err(PairError::Expired(_))) {
        return Takeover::AtOnce;
    }
    // Its time may not have come (any more, where the clock went back).
    if let Err(early @ PairError::NotYet(_)) = next.valid_at(now) {
        return Takeover::Waits(early.to_string());
    }
    match registration.trusts(next, now) {
        Trust::Unknown(_) => Takeover::AtOnce,
        Trust::Unread => Takeover::Waits("the registration has not been read yet".to_owned()),
        Trust::Refused { why, .. } => Takeover::Waits(why),
        Trust::Given if matches!(registration.trusts(shown, now), Trust::Refused { .. }) => Takeover::AtOnce,
        Trust::Given | Trust::Nobody => Takeover::Soon,
    }
}

#[cfg(test)]
mod tests {
    use super::super::trust::tests::{NOW, made, webhook};
    use super::*;

    #[test]
    fn a_pair_takes_over_when_it_is_trusted() {
        let ((old, shown), (new, next)) = (made(10), made(10));
        let read = |bundles: &[&[&_]]| Registration::Read(bundles.iter().map(|bundle| webhook(bundle)).collect());
        let waits = |takeover| matches!(takeover, Takeover::Waits(_));
        for (what, registration, takeover) in [
            ("merged", read(&[&[&old, &new]]), Takeover::Soon),
            ("replaced", read(&[&[&new]]), Takeover::AtOnce),
            ("one merged, one replaced", read(&[&[&old, &new], &[&new]]), Takeover::AtOnce),
            ("no configuration", read(&[]), Takeover::Soon),
            ("may not be read", Registration::Unreadable(String::new()), Takeover::AtOnce),
        ] {
            assert_eq!(judge(&shown, &next, &registration, NOW), takeover, "{what}");
        }
        for (what, registration) in [
            ("not yet", read(&[&[&old]])),
            ("one of two", read(&[&[&old, &new], &[&old]])),
            ("emptied", read(&[&[]])),
            ("not read yet", Registration::Unread),
        ] {
            assert!(waits(judge(&shown, &next, &registration, NOW)), "{what}");
        }
    }

    #[test]
    fn when_the_old_one_has_expired_there_is_nothing_to_wait_for() {
        let ((old, shown), (_, next)) = (made(10), made(10));
        let registration = Registration::Read(vec![webhook(&[&old])]);
        assert!(matches!(judge(&shown, &next, &registration, shown.not_after), Takeover::Waits(_)));
        assert_eq!(judge(&shown, &next, &registration, shown.not_after + 1), Takeover::AtOnce);
        assert_eq!(judge(&shown, &next, &Registration::Unread, shown.not_after + 1), Takeover::AtOnce);
        assert!(matches!(judge(&shown, &next, &registration, shown.not_before - 1), Takeover::Waits(_)), "a clock that went back");
        let unreadable = Registration::Unreadable(String::new());
        assert!(matches!(judge(&shown, &next, &unreadable, next.not_before - 1), Takeover::Waits(why) if why.contains("not valid before")));
    }
}
