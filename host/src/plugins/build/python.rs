//! A plugin in Python: `plugin.py`, which imports `parlor`.
//!
//! componentize-py puts `CPython` and the plugin's modules into one component. It is installed by pip into a folder of parlor's
//! own, once for all plugins, and nothing else on the machine changes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::manifest::Manifest;
use super::{BuildError, Made, contract, kept};

/// The file that makes a folder one of Python.
pub(super) const MARK: &str = "plugin.py";

/// What makes a component of Python, and the version that the SDK was tried with.
const COMPONENTIZE: &str = "componentize-py==0.25.1";

/// Calls it: its own script names the folder that it was installed into, and is moved from there.
const CALL: &str = "import componentize_py; componentize_py.script()";

/// Python, in an environment of its own.
const PYTHON: &str = "bin/python3";

/// The module that the host's calls go to; it brings the plugin's own along.
const MAIN: &str = "parlor_main";
const MAIN_TEXT: &str = "import plugin\nfrom parlor.guest import Guest\n";

macro_rules! sdk {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../plugins-sdk/python/parlor/", $name)))),*]
    };
}

/// The SDK, file by file; a test says when one is missing.
const SDK: &[(&str, &str)] = sdk![
    "__init__.py",
    "errors.py",
    "guest.py",
    "host.py",
    "listen.py",
    "logs.py",
    "messages.py",
    "timers.py",
    "values.py",
];

/// Makes a component of the folder.
pub(super) fn make(folder: &Path, manifest: &Manifest) -> Result<Made, BuildError> {
    let package = manifest.name.to_string();
    let wit = contract::of(manifest).map_err(|reason| BuildError::Component { package: package.clone(), reason })?;
    let python = tool()?;
    let work = tempfile::tempdir().map_err(|error| BuildError::File { path: std::env::temp_dir(), error })?;
    let written = [("wit/plugin.wit", wit.as_str()), ("main/parlor_main.py", MAIN_TEXT)]
        .into_iter()
        .map(|(name, text)| (PathBuf::from(name), text))
        .chain(SDK.iter().map(|(name, text)| (Path::new("sdk/parlor").join(name), *text)));
    for (name, text) in written {
        kept::write(&work.path().join(name), text)?;
    }
    let component = work.path().join("plugin.wasm");
    let status = Command::new(&python)
        .args(["-I", "-c", CALL, "--quiet"])
        .arg("--wit-path")
        .arg(work.path().join("wit"))
        .args(["--world", contract::WORLD, "componentize", MAIN])
        .args(["-p".as_ref(), folder.as_os_str()])
        .args(["-p".as_ref(), work.path().join("main").as_os_str()])
        .args(["-p".as_ref(), work.path().join("sdk").as_os_str()])
        .arg("-o")
        .arg(&component)
        .stdin(Stdio::null())
        .stdout(Stdio::from(io::stderr()))
        .status()
        .map_err(|error| BuildError::File { path: python, error })?;
    if !status.success() {
        return Err(BuildError::Compile { package, program: "componentize-py", status });
    }
    Ok(Made {
        component: fs::read(&component).map_err(|error| BuildError::File { path: component, error })?,
        metadata: metadata(manifest),
        output: folder.join(format!("{package}.wasm")),
        package,
    })
}

fn metadata(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let texts = [
        ("version", manifest.version.to_string()),
        ("authors", manifest.authors.join(", ")),
        ("description", manifest.description.clone()),
        ("licenses", manifest.license.clone().unwrap_or_default()),
    ];
    texts.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// The Python that has the program, installed if it is not there yet.
fn tool() -> Result<PathBuf, BuildError> {
    let data = data_home(std::env::var_os("XDG_DATA_HOME"), std::env::home_dir()).ok_or(BuildError::NoHome)?;
    let home = data.join("parlor/tools").join(COMPONENTIZE.replace("==", "-"));
    let python = home.join(PYTHON);
    if !python.exists() {
        install(&home)?;
    }
    Ok(python)
}

fn data_home(xdg: Option<std::ffi::OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    // A relative one is to be ignored, says the XDG Base Directory Specification.
    let xdg = xdg.map(PathBuf::from).filter(|folder| folder.is_absolute());
    xdg.or_else(|| Some(home?.join(".local/share")))
}

/// Installs it beside where it belongs and then puts it there, so that there is never half of it.
#[expect(clippy::print_stderr, reason = "what is installed is said before it is")]
fn install(home: &Path) -> Result<(), BuildError> {
    let around = home.parent().expect("a folder of its own");
    eprintln!("installing {COMPONENTIZE} by pip into {}, once for all plugins in Python", home.display());
    let failed = |error| BuildError::File { path: around.to_owned(), error };
    fs::create_dir_all(around).map_err(failed)?;
    let fresh = tempfile::Builder::new().prefix("new-").tempdir_in(around).map_err(failed)?;
    let place = fresh.path().join("it");
    run(Command::new("python3").args(["-m", "venv"]).arg(&place), "python3 -m venv")?;
    run(
        Command::new(place.join(PYTHON)).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            COMPONENTIZE,
        ]),
        "pip",
    )?;
    match fs::rename(&place, home) {
        // Another one was faster.
        Err(_) if home.join(PYTHON).exists() => Ok(()),
        renamed => renamed.map_err(failed),
    }
}

fn run(command: &mut Command, program: &str) -> Result<(), BuildError> {
    let status =
        command.stdin(Stdio::null()).stdout(Stdio::from(io::stderr())).status().map_err(BuildError::NoPython)?;
    if status.success() {
        return Ok(());
    }
    Err(BuildError::Install { what: COMPONENTIZE.to_owned(), program: program.to_owned(), status })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_sdk_is_there() {
        let mut names: Vec<_> = fs::read_dir("../plugins-sdk/python/parlor")
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "__pycache__")
            .collect();
        names.sort();
        assert_eq!(names, SDK.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn tools_lie_where_data_of_programs_lies() {
        let home = || Some(PathBuf::from("/home/juliet"));
        assert_eq!(data_home(Some("/data".into()), home()), Some("/data".into()));
        assert_eq!(data_home(Some("data".into()), home()), Some("/home/juliet/.local/share".into()));
        assert_eq!(data_home(None, None), None);
    }
}
