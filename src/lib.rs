//! Podgraft grafts presets and sidecars onto Pods.
//!
//! The story of one `AdmissionReview`. The API server sends it over TLS; [`server::listen`] has accepted the connection, [`server::http`] reads
//! the body, no more of it than is allowed. [`admit::answer`] does the rest, text in, text out:
//!
//! 1. [`review`] decodes the request. Of the object it makes a [`tree`]: one flat vector of nodes that borrow from the body.
//! 2. [`decide`] skips what is not ours, each time with a name, and asks [`merge`] for the rest.
//! 3. [`merge`] selects presets from the [`preset::PresetSet`], an immutable snapshot with an index, and grafts their [`fragment`]s onto a
//!    [`draft::Draft`]: a working copy that records each operation as it is done. Equality is that of Kubernetes after its own defaulting
//!    ([`equality`], with the tables of [`schema`]). Where a preset meets something else, a [`conflict::Conflict`] is noted, and the preset's policy
//!    decides who yields.
//! 4. [`patch`] applies the recorded operations to a second view of the received object, independently of the merge, and merges once more: only
//!    a patch that gives the working copy, and then nothing more, is sent.
//! 5. [`report`] words the warnings and audit annotations, [`review`] encodes the answer.
//!
//! Presets come the other way: [`document`] reads text ([`yaml`] with the place of every node) into a [`preset::PresetSpec`] or says everything that
//! is wrong with it, [`preset::Preset::compile`] prepares what it adds, [`server::store`] puts all of them in force at once.
//!
//! The command line ([`cli`]) runs the same engine through [`graft`]. What is here but for [`cli`] and [`server`] is pure: no socket, no clock, no
//! randomness; the same input gives the same bytes.

#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::panic, clippy::unreachable, clippy::unwrap_used))]

pub mod admit;
#[cfg(feature = "server")]
pub mod cli;
pub mod conflict;
pub mod crd;
pub mod decide;
pub mod document;
pub mod draft;
pub mod equality;
pub mod fragment;
pub mod graft;
pub mod merge;
pub mod patch;
pub mod pod;
pub mod preset;
pub mod quantity;
pub mod report;
pub mod resources;
pub mod review;
pub mod schema;
pub mod selector;
#[cfg(feature = "server")]
pub mod server;
pub mod tree;
pub mod yaml;
