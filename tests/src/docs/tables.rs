//! Pages about the host's tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use parlor_authoring::plugin_test::script::{ACTIONS, STEPS};
use parlor_base::permission::{Permission, ScopeKind};
use parlor_base::quantity::Bytes;
use parlor_config::{Role, SETTINGS, SettingKind};
use parlor_plugins::limits::{Limits, Row, WASM_STACK};
use parlor_runtime::mappings;
use parlor_session::permissions::{CALLS, DEFAULT_QUOTA, EVENTS};

/// The order in which events follow a log-in.
const ORDER: &str = "pluginsInitialized → connectionInitialized → connected → statusInitialized → discoInitialized → \
                     rosterInitialized → cachedRoster, where a cache was used → roster → rosterGroupsFetched → \
                     rosterContactsFetched → chatBoxesInitialized → chatBoxesFetched → bookmarksInitialized → \
                     roomsPanelRendered → roomsAutoJoined and privateChatsAutoJoined → initialized";

/// Events and promises.
pub(super) fn events(words: &BTreeMap<String, String>) -> Result<String> {
    ensure!(
        words.len() == EVENTS.len(),
        "docs/reference/words.toml has {} events, the host {}",
        words.len(),
        EVENTS.len()
    );
    let mut text = format!(
        "# Events and promises\n\nA plugin hears of an event by `listen.on`. Events that are promises can be waited for with \
         `api.wait-until`, too: a plugin that comes late gets them at once. Only the host fires these names; plugins \
         fire and promise names of their own.\n\nAfter a log-in: {ORDER}. None of them waits for a plugin.\n\n\
         | event | carries | grant | promise | when |\n|---|---|---|---|---|\n"
    );
    for rule in EVENTS {
        let when =
            words.get(rule.name).with_context(|| format!("docs/reference/words.toml says nothing of {}", rule.name))?;
        let grant = rule.permission.map_or_else(|| "none".to_owned(), |permission| format!("`{permission}`"));
        let promise = if rule.promise { "yes" } else { "" };
        let _ = writeln!(text, "| `{}` | {} | {grant} | {promise} | {when} |", rule.name, rule.payload);
    }
    Ok(text)
}

/// Settings.
pub(super) fn settings(words: &BTreeMap<String, String>) -> Result<String> {
    ensure!(
        words.len() == SETTINGS.len(),
        "docs/reference/words.toml has {} settings, the host {}",
        words.len(),
        SETTINGS.len()
    );
    let mut text = "# Settings\n\nThe host's, under `[settings]` in [`parlor.toml`](config.md), as \
                    `PARLOR_SETTING_KEY` in the environment, or by `--set KEY=VALUE`; flags win over the environment, \
                    and that over the file. A plugin with `settings.read` reads them; one with `settings.write` \
                    changes those of the role *effect* for its account, until the process ends. Those of the \
                    *operator* no plugin changes, and a *secret* no plugin reads. *Data* is kept for a front end.\n\n\
                    | setting | value | default | role | what it does |\n|---|---|---|---|---|\n"
        .to_owned();
    for rule in SETTINGS {
        let what =
            words.get(rule.key).with_context(|| format!("docs/reference/words.toml says nothing of {}", rule.key))?;
        let role = match rule.role {
            Role::Effect => "effect",
            Role::Operator => "operator",
            Role::Secret => "secret",
            Role::Data => "data",
        };
        let default = if rule.default == "null" { "none".to_owned() } else { format!("`{}`", rule.default) };
        let _ = writeln!(text, "| `{}` | {} | {default} | {role} | {what} |", rule.key, kind(rule.kind));
    }
    Ok(text)
}

fn kind(kind: SettingKind) -> String {
    match kind {
        SettingKind::Flag => "true or false".to_owned(),
        SettingKind::Text => "text".to_owned(),
        SettingKind::Number(least, most) => format!("{least} to {most}"),
        SettingKind::Choice(choices) => choices.join(", "),
        SettingKind::Choices(choices) => format!("some of {}", choices.join(", ")),
        SettingKind::Jids => "JIDs".to_owned(),
        SettingKind::Rooms => "rooms".to_owned(),
        SettingKind::Names => "plugin ids".to_owned(),
        SettingKind::Any => "any JSON".to_owned(),
    }
}

