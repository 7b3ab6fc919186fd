//! The owner's commands from an ordinary client (XEP-0050): the safe ones, and none that gives a plugin more
//! permissions. An account's configuration lists its owners; the session refuses everyone else. They see and change their
//! own accounts alone.

mod everywhere;
mod keys;
mod news;
mod steps;

use std::sync::Arc;

use jid::Jid;
use parlor_base::id::PluginId;
use parlor_runtime::account::{Shared, encryption};
use parlor_session::OWNER_COMMANDS;
use parlor_stanza::types::{AdHocAction, AdHocAnswer, AdHocRefusal, AdHocRequest, AdHocStage, Reply};
use parlor_store::{AuditKind, By, NewAuditEntry};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::news::Announcer;
use self::steps::Steps;
use super::handle::{Order, ordered};
use super::reach::Reach;
use super::routes::settle;
use super::show;
use super::switching;
use super::views::{Account, Plugin, Status};
use crate::host::{Host, actions, audit};

/// The form field with the plugin.
const PLUGIN: &str = "plugin";
/// The most lines of an answer, and the most plugins offered. Some clients let the owner type another one.
const LINES: usize = 200;
/// The most bytes in these lines. A server ends the stream over a stanza that is too long; some accept only 64 KiB.
const LONGEST: usize = 16 << 10;

/// The tasks that serve owners' commands, one per account.
pub struct Chat {
    accounts: JoinSet<()>,
    /// The queue of commands to the host.
    orders: mpsc::Sender<Order>,
}

impl Chat {
    /// Starts to serve the owners of every account.
    pub fn start(host: &Arc<Host>, orders: &mpsc::Sender<Order>) -> Self {
        let mut chat = Self { accounts: JoinSet::new(), orders: orders.clone() };
        chat.hear_all(host);
        chat
    }

    /// Serves accounts that were added since, too. The tasks of removed accounts end on their own.
    pub fn hear_all(&mut self, host: &Arc<Host>) {
        while self.accounts.try_join_next().is_some() {}
        for account in host.accounts() {
            let Some(asked) = account.owner_requests() else { continue };
            self.accounts.spawn(hear(Arc::clone(host), account, self.orders.clone(), asked));
        }
    }

    /// Stops serving owners. When this returns, it holds nothing of the host.
    pub async fn stop(mut self) {
        self.accounts.shutdown().await;
    }
}

/// Serves the owners of one account, one command after the other, and tells them of news about keys.
async fn hear(
    host: Arc<Host>,
    account: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    mut asked: mpsc::Receiver<Box<AdHocRequest>>,
) {
    let mut steps = Steps::default();
    let (mut news, mut announcer) = (encryption::news(&account), Announcer::new());
    loop {
        let request = tokio::select! {
            request = asked.recv() => request,
            news = news::next(&mut news) => {
                announcer.announce(&host, &account, news).await;
                continue;
            }
        };
        let Some(request) = request else { return };
        let (to, id) = (request.from.clone(), request.id.clone());
        let reply = match answer(&host, &account, &orders, &mut steps, *request).await {
            Ok(answer) => Reply::AdHoc(Box::new(answer)),
            Err(refusal) => Reply::RefuseAdHoc(refusal),
        };
        account.reply(to, id, reply).await;
    }
}

