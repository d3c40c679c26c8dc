//! Programs of others that tests run beside the control plane: kwok, cert-manager, Helm, the engine of Prometheus. One Go module asks for all
//! of them, so that what they share is compiled once.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Trouble;
use super::built::{Build, Kept, Source, release_of};

/// What one can do where one of those that stand beside a control plane cannot be built.
const WAYS: &str = "Install Go (https://go.dev/dl), or leave these tests out with PODGRAFT_TEST_CLUSTER=off";

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/tools");

/// What kwok does with Nodes and Pods, in its own module's words: a Node is ready, a Pod runs at once, one of a Job completes, one that is
/// deleted is gone.
const STAGES: [&str; 4] = [
    "kustomize/stage/node/fast/node-initialize.yaml",
    "kustomize/stage/pod/fast/pod-ready.yaml",
    "kustomize/stage/pod/fast/pod-complete.yaml",
    "kustomize/stage/pod/fast/pod-delete.yaml",
];

/// cert-manager's own kinds, of its module.
const CERT_MANAGER_KINDS: [&str; 4] = [
    "deploy/crds/cert-manager.io_certificaterequests.yaml",
    "deploy/crds/cert-manager.io_certificates.yaml",
    "deploy/crds/cert-manager.io_clusterissuers.yaml",
    "deploy/crds/cert-manager.io_issuers.yaml",
];

/// How kwok is run: with its stages.
pub fn kwok() -> Result<Vec<OsString>, Trouble> {
    let tool = Tool {
        name: "kwok",
        module: "sigs.k8s.io/kwok",
        package: "sigs.k8s.io/kwok/cmd/kwok",
        what: "It simulates nodes.",
        ways: WAYS,
        keep: &STAGES,
        release: None,
    };
    let program = tool.get()?;
    let mut command: Vec<OsString> = vec![program.clone().into()];
    for stage in STAGES {
        command.extend(["--config".into(), Build::kept(&program, stage).into()]);
    }
    Ok(command)
}

/// cert-manager: its program, whose first argument says which part it is, and the manifests of its kinds.
pub fn cert_manager() -> Result<(PathBuf, Vec<PathBuf>), Trouble> {
    let tool = Tool {
        name: "cert-manager",
        module: "github.com/cert-manager/cert-manager",
        package: "./cert-manager",
        what: "It renews certificates as in a cluster.",
        ways: WAYS,
        keep: &CERT_MANAGER_KINDS,
        release: None,
    };
    let program = tool.get()?;
    let kinds = CERT_MANAGER_KINDS.iter().map(|file| Build::kept(&program, file)).collect();
    Ok((program, kinds))
}

/// One of them.
pub struct Tool {
    pub name: &'static str,
    pub module: &'static str,
    pub package: &'static str,
    /// What it does here.
    pub what: &'static str,
    /// What one can do where it cannot be built.
    pub ways: &'static str,
    /// Files of its module that it needs when it runs.
    pub keep: &'static [&'static str],
    /// The variable that says which release it is, where it has one that is not set by itself.
    pub release: Option<&'static str>,
}

impl Tool {
    /// Its program. The first time this takes some minutes.
    pub fn get(&self) -> Result<PathBuf, Trouble> {
        let release = release_of(&Path::new(MODULE).join("go.mod"), self.module)?;
        let places = ["go.mod", "go.sum", "cert-manager/main.go", "prometheus/main.go"];
        let told = self.release.map(|variable| format!(" -X {variable}=v{release}")).unwrap_or_default();
        let build = Build {
            what: format!("{} {release}", self.name),
            name: format!("{}-{release}", self.name),
            sources: places.map(|place| Source { file: Path::new(MODULE).join(place), place }).to_vec(),
            package: self.package,
            linked_with: format!("-s -w{told}"),
            takes: format!("{} The first time this takes some minutes.", self.what),
            ways: self.ways,
            keep: (!self.keep.is_empty()).then_some(Kept { module: self.module, files: self.keep }),
        };
        build.get()
    }
}
