//! Grafting presets onto a Pod: layers, phases, who yields (spec section 4).
//!
//! [`graft`] is the whole of it: it selects presets, merges and settles the two layers, and records what was applied. It changes nothing but
//! its own working copy. The rules live one file each: `containers` (names, placement), `reach` (env, envFrom, mounts), `ports`, `limits`
//! (requests and limits), `lists`, `fields`; `run` has the phases, `settle` who yields, `select` which presets.

mod containers;
mod fields;
mod limits;
mod lists;
pub(crate) mod paths;
mod ports;
mod reach;
mod run;
mod select;
mod settle;

pub use select::{Choice, NotReady};

use run::{Clash, Run};
use select::Corrections;
use settle::{Layer, Settling, Stop};

use crate::conflict::{Conflict, ConflictPolicy, Holder};
use crate::draft::{Content, Draft};
use crate::pod;
use crate::preset::Preset;
use crate::tree::{NodeId, Tree};

/// A preset that was selected for a Pod.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The preset.
    pub preset: &'a Preset,
    /// Its place in the set.
    pub place: u32,
    /// The Pod carries its record with the same version, and that is believed.
    pub believed: bool,
    /// It was found to be left out before: it is here to be told of.
    pub kept_out: bool,
}

/// What a preset in Shadow mode would have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// The preset, by its place among the members.
    pub member: usize,
    /// How many operations it would have added.
    pub operations: usize,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody stopped anything.
    Settled,
    /// A preset of the second layer with `Abort` was in conflict: the first layer alone.
    Aborted,
    /// A preset with `Reject` was in conflict.
    Rejected,
}

/// A Pod, grafted.
#[derive(Debug)]
pub struct Grafting<'a> {
    /// The working copy and the operations.
    pub draft: Draft<'a>,
    /// The presets that were selected, in merge order.
    pub members: Vec<Member<'a>>,
    /// Those that are applied, by their place among the members.
    pub applied: Vec<usize>,
    /// All conflicts, Shadow's last.
    pub conflicts: Vec<Conflict>,
    /// Sentences for the user, each with the preset that it is about.
    pub notices: Vec<(usize, String)>,
    /// What presets in Shadow mode would have done.
    pub shadows: Vec<Shadowed>,
    /// How it ended.
    pub verdict: Verdict,
}

/// What is merged onto.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'s, 'a> {
    /// The Pod as it was received, its shape checked.
    pub received: &'s Tree<'a>,
    /// Names of a StatefulSet's claim templates: they count as volumes.
    pub claims: &'s [String],
}

/// Selects presets and grafts them.
///
/// # Errors
/// Where a namespace selector has to be asked and the namespace's labels are not known.
pub fn graft<'a>(subject: Subject<'_, 'a>, choice: &Choice<'_, 'a>) -> Result<Grafting<'a>, NotReady> {
    graft_onto(subject.received.copy(), subject, choice)
}

/// As [`graft`]; `copy` is what was received, given away, with nobody but the author holding anything.
///
/// # Errors
/// As [`graft`].
pub fn graft_onto<'a>(copy: Tree<'a>, subject: Subject<'_, 'a>, choice: &Choice<'_, 'a>) -> Result<Grafting<'a>, NotReady> {
    let mut copy = Some(copy);
    let mut corrections = Corrections::default();
    let mut of_paradoxes: Vec<Conflict> = Vec::new();
    loop {
        let members = choice.members(subject.received, &corrections)?;
        let mut merged = merge(copy.take(), subject, &members, choice.extra_labels);
        let gives_labels = |place: u32| select::labels_of(&choice.set.presets()[place as usize]).next().is_some();
        let yielded: Vec<u32> = merged.yielded.iter().map(|who| members[*who].place).filter(|place| gives_labels(*place)).collect();
        let banned = corrections.banned.len();
        corrections.banned.extend(yielded.iter().copied().filter(|place| !corrections.banned.contains(place)).collect::<Vec<u32>>());
        if corrections.banned.len() > banned {
            // Labels of presets that are left out do not count: selection starts again without them.
            continue;
        }
        if let Some(place) = yielded.into_iter().find(|place| corrections.returned.contains(place)) {
            // What its labels brought in is what stands against it: it stays out, and so do they.
            let record = choice.set.presets()[place as usize].record();
            of_paradoxes.extend(merged.conflicts.into_iter().filter(|conflict| conflict.preset == record && !conflict.shadow));
            corrections.kept_out.push(place);
            corrections.forced.clear();
            continue;
        }
        if merged.verdict == Verdict::Aborted && members.iter().any(|member| member.preset.is_first_layer()) {
            // Without the second layer, the first is selected again without its labels.
            let alone = graft(subject, &Choice { only_first_layer: true, left_out: choice.left_out.clone(), ..*choice })?;
            return Ok(join(alone, merged, members));
        }
        if merged.verdict == Verdict::Settled && merged.labels_added {
            let new = choice.newly_selected(merged.draft.tree(), &members)?;
            if !new.is_empty() {
                corrections.forced.extend(new);
                corrections.returned = merged.applied.iter().map(|who| members[*who].place).filter(|place| gives_labels(*place)).collect();
                continue;
            }
        }
        of_paradoxes.append(&mut merged.conflicts);
        merged.conflicts = of_paradoxes;
        return Ok(merged.into_grafting(members));
    }
}

