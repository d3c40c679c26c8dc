//! The API server is killed and comes back: answers never stop, and what changed in the moment of its return is in force soon. Told on the
//! control plane of `custom_resources`, as the others need their API server.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::account::Account;
use crate::harness::plane::Plane;
use crate::harness::podgraft::Serving;
use crate::harness::story::Story;
use crate::harness::{say, wait};
use crate::stores::{apply, map, pod, preset};

/// What the issue asks for.
const AFTER_RETURN: Duration = Duration::from_secs(5);

/// Presets of the story: of each kind of source that is watched.
const SOURCES: [&str; 3] = ["podpreset-same=", "podpreset-mapped=", "clusterpodpreset-tiered="];

/// A custom resource `same` is there.
pub fn away(story: &Story) {
    let account = Account { name: "outage".to_owned(), ..Account::make(story.plane, "outage") };
    let serving = Serving::start_within(story.plane, &account, "", &[]).unwrap();
    apply(story, &map(&story.name, "outage", &json!({"mapped.yaml": preset("mapped", "MAPPED", "before")})));
    let tiered = preset("tiered", "TIERED", "1").replace("kind: PodPreset", "kind: ClusterPodPreset");
    let tiered = tiered.replace("selector: {}", "selector: {}, namespaceSelector: {matchLabels: {tier: '0'}}");
    let tiered = map(&account.namespace, "tiered", &json!({"tiered.yaml": tiered}));
    story.kubectl().within(&account.namespace).run_with(&["apply", "-f", "-"], &tiered.to_string()).fine();
    story.kubectl().run(&["label", "namespace", &story.name, "tier=0"]).fine();
    wait::until("all to be in force", || {
        let seen = ask(story.plane, &story.name, &serving).unwrap();
        if SOURCES.iter().all(|source| seen.contains(source)) { Ok(()) } else { Err(seen) }
    });
    let mut best = Duration::MAX;
    // A busy machine may be late once.
    for round in 1..=3 {
        best = best.min(killed(story, &serving, round));
        if best < AFTER_RETURN {
            break;
        }
        say(&format!("round {round}: {:.1} s", best.as_secs_f64()));
    }
    say(&format!("a resource, a ConfigMap and a label changed when the API server was back counted after {:.1} s", best.as_secs_f64()));
    assert!(best < AFTER_RETURN, "{best:?}");
    serving.ready().unwrap();
}

/// The presets that it answers with, and their versions; what else it says is an error.
fn ask(plane: &Plane, namespace: &str, serving: &Serving) -> Result<String, String> {
    let (status, _, answer) = serving.ask(plane, namespace, &pod());
    if status != 200 {
        return Err(format!("{status}: {answer}"));
    }
    Ok(answer["response"]["auditAnnotations"]["presets"].as_str().unwrap_or_default().to_owned())
}

/// How long it took from the first moment at which the API server took a change until all changes were in force.
fn killed(story: &Story, serving: &Serving, round: u32) -> Duration {
    // What threads may share of a story.
    let (plane, space) = (story.plane, story.name.as_str());
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (before, since) = (ask(plane, space, serving).unwrap(), serving.held.printed().len());
    thread::scope(|scope| {
        // From before it is killed until all is well again.
        let asking = scope.spawn(|| {
            let mut bad = Vec::new();
            while !over.load(Ordering::Relaxed) {
                match ask(plane, space, serving) {
                    Ok(seen) if SOURCES[..2].iter().all(|source| seen.contains(source)) => {}
                    Ok(seen) | Err(seen) => bad.push(seen),
                }
                asked.fetch_add(1, Ordering::Relaxed);
            }
            bad
        });
        let took = {
            let _end = End(&over);
            plane.kill_apiserver();
            wait::until("Podgraft to notice", || {
                let new = serving.held.printed().split_off(since);
                if new.matches("cannot be watched").count() >= 4 { Ok(()) } else { Err(new) }
            });
            let from = asked.load(Ordering::Relaxed);
            wait::until("answers", || if asked.load(Ordering::Relaxed) > from + 100 { Ok(()) } else { Err("too few") });
            serving.ready().expect("it stays ready");
            let starting = scope.spawn(|| plane.start_apiserver().unwrap());
            let back = changed(story, round);
            wait::until("the changes to be in force", || {
                let seen = ask(plane, space, serving).unwrap();
                if is_new(&before, &seen) { Ok(()) } else { Err(seen) }
            });
            let took = back.elapsed();
            starting.join().unwrap();
            took
        };
        let bad = asking.join().unwrap();
        assert!(bad.is_empty(), "{} of {} answers: {}", bad.len(), asked.load(Ordering::Relaxed), bad[0]);
        took
    })
}

/// Changes a resource, a ConfigMap and the label of a namespace as soon as the API server takes them. When it took the first.
fn changed(story: &Story, round: u32) -> Instant {
    let (space, value) = (&story.name, format!("after-{round}"));
    let env = |name: &str| json!([{"name": name, "value": value}]);
    let changes = [
        (format!("/apis/podgraft.dev/v1beta1/namespaces/{space}/podpresets/same"), json!({"spec": {"env": env("FROM")}})),
        (format!("/api/v1/namespaces/{space}/configmaps/outage"), json!({"data": {"mapped.yaml": preset("mapped", "MAPPED", &value)}})),
        // With it in odd rounds the preset goes, in even ones it comes.
        (format!("/api/v1/namespaces/{space}"), json!({"metadata": {"labels": {"tier": (round % 2).to_string()}}})),
    ];
    wait::until("the API server to answer", || story.api.get("/livez"));
    let mut back = None;
    for (path, change) in &changes {
        wait::until(&format!("{path} to be changed"), || match story.api.patch(path, "merge", change) {
            answer if answer.taken() => Ok(()),
            answer => Err(answer.message()),
        });
        back.get_or_insert_with(Instant::now);
    }
    back.unwrap()
}

/// Whether each of the sources shows what changed.
fn is_new(before: &str, now: &str) -> bool {
    let version = |answer: &str, source: &str| answer.split(',').find_map(|one| one.strip_prefix(source)).map(str::to_owned);
    SOURCES.iter().all(|source| version(before, source) != version(now, source))
}

/// Says that it is over when it goes.
struct End<'o>(&'o AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
