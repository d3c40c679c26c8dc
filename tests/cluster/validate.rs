//! Presets before they are written: a broken one is refused with every problem named, nobody plants one where they may not create Pods, and
//! what holds no presets is nobody's business.

use serde_json::{Value, json};

use crate::harness::account::Account;
use crate::harness::api::Api;
use crate::harness::kubectl::Kubectl;
use crate::harness::plane::{Plane, User};
use crate::harness::podgraft::Serving;
use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::stores::{map, preset};

pub const STORIES: Stories = &[
    ("a_broken_preset_is_refused_with_every_problem", broken),
    ("nobody_plants_a_preset_where_they_may_not_create_pods", planted),
    ("groups_and_accounts_have_rights_too", by_group),
    ("what_holds_no_presets_is_left_alone", others),
    ("custom_resources_are_judged_too", resources),
    ("unasked_about_the_author_the_failure_policy_decides", unasked),
];

/// What the API server asks about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// ConfigMaps with the label.
    Maps,
    /// Custom resources.
    Resources,
    /// Whatever there is, by mistake.
    Everything,
}

/// A ValidatingWebhookConfiguration that goes with the value.
pub struct Guard {
    api: Api,
    name: String,
}

impl Guard {
    /// As the chart has it, about what is in a story's namespaces.
    fn make(story: &Story, serving: &Serving, failure_policy: &str, asked: Asked) -> Guard {
        use base64::Engine;
        const PATH: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
        let url = format!("https://{}/validate", serving.webhook);
        let bundle = base64::engine::general_purpose::STANDARD.encode(&story.plane.authority.pem);
        let (groups, resources, objects) = match asked {
            Asked::Maps => (json!([""]), json!(["configmaps"]), json!({"matchLabels": {"podgraft.dev/presets": "true"}})),
            Asked::Resources => (json!(["podgraft.dev"]), json!(["podpresets", "clusterpodpresets"]), json!({})),
            Asked::Everything => (json!(["*"]), json!(["*/*"]), json!({})),
        };
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": story.name},
            "webhooks": [{
                "name": format!("{}.podgraft.dev", story.name),
                "clientConfig": {"url": url, "caBundle": bundle},
                "rules": [{"operations": ["*"], "apiGroups": groups, "apiVersions": ["*"], "resources": resources, "scope": "*"}],
                "namespaceSelector": {"matchLabels": {"story": story.name}},
                "objectSelector": objects,
                "failurePolicy": failure_policy,
                "matchPolicy": "Equivalent",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 15,
            }],
        });
        story.api.post(PATH, &object).object("the registration");
        let guard = Guard { api: story.api.clone(), name: story.name.clone() };
        let counted = || serving.metric("podgraft_validations_total", "");
        let before = counted().unwrap();
        wait::until("the registration to be in force", || {
            let (path, probe) = match asked {
                Asked::Resources => (
                    "/apis/podgraft.dev/v1beta1",
                    json!({"apiVersion": "podgraft.dev/v1beta1", "kind": "PodPreset",
                    "metadata": {"name": "probe"}, "spec": {"selector": {}, "env": [{"name": "A", "value": "1"}]}}),
                ),
                _ => ("/api/v1", map(&story.name, "probe", &json!({}))),
            };
            let plural = if asked == Asked::Resources { "podpresets" } else { "configmaps" };
            let _ = story.api.post(&format!("{path}/namespaces/{}/{plural}?dryRun=All", story.name), &probe);
            if counted()? > before { Ok(()) } else { Err("it is not asked".to_owned()) }
        });
        guard
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.api.delete(&format!("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{}", self.name));
    }
}

/// A Podgraft of the story, which may ask about authors, or not.
fn serving(story: &Story, may_ask: bool) -> (Account, Serving) {
    let without: &[&str] = if may_ask { &[] } else { &["subjectaccessreviews"] };
    let account = Account::without(story.plane, &story.name, without);
    let serving = Serving::start_within(story.plane, &account, "", &[]).unwrap_or_else(|trouble| panic!("{trouble}"));
    (account, serving)
}

