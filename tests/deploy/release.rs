//! A release's life with the real Helm: installed, upgraded, rolled back, uninstalled; with Podgraft where its Service is.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::held::Held;
use crate::harness::plane::User;
use crate::harness::story::{Call, Stories, Story};
use crate::harness::wait;
use crate::helm::{self, CHART};

pub const STORIES: Stories =
    &[("installed_upgraded_rolled_back_and_uninstalled", life), ("two_releases_side_by_side_give_the_same_bytes", two)];

const PRESETS: &str = "
apiVersion: podgraft.dev/v1beta1
kind: ClusterPodPreset
metadata: {name: grafted}
spec: {selector: {}, env: [{name: GRAFTED, value: '1'}]}
";

const REGISTRATION: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// All of them: each refuses ClusterPodPresets in the namespaces of the others, unless it is told of them.
const NAMES: [&str; 8] = ["installed", "left", "right", "kinds", "by-secret", "by-files", "sure", "ports"];

/// A release of the chart in a namespace of its own.
pub struct Release<'s> {
    pub story: &'s Story<'s>,
    pub name: &'s str,
}

impl Release<'_> {
    pub fn helm(&self, arguments: &[&str]) {
        let mut all = arguments.to_vec();
        all.extend(["--namespace", self.name]);
        helm::run(&all, Some(&self.story.plane.kubeconfig(User::Admin))).fine();
    }

    /// Installs or upgrades with these values beside those that the simulated nodes ask for, and waits until the Deployment is there.
    pub fn with(&self, verb: &str, values: &[&str]) {
        let named = format!("fullnameOverride={}", self.name);
        let reached = format!("webhook.namespaceExpressions[0].values[0]={}", self.story.name);
        let others: Vec<&str> = NAMES.into_iter().filter(|name| *name != self.name).collect();
        assert_eq!(others.len() + 1, NAMES.len(), "{} is not in the list", self.name);
        let others = format!("validation.excludeNamespaces={{{}}}", others.join(","));
        let mut arguments = vec![verb, self.name, CHART, "--create-namespace", "--wait", "--timeout=120s"];
        let mut all = vec![
            "tolerations[0].key=podgraft.dev/simulated",
            "tolerations[0].operator=Exists",
            "nodeSelector.kubernetes\\.io/os=null",
            "crds.install=false",
            &named,
            &others,
            // Other stories go on meanwhile.
            "webhook.namespaceExpressions[0].key=story",
            "webhook.namespaceExpressions[0].operator=In",
            &reached,
        ];
        all.extend(values);
        if verb == "upgrade" {
            arguments.retain(|argument| *argument != "--create-namespace");
        }
        for value in all {
            // Whole documents are JSON.
            arguments.extend([if value.starts_with("presets=") { "--set-json" } else { "--set" }, value]);
        }
        self.helm(&arguments);
    }

    pub fn get(&self, path: &str) -> Value {
        self.story.api.get(path).unwrap().object(path)
    }

    pub fn deployment(&self) -> Value {
        self.get(&format!("/apis/apps/v1/namespaces/{0}/deployments/{0}", self.name))
    }

    /// Gives it its presets, as an administrator does.
    pub fn presets(&self) {
        let presets = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "presets", "labels": {"podgraft.dev/presets": "true"}},
            "data": {"presets.yaml": PRESETS},
        });
        self.story.kubectl().within(self.name).run_with(&["apply", "-f", "-"], &presets.to_string()).fine();
    }

    /// The bundle of both registrations; `None` where they do not have it, or not the same.
    pub fn bundle(&self) -> Option<String> {
        let of = |kind: &str| {
            let object = self.get(&format!("/apis/admissionregistration.k8s.io/v1/{kind}/{}", self.name));
            let hooks = object["webhooks"].as_array().into_iter().flatten();
            hooks.map(|hook| hook["clientConfig"]["caBundle"].as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        let all = [of("mutatingwebhookconfigurations"), of("validatingwebhookconfigurations")].concat();
        let first = all.first().cloned().flatten()?;
        all.iter().all(|bundle| bundle.as_ref() == Some(&first)).then_some(first)
    }

    /// Where the files are that its Pods would have mounted.
    pub fn certs(&self) -> PathBuf {
        let folder = self.story.plane.folder.join("data").join(format!("{}-certs", self.name));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Starts Podgraft where the Service is, with the arguments that the Deployment gives it, as the account that it runs as.
    pub fn serve(&self) -> Held {
        let service = self.get(&format!("/api/v1/namespaces/{0}/services/{0}", self.name));
        let address = format!("{}:{}", service["spec"]["clusterIP"].as_str().unwrap(), service["spec"]["ports"][0]["port"]);
        let pod = &self.deployment()["spec"]["template"]["spec"];
        let account = pod["serviceAccountName"].as_str().unwrap();
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let path = format!("/api/v1/namespaces/{}/serviceaccounts/{account}/token", self.name);
        let answer = self.story.api.post(&path, &request).object("its token");
        let plane = self.story.plane;
        let kubeconfig = plane.kubeconfig_of(self.name, plane.url(), answer["status"]["token"].as_str().unwrap());
        let mut command: Vec<OsString> = vec![env!("CARGO_BIN_EXE_podgraft").into()];
        let mut placed = 0;
        for argument in pod["containers"][0]["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()) {
            // A process has no addresses of a Pod.
            let here = match argument.split_once('=') {
                Some(("--listen", _)) => Some(format!("--listen={address}")),
                Some(("--admin", _)) => Some("--admin=127.0.0.1:0".to_owned()),
                _ => None,
            };
            placed += usize::from(here.is_some());
            let mounted = || argument.replace("/etc/podgraft/certs", &self.certs().display().to_string());
            command.push(here.unwrap_or_else(mounted).into());
        }
        assert_eq!(placed, 2);
        let environment = [("KUBERNETES_SERVICE_HOST", "127.0.0.1".into()), ("KUBECONFIG", kubeconfig.into())];
        Held::start("podgraft", &command, &environment, &plane.folder.join("logs").join(format!("{}.log", self.name))).unwrap()
    }
}

pub fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "pod-"}, "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}})
}

