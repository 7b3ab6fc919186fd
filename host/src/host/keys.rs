//! The keys of accounts for encrypted messages, for owners. The session keeps the keys, and applies decisions. Each
//! decision is in the audit.

use jid::BareJid;
use parlor_runtime::account::{Asker, Shared};
use parlor_session::permissions::Granted;
use parlor_session::{
    AbortComparison, Command, Compared, ComparisonEnd, KeyKind, KeyList, ListKeys, OwnKeys, ResetOwnKeys, SetTrust,
};
use parlor_stanza::error::CallError;
use parlor_stanza::types::DeviceTrust;
use parlor_store::{AuditKind, By, NewAuditEntry};

use super::{Host, audit};

/// Returns the own keys of an account, and those of others that it knows: of this person, or of all.
pub(crate) async fn list(account: &Shared, jid: Option<BareJid>) -> Result<KeyList, CallError> {
    account.ask(Asker::Host, &Granted::HOST, ListKeys { jid }).await
}

/// Decides about a key of a person, or about all of them. [`CallError::NotFound`]: the account knows no such key.
pub(crate) async fn decide(
    host: &Host,
    account: &Shared,
    jid: &BareJid,
    fingerprint: Option<String>,
    trust: DeviceTrust,
    by: &By,
) -> Result<(), CallError> {
    let set = SetTrust { jid: jid.clone(), fingerprint, trust };
    let decided = account.ask(Asker::Host, &Granted::HOST, set).await?;
    let entries = decided.iter().map(|one| {
        // A fingerprint is public.
        let (fingerprint, trust) = (one.key.fingerprint.as_str(), one.key.trust.as_str());
        tracing::info!(account = %account.name, %jid, fingerprint, trust, "an owner decided about a key");
        let change = Some((one.before.as_str().to_owned(), trust.to_owned()));
        entry(account, by, &named(one.key.kind, fingerprint, jid), change)
    });
    audit::all_done(host, entries.collect()).await;
    Ok(())
}

/// Makes new own keys for an account, and takes the former ones back.
pub(crate) async fn reset(host: &Host, account: &Shared, by: &By) -> Result<(), CallError> {
    // The keys of others are not needed.
    let before = list(account, Some(account.own.clone())).await?.own;
    let own = account.ask(Asker::Host, &Granted::HOST, ResetOwnKeys).await?;
    tracing::info!(account = %account.name, "an owner had new keys made");
    let change = Some((fingerprints(&before), fingerprints(&own)));
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
) -> Result<Compared, CallError> {
    let compared = account.ask(Asker::Host, &Granted::HOST, command).await?;
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
