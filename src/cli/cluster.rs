//! The cluster as the person at the command line may see it: their kubeconfig, their rights.
//!
//! Objects are asked for by path and stay text: what the API server says of a Pod or a preset is read by the same readers as a file.

pub mod namespaces;
pub mod presets;
pub mod sample;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hyper::Request;
use k8s_openapi::ByteString;
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tokio::runtime::{self, Runtime};

use super::source::Fault;
use crate::server::cluster::connect_as;

/// For one answer; a dry run waits for every webhook that is asked about it, and those may take 30 s in all.
const ANSWER: Duration = Duration::from_secs(40);

/// Objects that one answer of a list has.
const PAGE: usize = 500;

/// Which cluster, as kubectl has these flags.
#[derive(Args, Clone, Debug)]
pub struct ClusterArgs {
    /// With a cluster: the kubeconfig file [default: KUBECONFIG, ~/.kube/config, in a Pod its service account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// With a cluster: the context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// With a cluster: Podgraft's own namespace [default: the one of its registration, where that can be read, else podgraft]
    #[arg(long, value_name = "NAME", env = "PODGRAFT_NAMESPACE", hide_env_values = true)]
    pub podgraft_namespace: Option<String>,
}

/// Whether to ask a cluster at all, and which.
#[derive(Args, Clone, Debug)]
pub struct LiveArgs {
    /// Take presets and namespaces' labels from the cluster, as far as you may read them, and none from --presets
    #[arg(long)]
    pub from_cluster: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub cluster: ClusterArgs,
}

/// A connection to the API server.
pub struct Cluster {
    runtime: Runtime,
    client: Client,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Cluster")
    }
}

/// What the API server said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The object, or a `Status`.
    pub text: String,
    /// The texts of `Warning` headers.
    pub warnings: Vec<String>,
}

impl Answer {
    /// Whether the answer is what was asked for.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The object.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Why there is none, in the API server's words.
    #[must_use]
    pub fn message(&self) -> String {
        let value = self.value();
        let words = value["message"].as_str().filter(|message| !message.is_empty()).or_else(|| value["reason"].as_str());
        words.map_or_else(|| format!("the API server answers {}", self.status), str::to_owned)
    }
}

/// All objects of a list, or why they cannot be read.
#[derive(Debug)]
pub enum Listed {
    /// The text of each page.
    Pages(Vec<String>),
    /// The API server knows no such kind.
    NoSuchKind,
    /// It says no: its words.
    Refused(String),
}

impl Cluster {
    /// Makes a connection. Whether anybody answers shows the first request.
    ///
    /// # Errors
    /// There is no kubeconfig, or it cannot be used.
    pub fn connect(args: &ClusterArgs) -> Result<Cluster, Fault> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| Fault::Cluster(error.to_string()))?;
        let client = runtime.block_on(connect_as(args.kubeconfig.as_deref(), args.context.as_deref()));
        Ok(Cluster { client: client.map_err(|error| Fault::Cluster(error.to_string()))?, runtime })
    }

    /// The namespace of the context, `default` where it names none.
    #[must_use]
    pub fn default_namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// Runs something that waits.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Asks for what is at a path.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn get(&self, path: &str) -> Result<Answer, Fault> {
        self.ask(Request::get(path).body(Body::empty()))
    }

    /// Sends an object.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn post(&self, path: &str, object: &str) -> Result<Answer, Fault> {
        self.ask(Request::post(path).header("Content-Type", "application/json").body(Body::from(object.as_bytes().to_vec())))
    }

    /// Asks for all objects at a path, page by page. `query` is what follows the `?`, or empty.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn list(&self, path: &str, query: &str) -> Result<Listed, Fault> {
        let mut pages = Vec::new();
        let mut from = String::new();
        loop {
            let rest = if query.is_empty() { String::new() } else { format!("&{query}") };
            let answer = self.get(&format!("{path}?limit={PAGE}{from}{rest}"))?;
            match answer.status {
                200 => {}
                404 => return Ok(Listed::NoSuchKind),
                // The list changed for so long that its beginning is gone: from the start.
                410 if !from.is_empty() => {
                    pages.clear();
                    from.clear();
                    continue;
                }
                _ => return Ok(Listed::Refused(answer.message())),
            }
            let next = answer.value()["metadata"]["continue"].as_str().map(encoded).filter(|token| !token.is_empty());
            pages.push(answer.text);
            match next {
                Some(token) => from = format!("&continue={token}"),
                None => return Ok(Listed::Pages(pages)),
            }
        }
    }

    fn ask(&self, request: Result<Request<Body>, hyper::http::Error>) -> Result<Answer, Fault> {
        let request = request.map_err(|error| Fault::Cluster(format!("that cannot be asked for: {error}")))?;
        let no_answer = |error: &dyn std::fmt::Display| Fault::Cluster(format!("the cluster does not answer: {error}"));
        let work = async {
            let response = self.client.send(request).await?;
            let (head, body) = response.into_parts();
            let bytes = body.collect_bytes().await?;
            Ok::<_, kube::Error>((head, bytes))
        };
        let answered = self.runtime.block_on(async { tokio::time::timeout(ANSWER, work).await });
        let (head, bytes) = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(no_answer(&crate::server::cluster::said(&error))),
            Err(_) => return Err(no_answer(&format!("it took longer than {} s", ANSWER.as_secs()))),
        };
        let warnings = head.headers.get_all("Warning").iter().filter_map(|line| line.to_str().ok()).map(warning).collect();
        Ok(Answer { status: head.status.as_u16(), text: String::from_utf8_lossy(&bytes).into_owned(), warnings })
    }
}

/// What an object has as base64: of Secrets, and bundles.
#[must_use]
pub fn bytes(value: &Value) -> Vec<u8> {
    serde_json::from_value::<ByteString>(value.clone()).map(|bytes| bytes.0).unwrap_or_default()
}

/// A text as a value in a query.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The text of `299 - "text"`, in which quotes are escaped (RFC 7234, 5.5).
fn warning(header: &str) -> String {
    let quoted = header.splitn(3, ' ').nth(2).unwrap_or(header);
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(quoted);
    inner.replace("\\\"", "\"").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_headers_and_queries() {
        assert_eq!(encoded("podgraft.dev/presets=true"), "podgraft.dev%2Fpresets%3Dtrue");
        assert_eq!(warning(r#"299 - "unknown field \"spec.x\"""#), "unknown field \"spec.x\"");
        assert_eq!(warning("odd"), "odd");
    }

    #[test]
    fn a_refusal_is_said_in_the_servers_words() {
        let answer = |text: &str| Answer { status: 403, text: text.to_owned(), warnings: Vec::new() };
        assert_eq!(answer(r#"{"message":"you may not"}"#).message(), "you may not");
        assert_eq!(answer(r#"{"message":"","reason":"Forbidden"}"#).message(), "Forbidden");
        assert_eq!(answer("<html>").message(), "the API server answers 403");
    }
}
