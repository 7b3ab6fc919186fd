//! The event sources of `parlor top`: the keyboard, the host, signals, and running commands. Each blocks, so each has a
//! thread.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use parlor_base::id::PluginId;
use parlor_config::Config;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};

use super::state::{Look, Order};
use crate::show::Put as _;
use crate::target::{self, Target};
use crate::tell;

/// How often the host is queried.
const LOOK: Duration = Duration::from_secs(1);
/// How many lines of a plugin's log are shown.
const LINES: usize = 500;

/// An event.
#[derive(Debug)]
pub(super) enum News {
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal was resized.
    Resized,
    /// The host's response, or the reason why there is none.
    Looked(Result<Box<Look>, String>),
    /// The result of a command.
    Done(Result<String, String>),
    /// A signal to stop.
    Stop,
    /// The terminal is gone.
    Lost(io::Error),
    /// A thread panicked.
    Broken,
}

/// All event sources.
pub(super) struct Sources {
    target: Target,
    news: Receiver<News>,
    teller: Teller,
    logs: Sender<Option<PluginId>>,
    selected: Selected,
}

/// The plugin that is selected on the screen.
#[derive(Debug, Clone, Default)]
struct Selected(Arc<Mutex<Option<PluginId>>>);

impl Selected {
    fn set(&self, plugin: Option<PluginId>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = plugin;
    }

    fn get(&self) -> Option<PluginId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The sender of one thread, which also reports a panic.
#[derive(Clone)]
struct Teller(Sender<News>);

impl Drop for Teller {
    fn drop(&mut self) {
        if thread::panicking() {
            // Without a receiver, the report is not needed.
            let _ = self.0.send(News::Broken);
        }
    }
}

impl Sources {
    /// Starts all threads. They end with the process.
    pub(super) fn start(config: Config, target: Target) -> io::Result<Self> {
        let (sender, news) = mpsc::channel();
        let teller = Teller(sender);
        let (logs, wanted) = mpsc::channel();
        // Install the signal handlers first: a later signal must not end the process while it controls the terminal.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _inside = runtime.enter();
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal)
        };
        let [terminate, interrupt, hang_up] = signals;
        let (mut terminate, mut interrupt, mut hang_up) = (terminate?, interrupt?, hang_up?);
        let own = teller.clone();
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {}, _ = hang_up.recv() => {} }
            });
            let _ = own.0.send(News::Stop);
        });
        let selected = Selected::default();
        let (own, shown) = (teller.clone(), selected.clone());
        thread::spawn(move || look(&config, &wanted, &shown, &own));
        let own = teller.clone();
        thread::spawn(move || read(&own));
        Ok(Self { target, news, teller, logs, selected })
    }

    /// Waits for the next event, up to this time.
    pub(super) fn next(&self, within: Duration) -> Result<News, RecvTimeoutError> {
        self.news.recv_timeout(within)
    }

    /// Fetches the log of this plugin, too, from now on and at once; none stops that.
    pub(super) fn show_logs(&self, plugin: Option<PluginId>) {
        // The thread ends only by a panic, which is reported.
        let _ = self.logs.send(plugin);
    }

    /// Fetches the webhooks of this plugin, too, from the next query on.
    pub(super) fn select(&self, plugin: Option<PluginId>) {
        self.selected.set(plugin);
    }

    /// Executes a command in a thread, and reports the result.
    pub(super) fn carry_out(&self, order: Order) {
        let (target, teller) = (self.target.clone(), self.teller.clone());
        thread::spawn(move || {
            let done = carry_out(&target, &order).map_err(|error| format!("{error:#}"));
            let _ = teller.0.send(News::Done(done));
        });
    }
}

/// Waits for the keyboard.
fn read(teller: &Teller) {
    loop {
        let news = match event::read() {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => News::Key(key),
            Ok(Event::Resize(..)) => News::Resized,
            Ok(_) => continue,
            Err(error) => News::Lost(error),
        };
        let is_last = matches!(news, News::Lost(_));
        if teller.0.send(news).is_err() || is_last {
            return;
        }
    }
}

/// Queries the host periodically.
fn look(config: &Config, wanted: &Receiver<Option<PluginId>>, selected: &Selected, teller: &Teller) {
    let mut logs = None;
    loop {
        let look = ask(config, logs.as_ref(), selected.get()).map(Box::new).map_err(|error| format!("{error:#}"));
        if teller.0.send(News::Looked(look)).is_err() {
            return;
        }
        match wanted.recv_timeout(LOOK) {
            // Only the latest request counts.
            Ok(plugin) => logs = wanted.try_iter().last().unwrap_or(plugin),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn ask(config: &Config, logs: Option<&PluginId>, selected: Option<PluginId>) -> anyhow::Result<Look> {
    let host = target::running(config)?;
    let status = host.get("/v1/status")?;
    let logs = match logs {
        None => None,
        Some(id) => {
            let target = format!("/v1/logs?plugin={id}&lines={LINES}");
            Some((id.clone(), host.lines(&target)?.collect::<Result<_, _>>()?))
        }
    };
    // The plugin may be gone by now, or the host of a version without webhooks.
    let webhooks = selected.and_then(|id| Some((host.get(&format!("/v1/plugins/{id}/webhooks")).ok()?, id)));
    Ok(Look { status, logs, webhooks: webhooks.map(|(webhooks, id)| (id, webhooks)) })
}

fn carry_out(target: &Target, order: &Order) -> anyhow::Result<String> {
    match order {
        Order::Enable(id, enabled) => {
            // As on the command line: a plugin can be disabled even if the configuration is broken.
            let config = if *enabled { target.load_to_write()? } else { target.load_to_stop()? };
            let changed = target::admin(&config).enable(id, *enabled)?;
            let already = if changed { "" } else { " already" };
            let told = tell::tell(&config, &[id])?;
            Ok(format!("{id} is {}{already}; {}", if *enabled { "enabled" } else { "disabled" }, told.line()))
        }
        Order::Restart(id) => {
            let told = tell::restart(&target.load_to_look()?, id)?;
            let mut text = format!("{id} was restarted");
            for plugin in &told.plugins {
                let on = plugin.account.as_ref().map(|account| format!(" on {account}")).unwrap_or_default();
                text.put(format_args!("; it is {}{on}", plugin.state));
            }
            Ok(text)
        }
    }
}
