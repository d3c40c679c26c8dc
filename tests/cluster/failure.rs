//! Podgraft killed, stopped, slow, started late, restarted and replaced under load: Pods are created or refused as the registration's
//! `failurePolicy` says, and nothing else.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::account::Account;
use crate::harness::api::Answer;
use crate::harness::front::Front;
use crate::harness::podgraft::{Registered, Registration, Serving};
use crate::harness::story::{InFront, Stories, Story};
use crate::harness::{Trouble, wait};
use crate::stores::map;

pub const STORIES: Stories = &[
    ("killed_and_fail_open", |story| killed(story, "Ignore")),
    ("killed_and_fail_closed", |story| killed(story, "Fail")),
    ("stopped_and_fail_open", |story| stopped(story, "Ignore")),
    ("stopped_and_fail_closed", |story| stopped(story, "Fail")),
    ("slow_and_fail_open", |story| slow(story, "Ignore")),
    ("slow_and_fail_closed", |story| slow(story, "Fail")),
    ("started_late_and_fail_open", |story| late(story, "Ignore")),
    ("started_late_and_fail_closed", |story| late(story, "Fail")),
    ("restarted_under_load_and_fail_open", |story| restarted_in_its_place(story, "Ignore")),
    ("restarted_under_load_and_fail_closed", |story| restarted_in_its_place(story, "Fail")),
    ("restarted_under_load_with_presets_of_the_cluster", restarted_in_a_cluster),
    ("replaced_under_load", replaced),
];

pub const PRESETS: &str = "
apiVersion: podgraft.dev/v1beta1
kind: ClusterPodPreset
metadata: {name: held}
spec: {selector: {}, env: [{name: GRAFTED, value: '1'}]}
";

pub fn registration(story: &Story, policy: &'static str) -> Registration {
    Registration { failure_policy: policy, ..Registration::of(&story.name, &story.name) }
}

pub fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "pod-"}, "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]}})
}

/// Whether a Pod that was taken is grafted.
pub fn grafted(answer: &Answer) -> bool {
    answer.body["spec"]["containers"][0]["env"][0]["name"] == "GRAFTED"
}

/// A Pod that meets no Podgraft: made as its author wrote it, with no record of what was not done, or refused in the API server's own words.
fn without(story: &Story, policy: &str, answer: &Answer) -> bool {
    if policy == "Ignore" {
        answer.taken() && !grafted(answer) && answer.body["metadata"].get("annotations").is_none()
    } else {
        answer.status == 500 && answer.message().contains(&format!("failed calling webhook \"{}.podgraft.dev\"", story.name))
    }
}

fn as_the_policy_says(story: &Story, policy: &str) {
    let answer = story.try_pod(&story.name, &pod());
    assert!(without(story, policy, &answer), "{policy}: {} {}", answer.status, answer.message());
}

/// Podgraft at a place where it was expected.
pub fn at(story: &Story, port: u16) -> Result<Serving, Trouble> {
    Serving::start_as(story.plane, &story.name, PRESETS, &[&format!("--listen=127.0.0.1:{port}"), "--shutdown-delay=0s"])
}

/// Every call that failed is counted by the API server as what the policy makes of it.
fn counted(story: &Story, registration: &Registration) {
    let opened = story.metric("apiserver_admission_webhook_fail_open_count", registration, "");
    let refused = story.metric("apiserver_admission_webhook_rejection_count", registration, "calling_webhook_error");
    let internal = story.metric("apiserver_admission_webhook_rejection_count", registration, "apiserver_internal_error");
    assert_eq!(internal, 0.0, "a patch that could not be used");
    let wanted = if registration.failure_policy == "Ignore" { (true, false) } else { (false, true) };
    assert_eq!((opened > 0.0, refused > 0.0), wanted, "fail open {opened}, refused {refused}");
}

fn killed(story: &Story, policy: &'static str) {
    story.faults_are_meant();
    let registration = registration(story, policy);
    let podgraft = story.podgraft_as(&registration, PRESETS);
    assert!(grafted(&story.try_pod(&story.name, &pod())));
    let port = podgraft.serving.webhook.parse::<SocketAddr>().unwrap().port();
    drop(podgraft.serving);
    as_the_policy_says(story, policy);
    // Back at its old place it is asked again at once.
    let _serving = at(story, port).unwrap();
    let answer = story.try_pod(&story.name, &pod());
    assert!(grafted(&answer), "{}", answer.message());
    counted(story, &registration);
}

