//! The API server asked directly, for what is asked too often for a kubectl each time.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::Body;
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// One user's view of the API.
#[derive(Clone)]
pub struct Api {
    agent: Agent,
    base: String,
    token: String,
}

/// What the API server said.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub warnings: Vec<String>,
    /// Names the request in the audit log.
    pub audit: String,
}

impl Answer {
    /// The object; the test fails where there is none.
    pub fn object(self, what: &str) -> Value {
        assert!((200..300).contains(&self.status), "{what}: {} {}", self.status, self.message());
        self.body
    }

    pub fn taken(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What went wrong, in the API server's words.
    pub fn message(&self) -> String {
        self.body["message"].as_str().map_or_else(|| self.body.to_string(), str::to_owned)
    }
}

impl Api {
    pub fn new(base: &str, token: &str, authority: &str) -> Api {
        let root = Certificate::from_pem(authority.as_bytes()).unwrap();
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root])).build();
        let config =
            Agent::config_builder().tls_config(tls).http_status_as_error(false).timeout_global(Some(Duration::from_secs(60))).build();
        Api { agent: config.into(), base: base.to_owned(), token: token.to_owned() }
    }

    pub fn get(&self, path: &str) -> Result<Answer, String> {
        let sent = self.agent.get(self.url(path)).header("Authorization", self.bearer()).call();
        answer(path, sent)
    }

    /// The text at a path, as `/metrics` has it.
    pub fn text(&self, path: &str) -> Result<String, String> {
        let sent = self.agent.get(self.url(path)).header("Authorization", self.bearer()).call();
        text_of(sent.map_err(|error| format!("{path}: {error}"))?)
    }

    /// A watch: what comes, line by line, for as long as the API server goes on.
    pub fn watch(&self, path: &str) -> Result<impl Iterator<Item = String> + use<>, String> {
        let request = self.agent.get(self.url(path)).header("Authorization", self.bearer());
        let answer = request.config().timeout_global(None).build().call().map_err(|error| format!("{path}: {error}"))?;
        Ok(BufReader::new(answer.into_body().into_reader()).lines().map_while(Result::ok))
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, &body.to_string())
    }

    /// For numbers that no `Value` holds.
    pub fn post_text(&self, path: &str, body: &str) -> Answer {
        let request = self.agent.post(self.url(path)).header("Authorization", self.bearer()).header("Content-Type", "application/json");
        answer(path, request.send(body)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// `kind`: `merge`, `strategic-merge`, `json` or `apply`.
    pub fn patch(&self, path: &str, kind: &str, body: &Value) -> Answer {
        let format = if kind == "apply" { "apply-patch+yaml" } else { &format!("{kind}-patch+json") };
        let content = format!("application/{format}");
        let request = self.agent.patch(self.url(path)).header("Authorization", self.bearer()).header("Content-Type", content);
        answer(path, request.send(body.to_string())).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn delete(&self, path: &str) -> Result<Answer, String> {
        answer(path, self.agent.delete(self.url(path)).header("Authorization", self.bearer()).call())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

fn answer(path: &str, sent: Result<Response<Body>, ureq::Error>) -> Result<Answer, String> {
    let response = sent.map_err(|error| format!("{path}: {error}"))?;
    let status = response.status().as_u16();
    let warnings = response.headers().get_all("Warning").iter().filter_map(|line| line.to_str().ok()).map(warning).collect();
    let audit = response.headers().get("Audit-Id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let text = text_of(response)?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Answer { status, body, warnings, audit })
}

fn text_of(mut response: Response<Body>) -> Result<String, String> {
    response.body_mut().with_config().limit(64 << 20).read_to_string().map_err(|error| error.to_string())
}

/// `299 - "text"`, with quotes escaped.
fn warning(header: &str) -> String {
    let quoted = header.splitn(3, ' ').nth(2).unwrap_or(header);
    quoted.trim_matches('"').replace("\\\"", "\"").replace("\\\\", "\\")
}
