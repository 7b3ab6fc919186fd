//! Converts the host's state into the views of the control socket.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jid::BareJid;
use jiff::Timestamp;
use parlor_base::escape::escape_untrusted;
use parlor_base::id::PluginId;
use parlor_config::{AccountName, Config, OtrPolicy};
use parlor_runtime::account::{Connection, ConnectionHistory, Shared, encryption, history};
use parlor_runtime::counters::{HookTotals, Totals};
use parlor_runtime::denials::Denial;
use parlor_runtime::explain::Explained;
use parlor_runtime::instance::{LimitUse, Usage as Used};
use parlor_runtime::rights;
use parlor_runtime::schedules::ScheduleState;
use parlor_runtime::supervisor::State;
use parlor_runtime::webhooks::{FailedAttempt, SenderState, WebhookState};
use parlor_session::permissions::question::Question;
use parlor_session::permissions::{Grants, RoomList};
use parlor_session::{KeyKind, KeyList, KnownKey, OpenComparison};
use parlor_store::{RequestState, ShownRequest};
use parlor_xmpp::ComponentState;

use super::views::{
    Account, Answer, Compared, Comparison, ComponentStatus, Denied, Encryption, FormerSecret, HookRecord, Key, Keys,
    LastError, Limit, OwnOmemo, Plugin, Process, Record, Schedule, Schedules, SecretSender, Status, Usage, Webhook,
    WebhookRequest, Webhooks, absolute,
};
use super::{VERSION, health, rooms};
use crate::host::{Asleep, Host, PluginStatus, status_on, why_awake};
use crate::memory;

/// The most of a reason that is shown, in bytes.
const LONGEST: usize = 4 << 10;
/// The longest command that is shown, in bytes; longer ones are omitted, never truncated. Shell quoting may quadruple
/// the longest address.
const LONGEST_COMMAND: usize = 16 << 10;

/// Returns the state of the host, without the limits and denied calls of its plugins. `only`: no other accounts are looked at.
pub(super) async fn status(host: &Host, only: Option<&BTreeSet<AccountName>>) -> Status {
    let mut status = status_of(host, &status_on(host, only).await, only);
    for plugin in &mut status.plugins {
        plugin.limits.clear();
        plugin.denied.clear();
    }
    status
}

/// Returns the state of the host, with the limits and denied calls of each plugin.
pub(super) async fn closely(host: &Host) -> Status {
    status_of(host, &host.status_with_storage().await, None)
}

/// Returns one plugin on each of its accounts, with its limits, denied calls and grants, and the account's connection.
pub(super) async fn plugin(host: &Host, id: &PluginId) -> Vec<Plugin> {
    // There may be thousands of both.
    let connection = |account: Arc<Shared>| (account.name.to_string(), account.connection().borrow().as_str());
    let connections: HashMap<_, _> = host.accounts().into_iter().map(connection).collect();
    let shown = |status: &PluginStatus| {
        let plugin = plugin_view(status);
        let connection =
            plugin.account.as_ref().and_then(|account| connections.get(account)).map(|state| (*state).to_owned());
        Plugin { connection, grants: status.grants.as_ref().map(grants_view), ..plugin }
    };
    host.status_of(id).await.iter().map(shown).collect()
}

fn secret_sender(SenderState { name, former_until }: &SenderState) -> SecretSender {
    SecretSender { name: name.clone(), former_until: former_until.map(|until| until.to_string()) }
}

