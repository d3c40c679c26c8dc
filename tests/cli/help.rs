//! The help: complete, and what it shows works.

use std::collections::BTreeSet;
use std::path::Path;

use super::shell::{Folder, PODGRAFT, podgraft, run, sh, written};

const COMMANDS: [&str; 6] = ["serve", "inject", "explain", "check", "doctor", "completions"];

#[test]
fn without_a_command_there_is_help() {
    let help = written(podgraft().arg("--help"), "", 0);
    assert_eq!(written(&mut podgraft(), "", 0), help);
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        let own = written(podgraft().args([command, "--help"]), "", 0);
        assert_eq!(written(podgraft().args(["help", command]), "", 0), own);
        assert!(own.contains("Examples:\n  "), "{own}");
        assert!(["serve", "completions"].contains(&command) || own.contains("Exit status: 0 fine"), "{own}");
    }
    assert_eq!(written(podgraft().arg("--version"), "", 0), format!("podgraft {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_flag_is_explained() {
    let program = podgraft::cli::command(Path::new("podgraft"));
    let mut flags = 0;
    for command in program.get_subcommands() {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for flag in command.get_arguments() {
            flags += 1;
            assert!(flag.get_help().is_some(), "{} {}", command.get_name(), flag.get_id());
        }
    }
    assert!(flags > 30, "{flags}");
}

/// The files that the examples name, beside the policies that ship.
fn shop() -> Folder {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {role: frontend}}\nspec: {containers: [{name: a, image: i}]}\n";
    let of = |version: &str, kind: &str, before: &str, after: &str| {
        let template = "{metadata: {labels: {role: frontend}}, spec: {restartPolicy: Never, containers: [{name: a, image: i}]}}";
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: web}}\nspec: {before}{{template: {template}}}{after}\n")
    };
    let mut folder = Folder::new()
        .with("pod.yaml", pod)
        .with("deployment.yaml", of("apps/v1", "Deployment", "", ""))
        .with("manifests/a.yaml", of("apps/v1", "DaemonSet", "", ""))
        .with("cronjob.yaml", of("batch/v1", "CronJob", "{jobTemplate: {spec: ", "}}"))
        .with("team.yaml", "");
    for entry in std::fs::read_dir("policies").unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            folder = folder.with(&format!("policies/{}", path.file_name().unwrap().to_str().unwrap()), std::fs::read(&path).unwrap());
        }
    }
    folder
}

/// What asks a cluster: `tests/cluster/live.rs` and `tests/cluster/doctor.rs` run these.
fn asks_a_cluster(example: &str) -> bool {
    ["--from-cluster", "--server", "podgraft doctor", "explain pod/"].iter().any(|part| example.contains(part))
}

/// Examples that `serve`, or need a program that is not everywhere: for those what stands on the other side of the pipe is left out. Those
/// that ask a cluster are understood, and say that there is none.
#[test]
fn the_examples_work() {
    let (mut ran, mut asked) = (0, 0);
    for command in ["", "inject", "explain", "check", "doctor", "completions"] {
        let help = written(podgraft().args(["help", command].iter().filter(|word| !word.is_empty())), "", 0);
        let examples = help.split_once("Examples:\n").unwrap().1.lines().take_while(|line| line.starts_with("  "));
        for line in examples {
            let example = line.trim().split("   ").next().unwrap();
            if example.starts_with("podgraft serve") {
                continue;
            }
            let here = example
                .replace("| kubectl apply -f -", "")
                .replace("helm template web ./chart", "cat deployment.yaml")
                .replace("> ~/.zfunc/_podgraft", "");
            let here = here.split("| jq").next().unwrap();
            let here = here.strip_prefix("source <(").and_then(|line| line.strip_suffix(')')).unwrap_or(here);
            let folder = shop();
            let output = run(sh(here).current_dir(&folder.0), "");
            if asks_a_cluster(example) {
                let said = String::from_utf8(output.stderr).unwrap();
                assert!(output.status.code() == Some(2) && said.starts_with("podgraft: cannot reach the cluster: "), "{example}: {said}");
                assert_eq!(said.lines().count(), 1, "{said}");
                asked += 1;
                continue;
            }
            assert_eq!(
                (output.status.code(), output.stderr.as_slice()),
                (Some(0), &b""[..]),
                "{example}\n{:?}",
                String::from_utf8(output.stderr.clone())
            );
            ran += 1;
        }
    }
    assert!(ran >= 12 && asked >= 7, "only {ran} examples, {asked} of which ask a cluster");
}

