//! Plugins in Python: `plugin.py`, which imports `parlor`.
//!
//! componentize-py puts `CPython` and the plugin's modules into one component. It is installed by pip into a folder of
//! parlor's, once for all plugins. Nothing else on the machine changes.

mod base;
mod events;
mod parts;
mod said;
mod snapshot;
mod stubs;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use parlor_base::child;
use parlor_plugins::manifest::Manifest;

use super::snapshot::Failure;
use super::tools::{self, Pip};
use super::{BuildError, Made, contract, kept, metadata, texts};

/// The file that marks a folder as Python.
pub(super) const MARK: &str = "plugin.py";

/// The tool that makes a component of Python, in the version that the SDK was tested with.
const COMPONENTIZE: Pip =
    Pip { package: "componentize-py==0.25.1", module: "componentize_py", serves: "plugins in Python" };

/// The command to run it: its own script names the folder into which it was installed, and it is moved from there.
const CALL: &str = "import componentize_py; componentize_py.script()";

/// Parses the plugin's files as Python does.
const CHECK: &str = include_str!("python/check.py");
/// The exit code if one of them is not valid Python.
const REFUSED: i32 = 3;

/// The module that receives the host's calls. It imports the plugin's own.
const MAIN: &str = "parlor_main";
const MAIN_TEXT: &str = r#"
# First, so that what the plugin takes from the library by name is what the SDK makes of it.
import parlor

try:
    import plugin
except ModuleNotFoundError as error:
    # That the machine has it is of no use here.
    advice = "what is all Python is brought along by `pip install --target . NAME`; .parlor/docs/author/cannot.md says more"
    error.add_note(f"neither Python nor the plugin's folder has it: {advice}")
    raise
from parlor.guest import Guest
"#;

/// The variable with the author's active virtual environment, whose packages are used.
const ENVIRONMENT: &str = "VIRTUAL_ENV";

/// The SDK's line for the permissions of calls that a plugin may not make.
const NEEDS: &str = "_NEEDS: dict[str, str] = {}";

macro_rules! sdk {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../plugins-sdk/python/parlor/", $name)))),*]
    };
}

/// The files of the SDK. A test fails if one is missing.
const SDK: &[(&str, &str)] = sdk![
    "__init__.py",
    "arguments.py",
    "declared.py",
    "dialogs.py",
    "errors.py",
    "files.py",
    "guest.py",
    "hooks.py",
    "host.py",
    "http.py",
    "letters.py",
    "listen.py",
    "logs.py",
    "loop.py",
    "messages.py",
    "moderation.py",
    "plugins.py",
    "records.py",
    "said.py",
    "schedules.py",
    "stanza.py",
    "streams.py",
    "styling.py",
    "texts.py",
    "timers.py",
    "turns.py",
    "values.py",
    "webhooks.py",
];

/// The files that are useless to editors, since they import modules that only exist in a component.
const WITHIN: [&str; 12] = [
    "__init__.py",
    "declared.py",
    "guest.py",
    "host.py",
    "listen.py",
    "logs.py",
    "loop.py",
    "messages.py",
    "records.py",
    "said.py",
    "streams.py",
    "turns.py",
];

/// The files that also run without a host.
const RUNS_OUTSIDE: [&str; 6] = ["__init__.py", "declared.py", "listen.py", "messages.py", "records.py", "said.py"];

/// The files that replace the others without a host.
const OUTSIDE: &[(&str, &str)] = &[
    ("guest.py", include_str!("../../../../plugins-sdk/python/outside/guest.py")),
    ("host.py", include_str!("../../../../plugins-sdk/python/outside/host.py")),
    ("loop.py", include_str!("../../../../plugins-sdk/python/outside/loop.py")),
];

/// The files for editors in their place, with types and no code.
const EDITORS: &[(&str, &str)] = &[
    ("parlor/__init__.pyi", include_str!("../../../../plugins-sdk/python/editors/__init__.pyi")),
    ("parlor/guest.pyi", include_str!("../../../../plugins-sdk/python/editors/guest.pyi")),
    ("parlor/host.pyi", include_str!("../../../../plugins-sdk/python/editors/host.pyi")),
    ("parlor/loop.pyi", include_str!("../../../../plugins-sdk/python/editors/loop.pyi")),
    ("parlor/messages.pyi", include_str!("../../../../plugins-sdk/python/editors/messages.pyi")),
    ("parlor/said.pyi", include_str!("../../../../plugins-sdk/python/editors/said.pyi")),
    // Marks the package as typed (PEP 561).
    ("parlor/py.typed", ""),
    ("parlor/_contract/__init__.pyi", ""),
    ("componentize_py_types.pyi", include_str!("../../../../plugins-sdk/python/editors/componentize_py_types.pyi")),
];

