//! `podgraft doctor` on a control plane of its own, where nobody else's presets are in the way: fine where all is well, and each fault is
//! found, with what to do about it.

use std::fs;

use base64::Engine;
use serde_json::{Value, json};

use crate::harness::account::Account;
use crate::harness::api::Api;
use crate::harness::kubectl::Said;
use crate::harness::plane::{Plane, User};
use crate::harness::podgraft::{Registered, Registration, Serving};
use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::live::{line, podgraft};
use crate::stores::{map, preset};

pub const STORIES: Stories = &[("the_doctor_finds_each_fault", faults)];

/// The namespace in which Pods are tried.
const SHOP: &str = "shop";

/// A control plane with one Podgraft.
struct Patient {
    plane: Plane,
    api: Api,
    account: Account,
}

impl Patient {
    fn doctor(&self, user: User, more: &[&str]) -> Said {
        let own = format!("--podgraft-namespace={}", self.account.namespace);
        podgraft(&self.plane, user, &[&["doctor", "-n", SHOP, &own], more].concat(), "")
    }

    /// What it says of a fault: exit status 1, and the line with the advice below it.
    fn finds(&self, parts: &[&str]) -> String {
        let mut last = String::new();
        let found = wait::until_within(wait::PATIENCE, "the doctor to find it", || {
            let said = self.doctor(User::Admin, &[]);
            last = format!("{}{}", said.out, said.err);
            let mut lines =
                said.out.lines().skip_while(|line| !(line.starts_with("PROBLEM") && parts.iter().all(|part| line.contains(part))));
            match (said.code, lines.next(), lines.next()) {
                (1, Some(problem), Some(advice)) if advice.trim_start().starts_with("do: ") => Ok(format!("{problem}\n{advice}")),
                _ => Err(last.clone()),
            }
        });
        found.unwrap_or_else(|trouble| panic!("{trouble}\n{last}"))
    }

    fn register(&self, serving: &Serving, authority: &str, policy: &'static str) -> Registered {
        self.register_at(&serving.url(), authority, policy)
    }

    fn register_at(&self, url: &str, authority: &str, policy: &'static str) -> Registered {
        let registration = Registration {
            failure_policy: policy,
            timeout: 5,
            namespaces: json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "closed"]}]}),
            ..Registration::of("podgraft", "")
        };
        Registered::make(self.api.clone(), &registration.object(url, authority))
    }

    /// Registers a Service of Podgraft's namespace.
    fn register_service(&self, authority: &str) -> Registered {
        let mut object = Registration { failure_policy: "Ignore", timeout: 5, ..Registration::of("podgraft", "") }.object("", authority);
        let service = json!({"namespace": self.account.namespace, "name": "podgraft", "port": 8443, "path": "/mutate"});
        let webhook = &mut object["webhooks"][0];
        webhook["clientConfig"].as_object_mut().unwrap().remove("url");
        webhook["clientConfig"]["service"] = service;
        webhook["namespaceSelector"] = json!({});
        Registered::make(self.api.clone(), &object)
    }

    fn apply(&self, namespace: &str, object: &Value) {
        self.plane.kubectl(User::Admin, namespace).run_with(&["apply", "-f", "-"], &object.to_string()).fine();
    }
}

fn faults(story: &Story) {
    let plane = Plane::start(&story.plane.version, &crate::runs()).unwrap_or_else(|trouble| panic!("{trouble}"));
    for name in [SHOP, "closed"] {
        plane.namespace(name, &json!({})).unwrap();
    }
    let account = Account::make(&plane, "doctor");
    let patient = Patient { api: plane.api(User::Admin), account, plane };
    patient.apply(SHOP, &map(SHOP, "team", &json!({"one.yaml": preset("one", "A", "s3cret")})));
    no_registration(&patient);
    all_is_well(&patient);
    wrong_bundle(&patient);
    expired(&patient);
    unreachable(&patient);
    silent(&patient);
    presets_before_they_are_written(&patient);
    old_presets(&patient);
    without_a_namespace(&patient);
    exempt(&patient);
    refused(&patient);
    behind_a_service(&patient);
    patient.plane.remove();
}

