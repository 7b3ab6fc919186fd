//! The names of events that plugins declare, for warnings about subscriptions to unknown names.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use parlor_base::id::PluginId;
use parlor_base::nearest;

use crate::event::EventName;
use crate::permissions::{EVENTS, table};

/// Maximum number of undeclared names that are remembered. Further ones are not warned about until [`FORGETS`] has passed.
const MAX_ASKED: usize = 1_000;
/// For how long they are remembered at least. A plugin that makes names up would otherwise end the warnings about all others.
const FORGETS: Duration = Duration::from_hours(1);

/// The names that plugins declare in their manifests, and those that plugins listen to.
#[derive(Debug, Default)]
pub struct Names(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The declared names, with the plugins that declare them, each with whether it was started.
    declared: BTreeMap<String, BTreeMap<PluginId, bool>>,
    /// The names that plugins listen to, with the first plugin that did.
    asked: BTreeMap<EventName, PluginId>,
    /// When the first of them was noted.
    since: Option<Timestamp>,
    /// Whether every plugin has had its turn to declare names.
    is_open: bool,
}

impl Known {
    /// Returns whether the names that plugins listen to were remembered for long enough. A clock may be set back meanwhile.
    fn is_over(&self, now: Timestamp) -> bool {
        self.since.is_none_or(|since| now.duration_since(since).unsigned_abs() >= FORGETS)
    }
}