/// Another such file, to which the host's events are added.
const LISTEN: &str = include_str!("../../../../plugins-sdk/python/editors/listen.pyi");

/// Their path in a plugin's folder. They are only for editors: a build uses its own.
const PLACE: &str = ".parlor/sdk";

/// Puts the SDK and the types of the whole contract into a plugin's folder.
pub(super) fn equip(folder: &Path) -> Result<(), BuildError> {
    let place = folder.join(PLACE);
    for (name, text) in SDK.iter().filter(|(name, _)| !WITHIN.contains(name)) {
        kept::write(&place.join("parlor").join(name), text)?;
    }
    for (name, text) in EDITORS {
        kept::write(&place.join(name), text)?;
    }
    kept::write(&place.join("parlor/listen.pyi"), events::into_stub(LISTEN))?;
    for (grouping, text) in stubs::of_contract() {
        kept::write(&place.join("parlor/_contract").join(grouping).with_extension("pyi"), text)?;
    }
    // In addition to these, the modules with which an author's own tests run.
    let runs = SDK.iter().filter(|(name, _)| RUNS_OUTSIDE.contains(name)).chain(OUTSIDE);
    for (name, text) in runs {
        kept::write(&place.join("parlor").join(name), text)?;
    }
    for (grouping, text) in stubs::outside() {
        kept::write(&place.join("parlor/_contract").join(grouping).with_extension("py"), text)?;
    }
    Ok(())
}

/// Makes a component of the folder, by componentize-py alone if the folder [is linked](is_linked).
pub(super) fn make(folder: &Path, manifest: &Manifest, is_linked: bool) -> Result<Made, BuildError> {
    let package = manifest.name.to_string();
    let wit = contract::of(manifest).map_err(|reason| BuildError::Component { package: package.clone(), reason })?;
    let python = COMPONENTIZE.python()?;
    check(&python, folder, &package)?;
    let component = if is_linked {
        linked(&python, &wit, folder, &package)?
    } else {
        imported(&python, &wit, folder, active_packages().as_deref(), &package)?
    };
    Ok(Made { component, metadata: metadata(manifest), output: folder.join(format!("{package}.wasm")), package })
}

/// Returns the folder of the packages of the active virtual environment.
fn active_packages() -> Option<PathBuf> {
    env::var_os(ENVIRONMENT).and_then(|place| packages(Path::new(&place)))
}

/// Returns whether componentize-py alone builds the folder. It evaluates the code of the folder with write access to that and to the
/// active environment, so the user must have agreed.
pub(super) fn is_linked(folder: &Path) -> bool {
    let packages = active_packages();
    [Some(folder), packages.as_deref()].into_iter().flatten().any(|place| wants_linking(place, &mut 0))
}

/// Returns the folder of the packages that are installed in a virtual environment.
fn packages(environment: &Path) -> Option<PathBuf> {
    let lib = environment.join("lib");
    let versions = fs::read_dir(&lib).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<_> =
        versions.chain([lib.clone()]).map(|place| place.join("site-packages")).filter(|place| place.is_dir()).collect();
    // An environment has one. With several, each build takes the same.
    found.sort();
    found.pop()
}

/// Imports the plugin into an interpreter that has already imported the SDK. The packages of a virtual environment are
/// found after all others.
fn imported(
    python: &Path,
    wit: &str,
    folder: &Path,
    packages: Option<&Path>,
    package: &str,
) -> Result<Vec<u8>, BuildError> {
    let base = base::base(python, wit, package)?;
    tools::announce(&format!("building {package}"));
    let taken = snapshot::take(&base, &base.component()?, folder, packages).map_err(|failure| match failure {
        Failure::Source(said) => match said::shown(&said) {
            Some((printed, reason)) => {
                tell(printed.as_bytes());
                BuildError::Source { package: package.to_owned(), reason }
            }
            None => BuildError::Source { package: package.to_owned(), reason: said },
        },
        Failure::Component(reason) => BuildError::Component { package: package.to_owned(), reason },
    })?;
    tell(&taken.printed);
    Ok(taken.component)
}

/// Returns whether only componentize-py can build the plugin: if it has libraries in other languages or contracts of
/// its own. These are linked with the interpreter, which therefore must be initialised again.
fn wants_linking(folder: &Path, seen: &mut usize) -> bool {
    /// The maximum number of files that are checked. With more, componentize-py is used in any case.
    const MOST: usize = 20_000;
    fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        *seen += 1;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_hidden = name.starts_with('.');
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        *seen > MOST
            || name.ends_with("-wasm32-wasi.so")
            || name == "componentize-py.toml"
            || (is_folder && !is_hidden && wants_linking(&entry.path(), seen))
    })
}

