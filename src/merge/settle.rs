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
    /// Those of them that left out themselves only.
    pub yielded: Vec<usize>,
    /// All conflicts that count, also those of presets that were left out.
    pub clashes: Vec<Clash>,
    /// Conflicts of presets that would stop all, and do not match the labels of the Pod that there would be without that.
    pub uncounted: Vec<Clash>,
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

/// What became of merging once more.
enum Again {
    /// Nothing is added any more.
    Settled,
    /// A preset came in against which this one stands, which yields: all begins again without it.
    Without(usize),
}

impl<'m, 'a> Settling<'_, 'm, 'a> {
    /// Merges the presets of a layer onto `base`, which is what `redo` makes.
    pub(super) fn settle(&self, base: Run<'m, 'a>, presets: &[usize]) -> Layer<'m, 'a> {
        let mut run = base;
        run.merge(presets);
        if run.clashes.is_empty() {
            let none = Vec::new;
            return Layer { run, left_out: none(), yielded: none(), clashes: Vec::new(), uncounted: Vec::new(), stop: None };
        }
        self.in_conflict(run.members, presets)
    }

    fn policy(&self, who: usize, members: &[super::Member<'a>]) -> ConflictPolicy {
        members[who].preset.spec().conflict_policy
    }

    /// Whether a preset in conflict leaves out itself only.
    fn yields(&self, who: usize, members: &[super::Member<'a>]) -> bool {
        let policy = self.policy(who, members);
        policy == ConflictPolicy::Skip || (self.first && policy == ConflictPolicy::Abort)
    }

    fn in_conflict(&self, members: &'m [super::Member<'a>], presets: &[usize]) -> Layer<'m, 'a> {
        let policy = |who: usize| self.policy(who, members);
        let yields = |who: usize| self.yields(who, members);
        let stops = |who: usize| !yields(who) && matches!(policy(who), ConflictPolicy::Abort | ConflictPolicy::Reject);
        let mut clashes = Clashes::default();
        let mut out = Vec::new();
        for who in presets {
            let mut run = (self.redo)();
            // Whose template gives a container its image is so whoever is alone.
            presets.iter().for_each(|other| run.states[*other].taking_part = true);
            run.merge(&[*who]);
            if !run.clashes.is_empty() && (yields(*who) || stops(*who)) {
                out.push(*who);
            }
            clashes.alone.extend(run.clashes);
        }
        let mut begun_again = Vec::new();
        let run = loop {
            let mut run = self.among_themselves(members, presets, &mut out, &mut clashes);
            match self.once_more(&mut run, presets, &mut out, &mut clashes, &begun_again) {
                Again::Without(who) => {
                    begun_again.push(who);
                    out.push(who);
                }
                Again::Settled => break run,
            }
        };
        // A preset that would stop others counts only where it matches the Pod that there would be if it did not.
        let unmatched: Vec<usize> = out.iter().copied().filter(|who| stops(*who) && !(self.still_matches)(*who, &run)).collect();
        let uncounted = clashes.forget(&unmatched);
        let yielded: Vec<usize> = out.iter().copied().filter(|who| yields(*who)).collect();
        let stop = stop_of(clashes.all().filter(|clash| stops(clash.who)), members);
        let clashes = clashes.reported(members);
        if stop.is_some() {
            return Layer { run: (self.redo)(), left_out: presets.to_vec(), yielded, clashes, uncounted, stop };
        }
        Layer { run, left_out: out, yielded, clashes, uncounted, stop: None }
    }

    /// Those that are left, among themselves: whoever yields, or would stop others and does not match without it, leaves.
    fn among_themselves(
        &self,
        members: &'m [super::Member<'a>],
        presets: &[usize],
        out: &mut Vec<usize>,
        clashes: &mut Clashes,
    ) -> Run<'m, 'a> {
        loop {
            let staying: Vec<usize> = presets.iter().copied().filter(|who| !out.contains(who)).collect();
            let mut run = (self.redo)();
            run.merge(&staying);
            let among = std::mem::take(&mut run.clashes);
            let stops = |who: usize| matches!(self.policy(who, members), ConflictPolicy::Abort | ConflictPolicy::Reject);
            let leaves = |who: usize| self.yields(who, members) || (stops(who) && !(self.still_matches)(who, &run));
            let Some(leaving) = among.iter().map(|clash| clash.who).find(|who| leaves(*who)) else {
                clashes.among = among;
                return run;
            };
            clashes.left.extend(among.into_iter().filter(|clash| clash.who == leaving));
            out.push(leaving);
        }
    }

    /// Merges all presets against the result until nothing is added; one that yielded comes in where nothing stands against it now.
    fn once_more(
        &self,
        run: &mut Run<'m, 'a>,
        presets: &[usize],
        out: &mut Vec<usize>,
        clashes: &mut Clashes,
        begun_again: &[usize],
    ) -> Again {
        let members = run.members;
        loop {
            let before = run.draft.operations().len();
            let staying = |out: &[usize]| presets.iter().copied().filter(|who| !out.contains(who)).collect::<Vec<usize>>();
            run.clashes.clear();
            run.merge(&staying(out));
            // Of a preset that is in conflict anyway; what it left out is not told twice.
            clashes.quiet.append(&mut run.clashes);
            let mut adopted = false;
            for who in out.clone().into_iter().filter(|who| self.yields(*who, members)) {
                let mut trial = run.clone();
                trial.merge(&[who]);
                if !trial.clashes.is_empty() {
                    continue;
                }
                trial.merge(&staying(out));
                let new = clashes.unknown(&trial.clashes);
                let yielding = new.iter().map(|clash| clash.who).find(|stands| self.yields(*stands, members));
                match yielding {
                    Some(stands) if begun_again.contains(&stands) => continue,
                    Some(stands) => {
                        clashes.left.extend(new.into_iter().filter(|clash| clash.who == stands));
                        return Again::Without(stands);
                    }
                    None => {}
                }
                trial.clashes.clear();
                *run = trial;
                out.retain(|left| *left != who);
                clashes.forget(&[who]);
                clashes.among.extend(new);
                adopted = true;
            }
            if run.draft.operations().len() == before && !adopted {
                return Again::Settled;
            }
        }
    }

    /// Merges a layer that has settled once more, after another layer has changed the Pod.
    pub(super) fn again(&self, run: &mut Run<'m, 'a>, presets: &[usize], out: &mut Vec<usize>, known: &mut Vec<Clash>) {
        let mut clashes = Clashes { among: std::mem::take(known), ..Clashes::default() };
        let begun_again = presets.to_vec();
        self.once_more(run, presets, out, &mut clashes, &begun_again);
        *known = clashes.among;
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
    /// Known, and not to be reported.
    quiet: Vec<Clash>,
}

