//! A ServiceAccount that may what Podgraft needs and nothing else, as it is installed.

use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::plane::{Plane, User};

/// See the module.
#[derive(Clone, Debug)]
pub struct Account {
    pub name: String,
    /// Podgraft's own namespace.
    pub namespace: String,
    pub token: String,
    pub kubeconfig: PathBuf,
}

/// What the chart gives it for its stores and its Events.
pub fn rules() -> Value {
    json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["podgraft.dev"], "resources": ["podpresets", "clusterpodpresets"], "verbs": ["list", "watch"]},
        {"apiGroups": ["podgraft.dev"], "resources": ["podpresets/status", "clusterpodpresets/status"], "verbs": ["patch"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    ])
}

impl Account {
    /// The account `podgraft` in the namespace `NAME-podgraft`.
    pub fn make(plane: &Plane, name: &str) -> Account {
        let namespace = format!("{name}-podgraft");
        plane.namespace(&namespace, &json!({})).unwrap();
        let api = plane.api(User::Admin);
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        api.post(&accounts, &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "podgraft"}})).object("the account");
        const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
        let role =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": namespace}, "rules": rules()});
        api.post(&format!("{RBAC}/clusterroles"), &role).object("its role");
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace},
            "subjects": [{"kind": "ServiceAccount", "name": "podgraft", "namespace": namespace}],
        });
        api.post(&format!("{RBAC}/clusterrolebindings"), &binding).object("its rights");
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
