//! From the body of a review to the body of its answer.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::conflict::Conflict;
use crate::decide::{self, Case, Decision, Skip, Undecided};
use crate::patch::{self, Fault};
use crate::pod::{self, Owner};
use crate::preset::{Preset, PresetSet};
use crate::report::{self, Told};
use crate::review::{AdmissionRequest, AdmissionResponse, BadReview};
use crate::tree::Tree;

/// What surrounds a review.
#[derive(Clone, Copy)]
pub struct World<'w> {
    /// Namespaces that no preset reaches.
    pub exempt_namespaces: &'w [String],
    /// The labels of a namespace; `None`: not known yet.
    pub namespace_labels: &'w AskLabels<'w>,
}

/// Asks for the labels of a namespace.
pub type AskLabels<'w> = dyn Fn(&str) -> Option<Vec<(String, String)>> + 'w;

/// Memory that one worker uses again for every review.
#[derive(Debug, Default)]
pub struct Scratch {
    tree: Tree<'static>,
    patch: String,
}

/// Why there is no review to answer with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// HTTP 400: the body is not a review that can be answered.
    #[error("{error} (at {at})")]
    Bad {
        /// A sentence.
        error: String,
        /// A JSON path or byte offset.
        at: String,
    },
    /// HTTP 503: something that is needed is not known yet.
    #[error("{0}")]
    NotReady(String),
    /// HTTP 500: a fault of Podgraft's.
    #[error("{0}")]
    Fault(String),
}

impl From<BadReview> for Refusal {
    fn from(BadReview { error, at }: BadReview) -> Self {
        Refusal::Bad { error, at }
    }
}

impl From<Undecided> for Refusal {
    fn from(undecided: Undecided) -> Self {
        match undecided {
            Undecided::Malformed(wrong) => {
                Refusal::Bad { error: format!("must be {}", wrong.wanted), at: format!("request.object.{}", wrong.path) }
            }
            Undecided::NotReady(_) => Refusal::NotReady(undecided.to_string()),
            Undecided::Fault(_) => Refusal::Fault(undecided.to_string()),
        }
    }
}

/// What an answer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Allowed, with a patch.
    Mutated,
    /// Allowed, without one.
    Unchanged,
    /// Refused.
    Rejected,
}

/// What was answered, for logs, metrics and Events.
#[derive(Clone, Debug)]
pub struct Admission {
    /// `request.uid`.
    pub uid: String,
    /// `request.namespace`.
    pub namespace: String,
    /// The Pod's name; empty where it is generated.
    pub name: String,
    /// Nothing but the answer may happen.
    pub dry_run: bool,
    /// What the answer does.
    pub outcome: Outcome,
    /// Why nothing, or only the first layer, was applied.
    pub skipped: Option<Skip>,
    /// Applied presets, in merge order.
    pub applied: Vec<Arc<Preset>>,
    /// All conflicts, Shadow's last.
    pub conflicts: Vec<Conflict>,
    /// How many operations the patch has.
    pub operations: usize,
    /// Bytes of the patch before base64.
    pub patch_bytes: usize,
    /// Self-checks that failed: errors of Podgraft's, to be logged.
    pub faults: Vec<Fault>,
    /// The warnings of the answer.
    pub warnings: Vec<String>,
    /// What the presets met and what Shadows would do, for Events; nothing in a dry run.
    pub told: Vec<Told>,
    /// The Pod's controlling owner, where there is something to be told.
    pub owner: Option<Owner>,
}

/// Reads a review, decides, and appends the answer to `out`.
///
/// # Errors
/// Where there is no review to answer with; `out` is untouched then.
pub fn answer(body: &str, presets: &PresetSet, world: &World<'_>, scratch: &mut Scratch, out: &mut String) -> Result<Admission, Refusal> {
    let Scratch { tree, patch } = scratch;
    let memory = std::mem::take(tree);
    let mut request = AdmissionRequest::decode(body, memory.recycle())?;
    let object = request.object.take();
    let result = respond(body, &request, object.as_ref(), presets, world, patch, out);
    if let Some(object) = object {
        *tree = object.recycle();
    }
    result
}

