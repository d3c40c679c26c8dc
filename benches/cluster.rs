//! What a Pod's creation gains in latency by Podgraft, as a real API server's own histogram of webhook calls has it, beside a webhook that
//! answers "allowed" from a constant, and what three presets cost against one. All on one control plane in one run: rounds in which each has
//! its turn, ratios within a round, their medians.

#[path = "../tests/support/cluster/mod.rs"]
#[expect(dead_code, reason = "the stories of tests/cluster want more of it")]
mod harness;
#[path = "support/histogram.rs"]
mod histogram;
#[path = "support/job.rs"]
#[expect(dead_code, reason = "the server does the job here, only what it is about is needed")]
mod job;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use harness::api::Api;
use harness::authority::Leaf;
use harness::endpoint::Endpoint;
use harness::held::Held;
use harness::plane::{Plane, User};
use harness::podgraft::{Registered, Registration, Serving};
use harness::{Trouble, parts, say, wait};
use histogram::Histogram;
use serde_json::{Value, json};

const ROUNDS: usize = 7;
const PODS: usize = 100;

/// What stands in front of the API server.
const CONTENDERS: [(&str, &str); 4] = [
    ("nothing", "no webhook"),
    ("constant", "\"allowed\" from a constant"),
    ("one", "Podgraft, 1 preset"),
    ("three", "Podgraft, 3 presets"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let done = match &arguments[..] {
        [role, certificate, key] if role == "constant" => constant(certificate, key),
        [version] => measure(version),
        [] => match parts::versions().first() {
            Some(version) => measure(version),
            None => Err("no version is asked for".to_owned()),
        },
        others => Err(format!("one Kubernetes version, as in 1.36, or none: {others:?}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            say(&trouble);
            ExitCode::FAILURE
        }
    }
}

/// The other webhook, in a process of its own as Podgraft is: reads a review as far as its uid, and has nothing to say.
fn constant(certificate: &str, key: &str) -> Result<(), Trouble> {
    let read = |file: &str| fs::read_to_string(file).map_err(|error| format!("{file}: {error}"));
    let reply = |_: &str, body: &str| {
        let uid = body.split_once("\"uid\":\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(uid, _)| uid);
        let answer =
            format!(r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{{"uid":"{uid}","allowed":true}}}}"#);
        (200, answer)
    };
    let endpoint = Endpoint::with(&Leaf { certificate: read(certificate)?, key: read(key)? }, Arc::new(reply))?;
    println!("at {}", endpoint.address);
    loop {
        std::thread::park();
    }
}

/// What of one contender must stay until the end.
struct Standing {
    registered: Option<Registered>,
    _held: Option<Held>,
    _serving: Option<Serving>,
}

/// Figures of one contender in one round.
struct Round {
    calls: f64,
    /// Milliseconds.
    call: f64,
    pod: f64,
    client: f64,
}

fn measure(version: &str) -> Result<(), Trouble> {
    let plane = Plane::start(version, &PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-cluster"))?;
    let api = plane.api(User::Admin);
    let mut standing = Vec::new();
    for (name, _) in CONTENDERS {
        plane.namespace(name, &json!({"story": name}))?;
        standing.push(stand(&plane, &api, name)?);
    }
    let mut rounds: Vec<Vec<Round>> = CONTENDERS.iter().map(|_| Vec::new()).collect();
    let mut all: Vec<Histogram> = CONTENDERS.iter().map(|_| Histogram::default()).collect();
    for round in 0..=ROUNDS {
        for turn in 0..CONTENDERS.len() {
            // Nobody always comes after the same other.
            let index = (turn + round) % CONTENDERS.len();
            let (figures, histogram) = load(&api, CONTENDERS[index].0)?;
            // The first warms up.
            if round > 0 {
                rounds[index].push(figures);
                all[index].add(&histogram);
            }
        }
    }
    print(&plane.release()?, &rounds, &all);
    // First of all the API server is told not to ask any more.
    standing.iter_mut().for_each(|one| drop(one.registered.take()));
    drop(standing);
    plane.remove();
    Ok(())
}

/// Registers a contender for the namespace of its name, and waits until it is asked.
fn stand(plane: &Plane, api: &Api, name: &str) -> Result<Standing, Trouble> {
    let (held, serving, url) = match name {
        "nothing" => return Ok(Standing { registered: None, _held: None, _serving: None }),
        "constant" => {
            let leaf = plane.authority.leaf(&[])?;
            let file = |name: &str| plane.folder.join("data").join(name);
            for (name, text) in [("constant.crt", leaf.certificate), ("constant.key", leaf.key)] {
                fs::write(file(name), text).map_err(|error| error.to_string())?;
            }
            let program = std::env::current_exe().map_err(|error| error.to_string())?;
            let command = [program.into(), "constant".into(), file("constant.crt").into(), file("constant.key").into()];
            let log = plane.folder.join("logs/constant.log");
            let mut held = Held::start("the constant webhook", &command, &[], &log)?;
            let address = held.until("the constant webhook", || {
                let printed = fs::read_to_string(&log).unwrap_or_default();
                printed.lines().find_map(|line| line.strip_prefix("at ").map(str::to_owned)).ok_or("it has not said where")
            })?;
            (Some(held), None, format!("https://{address}/mutate"))
        }
        _ => {
            let number = if name == "one" { 1 } else { 3 };
            let presets: String = (1..=number).map(|number| document(name, number)).collect();
            let serving = Serving::start(plane, name, &presets)?;
            let url = serving.url();
            (None, Some(serving), url)
        }
    };
    let registered = Registered::make(api.clone(), &Registration::of(name, name).object(&url, &plane.authority.pem));
    wait::until_within(wait::PATIENCE, &format!("{name} to be asked"), || {
        create(api, name, &pod())?;
        if calls(api, name)?.count > 0.0 { Ok(()) } else { Err("it is not".to_owned()) }
    })?;
    Ok(Standing { registered: Some(registered), _held: held, _serving: serving })
}

/// The job of `make bench` as a preset of this namespace, one of several that do not overlap.
fn document(namespace: &str, number: usize) -> String {
    job::document(0)
        .replace("namespace: shop", &format!("namespace: {namespace}"))
        .replace("name: web-settings", &format!("name: settings-{number}"))
        .replace("GRAFTED_", &format!("GRAFTED_{number}_"))
        .replace("grafted-", &format!("grafted-{number}-"))
        .replace("example.com/grafted", &format!("example.com/grafted-{number}"))
        .replace("log-shipper", &format!("log-shipper-{number}"))
        .replace("/var/log/web", &format!("/var/log/web-{number}"))
        .replace("/etc/web", &format!("/etc/web-{number}"))
}

/// The Pod of the job, as its author would send it.
fn pod() -> Value {
    let review: Value = serde_json::from_str(job::TYPICAL).expect("the review of the job");
    let mut pod = review["request"]["object"].clone();
    for key in ["managedFields", "ownerReferences", "namespace", "creationTimestamp"] {
        pod["metadata"].as_object_mut().map(|metadata| metadata.remove(key));
    }
    pod.as_object_mut().map(|pod| pod.remove("status"));
    // Any cluster has the account and the class of these.
    for key in ["serviceAccountName", "serviceAccount", "priorityClassName", "priority", "preemptionPolicy"] {
        pod["spec"].as_object_mut().map(|spec| spec.remove(key));
    }
    let without_token = |list: &mut Value| {
        if let Some(list) = list.as_array_mut() {
            list.retain(|entry| !entry["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access-")));
        }
    };
    without_token(&mut pod["spec"]["volumes"]);
    for list in ["initContainers", "containers"] {
        for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if container.get("volumeMounts").is_some() {
                without_token(&mut container["volumeMounts"]);
            }
        }
    }
    pod
}

fn create(api: &Api, namespace: &str, pod: &Value) -> Result<(), Trouble> {
    let made = api.post(&format!("/api/v1/namespaces/{namespace}/pods"), pod);
    if made.taken() { Ok(()) } else { Err(made.message()) }
}

/// The calls of one contender's webhook so far.
fn calls(api: &Api, name: &str) -> Result<Histogram, Trouble> {
    let webhook = Registration::of(name, name).webhook();
    Ok(Histogram::read(&api.text("/metrics")?, "apiserver_admission_webhook_admission_duration_seconds", &format!("name=\"{webhook}\"")))
}

/// Makes the Pods of a round, one after the other, and takes them away.
fn load(api: &Api, name: &str) -> Result<(Round, Histogram), Trouble> {
    let pod = pod();
    let before = calls(api, name)?;
    let mut times = Vec::new();
    for _ in 0..PODS {
        let start = Instant::now();
        create(api, name, &pod)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let calls = calls(api, name)?.since(&before);
    let deleted = api.delete(&format!("/api/v1/namespaces/{name}/pods?gracePeriodSeconds=0"))?;
    if !deleted.taken() {
        return Err(format!("the Pods of {name} stay: {}", deleted.message()));
    }
    let milliseconds = calls.sum * 1e3;
    let round = Round {
        calls: calls.count / PODS as f64,
        call: milliseconds / calls.count,
        pod: milliseconds / PODS as f64,
        client: median(times),
    };
    Ok((round, calls))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(release: &str, rounds: &[Vec<Round>], all: &[Histogram]) {
    let of = |index: usize, figure: fn(&Round) -> f64| median(rounds[index].iter().map(figure).collect());
    println!("\nKubernetes {release}: {ROUNDS} rounds of {PODS} Pods each, made one after the other; medians of the rounds.");
    println!("Calls and their times are the API server's own: apiserver_admission_webhook_admission_duration_seconds.\n");
    println!(
        "{:<28} {:>11} {:>9} {:>9} {:>10} {:>10} {:>14}",
        "in front of it", "calls a Pod", "ms a call", "ms a Pod", "p50", "p99", "ms to create"
    );
    for (index, (name, what)) in CONTENDERS.iter().enumerate() {
        let client = of(index, |round| round.client);
        if *name == "nothing" {
            println!("{what:<28} {:>11} {:>9} {:>9} {:>10} {:>10} {client:>14.2}", "-", "-", "-", "-", "-");
            continue;
        }
        println!(
            "{what:<28} {:>11.2} {:>9.3} {:>9.3} {:>10} {:>10} {client:>14.2}",
            of(index, |round| round.calls),
            of(index, |round| round.call),
            of(index, |round| round.pod),
            all[index].within(0.5),
            all[index].within(0.99),
        );
    }
    let ratio = |one: usize, other: usize, figure: fn(&Round) -> f64| {
        median(rounds[one].iter().zip(&rounds[other]).map(|(one, other)| figure(one) / figure(other)).collect())
    };
    println!("\n{:<44} {:>9} {:>9}", "ratios in a round, medians", "a call", "a Pod");
    for (what, one, other) in [("Podgraft with 1 preset, to the constant", 2, 1), ("Podgraft with 3 presets, to 1 preset", 3, 2)] {
        println!("{what:<44} {:>8.2}x {:>8.2}x", ratio(one, other, |round| round.call), ratio(one, other, |round| round.pod));
    }
}
