//! Renders the screen of `parlor top`. The host's texts are escaped once more, since a terminal would interpret them.

use std::time::{Duration, Instant};

use parlor::control::VERSION;
use parlor::control::views::{self, Account, Plugin, Room, Status};
use parlor_base::escape::escape_untrusted;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, Clear, Paragraph, Row, Table, TableState};

use super::state::{Column, Log, Order, Top, View, columns, row_id};
use crate::show::{Put as _, moment, on_node, second, size, span};

/// The smallest usable size.
const LEAST: (u16, u16) = (40, 10);
/// How many accounts are shown.
const ACCOUNTS: usize = 3;
/// From which age on the screen warns that its content is old.
const OLD: Duration = Duration::from_secs(5);
/// The longest text of a cell, in bytes; longer than any screen.
const LONGEST: usize = 1 << 10;

/// The keys, for the help.
const KEYS: [(&str, &str); 13] = [
    ("↑ ↓ PgUp PgDn Home End", "select a plugin"),
    ("← →  or  S s", "sort by another column"),
    ("i", "sort the other way round"),
    ("/", "show only those whose id, account or state has this"),
    ("Esc", "all of them again"),
    ("l  or  Enter", "the log of the plugin; ← → moves long lines"),
    ("r", "restart the plugin, after a question"),
    ("d", "disable the plugin on all accounts, after a question"),
    ("e", "enable it"),
    ("?  or  h", "this"),
    ("q  or  Ctrl-C", "leave"),
    ("", "CPU and EV/S are of the last second;"),
    ("", "EVENTS, SENT and DENIED since the plugin started."),
];

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, top: &mut Top, now: Instant) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("too small: {} × {} at least", LEAST.0, LEAST.1);
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let mut accounts = accounts(&top.status.accounts, area.width);
    accounts.extend(faults(&top.status));
    let heads = u16::try_from(accounts.len()).unwrap_or(u16::MAX);
    let [head, accounts_area, _, body, message, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(heads),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(title(top, now)), head);
    frame.render_widget(Paragraph::new(Text::from(accounts)), accounts_area);
    match &top.view {
        View::Logs(log) => logs(frame, body, log),
        View::Help => help(frame, body),
        View::Plugins | View::Filter | View::Confirm(_) => plugins(frame, body, top),
    }
    frame.render_widget(Paragraph::new(say(top, now)), message);
    frame.render_widget(Paragraph::new(keys(top)).style(Style::new().add_modifier(Modifier::DIM)), foot);
}

fn safe(text: &str) -> String {
    escape_untrusted(text, LONGEST)
}

fn title(top: &Top, now: Instant) -> Line<'static> {
    let running = top.status.plugins.iter().filter(|plugin| plugin.runs()).count();
    let filter = if top.filter.is_empty() { String::new() } else { format!(", shown: /{}", safe(&top.filter)) };
    let count = format!("  {running} of {} run{filter}", top.status.plugins.len());
    match &top.status.host {
        Some(host) => {
            // The last state stays visible until the host is back.
            let gone = top.trouble.as_ref().map(|_| format!("  as of {} ago", span(top.age(now).as_secs())));
            let other = if host.version == VERSION { "" } else { "  (of another version than this command)" };
            Line::from(vec![
                format!("parlor {}", safe(&host.version)).bold(),
                format!("  up {}, process {}, {}", span(host.uptime), host.pid, size(host.memory)).into(),
                count.into(),
                gone.unwrap_or_default().yellow(),
                other.yellow(),
            ])
        }
        None => Line::from(vec!["stopped".bold(), count.into()]),
    }
}

/// Returns the lines of the accounts, disconnected ones first, for a screen of this width.
fn accounts(all: &[Account], width: u16) -> Vec<Line<'static>> {
    let mut sorted: Vec<_> = all.iter().collect();
    sorted.sort_by_key(|account| account.is_reached());
    let shown = if sorted.len() > ACCOUNTS { ACCOUNTS - 1 } else { sorted.len() };
    let mut lines: Vec<_> = sorted[..shown].iter().map(|account| account_line(account, width)).collect();
    if sorted.len() > shown {
        lines.push(Line::from(format!("and {} more accounts; `parlor status` says more", sorted.len() - shown)).dim());
    }
    lines
}

