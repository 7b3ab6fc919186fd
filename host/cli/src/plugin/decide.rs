//! `parlor plugin enable`, `disable`, `restart`, `remove`, `grant` and `revoke`: decisions about installed plugins.

use anyhow::{Context as _, bail};
use clap::Args;
use jid::{BareJid, Jid};
use parlor_base::escape::{EscapedPath as _, escape_untrusted};
use parlor_base::id::PluginId;
use parlor_base::permission::{Permission, Risk, ScopeKind};
use parlor_config::Config;
use parlor_plugins::admin::{ComesTo, GrantRequest, Revoked};
use parlor_plugins::consent::{Sentence, beside, sentences};
use parlor_runtime::api::acts_for;
use parlor_runtime::rights::shown;
use parlor_session::permissions::{Grants, Scope};
use parlor_store::DataFile;

use super::add::{done, done_as_wanted, failure, show_done};
use super::consent::{self, Request};
use super::elsewhere;
use crate::ask::{Terminal, declined};
use crate::places::places;
use crate::show::Put as _;
use crate::target::{self, Target};
use crate::{Ended, tell};

/// The arguments of commands for one plugin.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor plugin disable echo\n  parlor plugin enable echo\n\nExit codes: 0 done, or nothing to do, 1 failed, 2 wrong usage"
)]
pub struct OneArgs {
    /// The plugin.
    plugin: PluginId,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl OneArgs {
    /// Enables or disables the plugin.
    pub fn enable(&self, enabled: bool) -> anyhow::Result<()> {
        let config = if enabled { self.target.load_to_write()? } else { self.target.load_to_stop()? };
        let changed = target::admin(&config).enable(&self.plugin, enabled)?;
        let state = if enabled { "enabled" } else { "disabled" };
        let already = if changed { "" } else { " already" };
        done(&config, &self.plugin, &format!("{} is {state}{already}", self.plugin), self.json)
    }
}

/// The arguments of `parlor plugin restart`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  parlor plugin restart echo    such as after five failures in a row\n\nIt starts by the entry that the host has read; what it keeps on this machine stays. Exit codes: 0 it was started again, 1 failed, or it does not run, 2 wrong usage, 4 no host runs"
)]
pub struct RestartArgs {
    #[command(flatten)]
    one: OneArgs,
}

impl RestartArgs {
    /// Lets the host restart the plugin.
    pub fn run(&self) -> anyhow::Result<()> {
        let id = &self.one.plugin;
        let config = self.one.target.load()?;
        let told = tell::restart(&config, id).map_err(|error| target::or_mistyped(&config, id, error))?;
        if told.plugins.iter().all(|plugin| plugin.state == "disabled") {
            bail!("{id} is disabled; `parlor plugin enable {id}` lets it run");
        }
        let sentence = format!("{id} is restarted");
        show_done(&told, id, &sentence, self.one.json)?;
        failure(&told, &sentence).map_or(Ok(()), Err)
    }
}

/// The arguments of `parlor plugin log`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor plugin log echo debug      all that echo says, whatever `parlor run --log` shows of others\n  parlor plugin log echo error      only what went wrong\n  parlor plugin log echo default    as everything else\n\nIt counts at once, on the running plugin. Exit codes: 0 done, or nothing to do, 1 failed, 2 wrong usage"
)]
pub struct LogArgs {
    /// The plugin.
    plugin: PluginId,
    /// The least important level to log.
    #[arg(value_parser = ["debug", "info", "warn", "error", "default"])]
    level: String,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl LogArgs {
    /// Stores the level in the policy.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_write()?;
        let changed = target::admin(&config).log_from(&self.plugin, self.level.parse().ok())?;
        let already = if changed { "" } else { " already" };
        let how = if self.level == "default" { "as everything else" } else { &format!("from {} on", self.level) };
        done(&config, &self.plugin, &format!("{} is logged {how}{already}", self.plugin), self.json)
    }
}

/// The arguments of `parlor plugin remove`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor plugin remove echo          asks first, on a terminal\n  parlor plugin remove echo --yes\n  parlor plugin remove echo --yes --with-data\n\nWhat it keeps stays, unless --with-data says otherwise; that may be said afterwards, too. In a cluster, --with-data needs a host that runs here, and removes what the plugin keeps on all accounts, wherever they run. Without a terminal --yes has to say it. Exit codes: 0 removed, 3 not agreed to, 1 failed, 2 wrong usage, 4 no host runs (--with-data in a cluster)"
)]
pub struct RemoveArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Also remove the data that it stores.
    #[arg(long)]
    with_data: bool,
}

