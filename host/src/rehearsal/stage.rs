//! Where a plugin is tried: an account whose server is within the process, and one instance on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use serde_json::Value;

use super::names;
use super::notes::{Happened, Notes};
use super::script::Act;
use super::shown::Shown;
use crate::account::{Account, Asker};
use crate::clock::Clock;
use crate::config::{AccountConfig, ChannelBinding, LinkSettings, PasswordSource, Settings, TransportChoice, Way};
use crate::harmless::EscapedPath as _;
use crate::nearest::nearest;
use crate::permissions::{Grants, Permission};
use crate::plugins::admission::undeclared;
use crate::plugins::component::{Examined, examine};
use crate::plugins::limits::Limits;
use crate::plugins::manifest::Manifest;
use crate::plugins::policy::SettingValues;
use crate::plugins::setting::Setting;
use crate::plugins::store::read;
use crate::plugins::{Admitted, CommandNames, Compiled, Engine, InstanceId, PluginId, State, Supervised};
use crate::session::{Command, Wins};
use crate::store::Store;
use crate::xmpp::{Impossible, Within};

/// How long somebody who is waited for may take to come; a plugin may keep its account from it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A plugin that can be put on a stage.
#[derive(Clone)]
pub struct Player {
    engine: Arc<Engine>,
    compiled: Arc<Compiled>,
    examined: Arc<Examined>,
}

impl Player {
    /// Reads and compiles a plugin's file, as a host would.
    pub async fn load(engine: &Arc<Engine>, path: &Path) -> anyhow::Result<Self> {
        let bytes = read(path)?;
        let examined = examine(&bytes).map_err(|error| anyhow::anyhow!("{}: {error}", path.escaped()))?;
        if let Some((import, permission)) = undeclared(&examined).into_iter().next() {
            let call = format!("{}.{}", import.grouping, import.function);
            anyhow::bail!("{}: it calls {call}, and plugin.toml does not ask for {permission}", path.escaped());
        }
        let (compiled, _) = engine.compile(examined.digest, bytes, examined.wasi).await?;
        Ok(Self { engine: Arc::clone(engine), compiled, examined: Arc::new(examined) })
    }

    /// What was found in its file.
    pub fn examined(&self) -> &Arc<Examined> {
        &self.examined
    }

    /// What its author declares.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.examined.manifest
    }

    fn id(&self) -> &PluginId {
        &self.manifest().name
    }
}

/// What a plugin is given: its author's wishes, until a script says otherwise.
#[derive(Debug, Clone)]
pub struct Given {
    manifest: Arc<Manifest>,
    settings: Settings,
    rooms: Vec<BareJid>,
    grants: toml::Table,
    own: BTreeMap<String, Value>,
}

impl Given {
    /// What the manifest asks for.
    pub fn of(manifest: &Arc<Manifest>) -> Self {
        let grants = manifest.permissions.iter().map(|(permission, one)| (permission.to_string(), one.scope.clone()));
        Self {
            manifest: Arc::clone(manifest),
            settings: Settings::default(),
            rooms: Vec::new(),
            grants: grants.collect(),
            own: BTreeMap::new(),
        }
    }

