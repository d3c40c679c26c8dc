//! The registration: is it there, what does it say, whom does it reach.

use std::time::Duration;

use serde_json::Value;

use super::Patient;
use super::findings::Findings;
use crate::cli::cluster::namespaces::is_ours;
use crate::cli::cluster::{Cluster, bytes};
use crate::cli::source::Fault;
use crate::selector::{Requirement, Selector};
use crate::server::identity::target::Target;

const ABOUT: &str = "registration";

const PATH: &str = "/apis/admissionregistration.k8s.io/v1";

/// One webhook of ours.
#[derive(Clone, Debug)]
pub(super) struct Webhook {
    /// The configuration that has it: `MutatingWebhookConfiguration podgraft`.
    pub(super) configuration: String,
    /// Its own name, as messages of the API server have it.
    pub(super) name: String,
    /// Where it is called.
    pub(super) target: Target,
    /// The bundle, PEM; empty where there is none.
    pub(super) bundle: Vec<u8>,
    /// `Fail` or `Ignore`.
    pub(super) failure_policy: String,
    /// How long the API server waits for it.
    pub(super) timeout: Duration,
    /// Over namespaces' labels.
    pub(super) namespaces: Selector,
    /// Over Pods' labels.
    pub(super) objects: Selector,
}

impl Webhook {
    /// The namespace of its Service.
    pub(super) fn service_namespace(&self) -> Option<&str> {
        match &self.target {
            Target::Service { namespace, .. } => Some(namespace),
            Target::Url { .. } => None,
        }
    }
}

/// The webhooks of ours.
#[derive(Debug)]
pub(super) struct Registered {
    /// Those that are asked about Pods; `None`: they cannot be read.
    pub(super) pods: Option<Vec<Webhook>>,
    /// Those that are asked about presets.
    pub(super) presets: Vec<Webhook>,
}

/// Reads the registration and says what is wrong with it.
///
/// # Errors
/// Nobody answers.
pub(super) fn examine(cluster: &Cluster, name: Option<&str>, findings: &mut Findings) -> Result<Registered, Fault> {
    let ours = |configuration: &&Value| match name {
        Some(name) => configuration["metadata"]["name"] == name,
        None => is_ours(configuration),
    };
    let answer = cluster.get(&format!("{PATH}/mutatingwebhookconfigurations"))?;
    if !answer.is_fine() {
        findings.unknown(
            ABOUT,
            format!("it cannot be read: {}", answer.message()),
            "ask somebody who may `kubectl get mutatingwebhookconfigurations`; the dry-run Pod below shows whether it works",
        );
        return Ok(Registered { pods: None, presets: Vec::new() });
    }
    let list = answer.value();
    let configurations: Vec<&Value> = list["items"].as_array().into_iter().flatten().filter(ours).collect();
    if configurations.is_empty() {
        let which = name.map_or_else(|| "of Podgraft's".to_owned(), |name| format!("named {name}"));
        findings.problem(
            ABOUT,
            format!("there is no MutatingWebhookConfiguration {which}: the API server asks nobody, and no Pod gets its presets"),
            "install it with the chart (`helm upgrade --install podgraft ...`), or say its name with --webhook-configuration",
        );
    }
    let pods: Vec<Webhook> = configurations.iter().flat_map(|configuration| about_pods(configuration, findings)).collect();
    let validating = cluster.get(&format!("{PATH}/validatingwebhookconfigurations"))?;
    let list = validating.value();
    let configurations: Vec<&Value> = list["items"].as_array().into_iter().flatten().filter(ours).collect();
    let presets = if validating.is_fine() && !pods.is_empty() { about_presets(&configurations, findings) } else { Vec::new() };
    Ok(Registered { pods: Some(pods), presets })
}

/// The webhooks of a mutating configuration that are asked about Pods.
fn about_pods(configuration: &Value, findings: &mut Findings) -> Vec<Webhook> {
    let mut webhooks = Vec::new();
    let owner = format!("MutatingWebhookConfiguration {}", configuration["metadata"]["name"].as_str().unwrap_or_default());
    let all = configuration["webhooks"].as_array().into_iter().flatten();
    let asked: Vec<&Value> = all.filter(|webhook| asks_about(webhook, &POD)).collect();
    for webhook in &asked {
        let Some(read) = read(&owner, webhook, findings) else { continue };
        let reinvocation = webhook["reinvocationPolicy"].as_str().unwrap_or("Never");
        if reinvocation != "IfNeeded" {
            let name = &read.name;
            findings.warning(
                ABOUT,
                format!("webhook {name} in {owner} has reinvocationPolicy {reinvocation}: containers that other webhooks add later do not get presets"),
                "set reinvocationPolicy: IfNeeded",
            );
        }
        webhooks.push(read);
    }
    if asked.is_empty() {
        findings.problem(
            ABOUT,
            format!("no webhook in {owner} has a rule for the creation of Pods: the API server does not ask about them"),
            "install the chart again",
        );
    }
    webhooks
}

