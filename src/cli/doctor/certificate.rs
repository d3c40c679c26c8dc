//! The certificate: which one is served, is it valid, does the registration's bundle verify it.

use std::time::Duration;

use serde_json::Value;

use super::findings::Findings;
use super::registration::Webhook;
use crate::cli::cluster::{Cluster, bytes, encoded};
use crate::cli::source::Fault;
use crate::server::identity::shown::{Shown, look};
use crate::server::identity::target::Target;
use crate::server::identity::trust::{Authority, Distrust};
use crate::server::identity::unix_now;

/// To see who is at an address.
const PATIENCE: Duration = Duration::from_secs(3);

/// A certificate that ends within this many seconds should have been renewed.
const SOON: i64 = 7 * 24 * 3600;

const ABOUT: &str = "certificate";

/// What to do about any certificate.
const RENEW: &str = "renew it: with --certs managed restart Podgraft and see its log, with cert-manager see `kubectl describe certificate`, \
                     else put a new pair in place (certs/README.md)";

/// Where one was seen, and which.
type Seen = (Shown, String);

/// Looks at the certificates of webhooks; those at one place are seen once.
///
/// # Errors
/// Nobody answers.
pub(super) fn examine<'w>(cluster: &Cluster, webhooks: impl Iterator<Item = &'w Webhook>, findings: &mut Findings) -> Result<(), Fault> {
    let mut places: Vec<(&Target, Result<Vec<Seen>, String>)> = Vec::new();
    for webhook in webhooks {
        if !places.iter().any(|(target, _)| **target == webhook.target) {
            places.push((&webhook.target, seen(cluster, &webhook.target)?));
        }
        for (_, seen) in places.iter().filter(|(target, _)| **target == webhook.target) {
            judge(webhook, seen, unix_now(), findings);
        }
    }
    Ok(())
}

