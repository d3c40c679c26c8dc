//! The command line, as the program that is built: what it writes, where, and with which exit status.

mod support;

#[path = "cli/cases.rs"]
mod cases;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/shell.rs"]
mod shell;
#[path = "cli/text.rs"]
mod text;
#[path = "cli/transcripts.rs"]
mod transcripts;
#[path = "cli/workloads.rs"]
mod workloads;
