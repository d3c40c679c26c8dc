//! What is tried again, and by whom: a 503 by the API server, and a Pod that was refused meanwhile by the controller that wants it.

use std::net::SocketAddr;
use std::thread;

use serde_json::{Value, json};

use crate::client::Client;
use crate::failure::{PRESETS, at, grafted, pod, registration};
use crate::harness::podgraft::{Registered, Serving};
use crate::harness::story::{Stories, Story};
use crate::harness::wait;

pub const STORIES: Stories =
    &[("a_503_of_podgraft_is_tried_again", busy), ("the_only_podgraft_restarts_and_a_workload_gets_its_pods", restarted)];

/// Podgraft has no room for one more review and says 503; the API server asks again a second later, and the Pod is grafted.
fn busy(story: &Story) {
    let flags = ["--listen=127.0.0.1:0", "--shutdown-delay=0s", "--max-reviews=1", "--body-timeout=50s"];
    let serving = Serving::start_as(story.plane, &story.name, PRESETS, &flags).unwrap();
    let object = registration(story, "Fail").object(&serving.url(), &story.plane.authority.pem);
    let _registered = Registered::make(story.api.clone(), &object);
    serving.in_force(&story.api, &story.name).unwrap();

    // Somebody has the only slot, and is long in saying what he wants.
    let mut slow = Client::connect(serving.webhook.parse().unwrap()).unwrap();
    slow.send(b"POST /mutate HTTP/1.1\r\nHost: podgraft\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{").unwrap();
    wait::until("the slot to be taken", || match serving.ask(story.plane, &story.name, &pod()) {
        (503, Some(after), _) if after == "1" => Ok(()),
        other => Err(other),
    });
    let shed = || serving.metric("podgraft_reviews_total", "\"shed\"").unwrap();
    let before = shed();
    let (api, path) = (story.api.clone(), format!("/api/v1/namespaces/{}/pods?dryRun=All", story.name));
    let answer = thread::scope(|scope| {
        let asked = scope.spawn(|| api.post(&path, &pod()));
        wait::until("the API server to be told 503", || if shed() > before { Ok(()) } else { Err("it is not") });
        assert!(!asked.is_finished(), "it does not give up");
        drop(slow);
        asked.join().unwrap()
    });
    assert!(answer.taken() && grafted(&answer), "{} {}", answer.status, answer.message());
}

/// Where there is one Podgraft and it restarts, the API server asks nobody twice: under `Fail` a Pod is refused. The ReplicaSet tries again
/// until there is one, so that no Pod of a workload goes without.
fn restarted(story: &Story) {
    const REPLICAS: usize = 3;
    story.faults_are_meant();
    let registration = registration(story, "Fail");
    let podgraft = story.podgraft_as(&registration, PRESETS);
    let port = podgraft.serving.webhook.parse::<SocketAddr>().unwrap().port();
    let mut leaving = podgraft.serving;
    let status = leaving.held.leave();
    assert!(status.success(), "it left with {status}");

    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": pod()["spec"]});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": REPLICAS, "selector": {"matchLabels": {"app": "web"}}, "template": template}});
    story.kubectl().run_with(&["create", "-f", "-"], &deployment.to_string()).fine();
    wait::until("a Pod to be refused", || match story.metric("apiserver_admission_webhook_rejection_count", &registration, "") {
        0.0 => Err("none is"),
        _ => Ok(()),
    });
    assert!(story.pods(&story.name, "app=web").is_empty());

    let _serving = at(story, port).unwrap();
    let pods = wait::until("the workload's Pods", || {
        let pods = story.pods(&story.name, "app=web");
        if pods.len() == REPLICAS { Ok(pods) } else { Err(pods.len()) }
    });
    let without = |pod: &&Value| pod["spec"]["containers"][0]["env"][0]["name"] != "GRAFTED";
    assert_eq!(pods.iter().filter(without).count(), 0, "Pods without what is required");
}
