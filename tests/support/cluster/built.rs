//! Programs that are built from their Go modules, once, into a cache outside the checkout.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::{Trouble, say};

/// One program.
pub struct Build {
    /// What it is, for people.
    pub what: String,
    /// As in `kube-1.36.3`: its place in the cache, less a key of all that it is built from.
    pub name: String,
    /// What it is built from.
    pub sources: Vec<Source>,
    /// The package, as `go build` takes it.
    pub package: &'static str,
    pub linked_with: String,
    /// How long the first time takes, and what one can do where it fails.
    pub takes: String,
    pub ways: &'static str,
    /// Files of a module that are kept beside the program.
    pub keep: Option<Kept>,
}

/// A file, and where it lies among the others while they are built.
#[derive(Clone)]
pub struct Source {
    pub file: PathBuf,
    pub place: &'static str,
}

/// Files of a module that a program reads when it runs.
pub struct Kept {
    pub module: &'static str,
    pub files: &'static [&'static str],
}

impl Build {
    /// Its place, built if it is not there.
    pub fn get(&self) -> Result<PathBuf, Trouble> {
        let program = self.program()?;
        if program.is_file() {
            return Ok(program);
        }
        let folder = program.parent().unwrap_or(Path::new("."));
        let trouble = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(trouble)?;
        // The lock goes with the process that holds it.
        let lock = File::create(folder.join(format!("{}.lock", self.name))).map_err(trouble)?;
        if lock.try_lock().is_err() {
            say(&format!("{} is being built by another run, waiting for it", self.what));
            lock.lock().map_err(trouble)?;
        }
        if !program.is_file() {
            self.build(&program)?;
        }
        Ok(program)
    }

    /// The file that is kept under this name beside a program.
    pub fn kept(program: &Path, file: &str) -> PathBuf {
        PathBuf::from(format!("{}.{}", program.display(), file.rsplit('/').next().unwrap_or(file)))
    }

    fn program(&self) -> Result<PathBuf, Trouble> {
        let mut key = Sha256::new();
        for Source { file, .. } in &self.sources {
            key.update(Sha256::digest(fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?));
        }
        let key: String = key.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Ok(cache()?.join(format!("{}-{key}", self.name)))
    }

    /// Into a folder beside, then renamed: a build that was interrupted leaves nothing that looks whole.
    fn build(&self, program: &Path) -> Result<(), Trouble> {
        let work = PathBuf::from(format!("{}.building", program.display()));
        let trouble = |error: std::io::Error| format!("{}: {error}", work.display());
        let _ = fs::remove_dir_all(&work);
        for Source { file, place } in &self.sources {
            let place = work.join(place);
            fs::create_dir_all(place.parent().unwrap_or(&work)).map_err(trouble)?;
            fs::copy(file, place).map_err(trouble)?;
        }
        let start = Instant::now();
        say(&format!("Building {} from Go modules into {}. {}", self.what, program.display(), self.takes));
        let mut go =
            self.go(&work, &["build", "-mod=readonly", "-buildvcs=false", "-ldflags", &self.linked_with, "-o", "program", self.package]);
        let mut child = go.spawn().map_err(|error| format!("go cannot be run ({error}). {}", self.ways))?;
        let mut told = 0;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(trouble)? {
                break status;
            }
            let half_minutes = start.elapsed().as_secs() / 30;
            if half_minutes > told {
                told = half_minutes;
                say(&format!("  {}: still building, {} s", self.what, half_minutes * 30));
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        if !status.success() {
            return Err(format!("{} cannot be built: go says why above. {}", self.what, self.ways));
        }
        // What is kept comes first: where the program is, that is too.
        if let Some(kept) = &self.keep {
            let module = self.go(&work, &["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", kept.module]).output().map_err(trouble)?;
            let module = PathBuf::from(String::from_utf8_lossy(&module.stdout).trim());
            for file in kept.files {
                let text = fs::read(module.join(file)).map_err(|error| format!("{}: {file}: {error}", kept.module))?;
                fs::write(Build::kept(program, file), text).map_err(trouble)?;
            }
        }
        fs::rename(work.join("program"), program).map_err(trouble)?;
        let _ = fs::remove_dir_all(&work);
        say(&format!("{} is built, in {} s", self.what, start.elapsed().as_secs()));
        Ok(())
    }

    fn go(&self, work: &Path, arguments: &[&str]) -> Command {
        let mut go = Command::new("go");
        // What is set for a control plane's programs is not meant for the compiler.
        go.args(arguments).current_dir(work).env("CGO_ENABLED", "0").env_remove("GOWORK").env_remove("GOGC");
        go
    }
}

/// The release of a module that a `go.mod` asks for, without the `v`.
pub fn release_of(file: &Path, module: &str) -> Result<String, Trouble> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut asked = text.lines().filter_map(|line| line.trim().trim_start_matches("require ").strip_prefix(module)?.strip_prefix(" v"));
    let release = asked.next().and_then(|rest| rest.split(' ').next());
    release.map(str::to_owned).ok_or_else(|| format!("{} does not ask for {module}", file.display()))
}

/// Outside the checkout: it outlives `cargo clean`, and all checkouts share it.
fn cache() -> Result<PathBuf, Trouble> {
    if let Some(folder) = std::env::var_os("PODGRAFT_CACHE") {
        return Ok(folder.into());
    }
    if let Some(folder) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(folder).join("podgraft"));
    }
    let home = std::env::var_os("HOME").ok_or("there is no HOME to cache in; set PODGRAFT_CACHE to a folder")?;
    Ok(PathBuf::from(home).join(".cache/podgraft"))
}
