//! The admin port: is it alive, is it ready, and what has it counted.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode, Uri};
use axum::routing::get;

use super::metrics::{self, Metrics};
use super::ready::Ready;
use super::reply;

/// What the routes show.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Readiness.
    pub ready: Ready,
    /// Metrics.
    pub metrics: Arc<Metrics>,
}

/// `GET /livez`, `/readyz` (with `?verbose` every check by name) and `/metrics`.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(show))
        .method_not_allowed_fallback(wrong_method)
        .fallback(not_found)
        .with_state(admin)
}

/// Alive is whoever can say so; what is wrong outside is not mended by a restart.
async fn live() -> Response<Body> {
    reply::text(StatusCode::OK, "ok\n".to_owned())
}

async fn ready(State(admin): State<Admin>, uri: Uri) -> Response<Body> {
    let reasons = admin.ready.reasons();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verbose = uri.query().unwrap_or_default().split('&').any(|pair| pair == "verbose" || pair.starts_with("verbose="));
    let mut text = if verbose { admin.ready.verbose() } else { String::new() };
    match (reasons.is_empty(), verbose) {
        (true, true) => text.push_str("readyz check passed\n"),
        (true, false) => text.push_str("ok\n"),
        (false, true) => text.push_str("readyz check failed\n"),
        (false, false) => text = reasons.join("\n") + "\n",
    }
    reply::text(status, text)
}

async fn show(State(admin): State<Admin>) -> Response<Body> {
    reply::metrics(metrics::CONTENT_TYPE, admin.metrics.text())
}

async fn not_found(uri: Uri) -> Response<Body> {
    reply::error(StatusCode::NOT_FOUND, "nothing is here, look at /livez, /readyz or /metrics", uri.path())
}

async fn wrong_method(uri: Uri) -> Response<Body> {
    reply::error(StatusCode::METHOD_NOT_ALLOWED, "use GET", uri.path())
}
