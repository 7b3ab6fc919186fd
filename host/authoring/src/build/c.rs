//! Plugins in C: `plugin.c` and other `.c` files next to it, which include `parlor.h`.
//!
//! Zig's C compiler includes the C library for WebAssembly. The bindings of the whole contract are made when parlor is
//! built. The linker removes those that a plugin does not call, so that it imports no more than that.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use parlor_base::child;
use parlor_plugins::manifest::Manifest;
use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
use wit_component::ComponentEncoder;

use super::names::{self, DebugInfo};
use super::tools::{self, Cache, Pip};
use super::{BuildError, Made, Traces, kept, metadata};

/// The file that marks a folder as C.
pub(super) const MARK: &str = "plugin.c";

/// The path of the SDK in a plugin's folder, for the compiler and for editors.
const PLACE: &str = ".parlor/sdk";

/// The compiler, in the version that the SDK was tested with.
const ZIG: Pip = Pip { package: "ziglang==0.15.2", module: "ziglang", serves: "plugins in C" };

/// The flags for all files: optimised for size, and with each function separate, so that the linker can remove it.
const FLAGS: &[&str] = &[
    "-target",
    "wasm32-wasi",
    "-mexec-model=reactor",
    "-std=gnu17",
    "-Os",
    // File names as the author writes them, the same on every machine.
    "-gline-tables-only",
    "-fdebug-compilation-dir=.",
    "-ffunction-sections",
    "-fdata-sections",
];

/// The stack for local variables, as large as the engine's own, which calls fill as well. Zig's default of 16 MiB would
/// be part of each plugin's memory from the start. The stack is at the bottom of memory, so that a plugin that
/// overflows it traps.
const STACK: &str = "-Wl,-z,stack-size=524288";

/// Further flags for the file that is used for tests: it traps at the author's mistake. In WebAssembly such a mistake
/// often has no effect, since address 0 is ordinary memory.
const CHECKED: &[&str] = &[
    "-fsanitize=undefined",
    "-fsanitize-trap=undefined",
    // Otherwise all checks in a function share one trap, which has no line.
    "-fno-sanitize-merge",
    // Zig disables `assert` when it compiles for size.
    "-UNDEBUG",
];

/// The warnings that an author sees. A record of a list often has only its first fields, as the pages write it.
const WARNINGS: &[&str] = &["-Wall", "-Wextra", "-Wno-missing-field-initializers"];

/// Warnings that are mistakes in every plugin. `compile_flags.txt` sets the same flags for editors.
const MISTAKES: &[&str] = &["-Werror=format", "-Werror=incompatible-pointer-types", "-Werror=return-type"];

/// The name that the linker gives to a missing start function.
const NO_START: &[u8] = b"undefined_weak:parlor_start";

macro_rules! generated {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/c/", $name))
    };
}

/// The SDK, and the bindings that parlor's build script made of the contract.
pub(super) const FILES: &[(&str, &[u8])] = &[
    ("parlor.h", include_bytes!("../../../../plugins-sdk/c/parlor.h")),
    ("parlor.c", include_bytes!("../../../../plugins-sdk/c/parlor.c")),
    ("moderation.c", include_bytes!("../../../../plugins-sdk/c/moderation.c")),
    ("characters.h", include_bytes!("../../../../plugins-sdk/c/characters.h")),
    ("bindings.h", include_bytes!("../../../../plugins-sdk/c/bindings.h")),
    ("plugin.h", generated!("plugin.h")),
    ("plugin.c", generated!("plugin.c")),
    (TYPES, generated!("plugin_component_type.o")),
];

/// The contract, in the form that turns the linked module into a component.
const TYPES: &str = "plugin_component_type.o";

/// Puts the files for the compiler into the plugin's folder.
pub(super) fn equip(folder: &Path) -> Result<(), BuildError> {
    FILES.iter().try_for_each(|(name, text)| kept::write(&folder.join(PLACE).join(name), text))
}

