//! A real control plane for tests: unmodified etcd, kube-apiserver and kube-controller-manager as plain processes on loopback, and
//! Podgraft in front of them.
//!
//! [`plane::Plane`] is one control plane, shared by all stories of a run. [`story::Story`] is what a test works with: its own
//! namespaces, and the Podgrafts that it starts. Whatever is started is held by [`held`], which ends it also where nobody is left to.

pub mod account;
pub mod api;
pub mod authority;
pub mod built;
pub mod cert_manager;
pub mod endpoint;
pub mod front;
pub mod held;
pub mod installed;
pub mod kubectl;
pub mod nodes;
pub mod parts;
pub mod plane;
pub mod podgraft;
pub mod runs;
pub mod stage;
pub mod story;
pub mod tools;
pub mod wait;

/// Why there is no control plane: a sentence for the person who ran the tests.
pub type Trouble = String;

/// Says something at once, past what a test runner captures.
pub fn say(text: &str) {
    use std::io::Write;
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
