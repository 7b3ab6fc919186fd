//! What `import` finds: `parlor`, and the plugin's own files.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::super::BuildError;
use super::MARKS;
use super::tools::Tools;

/// The module of the SDK.
const PARLOR: &str = "parlor";

/// How the contract's groupings are called.
pub(super) const CONTRACT: &str = "parlor:plugin/";

/// A plugin's folder, as its modules see it: its root is `/`.
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
        let entry = MARKS.into_iter().find(|mark| folder.join(mark).is_file());
        let entry = entry.ok_or_else(|| BuildError::NotAPlugin(folder.to_owned()))?;
        Ok(Self { folder: folder.to_owned(), entry, tools, sdk })
    }

    /// The module that the host's calls go to; it brings the plugin's own along.
    pub(super) fn main(&self) -> String {
        format!("import \"/{}\";\nexport {{ guest }} from \"{PARLOR}\";\n", self.entry)
    }

    /// Which module an `import` in another one means.
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

    /// The text of a module.
    pub(super) fn load(&self, name: &str) -> Result<String, String> {
        if name == PARLOR {
            return Ok(self.sdk.clone());
        }
        if name.starts_with(CONTRACT) {
            return Ok("export {};\n".to_owned());
        }
        let name = name.trim_start_matches('/');
        let text = fs::read_to_string(self.folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
        if Path::new(name).extension().is_some_and(|kind| kind == "ts") {
            return self.tools.strip(&text).map_err(|reason| format!("/{name}:{reason}"));
        }
        Ok(text)
    }
}

/// The same path without `.` and `..`, from the plugin's folder on; none if it leads out of it.
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
    fn paths_stay_within_the_folder() {
        assert_eq!(normal(Path::new("/lib/../dice.js")), Some("dice.js".into()));
        assert_eq!(normal(Path::new("/./lib/./a.ts")), Some("lib/a.ts".into()));
        assert_eq!(normal(Path::new("/../secret.js")), None);
    }
}
