//! Bytes: what was not changed stays as it was, whatever the file is written in.

use std::process::Stdio;

use super::shell::{Folder, podgraft, run, sh, written};

const PRESET: &str = "apiVersion: podgraft.dev/v1beta1\nkind: ClusterPodPreset\nmetadata: {name: p}\nspec:\n  selector: {matchLabels: {app: web}}\n  env: [{name: A, value: '1'}]\n";
const RECORD: &str = "podpreset.admission.kubernetes.io/clusterpodpreset-p";

fn folder() -> Folder {
    Folder::new().with("policies/p.yaml", PRESET)
}

fn inject(folder: &Folder, text: &str) -> String {
    written(podgraft().args(["inject", "-f", "-"]).current_dir(&folder.0), text, 0)
}

/// The lines that came in are all there, in their order, with their ends; gives the others.
fn added(before: &str, after: &str) -> Vec<String> {
    let mut added = Vec::new();
    let mut rest = before.split_inclusive('\n').peekable();
    for line in after.split_inclusive('\n') {
        if rest.peek() == Some(&line) {
            rest.next();
        } else {
            added.push(line.to_owned());
        }
    }
    assert_eq!(rest.next(), None, "{after}");
    added
}

const POD: &str = "# top\napiVersion: v1\nkind: Pod   # a Pod\n\nmetadata:\n  name: \"web\"\n  labels:\n    app: web\nspec:\n  containers:\n  - name: a\n    image: 'registry.example/a:1'\n    args: [ \"x\",  'y' ]   # spaces\n  # the end\n";

#[test]
fn only_lines_are_added() {
    let folder = folder();
    let after = inject(&folder, POD);
    let lines = added(POD, &after);
    assert_eq!(lines.len(), 5, "{after}");
    assert!(lines[1].starts_with(&format!("    {RECORD}: ")));
}

#[test]
fn windows_line_ends_stay_and_come_with_what_is_new() {
    let folder = folder();
    let windows = POD.replace('\n', "\r\n");
    let after = inject(&folder, &windows);
    assert_eq!(after, inject(&folder, POD).replace('\n', "\r\n"));
    let two = format!("{windows}---\r\n{windows}");
    assert_eq!(inject(&folder, &two), format!("{after}---\r\n{after}"));
    let open = windows.strip_suffix("  # the end\r\n").unwrap().trim_end();
    assert_eq!(inject(&folder, open), inject(&folder, &format!("{open}\r\n")).trim_end());
}

#[test]
fn a_byte_order_mark_and_a_missing_line_break_stay() {
    let folder = folder();
    let marked = format!("\u{feff}{POD}");
    assert_eq!(inject(&folder, &marked), format!("\u{feff}{}", inject(&folder, POD)));
    let open = POD.trim_end();
    let after = inject(&folder, open);
    assert!(!after.ends_with('\n'));
    assert_eq!(after, inject(&folder, &format!("{open}\n")).trim_end());
}

#[test]
fn tabs_between_words_stay() {
    let folder = folder();
    let tabs = POD.replace("kind: Pod   #", "kind: \tPod\t#").replace("[ \"x\",  'y' ]", "[\t\"x\",\t'y'\t]");
    assert_eq!(added(&tabs, &inject(&folder, &tabs)).len(), 5);
    // Where YAML wants a space, the place is named.
    for (from, to, place) in [("kind: Pod", "kind:\tPod", "-:3:7: "), ("    app: web", "\tapp: web", "-:8:2: ")] {
        let output = run(podgraft().args(["inject", "-f", "-"]).current_dir(&folder.0), &POD.replace(from, to));
        assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.starts_with(&format!("podgraft: {place}")), "{told}");
    }
}

#[test]
fn what_no_preset_selects_stays_whatever_it_is() {
    let folder = folder();
    for text in [
        "",
        "\n",
        "# only a comment",
        "---\n---\n...\n",
        "%YAML 1.1\n---\nkind: X\n",
        "kind: X\r\n\u{feff}---\r\nkind: Y",
        "- a list\n-\tof things\n",
        "just text",
        "{\"kind\": \"X\"}{\"kind\": \"Y\"}",
        "kind: Secret\ndata: !!binary aGk=\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {}",
        "apiVersion: v1\nkind: List\nitems:\n",
        "apiVersion: v1\nkind: List\nitems: {a: b}\n",
        "apiVersion: apps/v1\nkind: Deployment\nspec: 7\n",
    ] {
        assert_eq!(inject(&folder, text), text);
    }
}