/// Returns the webhooks of a plugin on an account, with the last requests to them.
pub(super) fn webhooks(
    account: &AccountName,
    all: &[WebhookState],
    (requests, waiting): (&[ShownRequest], u64),
    failures: &BTreeMap<i64, FailedAttempt>,
) -> Webhooks {
    let webhook = |state: &WebhookState| Webhook {
        name: state.name.clone(),
        address: state.address.clone(),
        mode: state.mode.as_str().to_owned(),
        verification: state.verification.clone(),
        lacks: state.lacks_secret.clone(),
        former: state
            .former_secret
            .as_ref()
            .map(|(setting, until)| FormerSecret { setting: setting.clone(), until: until.to_string() }),
        senders: state.senders.iter().map(secret_sender).collect(),
    };
    let request = |one: &ShownRequest| {
        let (state, status) = match one.state {
            RequestState::Waits => ("waiting", None),
            RequestState::Told => ("told", None),
            RequestState::GivenUp => ("given-up", None),
            RequestState::Dropped => ("dropped", None),
            RequestState::Unanswered => ("unanswered", None),
            RequestState::Answered(status) => ("answered", Some(status)),
        };
        let failure = failures.get(&one.id).filter(|_| one.state == RequestState::Waits);
        WebhookRequest {
            id: one.id,
            webhook: one.webhook.clone(),
            at: Timestamp::from_millisecond(one.at).unwrap_or_default().to_string(),
            sender: escape_untrusted(&one.sender, LONGEST),
            method: one.method.clone(),
            bytes: one.bytes,
            attempts: one.attempts,
            state: state.to_owned(),
            status,
            failure: failure.map(|failure| failure.why.to_owned()),
            next: failure.map(|failure| failure.next.to_string()),
        }
    };
    let requests = requests.iter().map(request).collect();
    Webhooks {
        account: account.to_string(),
        node: None,
        webhooks: all.iter().map(webhook).collect(),
        waiting,
        requests,
    }
}

/// Returns the schedules of a plugin on an account.
pub(super) fn schedules(plugin: &PluginId, account: &AccountName, all: &[ScheduleState]) -> Schedules {
    let time = |time: Timestamp| time.to_string();
    let schedule = |state: &ScheduleState| Schedule {
        name: escape_untrusted(&state.name, LONGEST),
        when: state.when.clone(),
        next: state.next.map(time),
        due: state.due.map(time),
        attempts: state.attempts,
        missed: state.missed,
        last: state.last.map(|(due, _)| time(due)),
        failed: state.last.is_some_and(|(_, failed)| failed),
        paused: state.paused,
    };
    Schedules {
        plugin: plugin.to_string(),
        account: account.to_string(),
        node: None,
        schedules: all.iter().map(schedule).collect(),
    }
}

/// Returns the keys of an account, and those of others that it knows.
pub(super) fn keys(account: &Shared, list: &KeyList) -> Keys {
    let key = |key: &KnownKey| Key {
        jid: key.jid.to_string(),
        kind: key.kind.as_str().to_owned(),
        device: match key.kind {
            KeyKind::Omemo { device } => Some(device),
            KeyKind::Otr => None,
        },
        fingerprint: key.fingerprint.clone(),
        label: key.label.as_deref().map(|label| escape_untrusted(label, LONGEST)),
        trust: key.trust.as_str().to_owned(),
        first_seen: key.first_seen.to_string(),
        last_seen: key.last_seen.to_string(),
        listed: key.is_listed,
    };
    let own = |own: &parlor_session::OwnOmemo| OwnOmemo {
        device: own.device,
        fingerprint: own.fingerprint.clone(),
        published: own.is_published,
    };
    Keys {
        account: account.name.to_string(),
        node: None,
        jid: account.own.to_string(),
        policy: list.own.policy.as_str().to_owned(),
        omemo: list.own.omemo.as_ref().map(own),
        otr: list.own.otr.clone(),
        otr_policy: list.own.otr_policy.as_str().to_owned(),
        otr_people: list
            .own
            .otr_people
            .all()
            .map(|(jid, policy)| (jid.to_string(), policy.as_str().to_owned()))
            .collect(),
        keys: list.keys.iter().map(key).collect(),
        comparisons: list.comparisons.iter().map(comparison).collect(),
    }
}

fn comparison(open: &OpenComparison) -> Comparison {
    Comparison {
        number: open.number,
        jid: open.jid.to_string(),
        fingerprint: open.fingerprint.clone(),
        question: open.question.as_deref().map(|question| escape_untrusted(question, LONGEST)),
        asked: open.is_asked,
        since: open.since.to_string(),
    }
}

