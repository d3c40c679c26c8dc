//! The command line: `serve`, what works on files, and what asks a cluster with the rights of whoever runs it.
//!
//! [`run`] reads the arguments and does what they say. Every command that is not `serve` gives a [`Done`]: what goes to standard output, what
//! to standard error, and whether there were problems. Exit status 0: fine; 1: problems found, the output is complete; 2: usage, or something
//! can't be read.

pub mod args;
pub mod check;
pub mod cluster;
pub mod describe;
pub mod doctor;
pub mod edit;
pub mod explain;
pub mod inject;
pub mod json;
pub mod lines;
pub mod live_pod;
pub mod manifest;
pub mod output;
pub mod overlap;
pub mod patching;
pub mod presets;
pub mod render;
pub mod server_check;
pub mod setting;
pub mod source;
pub mod spans;
pub mod treat;
pub mod verdict;
pub mod workload;

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::source::Fault;
use crate::server::{self, args::ServeArgs};

/// Grafts presets and sidecars onto Kubernetes Pods.
#[derive(Debug, Parser)]
#[command(name = "podgraft", version, long_about = None, subcommand_required = true, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: What,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Run the webhook; without any flag on this machine, with presets from policies/
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<ServeArgs>),
    #[command(after_help = INJECT_EXAMPLES)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    Inject(inject::InjectArgs),
    #[command(after_help = EXPLAIN_EXAMPLES)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    Explain(explain::ExplainArgs),
    #[command(after_help = CHECK_EXAMPLES)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    Check(check::CheckArgs),
    #[command(after_help = DOCTOR_EXAMPLES)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    Doctor(doctor::DoctorArgs),
    /// Write the completions for a shell to standard output
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

const EXAMPLES: &str = "\
Examples:
  podgraft serve                                  the webhook, on this machine
  podgraft inject -f deployment.yaml              the Deployment with the presets of policies/ in it
  podgraft explain -f deployment.yaml             which preset does what, and why not
  podgraft check policies/                        every problem of the presets
  podgraft doctor                                 whether the installation in the cluster works

Exit status: 0 fine; 1 problems found, the output is complete; 2 usage, or something cannot be read.";

const SERVE_EXAMPLES: &str = "\
Examples:
  podgraft serve                                  presets of policies/, https://127.0.0.1:8443
  podgraft serve --presets /etc/podgraft/presets --tls-cert tls.crt --tls-key tls.key";

const INJECT_EXAMPLES: &str = "\
Examples:
  podgraft inject -f deployment.yaml | kubectl apply -f -
  helm template web ./chart | podgraft inject -f - -n shop --namespace-labels team=web
  podgraft inject -f manifests/ -o diff           what would change, and which preset adds it
  podgraft inject -f cronjob.yaml -o patch        the JSON Patch
  podgraft inject -f pod.yaml --fail-on-conflict > /dev/null
  podgraft inject -f deployment.yaml --from-cluster    with the presets of the cluster

Exit status: 0 fine; 1 a preset is bad, a Pod is rejected or cannot be read, or with --fail-on-conflict a
conflict (those of presets in Shadow mode aside), the output is complete; 2 usage, or something cannot be read.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  podgraft explain -f deployment.yaml
  podgraft explain -f deployment.yaml --from-cluster
  podgraft explain pod/web -n shop                which presets a live Pod has, and which it lacks
  podgraft explain -f deployment.yaml -o json | jq '.[].presets[] | select(.became == \"inConflict\")'

-o json is a list with one object for each Pod or Pod template:
  file, line, kind, namespace, name
  outcome     changed | unchanged | rejected | unreadable; of a live Pod: current | stale | unreadable
  skipped     why the Pod is left alone, where it is: ExemptNamespace, MirrorPod, Excluded, NoMatch
  presets     in merge order: {preset, became, added, selector, namespaceSelector, conflicts, stoppedBy,
              operations, recorded, newPod}
              became: applied | shadow | notSelected | excluded | inConflict | stopped | nothing | skipped;
              of a live Pod also missing, outdated (recorded: the version that it has; newPod: whether a
              new Pod would get the present one), gone, and unknown (whether it is gone cannot be seen)
              selector, namespaceSelector: the terms that do not hold, each {term, actual}
              conflicts: {path, holder, kind, policy, replaced}
  resources   {before, after}, each {requests, limits, qosClass}
  warnings, error