/// The first layer's result with what the whole was told.
fn join<'a>(mut alone: Grafting<'a>, merged: Merged<'a>, members: Vec<Member<'a>>) -> Grafting<'a> {
    let who_now = |who: usize| {
        let place = alone.members.get(who)?.place;
        members.iter().position(|member| member.place == place)
    };
    let applied = alone.applied.iter().filter_map(|who| who_now(*who)).collect();
    alone.draft.renumber(|holder| (holder as usize).checked_sub(1).and_then(who_now).map_or(0, Run::holder));
    let verdict = if alone.verdict == Verdict::Rejected { Verdict::Rejected } else { merged.verdict };
    Grafting {
        draft: alone.draft,
        applied,
        verdict,
        conflicts: merged.conflicts,
        notices: merged.notices,
        shadows: merged.shadows,
        members,
    }
}

struct Merged<'a> {
    draft: Draft<'a>,
    applied: Vec<usize>,
    /// Presets that were left out by their own conflicts, not because all were stopped.
    yielded: Vec<usize>,
    conflicts: Vec<Conflict>,
    notices: Vec<(usize, String)>,
    shadows: Vec<Shadowed>,
    verdict: Verdict,
    labels_added: bool,
}

impl<'a> Merged<'a> {
    fn into_grafting(self, members: Vec<Member<'a>>) -> Grafting<'a> {
        let Merged { draft, applied, conflicts, notices, shadows, verdict, .. } = self;
        Grafting { draft, members, applied, conflicts, notices, shadows, verdict }
    }
}

fn merge<'a>(copy: Option<Tree<'a>>, subject: Subject<'_, 'a>, members: &[Member<'a>], extra_labels: &[(String, String)]) -> Merged<'a> {
    let run = |draft: Draft<'a>| {
        let spec = pod::spec(draft.tree()).unwrap_or(NodeId::ROOT);
        Run::new(draft, spec, members, subject)
    };
    let fresh = || run(Draft::new(subject.received.copy()));
    let of_layer = |first: bool| {
        let fits = move |(_, member): &(usize, &Member<'_>)| {
            member.preset.is_first_layer() == first && !member.preset.is_shadow() && !member.kept_out
        };
        members.iter().enumerate().filter(fits).map(|(who, _)| who).collect::<Vec<usize>>()
    };
    let (first, second) = (of_layer(true), of_layer(false));
    let still_matches = |who: usize, run: &Run<'_, 'a>| matches_without_itself(who, run, extra_labels);
    let policy = |who: usize| members[who].preset.spec().conflict_policy;

    let lower_settling = Settling { redo: &fresh, first: true, still_matches: &still_matches };
    let lower = lower_settling.settle(copy.map_or_else(fresh, |copy| run(Draft::new(copy))), &first);
    let mut base = lower.run;
    base.first_layer = first.iter().copied().filter(|who| !lower.left_out.contains(who)).collect();
    base.states.iter_mut().for_each(|state| state.taking_part = false);
    let mut left_out = lower.left_out;
    let mut yielded = lower.yielded;
    let mut clashes = lower.clashes;
    let mut stop = lower.stop;
    let mut run = base;
    if stop.is_none() && !second.is_empty() {
        let believed = |who: &usize| members[*who].believed;
        let mixed = second.iter().any(believed) && !second.iter().all(believed);
        if mixed {
            run.hold_what_is_there(&second.iter().copied().filter(believed).collect::<Vec<usize>>());
        }
        let kept = if first.is_empty() && !mixed { None } else { Some(run.clone()) };
        let redo = || kept.clone().unwrap_or_else(fresh);
        let settling = Settling { redo: &redo, first: false, still_matches: &still_matches };
        let upper: Layer<'_, 'a> = settling.settle(run, &second);
        stop = upper.stop;
        run = upper.run;
        let settled = stop.is_none();
        let (mut upper_out, mut upper_clashes) = (upper.left_out, upper.clashes);
        if settled && !first.is_empty() && !(clashes.is_empty() && lower.uncounted.is_empty()) {
            // What the second layer changed may have made right what was in conflict with the Pod, or brought the labels that were missing.
            lower_settling.again(&mut run, &first, &mut left_out, &mut clashes);
            settling.again(&mut run, &second, &mut upper_out, &mut upper_clashes);
            let counted = lower.uncounted.into_iter().filter(|clash| still_matches(clash.who, &run)).collect::<Vec<Clash>>();
            clashes.extend(counted);
            run.first_layer = first.iter().copied().filter(|who| !left_out.contains(who)).collect();
            stop =
                settle::stop_of(clashes.iter().filter(|clash| policy(clash.who) == ConflictPolicy::Reject).chain(&upper_clashes), members);
        }
        yielded.extend(upper.yielded.into_iter().filter(|who| !settled || upper_out.contains(who)));
        left_out.extend(upper_out);
        clashes.extend(upper_clashes);
    }
    yielded.retain(|who| left_out.contains(who));
    let verdict = match stop {
        None => Verdict::Settled,
        Some(Stop::Abort) => Verdict::Aborted,
        Some(Stop::Reject) => Verdict::Rejected,
    };
    let mut conflicts: Vec<Conflict> = clashes.iter().map(|clash| conflict(members, clash, false)).collect();
    let shadows = shadows(&run, members, &mut conflicts);
    let applied: Vec<usize> = if verdict == Verdict::Rejected {
        Vec::new()
    } else {
        (0..members.len()).filter(|who| run.states[*who].applied && !left_out.contains(who)).collect()
    };
    let notices =
        run.notices.iter().filter(|notice| !left_out.contains(&notice.who)).map(|notice| (notice.who, notice.text.clone())).collect();
    let labels_added = applied.iter().any(|who| select::labels_of(members[*who].preset).next().is_some());
    let mut draft = run.draft;
    record(&mut draft, members, &applied);
    Merged { draft, applied, yielded, conflicts, notices, shadows, verdict, labels_added }
}

/// Shadow presets, each alone against the result of the others, of which they change nothing.
fn shadows<'a>(run: &Run<'_, 'a>, members: &[Member<'a>], conflicts: &mut Vec<Conflict>) -> Vec<Shadowed> {
    let shadows = members.iter().enumerate().filter(|(_, member)| member.preset.is_shadow());
    let computed = shadows.map(|(who, _)| {
        let mut trial = run.clone();
        trial.clashes.clear();
        trial.merge(&[who]);
        conflicts.extend(trial.clashes.iter().map(|clash| conflict(members, clash, true)));
        Shadowed { member: who, operations: trial.draft.operations().len() - run.draft.operations().len() }
    });
    computed.collect()
}

