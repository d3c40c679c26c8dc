//! The pull policy that an image reference stands for.

/// `imagePullPolicy` as the API server fills it in: the name is read as an image reference of the distribution project; where it can't be
/// read, `IfNotPresent`; with the tag `latest`, or with neither tag nor digest, `Always`; else `IfNotPresent`
/// (`SetDefaults_Container`, `parsers.ParseImageName`).
#[must_use]
pub fn pull_policy(image: &str) -> &'static str {
    match parts(image) {
        Some((Some("latest"), _) | (None, false)) => "Always",
        _ => "IfNotPresent",
    }
}

/// The tag, and whether there is a digest (`reference.ParseNormalizedNamed`). `None`: not a reference.
fn parts(image: &str) -> Option<(Option<&str>, bool)> {
    if image.len() == 64 && image.bytes().all(is_lower_hex) {
        return None;
    }
    let (domain, remainder) = split_domain(image);
    let remote = remainder.split(':').next().unwrap_or(remainder);
    if remote.contains(char::is_uppercase) {
        return None;
    }
    let (tagged, digest) = match remainder.split_once('@') {
        Some((tagged, digest)) => (tagged, Some(digest)),
        None => (remainder, None),
    };
    // A colon before the last slash is none of a tag.
    let (path, tag) = match tagged.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (tagged, None),
    };
    // Without a domain of its own a name gets one that is valid, and one of a single component a library before it; neither changes what
    // is valid, except that it counts for the length.
    let library = if domain.is_none() && !remainder.contains('/') { "library/".len() } else { 0 };
    let named = match domain {
        Some(domain) if is_domain(domain) => is_path(path) && path.len() <= 255,
        // A domain that is none can still be the first component of a path.
        Some(domain) => is_path(domain) && is_path(path) && domain.len() + 1 + path.len() <= 255,
        None => is_path(path) && path.len() + library <= 255,
    };
    (named && tag.is_none_or(is_tag) && digest.is_none_or(is_digest)).then_some((tag, digest.is_some()))
}

/// `splitDockerDomain`: the first component is a domain where it looks like one.
fn split_domain(image: &str) -> (Option<&str>, &str) {
    match image.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" || first.contains(char::is_uppercase) => {
            // What the project's own registry was called, and is.
            if first == "docker.io" || first == "index.docker.io" { (None, rest) } else { (Some(first), rest) }
        }
        _ => (None, image),
    }
}

fn is_domain(text: &str) -> bool {
    let host = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => {
                let valid = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
                return valid && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
            }
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) if is_port(port) => host,
            Some(_) => return false,
            None => text,
        },
    };
    host.split('.').all(|label| {
        let bytes = label.as_bytes();
        let ends = [bytes.first(), bytes.last()].into_iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric));
        ends && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    })
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_path(text: &str) -> bool {
    text.split('/').all(is_component)
}

/// Lower case letters and digits, with single dots, one or two underscores or any number of dashes between them.
fn is_component(text: &str) -> bool {
    let is_atom = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators = text.split(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit());
    text.bytes().next().is_some_and(is_atom)
        && text.bytes().last().is_some_and(is_atom)
        && separators.into_iter().all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-'))
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().next().is_some_and(is_word) && text.len() <= 128 && text.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

/// A digest of an algorithm that the server knows (`go-digest`).
fn is_digest(text: &str) -> bool {
    let length = match text.split_once(':') {
        Some(("sha256", hex)) => (64, hex),
        Some(("sha384", hex)) => (96, hex),
        Some(("sha512", hex)) => (128, hex),
        _ => return false,
    };
    length.1.len() == length.0 && length.1.bytes().all(is_lower_hex)
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `<64 times 0>` spelt out.
    fn spelt(text: &str) -> String {
        let Some((before, rest)) = text.split_once('<') else {
            return text.to_owned();
        };
        let (inside, after) = rest.split_once('>').unwrap();
        let (count, letter) = inside.split_once(" times ").unwrap();
        format!("{before}{}{after}", letter.repeat(count.parse().unwrap()))
    }

    #[test]
    fn every_recorded_example_is_met() {
        let defaults: serde_json::Value = serde_json::from_str(include_str!("../../kubernetes/pod-defaults.json")).unwrap();
        let examples = defaults["pull policy"]["examples"].as_object().unwrap();
        assert!(examples.len() >= 30);
        for (image, policy) in examples {
            assert_eq!(pull_policy(&spelt(image)), policy.as_str().unwrap(), "{image}");
        }
        let values: serde_json::Value = serde_json::from_str(include_str!("../../kubernetes/pod-values.json")).unwrap();
        for row in values["values"]["image pull policy of an image volume"].as_array().unwrap() {
            let image = row["sent"].as_str().unwrap();
            assert_eq!(pull_policy(&spelt(image)), row["returned"].as_str().unwrap(), "{image}");
        }
    }

    #[test]
    fn what_the_examples_leave_open() {
        let (sha512, short) = ("0".repeat(128), "0".repeat(32));
        let (long, longest) = ("a".repeat(247), format!("r.example.org/{}", "a".repeat(256)));
        for (image, policy) in [
            ("", "IfNotPresent"),
            ("[::1]:5000/app", "Always"),
            ("[::1]/app:1", "IfNotPresent"),
            ("[::1/app", "IfNotPresent"),
            ("localhost/app", "Always"),
            ("docker.io/app", "Always"),
            ("App/app", "Always"),
            ("-r.example.org/app", "IfNotPresent"),
            ("a.b_c/app", "Always"),
            ("r:port/app", "IfNotPresent"),
            ("a--b/c.d", "Always"),
            ("a..b", "IfNotPresent"),
            ("a/b:c/d", "IfNotPresent"),
            ("é", "IfNotPresent"),
            (&format!("app@sha512:{sha512}"), "IfNotPresent"),
            (&format!("app:latest@sha512:{sha512}"), "Always"),
            (&format!("app:latest@md5:{short}"), "IfNotPresent"),
            (&long, "Always"),
            (&format!("{long}a"), "IfNotPresent"),
            (&longest, "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }
}
