//! The code inside of a compiler process: it drops its privileges, reads a component, and writes machine code.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use parlor_base::quantity::Bytes;
use parlor_plugins::component::MAX_BYTES;
use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit};

use super::config;
use super::functions::{self, Functions};
use super::sandbox::{self, Findings, Layer};
use crate::traces::Traces;

/// The subcommand of `parlor` for this process.
pub const COMMAND: &str = "compile-component";
/// The exit code for a component that does not compile. The reason is on standard error.
pub(super) const REFUSED: u8 = 3;

/// The nice value of the process: the connection has priority.
const NICE: i32 = 10;

/// The reason why nothing was compiled.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The process could not drop its privileges.
    #[error("the compiler cannot be confined ({0}); it needs Linux 5.9 or later")]
    Confine(io::Error),
    /// The component could not be read.
    #[error("this command is for parlor itself: it expects a component from the process that runs plugins ({0})")]
    Input(io::Error),
    /// The result could not be written.
    #[error("the result cannot be handed back: {0}")]
    Output(io::Error),
    /// wasmtime refused its configuration.
    #[error("the compiler cannot start: {0:#}")]
    Engine(wasmtime::Error),
    /// The component does not compile.
    #[error("{0:#}")]
    Refused(wasmtime::Error),
}

impl WorkerError {
    /// Returns the exit code of the process, which tells the host whether the component is at fault.
    pub fn code(&self) -> u8 {
        if matches!(self, Self::Refused(_)) { REFUSED } else { 1 }
    }
}

/// Does the work of a compiler process: compiles the component on standard input to standard output.
pub fn work(memory: Bytes, cpu: Duration, traces: Traces, again: bool) -> Result<(), WorkerError> {
    let layers = confine(memory, cpu, Vec::new).map_err(WorkerError::Confine)?.layers;
    let component = receive(MAX_BYTES).map_err(WorkerError::Input)?;
    let known = again.then(|| receive(functions::MAX_BYTES)).transpose().map_err(WorkerError::Input)?;
    // Standard input has no more data from here on, so if a read returns, the host has ended.
    std::thread::Builder::new()
        .name("leash".to_owned())
        .spawn(|| {
            let _ = io::stdin().lock().read(&mut [0]);
            process::exit(1);
        })
        .map_err(WorkerError::Confine)?;
    let mut config = config::base(traces, traces.are_for_owners());
    let functions = known.map(|known| Arc::new(Functions::read(&known)));
    if let Some(functions) = &functions {
        config.enable_incremental_compilation(Arc::<Functions>::clone(functions)).map_err(WorkerError::Engine)?;
    }
    let engine = wasmtime::Engine::new(&config).map_err(WorkerError::Engine)?;
    let code = engine.precompile_component(&component).map_err(WorkerError::Refused)?;
    say_what_is_missing(&layers);
    let mut output = io::stdout().lock();
    if let Some(functions) = functions {
        let said = output.write_all(&(code.len() as u64).to_le_bytes()).and_then(|()| output.write_all(&code));
        let said = said.and_then(|()| output.write_all(&functions.write())).and_then(|()| output.flush());
        return said.map_err(WorkerError::Output);
    }
    output.write_all(&code).and_then(|()| output.flush()).map_err(WorkerError::Output)
}

/// Reports the missing sandbox layers to the host. After a successful compilation this is the only text on standard
/// error. A process that failed does not write it.
#[expect(clippy::print_stderr, reason = "the host reads it")]
fn say_what_is_missing(layers: &[Layer]) {
    for Layer { name, missing } in layers {
        if let Some(why) = missing {
            eprintln!("without {name}: {why};");
        }
    }
}

/// Tests the sandbox instead of compiling: sets it up, tries forbidden actions, and writes the results to standard
/// output.
pub fn look_around(memory: Bytes, cpu: Duration) -> Result<(), WorkerError> {
    let mut findings = confine(memory, cpu, sandbox::try_files).map_err(WorkerError::Confine)?;
    findings.tried.extend(sandbox::try_all());
    let tell = |found: serde_json::Result<Vec<u8>>| {
        let mut output = io::stdout().lock();
        let written = found.map_err(io::Error::from).and_then(|found| output.write_all(&found));
        written.and_then(|()| output.flush()).map_err(WorkerError::Output)
    };
    tell(serde_json::to_vec(&findings))?;
    // If this works, another program replaces this one, and nothing is written.
    tell(serde_json::to_vec(&sandbox::try_to_become_a_program()))
}

fn receive(most: usize) -> io::Result<Vec<u8>> {
    let mut input = io::stdin().lock();
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    let mut component = vec![0; length];
    input.read_exact(&mut component)?;
    Ok(component)
}

/// Drops everything that the work does not need: open files except for the three pipes, opening or writing files,
/// memory and time beyond the bounds, normal priority, and finally all system calls except those for computing.
/// `between` is called while only Landlock restricts file access, if the kernel has Landlock.
#[expect(unsafe_code, reason = "closing all files at once, and giving up privileges, has no safe interface")]
fn confine(memory: Bytes, cpu: Duration, between: impl FnOnce() -> Vec<(String, Option<i32>)>) -> io::Result<Findings> {
    let limit = |resource, soft, hard| setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) });
    // SAFETY: a system call with plain numbers. Nothing in this process has opened a file that it still needs.
    if unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // If the machine runs out of memory, the kernel kills this process first. Failing to set this does no harm.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let (on, unused): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: a system call with plain numbers, of the size that it reads.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, on, unused, unused, unused) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // Landlock must open a file, which the limits below forbid.
    let mut layers = vec![Layer { name: "no_new_privs".to_owned(), missing: None }, sandbox::close_files()];
    let tried = if layers.iter().all(|layer| layer.missing.is_none()) { between() } else { Vec::new() };
    limit(Resource::As, memory.0, memory.0)?;
    // At the soft limit a signal ends the process, and so tells the reason.
    limit(Resource::Cpu, cpu.as_secs(), cpu.as_secs() + 1)?;
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Fsize, 0, 0)?;
    limit(Resource::Nofile, 0, 0)?;
    // Lowering the priority is always allowed. If it fails, the process only competes with others.
    let _ = setpriority_process(None, NICE);
    layers.push(sandbox::filter_calls());
    Ok(Findings { layers, tried })
}
