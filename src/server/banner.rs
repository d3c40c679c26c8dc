//! What a person sees who starts `serve` on a laptop: the presets it holds, where it listens, and a command that shows it at work.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::config::{Certificate, Config};
use crate::admit::{self, Outcome, Scratch, World};
use crate::preset::{Preset, PresetSet, Scope};
use crate::selector::{Requirement, Selector};

/// Presets that are listed.
const MOST_LISTED: usize = 40;

/// The whole banner.
#[must_use]
pub fn text(presets: &PresetSet, config: &Config, webhook: SocketAddr, admin: SocketAddr) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write_banner(&mut text, presets, config, reachable(webhook), reachable(admin));
    text
}

fn write_banner(
    text: &mut String,
    presets: &PresetSet,
    config: &Config,
    webhook: SocketAddr,
    admin: SocketAddr,
) -> Result<(), std::fmt::Error> {
    let all = presets.presets();
    let directories: Vec<String> = config.directories.iter().map(|path| path.display().to_string()).collect();
    let directories = directories.join(", ");
    writeln!(text, "podgraft {} holds {} from {directories}", env!("CARGO_PKG_VERSION"), counted(all.len()))?;
    if !all.is_empty() {
        let rows: Vec<[String; 4]> = all.iter().take(MOST_LISTED).map(|preset| row(preset)).collect();
        let head = ["PRESET", "PRIORITY", "MODE", "PODS"].map(str::to_owned);
        let width = |column: usize| {
            rows.iter().chain([&head]).filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths = [width(0), width(1), width(2)];
        text.push('\n');
        for [preset, priority, mode, pods] in std::iter::once(&head).chain(&rows) {
            writeln!(text, "  {preset:0$}  {priority:1$}  {mode:2$}  {pods}", widths[0], widths[1], widths[2])?;
        }
        if all.len() > MOST_LISTED {
            writeln!(text, "  ... and {} more", all.len() - MOST_LISTED)?;
        }
    }
    let certificate = match &config.certificate {
        Certificate::Ephemeral => "certificate in memory",
        Certificate::Files { .. } => "certificate from files",
        Certificate::Secret { .. } => "certificate from a Secret",
        Certificate::Managed { .. } => "certificate kept by Podgraft itself",
    };
    writeln!(text, "\nwebhook  https://{webhook}/mutate  ({certificate})")?;
    writeln!(text, "admin    http://{admin}/readyz  /livez  /metrics")?;
    writeln!(text, "\nTry it from another terminal:\n")?;
    writeln!(text, "curl -sk -w '\\n' https://{webhook}/mutate -H 'Content-Type: application/json' --data-binary @- <<'EOF'")?;
    writeln!(text, "{}\nEOF\n", sample(all.iter().map(AsRef::as_ref), presets, config))
}

fn counted(number: usize) -> String {
    match number {
        0 => "no presets".to_owned(),
        1 => "1 preset".to_owned(),
        _ => format!("{number} presets"),
    }
}

fn row(preset: &Preset) -> [String; 4] {
    let spec = preset.spec();
    let mut pods = match &spec.selector {
        selector if selector.requirements.is_empty() => "all".to_owned(),
        selector => terms(selector),
    };
    match (&spec.key.scope, &spec.namespace_selector) {
        (Scope::Cluster, Some(selector)) if !selector.requirements.is_empty() => {
            pods.push_str(&format!(" in namespaces {}", terms(selector)));
        }
        _ => {}
    }
    let mode = if preset.is_shadow() { "Shadow" } else { "Enforce" };
    [spec.key.to_string(), spec.priority.to_string(), mode.to_owned(), pods]
}

fn terms(selector: &Selector) -> String {
    let terms: Vec<String> = selector.requirements.iter().map(ToString::to_string).collect();
    terms.join(",")
}

/// Wildcards are reached over loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// An AdmissionReview whose Pod one of the presets changes, if there is such a preset.
fn sample<'p>(candidates: impl Iterator<Item = &'p Preset>, presets: &PresetSet, config: &Config) -> String {
    let labels = |namespace: &str| Some(vec![("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())]);
    let world = World { exempt_namespaces: &config.exempt, namespace_labels: &labels };
    for preset in candidates.take(MOST_LISTED).filter(|preset| !preset.is_shadow()) {
        let review = review(&namespace_of(preset), &labels_of(&preset.spec().selector));
        let answered = admit::answer(&review, presets, &world, &mut Scratch::default(), &mut String::new());
        if answered.is_ok_and(|admission| admission.outcome == Outcome::Mutated) {
            return review;
        }
    }
    review("default", &[("role", "frontend")])
}

fn namespace_of(preset: &Preset) -> String {
    match (&preset.spec().key.scope, &preset.spec().namespace_selector) {
        (Scope::Namespace(namespace), _) => namespace.clone(),
        (Scope::Cluster, None) => "default".to_owned(),
        (Scope::Cluster, Some(selector)) => {
            let wanted = labels_of(selector).into_iter().find(|(key, _)| *key == "kubernetes.io/metadata.name");
            wanted.map_or("default", |(_, value)| value).to_owned()
        }
    }
}

/// The fewest labels that satisfy the terms that ask for some.
fn labels_of(selector: &Selector) -> Vec<(&str, &str)> {
    let labels = selector.requirements.iter().filter_map(|requirement| match requirement {
        Requirement::In(key, values) => Some((key.as_str(), values.first()?.as_str())),
        Requirement::Exists(key) => Some((key.as_str(), "true")),
        Requirement::NotIn(..) | Requirement::DoesNotExist(_) => None,
    });
    labels.collect()
}

fn review(namespace: &str, labels: &[(&str, &str)]) -> String {
    let labels: serde_json::Map<String, serde_json::Value> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
    let (namespace, labels) = (serde_json::Value::from(namespace), serde_json::Value::from(labels));
    format!(
        r#"{{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {{"uid": "sample", "operation": "CREATE",
  "kind": {{"group": "", "version": "v1", "kind": "Pod"}}, "resource": {{"group": "", "version": "v1", "resource": "pods"}},
  "namespace": {namespace}, "name": "sample", "dryRun": true, "object": {{"apiVersion": "v1", "kind": "Pod",
    "metadata": {{"name": "sample", "namespace": {namespace}, "labels": {labels}}},
    "spec": {{"containers": [{{"name": "app", "image": "nginx"}}]}}}}}}}}"#
    )
}
