//! The real Helm, built from its Go module, and what it makes of the chart.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::harness::Trouble;
pub use crate::harness::installed::documents as read;
use crate::harness::tools::Tool;

/// The chart.
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/chart");

/// What Helm said.
#[derive(Debug)]
pub struct Said {
    pub fine: bool,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Fails the test where Helm failed.
    pub fn fine(self) -> Said {
        assert!(self.fine, "helm: {}{}", self.out, self.err);
        self
    }

    /// Fails the test where Helm did not; gives what it said.
    pub fn refused(self) -> String {
        assert!(!self.fine, "helm took it: {}", self.out);
        self.err
    }
}

/// Runs Helm; without a kubeconfig it finds no cluster.
pub fn run(arguments: &[&str], kubeconfig: Option<&Path>) -> Said {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("helm");
    let mut helm = Command::new(program().unwrap_or_else(|trouble| panic!("{trouble}")));
    helm.args(arguments).env("HOME", &home).env("KUBECONFIG", kubeconfig.unwrap_or(Path::new("/dev/null")));
    for (variable, folder) in [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")] {
        helm.env(variable, home.join(folder));
    }
    let output = helm.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { fine: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// The chart rendered as release `podgraft` in namespace `podgraft`, with values as `--set` takes them.
pub fn template(values: &[&str]) -> Said {
    let mut arguments = vec!["template", "podgraft", CHART, "--namespace=podgraft", "--kube-version=1.36.0"];
    for value in values {
        arguments.extend(["--set", value]);
    }
    run(&arguments, None)
}

/// The objects of the chart with these values.
pub fn objects(values: &[&str]) -> Vec<Value> {
    read(&template(values).fine().out)
}

/// The only object of a kind and name.
pub fn one<'o>(objects: &'o [Value], kind: &str, name: &str) -> &'o Value {
    let found: Vec<&Value> = objects.iter().filter(|object| object["kind"] == kind && object["metadata"]["name"] == name).collect();
    assert_eq!(found.len(), 1, "{kind} {name}");
    found[0]
}

fn program() -> Result<&'static Path, Trouble> {
    static PROGRAM: OnceLock<Result<PathBuf, Trouble>> = OnceLock::new();
    let helm = Tool {
        name: "helm",
        module: "helm.sh/helm/v4",
        package: "helm.sh/helm/v4/cmd/helm",
        what: "It installs the chart.",
        ways: "Install Go (https://go.dev/dl)",
        keep: &[],
        release: Some("helm.sh/helm/v4/internal/version.version"),
    };
    PROGRAM.get_or_init(|| helm.get()).as_deref().map_err(Clone::clone)
}
