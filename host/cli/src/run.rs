//! `parlor run`: runs the host until it is told to stop.

mod files;
mod node;
mod one_line;
mod signals;

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use files::{ConfigFile, Files};
use node::{Node, share, share_if_changed};
use one_line::OneLine;
use parlor::alerts;
use parlor::control::chat::Chat;
use parlor::control::lines::Lines;
use parlor::control::lines::SAYS;
use parlor::control::metrics::{Metrics, MetricsPort};
use parlor::control::server::{Control, HostHandle, ORDERS, Order};
use parlor::host::{Host, account_started};
use parlor::memory;
use parlor::systemd::Notifier;
use parlor::web::Listener;
use parlor_base::loopback::Loopback;
use parlor_config::{AccountName, Config, ConfigError, Overrides, ReadAgain};
use parlor_plugins::policy::PolicyError;
use parlor_runtime::account::Connection;
use parlor_runtime::api::log::CHOSEN;
use parlor_runtime::compiler::Compiler;
use parlor_runtime::threads::Threads;
use parlor_xmpp::sees_the_stream;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signals::{Asked, Signals};
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

use super::Ended;
use super::doctor::open_to_others;
use super::show::is_for_eyes;
use super::target::{Target, is_own_host};
use crate::traces::Collector;

/// The prefix of an error in the journal.
const ERROR: &str = "<3>";
/// The most log lines that may be queued for writing.
const WAITING_LINES: usize = 4_096;

/// The arguments of `parlor run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor run\n  parlor run --config /etc/parlor/parlor.toml --log-format journal\n  parlor run --set priority=5 --metrics 127.0.0.1:9100\n\nSignals:\n  SIGINT, SIGTERM   plugins say good-bye, then the accounts; a second one ends at once, but
                    the same one within a second counts once, as `timeout` sends it\n  SIGHUP            read the configuration and the policy again, and try accounts that have failed;\n                    a control socket that is gone is made anew\n\nNo connection is dropped by reading. Both are read again when they are written, too, unless the configuration says `watch = false`.\n\nExit codes: 0 stopped as asked, 1 failed, or the last account was cut and `auto_reconnect` is off, 2 wrong usage, 6 every account has failed for good, such as by a wrong password: starting again without a change is pointless, and may get the account locked out"
)]
pub struct Run {
    #[command(flatten)]
    target: Target,
    /// The log filter, such as `info` or `parlor=debug`, instead of the configuration's `log`. Libraries that see the
    /// stream never log below `info`, since they would reveal it.
    #[arg(long)]
    log: Option<String>,
    /// The log format.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Serve metrics for Prometheus and a health check on this address, such as 127.0.0.1:9100; loopback only.
    #[arg(long, value_name = "ADDRESS:PORT", env = "PARLOR_METRICS")]
    metrics: Option<Loopback>,
    /// Send traces to an OpenTelemetry collector on this address (OTLP over HTTP), such as 127.0.0.1:4318; loopback
    /// only. Needs a parlor that was built with the feature `opentelemetry`.
    #[arg(long, value_name = "ADDRESS:PORT", env = "PARLOR_TRACES")]
    traces: Option<Loopback>,
    /// A setting that overrides the file's, as KEY=JSON; may be given several times.
    #[arg(long = "set", value_name = "KEY=JSON", value_parser = pair)]
    settings: Vec<(String, String)>,
    /// Log in only after all plugins are compiled and started. By default a plugin that has to be compiled starts after
    /// the log-in, and misses messages until then.
    #[arg(long)]
    compile_first: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
    /// Lines for the systemd journal, which adds the time itself and reads the level from the prefix.
    Journal,
}

impl Run {
    /// Runs until a signal, or until every account has failed.
    pub fn execute(self) -> anyhow::Result<()> {
        leave_no_core()?;
        open_as_many_files_as_allowed();
        self.target.is_named_policy_there()?;
        let overrides = Overrides { log: self.log, settings: self.settings, ..self.target.overrides() };
        let path = self.target.config();
        let config = Config::load(&path, &overrides)?;
        is_own_host(&config)?;
        let written = ConfigFile::of(&path, overrides);
        let lines = Lines::default();
        // Accounts and plugins have threads of their own. This one also sends the last spans, when everything else has
        // ended.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("parlor")
            .enable_all()
            .build()
            .context("the runtime cannot start")?;
        let collector = self.traces.map(|address| Collector::start(address, runtime.handle().clone())).transpose()?;
        let _log = start_log(&config.log, self.log_format, lines.clone(), collector.as_ref())?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        for open in open_to_others(&config) {
            tracing::warn!("{}: {}", open.says, open.remedy);
        }
        let result = runtime.block_on(stand(config, written, lines, self.metrics, self.compile_first));
        if let Some(collector) = collector {
            collector.stop();
        }
        // A hanging name look-up must not delay the exit.
        runtime.shutdown_background();
        result
    }