impl RemoveArgs {
    /// Removes the plugin.
    pub fn run(&self) -> anyhow::Result<()> {
        let id = &self.one.plugin;
        let config = self.one.target.load_to_write()?;
        // Only a node can ask the others. Looked for before anything is changed.
        let node = config.cluster.as_ref().filter(|_| self.with_data).map(|_| target::running(&config)).transpose()?;
        let admin = target::admin(&config);
        let is_installed = match admin.entry(id) {
            Ok(_) => true,
            // The nodes say whether there is any data.
            Err(_) if self.with_data && (node.is_some() || keeps(&config, id)?) => false,
            Err(error) => return Err(error.into()),
        };
        self.agree(is_installed)?;
        if is_installed {
            admin.remove(id)?;
        }
        if !self.with_data {
            let left = if keeps(&config, id).unwrap_or(false) {
                format!("; what it kept stays, and `parlor plugin remove {id} --with-data` removes that, too")
            } else {
                String::new()
            };
            return done(&config, id, &format!("{id} is removed{left}"), self.one.json);
        }
        // Only after the host has stopped the plugin, which could otherwise store new data.
        let left = || {
            format!(
                "{id} is removed, but what it kept is not: `parlor plugin remove {id} --with-data` removes that, too"
            )
        };
        let told = tell::tell(&config, &[id]).with_context(|| format!("{}; the host was not told", left()))?;
        if let Some(node) = &node {
            let had = elsewhere::forget(node, &config, id).with_context(left)?;
            if !had && !is_installed {
                bail!("there is no plugin {id} in {}, and no data of one", config.plugins.escaped());
            }
        } else if let Some(mut file) = DataFile::open(&config.data)? {
            file.forget(id)?;
        }
        let sentence =
            if is_installed { "is removed, with what it kept" } else { "was removed; now what it kept is, too" };
        show_done(&told, id, &format!("{id} {sentence}"), self.one.json)
    }

    fn agree(&self, is_installed: bool) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        let id = &self.one.plugin;
        let what = match (is_installed, self.with_data) {
            (false, _) => format!("all that {id} has kept"),
            (true, false) => format!("{id}, with its grants and its earlier versions"),
            (true, true) => format!("{id}, with its grants and its earlier versions, and all that it keeps"),
        };
        let terminal = Terminal::for_consent(self.one.json, &format!("remove {what}"))?;
        terminal.consent(&format!("Remove {what}?"))
    }
}

/// Returns whether a plugin of this id has stored data.
fn keeps(config: &Config, id: &PluginId) -> anyhow::Result<bool> {
    Ok(DataFile::open(&config.data)?.map_or(Ok(false), |file| file.keeps(id))?)
}

/// The arguments of `parlor plugin grant`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor plugin grant echo messages.read                 as it asks\n  parlor plugin grant echo messages.send=@example.org    beside what was granted before\n  parlor plugin grant echo stanza.send=message --yes     without being asked\n\nOn a terminal it says what the plugin could do then, and asks; without one, high risk needs --yes. It counts at once, on the running plugin. Exit codes: 0 granted, 3 not agreed to, 1 failed, 2 wrong usage"
)]
pub struct GrantArgs {
    /// The plugin.
    plugin: PluginId,
    /// The permissions to grant.
    #[arg(required = true, value_name = "PERMISSION[=SCOPE,…]")]
    grants: Vec<GrantRequest>,
    /// Grant them without being asked.
    #[arg(long, short)]
    yes: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl GrantArgs {
    /// Grants the permissions.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_write()?;
        let admin = target::admin(&config);
        let asked = admin.comes_to(&self.plugin, &self.grants)?;
        consent::hint_at_domains(&self.grants, &config);
        let grants = self.agree(&config, &asked)?;
        // Another owner may have updated it while this one was asked.
        let more = admin.grant(&self.plugin, &grants, asked.examined.digest)?;
        let granted: Vec<_> = more.iter().map(|(permission, scope)| in_words(&grants, *permission, scope)).collect();
        let own: Vec<_> = config.accounts.values().map(|account| account.link.jid.to_bare()).collect();
        let covered = covered(&more, &asked.entry.grants);
        let sentence = format!("{} is granted {}{covered}{}", self.plugin, granted.join(", "), idle(&grants, &own));
        done(&config, &self.plugin, &sentence, self.json)
    }

