//! Many accounts: which of them a command shows, page by page, and the counts of all of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::bail;
use clap::{Args, ValueEnum};
use parlor::control::views::{Account, Plugin, Status};
use parlor_base::nearest::{nearest, suggestion};
use parlor_config::{Config, GroupName, Pattern};

use super::show::{Put as _, second, table, wrapped};

/// With more accounts than this, the counts are shown in place of each account, and a page has so many.
pub(super) const MANY: usize = 20;
/// How many accounts or plugins of many are named beside a count.
pub(super) const NAMED: usize = 10;

/// So many accounts with the same trouble share a sentence; of more accounts, so many are named.
pub(super) const ALIKE: usize = 3;

/// The state of an account's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum State {
    /// Retrying or failed.
    Away,
    Connected,
    Connecting,
    Retrying,
    /// Refused by the server, or given up.
    Failed,
    Offline,
    /// An address of a component that sleeps.
    Asleep,
    /// No host runs.
    Unknown,
}

impl State {
    /// Returns whether a connection is in this state.
    pub(super) fn has(self, connection: &str) -> bool {
        match self {
            Self::Away => Self::Retrying.has(connection) || Self::Failed.has(connection),
            Self::Connected => connection == "connected",
            Self::Connecting => connection == "connecting",
            Self::Retrying => connection == "retrying",
            Self::Failed => connection == "failed",
            Self::Offline => connection == "offline",
            Self::Asleep => connection == Account::ASLEEP,
            Self::Unknown => connection == "unknown",
        }
    }
}

/// The flags that choose accounts.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Filter {
    /// Only the accounts of this group.
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    /// Only the accounts in this state.
    #[arg(long, value_enum)]
    pub(super) state: Option<State>,
    /// Only the accounts with names like this, such as support-*.
    #[arg(long = "match", value_name = "PATTERN")]
    pattern: Option<Pattern>,
    #[command(flatten)]
    pages: Pages,
}

/// The flags that choose a page of accounts.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Pages {
    /// At most so many accounts on a page; 20 if there are more.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: Option<u32>,
    /// The page, from 1.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    page: Option<u32>,
}

impl Filter {
    /// Returns whether any of the flags is given.
    pub(super) fn is_given(&self) -> bool {
        self.narrows() || self.is_paged()
    }

    /// Returns whether a page is asked for.
    pub(super) fn is_paged(&self) -> bool {
        self.pages.is_given()
    }

    /// Returns whether it leaves accounts out, whatever page is shown.
    pub(super) fn narrows(&self) -> bool {
        self.group.is_some() || self.state.is_some() || self.pattern.is_some()
    }

    /// Returns whether it picks the group.
    pub(super) fn is_about_groups(&self) -> bool {
        self.group.is_some()
    }

    /// Checks that the group that it picks is one of the configuration, or of these accounts. With a typo in its name, a check of a
    /// group would always find that all is well.
    pub(super) fn check<'g>(&self, config: &Config, groups: impl IntoIterator<Item = &'g str>) -> anyhow::Result<()> {
        self.group.as_ref().map_or(Ok(()), |group| check_group(group, config, groups))
    }

    /// Returns whether it picks an account of this name and group, whose connection is in this state.
    pub(super) fn picks(&self, name: &str, group: Option<&str>, connection: &str) -> bool {
        self.group.as_ref().is_none_or(|wanted| group == Some(wanted.as_str()))
            && self.state.is_none_or(|state| state.has(connection))
            && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(name))
    }

    /// Leaves in a status only the accounts that it picks, and the plugins on them.
    pub(super) fn narrow(&self, status: &mut Status) {
        if self.narrows() {
            status.accounts.retain(|one| self.picks(&one.name, one.group.as_deref(), &one.connection));
            keep_plugins_of(status);
        }
    }

    /// Leaves one page of accounts in a status, and the plugins on them. Returns a sentence about the others.
    pub(super) fn cut(&self, status: &mut Status) -> Option<String> {
        let others = self.page(&mut status.accounts);
        if others.is_some() {
            keep_plugins_of(status);
        }
        others
    }

    /// Leaves one page of these. Returns a sentence about the others, if there are any.
    pub(super) fn page<T>(&self, all: &mut Vec<T>) -> Option<String> {
        self.pages.cut(all)
    }
}

