//! `parlor explain`: shows what a plugin may do, and why a call was denied.

mod alike;
mod asked;
mod by_address;
mod denied;
mod known;
mod permissions;
mod stopped;

use std::collections::BTreeMap;

use clap::Args;
use jid::Jid;
use parlor::control::client::{Client, ClientError, escaped};
use parlor::control::views::{Answer, Denied, Plugin, Record};
use parlor_base::escape::escape_untrusted;
use parlor_base::id::PluginId;
use parlor_base::permission::{Permission, ScopeKind};
use parlor_config::Config;
use parlor_plugins::admin::{AdminError, PluginAdmin};
use parlor_plugins::manifest::Manifest;
use parlor_runtime::explain::Explained;
use parlor_runtime::rights::{Right, rights, shown};
use parlor_session::permissions::question::{BadQuestion, Outcome, Question};
use parlor_session::permissions::{Grants, RoomList, Scope, Target as Reached};
use parlor_session::router::Withholder;
use serde::Serialize;

use self::alike::{Alike, put_first, put_together};
use self::asked::Asked;
use self::known::Known;
use self::stopped::Stopped;
use super::Ended;
use super::audit::names;
use super::show::{Mark, Put as _, marked, print, print_json};
use super::target::{self, Target};

pub(super) use self::permissions::right_lines;

/// The arguments of `parlor explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor explain echo                                what echo may do, and what it was denied lately\n  parlor explain echo rooms.send                     whether it may, and what would allow it\n  parlor explain echo message                        whether it hears of that event\n  parlor explain echo message juliet@example.org     the same for what one person writes\n  parlor explain echo messages.read=@example.org     whether that much is granted\n  parlor explain weather http.fetch https://api.example.org/now    whether it may ask that server\n\nA running host answers as it would decide: it knows the settings, the contact list, the open chats and rooms, and the plugin's filters. The audit counts how often a call was allowed or denied before, over restarts. Exit codes: 0 explained, 1 failed, 2 wrong usage"
)]
pub struct ExplainArgs {
    #[command(flatten)]
    asking: Asking,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// The plugin, the call and the address that the question is about.
#[derive(Debug, Args)]
pub(super) struct Asking {
    /// The plugin.
    pub(super) plugin: PluginId,
    /// A call, an event or a permission, such as `chats.send`, `message` or `messages.send`.
    #[arg(value_name = "WHAT")]
    pub(super) call: Option<String>,
    /// The address that it is about: a JID, or the URL of a request.
    #[arg(value_name = "JID|URL")]
    pub(super) about: Option<String>,
}

/// The whole output.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    pub(super) plugin: PluginId,
    pub(super) enabled: bool,
    /// Why its file or the policy could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trouble: Option<String>,
    /// Whether a host runs, which knows the denied calls.
    pub(super) running: bool,
    /// The accounts on which it should run and does not.
    pub(super) down: Vec<Down>,
    /// Whether the running host uses other grants than the policy file has now.
    pub(super) otherwise: bool,
    /// The rooms that it is kept to; none if it is kept to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rooms: Option<Vec<String>>,
    /// Each permission that it requests or was granted, the riskiest first. From the running host, else from the
    /// policy.
    pub(super) permissions: Vec<Right>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) about: Option<About>,
    pub(super) denied: Vec<Denied>,
    /// The events that it did not receive, on each account with any.
    pub(super) withheld: Vec<Withheld>,
    /// How often that was allowed or denied, by the audit. Empty without a question.
    pub(super) asked: Vec<Asked>,
}

impl Explanation {
    /// Returns why its file could not be read, unless the host says the same of why it does not run.
    pub(super) fn untold_trouble(&self) -> Option<&str> {
        let trouble = self.trouble.as_deref()?;
        let is_told = self.down.iter().any(|down| down.reason.as_deref() == Some(trouble));
        (!is_told).then_some(trouble)
    }
}

