//! `parlor plugin add`: installs a plugin from an untrusted file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use jid::BareJid;
#[cfg(feature = "authoring")]
use parlor_authoring::build;
use parlor_base::escape::EscapedPath as _;
#[cfg(feature = "authoring")]
use parlor_base::escape::shell_word;
use parlor_base::id::PluginId;
use parlor_base::permission::Permission;
use parlor_config::{Config, Selector};
use parlor_plugins::admin::{AdminError, GrantRequest, Installation, Offer, accounts_value, rooms_value};
use parlor_plugins::admission::Refusal;
use parlor_plugins::consent::{Place, listed};
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::is_decision;
use parlor_plugins::source::{Source, SourceError};
use parlor_session::permissions::{Grants, RoomList, Scope};
use serde_json::json;
use toml::{Table, Value};

use super::consent::{self, Request};
use super::data::each_kept;
use super::from_index::{Asking, choose};
use super::given::{Given, SecretFlag, explained};
use super::inspect;
use super::origin::Origin;
use super::room_names;
use super::secret_files::tell_of_nodes;
use crate::Ended;
use crate::ask::Terminal;
use crate::places::{self, places};
use crate::show::{print, print_json};
use crate::target::{self, Target};
use crate::tell;

/// The largest file with a decision, in bytes.
const LARGEST: u64 = 1 << 20;

/// The arguments of `parlor plugin add`.
#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal, the command says what the plugin could do, and asks. The plugin then runs on the present accounts, and on later ones once you agree (`parlor plugin accounts`). Without a terminal, give --yes and the grants:\n\n  parlor plugin add echo.wasm\n  parlor plugin add echo.wasm --yes --grant messages.read --grant messages.send=contacts\n  parlor plugin add echo.wasm --yes --policy echo-policy.toml --account main\n  parlor plugin add echo.wasm --account group:support    on those of a group, also on later ones\n  parlor plugin add https://example.org/echo.wasm\n  parlor plugin add oci://registry.example.org/plugins/echo:0.1.0\n  parlor plugin add weather.wasm --secret api_key=key.txt    with a secret that it needs\n  parlor plugin add examples/echo        from an index; `parlor search` shows what there is\n\nA signature lies beside the file, as echo.wasm.minisig (minisign), or refers to the artifact of a registry, as\n\n  oras attach --artifact-type application/vnd.minisign REFERENCE echo.wasm.minisig\n\nmakes it. It must be by a key that plugins.toml trusts, under [key.NAME]; `require_signature = true` there refuses unsigned plugins.\n\nA grant without a scope gives what the plugin asks for. A policy file has the keys of an entry of plugins.toml:\n\n  enabled = true\n  accounts = [\"main\"]\n  rooms = [\"lounge@conference.example.org\"]\n  [grants]\n  \"messages.read\" = [\"*\"]\n  [limits]\n  memory = \"32 MiB\"\n  [settings]\n  greeting = \"Hello\"\n\nExit codes: 0 installed, 3 not agreed to or not granted what it needs, 1 failed, 2 wrong usage"
)]
pub struct AddArgs {
    /// The plugin: a file, an address that begins with https://, a registry's reference that begins with oci://, or a name
    /// in an index, such as `echo`, `examples/echo` or `examples/echo@0.1.0`.
    #[arg(value_parser = source)]
    source: Source,
    /// The plugin's id on this host; by default the name in its manifest.
    #[arg(long)]
    id: Option<PluginId>,
    /// An account that it runs on, group:NAME, or a pattern such as support-*; may be given several times. By default it
    /// runs on all.
    #[arg(long = "account", value_name = "NAME")]
    accounts: Vec<Selector>,
    /// Let it run on accounts that are added later, too, without being asked again; so it is with --yes.
    #[arg(long, conflicts_with = "accounts")]
    all_accounts: bool,
    /// Rooms that it is kept to, with commas between them: it acts in no others. By default its grants decide.
    #[arg(long, value_name = "ROOM,…", value_delimiter = ',', value_parser = room_names::room)]
    rooms: Vec<BareJid>,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    origin: Origin,
    /// Install it without letting it run.
    #[arg(long)]
    disabled: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// The owner's decision as flags, for commands that cannot ask.
#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// Agree without being asked.
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Grant this, such as `messages.send=contacts,@example.org`; may be given several times.
    #[arg(long = "grant", value_name = "PERMISSION[=SCOPE,…]", value_parser = request)]
    pub(super) grants: Vec<GrantRequest>,
    /// Grant everything that it asks for, as it asks.
    #[arg(long)]
    pub(super) grant_all: bool,
    /// A file with the decision.
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
    /// Give a secret or credential that it needs: NAME=FILE for a file that only its owner may be able to read, or NAME to
    /// read it from standard input. It may be given several times.
    #[arg(long = "secret", value_name = "NAME[=FILE]")]
    pub(super) secrets: Vec<SecretFlag>,
}

