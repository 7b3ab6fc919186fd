//! The CPU time that this process uses.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Measures which percentage of the CPU time of its machine this process uses.
#[derive(Debug)]
pub(crate) struct CpuMeter {
    /// The cores that it may use.
    cores: u32,
    /// The moment of the last reading, and the CPU time until then.
    last: Option<(Duration, Duration)>,
}

impl CpuMeter {
    pub(crate) fn new() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self { cores: u32::try_from(cores).unwrap_or(1), last: None }
    }

    /// Returns the percentage since the reading before; `None` for the first one.
    pub(crate) fn read(&mut self, now: Duration) -> Option<u32> {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        // The kernel's values are never negative.
        let seconds = u64::try_from(used.tv_sec).unwrap_or(0);
        self.take(now, Duration::new(seconds, u32::try_from(used.tv_nsec).unwrap_or(0)))
    }

    fn take(&mut self, now: Duration, used: Duration) -> Option<u32> {
        let (then, before) = self.last.replace((now, used))?;
        let all = (now.saturating_sub(then) * self.cores).as_micros();
        let percent = (used.saturating_sub(before).as_micros() * 100).checked_div(all)?;
        Some(u32::try_from(percent).unwrap_or(100).min(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_is_a_percentage_of_that_of_all_cores() {
        let mut meter = CpuMeter { cores: 4, last: None };
        let ms = Duration::from_millis;
        assert_eq!(meter.take(ms(10_000), ms(700)), None, "there was no reading before");
        assert_eq!(meter.take(ms(11_000), ms(1_700)), Some(25));
        assert_eq!(meter.take(ms(11_000), ms(1_800)), None, "no time went by");
        assert_eq!(meter.take(ms(12_000), ms(9_800)), Some(100), "never more than all");
        assert_eq!(meter.take(ms(13_000), ms(0)), Some(0));
    }

    #[test]
    fn this_process_has_used_cpu_time() {
        let mut meter = CpuMeter::new();
        assert_eq!(meter.read(Duration::ZERO), None);
        assert!(meter.last.is_some_and(|(_, used)| !used.is_zero()) && meter.cores > 0);
    }
}