/// Lets a user do some things with ConfigMaps in a namespace, and nothing else there.
fn let_write_maps(story: &Story, namespace: &str, user: &str) {
    let kubectl = story.kubectl().within(namespace);
    kubectl.run(&["create", "role", "maps", "--verb=get,list,create,update,patch,delete", "--resource=configmaps"]).fine();
    kubectl.run(&["create", "rolebinding", "maps", "--role=maps", &format!("--user={user}")]).fine();
}

fn apply(kubectl: &Kubectl, object: &Value) -> crate::harness::kubectl::Said {
    kubectl.run_with(&["apply", "-f", "-"], &object.to_string())
}

fn broken(story: &Story) {
    let (account, serving) = serving(story, true);
    let _guard = Guard::make(story, &serving, "Fail", Asked::Maps);
    let kubectl = story.kubectl();
    let good = preset("one", "A", "s3cret");
    let bad = good.replace("value: 's3cret'", "value: 5432").replace("selector: {}", "selektor: {}");
    let data = json!({"one.yaml": bad, "two.yaml": "{{{", "three.yaml": preset("three", "C", "3")});
    let said = apply(&kubectl, &map(&story.name, "team", &data)).refused();
    // Each on a line of its own, with key, line and path.
    assert!(said.err.contains("The ConfigMap \"team\" is invalid:"), "{}", said.err);
    for part in [
        "* data[one.yaml]: line 4, column ",
        "spec.selektor: there is no field `selektor` here: `selector` is the nearest",
        "spec.env[0].value: must be a string",
        "* data[two.yaml]: line 1, column ",
    ] {
        assert!(said.err.contains(part), "no {part:?} in: {}", said.err);
    }
    assert!(!said.err.contains("three.yaml") && !said.err.contains("5432") && !said.err.contains("s3cret"), "{}", said.err);
    // Other clients see the message.
    let answer = story.api.post(&format!("/api/v1/namespaces/{}/configmaps", story.name), &map(&story.name, "team", &data));
    assert_eq!((answer.status, answer.body["reason"].as_str()), (422, Some("Invalid")));
    assert!(answer.message().contains("denied the request") && answer.message().contains("data[two.yaml]"), "{}", answer.message());
    let dry = kubectl.run_with(&["apply", "--dry-run=server", "-f", "-"], &map(&story.name, "team", &data).to_string()).refused();
    assert_eq!(dry.err, said.err, "a dry run says the same");
    // Warnings come with what is taken.
    let mounts = good.replace("env: [", "volumeMounts: [{name: cache, mountPath: /c}], env: [");
    let said = apply(&kubectl, &map(&story.name, "team", &json!({"one.yaml": mounts}))).fine();
    assert!(said.warnings().iter().any(|line| line.contains("the volume `cache` is not in this preset")), "{}", said.err);
    // An update that breaks it is refused, and what is there stays.
    apply(&kubectl, &map(&story.name, "team", &json!({"one.yaml": bad}))).refused();
    let there = kubectl.run(&["get", "configmap", "team", "-o", "json"]).json();
    assert!(there["data"]["one.yaml"].as_str().unwrap().contains("/c"));
    // One that says the same twice.
    let twins = json!({"a.yaml": preset("same", "A", "1"), "b.yaml": preset("same", "A", "2")});
    assert!(apply(&kubectl, &map(&story.name, "twins", &twins)).refused().err.contains("neither counts"));
    // What belongs elsewhere.
    let elsewhere = preset("one", "A", "1").replace("{name: one}", "{name: one, namespace: elsewhere}");
    let everywhere = preset("all", "A", "1").replace("kind: PodPreset", "kind: ClusterPodPreset");
    let said = apply(&kubectl, &map(&story.name, "foreign", &json!({"a.yaml": elsewhere, "b.yaml": everywhere}))).refused();
    assert!(said.err.contains("are for its own namespace") && said.err.contains("Podgraft's own namespace only"), "{}", said.err);
    assert!(said.err.contains(&account.namespace), "{}", said.err);
    // Written before the label: what is broken gets it refused, what is not is taken.
    let mut unlabelled = map(&story.name, "later", &json!({"one.yaml": bad}));
    unlabelled["metadata"].as_object_mut().unwrap().remove("labels");
    apply(&kubectl, &unlabelled).fine();
    kubectl.run(&["label", "configmap", "later", "podgraft.dev/presets=true"]).refused();
    unlabelled["data"]["one.yaml"] = json!(good);
    apply(&kubectl, &unlabelled).fine();
    kubectl.run(&["label", "configmap", "later", "podgraft.dev/presets=true"]).fine();
    kubectl.run(&["delete", "configmap", "later", "team"]).fine();
    for (outcome, least) in [("allowed", 4.0), ("invalid", 6.0)] {
        let seen = serving.metric("podgraft_validations_total", &format!("outcome=\"{outcome}\"")).unwrap();
        assert!(seen >= least, "{outcome}: {seen}");
    }
    assert_eq!(serving.metric("podgraft_validations_total", "outcome=\"error\"").unwrap(), 0.0);
    assert!(!serving.held.printed().contains("s3cret"));
}

