//! The answer, written as it is sent.

use base64::Engine;
#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::tree::write_json_string;

/// Patches have some kilobytes: where the library knows the processor, it takes 24 bytes at a time.
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
static BASE64: std::sync::LazyLock<base64::engine::Simd> =
    std::sync::LazyLock::new(|| base64::engine::Simd::standard(base64::engine::general_purpose::PAD));

/// What is written of an AdmissionResponse.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionResponse<'r> {
    /// The request's.
    pub uid: &'r str,
    /// The message of a refusal; `None`: allowed.
    pub refused: Option<&'r str>,
    /// The JSON text of the patch; `None`: nothing to change.
    pub patch: Option<&'r str>,
    /// Lines for the user.
    pub warnings: &'r [String],
    /// For the audit log, in this order; empty ones are left out.
    pub audit_annotations: &'r [(&'r str, &'r str)],
}

impl AdmissionResponse<'_> {
    /// Appends the AdmissionReview that answers the request.
    pub fn encode(&self, out: &mut String) {
        out.push_str("{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"response\":{\"uid\":");
        write_json_string(self.uid, out);
        match self.refused {
            None => out.push_str(",\"allowed\":true"),
            Some(message) => {
                out.push_str(",\"allowed\":false,\"status\":{\"code\":403,\"reason\":\"Forbidden\",\"message\":");
                write_json_string(message, out);
                out.push('}');
            }
        }
        if let Some(patch) = self.patch {
            out.push_str(",\"patchType\":\"JSONPatch\",\"patch\":\"");
            BASE64.encode_string(patch, out);
            out.push('"');
        }
        if !self.warnings.is_empty() {
            out.push_str(",\"warnings\":[");
            for (count, warning) in self.warnings.iter().enumerate() {
                if count > 0 {
                    out.push(',');
                }
                write_json_string(warning, out);
            }
            out.push(']');
        }
        let mut annotations = self.audit_annotations.iter().filter(|(_, value)| !value.is_empty()).peekable();
        if annotations.peek().is_some() {
            out.push_str(",\"auditAnnotations\":{");
            for (count, (key, value)) in annotations.enumerate() {
                if count > 0 {
                    out.push(',');
                }
                write_json_string(key, out);
                out.push(':');
                write_json_string(value, out);
            }
            out.push('}');
        }
        out.push_str("}}");
    }
}
