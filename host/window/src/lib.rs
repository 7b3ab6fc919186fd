//! The frame of the window in the browser: pages for the owners of a host, served to their browsers.
//!
//! **Owns:** the listener and its bounds; one-time links, sessions and roles; the checks of hosts, origins and form
//! tokens; how pages look, and how the words of strangers are shown in them.
//!
//! **Must not** know hosts, plugins, policies or accounts: the pages bring what they show, as a state of their own.
//!
//! **Begin with** [`Routes`] for pages, [`Window`] for the server, and [`Store`] for links and sessions.

mod address;
mod assets;
mod attempts;
mod cookie;
mod form;
mod frame;
mod layout;
mod live;
mod log_in;
mod multipart;
mod name;
mod page;
mod problem;
mod role;
mod routes;
mod secret;
mod server;
mod sessions;
mod shares;
mod site;
mod store;
mod text;
mod upload;
mod visit;

pub use address::Noted;
pub use form::Form;
pub use frame::Frame;
pub use layout::Entry;
pub use log_in::LinkRequest;
pub use name::{Name, NameError};
pub use page::{Page, Question, Reply};
pub use problem::Problem;
pub use role::{Access, Role, UnknownRole};
pub use routes::Routes;
pub use secret::Secret;
pub use server::Window;
pub use sessions::Standing;
pub use site::{Site, SiteError};
pub use store::{EndedCount, Session, Store, StoreError};
pub use text::{scroll, segment, state, stranger, stranger_text};
pub use upload::{Upload, UploadedFile};
pub use visit::Visit;

#[cfg(test)]
mod tests;
