//! The keys of `[component.NAME]` that say which addresses become accounts when somebody writes to them.

use std::collections::{BTreeMap, HashSet};

use jid::{BareJid, DomainPart, Jid, NodeRef};
use parlor_base::nearest::{nearest, suggestion};
use serde_json::Value;

use super::Config;
use super::error::ConfigError;
use super::group::{BadPattern, GroupName, Pattern, Selector};
use super::groups::Groups;
use super::link::{Way, account_name};
use super::name::AccountName;
use super::sections::{Section, Written};

/// The most entries of a list.
const MOST_LISTED: usize = 64;
/// The bounds of `new_addresses_limit`.
const LIMIT: std::ops::RangeInclusive<u64> = 1..=100_000;
/// The form that these keys must have.
const PATTERNS: &str = "a list of patterns of addresses of its domain, such as [\"*@bots.example.org\"]";
const DOMAINS: &str = "a list of domains without *, such as [\"example.org\"]";
/// The description of a value about which nothing more can be said.
const ELSE: &str = "something else";
/// The longest beginning of a component's name in the name of an account that ends in digits.
const LONGEST_BEGINNING: usize = 12;
/// The limit without that key.
const USUAL_LIMIT: u32 = 1_000;
/// The people of one domain may write in an hour to this part of the limit, and at least to so many, unless the owner names domains.
const PART_OF_A_DOMAIN: usize = 8;
const LEAST_OF_A_DOMAIN: usize = 64;

/// The rules by which addresses of a component become accounts when somebody writes to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAddresses {
    /// Describe the part of an address before the `@`; one at least.
    pub patterns: Vec<Pattern>,
    /// The domains whose people can cause this; everybody can if there is none. The host's own addresses never can.
    pub from: Vec<BareJid>,
    /// The group that the accounts are in.
    pub group: Option<GroupName>,
    /// The number of accounts of the component from which on no more are added.
    pub limit: u32,
}

impl NewAddresses {
    /// Returns whether this address may become an account when this person writes to it. `own` are the addresses of the host.
    pub fn admits(&self, address: &BareJid, sender: &Jid, own: &OwnAddresses) -> bool {
        let is_heard = self.from.is_empty() || self.from.iter().any(|domain| domain.domain() == sender.domain());
        is_heard && self.fits(address) && !own.has(sender)
    }

    /// Returns how many such addresses all people of one domain may write to in an hour. None: the owner has named the domains.
    pub fn most_of_a_domain(&self) -> Option<usize> {
        let most = (self.limit as usize / PART_OF_A_DOMAIN).max(LEAST_OF_A_DOMAIN);
        self.from.is_empty().then_some(most)
    }

    /// Returns whether these name the accounts that come so, by their group; `None` names all.
    pub fn are_chosen(&self, selectors: Option<&[Selector]>) -> bool {
        let is_own =
            |selector: &Selector| matches!(selector, Selector::Group(name) if self.group.as_ref() == Some(name));
        selectors.is_none_or(|all| all.iter().any(is_own))
    }

    /// Returns how the names of all accounts begin that are made of addresses of this component: its own name, or the first part
    /// of a long one, which leaves room for digits.
    pub fn beginning_of_names(component: &AccountName) -> &str {
        component.as_str().get(..LONGEST_BEGINNING).unwrap_or(component.as_str())
    }

    /// Returns whether a pattern fits this address of the component.
    pub fn fits(&self, address: &BareJid) -> bool {
        let node = address.node().map(NodeRef::as_str).unwrap_or_default();
        !node.is_empty() && self.patterns.iter().any(|pattern| pattern.matches(node))
    }
}

/// The addresses that plugins of the host write from. No address becomes an account because of them, also if the owner names their
/// domain: otherwise plugins would run on as many accounts as they like.
#[derive(Debug, Default)]
pub struct OwnAddresses {
    /// The domains of components, and those where a server chooses the address of an account (`authentication = "anonymous"`).
    domains: HashSet<DomainPart>,
    accounts: HashSet<BareJid>,
}

