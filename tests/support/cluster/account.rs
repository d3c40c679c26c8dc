//! A ServiceAccount that may what Podgraft needs and nothing else, as it is installed.

use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::json;

use super::installed;
use super::plane::{Plane, User};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// See the module.
#[derive(Clone, Debug)]
pub struct Account {
    pub name: String,
    /// Podgraft's own namespace.
    pub namespace: String,
    pub token: String,
    pub kubeconfig: PathBuf,
}

impl Account {
    /// The account `podgraft` in the namespace `NAME-podgraft`, with the rights that it has when it is installed; the registration that it may
    /// read and write is `NAME`.
    pub fn make(plane: &Plane, name: &str) -> Account {
        Account::without(plane, name, &[])
    }

    /// The same, less the rights to these resources.
    pub fn without(plane: &Plane, name: &str, resources: &[&str]) -> Account {
        let namespace = format!("{name}-podgraft");
        plane.namespace(&namespace, &json!({})).unwrap();
        let api = plane.api(User::Admin);
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        api.post(&accounts, &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "podgraft"}})).object("the account");
        for (kind, place) in [("ClusterRole", String::new()), ("Role", format!("/namespaces/{namespace}"))] {
            let mut rules = installed::rules(kind);
            rules.retain(|rule| !rule["resources"].as_array().unwrap().iter().any(|one| resources.iter().any(|other| one == other)));
            for rule in rules.iter_mut().filter(|rule| rule["resourceNames"] == json!(["podgraft"])) {
                rule["resourceNames"] = json!([name]);
            }
            let path = format!("{RBAC}{place}/{}", kind.to_lowercase());
            let version = "rbac.authorization.k8s.io/v1";
            let role = json!({"apiVersion": version, "kind": kind, "metadata": {"name": namespace}, "rules": rules});
            api.post(&format!("{path}s"), &role).object("its role");
            let binding = json!({
                "apiVersion": version,
                "kind": format!("{kind}Binding"),
                "metadata": {"name": namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": namespace},
                "subjects": [{"kind": "ServiceAccount", "name": "podgraft", "namespace": namespace}],
            });
            api.post(&format!("{path}bindings"), &binding).object("its rights");
        }
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let answer = api.post(&format!("{accounts}/podgraft/token"), &request).object("its token");
        let token = answer["status"]["token"].as_str().unwrap().to_owned();
        let kubeconfig = plane.kubeconfig_of(name, plane.url(), &token);
        Account { name: name.to_owned(), namespace, token, kubeconfig }
    }

    /// The same, with the API server at another place.
    pub fn at(&self, plane: &Plane, url: &str) -> Account {
        let kubeconfig = plane.kubeconfig_of(&format!("{}-elsewhere", self.name), url, &self.token);
        Account { kubeconfig, ..self.clone() }
    }

    /// What Podgraft finds around it in a cluster.
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        [("KUBERNETES_SERVICE_HOST", "127.0.0.1".into()), ("KUBECONFIG", self.kubeconfig.clone().into())]
    }
}
