//! The proxy between a person and the API server, chosen as kubectl chooses it: the one that the kubeconfig names for the cluster, else that of
//! the environment, which `NO_PROXY` keeps from some servers, and which none on this machine is behind.
//!
//! kube asks whether `NO_PROXY` names the proxy itself, not the API server (kube-client 5.0.0, config/file_loader.rs), so it is asked again here.

use std::net::IpAddr;

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::Config;

/// Sets the proxy of a person's connection.
pub(super) fn choose(config: &mut Config) {
    let first = |names: [&str; 2]| names.into_iter().filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty());
    let (proxy, spared) = (first(["HTTPS_PROXY", "https_proxy"]), first(["NO_PROXY", "no_proxy"]));
    config.proxy_url = chosen(config.proxy_url.take(), &config.cluster_url, proxy.as_deref(), spared.as_deref().unwrap_or_default());
}

/// `found`: what kube has found, in the kubeconfig or in the environment.
fn chosen(found: Option<Uri>, server: &Uri, proxy: Option<&str>, spared: &str) -> Option<Uri> {
    let stated: Option<Uri> = proxy.and_then(|proxy| proxy.parse().ok());
    if found.is_some() && found != stated {
        return found;
    }
    // Written without a scheme, it is an HTTP proxy.
    let proxy = if stated.as_ref()?.scheme().is_some() { stated } else { format!("http://{}", proxy?).parse().ok() };
    proxy.filter(|_| !is_here(server) && is_behind_one(server, spared))
}

fn is_here(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_behind_one(server: &Uri, spared: &str) -> bool {
    Matcher::builder().all("http://any").no(spared).build().intercept(server).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn the_kubeconfigs_proxy_wins_and_no_proxy_is_about_the_server() {
        const PROXY: &str = "http://proxy.corp.example:3128";
        let of = |server: &str, spared: &str| chosen(Some(uri(PROXY)), &uri(server), Some(PROXY), spared);
        assert_eq!(of("https://api.example:6443", ""), Some(uri(PROXY)));
        assert_eq!(of("https://api.example:6443", "other.example"), Some(uri(PROXY)));
        for spared in ["api.example", ".example", "*", "x, api.example"] {
            assert_eq!(of("https://api.example:6443", spared), None, "{spared}");
        }
        assert_eq!(of("https://10.1.2.3:6443", "10.0.0.0/8"), None);
        for here in ["https://127.0.0.1:6443", "https://[::1]:6443", "https://localhost:6443"] {
            assert_eq!(of(here, ""), None, "{here}");
        }
        // NO_PROXY names the proxy: kube went past it.
        assert_eq!(chosen(None, &uri("https://api.example"), Some(PROXY), ".corp.example"), Some(uri(PROXY)));
        // The kubeconfig's own is for all.
        assert_eq!(chosen(Some(uri("socks5://own:1080")), &uri("https://api.example"), Some(PROXY), "*"), Some(uri("socks5://own:1080")));
        assert_eq!(chosen(None, &uri("https://api.example"), None, ""), None);
        assert_eq!(chosen(Some(uri("proxy:3128")), &uri("https://api.example"), Some("proxy:3128"), ""), Some(uri("http://proxy:3128")));
    }

    #[tokio::test]
    async fn a_client_goes_through_a_proxy() {
        for proxy in ["http://proxy.example:3128", "https://proxy.example:3128", "socks5://proxy.example:1080"] {
            let mut config = Config::new(uri("https://api.example:6443"));
            config.proxy_url = Some(uri(proxy));
            super::super::client(config).unwrap_or_else(|error| panic!("{proxy}: {error}"));
        }
    }
}
