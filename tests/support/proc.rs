//! What the kernel says of a process (`proc(5)`).

use std::fs;

/// A figure of its memory, `VmRSS` say, in bytes.
pub fn memory(id: u32, figure: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':')?.trim().strip_suffix(" kB")).unwrap();
    line.parse::<u64>().unwrap() * 1024
}

/// How many files it has open, but for so many connections.
pub fn files_besides(id: u32, connections: f64) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).unwrap().count().saturating_sub(connections as usize)
}
