//! The owner's orders of hooks.

use parlor_base::id::PluginId;

use super::recording::change_order;
use super::{AdminError, PluginAdmin, known};
use crate::policy::hooks::OrderName;

/// Replaces the plugins in an order of hooks by these. Returns whether that is a change.
pub fn order_hooks(admin: &PluginAdmin<'_>, order: OrderName, ids: &[PluginId]) -> Result<bool, AdminError> {
    let mut file = admin.open()?;
    for (place, id) in ids.iter().enumerate() {
        let entry = known(admin, file.policy(), id)?;
        if ids[..place].contains(id) {
            return Err(AdminError::Decision(format!("{id} is named twice; name each plugin once")));
        }
        // Nothing else says whether a plugin whose file cannot be read may be a hook.
        if let Ok(examined) = admin.look(id, entry)
            && !examined.manifest.permissions.contains_key(&order.permission())
        {
            let why = format!("{id} cannot be in this order: it does not ask for {}", order.permission());
            return Err(AdminError::Decision(why));
        }
    }
    if file.policy().hooks.order(order) == ids {
        return Ok(false);
    }
    change_order(admin, &mut file, order, ids)?;
    Ok(true)
}
