//! What no API server would take in any Pod, type by type (core `pkg/apis/core/validation`; `kubernetes/pod-rules.json` and
//! `pod-values.json` hold what servers were seen to say). Only what shows in the value itself is looked at.

pub(super) mod containers;
pub(super) mod lists;
mod pod;
mod references;
mod resources;
mod scheduling;
pub(super) mod security;
pub(super) mod tables;
pub(super) mod volumes;

use super::report::Report;
use super::selector;
use super::shape::Whole;
use crate::schema::{Type, TypeId};
use crate::tree::NodeId;
use crate::yaml::shown;

/// Checks what a value of a type says, beyond the types of its fields.
pub(super) fn check(report: &mut Report<'_>, id: TypeId, node: NodeId, whole: Whole) {
    if let Some((_, needs_one)) = ONE_OF.iter().find(|(of, _)| *of == id) {
        one_of(report, id.get(), node, *needs_one);
    }
    match id {
        TypeId::POD_SPEC => pod::spec(report, node),
        TypeId::POD_SECURITY_CONTEXT => security::pod(report, node),
        TypeId::POD_DNS_CONFIG => pod::dns(report, node),
        TypeId::CONTAINER => containers::container(report, node, whole),
        TypeId::PROBE => containers::probe(report, node),
        TypeId::CONTAINER_RESTART_RULE_ON_EXIT_CODES => containers::exit_codes(report, node),
        TypeId::VOLUME_MOUNT => containers::mount(report, node),
        TypeId::ENV_VAR => references::env(report, node),
        TypeId::OBJECT_FIELD_SELECTOR => references::field(report, node),
        TypeId::RESOURCE_FIELD_SELECTOR => references::resource(report, node),
        TypeId::RESOURCE_REQUIREMENTS => resources::requirements(report, node, whole),
        TypeId::SECURITY_CONTEXT => security::container(report, node),
        TypeId::SECCOMP_PROFILE => security::seccomp(report, node),
        TypeId::APP_ARMOR_PROFILE => security::app_armor(report, node),
        TypeId::TOLERATION => scheduling::toleration(report, node),
        TypeId::TOPOLOGY_SPREAD_CONSTRAINT => scheduling::spread(report, node),
        TypeId::POD_AFFINITY_TERM => scheduling::affinity_term(report, node),
        TypeId::NODE_SELECTOR_REQUIREMENT => scheduling::node_requirement(report, node),
        TypeId::LABEL_SELECTOR => selector::check(report, node),
        TypeId::EMPTY_DIR_VOLUME_SOURCE => volumes::empty_dir(report, node),
        TypeId::PROJECTED_VOLUME_SOURCE => volumes::projected(report, node),
        TypeId::CLUSTER_TRUST_BUNDLE_PROJECTION => volumes::trust_bundle(report, node),
        TypeId::POD_CERTIFICATE_PROJECTION => volumes::pod_certificate(report, node),
        TypeId::FC_VOLUME_SOURCE => volumes::fibre_channel(report, node),
        TypeId::FLOCKER_VOLUME_SOURCE => volumes::flocker(report, node),
        TypeId::ISCSI_VOLUME_SOURCE => volumes::iscsi(report, node),
        TypeId::AZURE_DISK_VOLUME_SOURCE => volumes::azure_disk(report, node),
        TypeId::FLEX_VOLUME_SOURCE => volumes::flex(report, node),
        TypeId::CSI_VOLUME_SOURCE => volumes::secret_name(report, node, "nodePublishSecretRef"),
        TypeId::CINDER_VOLUME_SOURCE | TypeId::STORAGE_OS_VOLUME_SOURCE => volumes::secret_name(report, node, "secretRef"),
        TypeId::PERSISTENT_VOLUME_CLAIM_TEMPLATE => volumes::claim_template(report, node),
        TypeId::PERSISTENT_VOLUME_CLAIM_SPEC => volumes::claim(report, node),
        _ => {}
    }
}

/// The types of which one member at most may be set, and whether one has to be.
const ONE_OF: &[(TypeId, bool)] = &[
    (TypeId::VOLUME, false),
    (TypeId::VOLUME_PROJECTION, false),
    (TypeId::ENV_VAR_SOURCE, true),
    (TypeId::ENV_FROM_SOURCE, true),
    (TypeId::PROBE, true),
    (TypeId::LIFECYCLE_HANDLER, true),
    (TypeId::DOWNWARD_API_VOLUME_FILE, true),
    (TypeId::POD_RESOURCE_CLAIM, true),
];

fn one_of(report: &mut Report<'_>, of: &Type, node: NodeId, needs_one: bool) {
    let tree = report.tree;
    let is_member = |name: &str| of.field(name).is_some_and(|field| field.member);
    let mut set = tree.children(node).filter(|member| is_member(tree.key(*member)) && tree.view(*member) != crate::tree::View::Null);
    let first = set.next();
    if let Some(first) = first {
        for other in set {
            report.error_at_key(other, format!("may not be there beside `{}`: an entry has one of them only", tree.key(first)));
        }
        return;
    }
    let mut unknown = tree.children(node).filter(|member| of.field(tree.key(*member)).is_none());
    // One that is not known may be a source that a later Kubernetes knows, unless it is a misspelt one.
    let meant = unknown.clone().find_map(|member| of.nearest(tree.key(member)).filter(|name| is_member(name)).map(|name| (member, name)));
    if let Some((member, name)) = meant
        && (needs_one || of.name == "Volume")
    {
        report.error_at_key(member, format!("there is no `{}` in {}: write `{name}`", shown(tree.key(member)), of.name));
    } else if needs_one && unknown.next().is_none() {
        let members: Vec<&str> = of.fields.iter().filter(|field| field.member).map(|field| field.name).collect();
        report.error(node, format!("must have {}", one_of_words(&members)));
    }
}

fn one_of_words(members: &[&str]) -> String {
    match members {
        [only] => format!("`{only}`"),
        members => format!("one of {}", members.join(", ")),
    }
}
