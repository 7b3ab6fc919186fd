//! The main loop while an author works: typed lines, saved files, finished builds, and acts of the plugin.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use parlor_authoring::build;
use parlor_authoring::plugin_test::script::Act;
use parlor_authoring::plugin_test::{ByHand, Happened, Notes, Player, Shown, Stage, stack, trace};
use parlor_base::escape::{EscapedPath as _, escape_untrusted};
use parlor_base::quantity::show_duration;
use parlor_plugins::component::Examined;
use parlor_plugins::manifest::Manifest;
use parlor_runtime::supervisor::State;
use parlor_stanza::error::CallError;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::DevArgs;
use super::chat::{Chat, HELP, Typed, has_waited, waits};
use super::console::Console;
use super::credentials;
use super::real::Real;
use crate::explain::to_allow;
use crate::file_watcher::FileWatcher;
use crate::plugin::workshop::Workshop;
use crate::show::size;

/// How long nothing must happen before a script continues with its next line, or ends.
const QUIET: Duration = Duration::from_millis(200);
/// The most of one line that is shown, in bytes.
const LONGEST: usize = 16 << 10;

/// The place where the plugin runs.
enum Runs {
    /// Among simulated people; the stage is none before the first build.
    MadeUp { workshop: Workshop, stage: Option<Box<Stage>> },
    /// On a real account.
    Account(Box<Real>),
}

/// A build in progress.
type Building = JoinHandle<anyhow::Result<PathBuf>>;

/// The whole state.
pub(super) struct Session {
    folder: PathBuf,
    /// Whether the user agreed to builds of it.
    consent: build::Consent,
    /// The credentials and certificates that the author gives for requests over the web.
    by_hand: ByHand,
    /// The last remarks on credentials.
    remarked: Vec<String>,
    console: Console,
    watch: FileWatcher,
    notes: Notes,
    shown: Shown,
    chat: Chat,
    runs: Runs,
    /// The running plugin, from the last successful build.
    running: Option<Arc<Examined>>,
    /// Whether one has ever run.
    has_run: bool,
    building: Option<Building>,
    /// Whether a file was saved during the build.
    is_outdated: bool,
    last: Last,
    /// No input is read before this time.
    hold: Option<Instant>,
    /// The time for which the user wants to wait.
    waits: Option<Duration>,
    /// Whether the input has ended.
    is_at_end: bool,
}

/// The result of the last build.
enum Last {
    /// The build is running.
    InPlace,
    /// The build failed, or could not replace the running plugin.
    Broken,
}

/// The next event.
enum Next {
    Line(Option<String>),
    Saved,
    Built(anyhow::Result<PathBuf>),
    Happened,
    /// Nothing happened for long enough.
    Quiet,
}

impl Session {
    /// Opens the session. [`go_on`](Self::go_on) starts the first build.
    pub(super) fn open(arguments: &DevArgs, consent: build::Consent, by_hand: ByHand) -> anyhow::Result<Self> {
        let folder = arguments.folder.clone();
        if !folder.is_dir() {
            bail!("{} is no folder; name the folder of a plugin, which `parlor plugin new` makes", folder.escaped());
        }
        let notes = Notes::default();
        notes.listen_everywhere().context("the log cannot be read")?;
        let runs = match &arguments.account {
            Some(account) => Runs::Account(Box::new(Real::at(&arguments.config, account, &by_hand)?)),
            None => Runs::MadeUp { workshop: Workshop::open()?, stage: None },
        };
        let watch = FileWatcher::tree(folder.clone(), build::is_no_source);
        let watch = watch.with_context(|| format!("{} cannot be watched", folder.escaped()))?;
        let console = Console::open().context("the terminal")?;
        Ok(Self {
            folder,
            consent,
            by_hand,
            remarked: Vec::new(),
            console,
            watch,
            notes,
            shown: Shown::default(),
            chat: Chat::default(),
            runs,
            running: None,
            has_run: false,
            building: None,
            is_outdated: false,
            last: Last::InPlace,
            hold: None,
            waits: None,
            is_at_end: false,
        })
    }

