//! What stands on the screen of `parlor top`, and what keys do to it. No terminal, no host, no clock.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::control::views::{Line, Plugin, Status};
use crate::plugins::PluginId;

/// How long a filter may be, in characters.
const LONGEST_FILTER: usize = 64;
/// How far a page goes.
const PAGE: usize = 10;
/// How far a line of the log is moved to the side.
const ASIDE: usize = 16;

/// What the host said when it was asked.
#[derive(Debug)]
pub(super) struct Look {
    /// The house.
    pub(super) status: Status,
    /// The log of the plugin that it was asked for.
    pub(super) logs: Option<(PluginId, Vec<Line>)>,
}

/// Something that the owner wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// End it and start it again.
    Restart(PluginId),
    /// Let it run, or not.
    Enable(PluginId, bool),
}

/// What a key leads to outside of the screen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing.
    Nothing,
    /// To leave.
    Quit,
    /// To see this plugin's log from now on, or none.
    Logs(Option<PluginId>),
    /// To do this.
    Do(Order),
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    /// The plugins.
    Plugins,
    /// The same, while a filter is typed.
    Filter,
    /// The same, with a question.
    Confirm(Order),
    /// The log of a plugin.
    Logs(Log),
    /// The keys.
    Help,
}

/// The log of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Log {
    /// Whose.
    pub(super) plugin: PluginId,
    /// Its last lines; none before the host has said any.
    pub(super) lines: Option<Vec<Line>>,
    /// How many lines from the end the screen ends. While it is not 0, nothing new comes in.
    pub(super) back: usize,
    /// How many characters of each line are left out at its start.
    pub(super) aside: usize,
}

/// A row: the plugin and its account.
pub(super) type RowId = (String, Option<String>);

/// What a plugin did lately.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rate {
    /// Events a second.
    pub(super) events: f64,
    /// Its share of a core, 1 = a whole one.
    pub(super) cpu: f64,
}

/// What is compared with the next look.
#[derive(Debug, Clone)]
struct Counted {
    since: String,
    handled: u64,
    cpu_ms: u64,
}

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Plugin,
    Version,
    Account,
    State,
    Up,
    Events,
    Rate,
    Sent,
    Cpu,
    Memory,
    Denied,
    Restarts,
}

/// The columns from left to right: name, width, and how early it goes where there is no room, 0 the last.
pub(super) const COLUMNS: [(Column, &str, u16, u8); 12] = [
    (Column::Plugin, "PLUGIN", 16, 0),
    (Column::Version, "VERSION", 9, 11),
    (Column::Account, "ACCOUNT", 10, 7),
    (Column::State, "STATE", 11, 1),
    (Column::Up, "UP", 11, 9),
    (Column::Events, "EVENTS", 8, 4),
    (Column::Rate, "EV/S", 6, 5),
    (Column::Sent, "SENT", 8, 10),
    (Column::Cpu, "CPU", 6, 2),
    (Column::Memory, "MEMORY", 8, 3),
    (Column::Denied, "DENIED", 7, 6),
    (Column::Restarts, "RESTARTS", 9, 8),
];

/// The columns that a screen of this width has room for.
pub(super) fn columns(width: u16) -> Vec<(Column, &'static str, u16)> {
    let mut all = COLUMNS.to_vec();
    // One between each two.
    while all.len() > 1 && all.iter().map(|(_, _, width, _)| width + 1).sum::<u16>() > width + 1 {
        let first = all.iter().enumerate().max_by_key(|(_, (_, _, _, early))| *early).map_or(0, |(at, _)| at);
        all.remove(first);
    }
    all.into_iter().map(|(column, name, width, _)| (column, name, width)).collect()
}

/// The screen.
#[derive(Debug)]
pub(super) struct Top {
    pub(super) status: Status,
    /// When that was said.
    looked: Instant,
    /// Why nothing newer is.
    pub(super) trouble: Option<String>,
    counted: BTreeMap<RowId, Counted>,
    pub(super) rates: BTreeMap<RowId, Rate>,
    pub(super) view: View,
    pub(super) sort: Column,
    pub(super) descending: bool,
    pub(super) filter: String,
    pub(super) selected: Option<RowId>,
    /// What is being done.
    pub(super) doing: Option<Order>,
    /// What came of the last order; an error or not.
    pub(super) said: Option<Result<String, String>>,
    /// Which columns the last picture had.
    pub(super) shown: Vec<Column>,
}

pub(super) fn row_id(plugin: &Plugin) -> RowId {
    (plugin.id.clone(), plugin.account.clone())
}

impl Top {
    /// The screen that begins with this.
    pub(super) fn new(status: Status, now: Instant) -> Self {
        let mut top = Self {
            status: status.clone(),
            looked: now,
            trouble: None,
            counted: BTreeMap::new(),
            rates: BTreeMap::new(),
            view: View::Plugins,
            sort: Column::Plugin,
            descending: false,
            filter: String::new(),
            selected: None,
            doing: None,
            said: None,
            shown: vec![Column::Plugin],
        };
        top.look(Ok(Box::new(Look { status, logs: None })), now);
        top
    }

