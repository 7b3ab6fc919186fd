//! A host in this process: it has accounts on the suite's one Prosody, and plugins that do what a test tells them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parlor::host::Host;
use parlor_base::id::{InstanceId, PluginId};
use parlor_base::permission::{Permission, ScopeKind};
use parlor_config::{AccountName, Config, Overrides};
use parlor_runtime::account::{Asker, Connection, Shared};
use parlor_runtime::instance::Instance;
use parlor_runtime::supervisor::State;
use parlor_session::event::{Event, Payload};
use parlor_session::permissions::{Granted, Grants};
use parlor_session::router::{Filter, Mailbox};
use parlor_session::{Emit, RegisterPromises};
use parlor_tests::client::Client;
use parlor_tests::conformance::record::{self, Note};
use parlor_tests::front::Front;
use parlor_tests::host::{Home, Server};
use parlor_tests::peer::archive::Script;
use parlor_tests::peer::{Answers, Peer, Request, Said};
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::server::{Account, BOTS, BOTS_SECRET, DOMAIN, Software, XmppServer};
use parlor_tests::transport::Transport;
use parlor_tests::{certificate::Certificate, folder::Folder, plugins, ports};
use serde_json::{Value, json};
use tokio::sync::{Notify, OnceCell};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use xmpp_parsers::minidom::Element;

use crate::answer::Answer;
use crate::compiled;
use crate::trace::{self, Line};

/// The timeout of everything that is immediate on an idle machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// The polling interval for states without change notifications.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(2);

/// The plugin that has every grant.
pub(crate) const FULL: &str = "full";
/// The same plugin without any grant.
pub(crate) const BARE: &str = "bare";
/// The same plugin with every grant, but with scopes that match no one in the tests.
pub(crate) const NARROW: &str = "narrow";

/// Returns the suite's one server: Prosody, or the one that the environment names. `cargo xtask api` runs it on both.
///
/// A server that does not start is not tried again: otherwise each test would wait a minute for the same.
pub(crate) async fn prosody() -> &'static XmppServer {
    static SERVER: OnceCell<Result<XmppServer, String>> = OnceCell::const_new();
    let started = SERVER.get_or_init(async || software().start().await.map_err(|error| format!("{error:#}"))).await;
    started.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the server software, for tests of features that only one of them has.
pub(crate) fn software() -> Software {
    match std::env::var("PARLOR_TEST_SERVER") {
        Ok(name) => Software::named(&name).unwrap(),
        Err(_) => Software::Prosody,
    }
}

/// Returns another client, logged in and available.
pub(crate) async fn friend(prefix: &str) -> Client {
    let prosody = prosody().await;
    client(&prosody.fresh_account(prefix).unwrap()).await
}

/// Logs a client in to an account, which may be the host's own.
pub(crate) async fn client(account: &Account) -> Client {
    client_on(prosody().await, account).await
}

/// Logs a client in to an account on this server.
pub(crate) async fn client_on(server: &XmppServer, account: &Account) -> Client {
    let mut client = Client::login(&server.connector().unwrap(), account, "suite").await.unwrap();
    client.available().await.unwrap();
    // Until the server has processed the presence, it may store messages to the account instead.
    client.catch_up(SOON).await.unwrap();
    client
}

/// Grants everything.
pub(crate) fn granted(entry: Entry) -> Entry {
    with_scopes(entry, "*")
}

/// Grants every permission, with scopes that match no one.
pub(crate) fn narrowly_granted(entry: Entry) -> Entry {
    with_scopes(entry, "nobody@nowhere.invalid")
}

fn with_scopes(entry: Entry, jids: &str) -> Entry {
    Permission::ALL.iter().filter(|permission| is_asked_for(**permission)).fold(entry, |entry, permission| {
        let name = permission.as_str();
        match (permission.scope_kind(), jids) {
            (ScopeKind::Jids | ScopeKind::Messages | ScopeKind::Rooms, jids) => entry.grant(name, &[jids]),
            (ScopeKind::Stanzas, "*") => entry.grant(name, &["message", "presence", "iq"]),
            (ScopeKind::Stanzas, _) if *permission == Permission::StanzaRead => entry.grant(name, &["presence"]),
            (ScopeKind::Stanzas, jids) => entry.grant(name, &[&format!("message:{jids}")]),
            (ScopeKind::Servers | ScopeKind::Files | ScopeKind::Plugins | ScopeKind::Nodes, "*") => {
                entry.grant(name, &["*"])
            }
            (ScopeKind::Servers, _) => entry.grant(name, &["nobody.invalid"]),
            (ScopeKind::Plugins, _) => entry.grant(name, &["nobody"]),
            (ScopeKind::Nodes, _) => entry.grant(name, &["nobody.invalid/none"]),
            (ScopeKind::Files, _) => entry.grant(name, &["font/otf 1 B"]),
            // A namespace that the manifest does not list: otherwise each test would see the account announce it.
            (ScopeKind::Namespaces, _) => entry.grant(name, &["urn:example:nobody"]),
            (ScopeKind::None | ScopeKind::Quota, _) => entry.grant_whole(name),
        }
    })
}

