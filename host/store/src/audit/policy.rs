//! The policy and the configuration as the audit last saw them, so that a change is found also if it was made while no host ran.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::edit::{Edit, Statement};
use super::{NewAuditEntry, Retention, entries};

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS audit_policy (
    plugin TEXT NOT NULL,
    field TEXT NOT NULL,
    mark TEXT NOT NULL,
    shown TEXT,
    PRIMARY KEY (plugin, field)
) WITHOUT ROWID, STRICT;
";

pub(super) const FORGET: Statement = Statement::new(61, "DELETE FROM audit_policy WHERE plugin = ?1 AND field = ?2");
pub(super) const PUT: Statement = Statement::new(62, "INSERT OR REPLACE INTO audit_policy VALUES (?1, ?2, ?3, ?4)");

/// The name in place of a plugin's for fields of the configuration. No plugin can have it.
pub const CONFIGURATION: &str = "@configuration";

/// A field of the policy or the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRow {
    /// The plugin; empty for fields of the policy that concern no plugin, [`CONFIGURATION`] for those of the configuration.
    pub plugin: String,
    /// The name of the field.
    pub field: String,
    /// The compared text: the value, or its digest.
    pub mark: String,
    /// The shown value; none if nothing may be shown, as for a secret.
    pub shown: Option<String>,
}

/// A change of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyChange {
    /// The field as it is from now on, or, if `is_gone`, as it was.
    pub row: PolicyRow,
    /// Whether the field is gone.
    pub is_gone: bool,
    /// The value in the audit when this change was prepared. If it is another one by now, another change was recorded
    /// first.
    pub was: Option<String>,
    /// The entry about it; none if another change says it.
    pub entry: Option<NewAuditEntry>,
}

/// Returns all fields of the policy, or those of one plugin or of [`CONFIGURATION`].
pub(super) fn read(file: &Connection, plugin: Option<&str>) -> rusqlite::Result<Vec<PolicyRow>> {
    let fields = "SELECT plugin, field, mark, shown FROM audit_policy
        WHERE plugin = ?1 OR (?1 IS NULL AND plugin <> ?2)";
    let mut select = file.prepare_cached(fields)?;
    let row = |row: &rusqlite::Row<'_>| {
        Ok(PolicyRow { plugin: row.get(0)?, field: row.get(1)?, mark: row.get(2)?, shown: row.get(3)? })
    };
    select.query_map(params![plugin, CONFIGURATION], row)?.collect()
}

/// Records changes, and returns the number of the last entry; 0: there is none.
pub(super) fn record(
    edit: &Edit<'_>,
    at: i64,
    changes: &[PolicyChange],
    retention: Retention,
) -> rusqlite::Result<i64> {
    let mut newest = 0;
    for PolicyChange { row, is_gone, was, entry } in changes {
        let known = "SELECT mark FROM audit_policy WHERE plugin = ?1 AND field = ?2";
        let known: Option<String> =
            edit.query_row(known, params![row.plugin, row.field], |row| row.get(0)).optional()?;
        if known != *was {
            continue;
        }
        if *is_gone {
            edit.write(FORGET, params![row.plugin, row.field])?;
        } else {
            edit.write(PUT, params![row.plugin, row.field, row.mark, row.shown])?;
        }
        if let Some(entry) = entry {
            newest = entries::add(edit, at, entry, retention)?;
        }
    }
    Ok(newest)
}