/// Returns why a file is not in force, why webhooks cannot be listened for, which components are not connected, and which nodes of
/// the cluster do not answer. The errors are shown even if there is little room.
fn faults(status: &Status) -> impl Iterator<Item = Line<'static>> {
    let silent = status.nodes.iter().filter_map(|node| node.error.as_ref());
    let files = status.faults().map(|(file, error)| Line::from(format!("{file} not in force: {}", safe(error))).red());
    let own = status.host_ills().map(|says| Line::from(safe(&says)).red());
    files.chain(own).chain(silent.map(|error| Line::from(safe(error)).red()))
}

fn account_line(account: &Account, width: u16) -> Line<'static> {
    let colour = match account.connection.as_str() {
        "connected" => Color::Green,
        "failed" => Color::Red,
        Account::ASLEEP => Color::DarkGray,
        _ => Color::Yellow,
    };
    let reason = account.reason.as_ref().map(|reason| format!(": {}", safe(reason))).unwrap_or_default();
    let rooms = account.in_rooms().map(|rooms| format!("  {rooms}")).unwrap_or_default();
    let is_out = account.rooms.iter().any(Room::is_lost);
    let mut parts: Vec<Span<'static>> = vec![
        format!("{}  ", safe(&account.name)).into(),
        Span::styled(safe(&account.connection), colour),
        format!("  {}{}", safe(&account.jid), safe(&on_node(account.node.as_deref()))).into(),
        if is_out { rooms.yellow() } else { rooms.into() },
        reason.into(),
    ];
    for more in past(account) {
        // The reason matters most, so the past has what room it leaves.
        if parts.iter().map(Span::width).sum::<usize>() + more.chars().count() > usize::from(width) {
            break;
        }
        parts.push(Span::from(more).dim());
    }
    Line::from(parts)
}

/// Returns since when an account is not connected, and its last error if that is not the reason.
fn past(account: &Account) -> Vec<String> {
    if account.connection == "connected" {
        return Vec::new();
    }
    let since = account.since.as_deref().map(|since| format!(", since {}", safe(&second(since))));
    let last = account.last_error.as_ref().filter(|last| account.reason.as_ref() != Some(&last.why));
    let last = last.map(|last| format!(", last error at {}: {}", safe(&second(&last.at)), safe(&last.why)));
    since.into_iter().chain(last).collect()
}

fn plugins(frame: &mut Frame<'_>, area: Rect, top: &mut Top) {
    let [table_area, detail] = Layout::vertical([Constraint::Fill(1), Constraint::Length(2)]).areas(area);
    let columns = columns(area.width);
    top.shown = columns.iter().map(|(column, _, _)| *column).collect();
    let head = columns.iter().map(|(column, name, width)| {
        let mark = match (*column == top.sort, top.descending) {
            (false, _) => "",
            (true, true) => "▼",
            (true, false) => "▲",
        };
        let text = format!("{name}{mark}");
        Cell::from(if is_amount(*column) { format!("{text:>0$}", usize::from(*width)) } else { text })
    });
    let rows = top.rows().into_iter().map(|plugin| {
        let cells = columns.iter().map(|(column, _, width)| cell(top, plugin, *column, usize::from(*width)));
        Row::new(cells.collect::<Vec<_>>())
    });
    let widths = columns.iter().enumerate().map(|(at, (_, _, width))| match at {
        // People look for ids, so this column gets the remaining width.
        0 => Constraint::Min(*width),
        _ => Constraint::Length(*width),
    });
    let head = Row::new(head.collect::<Vec<_>>()).style(Style::new().add_modifier(Modifier::BOLD));
    let table = Table::new(rows.collect::<Vec<_>>(), widths.collect::<Vec<_>>())
        .header(head)
        .column_spacing(1)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(top.selected_at());
    frame.render_stateful_widget(table, table_area, &mut state);
    let text = match (top.selected(), top.status.plugins.is_empty()) {
        (Some(plugin), _) => about(plugin, top.requests_waiting(plugin)),
        (None, true) => Text::from("no plugins; `parlor plugin add FILE` adds one"),
        (None, false) => Text::from("no plugin is like that; Esc shows all"),
    };
    frame.render_widget(Paragraph::new(text), detail);
}

