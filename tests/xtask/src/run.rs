//! Runs other programs: handles their output, progress while they are silent, signals, and their end.

use std::ffi::OsStr;
use std::fmt;
use std::io::{IsTerminal as _, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often a child is polled; this is also how soon a signal takes effect.
const LOOK: Duration = Duration::from_millis(50);
/// How often a line reports progress if there is no terminal.
const QUIET: Duration = Duration::from_secs(30);
/// The grace period of a child that was told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How a program's output is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// The output goes where ours goes, since cargo shows its own progress.
    Shown,
    /// The output is captured, and becomes part of the error if the program fails.
    Kept,
}

/// How a program ended, and what it printed on its standard output.
pub(crate) struct Ended {
    pub status: ExitStatus,
    pub printed: String,
}

/// Runs a program to its end, shows its output, and returns what it printed on its standard output.
pub(crate) fn run_and_read(title: &str, command: &mut Command) -> Result<Ended> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = spawn(command)?;
    let shown = child.stdout.take().map(|output| keep(Shown(output)));
    let status = watch(title, &mut child, Output::Shown, Duration::MAX);
    let printed = shown.and_then(|thread| thread.join().ok()).unwrap_or_default();
    Ok(Ended { status: status?, printed: String::from_utf8_lossy(&printed).into_owned() })
}

fn spawn(command: &mut Command) -> Result<Child> {
    let program = command.get_program().to_os_string();
    command.spawn().with_context(|| format!("cannot start {}", program.display()))
}

/// An output that is also written to ours.
struct Shown<R>(R);

impl<R: Read> Read for Shown<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.0.read(buffer)?;
        // If nobody reads the output any more, that is no reason to stop.
        let _ = std::io::stdout().write_all(&buffer[..read]);
        let _ = std::io::stdout().flush();
        Ok(read)
    }
}

/// Runs a program to its end; a failure of the program is an error. `title` describes what it does.
pub(crate) fn run(title: &str, command: &mut Command, output: Output) -> Result<()> {
    run_within(title, command, output, Duration::MAX)
}

/// Runs a program with a timeout. A program that exceeds it is ended, which is an error.
pub(crate) fn run_within(title: &str, command: &mut Command, output: Output, limit: Duration) -> Result<()> {
    command.stdin(Stdio::null());
    if output == Output::Kept {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    let mut child = spawn(command)?;
    let kept = [child.stdout.take().map(keep), child.stderr.take().map(keep)];
    let status = watch(title, &mut child, output, limit);
    let kept: Vec<u8> = kept.into_iter().flatten().flat_map(|thread| thread.join().unwrap_or_default()).collect();
    let status = status?;
    if !status.success() {
        let kept = String::from_utf8_lossy(&kept);
        let separator = if kept.is_empty() { "" } else { "\n" };
        let program = command.get_program().display();
        bail!("{title} failed: {program} ended with {status}{separator}{}", kept.trim_end());
    }
    Ok(())
}

/// Replaces this program by another one, so that signals reach it and its exit code is ours. Returns only if that
/// fails.
pub(crate) fn replace_by<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> anyhow::Error {
    use std::os::unix::process::CommandExt as _;
    let error = Command::new(program).args(arguments).exec();
    anyhow::Error::new(error).context(format!("cannot start {}", program.display()))
}

/// Reads an output to its end, so that the child never blocks on the pipe.
fn keep(mut output: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // The output that was read before an error is kept.
        let _ = output.read_to_end(&mut text);
        text
    })
}

/// Waits for the end of a child, shows progress, and forwards signals.
fn watch(title: &str, child: &mut Child, output: Output, limit: Duration) -> Result<ExitStatus> {
    let start = Instant::now();
    let mut progress = Progress::new(title, output);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let signal = SIGNAL.load(Ordering::Relaxed);
        if signal != 0 {
            stop(child, signal);
            return Err(Interrupted(signal).into());
        }
        if start.elapsed() >= limit {
            stop(child, libc::SIGTERM);
            bail!("{title}: not done within {limit:?}");
        }
        progress.show(start.elapsed());
        std::thread::sleep(LOOK);
    }
}