impl Names {
    /// Locks the names. Held for a moment, and never by the connection.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves these names for a plugin that may not run yet.
    pub fn reserve<'a>(&self, plugin: &PluginId, names: impl Iterator<Item = &'a String>) {
        let mut known = self.known();
        for name in names {
            known.declared.entry(name.clone()).or_default().entry(plugin.clone()).or_default();
        }
    }

    /// Declares that a plugin, which starts, fires these names. Returns those that another plugin fires as well, with that
    /// plugin, since listeners should know.
    pub fn declare<'a>(&self, plugin: &PluginId, names: impl Iterator<Item = &'a String>) -> Vec<(String, PluginId)> {
        let mut known = self.known();
        let mut shared = Vec::new();
        for name in names {
            let plugins = known.declared.entry(name.clone()).or_default();
            if plugins.insert(plugin.clone(), true) != Some(true) {
                let other = plugins.iter().find(|(other, was_started)| *other != plugin && **was_started);
                shared.extend(other.map(|(other, _)| (name.clone(), other.clone())));
            }
        }
        shared
    }

    /// Forgets names that their plugins no longer declare.
    pub fn forget_undeclared(&self, is_declared: impl Fn(&PluginId, &str) -> bool) {
        self.known().declared.retain(|name, plugins| {
            plugins.retain(|plugin, _| is_declared(plugin, name));
            !plugins.is_empty()
        });
    }

    /// Returns whether a plugin may fire this name: no plugin declares it, or this one does. A declaration reserves the
    /// name, and listeners rely on that. It also reserves the name with the plugin's id before it: the plugin's
    /// promise has that name if another plugin, which declares the same, was first.
    pub fn may_fire(&self, name: &str, plugin: &PluginId) -> bool {
        let known = self.known();
        let declare = |name: &str, id: &str| known.declared.get(name).is_some_and(|plugins| plugins.contains_key(id));
        known.declared.get(name).is_none_or(|plugins| plugins.contains_key(plugin))
            && name.split_once('.').is_none_or(|(id, rest)| id == plugin.as_str() || !declare(rest, id))
    }

    /// Returns whether this plugin declares the name, and no other one does.
    pub fn are_only_of(&self, name: &str, plugin: &PluginId) -> bool {
        self.known().declared.get(name).is_some_and(|plugins| plugins.len() == 1 && plugins.contains_key(plugin))
    }

    /// Notes that a plugin listens to this name. Returns whether to warn about it now: no plugin declares it, and none
    /// listened before.
    pub fn asked_for(&self, name: &EventName, plugin: &PluginId, now: Timestamp) -> bool {
        if table::event(name).is_some() {
            return false;
        }
        let mut known = self.known();
        // Before all plugins had their turn, nobody was warned yet.
        if known.is_open && known.asked.len() >= MAX_ASKED && known.is_over(now) {
            known.asked.clear();
        }
        if known.asked.len() >= MAX_ASKED || known.asked.contains_key(name) {
            return false;
        }
        if known.asked.is_empty() {
            known.since = Some(now);
        }
        known.asked.insert(name.clone(), plugin.clone());
        known.is_open && !known.declared.contains_key(&**name)
    }

    /// Notes that every plugin had its turn. Returns the names that plugins listen to and that none declares.
    pub fn open(&self) -> Vec<(EventName, PluginId)> {
        let mut known = self.known();
        known.is_open = true;
        let undeclared = known.asked.iter().filter(|(name, _)| !known.declared.contains_key(&***name));
        undeclared.map(|(name, plugin)| (name.clone(), plugin.clone())).collect()
    }

    /// Returns the known name that is nearest to this one.
    pub fn nearest(&self, name: &str) -> Option<String> {
        let known = self.known();
        let names = EVENTS.iter().map(|rule| rule.name).chain(known.declared.keys().map(String::as_str));
        nearest::nearest(name, names).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plugin_declares_no_other_fires() {
        let names = Names::default();
        let [one, two, other]: [PluginId; 3] = ["one", "two", "other"].map(|id| id.parse().unwrap());
        assert!(names.may_fire("door", &other), "nobody declares it yet");
        assert!(names.declare(&one, [&"door".to_owned()].into_iter()).is_empty());
        let shared = names.declare(&two, [&"door".to_owned()].into_iter());
        assert_eq!(shared, [("door".to_owned(), one.clone())]);
        assert!(names.declare(&two, [&"door".to_owned()].into_iter()).is_empty(), "that was said");
        assert!(names.may_fire("door", &one) && names.may_fire("door", &two) && names.may_fire("window", &other));
        assert!(!names.may_fire("door", &other));
        assert!(!names.are_only_of("door", &one) && !names.are_only_of("window", &one));
        names.forget_undeclared(|plugin, name| *plugin == two && name == "door");
        assert!(!names.may_fire("door", &one) && names.may_fire("door", &two));
        assert!(!names.are_only_of("door", &one) && names.are_only_of("door", &two));
        names.forget_undeclared(|_, _| false);
        assert!(names.may_fire("door", &other), "nobody declares it any more");
    }

    /// Otherwise another plugin could speak in the name of one that is disabled, or that is still being compiled.
    #[test]
    fn a_name_is_its_plugins_before_that_one_starts() {
        let names = Names::default();
        let [one, two, other]: [PluginId; 3] = ["one", "two", "other"].map(|id| id.parse().unwrap());
        let door = "door".to_owned();
        names.reserve(&one, [&door].into_iter());
        assert!(names.may_fire("door", &one) && !names.may_fire("door", &other));
        assert!(names.declare(&two, [&door].into_iter()).is_empty(), "the other one does not run");
        names.reserve(&two, [&door].into_iter());
        assert_eq!(names.declare(&one, [&door].into_iter()), [("door".to_owned(), two.clone())]);
        names.forget_undeclared(|_, _| false);
        assert!(names.may_fire("door", &other), "the plugins are gone");
    }

    /// By this name, others wait for the promise of an instance that is not the first one of its plugin.
    #[test]
    fn a_name_with_the_id_of_the_plugin_that_declares_it_is_that_plugins() {
        let names = Names::default();
        let [one, other]: [PluginId; 2] = ["one", "other"].map(|id| id.parse().unwrap());
        names.reserve(&one, [&"door".to_owned()].into_iter());
        names.declare(&other, [&"one.door".to_owned()].into_iter());
        assert!(!names.may_fire("one.door", &other), "also if it declares it");
        assert!(names.may_fire("other.door", &other) && names.may_fire("one.window", &other));
        names.forget_undeclared(|plugin, _| *plugin == one);
        assert!(names.may_fire("one.door", &one), "and its own plugin may");
    }

    /// Row 122.
    #[test]
    fn a_name_that_nobody_declares_is_warned_about_once() {
        let names = Names::default();
        let plugin: PluginId = "echo".parse().unwrap();
        let after = |hours: u64, name: &str| {
            names.asked_for(&name.into(), &plugin, Timestamp::UNIX_EPOCH + Duration::from_hours(hours))
        };
        let ask = |name: &str| after(0, name);
        assert!(!ask("mesage") && !ask("message") && !ask("own"), "whoever declares it may come later");
        names.declare(&plugin, [&"own".to_owned()].into_iter());
        let open: Vec<_> = names.open().into_iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(open, ["mesage"]);
        assert_eq!(names.nearest("mesage").as_deref(), Some("message"));
        assert!(!ask("mesage"));
        assert!(ask("other") && !ask("other"));
        for number in 0..2 * MAX_ASKED {
            ask(&number.to_string());
        }
        assert_eq!(names.known().asked.len(), MAX_ASKED);
        assert!(!ask("late") && after(1, "late") && !after(1, "late"), "made-up names end no warning for good");
        assert_eq!(names.known().asked.len(), 1);
    }
}
