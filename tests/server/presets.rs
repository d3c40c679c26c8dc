//! Presets in a directory: what is in force while files change, break and go.

use std::fmt::Write;
use std::fs;
use std::time::Instant;

use crate::client::Client;
use crate::made::{Folder, labelling, labels_added, review};
use crate::process::{Process, Served, eventually};

struct Watched {
    folder: Folder,
    server: Served,
}

impl Watched {
    fn of(files: &[(&str, &str)]) -> Watched {
        let folder = Folder::new();
        for (name, text) in files {
            folder.write(name, text);
        }
        let server = Served::start(&["--presets", folder.text()]);
        Watched { folder, server }
    }

    fn labels(&self) -> Vec<String> {
        labels_added(&self.server.connect().review(&review("look")).json())
    }

    fn eventually(&self, labels: &[&str]) {
        let mut last = Vec::new();
        let started = Instant::now();
        while started.elapsed() < crate::client::PATIENCE {
            last = self.labels();
            if last == labels {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("wanted {labels:?}, got {last:?}");
    }

    fn states(&self) -> [f64; 3] {
        ["active", "refused", "stale"]
            .map(|state| self.server.metric(&format!("podgraft_presets{{store=\"directory\",state=\"{state}\"}}")))
    }

    fn reloads(&self, result: &str) -> f64 {
        self.server.metric(&format!("podgraft_reloads_total{{what=\"presets\",result=\"{result}\"}}"))
    }
}

fn both(documents: &[&str]) -> String {
    documents.join("---\n")
}

#[test]
fn files_that_are_added_changed_and_deleted_are_seen() {
    let watched = Watched::of(&[("a.yaml", &labelling("a", "1"))]);
    assert_eq!(watched.labels(), ["a=1"]);
    watched.folder.write("b.yml", labelling("b", "1"));
    watched.eventually(&["a=1", "b=1"]);
    watched.folder.write("c.json", r#"{"apiVersion":"podgraft.dev/v1beta1","kind":"ClusterPodPreset","metadata":{"name":"c"},"spec":{"selector":{},"template":{"metadata":{"labels":{"c":"1"}}}}}"#);
    watched.eventually(&["a=1", "b=1", "c=1"]);
    watched.folder.write("a.yaml", labelling("a", "2"));
    watched.eventually(&["a=2", "b=1", "c=1"]);
    watched.folder.remove("b.yml");
    watched.eventually(&["a=2", "c=1"]);
    watched.folder.write("c.json", "");
    watched.eventually(&["a=2"]);
    // None of these is a file of presets.
    watched.folder.write(".hidden.yaml", labelling("hidden", "1"));
    watched.folder.write("d.txt", labelling("d", "1"));
    fs::create_dir(watched.folder.path().join("e.yaml")).unwrap();
    fs::write(watched.folder.path().join("e.yaml/f.yaml"), labelling("f", "1")).unwrap();
    watched.folder.write("z.yaml", labelling("z", "1"));
    watched.eventually(&["a=2", "z=1"]);
    assert_eq!(watched.states(), [2.0, 0.0, 0.0]);
    assert_eq!((watched.reloads("ok"), watched.reloads("error")), (6.0, 0.0));
}

#[test]
fn links_are_followed() {
    let elsewhere = Folder::holding("real.yaml", &labelling("a", "1"));
    let watched = Watched::of(&[]);
    std::os::unix::fs::symlink(elsewhere.path().join("real.yaml"), watched.folder.path().join("a.yaml")).unwrap();
    watched.eventually(&["a=1"]);
    elsewhere.write("real.yaml", labelling("a", "2"));
    watched.eventually(&["a=2"]);
}

/// The kubelet makes and removes links to keys after it has swapped `..data`, one by one.
#[test]
fn of_a_mounted_config_map_what_is_behind_data_counts() {
    let folder = Folder::new();
    folder.mount(&[("a.yaml", &labelling("a", "1")), ("b.yaml", &labelling("b", "1"))]);
    folder.remove("b.yaml");
    std::os::unix::fs::symlink("..data/c.yaml", folder.path().join("c.yaml")).unwrap();
    folder.write("d.yaml", labelling("d", "1"));
    let server = Served::start(&["--presets", folder.text()]);
    assert_eq!(labels_added(&server.connect().review(&review("look")).json()), ["a=1", "b=1", "d=1"]);
    assert_eq!(server.metric("podgraft_presets{store=\"directory\",state=\"refused\"}"), 0.0);
}

#[test]
fn a_file_of_the_same_size_and_time_is_seen_by_its_content() {
    let watched = Watched::of(&[("a.yaml", &labelling("a", "1"))]);
    let path = watched.folder.path().join("a.yaml");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let beside = watched.folder.path().join("a.new");
    fs::write(&beside, labelling("a", "2")).unwrap();
    fs::File::options().write(true).open(&beside).unwrap().set_modified(time).unwrap();
    fs::rename(beside, path).unwrap();
    watched.eventually(&["a=2"]);
}

#[test]
fn a_broken_document_keeps_the_last_good_version_of_what_its_file_no_longer_says_well() {
    let broken = "apiVersion: podgraft.dev/v1beta1\nkind: ClusterPodPreset\nmetadata: {name: b}\nspec: {selector: {}, env: [{name: B, value: 5432}]}\n";
    let (one, two, three) = (labelling("a", "1"), labelling("b", "1"), labelling("c", "1"));
    let watched = Watched::of(&[("all.yaml", &both(&[&one, &two, &three])), ("other.yaml", &labelling("d", "1"))]);
    assert_eq!(watched.labels(), ["a=1", "b=1", "c=1", "d=1"]);
    // b is bad, and stays as it was; a is new, c is gone.
    watched.folder.write("all.yaml", both(&[&labelling("a", "2"), broken]));
    watched.eventually(&["a=2", "b=1", "d=1"]);
    assert_eq!(watched.states(), [2.0, 1.0, 1.0]);
    assert_eq!((watched.reloads("ok"), watched.reloads("error")), (0.0, 1.0));
    assert_eq!(watched.server.ready(), 200, "readiness stays true");
    // No YAML at all: everything of the file stays, and the other file goes its own way.
    watched.folder.write("all.yaml", "{{{ not: yaml");
    watched.folder.write("other.yaml", labelling("d", "2"));
    watched.eventually(&["a=2", "b=1", "d=2"]);
    assert_eq!(watched.states(), [1.0, 1.0, 2.0]);
    // Not UTF-8.
    watched.folder.write("all.yaml", b"a: \xff\xfe");
    watched.folder.write("other.yaml", labelling("d", "3"));
    watched.eventually(&["a=2", "b=1", "d=3"]);
    // Good again: what it does not name is gone.
    watched.folder.write("all.yaml", &two);
    watched.eventually(&["b=1", "d=3"]);
    assert_eq!(watched.states(), [2.0, 0.0, 0.0]);
    // Broken, then emptied: it holds none.
    watched.folder.write("all.yaml", broken);
    eventually("it is refused", || watched.states() == [1.0, 1.0, 1.0]);
    assert_eq!(watched.labels(), ["b=1", "d=3"]);
    watched.folder.write("all.yaml", "# nothing\n");
    watched.eventually(&["d=3"]);
    // Broken, then deleted: the same.
    watched.folder.write("other.yaml", "{{{");
    eventually("it is refused", || watched.states() == [0.0, 1.0, 1.0]);
    assert_eq!(watched.labels(), ["d=3"]);
    watched.folder.remove("other.yaml");
    watched.eventually(&[]);
    assert_eq!(watched.states(), [0.0, 0.0, 0.0]);
    assert_eq!(watched.server.ready(), 200);
}

#[test]
fn what_another_file_says_well_is_that_files() {
    let watched = Watched::of(&[("a.yaml", &labelling("x", "1"))]);
    watched.folder.write("a.yaml", "{{{");
    eventually("it is stale", || watched.states() == [0.0, 1.0, 1.0]);
    watched.folder.write("b.yaml", labelling("x", "2"));
    watched.eventually(&["x=2"]);
    assert_eq!(watched.states(), [1.0, 1.0, 0.0]);
}

#[test]
fn twins_are_refused_and_the_last_good_version_stays() {
    let watched = Watched::of(&[("a.yaml", &labelling("x", "1"))]);
    watched.folder.write("b.yaml", labelling("x", "2"));
    eventually("both are refused", || watched.states() == [0.0, 2.0, 1.0]);
    assert_eq!(watched.labels(), ["x=1"]);
    assert_eq!(watched.server.ready(), 200);
    watched.folder.remove("a.yaml");
    watched.eventually(&["x=2"]);
    assert_eq!(watched.states(), [1.0, 0.0, 0.0]);
    // Twins from the start: neither is in force.
    let twins = Watched::of(&[("a.yaml", &labelling("x", "1")), ("b.yaml", &labelling("x", "2"))]);
    assert!(twins.labels().is_empty());
    assert_eq!(twins.states(), [0.0, 2.0, 0.0]);
}

#[test]
fn a_directory_that_goes_away_takes_nothing_with_it() {
    let watched = Watched::of(&[("a.yaml", &labelling("a", "1"))]);
    let aside = format!("{}-aside", watched.folder.text());
    fs::rename(watched.folder.path(), &aside).unwrap();
    eventually("it is noticed", || watched.reloads("error") == 1.0);
    assert_eq!(watched.labels(), ["a=1"]);
    assert_eq!(watched.server.ready(), 200);
    let age = || watched.server.metric("podgraft_store_age_seconds{store=\"directory\"}");
    eventually("its age grows", || age() > 0.3);
    fs::rename(&aside, watched.folder.path()).unwrap();
    eventually("it is up to date again", || age() < 0.3);
    watched.folder.write("a.yaml", labelling("a", "2"));
    watched.eventually(&["a=2"]);
    assert_eq!(watched.reloads("error"), 1.0);
}

/// The program as it is, with its own interval.
#[test]
fn a_change_is_in_force_within_ten_seconds_and_in_the_log() {
    let folder = Folder::new();
    folder.mount(&[("a.yaml", &labelling("a", "1"))]);
    let server = Process::start(&["--presets", folder.text()]);
    let labels = || labels_added(&server.connect().review(&review("look")).json());
    assert_eq!(labels(), ["a=1"]);
    let started = Instant::now();
    folder.mount(&[("a.yaml", &labelling("a", "2")), ("b.yaml", "apiVersion: podgraft.dev/v1beta1\nkind: PodPresett\n")]);
    eventually("the change is in force", || labels() == ["a=2"]);
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    eventually("it is in the log", || server.line("presets read again").is_some());
    let (read, refused) = (server.line("presets read again").unwrap(), server.line("preset refused").unwrap());
    assert_eq!((&read["level"], &read["presets"], &read["refused"]), (&"INFO".into(), &1.into(), &1.into()));
    assert_eq!(refused["level"], "ERROR");
    assert!(refused["problem"].as_str().unwrap().contains("b.yaml"), "{refused}");
    assert_eq!(server.metric("podgraft_reloads_total{what=\"presets\",result=\"error\"}"), 1.0);
}

#[test]
fn a_document_over_1_mib_is_refused_and_the_others_stay() {
    let filling = |bytes: usize| {
        let head = labelling("big", "1");
        format!("{head}  env: [{{name: FILLING, value: \"{}\"}}]\n", "x".repeat(bytes - head.len() - 42))
    };
    let watched = Watched::of(&[("a.yaml", &both(&[&labelling("a", "1"), &filling(1 << 20), &labelling("b", "1")]))]);
    assert_eq!(watched.labels(), ["a=1", "b=1", "big=1"], "just under the limit");
    watched.folder.write("a.yaml", both(&[&labelling("a", "2"), &filling((1 << 20) + 200), &labelling("b", "2")]));
    watched.eventually(&["a=2", "b=2", "big=1"]);
    assert_eq!(watched.states(), [2.0, 1.0, 1.0]);
}

#[test]
fn ten_thousand_presets() {
    let mut text = String::new();
    for number in 0..10_000 {
        writeln!(
            text,
            "---\napiVersion: podgraft.dev/v1beta1\nkind: PodPreset\nmetadata: {{name: p{number}, namespace: shop}}\nspec:\n  \
             selector: {{matchLabels: {{app: app-{number}}}}}\n  env: [{{name: NUMBER, value: \"{number}\"}}]"
        )
        .unwrap();
    }
    let folder = Folder::holding("many.yaml", &text);
    folder.write("one.yaml", labelling("one", "1"));
    let server = Process::start(&["--presets", folder.text()]);
    assert_eq!(server.metric("podgraft_presets{store=\"directory\",state=\"active\"}"), 10_001.0);
    let ask =
        |client: &mut Client, app: &str| client.review(&review("many").replace(r#""app":"web""#, &format!(r#""app":"{app}""#))).json();
    let mut client = server.connect();
    let presets = ask(&mut client, "app-9999")["response"]["auditAnnotations"]["presets"].as_str().unwrap().to_owned();
    assert!(presets.starts_with("clusterpodpreset-one=") && presets.contains(",podpreset-p9999="), "{presets}");
    let presets = ask(&mut client, "app-10000")["response"]["auditAnnotations"]["presets"].as_str().unwrap().to_owned();
    assert!(presets.starts_with("clusterpodpreset-one=") && !presets.contains(','), "{presets}");
    // At most a thousand have a series of their own.
    let metrics = crate::client::get(server.admin, "/metrics").unwrap();
    let series = metrics.text().lines().filter(|line| line.starts_with("podgraft_preset_applied_total{")).count();
    assert_eq!(series, 1001);
}