Exit status: 0 fine; 1 a preset is bad, a Pod is rejected or cannot be read; 2 usage, or something cannot be read.";

const CHECK_EXAMPLES: &str = "\
Examples:
  podgraft check policies/
  podgraft check --strict policies/ team.yaml     for CI: warnings count, too
  podgraft check --server policies/               also what the API server says of Pods with them

-o json is one object: {presets, errors, warnings, notes, problems}, where presets is the number of those
that are fine and problems a list of {severity, file, line, column, path, text}; severity: error | warning | note.

Exit status: 0 fine, also with notes; 1 errors, with --strict also warnings; 2 usage, or something cannot be read.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  podgraft doctor
  podgraft doctor -n shop -o json | jq '.findings[] | select(.state == \"problem\")'

-o json is one object: {problems, warnings, unknown, findings}, the first three numbers, findings a list of
{state, about, text, advice}; state: fine | warning | problem | unknown (could not be examined).

Exit status: 0 fine; 1 something is wrong; 2 usage, or the cluster cannot be reached.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(podgraft completions bash)
  podgraft completions zsh > ~/.zfunc/_podgraft";

/// What a command made.
#[derive(Debug, Default)]
pub struct Done {
    /// For standard output.
    pub output: String,
    /// For standard error, a line each.
    pub notes: Vec<String>,
    /// Whether problems were found: exit status 1.
    pub problems: bool,
}

impl Done {
    /// With the lines for standard error that are wanted.
    fn told(mut self, wanted: args::NoteArgs) -> Done {
        self.notes.retain(|line| wanted.wants(line));
        self
    }
}

/// What standard output is.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Whether it may have colours: a terminal, and neither `NO_COLOR` (no-color.org) nor `TERM=dumb`.
    pub colour: bool,
}

impl Terminal {
    fn here() -> Terminal {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Terminal { colour: std::io::stdout().is_terminal() && !refused && !dumb }
    }
}

/// The command line as clap has it, under the name that the program was called by: installed as `kubectl-podgraft` it is a kubectl plugin.
#[must_use]
pub fn command(program: &Path) -> Command {
    let plugin = program.file_stem().is_some_and(|name| name == "kubectl-podgraft");
    let command = without_empty_variables(Cli::command());
    if plugin { renamed(command).bin_name("kubectl podgraft") } else { command }
}

/// An environment variable that is empty says nothing, as manifests and CI systems have it that always set all of them.
fn without_empty_variables(command: Command) -> Command {
    let says_nothing = |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let command = command.mut_args(|arg| if says_nothing(&arg) { arg.env(Resettable::Reset) } else { arg });
    command.mut_subcommands(without_empty_variables)
}

/// The same examples for the plugin.
fn renamed(command: Command) -> Command {
    let help = command.get_after_help().map(|help| help.to_string().replace("podgraft ", "kubectl podgraft "));
    let command = match help {
        Some(help) => command.after_help(help),
        None => command,
    };
    command.mut_subcommands(renamed)
}

