//! The accounts: all of them, page by page and by group, state and words of the address, and each one with its rooms and plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::ValueEnum as _;
use maud::{Markup, html};
use parlor::control::views::{Account, Plugin, Room, Status};
use parlor_config::Config;
use parlor_window::{Page, Problem, Reply, Role, Routes, segment, state, stranger};

use super::host::{self, Host, Visit, look};
use super::lists::{Asked, Look, values};
use super::parts::{cell, counts, lacking, maybe, rows, silent_nodes, table, when};
use super::rooms;
use crate::fleet::{self, MANY, State};
use crate::status;

/// The path of the list, and its choices.
const PATH: &str = "/accounts";
const CHOICES: [&str; 2] = ["group", "state"];

/// Adds the pages.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes.page("/accounts", Role::Viewer.of_accounts(), list).page("/accounts/show", Role::Viewer.of_accounts(), show)
}

async fn list(visit: Visit) -> Result<Reply, Problem> {
    let asked = Asked::of(PATH, &CHOICES, |name| visit.query(name));
    let filter = asked.and_then(Filter::of).map_err(Problem::wrong)?;
    let status = every_account(&visit).await?;
    let link = |path: &str| visit.link(path);
    Ok(Page::new("Accounts", all(&link, &status, &filter)).into())
}

async fn show(visit: Visit) -> Result<Reply, Problem> {
    let name = visit.query("account").ok_or_else(|| Problem::wrong("name the account"))?.to_owned();
    let status = every_account(&visit).await?;
    let missing = || Problem::missing(format!("there is no account {name}"));
    let account = status.accounts.iter().find(|account| account.name == name).ok_or_else(missing)?;
    let link = |path: &str| visit.link(path);
    Ok(Page::new(format!("Account {name}"), one(&link, account, &status)).into())
}

/// Returns the address of the page of an account.
pub(super) fn address(name: &str) -> String {
    format!("/accounts/show?account={}", segment(name))
}

/// Returns the state of the host, with each account that the session may see.
async fn every_account(visit: &Visit) -> Result<Status, Problem> {
    if visit.is_limited() {
        return host::status(visit).await;
    }
    look(visit, |config, _| Ok(every(config, status::of(config)?))).await
}

/// Adds to a status the accounts of the configuration that it lacks: no node of the cluster has them at this moment, or the host
/// has not read the configuration since it was changed.
fn every(config: &Config, mut status: Status) -> Status {
    let known: BTreeSet<_> = status.accounts.iter().map(|account| account.name.clone()).collect();
    let why = if status.nodes.is_empty() { "the host has not read it yet" } else { "no node that answers has it" };
    let others = config.accounts.values().filter(|account| !known.contains(account.name.as_str()));
    status.accounts.extend(others.map(|account| Account { reason: Some(why.to_owned()), ..status::unknown(account) }));
    status.accounts.sort_by(|one, other| one.name.cmp(&other.name));
    status
}

/// The accounts that are asked for, as by the flags of `parlor status`.
#[derive(Debug)]
struct Filter {
    asked: Asked,
    state: Option<State>,
}

impl Filter {
    /// Checks what is asked.
    fn of(asked: Asked) -> Result<Self, String> {
        let state = Some(asked.chosen("state")).filter(|text| !text.is_empty()).map(|text| {
            State::from_str(text, false).map_err(|_| {
                let all: Vec<_> = State::value_variants().iter().map(|state| word(*state)).collect();
                format!("`state` is one of {}", all.join(", "))
            })
        });
        let state = state.transpose()?;
        Ok(Self { asked, state })
    }

    /// Returns whether it picks an account. Each of the words occurs in its address or its name.
    fn picks(&self, account: &Account) -> bool {
        self.asked.picks("group", account.group.as_deref())
            && self.state.is_none_or(|state| state.has(&account.connection))
            && self.asked.has_words(&format!("{} {}", account.jid, account.name))
    }
}

