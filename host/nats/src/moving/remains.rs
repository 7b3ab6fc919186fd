//! Encrypts with the present key what is left of accounts that are not in the cluster any more.
//!
//! One record stays of each in its log. No node takes such an account, so nothing else would replace that record, and the earlier key
//! would be needed for good.

use super::{MoveError, begin_anew, highest};
use crate::away::Standing;
use crate::error::{LogError, PutError, StateError};
use crate::log::{first_key, last_token};
use crate::state::State;

/// Writes the record anew that is left of each account that was removed or exported, if another key than the present one encrypts it.
/// It does so only while this node has an earlier key.
///
/// To be called once, when a node starts: of nodes with different first keys, each would otherwise undo what the other does. If an
/// account fails, the others are done, and the last error is returned.
pub async fn encrypt_remains_anew(state: &State) -> Result<(), MoveError> {
    if !state.cluster.keys().has_earlier() {
        return Ok(());
    }
    let mut done = Ok(());
    for row in state.overview().await?.away.into_iter().filter(|row| row.why.is_gone()) {
        if let Err(error) = renew(state, &row.account).await {
            done = Err(error);
        }
    }
    done
}

async fn renew(state: &State, account: &str) -> Result<(), MoveError> {
    let State { link, cluster } = state;
    if first_key(link, cluster, account).await?.is_none_or(|key| key == cluster.keys().first()) {
        return Ok(());
    }
    let (standing, revision) = state.standing(account).await?;
    let token = highest(&standing, last_token(link, cluster, account).await?);
    let Standing::Away { why, mark, .. } = standing else { return Ok(()) };
    if !why.is_gone() {
        return Ok(());
    }
    // It stays where it is, with a token that refuses all earlier holders, and that whoever takes it now goes beyond.
    match state.put_away(account, (why, token, &mark), revision).await {
        Ok(_) => {}
        // Another node does it, or the account comes back.
        Err(PutError::Refused) => return Ok(()),
        Err(error) => return Err(StateError::from(error).into()),
    }
    match begin_anew(link, cluster, account, token, |_| Ok(())).await {
        Err(MoveError::Log(LogError::Fenced)) => Ok(()),
        done => done,
    }
}
