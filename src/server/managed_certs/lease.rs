//! Whose turn it is to write: a Lease that a replica holds while it writes, and gives back. Nobody waits for it in order to serve.
//!
//! A holder that died does not give it back: whoever wants it takes it when it has seen no change of it for as long as it says it lasts, by a
//! clock of its own that only goes forward (as client-go's leader election does).

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;

use crate::server::cluster::{Failure, answered};
use crate::server::identity::unix_now;

/// How long it is held at most. Whoever holds it stops writing before that.
const LASTS: Duration = Duration::from_secs(15);

/// What a holder's clock may be off by, in seconds: what it makes is valid from an hour before.
const CLOCK: i64 = 1800;

/// Takes turns.
#[derive(Debug)]
pub struct Turns {
    api: Api<Lease>,
    name: String,
    me: String,
    /// The version of a Lease of somebody else's, and when it was first seen.
    seen: Option<(String, Instant)>,
}

/// A turn: until it is given back, or its time is over.
#[derive(Debug)]
pub struct Turn {
    lease: Lease,
    since: Instant,
}

impl Turn {
    /// Whether there is time enough for another write, and the clock is still right: it may have been set meanwhile.
    #[must_use]
    pub fn lasts(&self) -> bool {
        self.lasts_at(unix_now())
    }

    fn lasts_at(&self, now: i64) -> bool {
        self.since.elapsed() < LASTS / 2 && on_time(&self.lease.metadata, now).is_ok()
    }
}

impl Turns {
    /// Turns by the Lease of this name; `me` is nobody else's name.
    #[must_use]
    pub fn new(api: Api<Lease>, name: String, me: String) -> Turns {
        Turns { api, name, me, seen: None }
    }

    /// Takes a turn; `None` where it is somebody else's.
    ///
    /// # Errors
    /// The API server cannot be asked or says no, or this machine's clock is wrong.
    pub async fn take(&mut self) -> Result<Option<Turn>, Failure> {
        let since = Instant::now();
        let Some(mut lease) = answered(self.api.get_opt(&self.name)).await? else {
            let spec = Some(self.held(None));
            let lease = Lease { metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() }, spec };
            return self.won(answered(self.api.create(&PostParams::default(), &lease)).await, since).await;
        };
        if !self.free(&lease, since) {
            return Ok(None);
        }
        lease.spec = Some(self.held(lease.spec.as_ref()));
        self.won(answered(self.api.replace(&self.name, &PostParams::default(), &lease)).await, since).await
    }

    /// A turn, where the Lease was written and the clock is right. Else somebody else is to have it.
    async fn won(&self, written: Result<Lease, Failure>, since: Instant) -> Result<Option<Turn>, Failure> {
        let lease = match written {
            Ok(lease) => lease,
            // Somebody else was faster.
            Err(failure) if failure.status() == Some(409) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let (clock, turn) = (on_time(&lease.metadata, unix_now()), Turn { lease, since });
        if let Err(off) = clock {
            self.give_back(turn).await;
            return Err(off);
        }
        Ok(Some(turn))
    }

    /// Gives it back. Where that comes to nothing, its time will be over.
    pub async fn give_back(&self, turn: Turn) {
        let mut lease = turn.lease;
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
        }
        if let Err(error) = answered(self.api.replace(&self.name, &PostParams::default(), &lease)).await {
            tracing::debug!(%error, "the Lease was not given back");
        }
    }

    /// Whether a Lease may be taken.
    fn free(&mut self, lease: &Lease, now: Instant) -> bool {
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        if holder.is_empty() || holder == self.me {
            self.seen = None;
            return true;
        }
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let lasts = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
        let lasts = lasts.map_or(LASTS, Duration::from_secs);
        match &self.seen {
            Some((seen, at)) if *seen == version => now.duration_since(*at) > lasts,
            _ => {
                self.seen = Some((version, now));
                false
            }
        }
    }

    fn held(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(LASTS.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(before.and_then(|spec| spec.lease_transitions).unwrap_or(0).saturating_add(1)),
            ..LeaseSpec::default()
        }
    }
}

