//! A webhook of a test's own: an HTTPS server whose answers a closure gives.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerConfig;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;

use super::Trouble;
use super::authority::{Authority, Leaf};

/// It ends with the value.
pub struct Endpoint {
    pub address: SocketAddr,
    _runtime: Runtime,
}

/// Gives status and body of the answer to a path and a body.
pub type Reply = dyn Fn(&str, &str) -> (u16, String) + Send + Sync;

impl Endpoint {
    pub fn start(authority: &Authority, reply: Arc<Reply>) -> Result<Endpoint, Trouble> {
        Endpoint::with(&authority.leaf(&[])?, reply)
    }

    /// With a certificate that was made elsewhere.
    pub fn with(leaf: &Leaf, reply: Arc<Reply>) -> Result<Endpoint, Trouble> {
        let chain = vec![CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).map_err(|error| error.to_string())?];
        let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).map_err(|error| error.to_string())?;
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| error.to_string())?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(|error| error.to_string())?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, reply) = (acceptor.clone(), Arc::clone(&reply));
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    // What a caller does not take, it sees itself.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let service = service_fn(|request| answer(request, Arc::clone(&reply)));
                        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                    }
                });
            }
        });
        Ok(Endpoint { address, _runtime: runtime })
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }
}

async fn answer(request: Request<Incoming>, reply: Arc<Reply>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let (status, text) = reply(&path, &String::from_utf8_lossy(&body));
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert("Content-Type", HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The answer of a webhook that patches a Pod: `patch` gives the operations.
pub fn patching(patch: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Arc<Reply> {
    use base64::Engine;
    Arc::new(move |_, body| {
        let review: Value = serde_json::from_str(body).unwrap_or_default();
        let operations = patch(&review["request"]["object"]);
        let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
        if operations.as_array().is_some_and(|operations| !operations.is_empty()) {
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(base64::engine::general_purpose::STANDARD.encode(operations.to_string()));
        }
        (200, json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}).to_string())
    })
}
