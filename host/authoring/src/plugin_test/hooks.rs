//! The orders of hooks in a test. Tests have no owner who sets them: a plugin is a hook at each point that its manifest
//! requests and needs, unless the test overrides it.

use std::time::Duration;

use parlor_base::id::PluginId;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::hooks::{HookOrder, OrderName};
use parlor_runtime::account::Shared;
use parlor_runtime::account::hooks::order::set_order;

/// How long it may take for a verdict. A busy machine must not decide how a test ends.
const DEADLINE: Duration = Duration::from_secs(5);

/// Puts these plugins into the orders of the account, in this sequence, but for the orders that are set.
pub(super) fn put_in_order(account: &Shared, plugins: &[&Manifest], set: &[(OrderName, Vec<PluginId>)]) {
    let order = |name: OrderName| -> Vec<PluginId> {
        if let Some((_, ids)) = set.iter().find(|(one, _)| *one == name) {
            return ids.clone();
        }
        let needs =
            |manifest: &Manifest| manifest.permissions.get(&name.permission()).is_some_and(|request| !request.optional);
        plugins.iter().filter(|manifest| needs(manifest)).map(|manifest| manifest.name.clone()).collect()
    };
    let order = HookOrder {
        outgoing: order(OrderName::Outgoing),
        incoming: order(OrderName::Incoming),
        commands: order(OrderName::Commands),
        deadline: DEADLINE,
        ..HookOrder::default()
    };
    set_order(account, order);
}
