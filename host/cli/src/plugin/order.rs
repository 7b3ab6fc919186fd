//! `parlor plugin order`: which plugins are hooks, and in which order they are asked.

use anyhow::bail;
use clap::Args;
use parlor_base::id::PluginId;
use parlor_base::quantity::show_duration;
use parlor_plugins::admin::order_hooks;
use parlor_plugins::policy::Policy;
use parlor_plugins::policy::hooks::{NoVerdict, OnFailure, OrderName};
use serde_json::{Value, json};

use crate::show::{Put as _, print, print_json, table};
use crate::target::{self, Target};
use crate::tell;

/// The arguments of `parlor plugin order`.
#[derive(Debug, Args)]
#[command(
    after_help = "A hook sees, changes or stops what passes between people and your other plugins. The plugins of an order are asked one after the other. Each also needs the permission: hooks.outgoing, hooks.incoming or hooks.commands. In plugins.toml, `deadline` and `on_failure` under [hooks] set how long each may take, and what happens if it gives no verdict.\n\nExamples:\n  parlor plugin order                          all three orders\n  parlor plugin order outgoing filter stamp    filter first, then stamp, and no other\n  parlor plugin order commands --none          no plugin refuses commands any more\n\nThe order takes effect with the next message. Exit codes: 0 shown or done, or nothing to do, 1 failed, and nothing has changed, 2 wrong usage"
)]
pub struct OrderArgs {
    /// The order: outgoing, incoming or commands.
    #[arg(value_parser = named)]
    order: Option<OrderName>,
    /// All plugins of the order, the one that is asked first in front. Without any, the order is shown.
    #[arg(value_name = "PLUGIN")]
    plugins: Vec<PluginId>,
    /// Leave no plugin in the order.
    #[arg(long, requires = "order", conflicts_with = "plugins")]
    none: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

fn named(text: &str) -> Result<OrderName, String> {
    OrderName::ALL
        .into_iter()
        .find(|order| order.key() == text)
        .ok_or_else(|| "it is outgoing, incoming or commands".to_owned())
}

impl OrderArgs {
    /// Shows the orders, or sets one.
    pub fn run(&self) -> anyhow::Result<()> {
        match self.order {
            Some(order) if self.none || !self.plugins.is_empty() => self.set(order),
            order => {
                let policy = target::admin(&self.target.load_to_look()?).policy()?;
                let orders: Vec<_> =
                    OrderName::ALL.into_iter().filter(|one| order.is_none_or(|it| it == *one)).collect();
                if self.json { print_json(&for_programs(&policy, &orders)) } else { print(&screen(&policy, &orders)) }
            }
        }
    }

    fn set(&self, order: OrderName) -> anyhow::Result<()> {
        let config = self.target.load_to_write()?;
        let admin = target::admin(&config);
        let changed = order_hooks(&admin, order, &self.plugins)?;
        let sentence = done(order, &self.plugins, changed);
        let ids: Vec<&PluginId> = self.plugins.iter().collect();
        let told = match tell::tell(&config, &ids) {
            Ok(told) => told,
            Err(error) => bail!("{sentence}, but the host was not told: {error:#}"),
        };
        let policy = admin.policy()?;
        if self.json {
            let mut shown = for_programs(&policy, &[order]);
            shown["done"] = sentence.into();
            shown["host"] = told.host.into();
            return print_json(&shown);
        }
        let missing: String = asked(&policy, order).iter().filter_map(|one| one.advice(order)).collect();
        print(&format!("{sentence}; {}\n{missing}", told.show()))
    }
}

/// Says what was done.
fn done(order: OrderName, ids: &[PluginId], changed: bool) -> String {
    let already = if changed { "" } else { " already" };
    let names = ids.iter().map(PluginId::as_str).collect::<Vec<_>>().join(", then ");
    let who = match ids.len() {
        0 => "no plugin is".to_owned(),
        1 => format!("{names} is"),
        _ => format!("{names} are"),
    };
    let about = match order {
        OrderName::Outgoing => "what others send",
        OrderName::Incoming => "what comes in",
        OrderName::Commands => "commands",
    };
    format!("{who} asked about {about}{already}")
}

/// A plugin of an order.
struct Asked<'p> {
    id: PluginId,
    /// Whether it is asked: `asked`, `disabled` or `not granted`.
    state: &'static str,
    policy: &'p Policy,
}

/// Returns the plugins of an order.
fn asked(policy: &Policy, order: OrderName) -> Vec<Asked<'_>> {
    let state = |id: &PluginId| match policy.plugins.get(id) {
        Some(entry) if !entry.enabled => "disabled",
        Some(entry) if entry.grants.has(order.permission()) => "asked",
        Some(_) | None => "not granted",
    };
    policy.hooks.order(order).into_iter().map(|id| Asked { state: state(&id), id, policy }).collect()
}

