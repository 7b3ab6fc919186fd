//! The environment of a plugin test: an account with a mock server in the process, and one plugin instance.

mod forms;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use parlor_base::clock::Clock;
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::{InstanceId, PluginId};
use parlor_config::AccountConfig;
use parlor_plugins::admission::{Admitted, undeclared};
use parlor_plugins::approved::read;
use parlor_plugins::component::{Examined, examine};
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::{RoomSettings, SettingValues};
use parlor_runtime::account::{Account, Asker, Shared};
use parlor_runtime::engine::{Compiled, Engine};
use parlor_runtime::supervisor::{State, Supervised};
use parlor_runtime::threads::Place;
use parlor_session::command_names::CommandNames;
use parlor_session::permissions::Granted;
use parlor_session::{ChangeSettings, OpenRoom, Wins};
use parlor_store::Store;
use parlor_xmpp::Dialer;

use super::beside::Beside;
use super::given::{ByHand, Given};
use super::names;
use super::notes::{Happened, Notes};
use super::script::Act;
use super::server::{Impossible, MockServer};
use super::shown::Shown;
use super::usual::{is_of_a_test, limits, link};
use super::web::{self, Web};

/// Time limit for reaching a person or a room. It is bounded because a plugin may log the account out.
const PATIENCE: Duration = Duration::from_secs(5);

/// A compiled plugin, ready to be run in a test.
#[derive(Clone)]
pub struct Player {
    engine: Arc<Engine>,
    compiled: Arc<Compiled>,
    examined: Arc<Examined>,
    /// The other plugins that its tests name, by the words of those lines, or why there is none.
    beside: Arc<BTreeMap<String, Result<Self, String>>>,
}

impl Player {
    /// Reads and compiles a plugin's file, as the host does.
    pub async fn load(engine: &Arc<Engine>, path: &Path) -> anyhow::Result<Self> {
        let bytes = read(path)?;
        let examined = examine(&bytes).map_err(|error| anyhow::anyhow!("{}: {error}", path.escaped()))?;
        if let Some((import, permission)) = undeclared(&examined).into_iter().next() {
            let call = format!("{}.{}", import.grouping, import.function);
            anyhow::bail!("{}: it calls {call}, and plugin.toml does not ask for {permission}", path.escaped());
        }
        let (compiled, _) = engine.compile(examined.digest, bytes, examined.needs).await?;
        Ok(Self { engine: Arc::clone(engine), compiled, examined: Arc::new(examined), beside: Arc::default() })
    }

    /// Returns what the examination found in the plugin's file.
    pub fn examined(&self) -> &Arc<Examined> {
        &self.examined
    }

    /// Returns the plugin's manifest.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.examined.manifest
    }

    /// Returns the same with the other plugins that its tests name, by the words of those lines.
    #[must_use]
    pub fn with_beside(self, beside: BTreeMap<String, Result<Self, String>>) -> Self {
        Self { beside: Arc::new(beside), ..self }
    }

    /// Returns the plugin that a test names so.
    pub(super) fn beside(&self, named: &str) -> Option<&Result<Self, String>> {
        self.beside.get(named)
    }

    /// Returns the plugin's id.
    pub(super) fn id(&self) -> &PluginId {
        &self.manifest().name
    }

    /// Starts the plugin on an account, and waits until it runs or has failed.
    pub(super) async fn start(&self, given: &Given, account: &Arc<Shared>, clock: Clock) -> Supervised {
        let plugin = Supervised::start(
            self.admitted(given, clock),
            Arc::clone(&self.compiled),
            Arc::clone(&self.engine),
            Arc::clone(account),
            Vec::new(),
        );
        plugin.settled().await;
        plugin
    }

    /// Builds the admitted plugin from its file, its grants and its settings.
    fn admitted(&self, given: &Given, clock: Clock) -> Arc<Admitted> {
        let examined = &self.examined;
        Arc::new(Admitted {
            id: self.id().clone(),
            digest: examined.digest,
            manifest: Arc::clone(&examined.manifest),
            grants: given.grants().into(),
            limits: limits(clock).into(),
            settings: SettingValues(given.own.clone()),
            settings_in: RoomSettings::default(),
            needs: examined.needs,
            raises: examined.raises(),
            log: None,
            commands: CommandNames::default(),
            warnings: Vec::new(),
        })
    }
}

/// An account, its mock server, and a plugin on it.
pub struct Stage {
    /// The mock server.
    pub server: MockServer,
    /// The grants and settings of the plugin.
    pub given: Given,
    account: Option<Account>,
    player: Player,
    plugin: Option<Supervised>,
    beside: Beside,
    /// The store, which outlives a restart of the host.
    store: Store,
    notes: Notes,
    web: Web,
}

impl Stage {
    /// Creates an environment in which nothing has started yet. Must be called within a runtime.
    pub fn new(player: Player, clock: Clock, notes: &Notes) -> Self {
        Self::with(Given::of(player.manifest()), player, clock, notes)
    }

