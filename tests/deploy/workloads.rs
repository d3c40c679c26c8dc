//! What a release does in a cluster: workloads get their presets through the chart's own registration, with each way to keep certificates; what
//! may not go without is refused; and a rollout ends where ports are the nodes'.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::cert_manager::CertManager;
use crate::harness::held::Held;
use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::release::{self, Release};

pub const STORIES: Stories = &[
    ("every_kind_gets_its_presets", kinds),
    ("the_charts_certificates_by_cert_manager", by_cert_manager),
    ("a_pod_that_may_not_go_without_is_refused", guaranteed),
    ("a_rollout_ends_where_ports_are_the_nodes", host_ports),
];

const PRESETS: &str = "
apiVersion: podgraft.dev/v1beta1
kind: ClusterPodPreset
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  env: [{name: GRAFTED, value: '1'}]
  template: {spec: {initContainers: [{name: shipper, image: 'registry.example/shipper:1', restartPolicy: Always}]}}
";

/// The chart's own value for them.
fn presets() -> String {
    format!("presets={}", json!({"web.yaml": PRESETS}))
}

const RECORD: &str = "podpreset.admission.kubernetes.io/clusterpodpreset-web";

/// What a preset brought: the variable, the sidecar and the record, all of them or nothing.
fn version(pod: &Value) -> Option<String> {
    let named = |list: &str, name: &str| pod["spec"][list].as_array().into_iter().flatten().any(|entry| entry["name"] == name);
    let variable = pod["spec"]["containers"][0]["env"].as_array().into_iter().flatten().any(|entry| entry["name"] == "GRAFTED");
    let record = pod["metadata"]["annotations"][RECORD].as_str();
    assert!(variable == record.is_some() && variable == named("initContainers", "shipper"), "half of it: {pod}");
    record.map(str::to_owned)
}

fn pod(labels: &Value, annotations: &Value) -> Value {
    let mut pod = release::pod();
    pod["metadata"]["labels"] = labels.clone();
    pod["metadata"]["annotations"] = annotations.clone();
    pod
}

/// A Pod that the preset is for.
fn web() -> Value {
    pod(&json!({"app": "web"}), &json!({}))
}

/// Serves, and waits until a Pod is grafted.
fn in_force(release: &Release<'_>) -> Held {
    let mut podgraft = release.serve();
    let story = release.story;
    let grafted = || {
        let answer = story.try_pod(&story.name, &web());
        if answer.taken() && version(&answer.body).is_some() { Ok(()) } else { Err(answer.message()) }
    };
    podgraft.until("a Pod to be grafted", grafted).unwrap_or_else(|trouble| panic!("{trouble}"));
    podgraft
}

