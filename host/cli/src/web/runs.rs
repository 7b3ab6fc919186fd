//! The activity of a plugin: its limits, schedules, webhooks and log, and the counts of the audit.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};
use parlor::control::audit::{Audit, Counted, Name};
use parlor::control::views::{Denied, Line, Plugin, Schedule, Schedules, Webhooks};
use parlor_window::{Role, scroll, state, stranger, stranger_text};

use super::host::Visit;
use super::parts::{cell, counts, kept_to, label, maybe, rows, table, when};
use crate::fleet::{MANY, versions};
use crate::show::{second, size, span};

/// The most rows of one table, and the most schedules.
const MOST: usize = 50;
/// On how many accounts at most each count is shown beside their sum.
const FEW: usize = 3;
/// The longest log, in bytes. A plugin that fills its page would hide there what it does, and the buttons that end it.
const LONGEST_LOG: usize = 128 << 10;

/// Shows how a plugin is on each of its accounts. Of many accounts it shows the counts, and those on which it does not run as it
/// should.
pub(super) fn states(plugins: &[Plugin]) -> Markup {
    let odd = plugins.iter().filter(|plugin| is_odd(plugin)).count();
    html! {
        @if plugins.len() > MANY { (counts("By version and state", &versions(plugins))) }
        @for plugin in one_by_one(plugins) { (facts(plugin)) }
        @if plugins.len() > MANY && odd > MANY {
            p { "It does not run as it should on " (odd - MANY) " more accounts; " code { "parlor status" } " names them." }
        }
    }
}

/// Returns the accounts that are shown one by one.
fn one_by_one(plugins: &[Plugin]) -> impl Iterator<Item = &Plugin> {
    let are_many = plugins.len() > MANY;
    plugins.iter().filter(move |plugin| !are_many || is_odd(plugin)).take(MANY)
}

fn is_odd(plugin: &Plugin) -> bool {
    plugin.is_down() || plugin.is_behind()
}

