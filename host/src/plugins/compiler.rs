//! From the bytes of strangers to machine code, without letting the compiler loose on the house.
//!
//! Compiling runs a large program on bytes that somebody else chose. So it is done in a process of its own, which has little
//! memory, little time and nothing else, and ends with the job. What comes of it is kept in a cache that only this host can
//! write to. Machine code of any other origin has no way in: an [`Artifact`] is made here, and nowhere else.

mod cache;
mod child;
mod functions;
mod sandbox;
mod worker;

use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Component;

use super::Traces;
use super::id::Digest;
use super::quantity::{Bytes, show_duration};
use crate::harmless::EscapedPath as _;

pub(super) use cache::{Cache, Fingerprint};
pub(crate) use child::look;
pub(crate) use sandbox::Layer;
pub(crate) use worker::{COMMAND, look_around, work};

/// The most bytes of machine code that a component may become. `CPython`, which is 21 MB, becomes 38.
const MAX_ARTIFACT: usize = 512 << 20;

/// Where plugins are compiled.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// Each in a process of its own, held to its bounds. What it runs is a `parlor` of this very build.
    Process {
        /// The program, by an absolute path.
        program: PathBuf,
        /// What it may use up.
        bounds: Bounds,
        /// What a trace of the plugins shows.
        traces: Traces,
    },
    /// In this process: for programs that embed the library, are no `parlor` themselves and have none at hand. A plugin can
    /// then make this process take much memory and time while it is compiled, and a fault of the compiler is one of this
    /// process. What a file may hold at most is counted before, in either case.
    ThisProcess,
}

impl Compiler {
    /// For the program `parlor` itself: it runs itself once more. This is the file that it was started from, even if there is
    /// another one in its place by now.
    pub fn parlor() -> Self {
        let program = PathBuf::from("/proc/self/exe");
        Self::Process { program, bounds: Bounds::default(), traces: Traces::Functions }
    }

    /// The same for what authors try themselves: it is compiled in less time, runs slower, and shows lines when it ends.
    pub fn for_authors() -> Self {
        let program = PathBuf::from("/proc/self/exe");
        Self::Process { program, bounds: Bounds::default(), traces: Traces::Lines }
    }

    /// What a trace of the plugins shows.
    pub(super) fn traces(&self) -> Traces {
        match self {
            Self::Process { traces, .. } => *traces,
            Self::ThisProcess => Traces::Functions,
        }
    }
}

/// What compiling one component may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Address space.
    pub memory: Bytes,
    /// CPU time of all its threads, in whole seconds.
    pub cpu: Duration,
    /// Time on the clock.
    pub time: Duration,
}

impl Default for Bounds {
    /// `CPython` takes 14 s of CPU time and 600 MiB of address space where this was measured, and a plugin in Go of 3.4 MiB takes
    /// 1.9 GiB, since some of its functions are large; there are slower machines, and larger plugins.
    fn default() -> Self {
        Self { memory: Bytes::mib(3072), cpu: Duration::from_mins(2), time: Duration::from_mins(5) }
    }
}

/// Why a component that passed its examination cannot run.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// It does not compile.
    #[error("it does not compile: {0}")]
    Compile(String),
    /// The compiler used up the CPU time that it may.
    #[error("compiling it took more than {}, which no honest file takes; it is not compiled any further", show_duration(*.0))]
    TooLong(Duration),
    /// The compiler was not done in time, although it used no more of the processor than it may.
    #[error(
        "compiling it was not done within {}, since the machine is busy with other things; a host tries again at `parlor reload`",
        show_duration(*.0)
    )]
    Slow(Duration),
    /// It became more machine code than any honest file does.
    #[error("it became more than {MAX_ARTIFACT} bytes of machine code, which no honest file does")]
    TooLarge,
    /// The compiler did not come to an end by itself.
    #[error("the compiler, which may use {memory} of memory, ended with {status}{}", said(.words))]
    Died {
        /// How.
        status: ExitStatus,
        /// What it might have used.
        memory: Bytes,
        /// What it said at last, harmless.
        words: String,
    },
    /// The compiler could not be started.
    #[error("the compiler {program} cannot be run ({cause}); it is the program that `parlor run` was started from", program = program.escaped())]
    Start {
        /// Its program.
        program: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The compiler is that of another build.
    #[error(
        "the compiler made code that does not run here ({0}); `parlor run` and its compiler have to be the same build"
    )]
    Foreign(String),
    /// It imports what the host does not have, or in another shape.
    #[error("it does not fit this host's API: {0:#}")]
    Link(wasmtime::Error),
    /// The host failed while it compiled.
    #[error("the compiler failed: {0}")]
    Host(String),
}

