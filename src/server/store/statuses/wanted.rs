//! What `status` of a custom resource should be, and whether what is written there says the same.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::Seen;

/// The longest message.
const MOST_TEXT: usize = 4096;

/// What follows from the object itself; not the sentences, in which two versions of Podgraft may differ.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facts([Value; 2], [[Value; 3]; 2]);

impl Facts {
    /// Those of a status.
    pub(super) fn of(status: &Value) -> Facts {
        let told = |name| {
            let condition = condition(status, name);
            ["status", "reason", "observedGeneration"].map(|field| condition[field].clone())
        };
        Facts(["observedGeneration", "version"].map(|field| status[field].clone()), [told("Ready"), told("Conflicting")])
    }
}

/// The status of a preset that was read to be this, where `before` is written; `conflict`: what a Pod met, by this replica.
pub(super) fn wanted(seen: &Seen, conflict: Option<&str>, before: &Value) -> Value {
    let Seen { generation, version, shadow, wrong, .. } = seen;
    let ready = match version {
        Some(version) if *shadow => ("True", "Shadow", format!("version {version} is computed and reported, and changes no Pod")),
        Some(version) => ("True", "InForce", format!("version {version} is in force")),
        None => ("False", "Refused", wrong.join("; ")),
    };
    // What was seen of this generation stays, whoever saw it.
    let told = condition(before, "Conflicting");
    let was = told["status"] == "True" && told["observedGeneration"] == *generation;
    let conflicting = match conflict {
        _ if was => ("True", "PodConflict", told["message"].as_str().unwrap_or_default().to_owned()),
        Some(line) => ("True", "PodConflict", line.to_owned()),
        None => ("False", "NoConflict", "no Pod had something different since the preset was last changed".to_owned()),
    };
    let conditions = [made("Ready", ready, *generation, before), made("Conflicting", conflicting, *generation, before)];
    let mut wanted = json!({"observedGeneration": generation, "conditions": conditions});
    if let Some(version) = version {
        wanted["version"] = json!(version);
    }
    wanted
}

fn made(name: &str, (status, reason, mut message): (&str, &str, String), generation: i64, before: &Value) -> Value {
    if message.len() > MOST_TEXT {
        let end = (0..=MOST_TEXT).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
        message.truncate(end);
    }
    let before = condition(before, name);
    let since = &before["lastTransitionTime"];
    let since = if before["status"] == status && since.is_string() { since.clone() } else { json!(Time(Timestamp::now())) };
    json!({
        "type": name,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": since,
    })
}

/// A condition of a status, by its type.
pub(super) fn condition<'s>(status: &'s Value, name: &str) -> &'s Value {
    const NONE: &Value = &Value::Null;
    status["conditions"].as_array().and_then(|all| all.iter().find(|condition| condition["type"] == name)).unwrap_or(NONE)
}
