//! The answer to a review of presets: allowed, or refused in the words that kubectl prints best.

use crate::tree::write_json_string;

/// Why an object is refused.
#[derive(Clone, Copy, Debug)]
pub enum Refused<'r> {
    /// It is not valid: 422. kubectl prints each cause on a line of its own; others print the message.
    Invalid {
        /// The object's kind.
        kind: &'r str,
        /// The object's name.
        name: &'r str,
        /// Each with its place.
        causes: &'r [Cause],
        /// All of it in one text.
        message: &'r str,
    },
    /// Its author may not: 403.
    Forbidden(&'r str),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Where in the object: `data[logs.yaml]`, `spec.env[0].value`.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Writes the AdmissionReview that answers the request with this uid.
#[must_use]
pub fn answer(uid: &str, refused: Option<&Refused<'_>>, warnings: &[String]) -> String {
    let mut out = String::from("{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"response\":{\"uid\":");
    write_json_string(uid, &mut out);
    match refused {
        None => out.push_str(",\"allowed\":true"),
        Some(refused) => {
            out.push_str(",\"allowed\":false,\"status\":{\"status\":\"Failure\",");
            status(refused, &mut out);
            out.push('}');
        }
    }
    if !warnings.is_empty() {
        out.push_str(",\"warnings\":[");
        for (count, warning) in warnings.iter().enumerate() {
            out.push_str(if count > 0 { "," } else { "" });
            write_json_string(warning, &mut out);
        }
        out.push(']');
    }
    out.push_str("}}");
    out
}

fn status(refused: &Refused<'_>, out: &mut String) {
    match refused {
        Refused::Forbidden(message) => {
            out.push_str("\"code\":403,\"reason\":\"Forbidden\",\"message\":");
            write_json_string(message, out);
        }
        Refused::Invalid { kind, name, causes, message } => {
            out.push_str("\"code\":422,\"reason\":\"Invalid\",\"message\":");
            write_json_string(message, out);
            out.push_str(",\"details\":{\"kind\":");
            write_json_string(kind, out);
            out.push_str(",\"name\":");
            write_json_string(name, out);
            out.push_str(",\"causes\":[");
            for (count, Cause { field, message }) in causes.iter().enumerate() {
                out.push_str(if count > 0 { ",{" } else { "{" });
                out.push_str("\"reason\":\"FieldValueInvalid\",\"field\":");
                write_json_string(field, out);
                out.push_str(",\"message\":");
                write_json_string(message, out);
                out.push('}');
            }
            out.push_str("]}");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_status_as_kubectl_reads_it() {
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap()["response"].clone();
        assert_eq!(read(&answer("a\"b", None, &[])), json!({"uid": "a\"b", "allowed": true}));
        assert_eq!(
            read(&answer("u", Some(&Refused::Forbidden("no")), &["w".to_owned(), "x".to_owned()])),
            json!({"uid": "u", "allowed": false, "warnings": ["w", "x"],
                "status": {"status": "Failure", "code": 403, "reason": "Forbidden", "message": "no"}})
        );
        let causes = [Cause { field: "data[a]".to_owned(), message: "bad".to_owned() }];
        let refused = Refused::Invalid { kind: "ConfigMap", name: "p", causes: &causes, message: "all" };
        assert_eq!(
            read(&answer("u", Some(&refused), &[]))["status"],
            json!({"status": "Failure", "code": 422, "reason": "Invalid", "message": "all", "details": {"kind": "ConfigMap", "name": "p",
                "causes": [{"reason": "FieldValueInvalid", "field": "data[a]", "message": "bad"}]}})
        );
    }
}
