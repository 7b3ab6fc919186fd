//! Permissions: decides what each plugin may do and see. Pure: no I/O, no async, no WIT and no stanza types.
//!
//! A [`Permission`](parlor_base::permission::Permission) is a right that an owner can grant, a [`Scope`] is what one grant covers, and [`Grants`] are all
//! grants of one plugin. [`CALLS`] and [`EVENTS`] map each call and event to the permission that it needs, for the
//! whole host. Anything that is not granted is denied.

mod call_name;
mod granted;
mod grants;
pub mod namespaces;
pub mod nodes;
pub mod question;
mod room_list;
mod scope;
pub mod table;
mod target;

pub use call_name::CallName;
pub use granted::{Granted, granted};
pub use grants::{Decision, GrantChange, GrantError, Grants, Missing, denial, denial_of_encrypted, undeclared};
pub use grants::{example, unquoted};
pub use room_list::{NoRoom, RoomList};
pub(crate) use scope::spellings;
pub use scope::{AddressKey, BadScope, DEFAULT_QUOTA, MOST_ENTRIES, Scope, ServerPlace, spelling};
pub use table::{CALLS, Call, EVENTS, EventRule, call, event, permission};
pub use target::{About, Target, Use};
