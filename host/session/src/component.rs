//! Accounts that are addresses of a component (XEP-0114). No server keeps anything for them.

use crate::session::Session;

/// Makes the account of a session an address of a component. Before the first log-in.
pub fn on_component(session: &mut Session) {
    session.common.has_server = false;
}