/// A plugin that should run and does not.
#[derive(Debug, Serialize)]
pub(super) struct Down {
    /// The account; none if the plugin may not run at all.
    pub(super) account: Option<String>,
    pub(super) state: String,
    pub(super) reason: Option<String>,
}

impl Down {
    /// Puts those together that are the same on many accounts.
    pub(super) fn alike(all: &[Self]) -> Vec<Alike<'_, Self>> {
        put_together(all, |one| one.account.as_deref(), |one| (one.state.as_str(), one.reason.as_deref()))
    }
}

impl From<&Plugin> for Down {
    fn from(plugin: &Plugin) -> Self {
        Self { account: plugin.account.clone(), state: plugin.state.clone(), reason: plugin.reason.clone() }
    }
}

/// The number of events that a plugin did not receive on one account, by the permission that did not cover them, or by `rooms`.
#[derive(Debug, Serialize)]
pub(super) struct Withheld {
    pub(super) account: String,
    pub(super) permission: String,
    pub(super) events: u64,
}

impl Withheld {
    fn of(plugin: &Plugin) -> Vec<Self> {
        let (Some(account), Some(Record { withheld, .. })) = (&plugin.account, &plugin.record) else {
            return Vec::new();
        };
        let one = |(permission, events): (&String, &u64)| Self {
            account: account.clone(),
            permission: permission.clone(),
            events: *events,
        };
        withheld.iter().map(one).collect()
    }

    /// Puts those together that are withheld for the same reason on many accounts, each with the events on all of these.
    pub(super) fn alike<'a>(all: &'a [Self]) -> Vec<(Alike<'a, Self>, u64)> {
        let alike = put_together(all, |one| Some(one.account.as_str()), |one| one.permission.as_str());
        let with_events = |alike: Alike<'a, Self>| {
            let same = all.iter().filter(|one| one.permission == alike.first.permission);
            let events = if alike.is_many() { same.map(|one| one.events).sum::<u64>() } else { alike.first.events };
            (alike, events)
        };
        alike.into_iter().map(with_events).collect()
    }

    /// Returns whether they are from rooms that the owner does not keep the plugin to.
    fn is_by_rooms(&self) -> bool {
        self.permission == Withholder::ROOMS
    }

    /// Describes why, as the end of a sentence.
    pub(super) fn why(&self, id: &PluginId) -> String {
        if self.is_by_rooms() {
            return format!("from rooms that it is not kept to: {}", rooms_remedy(id));
        }
        format!("which {} does not cover", self.permission)
    }
}

/// The answer about one call, event or permission.
#[derive(Debug, Serialize)]
pub(super) struct About {
    /// The question.
    pub(super) what: String,
    pub(super) permission: Option<Permission>,
    /// Whether the answer is yes on each account.
    pub(super) allowed: bool,
    /// The answers, one for each account.
    pub(super) answers: Vec<Answer>,
}

impl ExplainArgs {
    /// Prints the explanation.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_look()?;
        let (explanation, grants) = self.asking.explained(&config)?;
        if self.json { print_json(&explanation) } else { print(&show(&explanation, &grants)) }
    }
}

/// Says why a text is no question, and where names are if none is similar.
fn no_question(id: &PluginId, error: &BadQuestion) -> String {
    let says = escape_untrusted(&error.to_string(), 4 << 10);
    match error {
        BadQuestion::Unknown { near, .. } if near.is_empty() => {
            format!("{says}; `parlor explain {id}` shows the permissions of {id}")
        }
        _ => says,
    }
}

