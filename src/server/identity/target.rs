//! Where the API server calls a webhook, as its registration says.

/// Where the API server calls a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
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
    /// The name that the API server expects in the certificate (apiserver, pkg/util/webhook/client.go).
    #[must_use]
    pub fn server_name(&self) -> String {
        match self {
            Target::Url { host, .. } => host.clone(),
            Target::Service { namespace, name, .. } => format!("{name}.{namespace}.svc"),
        }
    }

    /// Of a `clientConfig`'s URL, or its Service: namespace, name, port. `None` where it says nothing that can be called.
    #[must_use]
    pub fn of(url: Option<&str>, service: Option<(&str, &str, Option<i64>)>) -> Option<Target> {
        if let Some(url) = url {
            let rest = url.strip_prefix("https://")?.split(['/', '?']).next()?;
            let (host, port) = match rest.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
                _ => (rest, 443),
            };
            return Some(Target::Url { host: host.trim_matches(['[', ']']).to_owned(), port });
        }
        let (namespace, name, port) = service?;
        let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
        Some(Target::Service { namespace: namespace.to_owned(), name: name.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_at_which_webhooks_are_called() {
        let url = |url: &str| Target::of(Some(url), None);
        let at = |host: &str, port| Some(Target::Url { host: host.to_owned(), port });
        assert_eq!(url("https://127.0.0.1:8443/mutate"), at("127.0.0.1", 8443));
        assert_eq!(url("https://hooks.example/mutate?x=1"), at("hooks.example", 443));
        assert_eq!(url("https://[::1]:9443/"), at("::1", 9443));
        assert_eq!(url("https://[::1]/"), at("::1", 443));
        assert_eq!(url("https://podgraft.example?x"), at("podgraft.example", 443));
        assert_eq!((url("http://x"), Target::of(None, None)), (None, None));
        let service = Target::of(None, Some(("p", "podgraft", None))).unwrap();
        assert_eq!(service.server_name(), "podgraft.p.svc");
        assert_eq!(service, Target::Service { namespace: "p".into(), name: "podgraft".into(), port: 443 });
    }
}
