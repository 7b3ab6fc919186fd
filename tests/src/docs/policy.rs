//! The page about `plugins.toml`, made of the tables that its reader goes by.

use std::fmt::Write as _;

use parlor_base::permission::{Permission, ScopeKind};
use parlor_plugins::limits::{Limits, Row};
use parlor_plugins::policy::keys::{COMMAND, EXAMPLE, HOOKS, KEY, Key, PLUGIN, TOP};

use super::default;

pub(super) fn page() -> String {
    let mut page = format!(
        "# The policy\n\n\
         `plugins.toml` has the owner's decisions about plugins: which component may run, on which accounts, and what it may do. \
         `parlor init` writes one without plugins. Commands such as `parlor plugin add` and `parlor plugin grant` change it, and \
         keep your comments. You may also edit it by hand. Paths in it are relative to its folder.\n\n\
         A running host reads the file again when you save it. If it has a mistake, such as an unknown key, the log names the line, \
         and the host keeps the policy that it had. `parlor doctor` checks the file.\n\n\
         ```toml\n{EXAMPLE}```\n"
    );
    for (heading, about, keys) in [
        ("At the top", "", TOP),
        (
            "`[hooks]`",
            "A plugin is a hook by two decisions: its place in an order here, and the grant. [Hooks](../owner/hooks.md) says more.\n\n",
            HOOKS,
        ),
        (
            "`[key.NAME]`",
            "A NAME is of your choice: 1 to 64 of `a`-`z`, `0`-`9`, `_` and `-`, a letter or digit first.\n\n",
            KEY,
        ),
        (
            "`[plugin.ID]`",
            "An ID is of your choice: 1 to 64 of `a`-`z`, `0`-`9`, `_` and `-`, a letter or digit first.\n\n",
            PLUGIN,
        ),
    ] {
        // Writing to a string does not fail, here and below.
        let _ = write!(page, "\n## {heading}\n\n{about}| key | value | default | what it does |\n|---|---|---|---|\n");
        for Key { name, shape, default: value, about } in keys {
            let _ = writeln!(page, "| `{name}` | {shape} | {} | {about} |", default(*value));
        }
    }
    page += "\n## `[plugin.ID.commands]`\n\n\
             Each key is a chat command of the plugin, and its value the name that people type instead: `tea = \"brew\"`. A name is of \
             letters, digits, `-` and `_`. With rules for the command, the value is a table with the keys of \
             `[plugin.ID.commands.NAME]`, where NAME is the plugin's own name for it.\n\n\
             ## `[plugin.ID.commands.NAME]`\n\n| key | value | default | what it does |\n|---|---|---|---|\n";
    for Key { name, shape, default: value, about } in COMMAND {
        let _ = writeln!(page, "| `{name}` | {shape} | {} | {about} |", default(*value));
    }
    page += "\n## `[plugin.ID.grants]`\n\n\
             Each key is a permission. Write it in quotation marks if it has a dot. `false` is the same as no entry. \
             [Permissions](permissions.md) lists the calls and events of each, and what its list may contain. `messages.read` and \
             `archive.read` may also be a table, `{ scope = [\"*\"], only = \"encrypted\" }`, for messages alone that were encrypted from \
             end to end.\n\n\
             | key | value | default | what the plugin does with it |\n|---|---|---|---|\n";
    for permission in Permission::ALL {
        let value = match permission.scope_kind() {
            ScopeKind::None => "`true`",
            ScopeKind::Quota => "`true`, or a list of one size, such as `[\"1 MiB\"]`",
            kind => {
                debug_assert!(kind.is_list(), "{kind:?}");
                "list of texts"
            }
        };
        let _ = writeln!(page, "| `{permission}` | {value} | not granted | {} |", permission.describe());
    }
    page += "\n## `[plugin.ID.limits]`\n\n\
             Each key is a limit of the plugin on each account. [Limits](limits.md) has their ranges and details.\n\n\
             | key | value | default | what it bounds |\n|---|---|---|---|\n";
    for Row { name, about, shape, default, .. } in Limits::table() {
        let first = about.split_inclusive(". ").next().unwrap_or(&about).trim_end();
        let _ = writeln!(page, "| `{name}` | {shape} | {default} | {first} |");
    }
    page += "\n## `[plugin.ID.settings]`\n\n\
             Each key is a setting that the plugin's [manifest](manifest.md) declares. Its value has the type that the manifest names. \
             Without an entry the manifest's default applies. `parlor plugin config ID` lists the settings of a plugin.\n\n\
             For a secret or a credential, write where it is kept, never the text itself: `{ file = \"…\" }` is a file that only you can read, and \
             `{ command = \"…\" }` is a command that prints it.\n";
    page
}