fn life(story: &Story) {
    story.faults_are_meant();
    story.nodes(2);
    let release = Release { story, name: &story.name.clone()[..9] };
    let grafted = || {
        let answer = story.try_pod(&story.name, &pod());
        let env = answer.body["spec"]["containers"][0]["env"][0]["name"].clone();
        if answer.taken() && env == "GRAFTED" { Ok(()) } else { Err(format!("{} {}", answer.status, answer.message())) }
    };
    // Installed, and nobody there yet who answers: Pods are created as they are.
    release.with("install", &[]);
    assert_eq!(release.deployment()["status"]["readyReplicas"], 2);
    let answer = story.try_pod(&story.name, &pod());
    assert!(answer.taken(), "{}", answer.message());
    let mut podgraft = release.serve();
    release.presets();
    podgraft.until("a Pod to be grafted", grafted).unwrap();
    let bundle = release.bundle();
    assert!(bundle.is_some());
    let ours = |name: &str| name == format!("pods.{}.podgraft.dev", release.name);
    let failed = story.failed(ours);

    // Upgraded: what the chart says changes, the bundle stays, and no Pod goes without.
    release.with("upgrade", &["replicas=3", "webhook.failurePolicy=Fail", "webhook.timeoutSeconds=7"]);
    assert_eq!(release.deployment()["status"]["readyReplicas"], 3);
    let hook = || release.get(&format!("{REGISTRATION}/{}", release.name))["webhooks"][0].clone();
    assert_eq!((&hook()["failurePolicy"], &hook()["timeoutSeconds"]), (&json!("Fail"), &json!(7)));
    assert_eq!(release.bundle(), bundle);
    grafted().unwrap();

    release.helm(&["rollback", release.name, "1", "--wait", "--timeout=120s"]);
    assert_eq!(release.deployment()["status"]["replicas"], 2);
    assert_eq!((&hook()["failurePolicy"], release.bundle()), (&json!("Ignore"), bundle.clone()));
    grafted().unwrap();

    // The worst case: it refuses Pods while nobody answers. Its own Pods are made all the same, and uninstalling is the way out.
    release.with("upgrade", &["webhook.failurePolicy=Fail"]);
    assert_eq!(release.bundle(), bundle);
    grafted().unwrap();
    assert_eq!(story.failed(ours), failed, "calls failed while Podgraft answered");
    drop(podgraft);
    wait::until("Pods to be refused", || if story.try_pod(&story.name, &pod()).taken() { Err("they are made") } else { Ok(()) });
    story.kubectl().run(&["--namespace", release.name, "delete", "pods", "--all", "--wait=false"]).fine();
    wait::until("its own Pods to be there again", || match release.deployment()["status"]["readyReplicas"].as_u64() {
        Some(2) => Ok(()),
        other => Err(other),
    });
    // The way out first, and a second later the rest, under Fail: no Pod is refused in between.
    let mut podgraft = release.serve();
    podgraft.until("a Pod to be grafted again", grafted).unwrap();
    let refused = while_pods_are_made(story, || {
        let registrations = "mutatingwebhookconfiguration,validatingwebhookconfiguration";
        story.kubectl().run(&["delete", registrations, release.name]).fine();
        thread::sleep(Duration::from_secs(1));
        release.helm(&["uninstall", release.name, "--wait", "--timeout=120s"]);
        drop(podgraft);
    });
    assert_eq!(refused, Vec::<String>::new());
    let kinds = "deployments,services,secrets,configmaps,serviceaccounts,roles,rolebindings,poddisruptionbudgets,clusterroles,clusterrolebindings,\
                 mutatingwebhookconfigurations,validatingwebhookconfigurations";
    let label = format!("app.kubernetes.io/instance={}", release.name);
    let left = story.kubectl().run(&["get", kinds, "--all-namespaces", "--selector", &label, "-o", "name"]).fine();
    assert_eq!(left.out, "", "it leaves something behind");
}