impl OwnAddresses {
    /// Returns those of a configuration. It is empty if no address can become an account.
    pub fn of(config: &Config) -> Self {
        let mut own = Self::default();
        if config.new_addresses.is_empty() {
            return own;
        }
        own.domains.extend(config.components.values().map(|link| link.jid.domain().to_owned()));
        for link in config.accounts.values().map(|account| &account.link) {
            match link.way {
                // Its domain is there already, however many addresses it has.
                Way::Component(_) => {}
                Way::Anonymous => {
                    own.domains.insert(link.jid.domain().to_owned());
                }
                Way::Password | Way::Certificate { .. } => {
                    own.accounts.insert(link.jid.to_bare());
                }
            }
        }
        own
    }

    fn has(&self, sender: &Jid) -> bool {
        self.domains.contains(sender.domain()) || self.accounts.contains(&sender.to_bare())
    }
}

/// Reads them for all components that have them.
pub(crate) fn read_all(
    section: Option<&Section<'_>>,
    groups: &Groups<'_>,
) -> Result<BTreeMap<AccountName, NewAddresses>, ConfigError> {
    let mut all = BTreeMap::new();
    for (name, section) in section.map_or(Ok(Vec::new()), Section::sections)? {
        let name = account_name(&name)?;
        if let Some(read) = read(&name, &section, groups)? {
            all.insert(name, read);
        }
    }
    Ok(all)
}

fn read(name: &AccountName, section: &Section<'_>, groups: &Groups<'_>) -> Result<Option<NewAddresses>, ConfigError> {
    for key in ["new_addresses_from", "new_addresses_group", "new_addresses_limit"] {
        if let (Some(at), None) = (section.place_of(key), section.place_of("new_addresses")) {
            return Err(ConfigError::Alone { at, key, other: "new_addresses" });
        }
    }
    let (mut patterns, mut from, mut limit) = (Vec::new(), Vec::new(), USUAL_LIMIT);
    for (key, written) in section.json()? {
        let refused = |expected, found| {
            let key = format!("component.{name}.{key}");
            ConfigError::WrongType { at: written.at.clone(), key, expected, found }
        };
        let wrong = |expected| refused(expected, ELSE);
        match key {
            "new_addresses" => {
                let domain = section.text("domain")?.map(|written| written.value).unwrap_or_default();
                patterns = read_patterns(&written.value, domain).map_err(|found| refused(PATTERNS, found))?;
            }
            "new_addresses_from" => {
                from = read_domains(&written.value).ok_or_else(|| wrong(DOMAINS))?;
            }
            "new_addresses_limit" => {
                let number = written.value.as_u64().filter(|number| LIMIT.contains(number));
                let number = number.and_then(|number| u32::try_from(number).ok());
                limit = number.ok_or_else(|| wrong("a whole number, 1 to 100000"))?;
            }
            _ => {}
        }
    }
    let group = group(section, groups)?;
    Ok((!patterns.is_empty()).then_some(NewAddresses { patterns, from, group, limit }))
}

/// Reads patterns of addresses of this domain. The error says what one of them is instead.
fn read_patterns(value: &Value, domain: &str) -> Result<Vec<Pattern>, &'static str> {
    let list = value.as_array().filter(|list| (1..=MOST_LISTED).contains(&list.len())).ok_or(ELSE)?;
    list.iter().map(|one| pattern(one.as_str().ok_or(ELSE)?, domain)).collect()
}

fn pattern(text: &str, domain: &str) -> Result<Pattern, &'static str> {
    let (node, of) = text.split_once('@').ok_or("one without the @ and the domain")?;
    if of != domain {
        return Err("one of another domain");
    }
    let pattern = node.parse::<Pattern>();
    pattern.map_err(
        |_: BadPattern| "one with other characters before the @ than a-z, 0-9, -, _ and *, or with more than 64",
    )
}

