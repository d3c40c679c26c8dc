//! Workloads on simulated nodes, up to their end: a rollout becomes ready, a changed one replaces its Pods, a Job completes past its native
//! sidecar. Each Pod that runs is else its twin, which runs too.

use serde_json::{Value, json};

use crate::compare;
use crate::every_kind;
use crate::harness::nodes;
use crate::harness::story::{Stories, Story};
use crate::harness::wait;

pub const STORIES: Stories = &[("a_rollout_becomes_ready_and_is_replaced", rollout), ("a_job_completes_past_its_sidecar", job)];

const WORKLOADS: [(&str, &str, usize); 3] = [("apps/v1", "Deployment", 3), ("apps/v1", "StatefulSet", 2), ("apps/v1", "DaemonSet", 1)];

/// A Pod template in which the preset of [`every_kind`] finds much to do.
fn template(kind: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web", "kind": kind}, "annotations": {"team": "shop"}}, "spec": {
        "tolerations": [nodes::toleration()],
        // Where others have nodes made, a DaemonSet keeps to one.
        "nodeSelector": {"kubernetes.io/hostname": "simulated-1"},
        "initContainers": [{"name": "setup", "image": "registry.example/setup:1"}],
        "containers": [{"name": "app", "image": "registry.example/app:1", "env": [{"name": "PORT", "value": "8080"}]}]}})
}

fn workload(version: &str, kind: &str, replicas: usize) -> Value {
    let name = kind.to_lowercase();
    let mut spec = json!({"selector": {"matchLabels": {"kind": name}}, "template": template(&name)});
    if kind != "DaemonSet" {
        spec["replicas"] = json!(replicas);
    }
    if kind == "StatefulSet" {
        spec["serviceName"] = json!("web");
    }
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// The Pods of a kind, by image of the author's container; those that are on their way out aside.
fn running(story: &Story, namespace: &str, kind: &str, image: &str) -> Vec<Value> {
    let pods = story.pods(namespace, &format!("kind={kind}"));
    pods.into_iter()
        .filter(|pod| pod["metadata"].get("deletionTimestamp").is_none() && pod["spec"]["containers"][0]["image"] == image)
        .collect()
}

fn rollout(story: &Story) {
    story.nodes(1);
    let (presets, twin) = every_kind::twins(story);
    let _podgraft = story.podgraft(&presets);
    let namespaces = [story.name.clone(), twin];
    for (version, kind, replicas) in WORKLOADS {
        let manifest = workload(version, kind, replicas).to_string();
        for namespace in &namespaces {
            story.kubectl().within(namespace).run_with(&["apply", "-f", "-"], &manifest).fine();
        }
    }
    for (_, kind, replicas) in WORKLOADS {
        let kind = kind.to_lowercase();
        let place = format!("{kind}/{kind}");
        for image in ["registry.example/app:1", "registry.example/app:2"] {
            for namespace in &namespaces {
                let kubectl = story.kubectl().within(namespace);
                // For the first it is there already.
                kubectl.run(&["set", "image", &place, &format!("app={image}")]).fine();
                kubectl.run(&["rollout", "status", &place, "--timeout=180s"]).fine();
            }
            let [grafted, twins] = [0, 1].map(|index| running(story, &namespaces[index], &kind, image));
            assert_eq!((grafted.len(), twins.len()), (replicas, replicas), "{kind} of {image}");
            for (pod, twin) in grafted.iter().zip(&twins) {
                every_kind::grafted_and_else_its_twin(&kind, &compare::unbound(pod), &compare::unbound(twin));
            }
        }
    }
}

fn job(story: &Story) {
    story.nodes(1);
    let (presets, twin) = every_kind::twins(story);
    let _podgraft = story.podgraft(&presets);
    let mut template = template("job");
    template["spec"]["restartPolicy"] = json!("Never");
    let job = json!({"template": template});
    let objects = [
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": job}),
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "cronjob"},
            "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}}}),
    ];
    let ended = [&story.name, &twin].map(|namespace| {
        let kubectl = story.kubectl().within(namespace);
        for object in &objects {
            kubectl.run_with(&["apply", "-f", "-"], &object.to_string()).fine();
        }
        kubectl.run(&["create", "job", "by-hand", "--from=cronjob/cronjob"]).fine();
        ["job", "by-hand"].map(|name| {
            kubectl.run(&["wait", "--for=condition=complete", "--timeout=180s", &format!("job/{name}")]).fine();
            // The Job lets go of its Pod a moment after it has counted it.
            wait::until("the Pod of the Job", || {
                let pods = story.pods(namespace, &format!("batch.kubernetes.io/job-name={name}"));
                let pod = pods.into_iter().find(|pod| pod["status"]["phase"] == "Succeeded").ok_or("none")?;
                if pod["metadata"].get("finalizers").is_some() { Err("the Job holds it") } else { Ok(pod) }
            })
        })
    });
    for (mut grafted, mut twin) in ended[0].clone().into_iter().zip(ended[1].clone()) {
        for pod in [&mut grafted, &mut twin] {
            assert_eq!(compare::take(pod, "/spec", "nodeName"), "simulated-1");
        }
        every_kind::grafted_and_else_its_twin("a Job's Pod that has completed", &grafted, &twin);
    }
}
