//! Every key that a manifest may have, in one table. The parser refuses all others, and the page for authors is
//! generated from it.

use std::sync::LazyLock;

use parlor_base::id::PluginId;
use parlor_session::event::LONGEST_NAME;

use super::{MAX_ENTRIES, MAX_LICENSE, MAX_REASON, MAX_SETTING_NAME};
use crate::binding::{MAX_PLACES, MAX_SERVERS};
use crate::setting;

/// The maximum length of a description, in bytes.
pub(crate) const MAX_DESCRIPTION: usize = 1000;
/// The maximum length of a webhook's name, in bytes.
pub(crate) const MAX_WEBHOOK_NAME: usize = 32;
/// The maximum number of methods, and of headers that are passed on.
pub(crate) const MAX_LISTED: usize = 32;

/// A key, as documented for authors.
#[derive(Debug, Clone)]
pub struct Key {
    /// The table that the key belongs to; empty = none.
    pub table: &'static str,
    /// The key's name. A part that stands for any name is in capitals.
    pub name: &'static str,
    /// The type of its value.
    pub shape: &'static str,
    /// The default value; `None` = the key is required.
    pub default: Option<&'static str>,
    /// The limit on its value; empty = no specific limit.
    pub limit: String,
    /// A description of its purpose.
    pub about: &'static str,
    /// An example of its use, which is part of [`EXAMPLE`].
    pub example: &'static str,
}

/// A manifest with every key and every type of setting.
pub const EXAMPLE: &str = include_str!("example.toml");

/// Returns the keys that a table may have.
pub fn of(table: &str) -> Vec<&'static str> {
    all().iter().filter(|key| key.table == table).map(|key| key.name).collect()
}

/// Returns all keys, table by table.
pub fn all() -> &'static [Key] {
    // They are kept, since parsing a manifest asks for them once for each entry.
    static ALL: LazyLock<Vec<Key>> = LazyLock::new(|| {
        [plugin(), permissions(), dependencies(), settings(), webhook(), requests(), provides()].concat()
    });
    &ALL
}

fn key(
    table: &'static str,
    name: &'static str,
    shape: &'static str,
    about: &'static str,
    example: &'static str,
) -> Key {
    Key { table, name, shape, default: None, limit: String::new(), about, example }
}

impl Key {
    fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    fn within(mut self, limit: impl Into<String>) -> Self {
        self.limit = limit.into();
        self
    }
}

fn plugin() -> Vec<Key> {
    let key = |name, shape, about, example| key("plugin", name, shape, about, example);
    let list = format!("at most {MAX_ENTRIES}");
    vec![
        key("name", "text", "The author's name for it. What counts later is the id that the owner gives it, which is this one unless they say otherwise.", "name = \"tea\"")
            .within(format!("1 to {} of `a`-`z`, `0`-`9`, `_` and `-`, a letter or digit first", PluginId::MAX_LEN)),
        key("version", "text", "Which version this is, by the rules of semver.", "version = \"0.1.0\""),
        key("api", "text", "The version of the contract that it is built against.", "api = \"0.1.0\""),
        key("description", "text", "What it does, in one sentence.", "description = \"Says when the tea is ready\"")
            .within(format!("{MAX_DESCRIPTION} bytes")),
        key("authors", "list of texts", "Who wrote it.", "authors = [\"Juliet\"]").or("none").within(list),
        key("license", "text", "Under which terms, an SPDX expression.", "license = \"MIT\"")
            .or("none")
            .within(format!("{MAX_LICENSE} bytes")),
        key("changes", "table of texts", "What is new, a sentence for each version, under its number. Who updates is shown those of the versions in between.", "changes = { \"0.1.0\" = \"Calls people by their names\" }")
            .or("none")
            .within(format!("{MAX_DESCRIPTION} bytes each")),
        key("catch_up", "true or false", "Tell it the messages that it missed, out of the archives of the account and of the rooms that the account is in, as `message` with `delayed`: it subscribes with `delayed`, and asks for `messages.read`. Live messages do not wait for missed ones: sort by `at` where the order counts. How many and how old: `catch_up_messages` and `catch_up_age` in [Limits](limits.md).", "catch_up = true")
            .or("false"),
        key("parks", "true or false", "End its instance while it has nothing to do, and start it again with its next event. For a plugin that keeps its state in storage, see [Parked plugins](../author/parked-plugins.md). How long it has to be idle: `idle` in [Limits](limits.md).", "parks = true")
            .or("false"),
        key("in_order", "true or false", "Handle the events of one room or person one after the other, commands included. Those of other rooms and people are handled meanwhile. See [One room at a time](../author/in-order.md).", "in_order = true")
            .or("false"),
    ]
}

fn permissions() -> Vec<Key> {
    let key = |name, shape, about, example| key("permissions", name, shape, about, example);
    vec![
        key("scope", "`true`, or a list of texts", "How far it would like to reach. What may be listed stands with each permission in [Permissions](permissions.md); `true` is for those without a scope, and for `storage`, where it means 16 MiB. The owner may grant less.", "scope = [\"1 MiB\"]")
            .or("true")
            .within("1000 entries"),
        key("only", "`\"encrypted\"`", "Of `messages.read` and `archive.read`: it wants those messages alone that were encrypted from end to end, and hears no others. In a list of the owner's, such entries begin with `encrypted:`.", "only = \"encrypted\"")
            .or("none"),
        key("reason", "text", "Why, to the owner who is asked.", "reason = \"to remember who likes it how\"")
            .within(format!("{MAX_REASON} bytes")),
        key("optional", "true or false", "It starts without it, too. Calls that need it are then answered with `denied`. Listeners that it adds in its `initialize`, such as by a decorator, are added, with a line in the log; they get events once the owner grants the permission.", "optional = true")
            .or("false"),
    ]
}

