//! Another clock under a program: libfaketime, a package of Debian's.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::debian;

/// A day, in seconds.
pub const DAY: i64 = 24 * 3600;

/// The time of day as a program sees it that is started with [`Clock::environment`]. What the kernel counts since it started goes on.
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// Right at first; `folder` is where it is kept. Why there is none.
    pub fn new(folder: &Path) -> Result<Clock, String> {
        let found = || {
            let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
            Some(PathBuf::from(library)).filter(|library| library.is_file())
        };
        let clock = Clock { library: debian::get("libfaketime", found)?, file: folder.join("clock") };
        clock.jump(0);
        Ok(clock)
    }

    /// So many seconds ahead of the right time from now on.
    pub fn jump(&self, seconds: i64) {
        let beside = self.file.with_extension("new");
        fs::write(&beside, format!("{seconds:+}\n")).unwrap();
        fs::rename(beside, &self.file).unwrap();
    }

    pub fn environment(&self) -> [(&'static str, OsString); 4] {
        [
            ("LD_PRELOAD", self.library.clone().into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }
}
