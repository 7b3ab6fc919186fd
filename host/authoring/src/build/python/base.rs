//! The interpreter with the SDK imported, made once for all plugins that request the same permissions. This is most of
//! a Python plugin, apart from its own code.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use parlor_base::child;
use parlor_base::id::Digest;

use super::super::fresh::alone_in;
use super::super::tools::{self, announce};
use super::super::{BuildError, contract, kept, read_bytes};
use super::parts::{self, EVALUATE};
use super::{CALL, COMPONENTIZE, ENVIRONMENT, SDK, tell, with_needs};

/// The folder of the bases, each in a subfolder named by a hash of its parts.
const PLACE: &str = "python-bases";
/// How many of them are kept: one takes 40 MB.
const KEPT: usize = 6;

/// The component, in the folder of a base.
const COMPONENT: &str = "base.wasm";
/// Python's own library, in the same folder.
const LIBRARY: &str = "library";
/// The module that receives the host's calls, in the same folder.
const MAIN: &str = "main";
/// The SDK, in the same folder.
const PARLOR: &str = "sdk";

/// The packages of a virtual environment, in the interpreter; [`MAIN_TEXT`] names it as well.
const PACKAGES: &str = "/packages";

const MAIN_NAME: &str = "parlor_main";
/// The code that runs when a base is made and later imports plugins. It copies Python's library, which is not available
/// as files to this program.
const MAIN_TEXT: &str = r#"
import importlib
import os
import sys
import traceback

import wit_world
from componentize_py_types import Err

from parlor.guest import Guest

_LIBRARY, _COPY = "/python", "/3"
sys.path.remove(_COPY)
for _place, _folders, _files in os.walk(_LIBRARY):
    _there = _COPY + _place.removeprefix(_LIBRARY)
    for _name in _folders:
        os.mkdir(f"{_there}/{_name}")
    for _name in _files:
        with open(f"{_place}/{_name}", "rb") as _given, open(f"{_there}/{_name}", "wb") as _taken:
            _taken.write(_given.read())


class WitWorld(wit_world.WitWorld):
    def evaluate(self) -> None:
        # The modules in the folders now were not there before.
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        if os.path.isdir("/packages"):
            sys.path.append("/packages")
        try:
            try:
                import plugin
            except ModuleNotFoundError as error:
                # That the machine has it is of no use here.
                advice = "what is all Python is brought along by `pip install --target . NAME`; .parlor/docs/author/cannot.md says more"
                error.add_note(f"neither Python nor the plugin's folder has it: {advice}")
                raise
        except BaseException:
            raise Err(traceback.format_exc())
"#;

/// A base.
pub(super) struct Base {
    folder: PathBuf,
    /// The lock that keeps the base from being removed.
    _used: Option<File>,
}

impl Base {
    /// Returns the component.
    pub(super) fn component(&self) -> Result<Vec<u8>, BuildError> {
        let path = self.folder.join(COMPONENT);
        read_bytes(&path).map_err(|error| BuildError::File { path, error })
    }

    /// Returns its folders with their paths in the interpreter. The plugin's own folder comes first in the search path,
    /// and packages of a virtual environment come last.
    pub(super) fn folders<'f>(
        &self,
        plugin: &'f Path,
        packages: Option<&'f Path>,
    ) -> impl Iterator<Item = (Cow<'f, Path>, &'static str)> {
        let own = |name: &str| self.folder.join(name).into();
        let always = [(plugin.into(), "/0"), (own(MAIN), "/1"), (own(PARLOR), "/2"), (own(LIBRARY), "/python")];
        always.into_iter().chain(packages.map(|place| (place.into(), PACKAGES)))
    }
}

/// Returns the base for plugins with this contract, making it if it is missing.
pub(super) fn base(python: &Path, wit: &str, package: &str) -> Result<Base, BuildError> {
    let around = tools::folder()?.join(PLACE);
    fs::create_dir_all(&around).map_err(|error| BuildError::File { path: around.clone(), error })?;
    let folder = around.join(&name(wit)[..32]);
    if !folder.join(COMPONENT).is_file() {
        let _alone = alone_in(&around);
        // Another process may have been faster.
        if !folder.join(COMPONENT).is_file() {
            announce(
                "preparing Python for these permissions, once for all plugins that ask for them; it takes some ten seconds",
            );
            make(python, wit, package, &around, &folder)?;
            keep_newest(&around, KEPT);
        }
    }
    let used = File::open(&folder).ok();
    // The time marks the last use. If it cannot be set, the base may be removed early and made again.
    let _ = used.as_ref().map(|place| place.set_modified(SystemTime::now()));
    let used = used.filter(|place| place.lock_shared().is_ok());
    Ok(Base { folder, _used: used })
}

/// Returns a hash of everything that the base is made of.
fn name(wit: &str) -> String {
    let sdk = SDK.iter().map(|(name, text)| format!("{name}\n{}", with_needs(text)));
    let parts: Vec<_> =
        [COMPONENTIZE.package.to_owned(), wit.to_owned(), MAIN_TEXT.to_owned()].into_iter().chain(sdk).collect();
    Digest::of(parts.join("\0").as_bytes()).to_hex()
}