/// Whether our clock goes as the API server's does, which noted just now when this was written.
///
/// # Errors
/// It does not.
pub fn on_time(written: &ObjectMeta, now: i64) -> Result<(), Failure> {
    let noted = written.managed_fields.iter().flatten().filter_map(|entry| entry.time.as_ref());
    let off = noted.map(|time| time.0.as_second()).max().map_or(0, |noted| now - noted);
    if off.abs() <= CLOCK {
        return Ok(());
    }
    Err(Failure::Unreachable(format!("this machine's clock is {off} s off the API server's: what it made would not be valid for others")))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};

    use std::pin::Pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll};

    use axum::http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};
    use tower_service::Service;

    use super::*;

    fn turns() -> Turns {
        let nobody = kube::Config::new("https://127.0.0.1:1".parse().unwrap());
        Turns::new(Api::namespaced(kube::Client::try_from(nobody).unwrap(), "x"), "podgraft".to_owned(), "me".to_owned())
    }

    fn lease(holder: Option<&str>, version: &str) -> Lease {
        let metadata = ObjectMeta { resource_version: Some(version.to_owned()), ..ObjectMeta::default() };
        let spec = LeaseSpec { holder_identity: holder.map(str::to_owned), lease_duration_seconds: Some(15), ..LeaseSpec::default() };
        Lease { metadata, spec: Some(spec) }
    }

    #[tokio::test]
    async fn a_lease_is_free_when_given_back_or_its_time_is_over() {
        let mut turns = turns();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(
            turns.free(&lease(None, "1"), at(0)) && turns.free(&lease(Some(""), "1"), at(0)) && turns.free(&lease(Some("me"), "1"), at(0))
        );
        assert!(!turns.free(&lease(Some("other"), "2"), at(0)));
        assert!(!turns.free(&lease(Some("other"), "2"), at(15)));
        assert!(!turns.free(&lease(Some("other"), "3"), at(16)), "it lives");
        assert!(!turns.free(&lease(Some("other"), "3"), at(31)));
        assert!(turns.free(&lease(Some("other"), "3"), at(32)));
    }

    #[test]
    fn a_clock_that_is_off_writes_nothing() {
        let mut lease = lease(Some("me"), "1");
        let fine = |lease: &Lease, now| on_time(&lease.metadata, now).is_ok();
        assert!(fine(&lease, 5_000_000), "not known");
        lease.metadata.managed_fields = Some(vec![noted(1_000_000), noted(4_999_000)]);
        assert!(fine(&lease, 5_000_000));
        let said = on_time(&lease.metadata, 5_086_400).unwrap_err().to_string();
        assert!(said.contains("clock is 87400 s off"), "{said}");
        assert!(!fine(&lease, 4_900_000));
        // Also one that was right when the turn began.
        let turn = Turn { lease, since: Instant::now() };
        assert!(turn.lasts_at(5_000_000) && !turn.lasts_at(5_086_400) && !turn.lasts_at(4_900_000));
    }

    fn noted(unix: i64) -> ManagedFieldsEntry {
        ManagedFieldsEntry { time: Some(Time(Timestamp::from_second(unix).unwrap())), ..ManagedFieldsEntry::default() }
    }

    /// An API server in another time: it has no Lease, takes whatever it is given, and keeps what that was.
    #[derive(Clone, Default)]
    struct Elsewhen(Arc<Mutex<Vec<(String, Value)>>>);

    impl Service<Request<Body>> for Elsewhen {
        type Response = Response<axum::body::Body>;
        type Error = axum::Error;
        type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            let kept = Arc::clone(&self.0);
            Box::pin(async move {
                let (parts, body) = request.into_parts();
                let answer = |status, value: &Value| Ok(Response::builder().status(status).body(value.to_string().into()).unwrap());
                if parts.method == "GET" {
                    return answer(404, &json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "none"}));
                }
                let body = axum::body::to_bytes(axum::body::Body::new(body), 1 << 20).await?;
                let mut written: Value = serde_json::from_slice(&body).unwrap();
                kept.lock().unwrap().push((parts.method.to_string(), written.clone()));
                written["metadata"]["managedFields"] = serde_json::to_value([noted(1_000_000)]).unwrap();
                answer(200, &written)
            })
        }
    }

    #[tokio::test]
    async fn whose_clock_is_off_gives_the_lease_back() {
        let server = Elsewhen::default();
        let client = kube::Client::new(server.clone(), "x");
        let mut turns = Turns::new(Api::namespaced(client, "x"), "podgraft".to_owned(), "me".to_owned());
        let said = turns.take().await.unwrap_err().to_string();
        assert!(said.contains("clock is"), "{said}");
        let written = server.0.lock().unwrap().clone();
        let holders: Vec<(&str, &Value)> =
            written.iter().map(|(method, lease)| (method.as_str(), &lease["spec"]["holderIdentity"])).collect();
        assert_eq!(holders, [("POST", &json!("me")), ("PUT", &Value::Null)]);
    }
}
