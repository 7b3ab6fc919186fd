//! Takes an account out of the cluster, into the file of the host.
//!
//! No node may run it from the first step on. The file has all of it before anything is removed from the cluster.

use jid::BareJid;
use parlor_cluster::{Revision, Token};
use parlor_store::{DataFile, Stage};

use super::{Looker, MoveError, Mover, Progress, Step, highest, in_time, new_name, tell};
use crate::away::{Away, Standing};
use crate::log::AccountLog;

/// The name of a move that took nothing out of the cluster. Any host may bring such an account back, since none has anything of it.
pub(super) const EMPTY: &str = "nothing";

/// The result of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// The host has the account, with so many rows.
    Moved {
        /// The number of rows; `None` if an earlier attempt moved them.
        rows: Option<u64>,
    },
    /// It had not left: its import had not come to the point from which the cluster has it.
    Kept,
}

/// The action that an export would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportLook {
    /// It moves the account.
    Move {
        /// Whether the host has rows of the account, in whose place they come.
        replaces: bool,
    },
    /// The host has all of the account, and the cluster is told so.
    Finish,
    /// It takes back the import of an account that had not left the host.
    Keep,
}

/// The action that an export has to take.
enum Plan {
    /// Takes the account out. The name is that of an earlier attempt.
    Fetch(Option<String>),
    /// The file has all of it. The cluster is to forget it.
    Finish { name: String, had_left: bool },
    /// The cluster has nothing of it. The mark is to go.
    Unmark { had_left: bool },
}

impl Mover {
    /// Moves all that the cluster keeps of an account into the file. With `is_replacing`, it takes the place of what is there.
    pub async fn export(
        &self,
        file: &mut DataFile,
        account: &BareJid,
        is_replacing: bool,
        progress: &mut Progress<'_>,
    ) -> Result<Export, MoveError> {
        let remover = &self.remover;
        let (standing, revision) = remover.looker.standing(account, false).await?;
        let token = highest(&standing, remover.looker.last_token(account).await?);
        let done = |had_left| if had_left { Export::Moved { rows: None } } else { Export::Kept };
        let plan = remover.looker.plan(file, account, &standing, is_replacing)?;
        if let (Plan::Fetch(_), Standing::Claimed(claim)) = (&plan, &standing) {
            remover.check_free(account, claim).await?;
        }
        match plan {
            Plan::Unmark { had_left } => {
                // The cluster may have been told by an attempt that could not remove the rest.
                if had_left {
                    self.finish(file, account, (token, &new_name()), revision, progress).await?;
                } else {
                    file.set_mark(account, None)?;
                }
                Ok(done(had_left))
            }
            Plan::Finish { name, had_left } => {
                file.set_mark(account, Some(&self.mark(Stage::Came, &name)))?;
                self.finish(file, account, (token, &name), revision, progress).await?;
                Ok(done(had_left))
            }
            Plan::Fetch(name) => {
                let before = file.mark(account)?;
                let name = name.unwrap_or_else(new_name);
                file.set_mark(account, Some(&self.mark(Stage::Coming, &name)))?;
                tell(progress, Step::Marked)?;
                let reserved = remover.reserve(account, (Away::Exporting, token, &name), revision).await;
                if let Err(MoveError::Raced(_)) = &reserved {
                    file.set_mark(account, before.as_ref())?;
                }
                let revision = reserved?;
                tell(progress, Step::Reserved)?;
                let Looker { link, cluster, .. } = &remover.looker;
                let opening = Box::pin(AccountLog::open(link, cluster, account.as_str(), token));
                let log = in_time(cluster, account.as_str(), opening).await?;
                tell(progress, Step::Fenced)?;
                let (replica, _) = Box::pin(self.stores.catch_up(&log, account)).await?;
                let rows = file.take_in(account, replica, &self.mark(Stage::Came, &name))?;
                tell(progress, Step::Kept)?;
                self.finish(file, account, (token.next(), &name), revision, progress).await?;
                Ok(Export::Moved { rows: Some(rows) })
            }
        }
    }