fn make(python: &Path, wit: &str, package: &str, around: &Path, folder: &Path) -> Result<(), BuildError> {
    let failed = |error| BuildError::File { path: around.to_owned(), error };
    let work = tempfile::Builder::new().prefix("new-").tempdir_in(around).map_err(failed)?;
    let place = work.path().join("it");
    let nothing = work.path().join("environment");
    for folder in [&place.join(LIBRARY), &work.path().join("plugin"), &nothing.join("lib/site-packages")] {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    kept::write(&work.path().join("wit/plugin.wit"), with_evaluate(wit))?;
    kept::write(&place.join(MAIN).join(MAIN_NAME).with_extension("py"), MAIN_TEXT)?;
    for (name, text) in SDK {
        kept::write(&place.join(PARLOR).join("parlor").join(name), with_needs(text))?;
    }
    let made = work.path().join("made.wasm");
    let mut command = child::command(python, work.path());
    command
        // Otherwise it would use the packages of the machine's Python.
        .env(ENVIRONMENT, nothing)
        .args(["-I", "-c", CALL, "--quiet"])
        .arg("--wit-path")
        .arg(work.path().join("wit"))
        .args(["--world", contract::WORLD, "componentize", MAIN_NAME])
        .args(["-p".as_ref(), work.path().join("plugin").as_os_str()])
        .args(["-p".as_ref(), place.join(MAIN).as_os_str()])
        .args(["-p".as_ref(), place.join(PARLOR).as_os_str()])
        .args(["-p".as_ref(), place.join(LIBRARY).as_os_str()])
        .arg("-o")
        .arg(&made);
    let done = tools::heard(&mut command).map_err(|error| BuildError::File { path: python.to_owned(), error })?;
    if !done.status.success() {
        tell(&[done.stdout, done.stderr].concat());
        return Err(BuildError::Compile {
            package: package.to_owned(),
            program: "componentize-py",
            status: done.status,
        });
    }
    let component = read_bytes(&made).map_err(|error| BuildError::File { path: made, error })?;
    let component = parts::with_forgetting(&component)
        .map_err(|error| BuildError::Component { package: package.to_owned(), reason: error.to_string() })?;
    fs::write(place.join(COMPONENT), component).map_err(failed)?;
    fs::rename(&place, folder).map_err(failed)
}

/// Returns the contract of a component that can import a plugin.
fn with_evaluate(wit: &str) -> String {
    let end = wit.rfind('}').unwrap_or(wit.len());
    format!("{}  export {EVALUATE}: func() -> result<_, string>;\n{}", &wit[..end], &wit[end..])
}

/// Removes the least recently used bases, unless they are in use now.
fn keep_newest(around: &Path, most: usize) {
    let entries = fs::read_dir(around).into_iter().flatten().flatten();
    let used = |entry: fs::DirEntry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()));
    let mut all: Vec<_> = entries.filter_map(used).collect();
    all.sort_by(|one, other| other.cmp(one));
    for (_, path) in all.into_iter().skip(most) {
        let is_free = |place: &File| place.try_lock().is_ok();
        if File::open(&path).is_ok_and(|place| is_free(&place)) {
            let _: io::Result<()> = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use wit_parser::Resolve;

    use super::*;

    #[test]
    fn a_base_is_of_a_contract_and_can_import_a_plugin() {
        let wit =
            "package parlor:plugin@0.1.0;\ninterface guest {\n  stop: func();\n}\nworld plugin {\n  export guest;\n}\n";
        let mut contract = Resolve::default();
        let package = contract.push_str("plugin.wit", &with_evaluate(wit)).unwrap();
        let world = contract.select_world(&[package], Some("plugin")).unwrap();
        assert_eq!(contract.worlds[world].exports.len(), 2);
        assert_eq!(name(wit), name(wit));
        assert_ne!(name(wit), name(&wit.replace("stop", "halt")));
    }

    #[test]
    fn packages_lie_where_the_interpreter_looks_for_them() {
        assert!(MAIN_TEXT.contains(&format!("sys.path.append(\"{PACKAGES}\")")));
    }

    #[test]
    fn those_that_nobody_used_for_long_go_unless_somebody_uses_them_now() {
        let around = tempfile::tempdir().unwrap();
        let made: Vec<_> = (0..5_u64)
            .map(|age| {
                let place = around.path().join(format!("base{age}"));
                fs::create_dir(&place).unwrap();
                fs::write(place.join(COMPONENT), "").unwrap();
                let opened = File::open(&place).unwrap();
                opened.set_modified(SystemTime::now() - std::time::Duration::from_hours(age)).unwrap();
                (place, opened)
            })
            .collect();
        made[4].1.lock_shared().unwrap();
        keep_newest(around.path(), 2);
        let there: Vec<_> = made.iter().map(|(place, _)| place.is_dir()).collect();
        assert_eq!(there, [true, true, false, false, true]);
    }
}
