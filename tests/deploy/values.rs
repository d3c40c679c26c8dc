//! Values: what is refused, what each option makes, and that the table of the README is what `values.yaml` says.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::Tests;
use crate::helm::{self, CHART};

pub const TESTS: Tests = &[
    ("wrong_values_are_refused_by_name", refused),
    ("a_cluster_that_is_too_old_is_refused", too_old),
    ("each_option_makes_what_it_says", options),
    ("the_defaults_are_those_that_are_promised", defaults),
    ("the_schema_knows_every_value_and_no_other", schema),
    ("the_readme_has_every_value", table),
    ("the_chart_is_of_this_version", version),
];

/// Wrong values, and a word that the refusal must have.
const WRONG: &[(&[&str], &str)] = &[
    (&["replicaCount=3"], "replicaCount"),
    (&["replicas=-1"], "/replicas"),
    (&["fullnameOverride=my.podgraft"], "/fullnameOverride"),
    (&["nameOverride=2024"], "/nameOverride"),
    (&["guarantee.presets[0].record=audit"], "/guarantee/presets/0/record"),
    (&["guarantee.actions={Refuse}"], "/guarantee/actions/0"),
    (&["webhook.failurePolicy=Sometimes"], "/webhook/failurePolicy"),
    (&["webhook.timeoutSeconds=0"], "/webhook/timeoutSeconds"),
    (&["webhook.timeoutSeconds=31"], "/webhook/timeoutSeconds"),
    (&["webhook.reach=Everything"], "/webhook/reach"),
    (&["webhook.excludeNamespaces={Shop}"], "/webhook/excludeNamespaces/0"),
    (&["webhook.namespaceExpressions[0].key=a"], "/webhook/namespaceExpressions/0"),
    (&["validation.failurePolicy=Closed"], "/validation/failurePolicy"),
    (&["certificates.mode=ephemeral"], "/certificates/mode"),
    (&["certificates.leafLifetime=90d"], "/certificates/leafLifetime"),
    (&["certificates.certManager.issuerRef.nmae=x"], "nmae"),
    (&["image.digest=latest"], "/image/digest"),
    (&["image.repository="], "/image/repository"),
    (&["image.pullPolicy=Sometimes"], "/image/pullPolicy"),
    (&["ports.webhook=443"], "/ports/webhook"),
    (&["logLevel=loud"], "/logLevel"),
    (&["extraArgs={serve}"], "/extraArgs/0"),
    (&["podDisruptionBudget.maxUnavailable=0"], "/podDisruptionBudget/maxUnavailable"),
    (&["presets.a\\.yaml=5"], "/presets/a.yaml"),
    (&["networkPolicy.apiServerPorts=null"], "networkPolicy"),
    // What only the templates see.
    (&["terminationGracePeriodSeconds=25"], "terminationGracePeriodSeconds is 25: it must be more than"),
    (&["shutdownDelaySeconds=95"], "together, which are 105"),
    (&["drainTimeoutSeconds=20"], "together, which are 35"),
    (&["certificates.certManager.enabled=true"], "needs certificates.mode secret or files"),
    (&["ports.webhook=9000", "ports.admin=9000"], "ports.webhook and ports.admin"),
    (&["service.port=8080"], "service.port and ports.admin"),
    (&["certificates.leafLifetime=5s"], "leafLifetime must be at least 10s"),
    (&["certificates.leafLifetime=9999ms"], "leafLifetime must be at least 10s"),
    (&["certificates.caLifetime=1h"], "caLifetime must be at least certificates.leafLifetime"),
    (&["serviceAccount.create=false"], "serviceAccount.name"),
];

fn refused() {
    for (values, word) in WRONG {
        let said = helm::template(values).refused();
        assert!(said.contains(word), "{values:?}: {said}");
    }
}

