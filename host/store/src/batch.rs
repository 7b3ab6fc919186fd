//! Writes of plugins that are made durable together, by one transaction with one flush of the disk.

use std::slice;

use super::change::{Changed, Written};
use super::changes;
use super::data::write;
use super::edit::{Edit, Failure, StoreFile};
use super::health::{self, Health};
use super::size::Sizes;
use super::webhooks::acceptance::{Accepted, accept};
use super::work::{Answer, Change, PendingWrite};

/// Makes these writes durable together.
pub(super) fn flush(file: &mut StoreFile, writes: Vec<PendingWrite>) -> Health {
    let mut one_fails = false;
    // Unlike caches, these writes must be on disk even if the machine loses power.
    let mut result = file.change_durably(|edit| {
        // A file that is broken is created again, so callers must not get the answer that their writes were stored.
        make(edit, &writes).inspect_err(|error| one_fails = !health::is_broken(error))
    });
    // A failed write must not affect the others. Hardly any fails. So only then each gets a savepoint, for which SQLite
    // compiles two statements and copies each page before it changes.
    if one_fails {
        result = file.change_durably(|edit| make_apart(edit, &writes));
    }
    file.conclude(result, move |result| tell_all(writes, result))
}

/// Makes all writes, up to the first that fails.
fn make(edit: &Edit<'_>, writes: &[PendingWrite]) -> rusqlite::Result<Vec<Outcome>> {
    let mut sizes = Sizes::default();
    let mut done = Vec::with_capacity(writes.len());
    for pending in writes {
        done.push(Outcome::of(edit, &mut sizes, pending)?);
    }
    sizes.note(edit)?;
    Ok(done)
}

/// Makes all writes but those that fail.
fn make_apart(edit: &Edit<'_>, writes: &[PendingWrite]) -> rusqlite::Result<Vec<Outcome>> {
    let mut done = Vec::with_capacity(writes.len());
    for pending in writes {
        match edit.part(|edit| make(edit, slice::from_ref(pending)))? {
            Ok(made) => done.extend(made),
            Err(error) if health::is_broken(&error) => return Err(error),
            Err(error) => done.push(Outcome::Failed(error.into())),
        }
    }
    Ok(done)
}

/// Tells the outcomes to all who wait for their writes.
fn tell_all(writes: Vec<PendingWrite>, result: Result<Vec<Outcome>, Failure>) -> Health {
    let health = health::of(&result);
    match result {
        Ok(done) => {
            for (pending, outcome) in writes.into_iter().zip(done) {
                outcome.tell(pending);
            }
        }
        Err(error) => {
            tracing::error!(%error, "stored data of plugins could not be written");
            for pending in writes {
                Outcome::Failed(error.copy()).tell(pending);
            }
        }
    }
    health
}

/// The outcome of one write.
enum Outcome {
    Data(Written),
    Several(Changed),
    Request(Accepted),
    Failed(Failure),
}

impl Outcome {
    /// Makes the change. The size of the plugin's data is written by the caller.
    fn of<'w>(
        edit: &Edit<'_>,
        sizes: &mut Sizes<'w>,
        PendingWrite { owner, change, now, .. }: &'w PendingWrite,
    ) -> rusqlite::Result<Self> {
        match change {
            Change::Data { quota, write: change, .. } => {
                write(edit, owner, sizes.of(edit, owner)?, *quota, change, *now).map(Self::Data)
            }
            Change::Several { quota, steps, .. } => {
                changes::make(edit, owner, sizes.of(edit, owner)?, *quota, steps, *now).map(Self::Several)
            }
            Change::Request { request, acceptance, .. } => {
                accept(edit, owner, request, *acceptance, *now).map(Self::Request)
            }
        }
    }

    /// Tells who waits for it. The caller may have ended. The change is made anyway.
    fn tell(self, pending: PendingWrite) {
        match (pending.change, self) {
            (Change::Data { answer, .. }, Self::Data(written)) => _ = answer.send(Ok(written)),
            (Change::Several { answer, .. }, Self::Several(changed)) => _ = answer.send(Ok(changed)),
            (Change::Request { answer, .. }, Self::Request(accepted)) => _ = answer.send(Ok(accepted)),
            (Change::Data { answer, .. }, Self::Failed(error)) => refuse(answer, error),
            (Change::Several { answer, .. }, Self::Failed(error)) => refuse(answer, error),
            (Change::Request { answer, .. }, Self::Failed(error)) => refuse(answer, error),
            // An outcome is always of its own change. Without an answer, the caller gets the error that the store has
            // ended.
            (Change::Data { .. }, Self::Several(_) | Self::Request(_))
            | (Change::Several { .. }, Self::Data(_) | Self::Request(_))
            | (Change::Request { .. }, Self::Data(_) | Self::Several(_)) => {}
        }
    }
}

fn refuse<R>(answer: Answer<R>, error: Failure) {
    let _ = answer.send(Err(error));
}
