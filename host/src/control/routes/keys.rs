//! The requests about the keys of accounts for encrypted messages.

use std::sync::Arc;

use jid::BareJid;
use parlor_base::escape::escape_untrusted;
use parlor_config::AccountName;
use parlor_runtime::account::Shared;
use parlor_stanza::error::CallError;
use parlor_stanza::types::DeviceTrust;

use crate::control::http::{Answer, json};
use crate::control::refusal::Refusal;
use crate::control::request::Request;
use crate::control::show;
use crate::control::views::Keys;
use crate::host::{Host, keys};

/// The most of an address that is shown, in bytes.
const LONGEST: usize = 1 << 10;

/// Answers with the keys of each account.
pub(super) async fn all(host: &Host, request: &Request) -> Result<Answer, Refusal> {
    let person = person(request)?;
    let mut shown = Vec::new();
    for account in host.accounts() {
        match look(&account, person.clone()).await {
            // An account that is being removed has no keys to show.
            Err(Refusal::Keys(CallError::Stopped)) => {}
            looked => shown.push(looked?),
        }
    }
    json(&shown)
}

/// Answers with the keys of one account.
pub(super) async fn of(host: &Host, name: &str, request: &Request) -> Result<Answer, Refusal> {
    let account = account(host, name)?;
    json(&[look(&account, person(request)?).await?])
}

/// Trusts or distrusts a key of a person, and answers with that person's keys.
pub(super) async fn decide(host: &Host, name: &str, request: &Request, trust: DeviceTrust) -> Result<Answer, Refusal> {
    let account = account(host, name)?;
    let person = person(request)?.ok_or_else(|| Refusal::Value("`jid` is the address of a person".to_owned()))?;
    let fingerprint = request.value("fingerprint").map(str::to_owned);
    // All of somebody's keys at once can only be distrusted: nobody has compared them.
    if fingerprint.is_none() && matches!(trust, DeviceTrust::Trusted) {
        return Err(Refusal::Value("`fingerprint` names the key".to_owned()));
    }
    keys::decide(&account, &person, fingerprint, trust).await.map_err(|error| match error {
        CallError::NotFound(_) => {
            Refusal::NoKey { account: account.name.clone(), jid: escape_untrusted(person.as_str(), LONGEST) }
        }
        error => Refusal::Keys(error),
    })?;
    json(&[look(&account, Some(person)).await?])
}

/// Makes new keys for an account, and answers with its keys.
pub(super) async fn reset(host: &Host, name: &str) -> Result<Answer, Refusal> {
    let account = account(host, name)?;
    keys::reset(&account).await.map_err(Refusal::Keys)?;
    json(&[look(&account, None).await?])
}

async fn look(account: &Shared, person: Option<BareJid>) -> Result<Keys, Refusal> {
    Ok(show::keys(account, &keys::list(account, person).await.map_err(Refusal::Keys)?))
}

fn account(host: &Host, name: &str) -> Result<Arc<Shared>, Refusal> {
    let name = name.parse::<AccountName>().map_err(|error| Refusal::Value(error.to_string()))?;
    let unknown = || Refusal::NoAccount(format!("{name}; `parlor status` shows those that it has"));
    host.account(&name).ok_or_else(unknown)
}

fn person(request: &Request) -> Result<Option<BareJid>, Refusal> {
    let parsed = request.value("jid").map(BareJid::new).transpose();
    parsed.map_err(|error| Refusal::Value(format!("`jid` is no address: {error}")))
}
