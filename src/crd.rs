//! The custom resource definitions, written from the table that the reader of documents uses: `deploy/chart/files/crds/` has them as files, and a
//! test keeps those equal.
//!
//! The schemas are structural (Kubernetes documentation, "Custom Resources: specifying a structural schema"). What is Pod-shaped passes
//! through untouched, whatever the version of the API server; nothing is defaulted, so the version of a preset is that of its document.

use std::fmt::Write;

use crate::document::GROUP;
use crate::document::outline::{EXPRESSION, Field, OPERATORS, Of, SELECTOR, SPEC, Shape};

/// The kinds.
pub const KINDS: [Kind; 2] = [
    Kind { kind: "PodPreset", plural: "podpresets", singular: "podpreset", short: "pp", cluster: false, longest_name: 53 },
    Kind {
        kind: "ClusterPodPreset",
        plural: "clusterpodpresets",
        singular: "clusterpodpreset",
        short: "cpp",
        cluster: true,
        longest_name: 46,
    },
];

/// The version.
pub const VERSION: &str = "v1beta1";

/// One kind.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// As in `PodPreset`.
    pub kind: &'static str,
    /// As in `podpresets`.
    pub plural: &'static str,
    singular: &'static str,
    short: &'static str,
    /// Whether it belongs to no namespace.
    pub cluster: bool,
    longest_name: usize,
}

/// Columns of `kubectl get`: name, type, path, and whether it takes `-o wide`.
const COLUMNS: [(&str, &str, &str, bool); 6] = [
    ("Mode", "string", ".spec.mode", false),
    ("Priority", "integer", ".spec.priority", false),
    ("Conflict policy", "string", ".spec.conflictPolicy", false),
    ("Ready", "string", ".status.conditions[?(@.type==\\\"Ready\\\")].status", false),
    ("Conflicting", "string", ".status.conditions[?(@.type==\\\"Conflicting\\\")].status", true),
    ("Age", "date", ".metadata.creationTimestamp", false),
];

impl Kind {
    /// The definition, as YAML.
    #[must_use]
    pub fn definition(&self) -> String {
        let Kind { kind, plural, singular, short, cluster, longest_name } = self;
        let scope = if *cluster { "Cluster" } else { "Namespaced" };
        let about = if *cluster {
            "What Pods of all namespaces that it selects get when they are created."
        } else {
            "What Pods of its namespace get when they are created."
        };
        let mut out = Lines(String::new());
        out.put(0, "# Written by src/crd.rs: change it there.");
        out.put(0, "apiVersion: apiextensions.k8s.io/v1");
        out.put(0, "kind: CustomResourceDefinition");
        out.put(0, &format!("metadata: {{name: {plural}.{GROUP}}}"));
        out.put(0, "spec:");
        out.put(2, &format!("group: {GROUP}"));
        out.put(2, &format!("scope: {scope}"));
        out.put(
            2,
            &format!("names: {{kind: {kind}, listKind: {kind}List, plural: {plural}, singular: {singular}, shortNames: [{short}]}}"),
        );
        out.put(2, "versions:");
        out.put(4, &format!("- name: {VERSION}"));
        out.put(6, "served: true");
        out.put(6, "storage: true");
        out.put(6, "subresources: {status: {}}");
        out.put(6, "additionalPrinterColumns:");
        for (name, kind, path, wide) in COLUMNS {
            let wide = if wide { ", priority: 1" } else { "" };
            out.put(8, &format!("- {{name: {name}, type: {kind}, jsonPath: \"{path}\"{wide}}}"));
        }
        out.put(6, "schema:");
        out.put(8, "openAPIV3Schema:");
        out.put(10, "type: object");
        out.about(10, about);
        out.put(10, "required: [spec]");
        out.put(10, "properties:");
        out.put(12, "apiVersion: {type: string}");
        out.put(12, "kind: {type: string}");
        out.put(12, &format!("metadata: {{type: object, properties: {{name: {{type: string, maxLength: {longest_name}}}}}}}"));
        out.put(12, "spec:");
        out.put(14, "type: object");
        out.put(14, "required: [selector]");
        out.put(14, "properties:");
        for field in SPEC.iter().filter(|field| *cluster || field.of != Of::Cluster) {
            out.field(16, field);
        }
        out.status(12);
        out.0
    }
}

struct Lines(String);

