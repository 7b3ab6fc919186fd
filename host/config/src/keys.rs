//! Every key of `parlor.toml` that is not a setting, in one table per place. The reader refuses all other keys, and the
//! page for owners is generated from these tables.

mod cluster;

pub use cluster::CLUSTER;

/// A key with its description for owners.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The type or form of its value.
    pub shape: &'static str,
    /// The default, as it would be written; none = the key is required.
    pub default: Option<&'static str>,
    /// Its purpose.
    pub about: &'static str,
}

/// Creates the description of a key.
pub const fn key(name: &'static str, shape: &'static str, default: Option<&'static str>, about: &'static str) -> Key {
    Key { name, shape, default, about }
}

/// The default of a key that may be omitted and has no default value.
pub const NONE: Option<&str> = Some("none");

/// The keys at the top of the file, ordered by name.
pub const TOP: &[Key] = &[
    key(
        "account",
        "tables",
        None,
        "The accounts, each with the keys of `[account.NAME]` below. They and groups may also be in [`accounts.toml`](../owner/fleets.md#groups) beside this file. A NAME is of your choice: 1 to 32 of `a`-`z`, `0`-`9`, `-` and `_`, a letter or digit first.",
    ),
    key(
        "audit",
        "a table",
        NONE,
        "How much the host keeps of the audit, the record of changes: the keys of `[audit]` below.",
    ),
    key("cluster", "a table", NONE, "The cluster that the host is a node of: the keys of `[cluster]` below."),
    key(
        "component",
        "tables",
        NONE,
        "Connections as a component of a server, each for all addresses of a domain: the keys of `[component.NAME]` below. A NAME has the same form as that of an account.",
    ),
    key(
        "data",
        "a folder",
        Some("\"data\""),
        "Where the host keeps plugins, their storage, caches and the [control socket](../owner/control.md). Also `PARLOR_DATA` and `--data`.",
    ),
    key(
        "group",
        "tables",
        NONE,
        "Groups of accounts that share keys, each with the keys of `[group.NAME]` below. Names have the same form as those of accounts.",
    ),
    key(
        "log",
        "text",
        Some("\"info\""),
        "What to log: `error`, `warn`, `info`, `debug` or `trace`, or more of some parts, such as `\"info,parlor=debug\"`. Where nothing is said, the setting `debug` makes it `debug`. Also `PARLOR_LOG` and `--log`.",
    ),
    key(
        "plugins",
        "a file",
        Some("\"plugins.toml\""),
        "Which plugins there are, and what each may do. Also `PARLOR_PLUGINS` and `--plugins`.",
    ),
    key("settings", "a table", NONE, "Settings for all accounts: [Settings](settings.md)."),
    key(
        "watch",
        "true or false",
        Some("true"),
        "Read this file, `accounts.toml` and the policy again whenever they are saved. With `false`, the host reads them only on SIGHUP and `parlor reload`.",
    ),
    key(
        "web",
        "a table",
        NONE,
        "Where the host listens for webhooks, and what it trusts on the web: the keys of `[web]` below.",
    ),
    key("window", "a table", NONE, "How people get links to log in to `parlor web`: the keys of `[window]` below."),
];

/// The keys under `[audit]`, ordered by name.
pub const AUDIT: &[Key] = &[
    key(
        "days",
        "a whole number",
        Some("400"),
        "For how many days entries are kept, 1 to 36,500. Older ones are removed once a day, and an entry says how many.",
    ),
    key(
        "size",
        "a size",
        Some("\"64 MiB\""),
        "How large all entries together may be, 1 MiB to 16 GiB. The oldest ones go first, and an entry says how many.",
    ),
];