impl Asking {
    /// Explains it for a host that runs or not. Also returns the grants that count.
    pub(super) fn explained(&self, config: &Config) -> anyhow::Result<(Explanation, Grants)> {
        let entry = match PluginAdmin::new(config).entry(&self.plugin) {
            // The policy cannot be read. A host that runs may know the plugin by the one before.
            Err(error) if !matches!(error, AdminError::Edit(_)) => return Err(error.into()),
            entry => entry,
        };
        let question = self.call.as_deref().map(|what| Question::parse(what, self.about.as_deref())).transpose();
        let question = question.map_err(|error| Ended::Usage(no_question(&self.plugin, &error)))?;
        let host = self.host(config)?;
        let known = match entry {
            Ok(entry) => Known::by_policy(&self.plugin, &entry, config),
            Err(error) => {
                let plugins: &[Plugin] = host.as_ref().map_or(&[], |(_, plugins)| plugins.as_slice());
                Known::by_host(&error, plugins).ok_or(error)?
            }
        };
        let (manifest, written) = (known.manifest.as_deref(), &known.grants);
        let (mut denied, mut down, mut withheld) = (Vec::new(), Vec::new(), Vec::new());
        if let Some((_, plugins)) = &host {
            down = plugins.iter().filter(|plugin| plugin.is_down()).map(Down::from).collect();
            denied = plugins.iter().flat_map(|plugin| plugin.denied.clone()).collect();
            withheld = plugins.iter().flat_map(Withheld::of).collect();
        }
        // The host's grants may be older than the file, or fewer.
        let in_force = host.as_ref().and_then(|(_, plugins)| plugins.iter().find_map(|plugin| plugin.grants.as_ref()));
        let grants = in_force.map_or_else(|| written.clone(), |held| in_force_on_host(held, manifest, written));
        let own = config.accounts.values().map(|account| account.link.jid.to_bare()).collect();
        let stopped = Stopped { grants: written, manifest, own };
        let mut about = match &question {
            None => None,
            Some(question) => Some(About::of(question, self, host.as_ref(), &stopped, known.enabled)?),
        };
        let mut asked = Vec::new();
        if let Some(permission) = question.as_ref().and_then(Question::permission) {
            let host = host.as_ref().map(|(host, _)| host);
            // The answer does not depend on earlier uses.
            let names = names(config, host, &self.plugin).unwrap_or_default();
            asked = asked::asked(names, permission, self.about.as_deref());
            denied.retain(|denied| denied.permission == permission.as_str());
            withheld.retain(|withheld| withheld.permission == permission.as_str() || withheld.is_by_rooms());
        }
        if let Some(about) = &mut about {
            by_address::heed(&mut about.answers, self.about.as_deref(), &denied, &grants);
            about.allowed = is_yes(&about.answers);
        }
        let explanation = Explanation {
            plugin: self.plugin.clone(),
            enabled: known.enabled,
            trouble: known.trouble.clone(),
            running: host.is_some(),
            down,
            rooms: written.rooms().map(names_of),
            otherwise: manifest.is_some() && in_force.is_some_and(|held| *held != as_shown(manifest, written)),
            permissions: rights(&self.plugin, manifest, &grants),
            about,
            denied,
            withheld,
            asked,
        };
        Ok((explanation, grants))
    }

    /// Finds the running host, and its state of the plugin: empty if the host's policy does not name it.
    fn host(&self, config: &Config) -> anyhow::Result<Option<(Client, Vec<Plugin>)>> {
        let Some(host) = target::host(config)? else { return Ok(None) };
        let plugins = named(host.get(&format!("/v1/plugins/{}", self.plugin)))?;
        Ok(Some((host, plugins)))
    }
}

/// Returns the host's answer about a plugin; empty if it has no such plugin. Any other refusal is an error.
fn named<T>(answer: Result<Vec<T>, ClientError>) -> Result<Vec<T>, ClientError> {
    match answer {
        Err(ClientError::Refused { status: 404, .. }) => Ok(Vec::new()),
        answer => answer,
    }
}

