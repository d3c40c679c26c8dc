//! Events: where somebody looks who wonders about a workload or a preset, with a count and without the value of any variable.

use serde_json::{Value, json};

use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::stores::{apply, events, map, pod, variables};

pub const STORIES: Stories = &[("conflicts_and_shadows_are_told_where_one_looks", told)];

const SECRET: &str = "s3cret";

/// Pods that one Deployment makes.
const REPLICAS: usize = 12;

fn presets() -> Value {
    let one = |name: &str, spec: &str| {
        format!("apiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {{name: {name}}}\nspec: {{selector: {{}}, {spec}}}\n")
    };
    json!({
        "clash.yaml": one("clash", &format!("conflictPolicy: KeepPod, env: [{{name: PASSWORD, value: {SECRET}-preset}}, {{name: OTHER, value: '1'}}]")),
        "planned.yaml": one("planned", &format!("mode: Shadow, env: [{{name: PLANNED, value: {SECRET}-planned}}]")),
    })
}

fn clashing(name: &str) -> Value {
    let mut pod = pod();
    pod["metadata"] = json!({"name": name, "labels": {"app": "web"}});
    pod["spec"]["containers"][0]["env"] = json!([{"name": "PASSWORD", "value": format!("{SECRET}-author")}]);
    pod
}

/// How often an Event says that it happened.
fn count(event: &Value) -> i64 {
    event["series"]["count"].as_i64().unwrap_or(1)
}

fn told(story: &Story) {
    let podgraft = story.podgraft_within("", &[]);
    apply(story, &map(&story.name, "team", &presets()));
    wait::until("the presets", || match variables(story, &story.name) {
        seen if seen.contains(&"OTHER=1".to_owned()) => Ok(()),
        seen => Err(seen),
    });
    // A dry run first: what it told would be there before what the others tell.
    story.kubectl().run_with(&["create", "--dry-run=server", "-f", "-"], &clashing("tried").to_string()).fine();
    let template = clashing("x");
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "replicas": REPLICAS, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": template["spec"]}}});
    story.kubectl().run_with(&["create", "-f", "-"], &deployment.to_string()).fine();
    let owner = wait::until("the ReplicaSet", || {
        let sets = story.kubectl().run(&["get", "replicasets", "-o", "json"]).json();
        sets["items"][0]["metadata"]["name"].as_str().map(str::to_owned).ok_or("none")
    });
    let line = "podpreset-clash conflicts with the Pod at /spec/containers/app/env/PASSWORD: kept (KeepPod)";
    let planned = "shadow podpreset-planned would add 1 operations";
    for (object, reason, kind, message) in [
        (owner.as_str(), "PresetConflict", "Warning", line),
        (owner.as_str(), "PresetShadow", "Normal", planned),
        ("team", "PresetConflict", "Warning", line),
        ("team", "PresetShadow", "Normal", planned),
    ] {
        let told = wait::until(&format!("one {reason} on {object} for all {REPLICAS} Pods"), || {
            let told: Vec<Value> =
                events(story, &story.name, reason, object).into_iter().filter(|event| event["message"] == message).collect();
            let counted: Vec<i64> = told.iter().map(count).collect();
            if counted.len() == 1 && counted[0] >= REPLICAS as i64 {
                Ok(told)
            } else {
                Err((counted, events(story, &story.name, reason, object)))
            }
        });
        assert_eq!(told[0]["type"], kind);
        assert!(told[0]["involvedObject"]["uid"].is_string(), "kubectl describe finds it by that: {}", told[0]);
    }
    let described = story.kubectl().run(&["describe", "replicaset", &owner]).fine().out;
    assert!(described.contains("PresetConflict") && described.contains(line), "{described}");
    // A Pod that nobody owns: on its name.
    story.create(&story.name, &clashing("alone"));
    wait::until("the Event on the Pod", || events(story, &story.name, "PresetConflict", "alone").into_iter().next().ok_or("none"));
    assert!(events(story, &story.name, "PresetConflict", "tried").is_empty());
    let all = story.kubectl().run(&["get", "events", "-o", "json"]).fine().out;
    assert!(!all.contains(SECRET), "an Event tells a value");
    assert!(!podgraft.serving.held.printed().contains(SECRET));
    assert!(podgraft.serving.metric("podgraft_events_total", "sent").unwrap() >= 5.0);
}