impl Pages {
    /// Returns whether any of the flags is given.
    pub(super) fn is_given(&self) -> bool {
        self.limit.is_some() || self.page.is_some()
    }

    /// Leaves one page of these. Returns a sentence about the others, if there are any.
    pub(super) fn cut<T>(&self, all: &mut Vec<T>) -> Option<String> {
        let limit = self.limit.map_or(MANY, |limit| limit as usize);
        let (count, page) = (all.len(), self.page.unwrap_or(1) as usize);
        if page == 1 && count <= limit {
            return None;
        }
        let Range { start, end } = page_of(count, limit, page);
        all.truncate(end);
        all.drain(..start);
        Some(match () {
            () if all.is_empty() => format!("on page {page}: none of {count}"),
            () if end < count => format!("{} to {end} of {count}; `--page {}` shows the next", start + 1, page + 1),
            () => format!("{} to {end} of {count}", start + 1),
        })
    }
}

/// Checks that a group is one of the configuration, or of these accounts.
pub(super) fn check_group<'g>(
    group: &GroupName,
    config: &Config,
    groups: impl IntoIterator<Item = &'g str>,
) -> anyhow::Result<()> {
    if config.groups.contains(group) || groups.into_iter().any(|known| known == group.as_str()) {
        return Ok(());
    }
    let near = suggestion(nearest(group.as_str(), config.groups.iter().map(GroupName::as_str)));
    bail!("there is no group {group} in {}{near}", config.files());
}

/// Returns which of so many things are on a page; pages are counted from 1. A page behind the last one is empty.
pub(super) fn page_of(count: usize, limit: usize, page: usize) -> Range<usize> {
    let start = limit.saturating_mul(page - 1).min(count);
    start..start.saturating_add(limit).min(count)
}

/// Leaves only plugins on accounts of the status.
fn keep_plugins_of(status: &mut Status) {
    let names: BTreeSet<_> = status.accounts.iter().map(|account| account.name.as_str()).collect();
    status.plugins.retain(|plugin| plugin.account.as_deref().is_some_and(|account| names.contains(account)));
}

/// Returns the accounts that need attention: the host cannot connect them.
pub(super) fn away(accounts: &[Account]) -> impl Iterator<Item = &Account> {
    accounts.iter().filter(|account| State::Away.has(&account.connection))
}

/// Says in which state the connection of an account is, since when and why, and when it had its last error, in UTC.
pub(super) fn condition(account: &Account) -> String {
    let Account { name, connection, reason, since, last_error, .. } = account;
    let since = since.as_deref().map(second);
    let mut text = format!("account {name} is {connection}");
    if let Some(since) = &since {
        text.put(format_args!(" since {since}"));
    }
    if let Some(reason) = reason {
        text.put(format_args!(": {reason}"));
    }
    let Some(last) = last_error else { return text };
    let at = second(&last.at);
    if reason.as_ref() != Some(&last.why) {
        text.put(format_args!("; its last error, at {at}: {}", last.why));
    } else if since.as_ref() != Some(&at) {
        // The reason is that error, after a later attempt.
        text.put(format_args!("; last tried at {at}"));
    }
    text
}

/// Says the same of many accounts: once for those that are in one state for one reason. `command` names each of them.
pub(super) fn conditions<'a>(accounts: impl IntoIterator<Item = &'a Account>, command: &str) -> Vec<String> {
    let (mut all, mut known) = (Vec::<Vec<&Account>>::new(), BTreeMap::new());
    for account in accounts {
        let why = account.last_error.as_ref().map(|last| last.why.as_str());
        let at = *known.entry((account.connection.as_str(), account.reason.as_deref(), why)).or_insert(all.len());
        match all.get_mut(at) {
            Some(alike) => alike.push(account),
            None => all.push(vec![account]),
        }
    }
    let mut sentences = Vec::new();
    for alike in all {
        let one = alike.first().filter(|_| alike.len() >= ALIKE);
        match one.and_then(|one| Some((one.connection.as_str(), one.reason.as_deref()?))) {
            Some((connection, reason)) => sentences.push(of_all(&alike, connection, reason, command)),
            None => sentences.extend(alike.into_iter().map(condition)),
        }
    }
    sentences
}