impl About {
    /// Takes the answer from the running host. Without a host, or if its policy does not have this entry, the entry
    /// decides.
    fn of(
        question: &Question,
        asked: &Asking,
        host: Option<&(Client, Vec<Plugin>)>,
        stopped: &Stopped<'_>,
        enabled: bool,
    ) -> anyhow::Result<Self> {
        let answers: Vec<Answer> = match host {
            Some((host, plugins)) if !plugins.is_empty() => {
                let what = escaped(asked.call.as_deref().unwrap_or_default());
                let about = escaped(asked.about.as_deref().unwrap_or_default());
                host.get(&format!("/v1/plugins/{}/explain?what={what}&about={about}", asked.plugin))?
            }
            _ if !enabled => vec![Explained::disabled(&asked.plugin, question).into()],
            _ => {
                // The host may still decide otherwise: it checks more than the files, such as the component itself.
                let who = if host.is_some() { "the host that runs does not name this plugin" } else { "no host runs" };
                let answer = question.answer(stopped).only(&format!("{who}; by plugins.toml alone"));
                let remedy = answer.remedy(asked.plugin.as_str());
                vec![Explained { account: None, answer, remedy }.into()]
            }
        };
        Ok(Self { what: question.words(), permission: question.permission(), allowed: is_yes(&answers), answers })
    }

    /// Puts the answers together that are the same on many accounts. Returns true with the first alone if all are the same.
    pub(super) fn alike(&self) -> (Vec<Alike<'_, Answer>>, bool) {
        let same =
            |one: &Answer| self.answers.iter().all(|other| (one.answer, &one.reason) == (other.answer, &other.reason));
        let is_one = self.answers.first().is_some_and(same);
        let mut alike = put_together(
            &self.answers,
            |one| one.account.as_deref(),
            |one| (one.answer.to_string(), one.reason.as_str(), one.remedy.as_deref(), one.permission.as_deref()),
        );
        alike.truncate(if is_one { 1 } else { usize::MAX });
        (alike, is_one)
    }
}

/// Returns whether the answer is yes on each account.
fn is_yes(answers: &[Answer]) -> bool {
    !answers.is_empty() && answers.iter().all(|one| one.answer == Outcome::Yes)
}

/// Returns the command that adds a room to those that a plugin is kept to.
fn rooms_remedy(id: &PluginId) -> String {
    format!("`parlor plugin rooms {id} --add ROOM` adds one, and `--all` lifts that")
}

/// Returns whether a plugin requests a permission; true if its manifest cannot be read.
fn is_asked_for(manifest: Option<&Manifest>, permission: Permission) -> bool {
    manifest.is_none_or(|asks| asks.permissions.contains_key(&permission))
}

/// Returns the host's grants, and those of the policy that the host ignores because the plugin does not request them.
fn in_force_on_host(held: &BTreeMap<String, Vec<String>>, manifest: Option<&Manifest>, written: &Grants) -> Grants {
    let mut grants = Grants::default();
    for (permission, entries) in held {
        let Ok(permission) = permission.parse::<Permission>() else { continue };
        // An entry that is escaped for display may be invalid here.
        let _ = grants.grant(permission, entries);
    }
    let unasked = written.iter().filter(|(permission, _)| !is_asked_for(manifest, *permission));
    let all = grants.iter().chain(unasked);
    let all: Grants = all.map(|(permission, scope)| (permission, scope.clone())).collect();
    all.in_rooms(written.rooms().cloned())
}

