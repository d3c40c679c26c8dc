//! One control plane: etcd, kube-apiserver and kube-controller-manager on loopback, with users who may and users who may not.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};

use super::api::Api;
use super::authority::Authority;
use super::held::Held;
use super::kubectl::Kubectl;
use super::nodes::Nodes;
use super::parts::Parts;
use super::{Trouble, runs, say, wait};

/// Service IPs are loopback addresses, so a process can listen on one.
const SERVICES: &str = "127.96.0.0/16";

/// Pods that are made, with what webhooks noted and patched; of other objects nothing.
const AUDIT: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Request
    verbs: [create]
    resources: [{group: '', resources: [pods]}]
  - level: None
";

/// Metrics of the API server that nobody reads here. To write them out, two megabytes each time, took a fifth of its processor time.
const UNREAD: [&str; 9] = [
    "apiserver_admission_controller_admission_duration_seconds",
    "apiserver_request_body_size_bytes",
    "apiserver_request_duration_seconds",
    "apiserver_request_sli_duration_seconds",
    "apiserver_response_sizes",
    "apiserver_watch_cache_read_wait_seconds",
    "apiserver_watch_events_sizes",
    "apiserver_watch_list_duration_seconds",
    "etcd_request_duration_seconds",
];

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum User {
    /// May everything.
    Admin,
    /// May what a story grants, and nothing else.
    Author,
    /// May nothing.
    Stranger,
}

const USERS: [(User, &str); 3] = [(User::Admin, "admin"), (User::Author, "author"), (User::Stranger, "stranger")];

