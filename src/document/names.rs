//! What may be a name where (apimachinery `pkg/util/validation`, core `pkg/apis/core/validation`).
//!
//! Each function says what is wrong with a text, as the end of a sentence that starts with the field, or `None`. The text itself is not in it:
//! what was written in the place of a name may be a secret.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A check of a text.
pub(super) type Check = fn(&str) -> Option<&'static str>;

/// RFC 1123 label: names of containers, volumes, namespaces, host names.
pub(super) fn dns_label(text: &str) -> Option<&'static str> {
    const WRONG: &str = "must be at most 63 lower case letters, digits and hyphens, and start and end with a letter or digit";
    (!is_label(text) || text.len() > 63).then_some(WRONG)
}

/// RFC 1123 subdomain: names of most objects.
pub(super) fn dns_subdomain(text: &str) -> Option<&'static str> {
    const WRONG: &str = "must be at most 253 lower case letters, digits, hyphens and dots, and each part between dots must start and end with a letter or digit";
    (text.len() > 253 || !text.split('.').all(is_label)).then_some(WRONG)
}

/// A subdomain, or the start of one that ends with a hyphen: `ValidateConfigMapName` with `prefix`.
pub(super) fn dns_subdomain_prefix(text: &str) -> Option<&'static str> {
    dns_subdomain(text.strip_suffix('-').unwrap_or(text))
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !bytes.is_empty()
        && bytes.iter().all(|byte| alphanumeric(*byte) || *byte == b'-')
        && bytes.first().is_some_and(|byte| alphanumeric(*byte))
        && bytes.last().is_some_and(|byte| alphanumeric(*byte))
}

/// The key of a label, a taint, a condition: a name, with a subdomain and a slash before it or not (`IsQualifiedName`).
pub(super) fn qualified(text: &str) -> Option<&'static str> {
    const WRONG: &str = "must be a name of at most 63 letters, digits, `-`, `_` and `.` that starts and ends with a letter or digit, \
                         with or without a DNS subdomain and `/` before it";
    let name = match text.split_once('/') {
        Some((prefix, _)) if dns_subdomain(prefix).is_some() => return Some(WRONG),
        Some((_, name)) => name,
        None => text,
    };
    (name.is_empty() || name.len() > 63 || !is_word(name)).then_some(WRONG)
}

/// The key of an annotation: as that of a label, in capitals or not.
pub(super) fn annotation_key(text: &str) -> Option<&'static str> {
    qualified(&text.to_lowercase())
}

/// The value of a label: empty, or a word.
pub(super) fn label_value(text: &str) -> Option<&'static str> {
    const WRONG: &str = "must be empty, or at most 63 letters, digits, `-`, `_` and `.` that start and end with a letter or digit";
    (text.len() > 63 || !(text.is_empty() || is_word(text))).then_some(WRONG)
}

fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

/// The name of a port (RFC 6335, lower case only).
pub(super) fn port_name(text: &str) -> Option<&'static str> {
    const WRONG: &str =
        "must be at most 15 lower case letters, digits and single hyphens, with a letter among them and no hyphen at either end";
    let bytes = text.as_bytes();
    let well_formed = bytes.len() <= 15
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
        && bytes.iter().any(u8::is_ascii_lowercase)
        && !text.contains("--")
        && !text.starts_with('-')
        && !text.ends_with('-');
    (!well_formed).then_some(WRONG)
}

/// The name of a variable since Kubernetes 1.30: printable ASCII.
pub(super) fn env_name(text: &str) -> Option<&'static str> {
    let printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    (!text.bytes().all(printable)).then_some("must consist of printable ASCII characters other than `=`")
}

/// A key of a ConfigMap or Secret.
pub(super) fn config_key(text: &str) -> Option<&'static str> {
    let well_formed = text.len() <= 253 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    (!well_formed || text == "." || text.starts_with(".."))
        .then_some("must be at most 253 letters, digits, `-`, `_` and `.`, and not `.` or `..` or start with `..`")
}

/// The name of an HTTP header.
pub(super) fn header_name(text: &str) -> Option<&'static str> {
    (text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
        .then_some("must consist of letters, digits and hyphens")
}

/// The name of a CSI driver.
pub(super) fn csi_driver(text: &str) -> Option<&'static str> {
    (text.len() > 63 || dns_subdomain(&text.to_lowercase()).is_some()).then_some("must be a DNS subdomain of at most 63 characters")
}

/// A sysctl: parts between dots or slashes.
pub(super) fn sysctl(text: &str) -> Option<&'static str> {
    let part = |part: &str| {
        let bytes = part.as_bytes();
        let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric)
            && bytes.iter().all(|byte| alphanumeric(byte) || matches!(byte, b'-' | b'_'))
    };
    (text.len() > 253 || !text.split(['.', '/']).all(part))
        .then_some("must be at most 253 characters: parts of lower case letters, digits, `-` and `_` between dots or slashes")
}

/// A search domain of `dnsConfig`: a subdomain that may have underscores, with or without a dot at its end; or a dot.
pub(super) fn search_domain(text: &str) -> Option<&'static str> {
    let domain = text.strip_suffix('.').unwrap_or(text);
    let plain = domain.replace('_', "a");
    (text != "." && dns_subdomain(&plain).is_some()).then_some("must be a DNS domain")
}

