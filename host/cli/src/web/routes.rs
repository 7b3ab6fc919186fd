//! All pages of the window, and those that every page leads to.

use std::sync::Arc;

use parlor_window::{Entry, Routes};

use super::host::Host;
use super::{changes, home, plugin, plugins, rights, settings, versions};

/// The pages to go to from every page.
pub(super) const NAV: &[Entry] = &[Entry { path: "/", name: "Home" }, Entry { path: "/plugins", name: "Plugins" }];

/// Returns all pages.
pub(super) fn all() -> Routes<Arc<Host>> {
    let all: [fn(Routes<Arc<Host>>) -> Routes<Arc<Host>>; 7] = [
        home::routes,
        plugins::routes,
        plugin::routes,
        rights::routes,
        settings::routes,
        changes::routes,
        versions::routes,
    ];
    all.into_iter().fold(Routes::new(), |routes, add| add(routes))
}
