//! The first page: the host, its accounts and its plugins at a glance.

use std::collections::BTreeSet;
use std::sync::Arc;

use maud::{Markup, html};
use parlor::control::views::{Account, Plugin, Status};
use parlor_window::{Page, Problem, Reply, Role, Routes, state, stranger};

use super::accounts;
use super::host::{self, Host, Visit};
use super::parts::{MOST_ROWS, counts, lacking, silent_nodes};
use crate::fleet::{self, MANY, NAMED, first};
use crate::show::{size, span};

/// Adds the page.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes.page("/", Role::Viewer.of_accounts(), home)
}

async fn home(visit: Visit) -> Result<Reply, Problem> {
    let status = host::status(&visit).await?;
    let link = |path: &str| visit.link(path);
    // The plots are those of the whole host.
    let day = (!visit.is_limited()).then(|| {
        html! { h2 { "The last day" } div data-live id="plots" { (visit.state.plots.show()) } }
    });
    Ok(Page::new("Home", html! { (shown(&status, &link)) @if let Some(day) = &day { (day) } }).into())
}

fn shown(status: &Status, link: &dyn Fn(&str) -> String) -> Markup {
    let silent = silent_nodes(status);
    let (warnings, more) = first(status.warnings().chain(status.ills()));
    let (are_many, has_many) = (status.accounts.len() > MANY, status.plugins.len() > MANY);
    html! {
        div data-live id="home" {
            (lacking(silent.as_deref()))
            @for warning in &warnings { p.warning role="note" { (stranger(warning)) } }
            @if more > 0 { p.warning role="note" { "and " (more) " more" } }
            @match &status.host {
                Some(host) => {
                    p.lead {
                        "parlor " (stranger(&host.version)) " has run for " (span(host.uptime))
                        // It is not told to sessions of some accounts.
                        @if host.memory > 0 { ", with " (size(host.memory)) " of memory" }
                        "."
                    }
                }
                None => { p.warning role="note" { "No host runs here. " code { "parlor run" } " starts one." } }
            }
            h2 { "Accounts" }
            @if status.accounts.is_empty() { p { "There are none." } }
            @if are_many { (many_accounts(&status.accounts, link)) } @else {
                ul.cards { @for account in &status.accounts { (one_account(account, link)) } }
            }
            (lost_rooms(&status.accounts, link))
            p { a href=(link("/accounts")) { "All accounts" } }
            h2 { "Plugins" }
            @if status.plugins.is_empty() { p { "There are none." } }
            @if has_many { (many_plugins(&status.plugins, link)) } @else {
                ul.cards { @for plugin in &status.plugins { (one_plugin(plugin, link)) } }
            }
        }
    }
}

/// Shows how many accounts there are of each kind, and the first of those that need attention.
fn many_accounts(accounts: &[Account], link: &dyn Fn(&str) -> String) -> Markup {
    let away: Vec<_> = fleet::away(accounts).collect();
    html! {
        (counts("Accounts by group and state", &fleet::groups(accounts)))
        ul.cards { @for account in away.iter().take(NAMED) { (one_account(account, link)) } }
        @if away.len() > NAMED {
            p { a href=(link("/accounts?state=away")) { (away.len() - NAMED) " more that are away" } }
        }
    }
}

/// Says which rooms accounts are out of against their will.
fn lost_rooms(accounts: &[Account], link: &dyn Fn(&str) -> String) -> Markup {
    let (lost, more) = first(fleet::lost_rooms(accounts));
    html! {
        @if !lost.is_empty() {
            ul { @for says in &lost { li { (stranger(says)) } } }
            p {
                a href=(link("/rooms?state=out")) {
                    @if more > 0 { (more) " more, and why" } @else { "The rooms that accounts are out of, and why" }
                }
            }
        }
    }
}

/// Shows how many plugins there are of each kind, a link to each, and the first of those that do not run.
fn many_plugins(plugins: &[Plugin], link: &dyn Fn(&str) -> String) -> Markup {
    let ids: BTreeSet<_> = plugins.iter().map(|plugin| plugin.id.as_str()).collect();
    let down: Vec<_> = plugins.iter().filter(|plugin| plugin.is_down() || plugin.is_behind()).collect();
    html! {
        (counts("Plugins by version and state", &fleet::versions(plugins)))
        ul {
            @for id in ids.iter().take(MOST_ROWS) { li { a href=(link(&format!("/plugins/{id}"))) { (stranger(id)) } } }
        }
        ul.cards { @for plugin in down.iter().take(NAMED) { (one_plugin(plugin, link)) } }
        @if down.len() > NAMED {
            p { a href=(link("/plugins?state=attention")) { (down.len() - NAMED) " more that need attention" } }
        }
    }
}

fn one_account(account: &Account, link: &dyn Fn(&str) -> String) -> Markup {
    html! {
        li.card {
            h3 { a href=(link(&accounts::address(&account.name))) { (stranger(&account.name)) } }
            p { (state(&account.connection)) @if let Some(rooms) = account.in_rooms() { ", " (rooms) } }
            p { (stranger(&account.jid)) @if let Some(node) = &account.node { ", on node " (stranger(node)) } }
            @if let Some(reason) = &account.reason { p { (stranger(reason)) } }
        }
    }
}