fn start(patient: &Patient) -> Serving {
    Serving::start_within(&patient.plane, &patient.account, "", &[]).unwrap_or_else(|trouble| panic!("{trouble}"))
}

fn no_registration(patient: &Patient) {
    let found = patient.finds(&["there is no MutatingWebhookConfiguration"]);
    assert!(found.contains("install it"), "{found}");
    let nobody = patient.plane.kubeconfig_of("nobody", "https://127.0.0.1:1", "x");
    let said = podgraft(&patient.plane, User::Admin, &["doctor", &format!("--kubeconfig={}", nobody.display())], "");
    assert_eq!((said.code, said.out.as_str()), (2, ""), "{}", said.err);
}

fn all_is_well(patient: &Patient) {
    let serving = start(patient);
    let _registered = patient.register(&serving, &patient.plane.authority.pem, "Ignore");
    let said = wait::until("the doctor to find nothing", || {
        let said = patient.doctor(User::Admin, &[]);
        if said.code == 0 { Ok(said) } else { Err(said.out) }
    });
    line(&said.out, &["fine", "webhook podgraft.podgraft.dev in MutatingWebhookConfiguration podgraft, failurePolicy Ignore"]);
    line(&said.out, &["warning", "registration: there is no ValidatingWebhookConfiguration"]);
    line(&said.out, &["fine", "presets: 1 read, 1 tried, 0 refused"]);
    line(&said.out, &["fine", "certificate", "is verified by the registration"]);
    line(&said.out, &["fine", "are reached; not closed, ", "kube-system"]);
    line(&said.out, &["fine", "dry run: a Pod of shop gets podpreset-one"]);
    line(&said.out, &["0 problems"]);
    assert!(!said.out.contains("s3cret"));
    let json: Value = serde_json::from_str(&patient.doctor(User::Admin, &["-o", "json"]).fine().out).unwrap();
    assert_eq!(json["problems"], 0);
    let help = podgraft(&patient.plane, User::Admin, &["doctor", "--help"], "").fine().out;
    let findings = json["findings"].as_array().unwrap();
    let fields = findings.iter().chain([&json]).flat_map(|object| object.as_object().unwrap().keys());
    for field in fields.collect::<std::collections::BTreeSet<_>>() {
        assert!(help.contains(field.as_str()), "the help does not have {field}");
    }
    let other = patient.doctor(User::Admin, &["--webhook-configuration=other"]);
    assert_eq!(other.code, 1);
    line(&other.out, &["PROBLEM", "there is no MutatingWebhookConfiguration named other"]);
    // Who has rights in the namespace only sees that a Pod gets its presets, and what they may not see.
    let kubectl = patient.plane.kubectl(User::Admin, SHOP);
    kubectl.run(&["create", "rolebinding", "author", "--clusterrole=edit", "--user=author"]).fine();
    // Without the list of all namespaces' ConfigMaps the namespace's own are read.
    let said = wait::until("the author's rights", || {
        let said = patient.doctor(User::Author, &[]);
        if said.out.contains("gets podpreset-one") { Ok(said) } else { Err(said.out) }
    });
    assert_eq!(said.code, 0, "{}", said.out);
    line(&said.out, &["unknown", "registration: it cannot be read"]);
    // Who may nothing is told that nothing could be tried.
    let said = patient.doctor(User::Stranger, &[]);
    assert_eq!(said.code, 1, "{}", said.out);
    line(&said.out, &["PROBLEM", "no Pod can be tried in shop", "forbidden"]);
    line(&said.out, &["do: say with -n a namespace in which you may create Pods"]);
    // Whatever is not fine says what to do.
    for user in [User::Author, User::Stranger] {
        let json: Value = serde_json::from_str(&patient.doctor(user, &["-o", "json"]).out).unwrap();
        for finding in json["findings"].as_array().unwrap().iter().filter(|finding| finding["state"] != "fine") {
            assert!(finding["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{finding}");
        }
    }
}

fn wrong_bundle(patient: &Patient) {
    let serving = start(patient);
    let other = crate::harness::authority::Authority::new().unwrap();
    for policy in ["Ignore", "Fail"] {
        let _registered = patient.register(&serving, &other.pem, policy);
        let found = patient.finds(&["certificate", "caBundle of webhook podgraft.podgraft.dev", "does not verify"]);
        assert!(found.contains("put the right authority into caBundle"), "{found}");
        if policy == "Ignore" {
            patient.finds(&["dry run", "the API server could not call Podgraft"]);
        } else {
            patient.finds(&["dry run", "no Pod can be created where it is asked", "x509"]);
        }
    }
}

fn expired(patient: &Patient) {
    let serving = start(patient);
    let registered = patient.register(&serving, &patient.plane.authority.pem, "Fail");
    // A pair that is good for some seconds takes its place, and is kept as there is none after it.
    let leaf = patient.plane.authority.leaf_for(&[], 6).unwrap();
    let folder = serving.presets();
    let folder = folder.parent().unwrap();
    fs::write(folder.join("tls.key"), &leaf.key).unwrap();
    fs::write(folder.join("tls.crt"), &leaf.certificate).unwrap();
    let found = patient.finds(&["certificate", "expired at"]);
    assert!(found.contains("renew it"), "{found}");
    // A connection that the API server has is not verified again. One with another bundle, if only by a line, is new.
    drop(registered);
    let _registered = patient.register(&serving, &format!("{}\n", patient.plane.authority.pem), "Fail");
    patient.finds(&["dry run", "shows an expired certificate"]);
}

fn unreachable(patient: &Patient) {
    for policy in ["Ignore", "Fail"] {
        let serving = start(patient);
        let _registered = patient.register(&serving, &patient.plane.authority.pem, policy);
        drop(serving);
        if policy == "Ignore" {
            let found = patient.finds(&["dry run", "the API server could not call Podgraft", "created the Pod without it"]);
            assert!(found.contains("kubectl get pods"), "{found}");
        } else {
            let found = patient.finds(&["dry run", "cannot be reached by the API server", "connection refused"]);
            assert!(found.contains("kubectl delete mutatingwebhookconfiguration"), "{found}");
        }
        line(&patient.doctor(User::Admin, &[]).out, &["unknown", "certificate: ", "cannot be seen from here"]);
    }
}

/// Who takes connections and says nothing is waited for once, not for each preset.
fn silent(patient: &Patient) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/mutate", listener.local_addr().unwrap());
    for number in 0..9 {
        patient.apply(SHOP, &map(SHOP, &format!("more-{number}"), &json!({"more.yaml": preset(&format!("more-{number}"), "M", "1")})));
    }
    for policy in ["Ignore", "Fail"] {
        let _registered = patient.register_at(&url, &patient.plane.authority.pem, policy);
        let found =
            patient.finds(&["dry run", if policy == "Ignore" { "could not call Podgraft" } else { "cannot be reached by the API server" }]);
        assert!(found.contains("do: "), "{found}");
        let started = std::time::Instant::now();
        let said = patient.doctor(User::Admin, &[]);
        assert!(started.elapsed() < std::time::Duration::from_secs(40), "{:?}", started.elapsed());
        line(&said.out, &["unknown", "presets: 10 read, none was tried"]);
        assert!(!said.out.contains("was not tried"), "{}", said.out);
    }
    let names: Vec<String> = (0..9).map(|number| format!("more-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    patient.plane.kubectl(User::Admin, SHOP).run(&[&["delete", "configmap"], &names[..]].concat()).fine();
}

/// The registration of /validate is looked at, too.
fn presets_before_they_are_written(patient: &Patient) {
    const PATH: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    let serving = start(patient);
    let _registered = patient.register(&serving, &patient.plane.authority.pem, "Ignore");
    let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "podgraft"},
    "webhooks": [{
        "name": "configmaps.podgraft.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Ignore",
        "clientConfig": {"service": {"namespace": patient.account.namespace, "name": "podgraft", "path": "/validate"}},
        "rules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
        "objectSelector": {"matchLabels": {"podgraft.dev/presets": "true"}},
    }]});
    patient.api.post(PATH, &object).object("the registration of /validate");
    let said = patient.doctor(User::Admin, &[]);
    line(&said.out, &["fine", "webhook configmaps.podgraft.dev in ValidatingWebhookConfiguration podgraft, failurePolicy Ignore"]);
    line(&said.out, &["warning", "has a rule for podpresets, clusterpodpresets"]);
    line(&said.out, &["unknown", "certificate: which one webhook configmaps.podgraft.dev is served with", "there is no Service"]);
    patient.api.delete(&format!("{PATH}/podgraft")).unwrap();
    // At the place of the other one, with nobody in its bundle that signed.
    let mut at_url = object.clone();
    let bundle = base64::engine::general_purpose::STANDARD.encode(crate::harness::authority::Authority::new().unwrap().pem);
    at_url["webhooks"][0]["clientConfig"] = json!({"url": serving.url().replace("/mutate", "/validate"), "caBundle": bundle});
    patient.api.post(PATH, &at_url).object("the registration of /validate");
    let found = patient.finds(&[
        "certificate",
        "caBundle of webhook configmaps.podgraft.dev in ValidatingWebhookConfiguration podgraft",
        "does not verify",
    ]);
    assert!(found.contains("put the right authority into caBundle"), "{found}");
    line(&patient.doctor(User::Admin, &[]).out, &["fine", "certificate: the one of webhook podgraft.podgraft.dev"]);
    patient.api.delete(&format!("{PATH}/podgraft")).unwrap();
}

