//! Rules that fit into a row: what a text must look like, how large a number may be, what must be there.

use crate::document::names::{
    Check, absolute_path, config_key, csi_driver, descending_path, dns_label, dns_subdomain, dns_subdomain_prefix, env_name, header_name,
    hosts_with_ports, image, ip, local_path, no_backsteps, port_name, qualified, search_domain, sysctl,
};
use crate::document::report::Report;
use crate::schema::{Field, Zero};
use crate::tree::{NodeId, View};

/// What a text of a field must look like where it is not empty; for a list, each of its entries.
pub(in crate::document) fn check_of(of: &str, field: &str) -> Option<Check> {
    TEXTS.iter().find(|(row_of, row_field, _)| *row_of == of && *row_field == field).map(|(_, _, check)| *check)
}

const TEXTS: &[(&str, &str, Check)] = &[
    ("CSIVolumeSource", "driver", csi_driver),
    ("ClusterTrustBundleProjection", "path", local_path),
    ("ConfigMapEnvSource", "name", dns_subdomain_prefix),
    ("ConfigMapKeySelector", "key", config_key),
    ("ConfigMapKeySelector", "name", dns_subdomain),
    ("Container", "image", image),
    ("Container", "name", dns_label),
    ("ContainerPort", "name", port_name),
    ("DownwardAPIVolumeFile", "path", local_path),
    ("EnvFromSource", "prefix", env_name),
    ("EnvVar", "name", env_name),
    ("FileKeySelector", "key", env_name),
    ("FileKeySelector", "path", no_backsteps),
    ("FileKeySelector", "volumeName", dns_label),
    ("GitRepoVolumeSource", "directory", descending_path),
    ("HTTPHeader", "name", header_name),
    ("HostAlias", "hostnames", dns_subdomain),
    ("HostAlias", "ip", ip),
    ("HostPathVolumeSource", "path", no_backsteps),
    ("KeyToPath", "path", local_path),
    ("NFSVolumeSource", "path", absolute_path),
    ("PersistentVolumeClaimSpec", "storageClassName", dns_subdomain),
    ("PersistentVolumeClaimSpec", "volumeAttributesClassName", dns_subdomain),
    ("PodAffinityTerm", "namespaces", dns_label),
    ("PodAffinityTerm", "topologyKey", qualified),
    ("PodCertificateProjection", "certificateChainPath", local_path),
    ("PodCertificateProjection", "credentialBundlePath", local_path),
    ("PodCertificateProjection", "keyPath", local_path),
    ("PodDNSConfig", "nameservers", ip),
    ("PodDNSConfig", "searches", search_domain),
    ("PodReadinessGate", "conditionType", qualified),
    ("PodResourceClaim", "name", dns_label),
    ("PodResourceClaim", "resourceClaimName", dns_subdomain),
    ("PodResourceClaim", "resourceClaimTemplateName", dns_subdomain),
    ("PodSchedulingGate", "name", qualified),
    ("PodSchedulingGroup", "podGroupName", dns_subdomain),
    ("PodSpec", "hostname", dns_label),
    ("PodSpec", "hostnameOverride", dns_subdomain),
    ("PodSpec", "nodeName", dns_subdomain),
    ("PodSpec", "priorityClassName", dns_subdomain),
    ("PodSpec", "runtimeClassName", dns_subdomain),
    ("PodSpec", "serviceAccountName", dns_subdomain),
    ("PodSpec", "subdomain", dns_label),
    ("QuobyteVolumeSource", "registry", hosts_with_ports),
    ("ResourceClaim", "name", dns_label),
    ("ResourceClaim", "request", dns_label),
    ("SecretEnvSource", "name", dns_subdomain_prefix),
    ("SecretKeySelector", "key", config_key),
    ("SecretKeySelector", "name", dns_subdomain),
    ("ServiceAccountTokenProjection", "path", local_path),
    ("StorageOSVolumeSource", "volumeName", dns_label),
    ("StorageOSVolumeSource", "volumeNamespace", dns_label),
    ("Sysctl", "name", sysctl),
    ("Toleration", "key", qualified),
    ("TypedLocalObjectReference", "apiGroup", dns_subdomain),
    ("TypedObjectReference", "apiGroup", dns_subdomain),
    ("TypedObjectReference", "namespace", dns_label),
    ("Volume", "name", dns_label),
    ("VolumeDevice", "devicePath", no_backsteps),
    ("VolumeDevice", "name", dns_label),
    ("VolumeMount", "name", dns_label),
    ("VolumeMount", "subPath", descending_path),
    ("VolumeMount", "subPathExpr", descending_path),
    ("WindowsSecurityContextOptions", "gmsaCredentialSpecName", dns_subdomain),
];

const MAX: i64 = i64::MAX;
const MAX_32: i64 = i32::MAX as i64;

