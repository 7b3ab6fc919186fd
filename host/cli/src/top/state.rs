//! The state of the screen of `parlor top`, and the effect of keys. No terminal, no host, no clock.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parlor::control::views::{Line, Plugin, Status, Webhooks};
use parlor_base::id::PluginId;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The longest filter, in characters.
const LONGEST_FILTER: usize = 64;
/// The number of rows of a page.
const PAGE: usize = 10;
/// By how many characters a key scrolls a line of the log sideways.
const ASIDE: usize = 16;

/// A response of the host.
#[derive(Debug)]
pub(super) struct Look {
    /// The state of the host.
    pub(super) status: Status,
    /// The log of the requested plugin.
    pub(super) logs: Option<(PluginId, Vec<Line>)>,
    /// The webhooks of the selected plugin on each of its accounts.
    pub(super) webhooks: Option<(PluginId, Vec<Webhooks>)>,
}

/// A command of the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Restart the plugin.
    Restart(PluginId),
    /// Enable or disable the plugin.
    Enable(PluginId, bool),
}

/// The effect of a key outside of the screen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// No effect.
    Nothing,
    /// Quit.
    Quit,
    /// Fetch this plugin's log from now on, or none.
    Logs(Option<PluginId>),
    /// Execute this command.
    Do(Order),
}

/// The current view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    /// The table of plugins.
    Plugins,
    /// The table, while a filter is typed.
    Filter,
    /// The table, with a question.
    Confirm(Order),
    /// The log of a plugin.
    Logs(Log),
    /// The list of keys.
    Help,
}

/// The view of a plugin's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Log {
    /// The plugin.
    pub(super) plugin: PluginId,
    /// Its last lines; none before the first response of the host.
    pub(super) lines: Option<Vec<Line>>,
    /// How many lines the view is scrolled back from the end. While it is not 0, the log is not updated.
    pub(super) back: usize,
    /// How many characters at the start of each line are scrolled out of view.
    pub(super) aside: usize,
}

/// The key of a row: the plugin and its account.
pub(super) type RowId = (String, Option<String>);

/// A plugin's activity between the last two responses.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rate {
    /// Events per second.
    pub(super) events: f64,
    /// The share of a core that it used; 1 = a whole core.
    pub(super) cpu: f64,
}

/// Counters to compare with the next response.
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

/// The columns from left to right: name, width, and priority for removal on a narrow screen; 0 stays longest.
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

/// Returns the columns that fit into this width.
pub(super) fn columns(width: u16) -> Vec<(Column, &'static str, u16)> {
    let mut all = COLUMNS.to_vec();
    // Columns are separated by one space.
    while all.len() > 1 && all.iter().map(|(_, _, width, _)| width + 1).sum::<u16>() > width + 1 {
        let first = all.iter().enumerate().max_by_key(|(_, (_, _, _, early))| *early).map_or(0, |(at, _)| at);
        all.remove(first);
    }
    all.into_iter().map(|(column, name, width, _)| (column, name, width)).collect()
}

/// The whole state.
#[derive(Debug)]
pub(super) struct Top {
    pub(super) status: Status,
    /// The time of the last response.
    looked: Instant,
    /// The reason why there is no newer response.
    pub(super) trouble: Option<String>,
    counted: BTreeMap<RowId, Counted>,
    pub(super) rates: BTreeMap<RowId, Rate>,
    pub(super) view: View,
    pub(super) sort: Column,
    pub(super) descending: bool,
    pub(super) filter: String,
    pub(super) selected: Option<RowId>,
    /// The webhooks of the plugin that was selected at the last response.
    webhooks: Option<(PluginId, Vec<Webhooks>)>,
    /// The command that is being executed.
    pub(super) doing: Option<Order>,
    /// The result of the last command.
    pub(super) said: Option<Result<String, String>>,
    /// The columns of the last drawn screen.
    pub(super) shown: Vec<Column>,
}

pub(super) fn row_id(plugin: &Plugin) -> RowId {
    (plugin.id.clone(), plugin.account.clone())
}

