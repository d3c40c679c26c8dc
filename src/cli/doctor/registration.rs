//! The registration: is it there, what does it say, whom does it reach.

use serde_json::Value;

use super::Patient;
use super::findings::Findings;
use crate::cli::cluster::namespaces::is_ours;
use crate::cli::cluster::{Cluster, bytes};
use crate::cli::source::Fault;
use crate::selector::{Requirement, Selector};

const PATH: &str = "/apis/admissionregistration.k8s.io/v1";

/// Where the API server calls a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// At a URL's host and port.
    Url {
        /// The host's name or address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// At a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
    },
}

impl Target {
    /// The name that the API server expects in the certificate.
    pub(super) fn server_name(&self) -> String {
        match self {
            Target::Url { host, .. } => host.clone(),
            Target::Service { namespace, name, .. } => format!("{name}.{namespace}.svc"),
        }
    }

    fn of(client: &Value) -> Option<Target> {
        let port = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
        if let Some(url) = client["url"].as_str() {
            let rest = url.strip_prefix("https://")?.split(['/', '?']).next()?;
            let (host, port) = match rest.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
                _ => (rest, 443),
            };
            return Some(Target::Url { host: host.trim_matches(['[', ']']).to_owned(), port });
        }
        let text = |key: &str| client["service"][key].as_str().map(str::to_owned);
        Some(Target::Service { namespace: text("namespace")?, name: text("name")?, port: port(&client["service"]["port"]) })
    }
}