fn read_domains(value: &Value) -> Option<Vec<BareJid>> {
    // An empty list would say that nobody may, and count as if it were left out.
    let list = value.as_array().filter(|list| (1..=MOST_LISTED).contains(&list.len()))?;
    let domain = |text: &str| BareJid::new(text).ok().filter(|jid| jid.node().is_none() && !text.contains('*'));
    list.iter().map(|one| domain(one.as_str()?)).collect()
}

fn group(section: &Section<'_>, groups: &Groups<'_>) -> Result<Option<GroupName>, ConfigError> {
    let Some(Written { value, at }) = section.text("new_addresses_group")? else { return Ok(None) };
    let known = value.parse::<GroupName>().ok().filter(|name| groups.names().any(|known| known == name));
    known.map(Some).ok_or_else(|| {
        let near = suggestion(nearest(value, groups.names().map(GroupName::as_str)));
        ConfigError::NoGroup { at, group: value.chars().take(64).collect(), near }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Overrides;

    const BOTS: &str = "[group.bots]\n[component.bots]\ndomain = \"bots.example.org\"\npassword_env = \"SECRET\"\n";

    fn load(more: &str) -> Result<Config, String> {
        let overrides = Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() };
        let text = format!("{BOTS}{more}");
        Config::parse(std::path::Path::new("parlor.toml"), &text, &overrides).map_err(|error| error.to_string())
    }

    fn jid(text: &str) -> Jid {
        text.parse().unwrap()
    }

    #[test]
    fn a_component_says_which_addresses_become_accounts_and_by_whom() {
        let config = load(
            "new_addresses = [\"shop-*@bots.example.org\", \"help@bots.example.org\"]\n\
             new_addresses_from = [\"example.org\"]\nnew_addresses_group = \"bots\"\nnew_addresses_limit = 7\n",
        );
        let config = config.unwrap();
        let own = OwnAddresses::of(&config);
        assert!(config.accounts.is_empty(), "the first account may be one that comes so");
        let new = &config.new_addresses[&"bots".parse().unwrap()];
        assert_eq!((new.group.as_ref().map(GroupName::as_str), new.limit), (Some("bots"), 7));
        let are_chosen = |text: &str| new.are_chosen(Some(&[text.parse().unwrap()]));
        assert!(new.are_chosen(None) && are_chosen("group:bots") && !are_chosen("group:others") && !are_chosen("bots"));
        for (address, sender, is_admitted) in [
            ("shop-1@bots.example.org", "juliet@example.org/phone", true),
            ("help@bots.example.org", "example.org", true),
            ("shop@bots.example.org", "juliet@example.org", false),
            ("bots.example.org", "juliet@example.org", false),
            ("help@bots.example.org", "juliet@other.example", false),
            ("help@bots.example.org", "juliet@example.org.other.example", false),
        ] {
            assert_eq!(new.admits(&jid(address).to_bare(), &jid(sender), &own), is_admitted, "{address} {sender}");
        }
        let all = load("new_addresses = [\"*@bots.example.org\"]\n").unwrap();
        let all = &all.new_addresses[&"bots".parse().unwrap()];
        assert!(all.admits(&jid("any.body@bots.example.org").to_bare(), &jid("a@anywhere.example"), &own));
        assert!(!all.admits(&jid("bots.example.org").to_bare(), &jid("a@anywhere.example"), &own), "it has no name");
        assert_eq!((all.group.as_ref(), all.limit), (None, USUAL_LIMIT));
        let none = load("[account.echo]\njid = \"echo@bots.example.org\"\ncomponent = \"bots\"\n").unwrap();
        assert!(none.new_addresses.is_empty());
    }

    #[test]
    fn plugins_do_not_multiply_by_way_of_any_address_of_the_host() {
        let others = "[component.desk]\ndomain = \"desk.example.org\"\npassword_env = \"SECRET\"\n\
            [account.main]\njid = \"bot@example.org/home\"\npassword_env = \"NONE\"\n\
            [account.guest]\njid = \"guests.example.org\"\nsettings = { authentication = \"anonymous\" }\n\
            [account.echo]\njid = \"echo@bots.example.org\"\ncomponent = \"bots\"\n";
        let from = "new_addresses_from = [\"bots.example.org\", \"desk.example.org\", \"example.org\", \"guests.example.org\"]\n";
        for from in ["", from] {
            let config = load(&format!("new_addresses = [\"*@bots.example.org\"]\n{from}{others}")).unwrap();
            let (own, new) = (OwnAddresses::of(&config), &config.new_addresses[&"bots".parse().unwrap()]);
            let admits = |sender: &str| new.admits(&jid("more@bots.example.org").to_bare(), &jid(sender), &own);
            for sender in [
                "echo@bots.example.org/parlor",
                "any@desk.example.org/parlor",
                "bot@example.org/home",
                "bot@example.org/away",
                "x7f3@guests.example.org/y",
            ] {
                assert!(!admits(sender), "{sender} {from}");
            }
            assert!(admits("juliet@example.org/phone"), "{from}");
        }
    }

    #[test]
    fn the_people_of_a_domain_that_is_not_named_have_a_part_of_the_limit() {
        let most = |more: &str| {
            let config = load(&format!("new_addresses = [\"*@bots.example.org\"]\n{more}")).unwrap();
            config.new_addresses[&"bots".parse().unwrap()].most_of_a_domain()
        };
        assert_eq!(most(""), Some(125));
        assert_eq!(most("new_addresses_limit = 7\n"), Some(64));
        assert_eq!(most("new_addresses_limit = 100000\n"), Some(12_500));
        assert_eq!(most("new_addresses_from = [\"example.org\"]\n"), None);
    }

    #[test]
    fn the_names_of_new_accounts_begin_like_their_component_and_leave_room_for_digits() {
        for (component, beginning) in
            [("bots", "bots"), ("support-desk", "support-desk"), ("support-desk-of-the-shop", "support-desk")]
        {
            assert_eq!(NewAddresses::beginning_of_names(&component.parse().unwrap()), beginning);
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (more, says) in [
            ("new_addresses = []", "component.bots.new_addresses must be a list of patterns"),
            ("new_addresses = \"*@bots.example.org\"", "must be a list of patterns"),
            ("new_addresses = [1]", "such as [\"*@bots.example.org\"], not something else"),
            ("new_addresses = [\"*\"]", "such as [\"*@bots.example.org\"], not one without the @ and the domain"),
            (
                "new_addresses = [\"*@example.org\"]",
                "of its domain, such as [\"*@bots.example.org\"], not one of another",
            ),
            ("new_addresses = [\"A*@bots.example.org\"]", "other characters before the @ than a-z, 0-9, -, _ and *"),
            ("new_addresses = [\"a.*@bots.example.org\"]", "other characters before the @ than a-z, 0-9, -, _ and *"),
            ("new_addresses_limit = 5", "new_addresses_limit goes with new_addresses alone"),
            ("new_addresses_group = \"bots\"", "new_addresses_group goes with new_addresses alone"),
        ] {
            let error = load(&format!("{more}\n")).unwrap_err();
            assert!(error.contains(says), "{more}: {error}");
        }
        for (more, says) in [
            ("new_addresses_limit = 0", "must be a whole number, 1 to 100000"),
            ("new_addresses_from = [\"a@example.org\"]", "must be a list of domains"),
            // No domain would be the same as that, so nobody could.
            ("new_addresses_from = [\"*.example.org\"]", "must be a list of domains without *"),
            ("new_addresses_from = []", "must be a list of domains"),
            ("new_addresses_group = \"bot\"", "there is no group \"bot\""),
        ] {
            let error = load(&format!("new_addresses = [\"*@bots.example.org\"]\n{more}\n")).unwrap_err();
            assert!(error.contains(says), "{more}: {error}");
        }
        let cluster = "[cluster]\nnats = \"nats://127.0.0.1:4222\"\nname = \"bots\"\nkey_env = \"KEY\"\n";
        let error = load(&format!("new_addresses = [\"*@bots.example.org\"]\n{cluster}")).unwrap_err();
        assert!(error.contains("new_addresses") && error.contains("cluster"), "{error}");
    }
}
