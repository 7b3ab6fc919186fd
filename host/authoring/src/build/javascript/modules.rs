//! The modules that `import` finds: `parlor`, and the plugin's own files.

use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use parlor_plugins::component::MAX_BYTES;

use super::super::tools::announce;
use super::super::{BuildError, read_text_within};
use super::MARKS;
use super::tools::Tools;

pub(super) use super::super::snapshot::CONTRACT;

/// The module of the SDK.
const PARLOR: &str = "parlor";

/// The maximum length of a module, in bytes: a bundler may merge many modules into one, and no component may be longer.
const LONGEST: u64 = MAX_BYTES as u64;

/// A plugin's folder as its modules see it: its root is `/`.
#[derive(Debug)]
pub(super) struct Modules {
    folder: PathBuf,
    entry: &'static str,
    tools: Tools,
    /// The text of the SDK.
    sdk: String,
}

impl Modules {
    pub(super) fn new(folder: &Path, tools: Tools, sdk: String) -> Result<Self, BuildError> {
        let mut entries = MARKS.into_iter().filter(|mark| folder.join(mark).is_file());
        let entry = entries.next().ok_or_else(|| BuildError::NotAPlugin(folder.to_owned()))?;
        if let Some(other) = entries.next() {
            says_what_is_left_out(entry, other);
        }
        Ok(Self { folder: folder.to_owned(), entry, tools, sdk })
    }

    /// Returns the name of the plugin's first module.
    pub(super) fn entry(&self) -> String {
        format!("/{}", self.entry)
    }

    /// Returns the module that receives the host's calls. It imports the plugin's own.
    pub(super) fn main(&self) -> String {
        // The SDK is first, since every module of the plugin passes its async functions to it.
        format!("import \"{PARLOR}\";\nimport \"{}\";\nexport {{ guest }} from \"{PARLOR}\";\n", self.entry())
    }

    /// Resolves an `import` in a module.
    pub(super) fn resolve(&self, referrer: &str, wanted: &str) -> Result<String, String> {
        // A grouping of which the plugin may call nothing is not part of its contract.
        if wanted == PARLOR || wanted.starts_with(CONTRACT) {
            return Ok(wanted.to_owned());
        }
        if !["/", "./", "../"].iter().any(|begin| wanted.starts_with(begin)) {
            return Err(format!(
                "there is no module {wanted} here: a plugin imports `{PARLOR}` and its own files, such as ./{wanted}.js; \
                 what npm has, a bundler makes one file of"
            ));
        }
        let around = Path::new(referrer).parent().unwrap_or(Path::new("/"));
        let path = normal(&around.join(wanted)).ok_or_else(|| format!("{wanted} is outside of the plugin's folder"))?;
        let text = path.to_str().expect("it was made of texts").to_owned();
        let typed = text.strip_suffix(".js").map(|name| format!("{name}.ts"));
        [Some(text.clone()), typed, Some(format!("{text}.js")), Some(format!("{text}.ts"))]
            .into_iter()
            .flatten()
            .find(|name| self.folder.join(name).is_file())
            .map(|name| format!("/{name}"))
            .ok_or_else(|| format!("there is no file {text}"))
    }

    /// Returns the text of a module.
    pub(super) fn load(&self, name: &str) -> Result<String, String> {
        if name == PARLOR {
            return Ok(self.sdk.clone());
        }
        if name.starts_with(CONTRACT) {
            return Ok("export {};\n".to_owned());
        }
        let name = name.trim_start_matches('/');
        self.check_within(name)?;
        let text = read_text_within(&self.folder.join(name), LONGEST).map_err(|error| format!("{name}: {error}"))?;
        let watched =
            |is_typed| self.tools.watched(name, &text, is_typed).map_err(|reason| format!("/{name}:{reason}"));
        match Path::new(name).extension().and_then(OsStr::to_str) {
            Some("ts") => watched(true),
            Some("json") => of_json(&text).map_err(|error| format!("/{name}: {error}")),
            // Node.js is only needed if there is an `async` function.
            _ if text.contains("async") => watched(false),
            _ => Ok(text),
        }
    }

    /// Checks that a link does not lead out of the folder: the text becomes part of a file that everybody can read.
    fn check_within(&self, name: &str) -> Result<(), String> {
        let real = |path: &Path| fs::canonicalize(path).map_err(|error| format!("{name}: {error}"));
        if real(&self.folder.join(name))?.starts_with(real(&self.folder)?) {
            return Ok(());
        }
        Err(format!("{name} is a link that leads out of the plugin's folder; put the file itself there"))
    }
}

/// Returns a module whose default export is the value of a JSON file.
fn of_json(text: &str) -> Result<String, serde_json::Error> {
    serde_json::from_str::<serde::de::IgnoredAny>(text)?;
    // The text is parsed as JSON: in a JavaScript literal, `__proto__` would have another meaning.
    Ok(format!("export default JSON.parse({});\n", serde_json::to_string(text)?))
}

/// Tells the author which file is ignored, since they may be editing that one.
fn says_what_is_left_out(entry: &str, other: &str) {
    announce(&format!("building {entry}; {other} beside it is not the plugin: remove one of them"));
}

/// Normalises a path, relative to the plugin's folder; `None` if it leads out of it.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_a_module_and_what_is_none_is_named_by_its_line() {
        let module = of_json("{\"__proto__\": \"\u{2028}\"}").unwrap();
        assert_eq!(module, "export default JSON.parse(\"{\\\"__proto__\\\": \\\"\u{2028}\\\"}\");\n");
        let error = of_json("{\n  'no': 1\n}").unwrap_err().to_string();
        assert!(error.contains("line 2 column 3"), "{error}");
    }

    #[test]
    fn what_has_no_end_is_no_module() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("plugin.js"), "").unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.js")).unwrap();
        let pipe = folder.path().join("pipe.js");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let modules = Modules::new(folder.path(), Tools::nowhere(), String::new()).unwrap();
        assert_eq!(modules.load("/plugin.js").unwrap(), "");
        assert_eq!(modules.load("/pipe.js").unwrap_err(), "pipe.js: it is not a file");
        assert!(modules.load("/zero.js").unwrap_err().contains("leads out of the plugin's folder"));
    }

    #[test]
    fn paths_stay_within_the_folder() {
        assert_eq!(normal(Path::new("/lib/../dice.js")), Some("dice.js".into()));
        assert_eq!(normal(Path::new("/./lib/./a.ts")), Some("lib/a.ts".into()));
        assert_eq!(normal(Path::new("/../secret.js")), None);
    }
}