/// Returns whether the manifest of `caller` asks for it. The others belong to groupings that do not exist yet.
fn is_asked_for(permission: Permission) -> bool {
    static MANIFEST: &str = include_str!("../guests/caller/plugin.toml");
    MANIFEST.contains(&format!("\"{permission}\""))
}

/// A host that is not started yet.
pub(crate) struct Plan {
    home: Home,
    policy: Policy,
    accounts: Vec<(String, Account)>,
    connects: bool,
    /// Files that the configuration refers to, next to the home.
    beside: Option<Folder>,
    peer: Option<ScriptedServer>,
    /// A TLS proxy in front of the server's web port.
    front: Option<Front>,
}

/// A server that follows a script, for one client after the other.
struct ScriptedServer {
    task: JoinHandle<()>,
    cut: Arc<Notify>,
    said: Said,
    answers: Answers,
}

impl ScriptedServer {
    fn start(peer: Peer) -> Self {
        let (cut, said) = (Arc::<Notify>::default(), Said::default());
        let answers = Answers::default();
        let peer = peer.keeping(Arc::clone(&said)).answering(Arc::clone(&answers));
        let is_cut = Arc::clone(&cut);
        let task = tokio::spawn(async move {
            loop {
                let Ok(mut session) = peer.accept(SOON).await else { continue };
                tokio::select! {
                    () = is_cut.notified() => {}
                    // The session ends with the stream.
                    () = async { while session.next().await.is_ok() {} } => {}
                }
            }
        });
        Self { task, cut, said, answers }
    }

