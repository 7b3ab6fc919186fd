//! Takes an account from the file of the host into the cluster.
//!
//! The account is not there for nodes before all of it is. Its rows are removed from the file before nodes may run it, and after NATS
//! has given the snapshot back and its log names it.

use jid::BareJid;
use parlor_cluster::{Claim, Revision, Token};
use parlor_store::{DataFile, LogPosition, Mark, Stage};

use super::export::EMPTY;
use super::{Looker, MoveError, Mover, Progress, Step, highest, in_time, new_name, tell};
use crate::away::{Away, Standing};
use crate::error::{PutError, StateError};
use crate::log::{AccountLog, forget_before};
use crate::record::Kind;

/// The action that an import would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It moves so many rows.
    Move {
        /// The number of rows.
        rows: u64,
        /// Whether the cluster has data of the account, which they replace.
        replaces: bool,
    },
    /// All of the account is in the cluster, which is told so.
    Finish,
    /// The account has moved.
    Already,
    /// The host keeps nothing of the account.
    Nothing,
}

/// The result of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Import {
    /// The account is in the cluster, with so many rows.
    Moved {
        /// The number of rows; `None` if an earlier attempt moved them.
        rows: Option<u64>,
    },
    /// It was there already.
    Already,
    /// The host keeps nothing of the account.
    Nothing,
}

/// The state before an import.
pub(super) struct Found {
    mark: Option<Mark>,
    pub(super) standing: Standing,
    revision: Revision,
    /// The token of the last record of the log, if there is one.
    in_the_log: Option<Token>,
    pub(super) look: Look,
}

impl Mover {
    /// Moves all that the file keeps of an account into the cluster. With `is_replacing`, it takes the place of what is there.
    pub async fn import(
        &self,
        file: &mut DataFile,
        account: &BareJid,
        is_replacing: bool,
        progress: &mut Progress<'_>,
    ) -> Result<Import, MoveError> {
        let found = self.remover.looker.find(file, account, is_replacing).await?;
        match found.look {
            Look::Already => Ok(Import::Already),
            Look::Nothing => Ok(Import::Nothing),
            Look::Finish => {
                let token = found.standing.next_token();
                self.release(account, token, found.revision, progress).await?;
                Ok(Import::Moved { rows: None })
            }
            Look::Move { rows, .. } => {
                if let Standing::Claimed(claim) = &found.standing {
                    self.remover.check_free(account, claim).await?;
                }
                self.carry_in(file, account, found, progress).await?;
                Ok(Import::Moved { rows: Some(rows) })
            }
        }
    }

    async fn carry_in(
        &self,
        file: &mut DataFile,
        account: &BareJid,
        found: Found,
        progress: &mut Progress<'_>,
    ) -> Result<(), MoveError> {
        let Found { mark: before, standing, revision, in_the_log, look: _ } = found;
        let remover = &self.remover;
        let Looker { link, cluster, .. } = &remover.looker;
        // A file that is too large for a snapshot, or broken, is refused before the cluster hears of it.
        drop(file.snapshot_for(&self.stores.accounts, account, LogPosition::default())?);
        let begun = before.as_ref().filter(|mark| mark.stage == Stage::Leaving);
        let name = begun.map_or_else(new_name, |mark| mark.mark.clone());
        let token = highest(&standing, in_the_log);
        file.set_mark(account, Some(&self.mark(Stage::Leaving, &name)))?;
        tell(progress, Step::Marked)?;
        let revision = match remover.reserve(account, (Away::Importing, token, &name), revision).await {
            Err(error @ MoveError::Raced(_)) => {
                file.set_mark(account, before.as_ref())?;
                return Err(error);
            }
            reserved => reserved?,
        };
        tell(progress, Step::Reserved)?;
        let opening = Box::pin(AccountLog::open_to_replace(link, cluster, account.as_str(), token));
        let mut log = in_time(cluster, account.as_str(), opening).await?;
        tell(progress, Step::Fenced)?;
        let up_to = log.position();
        let place = LogPosition { token: token.0, number: up_to.number, revision: up_to.revision };
        let state = file.snapshot_for(&self.stores.accounts, account, place)?;
        let snapshot = remover.snapshots.store(account.as_str(), up_to, state).await?;
        // Its digest is compared, and it decrypts. Nothing else will have the account.
        drop(remover.snapshots.fetch(account.as_str(), &snapshot).await?);
        tell(progress, Step::Stored)?;
        in_time(cluster, account.as_str(), Box::pin(log.write(Kind::Anew, snapshot.body()))).await?;
        tell(progress, Step::Named)?;
        forget_before(link, cluster, account.as_str(), up_to.revision + 1).await?;
        if in_the_log.is_some() {
            remover.snapshots.forget_all(account.as_str(), Some(&snapshot)).await?;
        }
        tell(progress, Step::Cleared)?;
        file.leave(account, &self.mark(Stage::Left, &name))?;
        tell(progress, Step::Kept)?;
        self.release(account, token, revision, progress).await
    }

