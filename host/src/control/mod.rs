//! The control socket: queries and commands to a running host, from the command line and later a web page.
//!
//! HTTP/1.1 over a Unix socket, `control.sock` in the data folder. Only processes of the host's user, and of root, are
//! served: the file is 0600, and the kernel reports the peer. Every response closes its connection. It carries the
//! headers `parlor-version`, the host's version, and `parlor-control`, [`PROTOCOL`]: a client that knows another number
//! reports that and sends nothing further. Bodies are JSON; a failure is `{"error": "one sentence"}`.
//!
//! A request may carry `parlor-by`, the name of a session of `parlor web`: the audit has it beside the user. After a space it has
//! the JID to which the link of that session was sent, or the accounts that the session is limited to. `reach` holds it to these,
//! and to those of which the person of the JID is an owner.
//!
//! `docs/owner/control.md` is the page for owners, which a test checks.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`](views::Status): the host, its accounts, and each plugin on each account |
//! | `GET /v1/plugins/ID` | [`Plugin`](views::Plugin): one plugin, with its use of each limit and its last denied calls |
//! | `GET /v1/plugins/ID/explain?what=WHAT&about=JID` | an [`Answer`](views::Answer) for each of its accounts: may it make this call, or does it hear of this event |
//! | `GET /v1/plugins/ID/webhooks` | [`Webhooks`](views::Webhooks) for each of its accounts: the addresses, and the last requests |
//! | `GET /v1/schedules` | [`Schedules`](views::Schedules) of all plugins, for each of their accounts |
//! | `GET /v1/plugins/ID/schedules` | the same of one plugin |
//! | `GET /v1/keys?jid=JID` | [`Keys`](views::Keys) of all accounts: their own, and those of others that they know, or of one person |
//! | `GET /v1/accounts/NAME/keys?jid=JID` | the same of one account |
//! | `GET /v1/logs?plugin=ID&level=warn&lines=100&follow=true` | a JSON [`Line`](views::Line) for each line of the log; with `account` only of lines about this account; with `follow` it continues until the client disconnects |
//! | `GET /v1/rooms` | [`Room`](views::Room)s of all accounts, or of `account`, with the plugins in them |
//! | `GET /v1/rooms/show?room=JID&account=NAME` | one of them |
//! | `GET /v1/contacts` | [`People`](views::People) of all accounts, or of `account`; with `jid` only this person |
//! | `POST /v1/contacts/accept?jid=JID&account=NAME` | lets a person who asks see the account's presence, and answers like `contacts` |
//! | `POST /v1/contacts/deny?jid=JID&account=NAME` | denies such a request, and answers likewise |
//! | `POST /v1/rooms/join?room=JID&account=NAME` | enters a room, and answers with it; also `nick`, `bookmark` and `new` |
//! | `POST /v1/rooms/leave?room=JID&account=NAME` | leaves a room, and answers likewise; also `bookmark` |
//! | `POST /v1/say?to=JID&text=TEXT&account=NAME` | sends a message as the account, and answers with [`Said`](views::Said) |
//! | `GET /v1/cluster` | [`Cluster`](views::Cluster): its nodes and accounts |
//! | `GET /v1/audit?plugin=ID&account=NAME&since=MS&kinds=grant,run&lines=100` | [`Audit`](audit::Audit): who changed what, and what plugins did; with `before=N` those before that one (in a cluster also a JSON object with a number for each node), with `after=N&wait=true` the entries after that one, once there are any or after 5 s |
//! | `POST /v1/cluster/drain?node=NAME` | has a node give its accounts away and take no others, or with `off=true` take accounts again, and answers like `cluster` |
//! | `POST /v1/web/link?to=JID&role=owner&minutes=10&account=NAME` | has an account send one of its owners the link in the body, and answers with [`Said`](views::Said); also `asked` |
//! | `POST /v1/reload` | reloads the policy, waits until each changed plugin has started or failed, and answers like `status` |
//! | `POST /v1/configure` | reloads the configuration and the policy, retries failed accounts, and answers likewise |
//! | `POST /v1/plugins/ID/restart` | restarts the plugin on each of its accounts |
//! | `GET /v1/plugins/ID/settings` | its settings, a list of [`PluginSetting`](views::PluginSetting)s, without secrets |
//! | `POST /v1/plugins/ID/settings` | changes settings as the body says, a list of [`NewSetting`](views::NewSetting)s, and answers like `status` |
//! | `POST /v1/plugins/ID/enable` | lets the plugin run, waits as `reload` does, and answers like `status` |
//! | `POST /v1/plugins/ID/disable` | keeps it from running, and answers likewise |
//! | `POST /v1/plugins/ID/webhooks/drop?request=N&account=NAME` | drops a request that waits, and answers like `webhooks` |
//! | `POST /v1/plugins/ID/webhooks/replay?request=N&account=NAME` | tells the plugin once more of a request that is over, and answers like `webhooks` |
//! | `POST /v1/plugins/ID/webhooks/rotate?webhook=NAME&account=NAME` | gives a webhook another address, and answers likewise |
//! | `GET /v1/plugins/ID/data?account=NAME&after=KEY&lines=100` | a [`DataPage`](views::DataPage): the entries that a plugin stores on an account, those behind a key |
//! | `GET /v1/plugins/ID/data/show?account=NAME&key=KEY` | one of them, a [`DataEntry`](views::DataEntry) |
//! | `POST /v1/plugins/ID/data/import?account=NAME&quota=BYTES` | writes the entries in the body, all or none, and answers with how many |
//! | `POST /v1/plugins/ID/data/forget?account=NAME` | removes all that a plugin stored that is not installed, and answers likewise |
//! | `POST /v1/plugins/ID/schedules/pause?schedule=NAME&account=NAME` | pauses a schedule, and answers like `schedules` |
//! | `POST /v1/plugins/ID/schedules/resume?schedule=NAME&account=NAME` | lets a schedule go on, and answers likewise |
//! | `POST /v1/accounts/NAME/keys/trust?jid=JID&fingerprint=HEX` | trusts a key of a person, and answers like `keys` with that person's |
//! | `POST /v1/accounts/NAME/keys/distrust?jid=JID&fingerprint=HEX` | distrusts one, or without `fingerprint` all of that person's, and answers likewise |
//! | `POST /v1/accounts/NAME/keys/verify?jid=JID&question=TEXT` | asks a person for the secret in the body, and answers with what was [`Compared`](views::Compared); it is given up when the client disconnects |
//! | `POST /v1/accounts/NAME/keys/answer?jid=JID&number=N` | answers a person who asks for a secret by the one in the body, and answers likewise |
//! | `POST /v1/accounts/NAME/keys/reset` | makes new keys for the account, and answers like `keys` |
//!
//! In a cluster, a request is passed to the nodes that it is about, and their answers are put together: `nodes` says which. With
//! `at=NAME` it is for the node of this name, with `at=.` for this one, and with `at=*` for all of them.
//!
//! This module decides nothing: it shows the host's state, and passes commands to the owner of that state.

