//! Whether a Pod has lost anything that its author wrote.

use podgraft::conflict::ConflictPolicy;
use podgraft::graft::Grafted;
use podgraft::preset::RECORD_PREFIX;
use serde_json::{Value, json};

/// What is missing in `after` or stands there differently without a reason.
pub fn lost(before: &Value, after: &Value, grafted: &Grafted) -> Vec<String> {
    let mut walk = Walk { grafted, lost: Vec::new(), pod: before };
    walk.value("", before, after);
    walk.lost
}

/// Fields whose zero value no API server keeps: it says nothing.
const DROPPED: [&str; 3] = ["hostNetwork", "stdin", "workingDir"];

struct Walk<'w> {
    grafted: &'w Grafted,
    lost: Vec<String>,
    pod: &'w Value,
}

impl Walk<'_> {
    fn value(&mut self, path: &str, before: &Value, after: &Value) {
        if before == after || before.is_null() {
            return;
        }
        match (before, after) {
            (Value::Object(before), Value::Object(after)) if !self.replaced_at(path) => {
                for (key, value) in before {
                    let below = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
                    match after.get(key) {
                        Some(after) => self.value(&below, value, after),
                        None if value.is_null() => {}
                        None => self.gone(&below, value),
                    }
                }
            }
            (Value::Array(before), Value::Array(after)) if !self.replaced_at(path) => self.list(path, before, after),
            _ => self.changed(path, before),
        }
    }

    /// Every entry must be there again, in the same order.
    fn list(&mut self, path: &str, before: &[Value], after: &[Value]) {
        let mut next = 0;
        for entry in before {
            let below = format!("{path}/{}", name(path, entry));
            let found = after.iter().skip(next).position(|candidate| same(path, candidate, entry));
            match found {
                Some(skipped) => {
                    self.value(&below, entry, &after[next + skipped]);
                    next += skipped + 1;
                }
                None => self.gone(&below, entry),
            }
        }
    }

    fn gone(&mut self, path: &str, before: &Value) {
        let with_class = self.grafted.operations.iter().any(|step| step.path == "/spec/priorityClassName");
        let by_class = matches!(path, "/spec/priority" | "/spec/preemptionPolicy") && with_class;
        let short = path.starts_with("/spec/tolerations/") && waits(before);
        if !by_class && !short {
            self.changed(path, before);
        }
    }

    fn changed(&mut self, path: &str, before: &Value) {
        let record = path.starts_with(&format!("/metadata/annotations/{}", RECORD_PREFIX.replace('/', "~1")));
        let silent = (*before == false || *before == "") && DROPPED.iter().any(|field| path.ends_with(&format!("/{field}")));
        if !record && !silent && !self.replaced_at(path) && !self.is_default(path, before) {
            self.lost.push(path.to_owned());
        }
    }

    /// An `Override` says that it replaced this, or what it is part of, or part of it.
    fn replaced_at(&self, path: &str) -> bool {
        // The old twin goes where the name goes.
        let path = if path == "/spec/serviceAccount" { "/spec/serviceAccountName" } else { path };
        let here = |conflict: &&podgraft::conflict::Conflict| conflict.path == path || path.starts_with(&format!("{}/", conflict.path));
        let mut replaced = self.grafted.conflicts.iter().filter(|conflict| conflict.replaced && !conflict.shadow);
        replaced.any(|conflict| here(&conflict) && conflict.policy == ConflictPolicy::Override)
    }

    /// The list of the contract, "Defaults are nobody's word".
    fn is_default(&self, path: &str, before: &Value) -> bool {
        let account = &self.pod["spec"]["serviceAccountName"];
        let default = match path {
            "/spec/serviceAccountName" => json!("default"),
            // Beside the name, the old twin says nothing.
            "/spec/serviceAccount" if account == "default" => return true,
            "/spec/serviceAccount" if account.is_null() => json!("default"),
            "/spec/dnsPolicy" => json!("ClusterFirst"),
            "/spec/schedulerName" => json!("default-scheduler"),
            "/spec/terminationGracePeriodSeconds" => json!(30),
            "/spec/enableServiceLinks" => json!(true),
            "/spec/securityContext" => json!({}),
            _ => return self.is_container_default(path, before),
        };
        *before == default || *before == ""
    }

    fn is_container_default(&self, path: &str, before: &Value) -> bool {
        let steps: Vec<&str> = path.split('/').collect();
        let ["", "spec", list @ ("containers" | "initContainers"), container, field] = steps.as_slice() else { return false };
        let containers = self.pod["spec"][*list].as_array().unwrap();
        let container = containers.iter().find(|given| given["name"] == *container).unwrap();
        let policy = podgraft::equality::pull_policy(container["image"].as_str().unwrap_or_default());
        match *field {
            "imagePullPolicy" => before == policy,
            "terminationMessagePath" => before == "/dev/termination-log",
            "terminationMessagePolicy" => before == "File",
            _ => false,
        }
    }
}

fn waits(toleration: &Value) -> bool {
    let taint = toleration["key"].as_str().unwrap_or_default();
    matches!(taint, "node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable") && toleration["tolerationSeconds"] == 300
}

/// Whether two entries stand under one key.
fn same(path: &str, left: &Value, right: &Value) -> bool {
    name(path, left) == name(path, right) && left["secretRef"].is_null() == right["secretRef"].is_null()
}

/// The name of an entry in a pointer of a conflict.
fn name(path: &str, entry: &Value) -> String {
    let text = |key: &str| entry[key].as_str().unwrap_or_default();
    let clean = |path: &str| format!("~1{}", path.trim_matches('/').replace('/', "~1"));
    match path.rsplit('/').next().unwrap_or_default() {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" => text("name").to_owned(),
        "volumeMounts" => clean(text("mountPath")),
        "volumeDevices" => clean(text("devicePath")),
        "ports" => format!("{}~1{}", entry["containerPort"], entry["protocol"].as_str().unwrap_or("TCP")),
        "hostAliases" => text("ip").to_owned(),
        "envFrom" => {
            let name = entry["configMapRef"]["name"].as_str().or(entry["secretRef"]["name"].as_str());
            format!("{}{}", text("prefix"), name.unwrap_or_default())
        }
        "topologySpreadConstraints" => format!("{}~1{}", text("topologyKey"), text("whenUnsatisfiable")),
        "sysctls" | "options" => text("name").to_owned(),
        _ => entry.to_string(),
    }
}
