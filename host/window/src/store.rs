//! One-time links and sessions, in a file that only the host's user can read. It holds digests: neither a link nor a
//! session can be made of it.
//!
//! The command that makes links and the server that takes them are different processes. Each change is made under a lock of
//! the folder, on the file as it is then.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parlor_base::atomic::{Readers, alone_in, make_private_folder, write};
use parlor_base::escape::EscapedPath as _;
use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::role::{Access, Role};
use crate::secret::Secret;

/// Maximum lifetime of a session.
const LIFE: SignedDuration = SignedDuration::from_hours(8);
/// How long a session lives without a request.
const IDLE: SignedDuration = SignedDuration::from_mins(30);
/// How exactly the time of the last request is kept: each request would write a file otherwise.
const EXACT: SignedDuration = SignedDuration::from_mins(1);
/// Maximum number of unused links.
const MOST_LINKS: usize = 32;
/// The most of them that were sent: people elsewhere ask for these, and must leave room for those that a command prints.
const MOST_SENT: usize = 16;
/// The most sessions. A further one ends the one that was unused for longest.
const MOST_SESSIONS: usize = 64;
/// The most of them by links to one JID: people who do not trust each other share the window, and none may log the others out.
const MOST_EACH: usize = 8;
/// The longest file, in bytes.
const LONGEST: u64 = 1 << 20;

/// How many sessions and unused links were ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedCount {
    /// The sessions.
    pub sessions: usize,
    /// The links that nobody had used.
    pub links: usize,
}

/// A session: somebody who has logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its name.
    pub name: Name,
    /// Its role.
    pub role: Role,
    /// The JID to which its link was sent. None: a command printed the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jid: Option<String>,
    /// The accounts that it is limited to, each with its address. None: all, or those of the person with the JID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<BTreeMap<String, String>>,
    /// Whether the person with the JID has only some accounts, at this moment.
    #[serde(skip)]
    pub(crate) is_of_some: bool,
    /// When it began.
    pub began: Timestamp,
    /// When it was last used, to the minute.
    pub used: Timestamp,
}

impl Session {
    /// Returns a session that begins now.
    pub fn new(
        name: Name,
        role: Role,
        jid: Option<String>,
        accounts: Option<BTreeMap<String, String>>,
        now: Timestamp,
    ) -> Self {
        Self { name, role, jid, accounts, is_of_some: false, began: now, used: now }
    }

    /// Returns whether it is for some accounts alone.
    pub fn is_limited(&self) -> bool {
        self.accounts.is_some() || self.is_of_some
    }

    /// Returns whether it may have something.
    pub(crate) fn may(&self, access: Access) -> bool {
        self.role >= access.role && (access.is_for_limited || !self.is_limited())
    }

    /// Returns whether it is still valid. A session from the future is not: its age is unknown.
    fn is_live(&self, now: Timestamp) -> bool {
        let (age, idle) = (now.duration_since(self.began), now.duration_since(self.used));
        age < LIFE && idle < IDLE && age > -EXACT && idle > -EXACT
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptSession {
    digest: String,
    #[serde(flatten)]
    session: Session,
}

#[derive(Debug, Serialize, Deserialize)]
struct Link {
    digest: String,
    name: Name,
    role: Role,
    /// The JID to which it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jid: Option<String>,
    /// The accounts that its session is limited to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accounts: Option<BTreeMap<String, String>>,
    until: Timestamp,
}

/// The content of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    links: Vec<Link>,
    sessions: Vec<KeptSession>,
}

impl Kept {
    /// Drops what is over.
    fn prune(&mut self, now: Timestamp) {
        self.links.retain(|link| link.until > now);
        self.sessions.retain(|kept| kept.session.is_live(now));
    }

    /// Ends sessions of a kind until there are fewer than this number, the one that was unused for longest first.
    fn make_room(&mut self, most: usize, is_one: impl Fn(&Session) -> bool) {
        while self.sessions.iter().filter(|kept| is_one(&kept.session)).count() >= most {
            let all = self.sessions.iter().enumerate().filter(|(_, kept)| is_one(&kept.session));
            let Some((at, _)) = all.min_by_key(|(_, kept)| kept.session.used) else { break };
            self.sessions.swap_remove(at);
        }
    }

    /// Returns whether a link is for the person with the sessions of a name. A session by a printed link has no JID.
    fn is_for(&self, link: &Link, name: &Name) -> bool {
        let sessions = self.sessions.iter().map(|kept| &kept.session).filter(|session| session.name == *name);
        let jids: Vec<_> = sessions.filter_map(|session| session.jid.as_deref()).collect();
        match &link.jid {
            Some(jid) if !jids.is_empty() => jids.contains(&jid.as_str()),
            // A second session of the person has a number behind its name.
            _ => names(&link.name).any(|own| own == *name),
        }
    }

