//! `parlor plugin update` and `rollback`: change the version of an installed plugin.

use std::collections::BTreeMap;

use clap::Args;
use parlor_base::escape::escape_untrusted;
use parlor_base::id::PluginId;
use parlor_base::permission::Permission;
use parlor_config::Config;
use parlor_plugins::admin::{Carried, Difference, GrantRequest, Offer, Older, Plan, PluginAdmin, Replacement};
use parlor_plugins::consent::listed;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::Entry;
use parlor_plugins::source::{LogIn, Source};
use parlor_session::permissions::Grants;
use semver::Version;
use serde_json::{Value, json};

use super::add::{Wanted, done_json, failure, show_done, source, told, untold_json};
use super::consent::{self, Request};
use super::from_index::{Asking, Installed, choose};
use super::given::{Given, explained};
use super::inspect;
use super::origin::Origin;
use super::secret_files::tell_of_nodes;
use crate::Ended;
use crate::ask::Terminal;
use crate::places::places;
use crate::show::{Put as _, error_lines, print, print_json};
use crate::target::{self, Target};

/// The arguments of `parlor plugin update`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(
    after_help = "The old version runs until you agree to the new one. On a terminal, the command asks. Without one, --yes agrees, and you grant each further permission of the new version by name:\n\n  parlor plugin update echo                      from its source, or from its index\n  parlor plugin update echo new/echo.wasm --yes\n  parlor plugin update --all --check             what could be updated; changes nothing\n  parlor plugin update --all --check --json | jq -e 'any(.[]; .new)'   ends with 1 if nothing is\n  parlor plugin update echo oci://registry.example.org/plugins/echo:0.2.0\n  parlor plugin update echo --yes --grant rooms.send\n  parlor plugin update echo --yes --policy more.toml   with what [grants] says there\n\nExit codes: 0 updated, or nothing to do, or looked at with --check, whether there is something new or not, 3 not agreed to or not granted what it needs, 1 failed, 2 wrong usage"
)]
pub struct UpdateArgs {
    /// The plugin.
    #[arg(required_unless_present = "all")]
    plugin: Option<PluginId>,
    /// The new version, as for `add`; by default from its current source.
    #[arg(value_parser = source)]
    source: Option<Source>,
    /// Update every plugin.
    // A log-in is for one registry.
    #[arg(long, conflicts_with_all = ["plugin", "source", "username"])]
    all: bool,
    /// Only show what would change.
    #[arg(long)]
    check: bool,
    /// Also accept an older version, another build of the same version from an address or a registry (from a file it is
    /// always accepted), or one that lacks the signature of the present one.
    #[arg(long)]
    downgrade: bool,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    origin: Origin,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl UpdateArgs {
    /// Updates one plugin, or all.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = if self.check { self.target.load()? } else { self.target.load_to_write()? };
        let admin = target::admin(&config);
        let ids = match &self.plugin {
            Some(id) => vec![id.clone()],
            None => admin.policy()?.plugins.into_keys().collect(),
        };
        if !self.all {
            let mut outcomes = ids.iter().map(|id| self.update(&config, &admin, id));
            return outcomes.next().map_or(Ok(()), |outcome| outcome?.show(self.json));
        }
        // A plugin that cannot be updated does not stop the others. The first failure is the result.
        let (mut failed, mut all) = (None, Vec::new());
        for id in ids {
            let outcome = self.update(&config, &admin, &id).unwrap_or_else(|error| Outcome::failed(&id, error));
            if let (Some(error), false) = (&outcome.failure, self.json) {
                print(&format!("{id}: {}", error_lines(&format!("{error:#}"))))?;
            }
            all.push(outcome.json);
            failed = failed.or(outcome.failure);
        }
        if self.json {
            print_json(&all)?;
        }
        failed.map_or(Ok(()), Err)
    }

