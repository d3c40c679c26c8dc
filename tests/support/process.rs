//! The program as a process, and the server inside of the test's own process where its parts have to be reached.

#[path = "proc.rs"]
mod proc;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use podgraft::server::Server;
use podgraft::server::args::ServeArgs;
use podgraft::server::config::{Config, Surroundings};
use podgraft::server::reviewer::{Answer, Grafter};
use serde_json::Value;

use crate::client::{self, Client, PATIENCE};

/// Polls until it is so; panics when patience is over.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(15));
    }
}

/// The program without anything of the test's environment that would be a flag.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podgraft"));
    bare(&mut command);
    command
}

/// Takes what would be a flag out of a command's environment.
pub fn bare(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PODGRAFT_")) {
        command.env_remove(name);
    }
    command.env_remove("KUBERNETES_SERVICE_HOST").stdin(Stdio::null());
}

/// A running `podgraft serve` with a JSON log, on ports that the system chose.
pub struct Process {
    pub child: Child,
    pub webhook: SocketAddr,
    pub admin: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts it with these flags, and waits until it serves.
    pub fn start(flags: &[&str]) -> Process {
        let mut command = command();
        command.arg("serve").args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"]).args(flags);
        Process::of(command)
    }

    /// Waits until a command serves that is the program by itself, or becomes it.
    pub fn of(mut command: Command) -> Process {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || lines.map_while(Result::ok).for_each(|line| log.lock().unwrap().push(line))
        });
        let serving = || find(&log.lock().unwrap(), "serving");
        eventually("it serves", || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {:?}", log.lock().unwrap());
            serving().is_some()
        });
        let line = serving().unwrap();
        let address = |name: &str| line[name].as_str().unwrap().parse().unwrap();
        Process { webhook: address("webhook"), admin: address("admin"), child, log }
    }

    /// Everything that was logged until now.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// The first line of the log with this message.
    pub fn line(&self, message: &str) -> Option<Value> {
        find(&self.log.lock().unwrap(), message)
    }

    /// A new connection to the webhook.
    pub fn connect(&self) -> Client {
        Client::connect(self.webhook).unwrap()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// What it wrote to standard output, once it has ended.
    pub fn output(&mut self) -> String {
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// A metric, by name with labels as it is written.
    pub fn metric(&self, series: &str) -> f64 {
        metric(self.admin, series)
    }

    /// The status of `/readyz`.
    pub fn ready(&self) -> u16 {
        client::get(self.admin, "/readyz").unwrap().status
    }

    /// Resident memory, bytes.
    pub fn resident(&self) -> u64 {
        proc::memory(self.child.id(), "VmRSS")
    }

    /// The most that it ever had, bytes.
    pub fn peak(&self) -> u64 {
        proc::memory(self.child.id(), "VmHWM")
    }

    /// How many files it has open, but for connections to the webhook, which are their callers'.
    pub fn files(&self) -> usize {
        proc::files_besides(self.child.id(), self.metric("podgraft_connections"))
    }

    /// Processor time spent, in hundredths of a second (`proc(5)`: utime and stime).
    pub fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find(log: &[String], message: &str) -> Option<Value> {
    log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|line| line["message"] == message)
}

/// A metric that an admin port shows.
pub fn metric(admin: SocketAddr, series: &str) -> f64 {
    let text = client::get(admin, "/metrics").unwrap().text().to_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}

/// What `serve` would run with, on ports that the system chooses.
pub fn config(flags: &[&str]) -> Config {
    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        serve: ServeArgs,
    }
    let ports = ["podgraft", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let mut config = Config::settle(Program::parse_from([&ports[..], flags].concat()).serve, &Surroundings::default()).unwrap();
    config.look = Duration::from_millis(40);
    config
}

/// A server in the test's own process, which looks at files often.
pub struct Served {
    pub webhook: SocketAddr,
    pub admin: SocketAddr,
    server: Option<Server>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Served {
    /// As it is.
    pub fn start(flags: &[&str]) -> Served {
        Served::with(flags, |grafter| Arc::new(grafter))
    }

    /// With an answer of the test's own.
    pub fn with(flags: &[&str], answer: impl FnOnce(Grafter) -> Arc<dyn Answer>) -> Served {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let config = config(flags);
        let server = runtime.block_on(async { Server::start_with(&config, None, answer) }).unwrap();
        Served { webhook: server.webhook, admin: server.admin, server: Some(server), runtime: Some(runtime) }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.webhook).unwrap()
    }

    pub fn metric(&self, series: &str) -> f64 {
        metric(self.admin, series)
    }

    pub fn ready(&self) -> u16 {
        client::get(self.admin, "/readyz").unwrap().status
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.server.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
