//! The page about `parlor.toml`, made of the tables that its reader goes by.

use std::fmt::Write as _;

use parlor_config::keys::{ACCOUNT, AUDIT, CLUSTER, COMPONENT, ENCRYPTION, GROUP, Key, PERSON, TOP, WEB, WINDOW};

pub(super) fn page() -> String {
    let mut page = "# The configuration\n\n\
        `parlor.toml` says which accounts there are, and how the host is run; `parlor init` writes one, in which every key stands \
        as a comment, and `parlor doctor` says what is wrong with it. Paths in it are relative to its folder. A key that is not on \
        this page is refused, with its line, and so is one that stands among the settings. The permissions of plugins are in [`plugins.toml`](plugins-toml.md); `--metrics` and `--traces` are \
        flags of `parlor run`.\n\n\
        A running host reads the file again when you save it: accounts come and go, and settings count at once. An account \
        reconnects only if one of these changed: `jid`, `server`, `transport`, `tls`, `ca_file`, the certificate, \
        `authentication`, or an address in its settings. Its password, `allow_plain`, `channel_binding`, `keep_unsent` and `ping_interval` count from \
        its next connection; `data`, `plugins`, `log`, `watch` and `[cluster]` when the host is started again.\n"
        .to_owned();
    for (heading, about, keys) in [
        ("At the top", "Flags win over the environment, and that over the file.", TOP),
        (
            "`[account.NAME]`",
            "An account names one of `password_file`, `password_command` and `password_env`, and never the password itself. If it \
             names none, the variable `PARLOR_PASSWORD_NAME` counts (the name in capitals, `_` for `-`), and after it the setting \
             `credentials_url`. None is needed with a certificate, for an anonymous account, for a BOSH session that somebody else \
             began, and where `auto_login` is off. A variable stays readable in `/proc/PID/environ` for every process of the same \
             user, so `password_file` is safer.",
            ACCOUNT,
        ),
        (
            "`[account.NAME.encryption]`",
            "See [Encrypted messages](../owner/encryption.md). A change counts at once.",
            ENCRYPTION,
        ),
        (
            "`[account.NAME.encryption.people.\"JID\"]`",
            "A person for whom another policy counts than for the account. A change counts at once.",
            PERSON,
        ),
        (
            "`[group.NAME]`",
            "The keys that several accounts share: see [Many accounts](../owner/fleets.md). A key applies to each account of the group \
             that does not set it. `jid` and the keys of the password are not allowed here.",
            GROUP,
        ),
        (
            "`[component.NAME]`",
            "See [A domain of bots](../owner/component.md). A component names one of `password_file`, `password_command` and \
             `password_env`: where the secret is that the server has for it. It reconnects only if `server`, `tls` or `ca_file` \
             changed.",
            COMPONENT,
        ),
        (
            "`[cluster]`",
            "See [Several machines](../owner/cluster.md). A node logs in at NATS with one of `password_file`, `password_command` and \
             `password_env`, with a certificate, or with nothing. A change counts when the host is started again.",
            CLUSTER,
        ),
        ("`[audit]`", "See [The audit](../owner/audit.md). A change counts at once.", AUDIT),
        ("`[web]`", "See [The web](../owner/web.md). A change counts at once.", WEB),
        ("`[window]`", "See [The window](../owner/window.md). A change counts at once.", WINDOW),
    ] {
        // Writing to a string does not fail, here and below.
        let _ = write!(page, "\n## {heading}\n\n{about}\n\n");
        page += "| key | value | default | what it is for |\n|---|---|---|---|\n";
        for Key { name, shape, default, about } in keys {
            let _ = writeln!(page, "| `{name}` | {shape} | {} | {about} |", super::default(*default));
        }
    }
    page
}
