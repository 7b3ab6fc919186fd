//! Many accounts: which of them a command shows, page by page, and the counts of all of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use clap::{Args, ValueEnum};
use parlor::control::views::{Account, Plugin, Status};
use parlor_base::nearest::{nearest, suggestion};
use parlor_config::{Config, GroupName, Pattern};

use super::show::{Put as _, second, table, wrapped};

/// With more accounts than this, the counts are shown in place of each account, and a page has so many.
pub(super) const MANY: usize = 20;
/// How many accounts and plugins that need attention are named beside the counts.
pub(super) const NAMED: usize = 10;

/// So many accounts with the same trouble share a sentence.
const ALIKE: usize = 3;

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
        let Some(group) = self.group.as_ref().filter(|group| !config.groups.contains(*group)) else { return Ok(()) };
        if groups.into_iter().any(|known| known == group.as_str()) {
            return Ok(());
        }
        let near = suggestion(nearest(group.as_str(), config.groups.iter().map(GroupName::as_str)));
        bail!("there is no group {group} in {}{near}", config.files());
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
        let (limit, page) = (self.limit.map_or(MANY, |limit| limit as usize), self.page.unwrap_or(1));
        let (count, begin) = (all.len(), limit.saturating_mul(page as usize - 1));
        if begin == 0 && count <= limit {
            return None;
        }
        all.truncate(begin.saturating_add(limit));
        all.drain(..begin.min(all.len()));
        let end = begin + all.len();
        Some(match () {
            () if all.is_empty() => format!("there are {count}, so page {page} is empty"),
            () if end < count => format!("{} to {end} of {count}; `--page {}` shows the next", begin + 1, page + 1),
            () => format!("{} to {end} of {count}", begin + 1),
        })
    }
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

/// Counts things by what they belong to and by their state: the heads of a table, and its rows.
pub(super) fn counted<'s>(
    title: &str,
    things: impl IntoIterator<Item = (String, &'s str)>,
) -> (Vec<String>, Vec<Vec<String>>) {
    let mut counts = BTreeMap::<String, BTreeMap<&str, usize>>::new();
    for (whose, state) in things {
        *counts.entry(whose).or_default().entry(state).or_default() += 1;
    }
    let states: BTreeSet<&str> = counts.values().flat_map(BTreeMap::keys).copied().collect();
    let row = |(whose, counts): (&String, &BTreeMap<&str, usize>)| {
        let mut cells = vec![whose.clone(), counts.values().sum::<usize>().to_string()];
        cells.extend(states.iter().map(|state| counts.get(state).map_or_else(|| "-".to_owned(), ToString::to_string)));
        cells
    };
    let heads = [title, "ACCOUNTS"].into_iter().map(str::to_owned).chain(states.iter().map(|one| one.to_uppercase()));
    (heads.collect(), counts.iter().map(row).collect())
}

/// Counts accounts by group and state.
pub(super) fn groups<'s>(accounts: impl IntoIterator<Item = &'s Account>) -> (Vec<String>, Vec<Vec<String>>) {
    let group = |account: &Account| account.group.clone().unwrap_or_else(|| "-".to_owned());
    counted("GROUP", accounts.into_iter().map(|account| (group(account), account.connection.as_str())))
}

/// Counts plugins by version and state.
pub(super) fn versions<'s>(plugins: impl IntoIterator<Item = &'s Plugin>) -> (Vec<String>, Vec<Vec<String>>) {
    let version = |plugin: &Plugin| match &plugin.version {
        Some(version) => format!("{} {version}", plugin.id),
        None => plugin.id.clone(),
    };
    counted("PLUGIN", plugins.into_iter().map(|plugin| (version(plugin), plugin.state.as_str())))
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
        let on = plugin.account.as_ref().map(|account| format!(" on {account}")).unwrap_or_default();
        format!("{}{on} is {}: {}", plugin.id, plugin.state, plugin.reason.as_deref().unwrap_or("no reason is known"))
    };
    named(&mut text, plugins.iter().filter(is_odd).map(why), "`parlor status ID --limit 100`", width);
    text
}

