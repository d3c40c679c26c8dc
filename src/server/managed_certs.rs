//! Podgraft as its own authority: keeps the Secret with authority and certificate, and the bundles of the registration.
//!
//! What is to be done is decided in [`mod@decide`]; here it is done. Every replica looks, and whoever finds something to do takes a turn
//! ([`lease`]), looks again at what is there by now, and writes. Replicas show what the Secret holds as with `--certs secret`.

pub mod decide;
pub mod edit;
pub mod lease;
pub mod material;
pub mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::{Api, Client};
use tokio::sync::{Mutex, watch};

use super::config::Lives;
use super::identity::secret::Seen;
use super::identity::trust::{Authority, Registration};
use super::identity::{self, Identity, unix_now};
use super::metrics::Metrics;
use super::watch::unending;
use decide::{Scene, Step, decide, missing, wanted};
use lease::{Turn, Turns};
use material::Material;
use write::{Trouble, Writer};

/// Steps of one turn at most.
const STEPS: usize = 8;

/// Pause of whoever had to leave the turn to somebody else.
const OTHERS: Duration = Duration::from_secs(1);

/// After failures: fast at first, then slow, for ever.
const PAUSES: [Duration; 7] = [
    Duration::from_millis(100),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(60),
];

/// What it keeps.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Podgraft's namespace.
    pub namespace: String,
    /// Name of the Secret; of the Lease too.
    pub secret: String,
    /// Name of the Service.
    pub service: String,
    /// Name of the webhook configurations, where there is one.
    pub configuration: Option<String>,
    /// How long what is made is valid.
    pub lives: Lives,
}

/// See the module.
#[derive(Debug)]
pub struct Managed {
    kept: Kept,
    name: String,
    seen: watch::Receiver<Seen>,
    registration: watch::Receiver<Arc<Registration>>,
    identity: Arc<Identity>,
    writer: Writer,
    turns: Turns,
    settled: Settled,
    failures: usize,
}

impl Managed {
    /// With what the watches bring; `me` is no other replica's name.
    #[must_use]
    pub fn new(
        client: &Client,
        kept: Kept,
        seen: watch::Receiver<Seen>,
        registration: watch::Receiver<Arc<Registration>>,
        identity: Arc<Identity>,
        me: String,
    ) -> Managed {
        let name = format!("{}.{}.svc", kept.service, kept.namespace);
        let writer = Writer::new(client, &kept, identity::names(&kept.service, &kept.namespace));
        let turns = Turns::new(Api::namespaced(client.clone(), &kept.namespace), kept.secret.clone(), me);
        Managed { kept, name, seen, registration, identity, writer, turns, settled: Settled::default(), failures: 0 }
    }

    /// Keeps them for ever.
    pub async fn run(self, metrics: Arc<Metrics>) {
        let managed = Mutex::new(self);
        unending("managed certificates", &metrics, || async { managed.lock().await.go_on().await }).await;
    }

