//! Who yields, in a layer (spec section 4).
//!
//! First each preset alone against the Pod, then those that are left among themselves. A `Skip` among themselves starts the second part again
//! without that preset; when that has settled, all are merged once more against the result, until nothing is added. Without a clash none of
//! this is needed: one run in order gives the same.

use super::run::{Clash, Run};
use crate::conflict::ConflictPolicy;

/// Why a layer's presets are not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    /// An `Abort` preset is in conflict.
    Abort,
    /// A `Reject` preset is in conflict.
    Reject,
}

/// A layer that has settled.
#[derive(Debug)]
pub(super) struct Layer<'m, 'a> {
    /// The result; where the layer stopped, what there was before it.
    pub run: Run<'m, 'a>,
    /// Presets of the layer that were left out.
    pub left_out: Vec<usize>,
    /// All conflicts, also those of presets that were left out.
    pub clashes: Vec<Clash>,
    /// Whether a preset stopped all of them.
    pub stop: Option<Stop>,
}

/// What settling a layer needs besides its presets.
pub(super) struct Settling<'s, 'm, 'a> {
    /// Makes what the layer is merged onto, anew.
    pub redo: &'s dyn Fn() -> Run<'m, 'a>,
    /// Whether it is the first layer, where an `Abort` leaves out its own preset only.
    pub first: bool,
    /// Whether a preset matches the labels of the Pod that a run gives, its own labels left aside.
    pub still_matches: &'s dyn Fn(usize, &Run<'m, 'a>) -> bool,
}

/// Merges the presets of a layer onto `base`, which is what `redo` makes.
pub(super) fn settle<'m, 'a>(base: Run<'m, 'a>, presets: &[usize], settling: &Settling<'_, 'm, 'a>) -> Layer<'m, 'a> {
    let mut run = base;
    run.merge(presets);
    if run.clashes.is_empty() {
        return Layer { run, left_out: Vec::new(), clashes: Vec::new(), stop: None };
    }
    settling.in_conflict(run.members, presets)
}

impl<'m, 'a> Settling<'_, 'm, 'a> {
    fn in_conflict(&self, members: &'m [super::Member<'a>], presets: &[usize]) -> Layer<'m, 'a> {
        let policy = |who: usize| members[who].preset.spec().conflict_policy;
        let mut clashes = Clashes::default();
        let mut out = Vec::new();
        for who in presets {
            let mut run = (self.redo)();
            run.merge(&[*who]);
            if !run.clashes.is_empty() && matches!(policy(*who), ConflictPolicy::Abort | ConflictPolicy::Skip | ConflictPolicy::Reject) {
                out.push(*who);
            }
            clashes.alone.extend(run.clashes);
        }
        let fallen = out.clone();
        let yields = |who: usize| policy(who) == ConflictPolicy::Skip || (self.first && policy(who) == ConflictPolicy::Abort);
        let (mut run, among) = loop {
            let staying: Vec<usize> = presets.iter().copied().filter(|who| !out.contains(who)).collect();
            let mut run = (self.redo)();
            run.merge(&staying);
            let among = std::mem::take(&mut run.clashes);
            let stops = |who: usize| matches!(policy(who), ConflictPolicy::Abort | ConflictPolicy::Reject);
            let leaving = among.iter().find(|clash| yields(clash.who) || (stops(clash.who) && !(self.still_matches)(clash.who, &run)));
            let Some(leaving) = leaving.map(|clash| clash.who) else { break (run, among) };
            if yields(leaving) {
                clashes.left.extend(among.into_iter().filter(|clash| clash.who == leaving));
            }
            out.push(leaving);
        };
        clashes.among = among;
        // A preset that fell alone counts only where it matches the Pod that there would be without it.
        let uncounted: Vec<usize> = fallen.into_iter().filter(|who| !yields(*who) && !(self.still_matches)(*who, &run)).collect();
        clashes.forget(&uncounted);
        let stopped = clashes.all().filter(|clash| !yields(clash.who)).filter_map(|clash| match policy(clash.who) {
            ConflictPolicy::Abort => Some(Stop::Abort),
            ConflictPolicy::Reject => Some(Stop::Reject),
            _ => None,
        });
        if let Some(stop) = stopped.max() {
            return Layer { run: (self.redo)(), left_out: presets.to_vec(), clashes: clashes.reported(members), stop: Some(stop) };
        }
        self.once_more(&mut run, presets, &mut out, &mut clashes, &yields);
        run.clashes.clear();
        Layer { run, left_out: out, clashes: clashes.reported(members), stop: None }
    }

    /// Merges all presets against the result until nothing is added; one that was left out comes in where nothing stands against it now.
    fn once_more(
        &self,
        run: &mut Run<'m, 'a>,
        presets: &[usize],
        out: &mut Vec<usize>,
        clashes: &mut Clashes,
        yields: &dyn Fn(usize) -> bool,
    ) {
        loop {
            let before = run.draft.operations().len();
            let staying: Vec<usize> = presets.iter().copied().filter(|who| !out.contains(who)).collect();
            run.merge(&staying);
            let mut adopted = false;
            for who in out.clone().into_iter().filter(|who| yields(*who)) {
                let mut trial = run.clone();
                trial.clashes.clear();
                trial.merge(&[who]);
                if trial.clashes.is_empty() {
                    *run = trial;
                    out.retain(|left| *left != who);
                    clashes.forget(&[who]);
                    adopted = true;
                }
            }
            if run.draft.operations().len() == before && !adopted {
                return;
            }
        }
    }
}

/// Conflicts by where they were met.
#[derive(Default)]
struct Clashes {
    /// Against the Pod.
    alone: Vec<Clash>,
    /// Of presets that were left out among themselves.
    left: Vec<Clash>,
    /// In the run that settled.
    among: Vec<Clash>,
}

impl Clashes {
    fn all(&self) -> impl Iterator<Item = &Clash> {
        self.alone.iter().chain(&self.left).chain(&self.among)
    }

    fn forget(&mut self, who: &[usize]) {
        for clashes in [&mut self.alone, &mut self.left, &mut self.among] {
            clashes.retain(|clash| !who.contains(&clash.who));
        }
    }

    /// Each place once. What a preset met alone is the Pod's; with `Override` who holds it in the end decides what became of it.
    fn reported(self, members: &[super::Member<'_>]) -> Vec<Clash> {
        let overrides = |clash: &Clash| members[clash.who].preset.spec().conflict_policy == ConflictPolicy::Override;
        let (decided, other): (Vec<Clash>, Vec<Clash>) = self.among.into_iter().partition(overrides);
        let mut reported: Vec<Clash> = Vec::new();
        for clash in decided.into_iter().chain(self.alone).chain(self.left).chain(other) {
            let again = |known: &Clash| known.who == clash.who && known.path == clash.path && known.kind == clash.kind;
            if !reported.iter().any(again) {
                reported.push(clash);
            }
        }
        reported.sort_by_key(|clash| clash.who);
        reported
    }
}