    /// A setting of the host.
    pub fn host(&mut self, key: &str, value: Value) -> Result<(), String> {
        if !Settings::is_known(key) {
            let near = Settings::nearest(key).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("the host has no setting `{key}`{near}"));
        }
        self.settings = self.settings.with(key, value).map_err(|error| error.to_string())?;
        Ok(())
    }

    /// A room that the account is in from the beginning.
    pub fn room(&mut self, room: BareJid) -> Result<(), String> {
        if !self.rooms.contains(&room) {
            self.rooms.push(room);
        }
        let rooms = self.rooms.iter().map(BareJid::to_string).collect::<Vec<_>>();
        self.host("auto_join_rooms", rooms.into())
    }

    /// A setting of the plugin's own.
    pub fn set(&mut self, key: &str, value: Value) -> Result<(), String> {
        let Some(setting) = self.manifest.settings.get(key) else {
            let near = nearest(key, self.manifest.settings.keys().map(String::as_str));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("the plugin has no setting `{key}`{near}"));
        };
        setting.check(&value).map_err(|why| format!("the setting `{key}` does not fit: {why}"))?;
        self.own.insert(key.to_owned(), value);
        Ok(())
    }

    /// A setting that an owner has to give before the plugin runs, and nobody has.
    pub fn unset(&self) -> Option<&str> {
        let lacks = |(name, setting): &(&String, &Setting)| setting.required && !self.own.contains_key(*name);
        self.manifest.settings.iter().find(lacks).map(|(name, _)| name.as_str())
    }

    /// The owner does not grant this, or not any more.
    pub fn deny(&mut self, permission: Permission) -> Result<(), String> {
        self.asked_for(permission)?;
        self.grants.remove(permission.as_str());
        Ok(())
    }

    /// The owner grants this, for what the manifest says or for something else.
    pub fn grant(&mut self, permission: Permission, scope: Option<toml::Value>) -> Result<(), String> {
        let asked = self.asked_for(permission)?;
        let scope = scope.map_or(asked, |scope| names::scope(permission.scope_kind(), scope));
        let table = toml::Table::from_iter([(permission.to_string(), scope.clone())]);
        Grants::from_table(&table).map_err(|error| error.to_string())?;
        self.grants.insert(permission.to_string(), scope);
        Ok(())
    }

    fn asked_for(&self, permission: Permission) -> Result<toml::Value, String> {
        let request = self.manifest.permissions.get(&permission);
        let none = || format!("the plugin does not ask for {permission}, so it never has it");
        request.map(|request| request.scope.clone()).ok_or_else(none)
    }

    /// What another version of the plugin is given in the place of this one: the same, as far as it asks for it.
    fn passed_on(self, manifest: &Arc<Manifest>) -> Self {
        let mut new = Self::of(manifest);
        for (key, value) in self.own {
            // What does not fit any more is left out.
            let _ = new.set(&key, value);
        }
        let asked = self.manifest.permissions.keys();
        // What was taken away stays so, and what was narrowed, and what is asked for now and was not before is granted.
        for permission in asked.filter(|permission| manifest.permissions.contains_key(permission)) {
            match self.grants.get(permission.as_str()) {
                None => drop(new.grants.remove(permission.as_str())),
                Some(scope) if *scope != self.manifest.permissions[permission].scope => {
                    new.grants.insert(permission.to_string(), scope.clone());
                }
                Some(_) => {}
            }
        }
        Self { settings: self.settings, rooms: self.rooms, ..new }
    }

    fn grants(&self) -> Grants {
        // Each was read when it was given, by the manifest's reader or here.
        Grants::from_table(&self.grants).unwrap_or_default()
    }
}

/// An account, its server, and a plugin on it.
pub struct Stage {
    /// The server.
    pub server: Within,
    /// What the plugin is given.
    pub given: Given,
    account: Option<Account>,
    player: Player,
    plugin: Option<Supervised>,
    /// What outlives the host.
    store: Store,
}

impl Stage {
    /// A stage that nobody is on yet. Must be called within a runtime.
    pub fn new(player: Player, clock: Clock, notes: &Notes) -> Self {
        let notes = notes.clone();
        let server = Within::new(names::own(), clock, move |deed| notes.put(Happened::Did(deed)));
        let given = Given::of(player.manifest());
        Self { server, given, account: None, player, plugin: None, store: Store::on_runtime() }
    }

    /// Whether the plugin was started.
    pub fn has_begun(&self) -> bool {
        self.account.is_some()
    }

    /// Starts the account and the plugin, and logs in, as a house does.
    pub async fn begin(&mut self) {
        let config = AccountConfig {
            name: "main".parse().expect("a word of letters names an account"),
            link: link(),
            owners: Vec::new(),
            settings: self.given.settings.clone(),
        };
        let account = Account::start_within(config, self.store.clone(), self.server.clone());
        let shared = Arc::clone(account.shared());
        self.account = Some(account);
        self.start_plugin().await;
        shared.plugins_initialized().await;
        shared.warn_of_unknown_names();
        shared.connect().await;
    }