    /// Runs until the user quits.
    pub(super) async fn go_on(&mut self) -> anyhow::Result<()> {
        if let Runs::Account(real) = &self.runs
            && let Some(beside) = real.beside()
        {
            self.remark(beside)?;
        }
        self.build()?;
        loop {
            let next = self.next().await?;
            self.has_run |= matches!(self.state(), Some(State::Running | State::Parked));
            let done = match next {
                Next::Line(Some(line)) => self.typed(&line).await?,
                Next::Line(None) => {
                    self.is_at_end = true;
                    self.rest();
                    self.console.is_terminal()
                }
                Next::Saved => {
                    self.build()?;
                    false
                }
                Next::Built(result) => {
                    self.put_in_place(result).await?;
                    false
                }
                Next::Happened => {
                    self.tell()?;
                    false
                }
                Next::Quiet => {
                    self.hold = None;
                    if let Some(time) = self.waits.take() {
                        self.remark(&has_waited(time, Timestamp::now()))?;
                    }
                    self.is_at_end
                }
            };
            if done {
                return self.has_left();
            }
        }
    }

    fn has_left(&self) -> anyhow::Result<()> {
        let why = self.absence();
        if (self.running.is_none() || (why.is_some() && !self.has_run)) && !self.console.is_terminal() {
            bail!("the script ended before the plugin ran; what is wrong with it is above");
        }
        Ok(())
    }

    /// Returns the state of the plugin, once there was a build.
    fn state(&self) -> Option<State> {
        match &self.runs {
            Runs::MadeUp { stage, .. } => stage.as_ref()?.state(),
            Runs::Account(_) => None,
        }
    }

    /// Returns why it does not run, if that is so.
    fn absence(&self) -> Option<String> {
        match self.state()? {
            State::Compiling
            | State::Waiting(_)
            | State::Starting
            | State::Running
            | State::Parked
            | State::Stopping => None,
            State::Stopped => Some("it has stopped".to_owned()),
            State::Refused(why) | State::Quarantined(why) => Some(why),
            State::BackingOff { why, pause } => Some(format!("{why}; it starts again in {}", show_duration(pause))),
        }
    }

    /// Ends the plugin and its account, and restores the terminal.
    pub(super) async fn close(self) {
        match self.runs {
            Runs::MadeUp { stage: Some(stage), .. } => stage.close().await,
            Runs::MadeUp { stage: None, .. } => {}
            Runs::Account(real) => real.close().await,
        }
    }