/// Compiles the plugin, and makes a component of the result.
pub(super) fn make(folder: &Path, manifest: &Manifest, traces: Traces) -> Result<Made, BuildError> {
    let package = manifest.name.to_string();
    let output = output(folder, &package, traces);
    if traces == Traces::Lines {
        kept::refuse_links(&output)?;
    }
    let sources = sources(folder)?;
    let python = ZIG.python()?;
    let cache = Cache::begin("zig-cache", "C's own library")?;
    let compiler = Compiler { python, cache: cache.folder(), folder, package: &package };
    let work = tempfile::tempdir().map_err(|error| BuildError::File { path: std::env::temp_dir(), error })?;
    // Warnings about the bindings are disabled, since they are not the author's. The included file adapts how they free
    // memory to the SDK.
    let bindings = work.path().join("bindings.o");
    compiler.run(|cc| {
        cc.args(["-w", "-include", ".parlor/sdk/bindings.h", "-c", ".parlor/sdk/plugin.c", "-o"]).arg(&bindings);
    })?;
    let module = work.path().join("module.wasm");
    compiler.run(|cc| {
        let checked = if traces == Traces::Lines { CHECKED } else { &[] };
        cc.args(WARNINGS).args(MISTAKES).args(checked);
        cc.args(["-I", PLACE, STACK, "-Wl,--gc-sections", ".parlor/sdk/parlor.c", ".parlor/sdk/moderation.c"]);
        cc.args(&sources);
        cc.arg(&bindings).arg(Path::new(PLACE).join(TYPES)).arg("-o").arg(&module);
    })?;
    let module = fs::read(&module).map_err(|error| BuildError::File { path: module, error })?;
    if module.windows(NO_START.len()).any(|name| name == NO_START) {
        let reason = format!("{MARK} has no parlor_start, which is called when the plugin starts");
        return Err(BuildError::Source { package, reason });
    }
    let unmade = |reason: String| BuildError::Component { package: package.clone(), reason };
    let kept = if traces == Traces::Lines { DebugInfo::Lines } else { DebugInfo::Functions };
    let module = names::keep(module, kept).map_err(|error| unmade(error.to_string()))?;
    // The adapter is for plugins that print. The encoder leaves it out if nothing needs it.
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| encoder.adapter("wasi_snapshot_preview1", WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER))
        .and_then(ComponentEncoder::encode)
        .map_err(|error| unmade(format!("{error:#}")))?;
    Ok(Made { component, metadata: metadata(manifest), output, package })
}

/// Returns the default output path.
pub(super) fn output(folder: &Path, package: &str, traces: Traces) -> PathBuf {
    let folder = if traces == Traces::Lines { folder.join(".parlor/lines") } else { folder.to_owned() };
    folder.join(format!("{package}.wasm"))
}

/// Returns the names of the author's own files, sorted. Names that begin with a dot belong to editors or file managers.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let failed = |error| BuildError::File { path: folder.to_owned(), error };
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = PathBuf::from(entry.map_err(failed)?.file_name());
        let is_hidden = name.as_os_str().as_encoded_bytes().starts_with(b".");
        if !is_hidden && name.extension() == Some(OsStr::new("c")) {
            // The compiler might take a bare name for an option, or one with `@` for a file of options.
            sources.push(Path::new(".").join(name));
        }
    }
    sources.sort();
    Ok(sources)
}

struct Compiler<'a> {
    python: PathBuf,
    cache: &'a Path,
    folder: &'a Path,
    package: &'a str,
}

impl Compiler<'_> {
    /// Runs the compiler in the plugin's folder, so that its messages name files as the author does.
    fn run(&self, arguments: impl FnOnce(&mut Command)) -> Result<(), BuildError> {
        let mut cc = child::command(&self.python, self.folder);
        cc.args(["-I", "-m", "ziglang", "cc"]).args(FLAGS);
        cc.env("ZIG_GLOBAL_CACHE_DIR", self.cache).env("ZIG_LOCAL_CACHE_DIR", self.cache);
        arguments(&mut cc);
        let status =
            tools::quiet(&mut cc).status().map_err(|error| BuildError::File { path: self.python.clone(), error })?;
        if status.success() {
            return Ok(());
        }
        Err(BuildError::Compile { package: self.package.to_owned(), program: "zig cc", status })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_in_c_is_compiled_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["plugin.c", "dice.c", "dice.h", "plugin.toml", "@evil.c", "-o.c", ".#dice.c", "._plugin.c"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(
            sources(folder.path()).unwrap(),
            ["./-o.c", "./@evil.c", "./dice.c", "./plugin.c"].map(PathBuf::from)
        );
    }

    #[test]
    fn what_is_tried_is_not_written_through_a_link() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(folder.path().join(".parlor")).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join(".parlor/lines")).unwrap();
        let text = "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says it\"\n";
        let refused = make(folder.path(), &Manifest::parse(text).unwrap(), Traces::Lines).err().unwrap().to_string();
        assert!(refused.contains(".parlor/lines: it is a link"), "{refused}");
    }

    #[test]
    fn editors_warn_of_what_the_build_does() {
        let template = include_str!("../../../../plugins-sdk/templates/c/compile_flags.txt");
        let warnings: Vec<_> = template.lines().filter(|flag| flag.starts_with("-W")).collect();
        assert_eq!(warnings, [WARNINGS, MISTAKES].concat());
    }

    #[test]
    fn the_sdk_comes_with_bindings_of_the_whole_contract() {
        let folder = tempfile::tempdir().unwrap();
        equip(folder.path()).unwrap();
        let header = fs::read_to_string(folder.path().join(".parlor/sdk/plugin.h")).unwrap();
        for function in
            ["parlor_plugin_chats_send(", "parlor_plugin_rooms_open(", "exports_parlor_plugin_guest_handle_event("]
        {
            assert!(header.contains(function), "{function}");
        }
    }
}
