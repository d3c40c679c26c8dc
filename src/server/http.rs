//! The webhook's routes, and what is asked of a request before anybody reads its body.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use axum::routing::post;

use super::body::{self, BodyError, Held, Room};
use super::config::Limits;
use super::metrics::{Ending, Metrics, Raised, Verdict};
use super::reply;
use super::reviewer::Reviewer;
use super::units;
use super::validate::Validator;
use crate::admit::Refusal;

/// Bodies up to this size are answered on the thread that read them. Larger ones take milliseconds, and go to threads of their own, so that
/// small reviews need not wait behind them; these threads also give back their memory when they have nothing to do.
const INLINE: usize = body::SMALL;

/// What the routes need.
#[derive(Debug)]
pub struct Webhook {
    reviewer: Arc<Reviewer>,
    validator: Arc<Validator>,
    metrics: Arc<Metrics>,
    limits: Limits,
    room: Room,
    in_flight: Arc<AtomicUsize>,
}

impl Webhook {
    /// Answers reviews within these limits.
    #[must_use]
    pub fn new(reviewer: Reviewer, validator: Validator, metrics: Arc<Metrics>, limits: Limits) -> Webhook {
        let room = Room::new(limits.memory);
        Webhook { reviewer: Arc::new(reviewer), validator: Arc::new(validator), metrics, limits, room, in_flight: Arc::default() }
    }
}

/// `POST /mutate` and `POST /validate`. Anything else is a 404 or 405, never a redirect.
pub fn router(webhook: Webhook) -> Router {
    Router::new()
        .route("/mutate", post(mutate))
        .route("/validate", post(validate))
        .method_not_allowed_fallback(wrong_method)
        .fallback(not_found)
        .with_state(Arc::new(webhook))
}

async fn mutate(State(webhook): State<Arc<Webhook>>, request: Request) -> Response<Body> {
    let Received { body, at, limit, slot } = match receive(&webhook, request).await {
        Ok(received) => received,
        Err(Unreceived { response, shed }) => {
            webhook.metrics.review(if shed { Ending::Shed } else { Ending::Error });
            return response;
        }
    };
    if body.len() <= INLINE {
        return webhook.reviewer.review(&body, at, limit);
    }
    let reviewer = Arc::clone(&webhook.reviewer);
    let work = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        reviewer.review(&body, at, limit)
    });
    match tokio::time::timeout_at((at + limit).into(), work).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => reply::fault("a fault of podgraft, see its log"),
        // The thread counts it when it comes to it.
        Err(_) => reply::unavailable(&super::reviewer::late(limit), "podgraft"),
    }
}

async fn validate(State(webhook): State<Arc<Webhook>>, request: Request) -> Response<Body> {
    let Received { body, at, limit, slot } = match receive(&webhook, request).await {
        Ok(received) => received,
        Err(Unreceived { response, shed }) => {
            webhook.metrics.validated(if shed { Verdict::Shed } else { Verdict::Error });
            return response;
        }
    };
    // It is taken as long as anybody works on the review: this task, or a thread that nobody waits for any more.
    let slot = Arc::new(slot);
    let validator = Arc::clone(&webhook.validator);
    let judged = if body.len() <= INLINE {
        validator.judge(&body)
    } else {
        let (judge, taken) = (Arc::clone(&validator), Arc::clone(&slot));
        let work = tokio::task::spawn_blocking(move || {
            let _taken = taken;
            judge.judge(&body)
        });
        match tokio::time::timeout_at((at + limit).into(), work).await {
            Ok(Ok(judged)) => judged,
            Ok(Err(_)) => Err(Refusal::Fault("a fault of podgraft, see its log".to_owned())),
            Err(_) => Err(Refusal::NotReady(super::reviewer::late(limit))),
        }
    };
    validator.answer(judged, at, limit).await
}

/// A review whose body is there.
struct Received {
    body: Bytes,
    /// When it was there.
    at: Instant,
    /// For the answer, from then on.
    limit: Duration,
    slot: Slot,
}

/// Why there is none.
struct Unreceived {
    response: Response<Body>,
    /// Too many at once, or too large ones.
    shed: bool,
}

