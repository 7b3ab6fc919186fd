//! The keys of accounts for encrypted messages, for owners. The session keeps the keys, and applies decisions. Each
//! decision is in the audit before it is applied.

use jid::BareJid;
use parlor_runtime::account::{Asker, Shared};
use parlor_session::permissions::Granted;
use parlor_session::{
    AbortComparison, Command, Compared, ComparisonEnd, KeyKind, KeyList, KnownKey, ListKeys, OwnKeys, ResetOwnKeys,
    SetTrust, typed,
};
use parlor_stanza::error::CallError;
use parlor_stanza::types::DeviceTrust;
use parlor_store::{AuditKind, By, NewAuditEntry};

use super::actions::Unrecorded;
use super::{Host, actions, audit};

/// Why a decision was not made, or not in full.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecided {
    /// The account could not do it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The audit cannot be written, so nothing was begun.
    #[error(transparent)]
    Unrecorded(#[from] Unrecorded),
}

/// Returns the own keys of an account, and those of others that it knows: of this person, or of all.
pub(crate) async fn list(account: &Shared, jid: Option<BareJid>) -> Result<KeyList, CallError> {
    account.ask(Asker::Host, &Granted::HOST, ListKeys { jid }).await
}

/// Decides about a key of a person, or about all of them, after the audit has it. [`CallError::NotFound`]: the account knows
/// no such key.
pub(crate) async fn decide(
    host: &Host,
    account: &Shared,
    jid: &BareJid,
    fingerprint: Option<String>,
    trust: DeviceTrust,
    by: &By,
) -> Result<(), Undecided> {
    let mut known = list(account, Some(jid.clone())).await?.keys;
    if let Some(wanted) = fingerprint.as_deref().map(typed) {
        known.retain(|key| key.fingerprint == wanted);
    }
    if known.is_empty() {
        return Err(CallError::NotFound(format!("a key of {jid}")).into());
    }
    let of = |key: &KnownKey, before: DeviceTrust| {
        let change = Some((before.as_str().to_owned(), trust.as_str().to_owned()));
        entry(account, by, &named(key.kind, &key.fingerprint, jid), change)
    };
    let entries = known.iter().map(|key| of(key, key.trust)).collect();
    let set = SetTrust { jid: jid.clone(), fingerprint, trust };
    let deciding = async { account.ask(Asker::Host, &Granted::HOST, set).await.map_err(Undecided::Call) };
    let decided = actions::recorded(&audit::of(host), entries, deciding).await?;
    for one in &decided {
        // A fingerprint is public.
        let (fingerprint, trust) = (one.key.fingerprint.as_str(), one.key.trust.as_str());
        tracing::info!(account = %account.name, %jid, fingerprint, trust, "an owner decided about a key");
    }
    // A decision about all keys of a person is also about one that was first seen in between.
    let is_new = |key: &KnownKey| !known.iter().any(|one| (one.kind, &one.fingerprint) == (key.kind, &key.fingerprint));
    let late: Vec<_> = decided.iter().filter(|one| is_new(&one.key)).map(|one| of(&one.key, one.before)).collect();
    if !late.is_empty() {
        audit::all_done(host, late).await;
    }
    Ok(())
}

/// Makes new own keys for an account, and takes the former ones back.
pub(crate) async fn reset(host: &Host, account: &Shared, by: &By) -> Result<(), Undecided> {
    // The keys of others are not needed.
    let before = fingerprints(&list(account, Some(account.own.clone())).await?.own);
    let begun = entry(account, by, "the own keys are being made anew", None);
    let begun = NewAuditEntry { old: Some(before.clone()), ..begun };
    let renewing = async { account.ask(Asker::Host, &Granted::HOST, ResetOwnKeys).await.map_err(Undecided::Call) };
    let own = actions::recorded(&audit::of(host), vec![begun], renewing).await?;
    tracing::info!(account = %account.name, "an owner had new keys made");
    let change = Some((before, fingerprints(&own)));
    audit::done(host, entry(account, by, "the own keys were made anew", change)).await;
    Ok(())
}

/// Begins or answers a comparison of secrets with a person, and waits for its result.
pub(crate) async fn compare<C: Command<Answer = Compared>>(
    host: &Host,
    account: &Shared,
    jid: &BareJid,
    command: C,
    by: &By,
) -> Result<Compared, Undecided> {
    let begun = entry(account, by, &format!("a secret is compared with {jid}"), None);
    let comparing = async { account.ask(Asker::Host, &Granted::HOST, command).await.map_err(Undecided::Call) };
    let compared = actions::recorded(&audit::of(host), vec![begun], comparing).await?;
    let (fingerprint, result) = (compared.fingerprint.as_str(), compared.end.as_str());
    tracing::info!(account = %account.name, %jid, fingerprint, result, "an owner compared a secret");
    let key = named(KeyKind::Otr, fingerprint, jid);
    let (what, change) = match compared.end {
        ComparisonEnd::Same if compared.trust == compared.before => {
            (format!("{key}: a secret was compared, and was the same"), None)
        }
        ComparisonEnd::Same => {
            let change = (compared.before.as_str().to_owned(), compared.trust.as_str().to_owned());
            (format!("{key}, by a secret that was the same"), Some(change))
        }
        ComparisonEnd::Different => (format!("{key}: a secret was compared, and was not the same"), None),
        ComparisonEnd::Aborted | ComparisonEnd::TimedOut => return Ok(compared),
    };
    audit::done(host, entry(account, by, &what, change)).await;
    Ok(compared)
}

/// Gives up a comparison of secrets with a person, if there is one.
pub(crate) async fn give_up(account: &Shared, jid: &BareJid) -> Result<(), CallError> {
    account.ask(Asker::Host, &Granted::HOST, AbortComparison { jid: jid.clone() }).await.map(drop)
}

fn named(kind: KeyKind, fingerprint: &str, jid: &BareJid) -> String {
    match kind {
        KeyKind::Omemo { device } => format!("the OMEMO key {fingerprint} of {jid}, device {device}"),
        KeyKind::Otr => format!("the OTR key {fingerprint} of {jid}"),
    }
}

fn fingerprints(own: &OwnKeys) -> String {
    let omemo = own.omemo.as_ref().map(|own| format!("OMEMO device {} {}", own.device, own.fingerprint));
    let otr = own.otr.as_ref().map(|otr| format!("OTR {otr}"));
    let all: Vec<_> = omemo.into_iter().chain(otr).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn entry(account: &Shared, by: &By, what: &str, change: Option<(String, String)>) -> NewAuditEntry {
    let (old, new) = change.unzip();
    let entry = NewAuditEntry::new(AuditKind::Pin, by, what);
    NewAuditEntry { account: Some(account.name.to_string()), old, new, ..entry }
}
