//! kubectl, as people use it.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::wait;

/// kubectl of the control plane's version, for one user.
#[derive(Clone, Debug)]
pub struct Kubectl {
    /// Program and leading arguments.
    pub command: Vec<OsString>,
    pub kubeconfig: PathBuf,
    /// Where it keeps what it learnt of the API.
    pub home: PathBuf,
    pub namespace: String,
}

/// What it said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Fails the test where kubectl failed.
    pub fn fine(self) -> Said {
        assert_eq!(self.code, 0, "kubectl: {}{}", self.out, self.err);
        self
    }

    /// Fails the test where kubectl did not.
    pub fn refused(self) -> Said {
        assert_ne!(self.code, 0, "kubectl: {}{}", self.out, self.err);
        self
    }

    pub fn json(self) -> Value {
        let said = self.fine();
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out))
    }

    /// The lines that begin with `Warning:`, without it.
    pub fn warnings(&self) -> Vec<&str> {
        self.err.lines().filter_map(|line| line.strip_prefix("Warning: ")).collect()
    }
}

impl Kubectl {
    /// In another namespace.
    pub fn within(&self, namespace: &str) -> Kubectl {
        Kubectl { namespace: namespace.to_owned(), ..self.clone() }
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, "")
    }

    /// Waits until custom resource definitions are served: those of a file, or named. Before its first condition is there, kubectl does not wait.
    pub fn until_established(&self, definitions: &[&str]) {
        let arguments = [&["wait", "--for=condition=Established", "--timeout=60s"], definitions].concat();
        wait::until("definitions to be established", || match self.run(&arguments) {
            said if said.code == 0 => Ok(()),
            said => Err(said.err),
        });
    }

    /// With a manifest on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Said {
        let (program, leading) = self.command.split_first().unwrap();
        let mut child = Command::new(program)
            .args(leading)
            .args(["--namespace", &self.namespace])
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It closes its input where it does not read it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}
