//! Podgraft in front of the API server: `podgraft serve` as a plain process, and its registration.

#[path = "../proc.rs"]
mod proc;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::account::Account;
use super::api::Api;
use super::held::Held;
use super::plane::Plane;
use super::{Trouble, wait};

/// How a webhook is registered.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The API server asks registrations in the order of their names.
    pub name: String,
    /// Which namespaces it is asked about: a label selector.
    pub namespaces: Value,
    pub failure_policy: &'static str,
    pub reinvocation_policy: &'static str,
    /// Seconds that the API server waits. Long where nothing is to be late: the machine may be busy.
    pub timeout: u32,
    /// Pods that are created; `false`: everything about Pods, as a registration by mistake would have it.
    pub creations_only: bool,
}

impl Registration {
    /// As Podgraft is installed, but that a fault fails the test.
    pub fn of(name: &str, story: &str) -> Registration {
        Registration {
            name: name.to_owned(),
            namespaces: json!({"matchLabels": {"story": story}}),
            failure_policy: "Fail",
            reinvocation_policy: "IfNeeded",
            timeout: 15,
            creations_only: true,
        }
    }

    /// The name of its one webhook, as the API server's metrics and audit annotations have it.
    pub fn webhook(&self) -> String {
        format!("{}.podgraft.dev", self.name)
    }

    /// The object.
    pub fn object(&self, url: &str, authority: &str) -> Value {
        use base64::Engine;
        let (operations, resources) =
            if self.creations_only { (json!(["CREATE"]), json!(["pods"])) } else { (json!(["*"]), json!(["pods", "pods/*"])) };
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": self.name},
            "webhooks": [{
                "name": self.webhook(),
                "clientConfig": {"url": url, "caBundle": base64::engine::general_purpose::STANDARD.encode(authority)},
                "rules": [{"operations": operations, "apiGroups": [""], "apiVersions": ["v1"], "resources": resources, "scope": "Namespaced"}],
                "namespaceSelector": self.namespaces,
                "failurePolicy": self.failure_policy,
                "reinvocationPolicy": self.reinvocation_policy,
                "matchPolicy": "Equivalent",
                "sideEffects": "NoneOnDryRun",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": self.timeout,
            }],
        })
    }
}

/// A registration that goes with the value.
pub struct Registered {
    api: Api,
    pub name: String,
    /// Its webhook, and a namespace that it is asked about.
    webhook: String,
    namespace: String,
}

impl Registered {
    /// Registers, not waiting until it is in force.
    pub fn make(api: Api, object: &Value) -> Registered {
        const PATH: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let webhook = object["webhooks"][0]["name"].as_str().unwrap().to_owned();
        let namespace = object["webhooks"][0]["namespaceSelector"]["matchLabels"]["story"].as_str().unwrap_or("default").to_owned();
        api.post(PATH, object).object(&format!("the registration {name}"));
        Registered { api, name, webhook, namespace }
    }

    /// How often the API server asked so far; nothing where it does not say.
    fn asked(&self) -> Option<f64> {
        let labels = format!("name=\"{}\"", self.webhook);
        Some(sum(&self.api.text("/metrics").ok()?, "apiserver_admission_webhook_admission_duration_seconds_count", &labels))
    }
}

impl Drop for Registered {
    /// The API server goes on asking for a moment after it was told not to; whoever is asked must be there until then.
    fn drop(&mut self) {
        const LONG: Duration = Duration::from_secs(10);
        let _ = self.api.delete(&format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{}", self.name));
        let _ = wait::until_within(LONG, "nobody to be asked", || {
            let before = self.asked();
            let _ = probe(&self.api, &self.namespace);
            if self.asked() == before { Ok(()) } else { Err("it is asked") }
        });
    }
}

/// What a process takes.
#[derive(Clone, Copy, Debug)]
pub struct Takes {
    /// Resident, bytes.
    pub memory: u64,
    /// Open ones, but for connections to the webhook: those last as long as the API server likes.
    pub files: usize,
}

/// A running Podgraft.
pub struct Serving {
    pub held: Held,
    /// Where the webhook listens.
    pub webhook: String,
    /// Where `/metrics` is.
    pub admin: String,
    folder: PathBuf,
}

impl Serving {
    /// Starts one that holds these presets.
    pub fn start(plane: &Plane, name: &str, presets: &str) -> Result<Serving, Trouble> {
        Serving::start_as(plane, name, presets, &["--listen=127.0.0.1:0", "--shutdown-delay=0s"])
    }

    /// Starts one with these flags beside those that it needs here.
    pub fn start_as(plane: &Plane, name: &str, presets: &str, flags: &[&str]) -> Result<Serving, Trouble> {
        Serving::start_with(plane, name, presets, &[&["--kube=off"], flags].concat(), &[])
    }

    /// Starts one that asks the cluster as an account, and waits until it is ready.
    pub fn start_within(plane: &Plane, account: &Account, presets: &str, flags: &[&str]) -> Result<Serving, Trouble> {
        let namespace = format!("--namespace={}", account.namespace);
        let elsewhere = flags.iter().any(|flag| flag.starts_with("--listen="));
        let listen: &[&str] = if elsewhere { &[] } else { &["--listen=127.0.0.1:0"] };
        let flags = [&[namespace.as_str(), "--shutdown-delay=0s"], listen, flags].concat();
        let serving = Serving::start_with(plane, &account.name, presets, &flags, &account.environment())?;
        wait::until_within(wait::PATIENCE, "podgraft to be ready", || serving.ready())?;
        Ok(serving)
    }