    fn update(&self, config: &Config, admin: &PluginAdmin<'_>, id: &PluginId) -> anyhow::Result<Outcome> {
        let entry = admin.entry(id)?;
        let older = if self.downgrade { Older::Wanted } else { Older::Refused };
        let installed = Installed { entry: &entry, older };
        let asking = Asking { json: self.json, check: self.check };
        let chosen = choose(config, self.source.as_ref(), &self.origin, Some(&installed), asking)?;
        let offer = admin.offer(&chosen.source, &chosen.expected).map_err(|error| chosen.explained(error, id))?;
        chosen.is_as_listed(offer.manifest())?;
        let asked = Some((&chosen.source, &chosen.expected.login));
        let how = How { older, check: self.check, wanted: &self.wanted, json: self.json, asked };
        let outcome = change(config, admin, id, &entry, &offer, &how)?;
        if !self.check {
            chosen.pin(config);
        }
        Ok(outcome)
    }
}

/// The result for one plugin. People have already seen it.
struct Outcome {
    /// The result for programs.
    json: Value,
    /// The failure, if there was one.
    failure: Option<anyhow::Error>,
}

impl Outcome {
    fn failed(id: &PluginId, error: anyhow::Error) -> Self {
        Self { json: json!({ "plugin": id, "changed": false, "error": format!("{error:#}") }), failure: Some(error) }
    }

    fn show(self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            print_json(&self.json)?;
        }
        self.failure.map_or(Ok(()), Err)
    }
}

/// The arguments of `parlor plugin rollback`.
#[derive(Debug, Args)]
#[command(
    after_help = "The last five versions are kept.\n\nExamples:\n  parlor plugin rollback echo               to the version before the present one\n  parlor plugin rollback echo --to 0.1.0\n\nExit codes: 0 done, 3 not agreed to or not granted what it needs, 1 failed, 2 wrong usage"
)]
pub struct RollbackArgs {
    /// The plugin.
    plugin: PluginId,
    /// The version or digest.
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl RollbackArgs {
    /// Goes back to the version.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_write()?;
        let admin = target::admin(&config);
        let (id, entry) = (&self.plugin, admin.entry(&self.plugin)?);
        let offer = admin.earlier(id, self.to.as_deref())?;
        let how = How { older: Older::Had, check: false, wanted: &self.wanted, json: self.json, asked: None };
        change(&config, &admin, id, &entry, &offer, &how)?.show(self.json)
    }
}

struct How<'a> {
    older: Older,
    check: bool,
    wanted: &'a Wanted,
    json: bool,
    /// The source that was asked, with its log-in; none if the offer is from the component store.
    asked: Option<(&'a Source, &'a LogIn)>,
}

/// Replaces the installed version by an offer, if the owner agrees.
fn change(
    config: &Config,
    admin: &PluginAdmin<'_>,
    id: &PluginId,
    entry: &Entry,
    offer: &Offer,
    how: &How<'_>,
) -> anyhow::Result<Outcome> {
    let new = offer.manifest();
    let plan = match admin.plan(id, entry, offer, how.older)? {
        Plan::Nothing => return unchanged(id, offer, how),
        Plan::Restore => return restore(config, admin, id, offer, how),
        Plan::Replace(plan) => plan,
    };
    let was = plan.version().map_or_else(|| entry.digest.short(), ToString::to_string);
    let (difference, since) = (&plan.difference, plan.version());
    let changes: Vec<_> = new.changes.iter().filter(|(version, _)| is_news(since, version, &new.version)).collect();
    let head = head(id, &was, offer, &changes);
    if how.check {
        if !how.json {
            let asks = asks(id, new, difference, &plan.counting, None);
            print(&format!("{head}{asks}{}", settled(id, new, &plan.carried, &was, "would be")))?;
        }
        let mut json = would_be(id, &was, offer, difference, &plan.carried);
        json["changes"] = inspect::changes(changes.into_iter());
        return Ok(Outcome { json, failure: None });
    }
    let mut requests = how.wanted.further_requests(id, new)?;
    let mut given = Given::by_flags(&how.wanted.secrets, id, new, how.json)?;
    let terminal = if how.wanted.yes { None } else { Terminal::open_unless(how.json) };
    if let Some(terminal) = &terminal {
        let asked = Asked { config, id, entry, plan: &plan, offer, was: &was };
        let more = asked.agree(terminal, &head, &requests)?;
        requests.extend(more);
        if entry.enabled {
            given.ask(terminal, new, |name| plan.keeps_setting(name), |name| also_to(&plan.carried, name))?;
        }
    } else {
        if !how.json {
            print(&inspect::offered(offer))?;
            let decided = how.wanted.yes.then_some(&requests[..]);
            let asks = asks(id, new, difference, &plan.counting, decided);
            print(&format!("{head}{asks}{}", settled(id, new, &plan.carried, &was, "would be")))?;
        }
        if !how.wanted.yes {
            let sentence = format!("nobody can be asked here, so {id} {was} goes on; give --yes to agree");
            return Err(Ended::Declined(sentence).into());
        }
    }
    let carried = admin.replace(&plan, &requests, &given.secrets()).map_err(|error| explained(error, id, false))?;
    tell_of_nodes(config, given.kept(&admin.entry(id)?));
    let settled = settled(id, new, &carried, &was, "is");
    let more = if settled.is_empty() { String::new() } else { format!("\n{}", settled.trim_end()) };
    let sentence = format!("{id} {was} is replaced by {}{more}", new.version);
    changed(config, id, [&was, &new.version.to_string()], &sentence, how)
}