impl Top {
    /// Starts with this response.
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
            webhooks: None,
            doing: None,
            said: None,
            shown: vec![Column::Plugin],
        };
        top.look(Ok(Box::new(Look { status, logs: None, webhooks: None })), now);
        top
    }

    /// Applies a response of the host.
    pub(super) fn look(&mut self, look: Result<Box<Look>, String>, now: Instant) -> Request {
        let Look { status, logs, webhooks } = match look {
            Ok(look) => *look,
            Err(trouble) => {
                self.trouble = Some(trouble);
                return Request::Nothing;
            }
        };
        let elapsed = now.saturating_duration_since(self.looked);
        let mut counted = BTreeMap::new();
        // Two responses at the same moment yield no rate.
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
        self.webhooks = webhooks;
        if let (View::Logs(log), Some((plugin, lines))) = (&mut self.view, logs)
            && log.plugin == plugin
            && log.back == 0
        {
            log.lines = Some(lines);
        }
        self.keep_selected();
        Request::Nothing
    }

    /// Records the result of a command.
    pub(super) fn done(&mut self, result: Result<String, String>) -> Request {
        self.doing = None;
        self.said = Some(result);
        Request::Nothing
    }

    /// Returns the age of the shown state.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.looked)
    }

    /// Returns the rows in display order.
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
        let used = |plugin: &Plugin, of: fn(&parlor::control::views::Usage) -> u64| plugin.usage.as_ref().map(of);
        let by = |of: fn(&parlor::control::views::Usage) -> u64| used(a, of).cmp(&used(b, of));
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

    /// Returns the index of the selected row.
    pub(super) fn selected_at(&self) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        self.rows().iter().position(|plugin| row_id(plugin) == *selected)
    }

    /// Returns the selected plugin.
    pub(super) fn selected(&self) -> Option<&Plugin> {
        self.rows().into_iter().nth(self.selected_at()?)
    }

    /// Returns the id of the selected plugin.
    pub(super) fn selected_id(&self) -> Option<PluginId> {
        self.selected()?.id.parse().ok()
    }

    /// Returns the number of queued requests to the webhooks of a row; `None` if it has no webhooks, or the host has
    /// not answered yet.
    pub(super) fn requests_waiting(&self, plugin: &Plugin) -> Option<u64> {
        let (_, all) = self.webhooks.as_ref().filter(|(id, _)| id.as_str() == plugin.id)?;
        all.iter().find(|one| Some(&one.account) == plugin.account.as_ref()).map(|one| one.waiting)
    }

    /// Selects the first row if no row is selected.
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

    /// Handles a key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Request {
        // Ctrl-C quits from every view.
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Request::Quit } else { Request::Nothing };
        }
        match &self.view {
            View::Plugins => self.key_in_plugins(key.code),
            View::Filter => self.key_in_filter(key.code),
            View::Logs(_) => self.key_in_logs(key.code),
            View::Help => {
                self.view = View::Plugins;
                Request::Nothing
            }
            View::Confirm(order) => {
                let order = order.clone();
                self.view = View::Plugins;
                if key.code == KeyCode::Char('y') { self.order(order) } else { Request::Nothing }
            }
        }
    }

    fn key_in_plugins(&mut self, key: KeyCode) -> Request {
        let plugin = self.selected_id();
        match key {
            KeyCode::Char('q') => return Request::Quit,
            KeyCode::Esc if self.filter.is_empty() => return Request::Quit,
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
                // Enabling takes nothing away, so it needs no confirmation.
                return plugin.map_or(Request::Nothing, |id| self.order(Order::Enable(id, true)));
            }
            KeyCode::Enter | KeyCode::Char('l') => {
                let Some(plugin) = plugin else { return Request::Nothing };
                self.view = View::Logs(Log { plugin: plugin.clone(), lines: None, back: 0, aside: 0 });
                return Request::Logs(Some(plugin));
            }
            _ => {}
        }
        self.keep_selected();
        Request::Nothing
    }

    fn key_in_filter(&mut self, key: KeyCode) -> Request {
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
        Request::Nothing
    }

    fn key_in_logs(&mut self, key: KeyCode) -> Request {
        let View::Logs(log) = &mut self.view else { return Request::Nothing };
        let most = log.lines.as_ref().map_or(0, |lines| lines.len().saturating_sub(1));
        match key {
            KeyCode::Char('q' | 'l') | KeyCode::Esc | KeyCode::Enter => {
                self.view = View::Plugins;
                return Request::Logs(None);
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
        Request::Nothing
    }

    /// Sorts by another visible column. Amounts are sorted in descending order.
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

    /// Executes a command, unless another one is in progress.
    fn order(&mut self, order: Order) -> Request {
        if self.doing.is_some() {
            self.said = Some(Err("something else is being done; try again when it has ended".to_owned()));
            return Request::Nothing;
        }
        (self.doing, self.said) = (Some(order.clone()), None);
        Request::Do(order)
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
