//! `parlor web`: a window in the browser. It is a separate program, which queries the host over the control socket. It
//! changes plugins with the functions of `parlor plugin`, and holds no account.

mod accounts;
mod audit;
mod changes;
mod contacts;
mod doctor;
mod explain;
mod home;
mod host;
mod install;
mod keys;
mod link;
mod links;
mod lists;
mod owners;
mod parts;
mod plots;
mod plugin;
mod plugins;
mod rights;
mod rooms;
mod routes;
mod runs;
mod settings;
mod starting;
mod storage;
mod versions;
mod way_in;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use parlor::control::client::MOST_ACCOUNTS;
use parlor_config::{AccountName, Config};
use parlor_runtime::audited::retention;
use parlor_store::{AuditFile, AuditKind, By, NewAuditEntry};
use parlor_window::{EndedCount, Frame, Name, Role, Session, Site, Store, Window};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::Level;

use self::host::Host;
use self::link::{LinkArgs, address};
use self::links::{for_accounts, names};
use super::Ended;
use super::listening;
use super::run::leave_no_core;
use super::show::{is_for_eyes, print, print_json, second, table};
use super::target::{self, Target};

/// How often it is looked whether something has changed, while anybody has a page open.
const LOOK: Duration = Duration::from_secs(2);

/// The arguments of `parlor web`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Without a command it serves the window until it is stopped. Run it beside `parlor run`, as the same user. Only this machine reaches it, unless a proxy with TLS stands before it, whose address --origin names.\n\nExamples:\n  parlor web                                           serve it at http://127.0.0.1:8470/\n  parlor web login                                     print a link to log in with, once\n  parlor web login --role viewer --name ann            for somebody who only looks\n  parlor web login --account shop --name ann           for the owner of one account\n  parlor web link --to ann@example.org                 have an owner sent a link by message\n  parlor web sessions                                  show who is logged in\n  parlor web --origin https://bots.example.org --path /parlor/\n\nExit codes: 0 stopped, 1 failed, 2 wrong usage"
)]
pub struct WebArgs {
    #[command(subcommand)]
    command: Option<WebCommand>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum WebCommand {
    /// Print a link to log in with, once.
    Login(LoginArgs),
    /// Send an owner a link to log in with, once.
    Link(LinkArgs),
    /// Show who is logged in, and end sessions.
    Sessions(SessionsArgs),
}

/// How the window is served.
#[derive(Debug, Args)]
struct ServeArgs {
    /// The address and port to listen at.
    #[arg(long, default_value = "127.0.0.1:8470", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The origin of the proxy before it, as browsers know it, such as `https://bots.example.org`.
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// The path below which the proxy passes requests on.
    #[arg(long, value_name = "PATH", default_value = "/", requires = "origin")]
    path: String,
    #[command(flatten)]
    target: Target,
}

/// The arguments of `parlor web login`.
#[derive(Debug, Args)]
#[command(
    after_help = "A viewer changes nothing, and does not see what plugins store; an operator restarts and pauses plugins, and has accounts enter rooms; an owner changes grants, settings and versions. With --account the session sees and changes only what belongs to these accounts: not the files, the log, the limits and the indexes of the host, and no plugin that runs elsewhere as well. A session ends after half an hour without use, and after eight hours in any case.\n\nExamples:\n  parlor web login                            as owner\n  parlor web login --role viewer --name ann   the audit and `parlor web sessions` say ann\n  parlor web login --account shop --account help --name ann   for these accounts alone\n  parlor web login --minutes 2 --json         for programs\n\nExit codes: 0 printed, 1 failed, or `parlor web` does not run, 2 wrong usage"
)]
struct LoginArgs {
    /// The role of the session: viewer, operator or owner.
    #[arg(long, default_value = "owner")]
    role: Role,
    /// The name of the session; by default the name of the user.
    #[arg(long)]
    name: Option<Name>,
    /// An account that the session is limited to; can be repeated. By default it is for the whole host.
    #[arg(long = "account", value_name = "NAME")]
    accounts: Vec<AccountName>,
    /// How many minutes the link can be used.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1440))]
    minutes: u16,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// The arguments of `parlor web sessions`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Times are in UTC.\n\nExamples:\n  parlor web sessions\n  parlor web sessions --json\n  parlor web sessions end ann\n  parlor web sessions end --all    also links that nobody has used\n\nExit codes: 0 shown or ended, 1 failed, 2 wrong usage"
)]
struct SessionsArgs {
    #[command(subcommand)]
    command: Option<SessionsCommand>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// End a session, or all of them.
    End(EndArgs),
}

