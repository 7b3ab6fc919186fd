//! Compiling components of strangers to machine code, without giving the compiler access to the host.
//!
//! Compilation runs a large program on bytes that a stranger chose. So it happens in a separate process with little
//! memory, little time and no other access, which ends with the job. The result is kept in a cache that only this host
//! can write to. Other machine code cannot enter: an [`Artifact`] is only created here.

mod cache;
mod child;
mod config;
mod functions;
mod sandbox;
mod worker;

use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use parlor_base::escape::EscapedPath as _;
use parlor_base::id::Digest;
use parlor_base::quantity::{Bytes, show_duration};
use wasmtime::Config;
use wasmtime::component::Component;

use crate::traces::Traces;

pub use cache::{Cache, Fingerprint};
pub use child::look;
pub(crate) use config::base;
pub use sandbox::Layer;
pub use worker::{COMMAND, WorkerError, look_around, work};

/// The maximum size of a component's machine code, in bytes. `CPython`, with 21 MB, becomes 38 MB.
const MAX_ARTIFACT: usize = 512 << 20;

/// The place where plugins are compiled.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// Each component is compiled in a separate process, with limited resources. The program is a `parlor` of this very
    /// build.
    Process {
        /// The absolute path of the program.
        program: PathBuf,
        /// The resources that it may use.
        bounds: Bounds,
        /// The level of detail in backtraces of the plugins.
        traces: Traces,
    },
    /// In this process: for programs that embed the library and have no `parlor` available. Compiling a plugin can then
    /// take much memory and time of this process, and a fault in the compiler is a fault in this process. The limits on
    /// a file's contents are checked before, in either case.
    ThisProcess {
        /// Whether the code is made to run fast. Otherwise it is compiled in less than half of the time, as for authors,
        /// and this process keeps up to 256 MiB of it, for functions that come again in other plugins.
        optimized: bool,
    },
}

impl Compiler {
    /// Returns the compiler for the program `parlor` itself, which runs itself again. This is the file that it was
    /// started from, even if another one has replaced it.
    pub fn parlor() -> Self {
        let program = PathBuf::from("/proc/self/exe");
        Self::Process { program, bounds: Bounds::default(), traces: Traces::Functions }
    }

    /// Returns the same for authors who try their own code: it compiles faster, takes more memory, runs slower, and shows
    /// lines in a backtrace.
    pub fn for_authors() -> Self {
        let program = PathBuf::from("/proc/self/exe");
        // As measured, a Go plugin of 7 MiB takes 3.1 GiB here, and 2.6 GiB in a host.
        let bounds = Bounds { memory: Bytes::mib(4096), ..Bounds::default() };
        Self::Process { program, bounds, traces: Traces::Lines }
    }

    /// Returns the level of detail in backtraces of the plugins.
    pub(super) fn traces(&self) -> Traces {
        match self {
            Self::Process { traces, .. } => *traces,
            Self::ThisProcess { .. } => Traces::Functions,
        }
    }

    /// Returns whether the code is made to run fast. An author tries code that changes all the time.
    pub(super) fn optimizes(&self) -> bool {
        match self {
            Self::Process { traces, .. } => traces.are_for_owners(),
            Self::ThisProcess { optimized } => *optimized,
        }
    }
}

/// The resources that compiling one component may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Address space.
    pub memory: Bytes,
    /// CPU time of all its threads, in whole seconds.
    pub cpu: Duration,
    /// Elapsed time.
    pub time: Duration,
}

impl Default for Bounds {
    /// As measured, `CPython` takes 14 s of CPU time and 600 MiB of address space. A Go plugin of 3.4 MiB takes 1.9
    /// GiB, since some of its functions are large. The defaults leave room for slower machines and larger plugins.
    fn default() -> Self {
        Self { memory: Bytes::mib(3072), cpu: Duration::from_mins(2), time: Duration::from_mins(5) }
    }
}

