//! Lines and columns of a YAML text: where things start and end that a parser does not tell.

/// The column of a byte: how many bytes of its line are before it.
#[must_use]
pub fn column(text: &str, at: usize) -> usize {
    at - start_of_line(text, at)
}

fn start_of_line(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1)
}

/// Where the next line starts.
#[must_use]
pub fn end_of_line(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |length| at + length + 1)
}

/// The colon behind a key that ends at `at`.
#[must_use]
pub fn colon(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let colon = rest.find(|letter: char| letter != ' ' && letter != '\t')?;
    rest[colon..].starts_with(':').then_some(at + colon)
}

/// The dash of the list's entry that starts at `at`, on its line or on one above, where only comments are between.
#[must_use]
pub fn dash(text: &str, at: usize) -> Option<usize> {
    let start = start_of_line(text, at);
    let before = text.get(start..at)?;
    let trimmed = before.trim_end_matches(' ');
    if trimmed.ends_with('-') && trimmed.bytes().all(|byte| matches!(byte, b' ' | b'-')) {
        return Some(start + trimmed.len() - 1);
    }
    if trimmed.is_empty() { dash_above(text, at) } else { None }
}

/// The dash at the end of the closest line above that is not only a comment.
#[must_use]
pub fn dash_above(text: &str, at: usize) -> Option<usize> {
    let mut start = start_of_line(text, at);
    while start > 0 {
        let end = start - 1;
        start = start_of_line(text, end);
        let line = text.get(start..end)?;
        let bare = line.trim_start();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        // Behind the dash there is nothing, a comment, or what starts a literal: `- |`, `- >-`.
        let rest = line.trim_start_matches([' ', '-']);
        let dash = line.get(..line.len() - rest.len())?.rfind('-')?;
        let alone = line.get(dash + 1..).is_none_or(|behind| behind.is_empty() || behind.starts_with([' ', '\r']));
        return (alone && (rest.is_empty() || rest.starts_with(['|', '>', '#', '\r']))).then_some(start + dash);
    }
    None
}

/// The end of the last line with content between `start` and `end`, without its line break.
#[must_use]
pub fn last_line(text: &str, start: usize, end: usize) -> usize {
    let content = text.get(start..end).unwrap_or_default();
    // The blanks before what follows, then the line break.
    let content = content.trim_end_matches(' ');
    let content = content.strip_suffix('\n').unwrap_or(content);
    start + content.strip_suffix('\r').unwrap_or(content).len()
}

/// The end of the last line between `start` and `end` that is not blank and not only a comment.
#[must_use]
pub fn last_content(text: &str, start: usize, end: usize) -> usize {
    let mut here = last_line(text, start, end);
    loop {
        let line = start_of_line(text, here).max(start);
        let content = text.get(line..here).unwrap_or_default().trim();
        if line <= start || !(content.is_empty() || content.starts_with('#')) {
            return here;
        }
        here = line - 1;
    }
}

/// Where a line can be put in after content that ends at `at`: on the next line, or below the comments there that stand at `column` or
/// deeper, and deeper than the key `above`.
#[must_use]
pub fn after_comments(text: &str, at: usize, column: usize, above: Option<usize>) -> usize {
    let mut here = end_of_line(text, at);
    loop {
        let line = text.get(here..).unwrap_or_default();
        let indent = line.len() - line.trim_start_matches(' ').len();
        if !line[indent..].starts_with('#') || indent < column || above.is_some_and(|above| indent <= above) {
            return here;
        }
        here = end_of_line(text, here);
    }
}

/// Where a line can be put in before the entry whose dash is at `dash`, and before the comments on it. `None` where the dash does not start
/// its line.
#[must_use]
pub fn before_comments(text: &str, dash: usize) -> Option<usize> {
    let mut here = start_of_line(text, dash);
    if !text.get(here..dash)?.trim().is_empty() {
        return None;
    }
    while here > 0 {
        let above = start_of_line(text, here - 1);
        if !text.get(above..here)?.trim_start().starts_with('#') {
            break;
        }
        here = above;
    }
    Some(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_are_found_on_the_line_and_above() {
        let at = |text: &str, word: &str| text.find(word).unwrap();
        for (text, dash_at) in [("a:\n- x", 3), ("a:\n-   x", 3), ("a:\n  -\n    # c\n\n    x", 5), ("- - x", 2), ("a:\n- # c\n  x", 3)] {
            assert_eq!(dash(text, at(text, "x")), Some(dash_at), "{text:?}");
        }
        assert_eq!(dash("a: x", 3), None);
        assert_eq!(dash("a-\n x", 4), None);
        for (text, dash_at) in [("- |\n  x", 0), ("- >-\n  x", 0), ("-  |2+ # c\n  x", 0), ("a:\n  - - |-\n      x", 7)] {
            assert_eq!(dash_above(text, at(text, "x")), Some(dash_at), "{text:?}");
        }
    }

    #[test]
    fn comments_stay_with_what_they_are_about() {
        let text = "a:\n  - x # c\n  # about y\n  - y\n    # more of y\n  # last\n# about b\nb: z\n";
        let x = text.find('x').unwrap() + 1;
        assert!(text[after_comments(text, x, 3, None)..].starts_with("  # about y"));
        let y = text.find("- y").unwrap() + 3;
        assert!(text[after_comments(text, y, 2, Some(0))..].starts_with("# about b"));
        assert!(text[before_comments(text, y - 3).unwrap()..].starts_with("  # about y"));
    }
}