fn dependencies() -> Vec<Key> {
    let key = |name, shape, about, example| key("dependencies", name, shape, about, example);
    vec![
        key(
            "version",
            "text",
            "Which versions of the plugin with this id or name will do, as a range of semver; `\"*\"` is any. `PLUGIN = \"RANGE\"` is the same as this key alone.",
            "greeter = \"^0.1\"",
        ),
        key(
            "optional",
            "true or false",
            "It starts without that plugin, too. Where it is there, it is started first.",
            "kettle = { version = \"*\", optional = true }",
        )
        .or("false"),
    ]
}

fn settings() -> Vec<Key> {
    let key = |name, shape, about, example| key("settings", name, shape, about, example);
    vec![
        key("type", "text", "One of the types below.", "type = \"choice\""),
        key("description", "text", "What it is for, to the owner.", "description = \"Which tea is made\"")
            .within(format!("{MAX_DESCRIPTION} bytes; a NAME has 1 to {MAX_SETTING_NAME} of `a`-`z`, `0`-`9` and `_`, a letter first")),
        key("default", "what the type says", "The value where nobody gives one. Not for a secret, which everybody who has the file could read.", "default = \"green\"")
            .or("none"),
        key("required", "true or false", "The plugin is refused until its owner has given a value; not together with `default`.", "required = true")
            .or("false"),
        key("choices", "list of texts", "What may be chosen; with the type `choice`, and only with it.", "choices = [\"green\", \"black\"]")
            .or("none")
            .within(format!("1 to {}", setting::MAX_CHOICES)),
        key("hosts", "list of servers", "Where a credential goes, as entries of `http.fetch` over TLS, none of them `*`; with the type `credential`, and only with it. It may be left out where the credential only verifies requests to a webhook.", "hosts = [\"https://api.example.org\"]")
            .or("none")
            .within(format!("1 to {MAX_SERVERS}")),
        key("insert_in", "list of texts", "The parts of a request that the host writes a credential into: `header` for the value of each header, `header NAME` for that of one, `query` and `body`. A `{{name}}` elsewhere is sent as it stands, as people may have written it; with `hosts` only.", "insert_in = [\"header authorization\"]")
            .or("`[\"header\", \"query\"]`")
            .within(format!("1 to {MAX_PLACES}")),
    ]
}

fn webhook() -> Vec<Key> {
    let key = |name, shape, about, example| key("webhook", name, shape, about, example);
    let listed = format!("at most {MAX_LISTED}");
    vec![
        key("description", "text", "What is sent there, to the owner.", "description = \"Orders of the shop\"")
            .within(format!("{MAX_DESCRIPTION} bytes; a NAME has 1 to {MAX_WEBHOOK_NAME} of `a`-`z`, `0`-`9`, `_` and `-`, a letter first")),
        key("verify", "text", "How the host verifies who sends, see the ways below.", "verify = \"hmac-sha256\""),
        key("secret", "text", "The setting with the secret, of the type `credential`, `secret` or `string`. A `credential` never reaches the plugin.", "secret = \"shop_key\"")
            .or("none, with `verify = \"none\"`"),
        key("mode", "text", "`queue`: the host stores a request and answers at once, and the plugin is told at least once. `answer`: the plugin answers.", "mode = \"queue\"")
            .or("\"queue\""),
        key("methods", "list of texts", "The methods that it takes: of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS.", "methods = [\"POST\"]")
            .or("[\"POST\"]"),
        key("paths", "true or false", "Whether it also takes requests to paths below its address. The plugin gets the part below it.", "paths = true")
            .or("false"),
        key("headers", "list of texts", "The headers that the plugin gets, beside `content-type`.", "headers = [\"x-shop-event\"]")
            .or("none")
            .within(listed),
        key("header", "text", "The header with the signature or the token; with `hmac-sha256`, `hmac-sha1`, `token` and `stripe`.", "header = \"x-shop-signature\"")
            .or("see the ways below"),
        key("prefix", "text", "What stands before the signature; with `hmac-sha256` and `hmac-sha1`.", "prefix = \"sha256=\"")
            .or("nothing"),
        key("encoding", "text", "How the signature is written, `hex` or `base64`; with `hmac-sha256` and `hmac-sha1`.", "encoding = \"base64\"")
            .or("\"hex\""),
    ]
}

fn requests() -> Vec<Key> {
    let about =
        "The names of the requests that it answers. It needs `plugins.answer`, whose scope says which plugins may ask.";
    let limit = format!("at most {MAX_ENTRIES}, each of 1 to {LONGEST_NAME} bytes");
    vec![key("requests", "names", "list of texts", about, "names = [\"brew\"]").within(limit)]
}

fn provides() -> Vec<Key> {
    let key = |name, shape, about, example| key("provides", name, shape, about, example);
    let names = format!("at most {MAX_ENTRIES}, each of 1 to {LONGEST_NAME} bytes and no name of the host's");
    vec![
        key(
            "events",
            "list of texts",
            "Events of its own, which no other plugin may fire on the accounts where it is to run, also while it does not. One that nobody lists anybody may.",
            "events = [\"teaReady\"]",
        )
        .or("none")
        .within(names.clone()),
        key(
            "promises",
            "list of texts",
            "Promises of its own, which no other plugin may add or keep there.",
            "promises = [\"kettleHot\"]",
        )
        .or("none")
        .within(names),
    ]
}