    fn answer(&self, answer: impl FnMut(&Request) -> Option<Vec<Element>> + Send + 'static) {
        *self.answers.lock().unwrap() = Some(Box::new(answer));
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Plan {
    /// Creates a plan with one account that logs in, whose name [`TestHost::name`] returns.
    pub(crate) async fn new() -> Self {
        let mut plan = Self::empty(true);
        plan.account().await;
        plan
    }

    /// Creates the same plan on this server.
    pub(crate) fn on(server: &XmppServer) -> Self {
        let mut plan = Self::empty(true);
        plan.account_on(server);
        plan
    }

    /// Creates a plan with one account on a server that follows a script. The server ends with the host.
    pub(crate) async fn scripted(script: Script) -> Self {
        Self::on_a_script(Some(script)).await
    }

    /// Creates the same plan on a server without an archive.
    pub(crate) async fn scripted_without_archive() -> Self {
        Self::on_a_script(None).await
    }

    async fn on_a_script(script: Option<Script>) -> Self {
        let mut plan = Self::empty(true);
        let (name, folder) = (unique(), Folder::new().unwrap());
        let certificate = Certificate::make(&folder).unwrap();
        let mut peer = Peer::listen(&certificate).await.unwrap();
        if let Some(script) = script {
            peer = peer.with_archive(script);
        }
        let account = Account { jid: format!("bot@{DOMAIN}").parse().unwrap(), password: "any".to_owned() };
        plan.home.add_account(&name, &account, Server::Plain(peer.port(), &certificate)).unwrap();
        plan.accounts.push((name, account));
        plan.beside = Some(folder);
        plan.peer = Some(ScriptedServer::start(peer));
        plan
    }

    /// Lets a callback answer the scripted server's requests from the first one on. If it returns `None`, the default
    /// applies.
    pub(crate) fn answering(self, answer: impl FnMut(&Request) -> Option<Vec<Element>> + Send + 'static) -> Self {
        self.peer.as_ref().unwrap().answer(answer);
        self
    }

    /// Creates a plan with one account that never logs in, for tests that need no server.
    pub(crate) fn offline() -> Self {
        let mut plan = Self::empty(false);
        let (name, folder) = (unique(), Folder::new().unwrap());
        let certificate = Certificate::make(&folder).unwrap();
        let account = Account { jid: format!("{name}@{DOMAIN}").parse().unwrap(), password: "none".to_owned() };
        plan.home.add_account(&name, &account, Server::StartTls(1, &certificate)).unwrap();
        plan.home.set("auto_login", false).unwrap();
        plan.accounts.push((name, account));
        plan.beside = Some(folder);
        plan
    }

    /// Creates a plan with so many accounts that are addresses of this server's component.
    pub(crate) fn on_component(server: &XmppServer, count: usize) -> Self {
        let mut plan = Self::empty(true);
        plan.home.add_component("bots", BOTS, BOTS_SECRET, server.ports().component.unwrap()).unwrap();
        for _ in 0..count {
            let name = unique();
            let account = Account { jid: format!("{name}@{BOTS}").parse().unwrap(), password: "none".to_owned() };
            plan.home.add_address(&name, &account.jid, "bots").unwrap();
            plan.accounts.push((name, account));
        }
        plan
    }

    fn empty(connects: bool) -> Self {
        trace::start();
        let (home, policy) = (Home::new().unwrap(), Policy::default());
        Self { home, policy, accounts: Vec::new(), connects, beside: None, peer: None, front: None }
    }

    /// Adds an account.
    pub(crate) async fn account(&mut self) {
        self.account_on(prosody().await);
    }

    fn account_on(&mut self, server: &XmppServer) {
        let name = unique();
        let account = server.add_account(&name).unwrap();
        let way = Server::StartTls(server.ports().starttls, server.certificate());
        self.home.add_account(&name, &account, way).unwrap();
        self.accounts.push((name, account));
    }

    /// Lets the first account reach its server through another port, which forwards to it.
    pub(crate) async fn through(mut self, port: u16) -> Self {
        let (name, account) = &self.accounts[0];
        let certificate = prosody().await.certificate();
        self.home.add_account(name, account, Server::StartTls(port, certificate)).unwrap();
        self
    }

    /// Lets the first account discover the address of this transport from this server.
    pub(crate) fn discovering(mut self, transport: &str, server: &str) -> Self {
        for (key, value) in [("transport", transport), ("server", server)] {
            self.home.amend(&self.accounts[0].0, key, Some(value.into())).unwrap();
        }
        self
    }

    /// Removes the first account's password from the configuration.
    pub(crate) fn without_password(mut self) -> Self {
        self.home.amend(&self.accounts[0].0, "password_file", None).unwrap();
        self
    }

    /// Creates a plan with another host's account, under this full JID.
    pub(crate) async fn of(account: &Account, jid: &str, transport: Transport) -> Self {
        let mut plan = Self::empty(true);
        plan.accounts.push((unique(), account.clone()));
        plan = plan.over(transport).await;
        plan.home.amend(&plan.accounts[0].0, "jid", Some(jid.into())).unwrap();
        plan.without_password()
    }

    /// Lets the first account reach its server by this transport.
    pub(crate) async fn over(self, transport: Transport) -> Self {
        self.over_to(prosody().await, transport).await
    }

    /// Lets the first account reach this server, on which it is, by this transport.
    pub(crate) async fn over_to(mut self, server: &XmppServer, transport: Transport) -> Self {
        let front = Front::before(server.ports().http, server.certificate()).await.unwrap();
        let (name, account) = &self.accounts[0];
        let way = transport.by(transport.port(server, &front), server.certificate());
        self.home.add_account(name, account, way).unwrap();
        self.front = Some(front);
        self
    }

    /// Sets a key of the first account's encryption.
    pub(crate) fn encrypting(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        let table = toml::Table::from_iter([(key.to_owned(), value.into())]);
        self.home.amend(&self.accounts[0].0, "encryption", Some(table.into())).unwrap();
        self
    }

    /// Sets one of the host's settings.
    pub(crate) fn set(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.home.set(key, value).unwrap();
        self
    }

    /// Lets plugins trust this certificate in requests over the web.
    pub(crate) fn trusting(mut self, certificate: &Certificate) -> Self {
        let path = certificate.certificate_file.to_string_lossy().into_owned();
        self.home.set_web("ca_file", path).unwrap();
        self
    }

    /// Lets plugins trust each of these certificates in requests over the web.
    pub(crate) fn trusting_each(mut self, certificates: &[&Certificate]) -> Self {
        let read = |one: &&Certificate| std::fs::read_to_string(&one.certificate_file).unwrap();
        let all: Vec<String> = certificates.iter().map(read).collect();
        let path = self.home.write("ca.pem", &all.concat()).unwrap();
        self.home.set_web("ca_file", path.to_string_lossy().into_owned()).unwrap();
        self
    }

    /// Lets requests of plugins, and files, go through a proxy that looks names up.
    pub(crate) fn through_proxy(mut self, url: &str) -> Self {
        self.home.set_web("outbound_proxy", url).unwrap();
        self.home.set_web("outbound_proxy_resolves", true).unwrap();
        self
    }

    /// Says where somebody may listen for webhooks. The test starts the listener itself.
    pub(crate) fn with_webhooks(mut self) -> Self {
        self.home.set_web("listen", format!("127.0.0.1:{}", ports::free().unwrap())).unwrap();
        self
    }

    /// Lets plugins send files to the suite's server and fetch them from there.
    pub(crate) async fn with_files(mut self) -> Self {
        let server = prosody().await;
        let port = server.ports().files;
        let local = ["127.0.0.1", "[::1]"].map(|address| format!("{address}:{port}"));
        self.home.set_web("local_files", local.to_vec()).unwrap();
        self.trusting(server.certificate())
    }

    /// Lets plugins fetch the files of messages from these ports of this machine.
    pub(crate) fn with_files_at(mut self, ports: &[u16]) -> Self {
        let at = |port: &u16| ["127.0.0.1", "[::1]"].map(|address| format!("{address}:{port}"));
        let local: Vec<String> = ports.iter().flat_map(at).collect();
        self.home.set_web("local_files", local).unwrap();
        self
    }

    /// Writes a secret into a file of its home. Returns the value of a setting that is kept there.
    pub(crate) fn keep_secret(&self, name: &str, secret: &str) -> toml::Table {
        self.home.keep_secret(name, secret).unwrap()
    }

    /// Keeps its accounts offline until a plugin logs in.
    pub(crate) fn unconnected(mut self) -> Self {
        self.connects = false;
        self.set("auto_login", false)
    }

    /// Adds a caller that receives its orders under its id.
    pub(crate) fn caller(self, id: &str, entry: impl FnOnce(Entry) -> Entry) -> Self {
        self.plugin(id, "caller", |new| entry(new.set("name", id)))
    }

    /// Adds any plugin that was built.
    pub(crate) fn plugin(mut self, id: &str, file: &str, entry: impl FnOnce(Entry) -> Entry) -> Self {
        let installed = self.home.install(id, &plugins::built(file).unwrap()).unwrap();
        self.policy = self.policy.with(id, entry(installed));
        self
    }

    /// Adds a plugin from bytes that a test made.
    pub(crate) fn bytes(mut self, id: &str, bytes: &[u8], entry: impl FnOnce(Entry) -> Entry) -> Self {
        let installed = self.home.install_bytes(id, bytes).unwrap();
        self.policy = self.policy.with(id, entry(installed));
        self
    }

    /// Sets the orders of hooks, as they stand under `[hooks]`.
    pub(crate) fn hooks(mut self, hooks: &str) -> Self {
        self.policy = self.policy.hooks(hooks.parse().unwrap());
        self
    }

    /// Adds [`FULL`], [`BARE`] and [`NARROW`].
    pub(crate) fn three(self) -> Self {
        self.caller(FULL, granted).caller(BARE, |entry| entry).caller(NARROW, narrowly_granted)
    }

    /// Starts the host, and returns when its accounts are connected and ready.
    pub(crate) async fn start(self) -> TestHost {
        self.home.set_policy(&self.policy).unwrap();
        let (host, ears) = open(&self.home, &self.policy, &self.accounts).await;
        let running = TestHost {
            host,
            home: self.home,
            policy: self.policy,
            accounts: self.accounts,
            ears,
            _beside: self.beside,
            peer: self.peer,
            _front: self.front,
        };
        if self.connects {
            for at in 0..running.accounts.len() {
                running.ready(at).await;
            }
        }
        running
    }
}

/// Starts the host of a home, and listens on each of its accounts.
async fn open(home: &Home, policy: &Policy, accounts: &[(String, Account)]) -> (Arc<Host>, Vec<Ears>) {
    let overrides = Overrides { environment: |_| None, ..Overrides::default() };
    let config = Config::load(&home.path().join("parlor.toml"), &overrides).unwrap();
    let host = compiled::start(config, policy).await;
    let ears = accounts.iter().map(|(name, _)| {
        let shared = host.account(&name.parse().unwrap()).unwrap();
        Ears::open(shared, policy.plugin.keys())
    });
    let ears = ears.collect();
    (Arc::new(host), ears)
}

/// Stops a host without other references.
async fn stop(host: Arc<Host>) {
    Arc::into_inner(host).expect("what a test has started for the host has ended").stop().await;
}

fn unique() -> String {
    format!("bot{:016x}", rand::random::<u64>())
}

/// A running host. Dropping it ends its plugins and accounts abruptly.
pub(crate) struct TestHost {
    pub(crate) host: Arc<Host>,
    pub(crate) home: Home,
    pub(crate) policy: Policy,
    /// The accounts, each with its name in the configuration.
    pub(crate) accounts: Vec<(String, Account)>,
    ears: Vec<Ears>,
    _beside: Option<Folder>,
    peer: Option<ScriptedServer>,
    _front: Option<Front>,
}

impl TestHost {
    /// Returns the name of its first account.
    pub(crate) fn name(&self) -> &str {
        &self.accounts[0].0
    }

    /// Returns its first account.
    pub(crate) fn account(&self) -> &Account {
        &self.accounts[0].1
    }

    /// Returns the part of the first account that plugins share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.ears[0].shared
    }

    /// Cuts the connection to a scripted server.
    pub(crate) fn cut(&self) {
        self.peer.as_ref().unwrap().cut.notify_one();
    }

    /// Lets a callback answer the scripted server's requests from now on.
    pub(crate) fn answers(&self, mut answer: impl FnMut(&Request) -> Vec<Element> + Send + 'static) {
        self.peer.as_ref().unwrap().answer(move |request| Some(answer(request)));
    }

    /// Waits until the first account has sent the scripted server a stanza with this text.
    pub(crate) async fn says(&self, text: &str) {
        self.says_often(text, 1, SOON).await;
    }

    /// Waits until the first account has sent the scripted server this number of stanzas with this text.
    pub(crate) async fn says_often(&self, text: &str, count: usize, limit: Duration) {
        let said = &self.peer.as_ref().unwrap().said;
        let found = || said.lock().unwrap().iter().filter(|stanza| stanza.contains(text)).count();
        let wait = async {
            while found() < count {
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        assert!(timeout(limit, wait).await.is_ok(), "{text} was said {} times, not {count}", found());
    }

    /// Returns every stanza that the first account has sent to the scripted server.
    pub(crate) async fn said(&self) -> Vec<String> {
        // The answer to this comes after everything that was sent before.
        let ping = "<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
        self.call(FULL, "api.send-iq", json!({ "iq": ping })).await.ok();
        let mut said = self.peer.as_ref().unwrap().said.lock().unwrap().clone();
        // Calls that are still open may have sent more by now.
        let ping = said.iter().rposition(|stanza| stanza.contains("urn:xmpp:ping")).expect("the peer heard the ping");
        said.remove(ping);
        said
    }

    /// Changes the entry of a plugin while it runs.
    pub(crate) async fn decide(&self, plugin: &str, change: impl FnOnce(Entry) -> Entry) {
        let entry = change(self.policy.plugin[plugin].clone());
        self.home.set_policy(&self.policy.clone().with(plugin, entry)).unwrap();
        self.host.reload().await.unwrap();
    }

    /// Changes the orders of hooks while it runs.
    pub(crate) async fn set_hooks(&self, hooks: &str) {
        self.home.set_policy(&self.policy.clone().hooks(hooks.parse().unwrap())).unwrap();
        self.host.reload().await.unwrap();
    }

    /// Returns the listener on its first account.
    pub(crate) fn ears(&self) -> &Ears {
        &self.ears[0]
    }

    /// Makes a call from inside a plugin on the first account, and waits for the result.
    pub(crate) async fn call(&self, plugin: &str, call: &str, args: Value) -> Answer {
        self.call_on(0, plugin, call, args).await
    }

    /// Makes the call on the account with this index.
    pub(crate) async fn call_on(&self, at: usize, plugin: &str, call: &str, args: Value) -> Answer {
        let n = self.order_on(at, plugin, call, args).await;
        self.answer_on(at, plugin, call, n).await
    }

    /// Tells a plugin to make a call, without waiting, and returns the order's number.
    pub(crate) async fn order(&self, plugin: &str, call: &str, args: Value) -> u64 {
        self.order_on(0, plugin, call, args).await
    }

    async fn order_on(&self, at: usize, plugin: &str, call: &str, args: Value) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let n = NEXT.fetch_add(1, Relaxed);
        let about = match call {
            "api.wait-until" => args["promise"].as_str(),
            "listen.on" => args["name"].as_str(),
            "settings.get" | "settings.set" => args["key"].as_str(),
            _ => None,
        };
        record::note(&Note::Call(n, about.map_or_else(|| call.to_owned(), |about| format!("{call}({about})"))));
        self.ears[at].emit(&format!("{plugin}.order"), &json!({ "n": n, "call": call, "args": args })).await;
        n
    }

    /// Waits for the answer to an order.
    pub(crate) async fn answer(&self, plugin: &str, call: &str, n: u64) -> Answer {
        self.answer_on(0, plugin, call, n).await
    }

    async fn answer_on(&self, at: usize, plugin: &str, call: &str, n: u64) -> Answer {
        let answer =
            self.ears[at].hear(&format!("{plugin}.done"), &format!("{call} by {plugin}"), |it| it["n"] == n).await;
        let answer = Answer::read(&format!("{call} by {plugin}"), &answer);
        let outcome = answer.result.as_ref().map_or_else(|error| error["case"].as_str().unwrap_or("?"), |_| "ok");
        record::note(&Note::Answer(n, outcome.to_owned()));
        if let (Ok(Value::Array(noted)), "action.noted") = (&answer.result, call) {
            noted.iter().for_each(heard);
        }
        answer
    }

    /// Returns the answer to an order, if it has come already.
    pub(crate) fn early(&self, plugin: &str, n: u64) -> Option<Answer> {
        let answer = self.ears().take(&format!("{plugin}.done"), |it| it["n"] == n)?;
        Some(Answer::read(&format!("order {n} of {plugin}"), &answer))
    }

    /// Lets a plugin listen to an event. Returns the order's number, under which it reports what it hears.
    pub(crate) async fn listen(&self, plugin: &str, name: &str) -> u64 {
        self.listen_with(plugin, json!({ "name": name })).await
    }

    /// Lets a plugin listen with a filter in addition to the name.
    pub(crate) async fn listen_with(&self, plugin: &str, args: Value) -> u64 {
        self.listen_on(0, plugin, args).await
    }

    /// Lets a plugin listen on the account with this index.
    pub(crate) async fn listen_on(&self, at: usize, plugin: &str, args: Value) -> u64 {
        let n = self.order_on(at, plugin, "listen.on", args.clone()).await;
        self.answer_on(at, plugin, &format!("listen.on {args}"), n).await.ok();
        n
    }

    /// Waits for the next event that a plugin heard by this order's subscription.
    pub(crate) async fn heard(&self, plugin: &str, n: u64) -> Value {
        self.heard_on(0, plugin, n).await
    }

    /// Waits for the next event on the account with this index.
    pub(crate) async fn heard_on(&self, at: usize, plugin: &str, n: u64) -> Value {
        self.ears[at].heard(plugin, n).await
    }

    /// Returns the events of this order's subscription that no test has asked for yet.
    ///
    /// It contains everything that was routed before, since the plugin first carries out an order that comes after
    /// that.
    pub(crate) async fn heard_so_far(&self, plugin: &str, n: u64) -> Vec<Value> {
        self.heard_so_far_on(0, plugin, n).await
    }

    /// Returns the same on the account with this index.
    pub(crate) async fn heard_so_far_on(&self, at: usize, plugin: &str, n: u64) -> Vec<Value> {
        self.call_on(at, plugin, "user.jid", Value::Null).await.ok();
        let (name, mut found) = (format!("{plugin}.heard"), Vec::new());
        while let Some(mut it) = self.ears[at].take(&name, |it| it["n"] == n) {
            heard(&it["event"]);
            found.push(it["event"].take());
        }
        found
    }

    /// Waits for a line of the log about the first account.
    pub(crate) async fn logged(&self, message: &str, fields: &[(&str, &str)]) -> Line {
        let what = format!("the log line {message:?} {fields:?}");
        trace::wait(&what, self.name(), SOON, |line| line.is(message, fields).then(|| line.clone())).await
    }

    /// Returns a plugin's running instance on the first account.
    pub(crate) async fn instance(&self, plugin: &str) -> Arc<Instance> {
        self.host.instance(&id(plugin), &self.account_name()).await.unwrap()
    }

    /// Returns a plugin's state on the first account.
    pub(crate) async fn state(&self, plugin: &str) -> State {
        let (id, account) = (id(plugin), self.account_name());
        let status = self.host.status().await;
        let found = status.into_iter().find(|one| one.id == id && one.account.as_ref().is_none_or(|on| *on == account));
        found.unwrap().state
    }

    /// Returns how often a plugin was restarted.
    pub(crate) async fn restarts(&self, plugin: &str) -> u64 {
        let id = id(plugin);
        self.host.status().await.into_iter().find(|one| one.id == id).unwrap().restarts
    }

    fn account_name(&self) -> AccountName {
        self.name().parse().unwrap()
    }

    /// Waits until an account has logged in and has finished everything that follows.
    async fn ready(&self, at: usize) {
        let Ears { shared, .. } = &self.ears[at];
        let mut connection = shared.connection();
        let up = connection.wait_for(|one| matches!(one, Connection::Connected(_) | Connection::Failed(_)));
        let up = timeout(SOON, up).await.unwrap_or_else(|_| panic!("no log-in\n{}", trace::tail(self.name())));
        assert!(matches!(*up.unwrap(), Connection::Connected(_)), "{}", trace::tail(self.name()));
        timeout(SOON, shared.until("initialized")).await.unwrap().unwrap();
    }

    /// Stops the host and starts it again from its home, and returns when its accounts are connected and ready.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(async || {}).await
    }

    /// Restarts the host, and runs a callback in between.
    pub(crate) async fn restart_after(self, meanwhile: impl AsyncFnOnce()) -> Self {
        self.restart_around(async |_, _| {}, meanwhile).await
    }

    /// Restarts the host, and runs a callback while it stops, with the first account's name and listener.
    pub(crate) async fn restart_during(self, during: impl AsyncFnOnce(&str, &Ears)) -> Self {
        self.restart_around(during, async || {}).await
    }

    async fn restart_around(self, during: impl AsyncFnOnce(&str, &Ears), after: impl AsyncFnOnce()) -> Self {
        tokio::join!(stop(self.host), during(&self.accounts[0].0, &self.ears[0]));
        drop(self.ears);
        after().await;
        let (host, ears) = open(&self.home, &self.policy, &self.accounts).await;
        let restarted = Self { host, ears, ..self };
        for at in 0..restarted.accounts.len() {
            restarted.ready(at).await;
        }
        restarted
    }

    /// Stops the host, and returns the listener of the first account, which heard its plugins until the end.
    pub(crate) async fn stop_and_listen(mut self) -> Ears {
        stop(self.host).await;
        self.ears.swap_remove(0)
    }

    /// Stops the host, and runs a callback before its folder is removed.
    pub(crate) async fn stop_then(self, after: impl AsyncFnOnce()) {
        stop(self.host).await;
        after().await;
    }

    /// Stops the host as a user would.
    pub(crate) async fn stop(self) {
        stop(self.host).await;
    }
}

/// Records that a plugin heard this event.
fn heard(event: &Value) {
    if let Some(name) = event["name"].as_str() {
        let case = match &event["payload"] {
            Value::Object(payload) => payload.keys().next().map_or("?", String::as_str),
            Value::String(case) => case,
            // A plugin's own timer has no payload.
            _ => "none",
        };
        record::note(&Note::Heard(name.to_owned(), case.to_owned()));
    }
}

pub(crate) fn id(plugin: &str) -> PluginId {
    plugin.parse().unwrap()
}

/// Listens and acts for the harness on one account, as a plugin with every grant.
pub(crate) struct Ears {
    /// The instance id under which it acts.
    pub(crate) id: InstanceId,
    shared: Arc<Shared>,
    heard: Arc<Heard>,
    reader: JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    events: Mutex<VecDeque<(String, Value)>>,
    news: Notify,
}

impl Ears {
    /// Subscribes to the answers of the callers.
    fn open<'a>(shared: Arc<Shared>, callers: impl Iterator<Item = &'a String>) -> Self {
        let id = InstanceId::next();
        let (mailbox, mut receiver) = Mailbox::new(id, 10_000, Arc::new(Grants::all()));
        for caller in callers {
            for what in ["done", "heard"] {
                shared.router.subscribe(&mailbox, &format!("{caller}.{what}"), Filter::default(), false);
            }
        }
        let heard = Arc::<Heard>::default();
        let events = Arc::clone(&heard);
        let reader = tokio::spawn(async move {
            while let Some(mail) = receiver.recv().await {
                let Event { name, payload, .. } = &*mail.event;
                if let Payload::Json(json) = payload {
                    let value = serde_json::from_str(json).unwrap();
                    events.events.lock().unwrap().push_back((name.to_string(), value));
                    events.news.notify_waiters();
                }
            }
        });
        Self { id, shared, heard, reader }
    }

