//! A plugin that is tried is a hook wherever its manifest asks for that and needs it: there is no owner who would set an order.

use std::time::Duration;

use parlor_base::id::PluginId;
use parlor_base::permission::Permission;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::hooks::HookOrder;
use parlor_runtime::account::Shared;
use parlor_runtime::account::hooks::order::set_order;

/// How long it may take for a verdict. A busy machine must not decide how a test ends.
const DEADLINE: Duration = Duration::from_secs(5);

/// Puts the plugin into the orders of the account.
pub(super) fn put_in_order(account: &Shared, manifest: &Manifest, id: &PluginId) {
    let order = |permission: Permission| -> Vec<PluginId> {
        let is_needed = manifest.permissions.get(&permission).is_some_and(|request| !request.optional);
        is_needed.then(|| id.clone()).into_iter().collect()
    };
    let order = HookOrder {
        outgoing: order(Permission::HooksOutgoing),
        incoming: order(Permission::HooksIncoming),
        commands: order(Permission::HooksCommands),
        deadline: DEADLINE,
        ..HookOrder::default()
    };
    set_order(account, order);
}
