//! `make cluster`: a real control plane with Podgraft in front of it, for people. Ctrl-C takes all of it away.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::harness::plane::{Plane, User};
use crate::harness::podgraft::{Registered, Registration, Serving};
use crate::harness::{Trouble, parts, say};

/// What Podgraft holds at first.
const PRESETS: &str = include_str!("up.yaml");

pub fn run() -> ExitCode {
    crate::finished(stand())
}

fn stand() -> Result<(), Trouble> {
    let version = std::env::args().nth(2).filter(|version| !version.is_empty());
    let version = version.or_else(|| parts::versions().into_iter().next()).unwrap_or_default();
    let plane = Plane::start(&version, &crate::runs())?;
    let serving = Serving::start(&plane, "podgraft", PRESETS)?;
    let exempt = json!(["kube-system", "kube-public", "kube-node-lease", "podgraft"]);
    let registration = Registration {
        // As it is installed: without Podgraft there are Pods all the same.
        failure_policy: "Ignore",
        namespaces: json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": exempt}]}),
        ..Registration::of("podgraft", "")
    };
    let api = plane.api(User::Admin);
    let registered = Registered::make(api.clone(), &registration.object(&serving.url(), &plane.authority.pem));
    serving.in_force(&api, "default")?;
    let kubectl = kubectl_for_people(&plane)?;
    // Until here a signal ends this process as it ends any, and the watcher takes away what was started.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| error.to_string())?;
    say(&guide(&plane, &serving, &kubectl)?);
    // Waits for the first one.
    let _ = signals.forever().next();
    say("\nTaking it away.");
    drop(registered);
    drop(serving);
    plane.remove();
    say("Gone.");
    Ok(())
}

/// A kubectl of this version in a folder for `PATH`.
fn kubectl_for_people(plane: &Plane) -> Result<String, Trouble> {
    let folder = plane.folder.join("bin");
    let file = folder.join("kubectl");
    let words: Vec<String> =
        plane.kubectl(User::Admin, "default").command.iter().map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&folder)?;
        fs::write(&file, format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" ")))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
    };
    write().map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(folder.display().to_string())
}

fn guide(plane: &Plane, serving: &Serving, kubectl: &str) -> Result<String, Trouble> {
    Ok(format!(
        "
Kubernetes {release} is up, with Podgraft in front of it. In another terminal:

  export KUBECONFIG={kubeconfig}
  export PATH={kubectl}:$PATH

A Deployment that is grafted; a Pod that has the variable otherwise, which keeps its own value, and a warning says so; a Pod that is excluded:

  kubectl create deployment web --image=nginx
  kubectl run other --image=nginx --labels=app=web --env=LOG_DIR=/tmp
  kubectl run alone --image=nginx --labels=app=web --annotations=podpreset.admission.kubernetes.io/exclude=true

What came of it, and all of it with -o yaml:

  kubectl get pods -l app=web -o 'custom-columns=POD:.metadata.name,SIDECAR:.spec.initContainers[*].name,LOG_DIR:.spec.containers[0].env[0].value'

The preset is in {presets}/presets.yaml: change it, and two seconds later new Pods get what it says. No container is run; Pods stay Pending.
Podgraft's log: {log}
Ctrl-C takes all of it away.",
        release = plane.release()?,
        kubeconfig = plane.kubeconfig(User::Admin).display(),
        presets = serving.presets().display(),
        log = serving.held.log.display(),
    ))
}