    /// Asks on a terminal, as `plugin add` does. Without one, high risk needs `--yes`. Returns what is granted.
    fn agree(&self, config: &Config, asked: &ComesTo) -> anyhow::Result<Vec<GrantRequest>> {
        let ComesTo { entry, examined, more } = asked;
        if self.yes {
            return Ok(self.grants.clone());
        }
        let more: Grants = more.iter().cloned().collect();
        let (manifest, present) = (&examined.manifest, &entry.grants);
        let Some(terminal) = Terminal::open_unless(self.json) else {
            let Some(risk) = high_risk(&more, present) else { return Ok(self.grants.clone()) };
            let words: Vec<_> =
                more.iter().map(|(permission, scope)| in_words(&self.grants, permission, scope)).collect();
            let sentence = format!(
                "{risk}, and nobody can be asked here, so nothing was changed; give --yes to grant {}",
                words.join(", ")
            );
            return Err(Ended::Declined(sentence).into());
        };
        let places = places(config, entry.accounts.as_deref());
        let request = Request { id: &self.plugin, manifest, more, present, places: &places };
        consent::show(&terminal, &request.reach())?;
        self.ask(&terminal, &request)
    }

    /// Asks whether all of it is granted, or which.
    fn ask(&self, terminal: &Terminal, request: &Request<'_>) -> anyhow::Result<Vec<GrantRequest>> {
        let word = |(permission, scope): (Permission, &Scope)| in_words(&self.grants, permission, scope);
        let words: Vec<_> = request.more.iter().map(word).collect();
        let question = format!("Grant {} {}?", self.plugin, words.join(", "));
        if let [_] = words[..] {
            terminal.consent(&question)?;
            return Ok(self.grants.clone());
        }
        let granted = consent::choose(terminal, &question, request)?;
        if granted.is_empty() {
            return Err(declined());
        }
        Ok(granted)
    }
}

/// Says what is of high risk: one of these permissions, or what they allow together with those that are granted already. A
/// permission that the present grants cover adds no risk.
fn high_risk(more: &Grants, present: &Grants) -> Option<String> {
    let more = &beside(more, present);
    if let Some((permission, _)) = more.iter().find(|(permission, _)| permission.risk() == Risk::High) {
        return Some(format!("{permission} is of high risk ({})", permission.describe()));
    }
    let mut risky = sentences(more, present, &[]).into_iter().filter(|sentence| sentence.risk == Risk::High);
    let Sentence { permissions, text, .. } = risky.next()?;
    let what = match permissions[..] {
        [permission] => permission.to_string(),
        _ => "together with its grants, that".to_owned(),
    };
    Some(format!("{what} is of high risk ({})", text.trim_end_matches('.')))
}

/// Describes a permission of these requests with its whole scope, even if the scope comes from the plugin's request.
fn in_words(grants: &[GrantRequest], permission: Permission, scope: &Scope) -> String {
    let entries = shown(&scope.entries());
    if entries.is_empty() {
        return permission.to_string();
    }
    let is_named = grants.iter().any(|request| request.permission == permission && request.scope.is_some());
    let as_asked = if is_named { "" } else { ", as it asks" };
    let is_all = entries.iter().any(|entry| entry == "*");
    let all = match permission.scope_kind() {
        ScopeKind::Jids | ScopeKind::Messages if is_all => " (everybody)",
        ScopeKind::Rooms if is_all => " (all rooms)",
        _ => "",
    };
    format!("{permission} for {}{all}{as_asked}", entries.join(", "))
}

/// The arguments of `parlor plugin revoke`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor plugin revoke echo messages.send                       all of it\n  parlor plugin revoke echo messages.send=juliet@example.org    that one alone\n\nIt counts at once, on the running plugin. A plugin stops when it loses what it cannot do without. Exit codes: 0 revoked, 1 failed, 2 wrong usage"
)]
pub struct RevokeArgs {
    /// The plugin.
    plugin: PluginId,
    /// The permissions to revoke.
    #[arg(required = true, value_name = "PERMISSION[=SCOPE,…]")]
    grants: Vec<GrantRequest>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl RevokeArgs {
    /// Revokes the permissions.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_stop()?;
        let Revoked { needed, left } = target::admin(&config).revoke(&self.plugin, &self.grants)?;
        let id = &self.plugin;
        let mut sentence = format!("{} is taken back from {id}", names(&self.grants));
        // A remaining entry may cover a revoked one: the domain of an address, or `contacts`.
        for (permission, scope) in left {
            sentence.put(format_args!("; it keeps {permission} for {}", shown(&scope.entries()).join(", ")));
        }
        if needed.is_empty() {
            return done(&config, id, &sentence, self.json);
        }
        let needed: Vec<_> = needed.iter().map(ToString::to_string).collect();
        sentence.put(format_args!("; {id} cannot do without {}, so it does not run any more", needed.join(", ")));
        // The plugin's refusal is the intended effect, not a failure.
        done_as_wanted(&config, id, &sentence, self.json)
    }
}