/// Parses a source as a user types it: relative to the current folder.
pub(super) fn source(text: &str) -> Result<Source, SourceError> {
    Source::parse(text, Path::new(""))
}

/// Refuses the folder of a plugin's source, and names the file that a build makes of it.
#[cfg(feature = "authoring")]
pub(super) fn is_no_folder(source: &Source) -> anyhow::Result<()> {
    let Source::File(path) = source else { return Ok(()) };
    if !build::is_plugin(path) {
        return Ok(());
    }
    let command = format!("`parlor plugin build {}`", shell_word(&path.to_string_lossy()));
    let made = match build::made_of(path) {
        Some(file) if file.is_file() => format!(": {}, which {command} has made", file.escaped()),
        Some(file) => format!(", which {command} makes first: {}", file.escaped()),
        None => format!(", which {command} makes first, and names"),
    };
    bail!("{} is a folder; give the path of a plugin's file{made}", path.escaped())
}

/// Does nothing: this program builds no plugins.
#[cfg(not(feature = "authoring"))]
#[expect(clippy::unnecessary_wraps, reason = "it has the form of the one above")]
pub(super) fn is_no_folder(_: &Source) -> anyhow::Result<()> {
    Ok(())
}

fn request(text: &str) -> Result<GrantRequest, String> {
    text.parse()
}

impl Wanted {
    /// Reads the file with the decision; empty if none is named.
    fn decision(&self) -> anyhow::Result<Table> {
        let Some(path) = &self.policy else { return Ok(Table::new()) };
        let text = match parlor_base::document::read(path, LARGEST) {
            Ok(Some(text)) => text,
            Ok(None) => bail!("there is no {}", path.escaped()),
            Err(_) => bail!("{} cannot be read as a text of at most {LARGEST} bytes", path.escaped()),
        };
        is_decision(&text).map_err(|error| anyhow!("{}:{error}", path.escaped()))?;
        text.parse::<Table>().with_context(|| format!("{} is not TOML", path.escaped()))
    }

    /// Returns the requests for an installed plugin: the flags, and the grants in the file. Other keys in the file are
    /// refused, since they are already decided.
    pub(super) fn further_requests(&self, id: &PluginId, manifest: &Manifest) -> anyhow::Result<Vec<GrantRequest>> {
        let decision = self.decision()?;
        if let (Some(path), Some(other)) = (&self.policy, decision.keys().find(|key| *key != "grants")) {
            bail!(
                "{}: {other:?} is decided for {id} already, and stays as it is; leave [grants] alone in the file, and write the rest into plugins.toml",
                path.escaped()
            );
        }
        let written = decision.get("grants").and_then(Value::as_table).cloned().unwrap_or_default();
        let written = Grants::from_table(&written)?;
        let entries = |scope: &Scope| Some(scope.entries()).filter(|entries| !entries.is_empty());
        let mut requests: Vec<_> =
            written.iter().map(|(permission, scope)| GrantRequest { permission, scope: entries(scope) }).collect();
        requests.extend(self.grants.iter().cloned());
        Ok(self.asked(requests, &Grants::default(), id, manifest)?)
    }