/// Says in which state accounts are, since when the first of them, and why.
fn of_all(accounts: &[&Account], connection: &str, reason: &str, command: &str) -> String {
    let (names, more) = first(accounts.iter().map(|account| account.name.clone()));
    let mut text = format!("accounts {}", names.join(", "));
    if more > 0 {
        text.put(format_args!(" and {more} more ({command})"));
    }
    text.put(format_args!(" are {connection}"));
    if let Some(since) = accounts.iter().filter_map(|account| account.since.as_deref()).min() {
        text.put(format_args!(", the first since {}", second(since)));
    }
    text.put(format_args!(": {reason}"));
    // All of them have the same one.
    let why = accounts.first().and_then(|one| one.last_error.as_ref()).map(|last| last.why.as_str());
    if let Some(why) = why.filter(|why| *why != reason) {
        text.put(format_args!("; their last error: {why}"));
    }
    text
}

/// Counts accounts by what they belong to and by their state: the heads of a table, and its rows. If a plugin is in a state as a whole,
/// as a refused one is, it counts 0 accounts, and its cell is `yes`.
pub(super) fn counted<'s>(
    title: &str,
    things: impl IntoIterator<Item = (String, &'s str, usize)>,
) -> (Vec<String>, Vec<Vec<String>>) {
    let mut counts = BTreeMap::<String, BTreeMap<&str, usize>>::new();
    for (whose, state, accounts) in things {
        *counts.entry(whose).or_default().entry(state).or_default() += accounts;
    }
    let states: BTreeSet<&str> = counts.values().flat_map(BTreeMap::keys).copied().collect();
    let cell = |count: Option<&usize>| match count {
        None => "-".to_owned(),
        Some(0) => "yes".to_owned(),
        Some(count) => count.to_string(),
    };
    let row = |(whose, counts): (&String, &BTreeMap<&str, usize>)| {
        let mut cells = vec![whose.clone(), counts.values().sum::<usize>().to_string()];
        cells.extend(states.iter().map(|state| cell(counts.get(state))));
        cells
    };
    let heads = [title, "ACCOUNTS"].into_iter().map(str::to_owned).chain(states.iter().map(|one| one.to_uppercase()));
    (heads.collect(), counts.iter().map(row).collect())
}

/// Counts accounts by group and state.
pub(super) fn groups<'s>(accounts: impl IntoIterator<Item = &'s Account>) -> (Vec<String>, Vec<Vec<String>>) {
    let group = |account: &Account| account.group.clone().unwrap_or_else(|| "-".to_owned());
    counted("GROUP", accounts.into_iter().map(|account| (group(account), account.connection.as_str(), 1)))
}

/// Counts plugins by version and state.
pub(super) fn versions<'s>(plugins: impl IntoIterator<Item = &'s Plugin>) -> (Vec<String>, Vec<Vec<String>>) {
    let version = |plugin: &Plugin| match &plugin.version {
        Some(version) => format!("{} {version}", plugin.id),
        None => plugin.id.clone(),
    };
    let accounts = |plugin: &Plugin| usize::from(plugin.account.is_some());
    counted("PLUGIN", plugins.into_iter().map(|plugin| (version(plugin), plugin.state.as_str(), accounts(plugin))))
}

/// Shows accounts by group and state, and those that need attention, wrapped at `width` columns. `command` shows more.
pub(super) fn summary(accounts: &[Account], command: &str, width: usize) -> String {
    let mut text = screen(groups(accounts), "groups");
    let command = format!("`{command} --state away`");
    named(&mut text, conditions(away(accounts), &command).into_iter(), &command, width);
    text
}

/// Says which rooms accounts are out of against their will: a sentence for each room and reason, those of most accounts first.
pub(super) fn lost_rooms(accounts: &[Account]) -> Vec<String> {
    let mut lost = BTreeMap::<(&str, String), Vec<&str>>::new();
    for account in accounts {
        for room in account.rooms.iter().filter(|room| room.is_lost()) {
            let names = lost.entry((room.room.as_str(), room.why().unwrap_or_default())).or_default();
            names.push(account.name.as_str());
        }
    }
    let mut lost: Vec<_> = lost.into_iter().collect();
    lost.sort_by_key(|(_, names)| Reverse(names.len()));
    let says = |((room, why), names): ((&str, String), Vec<&str>)| match names.as_slice() {
        [name] => format!("account {name} is out of {room}: {why}"),
        names => format!("{} accounts are out of {room}: {why}", names.len()),
    };
    lost.into_iter().map(says).collect()
}

