//! Presets and certificates that change under traffic, as the kubelet changes mounted ones: no request fails, and none sees half of a change.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::client::{Client, Failures};
use crate::made::{Folder, certificate, labelling, labels_added, review};
use crate::process::{Served, eventually};

/// Swaps.
const SWAPS: usize = 20;

/// Asks until told to stop, half of the threads on one connection, the others on a new one each time.
fn traffic(
    server: &Served,
    failures: &Failures,
    during: impl FnOnce(&AtomicUsize),
    look: impl Fn(&Client, Vec<String>) -> Result<(), String> + Sync,
) {
    let (stop, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ask = |client: &mut Client| -> Result<(), String> {
        let answer = client.post("/mutate?timeout=10s", &review("traffic")).map_err(|error| error.to_string())?;
        if answer.status != 200 || answer.closes() {
            return Err(format!("{answer:?}"));
        }
        answers.fetch_add(1, Ordering::SeqCst);
        look(client, labels_added(&answer.json()))
    };
    struct Stop<'s>(&'s AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        for number in 0..6 {
            let (stop, ask) = (&stop, &ask);
            scope.spawn(move || {
                let mut kept = server.connect();
                while !stop.load(Ordering::SeqCst) {
                    let asked = if number % 2 == 0 {
                        ask(&mut kept)
                    } else {
                        Client::connect(server.webhook).map_err(|error| error.to_string()).and_then(|mut client| ask(&mut client))
                    };
                    if let Err(error) = asked {
                        failures.add(error);
                    }
                    std::thread::sleep(Duration::from_millis(4));
                }
            });
        }
        during(&answers);
        eventually("a thousand requests", || answers.load(Ordering::SeqCst) > 1_000);
    });
}

#[test]
fn presets_that_belong_together_change_together() {
    let folder = Folder::new();
    let mount = |number: usize| {
        let (one, two) = (labelling("one", &number.to_string()), labelling("two", &number.to_string()));
        // In odd versions they are in one file and in even ones in two.
        match number % 2 {
            0 => folder.mount(&[("a.yaml", &one), ("b.yaml", &two)]),
            _ => folder.mount(&[("a.yaml", ""), ("b.yaml", &format!("{one}---\n{two}"))]),
        }
    };
    mount(0);
    let server = Served::start(&["--presets", folder.text()]);
    let failures = Failures::default();
    let newest = AtomicUsize::new(0);
    let swap = |_: &AtomicUsize| {
        for number in 1..=SWAPS {
            mount(number);
            // Every third swap comes before the last one can have been seen.
            if number % 3 != 0 || number == SWAPS {
                let wanted = [format!("one={number}"), format!("two={number}")];
                eventually("the swap is in force", || labels_added(&server.connect().review(&review("look")).json()) == wanted);
                newest.store(number, Ordering::SeqCst);
            }
        }
    };
    traffic(&server, &failures, swap, |_, labels| {
        let numbers: Vec<&str> = labels.iter().filter_map(|label| label.split_once('=')).map(|(_, number)| number).collect();
        match numbers.as_slice() {
            [one, two] if one == two => Ok(()),
            _ => Err(format!("half a change: {labels:?}")),
        }
    });
    failures.assert_none();
    assert_eq!(newest.load(Ordering::SeqCst), SWAPS);
    let answer = labels_added(&server.connect().review(&review("last")).json());
    assert_eq!(answer, [format!("one={SWAPS}"), format!("two={SWAPS}")]);
    assert_eq!(server.metric("podgraft_reloads_total{what=\"presets\",result=\"error\"}"), 0.0);
    assert_eq!(server.metric("podgraft_reviews_total{outcome=\"error\"}"), 0.0);
}

#[test]
fn certificates_are_swapped_under_traffic() {
    let (presets, files) = (Folder::holding("a.yaml", &labelling("one", "1")), Folder::new());
    let pairs: Vec<_> = (0..=SWAPS).map(|_| certificate(-3600, 3600)).collect();
    let mount = |number: usize| files.mount(&[("tls.crt", &pairs[number].cert), ("tls.key", &pairs[number].key)]);
    mount(0);
    let (cert, key) = (files.file("tls.crt"), files.file("tls.key"));
    let server = Served::start(&["--presets", presets.text(), "--tls-cert", &cert, "--tls-key", &key]);
    let failures = Failures::default();
    let swap = |_: &AtomicUsize| {
        for number in 1..=SWAPS {
            mount(number);
            if number % 3 != 0 || number == SWAPS {
                eventually("the swap is in force", || server.connect().certificate() == pairs[number].der);
            }
        }
    };
    // A handshake with another certificate's key would fail.
    traffic(&server, &failures, swap, |client, _| {
        let shown = client.certificate();
        if pairs.iter().any(|pair| pair.der == shown) { Ok(()) } else { Err("a certificate that never was".to_owned()) }
    });
    failures.assert_none();
    assert_eq!(server.connect().certificate(), pairs[SWAPS].der);
    assert_eq!(server.metric("podgraft_reloads_total{what=\"certificate\",result=\"error\"}"), 0.0);
}
