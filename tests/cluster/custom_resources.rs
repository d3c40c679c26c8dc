//! Presets as custom resources, on a control plane of its own: others may have installed the kinds, and here they are missing at first. Then
//! the API server goes away and comes back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::account::Account;
use crate::harness::plane::Plane;
use crate::harness::story::{Stories, Story};
use crate::harness::{say, wait};
use crate::stores::{apply, events, map, pod, preset, until_variables, variables};

pub const STORIES: Stories = &[("custom_resources_are_noticed_and_an_outage_is_not", own_plane)];

/// What the issue asks for.
const AFTER_RETURN: Duration = Duration::from_secs(5);

fn own_plane(shared: &Story) {
    let plane = Plane::start(&shared.plane.version, &crate::runs()).unwrap();
    let story = Story::begin(&plane, "own-plane");
    installed_later(&story);
    away(&story);
    story.end();
    plane.remove();
}

/// The definitions as they are shipped.
pub fn install(story: &Story) {
    for file in ["podpresets", "clusterpodpresets"] {
        let path = format!("{}/deploy/chart/files/crds/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
        story.kubectl().run(&["apply", "--server-side", "--validate=strict", "-f", &path]).fine();
        story.kubectl().run(&["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{file}.podgraft.dev")]).fine();
    }
}

fn resource(story: &Story, name: &str) -> Value {
    story.kubectl().run(&["get", "podpreset", name, "-o", "json"]).json()
}

/// Status, reason and message of a condition, once its status is this one.
fn condition(story: &Story, name: &str, kind: &str, status: &str) -> (String, String) {
    wait::until(&format!("condition {kind}={status} of {name}"), || {
        let object = resource(story, name);
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|condition| condition["type"] == kind && condition["status"] == status);
        let found = found
            .filter(|condition| condition["observedGeneration"] == object["metadata"]["generation"])
            .ok_or(object["status"].clone())?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Ok::<_, Value>((text("reason"), text("message")))
    })
}

fn installed_later(story: &Story) {
    let account = Account::make(story.plane, &story.name);
    // The same preset in all three stores.
    let in_directory = preset("same", "FROM", "directory").replace("{name: same}", &format!("{{name: same, namespace: {}}}", story.name));
    let podgraft = story.podgraft_of(&account, &in_directory, &[]);
    assert_eq!(variables(story, &story.name), ["FROM=directory"]);
    let said = podgraft.serving.held.printed();
    assert_eq!(said.matches("the kind is not installed").count(), 2, "once a kind: {said}");
    apply(story, &map(&story.name, "team", &json!({"a.yaml": preset("same", "FROM", "config-map")})));
    until_variables(story, &story.name, &["FROM=config-map"]);
    install(story);
    story.kubectl().run_with(&["apply", "-f", "-"], &preset("same", "FROM", "resource")).fine();
    until_variables(story, &story.name, &["FROM=resource"]);
    let (reason, message) = condition(story, "same", "Ready", "True");
    let version = resource(story, "same")["status"]["version"].as_str().unwrap().to_owned();
    assert_eq!((reason.as_str(), message), ("InForce", format!("version {version} is in force")));
    let made = story.try_pod(&story.name, &pod()).object("a Pod");
    assert_eq!(made["metadata"]["annotations"]["podpreset.admission.kubernetes.io/podpreset-same"], version.as_str());
    assert_eq!(condition(story, "same", "Conflicting", "False").0, "NoConflict");
    let printed = story.kubectl().run(&["get", "podpresets"]).fine().out;
    assert!(
        printed.lines().next().unwrap().split_whitespace().eq(["NAME", "MODE", "PRIORITY", "CONFLICT", "POLICY", "READY", "AGE"]),
        "{printed}"
    );
    // What is overruled is said, once for each.
    let said = podgraft.serving.held.printed();
    for (store, winner) in [("directory", "config_maps"), ("directory", "custom_resources"), ("config_maps", "custom_resources")] {
        let told = said.lines().filter(|line| line.contains("is in another store") && line.contains(&format!("\"store\":\"{store}\"")));
        assert!(told.clone().count() == 1 || store == "directory", "{said}");
        assert!(told.clone().count() >= 1, "{store} {winner}: {said}");
    }
    refused(story);
    conflicting(story);
    // Written once: the status does not change of itself.
    let before = resource(story, "same")["metadata"]["resourceVersion"].clone();
    for number in 0..5 {
        apply(story, &map(&story.name, "team", &json!({"b.yaml": preset("other", "OTHER", &number.to_string())})));
        until_variables(story, &story.name, &["FROM=resource", &format!("OTHER={number}")]);
    }
    assert_eq!(resource(story, "same")["metadata"]["resourceVersion"], before);
    story.kubectl().run(&["delete", "configmap", "team"]).fine();
    // Taken away: what is below comes to light, and the kind may go and come back.
    story.kubectl().run(&["delete", "podpreset", "same"]).fine();
    until_variables(story, &story.name, &["FROM=directory"]);
    story.kubectl().run_with(&["apply", "-f", "-"], &preset("same", "FROM", "resource")).fine();
    until_variables(story, &story.name, &["FROM=resource"]);
    story.kubectl().run(&["delete", "crd", "podpresets.podgraft.dev"]).fine();
    until_variables(story, &story.name, &["FROM=directory"]);
    install(story);
    story.kubectl().run_with(&["apply", "-f", "-"], &preset("same", "FROM", "again")).fine();
    until_variables(story, &story.name, &["FROM=again"]);
    podgraft.serving.ready().unwrap();
    assert_eq!(podgraft.serving.metric("podgraft_panics_total", "").unwrap(), 0.0);
}

