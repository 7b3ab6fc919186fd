//! The page about `plugin.toml`, made of the table that its reader goes by.

use std::fmt::Write as _;

use parlor_plugins::manifest::{MAX_BYTES, MAX_ENTRIES, keys};
use parlor_plugins::{setting, webhook};

use super::default;

/// The tables of a manifest, with the text above their keys.
const TABLES: [(&str, &str, &str); 7] = [
    ("plugin", "[plugin]", "The plugin's identity. The one table that has to be there."),
    (
        "permissions",
        "[permissions]",
        "The permissions that it asks for, each by its name, `\"GROUPING.VERB\" = { … }`, in quotation marks for the dot. A call or an event \
         whose permission is not asked for is not there at all. `parlor plugin build`, `test` and `dev` warn of one that no \
         call of the plugin needs; not of one that also lets events through, and not in Python, JavaScript and TypeScript, where all calls that \
         are asked for are in the file.",
    ),
    (
        "dependencies",
        "[dependencies]",
        "Other plugins that it works with. They are started first; one that is missing is warned about, or with the host's \
         setting `strict_plugin_dependencies` refuses the start.",
    ),
    (
        "settings",
        "[settings.NAME]",
        "Settings of its own, one table each. The owner gives values in `plugins.toml` or by `parlor plugin config`, and the \
         plugin reads them by `settings.get`. A value that does not fit its type is refused before the plugin sees it.",
    ),
    (
        "webhook",
        "[webhook.NAME]",
        "Webhooks, one table each, at which others send it requests: see [Webhooks](../author/webhooks.md). They need the permission \
         `webhooks.receive`.",
    ),
    (
        "requests",
        "[requests]",
        "Requests of other plugins that it answers: see [Plugins that ask one another](../author/requests.md).",
    ),
    ("provides", "[provides]", "Names that are its own, for other plugins to rely on."),
];

pub(super) fn page() -> String {
    let mut page = format!(
        "# The manifest\n\n\
         `plugin.toml` stands in a plugin's folder, and `parlor plugin build` puts it into the file that is built: what the \
         plugin is, what it asks of its owner, and what can be set. `parlor plugin inspect FILE` shows it. It has at most \
         {} KiB, and each table {MAX_ENTRIES} entries. A key that is not on this page is refused.\n\n\
         ```toml\n{}```\n",
        MAX_BYTES / 1024,
        keys::EXAMPLE
    );
    let keys = keys::all();
    for (table, heading, about) in TABLES {
        // Writing to a string does not fail, here and below.
        let _ = write!(page, "\n## `{heading}`\n\n{about}\n\n");
        page += "| key | value | default | limit | what it is for | example |\n|---|---|---|---|---|---|\n";
        for key in keys.iter().filter(|key| key.table == table) {
            let default = default(key.default);
            let keys::Key { name, shape, limit, about, example, .. } = key;
            let _ = writeln!(page, "| `{name}` | {shape} | {default} | {limit} | {about} | `{example}` |");
        }
    }
    page += "\n## Types of settings\n\n| type | a value is | example |\n|---|---|---|\n";
    for (name, value, example) in setting::kinds() {
        let _ = writeln!(page, "| `{name}` | {value} | `{example}` |");
    }
    page += "\n## Ways to verify a webhook\n\n| `verify` | header | what it has |\n|---|---|---|\n";
    for (way, header, what) in webhook::ways() {
        let _ = writeln!(page, "| `{way}` | {header} | {what} |");
    }
    page += "\nA time that is signed may lie five minutes from the host's, and lets a request in once.\n";
    page
}