/// Whether a preset matches the labels that the Pod of a run has without those that this preset alone adds.
fn matches_without_itself(who: usize, run: &Run<'_, '_>, extra: &[(String, String)]) -> bool {
    let tree = run.tree();
    let own = Run::holder(who);
    let takes_part = |other: &usize| run.states[*other].taking_part || run.first_layer.contains(other);
    let others = || (0..run.members.len()).filter(|other| *other != who).filter(takes_part);
    let given_otherwise = |key: &str, value: &str| {
        pod::labels(run.subject.received).any(|(known, there)| known == key && there == value)
            || others().any(|other| select::labels_of(run.members[other].preset).any(|label| label == (key, value)))
    };
    let labels = tree.at(NodeId::ROOT, &["metadata", "labels"]).into_iter().flat_map(|labels| tree.children(labels));
    let of_others = labels.map(|label| (tree.holder(label), tree.key(label), tree.str(label).unwrap_or_default()));
    let kept = of_others.filter(|(holder, key, value)| *holder != own || given_otherwise(key, value));
    let mut pairs: Vec<(&str, &str)> = kept.map(|(_, key, value)| (key, value)).collect();
    pairs.extend(extra.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    run.members[who].preset.spec().selector.matches(pairs.as_slice())
}

fn conflict(members: &[Member<'_>], clash: &Clash, shadow: bool) -> Conflict {
    let preset = members[clash.who].preset;
    let holder = match (clash.holder as usize).checked_sub(1).and_then(|who| members.get(who)) {
        Some(member) => Holder::Preset(member.preset.record().to_owned()),
        None => Holder::Pod,
    };
    Conflict {
        preset: preset.record().to_owned(),
        path: clash.path.clone(),
        holder,
        kind: clash.kind,
        policy: preset.spec().conflict_policy,
        replaced: clash.replaced,
        shadow,
    }
}

/// Records applied presets on the Pod. A record with the same version is left as it is, an outdated one is replaced.
fn record<'a>(draft: &mut Draft<'a>, members: &[Member<'a>], applied: &[usize]) {
    for who in applied {
        let preset = members[*who].preset;
        let holder = Run::holder(*who);
        let version = || Content::Version(preset.version());
        let Some(annotations) = parent_of_records(draft, holder) else { return };
        match draft.tree().get(annotations, preset.annotation()) {
            Some(record) if draft.tree().str(record) == Some(preset.version()) => {}
            Some(record) => drop(draft.replace(record, version(), holder)),
            None => drop(draft.add_member(annotations, preset.annotation(), version(), holder)),
        }
    }
}

fn parent_of_records(draft: &mut Draft<'_>, holder: crate::tree::HolderId) -> Option<NodeId> {
    let metadata = match draft.tree().present(NodeId::ROOT, "metadata") {
        Some(metadata) => metadata,
        None => draft.add_member(NodeId::ROOT, "metadata", Content::Object, holder)?,
    };
    match draft.tree().present(metadata, "annotations") {
        Some(annotations) => Some(annotations),
        None => draft.add_member(metadata, "annotations", Content::Object, holder),
    }
}