    /// Returns the prefix of each line of the final error, as in the log.
    pub(super) fn before_failure(&self) -> &'static str {
        match self.log_format {
            LogFormat::Journal => ERROR,
            LogFormat::Text | LogFormat::Json => "",
        }
    }
}

/// Disables core dumps: a core would hold passwords and plugins' secrets. The hard limit stays, so an owner can still
/// allow one for a running process (`prlimit --core=unlimited: --pid`). The limit is one byte, which holds no core:
/// Linux takes only this value as a signal not to start a core handler either (`core_pattern` with a `|`, as on most
/// desktops).
pub(super) fn leave_no_core() -> anyhow::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    let current = Some(maximum.map_or(1, |most| most.min(1)));
    setrlimit(Resource::Core, Rlimit { current, maximum })
        .context("it cannot be ruled out that a core of this process is written")
}

/// Raises the number of files that this process may have open to what the system allows at most. Each connection is one, and
/// most systems begin with 1,024 for programs that cannot take more.
fn open_as_many_files_as_allowed() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // A host with few accounts needs no more.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Splits `KEY=JSON`.
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
    // The files are watched before they are read, so that no change is missed.
    let mut files = Files::of(&config, written);
    let metrics = metrics.map(MetricsPort::bind).transpose()?;
    let threads = Threads::of_this_machine().context("the threads of accounts cannot start")?;
    let start = async {
        if compile_first {
            Host::start(config, Compiler::parlor(), threads).await
        } else {
            Host::start_at_once(config, Compiler::parlor(), threads).await
        }
    };
    let host = tokio::select! {
        host = start => Arc::new(host?),
        () = signals.stop() => return Ok(()),
    };
    let node = Node::start(&host).await?;
    let (orders, mut ordered) = mpsc::channel(ORDERS);
    let mut control = Control::start(HostHandle { host: Arc::clone(&host), lines, orders: orders.clone() })?;
    let metrics = metrics.map(|port| Metrics::start(port, Arc::clone(&host))).transpose()?;
    let webhooks = Listener::start(Arc::clone(&host));
    let mut chat = Chat::start(&host, &orders);
    manager.ready(&host);
    let mut has_node_failed = false;
    let over = tokio::select! {
        over = serve(&host, &mut chat, &mut ordered, &mut signals, &mut files, &mut control, &manager) => over,
        () = node.over() => {
            has_node_failed = true;
            None
        }
        // These never end.
        () = manager.keep_watchdog(&host) => None,
        () = memory::give_back() => None,
        () = alerts::watch(&host) => None,
        never = host.tend() => match never {},
    };
    manager.stopping();
    control.stop().await;
    chat.stop().await;
    webhooks.stop().await;
    if let Some(metrics) = metrics {
        metrics.stop().await;
    }
    tokio::select! {
        () = node.leave() => {}
        () = signals.stop() => bail!("ended at once, on a second signal"),
    }
    // All other holders were stopped above.
    let host = Arc::into_inner(host).context("the host is still in use; please report this")?;
    tokio::select! {
        () = host.stop() => {}
        () = signals.stop() => bail!("ended at once, on a second signal"),
    }
    match over {
        None if has_node_failed => bail!("the node of the cluster has ended; report this unless the log says why"),
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

/// Serves requests until it must stop, or until no account is connected or retrying: then it returns their states.
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
            // The control socket keeps this channel open.
            Some(order) = ordered.recv() => Task::Order(order),
            () = files.changed() => Task::Look,
            () = account_started(host) => Task::Hear,
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

/// A task of the main loop.
enum Task {
    /// A reload by SIGHUP.
    Reload,
    /// A command from the control socket or an owner's client.
    Order(Order),
    /// Check for changes of the watched files.
    Look,
    /// Serve the owners of accounts that have started.
    Hear,
}

async fn carry_out(host: &Arc<Host>, chat: &mut Chat, files: &mut Files, task: Task) {
    match task {
        Task::Reload => drop(read_all(host, chat, files).await),
        Task::Look => {
            let goes_by = host.config_fault().is_none().then(|| host.config());
            if let Some(read) = files.config.read_if_changed(goes_by.as_deref()) {
                drop(configured(host, chat, read, ReadAgain::ByAChange).await);
            }
            drop(said(host.reload_if_changed().await));
            share_if_changed(host);
        }
        Task::Hear => chat.hear_all(host),
        Task::Order(Order::ReloadAll(done)) => drop(done.send(read_all(host, chat, files).await)),
        // The requester may have disconnected meanwhile.
        Task::Order(Order::Reload(done)) => {
            let said = said(host.reload().await);
            drop(done.send(said.and(share(host).await)));
        }
        Task::Order(Order::Restart(id, done)) => drop(done.send(host.restart_plugin(&id).await)),
    }
}

/// Reloads all files, even if they are unchanged, and retries failed accounts.
async fn read_all(host: &Arc<Host>, chat: &mut Chat, files: &mut Files) -> Result<(), String> {
    let configured = configured(host, chat, files.config.read(), ReadAgain::ByTheOwner).await;
    host.retry().await;
    let said = said(host.reload().await);
    configured.and(said).and(share(host).await)
}

/// Applies the configuration if it is valid.
async fn configured(
    host: &Arc<Host>,
    chat: &mut Chat,
    read: Result<Config, ConfigError>,
    asked: ReadAgain,
) -> Result<(), String> {
    let is_meant = |config: Config| match host.config().goes_on_in(&config, asked) {
        Ok(()) => Ok(config),
        Err(error) => Err(ConfigError::from(error)),
    };
    match read.and_then(is_meant) {
        Ok(config) => {
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

/// The log format for people. A plugin's own lines have the prefix `plugin:`, so they cannot pass for the host's. Each
/// event is one line, with any untrusted text in it.
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

/// The log format for the journal: a line with its level as prefix (sd-daemon(3)).
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

/// Starts the log. Dropping the guard writes the remaining lines.
fn start_log(
    filter: &str,
    format: LogFormat,
    lines: Lines,
    collector: Option<&Collector>,
) -> anyhow::Result<WorkerGuard> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("log: {filter:?} is not a filter; try `info`"))?;
    // A separate thread writes: if the log is not read, a plugin that fills it delays nothing. Lines that do not fit
    // into the queue are lost for the reader, but remain in `lines`.
    let (written, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("parlor-log")
        .finish(std::io::stderr());
    match collector {
        None => tracing_subscriber::registry().with(shown(lines, log(format, written), filter)).init(),
        // Traces are independent of the owner's log filter.
        Some(collector) => tracing_subscriber::registry()
            .with(collector.layer())
            .with(shown(lines, log(format, written), filter))
            .init(),
    }
    Ok(guard)
}

/// Combines the stored and the written log, with the owner's filter.
fn shown<S>(lines: Lines, log: Box<dyn Layer<S> + Send + Sync>, filter: EnvFilter) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    // A second filter in addition to the owner's: even a specific directive cannot override it. Below `info`, lines about the stream
    // hold what people write. The library for NATS says each attempt to connect, twice a second, and below `info` what accounts keep:
    // our own lines say what an owner needs to know.
    let cap = filter_fn(|event| {
        let target = event.target();
        !node::sees_records(target) && (*event.level() <= LevelFilter::INFO || !sees_the_stream(target))
    });
    // A plugin's lines from the level that was chosen for it.
    let chosen = filter_fn(|event| event.name() == CHOSEN).with_max_level_hint(LevelFilter::DEBUG);
    lines.and_then(log).with_filter(cap).with_filter(filter.or(chosen))
}

fn log<S>(format: LogFormat, written: NonBlocking) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let log = tracing_subscriber::fmt::layer().with_writer(written);
    match format {
        // Colours are for terminals: they would clutter a file or a journal.
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

#[cfg(all(test, feature = "cluster"))]
mod tests;