/// Says what is wrong with the certificate of a webhook. Where there are several of which one may be served, the best counts.
fn judge(webhook: &Webhook, seen: &Result<Vec<Seen>, String>, now: i64, findings: &mut Findings) {
    let Webhook { target, bundle, name, configuration, .. } = webhook;
    let asked = target.server_name();
    let authorities = Authority::all_in(bundle);
    let good = |(shown, _): &&Seen| shown.valid_at(now) && shown.trusted_by(&authorities, &asked, now).is_ok();
    let (shown, where_from) = match seen.as_ref().map(|seen| seen.iter().find(good).or_else(|| seen.first())) {
        Ok(Some(seen)) => seen,
        other => {
            let why = other.err().map_or("nothing is there", String::as_str);
            findings.unknown(
                ABOUT,
                format!("which one webhook {name} is served with cannot be seen from here: {why}"),
                "run the doctor where the Service can be reached (in the cluster), or with the right to read Podgraft's Secret; the dry-run Pod \
                 below shows what the API server says of it",
            );
            return;
        }
    };
    let before = findings.problems();
    if now > shown.not_after {
        findings.problem(ABOUT, format!("the one of webhook {name} {where_from} expired at {}", shown.until), RENEW);
    } else if now < shown.not_before {
        findings.problem(ABOUT, format!("the one of webhook {name} {where_from} is not valid yet"), "set the clocks right, or renew it");
    } else if shown.not_after - now < SOON.min((shown.not_after - shown.not_before) / 10) {
        findings.warning(ABOUT, format!("the one of webhook {name} {where_from} expires at {}", shown.until), RENEW);
    }
    // Kubernetes, WebhookClientConfig: "If unspecified, system trust roots on the apiserver are used."
    if bundle.is_empty() && matches!(target, Target::Url { .. }) {
        findings.unknown(
            ABOUT,
            format!("webhook {name} in {configuration} has no caBundle: whether the roots of the API server's own system verify what is served cannot be seen from here"),
            "see what the dry-run Pod below shows, or put the authority's certificate into caBundle",
        );
        return;
    }
    match shown.trusted_by(&authorities, &asked, now) {
        Ok(()) => {}
        Err(Distrust::Empty) if authorities.is_empty() => findings.problem(
            ABOUT,
            format!("the caBundle of webhook {name} in {configuration} holds no certificate: the API server does not trust what is served"),
            "with --certs managed see Podgraft's log (may it patch its registration?), with cert-manager the log of its cainjector, else put \
             the authority's certificate into caBundle",
        ),
        Err(Distrust::Name(_)) => findings.problem(
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
}

/// The certificates that may be the one that is served, and where they were seen, or why there is none.
fn seen(cluster: &Cluster, target: &Target) -> Result<Result<Vec<Seen>, String>, Fault> {
    let name = target.server_name();
    let (namespace, service, port) = match target {
        Target::Url { host, port } => {
            let seen = cluster.wait(look(host, *port, &name, PATIENCE));
            return Ok(seen.map(|shown| vec![(shown, format!("at {host}:{port}"))]).map_err(|why| format!("{host}:{port}: {why}")));
        }
        Target::Service { namespace, name, port } => (namespace, name, *port),
    };
    let answer = cluster.get(&format!("/api/v1/namespaces/{namespace}/services/{service}"))?;
    if answer.status == 404 {
        return Ok(Err(format!("there is no Service {namespace}/{service}")));
    }
    let host = answer.value()["spec"]["clusterIP"].as_str().filter(|ip| *ip != "None").map_or_else(|| name.clone(), str::to_owned);
    let why = match cluster.wait(look(&host, port, &name, PATIENCE)) {
        Ok(shown) => return Ok(Ok(vec![(shown, format!("at the Service {namespace}/{service}"))])),
        Err(why) => why,
    };
    // From a laptop a Service cannot be reached. What is in a Secret is what is served, or will be, or was once.
    let query = format!("fieldSelector={}", encoded("type=kubernetes.io/tls"));
    let secrets = cluster.get(&format!("/api/v1/namespaces/{namespace}/secrets?{query}"))?;
    let list: Value = secrets.value();
    let mut found = Vec::new();
    for secret in list["items"].as_array().into_iter().flatten() {
        let Some(shown) = Shown::from_pem(&bytes(&secret["data"]["tls.crt"])) else { continue };
        if shown.names.contains(&name) {
            let secret = secret["metadata"]["name"].as_str().unwrap_or_default();
            found.push((shown, format!("in the Secret {namespace}/{secret}")));
        }
    }
    if !found.is_empty() {
        return Ok(Ok(found));
    }
    let secrets = if secrets.is_fine() { format!("no Secret of {namespace} has one for {name}") } else { secrets.message() };
    Ok(Err(format!("{host}:{port}: {why}; {secrets}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::ReportOutput;
    use crate::selector::Selector;
    use crate::server::identity::make;

    const NOW: i64 = 1_800_000_000;
    const DAY: i64 = 86_400;
    const NAME: &str = "podgraft.grafting.svc";

    fn webhook(target: Target, bundle: &str) -> Webhook {
        let any = || Selector { requirements: Vec::new() };
        Webhook {
            configuration: "MutatingWebhookConfiguration podgraft".to_owned(),
            name: "pods.podgraft.dev".to_owned(),
            target,
            bundle: bundle.as_bytes().to_vec(),
            failure_policy: "Ignore".to_owned(),
            timeout: Duration::from_secs(5),
            namespaces: any(),
            objects: any(),
        }
    }

    fn service() -> Target {
        Target::Service { namespace: "grafting".to_owned(), name: "podgraft".to_owned(), port: 443 }
    }

    fn leaf(authority: &make::Made) -> Shown {
        let leaf = make::leaf(&authority.certificate, &authority.key, &[NAME.to_owned()], NOW, DAY).unwrap();
        Shown::from_pem(leaf.certificate.as_bytes()).unwrap()
    }

    fn said(webhook: &Webhook, seen: &[&Shown], now: i64) -> String {
        let mut findings = Findings::default();
        let seen = seen.iter().enumerate().map(|(at, shown)| ((*shown).clone(), format!("in the Secret {at}"))).collect();
        judge(webhook, &Ok(seen), now, &mut findings);
        findings.written(ReportOutput::Text)
    }

    #[test]
    fn an_old_secret_beside_the_one_that_is_verified_is_no_problem() {
        let (old, new) = (make::authority(NOW, 10 * DAY).unwrap(), make::authority(NOW, 10 * DAY).unwrap());
        let (before, served) = (leaf(&old), leaf(&new));
        let webhook = webhook(service(), &new.certificate);
        let fine = said(&webhook, &[&before, &served], NOW);
        assert!(fine.starts_with("fine     certificate: the one of webhook pods.podgraft.dev in the Secret 1 is verified"), "{fine}");
        let wrong = said(&webhook, &[&before], NOW);
        assert!(wrong.contains("does not verify the one that is served: none of its authorities signed"), "{wrong}");
    }

    #[test]
    fn a_bundle_whose_authority_has_expired_is_no_good_and_none_is_another_matter() {
        let authority = make::authority(NOW, DAY).unwrap();
        let shown = leaf(&authority);
        let later = NOW + 2 * DAY;
        let expired = said(&webhook(service(), &authority.certificate), &[&shown], later);
        assert!(expired.contains("expired at") && expired.contains("holds no authority that is valid now"), "{expired}");
        let none = said(&webhook(service(), ""), &[&shown], NOW);
        assert!(none.starts_with("PROBLEM") && none.contains("holds no certificate"), "{none}");
        let url = Target::Url { host: NAME.to_owned(), port: 443 };
        let system = said(&webhook(url, ""), &[&shown], NOW);
        assert!(system.starts_with("unknown") && system.contains("do: see what the dry-run Pod below shows"), "{system}");
    }
}
