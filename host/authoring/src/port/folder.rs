//! Reads the texts of a plugin's folder. Its author may have put anything there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use parlor_base::atomic::open_plain;
use parlor_base::escape::escape_untrusted;
use serde::Serialize;

use crate::build::is_no_source;

/// The maximum number of entries that are looked at, and of files that are read.
const MOST_ENTRIES: usize = 5_000;
const MOST_FILES: usize = 300;
/// The maximum size of one file and of all, in bytes.
const MOST_BYTES: u64 = 512 << 10;
const MOST_TOGETHER: u64 = 4 << 20;
/// How many folders a file may be in.
const DEEPEST: usize = 10;

/// The mark that some editors put before a text.
const BOM: char = '\u{feff}';

/// The maximum number of files that come with a plugin and are read, and of their bytes together. Further ones are not copied.
const MOST_PACKAGED: usize = 100;
const MOST_PACKAGED_BYTES: u64 = 1 << 20;
/// The maximum number of Markdown files among them: most of these are pages for people, which the plugin does not open.
const MOST_PAGES: usize = 30;

/// The files that are read in addition to Python's.
const WANTED: [&str; 4] = ["maubot.yaml", "base-config.yaml", "requirements.txt", "pyproject.toml"];
/// The extensions of texts that plugins open.
const PACKAGED: [&str; 15] =
    ["cfg", "csv", "dat", "html", "ini", "j2", "json", "lst", "md", "sql", "toml", "tsv", "txt", "xml", "yaml"];
/// The beginnings of names of texts that belong to a plugin, with any extension.
const TEXTS: [&str; 5] = ["license", "licence", "copying", "notice", "readme"];

/// The texts of a folder, by their paths with `/`.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) files: BTreeMap<String, String>,
    pub(super) skipped: Vec<Skipped>,
    entries: usize,
    bytes: u64,
    packaged: usize,
    packaged_bytes: u64,
    pages: usize,
}

/// A file that was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The path in the folder, escaped.
    pub file: String,
    /// The reason.
    pub why: &'static str,
}

/// Reads a folder. Symbolic links in it are not followed.
pub(super) fn read(folder: &Path) -> io::Result<Read> {
    let mut read = Read::default();
    read.look(folder, "", 0)?;
    Ok(read)
}

impl Read {
    fn skip(&mut self, file: &str, why: &'static str) {
        self.skipped.push(Skipped { file: escape_untrusted(file, usize::MAX), why });
    }

    fn look(&mut self, folder: &Path, inner: &str, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                return Err(io::Error::other(format!("it has more than {MOST_ENTRIES} files")));
            }
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                self.skip(&format!("{inner}{}", name.to_string_lossy()), "its name is not UTF-8");
                continue;
            };
            let path = format!("{inner}{name}");
            let kind = entry.file_type()?;
            if kind.is_symlink() {
                if is_wanted(name) || !name.contains('.') {
                    self.skip(&path, "it is a link");
                }
            } else if kind.is_dir() {
                if is_no_source(name) {
                    continue;
                }
                if depth == DEEPEST {
                    self.skip(&path, "it is in too many folders");
                } else {
                    self.look(&entry.path(), &format!("{path}/"), depth + 1)?;
                }
            } else if is_wanted(name) || is_template(&path) {
                self.file(&entry.path(), path)?;
            } else if is_packaged(name) {
                self.packaged(&entry.path(), path)?;
            }
        }
        Ok(())
    }

    /// Reads a file that the plugin may open. The rest of the port does not need it.
    fn packaged(&mut self, file: &Path, path: String) -> io::Result<()> {
        let is_page = file.extension().is_some_and(|end| end == "md");
        if is_page && self.pages == MOST_PAGES {
            return Ok(());
        }
        let Ok(opened) = open_plain(file, libc::O_NOFOLLOW) else { return Ok(()) };
        let mut bytes = Vec::new();
        let size = opened.take(MOST_BYTES + 1).read_to_end(&mut bytes)? as u64;
        if self.packaged == MOST_PACKAGED || size > MOST_BYTES || self.packaged_bytes + size > MOST_PACKAGED_BYTES {
            return Ok(());
        }
        if let Ok(text) = String::from_utf8(bytes) {
            self.packaged += 1;
            self.pages += usize::from(is_page);
            self.packaged_bytes += size;
            self.files.insert(path, text);
        }
        Ok(())
    }

    fn file(&mut self, file: &Path, path: String) -> io::Result<()> {
        if self.files.len() == MOST_FILES {
            return Err(io::Error::other(format!("it has more than {MOST_FILES} sources")));
        }
        let Ok(opened) = open_plain(file, libc::O_NOFOLLOW) else {
            self.skip(&path, "it cannot be opened");
            return Ok(());
        };
        let mut bytes = Vec::new();
        let size = opened.take(MOST_BYTES + 1).read_to_end(&mut bytes)? as u64;
        self.bytes += size;
        if self.bytes > MOST_TOGETHER {
            return Err(io::Error::other(format!("its sources have more than {MOST_TOGETHER} bytes")));
        }
        if size > MOST_BYTES {
            self.skip(&path, "it is larger than 512 KiB");
            return Ok(());
        }
        match String::from_utf8(bytes) {
            Ok(mut text) => {
                if text.starts_with(BOM) {
                    text.drain(..BOM.len_utf8());
                }
                self.files.insert(path, text);
            }
            Err(_) => self.skip(&path, "it is not UTF-8"),
        }
        Ok(())
    }
}

