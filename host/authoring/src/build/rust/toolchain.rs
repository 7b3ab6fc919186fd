//! Finds a Rust compiler on this machine that can make WebAssembly.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use parlor_base::child;

use super::super::tools::RUSTC_IN_USE;
use super::super::{BuildError, environment};

/// The target of plugins: WebAssembly without an operating system.
pub(in super::super) const TARGET: &str = "wasm32-unknown-unknown";

/// The path of the system's compiler on Debian and its derivatives.
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";

/// The advice for a compiler that exists but does not report its version. Most often rustup has no toolchain, and says
/// so.
const BROKEN: &str =
    "do what it says; with rustup: rustup default stable, and then rustup target add wasm32-unknown-unknown";

/// A compiler that can make WebAssembly, and its requirements for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Toolchain {
    /// Its path; `None` = the compiler that cargo would use anyway.
    rustc: Option<PathBuf>,
    /// Its sysroot.
    pub(super) sysroot: PathBuf,
    /// The source of the standard library for the target.
    library: StandardLibrary,
}

/// The source of the standard library for the target.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StandardLibrary {
    /// It is installed.
    Installed,
    /// Only its source is installed. Cargo compiles it too, once for all plugins of a workspace.
    Compiled {
        /// The linker for WebAssembly; `None` = the compiler's own.
        linker: Option<PathBuf>,
    },
}

/// A compiler and its sysroot.
#[derive(Debug, Clone)]
struct Compiler {
    rustc: Option<PathBuf>,
    sysroot: PathBuf,
}

impl Toolchain {
    /// Finds the best compiler for the plugin in `folder`: the one in use there, else the system's. One with the
    /// target's library installed is preferred to one with only its source.
    pub(in super::super) fn find(folder: &Path) -> Result<Self, BuildError> {
        let in_use = Compiler::ask(None, folder);
        // If the system's compiler is too old, the target may still be added to the one in use.
        let system = Compiler::ask(Some(PathBuf::from(SYSTEM_RUSTC)), folder).ok().flatten();
        let search_path = env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = env::split_paths(&search_path).collect();
        Self::best(in_use, system, &folders)
    }

    fn best(
        in_use: Result<Option<Compiler>, BuildError>,
        system: Option<Compiler>,
        search_path: &[PathBuf],
    ) -> Result<Self, BuildError> {
        let (in_use, broken) = match in_use {
            Ok(in_use) => (in_use, None),
            // The system's compiler may suffice.
            Err(broken @ BuildError::Broken { .. }) => (None, Some(broken)),
            Err(old) => return Err(old),
        };
        let compilers: Vec<Compiler> = [in_use, system].into_iter().flatten().collect();
        choose(&compilers, search_path).ok_or(broken.unwrap_or(BuildError::NoTarget))
    }

    #[cfg(test)]
    pub(super) fn for_tests(sysroot: &str) -> Self {
        Self { rustc: None, sysroot: sysroot.into(), library: StandardLibrary::Installed }
    }

    /// Makes cargo use this compiler.
    pub(super) fn apply(&self, cargo: &mut Command) {
        if let Some(rustc) = &self.rustc {
            cargo.env("RUSTC", rustc);
        }
        if let StandardLibrary::Compiled { linker } = &self.library {
            // A released compiler can do this too, but only with this variable set.
            cargo.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
            if let Some(linker) = linker {
                cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            }
        }
    }
}

impl Compiler {
    /// Checks a compiler. Returns `None` if it does not exist, and an error if it is too old or does not work, for
    /// instance because rustup has no toolchain.
    fn ask(rustc: Option<PathBuf>, folder: &Path) -> Result<Option<Self>, BuildError> {
        let command = || {
            let mut command = child::command(rustc.as_deref().unwrap_or(Path::new("rustc")), folder);
            environment::forget_outer_cargo(&mut command);
            command
        };
        match RUSTC_IN_USE.check_with(&mut command(), |error| BuildError::NoRust { program: "rustc", error }) {
            Ok(()) => {}
            Err(BuildError::Broken { program, said, .. }) => {
                return Err(BuildError::Broken { program, said, remedy: BROKEN });
            }
            Err(old @ BuildError::TooOld { .. }) => return Err(old),
            Err(_) => return Ok(None),
        }
        let Ok(output) = command().args(["--print", "sysroot"]).output() else { return Ok(None) };
        let Ok(sysroot) = String::from_utf8(output.stdout) else { return Ok(None) };
        let has_one = output.status.success() && !sysroot.trim().is_empty();
        Ok(has_one.then(|| Self { rustc, sysroot: PathBuf::from(sysroot.trim()) }))
    }

    fn rustlib(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib")
    }

    fn has_library(&self) -> bool {
        self.rustlib().join(TARGET).join("lib").is_dir()
    }

    fn has_source(&self) -> bool {
        self.rustlib().join("src/rust/library/std/Cargo.toml").is_file()
    }