/// The reason why a component that passed its examination cannot run.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The component does not compile.
    #[error("it does not compile: {0}")]
    Compile(String),
    /// The compiler used up its CPU time.
    #[error("compiling it took more than {}, which no honest file takes; it is not compiled any further", show_duration(*.0))]
    TooLong(Duration),
    /// The compiler hit the timeout, although it did not use up its CPU time.
    #[error(
        "compiling it was not done within {}, since the machine is busy with other things; a host tries again at `parlor reload`",
        show_duration(*.0)
    )]
    Slow(Duration),
    /// The component became more machine code than that of any honest file.
    #[error("it became more than {MAX_ARTIFACT} bytes of machine code, which no honest file does")]
    TooLarge,
    /// The compiler was killed or failed.
    #[error("the compiler, which may use {memory} of memory, ended with {status}{}", said(.words))]
    Died {
        /// Its exit status.
        status: ExitStatus,
        /// The address space that it was allowed.
        memory: Bytes,
        /// Its last output, escaped for display.
        words: String,
    },
    /// The compiler could not be started.
    #[error("the compiler {program} cannot be run ({cause}); it is the program that `parlor run` was started from", program = program.escaped())]
    Start {
        /// Its program.
        program: PathBuf,
        /// The error of the system.
        cause: std::io::Error,
    },
    /// The compiler is from another build.
    #[error(
        "the compiler made code that does not run here ({0}); `parlor run` and its compiler have to be the same build"
    )]
    Foreign(String),
    /// The component imports a function that the host does not have, or with another type.
    #[error("it does not fit this host's API: {0:#}")]
    Link(wasmtime::Error),
    /// The host failed during the compilation.
    #[error("the compiler failed: {0}")]
    Host(String),
}

impl CompileError {
    /// Returns the error if compiling the same bytes again would fail in the same way; `None` if it might not.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::Compile(why) => Some(Self::Compile(why.clone())),
            Self::TooLong(limit) => Some(Self::TooLong(*limit)),
            Self::TooLarge => Some(Self::TooLarge),
            Self::Slow(_)
            | Self::Died { .. }
            | Self::Start { .. }
            | Self::Foreign(_)
            | Self::Link(_)
            | Self::Host(_) => None,
        }
    }
}

/// Returns the compiler's output for an error. If it is Rust's message about exhausted memory, returns advice instead.
fn said(words: &str) -> String {
    if words.contains("memory allocation of") {
        ": the file is too large for that; one in Go becomes so by what needs a network, such as net/http, and is to go without it"
            .to_owned()
    } else if words.is_empty() {
        String::new()
    } else {
        format!(": {words}")
    }
}

impl Compiler {
    /// Compiles a component. For authors, functions of the same code are reused from the cache.
    pub async fn compile(
        &self,
        engine: &wasmtime::Engine,
        component: Vec<u8>,
        cache: Option<&Arc<Cache>>,
    ) -> Result<Artifact, CompileError> {
        match self {
            Self::Process { program, bounds, traces: Traces::Lines } if component.len() >= functions::FROM => {
                let (component, known, cache) = known(component, cache.cloned()).await?;
                let (artifact, used) = child::compile_again(program, *bounds, &component, &known.code).await?;
                keep(cache, known.key, used).await?;
                Ok(artifact)
            }
            Self::Process { program, bounds, traces } => child::compile(program, *bounds, *traces, &component).await,
            Self::ThisProcess { .. } => {
                let engine = engine.clone();
                let compiling = tokio::task::spawn_blocking(move || {
                    engine.precompile_component(&component).map_err(|error| CompileError::Compile(format!("{error:#}")))
                });
                let code = compiling.await.map_err(|error| CompileError::Host(error.to_string()))??;
                Ok(Artifact(code))
            }
        }
    }
}

/// Functions that were compiled before, and their cache key.
struct Known {
    key: Option<Digest>,
    code: Vec<u8>,
}