/// Parts that ask the API themselves: the names of their kubeconfigs, their users and groups. kwok stands for all kubelets.
const SERVANTS: [(&str, &str, &str); 3] = [
    ("controllers", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("kwok", "kwok", ",system:masters"),
];

/// See the module.
pub struct Plane {
    /// As in `1.36`.
    pub version: String,
    /// Everything of it.
    pub folder: PathBuf,
    pub authority: Authority,
    parts: Parts,
    base: String,
    tokens: BTreeMap<User, String>,
    /// How kube-apiserver is started.
    serving: Vec<(&'static str, String)>,
    // In this order they are ended.
    nodes: OnceLock<Result<Nodes, Trouble>>,
    _controllers: Held,
    apiserver: Mutex<Option<Held>>,
    _etcd: Held,
}

impl Plane {
    /// Starts one, which takes some seconds.
    pub fn start(version: &str, runs: &Path) -> Result<Plane, Trouble> {
        Plane::start_with(version, runs, &[])
    }

    /// The same with more flags of kube-apiserver.
    pub fn start_with(version: &str, runs: &Path, flags: &[(&'static str, String)]) -> Result<Plane, Trouble> {
        let parts = Parts::get(version)?;
        let folder = runs::make(runs, version)?;
        let started = Plane::start_in(version, &folder, parts, flags);
        started.map_err(|trouble| format!("{trouble}\nThe logs of this control plane are in {}", folder.join("logs").display()))
    }

    fn start_in(version: &str, folder: &Path, parts: Parts, flags: &[(&'static str, String)]) -> Result<Plane, Trouble> {
        let trouble = |error: std::io::Error| format!("{}: {error}", folder.display());
        let write = |name: &str, text: &str| fs::write(folder.join("data").join(name), text).map_err(trouble);
        let at = |name: &str| folder.join("data").join(name).display().to_string();
        let log = |name: &str| folder.join("logs").join(format!("{name}.log"));

        let authority = Authority::new()?;
        let leaf = authority.leaf(&["kubernetes.default.svc"])?;
        let accounts = rcgen::KeyPair::generate().map_err(|error| error.to_string())?;
        let tokens: BTreeMap<User, String> =
            USERS.iter().map(|(user, _)| Ok((*user, secret()?))).collect::<std::io::Result<_>>().map_err(trouble)?;
        let mut known = String::new();
        let servants = SERVANTS.map(|(name, user, groups)| (name, user, groups, secret()));
        for (name, user, groups, token) in &servants {
            let token = token.as_ref().map_err(|error| format!("{name}: {error}"))?;
            known.push_str(&format!("{token},{user},{name}{groups}\n"));
        }
        for (user, name) in USERS {
            let groups = if user == User::Admin { ",system:masters" } else { "" };
            known.push_str(&format!("{},{name},{name}{groups}\n", tokens[&user]));
        }
        write("tokens.csv", &known)?;
        write("ca.crt", &authority.pem)?;
        write("server.crt", &leaf.certificate)?;
        write("server.key", &leaf.key)?;
        write("accounts.key", &accounts.serialize_pem())?;
        write("accounts.pub", &accounts.public_key_pem())?;
        write("audit.yaml", AUDIT)?;

        let [client, peer, port] = free_ports().map_err(trouble)?;
        let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let mut etcd = start(
            &parts,
            "etcd",
            &log("etcd"),
            &[
                ("data-dir", at("etcd")),
                ("listen-client-urls", client.clone()),
                ("advertise-client-urls", client.clone()),
                ("listen-peer-urls", peer.clone()),
                ("initial-advertise-peer-urls", peer.clone()),
                ("initial-cluster", format!("default={peer}")),
                ("unsafe-no-fsync", "true".to_owned()),
                ("log-level", "warn".to_owned()),
            ],
        )?;
        let mut serving = vec![
            ("etcd-servers", client),
            ("bind-address", "127.0.0.1".to_owned()),
            ("advertise-address", "127.0.0.1".to_owned()),
            ("secure-port", port.to_string()),
            ("endpoint-reconciler-type", "none".to_owned()),
            ("cert-dir", at("certs")),
            ("tls-cert-file", at("server.crt")),
            ("tls-private-key-file", at("server.key")),
            ("service-account-key-file", at("accounts.pub")),
            ("service-account-signing-key-file", at("accounts.key")),
            ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
            ("service-cluster-ip-range", SERVICES.to_owned()),
            ("authorization-mode", "RBAC".to_owned()),
            ("token-auth-file", at("tokens.csv")),
            ("allow-privileged", "true".to_owned()),
            ("disabled-metrics", UNREAD.join(",")),
            ("audit-policy-file", at("audit.yaml")),
            ("audit-log-path", log("audit").display().to_string()),
        ];
        serving.extend_from_slice(flags);
        let mut apiserver = start(&parts, "kube-apiserver", &log("kube-apiserver"), &serving)?;
        let base = format!("https://127.0.0.1:{port}");
        let api = Api::new(&base, &tokens[&User::Admin], &authority.pem);
        apiserver.until(&format!("kube-apiserver {version} to be ready"), || {
            etcd.check()?;
            match api.text("/readyz")? {
                text if text == "ok" => Ok(()),
                text => Err(text),
            }
        })?;
        for (user, name) in USERS {
            let text = kubeconfig(&base, &at("ca.crt"), name, &tokens[&user]);
            fs::write(folder.join("data").join(format!("{name}.kubeconfig")), text).map_err(trouble)?;
        }
        for (name, _, _, token) in servants {
            write(&format!("{name}.kubeconfig"), &kubeconfig(&base, &at("ca.crt"), name, &token.map_err(trouble)?))?;
        }
        let controllers = start(
            &parts,
            "kube-controller-manager",
            &log("kube-controller-manager"),
            &[
                ("kubeconfig", at("controllers.kubeconfig")),
                ("service-account-private-key-file", at("accounts.key")),
                ("root-ca-file", at("ca.crt")),
                ("use-service-account-credentials", "true".to_owned()),
                ("secure-port", "0".to_owned()),
                ("leader-elect", "false".to_owned()),
                // A Node that nobody answers for is tainted after a minute, and from then on no DaemonSet gets a Pod there.
                ("node-startup-grace-period", "24h".to_owned()),
                ("node-monitor-grace-period", "24h".to_owned()),
            ],
        )?;
        let plane = Plane {
            version: version.to_owned(),
            folder: folder.to_owned(),
            authority,
            parts,
            base,
            tokens,
            serving,
            nodes: OnceLock::new(),
            _controllers: controllers,
            apiserver: Mutex::new(Some(apiserver)),
            _etcd: etcd,
        };
        plane.furnish()?;
        Ok(plane)
    }

    /// Kills the API server.
    pub fn kill_apiserver(&self) {
        drop(self.apiserver.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Starts it again, where it was, and waits until it is ready.
    pub fn start_apiserver(&self) -> Result<(), Trouble> {
        let mut held = start(&self.parts, "kube-apiserver", &self.folder.join("logs/kube-apiserver.log"), &self.serving)?;
        let api = self.api(User::Admin);
        held.until("kube-apiserver to be ready again", || match api.text("/readyz")? {
            text if text == "ok" => Ok(()),
            text => Err(text),
        })?;
        *self.apiserver.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(())
    }

    /// Where the API server is: `https://HOST:PORT`.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// A kubeconfig with a token, for a server at `url`; a file of this name.
    pub fn kubeconfig_of(&self, name: &str, url: &str, token: &str) -> PathBuf {
        let file = self.folder.join("data").join(format!("{name}.kubeconfig"));
        let authority = self.folder.join("data").join("ca.crt");
        fs::write(&file, kubeconfig(url, &authority.display().to_string(), name, token)).unwrap();
        file
    }

    /// The API as a user sees it.
    pub fn api(&self, user: User) -> Api {
        Api::new(&self.base, &self.tokens[&user], &self.authority.pem)
    }

    pub fn kubeconfig(&self, user: User) -> PathBuf {
        let name = USERS.iter().find(|(one, _)| *one == user).map_or("", |(_, name)| name);
        self.folder.join("data").join(format!("{name}.kubeconfig"))
    }

    /// kubectl of a user, in a namespace.
    pub fn kubectl(&self, user: User, namespace: &str) -> Kubectl {
        Kubectl {
            command: self.parts.command("kubectl"),
            kubeconfig: self.kubeconfig(user),
            home: self.folder.join("kubectl"),
            namespace: namespace.to_owned(),
        }
    }

    /// Has so many simulated nodes at least. The first time this starts what simulates them.
    pub fn nodes(&self, number: usize) -> Result<(), Trouble> {
        let nodes = self.nodes.get_or_init(|| Nodes::start(self)).as_ref().map_err(Clone::clone)?;
        nodes.number(&self.api(User::Admin), number)
    }

    /// What it is made of.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The version that the API server says it is.
    pub fn release(&self) -> Result<String, Trouble> {
        let answer = self.api(User::Admin).get("/version")?;
        Ok(answer.body["gitVersion"].as_str().unwrap_or_default().to_owned())
    }

    /// The audit events of Pods that were made, or were to be made, in a namespace.
    pub fn audit(&self, namespace: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("logs/audit.log")).unwrap_or_default();
        let here = format!("\"namespace\":\"{namespace}\"");
        let events = text.lines().filter(|line| line.contains(&here)).filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["objectRef"]["namespace"] == namespace).collect()
    }

    /// Makes a namespace that is ready for Pods.
    pub fn namespace(&self, name: &str, labels: &Value) -> Result<(), Trouble> {
        let api = self.api(User::Admin);
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        let made = api.post("/api/v1/namespaces", &body);
        if !made.taken() && made.status != 409 {
            return Err(format!("namespace {name}: {}", made.message()));
        }
        wait::until_within(wait::PATIENCE, &format!("the service account of namespace {name}"), || {
            let answer = api.get(&format!("/api/v1/namespaces/{name}/serviceaccounts/default"))?;
            if answer.taken() { Ok(()) } else { Err(answer.message()) }
        })
    }

    /// Ends it and keeps its logs; for a run in which something failed.
    pub fn keep_logs(self) -> PathBuf {
        let folder = self.folder.clone();
        drop(self);
        let _ = fs::remove_dir_all(folder.join("data"));
        let _ = fs::remove_dir_all(folder.join("kubectl"));
        folder.join("logs")
    }

    /// Ends it and leaves nothing.
    pub fn remove(self) {
        let folder = self.folder.clone();
        drop(self);
        let _ = fs::remove_dir_all(folder);
    }

    /// A Node, for DaemonSets, and the namespace that people take.
    fn furnish(&self) -> Result<(), Trouble> {
        let api = self.api(User::Admin);
        let node = api.post("/api/v1/nodes", &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}));
        if !node.taken() {
            return Err(format!("a Node: {}", node.message()));
        }
        self.namespace("default", &json!({}))
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        // One that a story has to itself ends with the story, and nobody else says where its logs are.
        if std::thread::panicking() {
            say(&format!("the logs of a control plane that a story had to itself are in {}", self.folder.join("logs").display()));
        }
    }
}

fn start(parts: &Parts, part: &str, log: &Path, flags: &[(&str, String)]) -> Result<Held, Trouble> {
    let mut command: Vec<OsString> = parts.servant(part)?;
    command.extend(flags.iter().map(|(flag, value)| format!("--{flag}={value}").into()));
    Held::start(part, &command, &[], log)
}

/// 128 bits that nobody else on this machine knows.
fn secret() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Ports that nobody listens on.
fn free_ports<const N: usize>() -> std::io::Result<[u16; N]> {
    let listeners = (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<Vec<_>>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

fn kubeconfig(server: &str, authority: &str, user: &str, token: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "podgraft", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "podgraft", "context": {"cluster": "podgraft", "user": user}}],
        "current-context": "podgraft",
    })
    .to_string()
}
