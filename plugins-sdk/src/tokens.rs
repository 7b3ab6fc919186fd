//! The tokens of a BOSH session. Reading them needs `tokens.read`, and the operator's setting `expose_rid_and_sid`.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # fn example() -> Result<()> {
//! if let (Some(rid), Some(sid)) = (tokens::get("rid")?, tokens::get("sid")?) {
//!     info!("session {sid} is at request {rid}");
//! }
//! # Ok(()) }
//! ```

use crate::bindings::parlor::plugin::tokens;
use crate::error::Result;
use crate::failure::of_call;

/// The token `rid` or `sid`. None: the connection is not a BOSH session, or the operator does not expose them.
#[track_caller]
pub fn get(name: impl AsRef<str>) -> Result<Option<String>> {
    tokens::get(name.as_ref()).map_err(of_call("tokens.get", &name))
}
