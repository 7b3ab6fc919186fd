//! Sets the owner's orders of hooks on an account, while it runs.

use parlor_plugins::policy::hooks::HookOrder;

use crate::account::Shared;

/// Sets the orders of hooks. Messages that already wait for a verdict keep the previous order.
pub fn set_order(account: &Shared, order: HookOrder) {
    account.hooks.set_order(order);
}