impl Asked<'_> {
    /// Describes why it is not asked, on a separate line.
    fn advice(&self, order: OrderName) -> Option<String> {
        let (id, permission) = (&self.id, order.permission());
        match self.state {
            "disabled" => Some(format!("{id} is disabled, and is not asked: `parlor plugin enable {id}`\n")),
            "not granted" => Some(format!(
                "{id} may not do this, and so counts as one that does not answer: the message {}; `parlor plugin grant {id} \"{permission}=*\"`\n",
                fate(self.policy)
            )),
            _ => None,
        }
    }
}

/// Says what happens to a message about which a hook gives no verdict.
fn fate(policy: &Policy) -> &'static str {
    match rule(policy) {
        OnFailure::Pass => "passes",
        OnFailure::Stop => "is stopped",
    }
}

/// Returns the rule about a hook that does not answer.
fn rule(policy: &Policy) -> OnFailure {
    OnFailure::of(policy.hooks.on_failure(), NoVerdict::Other)
}

fn screen(policy: &Policy, orders: &[OrderName]) -> String {
    let mut cells = Vec::new();
    for order in orders {
        let all = asked(policy, *order).into_iter().enumerate();
        cells.extend(all.map(|(place, one)| {
            vec![order.key().to_owned(), (place + 1).to_string(), one.id.to_string(), one.state.to_owned()]
        }));
    }
    if cells.is_empty() {
        return "no plugin is a hook\n".to_owned();
    }
    let mut text = table(&["ORDER", "PLACE", "PLUGIN", "STATE"], &cells);
    let time = show_duration(policy.hooks.deadline());
    let fate = fate(policy);
    match policy.hooks.on_failure() {
        Some(_) => text.put(format_args!("Each has {time} for its verdict; without one, the message {fate}.\n")),
        None => text.put(format_args!(
            "Each has {time} for its verdict; without one, the message {fate}, unless it is too large for the hook. `on_failure` under [hooks] decides otherwise.\n"
        )),
    }
    text
}

fn for_programs(policy: &Policy, orders: &[OrderName]) -> Value {
    let hooks = &policy.hooks;
    let mut shown = json!({ "deadline": show_duration(hooks.deadline()), "on_failure": rule(policy).to_string() });
    for order in orders {
        let all = asked(policy, *order);
        shown[order.key()] = all.iter().map(|one| json!({ "plugin": one.id, "state": one.state })).collect();
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use parlor_base::id::Digest;

    use super::*;

    fn policy(hooks: &str) -> Policy {
        let plugin = |id: &str, more: &str| {
            format!("[plugin.{id}]\nsource = \"a.wasm\"\ndigest = \"{}\"\n{more}\n", Digest::of(id.as_bytes()))
        };
        let granted = "[plugin.filter.grants]\n\"hooks.outgoing\" = [\"*\"]";
        let text = plugin("filter", granted) + &plugin("stamp", "") + &plugin("off", "enabled = false");
        Policy::parse(&format!("{text}[hooks]\n{hooks}"), Path::new("")).unwrap()
    }

    #[test]
    fn the_orders_are_shown_with_who_is_not_asked() {
        let orders = policy("outgoing = [\"filter\", \"off\"]\ncommands = [\"stamp\"]\non_failure = \"stop\"");
        assert_eq!(
            screen(&orders, &OrderName::ALL),
            "ORDER     PLACE  PLUGIN  STATE\n\
             outgoing  1      filter  asked\n\
             outgoing  2      off     disabled\n\
             commands  1      stamp   not granted\n\
             Each has 50 ms for its verdict; without one, the message is stopped.\n"
        );
        assert_eq!(screen(&orders, &[OrderName::Incoming]), "no plugin is a hook\n");
        let without_rule = policy("outgoing = [\"filter\"]");
        let words = "without one, the message passes, unless it is too large for the hook. ";
        assert!(screen(&without_rule, &OrderName::ALL).contains(words));
        assert_eq!(for_programs(&without_rule, &[])["on_failure"], "pass");
        let advice = asked(&orders, OrderName::Commands)[0].advice(OrderName::Commands).unwrap();
        assert!(advice.ends_with("is stopped; `parlor plugin grant stamp \"hooks.commands=*\"`\n"), "{advice}");
        let shown = for_programs(&orders, &[OrderName::Outgoing]);
        assert_eq!(
            shown,
            json!({
                "deadline": "50 ms",
                "on_failure": "stop",
                "outgoing": [{ "plugin": "filter", "state": "asked" }, { "plugin": "off", "state": "disabled" }],
            })
        );
    }

    #[test]
    fn a_change_of_an_order_is_reported_in_one_sentence() {
        let ids: Vec<PluginId> = ["filter", "stamp"].iter().map(|id| id.parse().unwrap()).collect();
        assert_eq!(done(OrderName::Outgoing, &ids, true), "filter, then stamp are asked about what others send");
        assert_eq!(done(OrderName::Commands, &[], false), "no plugin is asked about commands already");
        assert_eq!(named("comands").unwrap_err(), "it is outgoing, incoming or commands");
    }
}
