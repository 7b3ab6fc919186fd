//! The tools that npm installs: the runtime, and the tool that removes types.

use std::fs;
use std::path::{Path, PathBuf};

use parlor_base::child;
use parlor_base::id::Digest;

use super::super::BuildError;
use super::super::tools::Npm;

const NPM: Npm = Npm {
    // The runtime, the type stripper that Node.js itself uses, and a parser without dependencies.
    packages: &["componentize-qjs@0.4.5", "amaro@1.2.1", "acorn@8.15.0"],
    home: "componentize-qjs-0.4.5-amaro-1.2.1-acorn-8.15.0",
    serves: "plugins in JavaScript",
};

/// The runtime is embedded in the package's native module, with the same bytes on each platform.
const RUNTIME_BYTES: usize = 1_537_220;
const RUNTIME: &str = "6ad50dc7de20ea42379dc9d5cfc1737fbf8f7549f37851b77a83027106d8f95d";

/// Replaces types by blanks and passes async functions to the SDK. The file's text comes from standard input.
const WATCH: &str = include_str!("watched.js");

/// The folder with all of them.
#[derive(Debug, Clone)]
pub(super) struct Tools(PathBuf);

impl Tools {
    /// Installs them if they are missing.
    pub(super) fn find() -> Result<Self, BuildError> {
        Ok(Self(NPM.folder()?.join("node_modules")))
    }

    /// Returns a value for tests without the tools.
    #[cfg(test)]
    pub(super) fn nowhere() -> Self {
        Self(PathBuf::new())
    }

    /// Returns `QuickJS` as a WebAssembly library.
    pub(super) fn runtime(&self) -> Result<Vec<u8>, BuildError> {
        let place = self.0.join("@andreiltd");
        let missing = || BuildError::NoRuntime(place.clone());
        for file in native_modules(&place) {
            let bytes = fs::read(&file).map_err(|error| BuildError::File { path: file, error })?;
            if let Some(runtime) = find(&bytes, RUNTIME_BYTES, RUNTIME) {
                return Ok(runtime.to_vec());
            }
        }
        Err(missing())
    }

    /// Prepares a module for evaluation: removes its types, and passes its async functions to the SDK. The error begins
    /// with the position, as `line:column: …`.
    pub(super) fn watched(&self, name: &str, text: &str, is_typed: bool) -> Result<String, String> {
        use std::io::Write as _;
        use std::process::Stdio;
        let mut node = child::command("node", self.0.parent().expect("a folder of its own"));
        // The arguments after `--` are never options.
        node.args(["-e", WATCH, "--", name, if is_typed { "true" } else { "false" }]);
        node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut node = node.spawn().map_err(|error| format!("cannot run node: {error}"))?;
        let mut input = node.stdin.take().expect("it is piped");
        let text = text.to_owned();
        // Node.js may begin to answer before it has read everything.
        let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
        let output = node.wait_with_output().map_err(|error| format!("node: {error}"))?;
        // If it exited before it had read everything, its output says why.
        let _ = writer.join();
        if output.status.success() {
            return String::from_utf8(output.stdout).map_err(|_| "node answered what is no text".to_owned());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned())
    }
}

fn native_modules(place: &Path) -> impl Iterator<Item = PathBuf> {
    let packages = fs::read_dir(place).into_iter().flatten().flatten();
    let files = packages.flat_map(|package| fs::read_dir(package.path()).into_iter().flatten().flatten());
    files.map(|file| file.path()).filter(|file| file.extension().is_some_and(|kind| kind == "node"))
}

/// Returns the part of a file that has this length and digest and is WebAssembly.
fn find<'b>(bytes: &'b [u8], length: usize, digest: &str) -> Option<&'b [u8]> {
    const BEGIN: &[u8] = b"\0asm\x01\0\0\0";
    let places = bytes.windows(BEGIN.len()).enumerate().filter(|(_, part)| *part == BEGIN).map(|(place, _)| place);
    places.filter_map(|place| bytes.get(place..place + length)).find(|part| Digest::of(part).to_hex() == digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_is_found_by_its_digest_among_others() {
        let wanted = b"\0asm\x01\0\0\0this";
        let bytes = [b"ELF\0asm\x01\0\0\0that".as_slice(), wanted, b"and more"].concat();
        assert_eq!(find(&bytes, wanted.len(), &Digest::of(wanted).to_hex()), Some(wanted.as_slice()));
        assert_eq!(find(&bytes, wanted.len() + 1, &Digest::of(wanted).to_hex()), None);
    }
}