    /// Returns the requests of the flags, and refuses permissions that the plugin does not request. With `grant_all`,
    /// permissions in `written` are left out: their scope is narrower on purpose.
    pub(super) fn requests(
        &self,
        written: &Grants,
        id: &PluginId,
        manifest: &Manifest,
    ) -> Result<Vec<GrantRequest>, AdminError> {
        self.asked(self.grants.clone(), written, id, manifest)
    }

    /// Checks that the plugin requests these permissions. With `grant_all` it adds all others that it requests.
    fn asked(
        &self,
        mut requests: Vec<GrantRequest>,
        written: &Grants,
        id: &PluginId,
        manifest: &Manifest,
    ) -> Result<Vec<GrantRequest>, AdminError> {
        if let Some(unasked) = requests.iter().find(|request| !manifest.permissions.contains_key(&request.permission)) {
            return Err(AdminError::NotAsked { id: id.clone(), permission: unasked.permission });
        }
        if self.grant_all {
            let named: Vec<_> = requests.iter().map(|request| request.permission).collect();
            let is_named = |permission: &Permission| named.contains(permission) || written.has(*permission);
            let others = manifest.permissions.keys().filter(|permission| !is_named(permission));
            requests.extend(others.map(|permission| GrantRequest { permission: *permission, scope: None }));
        }
        Ok(requests)
    }

    /// Explains why a plugin is not installed. An invalid setting can only be in the file with the decision.
    fn why_not(&self, error: AdminError, id: &PluginId) -> anyhow::Error {
        match (&self.policy, error) {
            (Some(path), AdminError::Refused(Refusal::Setting { name, why, .. })) => {
                anyhow!("the setting `{name}` under [settings] in {} does not fit: {why}", path.escaped())
            }
            (_, error) => explained(error, id, true),
        }
    }
}

impl AddArgs {
    /// Installs the plugin.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_write()?;
        target::is_policy_in_force(&config)?;
        let admin = target::admin(&config);
        // Check this first: the owner should not read all requests only to learn of a typo in a name.
        admin.has_accounts(&self.accounts)?;
        is_no_folder(&self.source)?;
        let chosen = choose(&config, Some(&self.source), &self.origin, None, Asking { json: self.json, check: false })?;
        let offer = admin.offer(&chosen.source, &chosen.expected)?;
        let manifest = offer.manifest();
        chosen.is_as_listed(manifest)?;
        let id = self.id.clone().unwrap_or_else(|| manifest.name.clone());
        // Likewise refuse a plugin that cannot be installed before the owner reads its requests.
        let plan = admin.plan_install(&id, &offer, self.id.is_some())?;

