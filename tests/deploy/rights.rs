//! What Podgraft may touch: `rights.txt` has it, rule by rule, and an API server says the same of its account.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::Tests;
use crate::harness::plane::User;
use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::helm;

pub const TESTS: Tests = &[("each_right_is_written_down", written), ("no_right_is_a_wildcard_or_reaches_pods", narrow)];

pub const STORIES: Stories = &[("the_account_may_do_that_and_nothing_more", account), ("teams_may_write_pod_presets", teams)];

const MODES: [&str; 3] = ["managed", "secret", "files"];

/// One right: everywhere or in its own namespace; resource, names, verbs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    everywhere: bool,
    resource: String,
    names: Vec<String>,
    verbs: BTreeSet<String>,
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// The rights of Podgraft's own account.
fn of(objects: &[Value], name: &str) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for role in objects
        .iter()
        .filter(|object| ["Role", "ClusterRole"].iter().any(|kind| object["kind"] == *kind) && object["metadata"]["name"] == name)
    {
        for rule in role["rules"].as_array().unwrap() {
            for (group, resource) in strings(&rule["apiGroups"])
                .iter()
                .flat_map(|group| strings(&rule["resources"]).into_iter().map(move |resource| (group.clone(), resource)))
            {
                let (plural, rest) =
                    resource.split_once('/').map_or((resource.as_str(), String::new()), |(plural, rest)| (plural, format!("/{rest}")));
                let resource = if group.is_empty() { resource.clone() } else { format!("{plural}.{group}{rest}") };
                let verbs = strings(&rule["verbs"]).into_iter().collect();
                rights.insert(Right { everywhere: role["kind"] == "ClusterRole", resource, names: strings(&rule["resourceNames"]), verbs });
            }
        }
    }
    rights
}

fn in_mode(mode: &str) -> Vec<Value> {
    helm::objects(&[&format!("certificates.mode={mode}")])
}

