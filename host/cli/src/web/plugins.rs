//! The list of plugins, page by page and by group, account, state and words.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::Arc;

use maud::{Markup, html};
use parlor::control::views::{Plugin, Status};
use parlor_base::id::PluginId;
use parlor_window::{Page, Problem, Reply, Role, Routes, state, stranger};

use super::host::{self, Host, Visit, look};
use super::lists::{Asked, Look, groups, values};
use super::parts::{cell, counts, kept_to, lacking, maybe, silent_nodes};
use crate::fleet::{MANY, versions};
use crate::show::size;
use crate::status;

/// The path of the list, and its choices.
const PATH: &str = "/plugins";
const CHOICES: [&str; 3] = ["group", "account", "state"];
/// The choice among the states of plugins that do not run as they should.
const ATTENTION: &str = "attention";

/// Adds the page.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes.page("/plugins", Role::Viewer.of_accounts(), list)
}

async fn list(visit: Visit) -> Result<Reply, Problem> {
    let asked = Asked::of(PATH, &CHOICES, |name| visit.query(name));
    let allowed: Vec<_> = iter::once(ATTENTION).chain(Plugin::STATES).collect();
    let asked = asked.and_then(|asked| asked.in_a_state(&allowed)).map_err(Problem::wrong)?;
    let (status, ids) = if visit.is_limited() {
        (host::status(&visit).await?, Vec::new())
    } else {
        let all = look(&visit, |config, admin| {
            let ids: Vec<PluginId> = admin.policy()?.plugins.into_keys().collect();
            Ok((status::of(config)?, ids))
        });
        all.await?
    };
    let link = |path: &str| visit.link(path);
    Ok(Page::new("Plugins", shown(&status, &ids, &asked, &link)).into())
}

/// A row of the list.
#[derive(Clone, Copy)]
enum Listed<'a> {
    Plugin(&'a Plugin),
    /// The host reads the policy a moment after it was written.
    Unread(&'a PluginId),
}

impl Listed<'_> {
    /// Returns whether the query picks it. The groups are those of the accounts.
    fn is_picked(self, asked: &Asked, groups: &BTreeMap<&str, &str>) -> bool {
        let (id, account, has_state) = match self {
            Self::Plugin(plugin) if asked.chosen("state") == ATTENTION => {
                (plugin.id.as_str(), plugin.account.as_deref(), needs_attention(plugin))
            }
            Self::Plugin(plugin) => {
                (plugin.id.as_str(), plugin.account.as_deref(), asked.picks("state", Some(plugin.state.as_str())))
            }
            Self::Unread(id) => (id.as_str(), None, asked.picks("state", None)),
        };
        let group = account.and_then(|account| groups.get(account).copied());
        has_state
            && asked.picks("account", account)
            && asked.picks("group", group)
            && asked.has_words(&format!("{id} {}", account.unwrap_or_default()))
    }
}

/// Returns whether a plugin does not run as it should.
fn needs_attention(plugin: &Plugin) -> bool {
    plugin.is_down() || plugin.is_behind()
}

fn shown(status: &Status, ids: &[PluginId], asked: &Asked, link: &dyn Fn(&str) -> String) -> Markup {
    let known: BTreeSet<&str> = status.plugins.iter().map(|plugin| plugin.id.as_str()).collect();
    let unread = ids.iter().filter(|id| !known.contains(id.as_str())).map(Listed::Unread);
    let all: Vec<Listed<'_>> = status.plugins.iter().map(Listed::Plugin).chain(unread).collect();
    let groups = groups(&status.accounts);
    let mut picked: Vec<_> = all.iter().copied().filter(|one| one.is_picked(asked, &groups)).collect();
    let are_many = picked.len() > MANY;
    if are_many {
        // Those that need attention are on the first pages.
        picked.sort_by_key(|one| matches!(one, Listed::Plugin(plugin) if !needs_attention(plugin)));
    }
    let are_kept = status.plugins.iter().any(|plugin| plugin.rooms.is_some());
    let mut heads = vec!["Plugin", "Version", "State", "Account", "Events", "Sent", "Denied", "Memory"];
    heads.extend(are_kept.then_some("Rooms"));
    let row = |one: Listed<'_>| match one {
        Listed::Plugin(plugin) => plugin_row(plugin, are_kept, link),
        Listed::Unread(id) => html! {
            tr {
                th scope="row" { a href=(link(&format!("/plugins/{id}"))) { (stranger(id.as_str())) } }
                td colspan=(heads.len() - 1) { "The host has not read it yet." }
            }
        },
    };
    let none = if all.is_empty() { "There are no plugins." } else { "No plugin is like that." };
    let caption = "Each plugin on each of its accounts, since the host started";
    let look = Look { name: "plugins", none, caption, heads: &heads };
    let plugins = picked.iter().filter_map(|one| match *one {
        Listed::Plugin(plugin) => Some(plugin),
        Listed::Unread(_) => None,
    });
    html! {
        (form(link, status, asked))
        div data-live id="plugins" {
            (lacking(silent_nodes(status).as_deref()))
            @if are_many { (counts("By version and state", &versions(plugins))) }
            (asked.shown(link, &look, &picked, row))
        }
    }
}

