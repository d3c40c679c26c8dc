//! Where runs keep what their control planes need, a folder each, and their logs for as long as the run lives: the next run clears away.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Trouble, held};

/// The locks of this run's folders: they are held until the process ends, so that no later control plane takes an earlier one's logs.
static LOCKS: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// What everyone who makes or removes a folder holds meanwhile.
const TURN: &str = ".turn";

/// A new folder `NAME-PID-NUMBER` in `runs`, after what is over there is removed.
pub fn make(runs: &Path, name: &str) -> Result<PathBuf, Trouble> {
    // A run may have several.
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let folder = runs.join(format!("{name}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::SeqCst)));
    let trouble = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(runs).map_err(trouble)?;
    // Between a folder and its lock nobody may look.
    let turn = File::create(runs.join(TURN)).map_err(trouble)?;
    turn.lock().map_err(trouble)?;
    clear_away(runs);
    for part in ["logs", "data", "kubectl"] {
        fs::create_dir_all(folder.join(part)).map_err(trouble)?;
    }
    let lock = File::create(folder.join("lock")).map_err(trouble)?;
    lock.try_lock().map_err(|_| format!("{} is in use", folder.display()))?;
    LOCKS.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
    held::sweep(&folder.join("data"));
    Ok(folder)
}

/// Removes what runs left that are over.
fn clear_away(runs: &Path) {
    for folder in fs::read_dir(runs).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()) {
        let over = File::open(folder.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
        if over {
            let _ = fs::remove_dir_all(folder);
        }
    }
}