    async fn go_on(&mut self) {
        loop {
            let pause = match self.look().await {
                Ok(pause) => {
                    self.failures = 0;
                    pause
                }
                Err(trouble) => {
                    let pause = PAUSES.get(self.failures).or(PAUSES.last()).copied().unwrap_or(OTHERS);
                    self.failures = self.failures.saturating_add(1);
                    tracing::warn!(%trouble, "managed certificates cannot be written, to be tried again");
                    // Changes do not shorten this pause: they may be what it comes from.
                    tokio::time::sleep(pause).await;
                    continue;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = changed(&mut self.seen) => {}
                () = changed(&mut self.registration) => {}
            }
        }
    }

    /// Looks at what the watches brought, and does what is to be done. Gives the time after which to look again.
    async fn look(&mut self) -> Result<Duration, Trouble> {
        let seen = self.seen.borrow_and_update().clone();
        let registration = Arc::clone(&self.registration.borrow_and_update());
        let content = match seen {
            // Both have to be known before anything is judged.
            Seen::Unread(_) => return Ok(OTHERS),
            Seen::Absent => None,
            Seen::There(content) => Some(content),
        };
        if matches!(*registration, Registration::Unread) && content.is_some() {
            return Ok(OTHERS);
        }
        let material = content.as_ref().map(|content| Material::read(content));
        match self.decide(material.as_ref(), &registration) {
            Step::Nothing(seconds) => Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(1))),
            // Of several who make it one is first, and the others take what that one made: no turn is waited for.
            step @ Step::Create => {
                let made = self.writer.secret(&step, None, self.kept.lives).await?;
                tracing::info!(secret = self.kept.secret, made, "there was no Secret with a certificate");
                Ok(OTHERS)
            }
            _ => match self.turns.take().await.map_err(Trouble::Lease)? {
                None => Ok(OTHERS),
                Some(turn) => {
                    let done = self.write(&turn).await;
                    self.turns.give_back(turn).await;
                    done.map(|()| Duration::from_millis(100))
                }
            },
        }
    }

    /// Writes until there is nothing to write, from what the API server has, not from what the watches brought.
    async fn write(&mut self, turn: &Turn) -> Result<(), Trouble> {
        for _ in 0..STEPS {
            let secret = self.writer.read().await?;
            let configurations = self.writer.configurations().await;
            let registration = configurations.registration();
            let material = secret.as_ref().map(|secret| Material::read(&super::secret_certs::content(secret.clone())));
            let step = self.decide(material.as_ref(), &registration);
            if !turn.lasts() {
                break;
            }
            match &step {
                Step::Nothing(_) => break,
                Step::Restore | Step::Trim => {
                    let shown = self.identity.pair();
                    let scene = self.scene(material.as_ref(), &registration, shown.as_deref(), None);
                    self.writer.bundles(&configurations, &self.name, &wanted(&scene), step == Step::Trim).await?;
                    tracing::info!(step = step_word(&step), "wrote the caBundle of the webhook configurations");
                }
                _ => {
                    self.writer.secret(&step, secret, self.kept.lives).await?;
                    let why = if let Step::Replace(why) | Step::Issue(why) | Step::Prepare(why) = &step { why.as_str() } else { "" };
                    tracing::info!(step = step_word(&step), why, secret = self.kept.secret, "wrote managed certificates");
                }
            }
        }
        Ok(())
    }

    fn decide(&mut self, material: Option<&Material>, registration: &Registration) -> Step {
        let shown = self.identity.pair();
        let wanted = wanted(&self.scene(material, registration, shown.as_deref(), None));
        let leaf = shown.as_ref().and_then(|shown| shown.chain().first().map(|leaf| leaf.to_vec()));
        let whole = matches!(registration, Registration::Read(_)) && !missing(&wanted, &self.name, registration);
        let settled = self.settled.since(wanted, leaf, whole).map(|since| since.elapsed());
        decide(&self.scene(material, registration, shown.as_deref(), settled))
    }

    fn scene<'s>(
        &'s self,
        material: Option<&'s Material>,
        registration: &'s Registration,
        shown: Option<&'s identity::Pair>,
        settled: Option<Duration>,
    ) -> Scene<'s> {
        Scene { now: unix_now(), lives: self.kept.lives, name: &self.name, material, registration, shown, settled }
    }
}

/// Since when all bundles have had all that is wanted, with nothing else wanted or shown meanwhile.
#[derive(Debug, Default)]
struct Settled {
    wanted: Vec<Authority>,
    shown: Option<Vec<u8>>,
    since: Option<Instant>,
}

impl Settled {
    fn since(&mut self, wanted: Vec<Authority>, shown: Option<Vec<u8>>, whole: bool) -> Option<Instant> {
        if !whole || self.wanted != wanted || self.shown != shown {
            (self.wanted, self.shown, self.since) = (wanted, shown, None);
        }
        if whole {
            self.since.get_or_insert_with(Instant::now);
        }
        self.since
    }
}

/// Waits for a change; for ever where nobody is there to bring one.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn step_word(step: &Step) -> &'static str {
    match step {
        Step::Nothing(_) => "nothing",
        Step::Create => "create",
        Step::Replace(_) => "replace everything",
        Step::Issue(_) => "a new certificate",
        Step::Prepare(_) => "the next authority, to be trusted first",
        Step::Promote => "the next authority signs now",
        Step::Prune => "an authority whose last certificate has expired is gone",
        Step::Restore => "what was missing",
        Step::Trim => "what was too much",
    }
}