/// The webhooks of validating configurations that are asked about presets.
fn about_presets(configurations: &[&Value], findings: &mut Findings) -> Vec<Webhook> {
    if configurations.is_empty() {
        findings.warning(
            ABOUT,
            "there is no ValidatingWebhookConfiguration: a broken preset is not refused when it is written, and whoever may write ConfigMaps may \
             plant presets"
                .to_owned(),
            "set `validation.enabled` in the chart's values",
        );
        return Vec::new();
    }
    let mut webhooks = Vec::new();
    let all = [&CONFIG_MAP, &POD_PRESET, &CLUSTER_POD_PRESET];
    let mut unasked = all.to_vec();
    for configuration in configurations {
        let owner = format!("ValidatingWebhookConfiguration {}", configuration["metadata"]["name"].as_str().unwrap_or_default());
        for webhook in configuration["webhooks"].as_array().into_iter().flatten() {
            unasked.retain(|object| !asks_about(webhook, object));
            if all.iter().any(|object| asks_about(webhook, object)) {
                webhooks.extend(read(&owner, webhook, findings));
            }
        }
    }
    if !unasked.is_empty() {
        let unasked: Vec<&str> = unasked.iter().map(|object| object.resource).collect();
        findings.warning(
            ABOUT,
            format!(
                "no webhook of a ValidatingWebhookConfiguration has a rule for {}: presets in them are not examined when they are written, and \
                 whoever may write them may plant some",
                unasked.join(", ")
            ),
            "install the chart again",
        );
    }
    webhooks
}

/// Reads one, and says that it is there.
fn read(owner: &str, webhook: &Value, findings: &mut Findings) -> Option<Webhook> {
    let name = webhook["name"].as_str().unwrap_or_default().to_owned();
    let client = &webhook["clientConfig"];
    let service = &client["service"];
    let service =
        service["namespace"].as_str().zip(service["name"].as_str()).map(|(namespace, name)| (namespace, name, service["port"].as_i64()));
    let Some(target) = Target::of(client["url"].as_str(), service) else {
        findings.problem(ABOUT, format!("webhook {name} in {owner} has no place to be called at"), "install the chart again");
        return None;
    };
    let failure_policy = webhook["failurePolicy"].as_str().unwrap_or("Fail").to_owned();
    let seconds = webhook["timeoutSeconds"].as_u64().unwrap_or(10);
    findings.fine(ABOUT, format!("webhook {name} in {owner}, failurePolicy {failure_policy}, {seconds} s"));
    Some(Webhook {
        configuration: owner.to_owned(),
        name,
        target,
        bundle: bytes(&client["caBundle"]),
        failure_policy,
        timeout: Duration::from_secs(seconds),
        namespaces: selector(&webhook["namespaceSelector"]),
        objects: selector(&webhook["objectSelector"]),
    })
}

/// What rules can be about.
struct Object {
    group: &'static str,
    resource: &'static str,
}

const POD: Object = Object { group: "", resource: "pods" };
const CONFIG_MAP: Object = Object { group: "", resource: "configmaps" };
const POD_PRESET: Object = Object { group: "podgraft.dev", resource: "podpresets" };
const CLUSTER_POD_PRESET: Object = Object { group: "podgraft.dev", resource: "clusterpodpresets" };

/// Whether a webhook has a rule for the creation of such objects.
fn asks_about(webhook: &Value, object: &Object) -> bool {
    let has = |rule: &Value, list: &str, words: &[&str]| {
        rule[list].as_array().is_some_and(|all| all.iter().filter_map(Value::as_str).any(|word| words.contains(&word)))
    };
    let mut rules = webhook["rules"].as_array().into_iter().flatten();
    rules.any(|rule| {
        has(rule, "resources", &[object.resource, "*", "*/*"])
            && has(rule, "operations", &["CREATE", "*"])
            && has(rule, "apiGroups", &[object.group, "*"])
    })
}

/// A label selector as the API server has checked it.
fn selector(value: &Value) -> Selector {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels = value["matchLabels"].as_object().into_iter().flatten();
    let mut requirements: Vec<Requirement> = labels.map(|(key, value)| Requirement::In(key.clone(), vec![text(value)])).collect();
    for term in value["matchExpressions"].as_array().into_iter().flatten() {
        let key = text(&term["key"]);
        let values: Vec<String> = term["values"].as_array().into_iter().flatten().map(text).collect();
        requirements.push(match term["operator"].as_str() {
            Some("In") => Requirement::In(key, values),
            Some("NotIn") => Requirement::NotIn(key, values),
            Some("DoesNotExist") => Requirement::DoesNotExist(key),
            _ => Requirement::Exists(key),
        });
    }
    Selector { requirements }
}

