//! Processes that end with the test run, whatever ends it.
//!
//! A watcher (`watch.sh`) reads from a pipe whose other end only this process has. When this process is gone, by whatever means, the
//! pipe closes, and the watcher kills what is left. A child tells the watcher of itself before it becomes what it is to be, so there is
//! no moment at which it runs and nobody knows.

use std::ffi::OsString;
use std::fs;
use std::io::{PipeWriter, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::Trouble;
use super::wait;

/// Becomes the program, having told the watcher; `$0` is the log.
const BECOME: &str = r#"echo "hold $$"; exec "$@" >>"$0" 2>&1 </dev/null"#;

static WATCHER: OnceLock<PipeWriter> = OnceLock::new();

fn watcher() -> &'static PipeWriter {
    WATCHER.get_or_init(|| {
        let (reader, writer) = std::io::pipe().unwrap();
        // It outlives this process by a moment, so nobody waits for it. A group of its own: Ctrl-C at the terminal must not end it before it has done its work.
        let watcher = Command::new("sh")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/cluster/watch.sh"))
            .stdin(reader)
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh is there");
        drop(watcher);
        writer
    })
}

fn tell(line: &str) {
    watcher().write_all(format!("{line}\n").as_bytes()).expect("the watcher lives as long as we do");
}

/// Has a folder removed when this run is gone.
pub fn sweep(folder: &Path) {
    tell(&format!("sweep {}", folder.display()));
}

/// A process of ours. Dropped, it is killed.
#[derive(Debug)]
pub struct Held {
    name: String,
    child: Child,
    /// What it prints.
    pub log: PathBuf,
}

impl Held {
    /// Starts a command; what it prints is appended to `log`.
    pub fn start(name: &str, command: &[OsString], environment: &[(&str, OsString)], log: &Path) -> Result<Held, Trouble> {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(BECOME).arg(log).args(command).process_group(0).stdin(Stdio::null());
        shell.stdout(watcher().try_clone().map_err(|error| format!("{name}: {error}"))?);
        for (key, value) in environment {
            shell.env(key, value);
        }
        let child = shell.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
        Ok(Held { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed.
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn check(&mut self) -> Result<(), Trouble> {
        let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? else { return Ok(()) };
        let printed = self.printed();
        let last: Vec<&str> = printed.lines().rev().take(5).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        Err(format!("{} ended ({status}), see {}:\n{}", self.name, self.log.display(), last.join("\n")))
    }

    /// Looks until there is something, or the process ends.
    pub fn until<T, E: std::fmt::Debug>(&mut self, what: &str, mut look: impl FnMut() -> Result<T, E>) -> Result<T, Trouble> {
        let mut ended = None;
        let seen = wait::until_within(wait::PATIENCE, what, || {
            if let Err(trouble) = self.check() {
                ended = Some(trouble);
                return Ok(None);
            }
            look().map(Some)
        })?;
        seen.ok_or_else(|| ended.unwrap_or_default())
    }

    /// Sends a signal, as in `TERM`.
    pub fn signal(&self, signal: &str) {
        // The shell's own: a program of this name is not everywhere.
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", self.id())).status();
        assert!(sent.is_ok_and(|status| status.success()), "{} cannot be sent {signal}", self.name);
    }

    /// Asks it to leave, and waits.
    pub fn leave(&mut self) -> ExitStatus {
        self.leave_by("TERM")
    }

    /// Asks it by this signal.
    pub fn leave_by(&mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        let status = wait::until_within(Duration::from_secs(30), &format!("{} to leave", self.name), || {
            self.child.try_wait().ok().flatten().ok_or("it runs")
        });
        status.unwrap_or_else(|trouble| panic!("{trouble}"))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Both fail where it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        tell(&format!("free {}", self.child.id()));
    }
}
