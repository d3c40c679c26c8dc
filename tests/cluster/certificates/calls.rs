//! Pods that are made while certificates change: which were lost, why, and how long after the change.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::api::Api;
use crate::harness::parts;
use crate::harness::story::Story;

/// Between two Pods of one who makes them. Without it, those who renew would get no processor.
const PAUSE: Duration = Duration::from_millis(40);

/// How often what is to be changed again and again is changed. What matters is Podgraft's, and little of it the API server's, so the old one is
/// asked for a few only. `PODGRAFT_TEST_ROUNDS` says how often on all of them: a hundred take some six minutes.
pub fn rounds(story: &Story) -> usize {
    match std::env::var("PODGRAFT_TEST_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("PODGRAFT_TEST_ROUNDS is no number"),
        Err(_) if story.plane.version == parts::OLDEST => 4,
        Err(_) => 20,
    }
}

/// The calls of a while.
pub struct Calls {
    pub made: usize,
    pub lost: Vec<Lost>,
}

/// A Pod that was refused, or came out without what the preset gives.
#[derive(Debug)]
pub struct Lost {
    pub began: Instant,
    pub ended: Instant,
    pub why: String,
}

impl Calls {
    /// None was lost.
    pub fn all_fine(&self) {
        assert!(self.lost.is_empty(), "{} of {} Pods were lost: {:?}", self.lost.len(), self.made, self.lost[0]);
    }
}

/// Runs something while so many make Pods in a namespace.
pub fn under(api: &Api, namespace: &str, makers: usize, work: impl FnOnce()) -> Calls {
    let (over, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    let lost = thread::scope(|scope| {
        let makers: Vec<_> = (0..makers)
            .map(|_| {
                let (over, made, api) = (&over, &made, api.clone());
                scope.spawn(move || {
                    let mut lost = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        let began = Instant::now();
                        lost.extend(call(&api, namespace).err().map(|why| Lost { began, ended: Instant::now(), why }));
                        made.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(PAUSE);
                    }
                    lost
                })
            })
            .collect();
        // The makers end also where the work does not succeed.
        let done = catch_unwind(AssertUnwindSafe(work));
        over.store(true, Ordering::Relaxed);
        let lost = makers.into_iter().flat_map(|maker| maker.join().unwrap()).collect();
        if let Err(panic) = done {
            resume_unwind(panic);
        }
        lost
    });
    Calls { made: made.into_inner(), lost }
}

/// One Pod through the API server.
pub fn call(api: &Api, namespace: &str) -> Result<(), String> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "pod-"}, "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}});
    let answer = api.post(&format!("/api/v1/namespaces/{namespace}/pods?dryRun=All"), &pod);
    if !answer.taken() {
        return Err(answer.message());
    }
    if answer.body["spec"]["containers"][0]["env"][0]["name"] == "GRAFTED" { Ok(()) } else { Err("not grafted".to_owned()) }
}

/// When the bundle of a registration changed, as a watch of it tells.
pub struct Changes(Arc<Mutex<Vec<Instant>>>);

impl Changes {
    /// Of the configuration at a path; what is there now is no change.
    pub fn of(api: &Api, path: &str, name: &str) -> Changes {
        let lines = api.watch(&format!("{path}?watch=1&fieldSelector=metadata.name%3D{name}&timeoutSeconds=1800")).unwrap();
        let changes: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let kept = Arc::clone(&changes);
        // It ends with the watch.
        thread::spawn(move || {
            let mut before: Option<Value> = None;
            for line in lines {
                let now = Instant::now();
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                let bundle = event["object"]["webhooks"][0]["clientConfig"]["caBundle"].clone();
                if before.replace(bundle.clone()).is_some_and(|before| before != bundle) {
                    kept.lock().unwrap().push(now);
                }
            }
        });
        Changes(changes)
    }

    /// How far a call was from the nearest change.
    pub fn distance(&self, lost: &Lost) -> Duration {
        let changes = self.0.lock().unwrap();
        let apart = |change: &Instant| lost.began.saturating_duration_since(*change) + change.saturating_duration_since(lost.ended);
        changes.iter().map(apart).min().unwrap_or(Duration::MAX)
    }
}