impl CompileError {
    /// What would come of it if the same bytes were compiled again; none where that may end otherwise.
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

/// What it said, if anything; where that is how Rust says that there is no more memory, what is to be done about it.
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
    /// Compiles a component. For authors, functions that the cache has of the same code are taken from there.
    pub(super) async fn compile(
        &self,
        engine: &wasmtime::Engine,
        component: Vec<u8>,
        cache: Option<&Arc<Cache>>,
    ) -> Result<Artifact, CompileError> {
        match self {
            Self::Process { program, bounds, traces: Traces::Lines } if component.len() >= functions::FROM => {
                let (component, known, cache) = known(component, cache.cloned()).await?;
                let (artifact, used) = child::compile_again(program, *bounds, &component, &known.code).await?;
                if let (Some(cache), Some(key)) = (cache, known.key) {
                    // Where they cannot be kept, the next time takes as long.
                    let keep = move || drop(cache.keep(&key, Artifact(used)));
                    tokio::task::spawn_blocking(keep).await.map_err(|error| CompileError::Host(error.to_string()))?;
                }
                Ok(artifact)
            }
            Self::Process { program, bounds, traces } => child::compile(program, *bounds, *traces, &component).await,
            Self::ThisProcess => {
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

/// Functions that were compiled before, and what they are kept under.
struct Known {
    key: Option<Digest>,
    code: Vec<u8>,
}

/// What the cache has of a component's code.
async fn known(
    component: Vec<u8>,
    cache: Option<Arc<Cache>>,
) -> Result<(Vec<u8>, Known, Option<Arc<Cache>>), CompileError> {
    let look = move || {
        let key = cache.as_ref().and_then(|_| functions::key(&component));
        let found = cache.as_ref().and_then(|cache| cache.find(&key?));
        (component, Known { key, code: found.map_or_else(Vec::new, |Artifact(code)| code) }, cache)
    };
    tokio::task::spawn_blocking(look).await.map_err(|error| CompileError::Host(error.to_string()))
}

/// Machine code that this host's compiler made: just now, or before, and it was authenticated since.
pub(super) struct Artifact(Vec<u8>);

impl Artifact {
    #[cfg(test)]
    pub(super) fn made_of(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// Makes it ready to be run. It fails for code that was made for another engine or processor.
    #[expect(unsafe_code, reason = "the one place where machine code comes in")]
    pub(super) fn load(&self, engine: &wasmtime::Engine) -> wasmtime::Result<Component> {
        // SAFETY: wasmtime takes the bytes for the unmodified result of a compilation. They are: an `Artifact` is made by the
        // compiler, or by the cache after it has found them authenticated with this host's key. A component that a stranger
        // sends is compiled, and refused before that if it looks like machine code (`component::examine`).
        unsafe { Component::deserialize(engine, &self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn a_compiler_without_memory_says_what_makes_files_so_large() {
        assert_eq!((said(""), said("it broke")), (String::new(), ": it broke".to_owned()));
        let said = said("memory allocation of 240 bytes failed note: run with `RUST_BACKTRACE=1`");
        assert!(said.contains("too large") && said.contains("net/http") && !said.contains("240"), "{said}");
    }
}