    /// Fires an event, as a plugin does.
    pub(crate) async fn emit(&self, name: &str, payload: &Value) {
        let (by, payload) = (self.id, Payload::Json(payload.to_string().into()));
        self.shared.ask(Asker::Host, &Granted::HOST, Emit { by, name: name.into(), payload }).await.unwrap();
    }

    /// Adds a promise, as a plugin does.
    pub(crate) async fn promise(&self, name: &str) {
        let (by, names) = (self.id, vec![name.into()]);
        self.shared.ask(Asker::Host, &Granted::HOST, RegisterPromises { by, names, most: 1_000 }).await.unwrap();
    }

    /// Returns whether an order has not been answered yet.
    pub(crate) fn nothing_from(&self, plugin: &str, n: u64) -> bool {
        self.take(&format!("{plugin}.done"), |it| it["n"] == n).is_none()
    }

    /// Waits for the next event that a plugin heard by this order's subscription.
    pub(crate) async fn heard(&self, plugin: &str, n: u64) -> Value {
        let mut it = self.hear(&format!("{plugin}.heard"), &format!("what {plugin} hears"), |it| it["n"] == n).await;
        heard(&it["event"]);
        it["event"].take()
    }

    /// Returns whether a plugin has reported no further event of this order's subscription.
    pub(crate) fn heard_nothing(&self, plugin: &str, n: u64) -> bool {
        self.take(&format!("{plugin}.heard"), |it| it["n"] == n).is_none()
    }

