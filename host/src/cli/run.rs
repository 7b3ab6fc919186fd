//! `parlor run`: the house stands until it is told to stop.

mod files;
mod one_line;
mod signals;

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::mpsc;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use files::{ConfigFile, Files};
use one_line::OneLine;
use signals::{Asked, Signals};

use super::Ended;
use super::place::{Place, is_own_house};
use super::show::is_for_eyes;
use crate::account::Connection;
use crate::api::log::CHOSEN;
use crate::config::{AccountName, Config, ConfigError, Overrides};
use crate::control::chat::Chat;
use crate::control::lines::Lines;
use crate::control::lines::SAYS;
use crate::control::metrics::Metrics;
use crate::control::server::{Control, House, ORDERS, Order};
use crate::host::Host;
use crate::loopback::Loopback;
use crate::memory;
use crate::plugins::Compiler;
use crate::plugins::policy::PolicyError;
use crate::systemd::Notifier;
use crate::traces::Collector;
use crate::xmpp;

/// How many turns tasks take before timers, sockets and newcomers are looked at.
///
/// A guest may take a whole slice for its turn, so tokio's 61 would let a timer wait for 61 ms; looking after each turn
/// costs a system call for each, which at a hundred messages in flight was a third of the host's CPU time.
const TURNS: u32 = 8;
/// What an error begins with in the journal.
const ERROR: &str = "<3>";
/// How many lines of the log may wait for whoever reads it.
const WAITING_LINES: usize = 4_096;

/// What `parlor run` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor run\n  parlor run --config /etc/parlor/parlor.toml --log-format journal\n  parlor run --set priority=5 --metrics 127.0.0.1:9100\n\nSignals:\n  SIGINT, SIGTERM   plugins say good-bye, then the accounts; a second one ends at once, but
                    the same one within a second counts once, as `timeout` sends it\n  SIGHUP            read the configuration and the policy again, and try accounts that have failed;\n                    a control socket that is gone is made anew\n\nNo connection is dropped by reading. Both are read again when they are written, too, unless the configuration says `watch = false`.\n\nExit codes: 0 stopped as asked, 1 failed, or the last account was cut and `auto_reconnect` is off, 2 wrong usage, 6 every account has failed for good, such as by a wrong password: starting again without a change is pointless, and may get the account locked out"
)]
pub struct Run {
    #[command(flatten)]
    place: Place,
    /// What to log, such as `info` or `parlor=debug`, instead of the configuration's `log`. Libraries that see the
    /// stream never log below `info`, since they would show it.
    #[arg(long)]
    log: Option<String>,
    /// How to log.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Serve metrics for Prometheus and a health check there, such as 127.0.0.1:9100; loopback alone.
    #[arg(long, value_name = "ADDRESS:PORT", env = "PARLOR_METRICS")]
    metrics: Option<Loopback>,
    /// Send traces to a collector of OpenTelemetry there (OTLP over HTTP), such as 127.0.0.1:4318; loopback alone. Only in
    /// a parlor that was built with the feature `opentelemetry`.
    #[arg(long, value_name = "ADDRESS:PORT", env = "PARLOR_TRACES")]
    traces: Option<Loopback>,
    /// A setting over the file's, as KEY=JSON; may be given several times.
    #[arg(long = "set", value_name = "KEY=JSON", value_parser = pair)]
    settings: Vec<(String, String)>,
    /// Log in only when all plugins are compiled and started. Otherwise a plugin that has to be compiled starts after the log-in,
    /// and misses what people write until then.
    #[arg(long)]
    compile_first: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
    /// Lines for the journal of systemd, which knows the time itself and reads the level from the line's start.
    Journal,
}

impl Run {
    /// Runs until a signal, or until every account has failed.
    pub fn execute(self) -> anyhow::Result<()> {
        leave_no_core()?;
        self.place.is_named_policy_there()?;
        let overrides = Overrides { log: self.log, settings: self.settings, ..self.place.overrides() };
        let config = Config::load(&self.place.config, &overrides)?;
        is_own_house(&config)?;
        let written = ConfigFile::of(&self.place.config, overrides);
        let lines = Lines::default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("parlor")
            .enable_all()
            .event_interval(TURNS)
            .global_queue_interval(TURNS)
            .build()
            .context("the runtime cannot start")?;
        let collector = self.traces.map(|address| Collector::start(address, runtime.handle().clone())).transpose()?;
        let _log = start_log(&config.log, self.log_format, lines.clone(), collector.as_ref())?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let result = runtime.block_on(stand(config, written, lines, self.metrics, self.compile_first));
        if let Some(collector) = collector {
            collector.stop();
        }
        // A name look-up that hangs must not hold up the end.
        runtime.shutdown_background();
        result
    }

    /// What stands before each line that says why it failed, as before those of the log.
    pub(super) fn before_failure(&self) -> &'static str {
        match self.log_format {
            LogFormat::Journal => ERROR,
            LogFormat::Text | LogFormat::Json => "",
        }
    }
}

