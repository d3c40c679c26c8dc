//! Answers one review again and again and does nothing else: callgrind counts its instructions (`benches/gates.sh`).
//!
//! `instructions typical|large PRESETS TIMES`

#[path = "support/job.rs"]
mod job;

use job::Job;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    // `cargo bench` without a filter runs it too.
    let [body, presets, times] = &args[..] else { return };
    let body = if body == "large" { job::large() } else { job::TYPICAL.to_owned() };
    let mut job = Job::new(body, job::presets(presets.parse().expect("a number of presets")));
    let mut out = String::with_capacity(8192);
    for _ in 0..times.parse().expect("a number of times") {
        job.answer(&mut out);
    }
}