fn too_old() {
    let render = |version: &str| helm::run(&["template", "podgraft", CHART, "--kube-version", version], None);
    assert!(render("1.28.15").refused().contains("kubeVersion: >=1.29.0-0"));
    render("1.29.0").fine();
    // As managed clusters call themselves.
    render("1.29.4-gke.1043002").fine();
    let guarantee = |version: &str| {
        helm::run(&["template", "podgraft", CHART, "--kube-version", version, "--set=guarantee.presets[0].record=podpreset-a"], None)
    };
    assert!(guarantee("1.29.15").refused().contains("guarantee.presets needs Kubernetes 1.30"));
    guarantee("1.30.1-gke.1").fine();
}

/// Values; kind and name of an object; a place in it; what is there.
type Option = (&'static [&'static str], &'static str, &'static str, &'static str, Value);

fn options() {
    let container = "/spec/template/spec/containers/0";
    let hook = "/webhooks/0";
    let table: Vec<Option> = vec![
        (&["replicas=3"], "Deployment", "podgraft", "/spec/replicas", json!(3)),
        (&["image.tag=v2"], "Deployment", "podgraft", "/spec/template/spec/containers/0/image", json!("ghcr.io/podgraft/podgraft:v2")),
        (&["hostNetwork=true"], "Deployment", "podgraft", "/spec/template/spec/dnsPolicy", json!("ClusterFirstWithHostNet")),
        // Its ports are the nodes': a new Pod finds none free before an old one has gone.
        (&["hostNetwork=true"], "Deployment", "podgraft", "/spec/strategy/rollingUpdate", json!({"maxSurge": 0, "maxUnavailable": 1})),
        (&["priorityClassName="], "Deployment", "podgraft", "/spec/template/spec/priorityClassName", Value::Null),
        (
            &["serviceAccount.create=false", "serviceAccount.name=mine"],
            "Deployment",
            "podgraft",
            "/spec/template/spec/serviceAccountName",
            json!("mine"),
        ),
        (&["fullnameOverride=grafter"], "Service", "grafter", "/spec/ports/0/port", json!(443)),
        (
            &["fullnameOverride=grafter"],
            "MutatingWebhookConfiguration",
            "grafter",
            "/webhooks/0/clientConfig/service/name",
            json!("grafter"),
        ),
        (&["service.port=8443"], "MutatingWebhookConfiguration", "podgraft", "/webhooks/0/clientConfig/service/port", json!(8443)),
        (&["ports.webhook=10250"], "Deployment", "podgraft", "/spec/template/spec/containers/0/ports/0/containerPort", json!(10250)),
        (&["webhook.failurePolicy=Fail"], "MutatingWebhookConfiguration", "podgraft", "/webhooks/0/failurePolicy", json!("Fail")),
        (&["webhook.timeoutSeconds=3"], "MutatingWebhookConfiguration", "podgraft", "/webhooks/0/timeoutSeconds", json!(3)),
        (
            &["webhook.reach=OptInPod"],
            "MutatingWebhookConfiguration",
            "podgraft",
            "/webhooks/0/objectSelector",
            json!({"matchLabels": {"podgraft.dev/inject": "enabled"}}),
        ),
        (&["validation.failurePolicy=Fail"], "ValidatingWebhookConfiguration", "podgraft", "/webhooks/1/failurePolicy", json!("Fail")),
        (
            &["criticalPodsQuota=true"],
            "ResourceQuota",
            "podgraft-critical",
            "/spec/scopeSelector/matchExpressions/0/values",
            json!(["system-cluster-critical"]),
        ),
        (&["networkPolicy.enabled=true"], "NetworkPolicy", "podgraft", "/spec/policyTypes", json!(["Ingress", "Egress"])),
        (&["serviceMonitor.enabled=true"], "ServiceMonitor", "podgraft", "/spec/endpoints/0/port", json!("admin")),
        (&["presets.a\\.yaml=kind: x"], "ConfigMap", "podgraft-presets", "/data/a.yaml", json!("kind: x")),
        (&["presets.a\\.yaml=kind: x"], "ConfigMap", "podgraft-presets", "/metadata/labels/podgraft.dev~1presets", json!("true")),
        (&[], "CustomResourceDefinition", "podpresets.podgraft.dev", "/metadata/annotations/helm.sh~1resource-policy", json!("keep")),
        (&["crds.keep=false"], "CustomResourceDefinition", "clusterpodpresets.podgraft.dev", "/metadata/annotations", Value::Null),
        (&["certificates.mode=files"], "Deployment", "podgraft", "/spec/template/spec/volumes/0/secret/secretName", json!("podgraft-tls")),
        (
            &["certificates.mode=files", "certificates.volume.emptyDir.medium=Memory"],
            "Deployment",
            "podgraft",
            "/spec/template/spec/volumes/0/emptyDir",
            json!({"medium": "Memory"}),
        ),
    ];
    for (values, kind, name, pointer, wanted) in table {
        let objects = helm::objects(values);
        let found = helm::one(&objects, kind, name).pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(found, wanted, "{values:?}: {kind} {pointer}");
    }
    // What is left away, wholly.
    for (value, kind) in [
        ("webhook.enabled=false", "MutatingWebhookConfiguration"),
        ("validation.enabled=false", "ValidatingWebhookConfiguration"),
        ("podDisruptionBudget.enabled=false", "PodDisruptionBudget"),
        ("rbac.create=false", "ClusterRoleBinding"),
        ("crds.install=false", "CustomResourceDefinition"),
    ] {
        assert!(helm::objects(&[value]).iter().all(|object| object["kind"] != kind), "{value} leaves a {kind}");
    }
    let arguments = |values: &[&str]| {
        let objects = helm::objects(values);
        helm::one(&objects, "Deployment", "podgraft").pointer(container).unwrap()["args"].clone()
    };
    let has = |values: &[&str], argument: &str| arguments(values).as_array().unwrap().contains(&json!(argument));
    assert!(has(&["shutdownDelaySeconds=95", "terminationGracePeriodSeconds=120"], "--shutdown-delay=95s"));
    assert!(has(
        &["webhook.excludeNamespaces={cni,cert-manager}"],
        "--exempt-namespaces=kube-system,kube-public,kube-node-lease,podgraft,cni,cert-manager"
    ));
    assert!(has(&["certificates.mode=secret", "certificates.secretName=s"], "--tls-secret=s"));
    assert!(has(&["certificates.mode=files"], "--tls-cert=/etc/podgraft/certs/tls.crt"));
    assert!(has(&["certificates.leafLifetime=24h"], "--leaf-lifetime=24h") && has(&[], "--service=podgraft"));
    let objects = helm::objects(&[
        "webhook.excludeNamespaces={cni}",
        "webhook.namespaceExpressions[0].key=team",
        "webhook.namespaceExpressions[0].operator=Exists",
    ]);
    let selector =
        &helm::one(&objects, "MutatingWebhookConfiguration", "podgraft").pointer(hook).unwrap()["namespaceSelector"]["matchExpressions"];
    assert_eq!(selector[0]["values"], json!(["kube-system", "kube-public", "kube-node-lease", "podgraft", "cni"]));
    assert_eq!(selector[2], json!({"key": "team", "operator": "Exists"}));
}