/// The keys under `[web]`, ordered by name.
pub const WEB: &[Key] = &[
    key(
        "address",
        "an address",
        Some("that of `listen`"),
        "What others send requests to: the address of the proxy before parlor, such as `\"https://bot.example.org\"`. A path in it goes before `/hooks/`; the proxy takes it away.",
    ),
    key(
        "ca_file",
        "a file",
        NONE,
        "Certificates (PEM) that are trusted for requests of plugins over the web and for files, beside those that the system trusts.",
    ),
    key(
        "certificate",
        "a file",
        NONE,
        "Listen with TLS: the certificate (PEM, with those between it and its authority behind it). Not needed behind a proxy that has one. It is read again with the configuration.",
    ),
    key(
        "certificate_key",
        "a file",
        NONE,
        "The private key of `certificate` (PEM). parlor warns if others can read it: `chmod 600`.",
    ),
    key(
        "listen",
        "an address and a port",
        NONE,
        "Where the host listens for requests to webhooks of plugins, such as `\"127.0.0.1:8080\"` behind a proxy, or `\"[::]:8443\"`. The host listens only while a plugin has webhooks. Without this key there are no webhooks.",
    ),
    key(
        "local_files",
        "a list of addresses",
        Some("[]"),
        "Addresses with ports outside of the public network that plugins may send files to and fetch them from, such as those of a server at home, `[\"192.168.1.7:5281\"]`. Which files is up to the permissions `files.send` and `files.read`.",
    ),
    key(
        "nat64",
        "true or false",
        Some("false"),
        "Whether your network reaches IPv4 servers by addresses such as `64:ff9b::8.8.8.8` (NAT64). Plugins' requests and files then go to such an address, if the IPv4 address in it is of the public network. Otherwise the host refuses it.",
    ),
    key(
        "outbound_proxy",
        "an address",
        NONE,
        "The proxy for plugins' requests over the web and for files, such as `\"http://proxy.example.org:3128\"`, by the method CONNECT. The host still looks names up, and gives the proxy an address. It connects directly to addresses outside of the public network.",
    ),
    key(
        "outbound_proxy_resolves",
        "true or false",
        Some("false"),
        "Let `outbound_proxy` look names up, for networks where only the proxy can. The proxy then decides to which addresses a name leads, also in your own network: the host does not check them.",
    ),
    key(
        "proxies",
        "a list of addresses",
        Some("[]"),
        "The proxies before parlor, such as `[\"127.0.0.1\"]`. What they say in `x-forwarded-for` is believed, and of nobody else: it is shown as the sender of a request.",
    ),
];

/// The keys under `[window]`, ordered by name.
pub const WINDOW: &[Key] = &[key(
    "links",
    "`\"page\"`, `\"command\"` or `\"never\"`",
    Some("\"page\""),
    "Who can make an account send an owner a link to log in: with `page`, everybody who reaches the log-in page, and `parlor web link`; with `command`, only `parlor web link`; with `never`, nobody. `parlor web login` prints links in any case.",
)];

/// The keys under `[account.NAME]`, ordered by name.
pub const ACCOUNT: &[Key] = &[
    key(
        "allow_plain",
        "true or false",
        Some("false"),
        "Send the password as it is (SASL PLAIN), inside of TLS, to a server that can do no better. Else there is no log-in at such a server.",
    ),
    key(
        "ca_file",
        "a file",
        NONE,
        "Trust the authorities in this file (PEM), or this very certificate of a server, in place of the system's authorities.",
    ),
    key(
        "certificate",
        "a file",
        NONE,
        "Log in with this certificate (PEM, with those between it and its authority behind it) and no password. It goes with `certificate_key` and the setting `authentication = \"external\"`, and with no other.",
    ),
    key(
        "certificate_key",
        "a file",
        NONE,
        "The private key of `certificate` (PEM). One that others can read is refused: `chmod 600`. The group may read a file that belongs to root.",
    ),
    key(
        "channel_binding",
        "`\"auto\"`, `\"required\"` or `\"never\"`",
        Some("\"auto\""),
        "Whether a log-in with a password is bound to its TLS connection, so that nobody in between can pass it on. `auto` binds it wherever the server offers that; once a log-in was bound, parlor refuses to log in unbound. `required` refuses that from the first log-in. `never` does not bind, and forgets that log-ins were bound before: for a server that no longer offers it. Over BOSH and without a password nothing is bound, and `required` is refused there, as it is beside `allow_plain`.",
    ),
    key(
        "component",
        "a NAME",
        NONE,
        "The component that the account is an address of, as in `\"bots\"` for `[component.bots]`. Such an account has no password, and no keys about a server; see [A domain of bots](../owner/component.md).",
    ),
    key(
        "encryption",
        "a table",
        NONE,
        "How the account encrypts from end to end, and whose keys it trusts: the keys of `[account.NAME.encryption]` below.",
    ),
    key(
        "group",
        "text",
        NONE,
        "The group that the account is in: the keys of `[group.NAME]` count where it has none of its own, and plugins may name the group. See [Many accounts](../owner/fleets.md).",
    ),
    key(
        "jid",
        "a JID",
        None,
        "The account's address, such as `\"bot@example.org\"`. A resource behind it (`/bot`) is asked for; else it is `parlor-` and eight random hex digits. With the setting `authentication = \"anonymous\"` it is the server's domain alone.",
    ),
    key(
        "keep_unsent",
        "a time",
        Some("\"1 h\""),
        "The longest connection loss after which unsent messages are still sent. After a longer one, the log says how many were not sent. A whole number and `ms`, `s`, `min`, `h` or `d`; `\"0 s\"` keeps none.",
    ),
    key(
        "owners",
        "a list of JIDs",
        Some("[]"),
        "Who may show the account, enable, disable and restart its plugins, and decide about its keys, from their own client (ad-hoc commands, XEP-0050). A plugin that also runs on accounts of others is [not theirs to change](../owner/running.md#owners-in-chat). They get the [alerts](../owner/rooms.md#alerts), and are told of new keys of people, and may have a link to [the window](../owner/window.md) sent.",
    ),
    key(
        "password_command",
        "text",
        NONE,
        "A command line for the shell that prints the password within 10 s. It cannot ask anybody: unlock its sources beforehand.",
    ),
    key("password_env", "text", NONE, "The name of the variable of the environment that holds the password."),
    key(
        "password_file",
        "a file",
        NONE,
        "The file with the password in its first line. parlor warns if others can read it: `chmod 600`. The group may read a file that belongs to root.",
    ),
    key(
        "server",
        "a host, or `host:port`",
        NONE,
        "Where the server is, such as `\"xmpp.example.org:5222\"` or `\"[::1]:5222\"`; else the DNS says (SRV).",
    ),
    key(
        "settings",
        "a table",
        NONE,
        "[Settings](settings.md) for this account alone, which go over those of `[settings]`.",
    ),
    key(
        "tls",
        "`\"starttls\"` or `\"direct\"`",
        NONE,
        "When TLS begins: after a first exchange, or at once (XEP-0368); else as the DNS says, or at once where `server` names port 5223. There is no connection without TLS.",
    ),
    key(
        "transport",
        "`\"auto\"`, `\"tcp\"`, `\"websocket\"` or `\"bosh\"`",
        Some("\"auto\""),
        "What carries the stream, where neither of the settings `websocket_url` and `bosh_service_url` names an address: `auto` is TCP, and what the domain says of the web (XEP-0156) where nobody can be reached by TCP and no `server` is named; `websocket` and `bosh` are where the domain says. Where both name one, `bosh` takes the second.",
    ),
];

