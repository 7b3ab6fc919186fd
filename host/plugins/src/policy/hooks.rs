//! `[hooks]`: the plugins that see what others send and get, in the owner's order.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use parlor_base::document::{DocumentError, Node, Section};
use parlor_base::id::PluginId;
use parlor_base::nearest::nearest;
use parlor_base::permission::Permission;
use parlor_base::quantity::{duration, show_duration};
use parlor_config::{AccountName, GroupName, Selector};

use super::{Entry, keys};

/// Maximum number of plugins in one order.
const MOST: usize = 8;
/// How long a hook may take, if the owner does not say.
const DEADLINE: Duration = Duration::from_millis(50);
/// The shortest time that a hook may have.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest time that a hook may have: everything that it is asked about waits for it.
const LONGEST: Duration = Duration::from_secs(5);

/// The fate of a message or command when a hook gives no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It passes.
    Pass,
    /// It is stopped.
    Stop,
}

/// The reason why a hook gives no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoVerdict {
    /// The message is too large for the hook.
    TooLarge,
    /// The hook is late, fails, does not run or does not listen, or too much waits for it.
    Other,
}

impl OnFailure {
    /// Returns the fate of a message without a verdict: by the owner's rule, or by the default for this reason. The author of
    /// a message chooses its size. So by default, nobody gets past a hook by a long text.
    pub fn of(written: Option<Self>, why: NoVerdict) -> Self {
        written.unwrap_or(match why {
            NoVerdict::TooLarge => Self::Stop,
            NoVerdict::Other => Self::Pass,
        })
    }

    /// Says in a clause what happens when a hook cannot answer: by the owner's rule, or by the default.
    pub fn in_words(written: Option<Self>) -> &'static str {
        match written {
            None => {
                "if it cannot answer, messages and commands pass without it, but not those that are too large for it; \
                 `on_failure = \"stop\"` under [hooks] stops all of them"
            }
            Some(Self::Pass) => {
                "if it cannot answer, messages and commands pass without it, by `on_failure = \"pass\"` under [hooks]"
            }
            Some(Self::Stop) => {
                "if it cannot answer, messages and commands are stopped, by `on_failure = \"stop\"` under [hooks]"
            }
        }
    }
}

/// The name of an order, which is its key in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderName {
    /// The plugins that see outgoing messages of others.
    Outgoing,
    /// The plugins that see incoming messages.
    Incoming,
    /// The plugins that see commands.
    Commands,
}

impl OrderName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Outgoing, Self::Incoming, Self::Commands];

    /// Returns the key under `[hooks]`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Outgoing => "outgoing",
            Self::Incoming => "incoming",
            Self::Commands => "commands",
        }
    }

    /// Returns the permission that a plugin in it needs.
    pub fn permission(self) -> Permission {
        match self {
            Self::Outgoing => Permission::HooksOutgoing,
            Self::Incoming => Permission::HooksIncoming,
            Self::Commands => Permission::HooksCommands,
        }
    }
}

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Stop => "stop",
        })
    }
}

/// A plugin in an order.
#[derive(Debug, Clone, PartialEq)]
struct Listed {
    plugin: PluginId,
    /// Whether it may run. A disabled plugin is not asked, but keeps its place.
    enabled: bool,
    /// The accounts on which it runs. None: all of them.
    accounts: Option<Vec<Selector>>,
}

/// The owner's orders of hooks for all accounts.
#[derive(Debug, Clone, PartialEq)]
pub struct Hooks {
    outgoing: Vec<Listed>,
    incoming: Vec<Listed>,
    commands: Vec<Listed>,
    deadline: Duration,
    /// None: the owner wrote no rule.
    on_failure: Option<OnFailure>,
}

/// The orders of hooks on one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookOrder {
    /// The plugins that see what others send.
    pub outgoing: Vec<PluginId>,
    /// The plugins that see what comes in.
    pub incoming: Vec<PluginId>,
    /// The plugins that see commands.
    pub commands: Vec<PluginId>,
    /// How long each of them may take.
    pub deadline: Duration,
    /// The owner's rule for a hook that gives no verdict. None: the owner wrote none.
    pub on_failure: Option<OnFailure>,
}

impl Default for Hooks {
    fn default() -> Self {
        let [outgoing, incoming, commands] = [const { Vec::new() }; 3];
        Self { outgoing, incoming, commands, deadline: DEADLINE, on_failure: None }
    }
}

impl Default for HookOrder {
    fn default() -> Self {
        let [outgoing, incoming, commands] = [const { Vec::new() }; 3];
        Self { outgoing, incoming, commands, deadline: DEADLINE, on_failure: None }
    }
}

