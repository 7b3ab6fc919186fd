//! The accounts that an owner is asked about, with the number of their rooms.

use parlor::control::views::Status;
use parlor_config::{AccountName, Config};
use parlor_plugins::consent::Place;
use toml::Table;

use crate::target;

/// Returns the accounts on which a plugin runs whose entry lists these; `None` = all. A host that runs knows their rooms.
pub(crate) fn places(config: &Config, listed: Option<&[AccountName]>) -> Vec<Place> {
    // Without the answer, the sentences are the same without a number.
    let status: Option<Status> = target::host(config).ok().flatten().and_then(|host| host.get("/v1/status").ok());
    let rooms = |name: &AccountName| {
        let account = status.as_ref()?.accounts.iter().find(|account| account.name == name.as_str())?;
        Some(account.rooms.iter().filter(|room| room.state != "out").count())
    };
    let accounts = config.accounts.values().filter(|one| listed.is_none_or(|names| names.contains(&one.name)));
    let place = |name: &AccountName, jid| Place { account: name.clone(), jid, rooms: rooms(name) };
    accounts.map(|one| place(&one.name, one.link.jid.to_bare())).collect()
}

/// Returns the accounts that a checked decision lists.
pub(crate) fn listed(decision: &Table) -> Option<Vec<AccountName>> {
    let names = decision.get("accounts")?.as_array()?;
    Some(names.iter().filter_map(|name| name.as_str()?.parse().ok()).collect())
}