/// The keys under `[group.NAME]`, ordered by name: those of an account that several can have in common.
pub const GROUP: &[Key] = &[
    key("allow_plain", "true or false", Some("false"), "As under `[account.NAME]`."),
    key("ca_file", "a file", NONE, "As under `[account.NAME]`."),
    key("channel_binding", "`\"auto\"`, `\"required\"` or `\"never\"`", Some("\"auto\""), "As under `[account.NAME]`."),
    key(
        "encryption",
        "a table",
        NONE,
        "As under `[account.NAME]`. Each key in it counts where the account has none of its own.",
    ),
    key("keep_unsent", "a time", Some("\"1 h\""), "As under `[account.NAME]`."),
    key(
        "owners",
        "a list of JIDs",
        Some("[]"),
        "As under `[account.NAME]`. An account with a list of its own has that list alone.",
    ),
    key("server", "a host, or `host:port`", NONE, "As under `[account.NAME]`."),
    key(
        "settings",
        "a table",
        NONE,
        "[Settings](settings.md) for these accounts. They go over those of `[settings]`, and each account's own go over them.",
    ),
    key("tls", "`\"starttls\"` or `\"direct\"`", NONE, "As under `[account.NAME]`."),
    key(
        "transport",
        "`\"auto\"`, `\"tcp\"`, `\"websocket\"` or `\"bosh\"`",
        Some("\"auto\""),
        "As under `[account.NAME]`.",
    ),
];

/// The keys under `[account.NAME.encryption]`, ordered by name.
pub const ENCRYPTION: &[Key] = &[
    key(
        "announce",
        "true or false",
        Some("true"),
        "Tell the owners in a message when a person whom the account knows has a new device, or another key; at most 8 at once and then one in 5 minutes.",
    ),
    key(
        "omemo",
        "true or false",
        Some("true"),
        "Whether the account has keys of OMEMO and publishes them, so that people can write to it encrypted.",
    ),
    key(
        "otr",
        "`\"allow\"`, `\"require\"` or `\"never\"`",
        Some("\"allow\""),
        "Whether chats may be off the record (OTR): with `allow`, the other side or a plugin may begin it. With `require`, no text goes to a person plainly: a message waits up to 30 s until OTR has begun, and is refused if it has not. A chat that uses OMEMO continues with OMEMO.",
    ),
    key(
        "people",
        "tables",
        NONE,
        "The people for whom another policy counts, up to 1,000, each by their bare JID with the keys of `[account.NAME.encryption.people.\"JID\"]` below.",
    ),
    key(
        "plain_instead",
        "true or false",
        Some("false"),
        "Answer plainly in chats that were encrypted, if OMEMO or OTR is off now, or if the account's keys cannot be read. Otherwise such answers are refused.",
    ),
    key(
        "trust",
        "`\"blind\"` or `\"strict\"`",
        Some("\"blind\""),
        "The trust in keys of others without a decision: with `blind`, each key of a person is trusted until one of theirs was verified; with `strict`, none is.",
    ),
    key(
        "trust_by_chat",
        "true or false",
        Some("false"),
        "Owners may trust keys from their own client, too. It is off because the account's server can forge commands of an owner, and could so make the account trust its own key.",
    ),
];

