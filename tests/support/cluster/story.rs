//! What a test works with: namespaces of its own, the Podgrafts that it starts, and what the API server says.

use std::cell::Cell;

use serde_json::{Value, json};

use super::account::Account;
use super::api::Api;
use super::kubectl::Kubectl;
use super::plane::{Plane, User};
use super::podgraft::{self, Registered, Registration, Serving};
use super::wait;

/// Tells a story.
pub type Tell = fn(&Story<'_>);

/// Stories by name.
pub type Stories = &'static [(&'static str, Tell)];

/// One test on one control plane.
pub struct Story<'p> {
    pub plane: &'p Plane,
    /// The first of its namespaces, and the label of all of them.
    pub name: String,
    pub api: Api,
    faults_are_meant: Cell<bool>,
}

/// A Podgraft that the API server asks.
pub struct InFront {
    // In this order: the API server must not ask what has gone.
    pub registered: Registered,
    pub serving: Serving,
}

/// One call of a webhook, as the audit log has it.
#[derive(Debug)]
pub struct Call {
    /// As in `round_0_index_1`.
    pub turn: String,
    pub webhook: String,
    pub mutated: bool,
    pub patch: Vec<Value>,
}

impl Call {
    /// It had nothing to say: not even operations that change nothing, which the API server calls no mutation.
    pub fn idle(&self) -> bool {
        !self.mutated && self.patch.is_empty()
    }
}

impl<'p> Story<'p> {
    pub fn begin(plane: &'p Plane, name: &str) -> Story<'p> {
        let story = Story { plane, name: name.replace('_', "-"), api: plane.api(User::Admin), faults_are_meant: Cell::new(false) };
        story.namespace(&story.name);
        story
    }

    /// Another namespace, about which the story's webhooks are asked too.
    pub fn namespace(&self, name: &str) {
        self.plane.namespace(name, &json!({"story": self.name})).unwrap_or_else(|trouble| panic!("{trouble}"));
    }

    /// So many nodes at least on which Pods run that tolerate it, see [`super::nodes::toleration`].
    pub fn nodes(&self, number: usize) {
        self.plane.nodes(number).unwrap_or_else(|trouble| panic!("{trouble}"));
    }

    /// Podgraft with these presets, in force.
    pub fn podgraft(&self, presets: &str) -> InFront {
        self.podgraft_as(&Registration::of(&self.name, &self.name), presets)
    }

    /// Podgraft, registered otherwise.
    pub fn podgraft_as(&self, registration: &Registration, presets: &str) -> InFront {
        self.podgraft_in(registration, presets, &self.name)
    }

    /// The same, where the story's first namespace is not the one to look from.
    pub fn podgraft_in(&self, registration: &Registration, presets: &str, seen_from: &str) -> InFront {
        let serving = Serving::start(self.plane, &registration.name, presets).unwrap_or_else(|trouble| panic!("{trouble}"));
        let held = serving.metric("podgraft_presets", "refused").unwrap_or_else(|trouble| panic!("{trouble}"));
        assert!(held == 0.0, "a preset is refused, see {}", serving.held.log.display());
        let object = registration.object(&serving.url(), &self.plane.authority.pem);
        let registered = Registered::make(self.api.clone(), &object);
        serving.in_force(&self.api, seen_from).unwrap_or_else(|trouble| panic!("{trouble}"));
        InFront { registered, serving }
    }

    /// Podgraft that asks the cluster as an account of its own, in force. In the namespace `STORY-podgraft`.
    pub fn podgraft_within(&self, presets: &str, flags: &[&str]) -> InFront {
        let account = Account::make(self.plane, &self.name);
        self.podgraft_of(&account, presets, flags)
    }

    /// The same, as an account that is there.
    pub fn podgraft_of(&self, account: &Account, presets: &str, flags: &[&str]) -> InFront {
        let registration = Registration::of(&self.name, &self.name);
        let serving = Serving::start_within(self.plane, account, presets, flags).unwrap_or_else(|trouble| panic!("{trouble}"));
        let object = registration.object(&serving.url(), &self.plane.authority.pem);
        let registered = Registered::make(self.api.clone(), &object);
        serving.in_force(&self.api, &self.name).unwrap_or_else(|trouble| panic!("{trouble}"));
        InFront { registered, serving }
    }

    /// kubectl of the admin in the story's namespace.
    pub fn kubectl(&self) -> Kubectl {
        self.plane.kubectl(User::Admin, &self.name)
    }

    /// A Pod sent as JSON, and what comes back.
    pub fn create(&self, namespace: &str, pod: &Value) -> Value {
        self.api.post(&format!("/api/v1/namespaces/{namespace}/pods"), pod).object("the Pod")
    }

    /// What webhooks did with a request, in the order in which they were asked.
    pub fn calls(&self, namespace: &str, audit: &str) -> Vec<Call> {
        let event = wait::until("the audit event", || {
            self.plane.audit(namespace).into_iter().find(|event| event["auditID"] == audit).ok_or("it is not there")
        });
        let mut calls: Vec<Call> = Vec::new();
        for (key, text) in event["annotations"].as_object().into_iter().flatten() {
            let Some(turn) = key.strip_prefix("mutation.webhook.admission.k8s.io/") else { continue };
            let read = |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap_or("{}")).unwrap();
            let said = read(text);
            let patch = event["annotations"].get(format!("patch.webhook.admission.k8s.io/{turn}")).map(|text| read(text)["patch"].clone());
            calls.push(Call {
                turn: turn.to_owned(),
                webhook: said["webhook"].as_str().unwrap_or_default().to_owned(),
                mutated: said["mutated"] == true,
                patch: patch.and_then(|patch| patch.as_array().cloned()).unwrap_or_default(),
            });
        }
        calls.sort_by(|one, other| one.turn.cmp(&other.turn));
        calls
    }

