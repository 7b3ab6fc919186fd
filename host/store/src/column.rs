//! A column that the table of an older version lacks.

use rusqlite::Connection;

/// Adds a column to a table that an older version made without it.
pub(super) fn add_column(file: &Connection, table: &str, column: &str, definition: &str) -> rusqlite::Result<()> {
    let known = "SELECT count(*) FROM pragma_table_info(?1) WHERE name = ?2";
    let known: i64 = file.query_row(known, [table, column], |row| row.get(0))?;
    if known == 0 {
        file.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {definition}"))?;
    }
    Ok(())
}