async fn answer(
    host: &Host,
    account: &Shared,
    orders: &mpsc::Sender<Order>,
    steps: &mut Steps,
    request: AdHocRequest,
) -> Result<AdHocAnswer, AdHocRefusal> {
    let AdHocRequest { from, command, .. } = request;
    let known = OWNER_COMMANDS.into_iter().find(|(node, _)| *node == command.node);
    let (node, title) = known.ok_or(AdHocRefusal::Unknown)?;
    // Other clients of that account are its owner's.
    if account.clients.has(&from) {
        if steps.says_refused(Instant::now()) {
            tracing::warn!(
                account = %account.name, owner = %from, command = node,
                "an owner's command is refused, since a plugin may have sent it: it comes from this host's own client of that address"
            );
        }
        return Err(AdHocRefusal::Unknown);
    }
    match command.action {
        AdHocAction::Go | AdHocAction::Complete | AdHocAction::Cancel => {}
        AdHocAction::Next if command.session.is_none() => {}
        // The form of such a command has one page.
        AdHocAction::Back | AdHocAction::Next => return Err(AdHocRefusal::BadAction),
        AdHocAction::Unknown => return Err(AdHocRefusal::MalformedAction),
    }
    let has_begun = match &command.session {
        Some(session) => {
            steps.end(session, &from, node, Instant::now())?;
            true
        }
        None => false,
    };
    let session = command.session.unwrap_or_else(steps::session);
    let answer = |stage| Ok(AdHocAnswer { node: node.to_owned(), session: session.clone(), stage });
    if command.action == AdHocAction::Cancel {
        return if has_begun { answer(AdHocStage::Cancelled) } else { Err(AdHocRefusal::BadAction) };
    }
    if !has_begun {
        // Ignore fields that are already filled in: nothing changes before the owner has seen the form.
        let stage = first(host, account, node, title, &from).await;
        if matches!(stage, AdHocStage::Choose { .. }) {
            steps.begin(session.clone(), from, node, Instant::now());
        }
        return answer(stage);
    }
    if keys::is_about_keys(node) {
        let decided = match command.values.get(keys::KEY) {
            Some(chosen) => {
                tracing::info!(account = %account.name, owner = %from, command = node, "an owner gives a command");
                let is_of_all = host.config().is_owned_by(&from.to_bare());
                keys::decide(host, account, node, chosen, &By::owner(from.as_str()).of_some(!is_of_all)).await
            }
            None => Err("no key was chosen".to_owned()),
        };
        return answer(ended(decided));
    }
    let changed = match command.values.get(PLUGIN).map(|id| id.parse::<PluginId>()) {
        Some(Ok(id)) => {
            tracing::info!(account = %account.name, owner = %from, command = node, plugin = %id, "an owner gives a command");
            change(host, orders, node, &id, &from).await
        }
        Some(Err(error)) => Err(error.to_string()),
        None => Err("no plugin was chosen".to_owned()),
    };
    answer(ended(changed))
}

/// Returns the last stage of a command: its answer, or the reason of its failure.
fn ended(result: Result<Vec<String>, String>) -> AdHocStage {
    match result {
        Ok(lines) => AdHocStage::Done { lines: short(lines), failed: false },
        Err(reason) => AdHocStage::Done { lines: vec![reason], failed: true },
    }
}

/// Carries out the first step of a command: it answers, or asks what it is about.
async fn first(host: &Host, account: &Shared, node: &str, title: &str, owner: &Jid) -> AdHocStage {
    let title = title.to_owned();
    if keys::is_about_keys(node) {
        return match keys::first(account, node).await {
            Ok(keys::First::Choose(options)) => AdHocStage::Choose { title, field: keys::KEY, label: "Key", options },
            Ok(keys::First::Done(lines)) => ended(Ok(lines)),
            Err(reason) => ended(Err(reason)),
        };
    }
    let owner = owner.to_bare();
    let reach = Reach::of(host, &owner).await;
    let mut status = everywhere::status(host, show::status(host, reach.own().as_ref()).await, &owner).await;
    let missing = missing(status.silent().collect(), &reach);
    reach.narrow(&mut status);
    match node {
        "status" => ended(Ok([missing, status_lines(&status)].concat())),
        "list" => ended(Ok([missing, plugins(&status.plugins)].concat())),
        _ => {
            let controlled = status.plugins.into_iter().filter(|plugin| reach.controls(&plugin.id));
            let mut options: Vec<_> = controlled.map(|plugin| plugin.id).collect();
            options.dedup();
            options.truncate(LINES);
            AdHocStage::Choose { title, field: PLUGIN, label: "Plugin", options }
        }
    }
}

/// Changes a plugin, if it runs on no account of somebody else, and returns its state.
async fn change(
    host: &Host,
    orders: &mpsc::Sender<Order>,
    node: &str,
    id: &PluginId,
    owner: &Jid,
) -> Result<Vec<String>, String> {
    let bare = owner.to_bare();
    let reach = Reach::of(host, &bare).await;
    reach.may_change(id, &everywhere::places(host, id, &bare).await).inspect_err(|_| {
        tracing::warn!(%owner, command = node, plugin = %id, "an owner is refused a plugin that is not on the own accounts alone");
    })?;
    let by = By::owner(owner.as_str()).of_some(!reach.is_whole());
    carry_out(host, orders, node, id, &by).await.map_err(|reason| {
        if reach.is_whole() {
            return reason;
        }
        // The reason may be about files with accounts and plugins of others.
        tracing::warn!(%owner, command = node, plugin = %id, %reason, "the command of an owner failed");
        "this failed; the log of the host says why".to_owned()
    })?;
    settle(host, reach.own().as_ref()).await;
    let (mut places, undone) = if node == "restart" {
        let undone = everywhere::restart(host, id, &bare).await;
        (everywhere::places(host, id, &bare).await, undone)
    } else {
        (everywhere::switched(host, id, &bare, node == "enable").await, Vec::new())
    };
    places.retain(|plugin| reach.shows(plugin));
    for place in places.iter_mut().filter(|_| !reach.is_whole()) {
        place.node = None;
    }
    Ok([missing(undone, &reach), plugins(&places)].concat())
}

