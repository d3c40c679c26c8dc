//! Readiness: true when nothing stands in its way. Whoever has to be waited for holds a [`Block`] and drops it when done.
//!
//! The model is ztunnel's `readiness.rs`: nobody sets readiness to true by hand, and a task that dies keeps what it did not finish.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What stands in the way of being ready.
#[derive(Clone, Debug, Default)]
pub struct Ready {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    blocks: BTreeMap<u64, (&'static str, String)>,
    /// Every name that ever stood in the way, for `/readyz?verbose`.
    names: Vec<&'static str>,
    /// What somebody should know who looks, though nothing stands in the way.
    notes: BTreeMap<&'static str, String>,
}

/// Keeps [`Ready`] false until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it is what makes ready"]
pub struct Block {
    ready: Ready,
    id: u64,
}

impl Ready {
    /// Makes not ready, for a reason that `/readyz` gives as `NAME: REASON`.
    pub fn block(&self, name: &'static str, reason: impl Into<String>) -> Block {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let id = inner.next;
        inner.next += 1;
        inner.blocks.insert(id, (name, reason.into()));
        if !inner.names.contains(&name) {
            inner.names.push(name);
        }
        Block { ready: self.clone(), id }
    }

    /// Has `/readyz?verbose` say something that does not stand in the way, or no longer say it.
    pub fn note(&self, name: &'static str, note: Option<String>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match note {
            Some(note) => inner.notes.insert(name, note),
            None => inner.notes.remove(name),
        };
    }

    /// Whether nothing stands in the way.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).blocks.is_empty()
    }

    /// What stands in the way, one `NAME: REASON` each, oldest first.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.blocks.values().map(|(name, reason)| format!("{name}: {reason}")).collect()
    }

    /// Every name that stands or stood in the way, as Kubernetes' own `/readyz?verbose` lists checks.
    #[must_use]
    pub fn verbose(&self) -> String {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for name in &inner.names {
            let mut reasons = inner.blocks.values().filter(|(blocked, _)| blocked == name).map(|(_, reason)| reason.as_str()).peekable();
            if reasons.peek().is_none() {
                text.push_str(&format!("[+]{name} ok\n"));
            }
            for reason in reasons {
                text.push_str(&format!("[-]{name} failed: {reason}\n"));
            }
        }
        for (name, note) in &inner.notes {
            text.push_str(&format!("[!]{name}: {note}\n"));
        }
        text
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.ready.inner.lock().unwrap_or_else(PoisonError::into_inner).blocks.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_all_blocks_are_dropped() {
        let ready = Ready::default();
        assert!(ready.is_ready());
        let presets = ready.block("presets", "not read yet");
        let certificate = ready.block("certificate", "not read yet");
        drop(presets);
        assert!(!ready.is_ready());
        assert_eq!(ready.reasons(), ["certificate: not read yet"]);
        assert_eq!(ready.verbose(), "[+]presets ok\n[-]certificate failed: not read yet\n");
        drop(certificate);
        assert!(ready.is_ready());
        let expired = ready.block("certificate", "expired");
        assert_eq!(ready.reasons(), ["certificate: expired"]);
        drop(expired);
        assert_eq!(ready.verbose(), "[+]presets ok\n[+]certificate ok\n");
        ready.note("trust", Some("not known".to_owned()));
        assert_eq!(ready.verbose(), "[+]presets ok\n[+]certificate ok\n[!]trust: not known\n");
        assert!(ready.is_ready());
        ready.note("trust", None);
        assert_eq!(ready.verbose(), "[+]presets ok\n[+]certificate ok\n");
    }
}
