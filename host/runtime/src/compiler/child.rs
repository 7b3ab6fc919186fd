//! The host's side of a compiler process.
//!
//! The process reads the component from one pipe and writes the machine code to another. The first pipe also ties it to
//! the host: when the host ends, for any reason, the pipe closes and the process exits.

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Once;

use parlor_base::child::NOWHERE;
use parlor_base::escape::escape_untrusted;
use serde::Deserialize as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::sandbox::{BECOME, Findings, Layer};
use super::worker::{COMMAND, REFUSED};
use super::{Artifact, Bounds, CompileError, MAX_ARTIFACT, functions};
use crate::traces::Traces;

/// The maximum number of bytes of its error output that are read.
const MAX_WORDS: usize = 4 << 10;
/// Whether a missing kernel feature was logged already.
static TOLD: Once = Once::new();
/// The maximum number of its threads: more would only compete with each other, and each takes address space.
const MAX_THREADS: usize = 4;

/// Compiles a component in a separate process. Dropping the future ends the process.
pub(super) async fn compile(
    program: &Path,
    bounds: Bounds,
    traces: Traces,
    component: &[u8],
) -> Result<Artifact, CompileError> {
    run(program, bounds, traces, &[component], MAX_ARTIFACT).await.map(Artifact)
}

/// Does the same for an author, reusing functions that were compiled before. Also returns those for the next time.
pub(super) async fn compile_again(
    program: &Path,
    bounds: Bounds,
    component: &[u8],
    known: &[u8],
) -> Result<(Artifact, Vec<u8>), CompileError> {
    let said = run(program, bounds, Traces::Lines, &[component, known], MAX_ARTIFACT + functions::MAX_BYTES).await?;
    let parted = said.split_first_chunk().and_then(|(length, rest)| {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        rest.split_at_checked(length)
    });
    // A compiler of another build answers in another format.
    let (code, used) = parted.ok_or_else(|| CompileError::Foreign("it says something else".to_owned()))?;
    if code.len() > MAX_ARTIFACT {
        return Err(CompileError::TooLarge);
    }
    Ok((Artifact(code.to_vec()), used.to_vec()))
}

/// Sends these parts to a compiler and returns its output.
async fn run(
    program: &Path,
    bounds: Bounds,
    traces: Traces,
    parts: &[&[u8]],
    most: usize,
) -> Result<Vec<u8>, CompileError> {
    let start = |cause| CompileError::Start { program: program.to_owned(), cause };
    let mut child = spawn(program, bounds, traces, parts.len() > 1).map_err(start)?;
    let Ok(ended) = tokio::time::timeout(bounds.time, converse(&mut child, parts, most)).await else {
        // It may have exited in this moment, which is fine.
        let _ = child.kill().await;
        return Err(CompileError::Slow(bounds.time));
    };
    let Ended { status, code, words } = ended.map_err(start)?;
    if code.len() > most {
        return Err(CompileError::TooLarge);
    }
    let words = String::from_utf8_lossy(&words).lines().collect::<Vec<_>>().join(" ");
    let words = escape_untrusted(words.trim(), MAX_WORDS);
    if status.success() {
        if !words.is_empty() {
            TOLD.call_once(
                || tracing::debug!(reason = %words, "plugins are compiled with less protection than there could be"),
            );
        }
        return Ok(code);
    }
    Err(if status.code() == Some(REFUSED.into()) {
        CompileError::Compile(words)
    } else if status.signal() == Some(libc::SIGXCPU) {
        CompileError::TooLong(bounds.cpu)
    } else {
        CompileError::Died { status, memory: bounds.memory, words }
    })
}

/// Starts a compiler process that compiles nothing and reports the protections that it found on this machine.
pub fn look() -> io::Result<Vec<Layer>> {
    let mut command = prepared(Path::new("/proc/self/exe"), Bounds::default());
    let ended = command.arg("--look").stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    let mut said = serde_json::Deserializer::from_slice(&ended.stdout);
    let found = Findings::deserialize(&mut said)?;
    let last = <(String, Option<i32>)>::deserialize(&mut said).unwrap_or_else(|_| (BECOME.to_owned(), None));
    let escaped = found.tried.into_iter().chain([last]).filter(|(_, error)| error.is_none());
    let escaped = escaped.map(|(what, _)| Layer { name: what, missing: Some("it was not refused".to_owned()) });
    Ok(found.layers.into_iter().chain(escaped).collect())
}

/// Prepares the command for a compiler process within these bounds.
fn prepared(program: &Path, bounds: Bounds) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    command
        .arg0("parlor")
        .arg(COMMAND)
        .arg(format!("--memory={}", bounds.memory.as_usize()))
        .arg(format!("--cpu={}", bounds.cpu.as_secs()))
        // The process gets no environment variables of the host.
        .env_clear()
        .current_dir(NOWHERE);
    command
}

fn spawn(program: &Path, bounds: Bounds, traces: Traces, knows: bool) -> io::Result<Child> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    Command::from(prepared(program, bounds))
        .args((traces == Traces::Lines).then_some("--lines"))
        .args(knows.then_some("--again"))
        .env("RAYON_NUM_THREADS", threads.to_string())
        // Ctrl-C is only meant for the host, which ends the process itself.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

struct Ended {
    status: ExitStatus,
    code: Vec<u8>,
    words: Vec<u8>,
}

async fn converse(child: &mut Child, parts: &[&[u8]], most: usize) -> io::Result<Ended> {
    let (Some(mut input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::Error::other("it has no pipes"));
    };
    let tell = async {
        for part in parts {
            input.write_all(&(part.len() as u64).to_le_bytes()).await?;
            input.write_all(part).await?;
        }
        Ok::<_, io::Error>(())
    };
    // If the process does not read its input, it has exited, and its exit status says more.
    let (_, code, words) = tokio::join!(tell, bounded(output, most), bounded(errors, MAX_WORDS));
    let status = child.wait().await?;
    Ok(Ended { status, code: code?, words: words? })
}

/// Reads its output up to one byte more than the limit. Then the pipe is closed, so that the process ends.
async fn bounded(pipe: impl AsyncRead + Unpin, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.take(most as u64 + 1).read_to_end(&mut bytes).await?;
    Ok(bytes)
}