    /// Waits until people can reach the account; not for long, since a plugin may have logged it out.
    pub async fn until_reachable(&self) {
        let Some(account) = &self.account else { return };
        // Who speaks to it before is told later what was said, as history.
        let _ = tokio::time::timeout(PATIENCE, account.shared().until("statusInitialized")).await;
    }

    /// What it is admitted as.
    fn admitted(&self, player: &Player, given: &Given) -> Arc<Admitted> {
        let examined = &player.examined;
        Arc::new(Admitted {
            id: player.id().clone(),
            digest: examined.digest,
            manifest: Arc::clone(&examined.manifest),
            grants: given.grants(),
            limits: limits(self.server.clock()),
            settings: SettingValues(given.own.clone()),
            wasi: examined.wasi,
            raises: examined.raises(),
            log: None,
            commands: CommandNames::default(),
            warnings: Vec::new(),
        })
    }

    async fn start_plugin(&mut self) {
        let Some(account) = &self.account else { return };
        let player = &self.player;
        let plugin = Supervised::start(
            self.admitted(player, &self.given),
            Arc::clone(&player.compiled),
            Arc::clone(&player.engine),
            Arc::clone(account.shared()),
            Vec::new(),
        );
        plugin.settled().await;
        self.plugin = Some(plugin);
    }

    /// Ends the plugin and starts it again; what it keeps stays.
    pub async fn restart(&mut self) {
        if let Some(plugin) = self.plugin.take() {
            plugin.stop().await;
        }
        self.start_plugin().await;
    }

    /// Ends the host and starts it again, as its owner does: what is kept on disk stays, and the account logs in anew.
    pub async fn restart_host(&mut self) {
        if let Some(account) = &self.account {
            account.hear_nobody().await;
        }
        if let Some(plugin) = self.plugin.take() {
            plugin.stop_with_the_house().await;
        }
        if let Some(account) = self.account.take() {
            account.stop().await;
        }
        for room in &self.given.rooms {
            self.server.expect_in(room);
        }
        self.begin().await;
    }

    /// Puts another version of the plugin in the place of this one, as a house does: it starts beside it, and takes over once
    /// it runs. What this one stores stays, and what it was given as far as the other asks for it. If the other does not
    /// start, this one goes on; the error says why.
    pub async fn replace(&mut self, player: Player) -> Result<(), String> {
        let given = self.given.clone().passed_on(player.manifest());
        let Some(old) = &self.plugin else {
            (self.player, self.given) = (player, given);
            return Ok(());
        };
        let (new, succession) = Supervised::start_beside(
            old,
            self.admitted(&player, &given),
            Arc::clone(&player.compiled),
            Arc::clone(&player.engine),
            Vec::new(),
        );
        // Its own limit for `initialize` ends it.
        let mut state = new.state();
        let settled = state.wait_for(State::is_settled).await.map(|state| state.clone());
        match settled {
            Ok(State::Running) => {
                if let Some(old) = self.plugin.replace(new) {
                    succession.take_over(old).await;
                }
                (self.player, self.given) = (player, given);
                Ok(())
            }
            other => {
                new.stop().await;
                Err(match other {
                    Ok(State::Refused(why) | State::Quarantined(why)) => why,
                    Ok(_) | Err(_) => "it ended".to_owned(),
                })
            }
        }
    }

    /// Brings what was given into effect while the plugin runs: at once, or by starting it again, as a house does.
    pub async fn apply(&mut self) {
        let Some(plugin) = &self.plugin else { return };
        plugin.grant(&self.given.grants());
        if plugin.admitted().settings.0 == self.given.own {
            return;
        }
        if plugin.hears_of_settings() {
            plugin.settings_changed(self.given.own.clone());
        } else {
            self.restart().await;
        }
    }

