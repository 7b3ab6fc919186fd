//! Who may do and see what. Pure: no I/O, no async, no WIT and no stanza types.
//!
//! [`Permission`] is what an owner can grant, [`Scope`] what one grant covers, [`Grants`] all of one plugin. [`CALLS`] and
//! [`EVENTS`] say which permission each call and each event needs; everything else in the house asks them. What is not
//! granted is not allowed.

mod grants;
mod permission;
pub mod question;
mod scope;
pub mod table;

pub use grants::{About, Decision, GrantError, Grants, Missing, Target, Wish, denial, undeclared};
pub(crate) use grants::{example, unquoted};
pub use permission::{Permission, Risk, ScopeKind, UnknownPermission};
pub use scope::{BadScope, DEFAULT_QUOTA, MOST_ENTRIES, Scope};
pub use table::{CALLS, Call, EVENTS, EventRule, call, event};