pub mod addresses;
pub mod audit;
mod bounds;
pub mod chat;
pub mod client;
mod exchange;
mod follow;
mod handle;
mod health;
mod http;
pub mod lines;
mod links;
pub(crate) mod listening;
pub mod metrics;
#[cfg(feature = "cluster")]
mod nodes;
mod people;
mod reach;
mod refusal;
mod request;
mod rooms;
mod routes;
pub mod server;
mod show;
pub mod socket;
mod switching;
mod timed_writer;
pub mod views;

/// Checks whether bytes are a request, for fuzzing and tests; else returns the reason.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn reads(bytes: &[u8]) -> Result<(), String> {
    use std::cell::Cell;
    use std::future::ready;

    // The timeout of a head needs a clock.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let result = Cell::new(Err("it ends too early".to_owned()));
    let refused = |refusal: &refusal::Refusal| {
        result.set(Err(refusal.to_string()));
        routes::refused(refusal)
    };
    let answer = |_| {
        result.set(Ok(()));
        ready(Ok(http::answer(hyper::StatusCode::OK, http::JSON, "")))
    };
    let served = http::serve(bytes, tokio::io::sink(), refused, answer);
    let served = runtime.expect("a clock takes nothing from the system").block_on(served);
    served.map_err(|error| error.to_string()).and(result.into_inner())
}

/// The number of the protocol. It changes when an older client would misunderstand the new protocol.
pub const PROTOCOL: u32 = 1;

/// The header with the number of the protocol.
const PROTOCOL_HEADER: &str = "parlor-control";
/// The header with the host's version.
const VERSION_HEADER: &str = "parlor-version";

/// The header of an answer in which something is missing, since a node of the cluster did not answer: the reasons, escaped as
/// a value is.
const INCOMPLETE_HEADER: &str = "parlor-incomplete";

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// Returns the method and the path of each request in a table.
    fn requests<'a>(text: &'a str, row: &str) -> BTreeSet<&'a str> {
        let rows = text.lines().filter_map(|line| line.strip_prefix(row)?.split(['`', '?']).next());
        rows.filter(|request| request.contains(" /v1/")).collect()
    }

    #[test]
    fn the_table_has_the_requests_of_the_page_for_owners() {
        let page = include_str!("../../../docs/owner/control.md");
        let here = requests(include_str!("mod.rs"), "//! | `");
        assert!(here.len() >= 7, "{here:?}");
        assert_eq!(here, requests(page, "| `"));
    }
}