/// Looks up the functions of a component's code in the cache.
async fn known(
    component: Vec<u8>,
    cache: Option<Arc<Cache>>,
) -> Result<(Vec<u8>, Known, Option<Arc<Cache>>), CompileError> {
    let look = move || {
        let key = cache.as_ref().and_then(|cache| Some(cache.key_of(&functions::name(&component)?)));
        let found = cache.as_ref().and_then(|cache| cache.find(&key?));
        (component, Known { key, code: found.map_or_else(Vec::new, |Artifact(code)| code) }, cache)
    };
    tokio::task::spawn_blocking(look).await.map_err(|error| CompileError::Host(error.to_string()))
}

/// Stores functions for the next compilation.
async fn keep(cache: Option<Arc<Cache>>, key: Option<Digest>, functions: Vec<u8>) -> Result<(), CompileError> {
    let (Some(cache), Some(key)) = (cache, key) else { return Ok(()) };
    // If they cannot be stored, the next compilation takes as long as this one.
    let keep = move || drop(cache.keep(&key, Artifact(functions)));
    tokio::task::spawn_blocking(keep).await.map_err(|error| CompileError::Host(error.to_string()))
}

/// Lets an engine that compiles in this process take up the functions that this process knows.
pub fn take_up_functions(config: &mut Config) -> wasmtime::Result<()> {
    config.enable_incremental_compilation(functions::of_this_process()).map(drop)
}

/// Compiles a component in this process, with such an engine, for an author. Functions that earlier processes compiled
/// come from the cache, and the cache keeps them for later ones.
pub async fn compile_for_author(
    engine: &wasmtime::Engine,
    component: Vec<u8>,
    cache: Option<&Arc<Cache>>,
) -> Result<Artifact, CompileError> {
    let (component, known, cache) = known(component, cache.cloned()).await?;
    let functions = functions::of_this_process();
    functions.add(&known.code);
    let artifact = Compiler::ThisProcess { optimized: false }.compile(engine, component, None).await?;
    keep(cache, known.key, functions.write()).await?;
    Ok(artifact)
}

/// Machine code from this host's compiler: compiled just now, or read from the cache and authenticated.
pub struct Artifact(Vec<u8>);

impl Artifact {
    #[cfg(test)]
    pub(super) fn made_of(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// Loads the code, ready to be run. Fails for code that was made for another engine or processor.
    #[expect(unsafe_code, reason = "the one place where machine code comes in")]
    pub fn load(&self, engine: &wasmtime::Engine) -> wasmtime::Result<Component> {
        // SAFETY: wasmtime requires that the bytes are the unmodified result of a compilation. They are: an `Artifact`
        // is made by the compiler, or by the cache after it has authenticated the bytes with this host's key. A
        // component from a stranger is always compiled, and refused before that if it looks like machine code
        // (`component::examine`).
        unsafe { Component::deserialize(engine, &self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_of_an_author_leaves_functions_to_the_next_one() {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::new();
        take_up_functions(&mut config).unwrap();
        let engine = wasmtime::Engine::new(&config).unwrap();
        let cache = Arc::new(Cache::open(data.path(), Fingerprint::of(&engine)).unwrap());
        // No other test has this number.
        let component = wat::parse_str("(component (core module (func (result i32) (i32.const 728193))))").unwrap();
        let key = cache.key_of(&functions::name(&component).unwrap());
        assert!(cache.find(&key).is_none());
        compile_for_author(&engine, component, Some(&cache)).await.unwrap().load(&engine).unwrap();
        let Artifact(kept) = cache.find(&key).unwrap();
        assert!(!kept.is_empty());
    }

    #[test]
    fn a_compiler_without_memory_says_what_makes_files_so_large() {
        assert_eq!((said(""), said("it broke")), (String::new(), ": it broke".to_owned()));
        let said = said("memory allocation of 240 bytes failed note: run with `RUST_BACKTRACE=1`");
        assert!(said.contains("too large") && said.contains("net/http") && !said.contains("240"), "{said}");
    }
}
