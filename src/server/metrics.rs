//! Every metric, in one registry that is handed from room to room. All names start with `podgraft_`, all label values are of closed sets
//! (but preset names, of which at most [`MOST_PRESETS`] are shown), and no value of a Pod or preset is ever one.

mod words;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use prometheus_client::metrics::counter::Counter;
pub use words::{Ending, EventEnd, HandshakeFailure, Reload, State, Verdict};

use crate::conflict::{Conflict, ConflictKind, ConflictPolicy};

/// Presets that get a series of their own in `podgraft_preset_applied_total`; the others share the label `other`.
pub const MOST_PRESETS: usize = 1000;

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Seconds: 0.1 ms to 25 s, from 5 ms on those of kube-apiserver's own webhook metrics.
const DURATION_BUCKETS: [f64; 15] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 25.0];

/// Bytes of a patch.
const PATCH_BUCKETS: [f64; 8] = [256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 2_097_152.0];

/// Reasons of `podgraft_skipped_total`, as spec section 3 names them.
const SKIPS: [&str; 8] = ["NotPodCreate", "NoObject", "ExemptNamespace", "MirrorPod", "Excluded", "NoMatch", "SelfCheck", "TooLarge"];

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// The registry and a handle to every metric in it.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reviews: Vec<Counter>,
    validations: Vec<Counter>,
    /// Time from the last byte of the body to the answer.
    pub review_duration: Histogram,
    /// Reviews being worked on.
    pub in_flight: Gauge,
    skipped: Vec<Counter>,
    conflicts: Vec<Counter>,
    applied: Family<[(&'static str, String); 1], Counter>,
    applied_known: Mutex<HashMap<String, Counter>>,
    /// Answers that the self-check held back.
    pub self_check_failures: Counter,
    /// Size of patches that were sent.
    pub patch_bytes: Histogram,
    presets: Family<Labels<2>, Gauge>,
    reloads: Family<Labels<2>, Counter>,
    store_age: Family<Labels<1>, Gauge<f64, AtomicU64>>,
    store_seen: Mutex<HashMap<&'static str, Instant>>,
    not_after: Family<Labels<1>, Gauge<i64, AtomicI64>>,
    trusted: Family<Labels<0>, Gauge>,
    /// Connections to the webhook.
    pub connections: Gauge,
    handshakes: Vec<Counter>,
    events: Vec<Counter>,
    /// Panics that were caught.
    pub panics: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    /// A registry with everything in it, all at zero.
    #[must_use]
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("podgraft");
        let mut put = Put(&mut registry);
        let (_, reviews) = put.counters("reviews", "Reviews by how they ended", "outcome", Ending::ALL.iter().map(|ending| ending.word()));
        let verdicts = Verdict::ALL.iter().map(|verdict| verdict.word());
        let (_, validations) = put.counters("validations", "Reviews of presets by how they ended", "outcome", verdicts);
        let (_, skipped) = put.counters("skipped", "Reviews that no preset was asked for, or whose patch was held back", "reason", SKIPS);
        let (_, handshakes) = put.counters(
            "handshake_failures",
            "TLS handshakes that came to nothing",
            "reason",
            HandshakeFailure::ALL.iter().map(|reason| reason.word()),
        );
        let (_, events) =
            put.counters("events", "Events about presets, by what became of them", "result", EventEnd::ALL.iter().map(|end| end.word()));
        let conflicts: Family<Labels<2>, Counter> = Family::default();
        put.family("conflicts", "Conflicts by the policy of the preset and the kind of place", &conflicts);
        let conflicts = ConflictPolicy::ALL
            .iter()
            .flat_map(|policy| ConflictKind::ALL.iter().map(move |kind| [("policy", policy.word()), ("kind", kind.word())]))
            .map(|labels| conflicts.get_or_create(&labels).clone())
            .collect();
        let (applied, presets, reloads, store_age, not_after, trusted) =
            (Family::default(), Family::default(), Family::default(), Family::default(), Family::default(), Family::default());
        put.family("preset_applied", "Pods that a preset was applied to, by preset", &applied);
        put.family("presets", "Presets by store and state", &presets);
        put.family("reloads", "Times that something changed and was read again", &reloads);
        put.family("store_age_seconds", "Time since a store was last known to be up to date", &store_age);
        put.family("certificate_not_after_timestamp_seconds", "When a certificate expires, as Unix time", &not_after);
        put.family(
            "certificate_trusted",
            "Whether every caBundle of the registration verifies the certificate; absent where that is not known",
            &trusted,
        );
        let build: Family<[(&'static str, &'static str); 1], Gauge> = Family::default();
        put.family("build_info", "Always 1, with the version", &build);
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        let metrics = Metrics {
            review_duration: put.one(
                "review_duration_seconds",
                "Time from the last byte of a review to its answer",
                Histogram::new(DURATION_BUCKETS),
            ),
            in_flight: put.one("reviews_in_flight", "Reviews being worked on", Gauge::default()),
            self_check_failures: put.one("self_check_failures", "Answers that the self-check held back", Counter::default()),
            patch_bytes: put.one("patch_bytes", "Size of the patches sent, before base64", Histogram::new(PATCH_BUCKETS)),
            connections: put.one("connections", "Connections to the webhook", Gauge::default()),
            panics: put.one("panics", "Panics that were caught", Counter::default()),
            reviews,
            validations,
            skipped,
            conflicts,
            applied,
            applied_known: Mutex::default(),
            presets,
            reloads,
            store_age,
            store_seen: Mutex::default(),
            not_after,
            trusted,
            handshakes,
            events,
            registry,
        };
        for what in Reload::ALL {
            for result in ["ok", "error"] {
                let _ = metrics.reloads.get_or_create(&[("what", what.word()), ("result", result)]);
            }
        }
        metrics
    }

    /// Counts a review of presets.
    pub fn validated(&self, verdict: Verdict) {
        count(&self.validations, Verdict::ALL.iter().position(|one| *one == verdict));
    }

    /// Counts a review.
    pub fn review(&self, ending: Ending) {
        count(&self.reviews, Ending::ALL.iter().position(|one| *one == ending));
    }

    /// Counts a reason to skip; a word that is no reason counts nowhere.
    pub fn skipped(&self, reason: &str) {
        count(&self.skipped, SKIPS.iter().position(|one| *one == reason));
    }

    /// Counts a conflict.
    pub fn conflict(&self, conflict: &Conflict) {
        let policy = ConflictPolicy::ALL.iter().position(|policy| *policy == conflict.policy);
        let kind = ConflictKind::ALL.iter().position(|kind| *kind == conflict.kind);
        count(&self.conflicts, policy.zip(kind).map(|(policy, kind)| policy * ConflictKind::ALL.len() + kind));
    }

    /// Counts a handshake that came to nothing.
    pub fn handshake_failed(&self, reason: HandshakeFailure) {
        count(&self.handshakes, HandshakeFailure::ALL.iter().position(|one| *one == reason));
    }

    /// Counts an Event, or a change to one.
    pub fn event(&self, end: EventEnd) {
        count(&self.events, EventEnd::ALL.iter().position(|one| *one == end));
    }

    /// The counter of a preset, by [`crate::preset::Preset::qualified`]; past [`MOST_PRESETS`] of them that of `other`.
    #[must_use]
    pub fn applied(&self, preset: &str) -> Counter {
        let mut known = self.applied_known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = known.get(preset) {
            return counter.clone();
        }
        let name = if known.len() < MOST_PRESETS { preset } else { "other" };
        let counter = self.applied.get_or_create(&[("preset", name.to_owned())]).clone();
        if name == preset {
            known.insert(name.to_owned(), counter.clone());
        }
        counter
    }

    /// Sets how many presets of a store are in a state.
    pub fn presets(&self, store: &'static str, state: State, number: usize) {
        self.presets.get_or_create(&[("store", store), ("state", state.word())]).set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// Counts a reload.
    pub fn reloaded(&self, what: Reload, fine: bool) {
        self.reloads.get_or_create(&[("what", what.word()), ("result", if fine { "ok" } else { "error" })]).inc();
    }

    /// Notes that a store is up to date now.
    pub fn store_is_fresh(&self, store: &'static str) {
        self.store_seen.lock().unwrap_or_else(PoisonError::into_inner).insert(store, Instant::now());
    }

    /// Notes when the serving certificate expires.
    pub fn serving_not_after(&self, unix: i64) {
        self.not_after.get_or_create(&[("certificate", "serving")]).set(unix);
    }

    /// Notes when the authority of the serving certificate expires, where that is known.
    pub fn authority_not_after(&self, unix: Option<i64>) {
        if let Some(unix) = unix {
            self.not_after.get_or_create(&[("certificate", "ca")]).set(unix);
        }
    }

    /// Notes whether the registration's bundles verify the serving certificate, where that is known.
    pub fn trusted(&self, trusted: Option<bool>) {
        match trusted {
            Some(trusted) => {
                self.trusted.get_or_create(&[]).set(i64::from(trusted));
            }
            None => self.trusted.clear(),
        }
    }

    /// Everything, in the Prometheus text format 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        for (store, seen) in self.store_seen.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            self.store_age.get_or_create(&[("store", *store)]).set(seen.elapsed().as_secs_f64());
        }
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        text
    }

    /// Notes the time that a review took.
    pub fn took(&self, time: Duration) {
        self.review_duration.observe(time.as_secs_f64());
    }
}

