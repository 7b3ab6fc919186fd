//! Measures other processes: CPU time and memory.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result};

/// How long a host may use more memory than it needs. It gives memory back within a minute.
pub const GIVEN_BACK: Duration = Duration::from_secs(75);

/// Returns the CPU time of all threads of a process, including ended ones. It is exact to a microsecond, unlike
/// `/proc/PID/stat`, whose unit of 10 ms is as much as two hundred messages.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library reads no CPU clocks")]
pub fn cpu(process: u32) -> Result<Duration> {
    let mut clock: libc::clockid_t = 0;
    let process = libc::pid_t::try_from(process).expect("process ids are positive numbers of this type");
    // SAFETY: the pointer is to a local variable of the type that the call writes.
    let error = unsafe { libc::clock_getcpuclockid(process, &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error)).context("a process has no CPU clock; did it end?");
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local variable of the type that the call writes.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } == -1 {
        return Err(io::Error::last_os_error()).context("cannot read a process's CPU clock; did it end?");
    }
    let seconds = u64::try_from(time.tv_sec).context("a CPU clock before its start")?;
    let nanos = u32::try_from(time.tv_nsec).context("a CPU clock before its start")?;
    Ok(Duration::new(seconds, nanos))
}

/// Returns the resident memory of a process, in KiB.
pub fn resident_kib(process: u32) -> Result<u64> {
    memory_kib(process, "VmRSS")
}

/// Returns the memory of a process that is no part of a file, in KiB. The host drops pages of its program soon after its start, so
/// that its resident memory would hide what it allocates.
pub fn anonymous_kib(process: u32) -> Result<u64> {
    memory_kib(process, "RssAnon")
}

/// Returns the resident pages of files of a process, in KiB: most are its program.
pub fn of_files_kib(process: u32) -> Result<u64> {
    memory_kib(process, "RssFile")
}

/// Returns the most resident memory of a process since [`forget_peak`], in KiB.
pub fn peak_kib(process: u32) -> Result<u64> {
    memory_kib(process, "VmHWM")
}

/// The memory of a process before it grows.
pub struct Before {
    process: u32,
    anonymous_kib: u64,
    of_files_kib: u64,
}

impl Before {
    /// Measures it, and lets the peak begin anew.
    pub fn growth_of(process: u32) -> Result<Self> {
        forget_peak(process)?;
        Ok(Self { process, anonymous_kib: anonymous_kib(process)?, of_files_kib: of_files_kib(process)? })
    }

    /// Returns by how much the process has grown at most, in KiB. Pages of its program that it uses again do not count.
    pub fn grown_kib(&self) -> Result<u64> {
        let of_files = self.of_files_kib.max(of_files_kib(self.process)?);
        Ok(peak_kib(self.process)?.saturating_sub(self.anonymous_kib + of_files))
    }
}

/// Resets a process's peak to its present resident memory.
pub fn forget_peak(process: u32) -> Result<()> {
    let file = format!("/proc/{process}/clear_refs");
    std::fs::write(&file, "5").with_context(|| format!("cannot write {file}"))
}

fn memory_kib(process: u32, what: &str) -> Result<u64> {
    let file = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let named = |line: &str| Some(line.strip_prefix(what)?.strip_prefix(':')?.trim().to_owned());
    let line = status.lines().find_map(named).with_context(|| format!("no {what}; did the process end?"))?;
    line.trim_end_matches(" kB").parse().with_context(|| format!("not a number in {file}: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows() {
        let own = std::process::id();
        let before = cpu(own).unwrap();
        let mut sum = 0_u64;
        while cpu(own).unwrap() < before + Duration::from_millis(5) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        forget_peak(own).unwrap();
        let (anonymous, of_files) = (anonymous_kib(own).unwrap(), of_files_kib(own).unwrap());
        assert!(anonymous > 100 && of_files > 100);
        assert!(resident_kib(own).unwrap() > anonymous.max(of_files) && peak_kib(own).unwrap() > 100);
    }
}