/// The arguments of `parlor web sessions end`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor web sessions end ann\n  parlor web sessions end --all    also links that nobody has used\n\nExit codes: 0 ended, 1 failed, or there is no such session and no such link, 2 wrong usage"
)]
struct EndArgs {
    /// The session. Links of its person that nobody has used end as well.
    #[arg(required_unless_present = "all")]
    name: Option<Name>,
    /// End all sessions, and all links that nobody has used.
    #[arg(long, conflicts_with = "name")]
    all: bool,
    #[command(flatten)]
    target: Target,
}

impl WebArgs {
    /// Serves the window, or carries out the command.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            None => self.serve.run(),
            Some(WebCommand::Login(login)) => login.run(),
            Some(WebCommand::Link(link)) => link.run(),
            Some(WebCommand::Sessions(sessions)) => sessions.run(),
        }
    }
}

impl ServeArgs {
    fn run(self) -> anyhow::Result<()> {
        leave_no_core()?;
        let public = self.origin.as_deref().map(|origin| Site::public(origin, &self.path));
        let public = public.transpose().map_err(|error| Ended::Usage(error.to_string()))?;
        if public.is_none() && !self.listen.ip().is_loopback() {
            let sentence = "other machines would reach it without TLS: listen at 127.0.0.1, or put a proxy before it and name that by --origin";
            return Err(Ended::Usage(sentence.to_owned()).into());
        }
        let config = self.target.load()?;
        target::is_own_host(&config)?;
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_ansi(is_for_eyes(&std::io::stderr()))
            .with_max_level(Level::INFO)
            .with_target(false)
            .init();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.context("the runtime cannot start")?;
        let host = Host::new(self.target);
        host.owners.note(&config);
        host.plots.load(&config.data);
        runtime.spawn(plots::watch(host.plots.clone(), config.data.clone()));
        let served = runtime.block_on(serve(self.listen, config.web.listen, public, Store::new(&config.data), host));
        // A page that waits for a host must not delay the exit.
        runtime.shutdown_background();
        served
    }
}

/// Serves the window until a signal stops it. `webhooks`: where the host listens for webhooks.
async fn serve(
    at: SocketAddr,
    webhooks: Option<SocketAddr>,
    public: Option<Site>,
    store: Store,
    host: Host,
) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let window = Window::listen(at).await.map_err(|error| {
        let problem = listening::problem(at, &error, &store, webhooks);
        anyhow!("{problem}; --listen names another address")
    })?;
    let is_behind_proxy = public.is_some();
    let site = public.unwrap_or_else(|| Site::local(window.address()));
    let (address, host) = (site.address(), Arc::new(host));
    let (news, changed) = watch::channel(0);
    let watching = tokio::spawn(watch_host(Arc::clone(&host), news));
    let sending = tokio::spawn(way_in::send_all(Arc::clone(&host)));
    let (standing, ended) = (way_in::standing, way_in::ended);
    let frame = Frame::new(host, site, store.clone(), routes::NAV, changed, standing, ended);
    let noted = store.note_address(&address)?;
    print(&format!("listening at {address}"))?;
    tracing::info!(at = %window.address(), "the window is open; `parlor web login` prints a link");
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    window.serve(frame, routes::all(), is_behind_proxy, stop).await;
    watching.abort();
    sending.abort();
    Ok(noted.forget()?)
}

/// Counts a number up whenever what pages show may have changed.
async fn watch_host(host: Arc<Host>, changes: watch::Sender<u64>) {
    let mut before = None;
    loop {
        tokio::time::sleep(LOOK).await;
        // The frame itself holds the first one.
        if changes.receiver_count() <= 1 {
            continue;
        }
        let asked = Arc::clone(&host);
        let now = tokio::task::spawn_blocking(move || asked.mark()).await.unwrap_or_default();
        if now != before {
            before = now;
            changes.send_modify(|number| *number = number.wrapping_add(1));
        }
    }
}

/// Opens the sessions of a host, for a command.
fn store(target: &Target) -> anyhow::Result<(Config, Store)> {
    let config = target.load()?;
    target::is_own_host(&config)?;
    let store = Store::new(&config.data);
    Ok((config, store))
}

/// Records what a command did about sessions.
fn record(config: &Config, way: &str, what: &str) -> anyhow::Result<()> {
    let by = By::user(rustix::process::getuid().as_raw(), way);
    let entry = NewAuditEntry::new(AuditKind::Host, &by, what);
    Ok(AuditFile::create(&config.data, retention(config))?.add(&[entry])?)
}