fn respond(
    body: &str,
    request: &AdmissionRequest<'_>,
    object: Option<&Tree<'_>>,
    presets: &PresetSet,
    world: &World<'_>,
    patch: &mut String,
    out: &mut String,
) -> Result<Admission, Refusal> {
    let mut admission = Admission {
        uid: request.uid.to_string(),
        namespace: request.namespace.to_string(),
        name: request.name.to_string(),
        dry_run: request.dry_run,
        outcome: Outcome::Unchanged,
        skipped: None,
        applied: Vec::new(),
        conflicts: Vec::new(),
        operations: 0,
        patch_bytes: 0,
        faults: Vec::new(),
        warnings: Vec::new(),
        told: Vec::new(),
        owner: None,
    };
    let skip = match object {
        _ if !request.is_pod_create() => Some(Skip::NotPodCreate),
        None => Some(Skip::NoObject),
        Some(_) => None,
    };
    let (Some(pod), None) = (object, skip) else {
        admission.skipped = skip;
        encode(&admission, None, None, out);
        return Ok(admission);
    };
    if request.namespace.is_empty() {
        return Err(Refusal::Bad { error: "must be there for a Pod".to_owned(), at: "request.namespace".to_owned() });
    }
    let labels = OnceCell::new();
    let namespace_labels =
        || labels.get_or_init(|| (world.namespace_labels)(&request.namespace).map(|known| named(known, &request.namespace))).as_deref();
    let case = Case {
        pod,
        namespace: &request.namespace,
        namespace_labels: &namespace_labels,
        exempt: world.exempt_namespaces,
        extra_labels: &[],
        claims: &[],
        text_bytes: body.len(),
    };
    let decision = decide::decide(&case, presets)?;
    patch.clear();
    if let Some(draft) = decision.patch() {
        patch::write(draft, patch);
        admission.operations = draft.operations().len();
        admission.patch_bytes = patch.len();
        admission.outcome = Outcome::Mutated;
    }
    if decision.refused.is_some() {
        admission.outcome = Outcome::Rejected;
    }
    describe(&mut admission, &decision, presets);
    if let Some(grafting) = decision.grafting.as_ref().filter(|_| !admission.dry_run) {
        admission.told = report::told(grafting);
        admission.owner = if admission.told.is_empty() { None } else { pod::controller(pod) };
    }
    encode(&admission, decision.refused.as_deref(), (admission.outcome == Outcome::Mutated).then_some(patch), out);
    Ok(admission)
}

/// Every namespace has at least the label with its name.
fn named(mut labels: Vec<(String, String)>, namespace: &str) -> Vec<(String, String)> {
    const NAME: &str = "kubernetes.io/metadata.name";
    if !labels.iter().any(|(key, _)| key == NAME) {
        labels.push((NAME.to_owned(), namespace.to_owned()));
    }
    labels
}

fn describe(admission: &mut Admission, decision: &Decision<'_>, presets: &PresetSet) {
    admission.skipped = decision.skip;
    admission.faults.clone_from(&decision.faults);
    admission.warnings = report::few(decision.warnings.clone());
    if let Some(grafting) = &decision.grafting {
        admission.conflicts.clone_from(&grafting.conflicts);
        if decision.refused.is_none() {
            let applied = grafting.applied.iter().map(|who| grafting.members[*who].place as usize);
            admission.applied = applied.map(|place| Arc::clone(&presets.presets()[place])).collect();
        }
    }
}

fn encode(admission: &Admission, refused: Option<&str>, patch: Option<&String>, out: &mut String) {
    let applied = report::presets_annotation(admission.applied.iter().map(|preset| &**preset));
    let conflicts = report::conflicts_annotation(&admission.conflicts);
    let operations = if admission.operations > 0 { admission.operations.to_string() } else { String::new() };
    let audit_annotations = [
        ("presets", applied.as_str()),
        ("skipped", admission.skipped.map_or("", Skip::word)),
        ("conflicts", conflicts.as_str()),
        ("operations", operations.as_str()),
    ];
    let response = AdmissionResponse {
        uid: &admission.uid,
        refused,
        patch: patch.map(String::as_str),
        warnings: &admission.warnings,
        audit_annotations: &audit_annotations,
    };
    response.encode(out);
}