impl Lines {
    fn put(&mut self, column: usize, text: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "{:column$}{text}", "");
    }

    /// A sentence, in quotes that YAML and JSON read alike.
    fn about(&mut self, column: usize, text: &str) {
        self.put(column, &format!("description: \"{text}\""));
    }

    fn field(&mut self, column: usize, field: &Field) {
        self.put(column, &format!("{}:", field.name));
        let inner = column + 2;
        self.about(inner, field.about);
        match field.shape {
            Shape::Selector => self.selector(inner),
            Shape::Integer => {
                self.put(inner, "type: integer");
                self.put(inner, "format: int64");
            }
            Shape::Boolean => self.put(inner, "type: boolean"),
            Shape::Words(words) => {
                self.put(inner, "type: string");
                self.put(inner, &format!("enum: [{}]", words.join(", ")));
            }
            Shape::Texts => {
                self.put(inner, "type: array");
                self.put(inner, "items: {type: string}");
            }
            // A word or an object: no type says that.
            Shape::Place => self.put(inner, "x-kubernetes-preserve-unknown-fields: true"),
            Shape::Fields(fields) => {
                self.put(inner, "type: object");
                self.put(inner, "properties:");
                for field in fields {
                    self.field(inner + 2, field);
                }
            }
            Shape::PodList => {
                self.put(inner, "type: array");
                self.put(inner, "items: {type: object, x-kubernetes-preserve-unknown-fields: true}");
            }
            Shape::PodShaped => {
                self.put(inner, "type: object");
                self.put(inner, "x-kubernetes-preserve-unknown-fields: true");
            }
        }
    }

    fn selector(&mut self, column: usize) {
        let [labels, expressions] = SELECTOR;
        let [key, operator, values] = EXPRESSION;
        self.put(column, "type: object");
        self.put(column, "properties:");
        self.put(column + 2, &format!("{labels}: {{type: object, additionalProperties: {{type: string}}}}"));
        self.put(column + 2, &format!("{expressions}:"));
        self.put(column + 4, "type: array");
        self.put(column + 4, "items:");
        self.put(column + 6, "type: object");
        self.put(column + 6, &format!("required: [{key}, {operator}]"));
        self.put(column + 6, "properties:");
        self.put(column + 8, &format!("{key}: {{type: string}}"));
        self.put(column + 8, &format!("{operator}: {{type: string, enum: [{}]}}", OPERATORS.join(", ")));
        self.put(column + 8, &format!("{values}: {{type: array, items: {{type: string}}}}"));
    }

    fn status(&mut self, column: usize) {
        self.put(column, "status:");
        self.put(column + 2, "type: object");
        self.about(column + 2, "What Podgraft says about it.");
        self.put(column + 2, "properties:");
        self.put(column + 4, "observedGeneration: {type: integer, format: int64}");
        self.put(column + 4, "version:");
        self.about(column + 6, "What is recorded on Pods that get it: a digest of kind and spec.");
        self.put(column + 6, "type: string");
        self.put(column + 4, "conditions:");
        self.put(column + 6, "type: array");
        self.put(column + 6, "x-kubernetes-list-type: map");
        self.put(column + 6, "x-kubernetes-list-map-keys: [type]");
        self.put(column + 6, "items:");
        self.put(column + 8, "type: object");
        self.put(column + 8, "required: [type, status, reason, message, lastTransitionTime]");
        self.put(column + 8, "properties:");
        self.put(column + 10, "type: {type: string, maxLength: 316}");
        self.put(column + 10, "status: {type: string, enum: [\"True\", \"False\", Unknown]}");
        self.put(column + 10, "reason: {type: string, minLength: 1, maxLength: 1024}");
        self.put(column + 10, "message: {type: string, maxLength: 32768}");
        self.put(column + 10, "lastTransitionTime: {type: string, format: date-time}");
        self.put(column + 10, "observedGeneration: {type: integer, format: int64, minimum: 0}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `PODGRAFT_WRITE` set the files are written instead.
    #[test]
    fn the_files_of_the_chart_are_what_is_written_here() {
        for kind in KINDS {
            let (path, text) = (format!("deploy/chart/files/crds/{}.yaml", kind.plural), kind.definition());
            if std::env::var_os("PODGRAFT_WRITE").is_some() {
                std::fs::create_dir_all("deploy/chart/files/crds").unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            let file = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(file == text, "{path} is not what src/crd.rs writes: run `PODGRAFT_WRITE=1 cargo test --lib the_files_of_the_chart`");
        }
    }
}
