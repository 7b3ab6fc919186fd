//! The author of an entry, and the way of the change.

use std::path::{Path, PathBuf, absolute};

/// The one who is behind an entry, and the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// The author: `uid:1000`, `uid:1000 web:ann`, `uid:1000 web:ann jid:ann@example.org`, `jid:juliet@example.org`, `file:plugins.toml`, `plugin:echo` or `host`.
    pub who: String,
    /// The way, such as `parlor plugin grant` or `control socket`.
    pub way: String,
    /// The absolute path of the edited file, since files of one name are in several folders; none if it was no edit, or if nobody
    /// knows which file it was.
    pub file: Option<PathBuf>,
    /// Whether it is somebody who has some of the accounts alone, and not the whole host. Nobody reads this in an entry: it decides about
    /// the room that entries have.
    pub is_of_some: bool,
}

impl By {
    /// Returns a user of this machine.
    pub fn user(uid: u32, way: &str) -> Self {
        Self { who: format!("uid:{uid}"), way: way.to_owned(), file: None, is_of_some: false }
    }

    /// Returns somebody who uses the window in a browser, which this user of the machine runs; with the JID to which their
    /// link was sent, if it was sent.
    pub fn session(uid: u32, name: &str, jid: Option<&str>) -> Self {
        let jid = jid.map(|jid| format!(" jid:{jid}")).unwrap_or_default();
        Self { who: format!("uid:{uid} web:{name}{jid}"), way: "parlor web".to_owned(), file: None, is_of_some: false }
    }

    /// Returns an owner who writes from a client.
    pub fn owner(jid: &str) -> Self {
        Self { who: format!("jid:{jid}"), way: "chat".to_owned(), file: None, is_of_some: false }
    }

    /// Returns somebody who edited a file, which entries call by this name. `way` says how the host noticed.
    pub fn file(name: &str, path: &Path, way: &str) -> Self {
        let file = absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { who: format!("file:{name}"), way: way.to_owned(), file: Some(file), is_of_some: false }
    }

    /// Returns a plugin.
    pub fn plugin(id: &str) -> Self {
        Self { who: format!("plugin:{id}"), way: "call".to_owned(), file: None, is_of_some: false }
    }

    /// Returns the host itself.
    pub fn host(way: &str) -> Self {
        Self { who: "host".to_owned(), way: way.to_owned(), file: None, is_of_some: false }
    }

    /// Returns the same one, who has some of the accounts alone if `is_of_some`.
    #[must_use]
    pub fn of_some(self, is_of_some: bool) -> Self {
        Self { is_of_some, ..self }
    }
}