    /// Lets nodes run the account.
    async fn release(
        &self,
        account: &BareJid,
        token: Token,
        revision: Revision,
        progress: &mut Progress<'_>,
    ) -> Result<(), MoveError> {
        match self.remover.looker.state.put_free(account.as_str(), token, 1, revision).await {
            Ok(_) => tell(progress, Step::Told),
            Err(PutError::Refused) => Err(MoveError::Raced(account.clone())),
            Err(error) => Err(StateError::from(error).into()),
        }
    }
}

impl Looker {
    /// Returns what there is before an import, and what the import does. Whether a node has the account is still to be checked.
    pub(super) async fn find(
        &self,
        file: &DataFile,
        account: &BareJid,
        is_replacing: bool,
    ) -> Result<Found, MoveError> {
        let mark = file.mark(account)?;
        let (standing, revision) = self.standing(account, is_replacing).await?;
        let in_the_log = self.last_token(account).await?;
        let cluster = self.cluster.to_string();
        if let Some(mark) = mark.as_ref().filter(|mark| mark.stage != Stage::Came && mark.cluster != cluster) {
            return Err(MoveError::Elsewhere { account: account.clone(), cluster: mark.cluster.clone() });
        }
        let look = match (&mark, &standing) {
            (Some(Mark { stage: Stage::Left, mark, .. }), standing) => match standing {
                Standing::Claimed(_) => Look::Already,
                Standing::Away { why: Away::Importing, mark: of, .. } if of == mark => Look::Finish,
                Standing::Away { why, .. } if !why.is_gone() => {
                    return Err(MoveError::Busy { account: account.clone(), why: *why });
                }
                Standing::Away { .. } | Standing::Unknown => {
                    return Err(MoveError::Gone { account: account.clone(), cluster });
                }
            },
            (Some(Mark { stage: Stage::Coming, .. }), _) => {
                return Err(MoveError::Coming { account: account.clone() });
            }
            (Some(Mark { stage: Stage::Leaving | Stage::Came, .. }) | None, _) => match file.rows_of(account)? {
                0 if !is_empty_here(mark.as_ref(), &standing) => Look::Nothing,
                rows => {
                    let replaces = has_data(account, mark.as_ref(), &standing, in_the_log)?;
                    if replaces && !is_replacing {
                        return Err(MoveError::Has { account: account.clone(), cluster });
                    }
                    Look::Move { rows, replaces }
                }
            },
        };
        Ok(Found { mark, standing, revision, in_the_log, look })
    }
}

/// Returns whether an account of which the host has no rows moves all the same: it was exported with none, or its move has begun.
fn is_empty_here(own: Option<&Mark>, standing: &Standing) -> bool {
    match standing {
        Standing::Away { why: Away::Exported, mark, .. } => mark == EMPTY,
        Standing::Away { mark, .. } => own.is_some_and(|own| own.mark == *mark),
        Standing::Claimed(_) | Standing::Unknown => false,
    }
}

/// Returns whether the cluster has data of an account that is not from this move.
fn has_data(
    account: &BareJid,
    own: Option<&Mark>,
    standing: &Standing,
    in_the_log: Option<Token>,
) -> Result<bool, MoveError> {
    match standing {
        Standing::Unknown => Ok(in_the_log.is_some()),
        // A node that has just claimed it writes soon.
        Standing::Claimed(Claim { session, .. }) => Ok(in_the_log.is_some() || session.is_some()),
        Standing::Away { why: Away::Exported | Away::Removed, .. } => Ok(false),
        Standing::Away { why, mark, .. } => match why {
            // Of an earlier attempt, or of an export to here whose end the cluster does not know.
            Away::Importing | Away::Exporting if own.is_some_and(|own| own.mark == *mark) => Ok(false),
            Away::Importing => Ok(true),
            _ => Err(MoveError::Busy { account: account.clone(), why: *why }),
        },
    }
}
