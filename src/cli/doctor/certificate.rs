//! The certificate: which one is served, is it valid, does the registration's bundle verify it.

use std::time::Duration;

use serde_json::Value;

use super::findings::Findings;
use super::registration::{Target, Webhook};
use crate::cli::cluster::{Cluster, bytes, encoded};
use crate::cli::source::Fault;
use crate::server::identity::shown::{Mistrust, Shown, look};
use crate::server::identity::unix_now;

/// To see who is at an address.
const PATIENCE: Duration = Duration::from_secs(3);

/// A certificate that ends within this many seconds should have been renewed.
const SOON: i64 = 7 * 24 * 3600;

const ABOUT: &str = "certificate";

/// What to do about any certificate.
const RENEW: &str = "renew it: with --certs managed restart Podgraft and see its log, with cert-manager see `kubectl describe certificate`, \
                     else put a new pair in place (certs/README.md)";

/// Looks at the certificate of a webhook.
///
/// # Errors
/// Nobody answers.
pub(super) fn examine(cluster: &Cluster, webhook: &Webhook, findings: &mut Findings) -> Result<(), Fault> {
    let Webhook { target, bundle, name, configuration, .. } = webhook;
    let asked = target.server_name();
    let (shown, where_from) = match seen(cluster, target)? {
        Ok(seen) => seen,
        Err(why) => {
            findings.unknown(
                ABOUT,
                format!("which one webhook {name} is served with cannot be seen from here: {why}"),
                "run the doctor where the Service can be reached (in the cluster), or with the right to read Podgraft's Secret; the dry-run Pod \
                 below shows what the API server says of it",
            );
            return Ok(());
        }
    };
    let now = unix_now();
    let before = findings.problems();
    if now > shown.not_after {
        findings.problem(ABOUT, format!("the one of webhook {name} {where_from} expired at {}", shown.until), RENEW);
    } else if now < shown.not_before {
        findings.problem(ABOUT, format!("the one of webhook {name} {where_from} is not valid yet"), "set the clocks right, or renew it");
    } else if shown.not_after - now < SOON.min((shown.not_after - shown.not_before) / 10) {
        findings.warning(ABOUT, format!("the one of webhook {name} {where_from} expires at {}", shown.until), RENEW);
    }
    // Whether it is the right one is asked of a time at which it is valid.
    let time = now.clamp(shown.not_before, shown.not_after);
    match shown.trusted_by(bundle, &asked, time) {
        Ok(()) => {}
        Err(Mistrust::Empty) => findings.problem(
            ABOUT,
            format!("the caBundle of webhook {name} in {configuration} is empty: the API server does not trust what is served"),
            "with --certs managed see Podgraft's log (may it patch its registration?), with cert-manager the log of its cainjector, else put \
             the authority's certificate into caBundle",
        ),
        Err(Mistrust::Name(_)) => findings.problem(
            ABOUT,
            format!("the one of webhook {name} {where_from} is for {}, and the API server asks for {asked}", shown.names.join(", ")),
            "make one for that name (--service, --namespace; dnsNames of the cert-manager Certificate)",
        ),
        Err(why) => findings.problem(
            ABOUT,
            format!("the caBundle of webhook {name} in {configuration} does not verify the one that is served: {why}"),
            "put the right authority into caBundle: with --certs managed Podgraft does (see its log), with cert-manager the annotation \
             cert-manager.io/inject-ca-from",
        ),
    }
    if findings.problems() == before {
        findings.fine(ABOUT, format!("the one of webhook {name} {where_from} is verified by the registration, until {}", shown.until));
    }
    Ok(())
}

/// The certificate and where it was seen, or why not.
fn seen(cluster: &Cluster, target: &Target) -> Result<Result<(Shown, String), String>, Fault> {
    let name = target.server_name();
    let (namespace, service, port) = match target {
        Target::Url { host, port } => {
            let seen = cluster.wait(look(host, *port, &name, PATIENCE));
            return Ok(seen.map(|shown| (shown, format!("at {host}:{port}"))).map_err(|why| format!("{host}:{port}: {why}")));
        }
        Target::Service { namespace, name, port } => (namespace, name, *port),
    };
    let answer = cluster.get(&format!("/api/v1/namespaces/{namespace}/services/{service}"))?;
    if answer.status == 404 {
        return Ok(Err(format!("there is no Service {namespace}/{service}")));
    }
    let host = answer.value()["spec"]["clusterIP"].as_str().filter(|ip| *ip != "None").map_or_else(|| name.clone(), str::to_owned);
    let why = match cluster.wait(look(&host, port, &name, PATIENCE)) {
        Ok(shown) => return Ok(Ok((shown, format!("at the Service {namespace}/{service}")))),
        Err(why) => why,
    };
    // From a laptop a Service cannot be reached. What is in the Secret is what is served, or will be.
    let query = format!("fieldSelector={}", encoded("type=kubernetes.io/tls"));
    let secrets = cluster.get(&format!("/api/v1/namespaces/{namespace}/secrets?{query}"))?;
    let list: Value = secrets.value();
    for secret in list["items"].as_array().into_iter().flatten() {
        let Some(shown) = Shown::from_pem(&bytes(&secret["data"]["tls.crt"])) else { continue };
        if shown.names.contains(&name) {
            let secret = secret["metadata"]["name"].as_str().unwrap_or_default();
            return Ok(Ok((shown, format!("in the Secret {namespace}/{secret}"))));
        }
    }
    let secrets = if secrets.is_fine() { format!("no Secret of {namespace} has one for {name}") } else { secrets.message() };
    Ok(Err(format!("{host}:{port}: {why}; {secrets}")))
}
