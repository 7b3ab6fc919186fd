//! The rate limits of an instance.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use parlor_base::rate::Bucket;
use parlor_plugins::limits::Limits;
use tokio::time::Instant;

/// The rate limits of a plugin on one account: a bucket for each, made when it is first used, since until then it is full. If a
/// restart reset them, a plugin that keeps failing would get a new burst each time.
#[derive(Debug)]
pub struct Budgets {
    limits: Arc<Limits>,
    /// Most plugins log a line when they start, and then wait.
    log_lines: Mutex<LogLines>,
    /// Most plugins of a large host wait, and have used none of these.
    others: OnceLock<Box<Others>>,
}

/// The limit on log lines.
#[derive(Debug, Default)]
enum LogLines {
    /// None was logged.
    #[default]
    Full,
    /// The tokens that its bucket had at a time: the plugin is parked.
    Kept(f64, Instant),
    /// It is in use.
    Used(Box<Bucket>),
}

#[derive(Debug, Default)]
struct Others {
    outgoing: OnceLock<Bucket>,
    outgoing_bytes: OnceLock<Bucket>,
    emitted: OnceLock<Bucket>,
    orders: OnceLock<Bucket>,
    stored: OnceLock<Bucket>,
    requests: OnceLock<Bucket>,
    web_sent: OnceLock<Bucket>,
    web_received: OnceLock<Bucket>,
}

impl Budgets {
    /// Creates the budgets of a plugin with these limits.
    pub(super) fn new(limits: &Arc<Limits>) -> Self {
        Self { limits: Arc::clone(limits), log_lines: Mutex::default(), others: OnceLock::new() }
    }

    fn others(&self) -> &Others {
        self.others.get_or_init(Box::default)
    }

    /// Returns the limit on messages and other stanzas that it sends.
    pub fn outgoing(&self) -> &Bucket {
        let limits = &self.limits;
        let new = || Bucket::new(limits.messages_per_second.into(), limits.messages_burst.into());
        self.others().outgoing.get_or_init(new)
    }

    /// Returns the limit on the bytes of these.
    pub fn outgoing_bytes(&self) -> &Bucket {
        let rate = self.limits.bytes_per_second.as_f64();
        self.others().outgoing_bytes.get_or_init(|| Bucket::new(rate, rate))
    }

    /// Returns the limit on events that it emits.
    pub fn emitted(&self) -> &Bucket {
        let rate = self.limits.events_per_second.into();
        self.others().emitted.get_or_init(|| Bucket::new(rate, rate))
    }

    /// Returns the limit on other calls that the account's task carries out.
    pub fn orders(&self) -> &Bucket {
        let rate = self.limits.calls_per_second.into();
        self.others().orders.get_or_init(|| Bucket::new(rate, rate))
    }

    /// Returns the limit on bytes that it reads from its storage and writes to it.
    pub fn stored(&self) -> &Bucket {
        let rate = self.limits.storage_per_second.as_f64();
        self.others().stored.get_or_init(|| Bucket::new(rate, rate))
    }

    /// Counts a request over the web that follows from another one, with the length of its body in bytes.
    #[expect(clippy::cast_precision_loss, reason = "no body has so many bytes")]
    pub fn owe_request(&self, bytes: usize) {
        self.requests().owe(1.0);
        if bytes > 0 {
            self.web_sent().owe(bytes as f64);
        }
    }

    /// Returns the limit on requests over the web.
    pub fn requests(&self) -> &Bucket {
        let rate = self.limits.http_per_second.into();
        self.others().requests.get_or_init(|| Bucket::new(rate, rate))
    }

    /// Returns the limit on the bytes of their bodies.
    pub fn web_sent(&self) -> &Bucket {
        self.others().web_sent.get_or_init(|| self.web())
    }

    /// Returns the limit on the bytes of the answers' bodies.
    pub fn web_received(&self) -> &Bucket {
        self.others().web_received.get_or_init(|| self.web())
    }

    /// Creates a limit on bytes over the web, of one direction.
    fn web(&self) -> Bucket {
        let limits = &self.limits;
        let rate = limits.http_bytes_per_second.as_f64();
        let burst = (2.0 * rate).max(limits.http_body.as_f64()).max(limits.hostcall_bytes.as_f64());
        Bucket::new(rate, burst)
    }

    /// Returns the limit on lines that it logs, and that the host logs because of its actions.
    pub(super) fn log_lines(&self) -> Bucket {
        let mut lines = self.lines();
        let bucket = self.bucket_of(&lines);
        *lines = LogLines::Used(Box::new(bucket.clone()));
        bucket
    }

