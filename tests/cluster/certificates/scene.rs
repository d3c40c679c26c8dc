//! A Service with Podgrafts behind it, as it is installed: registered by the Service's name, with the rights that the chart gives, and the bundle
//! left to whoever is to write it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use podgraft::server::identity::Pair;
use podgraft::server::identity::trust::{Authority, verify};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use serde_json::{Value, json};

use crate::harness::account::Account;
use crate::harness::api::Api;
use crate::harness::front::Front;
use crate::harness::podgraft::{Registered, Registration, Serving};
use crate::harness::story::Story;
use crate::harness::wait;

pub const SERVICE: &str = "podgraft";
pub const SECRET: &str = "podgraft-tls";
const PORT: u16 = 8443;
const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
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
    pub replicas: Vec<Serving>,
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
        let mut scene = Scene { story, account, registration, inject, address, registered: None, front: None, replicas: Vec::new() };
        scene.register();
        scene
    }

    /// Registers, with an empty bundle.
    fn register(&mut self) {
        self.registered = Some(Registered::make(self.story.api.clone(), &self.object("")));
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
        let (plane, account) = (self.story.plane, &self.account);
        self.replicas = thread::scope(|scope| {
            let starting: Vec<_> = replicas
                .iter()
                .enumerate()
                .map(|(number, flags)| {
                    let (flags, name) = ([&all, *flags].concat(), format!("{}-{number}", self.story.name));
                    scope.spawn(move || Serving::start_with(plane, &name, PRESETS, &flags, &account.environment()).unwrap())
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
        call(&self.story.api, &self.story.name)
    }

    /// The name that the API server expects in the certificate.
    pub fn server_name(&self) -> String {
        format!("{SERVICE}.{}.svc", self.account.namespace)
    }

    /// The bundle of the registration now.
    pub fn bundle(&self) -> String {
        let path = format!("{CONFIGURATIONS}/{}", self.registration.name);
        let object = self.story.api.get(&path).unwrap().object("the registration");
        let bundle = object["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned();
        String::from_utf8(STANDARD.decode(bundle).unwrap()).unwrap()
    }

    /// Sets the bundle as a person would.
    pub fn set_bundle(&self, bundle: &str) {
        let path = format!("{CONFIGURATIONS}/{}", self.registration.name);
        let patch = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": STANDARD.encode(bundle)}]);
        self.story.api.patch(&path, "json", &patch).object("the bundle");
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
        self.replicas.iter().map(|replica| leaf(&replica.webhook, &self.server_name())).collect()
    }

    /// Waits until all replicas show the certificate of a PEM text.
    pub fn until_shown(&self, certificate: &str) {
        let wanted = Authority::all_in(certificate.as_bytes())[0].der().to_vec();
        wait::until("all replicas to show the certificate", || {
            let others = self.shown().iter().filter(|leaf| **leaf != wanted).count();
            if others == 0 { Ok(()) } else { Err(format!("{others} show another")) }
        });
    }

    /// Whether the bundle verifies what the Secret holds, for the Service's name.
    pub fn trusted(&self) -> Result<(), String> {
        let pair =
            Pair::from_pem(self.secret("tls.crt").as_bytes(), self.secret("tls.key").as_bytes()).map_err(|error| error.to_string())?;
        let now = podgraft::server::identity::unix_now();
        verify(&Authority::all_in(self.bundle().as_bytes()), &pair, &self.server_name(), now).map_err(|error| error.to_string())
    }

    /// Runs something while Pods are made; gives how many were, and what went wrong with each that was lost.
    pub fn under_calls(&self, makers: usize, work: impl FnOnce()) -> (usize, Vec<String>) {
        let (over, made) = (AtomicBool::new(false), AtomicUsize::new(0));
        let lost = thread::scope(|scope| {
            let makers: Vec<_> = (0..makers)
                .map(|_| {
                    let (over, made, api, namespace) = (&over, &made, self.story.api.clone(), self.story.name.clone());
                    scope.spawn(move || {
                        let mut lost = Vec::new();
                        while !over.load(Ordering::Relaxed) {
                            lost.extend(call(&api, &namespace).err());
                            made.fetch_add(1, Ordering::Relaxed);
                        }
                        lost
                    })
                })
                .collect();
            // The makers end also where the work does not succeed.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            over.store(true, Ordering::Relaxed);
            let lost = makers.into_iter().flat_map(|maker| maker.join().unwrap()).collect();
            if let Err(panic) = done {
                std::panic::resume_unwind(panic);
            }
            lost
        });
        (made.into_inner(), lost)
    }

    /// A metric of every replica.
    pub fn metrics(&self, name: &str, labels: &str) -> Vec<f64> {
        self.replicas.iter().map(|replica| replica.metric(name, labels).unwrap()).collect()
    }
}

fn call(api: &Api, namespace: &str) -> Result<(), String> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "pod-"}, "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}});
    let answer = api.post(&format!("/api/v1/namespaces/{namespace}/pods?dryRun=All"), &pod);
    if !answer.taken() {
        return Err(answer.message());
    }
    if answer.body["spec"]["containers"][0]["env"][0]["name"] == "GRAFTED" { Ok(()) } else { Err("not grafted".to_owned()) }
}

/// The certificate that is shown at an address.
fn leaf(address: &str, name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, std::net::TcpStream::connect(address).unwrap());
    let StreamOwned { conn, sock } = &mut stream;
    while conn.is_handshaking() {
        conn.complete_io(sock).unwrap();
    }
    conn.peer_certificates().unwrap()[0].to_vec()
}

/// Trusts everybody: to look, not to talk.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
