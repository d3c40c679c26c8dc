//! The words that API servers take where a text is one of a few (the Kubernetes API reference, `pkg/apis/core/validation`).

/// The words of a field of type text, or of the entries of such a list; `None` where any text may stand.
///
/// An empty text is among them only where it is valid; where it means the default, [`super::Zero`] says so. Words that only some versions
/// or features take are listed: which those are changes faster than presets do.
#[must_use]
pub fn words(type_name: &str, field_name: &str) -> Option<&'static [&'static str]> {
    let index = WORDS.binary_search_by(|(of, name, _)| (*of, *name).cmp(&(type_name, field_name))).ok()?;
    WORDS.get(index).map(|(_, _, words)| *words)
}

const CONTAINER_RESTART: &[&str] = &["Always", "Never", "OnFailure"];
const INCLUSION: &[&str] = &["Honor", "Ignore"];
const PROFILE: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];
const PULL: &[&str] = &["Always", "IfNotPresent", "Never"];
const TERMINATION_MESSAGE: &[&str] = &["FallbackToLogsOnError", "File"];

/// Sorted by type and field.
const WORDS: &[(&str, &str, &[&str])] = &[
    ("AppArmorProfile", "type", PROFILE),
    ("AzureDiskVolumeSource", "cachingMode", &["None", "ReadOnly", "ReadWrite"]),
    ("AzureDiskVolumeSource", "kind", &["Dedicated", "Managed", "Shared"]),
    ("Container", "imagePullPolicy", PULL),
    ("Container", "restartPolicy", CONTAINER_RESTART),
    ("Container", "terminationMessagePolicy", TERMINATION_MESSAGE),
    ("ContainerPort", "protocol", &["SCTP", "TCP", "UDP"]),
    ("ContainerResizePolicy", "resourceName", &["cpu", "memory"]),
    ("ContainerResizePolicy", "restartPolicy", &["NotRequired", "RestartContainer"]),
    ("ContainerRestartRule", "action", &["Restart", "RestartAllContainers"]),
    ("ContainerRestartRuleOnExitCodes", "operator", &["In", "NotIn"]),
    ("EphemeralContainer", "imagePullPolicy", PULL),
    ("EphemeralContainer", "terminationMessagePolicy", TERMINATION_MESSAGE),
    ("HTTPGetAction", "scheme", &["HTTP", "HTTPS"]),
    (
        "HostPathVolumeSource",
        "type",
        &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"],
    ),
    ("ImageVolumeSource", "pullPolicy", PULL),
    ("LabelSelectorRequirement", "operator", &["DoesNotExist", "Exists", "In", "NotIn"]),
    ("Lifecycle", "stopSignal", SIGNALS),
    ("NodeSelectorRequirement", "operator", &["DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn"]),
    ("ObjectFieldSelector", "apiVersion", &["v1"]),
    ("PersistentVolumeClaimSpec", "accessModes", &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]),
    ("PersistentVolumeClaimSpec", "volumeMode", &["Block", "Filesystem"]),
    ("PodCertificateProjection", "keyType", &["ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096"]),
    ("PodOS", "name", &["linux", "windows"]),
    ("PodSecurityContext", "fsGroupChangePolicy", &["Always", "OnRootMismatch"]),
    ("PodSecurityContext", "seLinuxChangePolicy", &["MountOption", "Recursive"]),
    ("PodSecurityContext", "supplementalGroupsPolicy", &["Merge", "Strict"]),
    ("PodSpec", "dnsPolicy", &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ("PodSpec", "preemptionPolicy", &["Never", "PreemptLowerPriority"]),
    ("PodSpec", "restartPolicy", &["Always", "Never", "OnFailure"]),
    ("SeccompProfile", "type", PROFILE),
    ("SecurityContext", "procMount", &["Default", "Unmasked"]),
    ("Toleration", "effect", &["NoExecute", "NoSchedule", "PreferNoSchedule"]),
    ("Toleration", "operator", &["Equal", "Exists", "Gt", "Lt"]),
    ("TopologySpreadConstraint", "nodeAffinityPolicy", INCLUSION),
    ("TopologySpreadConstraint", "nodeTaintsPolicy", INCLUSION),
    ("TopologySpreadConstraint", "whenUnsatisfiable", &["DoNotSchedule", "ScheduleAnyway"]),
    ("VolumeMount", "mountPropagation", &["Bidirectional", "HostToContainer", "None"]),
    ("VolumeMount", "recursiveReadOnly", &["Disabled", "Enabled", "IfPossible"]),
];

/// KEP-4960.
const SIGNALS: &[&str] = &[
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGRTMAX",
    "SIGRTMAX-1",
    "SIGRTMAX-10",
    "SIGRTMAX-11",
    "SIGRTMAX-12",
    "SIGRTMAX-13",
    "SIGRTMAX-14",
    "SIGRTMAX-2",
    "SIGRTMAX-3",
    "SIGRTMAX-4",
    "SIGRTMAX-5",
    "SIGRTMAX-6",
    "SIGRTMAX-7",
    "SIGRTMAX-8",
    "SIGRTMAX-9",
    "SIGRTMIN",
    "SIGRTMIN+1",
    "SIGRTMIN+10",
    "SIGRTMIN+11",
    "SIGRTMIN+12",
    "SIGRTMIN+13",
    "SIGRTMIN+14",
    "SIGRTMIN+15",
    "SIGRTMIN+2",
    "SIGRTMIN+3",
    "SIGRTMIN+4",
    "SIGRTMIN+5",
    "SIGRTMIN+6",
    "SIGRTMIN+7",
    "SIGRTMIN+8",
    "SIGRTMIN+9",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Default, Kind, List, TypeId};

    #[test]
    fn the_list_is_sorted_and_of_fields_that_exist() {
        assert!(WORDS.windows(2).all(|pair| (pair[0].0, pair[0].1) < (pair[1].0, pair[1].1)));
        for (of, name, list) in WORDS {
            let field = TypeId::named(of).and_then(|id| id.get().field(name)).unwrap_or_else(|| panic!("{of}.{name}"));
            assert!(matches!(field.kind, Kind::String | Kind::List(List { of: Kind::String, .. })), "{of}.{name}");
            assert!(list.is_sorted(), "{of}.{name}");
            if let Some(Default::Str(default)) = field.default {
                assert!(list.contains(&default), "{of}.{name}: {default}");
            }
        }
    }

    #[test]
    fn what_the_servers_named_as_supported_is_there() {
        assert_eq!(words("ContainerPort", "protocol"), Some(&["SCTP", "TCP", "UDP"][..]));
        assert_eq!(words("Toleration", "operator").map(<[_]>::len), Some(4));
        assert_eq!(words("Container", "image"), None);
        assert_eq!(words("Nothing", "protocol"), None);
    }
}