/// A core would hold passwords and what plugins keep secret. Whoever wants one all the same allows it to the process that runs
/// (`prlimit --core=unlimited: --pid`), since the hard limit stays as it was. One byte holds no core, and is the one limit that
/// Linux takes as a word not to start a program that would be handed it, either (`core_pattern` with a `|`, as on most desktops).
pub(super) fn leave_no_core() -> anyhow::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    let current = Some(maximum.map_or(1, |most| most.min(1)));
    setrlimit(Resource::Core, Rlimit { current, maximum })
        .context("it cannot be ruled out that a core of this process is written")
}

/// `KEY=JSON`, taken apart.
fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (key, json) = text.split_once('=').ok_or("write KEY=JSON, such as nickname=\"bot\" or priority=5")?;
    Ok((key.to_owned(), json.to_owned()))
}

async fn stand(
    config: Config,
    written: ConfigFile,
    lines: Lines,
    metrics: Option<Loopback>,
    compile_first: bool,
) -> anyhow::Result<()> {
    let manager = Notifier::of(|name| std::env::var_os(name));
    let mut signals = Signals::listen()?;
    // Before anything is read that could be written meanwhile.
    let mut files = Files::of(&config, written);
    let start = async {
        if compile_first {
            Host::start(config, Compiler::parlor()).await
        } else {
            Host::start_at_once(config, Compiler::parlor()).await
        }
    };
    let host = tokio::select! {
        host = start => Arc::new(host?),
        () = signals.stop() => return Ok(()),
    };
    let (orders, mut ordered) = mpsc::channel(ORDERS);
    let mut control = Control::start(House { host: Arc::clone(&host), lines, orders: orders.clone() })?;
    let metrics = match metrics {
        Some(address) => Some(Metrics::start(address, Arc::clone(&host)).await?),
        None => None,
    };
    let mut chat = Chat::start(&host, &orders);
    manager.ready(&host);
    let over = tokio::select! {
        over = serve(&host, &mut chat, &mut ordered, &mut signals, &mut files, &mut control, &manager) => over,
        // These never end.
        () = manager.keep_watchdog(&host) => None,
        () = memory::give_back() => None,
        never = host.tend() => match never {},
    };
    manager.stopping();
    control.stop().await;
    chat.stop().await;
    if let Some(metrics) = metrics {
        metrics.stop().await;
    }
    // With these went whoever else held it.
    let host = Arc::into_inner(host).context("the host is still in use; please report this")?;
    tokio::select! {
        () = host.stop() => {}
        () = signals.stop() => bail!("ended at once, on a second signal"),
    }
    match over {
        None => {
            tracing::info!("stopped cleanly");
            Ok(())
        }
        Some(over) => {
            let reason =
                |(name, how): &(AccountName, Connection)| how.over().map(|why| format!("account {name}: {why}"));
            let reasons = over.iter().filter_map(reason).collect::<Vec<_>>().join("\n");
            let is_futile = over.iter().all(|(_, how)| matches!(how, Connection::Failed(_)));
            if is_futile { Err(Ended::Futile(reasons).into()) } else { bail!(reasons) }
        }
    }
}

/// Does what it is told, until it is told to stop, or no account is connected or tried again: then it gives how they stand.
async fn serve(
    host: &Arc<Host>,
    chat: &mut Chat,
    ordered: &mut mpsc::Receiver<Order>,
    signals: &mut Signals,
    files: &mut Files,
    control: &mut Control,
    manager: &Notifier,
) -> Option<Vec<(AccountName, Connection)>> {
    loop {
        let task = tokio::select! {
            asked = signals.next() => match asked {
                Asked::Stop => return None,
                Asked::Reload => Task::Reload,
            },
            // The control socket keeps it open.
            Some(order) = ordered.recv() => Task::Order(order),
            () = files.changed() => Task::Look,
            reasons = host.all_over() => return Some(reasons),
        };
        if matches!(task, Task::Reload) {
            manager.reloading();
            control.mend().await;
        }
        tokio::select! {
            () = carry_out(host, chat, files, task) => manager.ready(host),
            () = signals.stop() => return None,
        }
    }
}

/// What there is to do.
enum Task {
    /// What SIGHUP asks for.
    Reload,
    /// What somebody ordered over the control socket.
    Order(Order),
    /// Somebody may have written to a file that the host goes by.
    Look,
}

async fn carry_out(host: &Arc<Host>, chat: &mut Chat, files: &mut Files, task: Task) {
    match task {
        Task::Reload => drop(read_all(host, chat, files).await),
        Task::Look => {
            if let Some(read) = files.config.read_if_changed() {
                drop(configured(host, chat, read).await);
            }
            drop(said(host.reload_if_changed().await));
        }
        Task::Order(Order::ReloadAll(done)) => drop(done.send(read_all(host, chat, files).await)),
        // Whoever asked may have left meanwhile.
        Task::Order(Order::Reload(done)) => drop(done.send(said(host.reload().await))),
        Task::Order(Order::Restart(id, done)) => drop(done.send(host.restart_plugin(&id).await)),
    }
}