fn defaults() {
    let objects = helm::objects(&[]);
    let deployment = helm::one(&objects, "Deployment", "podgraft");
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(deployment["spec"]["strategy"], json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}));
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["resources"]["limits"].as_object().unwrap().keys().collect::<Vec<_>>(), ["memory"], "no CPU limit");
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "admin");
    }
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    let security = &container["securityContext"];
    assert_eq!((&security["readOnlyRootFilesystem"], &security["allowPrivilegeEscalation"]), (&json!(true), &json!(false)));
    assert_eq!((&security["capabilities"], &security["runAsNonRoot"]), (&json!({"drop": ["ALL"]}), &json!(true)));
    assert_eq!(pod["securityContext"]["seccompProfile"], json!({"type": "RuntimeDefault"}));
    assert_eq!(pod["priorityClassName"], "system-cluster-critical");
    let spread = pod["topologySpreadConstraints"].as_array().unwrap();
    assert!(spread.len() == 2 && spread.iter().all(|spread| spread["whenUnsatisfiable"] == "ScheduleAnyway"));
    assert!(pod["affinity"]["podAntiAffinity"].get("requiredDuringSchedulingIgnoredDuringExecution").is_none());
    let budget = &helm::one(&objects, "PodDisruptionBudget", "podgraft")["spec"];
    assert_eq!((&budget["maxUnavailable"], &budget["unhealthyPodEvictionPolicy"]), (&json!(1), &json!("AlwaysAllow")));
    // Its Pods are found by its Service, its budget and its spread.
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let selected = |selector: &Value| selector.as_object().unwrap().iter().all(|(key, value)| &labels[key] == value);
    assert!(selected(&helm::one(&objects, "Service", "podgraft")["spec"]["selector"]));
    assert!(selected(&budget["selector"]["matchLabels"]) && selected(&spread[0]["labelSelector"]["matchLabels"]));
}

