//! Pods that hold an object of a type, from `places.yaml`, and what an API server makes of them.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Table;
use crate::harness::api::{Answer, Api};
use crate::harness::story::Story;
use crate::support::case;

/// Who is asked, in which namespace, past every webhook.
pub struct Asked {
    pub api: Api,
    pub namespace: String,
}

impl Asked {
    pub fn of(story: &Story) -> Asked {
        Asked { api: story.api.clone(), namespace: story.name.clone() }
    }

    /// No token volume: where a Pod has no volumes, it has none.
    pub fn without_tokens(self) -> Asked {
        let account = format!("/api/v1/namespaces/{}/serviceaccounts/default", self.namespace);
        self.api.patch(&account, "merge", &json!({"automountServiceAccountToken": false})).object("the service account");
        self
    }

    /// What becomes of a Pod, in a dry run.
    pub fn pod(&self, pod: &Value) -> Answer {
        self.api.post(&format!("/api/v1/namespaces/{}/pods?dryRun=All", self.namespace), pod)
    }
}

/// `places.yaml`.
pub fn all() -> Value {
    case::yaml_file(Path::new("tests/cluster/places.yaml"))
}

/// A place in a Pod where an object of a type stands.
pub struct Place {
    pub pod: Value,
    pub pointer: String,
    /// The least that is valid there.
    pub here: Map<String, Value>,
    /// The field whose feature must be on.
    pub behind: Option<String>,
}

impl Place {
    pub fn read(given: &Value) -> Place {
        let container = |more: &Value| {
            let mut container = json!({"name": "app", "image": "app:1"});
            container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"containers": [container]})
        };
        let volume = |source: &Value| {
            let mut volume = source.clone();
            volume["name"] = json!("v");
            json!({"containers": [{"name": "app", "image": "app:1"}], "volumes": [volume]})
        };
        let spec = match given {
            _ if given.get("container").is_some() => container(&given["container"]),
            _ if given.get("volume").is_some() => volume(&given["volume"]),
            _ => given.get("spec").cloned().unwrap_or_else(|| container(&json!({}))),
        };
        let metadata = given.get("metadata").cloned().unwrap_or_else(|| json!({"name": "pod"}));
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
        let pointer = marked(&pod, "").unwrap_or_else(|| panic!("no HERE in {given}"));
        let behind = given["behind"].as_str().map(str::to_owned);
        Place { pod, pointer, here: given["here"].as_object().unwrap().clone(), behind }
    }

    /// The places of a type that this version takes, and what is wrong with others.
    pub fn open(asked: &Asked, table: &Table, given: &Value, gates_are_on: bool) -> (Vec<Place>, Vec<String>) {
        let (mut open, mut problems) = (Vec::new(), Vec::new());
        for place in given.as_array().into_iter().flatten().map(Place::read) {
            let behind = place.behind.as_deref().map(|behind| table.field(behind));
            if behind.is_some_and(|row| table.later(row) || (table.off(row) && !gates_are_on)) {
                continue;
            }
            match place.send(asked, place.here.clone()) {
                Ok(_) => open.push(place),
                Err(refusal) => problems.push(format!("places.yaml has a Pod that is refused ({}): {refusal}", place.pointer)),
            }
        }
        (open, problems)
    }

    /// Sends the Pod with this object in the place. The object that comes back there, or the refusal.
    pub fn send(&self, asked: &Asked, here: Map<String, Value>) -> Result<Value, String> {
        let mut pod = self.pod.clone();
        *pod.pointer_mut(&self.pointer).unwrap() = Value::Object(here);
        let answer = asked.pod(&pod);
        if !answer.taken() {
            return Err(answer.message());
        }
        Ok(answer.body.pointer(&self.pointer).cloned().unwrap_or(Value::Null))
    }

    /// Sends it with a field as given, or without. What comes back at the field, or the refusal.
    pub fn send_field(&self, asked: &Asked, field: &str, value: Option<Value>) -> Result<Option<Value>, String> {
        let mut here = self.here.clone();
        match value {
            Some(value) => here.insert(field.to_owned(), value),
            None => here.remove(field),
        };
        Ok(self.send(asked, here)?.get(field).cloned())
    }
}

/// The pointer to the one HERE.
fn marked(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::String(text) if text == "HERE" => Some(path.to_owned()),
        Value::Object(members) => members.iter().find_map(|(key, member)| marked(member, &format!("{path}/{key}"))),
        Value::Array(entries) => entries.iter().enumerate().find_map(|(index, entry)| marked(entry, &format!("{path}/{index}"))),
        _ => None,
    }
}