impl Clashes {
    fn all(&self) -> impl Iterator<Item = &Clash> {
        self.alone.iter().chain(&self.left).chain(&self.among)
    }

    /// Takes out those of these presets.
    fn forget(&mut self, who: &[usize]) -> Vec<Clash> {
        let mut forgotten = Vec::new();
        for clashes in [&mut self.alone, &mut self.left, &mut self.among] {
            forgotten.extend(clashes.extract_if(.., |clash| who.contains(&clash.who)));
        }
        forgotten
    }

    /// Those that were not met before.
    fn unknown(&self, met: &[Clash]) -> Vec<Clash> {
        met.iter().filter(|clash| !self.all().chain(&self.quiet).any(|known| is_same(known, clash))).cloned().collect()
    }

    /// Each place once. What a preset met alone is the Pod's; with `Override` who holds it in the end decides what became of it.
    fn reported(self, members: &[super::Member<'_>]) -> Vec<Clash> {
        let overrides = |clash: &Clash| members[clash.who].preset.spec().conflict_policy == ConflictPolicy::Override;
        let (decided, other): (Vec<Clash>, Vec<Clash>) = self.among.into_iter().partition(overrides);
        let mut reported: Vec<Clash> = Vec::new();
        for clash in decided.into_iter().chain(self.alone).chain(self.left).chain(other) {
            if !reported.iter().any(|known| is_same(known, &clash)) {
                reported.push(clash);
            }
        }
        // What stood in the way may have gone, so that the value took the place when all were merged once more.
        for clash in &mut reported {
            clash.replaced |= self.quiet.iter().any(|later| later.replaced && is_same(later, clash));
        }
        reported.sort_by_key(|clash| clash.who);
        reported
    }
}

/// What these conflicts stop, by the policies of their presets. `Reject` wins.
pub(super) fn stop_of<'c>(clashes: impl Iterator<Item = &'c Clash>, members: &[super::Member<'_>]) -> Option<Stop> {
    let stops = clashes.filter_map(|clash| match members[clash.who].preset.spec().conflict_policy {
        ConflictPolicy::Reject => Some(Stop::Reject),
        ConflictPolicy::Abort => Some(Stop::Abort),
        _ => None,
    });
    stops.max()
}

/// The same preset at the same place.
fn is_same(known: &Clash, clash: &Clash) -> bool {
    known.who == clash.who && known.path == clash.path && known.kind == clash.kind
}