/// Returns what a comparison of secrets has shown.
pub(super) fn compared(account: &Shared, jid: &BareJid, compared: &parlor_session::Compared) -> Compared {
    Compared {
        account: account.name.to_string(),
        jid: jid.to_string(),
        fingerprint: compared.fingerprint.clone(),
        outcome: compared.end.as_str().to_owned(),
        trust: compared.trust.as_str().to_owned(),
    }
}

/// Returns the encryption settings of an account, and its figures.
fn encryption_view(account: &Shared) -> Encryption {
    let summary = encryption::status(account);
    Encryption {
        omemo: summary.settings.omemo,
        otr: summary.settings.otr != OtrPolicy::Never,
        trust: summary.settings.trust.as_str().to_owned(),
        device: summary.device,
        published: summary.is_published,
        known: summary.known,
        decrypted: summary.decrypted,
        undecryptable: summary.undecryptable,
        encrypted: summary.encrypted,
    }
}

fn status_of(host: &Host, plugins: &[PluginStatus], only: Option<&BTreeSet<AccountName>>) -> Status {
    let (config, mut asleep) = (host.config(), host.asleep());
    asleep.retain(|one| only.is_none_or(|only| only.contains(&one.name) && one.is_in(&config)));
    let awake =
        only.map_or_else(|| host.accounts(), |only| only.iter().filter_map(|name| host.account(name)).collect());
    Status {
        node: None,
        nodes: Vec::new(),
        cluster: health::health(host),
        nowhere: Vec::new(),
        running: true,
        host: Some(Process {
            version: VERSION.to_owned(),
            pid: std::process::id(),
            since: host.began().to_string(),
            uptime: host.uptime().as_secs(),
            memory: memory::resident(),
            tasks: host.tasks() as u64,
        }),
        data: absolute(&config.data),
        policy: absolute(&config.plugins),
        policy_error: host.policy_fault().map(|fault| escape_untrusted(&fault, LONGEST)),
        config_error: host.config_fault().map(|fault| escape_untrusted(&fault, LONGEST)),
        webhooks_error: host.listening.fault().map(|fault| escape_untrusted(&fault, LONGEST)),
        components: if only.is_none() { components(host, &config, &asleep) } else { Vec::new() },
        accounts: accounts(host, &config, &awake, &asleep),
        plugins: plugins.iter().map(plugin_view).collect(),
    }
}

fn components(host: &Host, config: &Config, asleep: &[Asleep]) -> Vec<ComponentStatus> {
    let mut counts = BTreeMap::<_, u64>::new();
    for component in config.accounts.values().filter_map(|account| account.link.component()) {
        *counts.entry(component).or_default() += 1;
    }
    let mut sleeping = BTreeMap::<_, u64>::new();
    for one in asleep {
        *sleeping.entry(&one.component).or_default() += 1;
    }
    let view = |(name, state): (AccountName, ComponentState)| {
        let (connection, why) = match state {
            ComponentState::Idle => ("offline", None),
            ComponentState::Connecting => ("connecting", None),
            ComponentState::Connected => ("connected", None),
            ComponentState::Retrying(why) => ("retrying", Some(why)),
            ComponentState::Failed(why) => ("failed", Some(why)),
        };
        ComponentStatus {
            accounts: counts.get(&name).copied().unwrap_or_default(),
            asleep: sleeping.get(&name).copied().or_else(|| config.sleep_after.contains_key(&name).then_some(0)),
            accounts_limit: config.new_addresses.get(&name).map(|new| new.limit.into()),
            domain: config.components.get(&name).map(|link| link.jid.to_string()).unwrap_or_default(),
            name: name.to_string(),
            connection: connection.to_owned(),
            reason: why.map(|why| escape_untrusted(&why.to_string(), LONGEST)),
        }
    };
    host.domains.states().into_iter().map(view).collect()
}

