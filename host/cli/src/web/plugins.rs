//! The list of plugins.

use std::collections::BTreeSet;
use std::sync::Arc;

use maud::{Markup, html};
use parlor::control::views::{Plugin, Status};
use parlor_base::id::PluginId;
use parlor_window::{Page, Problem, Reply, Role, Routes, state, stranger};

use super::host::{Host, Visit, look};
use super::parts::{cell, counts, kept_to, lacking, maybe, rows, silent_nodes, table};
use crate::fleet::{MANY, versions};
use crate::show::size;
use crate::status;

/// Adds the page.
pub(super) fn routes(routes: Routes<Arc<Host>>) -> Routes<Arc<Host>> {
    routes.page("/plugins", Role::Viewer, list)
}

async fn list(visit: Visit) -> Result<Reply, Problem> {
    let (status, ids) = look(&visit, |config, admin| {
        let ids: Vec<PluginId> = admin.policy()?.plugins.into_keys().collect();
        Ok((status::of(config)?, ids))
    })
    .await?;
    let link = |path: &str| visit.link(path);
    Ok(Page::new("Plugins", shown(&status, &ids, &link)).into())
}

/// A row of the list.
enum Listed<'a> {
    Plugin(&'a Plugin),
    /// The host reads the policy a moment after it was written.
    Unread(&'a PluginId),
}

fn shown(status: &Status, ids: &[PluginId], link: &dyn Fn(&str) -> String) -> Markup {
    let known: BTreeSet<&str> = status.plugins.iter().map(|plugin| plugin.id.as_str()).collect();
    let unread = ids.iter().filter(|id| !known.contains(id.as_str())).map(Listed::Unread);
    let mut listed: Vec<Listed<'_>> = status.plugins.iter().map(Listed::Plugin).chain(unread).collect();
    let are_many = listed.len() > MANY;
    if are_many {
        // The page has no room for all of a fleet: those that need attention are not the ones that it lacks.
        listed.sort_by_key(|one| matches!(one, Listed::Plugin(plugin) if !plugin.is_down() && !plugin.is_behind()));
    }
    let are_kept = status.plugins.iter().any(|plugin| plugin.rooms.is_some());
    let mut heads = vec!["Plugin", "Version", "State", "Account", "Events", "Sent", "Denied", "Memory"];
    heads.extend(are_kept.then_some("Rooms"));
    let row = |one: &Listed<'_>| match one {
        Listed::Plugin(plugin) => plugin_row(plugin, are_kept, link),
        Listed::Unread(id) => html! {
            tr {
                th scope="row" { a href=(link(&format!("/plugins/{id}"))) { (stranger(id.as_str())) } }
                td colspan=(heads.len() - 1) { "The host has not read it yet." }
            }
        },
    };
    html! {
        div data-live id="plugins" {
            (lacking(silent_nodes(status).as_deref()))
            @if listed.is_empty() { p { "There are no plugins." } } @else {
                @if are_many { (counts("By version and state", &versions(&status.plugins))) }
                (table("Each plugin on each of its accounts, since the host started", &heads, &rows(&listed, row)))
            }
        }
    }
}

fn plugin_row(plugin: &Plugin, are_kept: bool, link: &dyn Fn(&str) -> String) -> Markup {
    let record = plugin.record.clone().unwrap_or_default();
    html! {
        tr {
            th scope="row" { a href=(link(&format!("/plugins/{}", plugin.id))) { (stranger(&plugin.id)) } }
            td { (maybe(plugin.version.as_deref())) }
            td { (state(&plugin.state)) @if let Some(reason) = &plugin.reason { " " (cell(reason)) } }
            td { (maybe(plugin.account.as_deref())) }
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
    use super::*;

    #[test]
    fn each_plugin_is_listed_also_one_that_the_host_has_not_read() {
        let ids: [PluginId; 2] = ["echo", "new"].map(|id| id.parse().unwrap());
        let text = shown(&status("<b>"), &ids, &str::to_owned).into_string();
        assert!(text.contains("href=\"/plugins/echo\"") && text.contains("href=\"/plugins/new\""), "{text}");
        assert!(!text.contains("<b>") && text.contains("&lt;b&gt;") && !text.contains(">Rooms<"), "{text}");
        let mut status = status("x");
        status.plugins[0].rooms = Some(vec!["den@m.example".to_owned()]);
        let text = shown(&status, &ids, &str::to_owned).into_string();
        assert!(text.contains(">Rooms<") && text.contains("den@m.example") && text.contains("colspan=\"8\""), "{text}");
    }

    #[test]
    fn nodes_that_do_not_answer_are_named() {
        let mut status = status("x");
        status.nodes =
            serde_json::from_value(serde_json::json!([{ "name": "two", "error": "node two does not answer" }]))
                .unwrap();
        let text = shown(&status, &[], &str::to_owned).into_string();
        assert!(text.contains("Not all is shown") && text.contains("node two does not answer"), "{text}");
    }

    #[test]
    fn of_five_thousand_plugins_those_that_need_attention_are_listed() {
        let ids = ["new".parse().unwrap()];
        let text = shown(&crate::fleet::tests::fleet(5_000), &ids, &str::to_owned).into_string();
        assert!(text.len() < 128 << 10, "{} bytes", text.len());
        for words in ["a0003", "it failed too often", "The host has not read it yet.", "more are not shown.", "4999"] {
            assert!(text.contains(words), "no {words} in {text}");
        }
    }
}
