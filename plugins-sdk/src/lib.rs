//! Write plugins for parlor, a host for XMPP bots.
//!
//! A plugin is a WebAssembly component that subscribes to events and calls the host. This crate is all that it needs:
//!
//! ```no_run
//! use parlor_sdk::prelude::*;
//!
//! parlor_sdk::plugin!(start);
//!
//! async fn start() -> Result<()> {
//!     on_message(|message| async move {
//!         if let (Some(body), None, None) = (&message.body, &message.carbon, &message.command) {
//!             message.reply(body).await?;
//!         }
//!         Ok(())
//!     })?;
//!     Ok(())
//! }
//! # fn main() {}
//! ```
//!
//! with `crate-type = ["cdylib"]` in `Cargo.toml`, a manifest `plugin.toml` next to it, and `parlor plugin build`.
//!
//! # What the owner has to allow
//!
//! The host compares the functions that a component imports with the permissions that its manifest asks for. A plugin
//! imports only the functions that it really calls, so use the narrowest call.
//! [`Message::reply`](types::Message::reply) answers in chats and in rooms, and therefore imports `chats.send` and
//! `rooms.send`; [`chats::reply`] and [`rooms::reply`] import one each.
//!
//! # How it runs
//!
//! Everything happens on one thread. Handlers may overlap while they wait for the host, so a slow conversation does not
//! delay another. Keep shared state in an `Rc` with a `Cell` or `RefCell`, which must not stay borrowed over an
//! `.await`. A handler's error is written to the host's log, and the plugin continues. A panic is a bug: the host ends
//! the plugin, and restarts it after a while.

#![expect(clippy::needless_pass_by_value, reason = "a call takes a text or an entity, its own or borrowed")]

/// The plugin in ten lines of the project's README is compiled, too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[doc(hidden)]
#[expect(clippy::pedantic, reason = "generated code, which nobody edits or reads")]
pub mod bindings;

pub mod api;
pub mod archive;
mod as_json;
mod changes;
pub mod chats;
pub mod chatviews;
pub mod clock;
mod command_handlers;
pub mod commands;
pub mod connection;
pub mod contacts;
pub mod dialogs;
pub mod disco;
mod error;
#[doc(hidden)]
pub mod export;
mod failure;
mod fields;
pub mod files;
pub mod hooks;
pub mod http;
pub mod iq;
mod letters;
pub mod listen;
pub mod log;
pub mod moderation;
mod places;
mod plain;
pub mod plugins;
pub mod prelude;
pub mod promises;
pub mod pubsub;
pub mod rooms;
#[doc(hidden)]
pub mod runtime;
pub mod schedules;
pub mod settings;
pub mod stanza;
pub mod storage;
pub mod styling;
pub mod timers;
pub mod tokens;
mod turns;
pub mod types;
pub mod user;
pub mod vcard;
pub mod webhooks;
mod xml;

pub use error::{Error, Result};
/// Points in time, of the version that [`archive::Options::start`] takes.
pub use jiff;
pub use runtime::{on_stop, spawn};
pub use serde_json::{Value, json};

/// Makes a plugin of an `async fn start() -> Result<()>`. Once in a crate.
///
/// `start` runs before the account logs in, so that a plugin that subscribes there misses nothing. An error refuses the
/// start, and the host says why.
#[rustfmt::skip]
#[macro_export]
macro_rules! plugin {
    ($start:path) => {
        const _: () = {
            struct Plugin;

            impl $crate::bindings::exports::parlor::plugin::guest::Guest for Plugin {
                async fn initialize() -> ::std::result::Result<(), ::std::string::String> {
                    $crate::runtime::initialize($start()).await
                }

                async fn handle_event(event: $crate::listen::Event) -> ::std::result::Result<(), ()> {
                    $crate::runtime::dispatch(event).await
                }

                async fn stop() {
                    $crate::runtime::stop().await;
                }
            }

            // Elsewhere the crate is only checked and tested, and linkers refuse the names of the component model.
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::export!(Plugin with_types_in $crate::export);

            #[cfg(not(target_arch = "wasm32"))]
            const _: () = $crate::runtime::check::<Plugin>();
        };
    };
}
