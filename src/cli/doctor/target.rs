//! Where the API server calls a webhook, as its registration says.

use serde_json::Value;

/// Where the API server calls a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// At a URL's host and port.
    Url {
        /// The host's name or address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// At a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
    },
}

impl Target {
    /// The name that the API server expects in the certificate.
    pub(super) fn server_name(&self) -> String {
        match self {
            Target::Url { host, .. } => host.clone(),
            Target::Service { namespace, name, .. } => format!("{name}.{namespace}.svc"),
        }
    }

    /// Of a `clientConfig`; `None` where it says nothing that can be called.
    pub(super) fn of(client: &Value) -> Option<Target> {
        let port = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
        if let Some(url) = client["url"].as_str() {
            let rest = url.strip_prefix("https://")?.split(['/', '?']).next()?;
            let (host, port) = match rest.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
                _ => (rest, 443),
            };
            return Some(Target::Url { host: host.trim_matches(['[', ']']).to_owned(), port });
        }
        let text = |key: &str| client["service"][key].as_str().map(str::to_owned);
        Some(Target::Service { namespace: text("namespace")?, name: text("name")?, port: port(&client["service"]["port"]) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_at_which_webhooks_are_called() {
        let url = |url: &str| Target::of(&json!({"url": url}));
        let at = |host: &str, port| Some(Target::Url { host: host.to_owned(), port });
        assert_eq!(url("https://127.0.0.1:8443/mutate"), at("127.0.0.1", 8443));
        assert_eq!(url("https://hooks.example/mutate?x=1"), at("hooks.example", 443));
        assert_eq!(url("https://[::1]:9443/"), at("::1", 9443));
        assert_eq!(url("https://[::1]/"), at("::1", 443));
        assert_eq!(url("http://x"), None);
        let service = Target::of(&json!({"service": {"namespace": "p", "name": "podgraft", "path": "/mutate"}})).unwrap();
        assert_eq!(service.server_name(), "podgraft.p.svc");
        assert_eq!(service, Target::Service { namespace: "p".into(), name: "podgraft".into(), port: 443 });
    }
}