/// One webhook that is asked about Pods.
#[derive(Clone, Debug)]
pub(super) struct Webhook {
    /// The configuration that has it.
    pub(super) configuration: String,
    /// Its own name, as messages of the API server have it.
    pub(super) name: String,
    /// Where it is called.
    pub(super) target: Target,
    /// The bundle, PEM; empty where there is none.
    pub(super) bundle: Vec<u8>,
    /// `Fail` or `Ignore`.
    pub(super) failure_policy: String,
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

/// Reads the registration and says what is wrong with it. `None`: it cannot be read.
///
/// # Errors
/// Nobody answers.
pub(super) fn examine(cluster: &Cluster, name: Option<&str>, findings: &mut Findings) -> Result<Option<Vec<Webhook>>, Fault> {
    let ours = |configuration: &&Value| match name {
        Some(name) => configuration["metadata"]["name"] == name,
        None => is_ours(configuration),
    };
    let answer = cluster.get(&format!("{PATH}/mutatingwebhookconfigurations"))?;
    if !answer.is_fine() {
        findings.unknown(
            "registration",
            format!("it cannot be read: {}", answer.message()),
            "ask somebody who may `kubectl get mutatingwebhookconfigurations`; the dry-run Pod below shows whether it works",
        );
        return Ok(None);
    }
    let list = answer.value();
    let mut webhooks = Vec::new();
    let configurations: Vec<&Value> = list["items"].as_array().into_iter().flatten().filter(ours).collect();
    if configurations.is_empty() {
        let which = name.map_or_else(|| "of Podgraft's".to_owned(), |name| format!("named {name}"));
        findings.problem(
            "registration",
            format!("there is no MutatingWebhookConfiguration {which}: the API server asks nobody, and no Pod gets its presets"),
            "install it with the chart (`helm upgrade --install podgraft ...`), or say its name with --webhook-configuration",
        );
    }
    for configuration in configurations {
        of_configuration(configuration, &mut webhooks, findings);
    }
    let validating = cluster.get(&format!("{PATH}/validatingwebhookconfigurations"))?;
    let there = validating.value()["items"].as_array().is_some_and(|items| items.iter().any(|one| ours(&one)));
    if validating.is_fine() && !there && !webhooks.is_empty() {
        findings.warning(
            "registration",
            "there is no ValidatingWebhookConfiguration: a broken preset is not refused when it is written, and whoever may write ConfigMaps may \
             plant presets"
                .to_owned(),
            "set `validation.enabled` in the chart's values",
        );
    }
    Ok(Some(webhooks))
}

fn of_configuration(configuration: &Value, webhooks: &mut Vec<Webhook>, findings: &mut Findings) {
    let owner = configuration["metadata"]["name"].as_str().unwrap_or_default();
    let about = "registration";
    let mut asked = 0;
    for webhook in configuration["webhooks"].as_array().into_iter().flatten().filter(|webhook| asks_about_pods(webhook)) {
        asked += 1;
        let name = webhook["name"].as_str().unwrap_or_default().to_owned();
        let Some(target) = Target::of(&webhook["clientConfig"]) else {
            findings.problem(about, format!("webhook {name} in {owner} has no place to be called at"), "install the chart again");
            continue;
        };
        let text = |key: &str, default: &str| webhook[key].as_str().unwrap_or(default).to_owned();
        let (failure_policy, reinvocation) = (text("failurePolicy", "Fail"), text("reinvocationPolicy", "Never"));
        if reinvocation != "IfNeeded" {
            findings.warning(
                about,
                format!("webhook {name} in {owner} has reinvocationPolicy {reinvocation}: containers that other webhooks add later do not get presets"),
                "set reinvocationPolicy: IfNeeded",
            );
        }
        let seconds = webhook["timeoutSeconds"].as_u64().unwrap_or(10);
        findings.fine(about, format!("webhook {name} in {owner}, failurePolicy {failure_policy}, {seconds} s"));
        webhooks.push(Webhook {
            configuration: owner.to_owned(),
            name,
            target,
            bundle: bytes(&webhook["clientConfig"]["caBundle"]),
            failure_policy,
            namespaces: selector(&webhook["namespaceSelector"]),
            objects: selector(&webhook["objectSelector"]),
        });
    }
    if asked == 0 {
        findings.problem(
            about,
            format!("no webhook in {owner} has a rule for the creation of Pods: the API server does not ask about them"),
            "install the chart again",
        );
    }
}

fn asks_about_pods(webhook: &Value) -> bool {
    let has = |rule: &Value, key: &str, words: &[&str]| {
        rule[key].as_array().is_some_and(|all| all.iter().filter_map(Value::as_str).any(|word| words.contains(&word)))
    };
    let rules = webhook["rules"].as_array().into_iter().flatten();
    let mut about = rules.filter(|rule| {
        has(rule, "resources", &["pods", "*", "*/*"]) && has(rule, "operations", &["CREATE", "*"]) && has(rule, "apiGroups", &["", "*"])
    });
    about.next().is_some()
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
    let Patient { namespace, namespaces, exempt, webhooks, .. } = patient;
    let webhooks = webhooks.as_ref().filter(|webhooks| !webhooks.is_empty())?;
    let missed: Vec<&str> = namespaces.keys().map(String::as_str).filter(|name| why_not(patient, name).is_some()).collect();
    if namespaces.len() > 1 {
        let reached = namespaces.len() - missed.len();
        let all = namespaces.len();
        let those = if missed.is_empty() { String::new() } else { format!("; not {}", listed(&missed)) };
        findings.fine("namespaces", format!("{reached} of {all} are reached{those}"));
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
    fn places_at_which_webhooks_are_called() {
        let url = |url: &str| Target::of(&json!({"url": url}));
        let at = |host: &str, port| Some(Target::Url { host: host.to_owned(), port });
        assert_eq!(url("https://127.0.0.1:8443/mutate"), at("127.0.0.1", 8443));
        assert_eq!(url("https://hooks.example/mutate?x=1"), at("hooks.example", 443));
        assert_eq!(url("https://[::1]:9443/"), at("::1", 9443));
        assert_eq!(url("https://[::1]/"), at("::1", 443));
        assert_eq!(url("http://x"), None);
        let service = Target::of(&json!({"service": {"namespace": "p", "name": "podgraft", "path": "/mutate"}})).unwrap();
        assert_eq!(service.server_name(), "podgraft.p.svc");
        assert_eq!(service, Target::Service { namespace: "p".into(), name: "podgraft".into(), port: 443 });
    }

    #[test]
    fn rules_about_the_creation_of_pods() {
        let rule = |group: &str, resource: &str, operation: &str| {
            asks_about_pods(&json!({"rules": [{"apiGroups": [group], "resources": [resource], "operations": [operation]}]}))
        };
        assert!(rule("", "pods", "CREATE") && rule("*", "*", "*"));
        assert!(!rule("", "pods", "UPDATE") && !rule("apps", "pods", "CREATE") && !rule("", "pods/status", "CREATE"));
    }
}
