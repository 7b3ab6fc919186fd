//! Child processes that cannot outlive this one, however it ends.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

use crate::log::Log;

/// How long to wait for the outputs of a process that has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A child process with its log. Dropping it kills it and waits until it is gone.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Log,
}

/// A signal to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Reload the files (SIGHUP).
    Reload,
    /// Say how much was allocated, for the program `counted` (SIGUSR1).
    Count,
    /// Stop like after Ctrl-C (SIGINT).
    Interrupt,
    /// Stop (SIGTERM).
    Terminate,
    /// End at once (SIGKILL).
    Kill,
    /// End as after a crash (SIGABRT).
    Crash,
    /// Do nothing from now on (SIGSTOP).
    Suspend,
    /// Go on (SIGCONT).
    Continue,
}

impl Process {
    /// Starts a process without input and with its outputs in its [`log`](Self::log).
    ///
    /// The child gets a separate process group, so that a Ctrl-C reaches only this process, which then stops its
    /// children in order.
    pub fn start(name: &str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = command.get_program().to_os_string();
        let mut child = spawn(command).with_context(|| format!("cannot start {name}: {}", program.display()))?;
        let log = Log::default();
        if let Some(output) = child.stdout.take() {
            log.follow(output);
        }
        if let Some(output) = child.stderr.take() {
            log.follow(output);
        }
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the output so far.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        send(self.child.id(), signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Returns the exit status, if the process has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot ask how {} is", self.name))
    }

    /// Waits until the process has ended and its last output is in the log.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended()? {
                // Its own children may keep its outputs open for longer.
                let _ = tokio::time::timeout(LAST_WORDS, self.log.ended()).await;
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} did not end within {limit:?}\n{}", self.name, self.log.tail());
            }
            // There is no portable way to wait for one child with a deadline, and polling costs almost nothing.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended on its own; then there is nothing to kill, and waiting returns at once.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request to the thread that starts processes, with the channel for the answer.
type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts a child that the kernel kills when this process ends, even by SIGKILL.
///
/// The kernel watches the *thread* that started the child, and test threads end early. So one thread that never ends
/// starts all children.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    command.process_group(0);
    spawn_as_it_is(command)
}

/// Starts such a child at a terminal, its input, which becomes the controlling terminal of a new session.
#[expect(unsafe_code, reason = "a child gets a session of its own between fork and exec")]
pub(crate) fn spawn_at_terminal(mut command: Command) -> io::Result<Child> {
    // SAFETY: the closure makes two system calls and touches no memory or lock.
    unsafe {
        command.pre_exec(|| {
            if libc::setsid() == -1 || libc::ioctl(0, libc::TIOCSCTTY, 0) == -1 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    spawn_as_it_is(command)
}

fn spawn_as_it_is(mut command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    die_with_parent(&mut command);
    let starter = STARTER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                // The caller waits for the answer, or has panicked meanwhile. Then the child is dropped with the
                // answer.
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, result) = mpsc::channel();
    starter.send((command, answer)).expect("the thread lives as long as the process");
    result.recv().expect("the thread answers every order")
}

/// Asks the kernel to kill the child as soon as its parent is gone.
#[cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "only the child itself can ask for it, between fork and exec")
)]
fn die_with_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        let parent = std::process::id();
        // SAFETY: the closure runs between fork and exec; it makes two system calls and touches no memory or lock.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == -1 {
                    return Err(io::Error::last_os_error());
                }
                // The parent may have ended just before the request took effect.
                if u32::try_from(libc::getppid()) != Ok(parent) {
                    return Err(io::ErrorKind::NotConnected.into());
                }
                Ok(())
            });
        }
    }
}

/// Sends a signal to a process. The caller must know that the id still belongs to the intended process.
#[expect(unsafe_code, reason = "the standard library sends no other signal than SIGKILL")]
pub fn send(process: u32, signal: Signal) -> io::Result<()> {
    let number = match signal {
        Signal::Reload => libc::SIGHUP,
        Signal::Count => libc::SIGUSR1,
        Signal::Interrupt => libc::SIGINT,
        Signal::Terminate => libc::SIGTERM,
        Signal::Kill => libc::SIGKILL,
        Signal::Crash => libc::SIGABRT,
        Signal::Suspend => libc::SIGSTOP,
        Signal::Continue => libc::SIGCONT,
    };
    let process = libc::pid_t::try_from(process).expect("process ids are positive numbers of this type");
    // SAFETY: a system call on plain numbers.
    if unsafe { libc::kill(process, number) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Returns whether a process with this id runs. A zombie does not count: inside a container, the children of a killed
/// process may never be reaped.
pub fn exists(process: u32) -> bool {
    stat(process).is_some_and(|fields| !fields.starts_with('Z'))
}

/// Returns the child processes of a process.
pub fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return vec![] };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parent = parent.to_string();
    ids.filter(|id| stat(*id).is_some_and(|fields| fields.split(' ').nth(1) == Some(parent.as_str()))).collect()
}

/// Reads a process's status line from the kernel, from the state on. The name before it may contain anything.
fn stat(process: u32) -> Option<String> {
    let line = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    line.rsplit_once(") ").map(|(_, fields)| fields.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Mark;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_dropped_process_is_gone() {
        let process = Process::start("sleeper", shell("exec sleep 1000")).unwrap();
        let id = process.id();
        assert!(exists(id));
        drop(process);
        assert!(!exists(id));
    }

    #[tokio::test]
    async fn a_process_outlives_the_thread_that_asked_for_it() {
        let mut process =
            std::thread::spawn(|| Process::start("sleeper", shell("exec sleep 1000")).unwrap()).join().unwrap();
        // The starter thread still serves others, and the child was not killed with the thread that requested it.
        let mut other = Process::start("other", shell("exit 3")).unwrap();
        assert_eq!(other.wait(SOON).await.unwrap().code(), Some(3));
        assert_eq!(process.ended().unwrap(), None);
    }

    #[tokio::test]
    async fn a_killed_parent_takes_its_children_along() {
        // This test binary itself is the parent: it starts a child, prints its id, and is killed.
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "process::tests::parent_of_a_sleeper", "--nocapture"]).env("PARLOR_TEST_PARENT", "1");
        let parent = Process::start("parent", command).unwrap();
        let child: u32 = parent
            .log()
            .wait("the child's id", &mut Mark::default(), SOON, |line| line.strip_prefix("child=")?.parse().ok())
            .await
            .unwrap();
        assert!(exists(child));
        drop(parent);
        let deadline = Instant::now() + SOON;
        while exists(child) {
            assert!(Instant::now() < deadline, "the child is still there");
            tokio::task::yield_now().await;
        }
    }

    /// Not a separate test: the parent's side of the one above.
    #[test]
    #[expect(clippy::print_stdout, reason = "it talks to the test that started it")]
    fn parent_of_a_sleeper() {
        if std::env::var_os("PARLOR_TEST_PARENT").is_none() {
            return;
        }
        let sleeper = Process::start("sleeper", shell("exec sleep 1000")).unwrap();
        println!("\nchild={}", sleeper.id());
        loop {
            std::thread::park();
        }
    }
}