impl LoginArgs {
    fn run(self) -> anyhow::Result<()> {
        let (config, store) = store(&self.target)?;
        let address = address(&store, &config)?;
        let user = || std::env::var("USER").ok().and_then(|user| user.parse::<Name>().ok());
        let role = self.role;
        let name = self.name.or_else(user).map_or_else(|| role.as_str().parse(), Ok)?;
        let accounts = limited_to(&config, &self.accounts)?;
        let whose = for_accounts(accounts.as_ref());
        let what = format!("a link to log in to the window was made, for {name} as {role}{whose}");
        record(&config, "parlor web login", &what)?;
        let life = Duration::from_mins(self.minutes.into());
        let secret = store.issue_for(name.clone(), role, accounts.clone(), life, Timestamp::now())?;
        let link = format!("{address}login/{}", secret.expose());
        if self.json {
            let mut made = json!({ "link": link, "name": name, "role": role, "minutes": self.minutes });
            if let Some(accounts) = accounts {
                made["accounts"] = json!(accounts.keys().collect::<Vec<_>>());
            }
            return print_json(&made);
        }
        print(&format!("{link}\n\n{}", used_once(&name, &format!("{role}{whose}"), self.minutes)))
    }
}

/// Returns the accounts that a session is limited to, each with its address. None: no account was named, and it is for the whole host.
fn limited_to(config: &Config, names: &[AccountName]) -> anyhow::Result<Option<BTreeMap<String, String>>> {
    if let Some(name) = names.iter().find(|name| !config.accounts.contains_key(*name)) {
        return Err(target::no_account(config, name));
    }
    let chosen = names.iter().filter_map(|name| config.accounts.get(name));
    let accounts: BTreeMap<_, _> =
        chosen.map(|one| (one.name.to_string(), one.link.jid.to_bare().to_string())).collect();
    if accounts.len() > MOST_ACCOUNTS {
        let sentence =
            format!("a session is limited to at most {MOST_ACCOUNTS} accounts, and {} were named", accounts.len());
        return Err(Ended::Usage(sentence).into());
    }
    Ok(Some(accounts).filter(|accounts| !accounts.is_empty()))
}

/// Says for what a link to log in can be used. `role`: perhaps with the accounts behind it.
fn used_once(name: &Name, role: &str, minutes: u16) -> String {
    format!("It can be used once, within {minutes} min, and logs in {name} with the role {role}.")
}

impl SessionsArgs {
    fn run(self) -> anyhow::Result<()> {
        if let Some(SessionsCommand::End(end)) = self.command {
            return end.run();
        }
        let (_, store) = store(&self.target)?;
        let sessions = store.sessions(Timestamp::now())?;
        if self.json { print_json(&sessions) } else { print(&screen(&sessions)) }
    }
}

impl EndArgs {
    fn run(self) -> anyhow::Result<()> {
        let (config, store) = store(&self.target)?;
        let ended = store.end(self.name.as_ref(), Timestamp::now())?;
        let Some(name) = &self.name else {
            record(&config, "parlor web sessions end", "all sessions of the window were ended")?;
            return print(&format!("{} sessions were ended, and links that nobody has used", ended.sessions));
        };
        let Some((what, says)) = ended_of(name, ended) else {
            bail!(
                "nobody is logged in as {name}, and no link waits for {name}; `parlor web sessions` shows who is logged in"
            );
        };
        record(&config, "parlor web sessions end", &what)?;
        print(&says)
    }
}

/// Says what was ended of a person, for the audit and for the user; none if that is nothing.
fn ended_of(name: &Name, EndedCount { sessions, links }: EndedCount) -> Option<(String, String)> {
    let ended_links = if links > 0 { format!("; unused links ended: {links}") } else { String::new() };
    match (sessions, links) {
        (0, 0) => None,
        (0, _) => Some((
            format!("unused links of {name} to the window ended: {links}"),
            format!("nobody is logged in as {name}{ended_links}"),
        )),
        _ => Some((
            format!("the session {name} of the window was ended{ended_links}"),
            format!("{name} is logged out{ended_links}"),
        )),
    }
}

