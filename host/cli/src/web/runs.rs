//! The activity of a plugin: its limits, schedules, webhooks and log, and the counts of the audit.

use maud::{Markup, html};
use parlor::control::audit::Audit;
use parlor::control::views::{Denied, Line, Plugin, Schedule, Schedules, Webhooks};
use parlor_window::{Role, scroll, state, stranger, stranger_text};

use super::host::Visit;
use super::parts::kept_to;
use crate::show::{second, size, span};

/// The most rows of one table.
const MOST: usize = 50;

/// Shows how a plugin is on each of its accounts.
pub(super) fn facts(plugin: &Plugin) -> Markup {
    html! {
        h2 { @if let Some(account) = &plugin.account { "On " (stranger(account)) } @else { "On no account" } }
        dl.facts {
            dt { "State" }
            dd { (state(&plugin.state)) @if let Some(reason) = &plugin.reason { " " (stranger(reason)) } }
            @if let Some(rooms) = &plugin.rooms {
                dt { "Kept to rooms" }
                dd { (kept_to(rooms)) ", and sees and does nothing in others" }
            }
            @if let Some(usage) = &plugin.usage {
                dt { "Running for" }
                dd { (span(usage.uptime)) }
                dt { "Processor (%)" }
                dd { (percent(usage.cpu_share)) " of a core on average, at most " (percent(usage.cpu_limit)) @if usage.slowed { ", slowed down now" } }
                dt { "Memory (MiB)" }
                dd { (mebibytes(usage.memory)) " of " (mebibytes(usage.memory_limit)) }
            }
            @if let Some(record) = &plugin.record {
                dt { "Since the host started" }
                dd {
                    (record.handled) " events, " (record.sent) " stanzas sent, " (record.requests) " requests over the web, "
                    (record.denials) " calls denied, " (record.lost) " events lost, " (plugin.restarts) " restarts"
                }
            }
            @if !plugin.commands.is_empty() {
                dt { "Commands" }
                dd { @for (name, called) in &plugin.commands { (stranger(called)) @if name != called { " (" (stranger(name)) ")" } " " } }
            }
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// Shows each limit of a plugin on an account, with its use.
pub(super) fn limits(plugin: &Plugin) -> Markup {
    let (limits, account) = (&plugin.limits, plugin.account.as_deref().unwrap_or("no account"));
    let table = html! {
        table {
            caption { "Its limits on " (stranger(account)) ", and how much of them it uses" }
            thead { tr { th scope="col" { "Limit" } th scope="col" { "Used" } th scope="col" { "Of" } } }
            tbody {
                @for limit in limits {
                    tr {
                        th scope="row" { (limit.name) }
                        td.number { @if let Some(used) = limit.used { (number(&limit.name, used)) } @else { "–" } }
                        td.number { (stranger(&limit.of)) }
                    }
                }
            }
        }
    };
    html! {
        @if !limits.is_empty() {
            details {
                summary { "Limits on " (stranger(account)) }
                (scroll(&format!("Limits on {}", stranger_text(account)), &table))
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes are whole numbers of bytes")]
fn number(name: &str, used: f64) -> String {
    match name {
        "memory" | "host_memory" | "storage" | "storage_per_second" | "bytes_per_second" => size(used as u64),
        _ if used.fract() == 0.0 => format!("{used}"),
        _ => format!("{used:.3}"),
    }
}

/// Shows the last calls that were denied, the last first.
pub(super) fn denied(denied: &[Denied]) -> Markup {
    html! {
        @if !denied.is_empty() {
            h3 { "Denied" }
            ul {
                @for one in denied.iter().rev().take(MOST) {
                    li {
                        time { (second(&one.at)) } " " (stranger(&one.permission))
                        @if let Some(scope) = &one.scope { " for " (stranger(scope)) }
                        ": " (stranger(&one.hint))
                    }
                }
            }
        }
    }
}

/// Shows the counts of the audit, and the recipients of the plugin's messages.
pub(super) fn activity(audit: &Audit) -> Markup {
    html! {
        @if audit.counts.is_empty() && audit.names.is_empty() { p { "Nothing was counted yet." } }
        @if !audit.counts.is_empty() {
            dl.facts {
                @for count in &audit.counts {
                    dt { (stranger(&count.name)) }
                    dd { (count.count) " on " (stranger(&count.account)) }
                }
            }
        }
        @for (kind, title) in [
            ("recipient", "It wrote to"),
            ("server", "It asked over the web"),
            ("request", "Requests that it made over the web"),
            ("webhook", "Requests to its webhooks"),
            ("denial", "It was denied"),
        ] {
            @let names: Vec<_> = audit.names.iter().filter(|name| name.kind == kind).take(MOST).collect();
            @let has_bytes = names.iter().any(|name| name.sent.is_some());
            @if !names.is_empty() {
                @let table = html! {
                    table {
                        caption { (title) }
                        thead {
                            tr {
                                @for head in ["Whom or what", "Account", "Times"] { th scope="col" { (head) } }
                                @if has_bytes { @for head in ["Sent", "Received"] { th scope="col" { (head) } } }
                                th scope="col" { "Last" }
                            }
                        }
                        tbody {
                            @for name in names {
                                tr {
                                    th scope="row" { (stranger(&name.what)) }
                                    td { (stranger(&name.account)) }
                                    td.number { (name.count) }
                                    @if has_bytes {
                                        @for bytes in [name.sent, name.received] {
                                            td.number { @if let Some(bytes) = bytes { (size(bytes)) } }
                                        }
                                    }
                                    td { (second(&name.last)) }
                                }
                            }
                        }
                    }
                };
                (scroll(title, &table))
            }
        }
    }
}

/// Shows the schedules, each with a button that pauses or resumes it.
pub(super) fn schedules(visit: &Visit, id: &str, all: &[Schedules]) -> Markup {
    html! {
        @if all.iter().all(|of| of.schedules.is_empty()) { p { "It has none." } }
        @for of in all {
            @for schedule in &of.schedules { (one_schedule(visit, id, &of.account, schedule)) }
        }
    }
}

fn one_schedule(visit: &Visit, id: &str, account: &str, schedule: &Schedule) -> Markup {
    let Schedule { name, when, next, last, failed, paused, .. } = schedule;
    let fields = html! {
        input type="hidden" name="schedule" value=(name);
        input type="hidden" name="account" value=(account);
        input type="hidden" name="do" value=(if *paused { "resume" } else { "pause" });
        button.quiet type="submit" { @if *paused { "Let " (name) " go on" } @else { "Pause " (name) } }
    };
    html! {
        h3 { (stranger(name)) " on " (stranger(account)) }
        dl.facts {
            dt { "When" }
            dd { (stranger(when)) @if *paused { ", paused" } }
            dt { "Next" }
            dd { @if let Some(next) = next { (second(next)) } @else { "–" } }
            @if let Some(last) = last { dt { "Last" } dd { (second(last)) @if *failed { ", it failed" } } }
        }
        @if visit.may(Role::Operator) { (visit.form(&format!("/plugins/{id}/schedule"), &fields)) }
    }
}

/// Shows the webhooks with their addresses, and the last requests to them.
pub(super) fn webhooks(visit: &Visit, id: &str, all: &[Webhooks]) -> Markup {
    let button = |path: &str, account: &str, (name, value): (&str, &str), text: &str| {
        let fields = html! {
            input type="hidden" name="account" value=(account);
            input type="hidden" name=(name) value=(value);
            button.quiet type="submit" { (text) }
        };
        visit.form(&format!("/plugins/{id}/{path}"), &fields)
    };
    html! {
        @if all.iter().all(|of| of.webhooks.is_empty()) { p { "It has none." } }
        @for of in all {
            @for webhook in &of.webhooks {
                h3 { (stranger(&webhook.name)) " on " (stranger(&of.account)) }
                dl.facts {
                    dt { "Address" }
                    // The address is a secret: all who know it can send requests.
                    dd { @match &webhook.address {
                        Some(address) if visit.may(Role::Owner) => { (stranger(address)) }
                        Some(_) => { "only owners see it" }
                        None => { "none: the configuration does not say where the host listens" }
                    } }
                    dt { "Verified by" }
                    dd { (stranger(&webhook.verification)) @if let Some(lacks) = &webhook.lacks { ", which lacks the setting " (stranger(lacks)) } }
                }
                @if visit.may(Role::Owner) { (button("rotate", &of.account, ("webhook", &webhook.name), "Give it another address")) }
            }
            @if !of.requests.is_empty() {
                @let table = html! {
                    table {
                        caption { "The last requests on " (stranger(&of.account)) }
                        thead { tr { @for head in ["Number", "Webhook", "When", "From", "State", "Again"] { th scope="col" { (head) } } } }
                        tbody {
                            @for request in of.requests.iter().take(MOST) {
                                tr {
                                    th scope="row" { (request.id) }
                                    td { (stranger(&request.webhook)) }
                                    td { (second(&request.at)) }
                                    td { (stranger(&request.sender)) }
                                    td { (stranger(&request.state)) }
                                    td { @if visit.may(Role::Operator) { (button("replay", &of.account, ("request", &request.id.to_string()), "Tell it again")) } }
                                }
                            }
                        }
                    }
                };
                (scroll(&format!("Requests on {}", stranger_text(&of.account)), &table))
            }
        }
    }
}

/// Shows lines of the log, the last one at the end.
pub(super) fn log(lines: &[Line]) -> Markup {
    html! {
        pre.log tabindex="0" role="log" aria-label="Log" {
            @for line in lines {
                (second(&line.at)) " " (line.level) " " (stranger(&line.message))
                @for (name, value) in line.fields.iter().filter(|(name, _)| *name != "plugin") { " " (stranger(&format!("{name}={value}"))) }
                "\n"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_lines_whatever_stands_in_them() {
        let line = Line {
            number: 1,
            at: "2026-11-20T08:00:00.5Z".to_owned(),
            level: "info".to_owned(),
            target: "plugin".to_owned(),
            message: "</pre><script>x\n".to_owned(),
            fields: [("plugin".to_owned(), "echo".to_owned()), ("to".to_owned(), "a\"b".to_owned())].into(),
        };
        let text = log(&[line]).into_string();
        assert!(
            text.contains("2026-11-20 08:00:00 info ") && text.contains("&lt;/pre&gt;&lt;script&gt;x\\u{a}"),
            "{text}"
        );
        assert!(text.contains("to=a&quot;b") && !text.contains("plugin=echo"), "{text}");
    }

    #[test]
    fn only_owners_see_where_requests_are_sent() {
        let webhook = parlor::control::views::Webhook {
            name: "ci".to_owned(),
            address: Some("https://x.example/hooks/echo/ci/token".to_owned()),
            mode: "queue".to_owned(),
            verification: "github".to_owned(),
            lacks: None,
        };
        let all = [Webhooks { account: "main".to_owned(), webhooks: vec![webhook], waiting: 0, requests: Vec::new() }];
        let shown = |role| {
            let host = super::super::host::Host::new(super::super::tests::target());
            webhooks(&Visit::for_test(role, "/plugins/echo", std::sync::Arc::new(host)), "echo", &all).into_string()
        };
        assert!(!shown(Role::Viewer).contains("token") && !shown(Role::Operator).contains("token"));
        assert!(shown(Role::Owner).contains("token") && shown(Role::Owner).contains("name=\"webhook\" value=\"ci\""));
    }
}
