//! A copy of an account's file of a cluster, for commands that read it beside the node that has the account.

use jid::BareJid;
use parlor_base::id::PluginId;
use rusqlite::Connection;

use super::{Owner, StoredValue, each};
use crate::accounts::{ClosedFile, Replica};
use crate::error::DataError;
use crate::reader::open_to_read;

/// The file of an account, opened to be read.
#[derive(Debug)]
pub struct AccountFile {
    connection: Connection,
    account: BareJid,
    // After the connection: nobody opens the file until it is closed.
    file: ClosedFile,
}

impl AccountFile {
    /// Opens the file of an account that has taken in what its log has.
    pub fn of(replica: Replica, account: &BareJid) -> Result<Self, DataError> {
        let file = replica.into_file();
        match open_to_read(file.path()) {
            Ok(connection) => Ok(Self { connection, account: account.clone(), file }),
            Err(cause) => Err(DataError::File { path: file.path().to_owned(), cause: cause.to_string() }),
        }
    }

    /// Passes each entry of a plugin to `with`, in key order, and stops at the first error that `with` returns.
    pub fn each<E>(
        &self,
        plugin: &PluginId,
        with: impl FnMut(StoredValue) -> Result<(), E>,
    ) -> Result<Result<(), E>, DataError> {
        let owner = Owner { account: self.account.clone(), plugin: plugin.clone() };
        let read = each(&self.connection, &owner, with);
        read.map_err(|cause| DataError::File { path: self.file.path().to_owned(), cause: cause.to_string() })
    }

    pub(crate) fn account(&self) -> &BareJid {
        &self.account
    }

    pub(crate) fn file(&self) -> &ClosedFile {
        &self.file
    }
}