        let mut decision = self.decision()?;
        let written = decision.get("grants").and_then(Value::as_table).cloned().unwrap_or_default();
        let mut grants = Grants::from_table(&written)?;
        let requests = self.wanted.requests(&grants, &id, manifest);
        let mut requests = requests.map_err(|error| anyhow!("{error}; nothing was installed"))?;
        consent::hint_at_domains(&requests, &config);
        let kept = if self.json { String::new() } else { kept(&config, &id)? };
        let terminal = if self.wanted.yes { None } else { Terminal::open_unless(self.json) };
        if let Some(terminal) = &terminal {
            let later = self.list_accounts(&config, &mut decision);
            let places = places(&config, places::listed(&decision).as_deref());
            let asked = Asked { id: &id, plan: &plan, offer: &offer, kept: &kept, places: &places, later };
            let more = asked.agree(terminal, &consent::with(&grants, &requests, manifest))?;
            requests.extend(more);
        } else if !self.wanted.yes {
            self.show(&offer, &consent::asked(&id, manifest, &Grants::default(), |_| true), &kept)?;
            plan.is_unmistakable()?;
            let sentence = "nobody can be asked here; give --yes, and --grant or --policy for what it needs";
            return Err(Ended::Declined(sentence.to_owned()).into());
        }
        for GrantRequest { permission, scope } in requests {
            let Some(asked) = manifest.permissions.get(&permission) else { continue };
            let entries = scope.unwrap_or_else(|| asked.entries(permission));
            grants.grant_more(permission, &entries)?;
        }
        if self.wanted.yes {
            self.show(&offer, &consent::granted(&id, manifest, &grants, &Grants::default(), |_| true), &kept)?;
            plan.is_unmistakable()?;
        }
        decision.insert("grants".to_owned(), grants.to_table().into());
        let mut given = Given::by_flags(&self.wanted.secrets, &id, manifest, self.json)?;
        // A plugin that does not run yet needs no secret yet.
        if let Some(terminal) = terminal.as_ref().filter(|_| !self.disabled) {
            let settings = decision.get("settings").and_then(Value::as_table);
            let is_set = |name: &str| settings.is_some_and(|settings| settings.contains_key(name));
            given.ask(terminal, manifest, is_set, |_| String::new())?;
        }
        admin.install(&plan, &decision, &given.secrets()).map_err(|error| self.wanted.why_not(error, &id))?;
        tell_of_nodes(&config, given.kept(&admin.entry(&id)?));
        chosen.pin(&config);
        done(&config, &id, &format!("{id} {} is installed", manifest.version), self.json)
    }

    /// Returns what flags and the file with the decision say.
    fn decision(&self) -> anyhow::Result<Table> {
        let mut decision = self.wanted.decision()?;
        if !self.accounts.is_empty() {
            decision.insert("accounts".to_owned(), accounts_value(&self.accounts));
        }
        if self.all_accounts {
            decision.remove("accounts");
            decision.remove("missing_accounts");
        }
        if !self.rooms.is_empty() {
            let rooms = RoomList::new(self.rooms.iter().cloned());
            decision.insert("rooms".to_owned(), rooms_value(&rooms));
        }
        if self.disabled {
            decision.insert("enabled".to_owned(), false.into());
        }
        Ok(decision)
    }

    /// Lists the accounts that the owner is asked about, unless others are decided on. Returns the sentence about those that are
    /// added later.
    fn list_accounts(&self, config: &Config, decision: &mut Table) -> String {
        if self.all_accounts {
            return "It is to run on each account that you add later, too.".to_owned();
        }
        if let Some(listed) = places::listed(decision) {
            let later = places::later(&listed);
            return later.map(|later| format!("It is to run on {later}, too.")).unwrap_or_default();
        }
        decision.insert("accounts".to_owned(), accounts_value(config.accounts.keys()));
        decision.insert("missing_accounts".to_owned(), "skip".into());
        "Before it runs on one that you add later, you are asked again.".to_owned()
    }

    /// Shows the plugin and its permissions, if the owner cannot be asked or has already decided.
    fn show(&self, offer: &Offer, permissions: &str, kept: &str) -> anyhow::Result<()> {
        if self.json {
            return Ok(());
        }
        print(&inspect::offered(offer))?;
        print(permissions)?;
        if kept.is_empty() { Ok(()) } else { print(&format!("\n{kept}")) }
    }
}

/// A plugin that an owner is asked about before it is installed.
struct Asked<'a> {
    id: &'a PluginId,
    plan: &'a Installation<'a>,
    offer: &'a Offer,
    /// The line about data that it finds.
    kept: &'a str,
    places: &'a [Place],
    /// The sentence about accounts that are added later.
    later: String,
}

impl Asked<'_> {
    /// Shows the plugin and its possible abilities, and asks about each undecided permission.
    fn agree(&self, terminal: &Terminal, decided: &Grants) -> anyhow::Result<Vec<GrantRequest>> {
        let Self { id, offer, kept, places, ref later, .. } = *self;
        let present = Grants::default();
        let request = Request::of(id, offer.manifest(), |_| true, &present, places);
        // A group may have no account yet.
        let on = if places.is_empty() { "no account yet".to_owned() } else { listed(places) };
        let on = format!("{id} is to run on {on}. {later}");
        let text = format!("{}{kept}\n{}\n{}", inspect::offered(offer), on.trim_end(), request.reach());
        consent::show(terminal, &text)?;
        if let Some(other) = &self.plan.looks_like {
            terminal.consent(&format!("{id} looks like {other}, which is installed. Go on?"))?;
        }
        consent::ask(terminal, &format!("Install it as {id}"), &request, decided)
    }
}