/// Returns what is said of nodes that did not answer, before all that may be cut off. They are the business of those who own the whole host.
fn missing(reasons: Vec<String>, reach: &Reach) -> Vec<String> {
    if reasons.is_empty() || reach.is_whole() {
        return reasons;
    }
    vec!["a part of the host did not answer".to_owned()]
}

async fn carry_out(
    host: &Host,
    orders: &mpsc::Sender<Order>,
    node: &str,
    id: &PluginId,
    by: &By,
) -> Result<(), String> {
    if node == "restart" {
        let unknown = || format!("there is no plugin {id}");
        if !actions::will_have_plugin(host, id).await {
            return Err(unknown());
        }
        let restarting = async {
            let is_there = ordered(orders, |done| Order::Restart(id.clone(), done)).await;
            if is_there.ok_or_else(switching::stopping)? { Ok(()) } else { Err(unknown()) }
        };
        let entry = NewAuditEntry::new(AuditKind::Run, by, "restarted");
        let entry = NewAuditEntry { plugin: Some(id.to_string()), ..entry };
        let accounts = switching::restarted_on(host, id).await;
        let entries = switching::on_each(entry, &accounts.iter().collect::<Vec<_>>());
        return actions::recorded(&audit::of(host), entries, restarting).await;
    }
    switching::switch(host, orders, id, node == "enable", by).await
}

/// Returns the state of the host. Accounts and plugins that need attention come first, since the end of a long answer is cut off.
fn status_lines(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(host) = &status.host {
        lines.push(format!("parlor {}, up {} s", host.version, host.uptime));
    }
    lines.extend(status.warnings().chain(status.host_ills()));
    let (reached, others): (Vec<_>, Vec<_>) = status.accounts.iter().partition(|account| account.is_reached());
    lines.extend(others.into_iter().flat_map(account_lines));
    let odd = status.plugins.iter().filter(|plugin| is_odd(plugin)).count();
    let mut plugins = plugins(&status.plugins);
    let rest = plugins.split_off(odd);
    lines.extend(plugins);
    lines.extend(reached.into_iter().flat_map(account_lines));
    lines.extend(rest);
    lines
}

fn account_lines(account: &Account) -> Vec<String> {
    let Account { name, connection, .. } = account;
    let reason = account.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let mut lines = vec![format!("account {name}{}: {connection}{reason}", at(account.node.as_deref()))];
    lines.extend(account.encryption.as_ref().map(|one| format!("encryption of {name}: {}", one.says())));
    lines
}

/// Returns whether a plugin does not run as it should.
fn is_odd(plugin: &Plugin) -> bool {
    plugin.is_down() || plugin.is_behind()
}

/// Returns a line for each of these plugins. Those that do not run as they should come first.
fn plugins(plugins: &[Plugin]) -> Vec<String> {
    let line = |one: &Plugin| {
        // A plugin has no version if its file is not the approved one.
        let version = one.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        let on = one.account.as_ref().map(|account| format!(" on {account}")).unwrap_or_default();
        let (at, reason) = (at(one.node.as_deref()), one.reason.as_ref().map(|reason| format!(": {reason}")));
        format!("{}{version}{on}{at} is {}{}", one.id, one.state, reason.unwrap_or_default())
    };
    if plugins.is_empty() {
        return vec!["no plugins".to_owned()];
    }
    let (odd, others): (Vec<_>, Vec<_>) = plugins.iter().partition(|plugin| is_odd(plugin));
    odd.into_iter().chain(others).map(line).collect()
}

/// Returns the words about the node of a cluster where something is.
fn at(node: Option<&str>) -> String {
    node.map(|node| format!(" at node {node}")).unwrap_or_default()
}