fn screen(sessions: &[Session]) -> String {
    if sessions.is_empty() {
        return "nobody is logged in; `parlor web login` prints a link\n".to_owned();
    }
    let row = |session: &Session| {
        let times = [session.began, session.used].map(|at| second(&at.to_string()));
        let [began, used] = times;
        let jid = session.jid.clone().unwrap_or_else(|| "-".to_owned());
        let accounts = match (&session.accounts, &session.jid) {
            (Some(accounts), _) => names(accounts),
            (None, Some(_)) => "of the owner".to_owned(),
            (None, None) => "all".to_owned(),
        };
        vec![session.name.to_string(), session.role.to_string(), began, used, jid, accounts]
    };
    let heads = ["SESSION", "ROLE", "SINCE", "LAST USED", "BY A LINK TO", "ACCOUNTS"];
    table(&heads, &sessions.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use parlor_base::id::Digest;
    use parlor_plugins::sample;

    use super::*;

    /// Returns a host with one account in this folder, which does not run.
    pub(super) fn host_in(folder: &Path) -> Arc<Host> {
        let config = folder.join("parlor.toml");
        fs::write(&config, "[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n").unwrap();
        Arc::new(Host::new(Target { config: Some(config), data: None, plugins: None }))
    }

    /// Writes a version of a plugin that asks to send messages to somebody. Returns its digest.
    pub(super) fn write_version(folder: &Path, version: &str, to: &str) -> Digest {
        let manifest = format!(
            "[plugin]\nname = \"echo\"\nversion = \"{version}\"\napi = \"0.1.0\"\ndescription = \"X\"\n\
             [permissions]\n\"messages.send\" = {{ scope = [\"{to}\"], reason = \"r\" }}\n"
        );
        let bytes = wat::parse_str(sample::plugin_with(&manifest)).unwrap();
        let digest = Digest::of(&bytes);
        fs::write(folder.join("echo.wasm"), bytes).unwrap();
        digest
    }

    /// Returns the fields of the form with a page's question.
    pub(super) fn fields_of(page: &str) -> Vec<(&str, &str)> {
        let fields = page.split("<input type=\"hidden\" name=\"").skip(1);
        fields.filter_map(|rest| rest.split_once('>')?.0.strip_suffix('"')?.split_once("\" value=\"")).collect()
    }

    /// Returns the flags of a host that is not there.
    pub(super) fn target() -> Target {
        Target { config: Some("parlor.toml".into()), data: None, plugins: None }
    }

    #[test]
    fn a_link_says_who_is_logged_in_by_it_and_with_which_role() {
        assert_eq!(
            used_once(&"owner".parse().unwrap(), "owner", 10),
            "It can be used once, within 10 min, and logs in owner with the role owner."
        );
        let accounts = BTreeMap::from(["main", "second"].map(|name| (name.to_owned(), String::new())));
        assert_eq!(for_accounts(Some(&accounts)), ", for the accounts main, second");
        assert_eq!(for_accounts(None), "");
    }

    /// Returns the account of [`host_in`].
    fn main_alone() -> BTreeMap<String, String> {
        BTreeMap::from([("main".to_owned(), "bot@example.org".to_owned())])
    }

    #[test]
    fn a_link_is_made_for_accounts_that_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let config = host_in(folder.path()).config().unwrap();
        let limited = |names: &[&str]| {
            let names: Vec<AccountName> = names.iter().map(|name| name.parse().unwrap()).collect();
            limited_to(&config, &names)
        };
        assert_eq!(limited(&[]).unwrap(), None);
        assert_eq!(limited(&["main", "main"]).unwrap(), Some(main_alone()));
        let refused = limited(&["main", "mein"]).unwrap_err().to_string();
        assert!(refused.contains("no account mein") && refused.contains("main"), "{refused}");
    }

    #[test]
    fn what_was_ended_of_a_person_is_said_with_unused_links() {
        let says =
            |sessions, links| ended_of(&"ann".parse().unwrap(), EndedCount { sessions, links }).map(|(_, says)| says);
        assert_eq!(says(0, 0), None);
        assert_eq!(says(1, 0).unwrap(), "ann is logged out");
        assert_eq!(says(1, 2).unwrap(), "ann is logged out; unused links ended: 2");
        assert_eq!(says(0, 1).unwrap(), "nobody is logged in as ann; unused links ended: 1");
    }

    #[test]
    fn the_screen_says_who_is_logged_in() {
        assert_eq!(screen(&[]), "nobody is logged in; `parlor web login` prints a link\n");
        let at: Timestamp = "2026-11-20T08:00:00.5Z".parse().unwrap();
        let session = |name: &str, jid: Option<&str>, account: Option<&str>| {
            let accounts = account.map(|_| main_alone());
            Session::new(name.parse().unwrap(), Role::Viewer, jid.map(str::to_owned), accounts, at)
        };
        let all = [
            session("ann", None, None),
            session("bob", Some("bob@example.org"), None),
            session("eve", None, Some("main")),
        ];
        assert_eq!(
            screen(&all),
            "SESSION  ROLE    SINCE                LAST USED            BY A LINK TO     ACCOUNTS\n\
             ann      viewer  2026-11-20 08:00:00  2026-11-20 08:00:00  -                all\n\
             bob      viewer  2026-11-20 08:00:00  2026-11-20 08:00:00  bob@example.org  of the owner\n\
             eve      viewer  2026-11-20 08:00:00  2026-11-20 08:00:00  -                main\n"
        );
    }

    #[test]
    fn every_page_has_a_way_to_it() {
        let routes = routes::all();
        drop(routes);
        assert!(routes::NAV.iter().all(|entry| entry.path.starts_with('/')));
    }
}