fn planted(story: &Story) {
    let (_, serving) = serving(story, true);
    let _guard = Guard::make(story, &serving, "Fail", Asked::Maps);
    let namespace = &story.name;
    let_write_maps(story, namespace, "stranger");
    let tenant = story.plane.kubectl(User::Stranger, namespace);
    let one = map(namespace, "team", &json!({"one.yaml": preset("one", "A", "1")}));
    let said = apply(&tenant, &one).refused();
    let wanted = format!(
        "Error from server (Forbidden): error when creating \"STDIN\": admission webhook \"{namespace}.podgraft.dev\" denied the request: a preset of \
         the namespace {namespace} changes its Pods, and stranger may not create Pods there"
    );
    assert_eq!(said.err.trim(), wanted);
    // Somebody who may writes it.
    story.kubectl().run(&["create", "rolebinding", "author", "--clusterrole=edit", "--user=author"]).fine();
    let author = story.plane.kubectl(User::Author, namespace);
    wait::until("the author's rights", || {
        let said = apply(&author, &one);
        if said.code == 0 { Ok(()) } else { Err(said.err) }
    });
    // The tenant cannot change what it does, nor give the label to what was there, but may change what is no preset of it.
    let mut other = one.clone();
    other["data"]["one.yaml"] = json!(preset("one", "A", "2"));
    assert!(apply(&tenant, &other).refused().err.contains("may not create Pods there"));
    tenant.run(&["annotate", "configmap", "team", "looked-at=yes"]).fine();
    let mut plain = map(namespace, "plain", &json!({"one.yaml": preset("two", "A", "1")}));
    plain["metadata"].as_object_mut().unwrap().remove("labels");
    apply(&tenant, &plain).fine();
    assert!(tenant.run(&["label", "configmap", "plain", "podgraft.dev/presets=true"]).refused().err.contains("may not create Pods there"));
    tenant.run(&["label", "configmap", "team", "podgraft.dev/presets-"]).fine();
    assert!(tenant.run(&["label", "configmap", "team", "podgraft.dev/presets=true"]).refused().err.contains("may not create Pods there"));
    tenant.run(&["delete", "configmap", "team"]).fine();
    assert!(serving.metric("podgraft_validations_total", "outcome=\"forbidden\"").unwrap() >= 4.0);
}