fn kinds(story: &Story) {
    // Until it has its bundle.
    story.faults_are_meant();
    let release = Release { story, name: "kinds" };
    let cni = format!("{}-cni", story.name);
    release.with("install", &["replicas=0", &presets(), &format!("webhook.excludeNamespaces={{{cni}}}")]);
    let _podgraft = in_force(&release);
    let failed = || story.failed(|name| name == "pods.kinds.podgraft.dev");
    let before = failed();

    let template = |kind: &str| json!({"metadata": {"labels": {"app": "web", "kind": kind}}, "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}});
    let lasting = |kind: &str| json!({"selector": {"matchLabels": {"kind": kind}}, "template": template(kind)});
    let ending = |kind: &str| {
        let mut template = template(kind);
        template["spec"]["restartPolicy"] = json!("Never");
        json!({"template": template})
    };
    let workloads = [
        ("Deployment", "apps/v1", lasting("deployment")),
        ("StatefulSet", "apps/v1", lasting("statefulset")),
        ("DaemonSet", "apps/v1", lasting("daemonset")),
        ("Job", "batch/v1", ending("job")),
        ("CronJob", "batch/v1", json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": ending("cronjob")}})),
    ];
    for (kind, version, spec) in &workloads {
        let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": kind.to_lowercase()}, "spec": spec});
        if *kind == "StatefulSet" {
            object["spec"]["serviceName"] = json!("web");
        }
        story.kubectl().run_with(&["apply", "-f", "-"], &object.to_string()).fine();
    }
    story.kubectl().run(&["create", "job", "by-hand", "--from=cronjob/cronjob"]).fine();
    let versions: Vec<Option<String>> = workloads
        .iter()
        .map(|(kind, ..)| {
            let pods = || story.pods(&story.name, &format!("kind={}", kind.to_lowercase())).pop();
            version(&wait::until(&format!("the Pod of a {kind}"), || pods().ok_or("there is none")))
        })
        .collect();
    let first = versions[0].clone().expect("a record");
    assert!(first.len() == 12 && versions.iter().all(|version| version.as_ref() == Some(&first)), "{versions:?}");

    // In the release's own namespace and in the one that is left out, with the label by which others are asked about.
    story.namespace(&cni);
    let label = json!({"metadata": {"labels": {"story": story.name}}});
    story.api.patch("/api/v1/namespaces/kinds", "merge", &label).object("a label");
    let mut mirror = pod(&json!({"app": "web"}), &json!({"kubernetes.io/config.mirror": "static"}));
    mirror["spec"]["nodeName"] = json!("node-1");
    let left_alone = [
        ("excluded", story.name.as_str(), pod(&json!({"app": "web"}), &json!({"podpreset.admission.kubernetes.io/exclude": "true"}))),
        ("unmatched", &story.name, pod(&json!({"app": "other"}), &json!({}))),
        ("a mirror", &story.name, mirror),
        ("exempt", &cni, web()),
        ("of the release's own namespace", "kinds", web()),
    ];
    for (what, namespace, pod) in left_alone {
        assert_eq!(version(&story.create(namespace, &pod)), None, "{what}");
    }
    assert_eq!(failed(), before, "calls failed");
    release.helm(&["uninstall", "kinds", "--wait"]);
}

/// The chart's own Issuers and Certificates, by the real cert-manager, and Podgraft with no more than the rights that the chart gives in that mode.
fn by_cert_manager(story: &Story) {
    // Until it has its bundle.
    story.faults_are_meant();
    let _cert_manager = CertManager::start(story.plane, true).unwrap_or_else(|trouble| panic!("{trouble}"));
    for (mode, name) in [("secret", "by-secret"), ("files", "by-files")] {
        let release = Release { story, name };
        let mode = format!("certificates.mode={mode}");
        release.with("install", &["replicas=0", &mode, "certificates.certManager.enabled=true", &presets()]);
        let secret = wait::until("the Secret", || {
            let answer = story.api.get(&format!("/api/v1/namespaces/{name}/secrets/{name}-tls"))?;
            if answer.body["data"]["tls.crt"].is_string() { Ok(answer.body) } else { Err(answer.message()) }
        });
        // As a kubelet mounts it.
        for key in ["tls.crt", "tls.key"] {
            fs::write(release.certs().join(key), STANDARD.decode(secret["data"][key].as_str().unwrap()).unwrap()).unwrap();
        }
        let mut podgraft = in_force(&release);
        let bundle = release.bundle().expect("the same bundle in all webhooks");
        assert_eq!(bundle, secret["data"]["ca.crt"].as_str().unwrap(), "{name}");
        let failed = || story.failed(|webhook| webhook == format!("pods.{name}.podgraft.dev"));
        let before = failed();
        assert!(version(&story.create(&story.name, &web())).is_some());
        // An upgrade leaves the bundle to its keeper.
        release.with("upgrade", &["replicas=0", &mode, "certificates.certManager.enabled=true", &presets(), "webhook.timeoutSeconds=7"]);
        assert_eq!(release.bundle().as_ref(), Some(&bundle));
        assert!(version(&story.create(&story.name, &web())).is_some());
        assert_eq!(failed(), before, "calls failed");
        podgraft.check().unwrap();
        assert!(!podgraft.printed().contains("forbidden"), "a right is missing, see {}", release.name);
        release.helm(&["uninstall", name, "--wait"]);
    }
}

/// Under `Ignore` a Pod is made without presets while nobody answers. What must not is named, and then the API server itself refuses it.
fn guaranteed(story: &Story) {
    story.faults_are_meant();
    let release = Release { story, name: "sure" };
    let cni = format!("{}-cni", story.name);
    story.namespace(&cni);
    let values = [
        "replicas=0",
        &presets(),
        &format!("webhook.excludeNamespaces={{{cni}}}"),
        "guarantee.presets[0].record=clusterpodpreset-web",
        "guarantee.presets[0].objectSelector.matchLabels.app=web",
        // A record can be written by anybody; the sidecar that it stands for is what is wanted.
        r"guarantee.presets[0].validations[0].expression=object.spec.?initContainers.orValue([]).exists(c\, c.name == 'shipper')",
    ];
    release.with("install", &values);
    let refused = |pod: &Value| {
        let answer = story.try_pod(&story.name, pod);
        if answer.taken() { Err("it is made".to_owned()) } else { Ok(answer.message()) }
    };
    let said = wait::until("a Pod to be refused", || refused(&web()));
    assert!(said.contains("the Pod went without clusterpodpreset-web"), "{said}");
    let forged = pod(&json!({"app": "web"}), &json!({RECORD: "0123456789ab"}));
    assert!(refused(&forged).unwrap().contains("failed expression"), "a record alone does not do");
    let fine = |namespace: &str, pod: &Value| story.try_pod(namespace, pod).object("the Pod");
    fine(&story.name, &pod(&json!({"app": "other"}), &json!({})));
    fine(&cni, &web());
    let podgraft = in_force(&release);
    assert!(version(&story.create(&story.name, &web())).is_some());
    drop(podgraft);
    refused(&web()).unwrap();
    // The way out.
    story.kubectl().run(&["delete", "validatingadmissionpolicybinding", "sure.clusterpodpreset-web"]).fine();
    wait::until("Pods to be made", || match refused(&web()) {
        Ok(said) => Err(said),
        Err(_) => Ok(()),
    });
    release.helm(&["uninstall", "sure", "--wait"]);
    let kinds = "validatingadmissionpolicies,validatingadmissionpolicybindings";
    let left = story.kubectl().run(&["get", kinds, "--selector", "app.kubernetes.io/instance=sure", "-o", "name"]).fine();
    assert_eq!(left.out, "", "it leaves something behind");
}

fn host_ports(story: &Story) {
    story.nodes(1);
    let release = Release { story, name: "ports" };
    let one = [r"nodeSelector.kubernetes\.io/hostname=simulated-1", "hostNetwork=true", "replicas=1", "webhook.enabled=false"];
    release.with("install", &one);
    release.with("upgrade", &[&one[..], &["podAnnotations.changed=yes"]].concat());
    let deployment = release.deployment();
    assert_eq!((&deployment["status"]["updatedReplicas"], &deployment["status"]["readyReplicas"]), (&json!(1), &json!(1)));
    release.helm(&["uninstall", "ports", "--wait"]);
}