/// Returns a clause about entries whose IQ recipient is the account itself: these cover nothing.
fn idle(requests: &[GrantRequest], accounts: &[BareJid]) -> String {
    let send = requests.iter().filter(|request| request.permission == Permission::StanzaSend);
    let recipient = |entry: &String| Scope::parse(ScopeKind::Stanzas, &[entry]).ok()?.one_recipient();
    let own = |jid: &Jid| accounts.iter().any(|own| acts_for(own, jid, false));
    let idle: Vec<_> = send
        .filter_map(|request| request.scope.as_ref())
        .flatten()
        .filter(|entry| recipient(entry).is_some_and(|(kind, jid)| kind == "iq" && own(&jid)))
        .map(|entry| escape_untrusted(entry, usize::MAX))
        .collect();
    if idle.is_empty() {
        return String::new();
    }
    format!("; {} covers nothing on the account of that address, where only iq covers IQs to itself", idle.join(", "))
}

/// Returns a clause about scopes that another entry of the present grants covers. They count once that entry is revoked.
fn covered(more: &[(Permission, Scope)], present: &Grants) -> String {
    let mut text = String::new();
    for (permission, scope) in more.iter().filter(|(permission, _)| permission.scope_kind().is_list()) {
        let Some(by) = present.get(*permission).and_then(|has| has.covering(scope)) else { continue };
        text.put(format_args!("; {permission} for {} covered that already", shown(&[by]).join("")));
    }
    text
}

fn names(requests: &[GrantRequest]) -> String {
    let name = |request: &GrantRequest| match &request.scope {
        None => request.permission.to_string(),
        Some(entries) => format!("{} for {}", request.permission, entries.join(", ")),
    };
    requests.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_high_risk_only_with_the_grants_before_is_so() {
        let grants = |permission: Permission, entry: &str| {
            let mut grants = Grants::default();
            grants.grant(permission, &[entry]).unwrap();
            grants
        };
        let (reads, sends) = (grants(Permission::MessagesRead, "*"), grants(Permission::MessagesSend, "*"));
        assert_eq!(high_risk(&sends, &Grants::default()), None);
        let risk = high_risk(&sends, &reads).unwrap();
        let says = "together with its grants, that is of high risk (Together: reads everything";
        assert!(risk.starts_with(says), "{risk}");
        assert!(risk.ends_with("can send it to anybody)"), "{risk}");
        assert_eq!(high_risk(&grants(Permission::MessagesSend, "contacts"), &reads), None);
        // It could do that before.
        let mut both = reads.clone();
        both.grant(Permission::MessagesSend, &["*"]).unwrap();
        assert_eq!(high_risk(&grants(Permission::MessagesSend, "juliet@example.org"), &both), None);
        // A star did not cover it.
        let own =
            high_risk(&grants(Permission::HttpFetch, "https://127.0.0.1:37444"), &grants(Permission::HttpFetch, "*"));
        assert!(
            own.unwrap()
                .starts_with("http.fetch is of high risk (Reaches https://127.0.0.1:37444, in your own network")
        );
        let raw = grants(Permission::StanzaSend, "message");
        assert!(high_risk(&raw, &reads).unwrap().starts_with("stanza.send is of high risk ("));
    }

    #[test]
    fn what_another_entry_covers_is_said_to_be_covered_already() {
        let mut present = Grants::default();
        present.grant(Permission::MessagesSend, &["*"]).unwrap();
        let more = |entry: &str| vec![(Permission::MessagesSend, Scope::parse(ScopeKind::Jids, &[entry]).unwrap())];
        let juliet = more("juliet@example.org");
        assert_eq!(covered(&juliet, &present), "; messages.send for * covered that already");
        assert_eq!(covered(&juliet, &Grants::default()), "");
        present.grant(Permission::MessagesSend, &["contacts"]).unwrap();
        assert_eq!(covered(&juliet, &present), "");
        // No star covers a server in the owner's own network.
        present.grant(Permission::HttpFetch, &["*"]).unwrap();
        let web = |entry: &str| vec![(Permission::HttpFetch, Scope::parse(ScopeKind::Servers, &[entry]).unwrap())];
        assert_eq!(covered(&web("https://127.0.0.1:37444"), &present), "");
        assert_eq!(covered(&web("api.example.org"), &present), "; http.fetch for * covered that already");
    }

    #[test]
    fn an_entry_for_iqs_to_the_account_itself_is_said_to_cover_nothing() {
        let own: BareJid = "bot@example.org".parse().unwrap();
        let idle = |request: &str| idle(&[request.parse().unwrap()], std::slice::from_ref(&own));
        assert_eq!(
            idle("stanza.send=iq:juliet@example.org,iq:BOT@example.org"),
            "; iq:BOT@example.org covers nothing on the account of that address, where only iq covers IQs to itself"
        );
        for other in ["stanza.send=iq,iq:@example.org,message:bot@example.org", "messages.send=bot@example.org"] {
            assert_eq!(idle(other), "", "{other}");
        }
    }
}