/// Reads the arguments, the program's name first, and does what they say. Gives the exit status.
///
/// # Errors
/// Where something can't be read, and what `serve` says.
pub fn run(arguments: Vec<OsString>) -> anyhow::Result<u8> {
    let program = arguments.first().cloned().unwrap_or_default();
    let mut command = command(Path::new(&program));
    if arguments.len() < 2 {
        // As kubectl and its plugins do: who asks for nothing gets the help, and that is no mistake.
        return write(&Done { output: command.render_help().to_string(), ..Done::default() }).map(|()| 0).map_err(Into::into);
    }
    let matches = match command.try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(message) => {
            // Nobody who closed the pipe wants to hear about it.
            let _ = message.print();
            return Ok(if message.use_stderr() { 2 } else { 0 });
        }
    };
    if let Some(text) = contradiction(&matches) {
        return Err(Fault::Usage(text).into());
    }
    let done = match Cli::from_arg_matches(&matches)?.command {
        What::Serve(args) => return Ok(server::run(*args)?),
        What::Inject(args) => inject::run(&args, Terminal::here())?.told(args.presets.notes),
        What::Explain(args) => explain::run(&args)?.told(args.presets.notes),
        What::Check(args) => check::run(&args)?.told(args.notes),
        What::Doctor(args) => doctor::run(&args)?,
        What::Completions { shell } => completions(shell, Path::new(&program)),
    };
    write(&done)?;
    Ok(u8::from(done.problems))
}

/// What somebody wrote on the command line that another word there makes void. Who relies on it would get an answer about something else.
/// Variables of the environment are for all commands, and may be void for some.
fn contradiction(matches: &ArgMatches) -> Option<&'static str> {
    let (command, given) = matches.subcommand()?;
    let stated = |id: &str| matches!(given.try_contains_id(id), Ok(true)) && given.value_source(id) == Some(ValueSource::CommandLine);
    let live = ["pod", "from_cluster", "server"].into_iter().any(stated);
    match command {
        "inject" | "explain" if live && stated("presets") => {
            Some("--presets does not go with a cluster, whose presets are taken: leave out one of the two")
        }
        "inject" | "explain" if !live && ["context", "kubeconfig", "podgraft_namespace"].into_iter().any(stated) => {
            Some("--context, --kubeconfig and --podgraft-namespace go with --from-cluster: without it no cluster is asked")
        }
        "check" if !live && ["context", "kubeconfig"].into_iter().any(stated) => {
            Some("--context and --kubeconfig go with --server: without it no cluster is asked")
        }
        _ => None,
    }
}

fn completions(shell: clap_complete::Shell, program: &Path) -> Done {
    let mut command = command(program);
    let name = if command.get_bin_name() == Some("kubectl podgraft") { "kubectl-podgraft" } else { "podgraft" };
    let mut output = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut output);
    Done { output: String::from_utf8_lossy(&output).into_owned(), ..Done::default() }
}

fn write(done: &Done) -> Result<(), Fault> {
    let notes: String = done.notes.iter().map(|note| format!("{}\n", one_line(note))).collect();
    // Without a standard error there is nobody to tell.
    let _ = std::io::stderr().lock().write_all(notes.as_bytes());
    let mut out = std::io::stdout().lock();
    match out.write_all(done.output.as_bytes()).and_then(|()| out.flush()) {
        // The reader has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Fault::Output),
    }
}

/// A line that a terminal takes for text only: names in a manifest may hold anything.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_void_is_refused() {
        for (line, refused) in [
            ("explain -f x --from-cluster --context prod --podgraft-namespace p", None),
            ("explain pod/web --context prod", None),
            ("explain -f x --presets p", None),
            ("check --server --context prod --presets p x", None),
            ("doctor --context prod", None),
            ("inject -f x --from-cluster --presets p", Some("--presets does not go")),
            ("explain pod/web --presets p", Some("--presets does not go")),
            ("inject -f x --context prod", Some("go with --from-cluster")),
            ("explain -f x --kubeconfig c", Some("go with --from-cluster")),
            ("check --context prod x", Some("go with --server")),
        ] {
            let words = std::iter::once("podgraft").chain(line.split(' '));
            let matches = Cli::command().try_get_matches_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
            let said = contradiction(&matches);
            assert_eq!(said.is_some(), refused.is_some(), "{line}: {said:?}");
            assert!(refused.is_none_or(|part| said.unwrap_or_default().contains(part)), "{line}: {said:?}");
        }
    }
}