/// The least and the most that a number may be; for a list, each of its entries.
const RANGES: &[(&str, &str, i64, i64)] = &[
    ("AWSElasticBlockStoreVolumeSource", "partition", 0, 255),
    ("ConfigMapVolumeSource", "defaultMode", 0, 0o777),
    ("ContainerPort", "containerPort", 1, 65535),
    ("ContainerPort", "hostPort", 0, 65535),
    ("DownwardAPIVolumeFile", "mode", 0, 0o777),
    ("DownwardAPIVolumeSource", "defaultMode", 0, 0o777),
    ("GCEPersistentDiskVolumeSource", "partition", 0, 255),
    ("GRPCAction", "port", 1, 65535),
    ("ISCSIVolumeSource", "lun", 0, 255),
    ("KeyToPath", "mode", 0, 0o777),
    // 91 days.
    ("PodCertificateProjection", "maxExpirationSeconds", 3600, 7_862_400),
    ("PodSecurityContext", "fsGroup", 0, MAX_32),
    ("PodSecurityContext", "runAsGroup", 0, MAX_32),
    ("PodSecurityContext", "runAsUser", 0, MAX_32),
    ("PodSecurityContext", "supplementalGroups", 0, MAX_32),
    ("PodSpec", "activeDeadlineSeconds", 1, MAX_32),
    ("PreferredSchedulingTerm", "weight", 1, 100),
    ("Probe", "failureThreshold", 0, MAX),
    ("Probe", "initialDelaySeconds", 0, MAX),
    ("Probe", "periodSeconds", 0, MAX),
    ("Probe", "successThreshold", 0, MAX),
    ("Probe", "terminationGracePeriodSeconds", 1, MAX),
    ("Probe", "timeoutSeconds", 0, MAX),
    ("ProjectedVolumeSource", "defaultMode", 0, 0o777),
    ("SecretVolumeSource", "defaultMode", 0, 0o777),
    ("SecurityContext", "runAsGroup", 0, MAX_32),
    ("SecurityContext", "runAsUser", 0, MAX_32),
    ("ServiceAccountTokenProjection", "expirationSeconds", 600, 1 << 32),
    ("SleepAction", "seconds", 0, MAX),
    ("TopologySpreadConstraint", "maxSkew", 1, MAX),
    ("TopologySpreadConstraint", "minDomains", 1, MAX),
    ("WeightedPodAffinityTerm", "weight", 1, 100),
];

/// Checks a number against its range.
pub(in crate::document) fn in_range(report: &mut Report<'_>, of: &str, field: &str, node: NodeId, number: i64) {
    let Some((_, _, least, most)) = RANGES.iter().find(|(row_of, row_field, ..)| *row_of == of && *row_field == field) else { return };
    if (*least..=*most).contains(&number) {
        return;
    }
    let text = match *most {
        MAX => format!("must be at least {least}"),
        0o777 => "must be between 0 and 511, that is 0777 in octal: write file modes with a leading 0, as in 0644".to_owned(),
        most => format!("must be between {least} and {most}"),
    };
    report.error(node, text);
}

/// Fields that the schema does not require and API servers do.
const NEEDED: &[(&str, &str)] = &[
    ("ConfigMapEnvSource", "name"),
    ("ConfigMapKeySelector", "name"),
    ("ConfigMapProjection", "name"),
    ("ConfigMapVolumeSource", "name"),
    ("ContainerRestartRule", "exitCodes"),
    ("EphemeralVolumeSource", "volumeClaimTemplate"),
    ("ExecAction", "command"),
    ("ImageVolumeSource", "reference"),
    ("PersistentVolumeClaimSpec", "accessModes"),
    ("PodDNSConfigOption", "name"),
    ("PodSchedulingGroup", "podGroupName"),
    ("ScaleIOVolumeSource", "volumeName"),
    ("SecretEnvSource", "name"),
    ("SecretKeySelector", "name"),
    ("SecretProjection", "name"),
    ("SecretVolumeSource", "secretName"),
    ("StorageOSVolumeSource", "volumeName"),
];

/// Whether API servers refuse a whole value without this field, though the schema does not say so.
pub(in crate::document) fn needed(of: &str, field: &str) -> bool {
    NEEDED.contains(&(of, field))
}

/// Whether an empty list is refused in a whole value; where other fields decide, their rule says so.
pub(in crate::document) fn not_empty(of: &str, field: &Field) -> bool {
    field.zero == Zero::Refused && !matches!(of, "FCVolumeSource" | "LabelSelectorRequirement" | "NodeSelectorRequirement" | "PodSpec")
}

/// Checks the port of a probe or hook: a number or the name of a port.
pub(in crate::document) fn port(report: &mut Report<'_>, node: NodeId) {
    let wrong = match report.tree.view(node) {
        View::Int(number) if !(1..=65535).contains(&number) => "must be between 1 and 65535, or the name of a port",
        View::String(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            "must be a number without quotes, or the name of a port, which has a letter"
        }
        View::String(text) => match port_name(text) {
            Some(wrong) => wrong,
            None => return,
        },
        _ => return,
    };
    report.error(node, wrong);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Kind, TypeId};

    #[test]
    fn every_row_is_about_a_field_that_is_there() {
        let rows = TEXTS.iter().map(|(of, field, _)| (*of, *field)).chain(RANGES.iter().map(|(of, field, ..)| (*of, *field)));
        for (of, field) in rows.chain(NEEDED.iter().copied()) {
            assert!(TypeId::named(of).and_then(|of| of.get().field(field)).is_some(), "{of}.{field}");
        }
    }

    #[test]
    fn every_number_whose_zero_is_refused_has_a_range() {
        for id in TypeId::all() {
            let of = id.get();
            for field in of.fields.iter().filter(|field| matches!(field.kind, Kind::Int32 | Kind::Int64) && field.zero == Zero::Refused) {
                let row = RANGES.iter().find(|(row_of, row_field, ..)| *row_of == of.name && *row_field == field.name);
                assert!(row.is_some_and(|(_, _, least, _)| *least > 0), "{}.{}", of.name, field.name);
            }
        }
    }
}