/// Builds the plugin with componentize-py alone, which takes ten seconds. The plugin's code can write to the folder meanwhile.
fn linked(python: &Path, wit: &str, folder: &Path, package: &str) -> Result<Vec<u8>, BuildError> {
    tools::announce(&format!("building {package} with componentize-py, which takes some seconds"));
    let work = tempfile::tempdir().map_err(|error| BuildError::File { path: env::temp_dir(), error })?;
    let written = [("wit/plugin.wit", wit), ("main/parlor_main.py", MAIN_TEXT)]
        .into_iter()
        .map(|(name, text)| (PathBuf::from(name), text.to_owned()))
        .chain(SDK.iter().map(|(name, text)| (Path::new("sdk/parlor").join(name), with_needs(text))));
    for (name, text) in written {
        kept::write(&work.path().join(name), text)?;
    }
    let component = work.path().join("plugin.wasm");
    let mut command = child::command(python, work.path());
    if env::var_os(ENVIRONMENT).is_none() {
        // Otherwise it would use the packages of the machine's Python, which differ, and that would allow the plugin's
        // top-level code to write there.
        let nothing = work.path().join("environment");
        let packages = nothing.join("lib/site-packages");
        fs::create_dir_all(&packages).map_err(|error| BuildError::File { path: packages, error })?;
        command.env(ENVIRONMENT, nothing);
    }
    command
        .args(["-I", "-c", CALL, "--quiet"])
        .arg("--wit-path")
        .arg(work.path().join("wit"))
        .args(["--world", contract::WORLD, "componentize", MAIN])
        .args(["-p".as_ref(), folder.as_os_str()])
        .args(["-p".as_ref(), work.path().join("main").as_os_str()])
        .args(["-p".as_ref(), work.path().join("sdk").as_os_str()])
        .arg("-o")
        .arg(&component);
    let done = tools::heard(&mut command).map_err(|error| BuildError::File { path: python.to_owned(), error })?;
    if !done.status.success()
        && let Some((printed, reason)) = said::by_python(&String::from_utf8_lossy(&done.stderr))
    {
        tell(printed.as_bytes());
        return Err(BuildError::Source { package: package.to_owned(), reason });
    }
    tell(&[done.stdout, done.stderr].concat());
    if !done.status.success() {
        let package = package.to_owned();
        return Err(BuildError::Compile { package, program: "componentize-py", status: done.status });
    }
    fs::read(&component).map_err(|error| BuildError::File { path: component, error })
}

/// Shows output of the build to the author.
fn tell(said: &[u8]) {
    tools::show_output(&String::from_utf8_lossy(said));
}

/// Finds mistakes in the plugin's files before componentize-py does, which takes seconds. Syntax that may be too new
/// for the machine's Python is left to the plugin's own.
fn check(python: &Path, folder: &Path, package: &str) -> Result<(), BuildError> {
    let mut command = child::command(python, folder);
    // It runs in the folder, so that messages name files as the author does.
    command.args(["-I", "-c", CHECK]);
    let done = tools::heard(&mut command).map_err(|error| BuildError::File { path: python.to_owned(), error })?;
    if done.status.code() != Some(REFUSED) {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&done.stdout).trim_end().to_owned();
    Err(BuildError::Source { package: package.to_owned(), reason })
}

