//! Notifications to the service manager: ready, alive, reloading, stopping (`sd_notify(3)`).
//!
//! Nothing is sent if `NOTIFY_SOCKET` is unset. A watchdog ping means that the host still answers, not only that the
//! process runs.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use parlor_base::escape::escape_untrusted;
use rustix::time::{ClockId, clock_gettime};

use crate::control::views::not_in_force;
use crate::host::{Host, health};

/// The most of a file's fault that a status shows, in bytes.
const LONGEST: usize = 1 << 10;

/// The service manager's notification socket.
#[derive(Debug)]
pub struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Reads the notification settings from the environment, by `variable`.
    pub fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let to = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()).and_then(|name| {
            let address = match name.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
                path => SocketAddr::from_pathname(std::path::Path::new(std::ffi::OsStr::from_bytes(path))),
            };
            let opened = address.and_then(|address| Ok((UnixDatagram::unbound()?, address)));
            opened.map_err(|error| tracing::warn!(%error, "the service manager cannot be told anything")).ok()
        });
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        let is_meant = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|period| is_meant && *period > 0).map(Duration::from_micros);
        Self { to, watchdog }
    }

    /// Reports that accounts and plugins had their first turn, or that a reload is done. A reload signal cannot return
    /// an error, so the status names a file that is not in force.
    pub fn ready(&self, host: &Host) {
        let says = |file: &str, fault: Option<String>| Some(not_in_force(file, &escape_untrusted(&fault?, LONGEST)));
        let fault = says("configuration", host.config_fault()).or_else(|| says("policy", host.policy_fault()));
        self.tell(&format!("READY=1\nSTATUS={}", fault.unwrap_or_default()));
    }

    /// Reports that the configuration and the policy are being reloaded. [`ready`](Self::ready) reports the end.
    pub fn reloading(&self) {
        let now = monotonic();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// Reports that the host is stopping.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Pings the watchdog for as long as the host is alive: it must answer between two pings. Never returns.
    pub async fn keep_watchdog(&self, host: &Host) {
        let Some(period) = self.watchdog.filter(|_| self.to.is_some()) else { return std::future::pending().await };
        // Half the period, as sd_watchdog_enabled(3) recommends.
        let mut tick = tokio::time::interval(period / 2);
        loop {
            tick.tick().await;
            health(host).await;
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, state: &str) {
        let Some((socket, to)) = &self.to else { return };
        // Do not block: the host never waits for a service manager that does not read.
        let told = socket.set_nonblocking(true).and_then(|()| socket.send_to_addr(state.as_bytes(), to));
        if let Err(error) = told {
            tracing::debug!(%error, state, "the service manager did not hear");
        }
    }
}

/// Returns the microseconds of the clock that the service manager compares with.
fn monotonic() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}
