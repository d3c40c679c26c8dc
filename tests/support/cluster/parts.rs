//! Where the parts of a control plane come from: built from their Go modules, once, into a cache outside the checkout; or a folder that
//! `KUBEBUILDER_ASSETS` names.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::{Trouble, say};

/// What we build from: one `main.go`, and one `go.mod` with `go.sum` a version.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/kube");

/// What one can do where there is no control plane.
const WAYS: &str = "Install Go (https://go.dev/dl), or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager and \
                    kubectl, or leave these tests out with PODGRAFT_TEST_CLUSTER=off";

/// The parts of one version.
#[derive(Clone, Debug)]
pub enum Parts {
    /// One program whose first argument says which part it is.
    Built(PathBuf),
    /// A folder with a program each.
    Folder(PathBuf),
}

/// The versions to test: those of `PODGRAFT_TEST_KUBERNETES` (comma separated), else the newest and an old one that is still in use. A
/// folder of the user's has one version, whatever it is.
pub fn versions() -> Vec<String> {
    if std::env::var_os("KUBEBUILDER_ASSETS").is_some() {
        return vec!["assets".to_owned()];
    }
    let asked = std::env::var("PODGRAFT_TEST_KUBERNETES").unwrap_or_default();
    let asked: Vec<String> = asked.split(',').map(|version| version.trim().to_owned()).filter(|version| !version.is_empty()).collect();
    if asked.is_empty() { vec!["1.36".to_owned(), "1.34".to_owned()] } else { asked }
}

impl Parts {
    /// The parts of a version, as in `1.36`. The first time this takes minutes.
    pub fn get(version: &str) -> Result<Parts, Trouble> {
        if let Some(folder) = std::env::var_os("KUBEBUILDER_ASSETS") {
            let folder = PathBuf::from(folder);
            for part in ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"] {
                if !folder.join(part).is_file() {
                    return Err(format!("KUBEBUILDER_ASSETS is {}, which has no {part}", folder.display()));
                }
            }
            return Ok(Parts::Folder(folder));
        }
        Build::of(version)?.get().map(Parts::Built)
    }

    /// How a part is run: program and leading arguments.
    pub fn command(&self, part: &str) -> Vec<OsString> {
        match self {
            Parts::Built(program) => vec![program.into(), part.into()],
            Parts::Folder(folder) => vec![folder.join(part).into()],
        }
    }
}

struct Build {
    release: String,
    modules: PathBuf,
    program: PathBuf,
}

impl Build {
    fn of(version: &str) -> Result<Build, Trouble> {
        let modules = Path::new(SOURCE).join(format!("v{version}"));
        let read = |file: &Path| fs::read(file).map_err(|error| format!("{}: {error}", file.display()));
        let wanted = read(&modules.join("go.mod")).map_err(|error| {
            format!("there are no modules for Kubernetes {version} ({error}); tests/cluster/kube/module.sh RELEASE writes them")
        })?;
        let text = String::from_utf8_lossy(&wanted).into_owned();
        let release = text.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"));
        let release = release.ok_or_else(|| format!("{}/go.mod does not ask for k8s.io/kubernetes", modules.display()))?.to_owned();
        let mut key = Sha256::new();
        for bytes in [wanted, read(&modules.join("go.sum"))?, read(&Path::new(SOURCE).join("main.go"))?] {
            key.update(Sha256::digest(&bytes));
        }
        let key: String = key.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let program = cache()?.join(format!("kube-{release}-{key}"));
        Ok(Build { release, modules, program })
    }

    fn get(&self) -> Result<PathBuf, Trouble> {
        if self.program.is_file() {
            return Ok(self.program.clone());
        }
        let folder = self.program.parent().unwrap_or(Path::new("."));
        let trouble = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(trouble)?;
        // The lock goes with the process that holds it.
        let lock = File::create(folder.join(format!("kube-{}.lock", self.release))).map_err(trouble)?;
        if lock.try_lock().is_err() {
            say(&format!("Kubernetes {} is being built by another run, waiting for it", self.release));
            lock.lock().map_err(trouble)?;
        }
        if !self.program.is_file() {
            self.build()?;
        }
        Ok(self.program.clone())
    }

    /// Into a folder beside, then renamed: a build that was interrupted leaves nothing that looks whole.
    fn build(&self) -> Result<(), Trouble> {
        let work = PathBuf::from(format!("{}.building", self.program.display()));
        let trouble = |error: std::io::Error| format!("{}: {error}", work.display());
        let _ = fs::remove_dir_all(&work);
        fs::create_dir_all(&work).map_err(trouble)?;
        fs::copy(Path::new(SOURCE).join("main.go"), work.join("main.go")).map_err(trouble)?;
        for file in ["go.mod", "go.sum"] {
            fs::copy(self.modules.join(file), work.join(file)).map_err(trouble)?;
        }
        let start = Instant::now();
        say(&format!(
            "Building etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl {} from their Go modules into {}. The first \
             time this takes some minutes, and 3 GB of Go's cache; interrupted, it goes on where it was.",
            self.release,
            self.program.display()
        ));
        let mut go = Command::new("go");
        go.args(["build", "-mod=readonly", "-buildvcs=false", "-ldflags", &self.flags(), "-o", "kube", "."]);
        go.current_dir(&work).env("CGO_ENABLED", "0").env_remove("GOWORK");
        let mut child = go.spawn().map_err(|error| format!("go cannot be run ({error}). {WAYS}"))?;
        let mut told = 0;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(trouble)? {
                break status;
            }
            let half_minutes = start.elapsed().as_secs() / 30;
            if half_minutes > told {
                told = half_minutes;
                say(&format!("  Kubernetes {}: still building, {} s", self.release, half_minutes * 30));
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        if !status.success() {
            return Err(format!("Kubernetes {} cannot be built: go says why above. {WAYS}", self.release));
        }
        fs::rename(work.join("kube"), &self.program).map_err(trouble)?;
        let _ = fs::remove_dir_all(&work);
        say(&format!("Kubernetes {} is built, in {} s", self.release, start.elapsed().as_secs()));
        Ok(())
    }

    /// Without its version the API server calls itself `v0.0.0-master`, and clients stumble.
    fn flags(&self) -> String {
        let mut numbers = self.release.split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        let mut flags = "-s -w".to_owned();
        for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
            flags.push_str(&format!(
                " -X {package}.gitVersion=v{} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} -X {package}.gitTreeState=clean",
                self.release
            ));
        }
        flags
    }
}

/// Outside the checkout: it outlives `cargo clean`, and all checkouts share it.
fn cache() -> Result<PathBuf, Trouble> {
    if let Some(folder) = std::env::var_os("PODGRAFT_CACHE") {
        return Ok(folder.into());
    }
    if let Some(folder) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(folder).join("podgraft"));
    }
    let home = std::env::var_os("HOME").ok_or("there is no HOME to cache in; set PODGRAFT_CACHE to a folder")?;
    Ok(PathBuf::from(home).join(".cache/podgraft"))
}