#[test]
fn json_keeps_its_layout() {
    let folder = folder();
    let pod = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "\u00e9\/", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "a", "image": "i", "n": 1.0e3}]}}"#;
    for (text, kept) in [
        (pod.to_owned(), r#""n": 1.0e3, "env": [{"name": "A", "value": "1"}]}]}}"#),
        (
            pod.replace(": ", ":").replace(", ", ",").replace("\\u00e9\\/", "web").replace("1.0e3", "1000"),
            r#""n":1000,"env":[{"name":"A","value":"1"}]}]}}"#,
        ),
        (pod.replace("{\"name", "{\n\t\"name"), r#""n": 1.0e3, "env": [{"name": "A", "value": "1"}]}]}}"#),
        (pod.replace(", \"", ",\n  \""), r#""n": 1.0e3, "env": [{"name": "A", "value": "1"}]}]}}"#),
        (pod.replace(", \"n\": 1.0e3}", ",\n  \"n\": 1.0e3\n}"), "\"n\": 1.0e3,\n  \"env\": [{\"name\": \"A\", \"value\": \"1\"}]\n}]}}"),
    ] {
        let after = inject(&folder, &text);
        assert!(after.ends_with(kept), "{after}");
        assert_eq!(inject(&folder, &after), after);
        serde_json::from_str::<serde_json::Value>(&after).unwrap();
    }
    // YAML has no pairs of escapes: what they say stays, the layout does not.
    let after = inject(&folder, &pod.replace("\\u00e9", "\\ud83d\\ude00"));
    assert!(after.contains("{\"name\":\"\u{1f600}/\",\"labels\":{\"app\":\"web\"}"), "{after}");
}

#[test]
fn a_document_that_can_not_be_edited_is_written_anew_and_that_is_told() {
    let one_only = format!("{PRESET}  targets: {{include: [a]}}\n");
    let folder = Folder::new().with("policies/p.yaml", one_only);
    // What the first container gets the second must not, which has all that is written there.
    let text = "# top\nkind: Pod\napiVersion: v1\nmetadata: {name: web, labels: {app: web}}\nspec:\n  containers:\n  - &a\n    name: a\n    image: i\n  - <<: *a\n    name: b\n";
    let before = "# kept\nkind: Secret\n---\n";
    for line_end in ["\n", "\r\n"] {
        let input = format!("{before}{text}").replace('\n', line_end);
        let output = run(podgraft().args(["inject", "-f", "-"]).current_dir(&folder.0), &input);
        assert_eq!(output.status.code(), Some(0));
        let after = String::from_utf8(output.stdout).unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(told, "warning: -:5: the document was written anew, its comments are lost\n");
        let lines = "kind: Pod\napiVersion: v1\nmetadata:\n  name: web\n  labels:\n    app: web\n  annotations:\n    RECORD\nspec:\n  containers:\n  - name: a\n    image: i\n    env:\n    - name: A\n      value: \"1\"\n  - name: b\n    image: i\n";
        let record = after.lines().find(|line| line.contains(RECORD)).unwrap().trim();
        assert_eq!(after, format!("{before}---\n{lines}").replace("---\n---\n", "---\n").replace("RECORD", record).replace('\n', line_end));
        assert_eq!(inject(&folder, &after), after);
    }
}

#[test]
fn a_diff_can_be_applied() {
    let folder = folder();
    let crlf = POD.replace('\n', "\r\n");
    for text in [
        POD,
        POD.trim_end(),
        crlf.as_str(),
        &format!("{POD}---\n# between\n{}", "- 1\n".repeat(20)),
        "{\"kind\": \"Pod\", \"apiVersion\": \"v1\", \"metadata\": {\"labels\": {\"app\": \"web\"}}, \"spec\": {}}",
    ] {
        let diff = written(podgraft().args(["inject", "-f", "-", "-o", "diff"]).current_dir(&folder.0), text, 0);
        assert_eq!(patched(text, &diff), inject(&folder, text), "{diff}");
    }
}

/// A unified diff, applied: every line that it does not add must be there.
fn patched(text: &str, diff: &str) -> String {
    let mut lines = text.split_inclusive('\n');
    let mut out = String::new();
    let mut at = 1;
    let mut diff = diff.split_inclusive('\n').skip_while(|line| !line.starts_with("@@")).peekable();
    while let Some(line) = diff.next() {
        let open = diff.peek().is_some_and(|next| next.starts_with('\\'));
        let content = if open { line[1..].strip_suffix('\n').unwrap() } else { &line[1..] };
        match line.as_bytes()[0] {
            b'@' => {
                let from: usize = line.split(['-', ',']).nth(1).unwrap().parse().unwrap();
                out.extend(lines.by_ref().take(from.saturating_sub(at)));
                at = from.max(at);
            }
            b'+' => out.push_str(content),
            b'\\' => {}
            sign => {
                assert_eq!(lines.next(), Some(content));
                at += 1;
                if sign == b' ' {
                    out.push_str(content);
                }
            }
        }
    }
    out.extend(lines);
    out
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    let folder = folder().with("pod.yaml", POD);
    let many = format!("{POD}---\n").repeat(300);
    for command in ["inject -f - -o diff", "inject -f -", "explain -f -", "check policies", "completions bash", "--help", "inject --help"] {
        let line = format!("podgraft {command} | true; podgraft {command} 2>told | head -c 1 >/dev/null; cat told");
        let output = run(sh(&line).current_dir(&folder.0), &many);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{command}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{command}");
    }
    // And its status is that of the work, not that of the pipe.
    let mut child =
        podgraft().args(["inject", "-f", "-"]).current_dir(&folder.0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    drop(child.stdout.take());
    let writer = std::thread::spawn(move || drop(std::io::Write::write_all(&mut stdin, many.as_bytes())));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    writer.join().unwrap();
}

#[test]
fn colours_are_for_terminals() {
    let folder = folder().with("pod.yaml", POD);
    let diff = ["inject", "-f", "pod.yaml", "-o", "diff"];
    let plain = written(podgraft().args(diff).current_dir(&folder.0), "", 0);
    assert!(!plain.contains('\u{1b}'));
    let on_a_terminal = |variables: &[(&str, &str)]| {
        // `script` has a terminal for it.
        let line = format!("script -qec 'podgraft {}' /dev/null </dev/null", diff.join(" "));
        written(sh(&line).current_dir(&folder.0).envs(variables.iter().copied()), "", 0)
    };
    assert!(on_a_terminal(&[("TERM", "xterm")]).contains("\u{1b}[32m+"));
    for variables in [&[("TERM", "xterm"), ("NO_COLOR", "1")][..], &[("TERM", "dumb")]] {
        assert!(!on_a_terminal(variables).contains('\u{1b}'), "{variables:?}");
    }
    assert!(on_a_terminal(&[("TERM", "xterm"), ("NO_COLOR", "")]).contains('\u{1b}'));
}