/// Returns whether a column holds amounts, which are right-aligned.
fn is_amount(column: Column) -> bool {
    !matches!(column, Column::Plugin | Column::Version | Column::Account | Column::State)
}

fn cell(top: &Top, plugin: &Plugin, column: Column, width: usize) -> Cell<'static> {
    let usage = plugin.usage.as_ref();
    let used = |of: fn(&views::Usage) -> String| usage.map_or_else(|| "-".to_owned(), of);
    let lately = top.rates.get(&row_id(plugin));
    let text = match column {
        Column::Plugin => safe(&plugin.id),
        Column::Version => plugin.version.as_deref().map_or_else(|| "-".to_owned(), safe),
        Column::Account => plugin.account.as_deref().map_or_else(|| "-".to_owned(), safe),
        Column::State => return state(plugin),
        Column::Up => used(|usage| span(usage.uptime)),
        Column::Events => used(|usage| usage.handled.to_string()),
        Column::Rate => lately.map_or_else(|| "-".to_owned(), |rate| format!("{:.0}", rate.events)),
        Column::Sent => used(|usage| usage.sent.to_string()),
        Column::Cpu => lately.map_or_else(|| "-".to_owned(), |rate| format!("{:.1}%", rate.cpu * 100.0)),
        Column::Memory => used(|usage| size(usage.memory)),
        Column::Denied => used(|usage| usage.denials.to_string()),
        Column::Restarts => plugin.restarts.to_string(),
    };
    let is_bad = match column {
        Column::Denied => usage.is_some_and(|usage| usage.denials > 0),
        Column::Restarts => plugin.restarts > 0,
        Column::Memory => usage.is_some_and(|usage| usage.memory > usage.memory_limit / 10 * 9),
        _ => false,
    };
    let text = if is_amount(column) { format!("{text:>width$}") } else { text };
    Cell::from(if is_bad { text.yellow() } else { Span::from(text) })
}

fn state(plugin: &Plugin) -> Cell<'static> {
    let slowed = plugin.usage.as_ref().is_some_and(|usage| usage.slowed) && plugin.state == "running";
    let (text, colour) = match plugin.state.as_str() {
        "running" if slowed => ("slowed".to_owned(), Color::Yellow),
        "running" => ("running".to_owned(), Color::Green),
        "parked" => ("parked".to_owned(), Color::Blue),
        "refused" | "quarantined" => (safe(&plugin.state), Color::Red),
        "disabled" | "stopped" => (safe(&plugin.state), Color::DarkGray),
        _ => (safe(&plugin.state), Color::Yellow),
    };
    Cell::from(Span::styled(text, colour))
}

/// Returns the details that the columns have no room for, with the number of requests to its webhooks that wait.
fn about(plugin: &Plugin, waiting: Option<u64>) -> Text<'static> {
    let on = plugin.account.as_ref().map(|account| format!(" on {}", safe(account))).unwrap_or_default();
    let version = plugin.version.as_ref().map(|version| format!(" {}", safe(version))).unwrap_or_default();
    let mut line = format!("{}{version}{on}: {}", safe(&plugin.id), safe(&plugin.state));
    if let Some(usage) = &plugin.usage {
        line = format!(
            "{line} for {}, sent {}, {} of {}",
            span(usage.uptime),
            usage.sent,
            size(usage.memory),
            size(usage.memory_limit)
        );
    }
    if plugin.restarts > 0 {
        line = format!("{line}, restarts {}", plugin.restarts);
    }
    line = match waiting {
        None | Some(0) => line,
        Some(1) => format!("{line}, 1 request waits"),
        Some(count) => format!("{line}, {count} requests wait"),
    };
    if let Some(record) = plugin.record.as_ref().filter(|record| record.requests > 0) {
        let (requests, sent, received) = (record.requests, size(record.web_sent), size(record.web_received));
        line = format!("{line}, {requests} requests over the web ({sent} out, {received} in)");
    }
    let second = match &plugin.reason {
        Some(reason) => Line::from(safe(reason)).yellow(),
        None => Line::from(format!("from {}", safe(&plugin.source))).dim(),
    };
    Text::from(vec![Line::from(line), second])
}

