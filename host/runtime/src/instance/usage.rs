//! The resources that an instance has used, compared to its limits.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jiff::Timestamp;
use parlor_base::permission::Permission;
use parlor_base::quantity::Bytes;
use parlor_plugins::limits::WASM_STACK;
use parlor_session::permissions::Scope;

use super::Instance;

/// The resources that an instance has used since it started.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// The time when it started.
    pub since: Timestamp,
    /// The time that it has run, independent of changes to the clock.
    pub uptime: Duration,
    /// Events that it has handled.
    pub handled: u64,
    /// Stanzas that it has sent.
    pub sent: u64,
    /// Calls that were denied.
    pub denials: u64,
    /// Events that were lost: its mailbox was full, or they waited when it failed.
    pub lost: u64,
    /// CPU time that it used.
    pub cpu: Duration,
    /// The share of one core that it has used, averaged over its run time.
    pub cpu_share: f64,
    /// The share of one core that it may use in the long run.
    pub cpu_limit: f64,
    /// Whether it is throttled to idle CPU time, because it used more than its share or the instance before it failed.
    pub slowed: bool,
    /// Bytes of memory that it holds.
    pub memory: u64,
    /// Bytes of memory that it may hold.
    pub memory_limit: u64,
    /// All of its limits, in the order of [`Limits`](parlor_plugins::limits::Limits). Then the stack, which is a limit
    /// of the engine, and its storage quota if it was granted one.
    pub limits: Vec<LimitUse>,
}

/// The amount of data that a plugin keeps in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// The bytes in its storage.
    pub storage: u64,
    /// The requests to its webhooks that wait.
    pub requests: u64,
    /// The bytes of the requests to its webhooks that are kept.
    pub request_bytes: u64,
}

/// The current use of a limit.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitUse {
    /// The key in `[plugin.X.limits]`; `storage` is a key of `[plugin.X.grants]`, and `stack` cannot be set.
    pub name: &'static str,
    /// The amount in use, in bytes or seconds for sizes and times; `None` if it is only known during a call.
    pub used: Option<f64>,
    /// The limit, as an owner would write it.
    pub of: String,
    /// The limit as a number, in the unit of `used`; `None` if it is unlimited.
    pub most: Option<f64>,
}

impl Instance {
    /// Returns its usage so far, with what it keeps in the store, if that was asked.
    pub fn usage(&self, kept: Option<Kept>) -> Usage {
        Usage {
            since: self.since,
            uptime: self.began.elapsed(),
            handled: self.counters.handled.load(Relaxed),
            sent: self.counters.sent.load(Relaxed),
            denials: self.counters.denials.load(Relaxed),
            lost: self.mailbox.lost(),
            cpu: self.cpu.used(),
            cpu_share: cpu_share(self),
            cpu_limit: self.limits.cpu_share,
            slowed: self.cpu.in_background(),
            memory: self.taken.now(|taken| &taken.memory),
            memory_limit: self.limits.memory.0,
            limits: limit_uses(self, kept),
        }
    }

    /// Returns how many bytes it may keep in its storage; `None` if it was granted no storage.
    pub fn quota(&self) -> Option<u64> {
        self.mailbox.grants().get(Permission::Storage).and_then(Scope::quota)
    }
}

fn limit_uses(instance: &Instance, kept: Option<Kept>) -> Vec<LimitUse> {
    let shown = instance.limits.shown().into_iter();
    let used = |name| used_on_disk(name, kept).or_else(|| used(instance, name));
    let limits = shown.map(|(name, of, most)| LimitUse { name, used: used(name), of, most });
    let stack = LimitUse { name: "stack", used: None, of: WASM_STACK.to_string(), most: Some(WASM_STACK.as_f64()) };
    let storage = instance.quota().map(Bytes).map(|quota| LimitUse {
        name: "storage",
        used: kept.map(|kept| Bytes(kept.storage).as_f64()),
        of: quota.to_string(),
        most: Some(quota.as_f64()),
    });
    limits.chain([stack]).chain(storage).collect()
}