/// Formats counts as a table of some rows.
fn screen((heads, mut rows): (Vec<String>, Vec<Vec<String>>), what: &str) -> String {
    let more = rows.len().saturating_sub(MANY);
    rows.truncate(MANY);
    let mut text = table(&heads.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
    if more > 0 {
        text.put(format_args!("… and {more} more {what}\n"));
    }
    text
}

/// Appends the first of these sentences, and how many more there are; `command` shows those.
fn named(text: &mut String, sentences: impl Iterator<Item = String>, command: &str, width: usize) {
    let (shown, more) = first(sentences);
    for (number, sentence) in shown.iter().enumerate() {
        let apart = if number == 0 { "\n" } else { "" };
        text.put(format_args!("{apart}{}\n", wrapped(sentence, width)));
    }
    if more > 0 {
        text.put(format_args!("… and {more} more: {command}\n"));
    }
}

/// Returns the first of these, and how many more there are.
pub(super) fn first(sentences: impl IntoIterator<Item = String>) -> (Vec<String>, usize) {
    let mut sentences = sentences.into_iter();
    let shown = sentences.by_ref().take(NAMED).collect();
    (shown, sentences.count())
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;
    use parlor::control::views::LastError;
    use serde_json::json;

    use super::*;

    /// A command line with these flags alone.
    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        filter: Filter,
    }

    fn filter(flags: &[&str]) -> Filter {
        Typed::try_parse_from(["parlor"].iter().chain(flags)).unwrap().filter
    }

    /// A host with so many accounts, in groups of a thousand, each with a plugin. Every hundredth one is away.
    pub(in super::super) fn fleet(count: usize) -> Status {
        let is_away = |number: usize| number % 100 == 7;
        let account = |number: usize| {
            json!({
                "name": format!("a{number:04}"), "group": format!("g{}", number / 1000), "jid": "a@example.org",
                "connection": if is_away(number) { "failed" } else { "connected" },
                "reason": is_away(number).then_some("the password is wrong"),
            })
        };
        let plugin = |number: usize| {
            json!({
                "id": "echo", "account": format!("a{number:04}"), "version": "0.1.0", "digest": "sha256:00",
                "state": if number == 3 { "quarantined" } else { "running" }, "source": "echo.wasm", "restarts": 0,
                "reason": (number == 3).then_some("it failed too often"),
            })
        };
        serde_json::from_value(json!({
            "running": true, "data": "data", "policy": "plugins.toml",
            "accounts": (0..count).map(account).collect::<Vec<_>>(),
            "plugins": (0..count).map(plugin).collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    #[test]
    fn five_thousand_accounts_are_counted_and_ten_that_need_attention_are_named() {
        let status = fleet(5_000);
        let text = summary(&status.accounts, "parlor status", 80);
        let begin = "GROUP  ACCOUNTS  CONNECTED  FAILED\n\
                     g0     1000      990        10\n\
                     g1     1000      990        10\n";
        assert!(text.starts_with(begin), "{text}");
        // All of them have one reason, which is said once.
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let says = "a0907 and 40 more (`parlor status --state away`) are failed: the password is wrong";
        assert!(text.contains("\n\naccounts a0007, a0107, a0207, ") && words.ends_with(says), "{text}");
        assert_eq!(text.matches("the password is wrong").count(), 1, "{text}");
        let text = plugins(&status.plugins, 80);
        assert!(text.contains("echo 0.1.0  5000      1            4999\n"), "{text}");
        assert!(text.ends_with("\necho on a0003 is quarantined: it failed too often\n"), "{text}");
    }

    /// Puts accounts out of a room of their own, and the first `count` out of one room together.
    pub(in super::super) fn put_out(status: &mut Status, count: usize) {
        for (number, account) in status.accounts.iter_mut().enumerate() {
            let out = |room: &str, why: &str| {
                json!({
                    "account": account.name, "room": room, "state": "out", "kept": true,
                    "left": { "at": "2026-10-15T12:00:00Z", "why": why },
                })
            };
            let own = out(&format!("r{number:04}@muc.example.org"), "left");
            let shared = (number < count).then(|| out("den@muc.example.org", "banned"));
            account.rooms = serde_json::from_value([Some(own), shared].into_iter().flatten().collect()).unwrap();
        }
    }

    #[test]
    fn rooms_that_accounts_are_out_of_are_counted_above_twenty_accounts() {
        let mut status = fleet(31);
        assert_eq!(rooms(&status.accounts, 80), "");
        put_out(&mut status, 23);
        let says = "\n23 accounts are out of den@muc.example.org: banned\n";
        assert_eq!(rooms(&status.accounts, 80), says, "they left the others by themselves");
        put_out(&mut status, 1);
        assert_eq!(rooms(&status.accounts, 80), "\naccount a0000 is out of den@muc.example.org: banned\n");
        for account in &mut status.accounts {
            for room in &mut account.rooms {
                room.left.as_mut().unwrap().why = "kicked".to_owned();
            }
        }
        let text = rooms(&status.accounts, 80);
        assert_eq!(text.lines().count(), 1 + NAMED + 1, "{text}");
        assert!(text.ends_with("\n… and 22 more: `parlor rooms`\n"), "{text}");
    }

    #[test]
    fn accounts_with_reasons_of_their_own_have_sentences_of_their_own_of_which_ten_are_shown() {
        let mut status = fleet(5_000);
        for account in &mut status.accounts {
            account.reason = account.reason.take().map(|reason| format!("{reason} for {}", account.name));
        }
        let text = summary(&status.accounts, "parlor status", 80);
        assert!(text.contains("\n\naccount a0007 is failed: the password is wrong for a0007\n"), "{text}");
        assert!(text.ends_with("\n… and 40 more: `parlor status --state away`\n"), "{text}");
        assert_eq!(text.lines().count(), 6 + 1 + NAMED + 1, "{text}");
    }

    #[test]
    fn accounts_of_one_sentence_have_their_last_error_in_it_unless_it_is_the_reason() {
        let mut accounts = fleet(308).accounts;
        accounts.retain(|account| account.reason.is_some());
        for (why, end) in [("the stream ended", "; their last error: the stream ended"), ("the password is wrong", "")]
        {
            for account in &mut accounts {
                account.last_error = Some(LastError { at: "2026-11-20T05:59:00Z".to_owned(), why: why.to_owned() });
            }
            let says = conditions(&accounts, "`parlor status`");
            assert_eq!(says, [format!("accounts a0007, a0107, a0207, a0307 are failed: the password is wrong{end}")]);
        }
    }

    #[test]
    fn a_thousand_groups_do_not_fill_the_screen() {
        let mut status = fleet(3_000);
        for (number, account) in status.accounts.iter_mut().enumerate() {
            account.group = (number > 0).then(|| format!("g{number}"));
        }
        let text = summary(&status.accounts, "parlor status", 80);
        assert!(text.contains("\n-      1 ") && text.contains("\n… and 2980 more groups\n"), "{text}");
        assert!(text.lines().count() < 40, "{text}");
    }

    #[test]
    fn flags_pick_accounts_and_the_plugins_on_them() {
        for (flags, count) in [
            ("--group g1", 1_000),
            ("--group g9", 0),
            ("--state away", 50),
            ("--state connected", 4_950),
            ("--state offline", 0),
            ("--match a00*", 100),
            ("--match *7", 500),
            ("--group g0 --state away --match a0*07", 10),
            ("", 5_000),
        ] {
            let flags: Vec<_> = flags.split_whitespace().collect();
            let mut status = fleet(5_000);
            filter(&flags).narrow(&mut status);
            assert_eq!((status.accounts.len(), status.plugins.len()), (count, count), "{flags:?}");
        }
    }

    #[test]
    fn each_account_is_on_one_page() {
        let mut seen = Vec::new();
        for page in 1..=72 {
            let mut status = fleet(5_000);
            let others = filter(&["--limit", "70", "--page", &page.to_string()]).cut(&mut status).unwrap();
            assert_eq!(status.accounts.len(), status.plugins.len());
            seen.extend(status.accounts.into_iter().map(|account| account.name));
            match page {
                1 => assert_eq!(others, "1 to 70 of 5000; `--page 2` shows the next"),
                72 => assert_eq!(others, "4971 to 5000 of 5000"),
                _ => {}
            }
        }
        assert_eq!(seen, fleet(5_000).accounts.into_iter().map(|account| account.name).collect::<Vec<_>>());
        let mut status = fleet(30);
        assert_eq!(filter(&["--page", "3"]).cut(&mut status).unwrap(), "there are 30, so page 3 is empty");
        assert!(status.accounts.is_empty());
        let mut status = fleet(30);
        assert_eq!(filter(&[]).cut(&mut status).unwrap(), "1 to 20 of 30; `--page 2` shows the next");
        assert_eq!(filter(&["--limit", "20"]).cut(&mut status), None);
        for wrong in [["parlor", "--page", "0"], ["parlor", "--limit", "0"], ["parlor", "--match", "a?"]] {
            assert!(Typed::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn of_many_sentences_the_first_are_shown() {
        let (shown, more) = first((0..5_000).map(|number| number.to_string()));
        assert_eq!((shown.len(), shown[9].as_str(), more), (NAMED, "9", 4_990));
    }
}
