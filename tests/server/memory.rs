//! Memory after a burst of large bodies.

use std::time::Duration;

use crate::made::{Folder, labelling, large_review, review, wide_review};
use crate::process::{Process, eventually};

const MIB: u64 = 1 << 20;

#[test]
fn after_a_burst_of_large_bodies_memory_is_given_back() {
    let presets = Folder::holding("a.yaml", &labelling("here", "yes"));
    let server = Process::start(&["--presets", presets.text()]);
    let small = || assert_eq!(server.connect().review(&review("small")).status, 200);
    (0..20).for_each(|_| small());
    let idle = server.resident();
    let burst = |number: usize, body: &str| {
        std::thread::scope(|scope| {
            for _ in 0..number {
                scope.spawn(|| {
                    let answer = server.connect().review(body);
                    assert!(matches!(answer.status, 200 | 503), "{answer:?}");
                });
            }
        });
    };
    burst(40, &large_review("large", 900 << 10));
    burst(12, &large_review("huge", (7 << 20) - 1000));
    burst(12, &wide_review("wide", 20_000));
    burst(4, &wide_review("wider", 150_000));
    let peak = server.resident();
    // Threads for large reviews end when they had nothing to do for ten seconds, and take their memory with them.
    let most = 2 * idle + 32 * MIB;
    let mut low = peak;
    eventually("memory is given back", || {
        std::thread::sleep(Duration::from_millis(200));
        low = low.min(server.resident());
        low <= most
    });
    println!("idle {} MiB, after the burst {} MiB, then {} MiB", idle / MIB, peak / MIB, low / MIB);
    small();
}