fn written() {
    let mut text = "# What Podgraft's account may do. Written by UPDATE_GOLDEN=1 cargo test --test deploy written_down\n".to_owned();
    for mode in MODES {
        text.push_str(&format!("\ncertificates.mode: {mode}\n"));
        for right in of(&in_mode(mode), "podgraft") {
            let place = if right.everywhere { "everywhere" } else { "own namespace" };
            let names = if right.names.is_empty() { String::new() } else { format!(" {}", right.names.join(" ")) };
            text.push_str(&format!("  {place}: {}{names}: {}\n", right.resource, right.verbs.into_iter().collect::<Vec<_>>().join(" ")));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/rights.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text);
}

fn narrow() {
    for mode in MODES {
        let objects = in_mode(mode);
        for role in objects.iter().filter(|object| object["kind"].as_str().unwrap_or_default().ends_with("Role")) {
            assert!(!role.to_string().contains("\"*\""), "{role}");
        }
        for right in of(&objects, "podgraft") {
            let resource = right.resource.split(['.', '/']).next().unwrap_or_default().to_owned();
            assert!(!["pods", "nodes", "serviceaccounts", "roles", "clusterroles"].contains(&resource.as_str()), "{mode}: {right:?}");
            let only_create = right.verbs.iter().eq(["create"]);
            if ["secrets", "leases", "mutatingwebhookconfigurations", "validatingwebhookconfigurations"].contains(&resource.as_str()) {
                assert!(only_create || right.names.len() == 1, "{mode}: {right:?} has no name");
            }
            assert!(!["secrets", "leases"].contains(&resource.as_str()) || !right.everywhere, "{mode}: {right:?}");
            assert!(!right.verbs.contains("delete") && !right.verbs.contains("deletecollection"), "{mode}: {right:?}");
        }
    }
    // Where others keep the certificates it writes neither the Secret nor the registration.
    for mode in ["secret", "files"] {
        for right in of(&in_mode(mode), "podgraft")
            .iter()
            .filter(|right| ["secrets", "mutatingweb", "validatingweb"].iter().any(|start| right.resource.starts_with(start)))
        {
            assert!(right.verbs.iter().all(|verb| ["get", "list", "watch"].contains(&verb.as_str())), "{mode}: {right:?}");
        }
    }
}

/// What an API server says that somebody may do in a namespace: `kubectl auth can-i --list`, less what anybody may.
fn said(story: &Story, account: &str, namespace: &str) -> BTreeSet<(String, Vec<String>, BTreeSet<String>)> {
    let kubectl = story.kubectl();
    let read = |line: &str| {
        // RESOURCE [PATHS] [NAMES] [VERBS]
        let (resource, rest) = line.split_once(char::is_whitespace)?;
        let words = |list: &str| list.split_whitespace().map(str::to_owned).collect::<Vec<String>>();
        let lists: Vec<Vec<String>> = rest.split('[').skip(1).map(|list| words(list.split(']').next().unwrap_or_default())).collect();
        let [_, names, verbs] = <[Vec<String>; 3]>::try_from(lists).ok()?;
        Some((resource.to_owned(), names, verbs.into_iter().collect()))
    };
    let list = |account: &str| -> BTreeSet<_> {
        let account = format!("--as=system:serviceaccount:{account}");
        let said = kubectl.run(&["auth", "can-i", "--list", "--no-headers", "--namespace", namespace, &account]).fine();
        said.out.lines().map(|line| read(line).unwrap_or_else(|| panic!("{line}"))).collect()
    };
    let anybody = list(&format!("{}:default", story.name));
    list(account).difference(&anybody).cloned().collect()
}

fn account(story: &Story) {
    for mode in MODES {
        let release = format!("rights-{mode}");
        let namespace = release.as_str();
        let values = ["crds.install=false", &format!("certificates.mode={mode}"), &format!("fullnameOverride={release}")]
            .map(|value| format!("--set={value}"));
        let mut arguments = vec!["install", &release, helm::CHART, "--namespace", namespace, "--create-namespace"];
        arguments.extend(values.iter().map(String::as_str));
        helm::run(&arguments, Some(&story.plane.kubeconfig(User::Admin))).fine();
        let manifest =
            helm::run(&["get", "manifest", &release, "--namespace", namespace], Some(&story.plane.kubeconfig(User::Admin))).fine();
        let granted = of(&helm::read(&manifest.out), &release);
        let wanted = |own: bool| -> BTreeSet<_> {
            // Rules without names of one resource are one line.
            granted
                .iter()
                .filter(|right| own || right.everywhere)
                .map(|right| (right.resource.clone(), right.names.clone(), right.verbs.clone()))
                .collect()
        };
        let account = format!("{namespace}:{release}");
        wait::until("the rights to be granted", || {
            let (here, there) = (said(story, &account, namespace), said(story, &account, &story.name));
            if here == wanted(true) && there == wanted(false) { Ok(()) } else { Err((here, there)) }
        });
        helm::run(&["uninstall", &release, "--namespace", namespace], Some(&story.plane.kubeconfig(User::Admin))).fine();
    }
}

/// Who may `edit` or `admin` in a namespace writes PodPresets there, and nothing for others.
fn teams(story: &Story) {
    let objects = helm::objects(&["fullnameOverride=teams"]);
    let api = &story.api;
    for role in ["teams-edit", "teams-view"] {
        api.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", helm::one(&objects, "ClusterRole", role)).object(role);
    }
    for (name, role) in [("author", "edit"), ("stranger", "view")] {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
        });
        api.post(&format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings", story.name), &binding).object(name);
    }
    let may = |user: User, verb: &str, resource: &str, namespace: &str| {
        let (group, plural) = ("podgraft.dev", resource);
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"group": group, "resource": plural, "verb": verb, "namespace": namespace}},
        });
        let answer = story.plane.api(user).post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).object("the review");
        answer["status"]["allowed"] == true
    };
    for verb in ["get", "list", "watch", "create", "update", "patch", "delete"] {
        wait::until(&format!("edit to {verb}"), || if may(User::Author, verb, "podpresets", &story.name) { Ok(()) } else { Err("no") });
    }
    // The same for `admin`: somebody without a token.
    let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings", story.name);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "chief"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "chief"}],
    });
    api.post(&path, &binding).object("chief");
    let chief = |verb: &str, resource: &str, namespace: &str| {
        let attributes = json!({"group": "podgraft.dev", "resource": resource, "verb": verb, "namespace": namespace});
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": "chief", "groups": ["system:authenticated"], "resourceAttributes": attributes},
        });
        api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).object("the review")["status"]["allowed"] == true
    };
    wait::until("admin to create", || if chief("create", "podpresets", &story.name) { Ok(()) } else { Err("no") });
    assert!(chief("deletecollection", "podpresets", &story.name));
    assert!(!chief("create", "podpresets", "default") && !chief("create", "clusterpodpresets", &story.name));
    wait::until("view to get", || if may(User::Stranger, "get", "podpresets", &story.name) { Ok(()) } else { Err("no") });
    assert!(!may(User::Stranger, "create", "podpresets", &story.name));
    assert!(!may(User::Author, "create", "podpresets", "default"), "another team's namespace");
    assert!(!may(User::Author, "create", "clusterpodpresets", ""), "everybody's");
    for role in ["teams-edit", "teams-view"] {
        api.delete(&format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}")).unwrap();
    }
}
