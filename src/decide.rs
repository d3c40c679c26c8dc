//! One Pod, decided: skipped with a name, or grafted and checked. The webhook and the command line share it.

use std::fmt;

use crate::draft::Draft;
use crate::merge::{self, Choice, Grafting, NotReady, Subject, Verdict};
use crate::patch::{self, Fault};
use crate::pod::{self, Malformed};
use crate::preset::PresetSet;
use crate::report;
use crate::resources::{self, Qos};
use crate::tree::{NodeId, Tree};

/// Why a Pod is left as it is, or why the second layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skip {
    /// Not the creation of a Pod.
    NotPodCreate,
    /// The request has no object.
    NoObject,
    /// The namespace is exempt.
    ExemptNamespace,
    /// A static Pod's mirror.
    MirrorPod,
    /// The exclude annotation.
    Excluded,
    /// No preset selects the Pod.
    NoMatch,
    /// The self-check failed: a fault of Podgraft's.
    SelfCheck,
    /// The patched Pod, or its annotations, would be too large.
    TooLarge,
}

impl Skip {
    /// All reasons.
    pub const ALL: [Skip; 8] = [
        Skip::NotPodCreate,
        Skip::NoObject,
        Skip::ExemptNamespace,
        Skip::MirrorPod,
        Skip::Excluded,
        Skip::NoMatch,
        Skip::SelfCheck,
        Skip::TooLarge,
    ];

    /// Whether no preset has a say in it.
    #[must_use]
    pub fn whatever_the_presets(self) -> bool {
        matches!(self, Skip::NotPodCreate | Skip::NoObject | Skip::ExemptNamespace | Skip::MirrorPod)
    }

    /// The word in log, metric and audit annotation.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Skip::NotPodCreate => "NotPodCreate",
            Skip::NoObject => "NoObject",
            Skip::ExemptNamespace => "ExemptNamespace",
            Skip::MirrorPod => "MirrorPod",
            Skip::Excluded => "Excluded",
            Skip::NoMatch => "NoMatch",
            Skip::SelfCheck => "SelfCheck",
            Skip::TooLarge => "TooLarge",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// The Pod has a field of another type than Kubernetes gives it.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// The labels of the namespace are not known yet.
    #[error("the labels of namespace {0} are not known yet")]
    NotReady(String),
    /// The first layer failed its self-check.
    #[error("the presets with optOut: Denied failed their self-check: {0}")]
    Fault(Fault),
}

/// A Pod and what surrounds it.
pub struct Case<'c, 'a> {
    /// The Pod.
    pub pod: &'c Tree<'a>,
    /// The namespace of the request.
    pub namespace: &'c str,
    /// The namespace's labels, asked for only where needed; `None`: not known yet.
    pub namespace_labels: &'c dyn Fn() -> Option<&'c [(String, String)]>,
    /// Namespaces that no preset reaches.
    pub exempt: &'c [String],
    /// Labels that a controller will set.
    pub extra_labels: &'c [(String, String)],
    /// Names of a StatefulSet's claim templates.
    pub claims: &'c [String],
    /// Bytes of the text that the Pod was read from, also of what is not in the tree.
    pub text_bytes: usize,
}

/// What was decided.
#[derive(Debug)]
pub struct Decision<'a> {
    /// Why nothing, or only the first layer, is applied.
    pub skip: Option<Skip>,
    /// The result; `None` where the Pod is left as it is before presets are asked.
    pub grafting: Option<Grafting<'a>>,
    /// The message of a refusal.
    pub refused: Option<String>,
    /// Lines for the user, not cut to few.
    pub warnings: Vec<String>,
    /// Self-checks that failed, each with what was found.
    pub faults: Vec<Fault>,
    /// Places of presets that were selected, and are left out with all but the first layer.
    pub dropped: Vec<u32>,
}

/// Bytes of a patched Pod at most: etcd's limit for one request.
pub const MAX_POD: usize = 1_572_864;
/// Bytes of all annotations of an object at most (apimachinery, `TotalAnnotationSizeLimitB`).
pub const MAX_ANNOTATIONS: usize = 262_144;

impl<'a> Decision<'a> {
    fn new(skip: Option<Skip>) -> Decision<'a> {
        Decision { skip, grafting: None, refused: None, warnings: Vec::new(), faults: Vec::new(), dropped: Vec::new() }
    }

    fn skipped(skip: Skip) -> Decision<'a> {
        Decision::new(Some(skip))
    }

    /// The draft whose operations are the patch, where there is something to change and the Pod is not refused.
    #[must_use]
    pub fn patch(&self) -> Option<&Draft<'a>> {
        let draft = self.grafting.as_ref().map(|grafting| &grafting.draft)?;
        (self.refused.is_none() && !draft.operations().is_empty()).then_some(draft)
    }
}

