//! What must not grow: memory and open files, however many reviews are answered, and however often presets and certificates change.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::client::{Client, Failures};
use crate::made::{Folder, certificate, labelling, labels_added, review};
use crate::process::{Process, eventually};

const MIB: u64 = 1 << 20;

/// Reviews, and for each ten thousand of them a rotation, ten at least. `PODGRAFT_TEST_REVIEWS=1000000` asks for a million and a hundred, which
/// takes some minutes.
fn reviews() -> usize {
    std::env::var("PODGRAFT_TEST_REVIEWS").map_or(20_000, |number| number.parse().expect("PODGRAFT_TEST_REVIEWS is no number"))
}

/// Four callers, whose connections last for fifty reviews each.
#[derive(Default)]
struct Callers {
    answers: AtomicUsize,
    failures: Failures,
    over: AtomicBool,
}

impl Callers {
    /// Calls while something is done, and until it is.
    fn during(&self, server: &Process, work: impl FnOnce()) {
        /// They end also where the work does not succeed.
        struct Over<'o>(&'o AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        std::thread::scope(|scope| {
            let _over = Over(&self.over);
            for _ in 0..4 {
                scope.spawn(|| {
                    while !self.over.load(Ordering::Relaxed) {
                        if let Err(failure) = self.call(server) {
                            self.failures.add(failure);
                            break;
                        }
                    }
                });
            }
            work();
        });
        self.failures.assert_none();
    }

    fn call(&self, server: &Process) -> Result<(), String> {
        let mut client = Client::connect(server.webhook).map_err(|error| error.to_string())?;
        for _ in 0..50 {
            let answer = client.post("/mutate?timeout=10s", &review("lasting")).map_err(|error| error.to_string())?;
            if answer.status != 200 || labels_added(&answer.json()).len() != 1 {
                return Err(format!("{answer:?}"));
            }
            self.answers.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Waits for so many answers, as long as none fails.
    fn until(&self, wanted: usize) {
        while self.answers.load(Ordering::Relaxed) < wanted {
            self.failures.assert_none();
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The most of a few looks: a connection may come or go between two of the figures of one.
fn files(server: &Process) -> usize {
    (0..5).map(|_| server.files()).max().unwrap()
}

#[test]
fn memory_and_open_files_stay_as_they_are() {
    let wanted = reviews();
    let rotations = (wanted / 10_000).max(10);
    let (presets, certs) = (Folder::new(), Folder::new());
    let mount = |number: usize| {
        let pair = certificate(-3600, 3600 + i64::try_from(number).unwrap());
        certs.mount(&[("tls.crt", &pair.cert), ("tls.key", &pair.key)]);
        presets.mount(&[("a.yaml", &labelling("round", &number.to_string()))]);
        pair
    };
    mount(0);
    let (cert, key) = (certs.file("tls.crt"), certs.file("tls.key"));
    let server = Process::start(&["--presets", presets.text(), "--tls-cert", &cert, "--tls-key", &key]);
    let callers = Callers::default();
    // Threads, pools and the allocator have what they need after a fifth.
    let mut early = (0, 0);
    callers.during(&server, || {
        for number in 1..=rotations {
            let pair = mount(number);
            eventually("pair and presets are in force", || {
                let mut client = server.connect();
                let labels = labels_added(&client.review(&review("look")).json());
                client.certificate() == pair.der && labels == [format!("round={number}")]
            });
            if number == rotations.div_ceil(5) {
                callers.until(wanted / 5);
                early = (server.resident(), files(&server));
            }
        }
        callers.until(wanted);
    });
    let (memory, open) = early;
    eventually("no more files to be open than after a fifth", || server.files() <= open);
    let now = server.resident();
    println!(
        "{} reviews, {rotations} rotations: resident {:.1} MiB after a fifth and {:.1} at the end, open files {open} and {}",
        callers.answers.load(Ordering::Relaxed),
        memory as f64 / MIB as f64,
        now as f64 / MIB as f64,
        server.files()
    );
    assert!(now <= memory + (memory / 8).max(4 * MIB), "{memory} bytes after a fifth, {now} at the end");
    assert_eq!(server.metric("podgraft_reloads_total{what=\"certificate\",result=\"ok\"}"), rotations as f64);
}