/// Makes Pods as dry runs, one after the other, while something is done; gives what was said of those that were refused.
fn while_pods_are_made(story: &Story, work: impl FnOnce()) -> Vec<String> {
    let over = AtomicBool::new(false);
    let (api, path) = (story.api.clone(), format!("/api/v1/namespaces/{}/pods?dryRun=All", story.name));
    thread::scope(|scope| {
        let maker = scope.spawn(|| {
            let mut refused = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let answer = api.post(&path, &pod());
                if !answer.taken() {
                    refused.push(answer.message());
                }
            }
            refused
        });
        // The maker ends also where the work does not succeed.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        over.store(true, Ordering::Relaxed);
        let refused = maker.join().unwrap();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        refused
    })
}

/// Both are asked about the same Pods: the second finds the work done. Asked alone, each gives the other's patch.
fn two(story: &Story) {
    story.nodes(2);
    let releases = ["left", "right"].map(|name| Release { story, name });
    let mut serving = Vec::new();
    for (release, other) in [(&releases[0], "right"), (&releases[1], "left")] {
        let only = format!("webhook.namespaceExpressions[1].values[0]={other}");
        let alone = ["webhook.namespaceExpressions[1].key=only", "webhook.namespaceExpressions[1].operator=NotIn", &only];
        release.with("install", &alone);
        serving.push(release.serve());
        release.presets();
        let namespace = format!("{}-{}", story.name, release.name);
        story.plane.namespace(&namespace, &json!({"story": story.name, "only": release.name})).unwrap();
    }
    let calls = |namespace: &str| {
        let answer = story.try_pod(namespace, &pod());
        assert!(answer.taken(), "{}", answer.message());
        // Those of other stories may be asked, too.
        let ours = |call: &Call| releases.iter().any(|release| call.webhook == format!("pods.{}.podgraft.dev", release.name));
        story.calls(namespace, &answer.audit).into_iter().filter(ours).collect::<Vec<Call>>()
    };
    let alone = |release: &Release| {
        wait::until(&format!("{} to be asked", release.name), || {
            let calls = calls(&format!("{}-{}", story.name, release.name));
            match &calls[..] {
                [call] if call.mutated && call.webhook == format!("pods.{}.podgraft.dev", release.name) => Ok(call.patch.clone()),
                _ => Err(format!("{calls:?}")),
            }
        })
    };
    let patches = [alone(&releases[0]), alone(&releases[1])];
    // Before they had their bundles, calls could fail.
    let failed = || story.failed(|name| ["pods.left.podgraft.dev", "pods.right.podgraft.dev"].contains(&name));
    let before = failed();
    assert!(!patches[0].is_empty());
    assert_eq!(serde_json::to_string(&patches[0]).unwrap(), serde_json::to_string(&patches[1]).unwrap());
    let both = calls(&story.name);
    let said: Vec<(&str, bool)> = both.iter().map(|call| (call.webhook.as_str(), call.mutated)).collect();
    assert_eq!(said, [("pods.left.podgraft.dev", true), ("pods.right.podgraft.dev", false)], "{both:?}");
    assert_eq!(failed(), before, "calls failed");
    for release in &releases {
        release.helm(&["uninstall", release.name, "--wait", "--timeout=120s"]);
    }
}
