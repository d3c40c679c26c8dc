//! A server in a process of its own, on a core of its own, and what the kernel says about it.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::load::Connection;

/// The core of the server; the client has the other.
const CORE: &str = "0";

/// A server that runs.
pub struct Served {
    child: Child,
    pub port: u16,
    /// From its start to the first answer over TLS.
    pub start: Duration,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}

impl Served {
    /// Starts a program with what `arguments` makes of a port, and waits until it answers the request.
    pub async fn start(program: &str, arguments: impl Fn(u16) -> Vec<String>, request: &[u8]) -> Served {
        let port = free_port();
        let mut command = Command::new("taskset");
        command.args(["-c", CORE, program]).args(arguments(port)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let child = command.spawn().expect("taskset and the program");
        let mut served = Served { child, port, start: Duration::ZERO };
        loop {
            if let Ok(mut connection) = Connection::open(port).await
                && connection.ask(request).await.is_ok()
            {
                served.start = began.elapsed();
                return served;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{program} does not answer");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }

    /// Processor time of all its threads, also of those that have ended, to a hundredth of a second.
    pub fn processor(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("its status");
        // After the name, which may hold anything: user and system time are the 12th and 13th (proc(5)).
        let figures = stat.rsplit_once(')').map_or("", |(_, figures)| figures).split_whitespace();
        let ticks: u64 = figures.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// A figure of `/proc/PID/status` in KiB: `VmRSS`, or `VmHWM`, the most it ever was.
    pub fn memory(&self, what: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("the figure");
        line.trim_matches(|letter: char| !letter.is_ascii_digit()).parse().expect("a number")
    }
}
