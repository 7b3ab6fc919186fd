//! The connection to the server.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! if !connection::connected() {
//!     info!("nobody hears us yet");
//! }
//! ```

use crate::bindings::parlor::plugin::connection;
use crate::error::Result;
use crate::failure::{located, of_call};

/// Returns whether the account is connected, with a bound resource. Free.
pub fn connected() -> bool {
    connection::connected()
}

/// Ends the stream cleanly, and does not connect again. Needs `session.control`.
#[track_caller]
pub fn disconnect() -> impl Future<Output = Result<()>> {
    located(async move { connection::disconnect().await.map_err(of_call("connection.disconnect", "")) })
}
