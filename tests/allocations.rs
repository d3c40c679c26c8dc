//! How often one review allocates in the core. What grows here grows in every request.

#[path = "../benches/support/job.rs"]
mod job;

use job::Job;

/// Allocations for one review at most.
const MOST: u64 = 30;

fn allocations(body: String, presets: usize) -> u64 {
    let mut job = Job::new(body, job::presets(presets));
    let mut out = String::with_capacity(1 << 20);
    // The first fills the memory that a worker keeps.
    job.answer(&mut out);
    let measured = allocation_counter::measure(|| {
        job.answer(&mut out);
    });
    measured.count_total
}

#[test]
fn a_review_allocates_no_more_than_thirty_times() {
    let counts = [
        ("typical, 1 preset", allocations(job::TYPICAL.to_owned(), 1)),
        ("typical, 1,000 presets", allocations(job::TYPICAL.to_owned(), 1000)),
        ("900 KB, 1 preset", allocations(job::large(), 1)),
    ];
    println!("{counts:?}");
    for (review, count) in counts {
        assert!(count <= MOST, "{review}: {count} allocations, at most {MOST} are allowed");
    }
}
