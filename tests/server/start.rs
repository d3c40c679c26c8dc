//! Flags, environment, what stops a start, the log, and what a person is shown.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use crate::client::{Client, get};
use crate::made::{Folder, certificate, labelling, labels_added, patch, review};
use crate::process::{Process, bare, command, eventually};

fn serve(flags: &[&str]) -> Output {
    let ports = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    command().args(ports).args(flags).output().unwrap()
}

/// It ended with status 2 and said so, in one sentence about this.
fn refused(output: &Output, about: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{about}: {said}");
    // clap adds which values there are, and where to find help.
    let sentence = said.split("\n\n").next().unwrap().split("\n  [").next().unwrap().trim_end();
    assert!(sentence.contains(about), "{about}: {said}");
    assert_eq!(sentence.lines().count(), 1, "{said}");
    assert!(!said.contains("panicked") && output.stdout.is_empty(), "{said}");
}

#[test]
fn every_flag_is_also_a_variable() {
    let help = command().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags = help.lines().filter_map(|line| line.strip_prefix("      --")).map(|flag| flag.split([' ', '=']).next().unwrap());
    let mut names = Vec::new();
    for name in flags {
        let variable = format!("[env: PODGRAFT_{}=]", name.to_uppercase().replace('-', "_"));
        assert!(help.contains(&variable), "{name} has no {variable}");
        names.push(name.to_owned());
    }
    let wanted = [
        "presets",
        "default-namespace",
        "namespace",
        "exempt-namespaces",
        "kube",
        "listen",
        "admin",
        "http2",
        "certs",
        "tls-cert",
        "tls-key",
        "max-body",
        "max-reviews",
        "review-memory",
        "max-connections",
        "handshake-timeout",
        "header-timeout",
        "body-timeout",
        "idle-timeout",
        "review-timeout",
        "shutdown-delay",
        "drain-timeout",
        "log-format",
        "log-level",
    ];
    for flag in wanted {
        assert!(names.iter().any(|name| name == flag), "no --{flag} in {names:?}");
    }
    // A value that is none is refused from there, too.
    for name in names.iter().filter(|name| !matches!(name.as_str(), "presets" | "tls-cert" | "tls-key")) {
        let variable = format!("PODGRAFT_{}", name.to_uppercase().replace('-', "_"));
        let output = command().arg("serve").env(&variable, "No such thing!").output().unwrap();
        refused(&output, &format!("--{name}"));
    }
}