    /// Has the cluster forget an account that the file has.
    async fn finish(
        &self,
        file: &mut DataFile,
        account: &BareJid,
        (token, name): (Token, &str),
        revision: Revision,
        progress: &mut Progress<'_>,
    ) -> Result<(), MoveError> {
        let remover = &self.remover;
        let revision = remover.reserve(account, (Away::Exporting, token, name), revision).await?;
        tell(progress, Step::Reserved)?;
        remover.empty(account, token, progress).await?;
        self.stores.forget(account).await?;
        let left = if file.rows_of(account)? == 0 { EMPTY } else { name };
        remover.reserve(account, (Away::Exported, token, left), revision).await?;
        tell(progress, Step::Told)?;
        file.set_mark(account, None)?;
        tell(progress, Step::Kept)
    }
}

impl Looker {
    /// Returns what an export would do.
    pub async fn look_at_export(
        &self,
        file: &DataFile,
        account: &BareJid,
        is_replacing: bool,
    ) -> Result<ExportLook, MoveError> {
        let (standing, _) = self.standing(account, false).await?;
        let plan = self.plan(file, account, &standing, is_replacing)?;
        if let (Plan::Fetch(_), Standing::Claimed(claim)) = (&plan, &standing) {
            self.check_free(account, claim).await?;
        }
        Ok(match plan {
            Plan::Fetch(_) => {
                // Of an attempt that was killed, the file has nothing that counts.
                let is_counted = file.mark(account)?.is_none_or(|mark| mark.stage != Stage::Coming);
                ExportLook::Move { replaces: is_counted && file.rows_of(account)? > 0 }
            }
            Plan::Finish { had_left: true, .. } | Plan::Unmark { had_left: true } => ExportLook::Finish,
            Plan::Finish { had_left: false, .. } | Plan::Unmark { had_left: false } => ExportLook::Keep,
        })
    }

    /// Returns what an export has to do. Whether a node has the account is still to be checked.
    fn plan(
        &self,
        file: &DataFile,
        account: &BareJid,
        standing: &Standing,
        is_replacing: bool,
    ) -> Result<Plan, MoveError> {
        let (mark, cluster) = (file.mark(account)?, self.cluster.to_string());
        if let Some(mark) = mark.as_ref().filter(|mark| mark.cluster != cluster) {
            return Err(MoveError::Elsewhere { account: account.clone(), cluster: mark.cluster.clone() });
        }
        let stage = mark.as_ref().map(|mark| mark.stage);
        let is_own = |of: &String| mark.as_ref().is_some_and(|mark| mark.mark == *of);
        match standing {
            Standing::Away { why: Away::Exporting, mark: of, .. } if is_own(of) => match stage {
                Some(Stage::Came) => return Ok(Plan::Finish { name: of.clone(), had_left: true }),
                _ => return Ok(Plan::Fetch(Some(of.clone()))),
            },
            Standing::Away { why: Away::Importing, mark: of, .. } if is_own(of) => {
                // The file has all of it, and no node ever had it.
                if let Some(Stage::Leaving | Stage::Came) = stage {
                    return Ok(Plan::Finish { name: of.clone(), had_left: false });
                }
            }
            // The host that began it may be lost. It is refused once this one has written.
            Standing::Away { why: Away::Exporting, .. } if is_replacing => {}
            Standing::Away { why, .. } if !why.is_gone() => {
                return Err(MoveError::Busy { account: account.clone(), why: *why });
            }
            Standing::Away { .. } | Standing::Unknown => return without_cluster(stage, account, cluster),
            Standing::Claimed(_) => {}
        }
        let rows = if stage == Some(Stage::Coming) { 0 } else { file.rows_of(account)? };
        if rows > 0 && !is_replacing {
            return Err(MoveError::HasHere { account: account.clone(), rows });
        }
        Ok(Plan::Fetch(None))
    }
}

/// Returns what is to be done if the cluster has nothing of an account.
fn without_cluster(stage: Option<Stage>, account: &BareJid, cluster: String) -> Result<Plan, MoveError> {
    let account = account.clone();
    match stage {
        Some(Stage::Came) => Ok(Plan::Unmark { had_left: true }),
        Some(Stage::Leaving) => Ok(Plan::Unmark { had_left: false }),
        Some(Stage::Left | Stage::Coming) => Err(MoveError::Gone { account, cluster }),
        None => Err(MoveError::Unknown { account, cluster }),
    }
}
