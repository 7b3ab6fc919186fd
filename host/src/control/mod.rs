//! The control socket: what the command line, and later a web page, asks a running host and tells it.
//!
//! HTTP/1.1 over a Unix socket, `control.sock` in the data folder. Only processes of the user that the host runs as, and
//! root, are heard: the file is 0600 and the kernel says who connects. Every answer closes its connection, and carries
//! the headers `parlor-version`, the host's, and `parlor-control`, [`PROTOCOL`]: a client that knows another number says so
//! and asks nothing further. Bodies are JSON; a failure is `{"error": "one sentence"}`.
//!
//! `docs/control.md` is the page for owners, which a test goes through.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`](views::Status): the house, its accounts, and each plugin on each account |
//! | `GET /v1/plugins/ID` | [`Plugin`](views::Plugin): one of them, with what it uses of its limits and the last calls that it was denied |
//! | `GET /v1/logs?plugin=ID&level=warn&lines=100&follow=true` | a [`Line`](views::Line) of JSON for each line of the log; with `follow` it goes on until the client leaves |
//! | `POST /v1/reload` | reads the policy again, waits until what changed runs or does not, and answers as `status` does |
//! | `POST /v1/configure` | reads the configuration and the policy again, tries accounts again that have failed, and answers in the same way |
//! | `POST /v1/plugins/ID/restart` | ends the plugin on each of its accounts and starts it again |
//!
//! Nothing here decides anything: it shows what the house knows, and hands orders to whoever owns it.

pub mod chat;
pub mod client;
mod http;
pub mod lines;
mod listening;
pub mod metrics;
pub mod server;
mod show;
pub mod socket;
pub mod views;

/// Whether bytes are a request, for who tries all kinds of them; else why not.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn reads(mut bytes: &[u8]) -> Result<(), String> {
    use futures_util::FutureExt as _;
    // Bytes that are there already are waited for by nobody.
    let request = http::read(&mut bytes).now_or_never().expect("it waits for nothing but the bytes");
    match request {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("it ends too early".to_owned()),
        Err(refusal) => Err(refusal.error),
    }
}

/// The number of the protocol. It changes when a client that knows the one before would misunderstand.
pub const PROTOCOL: u32 = 1;

/// The header with the number of the protocol.
const PROTOCOL_HEADER: &str = "parlor-control";
/// The header with the host's version.
const VERSION_HEADER: &str = "parlor-version";

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
