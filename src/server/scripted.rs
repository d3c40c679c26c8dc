//! An API server that answers what a test wants.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{Request, Response};
use serde_json::{Value, json};
use tower_service::Service;

/// A status and a body.
pub type Said = (u16, String);

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// As in `PATCH /api/v1/...`.
    pub line: String,
    /// Null where there is none.
    pub body: Value,
}

type Script = dyn FnMut(&Asked) -> Said + Send;

/// Answers by a script, and keeps what was asked.
#[derive(Clone)]
pub struct Scripted {
    script: Arc<Mutex<Script>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    /// Answers what the script says.
    pub fn by(script: impl FnMut(&Asked) -> Said + Send + 'static) -> Scripted {
        Scripted { script: Arc::new(Mutex::new(script)), asked: Arc::default() }
    }

    /// Gives answers in their order, the last one for ever.
    pub fn of(answers: Vec<Said>) -> Scripted {
        let mut answers = VecDeque::from(answers);
        Scripted::by(move |_| if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.unwrap())
    }

    /// A client of it.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    /// What was asked until now.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Service<Request<kube::client::Body>> for Scripted {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let (script, asked) = (Arc::clone(&self.script), Arc::clone(&self.asked));
        Box::pin(async move {
            let line = format!("{} {}", request.method(), request.uri());
            let bytes = request.into_body().collect_bytes().await.unwrap();
            let asking = Asked { line, body: serde_json::from_slice(&bytes).unwrap_or_default() };
            let (status, text) = script.lock().unwrap_or_else(PoisonError::into_inner)(&asking);
            asked.lock().unwrap_or_else(PoisonError::into_inner).push(asking);
            Ok(Response::builder().status(status).body(Body::from(text)).unwrap())
        })
    }
}

/// A list of objects, of this version.
pub fn list(kind: &str, items: &[Value], version: u32) -> Said {
    let list = json!({"apiVersion": "v1", "kind": kind, "metadata": {"resourceVersion": version.to_string()}, "items": items});
    (200, list.to_string())
}

/// The API server says no.
pub fn failure(status: u16) -> Said {
    (status, json!({"kind": "Status", "status": "Failure", "code": status, "message": "so it is", "reason": "x"}).to_string())
}
