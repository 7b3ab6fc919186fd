//! The sandbox of a compiler process: the kernel only lets it compute and use its open pipes.
//!
//! Each layer works independently of the others. A program that the process starts gains no privileges. Landlock denies
//! it the file system, TCP and other processes. A filter of system calls (seccomp) only allows those that computing
//! needs: it cannot open files or sockets, start programs or processes, or make memory executable. A kernel that lacks
//! one layer still has the others.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::UdpSocket;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use landlock::{ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetError, RulesetStatus, Scope};
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
    apply_filter_all_threads,
};
use serde::{Deserialize, Serialize};

/// The newest Landlock version that is requested. An older kernel enforces as much of it as it has.
const LANDLOCK: ABI = ABI::V7;
/// The system calls that computing in several threads needs, with pipes that are already open.
const ANY: &[libc::c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// A layer of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// The name for owners.
    pub name: String,
    /// The reason why this kernel lacks it; `None` if it has it.
    pub missing: Option<String>,
}

impl Layer {
    fn of<E: std::fmt::Display>(name: &str, result: Result<(), E>) -> Self {
        Self { name: name.to_owned(), missing: result.err().map(|error| error.to_string()) }
    }
}

/// The name of the last attempt. If it succeeds, the process is gone and cannot report it.
pub(super) const BECOME: &str = "become a program";

/// The protections of a compiler process, and its attempts to get past them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Findings {
    /// The layers, in the order in which they were set up.
    pub layers: Vec<Layer>,
    /// The attempts under Landlock alone and then under all layers, each with the system's error; `None` if it
    /// succeeded.
    pub tried: Vec<(String, Option<i32>)>,
}

/// The reason why the kernel does not filter system calls.
#[derive(Debug, thiserror::Error)]
enum FilterError {
    #[error("{0}")]
    Backend(#[from] BackendError),
    #[error("{0}")]
    Apply(#[from] seccompiler::Error),
}

/// Denies this thread and those that it starts the file system, TCP and other processes. It must open a file for this.
pub(super) fn close_files() -> Layer {
    Layer::of("landlock", restrict())
}

fn restrict() -> Result<(), String> {
    let restricted = || -> Result<_, RulesetError> {
        Ruleset::default()
            .handle_access(AccessFs::from_all(LANDLOCK))?
            .handle_access(AccessNet::from_all(LANDLOCK))?
            .scope(Scope::from_all(LANDLOCK))?
            .create()?
            .restrict_self()
    };
    match restricted().map_err(|error| error.to_string())?.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err("this kernel does not have it, or it is turned off".to_owned()),
    }
}

/// Denies this process all system calls except those that computing needs.
pub(super) fn filter_calls() -> Layer {
    Layer::of("seccomp", filter())
}

fn filter() -> Result<(), FilterError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    // The filter cannot read the arguments of clone3. With this error, and no other, the C library starts threads with
    // clone instead.
    let no_clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let no_clone3 = SeccompFilter::new(no_clone3, SeccompAction::Allow, absent, arch)?;
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let known = SeccompFilter::new(rules()?, refused, SeccompAction::Allow, arch)?;
    for filter in [no_clone3, known] {
        let program: BpfProgram = filter.try_into()?;
        apply_filter_all_threads(&program)?;
    }
    Ok(())
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ANY.iter().map(|call| (*call, Vec::new())).collect();
    // The other filter answers clone3. If this one refused the call too, its error would be reported instead.
    rules.insert(libc::SYS_clone3, Vec::new());
    let mut only = |call, conditions: Vec<SeccompCondition>| -> Result<(), BackendError> {
        rules.entry(call).or_default().push(SeccompRule::new(conditions)?);
        Ok(())
    };
    // No memory can be made executable.
    let code = u64::from(libc::PROT_EXEC.unsigned_abs());
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        only(call, vec![SeccompCondition::new(2, Dword, SeccompCmpOp::MaskedEq(code), 0)?])?;
    }
    // New threads are allowed, but no processes.
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    only(libc::SYS_clone, vec![SeccompCondition::new(0, Qword, SeccompCmpOp::MaskedEq(thread), thread)?])?;
    // Signals to itself are allowed, such as by `abort`.
    let own = u64::from(std::process::id());
    only(libc::SYS_tgkill, vec![SeccompCondition::new(0, Dword, SeccompCmpOp::Eq, own)?])?;
    // Naming threads and memory is allowed.
    for option in [libc::PR_SET_NAME, libc::PR_SET_VMA] {
        let option = u64::from(option.unsigned_abs());
        only(libc::SYS_prctl, vec![SeccompCondition::new(0, Dword, SeccompCmpOp::Eq, option)?])?;
    }
    Ok(rules)
}

/// Tries to access files, under Landlock alone. Changes nothing if that succeeds.
pub(super) fn try_files() -> Vec<(String, Option<i32>)> {
    vec![
        tried("landlock: read a file", File::open("/etc/passwd")),
        tried("landlock: write a file", OpenOptions::new().write(true).open("/dev/null")),
        tried("landlock: run a program", Command::new("/bin/true").status()),
    ]
}

/// Tries actions that no compiler needs, under all layers.
pub(super) fn try_all() -> Vec<(String, Option<i32>)> {
    vec![
        tried("read a file", File::open("/etc/passwd")),
        tried("write a file", OpenOptions::new().write(true).open("/dev/null")),
        tried("open a socket", UdpSocket::bind("127.0.0.1:0")),
        tried("start a process", Command::new("/bin/true").status()),
    ]
}

/// Makes the last attempt: if it succeeds, this process is replaced.
pub(super) fn try_to_become_a_program() -> (String, Option<i32>) {
    tried(BECOME, Err::<(), _>(Command::new("/bin/true").exec()))
}

fn tried<T>(what: &str, result: io::Result<T>) -> (String, Option<i32>) {
    (what.to_owned(), result.err().map(|error| error.raw_os_error().unwrap_or_default()))
}
