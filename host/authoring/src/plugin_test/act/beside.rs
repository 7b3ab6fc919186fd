//! Parses the other plugins at the top of a test, and the order in which plugins are hooks.

use parlor_base::id::PluginId;
use parlor_plugins::policy::hooks::OrderName;

/// Parses the path of a plugin.
pub(super) fn beside(path: &str) -> Result<String, String> {
    match path.trim_matches('"') {
        "" => Err("write the folder or the file of a plugin: beside ../stamp".to_owned()),
        path => Ok(path.to_owned()),
    }
}

/// Parses `outgoing stamp filter`.
pub(super) fn order(text: &str) -> Result<(OrderName, Vec<PluginId>), String> {
    let mut words = text.split_whitespace();
    let name = words.next().unwrap_or_default();
    let order = OrderName::ALL.into_iter().find(|order| order.key() == name);
    let order = order.ok_or("write outgoing, incoming or commands, and the plugins: order outgoing stamp filter")?;
    let mut ids: Vec<PluginId> = Vec::new();
    for word in words {
        let id = word.parse::<PluginId>().map_err(|error| format!("{word:?} is no plugin: {error}"))?;
        if ids.contains(&id) {
            return Err(format!("{id} is in the order twice"));
        }
        ids.push(id);
    }
    Ok((order, ids))
}