/// Lets the host apply the change, and reports it.
fn changed(
    config: &Config,
    id: &PluginId,
    [was, new]: [&str; 2],
    sentence: &str,
    how: &How<'_>,
) -> anyhow::Result<Outcome> {
    let (mut json, failure) = match told(config, id, sentence) {
        Ok(told) => {
            if !how.json {
                show_done(&told, id, sentence, false)?;
            }
            (done_json(&told, id, sentence), failure(&told, sentence))
        }
        Err(error) => (untold_json(&error, id, sentence), Some(error)),
    };
    if let Some(json) = json.as_object_mut() {
        json.extend([("changed".to_owned(), true.into()), ("version".to_owned(), was.into())]);
        json.insert("new".to_owned(), new.into());
    }
    Ok(Outcome { json, failure })
}

/// Fetches an installed component again that was lost, with the same digest.
fn restore(
    config: &Config,
    admin: &PluginAdmin<'_>,
    id: &PluginId,
    offer: &Offer,
    how: &How<'_>,
) -> anyhow::Result<Outcome> {
    let version = offer.manifest().version.to_string();
    if how.check {
        if !how.json {
            print(&format!("{id} {version} is not in the component store any more, and would be got again"))?;
        }
        let json = json!({ "plugin": id, "changed": false, "version": version, "new": version });
        return Ok(Outcome { json, failure: None });
    }
    admin.restore(id, offer)?;
    let sentence = format!("{id} {version} was lost, and is in the component store again");
    changed(config, id, [&version, &version], &sentence, how)
}

/// Reports that the source offers the same file, and lists newer versions. A source may name one fixed version; only
/// the owner can decide to move to another.
fn unchanged(id: &PluginId, offer: &Offer, how: &How<'_>) -> anyhow::Result<Outcome> {
    let version = &offer.manifest().version;
    let newer = how.asked.and_then(|(source, login)| source.newer(version, login));
    let source = how.asked.map_or_else(|| offer.source.clone(), |(source, _)| source.to_string());
    if !how.json {
        let mut text = format!("{} still gives {id} {version}", escape_untrusted(&source, usize::MAX));
        if let Some(all @ [(_, newest), ..]) = newer.as_deref() {
            let versions = all.iter().map(|(version, _)| version.to_string()).collect::<Vec<_>>().join(", ");
            text.put(format_args!(
                ", and its registry has newer ones: {versions}\nto take the newest: parlor plugin update {id} {newest}"
            ));
        }
        print(&text)?;
    }
    let named = |(version, source): &(Version, Source)| json!({ "version": version, "source": source });
    let newer = newer.map(|all| all.iter().map(named).collect::<Vec<_>>());
    let json = json!({
        "plugin": id, "changed": false, "version": version, "new": null, "source": source, "newer": newer,
    });
    Ok(Outcome { json, failure: None })
}