/// The keys under `[account.NAME.encryption.people."JID"]`, ordered by name.
pub const PERSON: &[Key] = &[key(
    "otr",
    "`\"allow\"`, `\"require\"` or `\"never\"`",
    Some("\"allow\""),
    "As under `[account.NAME.encryption]`, for chats with this person.",
)];

/// The keys under `[component.NAME]`, ordered by name.
pub const COMPONENT: &[Key] = &[
    key(
        "ca_file",
        "a file",
        NONE,
        "Trust the authorities in this file (PEM), or this very certificate of a server, in place of the system's authorities.",
    ),
    key(
        "domain",
        "a domain",
        None,
        "The domain of the component, such as `\"bots.example.org\"`, as the server has it.",
    ),
    key(
        "keep_unsent",
        "a time",
        Some("\"1 h\""),
        "The longest connection loss after which unsent messages of its addresses are still sent.",
    ),
    key(
        "new_addresses",
        "a list of patterns",
        NONE,
        "Addresses that become accounts when somebody writes to them, such as `[\"*@bots.example.org\"]`, in which `*` stands for any text. The host writes each of them into `accounts.toml`. See [New addresses](../owner/component.md#new-addresses).",
    ),
    key(
        "new_addresses_from",
        "a list of domains",
        NONE,
        "The domains whose people can make an address an account by writing to it; everybody can if this is left out. Accounts of the host never can.",
    ),
    key("new_addresses_group", "text", NONE, "The group of these accounts: plugins that name it run on each of them."),
    key(
        "new_addresses_limit",
        "a whole number",
        Some("1000"),
        "At most so many accounts of the component: if it has that many, no address becomes an account. 1 to 100,000.",
    ),
    key("password_command", "text", NONE, "A line for the shell that prints the secret, within 10 s."),
    key("password_env", "text", NONE, "The name of the variable of the environment that holds the secret."),
    key(
        "password_file",
        "a file",
        NONE,
        "The file with the secret that the server has for the component, in its first line. parlor warns if others can read it: `chmod 600`.",
    ),
    key(
        "server",
        "a host, or `host:port`",
        Some("\"127.0.0.1:5347\""),
        "The address at which the server accepts components. Without `tls` it has to be an address of this machine.",
    ),
    key(
        "sleep_after",
        "a time",
        NONE,
        "How long an address of the component has nothing to do before it falls asleep, 1 s to 30 d. The first stanza for it wakes it. See [Addresses that sleep](../owner/component.md#addresses-that-sleep).",
    ),
    key(
        "tls",
        "`\"direct\"`",
        NONE,
        "TLS begins at once, and the certificate has to be for the host in `server`. Without it there is no TLS, which is refused for another machine.",
    ),
];

/// The names of the keys in [`TOP`].
pub static TOP_NAMES: [&str; TOP.len()] = names(TOP);
/// The names of the keys in [`ACCOUNT`].
pub static ACCOUNT_NAMES: [&str; ACCOUNT.len()] = names(ACCOUNT);

/// The names of the keys in [`GROUP`].
pub static GROUP_NAMES: [&str; GROUP.len()] = names(GROUP);

/// The names of the keys in [`AUDIT`].
pub static AUDIT_NAMES: [&str; AUDIT.len()] = names(AUDIT);

/// The names of the keys in [`CLUSTER`].
pub static CLUSTER_NAMES: [&str; CLUSTER.len()] = names(CLUSTER);

/// The names of the keys in [`COMPONENT`].
pub static COMPONENT_NAMES: [&str; COMPONENT.len()] = names(COMPONENT);

/// The names of the keys in [`ENCRYPTION`].
pub static ENCRYPTION_NAMES: [&str; ENCRYPTION.len()] = names(ENCRYPTION);

/// The names of the keys in [`PERSON`].
pub static PERSON_NAMES: [&str; PERSON.len()] = names(PERSON);

/// The names of the keys in [`WEB`].
pub static WEB_NAMES: [&str; WEB.len()] = names(WEB);

/// The names of the keys in [`WINDOW`].
pub static WINDOW_NAMES: [&str; WINDOW.len()] = names(WINDOW);

/// Returns the names of these keys.
pub const fn names<const COUNT: usize>(keys: &[Key]) -> [&'static str; COUNT] {
    let mut names = [""; COUNT];
    let mut at = 0;
    while at < COUNT {
        names[at] = keys[at].name;
        at += 1;
    }
    names
}