/// Permissions.
pub(super) fn permissions() -> String {
    let mut text = "# Permissions\n\nOwners grant permissions under `[plugin.ID.grants]` in `plugins.toml`. A plugin \
                    without a grant is refused: its call ends in `denied`, which says what would allow it, and \
                    it does not hear the event.\n\n"
        .to_owned();
    for &permission in Permission::ALL {
        let _ = writeln!(text, "## {permission}\n\n{} Risk: {}.\n", permission.describe(), permission.risk());
        let scope = match permission.scope_kind() {
            ScopeKind::None => "Scope: none; it is granted or not.",
            ScopeKind::Jids => "Scope: JIDs, domains, `contacts`, rooms where messages are meant, or `*`.",
            ScopeKind::Messages => {
                "Scope: JIDs, domains, `contacts`, rooms, or `*`; with `encrypted:` before it, such as `encrypted:*`, an entry covers only \
                 messages that were encrypted from end to end."
            }
            ScopeKind::Rooms => "Scope: rooms, their domains, or `*`.",
            ScopeKind::Stanzas => {
                "Scope: kinds of stanzas, such as `message`, or with a recipient, such as `message:juliet@example.org`."
            }
            ScopeKind::Quota => "Scope: how much.",
            ScopeKind::Servers => {
                "Scope: servers, such as `api.example.org` or `*.example.org`, over TLS unless an entry begins with `http://`; with \
                 a port as `api.example.org:8443`, and with a method and a path as `GET https://api.example.org/repos/`. `*` is every \
                 server over TLS. An address that is not of the public network is dialed only if an entry is that address, such as \
                 `https://127.0.0.1`."
            }
            ScopeKind::Files => {
                "Scope: media types, sizes or both, such as `image/*`, `10 MiB` or `image/png 5 MiB`; `*` is every file."
            }
            ScopeKind::Namespaces => {
                "Scope: XML namespaces that the manifest lists, such as `urn:example:weather`; `*` is each of them. The host keeps those \
                 for itself that it answers, and those that are about the account."
            }
            ScopeKind::Nodes => {
                "Scope: nodes with their services, such as `pubsub.example.org/news` or `juliet@example.org/urn:example:mood`; in place of \
                 the service `own` (this account), `contacts`, `@example.org` or `*`, in place of the node `*`. `*` alone is every node of \
                 every service. Nodes that the host keeps for itself, such as bookmarks and keys, are refused."
            }
            ScopeKind::Plugins => {
                "Scope: plugins, by the ids that the owner gave them, such as `dice`; `*` is every plugin on the account."
            }
        };
        let calls = CALLS.iter().filter(|call| call.permission == Some(permission));
        let calls: Vec<_> = calls.map(|call| format!("`{}.{}`", call.grouping, call.function)).collect();
        let events = EVENTS.iter().filter(|rule| rule.permission == Some(permission));
        let events: Vec<_> = events.map(|rule| format!("`{}`", rule.name)).collect();
        text.push_str(scope);
        for (title, names) in [("Calls", calls), ("Events", events)] {
            if !names.is_empty() {
                let _ = write!(text, "\n\n{title}: {}.", names.join(", "));
            }
        }
        text.push_str("\n\n");
    }
    text
}

