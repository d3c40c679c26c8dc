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

    /// Processor time of all its threads, to the nanosecond. Threads that have ended are not in it.
    pub fn processor(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("its threads");
        let of = |task: fs::DirEntry| {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0)
        };
        Duration::from_nanos(tasks.flatten().map(of).sum())
    }

    /// A figure of `/proc/PID/status` in KiB: `VmRSS`, or `VmHWM`, the most it ever was.
    pub fn memory(&self, what: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("the figure");
        line.trim_matches(|letter: char| !letter.is_ascii_digit()).parse().expect("a number")
    }
}
