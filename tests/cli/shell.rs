//! Running the program, through a shell or by itself, in a folder and with nothing of the environment that these tests run in.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

pub const PODGRAFT: &str = env!("CARGO_BIN_EXE_podgraft");

/// The program, with a clean environment.
pub fn podgraft() -> Command {
    clean(Command::new(PODGRAFT))
}

/// A line for `sh`, in which `podgraft` is the program.
pub fn sh(line: &str) -> Command {
    let mut command = clean(Command::new("sh"));
    command.args(["-c", line]);
    command
}

fn clean(mut command: Command) -> Command {
    let own = Path::new(PODGRAFT).parent().unwrap().to_owned();
    let path = env::join_paths(std::iter::once(own).chain(env::split_paths(&env::var_os("PATH").unwrap_or_default()))).unwrap();
    command.env_clear().env("PATH", path).env("LC_ALL", "C").env("HOME", "/nowhere");
    command
}

/// Runs it to its end with this on its standard input.
pub fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // From another thread: a program that writes before it has read all would wait for us, and we for it.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// What it writes to standard output where it ends with this status.
pub fn written(command: &mut Command, input: &str, status: i32) -> String {
    let output = run(command, input);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{command:?}\n{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// A folder of its own, which goes with it.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Writes a file, in folders that are made for it.
    pub fn with(self, name: &str, text: impl AsRef<[u8]>) -> Folder {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