/// Shows the first of these rooms, wrapped at `width` columns.
pub(super) fn rooms(accounts: &[Account], width: usize) -> String {
    let mut text = String::new();
    named(&mut text, lost_rooms(accounts).into_iter(), "`parlor rooms`", width);
    text
}

/// Shows plugins by version and state, and those that do not run as they should, likewise.
pub(super) fn plugins(plugins: &[Plugin], width: usize) -> String {
    if plugins.is_empty() {
        return "no plugins; `parlor plugin add FILE` adds one\n".to_owned();
    }
    let mut text = screen(versions(plugins), "plugins");
    let is_odd = |plugin: &&Plugin| plugin.is_down() || plugin.is_behind();
    let why = |plugin: &Plugin| {
        let (on, reason) = (plugin.on(), plugin.reason.as_deref().unwrap_or("no reason is known"));
        format!("{}{on} is {}: {reason}", plugin.id, plugin.state)
    };
    named(&mut text, plugins.iter().filter(is_odd).map(why), "`parlor status ID --limit 100`", width);
    text
}

/// Formats counts as a table of some rows.
pub(super) fn screen((heads, mut rows): (Vec<String>, Vec<Vec<String>>), what: &str) -> String {
    let more = rows.len().saturating_sub(MANY);
    rows.truncate(MANY);
    let mut text = table(&heads.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
    if more > 0 {
        text.put(format_args!("… and {more} more {what}\n"));
    }
    text
}

/// Appends the first of these sentences, and how many more there are; `command` shows those.
pub(super) fn named(text: &mut String, sentences: impl Iterator<Item = String>, command: &str, width: usize) {
    let (shown, more) = first(sentences);
    for (number, sentence) in shown.iter().enumerate() {
        let apart = if number == 0 { "\n" } else { "" };
        text.put(format_args!("{apart}{}\n", wrapped(sentence, width)));
    }
    if more > 0 {
        text.put(format_args!("… and {more} more: {command}\n"));
    }
}

/// Says how many accounts there are, and names the first ones.
pub(super) fn many(names: &[&str]) -> String {
    let apart = if names.len() > ALIKE { ", …" } else { "" };
    format!("{} accounts ({}{apart})", names.len(), names.iter().take(ALIKE).copied().collect::<Vec<_>>().join(", "))
}

/// Returns a clause about accounts that the host cannot connect, each with the state of its connection: one for many in a state.
pub(super) fn account_ills<'a>(accounts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut by_state = BTreeMap::<&str, Vec<&str>>::new();
    for (name, connection) in accounts.into_iter().filter(|(_, connection)| State::Away.has(connection)) {
        by_state.entry(connection).or_default().push(name);
    }
    let says = |(connection, names): (&str, Vec<&str>)| -> Vec<String> {
        if names.len() > ALIKE {
            return vec![format!("{} are {connection}", many(&names))];
        }
        names.iter().map(|name| format!("account {name} is {connection}")).collect()
    };
    by_state.into_iter().flat_map(says).collect()
}

/// Returns a clause about each plugin that does not run as it should, once for all accounts on which it is in a state.
pub(super) fn plugin_ills<'a>(plugins: impl IntoIterator<Item = &'a Plugin>) -> Vec<String> {
    let mut counts = BTreeMap::<String, usize>::new();
    for ill in plugins.into_iter().filter_map(Plugin::ill) {
        *counts.entry(ill).or_default() += 1;
    }
    let says = |(ill, count): (String, usize)| if count > 1 { format!("{ill} on {count} accounts") } else { ill };
    counts.into_iter().map(says).collect()
}

/// Returns the first of these, and how many more there are.
pub(super) fn first(sentences: impl IntoIterator<Item = String>) -> (Vec<String>, usize) {
    let mut sentences = sentences.into_iter();
    let shown = sentences.by_ref().take(NAMED).collect();
    (shown, sentences.count())
}

#[cfg(test)]
pub(super) mod tests;