/// Returns the use of a limit on what is in the store.
fn used_on_disk(limit: &str, kept: Option<Kept>) -> Option<f64> {
    let kept = kept?;
    match limit {
        "webhook_queue" => Some(Bytes(kept.requests).as_f64()),
        "webhook_bytes" => Some(Bytes(kept.request_bytes).as_f64()),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts further than a float does")]
fn used(instance: &Instance, limit: &str) -> Option<f64> {
    let count = match limit {
        "memory" => instance.taken.now(|taken| &taken.memory),
        "memories" => instance.taken.now(|taken| &taken.memories),
        "tables" => instance.taken.now(|taken| &taken.tables),
        "table_elements" => instance.taken.now(|taken| &taken.table_elements),
        "handlers" => handlers_at_work(instance) as u64,
        "mailbox" => instance.mailbox.waiting() as u64,
        "cpu_share" => return Some(cpu_share(instance)),
        "cpu_burst" => return Some(instance.cpu.spent(instance.limits.cpu_share).as_secs_f64()),
        "cpu_slice" => return Some(instance.cpu.unbroken().as_secs_f64()),
        "handler" => return Some(oldest_handler(instance).as_secs_f64()),
        "subscriptions" => instance.account.router.count(instance.id) as u64,
        "promises" => instance.registered.promises.load(Relaxed).into(),
        "timers" => instance.registered.timers().len() as u64,
        "open_calls" => instance.open.calls.load(Relaxed).into(),
        "host_memory" => instance.cpu.held().bytes() as u64,
        "archive_queries" => instance.open_archive_queries() as u64,
        "iqs" => (instance.open.iqs.load(Relaxed) as usize + instance.iqs_given_up()) as u64,
        "rooms" => instance.lasting.open_rooms(&instance.account.snapshot()) as u64,
        "dialogs" => instance.seldom.get().map_or(0, |seldom| seldom.dialogs.count()) as u64,
        "commands" => instance.registered.with_commands(BTreeMap::len) as u64,
        "messages_per_second" => return Some(instance.counters.sent.load(Relaxed) as f64 / uptime(instance)),
        "http_requests" => instance.open.requests.load(Relaxed).into(),
        "files" => instance.open.files.load(Relaxed).into(),
        // The rates are left. wasmtime counts instances, handles and hostcall bytes without exposing the counts. Schedules
        // are on disk, and requests to webhooks only the store knows. The remaining limits apply to single actions: a start, a stop, a catch-up.
        _ => return instance.lasting.budgets.used(limit),
    };
    Some(count as f64)
}

/// Returns its share of one core over its run time, which means little right after the start.
fn cpu_share(instance: &Instance) -> f64 {
    instance.cpu.used().as_secs_f64() / uptime(instance)
}

/// Returns how many seconds it has run; at least one, since it is a divisor.
fn uptime(instance: &Instance) -> f64 {
    instance.began.elapsed().as_secs_f64().max(1.0)
}

/// Returns how long the oldest handler has been running.
fn oldest_handler(instance: &Instance) -> Duration {
    let oldest = instance.open.with(|lists| lists.handlers.first().map(|handler| handler.began.elapsed()));
    oldest.unwrap_or_default()
}

/// Returns how many handlers do not wait for answers to questions.
fn handlers_at_work(instance: &Instance) -> usize {
    instance.open.with(|lists| lists.handlers.iter().filter(|handler| !handler.rests()).count())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use parlor_plugins::limits::Limits;
    use parlor_session::command_names::CommandNames;
    use parlor_session::event::{Event, EventName, Payload};

    /// Ensures that a limit is only left out on purpose.
    #[tokio::test]
    async fn each_limit_shows_its_use_or_has_none() {
        let none = [
            "instances",
            "handles",
            "hostcall_bytes",
            "catch_up_messages",
            "catch_up_age",
            "http_body",
            "http_first_byte",
            "http_time",
            "webhook_body",
            "webhook_time",
            "schedules",
            "iq_time",
            "request_time",
            "initialize",
            "idle",
            "stop",
            "stack",
        ];
        let (instance, _mailbox) = crate::instance::tests::instance("", Limits::default());
        let kept = super::Kept { storage: 7, requests: 8, request_bytes: 9 };
        let usage = instance.usage(Some(kept));
        let used = |name: &str| usage.limits.iter().find(|one| one.name == name).and_then(|one| one.used);
        assert_eq!((used("webhook_queue"), used("webhook_bytes")), (Some(8.0), Some(9.0)));
        let shown: Vec<_> = usage.limits.iter().map(|one| one.name).collect();
        assert_eq!(shown, [Limits::NAMES, &["stack"]].concat());
        for one in usage.limits {
            assert_eq!(one.used.is_none(), none.contains(&one.name), "{one:?}");
            // This limit is unlimited by default.
            assert_eq!(one.most.is_none(), one.name == "handler", "{one:?}");
        }
        // The storage quota is a grant.
        let (instance, _mailbox) = crate::instance::tests::instance("storage = [\"1 MiB\"]", Limits::default());
        for kept in [Some(kept), None] {
            let limits = instance.usage(kept).limits;
            let one = limits.last().unwrap();
            assert_eq!((limits.len(), one.name), (Limits::NAMES.len() + 2, "storage"));
            assert_eq!((one.used, one.of.as_str(), one.most), (kept.map(|_| 7.0), "1 MiB", Some(1_048_576.0)));
        }
    }

    /// A machine without a battery-backed clock learns the time some seconds after its start.
    #[tokio::test(start_paused = true)]
    async fn how_long_it_has_run_and_what_it_used_a_second_is_not_measured_by_the_clock_on_the_wall() {
        let (instance, _mailbox) = crate::instance::tests::instance("", Limits::default());
        instance.counters.sent.store(45, std::sync::atomic::Ordering::Relaxed);
        // The wall clock does not see this.
        tokio::time::advance(Duration::from_secs(90)).await;
        let usage = instance.usage(None);
        let rate = usage.limits.iter().find(|one| one.name == "messages_per_second").and_then(|one| one.used);
        assert_eq!((usage.uptime, rate), (Duration::from_secs(90), Some(0.5)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_handler_that_began_first_is_the_one_that_its_limit_is_about() {
        let (instance, _mailbox) = crate::instance::tests::instance("", Limits::default());
        let event = Event { name: EventName::from("timer"), at: instance.account.clock.now(), payload: Payload::None };
        let used =
            |name: &str| instance.usage(None).limits.into_iter().find(|one| one.name == name).and_then(|one| one.used);
        let first = instance.handling(&event, None);
        tokio::time::advance(Duration::from_secs(3)).await;
        let second = instance.handling(&event, None);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!((used("handlers"), used("handler")), (Some(2.0), Some(5.0)));
        drop(first);
        assert_eq!((used("handlers"), used("handler")), (Some(1.0), Some(2.0)));
        drop(second);
        assert_eq!((used("handlers"), used("handler")), (Some(0.0), Some(0.0)));
    }

    /// As in help: a word that the owner chose calls the command for which it was chosen.
    #[tokio::test]
    async fn a_command_is_called_by_a_word_that_reaches_it() {
        let instance = || crate::instance::tests::instance("", Limits::default());
        let ((games, _mailbox), (dice, _other)) = (instance(), instance());
        games.registered.commands().insert("roll".to_owned(), true);
        dice.registered.commands().insert("throw".to_owned(), true);
        let all = [Arc::clone(&games), Arc::clone(&dice)];
        assert_eq!(games.called(&all)["roll"], "roll");
        let mut names = CommandNames::default();
        names.choose("throw".parse().unwrap(), "roll".parse().unwrap()).unwrap();
        dice.lasting.name_commands(names);
        assert_eq!(dice.called(&all)["throw"], "roll");
        assert_eq!(games.called(&all)["roll"], format!("{}.roll", games.plugin));
    }
}
