//! Where the parts of a control plane come from: built from their Go modules, once; or a folder that `KUBEBUILDER_ASSETS` names. What such a
//! folder seldom has is built all the same.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::built::{Build, Source, release_of};
use super::{Trouble, say};

/// What we build from: one `main.go`, and one `go.mod` with `go.sum` a version.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/kube");

/// The newest version, which is tested first.
const NEWEST: &str = "1.36";

/// An old one that is still in use.
pub const OLDEST: &str = "1.34";

/// What one can do where there is no control plane.
const WAYS: &str = "Install Go (https://go.dev/dl), or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kubectl and \
                    kube-controller-manager, or leave these tests out with PODGRAFT_TEST_CLUSTER=off";

/// What stands for a version where the user has a folder: it has one version, whatever it is.
const ASSETS: &str = "assets";

/// The parts of one version.
#[derive(Clone, Debug)]
pub enum Parts {
    /// One program whose first argument says which part it is.
    Built(PathBuf),
    /// A folder with a program each.
    Folder(PathBuf),
}

/// The versions to test: those of `PODGRAFT_TEST_KUBERNETES` (comma separated), else that of the user's folder, else the newest and an old
/// one that is still in use.
pub fn versions() -> Vec<String> {
    let asked = std::env::var("PODGRAFT_TEST_KUBERNETES").unwrap_or_default();
    let asked: Vec<String> = asked.split(',').map(|version| version.trim().to_owned()).filter(|version| !version.is_empty()).collect();
    match asked {
        asked if !asked.is_empty() => asked,
        _ if assets().is_some() => vec![ASSETS.to_owned()],
        _ => vec![NEWEST.to_owned(), OLDEST.to_owned()],
    }
}

/// The user's folder. Set to nothing, as a command that failed sets it, it is not set.
fn assets() -> Option<PathBuf> {
    std::env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

impl Parts {
    /// The parts of a version, as in `1.36`. The first time this takes minutes.
    pub fn get(version: &str) -> Result<Parts, Trouble> {
        match assets() {
            Some(folder) if version == ASSETS => Parts::of(folder),
            Some(folder) => {
                let folder = folder.display();
                Err(format!("Kubernetes {version} is asked for, and KUBEBUILDER_ASSETS is {folder}: unset one of the two"))
            }
            None => kubernetes(version)?.get().map(Parts::Built),
        }
    }

    /// Those of a folder.
    pub fn of(folder: PathBuf) -> Result<Parts, Trouble> {
        if let Some(part) = ["etcd", "kube-apiserver", "kubectl"].iter().find(|part| !folder.join(part).is_file()) {
            return Err(format!("KUBEBUILDER_ASSETS is {}, which has no {part}", folder.display()));
        }
        let parts = Parts::Folder(folder);
        // Built now, where it is not there, and not while an API server waits for it.
        parts.servant("kube-controller-manager")?;
        Ok(parts)
    }

    /// How a part is run: program and leading arguments.
    pub fn command(&self, part: &str) -> Vec<OsString> {
        match self {
            Parts::Built(program) => vec![program.into(), part.into()],
            Parts::Folder(folder) => vec![folder.join(part).into()],
        }
    }

    /// How a part is run that folders of users seldom have, setup-envtest's say: ours of their version then does, or the newest.
    pub fn servant(&self, part: &str) -> Result<Vec<OsString>, Trouble> {
        match self {
            Parts::Folder(folder) if !folder.join(part).is_file() => {
                let minor = minor_of(&folder.join("kube-apiserver"))?;
                let ours = kubernetes(&minor).or_else(|_| {
                    say(&format!("{} is of Kubernetes {minor} and has no {part}; that of {NEWEST} is taken", folder.display()));
                    kubernetes(NEWEST)
                });
                Ok(Parts::Built(ours?.get()?).command(part))
            }
            _ => Ok(self.command(part)),
        }
    }
}

/// As in `1.36`, from what a kube-apiserver says it is.
fn minor_of(apiserver: &Path) -> Result<String, Trouble> {
    let said = Command::new(apiserver).arg("--version").output().map_err(|error| format!("{}: {error}", apiserver.display()))?;
    let said = String::from_utf8_lossy(&said.stdout);
    let release = said.trim().strip_prefix("Kubernetes v").ok_or_else(|| format!("{} says that it is {said:?}", apiserver.display()))?;
    Ok(release.split('.').take(2).collect::<Vec<_>>().join("."))
}

fn kubernetes(version: &str) -> Result<Build, Trouble> {
    let modules = Path::new(SOURCE).join(format!("v{version}"));
    let release = release_of(&modules.join("go.mod"), "k8s.io/kubernetes").map_err(|trouble| {
        format!("there are no modules for Kubernetes {version} ({trouble}); tests/cluster/kube/module.sh RELEASE writes them")
    })?;
    Ok(Build {
        what: format!("etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl {release}"),
        name: format!("kube-{release}"),
        sources: [(&*modules, "go.mod"), (&modules, "go.sum"), (Path::new(SOURCE), "main.go")]
            .map(|(folder, place)| Source { file: folder.join(place), place })
            .to_vec(),
        package: ".",
        linked_with: named(&release),
        takes: "The first time this takes some minutes, and 3 GB of Go's cache; interrupted, it goes on where it was.".to_owned(),
        ways: WAYS,
        keep: None,
    })
}

/// Without its version the API server calls itself `v0.0.0-master`, and clients stumble.
fn named(release: &str) -> String {
    let mut numbers = release.split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let mut flags = "-s -w".to_owned();
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        flags.push_str(&format!(
            " -X {package}.gitVersion=v{release} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} -X {package}.gitTreeState=clean",
        ));
    }
    flags
}
