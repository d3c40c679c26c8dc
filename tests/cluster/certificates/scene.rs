//! A Service with Podgrafts behind it, as it is installed: registered by the Service's name, with the rights that the chart gives, and the bundle
//! left to whoever is to write it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podgraft::server::identity::Pair;
use podgraft::server::identity::shown::look;
use podgraft::server::identity::trust::{Authority, verify};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use super::calls::{self, Calls, Changes};
use crate::harness::account::Account;
use crate::harness::front::Front;
use crate::harness::podgraft::{Registered, Registration, Serving};
use crate::harness::story::Story;
use crate::harness::wait;

pub const SERVICE: &str = "podgraft";
pub const SECRET: &str = "podgraft-tls";
const PORT: u16 = 8443;
const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const PRESETS: &str = "
apiVersion: podgraft.dev/v1beta1
kind: ClusterPodPreset
metadata: {name: held}
spec: {selector: {}, env: [{name: GRAFTED, value: '1'}]}
";

/// See the module.
pub struct Scene<'s> {
    pub story: &'s Story<'s>,
    pub account: Account,
    pub registration: Registration,
    /// The Certificate whose authority cert-manager writes into the bundle.
    inject: Option<&'s str>,
    address: SocketAddr,
    registered: Option<Registered>,
    front: Option<Front>,
    /// What the first replica has in its environment besides.
    pub first: Vec<(&'static str, OsString)>,
    pub replicas: Vec<Serving>,
    dead: RefCell<Vec<usize>>,
}

