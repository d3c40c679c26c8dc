//! Mount paths, cleaned as Go's `path.Clean` does, and rooted: to a container runtime `m` is `/m`.

use std::borrow::Cow;

/// The path that a mount or device path means.
pub(crate) fn clean(path: &str) -> Cow<'_, str> {
    let short = path.strip_suffix('/').unwrap_or(path);
    if is_tidy(short) {
        return Cow::Borrowed(short);
    }
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    Cow::Owned(format!("/{}", steps.join("/")))
}

/// Whether a path means the same as one that is clean.
pub(super) fn means(path: &str, clean_path: &str) -> bool {
    if path == clean_path {
        return true;
    }
    let last = |path: &str| path.as_bytes().last().copied();
    // Cleaning adds a slash at most, and changes the last byte of no path but these.
    let may = path.len() + 1 >= clean_path.len() && (matches!(last(path), Some(b'/' | b'.')) || last(path) == last(clean_path));
    (may || path.is_empty()) && clean(path) == clean_path
}

/// Whether it starts with a slash and no step of it is empty or a dot or two. Looks at most at every byte once: every mount is asked.
fn is_tidy(path: &str) -> bool {
    let mut before = b' ';
    let mut odd = !path.starts_with('/') || path.ends_with('/');
    for byte in path.bytes() {
        // A step that only starts with a dot is cleaned the long way.
        odd |= before == b'/' && matches!(byte, b'/' | b'.');
        before = byte;
    }
    !odd
}

#[cfg(test)]
mod tests {
    use super::{clean, means};

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, cleaned) in [
            ("/a", "/a"),
            ("/a/", "/a"),
            ("//a", "/a"),
            ("/a//b", "/a/b"),
            ("/a//b/..", "/a"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../a", "/a"),
            ("a", "/a"),
            (".", "/"),
            ("/", "/"),
            ("a/b/", "/a/b"),
            ("/a..b", "/a..b"),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
            assert!(means(path, cleaned) && !means(path, "/other"), "{path}");
        }
    }
}
