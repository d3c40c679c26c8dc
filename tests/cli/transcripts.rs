//! Folders of `tests/cli/`: commands, and everything that they write.
//!
//! In `transcript.txt` a line `$ COMMAND` is run by `sh` in the folder. Below it stand its standard output (`| `), its standard error (`! `)
//! and its exit status where that is not 0 (`= 2`). `UPDATE_GOLDEN=1 cargo test --test cli transcripts` writes them anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::shell;

const ROOT: &str = "tests/cli";

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(ROOT).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn commands(transcript: &str) -> impl Iterator<Item = &str> {
    transcript.lines().filter_map(|line| line.strip_prefix("$ "))
}

/// Lines with a mark in front; what an editor would not show is written out.
fn marked(mark: char, bytes: &[u8], out: &mut String) {
    let text =
        String::from_utf8_lossy(bytes).replace('\r', "<CR>").replace('\u{feff}', "<BOM>").replace('\t', "<TAB>").replace('\u{1b}', "<ESC>");
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, "<no line break>"), |line| (line, ""));
        let end = if line.ends_with(' ') { "<END>" } else { end };
        out.push_str(format!("{mark} {line}{end}").trim_end());
        out.push('\n');
    }
}

fn transcript(folder: &Path, commands: &[&str]) -> String {
    let mut out = String::new();
    for (count, command) in commands.iter().enumerate() {
        let output = shell::run(shell::sh(command).current_dir(folder), "");
        out.push_str(if count > 0 { "\n$ " } else { "$ " });
        out.push_str(command);
        out.push('\n');
        marked('|', &output.stdout, &mut out);
        marked('!', &output.stderr, &mut out);
        match output.status.code() {
            Some(0) => {}
            status => out.push_str(&format!("= {}\n", status.unwrap())),
        }
    }
    out
}

#[test]
fn transcripts_say_what_the_program_does() {
    let mut wrong = Vec::new();
    for folder in folders() {
        let path = folder.join("transcript.txt");
        let Ok(golden) = fs::read_to_string(&path) else { continue };
        let commands: Vec<&str> = commands(&golden).collect();
        assert!(!commands.is_empty(), "{}: no command", path.display());
        let found = transcript(&folder, &commands);
        if found == golden {
            continue;
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &found).unwrap();
        } else {
            let first = found.lines().zip(golden.lines()).find(|(found, golden)| found != golden);
            wrong.push(format!("{}: {first:?}\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "run with UPDATE_GOLDEN=1 to accept:\n{}", wrong.join("\n\n"));
}

const DOCUMENTATION: &str = "docs/cli.md";

/// Blocks of the documentation that start with ` ```console `: what stands there is what comes out, standard error behind standard output.
#[test]
fn the_documentation_shows_what_the_program_does() {
    let text = fs::read_to_string(DOCUMENTATION).unwrap();
    let mut found = String::new();
    let mut blocks = 0;
    for (count, part) in text.split("```console\n").enumerate() {
        let rest = if count == 0 {
            part
        } else {
            let (block, rest) = part.split_once("```\n").unwrap();
            found.push_str("```console\n");
            for command in commands(block) {
                let output = shell::run(shell::sh(command).current_dir("tests/cli/docs"), "");
                found.push_str(&format!("$ {command}\n"));
                found.push_str(&String::from_utf8(output.stdout).unwrap());
                found.push_str(&String::from_utf8(output.stderr).unwrap());
            }
            found.push_str("```\n");
            blocks += 1;
            rest
        };
        found.push_str(rest);
    }
    assert!(blocks >= 4);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(DOCUMENTATION, &found).unwrap();
    }
    assert_eq!(fs::read_to_string(DOCUMENTATION).unwrap(), found, "run with UPDATE_GOLDEN=1 to accept");
}

/// Links from the documentation to files and headings lead somewhere.
#[test]
fn the_documentation_links_to_what_is_there() {
    let text = fs::read_to_string(DOCUMENTATION).unwrap();
    let mut links = 0;
    for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
        links += 1;
        match link.strip_prefix('#') {
            Some(heading) => assert!(text.contains(&format!("\n## {heading}\n")), "{link}"),
            None => assert!(Path::new("docs").join(link).exists(), "{link}"),
        }
    }
    assert!(links >= 5);
}

#[test]
fn every_file_is_read_by_a_command() {
    let mut shared = BTreeSet::new();
    let mut named = String::new();
    for folder in folders() {
        let Ok(golden) = fs::read_to_string(folder.join("transcript.txt")) else {
            shared.insert(folder);
            continue;
        };
        let all: String = commands(&golden).flat_map(|command| [command, "\n"]).collect();
        named.push_str(&all);
        for entry in fs::read_dir(&folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name == "transcript.txt" || all.contains(&name), "{}: no command names {name}", folder.display());
        }
    }
    for folder in shared.into_iter().filter(|folder| !folder.ends_with("docs")) {
        let name = format!("../{}", folder.file_name().unwrap().to_str().unwrap());
        assert!(named.contains(&name), "no command names {name}");
    }
}
