//! The documentation for authors: the pages of `docs/`, which are put beside the SDK in a plugin's folder, so that
//! authors have those for this version of parlor.

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
    "README.md",
    "api/api.md",
    "api/archive.md",
    "api/chats.md",
    "api/chatviews.md",
    "api/commands.md",
    "api/connection.md",
    "api/contacts.md",
    "api/disco.md",
    "api/listen.md",
    "api/log.md",
    "api/promises.md",
    "api/rooms.md",
    "api/settings.md",
    "api/storage.md",
    "api/timers.md",
    "api/tokens.md",
    "api/types.md",
    "api/user.md",
    "api/vcard.md",
    "cannot.md",
    "config.md",
    "control.md",
    "errors.md",
    "events.md",
    "first-plugin.md",
    "known-limits.md",
    "languages.md",
    "limits.md",
    "manifest.md",
    "names.md",
    "permissions.md",
    "second-plugin.md",
    "settings.md",
    "testing.md",
    "values.md",
];

/// Puts the pages into a plugin's folder.
pub(super) fn equip(folder: &Path) -> Result<(), BuildError> {
    PAGES.iter().try_for_each(|(name, text)| kept::write(&folder.join(PLACE).join(name), text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every link from one page to another leads to an existing page.
    #[test]
    fn what_the_pages_lead_to_is_there() {
        let names: BTreeSet<_> = PAGES.iter().map(|(name, _)| Path::new(name).to_path_buf()).collect();
        for (name, text) in PAGES {
            let text = std::str::from_utf8(text).unwrap();
            let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
            for link in links.map(Path::new).filter(|link| link.extension().is_some_and(|kind| kind == "md")) {
                let folder = Path::new(name).parent().unwrap();
                let to = link.strip_prefix("..").map_or_else(|_| folder.join(link), Path::to_path_buf);
                assert!(names.contains(&to), "{name} leads to {}", link.display());
            }
        }
    }
}
