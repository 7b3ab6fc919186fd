//! The states of the connections of components.

use parlor_config::AccountName;
use parlor_xmpp::ComponentState;

use super::Host;

/// Returns the state of each component of the host.
pub(crate) fn states(host: &Host) -> Vec<(AccountName, ComponentState)> {
    host.domains.states()
}
