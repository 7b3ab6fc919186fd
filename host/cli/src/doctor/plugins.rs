//! Checks of the policy that are about no single plugin.

use std::collections::BTreeSet;

use parlor_config::{AccountName, Config, NewAddresses, Selector};
use parlor_plugins::policy::Policy;
use parlor_plugins::policy::hooks::OrderName;

use super::findings::Findings;

/// Reports components whose addresses become accounts in no group, on which no plugin would run.
pub(super) fn without_plugins(config: &Config, policy: &Policy, findings: &mut Findings) {
    let enabled = policy.plugins.values().filter(|entry| entry.enabled);
    let lists: Vec<_> = enabled.map(|entry| entry.accounts.as_deref()).collect();
    if lists.is_empty() {
        return;
    }
    for (name, _) in config.new_addresses.iter().filter(|(_, new)| new.group.is_none()) {
        if lists.iter().any(|accounts| may_name(*accounts, name)) {
            continue;
        }
        let says = "its new addresses become accounts in no group, and `accounts` of no plugin can name them";
        let remedy = "name a group in `new_addresses_group`, and that group in `accounts` of a plugin";
        findings.warn(&format!("component {name}"), says, remedy);
    }
}

/// Returns whether these may name an account that is made of an address of the component, in no group.
fn may_name(accounts: Option<&[Selector]>, component: &AccountName) -> bool {
    let beginning = NewAddresses::beginning_of_names(component);
    let is_of = |account: &AccountName| account.is_of_new_address() && account.as_str().starts_with(beginning);
    accounts.is_none_or(|all| {
        all.iter().any(|one| match one {
            Selector::Account(name) => is_of(name),
            Selector::Group(_) => false,
            Selector::Pattern(pattern) => pattern.means_new_addresses(),
        })
    })
}

/// Warns if there are hooks, and the owner never wrote what happens to a message about which they give no verdict.
/// Others can cause that: somebody who floods a hook with messages gets some of them past it.
pub(super) fn hooks_without_rule(policy: &Policy, findings: &mut Findings) {
    if policy.hooks.on_failure().is_some() {
        return;
    }
    let listed = OrderName::ALL.into_iter().flat_map(|order| policy.hooks.order(order));
    let hooks: BTreeSet<_> = listed.filter(|id| policy.plugins.get(id).is_some_and(|entry| entry.enabled)).collect();
    if hooks.is_empty() {
        return;
    }
    let names = hooks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let says = format!(
        "plugins are hooks ({names}), and no rule says what happens when they do not answer: messages pass then, also when somebody floods a hook"
    );
    findings.warn(
        "hooks",
        says,
        "write `on_failure = \"stop\"` or `on_failure = \"pass\"` under [hooks] of plugins.toml",
    );
}
