//! Statements of entities about themselves: idle time (XEP-0012), clock (XEP-0202) and software (XEP-0092).

use jiff::Timestamp;

/// Maximum number of seconds for which an entity may have been idle: a hundred years.
pub const MAX_IDLE: u64 = 100 * 366 * 24 * 60 * 60;
/// Maximum number of minutes between an entity's local time and UTC.
pub const MAX_OFFSET: i32 = 18 * 60;

/// How long an entity was idle. Fields as in `activity` of `wit/disco.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Activity {
    pub seconds: u64,
    pub status: Option<String>,
}

/// The clock of an entity. Fields as in `entity-time` of `wit/disco.wit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct EntityTime {
    pub utc: Timestamp,
    pub offset: i32,
}

/// The software of an entity. Fields as in `software` of `wit/disco.wit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Software {
    pub name: Option<String>,
    pub version: Option<String>,
    pub os: Option<String>,
}
