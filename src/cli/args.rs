//! The flags of `inject`, `explain` and `check`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::server::args::LogLevel;

/// The namespaces that are exempt where nothing else is said.
pub const EXEMPT: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "podgraft"];

/// Which presets there are, and for whom.
#[derive(Args, Clone, Debug)]
pub struct PresetArgs {
    /// A directory with presets; may be given several times
    #[arg(long, value_name = "DIR", env = "PODGRAFT_PRESETS", hide_env_values = true, value_delimiter = ',', default_value = "policies/")]
    pub presets: Vec<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub names: NameArgs,
    /// Namespaces whose Pods are left alone
    #[arg(
        long,
        value_name = "NAME,...",
        env = "PODGRAFT_EXEMPT_NAMESPACES",
        hide_env_values = true,
        value_delimiter = ',',
        default_values = EXEMPT
    )]
    pub exempt_namespaces: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub notes: NoteArgs,
}

/// What stands in for names that are not given, and what is known of namespaces.
#[derive(Args, Clone, Debug)]
pub struct NameArgs {
    /// The namespace of Pods and presets that name none [default: default; with a cluster that of the context]
    #[arg(long, short = 'n', value_name = "NAME")]
    pub namespace: Option<String>,
    /// Labels of the namespaces of all Pods, as K=V; kubernetes.io/metadata.name need not be given
    #[arg(long, value_name = "K=V,...", env = "PODGRAFT_NAMESPACE_LABELS", hide_env_values = true, value_delimiter = ',', value_parser = label)]
    pub namespace_labels: Vec<(String, String)>,
}

impl NameArgs {
    /// The namespace of what names none, where no cluster says it.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }
}

/// What goes to standard error.
#[derive(Args, Clone, Copy, Debug)]
pub struct NoteArgs {
    /// Least severe lines on standard error: info has everything, warn no notes, error no warnings
    #[arg(long, env = "PODGRAFT_LOG_LEVEL", hide_env_values = true, value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
}

impl NoteArgs {
    /// Whether a line is severe enough; it says itself how severe it is.
    #[must_use]
    pub fn wants(self, line: &str) -> bool {
        match self.log_level {
            LogLevel::Error => !line.starts_with("warning: ") && !line.starts_with("note: "),
            LogLevel::Warn => !line.starts_with("note: "),
            LogLevel::Info | LogLevel::Debug | LogLevel::Trace => true,
        }
    }
}

/// The manifests to read.
#[derive(Args, Clone, Debug)]
pub struct FileArgs {
    /// A manifest: a file, a directory (its *.yaml, *.yml and *.json), or - for standard input; may be given several times
    #[arg(long = "filename", short = 'f', value_name = "FILE|DIR|-", required = true)]
    pub files: Vec<PathBuf>,
}

/// How `inject` writes what it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InjectOutput {
    /// The files with the presets in them; what was not changed stays byte for byte, JSON stays JSON
    Yaml,
    /// The document as JSON, several as a List
    Json,
    /// A unified diff, and which preset added what
    Diff,
    /// The JSON Patch of the document; of several, one JSON object a line
    Patch,
}

/// How `explain` and `check` report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportOutput {
    /// For people
    Text,
    /// For programs; the fields are stable
    Json,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is written KEY=VALUE".to_owned()),
    }
}