impl HookOrder {
    /// Returns the fate of a message about which a hook gives no verdict, for this reason.
    pub fn fate(&self, why: NoVerdict) -> OnFailure {
        OnFailure::of(self.on_failure, why)
    }
}

impl Hooks {
    fn listed(&self, order: OrderName) -> &[Listed] {
        match order {
            OrderName::Outgoing => &self.outgoing,
            OrderName::Incoming => &self.incoming,
            OrderName::Commands => &self.commands,
        }
    }

    /// Returns the plugins of an order, also those that are disabled.
    pub fn order(&self, order: OrderName) -> Vec<PluginId> {
        self.listed(order).iter().map(|one| one.plugin.clone()).collect()
    }

    /// Returns how long each of them may take.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Returns the owner's rule for a hook that gives no verdict. None: the owner wrote none.
    pub fn on_failure(&self) -> Option<OnFailure> {
        self.on_failure
    }

    /// Returns the orders on this account, which is in this group: of the plugins that run there.
    pub fn on(&self, account: &AccountName, group: Option<&GroupName>) -> HookOrder {
        let on = |listed: &[Listed]| {
            let is_among = |accounts: &Vec<Selector>| accounts.iter().any(|one| one.covers(account, group));
            let is_here = |one: &Listed| one.accounts.as_ref().is_none_or(is_among);
            listed.iter().filter(|one| one.enabled && is_here(one)).map(|one| one.plugin.clone()).collect()
        };
        HookOrder {
            outgoing: on(&self.outgoing),
            incoming: on(&self.incoming),
            commands: on(&self.commands),
            deadline: self.deadline,
            on_failure: self.on_failure,
        }
    }
}

/// The orders that have plugins, and the rules for all of them.
impl fmt::Display for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for order in OrderName::ALL {
            let ids: Vec<_> = self.order(order).iter().map(ToString::to_string).collect();
            if !ids.is_empty() {
                write!(f, "{}: {}; ", order.key(), ids.join(", "))?;
            }
        }
        let deadline = show_duration(self.deadline);
        match self.on_failure {
            Some(rule) => write!(f, "{deadline}, then {rule}"),
            None => write!(f, "{deadline}, then pass, but stop a message that is too large"),
        }
    }
}

/// Reads the section. Every plugin in it must be one of these.
pub(super) fn hooks(root: &Section<'_>, plugins: &BTreeMap<PluginId, Entry>) -> Result<Hooks, DocumentError> {
    let Some(section) = root.section("hooks")? else { return Ok(Hooks::default()) };
    section.allow(&keys::HOOK_NAMES)?;
    let order = |name: OrderName| section.get(name.key()).map_or(Ok(Vec::new()), |node| order(&node, plugins));
    Ok(Hooks {
        outgoing: order(OrderName::Outgoing)?,
        incoming: order(OrderName::Incoming)?,
        commands: order(OrderName::Commands)?,
        deadline: section.get("deadline").map_or(Ok(DEADLINE), |node| deadline(&node))?,
        on_failure: section.get("on_failure").map(|node| on_failure(&node)).transpose()?,
    })
}

fn order(node: &Node<'_>, plugins: &BTreeMap<PluginId, Entry>) -> Result<Vec<Listed>, DocumentError> {
    let mut order: Vec<Listed> = Vec::new();
    let mut known = Vec::new();
    for id in node.strings(MOST)? {
        if known.contains(&id) {
            return Err(node.error(format!("`{id}` is in the order twice")));
        }
        known.push(id);
        let Some((plugin, entry)) = plugins.get_key_value(id) else {
            let advice = match nearest(id, plugins.keys().map(PluginId::as_str)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => "take it out of the order, or add the plugin first".to_owned(),
            };
            return Err(node.error(format!("the hook {id:?} is no plugin of this file; {advice}")));
        };
        order.push(Listed { plugin: plugin.clone(), enabled: entry.enabled, accounts: entry.accounts.clone() });
    }
    Ok(order)
}

fn deadline(node: &Node<'_>) -> Result<Duration, DocumentError> {
    let time = duration(node.string()?).map_err(|error| node.error(error))?;
    if (SHORTEST..=LONGEST).contains(&time) { Ok(time) } else { Err(node.wants("from 1 ms to 5 s")) }
}

