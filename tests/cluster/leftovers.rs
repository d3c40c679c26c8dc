//! What a run leaves: its logs, as long as it lives; nothing, once it is over.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::failure;
use crate::harness::api::Answer;
use crate::harness::parts::Parts;
use crate::harness::plane::Plane;
use crate::harness::runs;
use crate::harness::story::{Stories, Story};
use crate::harness::wait;

pub const STORIES: Stories = &[
    ("logs_that_are_kept_outlive_the_next_control_plane", kept),
    ("a_process_that_nobody_reaps_does_not_keep_the_rest", unreaped),
    ("a_folder_of_the_users_needs_no_controllers", folder),
    ("a_podgraft_goes_when_nobody_asks_it_any_more", gone),
];

/// A run has several control planes, one after the other: the logs of an earlier one are there until the run is over.
fn kept(story: &Story) {
    let plane = Plane::start(&story.plane.version, &crate::runs()).unwrap_or_else(|trouble| panic!("{trouble}"));
    let logs = plane.keep_logs();
    let next = runs::make(&crate::runs(), &story.name).unwrap();
    assert!(fs::metadata(logs.join("kube-apiserver.log")).is_ok_and(|log| log.len() > 0), "{} is gone", logs.display());
    assert!(!logs.with_file_name("data").exists(), "keys and tokens are");
    for folder in [&next, logs.parent().unwrap()] {
        fs::remove_dir_all(folder).unwrap();
    }
}

/// Where no parent reaps it, a process that was killed stays in the table of processes. The folders are swept all the same.
fn unreaped(story: &Story) {
    let folder = story.plane.folder.join("data").join(&story.name);
    fs::create_dir_all(&folder).unwrap();
    let mut dead = Command::new("true").spawn().unwrap();
    let mut watcher = Command::new("sh").arg("tests/support/cluster/watch.sh").stdin(Stdio::piped()).spawn().unwrap();
    let mut told = watcher.stdin.take().unwrap();
    writeln!(told, "hold {}\nsweep {}", dead.id(), folder.display()).unwrap();
    drop(told);
    wait::until("the folder to be swept", || if folder.exists() { Err("it is there") } else { Ok(()) });
    assert!(watcher.wait().unwrap().success());
    dead.wait().unwrap();
}

/// setup-envtest's have etcd, kube-apiserver and kubectl: the others are ours, of the same version.
fn folder(story: &Story) {
    let folder = story.plane.folder.join("data").join(&story.name);
    fs::create_dir_all(&folder).unwrap();
    for part in ["etcd", "kube-apiserver", "kubectl"] {
        let words: Vec<String> = story.plane.parts().command(part).iter().map(|word| format!("'{}'", word.to_string_lossy())).collect();
        let program = folder.join(part);
        fs::write(&program, format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "))).unwrap();
        assert!(Command::new("chmod").arg("+x").arg(&program).status().unwrap().success());
    }
    let parts = Parts::of(folder.clone()).unwrap();
    assert_eq!(parts.command("etcd"), [folder.join("etcd")]);
    for part in ["kube-controller-manager", "kube-scheduler"] {
        let command = parts.servant(part).unwrap();
        assert!(!command[0].to_string_lossy().starts_with(&*folder.to_string_lossy()), "{command:?}");
        let said = Command::new(&command[0]).args(&command[1..]).arg("--version").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), format!("Kubernetes {}", story.plane.release().unwrap()), "{part}");
    }
    fs::remove_file(folder.join("kubectl")).unwrap();
    assert!(Parts::of(folder).is_err_and(|trouble| trouble.ends_with("which has no kubectl")));
}

/// A story's Podgraft ends while Pods are made, as controllers make them to the last: no call meets one that has gone.
fn gone(story: &Story) {
    let podgraft = story.podgraft_as(&failure::registration(story, "Fail"), failure::PRESETS);
    let (made, others) = failure::under_load(story, |more| {
        more(20);
        drop(podgraft);
        more(20);
    });
    let refused: Vec<String> = others.iter().filter(|answer| !answer.taken()).map(Answer::message).collect();
    assert!(refused.is_empty(), "{} of {made} Pods were refused: {}", refused.len(), refused[0]);
    assert!(!others.is_empty(), "from then on Pods are as their author wrote them");
}