/// Reads both files again, whether they are different or not, and tries accounts again that have failed.
async fn read_all(host: &Arc<Host>, chat: &mut Chat, files: &mut Files) -> Result<(), String> {
    let configured = configured(host, chat, files.config.read()).await;
    host.retry().await;
    let said = said(host.reload().await);
    configured.and(said)
}

/// Does what the configuration says now, if it says anything.
async fn configured(host: &Arc<Host>, chat: &mut Chat, read: Result<Config, ConfigError>) -> Result<(), String> {
    match read {
        Ok(config) => {
            for warning in &config.warnings {
                tracing::warn!("{warning}");
            }
            host.reconfigure(config).await;
            chat.hear_all(host);
            Ok(())
        }
        Err(error) => {
            host.configuration_refused(error.to_string());
            tracing::error!(reason = %error, "the configuration was not read; nothing has changed");
            Err(error.to_string())
        }
    }
}

fn said(read: Result<(), PolicyError>) -> Result<(), String> {
    read.map_err(|error| {
        tracing::error!(reason = %error, "the policy was not read; nothing has changed");
        error.to_string()
    })
}

/// Lines for people, in which nobody takes a plugin's own words for the host's: they have `plugin:` before them. Each is one line,
/// whatever others have written of what is in it.
struct Lined<T> {
    host: Format<Full, T>,
    plugin: Format<Full, T>,
    has_colours: bool,
}

impl<T: Clone> Lined<T> {
    fn new(format: Format<Full, T>, has_colours: bool) -> Self {
        let format = format.with_ansi(has_colours);
        Self { host: format.clone().with_target(false), plugin: format.with_target(true), has_colours }
    }
}

impl<S, N, T> FormatEvent<S, N> for Lined<T>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    T: FormatTime,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        let format = if event.metadata().target() == SAYS { &self.plugin } else { &self.host };
        let mut line = OneLine::begin(writer, self.has_colours);
        format.format_event(context, Writer::new(&mut line), event)?;
        line.end()
    }
}

/// A line with its level before it, as the journal reads it (sd-daemon(3)).
struct Journal(Lined<()>);

impl<S, N> FormatEvent<S, N> for Journal
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        writer.write_str(match *event.metadata().level() {
            tracing::Level::ERROR => ERROR,
            tracing::Level::WARN => "<4>",
            tracing::Level::INFO => "<6>",
            tracing::Level::DEBUG | tracing::Level::TRACE => "<7>",
        })?;
        self.0.format_event(context, writer, event)
    }
}

/// Until the guard is dropped, which writes what is still to be written.
fn start_log(
    filter: &str,
    format: LogFormat,
    lines: Lines,
    collector: Option<&Collector>,
) -> anyhow::Result<WorkerGuard> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("log: {filter:?} is not a filter; try `info`"))?;
    // By a thread of its own: where nobody reads the log, a plugin that fills it holds up nobody. Lines that find no room are
    // lost for the reader, and stand in `lines`.
    let (written, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("parlor-log")
        .finish(std::io::stderr());
    match collector {
        None => tracing_subscriber::registry().with(shown(lines, log(format, written), filter)).init(),
        // Spans are no lines: what the owner wants to read says nothing of them.
        Some(collector) => tracing_subscriber::registry()
            .with(collector.layer())
            .with(shown(lines, log(format, written), filter))
            .init(),
    }
    Ok(guard)
}

/// What the owner wants to see, kept and written.
fn shown<S>(lines: Lines, log: Box<dyn Layer<S> + Send + Sync>, filter: EnvFilter) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    // Beside the owner's filter, not a part of it: no directive, however exact, opens what this closes.
    let cap = filter_fn(|event| *event.level() <= LevelFilter::INFO || !xmpp::sees_the_stream(event.target()));
    // What a plugin says from the level on that was chosen for it alone.
    let chosen = filter_fn(|event| event.name() == CHOSEN).with_max_level_hint(LevelFilter::DEBUG);
    lines.and_then(log).with_filter(cap).with_filter(filter.or(chosen))
}

fn log<S>(format: LogFormat, written: NonBlocking) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let log = tracing_subscriber::fmt::layer().with_writer(written);
    match format {
        // Colours are for eyes: in a file or a journal they would be in the way.
        LogFormat::Text => {
            let has_colours = is_for_eyes(&std::io::stderr());
            log.with_ansi(has_colours).event_format(Lined::new(Format::default(), has_colours)).boxed()
        }
        LogFormat::Journal => {
            let format = Lined::new(Format::default().without_time(), false);
            log.with_ansi(false).event_format(Journal(format)).boxed()
        }
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    }
}
