//! The style sheet and the script, compiled in. Each is served below its digest: a browser keeps it for good, and takes
//! another one when parlor has another one.

use std::sync::LazyLock;

use ring::digest::{SHA256, digest};

/// A file for browsers.
pub(crate) struct Asset {
    name: &'static str,
    pub(crate) media: &'static str,
    pub(crate) text: &'static str,
    path: String,
}

impl Asset {
    fn new(name: &'static str, media: &'static str, text: &'static str) -> Self {
        let digest = hex::encode(digest(&SHA256, text.as_bytes()));
        let path = format!("/assets/{}/{name}", &digest[..16]);
        Self { name, media, text, path }
    }

    /// Returns its path, below the base.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

impl std::fmt::Debug for Asset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The style sheet.
pub(crate) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("window.css", "text/css; charset=utf-8", include_str!("../assets/window.css")));

/// The script.
pub(crate) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("window.js", "text/javascript; charset=utf-8", include_str!("../assets/window.js")));

/// Returns the file at a path.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    [&*STYLE, &*SCRIPT].into_iter().find(|asset| asset.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The policy of every page forbids what is not a file of ours.
    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for asset in [&*STYLE, &*SCRIPT] {
            for word in ["http:", "https:", "//", "@import", "url(", "eval", "innerHTML", "document.write", "Function("]
            {
                let lines: Vec<_> = asset.text.lines().filter(|line| line.contains(word)).collect();
                let is_comment = |line: &&str| line.trim_start().starts_with("//");
                assert!(lines.iter().all(|line| word == "//" && is_comment(line)), "{asset:?}: {lines:?}");
            }
        }
        assert!(find(STYLE.path()).is_some_and(|asset| asset.media.starts_with("text/css")));
        assert!(find("/assets/0000000000000000/window.css").is_none());
    }
}