fn on_failure(node: &Node<'_>) -> Result<OnFailure, DocumentError> {
    match node.string()? {
        "pass" => Ok(OnFailure::Pass),
        "stop" => Ok(OnFailure::Stop),
        _ => Err(node.wants("\"pass\" or \"stop\"")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use parlor_base::id::Digest;

    use super::*;
    use crate::policy::Policy;

    fn read(hooks: &str) -> Result<Hooks, String> {
        let plugin = |id: &str, more: &str| {
            format!("[plugin.{id}]\nsource = \"a.wasm\"\ndigest = \"{}\"\n{more}\n", Digest::of(id.as_bytes()))
        };
        let plugins =
            plugin("filter", "") + &plugin("stamp", "accounts = [\"main\"]") + &plugin("off", "enabled = false");
        let policy = Policy::parse(&format!("[hooks]\n{hooks}\n{plugins}"), Path::new(""));
        policy.map(|policy| policy.hooks).map_err(|error| error.to_string())
    }

    #[test]
    fn the_order_is_the_owners_and_has_the_plugins_that_run_on_the_account() {
        let text = "outgoing = [\"stamp\", \"off\", \"filter\"]\nincoming = [\"filter\"]\ndeadline = \"80 ms\"\n";
        let hooks = read(&format!("{text}on_failure = \"stop\"")).unwrap();
        let names = |order: &[PluginId]| order.iter().map(ToString::to_string).collect::<Vec<_>>();
        let main = hooks.on(&"main".parse().unwrap(), None);
        assert_eq!(names(&main.outgoing), ["stamp", "filter"]);
        assert_eq!(names(&main.incoming), ["filter"]);
        assert!(main.commands.is_empty());
        assert_eq!((main.deadline, main.on_failure), (Duration::from_millis(80), Some(OnFailure::Stop)));
        assert_eq!(names(&hooks.on(&"other".parse().unwrap(), None).outgoing), ["filter"]);
        assert_eq!(names(&hooks.order(OrderName::Outgoing)), ["stamp", "off", "filter"]);
        assert_eq!(hooks.to_string(), "outgoing: stamp, off, filter; incoming: filter; 80 ms, then stop");
        assert_eq!(Hooks::default().to_string(), "50 ms, then pass, but stop a message that is too large");
        assert_eq!(read("on_failure = \"pass\"").unwrap().to_string(), "50 ms, then pass");
        assert_eq!(read("").unwrap(), Hooks::default());
        assert_eq!(Hooks::default().on(&"main".parse().unwrap(), None), HookOrder::default());
    }

    #[test]
    fn without_a_rule_of_the_owner_only_a_message_that_is_too_large_is_stopped() {
        let fates = |text: &str| {
            let order = read(text).unwrap().on(&"main".parse().unwrap(), None);
            [NoVerdict::TooLarge, NoVerdict::Other].map(|why| order.fate(why))
        };
        assert_eq!(fates(""), [OnFailure::Stop, OnFailure::Pass]);
        assert_eq!(fates("on_failure = \"pass\""), [OnFailure::Pass; 2]);
        assert_eq!(fates("on_failure = \"stop\""), [OnFailure::Stop; 2]);
    }

    #[test]
    fn an_order_has_a_plugin_on_the_accounts_of_its_group() {
        let text = format!(
            "[hooks]\nincoming = [\"filter\"]\n[plugin.filter]\nsource = \"a.wasm\"\ndigest = \"{}\"\naccounts = [\"group:shop\"]\n",
            Digest::of(b"")
        );
        let hooks = Policy::parse(&text, Path::new("")).unwrap().hooks;
        let (main, shop, other) = ("main".parse().unwrap(), "shop".parse().unwrap(), "other".parse().unwrap());
        assert_eq!(hooks.on(&main, Some(&shop)).incoming.len(), 1);
        assert!(hooks.on(&main, Some(&other)).incoming.is_empty() && hooks.on(&main, None).incoming.is_empty());
    }

    #[test]
    fn every_mistake_names_its_line_and_what_to_write() {
        let refusal = |text: &str| read(text).unwrap_err();
        assert_eq!(refusal("outgoin = []"), "2:1: unknown key `hooks.outgoin`; did you mean `outgoing`?");
        let unknown = refusal("outgoing = [\"fliter\"]");
        assert!(unknown.contains("\"fliter\" is no plugin of this file") && unknown.contains("filter"), "{unknown}");
        assert!(refusal("commands = [\"filter\", \"filter\"]").contains("in the order twice"));
        for wrong in ["deadline = \"0 ms\"", "deadline = \"6 s\"", "deadline = 50"] {
            assert!(refusal(wrong).starts_with("2:1: "), "{wrong}");
        }
        assert!(refusal("on_failure = \"maybe\"").contains("has to be \"pass\" or \"stop\""));
        let many = ["\"filter\""; 9].join(", ");
        assert!(refusal(&format!("incoming = [{many}]")).contains("at most 8"));
    }
}