/// Takes a request as far as its body.
async fn receive(webhook: &Webhook, request: Request) -> Result<Received, Unreceived> {
    let Limits { body_bytes, body: time, review, .. } = webhook.limits;
    let failed = |response| Unreceived { response, shed: false };
    if let Some(response) = unacceptable(&request, body_bytes) {
        return Err(failed(response));
    }
    let shed = |text| Unreceived { response: reply::unavailable(text, "podgraft"), shed: true };
    let Some(mut slot) = Slot::take(webhook) else {
        return Err(shed("too many reviews at once, try again"));
    };
    let limit = timeout_of(request.uri()).map_or(review, |timeout| timeout.min(review));
    let length = content_length(request.headers());
    let read = body::read(request.into_body(), length, body_bytes, &webhook.room);
    match tokio::time::timeout(time, read).await {
        Ok(Ok((body, held))) => {
            slot.held = held;
            Ok(Received { body, at: Instant::now(), limit, slot })
        }
        Ok(Err(BodyError::TooLarge)) => Err(failed(too_large(body_bytes))),
        Ok(Err(BodyError::TooWide)) => {
            let text = "the body has more values than there is memory for";
            Err(failed(reply::error_and_close(StatusCode::PAYLOAD_TOO_LARGE, text, "the body")))
        }
        Ok(Err(BodyError::Crowded)) => Err(shed("too many large reviews at once, try again")),
        Ok(Err(BodyError::Broken)) => {
            Err(failed(reply::error_and_close(StatusCode::BAD_REQUEST, "the body ends before its end", "the body")))
        }
        Err(_) => Err(failed(reply::error_and_close(StatusCode::REQUEST_TIMEOUT, "the request's body did not come in time", "the body"))),
    }
}

/// The answer that can be given from the header alone.
fn unacceptable(request: &Request, most: usize) -> Option<Response<Body>> {
    let headers = request.headers();
    if !is_json(headers) {
        let text = "send an AdmissionReview with Content-Type: application/json";
        return Some(reply::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, text, "header Content-Type"));
    }
    if headers.contains_key(CONTENT_ENCODING) {
        let text = "send the AdmissionReview as it is, without Content-Encoding";
        return Some(reply::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, text, "header Content-Encoding"));
    }
    content_length(headers).is_some_and(|length| length > most).then(|| too_large(most))
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(one), None) = (types.next(), types.next()) else { return false };
    let essence = one.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// hyper has refused a length that is no number. One that is too long for this machine is as long as can be.
fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok().map(|length| length.parse().unwrap_or(usize::MAX))
}

fn too_large(most: usize) -> Response<Body> {
    let text = format!("the body is larger than {most} bytes");
    reply::error_and_close(StatusCode::PAYLOAD_TOO_LARGE, &text, "the body")
}

/// kube-apiserver says in `?timeout=10s` how long it will wait. Other parameters, and a value that is none, mean nothing.
fn timeout_of(uri: &Uri) -> Option<Duration> {
    let values = uri.query()?.split('&').filter_map(|pair| pair.strip_prefix("timeout="));
    values.filter_map(|value| units::duration(value).ok()).find(|timeout| !timeout.is_zero())
}

async fn not_found(uri: Uri) -> Response<Body> {
    reply::error(StatusCode::NOT_FOUND, "nothing is here, reviews of Pods go to /mutate, those of presets to /validate", uri.path())
}

async fn wrong_method(uri: Uri) -> Response<Body> {
    reply::error(StatusCode::METHOD_NOT_ALLOWED, "use POST", uri.path())
}

/// One of the reviews that are worked on at once.
struct Slot {
    in_flight: Arc<AtomicUsize>,
    _shown: Raised,
    held: Held,
}

impl Slot {
    fn take(webhook: &Webhook) -> Option<Slot> {
        let in_flight = Arc::clone(&webhook.in_flight);
        if in_flight.fetch_add(1, Ordering::Relaxed) >= webhook.limits.reviews {
            in_flight.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Slot { in_flight, _shown: Raised::new(&webhook.metrics.in_flight), held: Held::default() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_timeout_is_read_from_the_query() {
        for (uri, expected) in [
            ("/mutate?timeout=10s", Some(10_000)),
            ("/mutate?timeout=500ms", Some(500)),
            ("/mutate?dry=1&timeout=2s&x=y", Some(2000)),
            ("/mutate?timeout=0s", None),
            ("/mutate?timeout=", None),
            ("/mutate?timeout=soon", None),
            ("/mutate?nottimeout=1s", None),
            ("/mutate", None),
        ] {
            assert_eq!(timeout_of(&uri.parse().unwrap()), expected.map(Duration::from_millis), "{uri}");
        }
    }

    #[test]
    fn only_plain_json_is_read() {
        let request = |headers: &[(&str, &str)]| {
            let mut request = axum::http::Request::post("/mutate");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            request.body(Body::empty()).unwrap()
        };
        let json = ("content-type", "application/json");
        for (headers, status) in [
            (&[json][..], None),
            (&[("content-type", "Application/JSON; charset=utf-8")], None),
            (&[], Some(415)),
            (&[("content-type", "text/plain")], Some(415)),
            (&[("content-type", "application/json-patch+json")], Some(415)),
            (&[json, json], Some(415)),
            (&[json, ("content-encoding", "gzip")], Some(415)),
            (&[json, ("content-encoding", "identity")], Some(415)),
            (&[json, ("content-length", "100")], None),
            (&[json, ("content-length", "101")], Some(413)),
            (&[json, ("content-length", "99999999999999999999999")], Some(413)),
        ] {
            let response = unacceptable(&request(headers), 100);
            assert_eq!(response.map(|response| response.status().as_u16()), status, "{headers:?}");
        }
    }
}