    /// Returns a name that no session has: this one, or with a number.
    fn free_name(&self, name: &Name) -> Name {
        let is_taken = |name: &Name| self.sessions.iter().any(|kept| kept.session.name == *name);
        names(name).find(|name| !is_taken(name)).unwrap_or_else(|| name.clone())
    }
}

/// Returns the names that sessions by a link with this name may get.
fn names(name: &Name) -> impl Iterator<Item = Name> {
    let numbered = (2..=MOST_SESSIONS + 2).map(|number| name.numbered(number));
    std::iter::once(name.clone()).chain(numbered)
}

/// Why links and sessions cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or its folder.
    #[error("{} cannot be used ({cause}): make it readable and writable for the user that the host runs as", path.escaped())]
    Unusable {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
    /// The file has other contents.
    #[error("{} cannot be read ({cause}): delete it, which ends all sessions and links", path.escaped())]
    Broken {
        /// The path.
        path: PathBuf,
        /// The fault in it.
        cause: String,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes, so there can be no new link or session")]
    NoRandomness,
    /// There are too many links.
    #[error("{MOST_LINKS} links wait to be used: use one of them, or wait until they expire")]
    TooManyLinks,
    /// There are too many links that were sent.
    #[error(
        "{MOST_SENT} links that were sent wait to be used: wait until they expire, or let `parlor web login` print one"
    )]
    TooManySent,
}

/// The file with links and sessions.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) folder: PathBuf,
}

impl Store {
    /// Returns the store in the data folder of a host.
    pub fn new(data: &Path) -> Self {
        Self { folder: data.join("window") }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("sessions.json")
    }

    /// Makes a link that can be used once, until `life` is over. Its session is limited to these accounts, if there are any named.
    pub fn issue_for(
        &self,
        name: Name,
        role: Role,
        accounts: Option<BTreeMap<String, String>>,
        life: Duration,
        now: Timestamp,
    ) -> Result<Secret, StoreError> {
        self.add(Link { digest: String::new(), name, role, jid: None, accounts, until: now }, life, now)
    }

    /// Makes a link in the same way for the whole host.
    #[cfg(test)]
    pub(crate) fn issue(&self, name: Name, role: Role, life: Duration, now: Timestamp) -> Result<Secret, StoreError> {
        self.issue_for(name, role, None, life, now)
    }

    /// Makes a link in the same way that is sent to this JID, after whose local part its session is called.
    pub fn issue_to(
        &self,
        jid: &str,
        role: Role,
        life: Duration,
        now: Timestamp,
    ) -> Result<(Name, Secret), StoreError> {
        let (digest, name, jid) = (String::new(), Name::after(jid), Some(jid.to_owned()));
        let secret = self.add(Link { digest, name: name.clone(), role, jid, accounts: None, until: now }, life, now)?;
        Ok((name, secret))
    }

    fn add(&self, link: Link, life: Duration, now: Timestamp) -> Result<Secret, StoreError> {
        let secret = Secret::random().ok_or(StoreError::NoRandomness)?;
        let until = now.checked_add(life).unwrap_or(now);
        self.change(now, |kept| {
            if kept.links.len() >= MOST_LINKS {
                return Err(StoreError::TooManyLinks);
            }
            if link.jid.is_some() && kept.links.iter().filter(|link| link.jid.is_some()).count() >= MOST_SENT {
                return Err(StoreError::TooManySent);
            }
            kept.links.push(Link { digest: secret.digest(), until, ..link });
            Ok(secret)
        })
    }

    /// Takes back a link that could not be sent.
    pub fn withdraw(&self, link: &Secret, now: Timestamp) -> Result<(), StoreError> {
        let digest = link.digest();
        self.change(now, |kept| {
            kept.links.retain(|link| link.digest != digest);
            Ok(())
        })
    }

    /// Uses a link up, and begins a session. None: there is no such link any more.
    pub(crate) fn redeem(&self, link: &Secret, now: Timestamp) -> Result<Option<(Secret, Session)>, StoreError> {
        let digest = link.digest();
        // An attempt with a wrong link writes nothing.
        if self.read()?.links.iter().all(|link| link.digest != digest) {
            return Ok(None);
        }
        // The session has a secret of its own: what was in the address bar is worth nothing.
        let secret = Secret::random().ok_or(StoreError::NoRandomness)?;
        self.change(now, |kept| {
            let Some(at) = kept.links.iter().position(|link| link.digest == digest) else { return Ok(None) };
            let link = kept.links.swap_remove(at);
            if let Some(jid) = &link.jid {
                kept.make_room(MOST_EACH, |session| session.jid.as_ref() == Some(jid));
            }
            kept.make_room(MOST_SESSIONS, |_| true);
            let session = Session::new(kept.free_name(&link.name), link.role, link.jid, link.accounts, now);
            kept.sessions.push(KeptSession { digest: secret.digest(), session: session.clone() });
            Ok(Some((secret, session)))
        })
    }