/// Returns a file of the SDK. If it reports missing permissions, the table of permissions is inserted.
fn with_needs(text: &str) -> String {
    text.replacen(NEEDS, &format!("_NEEDS: dict[str, str] = {}", contract::needs(stubs::snake)), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_knows_what_the_calls_need_that_a_plugin_does_not_ask_for() {
        let files: Vec<_> = SDK.iter().filter(|(_, text)| text.contains(NEEDS)).map(|(name, _)| *name).collect();
        assert_eq!(files, ["host.py"]);
        let text = with_needs(&format!("a\n{NEEDS}\nb\n"));
        assert!(text.contains("\"rooms.get_many\":\"rooms.read\"") && !text.contains("\"api.emit\""), "{text}");
        assert_eq!(text.lines().count(), 3, "lines in tracebacks stay what they are");
    }

    #[test]
    fn what_is_no_python_is_shown_with_its_line_and_what_may_be_of_a_newer_one_is_left_to_that() {
        let folder = tempfile::tempdir().unwrap();
        let said = |text: &str| {
            fs::write(folder.path().join(MARK), text).unwrap();
            match check(Path::new("python3"), folder.path(), "repeat") {
                Ok(()) => String::new(),
                Err(error) => error.to_string(),
            }
        };
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("lib/part.py"), "a = 1\ndef answer(:\n").unwrap();
        assert_eq!(
            said("from lib import part\n"),
            "repeat did not compile: Traceback (most recent call last):\n  File \"lib/part.py\", line 2\n    def answer(:\n\
             \u{20}              ^\nSyntaxError: invalid syntax"
        );
        // Imports that are not executed during the build are not followed.
        for fine in ["def later():\n    import lib.part\n", "try:\n    import lib.part\nexcept Exception:\n    pass\n"]
        {
            assert_eq!(said(fine), "");
        }
        for newer in [
            "type A = int\n",
            "def f[A = int](a: A): ...\n",
            "\u{feff}def f[A](a: A): ...\n",
            "try: ...\nexcept A, B: ...\n",
            "a = t\"{b}\"\n",
            "\u{c}\na = '\u{2028}'\nb = t\"{a}\"\n",
            "a = '\\N{SHAKING FACE}'\n",
        ] {
            assert_eq!(said(newer), "", "{newer}");
        }
        // A package takes precedence over a module of the same name next to it.
        fs::write(folder.path().join("lib.py"), "def answer(:\n").unwrap();
        fs::write(folder.path().join("lib/__init__.py"), "").unwrap();
        assert_eq!(said("import lib\n"), "");
        // A module of the standard library takes precedence too.
        fs::write(folder.path().join("queue.py"), "def answer(:\n").unwrap();
        assert_eq!(said("import queue\n"), "");
    }

    /// The check runs outside of any sandbox, and the folder may be a stranger's.
    #[test]
    fn a_file_that_is_too_long_or_elsewhere_is_left_to_the_python_of_the_plugin() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let is_refused = || check(Path::new("python3"), folder.path(), "repeat").is_err();
        let long = |length: usize| format!("{}no python\n", "#".repeat(length) + "\n");
        fs::write(folder.path().join(MARK), long(500 << 10)).unwrap();
        assert!(is_refused());
        fs::write(folder.path().join(MARK), long(513 << 10)).unwrap();
        assert!(!is_refused());
        // The message would show a line of it.
        fs::write(outside.path().join("secret"), "no python\n").unwrap();
        let link = |to: &Path| {
            fs::remove_file(folder.path().join(MARK)).unwrap();
            std::os::unix::fs::symlink(to, folder.path().join(MARK)).unwrap();
        };
        link(&outside.path().join("secret"));
        assert!(!is_refused());
        fs::write(folder.path().join("own"), "no python\n").unwrap();
        link(Path::new("own"));
        assert!(is_refused());
    }

    #[test]
    fn texts_that_are_one_of_a_few_are_those_of_the_contract() {
        let (_, file) = SDK.iter().find(|(name, _)| *name == "texts.py").unwrap();
        for few in texts::ALL {
            let values: Vec<_> = few.values.iter().map(|value| format!("{value:?}")).collect();
            let line = format!("\n{} = Literal[{}]\n", few.name, values.join(", "));
            assert!(file.contains(&line), "there is no {line}");
        }
    }

    #[test]
    fn libraries_in_other_languages_are_linked_with_the_interpreter() {
        let folder = tempfile::tempdir().unwrap();
        let wants = || wants_linking(folder.path(), &mut 0);
        for plain in ["plugin.py", "lib/part.py", "lib/fast.cpython-311-x86_64-linux-gnu.so", ".cache/a-wasm32-wasi.so"]
        {
            fs::create_dir_all(folder.path().join(plain).parent().unwrap()).unwrap();
            fs::write(folder.path().join(plain), "").unwrap();
        }
        assert!(!wants());
        for other in ["lib/deep/fast.cpython-314-wasm32-wasi.so", "lib/componentize-py.toml"] {
            let path = folder.path().join(other);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            assert!(wants(), "{other}");
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn the_packages_of_an_environment_are_found_under_the_version_of_its_python() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(packages(folder.path()), None);
        let place = folder.path().join("lib/python3.11/site-packages");
        fs::create_dir_all(&place).unwrap();
        fs::write(folder.path().join("lib/site-packages"), "no folder").unwrap();
        assert_eq!(packages(folder.path()), Some(place));
    }

    #[test]
    fn every_file_of_the_sdk_is_there() {
        let mut names: Vec<_> = fs::read_dir("../../plugins-sdk/python/parlor")
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "__pycache__")
            .collect();
        names.sort();
        assert_eq!(names, SDK.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
}
