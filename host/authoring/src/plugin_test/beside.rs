//! The other plugins of a test, on the same account as the one that is tried, and the order in which all of them are hooks.

use std::sync::Arc;

use parlor_base::clock::Clock;
use parlor_base::id::PluginId;
use parlor_base::nearest::nearest;
use parlor_plugins::policy::hooks::OrderName;
use parlor_runtime::account::Shared;
use parlor_runtime::supervisor::Supervised;

use super::given::Given;
use super::hooks::put_in_order;
use super::stage::Player;

/// The other plugins of a test, besides the tested one.
#[derive(Default)]
pub(super) struct Beside {
    players: Vec<Player>,
    /// The orders of hooks that the test sets.
    orders: Vec<(OrderName, Vec<PluginId>)>,
    running: Vec<Supervised>,
}

impl Beside {
    /// Adds the plugin that a line names, with the requests of its manifest.
    pub(super) fn add(&mut self, named: &str, tried: &Player) -> Result<(), String> {
        let Some(player) = tried.beside(named) else {
            return Err("only a file of tests can name a plugin beside this one, for `parlor plugin test`".to_owned());
        };
        let player = player.as_ref().map_err(Clone::clone)?;
        let id = player.id();
        if self.all(tried).any(|known| known.id() == id) {
            return Err(format!("{named} is a plugin {id}, and there is one of that name in this test already"));
        }
        if let Some(setting) = Given::of(player.manifest()).unset() {
            return Err(format!("{id} needs the setting `{setting}`, which a test gives to the tried plugin alone"));
        }
        self.players.push(player.clone());
        Ok(())
    }

    /// Sets an order of hooks.
    pub(super) fn order(&mut self, order: OrderName, ids: &[PluginId], tried: &Player) -> Result<(), String> {
        let known: Vec<&str> = self.all(tried).map(|player| player.id().as_str()).collect();
        if let Some(other) = ids.iter().find(|id| !known.contains(&id.as_str())) {
            let near = nearest(other.as_str(), known.iter().copied());
            let near = near.map(|near| format!("; did you mean {near}?"));
            let how = near.unwrap_or_else(|| format!("; write `beside ../{other}` above"));
            return Err(format!("{other} is not in this test{how}"));
        }
        self.orders.retain(|(one, _)| *one != order);
        self.orders.push((order, ids.to_vec()));
        Ok(())
    }

    /// Puts the plugins into the orders of hooks of the account.
    pub(super) fn put_in_order(&self, account: &Shared, tried: &Player) {
        let manifests: Vec<_> = self.all(tried).map(|player| &**player.manifest()).collect();
        put_in_order(account, &manifests, &self.orders);
    }

    /// Starts the plugins, before the one that is tried.
    pub(super) async fn start(&mut self, account: &Arc<Shared>, clock: Clock) {
        for player in &self.players {
            let plugin = player.start(&Given::of(player.manifest()), account, clock).await;
            self.running.push(plugin);
        }
    }

    /// Returns those that were started.
    pub(super) fn running(&self) -> &[Supervised] {
        &self.running
    }

    /// Stops all of them.
    pub(super) async fn stop(&mut self) {
        for plugin in self.running.drain(..) {
            plugin.stop().await;
        }
    }

    /// Stops all of them, as a host does that stops.
    pub(super) async fn stop_with_the_host(&mut self) {
        for plugin in self.running.drain(..) {
            plugin.stop_with_the_host().await;
        }
    }

    /// Returns the tested plugin, and then the others.
    fn all<'a>(&'a self, tried: &'a Player) -> impl Iterator<Item = &'a Player> {
        std::iter::once(tried).chain(&self.players)
    }
}