    /// Lets something happen. What is said is noted, so that an answer shows to what.
    pub async fn act(&mut self, act: &Act, shown: &mut Shown) -> Result<(), String> {
        let possible = |result: Result<(), Impossible>| result.map_err(|error| error.to_string());
        match act {
            Act::Clock(_) => {}
            Act::Host { key, value } => self.given.host(key, value.clone())?,
            Act::Room { room, hides_addresses, occupants } => {
                if *hides_addresses {
                    self.server.hide_addresses(room);
                }
                self.open_room(room).await?;
                for (occupant, rank) in occupants {
                    let user = names::behind(occupant);
                    possible(self.server.enter_room(occupant, &user))?;
                    if let Some(rank) = rank {
                        possible(self.server.rank_in_room(occupant, &user, *rank))?;
                    }
                }
            }
            Act::NoArchive => self.server.archive_nothing(),
            Act::Contact { jid, name } => self.server.befriend(jid, name.as_deref()),
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
            Act::Answers { who, xml } => possible(self.server.answer_for(who, xml))?,
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
            Act::AsksToSee(who) => self.server.ask_to_see(&who.to_bare()),
            Act::After(time) => tokio::time::sleep(*time).await,
            Act::Cut => possible(self.server.cut())?,
            Act::Back => possible(self.server.resume())?,
            Act::Xml(xml) => possible(self.server.bring_xml(xml))?,
        }
        Ok(())
    }

    /// The account is in this room from now on.
    async fn open_room(&mut self, room: &BareJid) -> Result<(), String> {
        self.server.expect_in(room);
        self.given.room(room.clone())?;
        let Some(account) = &self.account else { return Ok(()) };
        let key = "auto_join_rooms";
        let values = self.given.settings.get(key).map(|rooms| (key.to_owned(), rooms)).into_iter().collect();
        let change = |answer| Command::ChangeSettings { values, wins: Wins::Always, answer };
        account.shared().ask(Asker::Host, change).await.map_err(|error| error.to_string())?;
        if self.server.is_cut() {
            return Ok(());
        }
        // What somebody says there next is heard only by who is in.
        let (by, jid) = (InstanceId::next(), room.clone());
        let enter = |answer| Command::OpenRoom { by, jid, wish: Box::default(), answer };
        let _ = tokio::time::timeout(PATIENCE, account.shared().ask(Asker::Host, enter)).await;
        Ok(())
    }

    /// Whether the plugin is in the middle of something that no call of the host's holds up.
    pub fn is_at_work(&self) -> bool {
        self.plugin.as_ref().and_then(Supervised::instance).is_some_and(|instance| instance.is_at_work())
    }

    /// Where the plugin stands.
    pub fn state(&self) -> Option<State> {
        self.plugin.as_ref().map(|plugin| plugin.state().borrow().clone())
    }

    /// Ends all of it.
    pub async fn close(mut self) {
        if let Some(plugin) = self.plugin.take() {
            plugin.stop().await;
        }
        if let Some(account) = self.account.take() {
            account.stop().await;
        }
    }
}

/// A link that goes nowhere: the server is within the process.
fn link() -> LinkSettings {
    LinkSettings {
        jid: names::own().into(),
        way: Way::Password,
        password: PasswordSource::Environment(String::new()),
        server: None,
        tls: None,
        ca_file: None,
        allow_plain: false,
        channel_binding: ChannelBinding::Auto,
        transport: TransportChoice::Tcp,
        websocket: None,
        keep_unsent: Duration::from_hours(1),
        bosh: None,
        prebind: None,
        ping_interval: Duration::from_mins(3),
    }
}

/// A plugin's usual limits. Where the clock stands still, what is measured on the machine's is wide: time on such a stage is no
/// measure of that.
fn limits(clock: Clock) -> Limits {
    const LONG: Duration = Duration::from_hours(24);
    match clock {
        Clock::Machine => Limits::default(),
        #[cfg(test)]
        Clock::Set { .. } => Limits::default(),
        Clock::Runtime { .. } => {
            Limits { cpu_share: 1.0, cpu_burst: LONG, cpu_slice: Duration::from_secs(10), ..Limits::default() }
        }
    }
}
