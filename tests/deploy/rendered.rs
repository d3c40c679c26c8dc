//! The install files for kubectl are the chart, rendered.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Tests;
use crate::helm;

pub const TESTS: Tests = &[("each_install_file_is_the_chart_rendered", files), ("the_registration_comes_last", last)];

/// Files of `deploy/`, and the values that each has.
pub const FILES: &[(&str, &[&str])] = &[
    ("install.yaml", &[]),
    ("install-opt-in.yaml", &["webhook.reach=OptInNamespace"]),
    (
        "install-cert-manager.yaml",
        &["certificates.mode=secret", "certificates.certManager.enabled=true", "webhook.excludeNamespaces={cert-manager}"],
    ),
];

/// A namespace in which only Pods run that meet the strictest standard: Podgraft's do.
const NAMESPACE: &str = "apiVersion: v1
kind: Namespace
metadata:
  name: podgraft
  labels:
    pod-security.kubernetes.io/enforce: restricted
";

pub fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

fn files() {
    for (file, values) in FILES {
        let flags: Vec<String> = values.iter().map(|value| format!(" --set '{value}'")).collect();
        let head = format!(
            "# Written by UPDATE_GOLDEN=1 cargo test --test deploy rendered; the chart is the source. It is\n# helm template podgraft deploy/chart --namespace podgraft{}\n# with a namespace before it.\n",
            flags.concat()
        );
        let rendered = helm::template(values).fine().out;
        let text = format!("{head}{NAMESPACE}{rendered}");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(path(file), &text).unwrap();
        }
        let there = fs::read_to_string(path(file)).unwrap_or_default();
        assert!(there == text, "deploy/{file} is not the chart as it is: run with UPDATE_GOLDEN=1");
    }
}

/// kubectl goes from top to bottom: what stands last is asked last, and who answers is there by then. (Custom resources come after it: with
/// cert-manager the bundle is empty until its Certificate is issued, and calls fail till then, as they do before a Pod is Ready.)
fn last() {
    for (file, _) in FILES {
        let objects = helm::read(&fs::read_to_string(path(file)).unwrap());
        let kinds: Vec<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
        let at = |kind: &str| kinds.iter().position(|other| *other == kind).unwrap_or_else(|| panic!("{file}: no {kind}"));
        assert_eq!(kinds[0], "Namespace");
        let registered = at("MutatingWebhookConfiguration").min(at("ValidatingWebhookConfiguration"));
        for before in ["Deployment", "Service", "ClusterRoleBinding", "RoleBinding"] {
            assert!(at(before) < registered, "{file}: {before} comes after the registration");
        }
    }
}
