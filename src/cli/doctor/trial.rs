//! The proof: a Pod, sent as a dry run, has the presets that it should have.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Patient;
use super::findings::Findings;
use super::registration::Webhook;
use crate::cli::cluster::sample;
use crate::cli::source::Fault;
use crate::graft::{self, Subject};
use crate::preset::{Preset, RECORD_PREFIX, Scope};
use crate::tree;

const ABOUT: &str = "dry run";

/// How long the API server waits for a webhook, where the registration may not be read: the chart's value.
const USUAL: Duration = Duration::from_secs(5);

/// Podgraft holds what was written some time ago at the latest.
const IN_FORCE: Duration = Duration::from_secs(2);

/// The versions of presets, by the keys of their records.
type Records = BTreeMap<String, String>;

/// Tries it. `reached`: whether the namespace is. Says whether the API server can call Podgraft, as far as that shows.
///
/// # Errors
/// Nobody answers.
pub(super) fn examine(patient: &Patient<'_>, reached: Option<bool>, findings: &mut Findings) -> Result<bool, Fault> {
    let Patient { cluster, namespace, webhooks, .. } = patient;
    if reached == Some(false) || webhooks.as_ref().is_some_and(Vec::is_empty) {
        let text = format!("no Pod was tried, as nobody would be asked about one of {namespace}");
        findings.unknown(ABOUT, text, "mend what is said above, or say with -n a namespace that is reached");
        return Ok(true);
    }
    let counted = failed_open(patient)?;
    let patience = webhooks.iter().flatten().map(|webhook| webhook.timeout).min().unwrap_or(USUAL);
    for strict in [false, true] {
        let (pod, expected) = specimen(patient, strict);
        let started = Instant::now();
        let answer = sample::send(cluster, namespace, &pod)?;
        let in_time = started.elapsed() < patience;
        if answer.is_fine() {
            let opened = matches!((counted, failed_open(patient)?), (Some(before), Some(after)) if after > before);
            let got = again(patient, &pod, &expected, answer.value())?;
            judge(patient, &got, &expected, opened, findings);
            return Ok(in_time && !opened);
        }
        let words = answer.message();
        if let Some(webhook) = blamed(webhooks.as_deref(), &words) {
            let (what, advice) = diagnosis(&words);
            let more = format!("{what}, and no Pod can be created where it is asked (failurePolicy Fail): {words}");
            findings.problem(ABOUT, format!("webhook {webhook} {more}"), advice);
            return Ok(false);
        }
        if !strict {
            continue;
        }
        // The same Pod without presets shows whose fault it is.
        if !expected.is_empty() && sample::send(cluster, namespace, &sample::left_alone(&pod))?.is_fine() {
            let which: Vec<&str> = expected.keys().map(String::as_str).collect();
            findings.problem(
                ABOUT,
                format!("a Pod of {namespace} that gets {} is refused: {words}", which.join(", ")),
                "correct the preset: see the findings about presets above",
            );
        } else {
            findings.problem(
                ABOUT,
                format!("no Pod can be tried in {namespace}: {words}"),
                "say with -n a namespace in which you may create Pods",
            );
        }
        return Ok(in_time);
    }
    Ok(true)
}

/// The Pod as it came, or as it comes a moment later where it has another version of a preset: one may just have been written.
fn again(patient: &Patient<'_>, pod: &Value, expected: &Records, got: Value) -> Result<Value, Fault> {
    let other = |(record, version): (&String, &String)| recorded(&got, record).is_some_and(|seen| seen != version);
    if !expected.iter().any(other) {
        return Ok(got);
    }
    std::thread::sleep(IN_FORCE);
    let answer = sample::send(patient.cluster, &patient.namespace, pod)?;
    Ok(if answer.is_fine() { answer.value() } else { got })
}

/// Whether a preset is for Pods of a namespace with these labels.
pub(super) fn applies(preset: &Preset, namespace: &str, labels: &[(String, String)]) -> bool {
    match (&preset.spec().key.scope, &preset.spec().namespace_selector) {
        (Scope::Namespace(own), _) => own == namespace,
        (Scope::Cluster, Some(selector)) => selector.matches(labels),
        (Scope::Cluster, None) => true,
    }
}

/// A Pod of the namespace, and the presets that it should get.
fn specimen(patient: &Patient<'_>, strict: bool) -> (Value, Records) {
    let Patient { namespace, namespaces, set, webhooks, .. } = patient;
    let labels = namespaces.get(namespace).cloned().unwrap_or_else(|| crate::cli::treat::namespace_labels(&[], namespace));
    let here = set.presets().iter().filter(|preset| !preset.is_shadow() && applies(preset, namespace, &labels));
    for preset in here {
        let Some(mut pod) = sample::pod(preset, strict) else { continue };
        wanted(webhooks.as_deref(), &mut pod);
        let text = pod.to_string();
        let Ok(tree) = tree::parse(&text) else { continue };
        let subject = Subject { pod: &tree, namespace, namespace_labels: &labels, extra_labels: &[], claims: &[], exempt: &[] };
        let Ok(grafted) = graft::graft(&subject, set) else { continue };
        let records: Records = grafted.applied.into_iter().map(|applied| (applied.record, applied.version)).collect();
        if !records.is_empty() {
            return (pod, records);
        }
    }
    let mut plain = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "podgraft-check-"},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}});
    wanted(webhooks.as_deref(), &mut plain);
    (plain, Records::new())
}

/// Gives a Pod the labels without which no webhook is asked about it.
fn wanted(webhooks: Option<&[Webhook]>, pod: &mut Value) {
    let Some(webhook) = webhooks.and_then(<[Webhook]>::first) else { return };
    let labels = crate::cli::overlap::specimen::labels(std::iter::once(&webhook.objects)).unwrap_or_default();
    for (key, value) in labels {
        pod["metadata"]["labels"][key] = Value::String(value);
    }
}

/// The version of a preset that a Pod has.
fn recorded<'p>(pod: &'p Value, record: &str) -> Option<&'p str> {
    pod["metadata"]["annotations"][format!("{RECORD_PREFIX}{record}")].as_str()
}

fn judge(patient: &Patient<'_>, got: &Value, expected: &Records, opened: bool, findings: &mut Findings) {
    let namespace = &patient.namespace;
    let missing: Vec<&str> = expected.keys().filter(|record| recorded(got, record).is_none()).map(String::as_str).collect();
    let other: Vec<&str> = expected
        .iter()
        .filter(|(record, version)| recorded(got, record) != Some(version.as_str()))
        .map(|(record, _)| record.as_str())
        .collect();
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
    } else if !other.is_empty() {
        findings.warning(
            ABOUT,
            format!("a Pod of {namespace} gets another version of {} than there is now: Podgraft holds old presets", other.join(", ")),
            "see podgraft_store_age_seconds, and Podgraft's log: may it list and watch them (its ClusterRole)?",
        );
    } else if expected.is_empty() {
        findings.unknown(
            ABOUT,
            format!("no preset applies in {namespace}, so a Pod does not show whether Podgraft is asked"),
            "say with -n a namespace where one does",
        );
    } else {
        let all: Vec<&str> = expected.keys().map(String::as_str).collect();
        findings.fine(ABOUT, format!("a Pod of {namespace} gets {}", all.join(", ")));
    }
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
