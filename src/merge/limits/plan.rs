//! What a preset would do to `limits` and `requests`, before anything of it is done.

use crate::tree::NodeId;

pub(super) const MAPS: [&str; 2] = ["limits", "requests"];

/// What becomes of one entry of the preset's `limits` or `requests`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// There and equal.
    Hold(NodeId),
    /// Not there, and the API server will write the same.
    Same,
    /// Not there.
    Add,
    /// Not there, and the API server would have written the same but for the limit that the preset replaces.
    AddForItself,
    /// There and different, and the preset's takes the place.
    Replace(NodeId),
    /// There and different, and stays.
    Leave,
}

impl Fate {
    pub(super) fn changes(self) -> bool {
        matches!(self, Fate::Add | Fate::AddForItself | Fate::Replace(_))
    }
}

/// One entry of a preset's `limits` or `requests`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned<'a> {
    /// Its place in [`MAPS`].
    pub(super) map: usize,
    pub(super) key: &'a str,
    pub(super) node: NodeId,
    pub(super) fate: Fate,
}

/// Entries of one preset that are looked at together, sorted by map and key.
pub(super) type Plan<'a> = Vec<Planned<'a>>;

pub(super) fn planned<'p, 'a>(plan: &'p [Planned<'a>], map: usize, key: &str) -> Option<&'p Planned<'a>> {
    plan.iter().find(|planned| planned.map == map && planned.key == key)
}

/// A request that equals the limit which the Pod has is implied by it no more where the preset replaces that limit.
pub(super) fn say_what_was_implied(plan: &mut [Planned<'_>]) {
    for index in 0..plan.len() {
        let replaced = |limit: &Planned<'_>| matches!(limit.fate, Fate::Replace(_));
        if plan[index].fate == Fate::Same && planned(plan, 0, plan[index].key).is_some_and(replaced) {
            plan[index].fate = Fate::AddForItself;
        }
    }
}

/// Where the limit stays after all, so does what it implies.
pub(super) fn leave_what_is_implied(plan: &mut [Planned<'_>]) {
    for index in 0..plan.len() {
        let stays = |limit: &Planned<'_>| limit.fate == Fate::Leave;
        if plan[index].fate == Fate::AddForItself && planned(plan, 0, plan[index].key).is_some_and(stays) {
            plan[index].fate = Fate::Same;
        }
    }
}

/// What changes something, as (map, key).
pub(super) fn changes<'a>(plan: &[Planned<'a>]) -> Vec<(usize, &'a str)> {
    plan.iter().filter(|planned| planned.fate.changes()).map(|planned| (planned.map, planned.key)).collect()
}