    /// Starts one with this environment, and waits until it listens.
    pub fn start_with(
        plane: &Plane,
        name: &str,
        presets: &str,
        flags: &[&str],
        environment: &[(&str, OsString)],
    ) -> Result<Serving, Trouble> {
        let folder = plane.folder.join("data").join(name);
        let trouble = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder.join("presets")).map_err(trouble)?;
        let leaf = plane.authority.leaf(&[])?;
        for (file, text) in [("presets/presets.yaml", presets), ("tls.crt", &leaf.certificate), ("tls.key", &leaf.key)] {
            fs::write(folder.join(file), text).map_err(trouble)?;
        }
        let log = plane.folder.join("logs").join(format!("{name}.log"));
        let mut command: Vec<OsString> = vec![env!("CARGO_BIN_EXE_podgraft").into(), "serve".into()];
        command.extend(["--admin=127.0.0.1:0", "--log-format=json"].map(Into::into));
        command.extend(flags.iter().map(Into::into));
        command.extend(["--presets".into(), folder.join("presets").into()]);
        // Who says where the certificate comes from gets it from there.
        if !flags.iter().any(|flag| flag.starts_with("--certs")) {
            for (flag, file) in [("--tls-cert", "tls.crt"), ("--tls-key", "tls.key")] {
                command.extend([flag.into(), folder.join(file).into()]);
            }
        }
        // One that ran before under this name wrote the same log.
        let before = fs::read_to_string(&log).unwrap_or_default().len();
        let mut held = Held::start("podgraft", &command, environment, &log)?;
        let (webhook, admin) =
            held.until("podgraft to serve", || serving(fs::read_to_string(&log).unwrap_or_default().get(before..).unwrap_or_default()))?;
        Ok(Serving { held, webhook, admin, folder })
    }

    pub fn url(&self) -> String {
        format!("https://{}/mutate", self.webhook)
    }

    /// Whether it says that it is ready; why not.
    pub fn ready(&self) -> Result<(), String> {
        match ureq::get(format!("http://{}/readyz?verbose", self.admin)).config().http_status_as_error(false).build().call() {
            Ok(answer) if answer.status() == 200 => Ok(()),
            Ok(mut answer) => Err(answer.body_mut().read_to_string().unwrap_or_default()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Asks it about the creation of a Pod, past the API server. Gives the status, `Retry-After`, and the answer.
    pub fn ask(&self, plane: &Plane, namespace: &str, pod: &Value) -> (u16, Option<String>, Value) {
        let root = ureq::tls::Certificate::from_pem(plane.authority.pem.as_bytes()).unwrap();
        let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::new_with_certs(&[root])).build();
        let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false).build().into();
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": "CREATE", "namespace": namespace, "object": pod, "resource": {"group": "", "version": "v1", "resource": "pods"}}});
        let mut answer = agent.post(self.url()).header("Content-Type", "application/json").send(review.to_string()).unwrap();
        let retry = answer.headers().get("Retry-After").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        (answer.status().as_u16(), retry, body)
    }

    /// The files of its presets.
    pub fn presets(&self) -> PathBuf {
        self.folder.join("presets")
    }

    /// One of its metrics, summed over the labels that contain `labels`.
    pub fn metric(&self, name: &str, labels: &str) -> Result<f64, String> {
        let text = ureq::get(format!("http://{}/metrics", self.admin)).call().and_then(|mut answer| answer.body_mut().read_to_string());
        Ok(sum(&text.map_err(|error| error.to_string())?, name, labels))
    }

    /// What it takes now.
    pub fn takes(&self) -> Takes {
        let calls = self.metric("podgraft_connections", "").unwrap();
        Takes { memory: proc::memory(self.held.id(), "VmRSS"), files: proc::files_besides(self.held.id(), calls) }
    }

    /// Waits until the API server asks it about Pods of a namespace.
    pub fn in_force(&self, api: &Api, namespace: &str) -> Result<(), Trouble> {
        let asked = || self.metric("podgraft_reviews_total", "");
        let before = asked()?;
        wait::until_within(wait::PATIENCE, "the registration to be in force", || {
            probe(api, namespace)?;
            if asked()? > before { Ok(()) } else { Err("it is not asked".to_owned()) }
        })
    }
}

/// A Pod that is made as a dry run, to see whether webhooks are asked.
pub fn probe(api: &Api, namespace: &str) -> Result<Value, String> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "probe-"}, "spec": {"containers": [{"name": "probe", "image": "probe"}]}});
    let answer = api.post(&format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldManager=probe"), &pod);
    if answer.taken() { Ok(answer.body) } else { Err(answer.message()) }
}

/// Sums the samples of a metric.
pub fn sum(text: &str, name: &str, labels: &str) -> f64 {
    let samples =
        text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(labels));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// The addresses, from the line that says so.
fn serving(log: &str) -> Result<(String, String), String> {
    for line in log.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        let fields = line.get("fields").unwrap_or(&line);
        if let (Some(webhook), Some(admin)) = (fields["webhook"].as_str(), fields["admin"].as_str()) {
            return Ok((webhook.to_owned(), admin.to_owned()));
        }
    }
    Err("it has not said where".to_owned())
}