/// Returns what an update would change, for programs.
fn would_be(id: &PluginId, was: &str, offer: &Offer, difference: &Difference, carried: &Carried) -> Value {
    let names = |all: &[Permission]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let wider: BTreeMap<_, _> =
        difference.wider.iter().map(|(permission, entries)| (permission.to_string(), entries)).collect();
    json!({
        "plugin": id, "changed": false, "version": was, "new": offer.manifest().version, "digest": offer.examined.digest,
        "permissions": { "new": names(&difference.new), "changed": names(&difference.changed), "gone": names(&difference.gone), "wider": wider,
            "webhooks": difference.opened },
        "settings": { "aside": carried.names()[0], "back": carried.names()[1] },
    })
}

/// Describes the effect on the owner's settings, one line each.
fn settled(id: &PluginId, new: &Manifest, carried: &Carried, was: &str, verb: &str) -> String {
    let [aside, back] = carried.names();
    let mut text = String::new();
    for name in aside {
        if let Some(why) = carried.further.get(name) {
            let is_needed = new.settings.get(name).is_some_and(|setting| setting.required);
            let how = if is_needed && verb != "is" {
                format!("--secret {name}=FILE, or --secret {name} on standard input")
            } else {
                format!("parlor plugin config {id} {name}")
            };
            let why = escape_untrusted(why, usize::MAX);
            text.put(format_args!(
                "the setting {name} {verb} put aside: {why}; set it again if you agree ({how}); until then, it comes back with {was} (rollback)\n"
            ));
            continue;
        }
        text.put(format_args!(
            "the setting {name} {verb} put aside: it has no place in that version; it comes back with {was} (rollback)\n"
        ));
    }
    for name in back {
        text.put(format_args!("the setting {name} {verb} set again, as it was when that version was left\n"));
    }
    text
}

/// Says in a question where a credential would also go; empty if nowhere else.
fn also_to(carried: &Carried, name: &str) -> String {
    carried.further.get(name).map(|why| format!(", and {}", escape_untrusted(why, usize::MAX))).unwrap_or_default()
}

/// Returns whether the update brings this version's changes. If the present version is unknown, only the new one
/// counts.
fn is_news(present: Option<&Version>, version: &Version, new: &Version) -> bool {
    version <= new && present.map_or(version == new, |present| version > present)
}

/// Describes the new version, with its author's notes.
fn head(id: &PluginId, was: &str, offer: &Offer, changes: &[(&Version, &String)]) -> String {
    let mut text = format!("{id}: {was} → {}\n", offer.manifest().version);
    if !changes.is_empty() {
        text.push_str("Its author says of what is new:\n");
    }
    for (version, change) in changes {
        text.put(format_args!("  {version}  “{}”\n", escape_untrusted(change, inspect::LONGEST)));
    }
    text
}

/// Describes the new version's requests, for programs and logs. If they are decided, it says which ones are granted. `present`: the
/// grants that it has already.
fn asks(
    id: &PluginId,
    new: &Manifest,
    difference: &Difference,
    present: &Grants,
    decided: Option<&[GrantRequest]>,
) -> String {
    let is_new = |permission: &Permission| difference.new.contains(permission);
    let mut text = String::new();
    if !consent::asks_more(difference) {
        text.push_str("It asks for nothing that the present version does not ask for.\n");
    } else if !difference.new.is_empty() {
        text.push_str("It asks for more than the present version. ");
    }
    // A flag may also grant what the present version asks for, and does not have.
    if !difference.new.is_empty() || decided.is_some_and(|requests| !requests.is_empty()) {
        text.push_str(&match decided {
            None => consent::asked(id, new, present, is_new),
            Some(requests) => {
                let is_decided = |permission: &Permission| requests.iter().any(|one| one.permission == *permission);
                let granted = consent::with(present, requests, new);
                consent::granted(id, new, &granted, present, |one| is_new(one) || is_decided(one))
            }
        });
    }
    text + &consent::otherwise(id, difference, present) + &gone(difference)
}

/// Says what the new version does not ask for any more.
fn gone(difference: &Difference) -> String {
    if difference.gone.is_empty() {
        return String::new();
    }
    let names: Vec<_> = difference.gone.iter().map(ToString::to_string).collect();
    format!("It does not ask any more for {}\n", names.join(", "))
}

