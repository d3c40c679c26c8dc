//! The real cert-manager beside a control plane: its controllers and its CA injector as two processes. One at a time, as it looks at
//! everything in the cluster.

use std::ffi::OsString;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::api::Api;
use super::held::Held;
use super::plane::{Plane, User};
use super::{Trouble, tools, wait};

static ONE: Mutex<()> = Mutex::new(());

const GROUP: &str = "/apis/cert-manager.io/v1";

/// It ends with the value.
pub struct CertManager {
    api: Api,
    /// Writes Secrets into bundles.
    pub injector: Held,
    _controllers: Held,
    _one: MutexGuard<'static, ()>,
}

impl CertManager {
    /// Starts it. `merging`: new authorities are added to a bundle, as from 1.19 on; else they replace what is there.
    pub fn start(plane: &Plane, merging: bool) -> Result<CertManager, Trouble> {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (program, kinds) = tools::cert_manager()?;
        let kubectl = plane.kubectl(User::Admin, "default");
        for file in kinds {
            kubectl.run(&["apply", "--server-side", "--force-conflicts", "-f", &file.display().to_string()]).fine();
        }
        for kind in ["certificates", "certificaterequests", "issuers", "clusterissuers"] {
            kubectl.until_established(&[&format!("crd/{kind}.cert-manager.io")]);
        }
        plane.namespace("cert-manager", &json!({}))?;
        let start = |part: &str, more: &[&str]| {
            let kubeconfig = format!("--kubeconfig={}", plane.kubeconfig(User::Admin).display());
            let mut command: Vec<OsString> = vec![program.clone().into(), part.into(), kubeconfig.into()];
            command.extend(more.iter().map(Into::into));
            Held::start(&format!("cert-manager {part}"), &command, &[], &plane.folder.join("logs").join(format!("cert-manager-{part}.log")))
        };
        let gate = format!("--feature-gates=CAInjectorMerging={merging}");
        let (controllers, injector) = (start("controllers", &[])?, start("injector", &[&gate])?);
        Ok(CertManager { api: plane.api(User::Admin), injector, _controllers: controllers, _one: one })
    }

    /// An authority of its own in a namespace, `NAME-ca`, and a certificate of it in the Secret NAME.
    pub fn issue(&self, namespace: &str, name: &str, names: &[&str]) {
        let authority = format!("{name}-ca");
        let key = json!({"algorithm": "ECDSA", "rotationPolicy": "Always"});
        let own = |kind: &str, name: &str, spec: &Value| {
            let object = json!({"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
            let path = format!("{GROUP}/namespaces/{namespace}/{}s", kind.to_lowercase());
            self.api.post(&path, &object).object(&format!("the {kind} {name}"));
        };
        own("Issuer", "itself", &json!({"selfSigned": {}}));
        let issuer = |name: &str| json!({"name": name, "kind": "Issuer"});
        own(
            "Certificate",
            &authority,
            &json!({"isCA": true, "commonName": authority, "secretName": authority, "privateKey": key, "issuerRef": issuer("itself")}),
        );
        own("Issuer", &authority, &json!({"ca": {"secretName": authority}}));
        own("Certificate", name, &json!({"dnsNames": names, "secretName": name, "privateKey": key, "issuerRef": issuer(&authority)}));
    }

    /// Renews a Certificate, as `cmctl renew` does, and waits until its Secret has changed.
    pub fn renew(&self, namespace: &str, name: &str) {
        let secret = || self.api.get(&format!("/api/v1/namespaces/{namespace}/secrets/{name}")).map(|answer| answer.body["data"].clone());
        let before = secret().unwrap();
        let path = format!("{GROUP}/namespaces/{namespace}/certificates/{name}");
        let present = self.api.get(&path).unwrap().object("the Certificate");
        let mut conditions: Vec<Value> = present["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.retain(|condition| condition["type"] != "Issuing");
        conditions.push(json!({
            "type": "Issuing", "status": "True", "reason": "Asked", "message": "by a test", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }));
        self.api.patch(&format!("{path}/status"), "merge", &json!({"status": {"conditions": conditions}})).object("its status");
        wait::until(&format!("{name} to be renewed"), || {
            let now = secret()?;
            if now != before && now["tls.crt"] != Value::Null { Ok(()) } else { Err("it is the same".to_owned()) }
        });
    }
}
