//! Simulated nodes, for what Pods become: kube-scheduler binds them, and kwok says of each what a kubelet would. No container is run.

use std::ffi::OsString;
use std::fs;

use serde_json::{Value, json};

use super::api::Api;
use super::held::Held;
use super::plane::{Plane, User};
use super::{Trouble, tools, wait};

/// Simulated nodes have it: a Pod comes to one only where a story wants it to.
const TAINT: &str = "podgraft.dev/simulated";

/// Nodes by this annotation are kwok's.
const OURS: (&str, &str) = ("kwok.x-k8s.io/node", "fake");

/// What binds Pods and answers for nodes; it ends with the value.
pub struct Nodes {
    _kwok: Held,
    _scheduler: Held,
}

/// What a Pod tolerates that is to run.
pub fn toleration() -> Value {
    json!({"key": TAINT, "operator": "Exists"})
}

impl Nodes {
    /// Starts both.
    pub fn start(plane: &Plane) -> Result<Nodes, Trouble> {
        let kubeconfig = |name: &str| plane.folder.join("data").join(format!("{name}.kubeconfig"));
        let file = plane.folder.join("data").join("scheduler.yaml");
        let settings = json!({
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            // Its own 50 a second are for many schedulers' worth of cluster.
            "clientConnection": {"kubeconfig": kubeconfig("scheduler"), "qps": 1000, "burst": 1000},
            "leaderElection": {"leaderElect": false},
        });
        fs::write(&file, settings.to_string()).map_err(|error| format!("{}: {error}", file.display()))?;
        let start = |part: &str, mut command: Vec<OsString>, flags: &[(&str, OsString)]| {
            for (flag, value) in flags {
                command.extend([format!("--{flag}").into(), value.clone()]);
            }
            Held::start(part, &command, &[], &plane.folder.join("logs").join(format!("{part}.log")))
        };
        let mut scheduler =
            start("kube-scheduler", plane.parts().servant("kube-scheduler")?, &[("config", file.into()), ("secure-port", "0".into())])?;
        let mut kwok = start(
            "kwok",
            tools::kwok()?,
            &[
                ("kubeconfig", kubeconfig("kwok").into()),
                ("manage-nodes-with-annotation-selector", format!("{}={}", OURS.0, OURS.1).into()),
            ],
        )?;
        let api = plane.api(User::Admin);
        make(&api, 1)?;
        kwok.until("the first simulated node to be ready", || ready(&api, 1))?;
        scheduler.check()?;
        Ok(Nodes { _kwok: kwok, _scheduler: scheduler })
    }

    /// Waits until there are so many.
    pub fn number(&self, api: &Api, number: usize) -> Result<(), Trouble> {
        for number in 1..=number {
            make(api, number)?;
        }
        for number in 1..=number {
            wait::until_within(wait::PATIENCE, "a simulated node to be ready", || ready(api, number))?;
        }
        Ok(())
    }
}

fn make(api: &Api, number: usize) -> Result<(), Trouble> {
    let name = format!("simulated-{number}");
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}, "annotations": {(OURS.0): OURS.1}},
        "spec": {"taints": [{"key": TAINT, "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "64", "memory": "256Gi", "pods": "500"}},
    });
    let made = api.post("/api/v1/nodes", &node);
    // Another story may have wanted it already.
    if made.taken() || made.status == 409 { Ok(()) } else { Err(format!("a simulated node: {}", made.message())) }
}

/// It is, and nothing but its own taint keeps Pods away.
fn ready(api: &Api, number: usize) -> Result<(), Trouble> {
    let node = api.get(&format!("/api/v1/nodes/simulated-{number}"))?.body;
    let taints: Vec<&str> = node["spec"]["taints"].as_array().into_iter().flatten().filter_map(|taint| taint["key"].as_str()).collect();
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.filter(|condition| condition["type"] == "Ready").any(|condition| condition["status"] == "True");
    if ready && taints == [TAINT] { Ok(()) } else { Err(format!("ready: {ready}, taints: {taints:?}")) }
}