/// The limits of each plugin on each account.
pub(super) fn limits() -> String {
    let room = mappings::MOST / mappings::OF_A_PLUGIN;
    let mut page = format!(
        "# Limits\n\n\
        Each plugin has these limits, on each account by itself. Owners set other numbers under `[plugin.NAME.limits]` in \
        `plugins.toml`; a running host takes them over when the file is saved.\n\n\
        A host has room for {room} plugins, counted on each account by itself, if each has one memory, as most have. Each memory \
        beyond it takes as much room as a third of a plugin, and so does each component of which a plugin is composed. There is room \
        for fewer, as the host's log says, where the kernel allows a process fewer than 65,530 mappings (`vm.max_map_count`, which is \
        that unless somebody changed it). One that finds no room says so in \
        `parlor status`, is not counted as one that fails, and starts when another one has left. More accounts than that are for another `parlor`, with a data folder of its own.\n\n\
        | limit | default | from | to | of what |\n|---|---|---|---|---|\n"
    );
    for row in Limits::table() {
        let Row { name, about, default, least, most, .. } = row;
        let _ = writeln!(page, "| `{name}` | {default} | {least} | {most} | {about} |");
    }
    let quota = Bytes(DEFAULT_QUOTA);
    let _ = writeln!(
        page,
        "\nThe stack of a plugin's code is {WASM_STACK} for all plugins, which nobody can change: it belongs to \
        the engine, and a plugin that recurses deeply keeps a list of its own in place of the calls. Local variables in C have \
        another 512 KiB, in Rust 1 MiB. The quota of a plugin's storage is part of its grant, such as `storage = [\"1 MiB\"]` under `[plugin.NAME.grants]`; `storage = true` is {quota}.\n\n\
        `parlor status NAME` shows how much a plugin uses of each, its storage and the stack among them. A `-` means that there is no use to \
        show: for limits of a single action, such as a start or a call, and for those that the engine counts and tells nobody.\n\n\
        Nobody can change these limits, and a call beyond them fails with `over-limit`:\n\n\
        - The account has at most 1,000 open rooms, 1,000 bookmarks and 50,000 contacts. 8,192 requests (IQs) wait \
        for answers, 256 pages of archives are under way, and 64 changes of the vCard wait for one another.\n\
        - A plugin has added or changed at most 10,000 contacts that are still in the roster.\n\
        - The account's vCard has at most 240 KiB after `vcard.set`. The features and identities that all plugins add \
        by `disco` have 48 KiB together.\n\
        - A room in which messages are encrypted has at most 500 people, whose lists have at most 2,048 devices, of one \
        person up to 50 in each form of OMEMO. The keys for all devices and the text have at most 200 KiB, or the message \
        fails with `invalid`: that is enough for some 600 devices, and for some 900 if all of them have written to the \
        account. A message waits for keys for up to 90 seconds. 256 messages to one \
        recipient, and 4,096 of the account, wait for keys; 64 and 1,024 wait for a chat by OTR to begin; 8,192 encrypted \
        messages of the account wait for the disk.\n\n\
        Other calls fail with `invalid`: a request over the web names at most 8 credentials, which add at most 64 KiB \
        to it, and the configuration of a room has at most 100 fields with 1,000 values and 64 KiB. Without an error, \
        a timer ends after a year at the latest, and the 256th word of a command is all that is left of it.\n\n\
        ## Many calls at once\n\n\
        The host refuses a call beyond `open_calls` with `over-limit`. Some SDKs make it again once another call has ended:\n\n\
        | language | calls that wait for their turn | other calls |\n|---|---|---|\n\
        | Rust | `api::emit`, `api::send`, `chats::send`, `rooms::send`, and all of `storage` | end in `over-limit` |\n\
        | Python | all that are awaited | none |\n\
        | JavaScript, TypeScript | all that return a promise but `waitUntil` and `timers.sleep`, 128 at once | made at once; those that \
        are refused wait as well |\n\
        | Go | none | end in `over-limit` |\n\
        | C | none is needed: a plugin waits for each call before it makes the next | none |\n\n\
        A call that finds no other call open whose end it could wait for ends in `over-limit` in every language. In Rust it first \
        tries again for ten seconds.\n\n\
        ## More than a limit allows in a second\n\n\
        Calls that send something beyond `messages_per_second` or `bytes_per_second` wait, and are carried out in \
        their order. So if some hundred people give a command at once, all of them get an answer. A call that would \
        wait for more than 30 seconds fails with `over-limit` at once, since the plugin has much more to send than \
        the limit allows. If the limit `handler` is set, calls wait for half of it at most. Calls that wait count \
        for `host_memory` and for `open_calls`, or `dialogs`. Their handlers count for `handlers`. For the other \
        limits per second, calls wait for at most two seconds.\n\n\
        ## Without a connection\n\n\
        No SDK keeps calls for later. Before the first log-in, and after the host has given the connection up, a call that needs the \
        server ends in `offline` in every language; `user.set-status` is kept, and sent after the log-in. During a cut the host keeps \
        what is sent, as [`api.send`](api/api.md#send) says; a message that stays unsent for longer than `keep_unsent` of the account comes \
        back as `messageError`."
    );
    page
}

