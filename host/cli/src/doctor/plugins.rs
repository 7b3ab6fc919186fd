//! Checks of the policy that are about no single plugin, and what a running host says of each plugin.

use std::collections::{BTreeMap, BTreeSet};

use parlor::control::views::{Plugin, Status};
use parlor_base::id::PluginId;
use parlor_base::nearest::{nearest, suggestion};
use parlor_base::permission::Permission;
use parlor_config::{AccountName, Config, NewAddresses, Selector};
use parlor_plugins::admin::AdminError;
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::hooks::OrderName;
use parlor_plugins::policy::{Entry, Policy};

use super::findings::{Findings, OR_DISABLE, check_of};

/// Returns whether the host does not run this plugin, on some account, as the policy says.
pub(super) fn is_ill(status: Option<&Status>, id: &PluginId) -> bool {
    let mut rows = status.into_iter().flat_map(|status| &status.plugins).filter(|plugin| plugin.id == id.as_str());
    rows.any(|plugin| plugin.is_down() || plugin.is_behind())
}

/// Reports the plugins on each account that do not run as they should. A refused plugin is left out if the policy check has
/// found a problem of it: that is why the host refused it.
pub(super) fn running(plugins: &[Plugin], findings: &mut Findings) {
    let is_told = |plugin: &&Plugin| plugin.state == "refused" && findings.is_broken(&check_of(&plugin.id));
    let told: BTreeSet<_> = plugins.iter().filter(is_told).map(|plugin| plugin.id.as_str()).collect();
    for plugin in plugins {
        let refused_as_told = plugin.state == "refused" && told.contains(plugin.id.as_str());
        if (plugin.is_down() || plugin.is_behind()) && !refused_as_told {
            report(plugin, findings);
        }
    }
}

/// Returns what to do about a plugin that cannot run. Most errors say it themselves.
pub(super) fn remedy(id: &PluginId, error: &AdminError) -> String {
    match error {
        AdminError::UnknownAccount { .. } => {
            format!(
                "name another in `accounts` under [plugin.{id}] in plugins.toml, or add it; else `parlor plugin disable {id}`"
            )
        }
        _ => OR_DISABLE.to_owned(),
    }
}

fn report(plugin: &Plugin, findings: &mut Findings) {
    let Plugin { id, state, .. } = plugin;
    let (check, reason) = (check_of(id), plugin.reason.as_deref().unwrap_or("nobody knows why"));
    let says = format!("the host says that {id} is {state}: {reason}");
    let goes_back = format!("`parlor logs {id}` says more, `parlor plugin rollback {id}` goes back");
    let again = format!("`parlor plugin restart {id}` tries it again");
    match state.as_str() {
        "refused" => {
            findings.broken(&check, says.as_str(), &format!("{OR_DISABLE}; {again}, `parlor logs {id}` may say more"));
        }
        "quarantined" => findings.broken(&check, says.as_str(), &format!("{goes_back}, {again}")),
        _ if plugin.is_down() => findings.broken(&check, says.as_str(), &goes_back),
        _ => findings.warn(&check, says.as_str(), &goes_back),
    }
    if let Some(account) = &plugin.account {
        findings.alike(account, &check, &says);
    }
}

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

/// Warns of webhooks of a plugin to which each request is in vain: the host listens for none, or the secret that proves who sends it is
/// not set.
pub(super) fn webhooks_in_vain(
    config: &Config,
    id: &PluginId,
    entry: &Entry,
    manifest: &Manifest,
    findings: &mut Findings,
) {
    if manifest.webhooks.is_empty() || !entry.grants.has(Permission::WebhooksReceive) {
        return;
    }
    let check = check_of(id.as_str());
    if config.web.listen.is_none() {
        let remedy =
            "write `listen` under [web] in parlor.toml, such as \"127.0.0.1:8080\", or revoke webhooks.receive";
        findings.warn(&check, "it has webhooks, and the host listens for none", remedy);
    }
    let mut lacking = BTreeMap::<_, Vec<_>>::new();
    for (name, webhook) in &manifest.webhooks {
        if let Some(secret) = webhook.secret.as_deref().filter(|secret| !entry.settings.0.contains_key(*secret)) {
            lacking.entry(secret).or_default().push(name.as_str());
        }
    }
    for (secret, names) in lacking {
        let says = format!(
            "each request to its webhooks is refused ({}): the setting {secret} has no value",
            names.join(", ")
        );
        findings.warn(&check, says, &format!("`parlor plugin config {id} {secret}` gives it"));
    }
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

/// Warns of plugins in an order of hooks that may not do what it is for: each message counts as one without a verdict.
pub(super) fn hooks_without_grant(policy: &Policy, findings: &mut Findings) {
    for order in OrderName::ALL {
        let (key, permission) = (order.key(), order.permission());
        let lacks =
            |id: &PluginId| policy.plugins.get(id).is_some_and(|entry| entry.enabled && !entry.grants.has(permission));
        for id in policy.hooks.order(order).into_iter().filter(lacks) {
            let says = format!(
                "{id} is in the order {key}, and was not granted {permission}, so it counts as a hook that does not answer"
            );
            let remedy = format!(
                "`parlor plugin grant {id} \"{permission}=*\"`, or take it out of the order: `parlor plugin order {key}`"
            );
            findings.warn("hooks", says, &remedy);
        }
    }
}

/// Warns of names and rules that the owner gave to commands which a plugin does not have. Its commands are known only while it runs, so
/// the owner may have given them before.
pub(super) fn unknown_commands(policy: &Policy, plugins: &[Plugin], findings: &mut Findings) {
    for (id, entry) in &policy.plugins {
        let running = plugins.iter().filter(|one| one.id == id.as_str() && one.runs());
        let known: BTreeSet<_> = running.flat_map(|one| one.commands.keys()).map(String::as_str).collect();
        if known.is_empty() {
            continue;
        }
        let named = entry.commands.iter().map(|(command, _)| command.as_str());
        let ruled = entry.commands.all_rules().map(|(command, _)| command.as_str());
        let unknown: BTreeSet<_> = named.chain(ruled).filter(|command| !known.contains(command)).collect();
        for command in unknown {
            let near = suggestion(nearest(command, known.iter().copied()));
            let says =
                format!("plugins.toml has a name or rules for its command {command}, which it does not have{near}");
            let remedy = "correct it there, or take it out; leave it if a version is to come that has the command";
            findings.warn(&check_of(id.as_str()), says, remedy);
        }
    }
}
