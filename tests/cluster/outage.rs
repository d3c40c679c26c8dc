//! A connection that is dead and does not say so: nothing more comes, nothing is refused. Here it is a watch, through a forwarder of the
//! test's own, and with `--watch-timeout` (hidden; 180 s where nobody says otherwise) so short that the test is too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::harness::account::Account;
use crate::harness::say;
use crate::harness::story::{Stories, Story};
use crate::harness::wait;
use crate::stores::{apply, map, pod, preset, until_variables, variables};

pub const STORIES: Stories =
    &[("a_watch_that_nobody_answers_is_noticed", deaf), ("a_namespace_that_is_not_known_is_asked_for", unknown_namespace)];

/// What the issue asks for, of watches of 180 s.
const NOTICED: Duration = Duration::from_secs(300);

/// Forwards connections, and can let those that there are fall silent.
pub struct Forwarder {
    pub address: SocketAddr,
    silence: Arc<watch::Sender<u32>>,
    _runtime: Runtime,
}

impl Forwarder {
    pub fn to(target: SocketAddr) -> Forwarder {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let silence = Arc::new(watch::Sender::new(0));
        let heard = Arc::clone(&silence);
        runtime.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (mut one, mut other) = (heard.subscribe(), heard.subscribe());
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(target).await else { return };
                    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                    tokio::join!(pass(near_in, far_out, &mut one), pass(far_in, near_out, &mut other));
                });
            }
        });
        Forwarder { address, silence, _runtime: runtime }
    }

    /// From now on nothing passes on the connections that there are, and they stay open. How many that are.
    pub fn fall_silent(&self) -> usize {
        self.silence.send_modify(|times| *times += 1);
        self.silence.receiver_count() / 2
    }
}

/// Passes on what comes, until it is over or silent; then for ever nothing.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, silence: &mut watch::Receiver<u32>) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        tokio::select! {
            biased;
            _ = silence.changed() => return std::future::pending().await,
            read = from.read(&mut bytes) => match read {
                Ok(0) | Err(_) => break,
                Ok(length) => if to.write_all(&bytes[..length]).await.is_err() { break },
            },
        }
    }
    let _ = to.shutdown().await;
}

fn deaf(story: &Story) {
    let server = story.plane.url().strip_prefix("https://").unwrap().parse().unwrap();
    let forwarder = Forwarder::to(server);
    let account = Account::make(story.plane, &story.name).at(story.plane, &format!("https://{}", forwarder.address));
    let podgraft = story.podgraft_of(&account, "", &["--watch-timeout=5s"]);
    apply(story, &map(&story.name, "team", &json!({"a.yaml": preset("a", "A", "before")})));
    until_variables(story, &story.name, &["A=before"]);
    let silent = forwarder.fall_silent();
    assert!(silent >= 2, "the watches of ConfigMaps and namespaces: {silent}");
    let start = Instant::now();
    apply(story, &map(&story.name, "team", &json!({"a.yaml": preset("a", "A", "after")})));
    wait::until_within(NOTICED, "the change to be in force", || match variables(story, &story.name) {
        seen if seen == ["A=after"] => Ok(()),
        seen => {
            podgraft.serving.ready().expect("it stays ready");
            Err(seen)
        }
    })
    .unwrap();
    say(&format!("{silent} silent connections, a change in force after {:.1} s with watches of 5 s", start.elapsed().as_secs_f64()));
    assert!(podgraft.serving.held.printed().contains("nobody is there"), "the log says it");
}

/// The watch of namespaces is dead, so a new one is not known: it is asked for, and nobody takes it for one without labels meanwhile.
fn unknown_namespace(story: &Story) {
    let server = story.plane.url().strip_prefix("https://").unwrap().parse().unwrap();
    let forwarder = Forwarder::to(server);
    let own = Account::make(story.plane, &story.name);
    let account = own.at(story.plane, &format!("https://{}", forwarder.address));
    let podgraft = story.podgraft_of(&account, "", &[]);
    let gold = preset("gold", "TIER", "gold").replace("kind: PodPreset", "kind: ClusterPodPreset");
    let gold = gold.replace("selector: {}", "selector: {matchLabels: {wants: tier}}, namespaceSelector: {matchLabels: {tier: gold}}");
    let gold = map(&own.namespace, "gold", &json!({"gold.yaml": gold}));
    story.kubectl().within(&own.namespace).run_with(&["apply", "-f", "-"], &gold.to_string()).fine();
    let mut wanting = pod();
    wanting["metadata"]["labels"] = json!({"wants": "tier"});
    story.kubectl().run(&["label", "namespace", &story.name, "tier=gold"]).fine();
    let applied = |answer: &Value| {
        answer["response"]["auditAnnotations"]["presets"].as_str().unwrap_or_default().starts_with("clusterpodpreset-gold=")
    };
    wait::until("the preset to be in force", || {
        let (_, _, answer) = podgraft.serving.ask(story.plane, &story.name, &wanting);
        if applied(&answer) { Ok(()) } else { Err(answer) }
    });
    forwarder.fall_silent();
    let name = format!("{}-new", story.name);
    story.plane.namespace(&name, &json!({"tier": "gold"})).unwrap();
    let (status, retry, answer) = podgraft.serving.ask(story.plane, &name, &wanting);
    assert_eq!((status, retry.as_deref()), (503, Some("1")), "{answer}");
    assert_eq!(answer["error"], format!("the labels of namespace {name} are not known yet"));
    // Where no namespaceSelector has to be asked, nothing is missing.
    assert_eq!(podgraft.serving.ask(story.plane, &name, &pod()).0, 200);
    podgraft.serving.ready().expect("one namespace is no reason not to be ready");
    let answer = wait::until("the namespace to be known", || match podgraft.serving.ask(story.plane, &name, &wanting) {
        (200, _, answer) => Ok(answer),
        (status, _, answer) => Err((status, answer)),
    });
    assert!(applied(&answer), "{answer}");
}