#[test]
fn the_environment_alone_is_enough() {
    let (one, two) = (Folder::holding("a.yaml", &labelling("a", "1")), Folder::holding("b.yaml", &labelling("b", "1")));
    let mut program = command();
    program.arg("serve").envs([
        ("PODGRAFT_PRESETS", format!("{},{}", one.text(), two.text())),
        ("PODGRAFT_LISTEN", "127.0.0.1:0".to_owned()),
        ("PODGRAFT_ADMIN", "localhost:0".to_owned()),
        ("PODGRAFT_LOG_FORMAT", "json".to_owned()),
        ("PODGRAFT_LOG_LEVEL", "debug".to_owned()),
        ("PODGRAFT_HTTP2", "true".to_owned()),
        ("PODGRAFT_MAX_BODY", "1KiB".to_owned()),
        ("PODGRAFT_EXEMPT_NAMESPACES", "kube-system,shop-two".to_owned()),
        ("PODGRAFT_KUBE", "off".to_owned()),
    ]);
    let server = Process::of(program);
    let mut client = server.connect();
    assert_eq!(labels_added(&client.review(&review("x")).json()), ["a=1", "b=1"]);
    let exempt = client.review(&review("x").replace(r#""namespace":"shop""#, r#""namespace":"shop-two""#)).json();
    assert_eq!(exempt["response"]["auditAnnotations"]["skipped"], "ExemptNamespace");
    client.review(&review(&"x".repeat(1024))).assert_error(413);
    assert_eq!(Client::offering(server.webhook, &["h2"]).unwrap().protocol().as_deref(), Some("h2"));
    let line = server.line("review").unwrap();
    assert_eq!((&line["level"], &line["namespace"], &line["outcome"]), (&"DEBUG".into(), &"shop".into(), &"Mutated".into()));
    assert_eq!(line["presets"], "clusterpodpreset-a,clusterpodpreset-b");
    assert!(server.line("preset directories").is_none());
}

#[test]
fn what_is_wrong_with_a_start_is_one_sentence_and_status_2() {
    let presets = Folder::holding("a.yaml", &labelling("a", "1"));
    let pair = certificate(-3600, 3600);
    let files = Folder::holding("tls.crt", &pair.cert);
    files.write("tls.key", &pair.key);
    files.write("other.key", certificate(-3600, 3600).key);
    files.write("garbage", "garbage");
    let file = |name: &str| files.file(name);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let with = |flags: &[&str]| serve(&[&["--presets", presets.text()], flags].concat());
    refused(&serve(&["--presets", &presets.file("nowhere")]), "cannot read the directory of presets");
    refused(&serve(&["--presets", &presets.file("a.yaml")]), "cannot read the directory of presets");
    refused(&with(&["--tls-cert", &file("tls.crt"), "--tls-key", &file("nowhere.key")]), "nowhere.key");
    refused(&with(&["--tls-cert", &file("nowhere.crt"), "--tls-key", &file("tls.key")]), "nowhere.crt");
    refused(&with(&["--tls-cert", &file("tls.crt"), "--tls-key", &file("garbage")]), "not PEM with a PRIVATE KEY");
    refused(&with(&["--tls-cert", &file("garbage"), "--tls-key", &file("tls.key")]), "not PEM with at least one CERTIFICATE");
    refused(&with(&["--tls-cert", &file("tls.crt"), "--tls-key", &file("other.key")]), "do not go together");
    refused(&with(&["--certs", "files"]), "--tls-cert");
    refused(&with(&["--certs", "managed"]), "--certs managed needs a cluster");
    refused(&with(&["--certs", "secret"]), "--certs secret needs a cluster");
    refused(&with(&["--max-reviews", "0"]), "--max-reviews");
    refused(&with(&["--review-memory", "6MiB"]), "--review-memory must be at least --max-body");
    refused(&with(&["--idle-timeout", "10"]), "--idle-timeout");
    refused(&with(&["--no-such-flag"]), "--no-such-flag");
    refused(&with(&["--namespace", "A B"]), "--namespace");
    for (flag, other) in [("--listen", "--admin"), ("--admin", "--listen")] {
        let output = command().args(["serve", "--presets", presets.text(), flag, &address, other, "127.0.0.1:0"]).output().unwrap();
        refused(&output, &format!("cannot listen on {address} ({flag})"));
    }
    drop(taken);
}

#[test]
fn an_empty_directory_is_fine() {
    let (empty, trash) = (Folder::new(), Folder::holding("broken.yaml", "{{{"));
    for presets in [empty, trash] {
        let server = Process::start(&["--presets", presets.text()]);
        assert_eq!(server.ready(), 200);
        assert!(patch(&server.connect().review(&review("x")).json()).as_array().unwrap().is_empty());
    }
}

/// Where there should be an API server and none answers, Podgraft is not ready, and answers for no Pod that a preset may reach, whatever presets it
/// has: others may be missing. Where it cannot even ask, it says so.
#[test]
fn in_a_cluster_it_is_ready_when_the_cluster_was_listed() {
    let presets = Folder::holding("a.yaml", &labelling("a", "1"));
    let cluster = |kube: &str| {
        let mut program = command();
        program.args(["serve", "--presets", presets.text(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"]);
        program.args(["--kube", kube]).env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env_remove("KUBECONFIG");
        program
    };
    let off = Process::of(cluster("off"));
    assert_eq!((off.ready(), labels_added(&off.connect().review(&review("x")).json())), (200, vec!["a=1".to_owned()]));
    refused(&cluster("auto").output().unwrap(), "cannot reach the cluster");
    // Nobody listens on port 1, and no name server knows a name of `.invalid` (RFC 6761).
    for (address, why) in [("127.0.0.1:1", "refused"), ("api.invalid", "dns error")] {
        let config = "{apiVersion: v1, kind: Config, clusters: [{name: a, cluster: {server: 'https://ADDRESS'}}], users: [{name: a, user: {token: x}}],\
                      contexts: [{name: a, context: {cluster: a, user: a}}], current-context: a}";
        let config = Folder::holding("config", &config.replace("ADDRESS", address));
        let mut program = cluster("auto");
        let server = Process::of({
            program.env("KUBECONFIG", config.path().join("config"));
            program
        });
        let answer = server.connect().review(&review("x"));
        answer.assert_error(503);
        assert_eq!((answer.header("retry-after"), answer.header("connection")), (Some("1"), Some("close")));
        assert!(answer.text().contains(": not listed yet"), "{}", answer.text());
        // Where no preset has a say, none is missing.
        let exempt = server.connect().review(&review("x").replace(r#""namespace":"shop""#, r#""namespace":"kube-system""#));
        assert_eq!(exempt.json()["response"]["auditAnnotations"]["skipped"], "ExemptNamespace");
        let readiness = get(server.admin, "/readyz?verbose").unwrap();
        assert_eq!(readiness.status, 503);
        for source in ["config_maps", "namespaces", "podpresets", "clusterpodpresets"] {
            assert!(readiness.text().contains(&format!("[-]{source} failed: not listed yet")), "{}", readiness.text());
        }
        eventually("the log says why", || server.log().contains(why));
    }
    // There is nowhere else that presets could come from without a cluster, so the default directory has to be there.
    let nowhere = Folder::new();
    let mut program = command();
    program.args(["serve", "--kube", "off", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).current_dir(nowhere.path());
    refused(&program.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").output().unwrap(), "cannot read the directory of presets policies");
}

/// No flags but free ports, in this repository: what a person sees who tries it, and what they then paste.
#[test]
fn what_a_person_is_shown_works_when_it_is_pasted() {
    let mut program = command();
    program.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut banner = String::new();
    while !banner.ends_with("\nEOF\n") {
        assert!(output.read_line(&mut banner).unwrap() > 0, "it ended: {banner}");
    }
    let number = std::fs::read_dir("policies").unwrap().filter(|entry| entry.as_ref().unwrap().path().extension().is_some()).count() - 1;
    assert!(banner.contains(" holds ") && banner.contains(" presets from policies\n"), "{banner}");
    assert!(banner.contains("PRESET") && number > 10, "{banner}");
    let pasted = &banner[banner.find("curl ").unwrap()..];
    let answer: serde_json::Value = if Command::new("curl").arg("--version").output().is_ok() {
        let mut shell = Command::new("sh");
        bare(&mut shell);
        let output = shell.args(["-c", pasted]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    } else {
        let (_, rest) = pasted.split_once("https://").unwrap();
        let (address, rest) = rest.split_once("/mutate").unwrap();
        let body = rest.split_once("<<'EOF'\n").unwrap().1.strip_suffix("\nEOF\n").unwrap();
        Client::connect(address.parse().unwrap()).unwrap().review(body).json()
    };
    assert_eq!(answer["response"]["uid"], "sample", "{answer}");
    assert!(!patch(&answer).as_array().unwrap().is_empty(), "{answer}");
    child.kill().unwrap();
    child.wait().unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains(" INFO serving ") && !log.contains('\u{1b}'), "a log for people, without colours in a pipe: {log}");
}

#[test]
fn a_log_in_json_has_an_object_in_every_line_and_no_banner() {
    let presets = Folder::holding("a.yaml", &labelling("a", "1"));
    let mut server = Process::start(&["--presets", presets.text(), "--log-level", "trace", "--shutdown-delay", "0s"]);
    server.connect().review(&review("x"));
    drop(Client::offering(server.webhook, &["nonsense"]));
    assert_eq!(get(server.admin, "/livez").unwrap().status, 200);
    eventually("the review is in the log", || server.line("review").is_some());
    server.signal("TERM");
    assert_eq!(server.exit().code(), Some(0));
    eventually("the log is complete", || server.line("gone").is_some());
    for line in server.log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
    assert_eq!(server.output(), "");
}
