//! All pages of the window, and the pages in the navigation.

use std::sync::Arc;

use parlor_window::{Entry, Role, Routes};

use super::host::Host;
use super::{
    accounts, audit, changes, contacts, doctor, explain, home, install, keys, plugin, plugins, rights, rooms, settings,
    storage, versions, way_in,
};

/// The pages to go to from every page.
pub(super) const NAV: &[Entry] = &[
    Entry { path: "/", name: "Home", access: Role::Viewer.of_accounts() },
    Entry { path: "/accounts", name: "Accounts", access: Role::Viewer.of_accounts() },
    Entry { path: "/plugins", name: "Plugins", access: Role::Viewer.of_accounts() },
    Entry { path: "/rooms", name: "Rooms", access: Role::Viewer.of_accounts() },
    Entry { path: "/contacts", name: "Contacts", access: Role::Viewer.of_accounts() },
    Entry { path: "/keys", name: "Keys", access: Role::Viewer.of_accounts() },
    Entry { path: "/audit", name: "Audit", access: Role::Viewer.of_accounts() },
    Entry { path: "/explain", name: "Explain", access: Role::Viewer.of_host() },
    Entry { path: "/install", name: "Install", access: Role::Owner.of_host() },
    Entry { path: "/doctor", name: "Doctor", access: Role::Viewer.of_host() },
];

/// Adds the pages of a module.
type Add = fn(Routes<Arc<Host>>) -> Routes<Arc<Host>>;

/// Returns all pages.
pub(super) fn all() -> Routes<Arc<Host>> {
    let all: [Add; 16] = [
        home::routes,
        accounts::routes,
        plugins::routes,
        plugin::routes,
        rights::routes,
        settings::routes,
        changes::routes,
        versions::routes,
        storage::routes,
        rooms::routes,
        contacts::routes,
        keys::routes,
        audit::routes,
        explain::routes,
        install::routes,
        doctor::routes,
    ];
    all.into_iter().fold(Routes::new(way_in::offers, way_in::ask, way_in::began), |routes, add| add(routes))
}