    /// Takes what the host says now.
    pub(super) fn look(&mut self, look: Result<Box<Look>, String>, now: Instant) -> Wish {
        let Look { status, logs } = match look {
            Ok(look) => *look,
            Err(trouble) => {
                self.trouble = Some(trouble);
                return Wish::Nothing;
            }
        };
        let elapsed = now.saturating_duration_since(self.looked);
        let mut counted = BTreeMap::new();
        // Two looks at the same moment say nothing about what happened between them.
        if !elapsed.is_zero() {
            self.rates.clear();
        }
        for plugin in &status.plugins {
            let (id, Some(usage)) = (row_id(plugin), &plugin.usage) else { continue };
            let new = Counted { since: usage.since.clone(), handled: usage.handled, cpu_ms: usage.cpu_ms };
            if let Some(old) = self.counted.get(&id).filter(|old| old.since == new.since && !elapsed.is_zero()) {
                self.rates.insert(id.clone(), rate(old, &new, elapsed));
            }
            counted.insert(id, new);
        }
        (self.status, self.counted, self.looked, self.trouble) = (status, counted, now, None);
        if let (View::Logs(log), Some((plugin, lines))) = (&mut self.view, logs)
            && log.plugin == plugin
            && log.back == 0
        {
            log.lines = Some(lines);
        }
        self.keep_selected();
        Wish::Nothing
    }

    /// What came of an order.
    pub(super) fn done(&mut self, result: Result<String, String>) -> Wish {
        self.doing = None;
        self.said = Some(result);
        Wish::Nothing
    }

