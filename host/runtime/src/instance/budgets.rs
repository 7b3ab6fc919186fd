//! The rate limits of an instance.

use std::sync::{Arc, OnceLock};

use parlor_base::rate::Bucket;
use parlor_plugins::limits::Limits;

/// The rate limits of a plugin on one account. Clones share them. If a restart reset them, a plugin that keeps failing
/// would get a new burst each time.
#[derive(Debug, Clone)]
pub struct Budgets(Arc<Buckets>);

/// A bucket for each limit, made when it is first used: until then it is full.
#[derive(Debug)]
struct Buckets {
    limits: Arc<Limits>,
    outgoing: OnceLock<Box<Bucket>>,
    outgoing_bytes: OnceLock<Box<Bucket>>,
    emitted: OnceLock<Box<Bucket>>,
    orders: OnceLock<Box<Bucket>>,
    stored: OnceLock<Box<Bucket>>,
    requests: OnceLock<Box<Bucket>>,
    web_sent: OnceLock<Box<Bucket>>,
    web_received: OnceLock<Box<Bucket>>,
    log_lines: OnceLock<Box<Bucket>>,
}

impl Budgets {
    /// Creates the budgets of a plugin with these limits.
    pub(super) fn new(limits: &Arc<Limits>) -> Self {
        Self::of(limits, [const { OnceLock::new() }; 9])
    }

    /// Returns the limit on messages and other stanzas that it sends.
    pub fn outgoing(&self) -> &Bucket {
        let limits = &self.0.limits;
        let new = || Box::new(Bucket::new(limits.messages_per_second.into(), limits.messages_burst.into()));
        self.0.outgoing.get_or_init(new)
    }

    /// Returns the limit on the bytes of these.
    pub fn outgoing_bytes(&self) -> &Bucket {
        let rate = self.0.limits.bytes_per_second.as_f64();
        self.0.outgoing_bytes.get_or_init(|| Box::new(Bucket::new(rate, rate)))
    }

    /// Returns the limit on events that it emits.
    pub fn emitted(&self) -> &Bucket {
        let rate = self.0.limits.events_per_second.into();
        self.0.emitted.get_or_init(|| Box::new(Bucket::new(rate, rate)))
    }

    /// Returns the limit on other calls that the account's task carries out.
    pub fn orders(&self) -> &Bucket {
        let rate = self.0.limits.calls_per_second.into();
        self.0.orders.get_or_init(|| Box::new(Bucket::new(rate, rate)))
    }

    /// Returns the limit on bytes that it reads from its storage and writes to it.
    pub fn stored(&self) -> &Bucket {
        let rate = self.0.limits.storage_per_second.as_f64();
        self.0.stored.get_or_init(|| Box::new(Bucket::new(rate, rate)))
    }

    /// Returns the limit on requests over the web.
    pub fn requests(&self) -> &Bucket {
        let rate = self.0.limits.http_per_second.into();
        self.0.requests.get_or_init(|| Box::new(Bucket::new(rate, rate)))
    }

    /// Returns the limit on the bytes of their bodies.
    pub fn web_sent(&self) -> &Bucket {
        self.0.web_sent.get_or_init(|| Box::new(self.web()))
    }

    /// Returns the limit on the bytes of the answers' bodies.
    pub fn web_received(&self) -> &Bucket {
        self.0.web_received.get_or_init(|| Box::new(self.web()))
    }

    /// Creates a limit on bytes over the web, of one direction.
    fn web(&self) -> Bucket {
        let limits = &self.0.limits;
        let rate = limits.http_bytes_per_second.as_f64();
        let burst = (2.0 * rate).max(limits.http_body.as_f64()).max(limits.hostcall_bytes.as_f64());
        Bucket::new(rate, burst)
    }

    /// Returns the limit on lines that it logs, and that the host logs because of its actions.
    pub(super) fn log_lines(&self) -> &Bucket {
        let rate = self.0.limits.log_lines_per_second.into();
        self.0.log_lines.get_or_init(|| Box::new(Bucket::new(rate, rate)))
    }

    /// Returns how much of a limit's burst is used up, or `None` for other limits. It makes no bucket: owners look at
    /// all plugins.
    pub(super) fn used(&self, limit: &str) -> Option<f64> {
        let all = &self.0;
        let (one, other) = match limit {
            "messages_burst" => (&all.outgoing, None),
            "bytes_per_second" => (&all.outgoing_bytes, None),
            "events_per_second" => (&all.emitted, None),
            "calls_per_second" => (&all.orders, None),
            "storage_per_second" => (&all.stored, None),
            "http_per_second" => (&all.requests, None),
            "http_bytes_per_second" => (&all.web_sent, Some(&all.web_received)),
            "log_lines_per_second" => (&all.log_lines, None),
            _ => return None,
        };
        let made = [Some(one), other].into_iter().flatten().filter_map(OnceLock::get);
        Some(made.map(|bucket| bucket.used()).fold(0.0, f64::max).ceil())
    }

    /// Returns the budgets for a later version with these limits. Used amounts stay used.
    pub(super) fn passed_on(&self, limits: &Arc<Limits>) -> Self {
        let new = Self::new(limits);
        let of: [fn(&Self) -> &Bucket; 9] = [
            Self::outgoing,
            Self::outgoing_bytes,
            Self::emitted,
            Self::orders,
            Self::stored,
            Self::requests,
            Self::web_sent,
            Self::web_received,
            Self::log_lines,
        ];
        Self::of(limits, of.map(|of| OnceLock::from(Box::new(of(&new).clone().after(of(self))))))
    }

    /// The buckets stand in the order of the fields.
    fn of(limits: &Arc<Limits>, buckets: [OnceLock<Box<Bucket>>; 9]) -> Self {
        let limits = Arc::clone(limits);
        let [outgoing, outgoing_bytes, emitted, orders, stored, requests, web_sent, web_received, log_lines] = buckets;
        Self(Arc::new(Buckets {
            limits,
            outgoing,
            outgoing_bytes,
            emitted,
            orders,
            stored,
            requests,
            web_sent,
            web_received,
            log_lines,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_use_of_a_limit_is_seen_without_a_bucket_for_it() {
        let budgets = Budgets::new(&Arc::new(Limits::default()));
        assert_eq!((budgets.used("messages_burst"), budgets.used("memory")), (Some(0.0), None));
        assert!(budgets.0.outgoing.get().is_none());
        budgets.outgoing().take(1.0).unwrap();
        assert_eq!(budgets.used("messages_burst"), Some(1.0));
        assert_eq!(budgets.used("log_lines_per_second"), Some(0.0));
    }
}