/// Returns the addresses of rooms, escaped for display.
fn names_of(rooms: &RoomList) -> Vec<String> {
    shown(&rooms.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// Returns the grants that a host would give, in its displayed form.
fn as_shown(manifest: Option<&Manifest>, grants: &Grants) -> BTreeMap<String, Vec<String>> {
    let given = grants.iter().filter(|(permission, _)| is_asked_for(manifest, *permission));
    given.map(|(permission, scope)| (permission.to_string(), shown(&scope.entries()))).collect()
}

/// Returns whether the rooms that the plugin is kept to exclude the target of a denied call.
fn is_kept_away(denied: &Denied, kind: ScopeKind, grants: &Grants) -> bool {
    let Some(scope) = &denied.scope else { return false };
    let address = match scope.split_once(':') {
        Some((_, to)) if kind == ScopeKind::Stanzas => to,
        _ => scope,
    };
    let Ok(jid) = address.parse::<Jid>() else { return false };
    let room = jid.to_bare();
    let target = if kind == ScopeKind::Rooms { Reached::Room(&room) } else { Reached::Jid(&jid) };
    grants.keeps_from(target, &|_| false)
}

/// Returns whether a denied call is granted by now, as far as that is known without the contact list.
pub(super) fn is_granted(denied: &Denied, grants: &Grants) -> bool {
    let Ok(permission) = denied.permission.parse::<Permission>() else { return false };
    let Some(granted) = grants.get(permission) else { return false };
    let kind = permission.scope_kind();
    if is_kept_away(denied, kind, grants) {
        return false;
    }
    match &denied.scope {
        // Changes of the operator's settings are denied by name, and no grant helps.
        scope if !kind.is_list() => scope.is_none(),
        None => kind == ScopeKind::Stanzas || granted.covering(&Scope::whole(kind)).is_some(),
        Some(scope) => Scope::parse(kind, &[scope]).is_ok_and(|wanted| {
            // The host dials an address by each scheme.
            let lists = wanted.own_address().is_some_and(|address| granted.lists(address, true));
            lists || granted.covering(&wanted).is_some()
        }),
    }
}

fn show(explanation: &Explanation, grants: &Grants) -> String {
    let id = &explanation.plugin;
    let mut text = String::new();
    if !explanation.enabled {
        text.put(format_args!("{id} is disabled and does nothing\n"));
    }
    put_first(&mut text, Down::alike(&explanation.down), |text, alike| {
        let Down { state, reason, .. } = alike.first;
        let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        text.put(format_args!("{id} does not run{}, it is {state}{reason}\n", alike.on()));
    });
    if explanation.trouble.is_some() {
        let why = explanation.untold_trouble().map_or_else(|| ", for this reason".to_owned(), |why| format!(": {why}"));
        text.put(format_args!("what {id} asks for is not known{why}\n"));
    }
    if explanation.otherwise {
        text.push_str("the host goes by other grants than plugins.toml has now; `parlor status` says why, `parlor reload` has it read again\n");
    }
    if let Some(about) = &explanation.about {
        put_answers(&mut text, id, about);
    } else {
        if let Some(rooms) = &explanation.rooms {
            text.put(format_args!("{id} is kept to rooms, and acts in no others: {}\n", rooms.join(", ")));
        }
        let put = if explanation.trouble.is_some() { permissions::put_granted } else { permissions::put };
        put(&mut text, id, &explanation.permissions);
    }
    if !explanation.withheld.is_empty() {
        text.push_str("\nevents that it listens to and was not shown, since the host started:\n");
    }
    put_first(&mut text, Withheld::alike(&explanation.withheld), |text, (alike, events)| {
        text.put(format_args!("  {events}{}, {}\n", alike.on(), alike.first.why(id)));
    });
    denied::put(&mut text, &explanation.denied, grants);
    asked::put(&mut text, &explanation.asked);
    if !explanation.running {
        text.push_str("\nthe host is stopped, so it cannot say what was denied lately\n");
    }
    text
}

/// Puts the hint of a denial in a line. Some hints say why nothing would allow it.
pub(super) fn to_allow(hint: &str) -> String {
    if hint.starts_with("no grant ") { hint.to_owned() } else { format!("to allow it: {hint}") }
}

/// Appends the answers: one for each account, or for many accounts with the same; a single one if all are the same.
fn put_answers(text: &mut String, id: &PluginId, about: &About) {
    let (alike, is_one) = about.alike();
    put_first(text, alike, |text, alike| {
        let (one, on) = (alike.first, if is_one { String::new() } else { alike.on() });
        text.put(format_args!("{}{on}: {}, {}\n", marked(&about.what, Mark::Bold), one.answer, one.reason));
        if let Some(remedy) = &one.remedy {
            text.put(format_args!("    to allow it: {remedy}\n"));
        }
        if let (Outcome::Yes | Outcome::Partly, Some(permission)) = (one.answer, &one.permission) {
            text.put(format_args!("    to take it away: parlor plugin revoke {id} {permission}\n"));
        }
    });
}

#[cfg(test)]
mod tests;
