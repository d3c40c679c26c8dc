//! What tests take from Debian's packages.

use std::process::Command;

/// What is found where the package is there; installed first where that can be done, and why not where it cannot.
pub fn get<T>(package: &str, found: impl Fn() -> Option<T>) -> Result<T, String> {
    if let Some(found) = found() {
        return Ok(found);
    }
    let _ = Command::new("apt-get").args(["update", "-qq"]).output();
    let install = Command::new("apt-get").args(["install", "-y", "-qq", "--no-install-recommends", package]).output();
    let said = install.map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stderr).into_owned());
    found().ok_or_else(|| format!("{package} is not there, and apt-get cannot install it: {}", said.trim()))
}