/// Decides about one Pod.
///
/// # Errors
/// Where the Pod is malformed, the namespace's labels are needed and not known, or the first layer fails its self-check.
pub fn decide<'a>(case: &Case<'_, 'a>, presets: &'a PresetSet) -> Result<Decision<'a>, Undecided> {
    if case.exempt.iter().any(|exempt| exempt == case.namespace) {
        return Ok(Decision::skipped(Skip::ExemptNamespace));
    }
    pod::check_shape(case.pod)?;
    if pod::annotation(case.pod, pod::MIRROR).is_some() {
        return Ok(Decision::skipped(Skip::MirrorPod));
    }
    let excluded = pod::annotation(case.pod, pod::EXCLUDE) == Some("true");
    let names = pod::annotation(case.pod, pod::EXCLUDE_NAMES).unwrap_or_default();
    let choice = Choice {
        set: presets,
        namespace: case.namespace,
        namespace_labels: case.namespace_labels,
        extra_labels: case.extra_labels,
        only_first_layer: excluded,
        left_out: names.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect(),
    };
    let skip = excluded.then_some(Skip::Excluded);
    let grafting = graft(case, &choice)?;
    if grafting.members.is_empty() {
        return Ok(Decision::skipped(skip.unwrap_or(Skip::NoMatch)));
    }
    let mut decision = Decision::new(skip);
    match judge(case, &choice, &grafting) {
        Ok(()) => settle(case, &mut decision, grafting),
        Err(trouble) => fall_back(case, &choice, &mut decision, grafting, trouble)?,
    }
    Ok(decision)
}

fn graft<'a>(case: &Case<'_, 'a>, choice: &Choice<'_, 'a>) -> Result<Grafting<'a>, Undecided> {
    let subject = Subject { received: case.pod, claims: case.claims };
    merge::graft(subject, choice).map_err(|NotReady| Undecided::NotReady(case.namespace.to_owned()))
}

/// Why a grafting is not sent.
enum Trouble {
    Fault(Fault),
    TooLarge(&'static str),
}

/// The self-check and the limits of size. What is refused, and what changes nothing, needs none.
fn judge<'a>(case: &Case<'_, 'a>, choice: &Choice<'_, 'a>, grafting: &Grafting<'a>) -> Result<(), Trouble> {
    if grafting.verdict == Verdict::Rejected || grafting.draft.operations().is_empty() {
        return Ok(());
    }
    #[cfg(test)]
    if tests::a_fault_is_ordered() {
        return Err(Trouble::Fault(Fault::Differs));
    }
    let mut received = case.pod.copy();
    patch::check(&grafting.draft, &mut received).map_err(Trouble::Fault)?;
    let again = merge::graft_onto(received, Subject { received: grafting.draft.tree(), claims: case.claims }, choice);
    match again {
        Ok(again) if again.verdict != Verdict::Rejected => {
            if let Some(operation) = again.draft.operations().first() {
                let would = format!("{} {}", operation.kind.word(), again.draft.path(operation));
                return Err(Trouble::Fault(Fault::NotSettled(would)));
            }
        }
        _ => return Err(Trouble::Fault(Fault::NotSettled("refuse the Pod".to_owned()))),
    }
    too_large(case, &grafting.draft).map_or(Ok(()), |what| Err(Trouble::TooLarge(what)))
}

fn too_large(case: &Case<'_, '_>, draft: &Draft<'_>) -> Option<&'static str> {
    let tree = draft.tree();
    let annotations: usize = pod::annotations(tree).map(|(key, value)| key.len() + value.len()).sum();
    if annotations > MAX_ANNOTATIONS {
        return Some("its annotations would have more than 256 KiB");
    }
    // A byte is written as six at most, and a node takes eight more than its text: what is small needs no exact count.
    let new = case.pod.len();
    let added = 6 * tree.text_bytes_from(new) + 8 * tree.len().saturating_sub(new);
    if case.text_bytes + added <= MAX_POD {
        return None;
    }
    let unread = case.text_bytes.saturating_sub(case.pod.length(NodeId::ROOT));
    (tree.length(NodeId::ROOT) + unread > MAX_POD).then_some("it would have more than 1.5 MiB")
}

fn settle<'a>(case: &Case<'_, 'a>, decision: &mut Decision<'a>, grafting: Grafting<'a>) {
    if grafting.verdict == Verdict::Rejected {
        decision.refused = Some(report::refusal(&grafting));
    }
    let mut more = std::mem::take(&mut decision.warnings);
    if !grafting.draft.operations().is_empty() {
        more.extend(effects(case, &grafting));
    }
    decision.warnings = report::warnings(&grafting, &more);
    decision.grafting = Some(grafting);
}

