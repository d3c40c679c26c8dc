//! Memory during and after a burst of large bodies.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::client::{Client, request};
use crate::made::{Folder, labelling, large_review, review, wide_review};
use crate::process::{Process, eventually};

const MIB: u64 = 1 << 20;

/// One burst at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn after_a_burst_of_large_bodies_memory_is_given_back() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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
                    // 408: the machine was too busy to send it in time.
                    assert!(matches!(answer.status, 200 | 408 | 503), "{answer:?}");
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

#[test]
fn large_reviews_share_what_memory_there_is_for_them() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let presets = Folder::holding("a.yaml", &labelling("here", "yes"));
    let server = Process::start(&["--presets", presets.text(), "--max-body", "1MiB", "--review-memory", "2MiB", "--body-timeout", "2m"]);
    let body = large_review("large", 900 << 10);
    let all = request("/mutate", body.as_bytes());
    let (most, end) = all.split_at(all.len() - 10);
    // Two of which all but their ends have come leave no room for a third. Where the third is quicker, one of the two may find none: then once more.
    eventually("a third large one is shed, and the two are answered", || {
        let mut halves: Vec<Client> = (0..2).map(|_| server.connect()).collect();
        let sent = halves.iter_mut().all(|client| client.send(most).is_ok());
        let shed = server.connect().post("/mutate", &large_review("shed", 500 << 10)).is_ok_and(|answer| answer.status == 503);
        assert_eq!(server.connect().review(&review("small")).status, 200, "small ones are not counted");
        let answered = halves.iter_mut().all(|client| {
            let answer = client.send(end).and_then(|()| client.response());
            answer.is_ok_and(|answer| answer.status == 200 && answer.json()["response"]["uid"] == "large")
        });
        sent && shed && answered
    });
    assert!(server.metric("podgraft_reviews_total{outcome=\"shed\"}") >= 1.0);
    assert_eq!(server.connect().review(&large_review("after", 900 << 10)).status, 200, "what they held is given back");
    let wide = format!("[{}0]", "0,".repeat(100_000));
    server.connect().post("/mutate", &wide).unwrap().assert_error(413);
}

/// The chart's limit of memory, which docs/measured.md has from here.
#[test]
fn a_burst_of_the_largest_reviews_fits_the_memory_that_a_pod_has() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    const LIMIT: u64 = 512 * MIB;
    let presets = Folder::holding("a.yaml", &labelling("here", "yes"));
    let server = Process::start(&["--presets", presets.text()]);
    assert_eq!(server.connect().review(&review("small")).status, 200);
    let idle = server.resident();
    let most = (7 << 20) - 1000;
    let values = |text: &str, number: usize| {
        let list = text.repeat(number);
        review("values").replacen(r#""name":"app""#, &format!(r#""name":"app","args":[{}]"#, list.trim_end_matches(',')), 1)
    };
    let bodies = [
        ("one long text", large_review("large", most - 1000)),
        ("as dense as a Pod of 1.5 MiB can be", values(r#""","#, 500_000)),
        ("as many values as 7 MiB can have", values("1,", most / 2 - 1000)),
        ("150,000 variables", wide_review("wide", 150_000)),
    ];
    for (what, body) in &bodies {
        let (mut answered, mut refused) = (0, 0);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let call = || server.connect().post("/mutate", body).map_or(0, |answer| answer.status);
            let callers: Vec<_> = (0..64).map(|_| scope.spawn(call)).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        for status in statuses {
            match status {
                200 => answered += 1,
                // 0: it was shed while it was being sent, and did not read that. 408: the machine was too busy to send it in time.
                503 | 413 | 408 | 0 => refused += 1,
                other => panic!("{what}: {other}"),
            }
        }
        println!(
            "{what}, {} MiB: idle {} MiB, at the height {} MiB; {answered} answered, {refused} shed",
            body.len() as u64 / MIB,
            idle / MIB,
            server.peak() / MIB
        );
        assert!(server.peak() < LIMIT * 3 / 4, "{what}: {} MiB", server.peak() / MIB);
    }
    assert_eq!(server.connect().review(&review("small")).status, 200);
}
