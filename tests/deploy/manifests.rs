//! Every manifest of `deploy/` and `policies/`, as an API server reads it: strictly, as a dry run, with the custom resources that it needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::plane::User;
use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::helm;
use crate::registered::{LESS, VARIANTS};
use crate::rendered::{self, FILES};

pub const STORIES: Stories = &[("each_is_taken_strictly", taken)];

/// Modules that have the definitions of other people's custom resources, and which of them are wanted.
const DEFINITIONS: &[(&str, &str, &[&str])] = &[
    ("github.com/cert-manager/cert-manager", "deploy/crds", &["cert-manager.io_certificates.yaml", "cert-manager.io_issuers.yaml"]),
    (
        "github.com/prometheus-operator/prometheus-operator",
        "example/prometheus-operator-crd",
        &["monitoring.coreos.com_servicemonitors.yaml", "monitoring.coreos.com_prometheusrules.yaml"],
    ),
];

/// The folder of a module, downloaded where it is not there and held against `go.sum`.
fn module(name: &str) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/crds");
    let mut go = Command::new("go");
    let output =
        go.args(["mod", "download", "-json", name]).current_dir(source).env("GOFLAGS", "-mod=readonly").env_remove("GOWORK").output();
    let output = output.unwrap_or_else(|error| panic!("go cannot be run ({error})"));
    assert!(output.status.success(), "{name}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    PathBuf::from(said["Dir"].as_str().unwrap())
}

/// Puts custom resource definitions there, waiting until they are served.
fn define(story: &Story, file: &Path) {
    let kubectl = story.kubectl();
    let path = file.display().to_string();
    kubectl.run(&["apply", "--server-side", "-f", &path]).fine();
    kubectl.until_established(&["-f", &path]);
}

/// The manifests of a folder of the repository.
fn manifests(folder: &str) -> Vec<PathBuf> {
    let listed =
        Command::new("git").args(["ls-files", &format!("{folder}/*.yaml")]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    text.lines().map(|path| Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).collect()
}

fn taken(story: &Story) {
    for (name, folder, files) in DEFINITIONS {
        let module = module(name);
        for file in *files {
            define(story, &module.join(folder).join(file));
        }
    }
    // Its own are brought by a release that has nothing else to do.
    let admin = story.plane.kubeconfig(User::Admin);
    let values = ["fullnameOverride=definitions", "replicas=0", "webhook.enabled=false", "validation.enabled=false"];
    let mut install = vec!["install", "definitions", helm::CHART, "--namespace=definitions", "--create-namespace"];
    install.extend(values.iter().flat_map(|value| ["--set", value]));
    helm::run(&install, Some(&admin)).fine();
    let kinds = ["crd/podpresets.podgraft.dev", "crd/clusterpodpresets.podgraft.dev"];
    story.kubectl().until_established(&kinds);
    // Podgraft's Pods meet the strictest standard; hostNetwork does not.
    story.namespace("podgraft");
    let standard = json!({"metadata": {"labels": {"pod-security.kubernetes.io/warn": "restricted"}}});
    story.api.patch("/api/v1/namespaces/podgraft", "merge", &standard).object("a label");
    let strictly = |namespace: &str, what: &str, text: &str| {
        let kubectl = story.kubectl().within(namespace);
        // A kind is served a moment after its definition is established.
        let tried = wait::until_within(Duration::from_secs(20), what, || {
            let said = kubectl.run_with(&["apply", "--dry-run=server", "--validate=strict", "-f", "-"], text);
            if said.code == 0 { Ok(said) } else { Err(format!("{}{}", said.out, said.err)) }
        });
        let said = tried.unwrap_or_else(|trouble| panic!("{trouble}"));
        // The namespace is there, and kubectl did not make it.
        let meant = |warning: &&str| !warning.contains("kubectl.kubernetes.io/last-applied-configuration");
        let warnings: Vec<String> = said.warnings().into_iter().filter(meant).map(str::to_owned).collect();
        (said.out.lines().count(), warnings)
    };
    for (file, _) in FILES {
        let (number, warnings) = strictly("podgraft", file, &fs::read_to_string(rendered::path(file)).unwrap());
        assert!(number >= 10 && warnings.is_empty(), "{file}: {warnings:?}");
    }
    for values in VARIANTS {
        let (number, warnings) = strictly("podgraft", &format!("{values:?}"), &helm::template(values).fine().out);
        let (restricted, least) = (warnings.is_empty(), if *values == LESS { 4 } else { 10 });
        assert!(number >= least && restricted != values.contains(&"hostNetwork=true"), "{values:?}: {warnings:?}");
    }
    // Names that Helm lets a release have, and Kubernetes no Service; one that is a number.
    for release in ["my.podgraft", "2024", "1e3"] {
        let said = helm::run(&["template", release, helm::CHART, "--namespace=podgraft", "--kube-version=1.36.0"], None).fine();
        let (number, warnings) = strictly("podgraft", release, &said.out);
        assert!(number >= 10 && warnings.is_empty(), "{release}: {warnings:?}");
    }
    let others = manifests("policies");
    assert!(others.len() >= 25, "{others:?}");
    for file in others {
        let (number, warnings) = strictly("default", &file.display().to_string(), &fs::read_to_string(&file).unwrap());
        assert!(number > 0 && warnings.is_empty(), "{}: {warnings:?}", file.display());
    }
    // They, and with them every preset, outlive the release.
    helm::run(&["uninstall", "definitions", "--namespace=definitions"], Some(&admin)).fine();
    story.kubectl().run(&["get", kinds[0], kinds[1]]).fine();
}