    /// Creates the same by the machine's clock. The plugin's requests go to the network.
    pub fn by_hand(player: Player, notes: &Notes, by_hand: &ByHand) -> Self {
        Self::with(Given::by_hand(player.manifest(), by_hand), player, Clock::Machine, notes)
    }

    fn with(given: Given, player: Player, clock: Clock, notes: &Notes) -> Self {
        let (notes, witness) = (notes.clone(), notes.clone());
        let server = MockServer::new(names::own(), clock, move |action| witness.put(Happened::Did(action)));
        let (web, store) = (Web::default(), Store::on_runtime());
        Self { server, given, account: None, player, plugin: None, beside: Beside::default(), store, notes, web }
    }

    /// Returns whether the account and the plugin have been started.
    pub fn has_begun(&self) -> bool {
        self.account.is_some()
    }

    /// Starts the account and the plugin, and logs in, as the host does.
    pub async fn begin(&mut self) {
        let config = AccountConfig {
            name: "main".parse().expect("a word of letters names an account"),
            group: None,
            link: link(),
            owners: self.given.owners.clone(),
            web: Arc::new(self.given.web()),
            encryption: parlor_config::Encryption::OFF,
            otr_people: parlor_config::OtrPeople::default(),
            settings: self.given.settings.clone(),
        };
        let dialer = Dialer::Local(Arc::new(self.server.clone()));
        let account = Account::start_with(config, self.store.clone(), Place::here(), dialer, self.server.clock());
        let shared = Arc::clone(account.shared());
        self.account = Some(account);
        // An author who tries a plugin by hand wants to see real answers.
        if is_of_a_test(self.server.clock()) {
            self.web.serve(&shared, &self.notes);
        }
        self.beside.put_in_order(&shared, &self.player);
        self.beside.start(&shared, self.server.clock()).await;
        self.start_plugin().await;
        shared.plugins_initialized().await;
        shared.warn_of_unknown_names();
        shared.connect().await;
    }

    /// Waits until people can reach the account. The wait is bounded, since a plugin may have logged the account out.
    pub async fn until_reachable(&self) {
        let Some(account) = &self.account else { return };
        // A message that is sent earlier would be delivered later, as history.
        let _ = tokio::time::timeout(PATIENCE, account.shared().until("statusInitialized")).await;
    }

    async fn start_plugin(&mut self) {
        let Some(account) = &self.account else { return };
        let plugin = self.player.start(&self.given, account.shared(), self.server.clock()).await;
        self.plugin = Some(plugin);
    }

    /// Stops the plugin and starts it again. Its stored data is kept.
    pub async fn restart(&mut self) {
        if let Some(plugin) = self.plugin.take() {
            plugin.stop().await;
        }
        self.start_plugin().await;
    }

    /// Stops the host and starts it again, as its owner does. The store is kept, and the account logs in again.
    pub async fn restart_host(&mut self) {
        if let Some(account) = &self.account {
            account.drain().await;
        }
        if let Some(plugin) = self.plugin.take() {
            plugin.stop_with_the_host().await;
        }
        self.beside.stop_with_the_host().await;
        if let Some(account) = self.account.take() {
            account.stop().await;
        }
        for room in &self.given.rooms {
            self.server.expect_in(room);
        }
        self.begin().await;
    }

    /// Replaces the plugin by another version, as the host does: the new version starts beside the old one and takes
    /// over once it runs. Stored data is kept, and so are the grants and settings that the new manifest asks for. If
    /// the new version does not start, the old one keeps running, and the error says why.
    pub async fn replace(&mut self, player: Player) -> Result<(), String> {
        let given = self.given.clone().passed_on(player.manifest());
        let Some(old) = &self.plugin else {
            (self.player, self.given) = (player, given);
            return Ok(());
        };
        let (new, replacement) = Supervised::start_beside(
            old,
            player.admitted(&given, self.server.clock()),
            Arc::clone(&player.compiled),
            Arc::clone(&player.engine),
            Vec::new(),
        );
        // The wait ends because the plugin has a limit for `initialize`.
        match new.until(State::is_settled).await {
            State::Running => {
                if let Some(old) = self.plugin.replace(new) {
                    replacement.take_over(old).await;
                }
                (self.player, self.given) = (player, given);
                Ok(())
            }
            other => {
                new.stop().await;
                Err(match other {
                    State::Refused(why) | State::Quarantined(why) => why,
                    _ => "it ended".to_owned(),
                })
            }
        }
    }

    /// Applies changed grants and settings to a running plugin: at once, or by a restart, as the host does.
    pub async fn apply(&mut self) {
        let Some(plugin) = &self.plugin else { return };
        plugin.grant(&self.given.grants().into());
        if plugin.admitted().settings.0 == self.given.own {
            return;
        }
        if plugin.hears_of_settings() {
            plugin.settings_changed(self.given.own.clone(), RoomSettings::default());
        } else {
            self.restart().await;
        }
    }