fn by_group(story: &Story) {
    let (_, serving) = serving(story, true);
    let _guard = Guard::make(story, &serving, "Fail", Asked::Maps);
    let (namespace, kubectl) = (&story.name, story.kubectl());
    // Two groups may write ConfigMaps, one of them Pods, too. Nobody of them has a right by name.
    kubectl.run(&["create", "role", "maps", "--verb=get,list,create,update,patch", "--resource=configmaps"]).fine();
    for group in ["readers", "writers"] {
        kubectl.run(&["create", "rolebinding", group, "--role=maps", &format!("--group={group}")]).fine();
    }
    kubectl.run(&["create", "rolebinding", "edit", "--clusterrole=edit", "--group=writers"]).fine();
    let one = map(namespace, "team", &json!({"one.yaml": preset("one", "A", "1")})).to_string();
    let apply_as = |group: &str| kubectl.run_with(&["apply", "--as=ann", &format!("--as-group={group}"), "-f", "-"], &one);
    let said = wait::until("the rights of the readers", || {
        let said = apply_as("readers").refused();
        if said.err.contains("denied the request") { Ok(said) } else { Err(said.err) }
    });
    assert!(said.err.contains("ann may not create Pods there"), "{}", said.err);
    wait::until("the rights of the writers", || {
        let said = apply_as("writers");
        if said.code == 0 { Ok(()) } else { Err(said.err) }
    });
    // An account of a robot, with its token, that may what all accounts of the namespace may.
    kubectl.run(&["create", "serviceaccount", "robot"]).fine();
    let everyone = format!("--group=system:serviceaccounts:{namespace}");
    kubectl.run(&["create", "rolebinding", "robot-maps", "--role=maps", &everyone]).fine();
    let token = kubectl.run(&["create", "token", "robot"]).fine().out;
    let kubeconfig = story.plane.kubeconfig_of(&format!("{namespace}-robot"), story.plane.url(), token.trim());
    let robot = Kubectl { kubeconfig, ..story.kubectl() };
    let two = map(namespace, "robots", &json!({"two.yaml": preset("two", "B", "1")}));
    let said = wait::until("the robot's rights", || {
        let said = apply(&robot, &two).refused();
        if said.err.contains("denied the request") { Ok(said) } else { Err(said.err) }
    });
    assert!(said.err.contains(&format!("system:serviceaccount:{namespace}:robot may not create Pods there")), "{}", said.err);
    kubectl.run(&["create", "rolebinding", "robot-edit", "--clusterrole=edit", &everyone]).fine();
    wait::until("the robot may create Pods", || {
        let said = apply(&robot, &two);
        if said.code == 0 { Ok(()) } else { Err(said.err) }
    });
}

