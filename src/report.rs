//! What is told about a decision: warnings for the user, annotations for the audit log. Values of variables are in none of it.

use std::fmt::Write;

use crate::conflict::{Conflict, ConflictPolicy, Holder};
use crate::merge::Grafting;
use crate::preset::Preset;

/// Warnings that one answer carries at most; the last of more says how many there are.
pub const MAX_WARNINGS: usize = 8;
/// Bytes of one warning at most: the API server cuts longer ones (and asks for 120 where possible).
pub const MAX_WARNING: usize = 256;
/// Bytes of one audit annotation at most.
pub const MAX_ANNOTATION: usize = 1024;

/// One conflict as a warning.
#[must_use]
pub fn conflict_line(conflict: &Conflict, first_layer: bool) -> String {
    let Conflict { preset, path, holder, policy, .. } = conflict;
    let held = match holder {
        Holder::Pod => "the Pod".to_owned(),
        Holder::Preset(record) => record.clone(),
    };
    if conflict.shadow {
        return format!("shadow {preset} would conflict with {held} at {path}");
    }
    let effect = match policy {
        ConflictPolicy::Abort if first_layer => "it is not applied",
        ConflictPolicy::Abort => "no presets applied",
        ConflictPolicy::Skip => "it is left out",
        ConflictPolicy::KeepPod => "kept",
        ConflictPolicy::Override if conflict.replaced => "replaced",
        ConflictPolicy::Override => "kept",
        ConflictPolicy::Reject => "Pod refused",
    };
    format!("{preset} conflicts with {held} at {path}: {effect} ({})", policy.word())
}

/// All warnings of a grafting, each one line without control characters.
#[must_use]
pub fn warnings(grafting: &Grafting<'_>, more: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = more.iter().map(|line| one_line(line)).collect();
    lines.extend(conflict_lines(grafting));
    let notice = |(who, text): &(usize, String)| one_line(&format!("{}: {text}", grafting.members[*who].preset.record()));
    lines.extend(grafting.notices.iter().map(notice));
    lines
}

/// Those of the warnings that say what a preset met, or what a Shadow would do.
#[must_use]
pub fn conflict_lines(grafting: &Grafting<'_>) -> Vec<String> {
    told(grafting).into_iter().map(|told| told.line).collect()
}

/// What somebody should hear about one preset, also who sees neither warnings nor the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The suffix of the preset's record.
    pub preset: String,
    /// Whether it is a Shadow.
    pub shadow: bool,
    /// The warning.
    pub line: String,
}

/// What the presets met, and what Shadows would do.
#[must_use]
pub fn told(grafting: &Grafting<'_>) -> Vec<Told> {
    let first_layer =
        |record: &str| grafting.members.iter().any(|member| member.preset.record() == record && member.preset.is_first_layer());
    let conflicts = grafting.conflicts.iter().map(|conflict| {
        let line = one_line(&conflict_line(conflict, first_layer(&conflict.preset)));
        Told { preset: conflict.preset.clone(), shadow: conflict.shadow, line }
    });
    let shadows = grafting.shadows.iter().map(|shadowed| {
        let record = grafting.members[shadowed.member].preset.record();
        let line = one_line(&format!("shadow {record} would add {} operations", shadowed.operations));
        Told { preset: record.to_owned(), shadow: true, line }
    });
    conflicts.chain(shadows).collect()
}

/// The warnings that an answer carries: eight at most.
#[must_use]
pub fn few(mut warnings: Vec<String>) -> Vec<String> {
    if warnings.len() > MAX_WARNINGS {
        let more = warnings.len() - (MAX_WARNINGS - 1);
        warnings.truncate(MAX_WARNINGS - 1);
        warnings.push(format!("and {more} more; `podgraft explain` shows all"));
    }
    warnings
}

/// A text on one line that reads as it stands: no control characters, no line separators, nothing that turns the direction of writing.
fn plain(text: &str) -> String {
    let hidden = |character: char| {
        character.is_control() || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|character| if hidden(character) { '?' } else { character }).collect()
}