    fn take(&self, name: &str, mut wanted: impl FnMut(&Value) -> bool) -> Option<Value> {
        let mut events = self.heard.events.lock().unwrap();
        let at = events.iter().position(|(other, value)| other == name && wanted(value))?;
        events.remove(at).map(|(_, value)| value)
    }

    async fn hear(&self, name: &str, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let hear = async {
            loop {
                let news = self.heard.news.notified();
                tokio::pin!(news);
                // Registered before the events are read, so that an event that comes in between wakes this.
                news.as_mut().enable();
                if let Some(value) = self.take(name, &mut wanted) {
                    return value;
                }
                news.await;
            }
        };
        let late = |_| panic!("nothing came within {SOON:?} of {what}\n{}", trace::tail(self.shared.name.as_str()));
        timeout(SOON, hear).await.unwrap_or_else(late)
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Waits until a plugin on the first account runs.
pub(crate) async fn running(host: &TestHost, plugin: &str) {
    let wait = async {
        // After a failure the instance is removed before the state changes.
        let account = host.account_name();
        while host.host.instance(&id(plugin), &account).await.is_none() || host.state(plugin).await != State::Running {
            tokio::time::sleep(A_MOMENT).await;
        }
    };
    let runs = timeout(SOON, wait).await.is_ok();
    assert!(runs, "{plugin} does not run, it is {:?}\n{}", host.state(plugin).await, trace::tail(host.name()));
}

/// A call with its arguments, and the grant and scope that it lacks.
pub(crate) type Refused<'a> = (&'a str, Value, &'a str, Option<&'a str>);

/// Checks that each call is denied to a plugin without a grant, and to one with a grant for other people.
pub(crate) async fn refuses(host: &TestHost, calls: &[Refused<'_>]) {
    for (call, args, permission, scope) in calls {
        host.call(BARE, call, args.clone()).await.denied(permission, *scope);
        if permission.parse::<Permission>().unwrap().scope_kind() != ScopeKind::None {
            host.call(NARROW, call, args.clone()).await.denied(permission, *scope);
        }
    }
}

/// Checks that subscriptions to these events are denied without the grant.
pub(crate) async fn refuses_to_tell(host: &TestHost, permission: &str, events: &[&str]) {
    for event in events {
        for how in ["listen.on", "listen.once"] {
            host.call(BARE, how, json!({ "name": event })).await.denied(permission, None);
        }
    }
}