/// Says which namespaces are reached. Whether the one in which a Pod is tried is; `None`: that cannot be known.
pub(super) fn reach(patient: &Patient<'_>, findings: &mut Findings) -> Option<bool> {
    let Patient { namespace, stated, namespaces, exempt, webhooks, .. } = patient;
    let webhooks = webhooks.as_ref().filter(|webhooks| !webhooks.is_empty())?;
    let missed: Vec<&str> = namespaces.keys().map(String::as_str).filter(|name| why_not(patient, name).is_some()).collect();
    if namespaces.len() > 1 {
        let reached = namespaces.len() - missed.len();
        let all = namespaces.len();
        let those = if missed.is_empty() { String::new() } else { format!("; not {}", listed(&missed)) };
        findings.fine("namespaces", format!("{reached} of {all} are reached{those}"));
    }
    if let Some(why) = why_not(patient, namespace).filter(|_| !stated) {
        findings.unknown(
            "namespaces",
            format!("no Pod is tried: {namespace} is the namespace of your context, and nobody is asked about it: {why}"),
            "say with -n a namespace in which presets apply",
        );
        return Some(false);
    }
    if exempt.contains(namespace) {
        findings.problem(
            "namespaces",
            format!("{namespace} is exempt: Podgraft leaves its Pods alone"),
            "try a namespace of your own with -n; presets for this one have no effect",
        );
        return Some(false);
    }
    if !namespaces.contains_key(namespace) && webhooks.iter().any(|webhook| !webhook.namespaces.requirements.is_empty()) {
        findings.unknown("namespaces", format!("the labels of {namespace} are not known"), "say another one with -n");
        return None;
    }
    if let Some(why) = why_not(patient, namespace) {
        findings.problem(
            "namespaces",
            format!("{namespace} is not reached: {why}"),
            "label the namespace as the registration's namespaceSelector asks (`webhook.reach` and the like in the chart's values), or try \
             another one with -n",
        );
        return Some(false);
    }
    Some(true)
}

/// Why no Pod of a namespace is asked about; `None`: they are, or nobody knows.
pub(super) fn why_not(patient: &Patient<'_>, name: &str) -> Option<String> {
    if patient.exempt.iter().any(|exempt| exempt == name) {
        return Some("it is exempt".to_owned());
    }
    let labels = patient.namespaces.get(name)?;
    let mut why = None;
    for webhook in patient.webhooks.iter().flatten() {
        let failing: Vec<String> = webhook.namespaces.failing(&labels[..]).map(ToString::to_string).collect();
        if failing.is_empty() {
            return None;
        }
        why.get_or_insert_with(|| format!("its labels do not satisfy {} of webhook {}", failing.join(", "), webhook.name));
    }
    why
}

/// The first few of many.
fn listed(names: &[&str]) -> String {
    const MOST: usize = 8;
    let shown = names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{shown} and {} more", names.len() - MOST) } else { shown }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_about_the_creation_of_pods() {
        let rule = |group: &str, resource: &str, operation: &str| {
            asks_about(&json!({"rules": [{"apiGroups": [group], "resources": [resource], "operations": [operation]}]}), &POD)
        };
        assert!(rule("", "pods", "CREATE") && rule("*", "*", "*"));
        assert!(!rule("", "pods", "UPDATE") && !rule("apps", "pods", "CREATE") && !rule("", "pods/status", "CREATE"));
    }

    #[test]
    fn what_the_registration_lacks_is_said() {
        let client = json!({"url": "https://podgraft.example/validate"});
        let rule = |group: &str, resource: &str| json!({"apiGroups": [group], "resources": [resource], "operations": ["CREATE", "UPDATE"]});
        let webhook = |rules: Value, policy: &str| json!({"metadata": {"name": "p"}, "webhooks": [{"name": "x.podgraft.dev", "clientConfig": client, "rules": rules, "reinvocationPolicy": policy}]});
        let said = |findings: &Findings| findings.written(crate::cli::args::ReportOutput::Text);
        let mut findings = Findings::default();
        assert_eq!(about_pods(&webhook(json!([rule("", "pods")]), "IfNeeded"), &mut findings).len(), 1);
        assert!(said(&findings).ends_with("0 problems, 0 warnings; 0 things could not be examined\n"), "{}", said(&findings));
        about_pods(&webhook(json!([rule("", "pods")]), "Never"), &mut findings);
        assert!(
            said(&findings)
                .contains("warning  registration: webhook x.podgraft.dev in MutatingWebhookConfiguration p has reinvocationPolicy Never")
        );
        assert!(about_pods(&webhook(json!([rule("", "configmaps")]), "IfNeeded"), &mut findings).is_empty());
        assert!(
            said(&findings)
                .contains("PROBLEM  registration: no webhook in MutatingWebhookConfiguration p has a rule for the creation of Pods")
        );

        let mut findings = Findings::default();
        let (maps, resources) = (rule("", "configmaps"), [rule("podgraft.dev", "podpresets"), rule("podgraft.dev", "clusterpodpresets")]);
        let some = webhook(json!([maps]), "");
        assert_eq!(about_presets(&[&some], &mut findings).len(), 1);
        assert!(said(&findings).contains("has a rule for podpresets, clusterpodpresets: "), "{}", said(&findings));
        let mut findings = Findings::default();
        assert_eq!(about_presets(&[&some, &webhook(json!(resources), "")], &mut findings).len(), 2);
        assert!(said(&findings).contains("0 problems, 0 warnings"), "{}", said(&findings));
        assert!(about_presets(&[], &mut findings).is_empty());
        assert!(said(&findings).contains("warning  registration: there is no ValidatingWebhookConfiguration"));
    }
}
