//! The table with the marks of accounts that move into a cluster or out of it.

pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS moving_account (
    account TEXT NOT NULL PRIMARY KEY,
    stage TEXT NOT NULL,
    cluster TEXT NOT NULL,
    mark TEXT NOT NULL
) WITHOUT ROWID, STRICT;
";

/// The name of the table. Its rows belong to this file, and not to the accounts.
pub(crate) const MARKS: &str = "moving_account";