/// Whatever stops the second layer gives the answer that there would be without it, checked alike.
fn fall_back<'a>(
    case: &Case<'_, 'a>,
    choice: &Choice<'_, 'a>,
    decision: &mut Decision<'a>,
    whole: Grafting<'a>,
    trouble: Trouble,
) -> Result<(), Undecided> {
    let has_first = whole.members.iter().any(|member| member.preset.is_first_layer() && !member.preset.is_shadow());
    let has_second = whole.members.iter().any(|member| !member.preset.is_first_layer());
    note(decision, trouble, has_first && !has_second)?;
    if decision.refused.is_some() {
        decision.grafting = Some(stripped(whole));
        return Ok(());
    }
    if !has_first {
        let warnings = std::mem::take(&mut decision.warnings);
        decision.warnings = report::warnings(&whole, &warnings);
        let received = Draft::new(case.pod.clone());
        decision.grafting = Some(Grafting { draft: received, applied: Vec::new(), ..whole });
        return Ok(());
    }
    let alone = graft(case, &Choice { only_first_layer: true, left_out: choice.left_out.clone(), ..*choice })?;
    if let Err(trouble) = judge(case, &Choice { only_first_layer: true, left_out: choice.left_out.clone(), ..*choice }, &alone) {
        note(decision, trouble, true)?;
        decision.grafting = Some(stripped(alone));
        return Ok(());
    }
    let second = whole.members.iter().filter(|member| !member.preset.is_first_layer());
    decision.dropped = second.map(|member| member.place).collect();
    settle(case, decision, alone);
    Ok(())
}

fn stripped(grafting: Grafting<'_>) -> Grafting<'_> {
    Grafting { applied: Vec::new(), ..grafting }
}

/// Writes down what went wrong. `first`: with the first layer alone, which nobody gets past through a fault or its size.
fn note(decision: &mut Decision<'_>, trouble: Trouble, first: bool) -> Result<(), Undecided> {
    match trouble {
        Trouble::Fault(fault) if first => return Err(Undecided::Fault(fault)),
        Trouble::Fault(fault) => {
            decision.skip = Some(Skip::SelfCheck);
            decision.faults.push(fault);
        }
        Trouble::TooLarge(what) => {
            decision.skip = Some(Skip::TooLarge);
            if first {
                decision.refused = Some(format!("the Pod with the presets that it must have is too large: {what}"));
            } else {
                decision.warnings.push(format!("no presets applied but those that may not be opted out of: {what}"));
            }
        }
    }
    Ok(())
}

/// What a user should know that the presets do to the Pod.
fn effects(case: &Case<'_, '_>, grafting: &Grafting<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let tree = grafting.draft.tree();
    let Some(spec) = pod::spec(tree) else { return lines };
    let policy = tree.get_str(spec, "restartPolicy").filter(|policy| !policy.is_empty()).unwrap_or("Always");
    let added = pod::containers(tree, spec).filter(|(list, node)| *list == "containers" && tree.holder(*node) != 0);
    let had = |name: &str| {
        let containers = pod::spec(case.pod).into_iter().flat_map(|spec| pod::containers(case.pod, spec));
        containers.into_iter().any(|(_, node)| case.pod.get_str(node, "name") == Some(name))
    };
    if policy != "Always" {
        for (_, container) in added {
            let name = tree.get_str(container, "name").unwrap_or_default();
            if !had(name) {
                lines.push(format!("container {name} keeps a Pod with restartPolicy {policy} from completing: use a native sidecar"));
            }
        }
    }
    if let Some(before) = pod::spec(case.pod)
        && resources::qos(case.pod, before) == Qos::Guaranteed
    {
        let after = resources::qos(tree, spec);
        if after != Qos::Guaranteed {
            lines.push(format!("the Pod's QoS class changes from Guaranteed to {}", after.as_str()));
        }
    }
    lines
}

#[cfg(test)]
mod tests;