/// One that does not learn of new presets.
fn old_presets(patient: &Patient) {
    let old = preset("one", "A", "old").replace("{name: one}", &format!("{{name: one, namespace: {SHOP}}}"));
    let serving = Serving::start(&patient.plane, "stuck", &old).unwrap_or_else(|trouble| panic!("{trouble}"));
    let _registered = patient.register(&serving, &patient.plane.authority.pem, "Ignore");
    let said = wait::until("the doctor to see it", || {
        let said = patient.doctor(User::Admin, &[]);
        if said.out.contains("dry run: a Pod of shop gets another version of podpreset-one") { Ok(said) } else { Err(said.out) }
    });
    line(&said.out, &["do: see podgraft_store_age_seconds"]);
}

/// Without -n, where the namespace of the context is none of those that opted in.
fn without_a_namespace(patient: &Patient) {
    let serving = start(patient);
    let kubectl = patient.plane.kubectl(User::Admin, SHOP);
    let registration = Registration {
        failure_policy: "Ignore",
        timeout: 5,
        namespaces: json!({"matchLabels": {"podgraft.dev/inject": "enabled"}}),
        ..Registration::of("podgraft", "")
    };
    let _registered = Registered::make(patient.api.clone(), &registration.object(&serving.url(), &patient.plane.authority.pem));
    let own = format!("--podgraft-namespace={}", patient.account.namespace);
    let ask = || podgraft(&patient.plane, User::Admin, &["doctor", &own], "");
    let said = ask();
    line(&said.out, &["unknown", "namespaces: no Pod is tried: default is the namespace of your context", "podgraft.dev/inject"]);
    kubectl.run(&["label", "namespace", SHOP, "podgraft.dev/inject=enabled"]).fine();
    let said = wait::until("all to be well", || {
        let said = ask();
        if said.code == 0 { Ok(said) } else { Err(said.out) }
    });
    line(&said.out, &["fine", "dry run: a Pod of shop gets podpreset-one"]);
    kubectl.run(&["label", "namespace", SHOP, "podgraft.dev/inject-"]).fine();
    patient.finds(&["namespaces: shop is not reached"]);
}