    /// Returns the linker that is part of a rustup toolchain.
    fn linker(&self) -> Option<PathBuf> {
        let hosts = fs::read_dir(self.rustlib()).ok()?;
        hosts.flatten().map(|host| host.path().join("bin/rust-lld")).find(|linker| linker.is_file())
    }
}

fn choose(compilers: &[Compiler], search_path: &[PathBuf]) -> Option<Toolchain> {
    if let Some(compiler) = compilers.iter().find(|compiler| compiler.has_library()) {
        return Some(compiler.with(StandardLibrary::Installed));
    }
    let compiler = compilers.iter().find(|compiler| compiler.has_source())?;
    if compiler.linker().is_some() {
        return Some(compiler.with(StandardLibrary::Compiled { linker: None }));
    }
    let borrowed = compilers.iter().find_map(Compiler::linker);
    let on_path = || search_path.iter().map(|folder| folder.join("wasm-ld")).find(|linker| linker.is_file());
    let linker = borrowed.or_else(on_path)?;
    Some(compiler.with(StandardLibrary::Compiled { linker: Some(linker) }))
}

impl Compiler {
    fn with(&self, library: StandardLibrary) -> Toolchain {
        Toolchain { rustc: self.rustc.clone(), sysroot: self.sysroot.clone(), library }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new(files: &[&str]) -> Self {
            let machine = Self(tempfile::tempdir().expect("a folder"));
            for file in files {
                let path = machine.0.path().join(file);
                fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                fs::write(path, "").expect("written");
            }
            machine
        }

        fn choose(&self) -> Option<Toolchain> {
            let path = |name: &str| self.0.path().join(name);
            let compilers = [
                Compiler { rustc: None, sysroot: path("rustup") },
                Compiler { rustc: Some(path("usr/bin/rustc")), sysroot: path("usr") },
            ];
            choose(&compilers, &[path("bin"), path("usr/bin")])
        }
    }

    const RUSTUP_TARGET: &str = "rustup/lib/rustlib/wasm32-unknown-unknown/lib/libstd.rlib";
    const RUSTUP_LINKER: &str = "rustup/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld";
    const RUSTUP_SOURCE: &str = "rustup/lib/rustlib/src/rust/library/std/Cargo.toml";
    const SYSTEM_SOURCE: &str = "usr/lib/rustlib/src/rust/library/std/Cargo.toml";

    #[test]
    fn an_installed_target_is_preferred_and_needs_nothing_else() {
        let found = Machine::new(&[RUSTUP_TARGET, SYSTEM_SOURCE, RUSTUP_LINKER]).choose().expect("found");
        assert_eq!((found.rustc, found.library), (None, StandardLibrary::Installed));
    }

    #[test]
    fn the_system_s_source_borrows_the_linker_of_rustup() {
        let machine = Machine::new(&[SYSTEM_SOURCE, RUSTUP_LINKER]);
        let found = machine.choose().expect("found");
        assert_eq!(found.rustc, Some(machine.0.path().join("usr/bin/rustc")));
        assert_eq!(found.library, StandardLibrary::Compiled { linker: Some(machine.0.path().join(RUSTUP_LINKER)) });
    }

    #[test]
    fn the_system_s_source_takes_a_linker_from_the_search_path() {
        let machine = Machine::new(&[SYSTEM_SOURCE, "usr/bin/wasm-ld"]);
        let found = machine.choose().expect("found");
        assert_eq!(found.library, StandardLibrary::Compiled { linker: Some(machine.0.path().join("usr/bin/wasm-ld")) });
    }

    #[test]
    fn rustup_s_own_source_brings_its_linker() {
        let found = Machine::new(&[RUSTUP_SOURCE, RUSTUP_LINKER]).choose().expect("found");
        assert_eq!((found.rustc, found.library), (None, StandardLibrary::Compiled { linker: None }));
    }

    #[test]
    fn a_compiler_that_does_not_run_is_named_unless_another_will_do() {
        let asked = || Compiler::ask(Some(PathBuf::from("/bin/false")), Path::new("."));
        let system = |files: &[&str]| {
            let machine = Machine::new(files);
            let system = Compiler { rustc: Some("/usr/bin/rustc".into()), sysroot: machine.0.path().join("usr") };
            Toolchain::best(asked(), Some(system), &[])
        };
        let why = system(&[]).expect_err("there is none").to_string();
        assert!(
            why.starts_with("rustc is there and does not work") && why.contains("does not say its version"),
            "{why}"
        );
        assert!(why.contains("rustup default stable") && why.ends_with(TARGET), "{why}");
        let found = system(&["usr/lib/rustlib/wasm32-unknown-unknown/lib/libstd.rlib"]).expect("found");
        assert_eq!(found.rustc, Some("/usr/bin/rustc".into()));
        assert!(matches!(Toolchain::best(Ok(None), None, &[]), Err(BuildError::NoTarget)));
    }

    #[test]
    fn without_target_and_source_or_without_linker_there_is_none() {
        assert_eq!(Machine::new(&[RUSTUP_LINKER]).choose(), None);
        assert_eq!(Machine::new(&[SYSTEM_SOURCE]).choose(), None);
    }
}