/// On a control plane of its own: in the shared one the kinds are not installed.
fn resources(shared: &Story) {
    let plane = Plane::start(&shared.plane.version, &crate::runs()).unwrap_or_else(|trouble| panic!("{trouble}"));
    let story = Story::begin(&plane, "judged");
    crate::custom_resources::install(&story);
    let (_, serving) = serving(&story, true);
    let guard = Guard::make(&story, &serving, "Fail", Asked::Resources);
    let kubectl = story.kubectl();
    // What the schema lets pass.
    let bad = preset("one", "A", "s3cret").replace("env: [", "env: [{name: A, value: other}, {name: 1x=, value: s3cret}, ");
    let said = kubectl.run_with(&["apply", "-f", "-"], &bad).refused();
    assert!(said.err.contains("The PodPreset \"one\" is invalid:"), "{}", said.err);
    for part in ["* spec.env[1].name: must consist of", "* spec.env[2]: the variable `A` is already at spec.env[0]"] {
        assert!(said.err.contains(part), "no {part:?} in: {}", said.err);
    }
    assert!(!said.err.contains("s3cret"), "{}", said.err);
    // A tenant who may write PodPresets, and no Pods.
    kubectl.run(&["create", "role", "presets", "--verb=*", "--resource=podpresets.podgraft.dev"]).fine();
    kubectl.run(&["create", "rolebinding", "presets", "--role=presets", "--user=stranger"]).fine();
    let tenant = plane.kubectl(User::Stranger, &story.name);
    let good = preset("one", "A", "1");
    let said = wait::until("the tenant's rights", || {
        let said = tenant.run_with(&["apply", "-f", "-"], &good).refused();
        if said.err.contains("denied the request") { Ok(said) } else { Err(said.err) }
    });
    assert!(said.err.contains("stranger may not create Pods there"), "{}", said.err);
    kubectl.run_with(&["apply", "-f", "-"], &good).fine();
    let said = tenant.run_with(&["apply", "-f", "-"], &preset("one", "A", "2")).refused();
    assert!(said.err.contains("stranger may not create Pods there"), "{}", said.err);
    tenant.run(&["annotate", "podpreset", "one", "looked-at=yes"]).fine();
    // Of no namespace: whoever may write it.
    let everywhere = preset("all", "B", "1").replace("kind: PodPreset", "kind: ClusterPodPreset");
    kubectl.run_with(&["apply", "-f", "-"], &everywhere).fine();
    let twice = everywhere.replace("env: [", "env: [{name: B, value: '2'}, ");
    assert!(kubectl.run_with(&["apply", "-f", "-"], &twice).refused().err.contains("The ClusterPodPreset \"all\" is invalid"));
    // From the command line they are as they are in the server: a custom resource beats a ConfigMap.
    kubectl.run_with(&["apply", "-f", "-"], &map(&story.name, "late", &json!({"one.yaml": preset("one", "A", "9")})).to_string()).fine();
    let pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [{"name": "app", "image": "i"}]}});
    let arguments = ["inject", "-f", "-", "--from-cluster", "-n", &story.name, "-o", "json"];
    let said = crate::live::podgraft(&plane, User::Admin, &arguments, &pod.to_string()).fine();
    let notes = said.err.clone();
    assert_eq!(said.json()["spec"]["containers"][0]["env"], json!([{"name": "B", "value": "1"}, {"name": "A", "value": "1"}]), "{notes}");
    crate::live::line(&notes, &["note: configmap", "/late key one.yaml: PodPreset", "is also a custom resource, which counts"]);
    // One that slipped in is deleted, finalizer and all.
    drop(guard);
    let slipped = bad.replace("{name: one}", "{name: slipped, finalizers: [podgraft.dev/test]}");
    wait::until("the registration to be gone", || {
        let said = kubectl.run_with(&["apply", "-f", "-"], &slipped);
        if said.code == 0 { Ok(()) } else { Err(said.err) }
    });
    let _guard = Guard::make(&story, &serving, "Fail", Asked::Resources);
    kubectl.run(&["delete", "podpreset", "slipped", "--wait=false"]).fine();
    kubectl.run(&["patch", "podpreset", "slipped", "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]).fine();
    kubectl.run(&["wait", "--for=delete", "podpreset/slipped", "--timeout=60s"]).fine();
    story.end();
    plane.remove();
}

fn others(story: &Story) {
    let (_, serving) = serving(story, true);
    // By mistake about everything in the namespace.
    let _guard = Guard::make(story, &serving, "Fail", Asked::Everything);
    let kubectl = story.kubectl();
    let bad = preset("one", "A", "1").replace("selector", "selektor");
    for object in [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plain"}, "data": {"one.yaml": bad}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "labels": {"podgraft.dev/presets": "no"}}, "data": {"one.yaml": bad}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret", "labels": {"podgraft.dev/presets": "true"}}, "stringData": {"one.yaml": bad}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "labels": {"podgraft.dev/presets": "true"}}, "spec": {"containers": [{"name": "a", "image": "i"}]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "i"}]}}}}),
    ] {
        let said = kubectl.run_with(&["create", "-f", "-"], &object.to_string()).fine();
        assert!(said.warnings().is_empty(), "{}", said.err);
    }
    kubectl.run(&["scale", "deployment", "web", "--replicas=2"]).fine();
    wait::until("the Deployment's Pods", || {
        let pods = story.pods(&story.name, "a=b").len();
        if pods == 2 { Ok(()) } else { Err(pods) }
    });
    kubectl.run(&["annotate", "secret", "secret", "a=b"]).fine();
    kubectl.run(&["delete", "deployment/web", "pod/pod", "secret/secret", "configmap/plain", "--wait=false"]).fine();
    for outcome in ["invalid", "forbidden", "error", "shed"] {
        let seen = serving.metric("podgraft_validations_total", &format!("outcome=\"{outcome}\"")).unwrap();
        assert_eq!(seen, 0.0, "{outcome}");
    }
}

fn unasked(story: &Story) {
    story.faults_are_meant();
    let (_, serving) = serving(story, false);
    let one = map(&story.name, "team", &json!({"one.yaml": preset("one", "A", "1")}));
    let kubectl = story.kubectl();
    {
        let _guard = Guard::make(story, &serving, "Fail", Asked::Maps);
        let said = apply(&kubectl, &one).refused();
        assert!(said.err.contains("InternalError") && said.err.contains("failed calling webhook"), "{}", said.err);
        // What is not valid is not taken, whoever wrote it.
        let bad = map(&story.name, "bad", &json!({"one.yaml": "{{{"}));
        assert!(apply(&kubectl, &bad).refused().err.contains("is invalid"));
    }
    let _guard = Guard::make(story, &serving, "Ignore", Asked::Maps);
    apply(&kubectl, &one).fine();
    assert!(serving.metric("podgraft_validations_total", "outcome=\"error\"").unwrap() >= 2.0);
    assert!(serving.held.printed().contains("cannot be asked whether the author may create Pods"));
}