fn exempt(patient: &Patient) {
    let serving = start(patient);
    let _registered = patient.register(&serving, &patient.plane.authority.pem, "Ignore");
    for (namespace, why) in [("closed", "its labels do not satisfy kubernetes.io/metadata.name notin"), ("kube-public", "is exempt")] {
        let own = format!("--podgraft-namespace={}", patient.account.namespace);
        let said = podgraft(&patient.plane, User::Admin, &["doctor", "-n", namespace, &own], "");
        assert_eq!(said.code, 1, "{}", said.out);
        line(&said.out, &["PROBLEM", "namespaces: ", namespace, why]);
    }
    // A preset that can have no effect.
    patient.apply("closed", &map("closed", "team", &json!({"one.yaml": preset("idle", "A", "1")})));
    let found = patient.finds(&["presets: PodPreset closed/idle has no effect"]);
    assert!(found.contains("let the registration reach the namespace"), "{found}");
    patient.plane.kubectl(User::Admin, "closed").run(&["delete", "configmap", "team"]).fine();
}

fn refused(patient: &Patient) {
    let serving = start(patient);
    let _registered = patient.register(&serving, &patient.plane.authority.pem, "Ignore");
    let class = preset("class", "B", "1").replace("env: [{name: B, value: '1'}]", "template: {spec: {priorityClassName: nowhere}}");
    patient.apply(SHOP, &map(SHOP, "class", &json!({"class.yaml": class})));
    let found =
        patient.finds(&["presets: PodPreset shop/class", "the API server refuses a Pod with it", "no PriorityClass with name nowhere"]);
    assert!(found.contains("correct the preset"), "{found}");
    // It is the preset's fault, not that of the namespace.
    let found = patient.finds(&["dry run: a Pod of shop that gets ", "podpreset-class", "is refused", "no PriorityClass"]);
    assert!(found.contains("see the findings about presets above"), "{found}");
    patient.apply(SHOP, &map(SHOP, "class", &json!({"class.yaml": "{{{"})));
    let found = patient.finds(&["presets: configmap shop/class key class.yaml:1:"]);
    assert!(found.contains("the last good version"), "{found}");
}