fn stop(child: &mut Child, signal: i32) {
    send(child.id(), signal);
    let start = Instant::now();
    while start.elapsed() < GRACE {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(LOOK);
    }
    // It may have ended just now; then there is nothing to kill.
    let _ = child.kill();
    let _ = child.wait();
}

/// Shows progress: on a terminal one line that counts the seconds, otherwise a new line at intervals.
struct Progress<'a> {
    title: &'a str,
    way: Way,
    next: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The child draws its own progress.
    None,
    /// One line that is overwritten.
    Live,
    /// A new line at intervals.
    Lines,
}

impl<'a> Progress<'a> {
    fn new(title: &'a str, output: Output) -> Self {
        let way = match (std::io::stderr().is_terminal(), output) {
            (true, Output::Shown) => Way::None,
            (true, Output::Kept) => Way::Live,
            (false, _) => Way::Lines,
        };
        let next = if way == Way::Live { Duration::from_millis(500) } else { QUIET };
        Self { title, way, next }
    }

    fn show(&mut self, elapsed: Duration) {
        if self.way == Way::None || elapsed < self.next {
            return;
        }
        // A failure to show progress is no reason to stop.
        let mut to = std::io::stderr();
        if self.way == Way::Live {
            self.next = elapsed + Duration::from_millis(200);
            let _ = write!(to, "\r  … {} {}\x1b[K", self.title, clock(elapsed));
        } else {
            self.next = elapsed + QUIET;
            let _ = writeln!(to, "  … {} {}", self.title, clock(elapsed));
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.way == Way::Live {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// Formats a duration for people.
pub(crate) fn clock(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// A signal asked this program to stop.
#[derive(Debug)]
pub(crate) struct Interrupted(i32);

impl Interrupted {
    /// Returns the exit code that a shell expects of a program that a signal ended.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::try_from(128 + self.0).unwrap_or(1))
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// The signal that was received, or 0.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: i32) {
    SIGNAL.store(signal, Ordering::Relaxed);
}

/// Handles SIGINT and SIGTERM by an orderly end, so that temporary changes of a step are undone.
#[expect(unsafe_code, reason = "the standard library handles no signals")]
pub(crate) fn heed_signals() {
    let handler = note as extern "C" fn(i32) as libc::sighandler_t;
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler only stores a number in an atomic, which a signal handler may do.
        unsafe { libc::signal(signal, handler) };
    }
}

#[expect(unsafe_code, reason = "the standard library sends no other signal than SIGKILL")]
pub(crate) fn send(process: u32, signal: i32) {
    let process = libc::pid_t::try_from(process).expect("process ids are positive numbers of this type");
    // SAFETY: a system call on plain numbers; the child was not waited for, so its id is still its own.
    unsafe { libc::kill(process, signal) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        assert_eq!(clock(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(clock(Duration::from_secs(59)), "59 s");
        assert_eq!(clock(Duration::from_secs(605)), "10 min 05 s");
    }

    #[test]
    fn a_failure_names_what_failed() {
        let error =
            run("counting", Command::new("sh").args(["-c", "echo one, two; exit 3"]), Output::Kept).unwrap_err();
        assert_eq!(error.to_string(), "counting failed: sh ended with exit status: 3\none, two");
    }

    #[test]
    fn what_a_program_prints_is_returned_however_it_ends() {
        let ended = run_and_read("counting", Command::new("sh").args(["-c", "echo one, two; exit 3"])).unwrap();
        assert_eq!((ended.status.code(), ended.printed.as_str()), (Some(3), "one, two\n"));
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let mut command = Command::new("sleep");
        let limit = Duration::from_millis(100);
        let error = run_within("waiting", command.arg("1000"), Output::Kept, limit).unwrap_err();
        assert_eq!(error.to_string(), "waiting: not done within 100ms");
    }
}