    /// Returns the bucket that this stands for.
    fn bucket_of(&self, lines: &LogLines) -> Bucket {
        let rate = self.limits.log_lines_per_second.into();
        match lines {
            LogLines::Full => Bucket::new(rate, rate),
            LogLines::Kept(tokens, at) => Bucket::new(rate, rate).with_tokens((*tokens, *at)),
            LogLines::Used(bucket) => Bucket::clone(bucket),
        }
    }

    fn lines(&self) -> MutexGuard<'_, LogLines> {
        self.log_lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back memory that only a running guest needs. Used amounts stay used.
    pub(super) fn shrink(&self) {
        let mut lines = self.lines();
        let tokens = if let LogLines::Used(bucket) = &*lines { bucket.tokens() } else { None };
        if let Some((tokens, at)) = tokens {
            *lines = LogLines::Kept(tokens, at);
        }
    }

    /// Returns how much of a limit's burst is used up, or `None` for other limits. It leaves no bucket behind: owners
    /// look at all plugins.
    pub(super) fn used(&self, limit: &str) -> Option<f64> {
        let used = match limit {
            "messages_burst" => self.used_of(|others| &others.outgoing),
            "bytes_per_second" => self.used_of(|others| &others.outgoing_bytes),
            "events_per_second" => self.used_of(|others| &others.emitted),
            "calls_per_second" => self.used_of(|others| &others.orders),
            "storage_per_second" => self.used_of(|others| &others.stored),
            "http_per_second" => self.used_of(|others| &others.requests),
            "http_bytes_per_second" => {
                self.used_of(|others| &others.web_sent).max(self.used_of(|others| &others.web_received))
            }
            "log_lines_per_second" => match &*self.lines() {
                LogLines::Full => 0.0,
                lines => self.bucket_of(lines).used(),
            },
            _ => return None,
        };
        Some(used.ceil())
    }

    fn used_of(&self, pick: fn(&Others) -> &OnceLock<Bucket>) -> f64 {
        self.others.get().and_then(|others| pick(others).get()).map_or(0.0, Bucket::used)
    }

    /// Returns the budgets for a later version with these limits. Used amounts stay used.
    pub(super) fn passed_on(&self, limits: &Arc<Limits>) -> Self {
        let new = Self::new(limits);
        let after = |of: fn(&Self) -> &Bucket| OnceLock::from(of(&new).clone().after(of(self)));
        let others = Others {
            outgoing: after(Self::outgoing),
            outgoing_bytes: after(Self::outgoing_bytes),
            emitted: after(Self::emitted),
            orders: after(Self::orders),
            stored: after(Self::stored),
            requests: after(Self::requests),
            web_sent: after(Self::web_sent),
            web_received: after(Self::web_received),
        };
        let log_lines = Mutex::new(LogLines::Used(Box::new(new.log_lines().after(&self.log_lines()))));
        Self { limits: Arc::clone(limits), log_lines, others: OnceLock::from(Box::new(others)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_use_of_a_limit_is_seen_without_a_bucket_for_it() {
        let budgets = Budgets::new(&Arc::new(Limits::default()));
        assert_eq!((budgets.used("messages_burst"), budgets.used("memory")), (Some(0.0), None));
        assert!(budgets.others.get().is_none());
        budgets.outgoing().take(1.0).unwrap();
        assert_eq!(budgets.used("messages_burst"), Some(1.0));
        assert_eq!(budgets.used("log_lines_per_second"), Some(0.0));
    }

    #[tokio::test(start_paused = true)]
    async fn log_lines_that_a_parked_plugin_has_used_stay_used() {
        let limits = Limits { log_lines_per_second: 10, ..Limits::default() };
        let budgets = Budgets::new(&Arc::new(limits.clone()));
        budgets.log_lines().take(8.0).unwrap();
        budgets.shrink();
        assert!(matches!(*budgets.lines(), LogLines::Kept(..)), "it has no bucket");
        assert_eq!(budgets.used("log_lines_per_second"), Some(8.0));
        assert!(budgets.log_lines().take(3.0).is_err() && budgets.log_lines().take(1.0).is_ok());
        // A version that replaces it has the same tokens, so neither may get others.
        let next = budgets.passed_on(&Arc::new(limits));
        budgets.shrink();
        assert!(next.log_lines().take(1.0).is_ok() && budgets.log_lines().take(1.0).is_err());
    }
}