fn form(link: &dyn Fn(&str) -> String, status: &Status, asked: &Asked) -> Markup {
    let accounts = values(status.plugins.iter().filter_map(|plugin| plugin.account.as_deref()));
    let mut named = vec![(ATTENTION.to_owned(), "those that need attention".to_owned())];
    named.extend(values(Plugin::STATES));
    let choices = [
        asked.choice("group", "Group", values(status.accounts.iter().filter_map(|account| account.group.as_deref()))),
        asked.choice("account", "Account", accounts),
        asked.choice("state", "State", named),
    ];
    asked.form(link, ("Plugin or account", "Parts of its id, or of the name of the account."), &choices)
}

fn plugin_row(plugin: &Plugin, are_kept: bool, link: &dyn Fn(&str) -> String) -> Markup {
    let record = plugin.record.clone().unwrap_or_default();
    html! {
        tr {
            th scope="row" { a href=(link(&format!("/plugins/{}", plugin.id))) { (stranger(&plugin.id)) } }
            td { (maybe(plugin.version.as_deref())) }
            td { (state(&plugin.state)) @if let Some(reason) = &plugin.reason { " " (cell(reason)) } }
            td {
                @match (&plugin.account, &plugin.node) {
                    (None, Some(node)) => { "none of node " (stranger(node)) }
                    (account, _) => (maybe(account.as_deref())),
                }
            }
            td.number { (record.handled) }
            td.number { (record.sent) }
            td.number { (record.denials) }
            td.number { @if let Some(usage) = &plugin.usage { (size(usage.memory)) } @else { "–" } }
            @if are_kept { td { @if let Some(rooms) = &plugin.rooms { (kept_to(rooms)) } @else { "all" } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::home::tests::status;
    use super::super::lists::tests::asked;
    use super::super::tests::host_in;
    use super::*;
    use crate::fleet::tests::fleet;

    fn page(status: &Status, ids: &[PluginId], query: &str) -> String {
        shown(status, ids, &asked(PATH, &CHOICES, query).unwrap(), &str::to_owned).into_string()
    }

    #[test]
    fn each_plugin_is_listed_also_one_that_the_host_has_not_read() {
        let ids: [PluginId; 2] = ["echo", "new"].map(|id| id.parse().unwrap());
        let text = page(&status("<b>"), &ids, "");
        assert!(text.contains("href=\"/plugins/echo\"") && text.contains("href=\"/plugins/new\""), "{text}");
        assert!(!text.contains("<b>") && text.contains("&lt;b&gt;") && !text.contains(">Rooms<"), "{text}");
        let mut status = status("x");
        status.plugins[0].rooms = Some(vec!["den@m.example".to_owned()]);
        let text = page(&status, &ids, "");
        assert!(text.contains(">Rooms<") && text.contains("den@m.example") && text.contains("colspan=\"8\""), "{text}");
        status.plugins.clear();
        assert!(page(&status, &[], "").contains("There are no plugins."));
    }

    #[test]
    fn nodes_that_do_not_answer_are_named() {
        let mut status = status("x");
        status.nodes =
            serde_json::from_value(serde_json::json!([{ "name": "two", "error": "node two does not answer" }]))
                .unwrap();
        let text = page(&status, &[], "");
        assert!(text.contains("Not all is shown") && text.contains("node two does not answer"), "{text}");
    }

    #[test]
    fn each_of_five_thousand_plugins_is_on_one_page_and_those_that_need_attention_on_the_first() {
        let (status, ids) = (fleet(5_000), ["new".parse().unwrap()]);
        let text = page(&status, &ids, "");
        for words in ["a0003", "it failed too often", "The host has not read it yet.", "4999", "1 to 20 of 5001."] {
            assert!(text.contains(words), "no {words} in {text}");
        }
        let mut seen = BTreeSet::new();
        for number in 1..=51 {
            let text = page(&status, &ids, &format!("limit=100&page={number}"));
            assert!(text.len() < 256 << 10, "{} bytes", text.len());
            let names = text.split("<bdi>a").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
            seen.extend(names);
        }
        assert_eq!(seen.len(), 5_000);
    }

    #[tokio::test]
    async fn a_state_is_one_that_a_plugin_can_be_in() {
        let folder = tempfile::tempdir().unwrap();
        let visit = |path: &str| Visit::for_test(Role::Viewer, path, host_in(folder.path()));
        assert_eq!(list(visit("/plugins?state=x")).await.unwrap_err().status, 400);
        for state in ["attention", "unknown"] {
            assert!(list(visit(&format!("/plugins?state={state}"))).await.is_ok(), "{state}");
        }
    }

    #[test]
    fn plugins_are_found_by_group_account_state_and_words() {
        let (status, ids) = (fleet(3_000), ["new".parse().unwrap()]);
        for (query, says) in [
            ("group=g1", "1 to 20 of 1000."),
            ("account=a1007", "1 to 1 of 1."),
            ("state=attention", "1 to 1 of 1."),
            ("state=running&group=g0", "1 to 20 of 999."),
            ("words=ECHO a0003&state=quarantined", "1 to 1 of 1."),
            ("words=new", "1 to 1 of 1."),
            ("words=new&state=running", "No plugin is like that."),
            ("words=new&group=g0", "No plugin is like that."),
        ] {
            let text = page(&status, &ids, query);
            assert!(text.contains(says), "{query}: no {says} in {text}");
        }
        let text = page(&status, &ids, "state=attention");
        assert!(
            text.contains("<option value=\"attention\" selected>") && text.contains("it failed too often"),
            "{text}"
        );
    }
}
