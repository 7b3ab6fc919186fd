//! How long a session lives, and how long others wait before they end it.

use std::time::Duration;

/// How long a write counts as a sign that the node reaches the store, from the moment before it was sent.
///
/// A node that is cut off keeps its session for up to [`life`](Timing::life). It cannot record the actions of its accounts
/// in that time, so the next node repeats them. Without a fault, a write takes milliseconds; a slower one than this counts
/// as lost. Answered renewals keep a session fresh for three quarters of the time, so another write is rarely needed.
pub const FRESH: Duration = Duration::from_millis(300);

/// How long the record of a session stays after the session is over. A node that was cut off or suspended for half of that time takes a
/// record that is missing for a removed one.
pub(crate) const KEPT: Duration = Duration::from_hours(1);

/// The times of a cluster. All nodes must have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    renewal: Duration,
    life: Duration,
    grace: Duration,
    drift: u32,
}

/// The reason why times do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimingError {
    /// Fewer than two renewals may be lost before accounts are stopped.
    RareRenewals,
    /// Clocks that differ by a tenth or more in rate are broken.
    Drift,
}

impl std::fmt::Display for TimingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RareRenewals => {
                "a session is renewed too rarely for its life; three renewals must fit between its begin and the time for stopping"
            }
            Self::Drift => "a drift of clocks of 100 or more in a thousand is refused; synchronize the clocks of the nodes",
        })
    }
}

impl std::error::Error for TimingError {}

/// Renewals every 0.4 s, 1.5 s until accounts are stopped, 0.5 s for stopping them, and clocks that differ from true time
/// by at most one in a hundred.
impl Default for Timing {
    fn default() -> Self {
        let [renewal, life, grace] = [400, 2_000, 500].map(Duration::from_millis);
        Self { renewal, life, grace, drift: 10 }
    }
}

impl Timing {
    /// Checks and returns these times.
    ///
    /// A session is renewed every `renewal` and lives for `life` after its last one. For the last `grace` of it, the node
    /// stops its accounts. `drift` is the largest difference in rate between a clock and true time, in thousandths.
    pub fn new(renewal: Duration, life: Duration, grace: Duration, drift: u32) -> Result<Self, TimingError> {
        if renewal.is_zero() || renewal * 3 > life.saturating_sub(grace) {
            return Err(TimingError::RareRenewals);
        }
        if drift >= 100 {
            return Err(TimingError::Drift);
        }
        Ok(Self { renewal, life, grace, drift })
    }

    /// Returns the time between renewals.
    pub fn renewal(&self) -> Duration {
        self.renewal
    }

    /// Returns how long a session lives after the moment before a renewal was sent, by the clock of its node.
    pub fn life(&self) -> Duration {
        self.life
    }

    /// Returns the last part of a session's life, in which its node stops its accounts.
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// Returns the largest difference in rate between a clock and true time, in thousandths.
    pub fn drift(&self) -> u32 {
        self.drift
    }

    /// Returns how long another node waits after it saw a renewal before it ends the session, by its own clock.
    ///
    /// The slowest permitted clock of the session's node needs `life / (1 - drift)` of true time for its life. The fastest
    /// permitted clock of the other node counts that as `life * (1 + drift) / (1 - drift)`.
    pub fn patience(&self) -> Duration {
        // A clock is read in whole units: one more than any rounding.
        self.life * (1_000 + self.drift) / (1_000 - self.drift) + Duration::from_millis(1)
    }

    /// Returns how long a new node must have seen another new node before it leaves accounts to it that nobody runs. A new node claims none
    /// for its [patience](Self::patience), so each account waits for the rest of that. Nodes that start almost together share them so.
    pub(crate) fn youth(&self) -> Duration {
        self.patience().saturating_sub(self.doubt())
    }

    /// Returns the silence after which a node is given no more accounts.
    pub(crate) fn doubt(&self) -> Duration {
        self.life / 2
    }
}