/// A text without control characters, cut to what the API server passes on.
#[must_use]
pub fn one_line(text: &str) -> String {
    let clean = plain(text);
    cut(clean, MAX_WARNING)
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let mut end = most - 3;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// The message of a refusal: preset and path of every conflict of a `Reject`.
#[must_use]
pub fn refusal(grafting: &Grafting<'_>) -> String {
    let rejecting = grafting.conflicts.iter().filter(|conflict| conflict.policy == ConflictPolicy::Reject && !conflict.shadow);
    let mut message = String::new();
    for conflict in rejecting {
        let member = grafting.members.iter().find(|member| member.preset.record() == conflict.preset);
        let name = member.map_or_else(|| conflict.preset.clone(), |member| member.preset.spec().key.to_string());
        if !message.is_empty() {
            message.push_str("; ");
        }
        let held = match &conflict.holder {
            Holder::Pod => "the Pod has it otherwise".to_owned(),
            Holder::Preset(record) => format!("{record} has it otherwise"),
        };
        // Writing to a String does not fail.
        let _ = write!(message, "{name} requires {}, {held}", conflict.path);
    }
    cut(plain(&message), MAX_ANNOTATION)
}

/// `podpreset-NAME=VERSION`, comma separated.
#[must_use]
pub fn presets_annotation<'p>(applied: impl Iterator<Item = &'p Preset>) -> String {
    let mut out = String::new();
    for preset in applied {
        if !append(&mut out, ",", &[preset.record(), "=", preset.version()]) {
            break;
        }
    }
    out
}

/// `podpreset-NAME POINTER HOLDER`, semicolon separated, Shadow's left out.
#[must_use]
pub fn conflicts_annotation(conflicts: &[Conflict]) -> String {
    let mut out = String::new();
    for conflict in conflicts.iter().filter(|conflict| !conflict.shadow) {
        let path = plain(&conflict.path);
        let path = path.replace(' ', "%20").replace(';', "%3B");
        if !append(&mut out, ";", &[&format!("{} {path} {}", conflict.preset, conflict.holder)]) {
            break;
        }
    }
    out
}

/// Appends a whole item or, where that would be too long, nothing.
fn append(out: &mut String, between: &str, item: &[&str]) -> bool {
    let separator = if out.is_empty() { "" } else { between };
    let length = separator.len() + item.iter().map(|piece| piece.len()).sum::<usize>();
    if out.len() + length > MAX_ANNOTATION {
        return false;
    }
    out.reserve(length);
    out.push_str(separator);
    out.extend(item.iter().copied());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conflict::ConflictKind;

    fn conflict(path: &str) -> Conflict {
        Conflict {
            preset: "podpreset-a".to_owned(),
            path: path.to_owned(),
            holder: Holder::Pod,
            kind: ConflictKind::Env,
            policy: ConflictPolicy::Skip,
            replaced: false,
            shadow: false,
        }
    }

    #[test]
    fn hostile_paths_stay_one_short_line() {
        for path in ["/a\nb", "/\u{7f}\u{85}", &"é".repeat(400)] {
            let line = one_line(&conflict_line(&conflict(path), false));
            assert!(line.len() <= MAX_WARNING, "{}", line.len());
            assert!(!line.chars().any(char::is_control));
        }
    }

    #[test]
    fn the_last_of_many_says_how_many_more() {
        let lines: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let few = few(lines);
        assert_eq!(few.len(), MAX_WARNINGS);
        assert!(few[7].starts_with("and 13 more"));
    }

    #[test]
    fn annotations_are_cut_at_a_whole_item() {
        let conflicts: Vec<Conflict> = (0..100).map(|n| conflict(&format!("/spec/a b;c/{n}"))).collect();
        let text = conflicts_annotation(&conflicts);
        assert!(text.len() <= MAX_ANNOTATION);
        assert!(text.split(';').all(|item| item.starts_with("podpreset-a /spec/a%20b%3Bc/") && item.ends_with(" Pod")));
    }
}
