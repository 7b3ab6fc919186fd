//! The documentation for authors: the pages of `docs/` for authors and owners and the reference, which are put next to
//! the SDK in a plugin's folder, so that authors have the pages for this version of parlor.

use std::path::Path;

use super::{BuildError, kept};

/// Their path in a plugin's folder.
const PLACE: &str = ".parlor/docs";

macro_rules! pages {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../../docs/", $name)))),*]
    };
}

const PAGES: &[(&str, &[u8])] = pages![
    "author/README.md",
    "author/cannot.md",
    "author/coming-from.md",
    "author/commands.md",
    "author/data.md",
    "author/dialogs.md",
    "author/encryption.md",
    "author/files.md",
    "author/first-plugin.md",
    "author/hooks.md",
    "author/in-order.md",
    "author/iq.md",
    "author/libraries.md",
    "author/markup.md",
    "author/missed-messages.md",
    "author/moderation.md",
    "author/parked-plugins.md",
    "author/port.md",
    "author/publishing.md",
    "author/pubsub.md",
    "author/requests.md",
    "author/schedules.md",
    "author/second-plugin.md",
    "author/values.md",
    "author/web.md",
    "author/webhooks.md",
    "owner/README.md",
    "owner/audit.md",
    "owner/cluster-size.md",
    "owner/cluster.md",
    "owner/component.md",
    "owner/containers.md",
    "owner/control.md",
    "owner/encryption.md",
    "owner/fleets.md",
    "owner/hooks.md",
    "owner/indexes.md",
    "owner/instances.md",
    "owner/known-limits.md",
    "owner/moving.md",
    "owner/plugins.md",
    "owner/rooms.md",
    "owner/running.md",
    "owner/web.md",
    "owner/window.md",
    "reference/README.md",
    "reference/api/api.md",
    "reference/api/archive.md",
    "reference/api/chats.md",
    "reference/api/chatviews.md",
    "reference/api/commands.md",
    "reference/api/connection.md",
    "reference/api/contacts.md",
    "reference/api/dialogs.md",
    "reference/api/disco.md",
    "reference/api/files.md",
    "reference/api/hooks.md",
    "reference/api/http.md",
    "reference/api/iq.md",
    "reference/api/listen.md",
    "reference/api/log.md",
    "reference/api/plugins.md",
    "reference/api/promises.md",
    "reference/api/pubsub.md",
    "reference/api/rooms.md",
    "reference/api/schedules.md",
    "reference/api/settings.md",
    "reference/api/storage.md",
    "reference/api/timers.md",
    "reference/api/tokens.md",
    "reference/api/types.md",
    "reference/api/user.md",
    "reference/api/vcard.md",
    "reference/api/webhooks.md",
    "reference/cli.md",
    "reference/config.md",
    "reference/errors.md",
    "reference/events.md",
    "reference/languages.md",
    "reference/limits.md",
    "reference/manifest.md",
    "reference/metrics.md",
    "reference/names.md",
    "reference/performance-accounts.svg",
    "reference/performance-cpu.svg",
    "reference/performance-plugins.svg",
    "reference/performance.md",
    "reference/permissions.md",
    "reference/plugins-toml.md",
    "reference/screens.md",
    "reference/settings.md",
    "reference/testing.md",
];

/// Puts the pages into a plugin's folder.
pub(super) fn equip(folder: &Path) -> Result<(), BuildError> {
    PAGES.iter().try_for_each(|(name, text)| kept::write(&folder.join(PLACE).join(name), text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Component, PathBuf};

    use super::*;

    /// Returns the target path of a link in a page of this folder.
    fn from(folder: &Path, link: &Path) -> PathBuf {
        let mut to = folder.to_path_buf();
        for part in link.components() {
            if part == Component::ParentDir {
                assert!(to.pop(), "{} leads out of the pages", link.display());
            } else {
                to.push(part);
            }
        }
        to
    }

    /// Every link from one page to another leads to an existing page.
    #[test]
    fn what_the_pages_lead_to_is_there() {
        let names: BTreeSet<_> = PAGES.iter().map(|(name, _)| Path::new(name).to_path_buf()).collect();
        for (name, text) in PAGES {
            let text = std::str::from_utf8(text).unwrap();
            let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
            for link in links.map(Path::new).filter(|link| link.extension().is_some_and(|kind| kind == "md")) {
                let to = from(Path::new(name).parent().unwrap(), link);
                assert!(names.contains(&to), "{name} leads to {}", link.display());
            }
        }
    }
}