/// Truncates to the most lines and bytes of an answer.
fn short(mut lines: Vec<String>) -> Vec<String> {
    let mut bytes = 0;
    let fits = |line: &&String| {
        bytes += line.len() + 1;
        bytes <= LONGEST
    };
    let fitting = lines.iter().take(LINES).take_while(fits).count();
    let more = lines.len() - fitting;
    if more > 0 {
        lines.truncate(fitting);
        lines.push(format!("and {more} more; `parlor status` shows all"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use parlor_stanza::types::AdHoc;

    use super::*;
    use crate::host::tests::offline_host;

    /// A plugin that may send requests for the owner's account would have the commands of the owner, and more than its grants.
    #[tokio::test]
    async fn the_hosts_own_client_of_an_owner_gives_no_commands() {
        let folder = tempfile::tempdir().unwrap();
        let host = offline_host(folder.path()).await;
        let account = host.accounts().pop().unwrap();
        let own = account.snapshot().jid.clone();
        let (orders, _taken) = mpsc::channel(1);
        for (from, is_refused) in [(own, true), ("juliet@example.org/home".parse().unwrap(), false)] {
            let command = AdHoc {
                node: "list".to_owned(),
                session: None,
                action: AdHocAction::Go,
                has_form: false,
                values: BTreeMap::new(),
                refused: BTreeMap::new(),
            };
            let request = AdHocRequest { from, id: "1".to_owned(), command };
            let answered = answer(&host, &account, &orders, &mut Steps::default(), request).await;
            assert_eq!(answered.err(), is_refused.then_some(AdHocRefusal::Unknown));
        }
        host.stop().await;
    }

    #[test]
    fn an_answer_is_no_longer_than_servers_let_through() {
        let lines = |length: usize, count: usize| vec!["x".repeat(length); count];
        assert_eq!(short(lines(10, LINES)), lines(10, LINES));
        let many = short(lines(10, LINES + 3));
        assert_eq!((many.len(), many[LINES].as_str()), (LINES + 1, "and 3 more; `parlor status` shows all"));
        // Reasons may be as long as this.
        let long = short(lines(4 << 10, 50));
        assert_eq!((long.len(), long[3].as_str()), (4, "and 47 more; `parlor status` shows all"));
    }

    #[test]
    fn an_owner_in_a_chat_learns_what_does_not_count_and_why_an_account_is_not_connected() {
        let status = Status {
            node: None,
            nodes: Vec::new(),
            cluster: None,
            nowhere: Vec::new(),
            running: true,
            host: None,
            data: "data".into(),
            policy: "plugins.toml".into(),
            policy_error: Some("plugins.toml is gone".to_owned()),
            config_error: Some("parlor.toml:1:1: no".to_owned()),
            webhooks_error: Some("another program listens".to_owned()),
            components: Vec::new(),
            accounts: vec![Account {
                name: "second".to_owned(),
                node: None,
                group: None,
                jid: "second@example.org".to_owned(),
                connection: "retrying".to_owned(),
                reason: Some("no route to the host".to_owned()),
                since: None,
                last_error: None,
                rooms: Vec::new(),
                departures: BTreeMap::new(),
                encryption: None,
                kept_awake: None,
            }],
            plugins: Vec::new(),
        };
        let says = [
            "the configuration does not count as it is written now, the one before does: parlor.toml:1:1: no",
            "the policy does not count as it is written now, the one before does: plugins.toml is gone",
            "webhooks cannot be listened for: another program listens",
            "account second: retrying: no route to the host",
            "no plugins",
        ];
        assert_eq!(status_lines(&status), says);
        let mut elsewhere = status;
        elsewhere.accounts[0].node = Some("two".to_owned());
        assert!(
            status_lines(&elsewhere).contains(&"account second at node two: retrying: no route to the host".to_owned())
        );
        // Of thousands of accounts, the end is cut off.
        let mut large = elsewhere;
        let well = |number: usize| Account {
            name: format!("a{number}"),
            connection: "connected".to_owned(),
            reason: None,
            ..large.accounts[0].clone()
        };
        large.accounts = (0..5_000).map(well).chain([large.accounts[0].clone()]).collect();
        let plugin = |(number, state): (usize, &str)| -> Plugin {
            let text = serde_json::json!({
                "id": "echo", "account": format!("a{number}"), "state": state, "version": null, "digest": "", "source": "",
                "restarts": 0, "reason": (state != "running").then_some("it trapped")
            });
            serde_json::from_value(text).unwrap()
        };
        large.plugins = [(0, "running"), (4_999, "quarantined")].map(plugin).into();
        let lines = short(status_lines(&large));
        assert!(lines.len() <= LINES + 1 && lines[LINES].contains(" more; "), "{lines:?}");
        assert_eq!(
            lines[3..6],
            [
                "account second at node two: retrying: no route to the host",
                "echo on a4999 is quarantined: it trapped",
                "account a0 at node two: connected",
            ]
        );
    }

    /// Nodes are not the business of somebody who has some of the accounts.
    #[test]
    fn an_owner_of_some_accounts_is_told_that_a_part_did_not_answer_and_of_no_node() {
        let silent = || vec!["node two does not answer".to_owned()];
        let part = Reach::default();
        assert_eq!(missing(silent(), &part), ["a part of the host did not answer"]);
        assert!(missing(Vec::new(), &part).is_empty());
    }
}
