//! Files, directories and standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

/// A text and what it is called in messages.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path as it was given, or `-`.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Why the program can't do its work: one sentence, exit status 2.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A file or directory that can't be read.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// As it was given.
        path: String,
        /// What the operating system says.
        reason: String,
    },
    /// The directory of presets that is read where no other is named.
    #[error("there is no directory policies/ here to read presets from: name one with --presets DIR")]
    NoPolicies,
    /// Presets are read from directories.
    #[error("{0} is not a directory: --presets takes a directory with *.yaml, *.yml and *.json files")]
    NotADirectory(String),
    /// A manifest that is no YAML and no JSON.
    #[error("{path}:{line}:{column}: {text}")]
    NoManifest {
        /// The file.
        path: String,
        /// From 1.
        line: u32,
        /// From 1.
        column: u32,
        /// What is wrong.
        text: String,
    },
    /// The cluster does not answer, or nobody knows where it is.
    #[error("{0}")]
    Cluster(String),
    /// Flags that do not go together.
    #[error("{0}")]
    Usage(&'static str),
    /// What was made can't be written.
    #[error("the output cannot be written: {0}")]
    Output(std::io::Error),
}

/// Reads what `-f` names: a file, the files of a directory, or `-`.
///
/// # Errors
/// The first that can't be read.
pub fn read(path: &Path) -> Result<Vec<Source>, Fault> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map_err(|error| unreadable(Path::new("standard input"), &error))?;
        return Ok(vec![Source { name: "-".to_owned(), text }]);
    }
    if path.is_dir() { directory(path) } else { file(path).map(|source| vec![source]) }
}

/// Reads the presets of a directory.
///
/// # Errors
/// Where it is not there or not a directory, or a file in it can't be read.
pub fn presets(path: &Path) -> Result<Vec<Source>, Fault> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path == Path::new("policies/") => Err(Fault::NoPolicies),
        Err(error) => Err(unreadable(path, &error)),
        Ok(about) if !about.is_dir() => Err(Fault::NotADirectory(path.display().to_string())),
        Ok(_) => directory(path),
    }
}

/// `*.yaml`, `*.yml` and `*.json` directly in a directory, by name; links are followed, names that start with a dot are not read.
fn directory(path: &Path) -> Result<Vec<Source>, Fault> {
    let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(path, &error))?.path();
        let hidden = entry.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        let known = entry.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
        if known && !hidden && !entry.is_dir() {
            paths.push(entry);
        }
    }
    paths.sort();
    paths.iter().map(|path| file(path)).collect()
}

fn file(path: &Path) -> Result<Source, Fault> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let text = String::from_utf8(bytes).map_err(|error| Fault::Unreadable {
        path: shown(path),
        reason: format!("it is not UTF-8 at byte {}", error.utf8_error().valid_up_to()),
    })?;
    Ok(Source { name: shown(path), text })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    // Without the number of the error.
    let reason = error.to_string();
    let reason = reason.split(" (os error").next().unwrap_or(&reason);
    let reason = match error.kind() {
        std::io::ErrorKind::InvalidData => "it is not UTF-8",
        _ => reason,
    };
    let mut letters = reason.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    Fault::Unreadable { path: shown(path), reason: first.into_iter().chain(letters).collect() }
}