fn account_view(config: &Config, account: &Shared) -> Account {
    let connection = account.connection().borrow().clone();
    let (own, state) = (account.own.to_string(), connection.as_str());
    let (jid, reason) = match connection {
        Connection::Offline | Connection::Connecting => (own, None),
        Connection::Connected(jid) => (jid.to_string(), None),
        Connection::Retrying(why) | Connection::Left(why) | Connection::Failed(why) => (own, Some(why)),
    };
    let reason = reason.map(|reason| escape_untrusted(&reason, LONGEST));
    let ConnectionHistory { since, last_error } = history(account);
    let error = |(at, why): (Timestamp, String)| LastError { at: at.to_string(), why: escape_untrusted(&why, LONGEST) };
    Account {
        name: account.name.to_string(),
        node: None,
        group: config.accounts.get(&account.name).and_then(|one| one.group.as_ref()).map(ToString::to_string),
        jid,
        connection: state.to_owned(),
        reason,
        since: Some(since.to_string()),
        last_error: last_error.map(error),
        rooms: rooms::of(account),
        departures: rooms::departures(account).collect(),
        encryption: Some(encryption_view(account)),
        kept_awake: None,
    }
}

/// Returns the accounts, also those that sleep, ordered by name.
fn accounts(host: &Host, config: &Config, awake: &[Arc<Shared>], asleep: &[Asleep]) -> Vec<Account> {
    let awake = awake.iter().map(|account| Account {
        kept_awake: why_awake(host, &account.name).map(|why| escape_untrusted(&why.to_string(), LONGEST)),
        ..account_view(config, account)
    });
    let mut all: Vec<_> = awake.chain(asleep.iter().map(|one| asleep_view(config, one))).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

fn asleep_view(config: &Config, asleep: &Asleep) -> Account {
    Account {
        name: asleep.name.to_string(),
        node: None,
        group: config.accounts.get(&asleep.name).and_then(|one| one.group.as_ref()).map(ToString::to_string),
        jid: asleep.jid.to_string(),
        connection: Account::ASLEEP.to_owned(),
        reason: None,
        since: Some(asleep.since.to_string()),
        last_error: None,
        rooms: Vec::new(),
        departures: BTreeMap::new(),
        encryption: None,
        kept_awake: None,
    }
}

fn plugin_view(status: &PluginStatus) -> Plugin {
    let (state, reason) = match &status.state {
        State::Refused(_) if !status.enabled => ("disabled", None),
        State::Compiling => ("compiling", Some("it starts when the compiler is done with it".to_owned())),
        State::Waiting(on) => ("waiting", Some(format!("it starts when {on} runs"))),
        State::Starting => ("starting", Some("its initialize has not returned yet".to_owned())),
        State::Running => ("running", status.not_replaced.clone()),
        State::Parked => ("parked", status.not_replaced.clone()),
        State::Stopping => ("stopping", None),
        State::Stopped => ("stopped", status.why_nowhere.map(str::to_owned)),
        State::Refused(why) => ("refused", Some(why.clone())),
        State::BackingOff { why, .. } => ("backing-off", Some(why.clone())),
        State::Quarantined(why) => ("quarantined", Some(why.clone())),
    };
    Plugin {
        id: status.id.to_string(),
        account: status.account.as_ref().map(ToString::to_string),
        node: None,
        connection: None,
        state: state.to_owned(),
        reason: reason.map(|reason| escape_untrusted(&reason, LONGEST)),
        version: status.version.as_ref().map(ToString::to_string),
        digest: status.digest.to_string(),
        source: escape_untrusted(&status.source.to_string(), LONGEST),
        record: status.record.as_ref().map(record_view),
        usage: status.usage.as_ref().map(usage_view),
        restarts: status.restarts,
        commands: status.commands.clone(),
        limits: status.usage.iter().flat_map(|usage| &usage.limits).map(limit_view).collect(),
        denied: status.denied.iter().map(denied_view).collect(),
        grants: None,
        rooms: status.grants.as_ref().and_then(Grants::rooms).map(rooms_view),
    }
}

fn rooms_view(rooms: &RoomList) -> Vec<String> {
    let names: Vec<_> = rooms.iter().map(ToString::to_string).collect();
    rights::shown(&names)
}

fn grants_view(grants: &Grants) -> BTreeMap<String, Vec<String>> {
    grants.iter().map(|(permission, scope)| (permission.to_string(), rights::shown(&scope.entries()))).collect()
}

/// Returns the answer to a question about one plugin, on each of its accounts.
pub(super) async fn explained(host: &Host, id: &PluginId, question: &Question) -> Vec<Answer> {
    host.explain(id, question).await.into_iter().map(Answer::from).collect()
}

impl From<Explained> for Answer {
    fn from(explained: Explained) -> Self {
        let Explained { account, answer, remedy } = explained;
        Self {
            account: account.map(|account| account.to_string()),
            answer: answer.outcome,
            permission: answer.permission.map(|permission| permission.to_string()),
            reason: escape_untrusted(&answer.reason, LONGEST),
            remedy: remedy
                .filter(|remedy| remedy.len() <= LONGEST_COMMAND)
                .map(|remedy| escape_untrusted(&remedy, usize::MAX)),
        }
    }
}

fn record_view(totals: &Totals) -> Record {
    Record {
        handled: totals.handled,
        sent: totals.sent,
        requests: totals.requests,
        web_sent: totals.web.sent,
        web_received: totals.web.received,
        denials: totals.denials,
        lost: totals.lost,
        cpu_ms: u64::try_from(totals.cpu.as_millis()).unwrap_or(u64::MAX),
        withheld: totals.withheld.iter().map(|(by, count)| (by.to_string(), *count)).collect(),
        hooks: hooks_view(totals.hooks),
    }
}

fn hooks_view(HookTotals { seen, altered, marked, stopped, failed, unjudged }: HookTotals) -> HookRecord {
    HookRecord { seen, altered, marked, stopped, failed, unjudged }
}

fn usage_view(usage: &Used) -> Usage {
    Usage {
        since: usage.since.to_string(),
        uptime: usage.uptime.as_secs(),
        handled: usage.handled,
        sent: usage.sent,
        denials: usage.denials,
        lost: usage.lost,
        cpu_ms: u64::try_from(usage.cpu.as_millis()).unwrap_or(u64::MAX),
        cpu_share: usage.cpu_share,
        cpu_limit: usage.cpu_limit,
        slowed: usage.slowed,
        memory: usage.memory,
        memory_limit: usage.memory_limit,
    }
}

fn limit_view(limit: &LimitUse) -> Limit {
    Limit { name: limit.name.to_owned(), used: limit.used, of: limit.of.clone(), most: limit.most }
}

fn denied_view(denial: &Denial) -> Denied {
    Denied {
        at: denial.at.to_string(),
        permission: denial.permission.to_string(),
        scope: denial.scope.as_deref().map(|scope| escape_untrusted(scope, LONGEST)),
        hint: escape_untrusted(&denial.hint, LONGEST_COMMAND),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use parlor_base::id::Digest;
    use parlor_plugins::policy::Policy;

    use super::*;

    #[test]
    fn each_state_of_a_plugin_is_among_all() {
        let why = || "it failed".to_owned();
        let text = format!("[plugin.echo]\nsource = \"echo.wasm\"\ndigest = \"{}\"\n", Digest::of(b""));
        let policy = Policy::parse(&text, Path::new("/x")).unwrap();
        let (id, entry) = policy.plugins.first_key_value().unwrap();
        let status = |enabled: bool, state: State| PluginStatus { enabled, ..PluginStatus::nowhere(id, entry, state) };
        let on = [
            State::Compiling,
            State::Waiting("other".parse().unwrap()),
            State::Starting,
            State::Running,
            State::Parked,
            State::Stopping,
            State::Stopped,
            State::Refused(why()),
            State::BackingOff { why: why(), pause: Duration::ZERO },
            State::Quarantined(why()),
        ];
        let mut found: Vec<_> = on.into_iter().map(|state| plugin_view(&status(true, state)).state).collect();
        found.push(plugin_view(&status(false, State::Refused(why()))).state);
        // Commands say so while no host runs.
        found.push("unknown".to_owned());
        found.sort_unstable();
        let mut all = Plugin::STATES;
        all.sort_unstable();
        assert_eq!(found, all);
    }
}
