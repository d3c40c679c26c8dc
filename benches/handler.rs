//! The whole handler over TLS, beside an echo server of the same libraries, in one run: pairs of measurements, their ratio, the median of the
//! ratios. One core for the server, one for the client. Absolute figures mean little elsewhere; prints the table of limits with the figures.

#[path = "support/child.rs"]
mod child;
#[path = "support/echo.rs"]
mod echo;
#[path = "support/job.rs"]
#[expect(dead_code, reason = "the server does the job here, only what it is about is needed")]
mod job;
#[path = "support/load.rs"]
mod load;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use child::Served;
use podgraft::preset::PresetSet;

/// Pairs of measurements.
const PAIRS: usize = 7;

struct Row {
    figure: &'static str,
    must: f64,
    aim: f64,
    unit: &'static str,
    /// Whether more is better.
    more: bool,
    measured: Option<f64>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [role, port] = &arguments[..]
        && role == "echo"
    {
        return echo::serve(port.parse().expect("a port"));
    }
    // The client's core; an error means that there is only one, or no taskset, and the children will say so.
    let _ = Command::new("taskset").args(["-a", "-p", "-c", "1", &std::process::id().to_string()]).output();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rows = runtime.block_on(measure());
    println!("\n{:<62} {:>10} {:>9} {:>9}", "figure", "measured", "must", "aim");
    for Row { figure, must, aim, unit, more, measured } in rows {
        let Some(measured) = measured else {
            println!("{figure:<62} {:>10} {must:>9} {aim:>9} {unit}", "-");
            continue;
        };
        let holds = |limit: f64| if more { measured >= limit } else { measured <= limit };
        let word = if holds(aim) {
            "aim"
        } else if holds(must) {
            "must"
        } else {
            "MISSED"
        };
        println!("{figure:<62} {measured:>10.3} {must:>9} {aim:>9} {unit} {word}");
    }
}