/// Every field that `-o json` writes is in the help of its command.
#[test]
fn the_help_names_the_fields_of_the_reports() {
    for (command, arguments) in [
        ("explain", &["-f", "web.yaml", "-f", "others.yaml", "--presets", "presets"][..]),
        ("explain", &["-f", "../statuses/pods.yaml", "--presets", "../statuses/reject"]),
        ("explain", &["-f", "web.yaml", "--presets", "abort"]),
        ("check", &["../check/three", "../check/overlap"]),
    ] {
        let help = written(podgraft().args([command, "--help"]), "", 0);
        let output = run(podgraft().arg(command).args(arguments).args(["-o", "json"]).current_dir("tests/cli/explain"), "");
        let mut fields = BTreeSet::new();
        collect(&serde_json::from_slice(&output.stdout).unwrap(), &mut fields);
        assert!(fields.len() >= 11, "{fields:?}");
        for field in fields {
            assert!(help.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|word| word == field), "{command}: {field}");
        }
    }
}

fn collect(value: &serde_json::Value, fields: &mut BTreeSet<String>) {
    for entry in value.as_array().into_iter().flatten() {
        collect(entry, fields);
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        fields.insert(key.clone());
        // Below these stand the names of resources.
        if !matches!(key.as_str(), "requests" | "limits") {
            collect(value, fields);
        }
    }
}

#[test]
fn completions_for_every_shell() {
    for (shell, word) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef podgraft"),
        ("fish", "complete -c podgraft"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = written(podgraft().args(["completions", shell]), "", 0);
        assert!(script.contains(word), "{script}");
        for command in COMMANDS {
            assert!(script.contains(command), "{shell} {command}");
        }
    }
    // What bash says of its own.
    let known = sh("command -v bash >/dev/null").status().unwrap().success();
    if known {
        let words = "bash -c 'source <(podgraft completions bash); COMP_WORDS=(podgraft inj); COMP_CWORD=1; _podgraft podgraft inj podgraft; echo \"${COMPREPLY[@]}\"'";
        assert_eq!(written(&mut sh(words), "", 0).trim(), "inject");
    }
    assert_eq!(run(podgraft().args(["completions", "tcsh"]), "").status.code(), Some(2));
}

#[test]
fn as_a_plugin_of_kubectl_it_is_called_so() {
    let folder = Folder::new();
    let plugin = folder.0.join("kubectl-podgraft");
    std::os::unix::fs::symlink(PODGRAFT, &plugin).unwrap();
    let ask = |arguments: &[&str]| written(std::process::Command::new(&plugin).args(arguments).env_clear(), "", 0);
    for arguments in [&[][..], &["--help"], &["inject", "--help"], &["explain", "--help"], &["check", "--help"], &["doctor", "--help"]] {
        let help = ask(arguments);
        assert!(help.contains("Usage: kubectl podgraft"), "{help}");
        let examples = help.split_once("Examples:\n").unwrap().1;
        assert!(examples.lines().filter(|line| line.contains("podgraft ")).all(|line| line.contains("kubectl podgraft ")), "{examples}");
    }
    assert!(ask(&["completions", "bash"]).contains("kubectl-podgraft"));
    let help = ask(&["doctor", "--help"]);
    for flag in ["--kubeconfig", "--context", "-n, --namespace"] {
        assert!(help.contains(flag), "{flag}: {help}");
    }
    let wrong = run(std::process::Command::new(&plugin).arg("--frobnicate").env_clear(), "");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("Usage: kubectl podgraft"));
}