fn schema() {
    let schema: Value = serde_json::from_str(&fs::read_to_string(Path::new(CHART).join("values.schema.json")).unwrap()).unwrap();
    let values = &helm::read(&fs::read_to_string(Path::new(CHART).join("values.yaml")).unwrap())[0];
    fn walk(path: &str, schema: &Value, values: &Value) {
        let Some(known) = schema["properties"].as_object() else { return };
        assert_eq!(schema["additionalProperties"], false, "{path} takes anything");
        for (key, schema) in known {
            // Helm hands `global` to every chart, and an entry that is empty by default has all its members to itself.
            let empty = values.as_object().is_none_or(serde_json::Map::is_empty);
            let there = values.get(key).or(if empty || key == "global" || key == "claims" { Some(&Value::Null) } else { None });
            walk(&format!("{path}.{key}"), schema, there.unwrap_or_else(|| panic!("values.yaml has no {path}.{key}")));
        }
    }
    walk("", &schema, values);
}

/// The rows of `values.yaml`: each leaf with its default as it is written and the comment above it.
fn rows() -> String {
    let text = fs::read_to_string(Path::new(CHART).join("values.yaml")).unwrap();
    let (mut rows, mut above, mut path) = (String::new(), Vec::new(), Vec::<(usize, &str)>::new());
    let mut lines = text.lines().skip_while(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        let depth = line.len() - trimmed.len();
        if let Some(comment) = trimmed.strip_prefix("# ") {
            above.push(comment);
            continue;
        }
        let Some((key, value)) = trimmed.split_once(':') else { continue };
        path.retain(|(other, _)| *other < depth);
        path.push((depth, key));
        let mut value = value.trim().to_owned();
        while lines.peek().is_some_and(|next| next.trim_start().starts_with("- ")) {
            value.push_str(lines.next().unwrap_or_default().trim_start());
        }
        if !value.is_empty() {
            let name: Vec<&str> = path.iter().map(|(_, key)| *key).collect();
            rows.push_str(&format!("| `{}` | `{value}` | {} |\n", name.join("."), above.join(". ")));
        }
        above.clear();
    }
    rows
}

fn table() {
    const START: &str = "| value | default | |\n|---|---|---|\n";
    let path = Path::new(CHART).join("../README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(START).expect("deploy/README.md has a table of values");
    let end = rest.find("\n\n").map_or(rest.len(), |end| end + 1);
    let rows = rows();
    assert!(rows.lines().count() > 60, "{rows}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{before}{START}{rows}{}", &rest[end..])).unwrap();
        return;
    }
    assert!(rest[..end] == rows, "run with UPDATE_GOLDEN=1 to write the table of deploy/README.md anew");
}

fn version() {
    let chart = &helm::read(&fs::read_to_string(Path::new(CHART).join("Chart.yaml")).unwrap())[0];
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    let objects = helm::objects(&[]);
    let image = &helm::one(&objects, "Deployment", "podgraft")["spec"]["template"]["spec"]["containers"][0]["image"];
    assert!(image.as_str().unwrap().ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{image}");
}
