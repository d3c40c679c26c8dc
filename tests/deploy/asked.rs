//! Which Pods the API server asks about, as the chart registers it. Nobody answers here, and `failurePolicy` is `Fail`: a Pod that is refused was asked
//! about, one that is made was not.

use serde_json::{Value, json};

use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::helm;

pub const STORIES: Stories = &[("only_about_pods_that_it_may_change", pods), ("only_about_presets", presets)];

fn pod(annotations: &Value, labels: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "pod-", "annotations": annotations, "labels": labels},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}], "automountServiceAccountToken": false},
    })
}

/// Whether the API server asks Podgraft about a Pod; a Pod that is refused otherwise fails the test.
fn asked(story: &Story, namespace: &str, pod: &Value) -> bool {
    let answer = story.try_pod(namespace, pod);
    let webhook = format!("failed calling webhook \"pods.{}.podgraft.dev\"", story.name);
    assert!(answer.taken() || answer.message().contains(&webhook), "{}", answer.message());
    !answer.taken()
}

/// The registration of these values, and of nothing else of the chart.
struct Registered<'s> {
    story: &'s Story<'s>,
    kind: &'static str,
}

impl<'s> Registered<'s> {
    fn new(story: &'s Story<'s>, kind: &'static str, values: &[&str]) -> Registered<'s> {
        let name = format!("fullnameOverride={}", story.name);
        let mut all = vec![name.as_str(), "webhook.failurePolicy=Fail", "validation.failurePolicy=Fail"];
        all.extend(values);
        let mut object = helm::one(&helm::objects(&all), kind, &story.name).clone();
        // Other stories go on meanwhile.
        for hook in object["webhooks"].as_array_mut().unwrap() {
            let selector = &mut hook["namespaceSelector"];
            let mut expressions = selector["matchExpressions"].as_array().cloned().unwrap_or_default();
            expressions.push(json!({"key": "story", "operator": "In", "values": [story.name]}));
            *selector = json!({"matchExpressions": expressions});
        }
        story.api.post(&path(kind), &object).object("the registration");
        Registered { story, kind }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let _ = self.story.api.delete(&format!("{}/{}", path(self.kind), self.story.name));
    }
}

fn path(kind: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/{}s", kind.to_lowercase())
}

fn pods(story: &Story) {
    story.faults_are_meant();
    let plain = pod(&Value::Null, &Value::Null);
    let wanted = pod(&Value::Null, &json!({"podgraft.dev/inject": "enabled"}));
    let spaces = ["kube-system", "podgraft", "cni", "out", "in"].map(|name| (name, format!("{}-{name}", story.name)));
    for (name, space) in &spaces {
        let inject = match *name {
            "out" => json!("disabled"),
            "in" => json!("enabled"),
            _ => Value::Null,
        };
        let mut labels = json!({"story": story.name});
        if !inject.is_null() {
            labels["podgraft.dev/inject"] = inject;
        }
        story.plane.namespace(space, &labels).unwrap();
    }
    let system = story.api.patch("/api/v1/namespaces/kube-system", "merge", &json!({"metadata": {"labels": {"story": story.name}}}));
    assert!(system.taken());
    story.plane.namespace("kube-system", &Value::Null).unwrap();
    story.plane.namespace("podgraft", &json!({"story": story.name})).unwrap();
    story.api.patch("/api/v1/namespaces/podgraft", "merge", &json!({"metadata": {"labels": {"story": story.name}}})).object("a label");
    let [_, _, cni, out, enabled] = &spaces.map(|(_, space)| space);

    let in_force =
        || wait::until("the registration to be in force", || if asked(story, enabled, &wanted) { Ok(()) } else { Err("it is not") });
    let gone = || wait::until("the registration to be gone", || if asked(story, enabled, &wanted) { Err("it is there") } else { Ok(()) });
    {
        let _registered = Registered::new(story, "MutatingWebhookConfiguration", &[&format!("webhook.excludeNamespaces={{{cni}}}")]);
        in_force();
        for namespace in ["kube-system", "podgraft", cni, out] {
            assert!(!asked(story, namespace, &plain), "{namespace} is left alone");
        }
        assert!(asked(story, &story.name, &plain));
        // Expressions must hold for every Pod: with annotations, and with none.
        assert!(asked(story, &story.name, &pod(&json!({}), &Value::Null)));
        assert!(asked(story, &story.name, &pod(&json!({"some": "annotation"}), &Value::Null)));
        // Excluded by its author: Podgraft decides, as presets with optOut Denied apply all the same.
        assert!(asked(story, &story.name, &pod(&json!({"podpreset.admission.kubernetes.io/exclude": "true"}), &Value::Null)));
        let mut mirror = pod(&json!({"kubernetes.io/config.mirror": "x"}), &Value::Null);
        mirror["spec"]["nodeName"] = json!("node-1");
        assert!(!asked(story, &story.name, &mirror), "a mirror Pod");
    }
    gone();
    {
        let _registered = Registered::new(story, "MutatingWebhookConfiguration", &["webhook.reach=OptInNamespace"]);
        in_force();
        assert!(asked(story, enabled, &plain));
        assert!(!asked(story, &story.name, &wanted) && !asked(story, out, &wanted), "namespaces that did not ask");
    }
    gone();
    {
        let _registered = Registered::new(story, "MutatingWebhookConfiguration", &["webhook.reach=OptInPod"]);
        in_force();
        assert!(asked(story, &story.name, &wanted) && !asked(story, &story.name, &plain));
        assert!(!asked(story, out, &wanted), "the namespace did not want it");
    }
    gone();
    for namespace in ["kube-system", "podgraft"] {
        story
            .api
            .patch(&format!("/api/v1/namespaces/{namespace}"), "merge", &json!({"metadata": {"labels": {"story": null}}}))
            .object("no label");
    }
}

fn presets(story: &Story) {
    story.faults_are_meant();
    let map = |name: &str, label: &str| {
        let labels = if label.is_empty() { Value::Null } else { json!({"podgraft.dev/presets": label}) };
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"a": "b"}})
    };
    let path = format!("/api/v1/namespaces/{}/configmaps", story.name);
    let asked = |answer: crate::harness::api::Answer| {
        let webhook = format!("failed calling webhook \"configmaps.{}.podgraft.dev\"", story.name);
        assert!(answer.taken() || answer.message().contains(&webhook), "{}", answer.message());
        !answer.taken()
    };
    let label = |name: &str, value: Value| {
        story.api.patch(&format!("{path}/{name}"), "merge", &json!({"metadata": {"labels": {"podgraft.dev/presets": value}}}))
    };
    story.api.post(&path, &map("before", "true")).object("a ConfigMap from before");
    let _registered = Registered::new(story, "ValidatingWebhookConfiguration", &[]);
    let tried = format!("{path}?dryRun=All");
    wait::until("the registration to be in force", || {
        if asked(story.api.post(&tried, &map("probe", "true"))) { Ok(()) } else { Err("it is not") }
    });
    assert!(!asked(story.api.post(&path, &map("plain", ""))), "it never touches what is no preset");
    assert!(!asked(story.api.post(&path, &map("other", "false"))));
    assert!(asked(label("plain", json!("true"))), "a ConfigMap that becomes one");
    assert!(asked(label("before", Value::Null)), "one that ceases to be one");
    assert!(story.api.delete(&format!("{path}/before")).unwrap().taken(), "what is bad can be taken away");
}
