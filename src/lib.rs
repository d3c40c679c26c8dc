//! Podgraft grafts presets and sidecars onto Pods.
pub mod conflict;
pub mod preset;
pub mod selector;
pub mod tree;