/// A preset that the schema lets through and Podgraft does not.
fn refused(story: &Story) {
    let bad = preset("same", "FROM", "5432").replace("value: '5432'", "value: 5432");
    story.kubectl().run_with(&["apply", "-f", "-"], &bad).fine();
    let (reason, message) = condition(story, "same", "Ready", "False");
    assert_eq!(reason, "Refused");
    assert!(message.starts_with("spec.env[0].value: must be a string") && !message.contains("5432"), "{message}");
    assert_eq!(variables(story, &story.name), ["FROM=resource"], "the last good version");
    let event =
        wait::until("the Event on the preset", || events(story, &story.name, "PresetRefused", "same").into_iter().next().ok_or("none"));
    assert_eq!(event["involvedObject"]["kind"], "PodPreset");
    let described = story.kubectl().run(&["describe", "podpreset", "same"]).fine();
    assert!(described.out.contains("PresetRefused"), "{}", described.out);
    // What the schema knows, the API server says itself.
    let unknown = preset("unknown", "A", "1").replace("selector: {}", "selector: {}, conflictPolicy: Sometimes");
    let said = story.kubectl().run_with(&["apply", "-f", "-"], &unknown).refused();
    assert!(said.err.contains("spec.conflictPolicy"), "{}", said.err);
    let long = preset(&"a".repeat(54), "A", "1");
    assert!(story.kubectl().run_with(&["apply", "-f", "-"], &long).refused().err.contains("metadata.name"));
    story.kubectl().run_with(&["apply", "-f", "-"], &preset("same", "FROM", "resource")).fine();
    condition(story, "same", "Ready", "True");
}

fn conflicting(story: &Story) {
    let mut other = pod();
    other["metadata"] = json!({"name": "other"});
    other["spec"]["containers"][0]["env"] = json!([{"name": "FROM", "value": "s3cret"}]);
    // A dry run leaves nothing.
    story.try_pod(&story.name, &other).object("a Pod");
    story.create(&story.name, &other);
    let (reason, message) = condition(story, "same", "Conflicting", "True");
    assert_eq!(reason, "PodConflict");
    assert_eq!(message, "podpreset-same conflicts with the Pod at /spec/containers/app/env/FROM: no presets applied (Abort)");
    let changed = preset("same", "FROM", "resource").replace("selector: {}", "selector: {}, priority: 1");
    story.kubectl().run_with(&["apply", "-f", "-"], &changed).fine();
    condition(story, "same", "Conflicting", "False");
}

/// The API server is killed and comes back: answers never stop, and what changed meanwhile is in force.
fn away(story: &Story) {
    let account = Account { name: "outage".to_owned(), ..Account::make(story.plane, "outage") };
    let serving = crate::harness::podgraft::Serving::start_within(story.plane, &account, "", &[]).unwrap();
    let ask = || {
        let (status, _, answer) = serving.ask(story.plane, &story.name, &pod());
        assert_eq!(status, 200, "{answer}");
        answer["response"]["auditAnnotations"]["presets"].as_str().unwrap_or_default().to_owned()
    };
    let before = ask();
    assert!(before.starts_with("podpreset-same="), "{before}");
    let mut value = 0;
    let mut best = Duration::MAX;
    // A busy machine may be late once.
    for _ in 0..3 {
        story.plane.kill_apiserver();
        wait::until("Podgraft to notice", || if serving.held.printed().contains("cannot be watched") { Ok(()) } else { Err("it has not") });
        for _ in 0..100 {
            assert!(ask().starts_with("podpreset-same="));
        }
        serving.ready().expect("it stays ready");
        story.plane.start_apiserver().unwrap();
        let back = Instant::now();
        value += 1;
        let seen = ask();
        let changed = preset("same", "FROM", &format!("after-{value}"));
        story.kubectl().run_with(&["apply", "-f", "-"], &changed).fine();
        wait::until("the change to be in force", || if ask() == seen { Err("it is not") } else { Ok(()) });
        best = best.min(back.elapsed());
        if best < AFTER_RETURN {
            break;
        }
    }
    say(&format!("a preset changed when the API server was back was in force after {:.1} s", best.as_secs_f64()));
    assert!(best < AFTER_RETURN, "{best:?}");
}