    /// How old what is shown is.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.looked)
    }

    /// The rows in the order in which they stand.
    pub(super) fn rows(&self) -> Vec<&Plugin> {
        let wanted = self.filter.to_lowercase();
        let matches = |plugin: &&Plugin| {
            let account = plugin.account.as_deref().unwrap_or_default();
            [plugin.id.as_str(), account, plugin.state.as_str()]
                .iter()
                .any(|text| text.to_lowercase().contains(&wanted))
        };
        let mut rows: Vec<_> = self.status.plugins.iter().filter(matches).collect();
        rows.sort_by(|a, b| {
            let order = self.compare(a, b);
            let order = if self.descending { order.reverse() } else { order };
            order.then_with(|| row_id(a).cmp(&row_id(b)))
        });
        rows
    }

    fn compare(&self, a: &Plugin, b: &Plugin) -> Ordering {
        let used = |plugin: &Plugin, of: fn(&crate::control::views::Usage) -> u64| plugin.usage.as_ref().map(of);
        let by = |of: fn(&crate::control::views::Usage) -> u64| used(a, of).cmp(&used(b, of));
        let lately = |of: fn(Rate) -> f64| {
            let rate = |plugin| self.rates.get(&row_id(plugin)).copied().map_or(-1.0, of);
            rate(a).total_cmp(&rate(b))
        };
        match self.sort {
            Column::Plugin => a.id.cmp(&b.id),
            Column::Version => a.version.cmp(&b.version),
            Column::Account => a.account.cmp(&b.account),
            Column::State => a.state.cmp(&b.state),
            Column::Up => by(|usage| usage.uptime),
            Column::Events => by(|usage| usage.handled),
            Column::Rate => lately(|rate| rate.events),
            Column::Sent => by(|usage| usage.sent),
            Column::Cpu => lately(|rate| rate.cpu),
            Column::Memory => by(|usage| usage.memory),
            Column::Denied => by(|usage| usage.denials),
            Column::Restarts => a.restarts.cmp(&b.restarts),
        }
    }

    /// The row that is selected, by its place.
    pub(super) fn selected_at(&self) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        self.rows().iter().position(|plugin| row_id(plugin) == *selected)
    }

    /// The plugin that is selected.
    pub(super) fn selected(&self) -> Option<&Plugin> {
        self.rows().into_iter().nth(self.selected_at()?)
    }

    /// Some row is selected as long as there is one.
    fn keep_selected(&mut self) {
        if self.selected_at().is_none() {
            self.selected = self.rows().first().map(|plugin| row_id(plugin));
        }
    }

    fn select(&mut self, at: impl FnOnce(usize, usize) -> usize) {
        let rows = self.rows();
        let Some(last) = rows.len().checked_sub(1) else { return };
        let at = at(self.selected_at().unwrap_or(0), last).min(last);
        self.selected = rows.get(at).map(|plugin| row_id(plugin));
    }

    /// A key was pressed.
    pub(super) fn key(&mut self, key: KeyEvent) -> Wish {
        // It leads out of everything.
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Wish::Quit } else { Wish::Nothing };
        }
        match &self.view {
            View::Plugins => self.key_in_plugins(key.code),
            View::Filter => self.key_in_filter(key.code),
            View::Logs(_) => self.key_in_logs(key.code),
            View::Help => {
                self.view = View::Plugins;
                Wish::Nothing
            }
            View::Confirm(order) => {
                let order = order.clone();
                self.view = View::Plugins;
                if key.code == KeyCode::Char('y') { self.order(order) } else { Wish::Nothing }
            }
        }
    }

    fn key_in_plugins(&mut self, key: KeyCode) -> Wish {
        let plugin = self.selected().and_then(|plugin| plugin.id.parse::<PluginId>().ok());
        match key {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Esc if self.filter.is_empty() => return Wish::Quit,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Up | KeyCode::Char('k') => self.select(|at, _| at.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.select(|at, _| at + 1),
            KeyCode::PageUp => self.select(|at, _| at.saturating_sub(PAGE)),
            KeyCode::PageDown => self.select(|at, _| at + PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.select(|_, _| 0),
            KeyCode::End | KeyCode::Char('G') => self.select(|_, last| last),
            KeyCode::Right | KeyCode::Char('s') => self.sort_by(|at, all| (at + 1) % all),
            KeyCode::Left | KeyCode::Char('S') => self.sort_by(|at, all| (at + all - 1) % all),
            KeyCode::Char('i') => self.descending = !self.descending,
            KeyCode::Char('/') => self.view = View::Filter,
            KeyCode::Char('?' | 'h') => self.view = View::Help,
            KeyCode::Char('r') => self.ask(plugin.map(Order::Restart)),
            KeyCode::Char('d') => self.ask(plugin.map(|id| Order::Enable(id, false))),
            KeyCode::Char('e') => {
                // It takes nothing from anybody: no question.
                return plugin.map_or(Wish::Nothing, |id| self.order(Order::Enable(id, true)));
            }
            KeyCode::Enter | KeyCode::Char('l') => {
                let Some(plugin) = plugin else { return Wish::Nothing };
                self.view = View::Logs(Log { plugin: plugin.clone(), lines: None, back: 0, aside: 0 });
                return Wish::Logs(Some(plugin));
            }
            _ => {}
        }
        self.keep_selected();
        Wish::Nothing
    }

    fn key_in_filter(&mut self, key: KeyCode) -> Wish {
        match key {
            KeyCode::Esc => {
                self.filter.clear();
                self.view = View::Plugins;
            }
            KeyCode::Enter => self.view = View::Plugins,
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(one) if self.filter.chars().count() < LONGEST_FILTER => self.filter.push(one),
            _ => {}
        }
        self.keep_selected();
        Wish::Nothing
    }

    fn key_in_logs(&mut self, key: KeyCode) -> Wish {
        let View::Logs(log) = &mut self.view else { return Wish::Nothing };
        let most = log.lines.as_ref().map_or(0, |lines| lines.len().saturating_sub(1));
        match key {
            KeyCode::Char('q' | 'l') | KeyCode::Esc | KeyCode::Enter => {
                self.view = View::Plugins;
                return Wish::Logs(None);
            }
            KeyCode::Up | KeyCode::Char('k') => log.back += 1,
            KeyCode::Down | KeyCode::Char('j') => log.back = log.back.saturating_sub(1),
            KeyCode::PageUp => log.back += PAGE,
            KeyCode::PageDown => log.back = log.back.saturating_sub(PAGE),
            KeyCode::Home | KeyCode::Char('g') => log.back = most,
            KeyCode::End | KeyCode::Char('G') => log.back = 0,
            KeyCode::Right => log.aside = (log.aside + ASIDE).min(4096),
            KeyCode::Left => log.aside = log.aside.saturating_sub(ASIDE),
            _ => {}
        }
        log.back = log.back.min(most);
        Wish::Nothing
    }

    /// Another column, of those that are seen; what has most comes first where there are amounts.
    fn sort_by(&mut self, next: impl FnOnce(usize, usize) -> usize) {
        let at = self.shown.iter().position(|column| *column == self.sort);
        let Some(column) = self.shown.get(next(at.unwrap_or(0), self.shown.len().max(1))) else { return };
        self.sort = *column;
        self.descending = !matches!(column, Column::Plugin | Column::Version | Column::Account | Column::State);
    }

    fn ask(&mut self, order: Option<Order>) {
        if let Some(order) = order {
            self.view = View::Confirm(order);
        }
    }

    /// One after the other: what is asked for while something is done is not.
    fn order(&mut self, order: Order) -> Wish {
        if self.doing.is_some() {
            self.said = Some(Err("something else is being done; try again when it has ended".to_owned()));
            return Wish::Nothing;
        }
        (self.doing, self.said) = (Some(order.clone()), None);
        Wish::Do(order)
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn rate(old: &Counted, new: &Counted, elapsed: Duration) -> Rate {
    let seconds = elapsed.as_secs_f64();
    Rate {
        events: new.handled.saturating_sub(old.handled) as f64 / seconds,
        cpu: new.cpu_ms.saturating_sub(old.cpu_ms) as f64 / 1_000.0 / seconds,
    }
}
