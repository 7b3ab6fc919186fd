//! The keys of accounts for encrypted messages, for owners. The session knows the keys, and what a decision means.

use jid::BareJid;
use parlor_runtime::account::{Asker, Shared};
use parlor_session::permissions::Granted;
use parlor_session::{KeyList, ListKeys, ResetOwnKeys, SetTrust};
use parlor_stanza::error::CallError;
use parlor_stanza::types::DeviceTrust;

/// Returns the own keys of an account, and those of others that it knows: of this person, or of all.
pub(crate) async fn list(account: &Shared, jid: Option<BareJid>) -> Result<KeyList, CallError> {
    account.ask(Asker::Host, &Granted::HOST, ListKeys { jid }).await
}

/// Decides about a key of a person, or about all of them. [`CallError::NotFound`]: the account knows no such key.
pub(crate) async fn decide(
    account: &Shared,
    jid: &BareJid,
    fingerprint: Option<String>,
    trust: DeviceTrust,
) -> Result<(), CallError> {
    let set = SetTrust { jid: jid.clone(), fingerprint, trust };
    let decided = account.ask(Asker::Host, &Granted::HOST, set).await?;
    for key in decided {
        // A fingerprint is public.
        let (fingerprint, trust) = (key.fingerprint.as_str(), key.trust.as_str());
        tracing::info!(account = %account.name, %jid, fingerprint, trust, "an owner decided about a key");
    }
    Ok(())
}

/// Makes new own keys for an account, and takes the former ones back.
pub(crate) async fn reset(account: &Shared) -> Result<(), CallError> {
    account.ask(Asker::Host, &Granted::HOST, ResetOwnKeys).await?;
    tracing::info!(account = %account.name, "an owner had new keys made");
    Ok(())
}