/// A version that an owner is asked about before it replaces the present one.
struct Asked<'a> {
    config: &'a Config,
    id: &'a PluginId,
    entry: &'a Entry,
    plan: &'a Replacement<'a>,
    offer: &'a Offer,
    was: &'a str,
}

impl Asked<'_> {
    /// Shows the changes and the plugin's new abilities, and asks about each undecided permission.
    fn agree(&self, terminal: &Terminal, head: &str, requests: &[GrantRequest]) -> anyhow::Result<Vec<GrantRequest>> {
        let Self { config, id, entry, plan, offer, was } = *self;
        let (new, difference) = (offer.manifest(), &plan.difference);
        let is_asked = |permission: Permission| {
            let is_needed = new.permissions.get(&permission).is_some_and(|asked| !asked.optional);
            let is_anew = difference.new.contains(&permission) || entry.grants.has(permission) || is_needed;
            is_anew && !plan.counting.has(permission)
        };
        let places = places(config, entry.accounts.as_deref());
        let request = Request::of(id, new, is_asked, &plan.counting, &places);
        let mut text = format!("{}{head}{}", inspect::offered(offer), gone(difference));
        text.push_str(&consent::otherwise(id, difference, &plan.counting));
        text.push_str(&settled(id, new, &plan.carried, was, "would be"));
        text.put(format_args!("\n{id} runs on {}.\n", listed(&places)));
        if request.more.is_empty() && !consent::asks_more(difference) {
            text.push_str("It asks for nothing that the present version does not ask for.\n");
        } else if !request.more.is_empty() {
            text.push_str(&request.reach());
        }
        consent::show(terminal, &text)?;
        let decided = consent::with(&Grants::default(), requests, new);
        consent::ask(terminal, &format!("Replace {id} {was} by {}", new.version), &request, &decided)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_and_not_granted_counts_for_no_risk_of_an_update() {
        let manifest = |version: &str, permissions: &str| {
            let plugin = format!("name = \"x\"\nversion = \"{version}\"\napi = \"0.1.0\"\ndescription = \"X\"\n");
            Manifest::parse(&format!("[plugin]\n{plugin}[permissions]\n{permissions}")).unwrap()
        };
        let web = "\"http.fetch\" = { scope = [\"api.example.org\"], reason = \"to ask\", optional = true }\n";
        let messages = "\"messages.read\" = { scope = [\"*\"], reason = \"to answer\", optional = true }\n";
        let (old, new) = (manifest("0.1.0", ""), manifest("0.2.0", &format!("{web}{messages}")));
        let (id, difference) = ("x".parse().unwrap(), Difference::between(&old, &new));
        let request = |permission| GrantRequest { permission, scope: None };
        let says = |present: &Grants, decided: Option<&[GrantRequest]>| asks(&id, &new, &difference, present, decided);
        let none = Grants::default();
        assert!(says(&none, None).contains("\nTogether: "), "it is what the owner decides about");
        let one = says(&none, Some(&[request(Permission::MessagesRead)]));
        assert!(one.contains("It gets:") && one.contains("It does not get:") && !one.contains("Together"), "{one}");
        let both = says(&none, Some(&[request(Permission::MessagesRead), request(Permission::HttpFetch)]));
        assert!(both.contains("\nTogether: ") && !both.contains("It does not get"), "{both}");
        let mut present = Grants::default();
        present.grant(Permission::HttpFetch, &["api.example.org"]).unwrap();
        let beside = says(&present, Some(&[request(Permission::MessagesRead)]));
        assert!(beside.contains("\nTogether: "), "with what it has already: {beside}");
        let same = Difference::between(&new, &new);
        let further = |decided: &[GrantRequest]| asks(&id, &new, &same, &present, Some(decided));
        let more = further(&[request(Permission::MessagesRead)]);
        assert!(more.contains("It gets:") && more.contains("\nTogether: "), "a flag grants it: {more}");
        assert!(!further(&[]).contains("It gets"));
    }
}