/// The language of plugins' tests.
pub(super) fn testing() -> String {
    let mut page = "# Tests of plugins\n\n\
        `parlor plugin test` runs the tests in `tests/*.chat` of a plugin's folder, for plugins in all languages. There is \
        no server: people and rooms are simulated, and the session, the permissions and the plugin itself are the same as on \
        a host. The clock is paused and a test moves it, so that an hour takes no time. Random numbers begin with the same \
        seed in each test, so that every run gives the same result.\n\n\
        A test has a name and steps. Below each step, indented, are the plugin's actions. The plugin has to do exactly these \
        actions, in this order. If a step has no lines below it, the plugin must do nothing.\n\n\
        ```text\n\
        == it answers, and reminds later\n\
        alice: remind me in 10 min of tea\n  \
          to alice: I will.\n\
        after 10 min\n  \
          to alice: tea!\n\
        ```\n\n\
        Each test begins with empty storage and empty rooms, at noon of 1 January 2026, with all permissions that \
        `plugin.toml` asks for. `alice` is `alice@example.org`, `garden` the room `garden@rooms.example.org`, `garden/alice` \
        alice in it, and the plugin's account is `bot@example.org`; you can also write full addresses, and must do so in the \
        value of a setting: `set room = \"garden@rooms.example.org\"`. Write a name with spaces in quotes together with its \
        room, as in `\"garden/bob the builder\" enters`, and without quotes in the plugin's actions. `parlor plugin test --update` \
        records the actual actions: write the steps, let it write the rest, and check whether the result is correct. For an \
        error that is logged with a stack, it writes the error, and `*` for the stack. A line that cannot be parsed fails \
        only its own test.\n\n\
        Write a message of several lines as several lines, with a bar before each but the first. The body of an answer of the web, or of a \
        request to a webhook, goes on in the same way, and may begin in the line below. In a line that ends with ` (glob)`, \
        `*` matches anything, also the rest of those lines: `to alice: Commands:*!whoami* (glob)` matches a help that contains `!whoami`.\n\n\
        A message that refers to an earlier one shows that in brackets, with the first line of the earlier one, or 40 characters of it \
        and `…`, in quotes; or with `what nobody said`, if there is none with such an id. A retraction has the \
        text that the host adds for clients that know none: `to alice (retracts \"helo\")* (glob)`.\n\n\
        A person who gives a declared command by a form sees the same as in an ordinary client: each page with its fields \
        and values, mistakes, and the answer. A client shows one form at a time, and fills in the page that was shown last:\n\n\
        ```text\n\
        alice opens the form roll\n  \
          shows alice the form \"Rolls dice\": sides = 6, secret\n\
        alice fills in sides with 20\n\
        alice sends the form\n  \
          answers alice in the form: 14\n\
        ```\n\n\
        The default limits apply: 50 messages at once and 10 a second, by the clock of the test. If a plugin sends more \
        than that, let time pass by `after 10 s`. The host itself gives each person five answers at once to `!help` and to \
        wrong commands, and then one in two seconds. Only CPU time is measured differently: a handler that never waits is \
        ended after 10 s of CPU time, on a host after 1 s (`cpu_slice`), and the share (`cpu_share`) does not \
        matter. `parlor plugin dev` is as strict as an owner.\n\n\
        With `room garden: alice`, alice is in the room before the plugin's account, which enters it at the log-in. If the \
        plugin itself enters a room, write the people who are there before it above that step. Above a written `start` \
        people may enter, leave and be online before the plugin runs:\n\n\
        ```text\n\
        == it greets who was there before\n\
        garden/alice enters\n\
        start\n  \
          enters garden as bot\n  \
          to garden: Hello, alice!\n\
        ```\n\n\
        The account is an owner of each room, and sees people's addresses. People are participants, unless a test says \
        otherwise; messages of visitors are dropped. Every room gives people an occupant id, which does not depend on the \
        nickname. In a room that is `anonymous` the account is a participant: it sees no addresses, and cannot moderate, \
        configure the room or set the subject. In one that is `moderated` it is a visitor, whose messages come back \
        with `forbidden`, until a moderator gives it voice or it registers. A change of a role or an affiliation names the account as \
        its actor, with the reason, and tells also of people who are not in the room (`affiliationChanged`). The account cannot kick an \
        owner (`not-allowed`), ban itself or give up its ownership (`conflict`). Every room accepts registrations, unless an \
        occupant has the nickname, and makes the account a member. A room that is `retracting` retracts messages for moderators \
        (XEP-0425), and others answer `rooms.retract` with `unsupported`. The server drops messages from blocked people \
        (XEP-0191), returns the plugin's to them (`not-acceptable`), and takes reports about them (XEP-0377).\n\n\
        Messages of people and the plugin are archived as servers do it, and `archive.query` reads them, in pages of at most 50 \
        messages: private ones in the account's archive, those of a room in that room's. The last 10,000 are kept. A \
        plugin with `catch_up` gets out of them the messages between its end and its next start. A test with `no archive` at \
        the top has a server without an archive.\n\n\
        A service refuses what the plugin asks it about nodes (`service-unavailable`), unless a line says what it answers or refuses. The \
        first element in such an answer says which request it is for: `items`, `publish`, or `subscription` for `subscribe`. An empty \
        `<pubsub xmlns='http://jabber.org/protocol/pubsub'/>` is for all others in this namespace, such as `retract`, `unsubscribe` and \
        `create`; `configure`, `purge` and `delete` have the namespace `http://jabber.org/protocol/pubsub#owner`. The account's own nodes \
        accept everything, give items ids and have no items, until a line of `bot` says something else. Notifications come by `xml <message …>`.\n\n\
        `beside ../stamp` puts another plugin on the account: that folder, which is built first, or a file; the path begins at the \
        folder of the plugin that is tried. It has what its manifest asks for, starts first, and what it does is shown like what the \
        plugin itself does. So a hook gets messages and commands of other plugins, and a request reaches the plugin that \
        answers it. Plugins whose manifests require hooks are asked in the order of these lines, the tested plugin first; \
        `order` sets another order, as the owner does, also for an optional permission. Each has five seconds for a verdict.\n\n\
        Stanzas that the plugin sends while the connection is `cut` go out at `back`, and no message does after a cut of more \
        than an hour, the default of `keep_unsent`: each comes back as a `messageError`. A step \
        fails if the plugin ends during it and no line expects that. A plugin that works on something is given another 5 ms of the \
        test's clock to finish. After the last step of a test it has 50 ms more: if it ends in them, the last step fails. After an \
        earlier step that time is not waited for, and the plugin ends at the step that lets time go by.\n\n\
        If a plugin in Rust or C ends by a mistake, the author's own functions are shown with their files and lines, and in Go, \
        where it is no panic, by their names; in the other \
        languages the language's own report is shown. A plugin in C that is tested also ends at undefined behaviour: a \
        NULL pointer, an index past the end of an array whose length is known, a division by 0, a number that becomes \
        too large for its type; and at an `assert` that fails. These mistakes are not detected: writing past the end of memory from \
        `malloc`, or by `strcpy` past that of an array, freeing twice, and using memory after it was freed. The file for \
        owners has none of these checks: there `assert` does nothing. Compiled code is kept for the next time, in `parlor/tried` \
        where the programs of this user keep their data.\n\n\
        A folder is built first if anything in it, or behind a link in it, has changed since it was. Files from elsewhere, such \
        as `#include \"../common.h\"`, are not checked: `parlor plugin build` builds in any case.\n\n\
        For a logged stack, the author's own functions are shown and the others are counted. It is shown once in a run, \
        below the first test that it belongs to, and so is a failed start.\n\n\
        Functions of a plugin in Go or Python can be tried without a host as well, by `go test .` and by `PYTHONPATH=.parlor/sdk \
        python3 -m unittest` (or pytest), once `parlor plugin build` has put the SDK into the folder. A call of the host is an \
        error there that names the call; in Go, one that is generated from the contract panics with it. Plugins in Rust are tried by \
        `cargo test`.\n\n\
        `parlor plugin dev` has the same people and rooms, and you play the people, on the machine's clock: a line is a \
        message to the plugin, and the steps of a test are written after a slash, such as `/garden/bob enters` or `/deny messages.send`. It builds \
        the plugin at each save, and reads lines from a script, too.\n\n\
        ## Steps\n\n| line | meaning |\n|---|---|\n"
        .to_owned();
    for row in STEPS {
        let _ = writeln!(page, "| `{}` | {} |", row.example, row.about);
    }
    page += "\n## Actions of the plugin\n\n| line | meaning |\n|---|---|\n";
    for row in ACTIONS {
        let _ = writeln!(page, "| `{}` | {} |", row.example, row.about);
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_page_names_the_calls_that_wait_for_their_turn_in_rust() {
        let mut waits = BTreeSet::new();
        for file in ["api", "chats", "contacts", "disco", "promises", "rooms", "settings", "storage", "user", "vcard"] {
            let text = super::super::read(&format!("plugins-sdk/src/{file}.rs")).unwrap();
            for call in text.split("in_turn(").skip(1) {
                let (_, name) = call.split_once("of_call(\"").unwrap();
                waits.insert(name.split('"').next().unwrap().to_owned());
            }
        }
        let storage = super::super::calls().unwrap().into_iter().filter(|call| call.starts_with("storage."));
        let sends = ["api.emit", "api.send", "chats.send", "rooms.send"].map(str::to_owned);
        assert_eq!(waits, storage.chain(sends.clone()).collect());
        let page = limits();
        let row = page.lines().find(|line| line.starts_with("| Rust | ")).unwrap();
        for call in sends {
            assert!(row.contains(&format!("`{}`", call.replace('.', "::"))), "{call}: {row}");
        }
        assert!(row.contains("all of `storage`"), "{row}");
    }

    #[test]
    fn the_page_has_the_limits_that_nobody_can_change_as_the_sources_have_them() {
        let page = limits();
        for (file, limit, says) in [
            ("session/src/rooms.rs", "MAX_ROOMS: usize = 1_000;", "1,000 open rooms"),
            ("stanza/src/types/rooms.rs", "MAX_BOOKMARKS: usize = 1_000;", "1,000 bookmarks"),
            ("session/src/roster.rs", "MAX_CONTACTS: usize = 50_000;", "50,000 contacts"),
            ("session/src/iq.rs", "MOST_IQS: usize = 1_024;", "8,192 requests (IQs)"),
            ("session/src/iq.rs", "MAX_OUTSTANDING: usize = 8 * MOST_IQS;", "8,192 requests (IQs)"),
            ("session/src/archive.rs", "MAX_RUNNING: usize = 256;", "256 pages of archives"),
            ("session/src/cards.rs", "MAX_CHANGES: usize = 64;", "64 changes of the vCard"),
            ("runtime/src/record.rs", "MOST_ADDED: usize = 10_000;", "10,000 contacts"),
            ("session/src/cards/fetching.rs", "MAX_WHOLE: usize = 240 * 1024;", "vCard has at most 240 KiB"),
            ("session/src/disco/own.rs", "MAX_ADDED: usize = 48 << 10;", "48 KiB together"),
            ("session/src/encryption/members.rs", "MAX_PEOPLE: usize = 500;", "at most 500 people"),
            ("session/src/encryption/waiting.rs", "MAX_OF_ONE: usize = 256;", "256 messages to one recipient"),
            ("session/src/encryption/waiting.rs", "MAX_WAITING: usize = 4_096;", "4,096 of the account"),
            ("session/src/encryption/otr.rs", "MAX_MESSAGES: (usize, usize) = (64, 1_024);", "64 and 1,024 wait"),
            ("runtime/src/account/held_back.rs", "MOST: usize = 8_192;", "8,192 encrypted messages"),
            ("runtime/src/api/http/credentials.rs", "MOST: usize = 8;", "at most 8 credentials"),
            ("runtime/src/api/http/credentials.rs", "MOST_ADDED: usize = 64 << 10;", "add at most 64 KiB"),
            ("runtime/src/api/rooms/arguments.rs", "MAX_FIELDS: usize = 100;", "at most 100 fields"),
            ("runtime/src/api/rooms/arguments.rs", "MAX_VALUES: usize = 1_000;", "1,000 values"),
            ("runtime/src/timers.rs", "LONGEST: Duration = Duration::from_hours(365 * 24);", "after a year"),
            ("session/src/commands/giving.rs", "MAX_ARGS: usize = 256;", "the 256th word"),
        ] {
            let source = super::super::read(&format!("host/{file}")).unwrap();
            assert!(source.contains(&format!(" {limit}")), "{file} has another limit: {limit}");
            assert!(page.contains(says), "the page does not say: {says}");
        }
    }
}