impl<'s> Scene<'s> {
    /// Service, account, rights and registration; nobody behind it yet.
    pub fn new(story: &'s Story<'s>, rights: bool) -> Scene<'s> {
        Scene::make(story, rights, None)
    }

    /// The same, with a bundle that cert-manager writes.
    pub fn injected(story: &'s Story<'s>, certificate: &'s str) -> Scene<'s> {
        Scene::make(story, true, Some(certificate))
    }

    fn make(story: &'s Story<'s>, rights: bool, inject: Option<&'s str>) -> Scene<'s> {
        let without: &[&str] = if rights { &[] } else { &["mutatingwebhookconfigurations"] };
        let account = Account::without(story.plane, &story.name, without);
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE}, "spec": {"ports": [{"port": PORT}]}});
        let made = story.api.post(&format!("/api/v1/namespaces/{}/services", account.namespace), &service).object("the Service");
        let address = format!("{}:{PORT}", made["spec"]["clusterIP"].as_str().unwrap()).parse().unwrap();
        let registration = Registration::of(&story.name, &story.name);
        let mut scene = Scene {
            story,
            account,
            registration,
            inject,
            address,
            registered: None,
            front: None,
            first: Vec::new(),
            replicas: Vec::new(),
            dead: RefCell::default(),
        };
        scene.register();
        scene
    }

    /// Registers for Pods and for presets, with empty bundles.
    fn register(&mut self) {
        self.registered = Some(Registered::make(self.story.api.clone(), &self.object("")));
        let mut object = self.object("");
        object["kind"] = json!("ValidatingWebhookConfiguration");
        let webhook = &mut object["webhooks"][0];
        webhook.as_object_mut().unwrap().remove("reinvocationPolicy");
        webhook["rules"] =
            json!([{"operations": ["CREATE"], "apiGroups": ["podgraft.dev"], "apiVersions": ["*"], "resources": ["podpresets"]}]);
        webhook["clientConfig"]["service"]["path"] = json!("/validate");
        webhook["sideEffects"] = json!("None");
        self.story.api.post(VALIDATING, &object).object("the registration for presets");
    }

    /// The registration as it is applied, with this bundle.
    pub fn object(&self, bundle: &str) -> Value {
        let mut object = self.registration.object("https://nobody", bundle);
        let service = json!({"name": SERVICE, "namespace": self.account.namespace, "path": "/mutate", "port": PORT});
        let mut client = json!({"service": service});
        if !bundle.is_empty() {
            client["caBundle"] = json!(STANDARD.encode(bundle));
        }
        object["webhooks"][0]["clientConfig"] = client;
        if let Some(certificate) = self.inject {
            let from = format!("{}/{certificate}", self.account.namespace);
            object["metadata"]["annotations"] = json!({"cert-manager.io/inject-ca-from": from});
        }
        object
    }

    /// Starts so many replicas at once, waits until all are ready, and puts them behind the Service.
    pub fn start(&mut self, number: usize, flags: &[&str]) {
        self.start_each(&vec![flags; number]);
    }

    /// The same, each with flags of its own.
    pub fn start_each(&mut self, replicas: &[&[&str]]) {
        let own = [format!("--namespace={}", self.account.namespace), format!("--webhook-configuration={}", self.registration.name)];
        let all = [own[0].as_str(), own[1].as_str(), "--listen=127.0.0.1:0", "--shutdown-delay=1h"];
        let (plane, account, story, first) = (self.story.plane, &self.account, &self.story.name, &self.first);
        self.replicas = thread::scope(|scope| {
            let starting: Vec<_> = replicas
                .iter()
                .enumerate()
                .map(|(number, flags)| {
                    let (flags, name) = ([&all, *flags].concat(), format!("{story}-{number}"));
                    scope.spawn(move || {
                        let more = if number == 0 { first.clone() } else { Vec::new() };
                        let environment = [account.environment().to_vec(), vec![("HOSTNAME", name.clone().into())], more].concat();
                        Serving::start_with(plane, &name, PRESETS, &flags, &environment).unwrap()
                    })
                })
                .collect();
            starting.into_iter().map(|one| one.join().unwrap()).collect()
        });
        for replica in &self.replicas {
            wait::until("a replica to be ready", || replica.ready());
        }
        self.front = Some(Front::at(self.address, self.replicas.iter().map(|replica| replica.webhook.parse().unwrap()).collect()));
    }

    /// From now on every answer closes its connection, so that each call makes one of its own, which verifies the certificate: that is what a
    /// replica does that is leaving, which these do for an hour.
    pub fn leave_slowly(&self) {
        for replica in &self.replicas {
            replica.held.signal("TERM");
        }
        for replica in &self.replicas {
            wait::until("a replica to be leaving", || if replica.ready().is_err() { Ok(()) } else { Err("it is ready") });
        }
    }

    /// Waits until Pods are grafted.
    pub fn in_force(&self) {
        wait::until("Pods to be grafted", || self.call());
    }

    /// One Pod through the API server.
    pub fn call(&self) -> Result<(), String> {
        calls::call(&self.story.api, &self.story.name)
    }

    /// The name that the API server expects in the certificate.
    pub fn server_name(&self) -> String {
        format!("{SERVICE}.{}.svc", self.account.namespace)
    }

    /// The bundle of the registration for Pods now.
    pub fn bundle(&self) -> String {
        self.bundle_of(MUTATING)
    }

    /// Both bundles, for Pods and for presets.
    pub fn bundles(&self) -> [String; 2] {
        [MUTATING, VALIDATING].map(|kind| self.bundle_of(kind))
    }

    fn bundle_of(&self, kind: &str) -> String {
        let object = self.story.api.get(&format!("{kind}/{}", self.registration.name)).unwrap().object("the registration");
        let bundle = object["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned();
        String::from_utf8(STANDARD.decode(bundle).unwrap()).unwrap()
    }

    /// Sets both bundles as a person would.
    pub fn set_bundle(&self, bundle: &str) {
        let patch = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": STANDARD.encode(bundle)}]);
        for kind in [MUTATING, VALIDATING] {
            self.story.api.patch(&format!("{kind}/{}", self.registration.name), "json", &patch).object("the bundle");
        }
    }

    /// A value of the Secret.
    pub fn secret(&self, key: &str) -> String {
        let answer = self.story.api.get(&self.secret_path()).unwrap();
        let value = answer.body["data"][key].as_str().unwrap_or_default().to_owned();
        String::from_utf8(STANDARD.decode(value).unwrap()).unwrap()
    }

    pub fn secret_path(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets/{SECRET}", self.account.namespace)
    }

    /// Makes the Secret, or changes it, as a person would.
    pub fn put_secret(&self, values: &[(&str, &str)]) {
        let data: serde_json::Map<String, Value> =
            values.iter().map(|(key, value)| ((*key).to_owned(), json!(STANDARD.encode(value)))).collect();
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "type": "kubernetes.io/tls", "data": data});
        let changed = self.story.api.patch(&self.secret_path(), "merge", &json!({"data": data}));
        if changed.status == 404 {
            self.story.api.post(&format!("/api/v1/namespaces/{}/secrets", self.account.namespace), &object).object("the Secret");
        } else {
            changed.object("the Secret");
        }
    }

    /// What every replica shows: the leaf of each, as DER.
    pub fn shown(&self) -> Vec<Vec<u8>> {
        self.living().map(|replica| leaf(&replica.webhook, &self.server_name())).collect()
    }

    /// Waits until all replicas show the certificate of a PEM text.
    pub fn until_shown(&self, certificate: &str) {
        let wanted = Authority::all_in(certificate.as_bytes())[0].der().to_vec();
        wait::until("all replicas to show the certificate", || {
            let others = self.shown().iter().filter(|leaf| **leaf != wanted).count();
            if others == 0 { Ok(()) } else { Err(format!("{others} show another")) }
        });
    }

    /// Whether both bundles verify what the Secret holds, for the Service's name.
    pub fn trusted(&self) -> Result<(), String> {
        let pair =
            Pair::from_pem(self.secret("tls.crt").as_bytes(), self.secret("tls.key").as_bytes()).map_err(|error| error.to_string())?;
        let now = podgraft::server::identity::unix_now();
        self.bundles().iter().try_for_each(|bundle| {
            verify(&Authority::all_in(bundle.as_bytes()), &pair, &self.server_name(), now).map_err(|error| error.to_string())
        })
    }

    /// Runs something while Pods are made.
    pub fn under_calls(&self, makers: usize, work: impl FnOnce()) -> Calls {
        calls::under(&self.story.api, &self.story.name, makers, work)
    }

    /// When the bundle changes from now on.
    pub fn changes(&self) -> Changes {
        Changes::of(&self.story.api, MUTATING, &self.registration.name)
    }

    /// Kills a replica, to which nobody is led any more.
    pub fn kill(&self, number: usize) {
        self.front.as_ref().unwrap().leave_out(self.replicas[number].webhook.parse().unwrap());
        self.dead.borrow_mut().push(number);
        self.replicas[number].held.signal("KILL");
    }

    /// Kills all of them, and takes what led to them away.
    pub fn kill_all(&mut self) {
        self.front = None;
        self.replicas.clear();
    }

    /// Those that were not killed.
    pub fn living(&self) -> impl Iterator<Item = &Serving> {
        self.replicas.iter().enumerate().filter(|(number, _)| !self.dead.borrow().contains(number)).map(|(_, replica)| replica)
    }

    /// The name of a replica, as it has it in a cluster.
    pub fn name_of(&self, number: usize) -> String {
        format!("{}-{number}", self.story.name)
    }

    /// What `/readyz?verbose` of a replica says.
    pub fn verbose(&self, number: usize) -> String {
        let url = format!("http://{}/readyz?verbose", self.replicas[number].admin);
        let mut answer = ureq::get(url).config().http_status_as_error(false).build().call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    }

    /// A metric of every replica.
    pub fn metrics(&self, name: &str, labels: &str) -> Vec<f64> {
        self.replicas.iter().map(|replica| replica.metric(name, labels).unwrap()).collect()
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        let _ = self.story.api.delete(&format!("{VALIDATING}/{}", self.registration.name));
    }
}

/// The certificate that is shown at an address, as the doctor looks at it.
fn leaf(address: &str, name: &str) -> Vec<u8> {
    let (host, port) = address.rsplit_once(':').unwrap();
    let looking = look(host, port.parse().unwrap(), name, Duration::from_secs(10));
    Builder::new_current_thread().enable_all().build().unwrap().block_on(looking).unwrap().leaf().to_vec()
}
