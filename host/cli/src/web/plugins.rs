//! The list of plugins.

use std::sync::Arc;

use maud::{Markup, html};
use parlor::control::views::Status;
use parlor_base::id::PluginId;
use parlor_window::{Page, Problem, Reply, Role, Routes, scroll, state, stranger};

use super::host::{Host, Visit, look};
use super::parts::kept_to;
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

fn shown(status: &Status, ids: &[PluginId], link: &dyn Fn(&str) -> String) -> Markup {
    // The host reads the policy a moment after it was written.
    let unknown = ids.iter().filter(|id| status.plugins.iter().all(|plugin| plugin.id != id.as_str()));
    let are_kept = status.plugins.iter().any(|plugin| plugin.rooms.is_some());
    let table = html! {
        table {
            caption { "Each plugin on each of its accounts, since the host started" }
            thead {
                tr {
                    @for head in ["Plugin", "Version", "State", "Account", "Events", "Sent", "Denied", "Memory"] {
                        th scope="col" { (head) }
                    }
                    @if are_kept { th scope="col" { "Rooms" } }
                }
            }
            tbody {
                @for plugin in &status.plugins {
                    tr {
                        th scope="row" { a href=(link(&format!("/plugins/{}", plugin.id))) { (stranger(&plugin.id)) } }
                        td { @if let Some(version) = &plugin.version { (stranger(version)) } @else { "–" } }
                        td { (state(&plugin.state)) @if let Some(reason) = &plugin.reason { " " (stranger(reason)) } }
                        td { @if let Some(account) = &plugin.account { (stranger(account)) } @else { "–" } }
                        @let record = plugin.record.clone().unwrap_or_default();
                        td.number { (record.handled) }
                        td.number { (record.sent) }
                        td.number { (record.denials) }
                        td.number { @if let Some(usage) = &plugin.usage { (size(usage.memory)) } @else { "–" } }
                        @if are_kept { td { @if let Some(rooms) = &plugin.rooms { (kept_to(rooms)) } @else { "all" } } }
                    }
                }
                @for id in unknown {
                    tr {
                        th scope="row" { a href=(link(&format!("/plugins/{id}"))) { (stranger(id.as_str())) } }
                        td colspan=(7 + usize::from(are_kept)) { "The host has not read it yet." }
                    }
                }
            }
        }
    };
    html! {
        div data-live id="plugins" {
            @if status.plugins.is_empty() && ids.is_empty() { p { "There are no plugins." } } @else { (scroll("Plugins", &table)) }
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
}