/// An IP address that some API server takes: one before 1.36 still takes leading zeros.
pub(super) fn ip(text: &str) -> Option<&'static str> {
    let sloppy: Vec<&str> = text
        .split('.')
        .map(|part| match part.trim_start_matches('0') {
            "" if !part.is_empty() => "0",
            rest => rest,
        })
        .collect();
    let valid = sloppy.join(".").parse::<Ipv4Addr>().is_ok() || text.parse::<Ipv6Addr>().is_ok();
    (!valid).then_some("must be an IP address")
}

/// A path below something: relative and without `..` as a part.
pub(super) fn descending_path(text: &str) -> Option<&'static str> {
    if text.starts_with('/') {
        return Some("must be a relative path");
    }
    no_backsteps(text)
}

/// A path without `..` as a part.
pub(super) fn no_backsteps(text: &str) -> Option<&'static str> {
    text.split('/').any(|part| part == "..").then_some("must not contain `..`")
}

/// The path of a file in a volume that the kubelet writes: descending, and not one of the names that start with `..`.
pub(super) fn local_path(text: &str) -> Option<&'static str> {
    descending_path(text).or_else(|| text.starts_with("..").then_some("must not start with `..`"))
}

/// A path from the root.
pub(super) fn absolute_path(text: &str) -> Option<&'static str> {
    (!text.starts_with('/')).then_some("must be an absolute path")
}

/// A reference to an image: anything without blanks around it (`validateContainerOnlyForPod`).
pub(super) fn image(text: &str) -> Option<&'static str> {
    (text.trim() != text).then_some("must not have blanks at either end")
}

/// Addresses with ports, with commas between them.
pub(super) fn hosts_with_ports(text: &str) -> Option<&'static str> {
    let has_port = |address: &str| address.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    (!text.split(',').all(has_port)).then_some("must be HOST:PORT, or several of them with commas between them")
}

/// A glob over the names of containers.
pub(super) fn glob(text: &str) -> Option<&'static str> {
    let possible = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'*' | b'?');
    (text.is_empty() || !text.bytes().all(possible)).then_some("no container can have such a name; a glob knows `*` and `?` only")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(check: Check, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(check(text), None, "{text:?}");
        }
        for text in bad {
            assert!(check(text).is_some(), "{text:?}");
        }
    }

    #[test]
    fn names_are_those_that_api_servers_take() {
        let long = "x".repeat(64);
        let longest = "x".repeat(63);
        check(dns_label, &["a", "a-b", "0", &longest], &["", "A", "a.b", "-a", "a-", "a_b", &long]);
        check(
            dns_subdomain,
            &["a", "a.b-c", &long, &format!("{longest}.{longest}.{longest}.{}", "x".repeat(61))],
            &["", "a..b", "A", ".a", "a.", &"a.".repeat(127)],
        );
        check(dns_subdomain_prefix, &["a", "a-"], &["a--.", "-"]);
        check(qualified, &["a", "A_b.c", "example.org/A", &longest], &["", "a/", "/a", "Example.org/a", "a/b/c", "-a", "a b", &long]);
        check(annotation_key, &["Example.org/a", "A"], &["a b", "", &long]);
        check(label_value, &["", "a", "A.b_c-d", &longest], &["a b", "-", ".a", &long]);
        check(port_name, &["http", "a-b", "8080a"], &["", "HTTP", "80", "a--b", "abcdefghijklmnop", "-a", "a_b"]);
        check(env_name, &["A", "a.b", "1A", "A B", "~"], &["A=B", "é", "a\tb", "\u{7f}"]);
        check(config_key, &["a", ".a", "A_b-c"], &["a/b", ".", "..", "..a", " "]);
        check(header_name, &["X-Header"], &["", "X Header", "X_Y"]);
        check(csi_driver, &["Ebs.csi.aws.com"], &["", "a_b", &long]);
        check(sysctl, &["net.ipv4.tcp_syncookies", "net/ipv4/x"], &["", "Net.x", "a..b"]);
        check(search_domain, &["a", "a.b.", ".", "_srv.a"], &["", "A", "a..b", ".."]);
    }

    #[test]
    fn addresses_and_paths_are_those_that_api_servers_take() {
        check(
            ip,
            &["10.0.0.1", "010.0.0.1", "::1", "::ffff:1.2.3.4", "0:0:0:0:0:0:0:1", "127.000.000.001"],
            &["", "localhost", "10.0.0", "256.0.0.1", "fe80::1%eth0", "1.2.3.4.", ".1.2.3"],
        );
        check(descending_path, &["a", "a/", "a//b", "./a", "..a", ""], &["/a", "../a", "a/../b", ".."]);
        check(no_backsteps, &["/a", "a", "//a", "/a/..b"], &["/a/../b", ".."]);
        check(local_path, &["a/b", "a"], &["..a", "../a", "/a"]);
        check(image, &["a b", "app:", "$(X)"], &[" a", "a\n"]);
        check(hosts_with_ports, &["a:1", "a:1,[::1]:2"], &["", "a", "a:1,b", "::1"]);
        check(glob, &["*", "istio-*", "a?"], &["", "[a]", "App", "a.*"]);
    }
}
