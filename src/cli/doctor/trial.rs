//! The proof: a Pod, sent as a dry run, has the presets that it should have.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::Patient;
use super::findings::Findings;
use super::registration::Webhook;
use crate::cli::cluster::sample;
use crate::cli::source::Fault;
use crate::graft::{self, Subject};
use crate::preset::{Preset, Scope};
use crate::tree;

const ABOUT: &str = "dry run";

/// Tries it. `reached`: whether the namespace is.
///
/// # Errors
/// Nobody answers.
pub(super) fn examine(patient: &Patient<'_>, reached: Option<bool>, findings: &mut Findings) -> Result<(), Fault> {
    let Patient { cluster, namespace, webhooks, .. } = patient;
    if reached == Some(false) || webhooks.as_ref().is_some_and(Vec::is_empty) {
        findings.unknown(ABOUT, format!("no Pod was tried, as nobody would be asked about one of {namespace}"), "");
        return Ok(());
    }
    let counted = failed_open(patient)?;
    for strict in [false, true] {
        let (pod, expected) = specimen(patient, strict);
        let answer = sample::send(cluster, namespace, &pod)?;
        if !answer.is_fine() {
            let words = answer.message();
            if let Some(webhook) = blamed(webhooks.as_deref(), &words) {
                let (what, advice) = diagnosis(&words);
                let more = format!("{what}, and no Pod can be created where it is asked (failurePolicy Fail): {words}");
                findings.problem(ABOUT, format!("webhook {webhook} {more}"), advice);
                return Ok(());
            }
            if strict {
                findings.problem(
                    ABOUT,
                    format!("no Pod can be tried in {namespace}: {words}"),
                    "say with -n a namespace in which you may create Pods",
                );
            }
            continue;
        }
        let got = answer.value();
        judge(patient, &got, &expected, counted.as_ref(), findings)?;
        return Ok(());
    }
    Ok(())
}

/// A Pod of the namespace, and the presets that it should get, by the keys of their records.
fn specimen(patient: &Patient<'_>, strict: bool) -> (Value, BTreeSet<String>) {
    let Patient { namespace, namespaces, set, webhooks, .. } = patient;
    let labels = namespaces.get(namespace).cloned().unwrap_or_else(|| crate::cli::treat::namespace_labels(&[], namespace));
    let applies = |preset: &&Arc<Preset>| match (&preset.spec().key.scope, &preset.spec().namespace_selector) {
        (Scope::Namespace(own), _) => own == namespace,
        (Scope::Cluster, Some(selector)) => selector.matches(&labels[..]),
        (Scope::Cluster, None) => true,
    };
    for preset in set.presets().iter().filter(applies).filter(|preset| !preset.is_shadow()) {
        let Some(mut pod) = sample::pod(preset, strict) else { continue };
        wanted(webhooks.as_deref(), &mut pod);
        let text = pod.to_string();
        let Ok(tree) = tree::parse(&text) else { continue };
        let subject = Subject { pod: &tree, namespace, namespace_labels: &labels, extra_labels: &[], claims: &[], exempt: &[] };
        let Ok(grafted) = graft::graft(&subject, set) else { continue };
        let records: BTreeSet<String> = grafted.applied.into_iter().map(|applied| applied.record).collect();
        if !records.is_empty() {
            return (pod, records);
        }
    }
    let mut plain = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "podgraft-check-"},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}});
    wanted(webhooks.as_deref(), &mut plain);
    (plain, BTreeSet::new())
}

/// Gives a Pod the labels without which no webhook is asked about it.
fn wanted(webhooks: Option<&[Webhook]>, pod: &mut Value) {
    let Some(webhook) = webhooks.and_then(<[Webhook]>::first) else { return };
    let labels = crate::cli::overlap::specimen::labels(std::iter::once(&webhook.objects)).unwrap_or_default();
    for (key, value) in labels {
        pod["metadata"]["labels"][key] = Value::String(value);
    }
}

