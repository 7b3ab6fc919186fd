//! The figures about the limits of plugins. On hundreds of accounts, they would be most of all figures.

use std::collections::BTreeMap;

use super::names;
use crate::control::views::Status;

/// Returns how much plugins use of their limits. A limit without a known use, or without a bound, is useless for a comparison, and a
/// plugin on hundreds of accounts uses nothing of most limits.
pub(super) fn used_limits(status: &Status) -> Vec<(String, f64)> {
    let all = status.plugins.iter().flat_map(|one| one.limits.iter().map(move |limit| (one, limit)));
    let used = all.filter_map(|(one, limit)| {
        let used = limit.used.filter(|used| *used > 0.0 && limit.most.is_some())?;
        Some((format!("{{{},limit=\"{}\"}}", names(one), limit.name), used))
    });
    used.collect()
}

/// Returns the limits of plugins of which the use is known. A plugin has the same on each account, except during an update.
pub(super) fn limits(status: &Status) -> Vec<(String, f64)> {
    let mut limits = BTreeMap::<(&str, &str), f64>::new();
    for one in &status.plugins {
        for limit in one.limits.iter().filter(|limit| limit.used.is_some()) {
            let Some(most) = limit.most else { continue };
            let known = limits.entry((one.id.as_str(), limit.name.as_str())).or_insert(most);
            *known = known.max(most);
        }
    }
    let labelled = |((plugin, limit), most)| (format!("{{plugin=\"{plugin}\",limit=\"{limit}\"}}"), most);
    limits.into_iter().map(labelled).collect()
}

#[cfg(test)]
mod tests {
    use super::super::metrics;
    use super::*;

    #[test]
    fn the_limits_of_a_plugin_on_many_accounts_are_served_once_and_their_use_where_there_is_some() {
        let plugin = |number: usize| {
            let limit = |name: &str, used: Option<usize>| serde_json::json!({ "name": name, "used": used, "of": "256", "most": 256 });
            let used = if number == 7 { 2 } else { 0 };
            serde_json::json!({
                "id": "echo", "account": format!("a{number}"), "state": "running", "version": null,
                "digest": "sha256:00", "source": "echo.wasm", "restarts": 0,
                "limits": [limit("timers", Some(used)), limit("stack", None)],
            })
        };
        let status: Status = serde_json::from_value(serde_json::json!({
            "running": true, "data": "data", "policy": "plugins.toml", "accounts": [],
            "plugins": (0..290).map(plugin).collect::<Vec<_>>(),
        }))
        .unwrap();
        let text = metrics(&status);
        let found: Vec<_> = text.lines().filter(|line| line.starts_with("parlor_plugin_limit")).collect();
        let expected = [
            "parlor_plugin_limit_used{plugin=\"echo\",account=\"a7\",limit=\"timers\"} 2",
            "parlor_plugin_limit{plugin=\"echo\",limit=\"timers\"} 256",
        ];
        assert_eq!(found, expected);
    }
}