/// Returns the name of a state, as on the command line.
fn word(state: State) -> String {
    state.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The plugins on an account: how many run, of how many.
type Tally = (usize, usize);

/// Counts the plugins on each account.
fn tallies(plugins: &[Plugin]) -> BTreeMap<&str, Tally> {
    let mut tallies = BTreeMap::<_, Tally>::new();
    for (account, plugin) in plugins.iter().filter_map(|plugin| Some((plugin.account.as_deref()?, plugin))) {
        let (running, all) = tallies.entry(account).or_default();
        *running += usize::from(plugin.runs());
        *all += 1;
    }
    tallies
}

fn all(link: &dyn Fn(&str) -> String, status: &Status, filter: &Filter) -> Markup {
    let picked: Vec<_> = status.accounts.iter().filter(|account| filter.picks(account)).collect();
    let tallies = tallies(&status.plugins);
    let tally = |account: &Account| tallies.get(account.name.as_str()).copied().unwrap_or_default();
    let has_nodes = status.accounts.iter().any(|account| account.node.is_some());
    let mut heads = vec!["Account", "Address", "State", "Group"];
    heads.extend(has_nodes.then_some("Node"));
    heads.extend(["Rooms", "Plugins", "Since", "Last error"]);
    let none = if status.accounts.is_empty() { "There are no accounts." } else { "No account is like that." };
    let look = Look { name: "accounts", none, caption: "Accounts; times are in UTC", heads: &heads };
    let row = |account: &Account| row(link, account, tally(account), has_nodes);
    html! {
        (form(link, status, filter))
        div data-live id="accounts" {
            (lacking(silent_nodes(status).as_deref()))
            @if picked.len() > MANY { (counts("By group and state", &fleet::groups(picked.iter().copied()))) }
            (filter.asked.shown(link, &look, &picked, row))
        }
    }
}

fn form(link: &dyn Fn(&str) -> String, status: &Status, filter: &Filter) -> Markup {
    let groups = values(status.accounts.iter().filter_map(|account| account.group.as_deref()));
    let named = State::value_variants().iter().map(|state| {
        let word = word(*state);
        let words = if *state == State::Away { "away: retrying or failed".to_owned() } else { word.clone() };
        (word, words)
    });
    let choices =
        [filter.asked.choice("group", "Group", groups), filter.asked.choice("state", "State", named.collect())];
    filter.asked.form(link, ("Address or name", "Parts of it, such as support example.org."), &choices)
}

fn row(link: &dyn Fn(&str) -> String, account: &Account, (running, plugins): Tally, has_nodes: bool) -> Markup {
    let rooms = format!("/rooms?account={}", segment(&account.name));
    html! {
        tr {
            th scope="row" { a href=(link(&address(&account.name))) { (cell(&account.name)) } }
            td { (cell(&account.jid)) }
            td { (state(&account.connection)) }
            td { (maybe(account.group.as_deref())) }
            @if has_nodes { td { (maybe(account.node.as_deref())) } }
            td { @if let Some(clause) = account.in_rooms() { a href=(link(&rooms)) { (clause) } } @else { "–" } }
            td.number {
                @if running == plugins { (plugins) } @else { (running) " of " (plugins) " run" }
            }
            td { @if let Some(since) = &account.since { (when(since)) } @else { "–" } }
            td { (error(account)) }
        }
    }
}

/// Shows why an account is in its state, or which error it had last, with the time.
fn error(account: &Account) -> Markup {
    let last = account.last_error.as_ref();
    let why = account.reason.as_ref().or(last.map(|last| &last.why));
    html! {
        @if let Some(why) = why {
            @if let Some(last) = last { (when(&last.at)) ": " }
            (cell(why))
        } @else { "–" }
    }
}

fn one(link: &dyn Fn(&str) -> String, account: &Account, status: &Status) -> Markup {
    let on_it: Vec<_> =
        status.plugins.iter().filter(|plugin| plugin.account.as_deref() == Some(account.name.as_str())).collect();
    let plugin = |plugin: &Plugin| {
        html! {
            tr {
                th scope="row" { a href=(link(&format!("/plugins/{}", segment(&plugin.id)))) { (cell(&plugin.id)) } }
                td { (maybe(plugin.version.as_deref())) }
                td { (state(&plugin.state)) @if let Some(reason) = &plugin.reason { " " (cell(reason)) } }
            }
        }
    };
    let room = |room: &Room| {
        html! {
            tr {
                th scope="row" { a href=(link(&rooms::address(room))) { (cell(&room.room)) } }
                td { (state(&room.state)) @if let Some(why) = room.why().filter(|_| room.is_lost()) { ": " (cell(&why)) } }
                td { @if let Some(since) = &room.since { (when(since)) } @else { "–" } }
            }
        }
    };
    html! {
        div data-live id="account" {
            (lacking(silent_nodes(status).as_deref()))
            (facts(link, account))
            h2 { "Rooms" }
            @if account.rooms.is_empty() { p { "It is in no room." } } @else {
                (table("Rooms of the account; times are in UTC", &["Room", "State", "Since"], &rows(&account.rooms, room)))
            }
            h2 { "Plugins" }
            @if on_it.is_empty() { p { "No plugin is on it." } } @else {
                (table("Plugins on the account", &["Plugin", "Version", "State"], &rows(on_it, plugin)))
            }
        }
        h2 { "More" }
        ul {
            li { a href=(link(&format!("/audit?account={}", segment(&account.name)))) { "Its entries in the audit" } }
            li { a href=(link(&format!("/rooms?account={}", segment(&account.name)))) { "Its rooms, to enter and leave them" } }
            li { a href=(link(&format!("/contacts?account={}", segment(&account.name)))) { "Its contacts" } }
            li { a href=(link(&format!("/keys?account={}", segment(&account.name)))) { "Its keys" } }
            li { a href=(link(PATH)) { "All accounts" } }
        }
    }
}

/// Shows what is known of an account besides its rooms and plugins.
fn facts(link: &dyn Fn(&str) -> String, account: &Account) -> Markup {
    html! {
        dl.facts {
            dt { "Address" } dd { (stranger(&account.jid)) }
            dt { "State" } dd { (state(&account.connection)) }
            @if let Some(since) = &account.since { dt { "Since" } dd { (when(since)) } }
            @if let Some(reason) = &account.reason { dt { "Why" } dd { (stranger(reason)) } }
            @if let Some(last) = &account.last_error {
                dt { "Last error" }
                dd { (when(&last.at)) ": " (stranger(&last.why)) }
            } @else if account.since.is_some() {
                // Without a host, nobody knows.
                dt { "Last error" }
                dd { "none since the host started" }
            }
            @if let Some(group) = &account.group {
                dt { "Group" }
                dd { a href=(link(&format!("/accounts?group={}", segment(group)))) { (stranger(group)) } }
            }
            @if let Some(node) = &account.node { dt { "Node" } dd { (stranger(node)) } }
            @if let Some(encryption) = &account.encryption { dt { "Encryption" } dd { (stranger(&encryption.says())) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::lists::tests::asked;
    use super::super::tests::host_in;
    use super::*;
    use crate::fleet::tests::fleet;

    const EVIL: &str = "<script>alert(1)</script>\u{202e}";

    fn link(path: &str) -> String {
        format!("/base{path}")
    }

    fn filter(query: &str) -> Result<Filter, String> {
        asked(PATH, &CHOICES, query).and_then(Filter::of)
    }

    fn page(status: &Status, query: &str) -> String {
        all(&link, status, &filter(query).unwrap()).into_string()
    }

    /// Returns the names of the accounts in the table of a page.
    fn names(page: &str) -> Vec<String> {
        let links = page.split("href=\"/base/accounts/show?account=").skip(1);
        links.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_state_is_one_that_an_account_can_be_in() {
        assert_eq!(filter("state=away").unwrap().state, Some(State::Away));
        assert_eq!(filter("group=support").unwrap().state, None);
        for wrong in ["state=Away", "state=x", "page=0"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
        assert!(filter("state=x").unwrap_err().contains("away, connected"));
    }

    #[test]
    fn each_of_five_thousand_accounts_is_on_one_page() {
        let status = fleet(5_000);
        let first = page(&status, "");
        assert!(first.contains("1 to 20 of 5000.") && first.contains("href=\"/base/accounts?page=2\""), "{first}");
        assert!(first.contains("By group and state") && !first.contains("Previous ones"), "{first}");
        let mut seen = Vec::new();
        for number in 1..=50 {
            let text = page(&status, &format!("limit=100&page={number}"));
            assert!(text.len() < 128 << 10, "{} bytes", text.len());
            assert_eq!(text.contains("Next ones"), number < 50, "{number}");
            seen.extend(names(&text));
        }
        assert_eq!(seen, status.accounts.iter().map(|account| account.name.clone()).collect::<Vec<_>>());
        let behind = page(&status, "page=100000&limit=100");
        assert!(
            behind.contains("There are 5000, so page 100000 is empty.") && behind.contains("rel=\"prev\""),
            "{behind}"
        );
    }

    #[test]
    fn accounts_are_found_by_group_state_and_words() {
        let mut status = fleet(3_000);
        status.accounts[1_007].jid = "Shop@Example.net/parlor".to_owned();
        for (query, count) in [
            ("group=g1&state=away", 10),
            ("group=g9", 0),
            ("state=connected&group=g0", 990),
            ("words=shop example.NET", 1),
            ("words=a1007 shop", 1),
            ("words=a1007 nobody", 0),
        ] {
            let text = page(&status, &format!("{query}&limit=100"));
            assert_eq!(names(&text).len(), count.min(100), "{query}");
            let says = if count == 0 { "No account is like that.".to_owned() } else { format!(" of {count}.") };
            assert!(text.contains(&says), "{query}: no {says} in {text}");
        }
        let text = page(&status, "group=g1&state=away");
        assert!(
            text.contains("<option value=\"g1\" selected>") && text.contains("<option value=\"away\" selected>"),
            "{text}"
        );
        assert!(text.contains("the password is wrong") && text.contains("class=\"state state-bad\""), "{text}");
    }

    #[test]
    fn an_account_is_shown_with_its_node_since_when_and_its_last_error() {
        let status: Status = serde_json::from_value(json!({
            "running": true, "data": "data", "policy": "plugins.toml",
            "accounts": [{
                "name": "main", "node": "red", "jid": "bot@example.org/x", "connection": "connected",
                "since": "2026-11-20T06:24:00.5Z", "last_error": { "at": "2026-11-20T06:20:00Z", "why": "no route" },
                "rooms": [{ "account": "main", "room": "hall@muc.example.org", "state": "joined", "kept": true }],
            }],
            "plugins": [
                { "id": "echo", "account": "main", "state": "running", "digest": "sha256:00", "source": "e", "restarts": 0 },
                { "id": "poll", "account": "main", "state": "quarantined", "digest": "sha256:00", "source": "p", "restarts": 0 },
                { "id": "else", "account": "other", "state": "running", "digest": "sha256:00", "source": "p", "restarts": 0 },
            ],
        }))
        .unwrap();
        let text = page(&status, "");
        for words in [
            ">Node<",
            "red",
            "1 of 2 run",
            "06:24:00</time>",
            "06:20:00</time>: ",
            "no route",
            "in 1 room",
            "/base/rooms?account=main",
        ] {
            assert!(text.contains(words), "no {words} in {text}");
        }
        let text = one(&link, &status.accounts[0], &status).into_string();
        for words in [
            "/base/rooms/show?room=hall%40muc.example.org&amp;account=main",
            "/base/plugins/echo",
            "/base/plugins/poll",
            "/base/audit?account=main",
            "/base/contacts?account=main",
            "/base/keys?account=main",
            "06:24:00</time>",
            "no route",
        ] {
            assert!(text.contains(words), "no {words} in {text}");
        }
        assert!(!text.contains("/plugins/else"), "{text}");
        let quiet = Account { last_error: None, ..status.accounts[0].clone() };
        assert!(one(&link, &quiet, &status).into_string().contains("none since the host started"));
        let unknown = Account { since: None, ..quiet };
        assert!(!one(&link, &unknown, &status).into_string().contains("none since the host started"));
    }

    #[tokio::test]
    async fn accounts_that_no_node_has_are_shown_and_others_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        let visit = |path: &str| Visit::for_test(Role::Viewer, path, host_in(folder.path()));
        let text = list(visit("/accounts?state=unknown")).await.unwrap().into_text();
        assert!(text.contains("/accounts/show?account=main") && text.contains("bot@example.org"), "{text}");
        assert!(show(visit("/accounts/show?account=main")).await.unwrap().into_text().starts_with("Account main\n"));
        assert_eq!(show(visit("/accounts/show?account=nobody")).await.unwrap_err().status, 404);
        assert_eq!(show(visit("/accounts/show")).await.unwrap_err().status, 400);
        assert_eq!(list(visit("/accounts?page=0")).await.unwrap_err().status, 400);
        let config = visit("/").state.config().unwrap();
        let mut status = fleet(1);
        status.nodes = serde_json::from_value(json!([{ "name": "red" }])).unwrap();
        let status = every(&config, status);
        let found: Vec<_> = status.accounts.iter().map(|one| (one.name.as_str(), one.reason.as_deref())).collect();
        assert_eq!(found, [("a0000", None), ("main", Some("no node that answers has it"))]);
    }

    #[test]
    fn no_text_of_strangers_is_markup() {
        let mut status: Status = serde_json::from_value(json!({
            "running": true, "data": "data", "policy": "plugins.toml", "plugins": [],
            "nodes": [{ "name": EVIL, "error": EVIL }],
            "accounts": [{
                "name": EVIL, "node": EVIL, "group": EVIL, "jid": EVIL, "connection": EVIL, "reason": EVIL, "since": EVIL,
                "last_error": { "at": EVIL, "why": EVIL },
                "rooms": [{
                    "account": EVIL, "room": EVIL, "state": EVIL, "kept": true, "since": EVIL,
                    "left": { "at": EVIL, "why": EVIL, "reason": EVIL },
                }],
            }],
        }))
        .unwrap();
        let mut pages = vec![page(&status, ""), page(&status, &format!("group={EVIL}&words={EVIL}"))];
        pages.push(one(&link, &status.accounts[0], &status).into_string());
        status.accounts[0].reason = None;
        pages.push(page(&status, ""));
        for page in pages {
            assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
            assert!(page.contains("class=\"stranger\"") && !page.contains("style="), "{page}");
        }
    }
}