fn judge(
    patient: &Patient<'_>,
    got: &Value,
    expected: &BTreeSet<String>,
    before: Option<&f64>,
    findings: &mut Findings,
) -> Result<(), Fault> {
    let namespace = &patient.namespace;
    let annotations = got["metadata"]["annotations"].as_object();
    let recorded = |record: &&String| annotations.is_some_and(|all| all.contains_key(&format!("{}{record}", crate::preset::RECORD_PREFIX)));
    let missing: Vec<&str> = expected.iter().filter(|record| !recorded(record)).map(String::as_str).collect();
    let opened = match (before, failed_open(patient)?) {
        (Some(before), Some(after)) => after > *before,
        _ => false,
    };
    const LOOK: &str = "see the findings above, `kubectl get pods` in Podgraft's namespace and the log there; a NetworkPolicy or firewall may keep \
                        the API server from the webhook's port";
    if opened {
        findings.problem(
            ABOUT,
            "the API server could not call Podgraft, and created the Pod without it (failurePolicy Ignore)".to_owned(),
            LOOK,
        );
    } else if !missing.is_empty() {
        findings.problem(
            ABOUT,
            format!(
                "a Pod of {namespace} does not get {}: Podgraft cannot be called, is not asked, or does not hold the preset",
                missing.join(", ")
            ),
            LOOK,
        );
    } else if expected.is_empty() {
        findings.unknown(
            ABOUT,
            format!("no preset applies in {namespace}, so a Pod does not show whether Podgraft is asked"),
            "say with -n a namespace where one does",
        );
    } else {
        let all: Vec<&str> = expected.iter().map(String::as_str).collect();
        findings.fine(ABOUT, format!("a Pod of {namespace} gets {}", all.join(", ")));
    }
    Ok(())
}

/// How often the API server went on without us, as it counts; `None`: that may not be read.
fn failed_open(patient: &Patient<'_>) -> Result<Option<f64>, Fault> {
    let Some(webhooks) = patient.webhooks.as_ref().filter(|webhooks| webhooks.iter().any(|webhook| webhook.failure_policy == "Ignore"))
    else {
        return Ok(None);
    };
    let answer = patient.cluster.get("/metrics")?;
    if !answer.is_fine() {
        return Ok(None);
    }
    let ours = |line: &&str| webhooks.iter().any(|webhook| line.contains(&format!("name=\"{}\"", webhook.name)));
    let lines = answer.text.lines().filter(|line| line.starts_with("apiserver_admission_webhook_fail_open_count{"));
    Ok(Some(lines.filter(ours).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()))
}

/// The webhook of ours that the API server could not call.
fn blamed(webhooks: Option<&[Webhook]>, words: &str) -> Option<String> {
    let (_, rest) = words.split_once("failed calling webhook \"")?;
    let (name, _) = rest.split_once('"')?;
    let ours = webhooks.map_or_else(|| name.ends_with(".podgraft.dev"), |webhooks| webhooks.iter().any(|webhook| webhook.name == name));
    ours.then(|| name.to_owned())
}

/// What the API server's words about a failed call come to, and what to do.
fn diagnosis(words: &str) -> (&'static str, &'static str) {
    let has = |part: &str| words.contains(part);
    if has("certificate has expired") {
        return ("shows an expired certificate", "renew the certificate: certs/README.md says how in each mode");
    }
    if has("x509:") && has("unknown authority") {
        return ("shows a certificate that the registration's caBundle does not verify", "put the authority that signed it into caBundle");
    }
    if has("x509:") {
        return ("shows a certificate that the API server does not take", "make one for the name that the API server asks for");
    }
    if has("not found") && has("service") {
        return ("has no Service", "install the chart again");
    }
    (
        "cannot be reached by the API server",
        "see `kubectl get pods,endpointslices` in Podgraft's namespace; where nothing runs there, `kubectl delete mutatingwebhookconfiguration` lets \
         Pods be created again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_says_of_a_failed_call() {
        let failed = |why: &str| {
            format!(
                "Internal error occurred: failed calling webhook \"pods.podgraft.dev\": failed to call webhook: Post \"https://x/mutate?timeout=5s\": {why}"
            )
        };
        for (why, what) in [
            ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "caBundle does not verify"),
            ("tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time", "expired"),
            ("tls: failed to verify certificate: x509: certificate is valid for a, not b", "does not take"),
            ("dial tcp 10.0.0.1:443: connect: connection refused", "cannot be reached"),
            ("context deadline exceeded", "cannot be reached"),
            ("service \"podgraft\" not found", "no Service"),
        ] {
            let words = failed(why);
            assert_eq!(blamed(None, &words).as_deref(), Some("pods.podgraft.dev"));
            assert!(diagnosis(&words).0.contains(what), "{why}: {}", diagnosis(&words).0);
        }
        assert_eq!(blamed(None, &failed("x").replace("podgraft.dev", "example.org")), None);
        assert_eq!(blamed(None, "pods is forbidden"), None);
    }
}