/// Returns a line about data that an earlier plugin of this id has left, if there is any.
fn kept(config: &Config, id: &PluginId) -> anyhow::Result<String> {
    let mut kept = 0;
    each_kept(config, id, |_, _| {
        kept += 1;
        Ok(())
    })?;
    if kept == 0 {
        return Ok(String::new());
    }
    let advice = format!("`parlor plugin data {id} list` shows it, and with another --id it begins without");
    Ok(format!("It gets the stored data of an earlier plugin called {id} ({kept} entries): {advice}\n"))
}

/// Reports a change, and the host's result. If the plugin does not run then, that is a failure.
pub(super) fn done(config: &Config, id: &PluginId, sentence: &str, as_json: bool) -> anyhow::Result<()> {
    failure(&say(config, id, sentence, as_json)?, sentence).map_or(Ok(()), Err)
}

/// Returns the error if a plugin does not run after a change.
pub(super) fn failure(told: &tell::ChangeResult, sentence: &str) -> Option<anyhow::Error> {
    told.trouble().map(|trouble| anyhow!("{sentence}, but {trouble}"))
}

/// Lets the host apply a change.
pub(super) fn told(config: &Config, id: &PluginId, sentence: &str) -> anyhow::Result<tell::ChangeResult> {
    tell::tell(config, &[id]).with_context(|| format!("{sentence}, but the host was not told"))
}

/// Returns the result of a change, for programs.
pub(super) fn done_json(told: &tell::ChangeResult, id: &PluginId, sentence: &str) -> serde_json::Value {
    json!({ "plugin": id, "done": sentence, "host": told.host, "plugins": told.plugins })
}

/// Reports a change like [`done`], for changes after which the plugin need not run.
pub(super) fn done_as_wanted(config: &Config, id: &PluginId, sentence: &str, as_json: bool) -> anyhow::Result<()> {
    say(config, id, sentence, as_json).map(drop)
}

/// Returns the result for programs if the change is written, but the host could not be notified.
pub(super) fn untold_json(error: &anyhow::Error, id: &PluginId, sentence: &str) -> serde_json::Value {
    json!({ "plugin": id, "done": sentence, "host": "untold", "plugins": [], "error": format!("{error:#}") })
}

fn say(config: &Config, id: &PluginId, sentence: &str, as_json: bool) -> anyhow::Result<tell::ChangeResult> {
    let told = told(config, id, sentence);
    match &told {
        Ok(told) => show_done(told, id, sentence, as_json)?,
        Err(error) if as_json => print_json(&untold_json(error, id, sentence))?,
        Err(_) => {}
    }
    told
}

/// Prints a change, and the host's result.
pub(super) fn show_done(told: &tell::ChangeResult, id: &PluginId, sentence: &str, as_json: bool) -> anyhow::Result<()> {
    if as_json { print_json(&done_json(told, id, sentence)) } else { print(&format!("{sentence}; {}", told.show())) }
}

#[cfg(feature = "authoring")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_a_plugins_folder_is_told_of_the_file_that_is_made_of_it() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("my repeat");
        std::fs::create_dir(&folder).unwrap();
        let source = Source::File(folder.clone());
        assert!(is_no_folder(&source).is_ok(), "there is no plugin in it");
        let said = || is_no_folder(&source).unwrap_err().to_string();
        let manifest = "[plugin]\nname = \"repeat\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Repeats\"\n";
        std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
        std::fs::write(folder.join("Cargo.toml"), "[package]\nname = \"repeat\"\n").unwrap();
        let command = format!("`parlor plugin build '{}'`", folder.display());
        let told = format!("a plugin's file, which {command} makes first, and names");
        assert!(said().ends_with(&told), "{}", said());
        std::fs::rename(folder.join("Cargo.toml"), folder.join("plugin.py")).unwrap();
        let file = folder.join("repeat.wasm");
        let told = format!("a plugin's file, which {command} makes first: {}", file.display());
        assert!(said().ends_with(&told), "{}", said());
        std::fs::write(&file, "component").unwrap();
        let told = format!("a plugin's file: {}, which {command} has made", file.display());
        assert!(said().ends_with(&told), "{}", said());
    }
}