/// As it is installed: called by the Service's name, and seen at its address; from where that cannot be reached, in the Secret.
fn behind_a_service(patient: &Patient) {
    let namespace = &patient.account.namespace;
    patient.plane.kubectl(User::Admin, SHOP).run(&["delete", "configmap", "class"]).fine();
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "podgraft"}, "spec": {"ports": [{"port": 8443}]}});
    let service = patient.api.post(&format!("/api/v1/namespaces/{namespace}/services"), &service).object("the Service");
    let authority = &patient.plane.authority;
    let listen = format!("--listen={}:8443", service["spec"]["clusterIP"].as_str().unwrap());
    let serving = Serving::start_within(&patient.plane, &patient.account, "", &[&listen]).unwrap_or_else(|trouble| panic!("{trouble}"));
    let _registered = patient.register_service(&authority.pem);
    let asked = format!("podgraft.{namespace}.svc");
    // The pair of these tests is for loopback only.
    let found = patient.finds(&["certificate", "is for localhost", &format!("the API server asks for {asked}")]);
    assert!(found.contains("make one for that name"), "{found}");
    let leaf = authority.leaf(&[&asked]).unwrap();
    let folder = serving.presets();
    let folder = folder.parent().unwrap();
    fs::write(folder.join("tls.key"), &leaf.key).unwrap();
    fs::write(folder.join("tls.crt"), &leaf.certificate).unwrap();
    let said = wait::until("all to be well", || {
        let said = patient.doctor(User::Admin, &[]);
        if said.code == 0 { Ok(said) } else { Err(said.out) }
    });
    line(&said.out, &["fine", &format!("at the Service {namespace}/podgraft is verified by the registration")]);
    // Nobody is there, and the Secret tells what will be.
    drop(serving);
    let other = crate::harness::authority::Authority::new().unwrap().leaf(&[&asked]).unwrap();
    patient.apply(
        namespace,
        &json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "certs"},
        "stringData": {"tls.crt": other.certificate, "tls.key": other.key}}),
    );
    patient.finds(&["certificate", "does not verify the one that is served"]);
    let said = patient.doctor(User::Admin, &[]);
    assert!(!said.out.contains("PRIVATE") && !said.out.contains(other.key.lines().nth(1).unwrap()), "no key is shown");
}