/// Returns whether a file of this name is read.
fn is_wanted(name: &str) -> bool {
    let extension = Path::new(name).extension();
    let small = name.to_lowercase();
    extension.is_some_and(|end| end == "py" || end == "plug" || end == "flow")
        || WANTED.contains(&name)
        || TEXTS.iter().any(|begin| small.starts_with(*begin))
}

/// Returns whether a file of this name may be one that the plugin opens.
fn is_packaged(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| PACKAGED.iter().any(|known| end == *known))
}

/// Returns whether the file with this path in the folder is a template of answers, as plugins of errbot have them.
fn is_template(path: &str) -> bool {
    let path = Path::new(path);
    let is_there = path.parent().is_some_and(|folder| folder.iter().any(|name| name == "templates"));
    is_there && path.extension().is_some_and(|end| end == "md")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_large_files_and_other_bytes_are_skipped_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret.py"), "secret").unwrap();
        let place = folder.path();
        symlink(outside.path().join("secret.py"), place.join("link.py")).unwrap();
        symlink(outside.path(), place.join("inner")).unwrap();
        symlink("/dev/zero", place.join("zero.plug")).unwrap();
        fs::write(place.join("large.py"), vec![b' '; 600 << 10]).unwrap();
        fs::write(place.join("latin.py"), b"# caf\xe9\n").unwrap();
        fs::write(place.join("mark.py"), "\u{feff}a = 1\n").unwrap();
        fs::write(place.join("picture.png"), "x").unwrap();
        fs::create_dir(place.join("tests")).unwrap();
        fs::write(place.join("tests/test_a.py"), "").unwrap();
        let read = read(place).unwrap();
        assert_eq!(read.files.into_iter().collect::<Vec<_>>(), [("mark.py".to_owned(), "a = 1\n".to_owned())]);
        let mut skipped: Vec<_> = read.skipped.iter().map(|one| (one.file.as_str(), one.why)).collect();
        skipped.sort_unstable();
        assert_eq!(
            skipped,
            [
                ("inner", "it is a link"),
                ("large.py", "it is larger than 512 KiB"),
                ("latin.py", "it is not UTF-8"),
                ("link.py", "it is a link"),
                ("zero.plug", "it is a link"),
            ]
        );
    }

    #[test]
    fn files_that_name_plugins_and_flows_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.plug", "b.flow", "c.flows", "flow"] {
            fs::write(folder.path().join(name), "[Core]").unwrap();
        }
        let read = read(folder.path()).unwrap();
        assert_eq!(read.files.into_keys().collect::<Vec<_>>(), ["a.plug", "b.flow"]);
    }

    #[test]
    fn templates_are_read_where_plugins_have_them() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["templates/a.md", "inner/templates/more/b.md", "templates/c.html"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "Hello").unwrap();
        }
        let read = read(folder.path()).unwrap();
        let found: Vec<_> = read.files.into_keys().collect();
        assert_eq!(found, ["inner/templates/more/b.md", "templates/a.md", "templates/c.html"]);
    }

    #[test]
    fn texts_that_a_plugin_may_open_are_read_up_to_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        symlink("/etc/hostname", place.join("link.txt")).unwrap();
        fs::write(place.join("large.json"), vec![b' '; 600 << 10]).unwrap();
        fs::write(place.join("latin.csv"), b"caf\xe9").unwrap();
        fs::create_dir(place.join("assets")).unwrap();
        for number in 0..=MOST_PACKAGED {
            fs::write(place.join(format!("assets/a{number}.json")), "{}").unwrap();
        }
        fs::write(place.join("a.py"), "").unwrap();
        let read = read(place).unwrap();
        assert_eq!(read.files.len(), MOST_PACKAGED + 1);
        assert!(read.files.keys().all(|name| name == "a.py" || name.starts_with("assets/a")), "{:?}", read.files);
        assert_eq!(read.skipped, []);
    }

    #[test]
    fn pages_of_markdown_leave_room_for_other_texts() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        for number in 0..MOST_PACKAGED {
            fs::write(place.join(format!("a{number}.md")), "# Tea").unwrap();
        }
        fs::write(place.join("words.json"), "{}").unwrap();
        let read = read(place).unwrap();
        assert_eq!(read.files.len(), MOST_PAGES + 1);
        assert!(read.files.contains_key("words.json"));
    }

    #[test]
    fn a_folder_with_too_many_sources_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..=MOST_FILES {
            fs::write(folder.path().join(format!("a{number}.py")), "").unwrap();
        }
        assert!(read(folder.path()).unwrap_err().to_string().contains("more than 300 sources"));
    }
}
