//! Mount paths, cleaned as Go's `path.Clean` does, and rooted: to a container runtime `m` is `/m`.

use std::borrow::Cow;

/// The path that a mount or device path means.
pub(crate) fn clean(path: &str) -> Cow<'_, str> {
    let tidy = path.starts_with('/')
        && (path.len() == 1 || !path.ends_with('/'))
        && path.split('/').skip(1).all(|step| !matches!(step, "." | "..") && (!step.is_empty() || path.len() == 1));
    if tidy {
        return Cow::Borrowed(path);
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

#[cfg(test)]
mod tests {
    use super::clean;

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
        }
    }
}