    /// Returns the session with this secret, and notes that it was used. None: there is none, or it is over.
    pub(crate) fn session(&self, secret: &Secret, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let digest = secret.digest();
        let found = self.read()?.sessions.into_iter().find(|kept| kept.digest == digest);
        let Some(session) = found.map(|kept| kept.session).filter(|session| session.is_live(now)) else {
            return Ok(None);
        };
        if now.duration_since(session.used) < EXACT {
            return Ok(Some(session));
        }
        let noted = self.change(now, |kept| {
            // It may have been ended meanwhile.
            let found = kept.sessions.iter_mut().find(|kept| kept.digest == digest);
            Ok(found.map(|kept| {
                kept.session.used = now;
                kept.session.clone()
            }))
        });
        noted.or_else(|error| match error {
            // On a full disk, an owner could not even look at what is wrong. The session ends by the last use that was kept.
            StoreError::Unusable { path, cause } => {
                tracing::warn!(path = %path.escaped(), %cause, "the use of a session of the window cannot be kept");
                Ok(Some(session))
            }
            other => Err(other),
        })
    }

    /// Returns the session with this secret if it is still valid, without marking it as used.
    pub(crate) fn look(&self, secret: &Secret, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let digest = secret.digest();
        let found = self.read()?.sessions.into_iter().find(|kept| kept.digest == digest);
        Ok(found.map(|kept| kept.session).filter(|session| session.is_live(now)))
    }

    /// Ends the session with this secret.
    pub(crate) fn log_out(&self, secret: &Secret, now: Timestamp) -> Result<(), StoreError> {
        let digest = secret.digest();
        self.change(now, |kept| {
            kept.sessions.retain(|kept| kept.digest != digest);
            Ok(())
        })
    }

    /// Returns the sessions, by name.
    pub fn sessions(&self, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        let mut kept = self.read()?;
        kept.prune(now);
        let mut sessions: Vec<_> = kept.sessions.into_iter().map(|kept| kept.session).collect();
        sessions.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(sessions)
    }

    /// Ends the session of this name and the unused links of its person, or all sessions and links.
    pub fn end(&self, name: Option<&Name>, now: Timestamp) -> Result<EndedCount, StoreError> {
        self.change(now, |kept| {
            let before = (kept.sessions.len(), kept.links.len());
            let links = std::mem::take(&mut kept.links).into_iter();
            kept.links = links.filter(|link| name.is_some_and(|name| !kept.is_for(link, name))).collect();
            kept.sessions.retain(|kept| name.is_some_and(|name| kept.session.name != *name));
            Ok(EndedCount { sessions: before.0 - kept.sessions.len(), links: before.1 - kept.links.len() })
        })
    }

    /// Ends all sessions by links to this JID, and all links to it that nobody has used. Returns how many that were.
    pub(crate) fn end_of(&self, jid: &str, now: Timestamp) -> Result<usize, StoreError> {
        self.change(now, |kept| {
            let before = kept.links.len() + kept.sessions.len();
            kept.links.retain(|link| link.jid.as_deref() != Some(jid));
            kept.sessions.retain(|kept| kept.session.jid.as_deref() != Some(jid));
            Ok(before - kept.links.len() - kept.sessions.len())
        })
    }

    fn read(&self) -> Result<Kept, StoreError> {
        let path = self.file();
        let unusable = |cause| StoreError::Unusable { path: path.clone(), cause };
        let bytes = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
            Err(error) => return Err(unusable(error)),
            Ok(found) if found.len() > LONGEST => {
                let cause = format!("it has more than {LONGEST} bytes");
                return Err(StoreError::Broken { path, cause });
            }
            Ok(_) => fs::read(&path).map_err(unusable)?,
        };
        serde_json::from_slice(&bytes).map_err(|error| StoreError::Broken { path, cause: error.to_string() })
    }

    /// Changes the file, with exclusive access. Expired links and sessions are dropped.
    fn change<T>(
        &self,
        now: Timestamp,
        change: impl FnOnce(&mut Kept) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let path = self.file();
        let unusable = |cause| StoreError::Unusable { path: path.clone(), cause };
        make_private_folder(&self.folder).map_err(unusable)?;
        let _alone = alone_in(&self.folder, || {});
        let mut kept = self.read()?;
        kept.prune(now);
        let changed = change(&mut kept)?;
        let text = serde_json::to_vec(&kept).map_err(|error| unusable(error.into()))?;
        write(&path, &text, Readers::Owner).map_err(unusable)?;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests;
