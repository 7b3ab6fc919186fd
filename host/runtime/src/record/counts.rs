//! The counts of a plugin for the audit. Each record keeps those that the audit has, so a count is small.

use std::fmt;

use parlor_session::router::Withholder;

use crate::counters::Totals;

/// A count for the audit, with what is counted.
pub(super) type Count = (Counts, u64);

/// A count for the audit. It is small, since each plugin keeps its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    Events,
    Sent,
    Requests,
    BytesToWeb,
    BytesOfWeb,
    Calls,
    Denials,
    Lost,
    CpuMilliseconds,
    StoppedAsHook,
    AlteredAsHook,
    UnjudgedAsHook,
    Starts,
    Withheld(Withholder),
}

impl fmt::Display for Counts {
    /// Writes the name under which the audit keeps it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Events => "events",
            Self::Sent => "sent",
            Self::Requests => "requests",
            Self::BytesToWeb => "bytes to the web",
            Self::BytesOfWeb => "bytes of the web",
            Self::Calls => "calls",
            Self::Denials => "denials",
            Self::Lost => "lost",
            Self::CpuMilliseconds => "cpu_ms",
            Self::StoppedAsHook => "stopped as a hook",
            Self::AlteredAsHook => "altered as a hook",
            Self::UnjudgedAsHook => "passed without its verdict as a hook",
            Self::Starts => "starts",
            Self::Withheld(by) => return write!(f, "withheld {by}"),
        })
    }
}

/// Returns the counts that the audit keeps, without those of nothing.
pub(super) fn counts(totals: &Totals, starts: u64) -> Box<[Count]> {
    let Totals { handled, sent, requests, web, calls, denials, lost, cpu, withheld, hooks } = totals;
    let cpu = u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX);
    let all = [
        (Counts::Events, *handled),
        (Counts::Sent, *sent),
        (Counts::Requests, *requests),
        (Counts::BytesToWeb, web.sent),
        (Counts::BytesOfWeb, web.received),
        (Counts::Calls, *calls),
        (Counts::Denials, *denials),
        (Counts::Lost, *lost),
        (Counts::CpuMilliseconds, cpu),
        (Counts::StoppedAsHook, hooks.stopped),
        (Counts::AlteredAsHook, hooks.altered),
        (Counts::UnjudgedAsHook, hooks.unjudged),
        (Counts::Starts, starts),
    ];
    let withheld = withheld.iter().map(|(by, count)| (Counts::Withheld(*by), *count));
    // A slice has no spare room.
    all.into_iter().chain(withheld).filter(|(_, count)| *count > 0).collect()
}