fn stopped(story: &Story, policy: &'static str) {
    story.faults_are_meant();
    let registration = registration(story, policy);
    let podgraft = story.podgraft_as(&registration, PRESETS);
    wait_no_longer(story, &registration);
    podgraft.serving.held.signal("STOP");
    as_the_policy_says(story, policy);
    podgraft.serving.held.signal("CONT");
    wait::until("Podgraft to go on", || {
        let answer = story.try_pod(&story.name, &pod());
        if answer.taken() && grafted(&answer) { Ok(()) } else { Err(answer.message()) }
    });
    counted(story, &registration);
}

/// From now on, or a moment later, the API server waits a second.
fn wait_no_longer(story: &Story, registration: &Registration) {
    let path = format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{}", registration.name);
    let impatient = json!([{"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 1}]);
    story.api.patch(&path, "json", &impatient).object("a shorter timeout");
}

/// Slow, but within the timeout: it is waited for. Slower: as if it were not there.
fn slow(story: &Story, policy: &'static str) {
    story.faults_are_meant();
    let serving = at(story, 0).unwrap();
    let front = Front::of(serving.webhook.parse().unwrap());
    let registration = registration(story, policy);
    let object = registration.object(&format!("https://{}/mutate", front.address), &story.plane.authority.pem);
    let _registered = Registered::make(story.api.clone(), &object);
    serving.in_force(&story.api, &story.name).unwrap();
    front.late_by(Duration::from_millis(300));
    let answer = story.try_pod(&story.name, &pod());
    assert!(grafted(&answer), "{}", answer.message());
    front.late_by(Duration::from_secs(3));
    wait_no_longer(story, &registration);
    wait::until("the shorter timeout to be in force", || {
        if grafted(&story.try_pod(&story.name, &pod())) { Err("it waits longer") } else { Ok(()) }
    });
    as_the_policy_says(story, policy);
    front.late_by(Duration::ZERO);
    wait::until("Podgraft to be quick again", || {
        let answer = story.try_pod(&story.name, &pod());
        if grafted(&answer) { Ok(()) } else { Err(answer.message()) }
    });
    counted(story, &registration);
}

/// Registered first, started then.
fn late(story: &Story, policy: &'static str) {
    story.faults_are_meant();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let registration = registration(story, policy);
    let object = registration.object(&format!("https://127.0.0.1:{port}/mutate"), &story.plane.authority.pem);
    let _registered = Registered::make(story.api.clone(), &object);
    wait::until("the registration to be in force", || {
        let failed = ["apiserver_admission_webhook_fail_open_count", "apiserver_admission_webhook_rejection_count"];
        story.try_pod(&story.name, &pod());
        if failed.iter().any(|metric| story.metric(metric, &registration, "") > 0.0) { Ok(()) } else { Err("it is not") }
    });
    as_the_policy_says(story, policy);
    let _serving = at(story, port).unwrap();
    let answer = story.try_pod(&story.name, &pod());
    assert!(grafted(&answer), "{}", answer.message());
    counted(story, &registration);
}

/// Makes Pods, as four users do, while `meanwhile` goes on: it is given how many were made. What came of those that were not grafted.
pub fn under_load(story: &Story, meanwhile: impl FnOnce(&dyn Fn(usize))) -> (usize, Vec<Answer>) {
    let (over, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    let more = |number: usize| {
        let from = made.load(Ordering::Relaxed);
        wait::until("Pods to be made", || if made.load(Ordering::Relaxed) >= from + number { Ok(()) } else { Err("too few") });
    };
    let others = thread::scope(|scope| {
        let makers: Vec<_> = (0..4)
            .map(|_| {
                let api = story.api.clone();
                let (over, made, path) = (&over, &made, format!("/api/v1/namespaces/{}/pods?dryRun=All", story.name));
                scope.spawn(move || {
                    let mut others = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        let answer = api.post(&path, &pod());
                        if !(answer.taken() && grafted(&answer)) {
                            others.push(answer);
                        }
                        made.fetch_add(1, Ordering::Relaxed);
                    }
                    others
                })
            })
            .collect();
        // Also where it fails, the makers have to end.
        let end = End(&over);
        meanwhile(&more);
        drop(end);
        makers.into_iter().flat_map(|maker| maker.join().unwrap()).collect()
    });
    (made.into_inner(), others)
}

/// Says that it is over when it goes.
struct End<'o>(&'o AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn restarted_in_its_place(story: &Story, policy: &'static str) {
    let registration = registration(story, policy);
    let podgraft = story.podgraft_as(&registration, PRESETS);
    restarted(story, &registration, podgraft, |port| at(story, port));
}

/// What it has to list first it must not answer without.
fn restarted_in_a_cluster(story: &Story) {
    let account = Account::make(story.plane, &story.name);
    let podgraft = story.podgraft_of(&account, "", &[]);
    let map = map(&account.namespace, "held", &json!({"held.yaml": PRESETS}));
    story.kubectl().within(&account.namespace).run_with(&["apply", "-f", "-"], &map.to_string()).fine();
    wait::until("the preset to be in force", || if grafted(&story.try_pod(&story.name, &pod())) { Ok(()) } else { Err("it is not") });
    restarted(story, &registration(story, "Fail"), podgraft, |port| {
        Serving::start_within(story.plane, &account, "", &[&format!("--listen=127.0.0.1:{port}")])
    });
}

/// Three times it is killed and started anew in its old place: a Pod is grafted, or what the policy says, and nothing between.
fn restarted(story: &Story, registration: &Registration, podgraft: InFront, start: impl Fn(u16) -> Result<Serving, Trouble>) {
    story.faults_are_meant();
    let policy = registration.failure_policy;
    let InFront { registered: _registered, mut serving } = podgraft;
    let port = serving.webhook.parse::<SocketAddr>().unwrap().port();
    let (made, others) = under_load(story, |more| {
        for _ in 0..3 {
            more(20);
            serving.held.signal("KILL");
            more(8);
            serving = start(port).unwrap();
        }
        more(20);
    });
    let bad: Vec<String> = others
        .iter()
        .filter(|answer| !without(story, policy, answer))
        .map(|answer| format!("{} {}", answer.status, answer.message()))
        .collect();
    assert!(bad.is_empty(), "{} of {made} Pods are neither grafted nor what {policy} says: {}", bad.len(), bad[0]);
    assert!(!others.is_empty() && others.len() < made, "{} of {made} Pods met no Podgraft", others.len());
    assert!(grafted(&story.try_pod(&story.name, &pod())));
    counted(story, registration);
}

/// Three times a new one takes over while Pods are made: not one Pod goes without, not one is refused.
fn replaced(story: &Story) {
    // While it is to leave, every answer closes its connection; what is idle for all that time is closed in the end.
    let start = |number: usize| {
        let flags = ["--listen=127.0.0.1:0", "--shutdown-delay=3s"];
        Serving::start_as(story.plane, &format!("{}-{number}", story.name), PRESETS, &flags).unwrap()
    };
    let mut serving = start(0);
    let front = Front::of(serving.webhook.parse().unwrap());
    let registration = registration(story, "Fail");
    let object = registration.object(&format!("https://{}/mutate", front.address), &story.plane.authority.pem);
    let _registered = Registered::make(story.api.clone(), &object);
    serving.in_force(&story.api, &story.name).unwrap();

    let (made, lost) = under_load(story, |more| {
        for number in 1..=3 {
            more(50);
            let next = start(number);
            front.goes_to(next.webhook.parse().unwrap());
            let status = std::mem::replace(&mut serving, next).held.leave();
            assert!(status.success(), "it left with {status}");
        }
        more(50);
    });
    let lost: Vec<String> = lost.iter().map(|answer| format!("{} {}", answer.status, answer.message())).collect();
    assert!(lost.is_empty(), "{} of {made} Pods were lost: {}", lost.len(), lost[0]);
}
