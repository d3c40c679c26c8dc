//! Answers over HTTP. Errors are JSON: `{"error": sentence, "at": place}`, without trace, version or redirect.

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// 200 with an AdmissionReview.
#[must_use]
pub fn review(json: String) -> Response<Body> {
    of(StatusCode::OK, JSON, json)
}

/// Plain text, for the admin port.
#[must_use]
pub fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = of(status, TEXT, text);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        come_back(&mut response);
    }
    response
}

/// The metrics.
#[must_use]
pub fn metrics(content_type: &'static str, text: String) -> Response<Body> {
    of(StatusCode::OK, HeaderValue::from_static(content_type), text)
}

/// What is wrong, in a sentence, and where: a JSON path, `byte N`, a header's name, a path.
#[must_use]
pub fn error(status: StatusCode, error: &str, at: &str) -> Response<Body> {
    of(status, JSON, serde_json::json!({ "error": error, "at": at }).to_string())
}

/// 408 and 413: the rest of the request will not be read, so the connection ends with the answer.
#[must_use]
pub fn error_and_close(status: StatusCode, text: &str, at: &str) -> Response<Body> {
    let mut response = error(status, text, at);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// "Busy, late or not ready", 503. With an integer `Retry-After` kube-apiserver's client tries again within the webhook's timeout, and
/// without the connection on another replica (client-go: `rest/with_retry.go`).
#[must_use]
pub fn unavailable(sentence: &str, at: &str) -> Response<Body> {
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, sentence, at);
    come_back(&mut response);
    response
}

/// 500: a fault of ours.
#[must_use]
pub fn fault(sentence: &str) -> Response<Body> {
    error(StatusCode::INTERNAL_SERVER_ERROR, sentence, "podgraft")
}

fn come_back(response: &mut Response<Body>) {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

fn of(status: StatusCode, content_type: HeaderValue, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