    /// Performs a step. Messages are remembered, so that a reply can quote the message it answers.
    pub async fn act(&mut self, act: &Act, shown: &mut Shown) -> Result<(), String> {
        let possible = |result: Result<(), Impossible>| result.map_err(|error| error.to_string());
        match act {
            Act::Clock(_) => {}
            Act::Host { key, value } => self.given.host(key, value.clone())?,
            Act::Room { room, kind, occupants } => {
                self.server.make_room(room, *kind);
                self.open_room(room).await?;
                for (occupant, rank) in occupants {
                    let user = names::behind(occupant);
                    possible(self.server.enter_room(occupant, &user))?;
                    if let Some(rank) = rank {
                        possible(self.server.rank_in_room(occupant, &user, *rank))?;
                    }
                }
            }
            Act::Beside(path) => self.beside.add(path, &self.player)?,
            Act::Order { order, plugins } => {
                self.beside.order(*order, plugins, &self.player)?;
                if let Some(account) = &self.account {
                    self.beside.put_in_order(account.shared(), &self.player);
                }
            }
            Act::NoArchive => self.server.archive_nothing(),
            Act::Contact { jid, name, groups } => self.server.befriend(jid, name.as_deref(), groups),
            Act::Set { key, value } => {
                self.given.set(key, value.clone())?;
                self.apply().await;
            }
            Act::Deny(permission) => {
                self.given.deny(*permission)?;
                self.apply().await;
            }
            Act::Grant { permission, scope } => {
                self.given.grant(*permission, scope.clone())?;
                self.apply().await;
            }
            Act::Start => self.begin().await,
            Act::Restart => self.restart().await,
            Act::RestartHost => self.restart_host().await,
            Act::PutsOut { by, bans, reason } => possible(self.server.put_us_out(by, *bans, reason.as_deref()))?,
            Act::Destroyed { room, reason } => possible(self.server.destroy_room(room, reason.as_deref()))?,
            Act::Bounces { who, begins, condition } => possible(self.server.bounce(who, begins, condition))?,
            Act::Answers { who, xml, refused } => possible(self.server.answer_for(who, xml, refused.as_deref()))?,
            Act::Say(said) => {
                for id in self.server.say(said).map_err(|error| error.to_string())? {
                    shown.heard(id, &said.body);
                }
            }
            Act::Enters(occupant) => possible(self.server.enter_room(occupant, &names::behind(occupant)))?,
            Act::Leaves(occupant) => possible(self.server.leave_room(occupant))?,
            Act::Ranks { who, rank } => possible(self.server.rank_in_room(who, &names::behind(who), *rank))?,
            Act::Renames { who, nick } => possible(self.server.rename_in_room(who, nick))?,
            Act::Is { who, show, status } => self.server.appear(who, show, status.as_deref()),
            Act::Invites { who, room, reason } => self.server.invite(who, room, reason.as_deref()),
            Act::Voice { who, gives } => possible(self.server.voice(who, *gives))?,
            Act::AsksToSee(who) => self.server.ask_to_see(&who.to_bare()),
            Act::After(time) => tokio::time::sleep(*time).await,
            Act::Cut => possible(self.server.cut())?,
            Act::Back => possible(self.server.resume())?,
            Act::Xml(xml) => possible(self.server.bring_xml(xml))?,
            Act::Form { who, does } => possible(self.server.form(who, self.player.id(), does))?,
            Act::Web { method, url, answer } => self.web.answer(method, url, answer.as_ref()),
            Act::Shows(names) => self.web.show(names),
            Act::Webhook(hooked) => web::bring(hooked, self.plugin.as_ref(), &self.notes)?,
        }
        Ok(())
    }

    /// Adds a room that the account is in from now on.
    async fn open_room(&mut self, room: &BareJid) -> Result<(), String> {
        self.server.expect_in(room);
        self.given.room(room.clone())?;
        let Some(account) = &self.account else { return Ok(()) };
        let key = "auto_join_rooms";
        let values = self.given.settings.get(key).map(|rooms| (key.to_owned(), rooms)).into_iter().collect();
        let change = ChangeSettings { values, wins: Wins::Always };
        account.shared().ask(Asker::Host, &Granted::HOST, change).await.map_err(|error| error.to_string())?;
        if self.server.is_cut() {
            return Ok(());
        }
        // The account must be in the room to receive what people say there next.
        let (by, jid) = (InstanceId::next(), room.clone());
        let enter = OpenRoom { by, jid, options: parlor_session::RoomOptions::default() };
        let _ = tokio::time::timeout(PATIENCE, account.shared().ask(Asker::Host, &Granted::HOST, enter)).await;
        Ok(())
    }

    /// Returns whether the plugin, or one beside it, is busy and is not waiting for a call to the host.
    pub fn is_at_work(&self) -> bool {
        let all = self.plugin.iter().chain(self.beside.running());
        all.filter_map(Supervised::instance).any(|instance| instance.is_at_work())
    }

    /// Returns the plugin's state.
    pub fn state(&self) -> Option<State> {
        self.plugin.as_ref().map(Supervised::state)
    }

    /// Stops the plugin and the account.
    pub async fn close(mut self) {
        if let Some(plugin) = self.plugin.take() {
            plugin.stop().await;
        }
        self.beside.stop().await;
        if let Some(account) = self.account.take() {
            account.stop().await;
        }
    }
}
