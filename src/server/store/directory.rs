//! Presets from files: `*.yaml`, `*.yml` and `*.json` directly in the directories of `--presets`, looked at again and again.
//!
//! The content is polled, as no event of the file system tells of all ways in which files change (a ConfigMap that kubelet mounts, a
//! network file system). What changed must look the same twice before it is believed, so that a file that is being written is not read
//! half, and all of it then comes in force at once.

mod listing;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use listing::Picture;

use super::holdings::{Holdings, Remnant};
use super::{Store, StoreKind, report};
use crate::document::{self, Problem, ReadOptions, Severity};
use crate::server::metrics::{Metrics, Reload};

/// What changed must look the same after this time.
const SETTLE: Duration = Duration::from_millis(200);

/// Files that never stop changing are taken as they are after this time, so that what else changed comes in force.
const SETTLE_AT_MOST: Duration = Duration::from_secs(5);

/// The directories of `--presets` as one store.
#[derive(Debug)]
pub struct Directories {
    directories: Vec<PathBuf>,
    default_namespace: String,
    picture: Picture,
    holdings: Holdings<PathBuf>,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    /// Why the last look failed, so that it is said once.
    failing: Option<String>,
}

impl Directories {
    /// Reads them for the first time and puts what they hold in force. Returns the problems of their documents too.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn open(
        directories: Vec<PathBuf>,
        default_namespace: String,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
    ) -> Result<(Directories, Vec<Problem>), (PathBuf, io::Error)> {
        for directory in &directories {
            std::fs::read_dir(directory).map_err(|error| (directory.clone(), error))?;
        }
        let picture =
            listing::take(&directories, &Picture::new()).map_err(|error| (directories.first().cloned().unwrap_or_default(), error))?;
        let holdings = Holdings::default();
        let mut opened = Directories { directories, default_namespace, picture: Picture::new(), holdings, store, metrics, failing: None };
        let problems = opened.take(picture);
        opened.metrics.store_is_fresh(StoreKind::Directory.word());
        Ok((opened, problems))
    }

    /// Looks again, and puts what changed in force.
    pub fn tick(&mut self) {
        match self.settled() {
            Ok(change) => {
                if self.failing.take().is_some() {
                    tracing::info!("the preset directories can be read again");
                }
                self.metrics.store_is_fresh(StoreKind::Directory.word());
                if let Some(picture) = change {
                    let problems = self.take(picture);
                    report(&problems);
                    self.metrics.reloaded(Reload::Presets, self.holdings.is_fine());
                    let (held, refused) = self.holdings.numbers();
                    tracing::info!(presets = held, refused, "presets read again");
                }
            }
            Err(error) => {
                let error = error.to_string();
                if self.failing.as_ref() != Some(&error) {
                    tracing::error!(error, "the preset directories cannot be read, what they held stays in force");
                    self.metrics.reloaded(Reload::Presets, false);
                }
                self.failing = Some(error);
            }
        }
    }

    /// A picture that shows something new, twice the same. `None`: nothing new.
    fn settled(&mut self) -> io::Result<Option<Picture>> {
        let started = Instant::now();
        let mut seen = listing::take(&self.directories, &self.picture)?;
        loop {
            if listing::same(&seen, &self.picture) {
                // Same content, perhaps with new metadata, which the next look wants to know.
                self.picture = without_bytes(seen);
                return Ok(None);
            }
            std::thread::sleep(SETTLE);
            let again = listing::take(&self.directories, &seen)?;
            if listing::same(&again, &seen) || started.elapsed() > SETTLE_AT_MOST {
                return Ok(Some(again));
            }
            seen = again;
        }
    }

    fn take(&mut self, picture: Picture) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.holdings.retain(|path| picture.contains_key(path));
        for (path, file) in &picture {
            if self.holdings.has(path, &file.content) {
                continue;
            }
            let text = file.content.as_ref().map_err(String::clone).and_then(|_| text(file.bytes.as_deref()));
            let documents = read(path, text, &self.default_namespace, &mut problems);
            self.holdings.put(path.clone(), file.content.clone(), None, documents);
        }
        problems.extend(self.holdings.settle().into_iter().map(|(_, problem)| problem));
        self.picture = without_bytes(picture);
        self.store.publish(StoreKind::Directory, self.holdings.contents());
        problems
    }
}

fn text(bytes: Option<&[u8]>) -> Result<&str, String> {
    let bytes = bytes.ok_or("its bytes are gone")?;
    std::str::from_utf8(bytes).map_err(|error| format!("it is not UTF-8 at byte {}", error.valid_up_to()))
}

fn read(path: &Path, text: Result<&str, String>, default_namespace: &str, problems: &mut Vec<Problem>) -> Vec<Remnant> {
    let source = path.display().to_string();
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            let unreadable = vec![Remnant::unreadable(&source)];
            let text = format!("cannot read the file: {error}");
            problems.push(Problem { severity: Severity::Error, source, line: 1, column: 1, path: String::new(), text });
            return unreadable;
        }
    };
    let documents = document::read(&source, text, &ReadOptions { default_namespace }).into_iter();
    documents
        .filter_map(|mut document| {
            problems.append(&mut document.problems);
            Remnant::of(document)
        })
        .collect()
}

fn without_bytes(mut picture: Picture) -> Picture {
    for file in picture.values_mut() {
        file.bytes = None;
    }
    picture
}
