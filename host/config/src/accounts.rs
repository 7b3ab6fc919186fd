//! Reads the accounts of a configuration from its files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use jid::BareJid;

use super::account::AccountConfig;
use super::error::{AccountsFileError, ConfigError, FilePosition};
use super::group::GroupName;
use super::groups::Groups;
use super::link::{self, LinkSettings, Way};
use super::name::AccountName;
use super::sections::{Section, Written};
use super::settings::Settings;
use super::web::Web;
use super::{Over, Overrides, component, with_all, with_section};

/// How many settings that differ are compared with those of each account.
const MOST_SHARED: usize = 32;

/// The other parts of a configuration that accounts need.
pub(crate) struct With<'w, 'd> {
    pub(crate) folder: &'w Path,
    pub(crate) overrides: &'w Overrides,
    /// The host's settings.
    pub(crate) base: &'w Settings,
    /// The settings that override those of the file.
    pub(crate) over: &'w [Over],
    pub(crate) groups: &'w Groups<'d>,
    pub(crate) components: &'w BTreeMap<AccountName, LinkSettings>,
    pub(crate) web: &'w Arc<Web>,
}

/// Accounts by name.
pub(crate) type Accounts = BTreeMap<AccountName, AccountConfig>;

/// Reads the accounts of the configuration file, which is the first, and of `accounts.toml`. Returns all of them, and the names
/// of those in the second.
pub(crate) fn read_all<'d>(
    tops: &[Section<'d>],
    with: &With<'_, 'd>,
) -> Result<(Accounts, BTreeSet<AccountName>), ConfigError> {
    let mut accounts = Accounts::new();
    let mut places = BTreeMap::<AccountName, FilePosition>::new();
    let mut known: HashMap<BareJid, Vec<AccountName>> = HashMap::new();
    let (mut in_the_second, mut settings) = (BTreeSet::new(), Vec::new());
    for (index, top) in tops.iter().enumerate() {
        let named = top.section("account")?;
        if let Some(at) = named.as_ref().and_then(|accounts| accounts.place_of_text("jid")) {
            return Err(ConfigError::NamelessAccount { at });
        }
        for (name, section) in named.map_or(Ok(Vec::new()), |section| section.sections())? {
            let at = section.at.clone();
            if let Some(first) = link::account_name(&name).ok().and_then(|name| places.get(&name)) {
                let (name, first) = (format!("account {}", name.value), first.clone());
                return Err(AccountsFileError::InBoth { at, name, first }.into());
            }
            let (group, section) = with.groups.of(section)?;
            let mut account = account(&name, group, &section, with)?;
            component::fits(&account.link, &section, with.components)?;
            share_component(&mut account.link, with.components);
            account.web = Arc::clone(with.web);
            account.settings = shared(account.settings, &mut settings);
            let twins = known.entry(account.link.jid.to_bare()).or_default();
            if let Some(twin) = twins.iter().find(|twin| is_same(&accounts[*twin].link, &account.link)) {
                let remedy = remedy(&accounts[twin].link, &account.link);
                return Err(ConfigError::SameJid { at, first: twin.clone(), second: account.name, remedy });
            }
            twins.push(account.name.clone());
            places.insert(account.name.clone(), at);
            if index > 0 {
                in_the_second.insert(account.name.clone());
            }
            accounts.insert(account.name.clone(), account);
        }
    }
    // Made at once, the nodes of the maps are full. One after the other, half of each would be empty, and there may be 100,000.
    Ok((accounts.into_iter().collect(), in_the_second.into_iter().collect()))
}

/// Lets all addresses of a component share the text of its name.
fn share_component(link: &mut LinkSettings, components: &BTreeMap<AccountName, LinkSettings>) {
    if let Some((name, _)) = link.component().and_then(|name| components.get_key_value(name)) {
        link.way = Way::Component(name.clone());
    }
}

fn account(
    name: &Written<&str>,
    group: Option<GroupName>,
    section: &Section<'_>,
    with: &With<'_, '_>,
) -> Result<AccountConfig, ConfigError> {
    let With { folder, overrides, base, over, .. } = *with;
    let parsed = link::account_name(name)?;
    let table = format!("account.{}", name.value.chars().take(64).collect::<String>());
    let own = with_section(base.clone(), section.section("settings")?.as_ref(), &table, folder)?;
    let settings = with_all(own, over)?;
    AccountConfig::read(parsed, group, section, folder, overrides.environment, settings)
}

/// Returns the settings of an account that has the same ones, if there is one: equal settings take their memory once.
fn shared(settings: Settings, known: &mut Vec<Settings>) -> Settings {
    if let Some(same) = known.iter().find(|other| **other == settings) {
        return same.clone();
    }
    if known.len() < MOST_SHARED {
        known.push(settings.clone());
    }
    settings
}

/// Returns whether two addresses are one account of a server, without a distinct resource for each: both would receive
/// everything. Each anonymous log-in gets a new account. A component has one place for an address, whatever the resource is: one
/// account would take what is for the other.
fn is_same(one: &LinkSettings, other: &LinkSettings) -> bool {
    let (first, second) = (&one.jid, &other.jid);
    let are_apart = first.is_full() && second.is_full() && first != second && !are_of_component(one, other);
    first.node().is_some() && first.to_bare() == second.to_bare() && !are_apart
}

fn are_of_component(one: &LinkSettings, other: &LinkSettings) -> bool {
    one.component().is_some() || other.component().is_some()
}

/// Returns what to do about two accounts that are the same one.
fn remedy(one: &LinkSettings, other: &LinkSettings) -> &'static str {
    if are_of_component(one, other) {
        "leave one out, since an address of a component is one account, also with several resources"
    } else {
        "leave one out, or write a resource of its own behind each one's jid"
    }
}