fn facts(plugin: &Plugin) -> Markup {
    html! {
        h2 { @if let Some(account) = &plugin.account { "On " (stranger(account)) } @else { "On no account" @if let Some(node) = &plugin.node { " of node " (stranger(node)) } } }
        dl.facts {
            dt { "State" }
            dd { (state(&plugin.state)) @if let Some(reason) = &plugin.reason { " " (cell(reason)) } }
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

/// Shows each limit of a plugin on its accounts, with its use.
pub(super) fn limits(plugins: &[Plugin]) -> Markup {
    html! { @for plugin in one_by_one(plugins) { (limits_on(plugin)) } }
}

fn limits_on(plugin: &Plugin) -> Markup {
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

/// Shows the calls that were denied lately on all accounts, the last first.
pub(super) fn denied(plugins: &[Plugin]) -> Markup {
    let each = plugins.iter().flat_map(|plugin| {
        let account = plugin.account.as_deref();
        plugin.denied.iter().map(move |denied| (account, denied))
    });
    let mut all: Vec<(Option<&str>, &Denied)> = each.collect();
    all.sort_by(|(_, one), (_, other)| other.at.cmp(&one.at));
    let row = |(account, one): &(Option<&str>, &Denied)| {
        html! {
            tr {
                th scope="row" { (when(&one.at)) }
                td { (maybe(*account)) }
                td { (cell(&one.permission)) }
                td { (maybe(one.scope.as_deref())) }
                td { (cell(&one.hint)) }
            }
        }
    };
    html! {
        @if !all.is_empty() {
            h3 { "Denied" }
            (table("Calls that were denied lately, the last one first",
                &["Time", "Account", "Permission", "For", "What would allow it"], &rows(&all, row)))
        }
    }
}

/// Shows the counts of the audit, and the recipients of the plugin's messages.
pub(super) fn activity(audit: &Audit) -> Markup {
    html! {
        @if audit.counts.is_empty() && audit.names.is_empty() { p { "Nothing was counted yet." } }
        @if !audit.counts.is_empty() { (sums(&audit.counts)) }
        @for (kind, title) in [
            ("recipient", "It wrote to"),
            ("server", "It asked over the web"),
            ("request", "Requests that it made over the web"),
            ("webhook", "Requests to its webhooks"),
            ("denial", "It was denied"),
        ] { (names(audit, kind, title)) }
    }
}

/// Shows the count of each action on all accounts together, and on each if they are few.
fn sums(counts: &[Counted]) -> Markup {
    let mut all = BTreeMap::<&str, Vec<&Counted>>::new();
    for count in counts {
        all.entry(count.name.as_str()).or_default().push(count);
    }
    html! {
        dl.facts {
            @for (name, each) in &all {
                dt { (stranger(name)) }
                dd {
                    @if each.len() > 1 {
                        (each.iter().fold(0_u64, |sum, one| sum.saturating_add(one.count))) " on " (each.len()) " accounts"
                    }
                    @if each.len() <= FEW {
                        @for (at, one) in each.iter().enumerate() {
                            @if at > 0 { ", " } @else if each.len() > 1 { ": " }
                            (one.count) " on " (stranger(&one.account))
                        }
                    }
                }
            }
        }
    }
}

/// Shows the names of a kind with their counts, the last ones first.
fn names(audit: &Audit, kind: &str, title: &str) -> Markup {
    let mut all: Vec<&Name> = audit.names.iter().filter(|name| name.kind == kind).collect();
    all.sort_by(|one, other| other.last.cmp(&one.last));
    let more = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    let has_bytes = all.iter().any(|name| name.sent.is_some());
    let mut heads = vec!["Whom or what", "Account", "Times"];
    if has_bytes {
        heads.extend(["Sent", "Received"]);
    }
    heads.push("Last");
    let row = |name: &&Name| {
        html! {
            tr {
                th scope="row" { (cell(&name.what)) }
                td { (cell(&name.account)) }
                td.number { (name.count) }
                @if has_bytes {
                    @for bytes in [name.sent, name.received] {
                        td.number { @if let Some(bytes) = bytes { (size(bytes)) } }
                    }
                }
                td { (when(&name.last)) }
            }
        }
    };
    html! {
        @if !all.is_empty() { (table(title, &heads, &rows(&all, row))) }
        @if more > 0 { p { (more) " more of earlier times are on the page “What became of it”." } }
    }
}

/// Shows the schedules, each with a button that pauses or resumes it.
pub(super) fn schedules(visit: &Visit, id: &str, all: &[Schedules]) -> Markup {
    let each = all.iter().flat_map(|of| of.schedules.iter().map(move |schedule| (of.account.as_str(), schedule)));
    let each: Vec<(&str, &Schedule)> = each.collect();
    html! {
        @if each.is_empty() { p { "It has none." } }
        @for (account, schedule) in each.iter().take(MOST) { (one_schedule(visit, id, account, schedule)) }
        @if each.len() > MOST {
            p { (each.len() - MOST) " more are not shown; " code { "parlor plugin schedules " (id) } " shows them." }
        }
    }
}

fn one_schedule(visit: &Visit, id: &str, account: &str, schedule: &Schedule) -> Markup {
    let Schedule { name, when, next, last, failed, paused, .. } = schedule;
    let fields = html! {
        input type="hidden" name="schedule" value=(name);
        input type="hidden" name="account" value=(account);
        input type="hidden" name="do" value=(if *paused { "resume" } else { "pause" });
        button.quiet type="submit" { @if *paused { "Let " (stranger(name)) " go on" } @else { "Pause " (stranger(name)) } }
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
        @if visit.may(Role::Operator.of_accounts()) { (visit.form(&format!("/plugins/{id}/schedule"), &fields)) }
    }
}

/// Shows the webhooks with their addresses, and the last requests to them.
pub(super) fn webhooks(visit: &Visit, id: &str, all: &[Webhooks]) -> Markup {
    let button = |path: &str, account: &str, (name, value): (&str, &str), text: &str| {
        // The number of a request says nothing by itself.
        let what = if name == "request" { format!("request {value}") } else { value.to_owned() };
        let fields = html! {
            input type="hidden" name="account" value=(account);
            input type="hidden" name=(name) value=(value);
            button.quiet type="submit" aria-label=(label(text, &what, account)) { (text) }
        };
        visit.form(&format!("/plugins/{id}/{path}"), &fields)
    };
    html! {
        @if all.iter().all(|of| of.webhooks.is_empty()) { p { "It has none." } }
        @for of in all.iter().take(MANY) {
            @for webhook in &of.webhooks {
                h3 { (stranger(&webhook.name)) " on " (stranger(&of.account)) }
                dl.facts {
                    dt { "Address" }
                    // The address is a secret: all who know it can send requests.
                    dd { @match &webhook.address {
                        Some(address) if visit.may(Role::Owner.of_accounts()) => { (stranger(address)) }
                        Some(_) => { "only owners see it" }
                        None => { "none: the configuration does not say where the host listens" }
                    } }
                    dt { "Verified by" }
                    dd { (stranger(&webhook.verification)) @if let Some(lacks) = &webhook.lacks { ", which lacks the setting " (stranger(lacks)) } @if let Some(former) = &webhook.former { "; the former " (stranger(&former.setting)) " counts, too, until " (stranger(&former.until)) } @for sender in &webhook.senders { "; its own secret has " (stranger(&sender.name)) } }
                }
                @if visit.may(Role::Owner.of_accounts()) { (button("rotate", &of.account, ("webhook", &webhook.name), "Give it another address")) }
            }
            @if !of.requests.is_empty() {
                @let table = html! {
                    table {
                        caption { "The last requests on " (stranger(&of.account)) }
                        thead { tr { @for head in ["Number", "Webhook", "When", "From", "State", "Change"] { th scope="col" { (head) } } } }
                        tbody {
                            @for request in of.requests.iter().take(MOST) {
                                tr {
                                    th scope="row" { (request.id) }
                                    td { (stranger(&request.webhook)) }
                                    td { (second(&request.at)) }
                                    td { (stranger(&request.sender)) }
                                    td { (stranger(&request.state)) @if let (Some(why), Some(next)) = (&request.failure, &request.next) { ": " (stranger(why)) "; again at " (second(next)) } }
                                    td { @let (path, text) = if request.state == "waiting" { ("drop", "Drop it") } else { ("replay", "Tell it again") }; @if visit.may(Role::Operator.of_accounts()) { (button(path, &of.account, ("request", &request.id.to_string()), text)) } }
                                }
                            }
                        }
                    }
                };
                (scroll(&format!("Requests on {}", stranger_text(&of.account)), &table))
            }
        }
        @if all.len() > MANY {
            p { (all.len() - MANY) " more accounts are not shown; " code { "parlor plugin hooks " (id) } " shows them." }
        }
    }
}

/// Shows lines of the log, the last one at the end.
pub(super) fn log(lines: &[Line]) -> Markup {
    let (mut shown, mut bytes) = (Vec::new(), 0);
    for line in lines.iter().rev() {
        let line = log_line(line).into_string();
        bytes += line.len();
        if bytes > LONGEST_LOG {
            break;
        }
        shown.push(line);
    }
    let left = lines.len() - shown.len();
    html! {
        @if left > 0 { p.hint { (left) " earlier lines are too long for this page; " code { "parlor logs" } " shows them." } }
        pre.log tabindex="0" role="log" aria-label="Log" {
            @for line in shown.into_iter().rev() { (PreEscaped(line)) }
        }
    }
}

fn log_line(line: &Line) -> Markup {
    html! {
        (second(&line.at)) " " (line.level) " " (stranger(&line.message))
        @for (name, value) in line.fields.iter().filter(|(name, _)| *name != "plugin") { " " (cell(&format!("{name}={value}"))) }
        "\n"
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
    fn counts_are_added_up_and_those_of_a_few_accounts_stand_beside_the_sum() {
        let count = |account: &str, name: &str, count: u64| Counted {
            plugin: "echo".to_owned(),
            account: account.to_owned(),
            name: name.to_owned(),
            count,
        };
        let few = sums(&[count("main", "sent", 5), count("two", "sent", 2), count("main", "starts", 1)]).into_string();
        let text: String = few.split('<').filter_map(|part| Some(part.split_once('>')?.1)).collect();
        assert_eq!(text, "sent7 on 2 accounts: 5 on main, 2 on twostarts1 on main");
        let many: Vec<_> = (0..31).map(|number| count(&format!("a{number}"), "starts", 1)).collect();
        let many = sums(&many).into_string();
        assert!(many.contains("31 on 31 accounts") && many.matches("<dt>").count() == 1, "{many}");
    }

    #[test]
    fn a_button_marks_the_name_that_a_plugin_gave_its_schedule() {
        let schedule: Schedule = serde_json::from_value(serde_json::json!({
            "name": "it, and grant it all", "when": "once", "next": null, "due": null, "attempts": 0, "missed": 0, "last": null,
            "failed": false, "paused": false,
        }))
        .unwrap();
        let all = [Schedules {
            plugin: "echo".to_owned(),
            account: "main".to_owned(),
            node: None,
            schedules: vec![schedule],
        }];
        let host = std::sync::Arc::new(super::super::host::Host::new(super::super::tests::target()));
        let text = schedules(&Visit::for_test(Role::Operator, "/plugins/echo", host), "echo", &all).into_string();
        assert!(text.contains("type=\"submit\">Pause <span class=\"stranger\" dir=\"auto\"><bdi>it, and"), "{text}");
    }

    #[test]
    fn only_owners_see_where_requests_are_sent() {
        let webhook = serde_json::from_value(serde_json::json!({
            "name": "ci", "address": "https://x.example/hooks/echo/ci/token", "mode": "queue", "verification": "<script>", "lacks": null,
            "senders": [{ "name": "<script>" }],
        }))
        .unwrap();
        let request = |id: i64, state: &str| {
            serde_json::from_value(serde_json::json!({
                "id": id, "webhook": "ci", "at": "2026-11-20T08:00:00Z", "sender": "<script>", "method": "POST", "bytes": 0, "attempts": 1, "state": state, "status": null, "failure": "<script>", "next": "<script>",
            })).unwrap()
        };
        let all = [Webhooks {
            account: "main".to_owned(),
            node: None,
            webhooks: vec![webhook],
            waiting: 0,
            requests: vec![request(7, "told"), request(8, "waiting")],
        }];
        let host = std::sync::Arc::new(super::super::host::Host::new(super::super::tests::target()));
        let visit = |role| Visit::for_test(role, "/plugins/echo", std::sync::Arc::clone(&host));
        let shown = |role| webhooks(&visit(role), "echo", &all).into_string();
        assert!(!shown(Role::Viewer).contains("token") && !shown(Role::Operator).contains("token"));
        let text = shown(Role::Owner);
        assert!(text.contains("token") && text.contains("name=\"webhook\" value=\"ci\""), "{text}");
        assert!(!text.contains("<script") && text.matches("&lt;script&gt;").count() >= 6, "{text}");
        for label in
            ["Give it another address: ci on main", "Tell it again: request 7 on main", "Drop it: request 8 on main"]
        {
            assert!(text.contains(&format!("aria-label=\"{label}\">")), "no {label} in {text}");
        }
    }

    /// Neither a plugin nor a fleet may make the page so long that it is not sent: it has the buttons that end the plugin.
    #[test]
    fn whatever_a_plugin_says_and_on_however_many_accounts_its_page_is_not_too_long() {
        let long = "\"".repeat(4 << 10);
        let denied_call = Denied {
            at: "2026-11-20T08:00:00Z".to_owned(),
            permission: "messages.send".to_owned(),
            scope: Some(long.clone()),
            hint: long.clone(),
        };
        let mut plugins = crate::fleet::tests::fleet(5_000).plugins;
        for (number, plugin) in plugins.iter_mut().enumerate() {
            plugin.reason = Some(long.clone());
            plugin.denied = vec![denied_call.clone(); if number < 50 { 20 } else { 0 }];
        }
        let name = |number: usize| Name {
            account: format!("a{number}"),
            kind: ["recipient", "denial"][number % 2].to_owned(),
            what: long.clone(),
            first: "2026-11-20T08:00:00Z".to_owned(),
            last: format!("2026-11-20T08:00:{:02}Z", number % 60),
            count: 1,
            sent: None,
            received: None,
        };
        let count = |number: usize| Counted {
            plugin: "echo".to_owned(),
            account: format!("a{number}"),
            name: "sent".to_owned(),
            count: 2,
        };
        let audit = Audit {
            entries: Vec::new(),
            counts: (0..5_000).map(count).collect(),
            names: (0..5_000).map(name).collect(),
        };
        let line = Line {
            number: 1,
            at: "2026-11-20T08:00:00Z".to_owned(),
            level: "info".to_owned(),
            target: "plugin".to_owned(),
            message: long.clone(),
            fields: [("to".to_owned(), long.clone())].into(),
        };
        let lines = vec![line; 60];
        let parts = [states(&plugins), denied(&plugins), limits(&plugins), activity(&audit), log(&lines)];
        let text: String = parts.into_iter().map(Markup::into_string).collect();
        assert!(text.len() < 640 << 10, "{} bytes", text.len());
        for words in [
            "more accounts; ",
            "more are not shown.",
            "10000 on 5000 accounts",
            "2450 more of earlier times",
            "earlier lines are too long",
        ] {
            assert!(text.contains(words), "no {words:?}");
        }
    }
}
