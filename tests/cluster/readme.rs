//! `make cluster`, as the README shows it: its commands print what the transcript says, and Ctrl-C takes all of it away.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::held::Held;
use crate::harness::story::{Stories, Story};
use crate::harness::wait;

pub const STORIES: Stories =
    &[("the_transcript_is_what_happens_and_ctrl_c_takes_it_away", transcript), ("killed_outright_it_leaves_no_process", killed)];

/// A cluster for people, as `make cluster` starts it.
fn start(story: &Story) -> Held {
    let command: [OsString; 3] = [std::env::current_exe().unwrap().into(), "up".into(), story.plane.version.clone().into()];
    Held::start("make cluster", &command, &[], &story.plane.folder.join("logs").join(format!("{}.log", story.name))).unwrap()
}

/// What it exports, from what it prints.
fn export(printed: &str, name: &str) -> Result<String, &'static str> {
    printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("export ")?.strip_prefix(name)?.strip_prefix('='))
        .map(str::to_owned)
        .ok_or("it has not said")
}

/// Commands and what they print, from the README.
fn shown() -> Vec<(String, String)> {
    let readme = fs::read_to_string("README.md").unwrap();
    let block = readme.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).expect("README.md has a transcript");
    let commands = block.split("$ ").skip(1).filter_map(|part| part.split_once('\n'));
    commands
        .filter(|(command, _)| command.starts_with("kubectl "))
        .map(|(command, printed)| (command.to_owned(), printed.to_owned()))
        .collect()
}

/// What it prints first, from the README, lines that stand for many aside.
fn guide_shown() -> Vec<String> {
    let readme = fs::read_to_string("README.md").unwrap();
    let block = readme.split("$ make cluster\n").nth(1).and_then(|rest| rest.split("\n$ ").next()).expect("README.md has a transcript");
    block.lines().filter(|line| !line.is_empty() && *line != "...").map(str::to_owned).collect()
}

/// The words of a line, without what is another each time: the release, and where the folder of the run is.
fn in_general(line: &str) -> Vec<String> {
    let word = |word: &str| {
        if word.starts_with("v1.") {
            return "RELEASE".to_owned();
        }
        match (word.split_once('='), word.split_once("/tmp/cluster/")) {
            (Some((name, _)), Some((_, rest))) => format!("{name}=FOLDER/{}", rest.split_once('/').map_or("", |(_, rest)| rest)),
            _ => word.to_owned(),
        }
    };
    line.split_whitespace().map(word).collect()
}

/// Without spaces that only align, and without what is another each time: the names of a ReplicaSet's Pods.
fn plain(text: &str) -> Vec<Vec<String>> {
    let word = |word: &str| if word.starts_with("web-") { "web-*".to_owned() } else { word.to_owned() };
    text.lines().filter(|line| !line.is_empty()).map(|line| line.split_whitespace().map(word).collect()).collect()
}

fn transcript(story: &Story) {
    let shown = shown();
    assert_eq!(shown.len(), 4, "three commands to try, and a look at what came of it");
    let mut cluster = start(story);
    let log = cluster.log.clone();
    let printed = || fs::read_to_string(&log).unwrap_or_default();
    let (kubeconfig, path) =
        cluster.until("the cluster", || Ok::<_, &str>((export(&printed(), "KUBECONFIG")?, export(&printed(), "PATH")?))).unwrap();
    let path = path.replace("$PATH", &std::env::var("PATH").unwrap());
    let guide = cluster.printed();
    let said: Vec<Vec<String>> = guide.lines().map(in_general).collect();
    for line in guide_shown() {
        assert!(said.contains(&in_general(&line)), "it does not say: {line}");
    }
    for (command, wanted) in &shown {
        assert!(guide.contains(command), "it does not say: {command}");
        let run = || {
            let said = Command::new("sh")
                .args(["-c", &format!("{command} 2>&1")])
                .env("KUBECONFIG", &kubeconfig)
                .env("PATH", &path)
                .output()
                .unwrap();
            String::from_utf8(said.stdout).unwrap()
        };
        if command.starts_with("kubectl get") {
            wait::until(command, || {
                let said = run();
                if plain(&said) == plain(wanted) { Ok(()) } else { Err(said) }
            });
        } else {
            assert_eq!(plain(&run()), plain(wanted), "{command}");
        }
    }
    let folder = folder_of(Path::new(&kubeconfig));
    assert!(!of(&folder).is_empty());
    let status = cluster.leave_by("INT");
    assert!(status.success(), "{status}: {}", cluster.printed());
    assert!(!folder.exists(), "{} is there", folder.display());
    gone(&folder);
}

fn killed(story: &Story) {
    let mut cluster = start(story);
    let folder = crate::runs().join(format!("{}-{}-0", story.plane.version, cluster.id()));
    // Its API server and its etcd, at least.
    cluster.until("its processes", || if of(&folder).len() >= 2 { Ok(()) } else { Err("too few") }).unwrap();
    assert!(folder.join("data").exists());
    cluster.signal("KILL");
    gone(&folder);
    wait::until("its keys and its data to be gone", || if folder.join("data").exists() { Err("they are there") } else { Ok(()) });
    // The next control plane would, and may have done so already.
    let _ = fs::remove_dir_all(&folder);
}

/// The folder of a control plane, of a file in its data.
fn folder_of(file: &Path) -> PathBuf {
    file.parent().and_then(Path::parent).unwrap().to_owned()
}

fn gone(folder: &Path) {
    wait::until("its processes to be gone", || {
        let left = of(folder);
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
}

/// The processes of a control plane: those with its folder on their command line.
fn of(folder: &Path) -> Vec<String> {
    let folder = format!("{}/", folder.display());
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let commands = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let commands = commands.map(|command| String::from_utf8_lossy(&command).replace('\0', " "));
    commands.filter(|command| command.contains(&folder)).collect()
}