fn logs(frame: &mut Frame<'_>, area: Rect, log: &Log) {
    frame.render_widget(Clear, area);
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let still = if log.back > 0 { ", held; End goes on" } else { "" };
    frame.render_widget(Paragraph::new(format!("log of {}{still}", log.plugin).bold()), head);
    let lines = match &log.lines {
        None => vec![Line::from("…")],
        Some(lines) if lines.is_empty() => vec![Line::from("it has said nothing yet")],
        Some(lines) => {
            let end = lines.len().saturating_sub(log.back);
            let start = end.saturating_sub(usize::from(body.height));
            lines[start..end].iter().map(|line| log_line(line, log.aside)).collect()
        }
    };
    frame.render_widget(Paragraph::new(Text::from(lines)), body);
}

fn log_line(line: &views::Line, aside: usize) -> Line<'static> {
    // The time alone: the user of a live view knows the day.
    let at: String = moment(&line.at).chars().skip(11).collect();
    let colour = match line.level.as_str() {
        "error" => Color::Red,
        "warn" => Color::Yellow,
        _ => Color::DarkGray,
    };
    let account = line.fields.get("account").map(|account| format!("{account} ")).unwrap_or_default();
    let fields = line.fields.iter().filter(|(name, _)| !["plugin", "account"].contains(&name.as_str()));
    let mut text = format!("{account}{}", line.message);
    for (name, value) in fields {
        text.put(format_args!(" {name}={value}"));
    }
    let text = safe(&text);
    Line::from(vec![
        format!("{} ", safe(&at)).dim(),
        Span::styled(format!("{:5} ", safe(&line.level)), colour),
        text.chars().skip(aside).collect::<String>().into(),
    ])
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let lines = KEYS.iter().map(|(keys, what)| Line::from(vec![format!("{keys:24}").bold(), (*what).into()]));
    frame.render_widget(Paragraph::new(Text::from(lines.collect::<Vec<_>>())), area);
}

/// Returns the line above the keys: a question, a command in progress, or its result.
fn say(top: &Top, now: Instant) -> Line<'static> {
    if let View::Confirm(order) = &top.view {
        return Line::from(format!("{} y/n", question(order))).bold();
    }
    if top.view == View::Filter {
        return Line::from(format!("/{}_", safe(&top.filter))).bold();
    }
    if let Some(trouble) = &top.trouble {
        return Line::from(safe(trouble)).red();
    }
    if top.age(now) > OLD {
        return Line::from(format!("the host has not answered for {}", span(top.age(now).as_secs()))).yellow();
    }
    match (&top.doing, &top.said) {
        (Some(Order::Restart(id)), _) => Line::from(format!("{id} is being restarted…")),
        (Some(Order::Enable(id, true)), _) => Line::from(format!("{id} is being enabled…")),
        (Some(Order::Enable(id, false)), _) => Line::from(format!("{id} is being disabled…")),
        (None, Some(Ok(said))) => Line::from(safe(said)),
        (None, Some(Err(said))) => Line::from(safe(said)).red(),
        (None, None) => Line::default(),
    }
}

fn question(order: &Order) -> String {
    match order {
        Order::Restart(id) => format!("Restart {id} on all of its accounts?"),
        Order::Enable(id, true) => format!("Enable {id}?"),
        Order::Enable(id, false) => format!("Disable {id} on all accounts, until it is enabled again?"),
    }
}

fn keys(top: &Top) -> &'static str {
    match &top.view {
        View::Plugins => "? help  q quit  ↑↓ ←→ sort  / filter  l log  r restart  d disable  e enable",
        View::Filter => "type to filter  Enter keep  Esc all",
        View::Confirm(_) => "y yes  any other key: no",
        View::Logs(_) => "↑↓ scroll  ←→ aside  End newest  q back",
        View::Help => "any key: back",
    }
}
