//! What the registrations ask the API server for, whatever the values: never more than Pods that are created, and presets that are written.

use serde_json::{Value, json};

use crate::Tests;
use crate::helm;

pub const TESTS: Tests = &[
    ("rules_never_widen", never_widen),
    ("names_are_qualified_and_of_one_release", names),
    ("nobody_but_the_keeper_of_certificates_has_the_bundle", bundle),
];

/// Sets of values between which everything is turned.
pub const VARIANTS: &[&[&str]] = &[
    &[],
    &["certificates.mode=secret"],
    &["certificates.mode=files"],
    &["certificates.mode=secret", "certificates.certManager.enabled=true"],
    &["certificates.mode=files", "certificates.certManager.enabled=true", "certificates.certManager.issuerRef.name=ours"],
    &["webhook.reach=OptInNamespace", "webhook.failurePolicy=Fail", "validation.failurePolicy=Fail"],
    &["webhook.reach=OptInPod", "webhook.excludeNamespaces={cni}", "hostNetwork=true", "service.port=8443"],
    &["networkPolicy.enabled=true", "serviceMonitor.enabled=true", "prometheusRule.enabled=true", "criticalPodsQuota=true"],
    &["webhook.namespaceExpressions[0].key=kubernetes.io/metadata.name", "webhook.namespaceExpressions[0].operator=Exists"],
    &[
        "guarantee.presets[0].record=clusterpodpreset-audit",
        "guarantee.presets[1].record=podpreset-web.logs",
        "guarantee.presets[1].objectSelector.matchLabels.app=web",
        "guarantee.presets[1].namespaceExpressions[0].key=team",
        "guarantee.presets[1].namespaceExpressions[0].operator=Exists",
        "guarantee.presets[1].validations[0].expression=size(object.spec.containers) > 1",
        "guarantee.presets[1].validations[0].message=there is no sidecar",
        "guarantee.actions={Warn,Audit}",
    ],
    EVERY_LIST,
    LESS,
];

/// A value in everything that is empty by default.
const EVERY_LIST: &[&str] = &[
    r"presets.a\.yaml=# nothing yet",
    "imagePullSecrets[0].name=registry",
    "extraArgs={--max-body=4MiB}",
    "extraEnv[0].name=RUST_BACKTRACE",
    "extraEnv[0].value=full",
    "extraVolumes[0].name=more",
    "extraVolumes[0].configMap.name=more",
    "extraVolumeMounts[0].name=more",
    "extraVolumeMounts[0].mountPath=/presets",
    "extraVolumeMounts[0].readOnly=true",
    "tolerations[0].key=dedicated",
    "tolerations[0].operator=Exists",
    "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey=kubernetes.io/hostname",
    "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchLabels.app=podgraft",
    "topologySpreadConstraints[0].labelSelector.matchLabels.app=podgraft",
    "topologySpreadConstraints[0].maxSkew=1",
    "topologySpreadConstraints[0].topologyKey=kubernetes.io/hostname",
    "topologySpreadConstraints[0].whenUnsatisfiable=DoNotSchedule",
    "podAnnotations.note=a",
    "podLabels.team=b",
    "commonLabels.owner=c",
    "serviceAccount.annotations.note=d",
    "service.annotations.note=e",
    "webhook.annotations.note=f",
    "validation.excludeNamespaces={other}",
    "image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "certificates.mode=files",
    "certificates.volume.emptyDir.medium=Memory",
    "networkPolicy.enabled=true",
    "networkPolicy.webhookFrom[0].ipBlock.cidr=10.0.0.0/8",
    "networkPolicy.apiServerTo[0].ipBlock.cidr=10.0.0.1/32",
    "serviceMonitor.enabled=true",
    "serviceMonitor.labels.release=prometheus",
    "prometheusRule.enabled=true",
    "prometheusRule.labels.release=prometheus",
    "prometheusRule.certificateLeft=600h",
    "podDisruptionBudget.maxUnavailable=50%",
];

/// Without all that can be left out.
pub const LESS: &[&str] = &[
    "serviceAccount.create=false",
    "serviceAccount.name=default",
    "rbac.create=false",
    "rbac.aggregate=false",
    "crds.install=false",
    "podDisruptionBudget.enabled=false",
    "priorityClassName=",
];

const KINDS: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// The webhooks of every registration of every variant.
fn webhooks(values: &[&str], kind: &str) -> Vec<Value> {
    let objects = helm::objects(values);
    helm::one(&objects, kind, "podgraft")["webhooks"].as_array().unwrap().clone()
}