/// A folder with files of a hundred presets each, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn of(presets: usize) -> Folder {
        let path = std::env::temp_dir().join(format!("podgraft-bench-{}-{presets}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        let numbers: Vec<usize> = (0..presets).collect();
        for (file, numbers) in numbers.chunks(100).enumerate() {
            let text: String = numbers.iter().map(|number| job::document(*number)).collect();
            fs::write(path.join(format!("{file}.yaml")), text).expect("a file");
        }
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn podgraft(presets: &Path, request: &[u8]) -> Served {
    let presets = presets.display().to_string();
    let arguments = |port: u16| {
        let (listen, admin) = (format!("127.0.0.1:{port}"), "127.0.0.1:0".to_owned());
        ["serve", "--kube", "off", "--presets", &presets, "--listen", &listen, "--admin", &admin].map(str::to_owned).to_vec()
    };
    Served::start(env!("CARGO_BIN_EXE_podgraft"), arguments, request).await
}

async fn echo(request: &[u8]) -> Served {
    let program = std::env::current_exe().expect("this program").display().to_string();
    Served::start(&program, |port| vec!["echo".to_owned(), port.to_string()], request).await
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What one pair of loads says: ratios of rate, processor time a request, median time, 99th percentile.
async fn pair(ours: &Served, theirs: &Served, request: &Arc<[u8]>, connections: usize, milliseconds: u64) -> [f64; 4] {
    let mut figures = Vec::new();
    for server in [theirs, ours] {
        let before = server.processor();
        let load = load::run(server.port, request, connections, Duration::from_millis(milliseconds)).await.expect("answers");
        let processor = (server.processor() - before).as_secs_f64() / load.answers as f64;
        figures.push([load.rate, processor, load.percentile(0.5), load.percentile(0.99)]);
    }
    std::array::from_fn(|index| figures[1][index] / figures[0][index])
}

async fn pairs(ours: &Served, theirs: &Served, request: &Arc<[u8]>, connections: usize, milliseconds: u64) -> [f64; 4] {
    let mut ratios: [Vec<f64>; 4] = Default::default();
    for _ in 0..PAIRS {
        let pair = pair(ours, theirs, request, connections, milliseconds).await;
        ratios.iter_mut().zip(pair).for_each(|(all, one)| all.push(one));
    }
    ratios.map(median)
}

async fn measure() -> Vec<Row> {
    let (typical, large) = (load::request(job::TYPICAL), load::request(&job::large()));
    let (one, hundred, ten_thousand) = (Folder::of(1), Folder::of(100), Folder::of(10_000));

    let mut starts = Vec::new();
    for _ in 0..PAIRS {
        starts.push(podgraft(&one.0, &typical).await.start.as_secs_f64() * 1e3);
    }
    let theirs = echo(&typical).await;
    let ours = podgraft(&hundred.0, &typical).await;
    let rss_hundred = ours.memory("VmRSS:") / 1024.0;
    let many = pairs(&ours, &theirs, &typical, 32, 1000).await;
    let single = pairs(&ours, &theirs, &typical, 1, 500).await;
    let big = pairs(&ours, &theirs, &large, 4, 800).await;
    let go = match golang(&typical).await {
        Some(go) => Some(pairs(&ours, &go, &typical, 32, 600).await[0]),
        None => None,
    };
    drop(ours);

    let (few, lots) = (podgraft(&one.0, &typical).await, podgraft(&ten_thousand.0, &typical).await);
    let rss_ten_thousand = lots.memory("VmRSS:") / 1024.0;
    let growth = pairs(&lots, &few, &typical, 32, 600).await[1];
    drop((few, lots, theirs));

    let mut peaks = Vec::new();
    for _ in 0..3 {
        let mut peak = [0.0; 2];
        for (index, server) in [podgraft(&hundred.0, &typical).await, echo(&typical).await].into_iter().enumerate() {
            load::run(server.port, &large, 40, Duration::from_secs(1)).await.expect("answers");
            peak[index] = server.memory("VmHWM:");
        }
        peaks.push(peak[0] / peak[1]);
    }

    let size = fs::metadata(env!("CARGO_BIN_EXE_podgraft")).map_or(0, |file| file.len()) as f64 / 1e6;
    let row = |figure, must, aim, unit, more, measured| Row { figure, must, aim, unit, more, measured };
    vec![
        row("req/s against the echo", 0.36, 0.58, "x", true, Some(many[0])),
        row("server CPU a request against the echo", 2.8, 1.7, "x", false, Some(many[1])),
        row("p99 against the echo's", 2.6, 1.6, "x", false, Some(many[3])),
        row("p50 on one connection against the echo's", 1.45, 1.25, "x", false, Some(single[2])),
        row("req/s against Go net/http with hand-made structs", 3.5, 6.0, "x", true, go),
        row("900 KB review, 4 connections, req/s against the echo", 0.22, 0.5, "x", true, Some(big[0])),
        row("CPU a request, 10,000 presets against 1", 1.15, 1.05, "x", false, Some(growth)),
        row("process start to first TLS answer", 20.0, 8.0, "ms", false, Some(median(starts))),
        row("RSS after load, 100 presets", 16.0, 10.0, "MiB", false, Some(rss_hundred)),
        row("RSS after load, 10,000 presets", 64.0, 32.0, "MiB", false, Some(rss_ten_thousand)),
        row("40 reviews of 900 KB in flight, peak RSS against the echo", 1.25, 1.1, "x", false, Some(median(peaks))),
        row("one preset changed of 10,000, in force after it was read", 50.0, 15.0, "ms", false, Some(change())),
        row("stripped binary, as it is linked here", 12.0, 8.0, "MB", false, Some(size)),
    ]
}

/// The snapshot of 10,000 presets made anew.
fn change() -> f64 {
    let presets = job::presets(10_000).presets().to_vec();
    let times = (0..PAIRS).map(|_| {
        let presets = presets.clone();
        let start = Instant::now();
        let set = PresetSet::new(presets);
        let took = start.elapsed().as_secs_f64() * 1e3;
        assert_eq!(set.presets().len(), 10_000);
        took
    });
    median(times.collect())
}

/// The Go server of `benches/go`, where there is Go.
async fn golang(request: &[u8]) -> Option<Served> {
    let program = std::env::temp_dir().join(format!("podgraft-bench-go-{}", std::process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/go");
    let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(source).status();
    if !built.is_ok_and(|status| status.success()) {
        println!("no Go here: that row is left out");
        return None;
    }
    let served = Served::start(&program.display().to_string(), |port| vec![port.to_string()], request).await;
    let _ = fs::remove_file(program);
    Some(served)
}