    async fn next(&mut self) -> anyhow::Result<Next> {
        // A user may type during a build, and to end a wait; a script waits for the plugin.
        let is_free = self.console.is_terminal() || (self.hold.is_none() && self.building.is_none());
        let reads = !self.is_at_end && is_free;
        let hold = self.hold.filter(|_| self.building.is_none());
        let quiet = async {
            match hold {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let building = async {
            match &mut self.building {
                Some(building) => building.await,
                None => std::future::pending().await,
            }
        };
        Ok(tokio::select! {
            biased;
            () = self.notes.more() => Next::Happened,
            result = building => {
                self.building = None;
                Next::Built(result.context("the build broke; please report this")?)
            }
            () = self.watch.changed() => Next::Saved,
            () = quiet => Next::Quiet,
            line = self.console.next(), if reads => Next::Line(line.context("the terminal")?),
        })
    }

    /// Starts a build in the background.
    fn build(&mut self) -> anyhow::Result<()> {
        if self.building.is_some() {
            self.is_outdated = true;
            return Ok(());
        }
        let (folder, consent) = (self.folder.clone(), self.consent);
        self.console.make_room().context("standard output")?;
        if self.console.is_terminal() {
            // The first build may take long without output.
            self.remark("building")?;
        }
        self.building = Some(tokio::task::spawn_blocking(move || Ok(build::fresh(&folder, consent)?)));
        Ok(())
    }

    /// Replaces the running plugin by the build.
    async fn put_in_place(&mut self, result: anyhow::Result<PathBuf>) -> anyhow::Result<()> {
        if std::mem::take(&mut self.is_outdated) {
            // The build is already outdated.
            return self.build();
        }
        let replaced = match result {
            Ok(file) => self.replace(&file).await,
            Err(error) => Err(error),
        };
        self.tell()?;
        let last = if replaced.is_ok() { Last::InPlace } else { Last::Broken };
        let before = std::mem::replace(&mut self.last, last);
        if let (Last::Broken, Ok(false), Some(running)) = (before, &replaced, &self.running) {
            let unchanged = format!("it builds again, and {} is what runs already", name(&running.manifest));
            self.remark(&unchanged)?;
        }
        if let Err(error) = replaced {
            let goes_on = match &self.running {
                Some(running) => format!("{} goes on as it was", name(&running.manifest)),
                None => "it is built again when you save something".to_owned(),
            };
            self.remark(&format!("{error:#}"))?;
            self.remark(&goes_on)?;
        }
        self.rest();
        self.prompt()
    }

    /// Runs a built file. Returns `false` if the same file is already running.
    async fn replace(&mut self, file: &Path) -> anyhow::Result<bool> {
        let is_first = self.running.is_none();
        let examined = match &mut self.runs {
            Runs::MadeUp { workshop, stage } => {
                let player = workshop.load(file).await?;
                let examined = Arc::clone(player.examined());
                if self.running.as_ref().is_some_and(|running| running.digest == examined.digest) {
                    return Ok(false);
                }
                match stage {
                    Some(stage) => {
                        let replaced = stage.replace(player).await;
                        replaced.map_err(|why| anyhow::anyhow!("{}: {why}", name(&examined.manifest)))?;
                    }
                    None => begin(stage, player, &self.notes, &self.by_hand).await?,
                }
                examined
            }
            Runs::Account(real) => {
                let Some(examined) = real.replace(file).await? else { return Ok(false) };
                Arc::new(examined)
            }
        };
        let (name, bytes) = (name(&examined.manifest), file.metadata().map_or(0, |metadata| metadata.len()));
        self.running = Some(Arc::clone(&examined));
        self.tell()?;
        for warning in build::warnings(&examined) {
            self.remark(&format!("warning: {warning}"))?;
        }
        let remarks = credentials::remarks(&examined.manifest, &self.by_hand);
        if remarks != self.remarked {
            remarks.iter().try_for_each(|remark| self.remark(remark))?;
            self.remarked = remarks;
        }
        let what = match (self.absence(), is_first) {
            (Some(why), _) => format!("does not run: {why}"),
            (None, true) => format!("is there ({})", size(bytes)),
            (None, false) => format!("has taken over ({})", size(bytes)),
        };
        self.remark(&format!("{name} {what}"))?;
        if let (true, Runs::Account(real)) = (is_first, &self.runs) {
            self.remark(&real.invitation())?;
        } else if is_first && self.console.is_terminal() {
            self.remark("say something; /help shows what else there is, /quit ends")?;
        }
        Ok(true)
    }

    /// Executes a typed line. Returns `true` if the user quits.
    async fn typed(&mut self, line: &str) -> anyhow::Result<bool> {
        if !self.console.is_terminal() && !line.trim().is_empty() {
            self.print(&format!("{}: {}", self.chat.user(), line.trim()))?;
        }
        if self.waits.take().is_some() {
            self.hold = None;
            self.remark("the wait has ended by this line")?;
        }
        let before = self.chat.clone();
        match self.chat.understand(line) {
            Err(reason) => self.remark(&reason)?,
            Ok(Typed::Nothing) => {}
            Ok(Typed::Leaves) => return Ok(true),
            Ok(Typed::Waits(time)) => {
                (self.hold, self.waits) = (Some(Instant::now() + time), Some(time));
                self.remark(&waits(time, self.console.is_terminal()))?;
            }
            Ok(Typed::AsksForHelp) => {
                for line in HELP.lines() {
                    self.remark(line)?;
                }
            }
            Ok(Typed::Happens(acts)) => self.happen(acts, before).await?,
        }
        self.rest();
        self.prompt()?;
        Ok(false)
    }

    /// Performs the acts of simulated people; `before` restores the chat state on failure.
    async fn happen(&mut self, acts: Vec<Act>, before: Chat) -> anyhow::Result<()> {
        if !acts.contains(&Act::Restart)
            && let Some(why) = self.absence()
        {
            self.remark(&format!("it does not run, and hears nothing: {why}; /restart starts it now"))?;
        }
        match &mut self.runs {
            Runs::MadeUp { stage: Some(stage), .. } => {
                for (index, act) in acts.into_iter().enumerate() {
                    if let Err(reason) = stage.act(&act, &mut self.shown).await {
                        if index == 0 {
                            // The first act failed, so nothing happened.
                            self.chat = before;
                        }
                        return self.remark(&reason);
                    }
                }
                Ok(())
            }
            Runs::MadeUp { stage: None, .. } => {
                // No room was joined.
                self.chat = before;
                self.remark("there is nobody to talk to yet: it has not been built")
            }
            Runs::Account(real) => {
                let invitation = real.invitation();
                self.remark(&invitation)
            }
        }
    }

    /// Lets a script wait for the reaction.
    fn rest(&mut self) {
        if !self.console.is_terminal() {
            let until = Instant::now() + QUIET;
            self.hold = Some(self.hold.map_or(until, |hold| hold.max(until)));
        }
    }

    /// Prints the plugin's reactions and log lines.
    fn tell(&mut self) -> anyhow::Result<()> {
        for happened in self.notes.take() {
            let is_action = matches!(happened, Happened::Did(_));
            for line in self.shown.lines(&happened) {
                // A message to people keeps its own lines; only other text may hold a stack trace.
                let said = if is_action { line } else { stack::for_authors(&line) };
                let (line, stack) = said.split_once('\n').unwrap_or((&said, ""));
                self.print(&format!("  {line}"))?;
                self.remark(stack)?;
            }
            match happened {
                Happened::Logged { level, text } if level > tracing::Level::WARN => {
                    let line = format!("log {}: {text}", level.as_str().to_ascii_lowercase());
                    self.remark(&stack::for_authors(&line))?;
                }
                Happened::Denied { permission, scope, hopeless } => {
                    if let Some(hint) = hopeless.or_else(|| self.hint(&permission, scope)) {
                        self.remark(&to_allow(&hint))?;
                    }
                }
                Happened::Computes(text) => self.remark(&text)?,
                Happened::Trace(trace) => self.remark(&trace::for_authors(&trace))?,
                _ => {}
            }
        }
        self.rest();
        Ok(())
    }

    /// Returns the command that would allow a denied call.
    fn hint(&self, permission: &str, scope: Option<String>) -> Option<String> {
        let manifest = &self.running.as_ref()?.manifest;
        match manifest.denial(&manifest.name, permission.parse().ok()?, scope) {
            CallError::Denied { hint, .. } => Some(hint),
            _ => None,
        }
    }

    fn prompt(&mut self) -> anyhow::Result<()> {
        if self.building.is_some() {
            return Ok(());
        }
        let prompt = match &self.runs {
            Runs::MadeUp { .. } => format!("{}: ", self.chat.user()),
            Runs::Account(_) => "> ".to_owned(),
        };
        self.console.prompt(prompt).context("standard output")
    }

    /// Prints a remark.
    fn remark(&self, text: &str) -> anyhow::Result<()> {
        text.lines().try_for_each(|line| self.print(format!("# {line}").trim_end()))
    }

    /// Prints a line, escaped: it contains text of the plugin, and a terminal would interpret it.
    fn print(&self, line: &str) -> anyhow::Result<()> {
        self.console.print(&escape_untrusted(line, LONGEST)).context("standard output")
    }
}

/// Returns the plugin's name and version.
fn name(manifest: &Manifest) -> String {
    format!("{} {}", manifest.name, manifest.version)
}

/// Starts the plugin, on an account that has just logged in.
async fn begin(place: &mut Option<Box<Stage>>, player: Player, notes: &Notes, by_hand: &ByHand) -> anyhow::Result<()> {
    let mut stage = Box::new(Stage::by_hand(player, notes, by_hand));
    stage.begin().await;
    stage.until_reachable().await;
    *place = Some(stage);
    Ok(())
}