fn never_widen() {
    let rule = |group: &str, version: &str, resource: &str, operations: Value, scope: &str| json!({"apiGroups": [group], "apiVersions": [version], "resources": [resource], "operations": operations, "scope": scope});
    for values in VARIANTS {
        let hooks = webhooks(values, KINDS[0]);
        assert_eq!(hooks.len(), 1, "{values:?}");
        let hook = &hooks[0];
        assert_eq!(hook["rules"], json!([rule("", "v1", "pods", json!(["CREATE"]), "Namespaced")]), "{values:?}");
        assert_eq!((&hook["sideEffects"], &hook["matchPolicy"]), (&json!("NoneOnDryRun"), &json!("Equivalent")));
        assert_eq!((&hook["reinvocationPolicy"], &hook["admissionReviewVersions"]), (&json!("IfNeeded"), &json!(["v1"])));
        assert_eq!(hook["clientConfig"]["service"]["path"], "/mutate");
        let left_alone = &hook["namespaceSelector"]["matchExpressions"][0];
        assert_eq!((&left_alone["key"], &left_alone["operator"]), (&json!("kubernetes.io/metadata.name"), &json!("NotIn")));
        for namespace in ["kube-system", "kube-public", "kube-node-lease", "podgraft"] {
            assert!(left_alone["values"].as_array().unwrap().contains(&json!(namespace)), "{values:?}: {namespace}");
        }
        let conditions = hook["matchConditions"].as_array().unwrap();
        assert_eq!(conditions.len(), 1);
        assert!(conditions[0]["expression"].as_str().unwrap().contains("kubernetes.io/config.mirror"));
        assert!(!hook.to_string().contains("podpreset.admission"), "the exclude annotation does not stop presets with optOut Denied");

        let both = json!(["CREATE", "UPDATE"]);
        let hooks = webhooks(values, KINDS[1]);
        assert_eq!(hooks.len(), 2, "{values:?}");
        assert_eq!(hooks[0]["rules"], json!([rule("", "v1", "configmaps", both.clone(), "Namespaced")]));
        assert_eq!(hooks[0]["objectSelector"], json!({"matchLabels": {"podgraft.dev/presets": "true"}}), "{values:?}: not every ConfigMap");
        let presets = [("podpresets", "Namespaced"), ("clusterpodpresets", "Cluster")];
        let rules = presets.map(|(resource, scope)| rule("podgraft.dev", "v1beta1", resource, both.clone(), scope));
        assert_eq!(hooks[1]["rules"], json!(rules), "{values:?}");
        assert!(hooks.iter().all(|hook| hook["sideEffects"] == "None" && hook["clientConfig"]["service"]["path"] == "/validate"));
    }
    for kind in KINDS {
        let hooks = webhooks(&[], kind);
        assert!(hooks.iter().all(|hook| hook["failurePolicy"] == "Ignore" && hook["timeoutSeconds"] == 5), "{kind}");
    }
}

fn names() {
    let of = |release: &str| {
        let said = helm::run(&["template", release, helm::CHART, "--namespace=podgraft", "--kube-version=1.36.0"], None).fine();
        let objects = helm::read(&said.out);
        let hooks = objects
            .iter()
            .filter(|object| KINDS.iter().any(|kind| object["kind"] == *kind))
            .flat_map(|object| object["webhooks"].as_array());
        hooks.flatten().map(|hook| hook["name"].as_str().unwrap().to_owned()).collect::<Vec<String>>()
    };
    let mut all = of("podgraft");
    assert_eq!(all, ["pods.podgraft.podgraft.dev", "configmaps.podgraft.podgraft.dev", "presets.podgraft.podgraft.dev"]);
    all.extend(of("canary"));
    // The longest name of a release that Helm takes.
    all.extend(of(&"a".repeat(53)));
    let count = all.len();
    assert!(all.iter().all(|name| name.split('.').count() >= 3 && name.split('.').all(|label| label.len() <= 63)), "{all:?}");
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

fn bundle() {
    for values in VARIANTS {
        for hook in KINDS.iter().flat_map(|kind| webhooks(values, kind)) {
            assert_eq!(hook["clientConfig"].as_object().unwrap().keys().collect::<Vec<_>>(), ["service"], "{values:?}");
        }
    }
    let objects = helm::objects(&["certificates.mode=secret", "certificates.certManager.enabled=true"]);
    for kind in KINDS {
        assert_eq!(
            helm::one(&objects, kind, "podgraft")["metadata"]["annotations"],
            json!({"cert-manager.io/inject-ca-from": "podgraft/podgraft"})
        );
    }
    // The serving certificate is signed by a CA that outlives it, not by itself.
    let leaf = helm::one(&objects, "Certificate", "podgraft");
    assert_eq!(leaf["spec"]["secretName"], "podgraft-tls");
    assert_eq!(leaf["spec"]["dnsNames"][0], "podgraft.podgraft.svc");
    assert_eq!(leaf["spec"]["issuerRef"]["name"], "podgraft-ca");
    assert_eq!(helm::one(&objects, "Issuer", "podgraft-ca")["spec"]["ca"]["secretName"], "podgraft-ca");
    let authority = &helm::one(&objects, "Certificate", "podgraft-ca")["spec"];
    assert_eq!((&authority["isCA"], &authority["issuerRef"]["name"]), (&json!(true), &json!("podgraft-selfsigned")));
}