/// A gauge that is one higher while this lives.
#[derive(Debug)]
pub struct Raised(Gauge);

impl Raised {
    /// Raises the gauge.
    #[must_use]
    pub fn new(gauge: &Gauge) -> Raised {
        gauge.inc();
        Raised(gauge.clone())
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn count(counters: &[Counter], index: Option<usize>) {
    if let Some(counter) = index.and_then(|index| counters.get(index)) {
        counter.inc();
    }
}

struct Put<'r>(&'r mut Registry);

impl Put<'_> {
    fn one<M: prometheus_client::registry::Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    fn family<L, M>(&mut self, name: &str, help: &str, family: &Family<L, M>)
    where
        Family<L, M>: prometheus_client::registry::Metric + Clone,
    {
        self.0.register(name, help, family.clone());
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        words: impl IntoIterator<Item = &'static str>,
    ) -> (Family<Labels<1>, Counter>, Vec<Counter>) {
        let family: Family<Labels<1>, Counter> = Family::default();
        self.family(name, help, &family);
        let counters = words.into_iter().map(|word| family.get_or_create(&[(label, word)]).clone()).collect();
        (family, counters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conflict::Holder;

    #[test]
    fn all_series_of_closed_sets_are_there_from_the_start() {
        let text = Metrics::new().text();
        for series in [
            "podgraft_reviews_total{outcome=\"mutated\"} 0",
            "podgraft_reviews_total{outcome=\"shed\"} 0",
            "podgraft_skipped_total{reason=\"TooLarge\"} 0",
            "podgraft_conflicts_total{policy=\"Reject\",kind=\"envFrom\"} 0",
            "podgraft_reloads_total{what=\"certificate\",result=\"error\"} 0",
            "podgraft_handshake_failures_total{reason=\"timeout\"} 0",
            "podgraft_panics_total 0",
            "podgraft_self_check_failures_total 0",
            "podgraft_reviews_in_flight 0",
            "podgraft_connections 0",
            "podgraft_review_duration_seconds_bucket{le=\"0.0001\"} 0",
            "podgraft_review_duration_seconds_bucket{le=\"25\"} 0",
            "podgraft_patch_bytes_count 0",
            concat!("podgraft_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|line| line == series), "{series}\n{text}");
        }
    }

    #[test]
    fn what_is_counted_shows_under_its_own_label() {
        let metrics = Metrics::new();
        metrics.review(Ending::Rejected);
        metrics.skipped("MirrorPod");
        metrics.skipped("a word of a Pod");
        metrics.handshake_failed(HandshakeFailure::Closed);
        metrics.reloaded(Reload::Presets, true);
        metrics.presets("directory", State::Stale, 3);
        metrics.store_is_fresh("directory");
        metrics.serving_not_after(1_700_000_000);
        for policy in ConflictPolicy::ALL {
            for kind in ConflictKind::ALL {
                let conflict =
                    Conflict { preset: "x".into(), path: "/".into(), holder: Holder::Pod, kind, policy, replaced: false, shadow: false };
                metrics.conflict(&conflict);
            }
        }
        let text = metrics.text();
        for series in [
            "podgraft_reviews_total{outcome=\"rejected\"} 1",
            "podgraft_skipped_total{reason=\"MirrorPod\"} 1",
            "podgraft_handshake_failures_total{reason=\"closed\"} 1",
            "podgraft_reloads_total{what=\"presets\",result=\"ok\"} 1",
            "podgraft_presets{store=\"directory\",state=\"stale\"} 3",
            "podgraft_certificate_not_after_timestamp_seconds{certificate=\"serving\"} 1700000000",
        ] {
            assert!(text.lines().any(|line| line == series), "{series}\n{text}");
        }
        assert_eq!(text.lines().filter(|line| line.starts_with("podgraft_conflicts_total{") && line.ends_with(" 1")).count(), 50);
        assert!(text.contains("podgraft_store_age_seconds{store=\"directory\"} 0."));
        assert!(!text.contains("a word of a Pod"));
    }

    #[test]
    fn presets_past_the_thousandth_share_a_series() {
        let metrics = Metrics::new();
        for number in 0..MOST_PRESETS + 10 {
            metrics.applied(&format!("clusterpodpreset-{number}")).inc();
        }
        let text = metrics.text();
        assert!(text.contains("podgraft_preset_applied_total{preset=\"other\"} 10\n"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("podgraft_preset_applied_total{")).count(), MOST_PRESETS + 1);
        metrics.applied("clusterpodpreset-7").inc();
        assert!(metrics.text().contains("{preset=\"clusterpodpreset-7\"} 2\n"));
    }
}
