//! What hyper hands requests to: the router, with what concerns every answer of a connection.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use axum::body::Body;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, Response, Version};
use hyper::body::Incoming;
use tower_service::Service;

use super::clock::Clock;
use crate::server::metrics::Counter;
use crate::server::reply;
use crate::server::shutdown::Departure;

/// One for each connection.
#[derive(Clone, Debug)]
pub struct Door {
    router: axum::Router,
    departure: Departure,
    panics: Counter,
    clock: Arc<Clock>,
}

impl Door {
    /// Of a connection that begins now.
    #[must_use]
    pub fn new(router: axum::Router, departure: Departure, panics: Counter) -> Door {
        Door { router, departure, panics, clock: Arc::new(Clock::new()) }
    }

    pub(super) fn clock(&self) -> Arc<Clock> {
        Arc::clone(&self.clock)
    }

    pub(super) fn departure(&self) -> Departure {
        self.departure.clone()
    }
}

/// Ends the request on the clock, also if it is dropped half way.
struct Begun(Arc<Clock>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl hyper::service::Service<Request<Incoming>> for Door {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.clock.begin();
        let begun = Begun(Arc::clone(&self.clock));
        let (mut router, leaving, panics) = (self.router.clone(), self.departure.leaving(), self.panics.clone());
        let http1 = request.version() <= Version::HTTP_11;
        Box::pin(async move {
            let mut response = caught(router.call(request.map(Body::new)), &panics).await;
            if http1 && leaving.is_so() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            drop(begun);
            Ok(response)
        })
    }
}

/// A panic on the way to an answer is a 500, for this request only.
async fn caught(answer: impl Future<Output = Result<Response<Body>, Infallible>>, panics: &Counter) -> Response<Body> {
    let mut answer = pin!(answer);
    let polled = std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
        Ok(Poll::Ready(Ok(response))) => Poll::Ready(Some(response)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(None),
    });
    polled.await.unwrap_or_else(|| {
        panics.inc();
        reply::fault("a fault of podgraft, see its log")
    })
}
