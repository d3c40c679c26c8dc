//! Parts of one review in the core, side by side in one run. Only ratios carry over to another machine.

#[path = "support/job.rs"]
mod job;

use std::hint::black_box;
use std::time::Instant;

use job::Job;
use podgraft::review::AdmissionRequest;
use podgraft::tree::Tree;

const ROUNDS: usize = 15;

/// The median of rounds, in microseconds a time.
fn microseconds(times: u32, mut work: impl FnMut()) -> f64 {
    work();
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..times).for_each(|_| work());
            start.elapsed().as_secs_f64() * 1e6 / f64::from(times)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn main() {
    println!("{:<10} {:>8} {:>12} {:>12} {:>12} {:>12}", "review", "presets", "read", "serde_json", "select", "answer");
    for (name, body, times) in [("typical", job::TYPICAL.to_owned(), 2000), ("900 KB", job::large(), 10)] {
        for presets in [1, 100, 10_000] {
            let mut memory = Some(Tree::new());
            let read = microseconds(times, || {
                let mut request = AdmissionRequest::decode(&body, memory.take().unwrap_or_default().recycle()).expect("a review");
                memory = request.object.take().map(Tree::recycle);
            });
            let mut memory = Some(Tree::new());
            let other = microseconds(times, || {
                let mut request = AdmissionRequest::decode_any(&body, memory.take().unwrap_or_default().recycle()).expect("a review");
                memory = request.object.take().map(Tree::recycle);
            });
            let mut job = Job::new(body.clone(), job::presets(presets));
            let labels = [("app", "web"), ("pod-template-hash", "57894f4454"), ("tier", "frontend")];
            let mut found = Vec::new();
            let select = microseconds(times, || {
                found.clear();
                job.presets.select("shop", labels.iter().copied(), black_box(&mut found));
            });
            let mut out = String::with_capacity(8192);
            let answer = microseconds(times, || {
                job.answer(black_box(&mut out));
            });
            println!("{name:<10} {presets:>8} {read:>10.2}us {other:>10.2}us {select:>10.3}us {answer:>10.2}us");
        }
    }
}