    /// The same as a dry run.
    pub fn try_pod(&self, namespace: &str, pod: &Value) -> super::api::Answer {
        self.api.post(&format!("/api/v1/namespaces/{namespace}/pods?dryRun=All"), pod)
    }

    /// The Pods of a namespace with a label.
    pub fn pods(&self, namespace: &str, selector: &str) -> Vec<Value> {
        let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={}", selector.replace('=', "%3D"));
        let list = self.api.get(&path).unwrap_or_else(|trouble| panic!("{trouble}")).object("the Pods");
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until every Pod of a namespace runs.
    pub fn all_run(&self, namespace: &str) {
        let path = format!("/api/v1/namespaces/{namespace}/pods?fieldSelector=status.phase%21%3DRunning&limit=1");
        wait::until(&format!("every Pod of {namespace} to run"), || {
            let others = self.api.get(&path)?.body;
            match others["items"].as_array() {
                Some(items) if items.is_empty() => Ok(()),
                _ => Err(others["items"][0]["status"].to_string()),
            }
        });
    }

    /// In this story calls of the webhook fail, and it looks at that itself.
    pub fn faults_are_meant(&self) {
        self.faults_are_meant.set(true);
    }

    /// One of the API server's own metrics, of the webhooks of a registration.
    pub fn metric(&self, name: &str, registration: &Registration, labels: &str) -> f64 {
        let text = self.api.text("/metrics").unwrap_or_else(|trouble| panic!("{trouble}"));
        let ours = format!("name=\"{}\"", registration.webhook());
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(&ours)).collect();
        podgraft::sum(&lines.join("\n"), name, labels)
    }

    /// The API server's counts of calls that failed, of webhooks by their names.
    pub fn failed(&self, ours: impl Fn(&str) -> bool) -> Vec<String> {
        const COUNTS: [&str; 2] = ["apiserver_admission_webhook_fail_open_count", "apiserver_admission_webhook_rejection_count"];
        let text = self.api.text("/metrics").unwrap_or_else(|trouble| panic!("{trouble}"));
        let name = |line: &str| line.split("name=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned();
        let failed = |line: &&str| COUNTS.iter().any(|count| line.starts_with(count)) && !line.contains("error_type=\"no_error\"");
        text.lines().filter(failed).filter(|line| ours(&name(line))).map(str::to_owned).collect()
    }

    /// What must hold of every story: no call of a webhook of ours failed; and, whatever is meant, of no release and no story a patch was one
    /// that could not be used.
    pub fn end(self) {
        let unusable: Vec<String> = self
            .failed(|name| name.ends_with(".podgraft.dev"))
            .into_iter()
            .filter(|line| line.contains("apiserver_internal_error"))
            .collect();
        assert!(unusable.is_empty(), "the API server could not use a patch: {unusable:?}");
        if !self.faults_are_meant.get() {
            let bad = self.failed(|name| name.starts_with(&self.name));
            assert!(bad.is_empty(), "the API server could not use an answer: {bad:?}");
        }
    }
}
