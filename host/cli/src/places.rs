//! The accounts that an owner is asked about, with the number of their rooms.

use parlor::control::views::Status;
use parlor_config::{AccountName, Config, Selector};
use parlor_plugins::consent::Place;
use toml::Table;

use crate::target;

/// Returns the accounts on which a plugin runs whose entry lists these; `None` = all. A host that runs knows their rooms.
pub(crate) fn places(config: &Config, listed: Option<&[Selector]>) -> Vec<Place> {
    // Without the answer, the sentences are the same without a number.
    let status: Option<Status> = target::host(config).ok().flatten().and_then(|host| host.get("/v1/status").ok());
    let rooms = |name: &AccountName| {
        let account = status.as_ref()?.accounts.iter().find(|account| account.name == name.as_str())?;
        Some(account.rooms.iter().filter(|room| room.state != "out").count())
    };
    let place = |name: &AccountName, jid| Place { account: name.clone(), jid, rooms: rooms(name) };
    config.chosen(listed).map(|one| place(&one.name, one.link.jid.to_bare())).collect()
}

/// Returns the accounts and groups that a checked decision lists.
pub(crate) fn listed(decision: &Table) -> Option<Vec<Selector>> {
    let names = decision.get("accounts")?.as_array()?;
    Some(names.iter().filter_map(|name| name.as_str()?.parse().ok()).collect())
}

/// Returns what selectors say of accounts that are added later, for a sentence; none if they say nothing.
pub(crate) fn later<'s>(selectors: impl IntoIterator<Item = &'s Selector>) -> Option<String> {
    let words = selectors.into_iter().filter_map(|selector| match selector {
        Selector::Account(_) => None,
        Selector::Group(group) => Some(format!("join the group {group}")),
        Selector::Pattern(_) => Some(format!("are named like {selector}")),
    });
    let words: Vec<_> = words.collect();
    (!words.is_empty()).then(|| format!("accounts that {} later", words.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_patterns_say_that_they_are_about_later_accounts() {
        let selectors = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Selector>>();
        assert_eq!(later(&selectors(&["main", "second"])), None);
        assert_eq!(
            later(&selectors(&["main", "group:support", "shop-*"])).as_deref(),
            Some("accounts that join the group support or are named like shop-* later")
        );
    }
}
