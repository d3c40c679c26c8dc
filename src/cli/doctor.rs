//! `podgraft doctor`: whether Podgraft does its work in a cluster, and what to do where it does not.
//!
//! Nothing is changed, and nothing is asked of the cluster that the person at the command line may not see: what they may not is said to be
//! unknown, with the reason. The proof is a Pod, sent as a dry run, that has its presets.

mod certificate;
mod findings;
mod presets;
mod registration;
mod trial;

use std::collections::BTreeSet;

use clap::Args;

use super::Done;
use super::args::ReportOutput;
use super::cluster::namespaces::{self, Labels};
use super::cluster::presets::{Gathered, Scoped, gather};
use super::cluster::{Cluster, ClusterArgs};
use super::presets::compile;
use super::source::Fault;
use crate::preset::PresetSet;
use findings::Findings;
use registration::Registered;

/// Examine an installation: its registration, certificate and presets, and whether a Pod gets them
///
/// Each finding says what to do about it. What your rights do not let you see is said to be unknown. A Pod is sent to the API server as a
/// dry run, in the namespace of -n; nothing is changed.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// The namespace in which a Pod is tried [default: that of the context, or where that is not reached the first one with a preset]
    #[arg(long, short = 'n', value_name = "NAME")]
    pub namespace: Option<String>,
    /// The name of Podgraft's webhook configurations [default: all that look like Podgraft's]
    #[arg(long, value_name = "NAME", env = "PODGRAFT_WEBHOOK_CONFIGURATION", hide_env_values = true)]
    pub webhook_configuration: Option<String>,
    /// How to report
    #[arg(long, short, value_enum, default_value_t = ReportOutput::Text)]
    pub output: ReportOutput,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would replace the command's own text")]
    pub cluster: ClusterArgs,
}

/// What is examined, as far as it could be read.
struct Patient<'c> {
    cluster: &'c Cluster,
    /// Where a Pod is tried.
    namespace: String,
    /// Whether somebody said so.
    stated: bool,
    /// What is known of namespaces; all of them, or the one.
    namespaces: Labels,
    /// Those that Podgraft leaves alone, whatever the registration says.
    exempt: Vec<String>,
    /// The webhooks that are asked about Pods; `None`: they cannot be read.
    webhooks: Option<Vec<registration::Webhook>>,
    /// Good presets.
    set: PresetSet,
}

impl Patient<'_> {
    /// Where nobody said which namespace, and that of the context is not reached: the first one that is, with a preset.
    fn choose(&mut self) {
        if self.stated || registration::why_not(self, &self.namespace).is_none() {
            return;
        }
        let shown = |namespace: &str, labels: &[(String, String)]| {
            self.set.presets().iter().any(|preset| !preset.is_shadow() && trial::applies(preset, namespace, labels))
        };
        let mut others = self.namespaces.iter().filter(|(name, labels)| registration::why_not(self, name).is_none() && shown(name, labels));
        if let Some((name, _)) = others.next() {
            self.namespace = name.clone();
        }
    }
}

/// Examines it.
///
/// # Errors
/// The cluster doesn't answer.
pub fn run(args: &DoctorArgs) -> Result<Done, Fault> {
    let DoctorArgs { namespace, webhook_configuration, output, cluster: cluster_args } = args;
    let cluster = Cluster::connect(cluster_args)?;
    let mut findings = Findings::default();
    version(&cluster, &mut findings)?;
    let registered = registration::examine(&cluster, webhook_configuration.as_deref(), &mut findings)?;
    let Registered { pods: webhooks, presets: validating } = registered;
    let own = match webhooks.iter().flatten().find_map(registration::Webhook::service_namespace) {
        Some(own) if cluster_args.podgraft_namespace.is_none() => own.to_owned(),
        _ => namespaces::own(&cluster, cluster_args)?,
    };
    certificate::examine(&cluster, webhooks.iter().flatten().chain(&validating), &mut findings)?;
    let stated = namespace.is_some();
    let namespace = namespace.clone().unwrap_or_else(|| cluster.default_namespace().to_owned());
    let namespaces = namespaces(&cluster, &namespace, &mut findings)?;
    let mut exempt: Vec<String> = super::args::EXEMPT.iter().map(|name| (*name).to_owned()).filter(|name| name != "podgraft").collect();
    exempt.push(own.clone());
    let Gathered { documents, unread, beaten, .. } = gather(&cluster, Scoped::All(&BTreeSet::from([namespace.clone()])), &own)?;
    presets::documents(&documents, &mut findings);
    for words in beaten {
        findings.warning("presets", words, "remove one of the two");
    }
    for words in unread {
        findings.unknown("presets", words, "ask somebody who may read them, or try a namespace that you may see with -n");
    }
    let set = PresetSet::new(compile(documents));
    let mut patient = Patient { cluster: &cluster, namespace, stated, namespaces, exempt, webhooks, set };
    patient.choose();
    let reached = registration::reach(&patient, &mut findings);
    // One Pod first: where the API server waits for Podgraft in vain, a hundred more would take a quarter of an hour.
    let mut of_trial = Findings::default();
    let callable = trial::examine(&patient, reached, &mut of_trial)?;
    presets::examine(&patient, callable, &mut findings)?;
    findings.append(of_trial);
    Ok(Done { output: findings.written(*output), problems: findings.problems() > 0, ..Done::default() })
}

/// Native sidecars, and so many presets, need Kubernetes 1.29.
fn version(cluster: &Cluster, findings: &mut Findings) -> Result<(), Fault> {
    let answer = cluster.get("/version")?;
    let version = answer.value();
    let number = |key: &str| version[key].as_str().and_then(|text| text.trim_end_matches('+').parse::<u32>().ok());
    let release = version["gitVersion"].as_str().unwrap_or("of an unknown version").to_owned();
    match (number("major"), number("minor")) {
        (Some(1), Some(minor)) if minor < 29 => findings.warning(
            "cluster",
            format!("Kubernetes {release} knows no native sidecars: init containers with restartPolicy Always would block their Pods"),
            "use Kubernetes 1.29 or newer",
        ),
        (Some(_), Some(_)) => findings.fine("cluster", format!("Kubernetes {release} answers")),
        _ => findings.unknown("cluster", format!("its version cannot be read: {}", answer.message()), "ask with `kubectl version`"),
    }
    Ok(())
}

/// All namespaces with their labels, or the one that is tried.
fn namespaces(cluster: &Cluster, namespace: &str, findings: &mut Findings) -> Result<Labels, Fault> {
    match namespaces::all(cluster)? {
        Ok(all) => Ok(all),
        Err(words) => {
            findings.unknown(
                "namespaces",
                format!("which namespaces are reached cannot be said: {words}"),
                "ask somebody who may list namespaces",
            );
            Ok(namespaces::labels(cluster, &BTreeSet::from([namespace.to_owned()]))?.0)
        }
    }
}