fn one_plugin(plugin: &Plugin, link: &dyn Fn(&str) -> String) -> Markup {
    html! {
        li.card {
            h3 { a href=(link(&format!("/plugins/{}", plugin.id))) { (stranger(&plugin.id)) } }
            p { (state(&plugin.state)) @if let Some(account) = &plugin.account { " on " (stranger(account)) } }
            @if let Some(reason) = &plugin.reason { p { (stranger(reason)) } }
            @if let Some(record) = &plugin.record {
                p.hint { (record.handled) " events, " (record.sent) " sent, " (record.denials) " denied" }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns a status with one plugin, with untrusted texts.
    pub(in super::super) fn status(word: &str) -> Status {
        let plugin = Plugin {
            id: "echo".to_owned(),
            account: Some("main".to_owned()),
            node: None,
            connection: None,
            state: "running".to_owned(),
            reason: Some(word.to_owned()),
            version: Some(word.to_owned()),
            digest: "sha256:00".to_owned(),
            source: word.to_owned(),
            record: None,
            usage: None,
            restarts: 0,
            commands: [("roll".to_owned(), word.to_owned())].into(),
            limits: Vec::new(),
            denied: Vec::new(),
            grants: None,
            rooms: None,
        };
        Status {
            node: None,
            nodes: Vec::new(),
            cluster: None,
            nowhere: Vec::new(),
            running: false,
            host: None,
            data: "data".into(),
            policy: "plugins.toml".into(),
            policy_error: Some(word.to_owned()),
            config_error: None,
            webhooks_error: None,
            components: Vec::new(),
            accounts: Vec::new(),
            plugins: vec![plugin],
        }
    }

    #[test]
    fn five_thousand_accounts_are_a_page() {
        let text = shown(&fleet::tests::fleet(5_000), &|path| format!("/base{path}")).into_string();
        assert!(text.len() < 32 << 10, "{} bytes", text.len());
        for words in [
            "href=\"/base/accounts/show?account=a0007\"",
            "href=\"/base/accounts?state=away\"",
            "href=\"/base/accounts\"",
            "href=\"/base/plugins/echo\"",
            "it failed too often",
        ] {
            assert!(text.contains(words), "no {words} in {text}");
        }
        assert!(!text.contains("a4999"), "{text}");
    }

    #[test]
    fn rooms_that_accounts_are_out_of_are_counted_with_few_accounts_and_with_many() {
        let link = |path: &str| format!("/base{path}");
        for count in [3, 5_000] {
            let mut status = fleet::tests::fleet(count);
            assert!(!shown(&status, &link).into_string().contains("out of"));
            fleet::tests::put_out(&mut status, 2);
            let text = shown(&status, &link).into_string();
            assert!(text.contains("2 accounts are out of den@muc.example.org: banned"), "{text}");
            assert!(text.contains("href=\"/base/rooms?state=out\""), "{text}");
        }
    }

    #[test]
    fn all_plugins_that_need_attention_are_a_link_away() {
        let mut status = fleet::tests::fleet(100);
        for plugin in &mut status.plugins {
            plugin.state = "refused".to_owned();
        }
        let text = shown(&status, &|path| format!("/base{path}")).into_string();
        let link = "href=\"/base/plugins?state=attention\">90 more that need attention<";
        assert!(text.contains(link), "{text}");
    }

    #[test]
    fn nodes_that_do_not_answer_are_named_once_before_all_that_is_ill() {
        let mut status = fleet::tests::fleet(5_000);
        let node = |name: &str| serde_json::json!({ "name": name, "error": format!("node {name} does not answer<b>") });
        status.nodes =
            serde_json::from_value(serde_json::json!([{ "name": "one" }, node("two"), node("three")])).unwrap();
        let text = shown(&status, &str::to_owned).into_string();
        let says = "node two does not answer&lt;b&gt;; node three does not answer&lt;b&gt;";
        assert!(text.contains("Not all is shown") && text.contains(says) && !text.contains("<b>"), "{text}");
        assert_eq!(text.matches("does not answer").count(), 2, "{text}");
        assert!(text.contains("account a0007 is failed"), "{text}");
        let whole = shown(&fleet::tests::fleet(1), &str::to_owned).into_string();
        assert!(!whole.contains("Not all is shown"), "{whole}");
    }

    #[test]
    fn an_account_that_has_failed_is_named_whatever_a_node_without_an_answer_says() {
        let mut status = fleet::tests::fleet(5_000);
        let failed = "account a0007 is failed";
        assert!(status.ills().any(|ill| ill == failed));
        status.nodes = serde_json::from_value(serde_json::json!([{ "name": "two", "error": failed }])).unwrap();
        let text = shown(&status, &str::to_owned).into_string();
        assert_eq!(text.matches(failed).count(), 2, "{text}");
    }

    #[test]
    fn the_page_leads_to_each_plugin_and_believes_nobody() {
        let text = shown(&status("<script>x</script>"), &|path| format!("/base{path}")).into_string();
        assert!(text.contains("href=\"/base/plugins/echo\"") && text.contains("&lt;script&gt;"), "{text}");
        assert!(!text.contains("<script"), "{text}");
        assert!(text.contains("No host runs here"), "{text}");
    }
}
