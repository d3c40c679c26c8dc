//! The image: a static binary on an empty file system, built and started without a container engine.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::harness::{say, wait};
use crate::{Tests, debian};

pub const TESTS: Tests = &[("it_builds_from_scratch_and_starts", starts)];

const PRESET: &str = "
apiVersion: podgraft.dev/v1beta1
kind: ClusterPodPreset
metadata: {name: web}
spec: {selector: {}, env: [{name: GRAFTED, value: '1'}]}
";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// buildah, installed where that can be done.
fn buildah() -> Result<(), String> {
    let there = || Command::new("buildah").arg("--version").output().is_ok_and(|output| output.status.success()).then_some(());
    debian::get("buildah", there)
}

/// Dynamic loaders are no part of the image, so the binary must do without. What it is made of is compiled for these tests already: only the
/// program itself is compiled again, and put elsewhere.
fn binary() -> PathBuf {
    let compiled = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["rustc", "--locked", "--quiet", "--bin", "podgraft"]).current_dir(root());
    cargo.env("CARGO_TARGET_DIR", &target).env("CARGO_BUILD_BUILD_DIR", compiled).args(["--", "-C", "target-feature=+crt-static"]);
    cargo.env_remove("CARGO_BUILD_TARGET");
    // What cargo tells a test about itself: build scripts would take it for a change, and all that is above them would be compiled again.
    for (name, _) in std::env::vars_os() {
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "OUT_DIR", "LD_LIBRARY_PATH"];
        if told.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
    assert!(cargo.status().unwrap().success(), "no static binary");
    target.join("debug/podgraft")
}

fn starts() {
    if let Err(trouble) = buildah() {
        say(&format!("LEFT OUT: the image was not built ({trouble})"));
        return;
    }
    // Its files are those of the image, nothing of the checkout is sent along.
    let context = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("image");
    let _ = std::fs::remove_dir_all(&context);
    std::fs::create_dir_all(&context).unwrap();
    std::fs::copy(binary(), context.join("podgraft")).unwrap();
    let storage = context.join("storage");
    let run = |arguments: &[&str]| -> Output {
        let mut buildah = Command::new("buildah");
        buildah.args(["--storage-driver", "vfs", "--root"]).arg(&storage).arg("--runroot").arg(context.join("run")).args(arguments);
        buildah.current_dir(&context).output().unwrap()
    };
    let fine = |arguments: &[&str]| {
        let output = run(arguments);
        assert!(output.status.success(), "buildah {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let file = root().join("deploy/Dockerfile").display().to_string();
    fine(&["bud", "--isolation", "chroot", "--build-arg", "BINARY=podgraft", "-f", &file, "-t", "podgraft", "."]);
    let settings = fine(&["inspect", "--type", "image", "--format", "{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}}", "podgraft"]);
    assert_eq!(settings, "65532:65532 [/usr/bin/podgraft]");
    let container = fine(&["from", "podgraft"]);
    let said = fine(&["run", "--isolation", "chroot", &container, "--", "/usr/bin/podgraft", "--version"]);
    assert_eq!(said, concat!("podgraft ", env!("CARGO_PKG_VERSION")));
    serves(&context, &container);
    let mounted = PathBuf::from(fine(&["mount", &container]));
    let files: Vec<PathBuf> = found(&mounted);
    assert_eq!(files, [mounted.join("usr/bin/podgraft")], "something else is in the image");
    fine(&["rm", &container]);
    fine(&["rmi", "podgraft"]);
    let _ = std::fs::remove_dir_all(&context);
}

/// `serve` in the image, as the user that it names, with presets from a volume: until it is ready.
fn serves(context: &Path, container: &str) {
    let presets = context.join("presets");
    std::fs::create_dir_all(&presets).unwrap();
    std::fs::write(presets.join("a.yaml"), PRESET).unwrap();
    let volume = format!("{}:/presets:ro", presets.display());
    let mut buildah = Command::new("buildah");
    buildah.args(["--storage-driver", "vfs", "--root"]).arg(context.join("storage")).arg("--runroot").arg(context.join("run"));
    buildah.args(["run", "--isolation", "chroot", "--volume", &volume, container, "--", "/usr/bin/podgraft", "serve"]);
    buildah.args(["--presets=/presets", "--kube=off", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--log-format=json"]);
    let log = context.join("log");
    let file = std::fs::File::create(&log).unwrap();
    let mut running = buildah.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn().unwrap();
    let ready = wait::until_within(wait::PATIENCE, "it to be ready", || {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let line = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let admin = line.filter_map(|line| line["admin"].as_str().map(str::to_owned)).next().ok_or_else(|| said.clone())?;
        let answer = ureq::get(format!("http://{admin}/metrics")).call().and_then(|mut answer| answer.body_mut().read_to_string());
        let metrics = answer.map_err(|error| error.to_string())?;
        ureq::get(format!("http://{admin}/readyz")).call().map_err(|error| error.to_string())?;
        if metrics.contains("podgraft_presets{store=\"directory\",state=\"active\"} 1") { Ok(()) } else { Err(metrics) }
    });
    // The whole group: buildah, and what it runs.
    let group = format!("-{}", running.id());
    let ended = Command::new("kill").args(["-TERM", "--", &group]).status();
    let _ = running.wait();
    assert!(ended.is_ok_and(|status| status.success()));
    ready.unwrap_or_else(|trouble| panic!("{trouble}"));
}

/// The files with something in them below a folder; running in it leaves empty places to mount to.
fn found(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files.extend(found(&entry.path()));
        } else if kind.is_file() && entry.metadata().unwrap().len() > 0 {
            files.push(entry.path());
        }
    }
    files
}
