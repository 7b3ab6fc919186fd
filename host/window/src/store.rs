//! One-time links and sessions, in a file that only the host's user can read. It holds digests: neither a link nor a
//! session can be made of it.
//!
//! The command that makes links and the server that takes them are different processes. Each change is made under a lock of
//! the folder, on the file as it is then.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parlor_base::atomic::{Readers, alone_in, make_private_folder, write};
use parlor_base::escape::EscapedPath as _;
use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::role::Role;
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
/// The longest file, in bytes.
const LONGEST: u64 = 1 << 20;

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
    /// When it began.
    pub began: Timestamp,
    /// When it was last used, to the minute.
    pub used: Timestamp,
}

impl Session {
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

    /// Returns a name that no session has: this one, or with a number.
    fn free_name(&self, name: &Name) -> Name {
        let is_taken = |name: &Name| self.sessions.iter().any(|kept| kept.session.name == *name);
        let numbered = (2..=MOST_SESSIONS + 2).map(|number| name.numbered(number));
        std::iter::once(name.clone()).chain(numbered).find(|name| !is_taken(name)).unwrap_or_else(|| name.clone())
    }
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

    /// Makes a link that can be used once, until `life` is over.
    pub fn issue(&self, name: Name, role: Role, life: Duration, now: Timestamp) -> Result<Secret, StoreError> {
        self.add(Link { digest: String::new(), name, role, jid: None, until: now }, life, now)
    }

    /// Makes a link in the same way that is sent to this JID, after whose local part its session is called.
    pub fn issue_to(
        &self,
        jid: &str,
        role: Role,
        life: Duration,
        now: Timestamp,
    ) -> Result<(Name, Secret), StoreError> {
        let (name, jid) = (Name::after(jid), Some(jid.to_owned()));
        let secret = self.add(Link { digest: String::new(), name: name.clone(), role, jid, until: now }, life, now)?;
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
            while kept.sessions.len() >= MOST_SESSIONS {
                let idle = kept.sessions.iter().enumerate().min_by_key(|(_, kept)| kept.session.used);
                let Some((at, _)) = idle else { break };
                kept.sessions.swap_remove(at);
            }
            let (name, role, jid) = (kept.free_name(&link.name), link.role, link.jid);
            let session = Session { name, role, jid, began: now, used: now };
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

    /// Ends the session of this name, or all of them and all links. Returns how many sessions that were.
    pub fn end(&self, name: Option<&Name>, now: Timestamp) -> Result<usize, StoreError> {
        self.change(now, |kept| {
            let before = kept.sessions.len();
            kept.sessions.retain(|kept| name.is_some_and(|name| kept.session.name != *name));
            if name.is_none() {
                kept.links.clear();
            }
            Ok(before - kept.sessions.len())
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
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const TEN: Duration = Duration::from_mins(10);

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn start() -> (tempfile::TempDir, Store, Timestamp) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        (folder, store, "2026-11-20T08:00:00Z".parse().unwrap())
    }

    fn after(now: Timestamp, minutes: i64) -> Timestamp {
        now + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn a_link_is_used_once_and_expires() {
        let (_folder, store, now) = start();
        let link = store.issue(name("ann"), Role::Operator, TEN, now).unwrap();
        assert_eq!(store.redeem(&Secret::random().unwrap(), now).unwrap(), None);
        let (secret, session) = store.redeem(&link, after(now, 9)).unwrap().unwrap();
        assert_eq!((session.name.as_str(), session.role), ("ann", Role::Operator));
        assert_ne!(secret, link, "the link is no session");
        assert_eq!(store.redeem(&link, after(now, 9)).unwrap(), None);
        assert_eq!(store.session(&link, after(now, 9)).unwrap(), None);
        let late = store.issue(name("bob"), Role::Viewer, TEN, now).unwrap();
        assert_eq!(store.redeem(&late, after(now, 10)).unwrap(), None);
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_in_any_case() {
        let (_folder, store, now) = start();
        let begin = |at| {
            let link = store.issue(name("ann"), Role::Owner, TEN, at).unwrap();
            store.redeem(&link, at).unwrap().unwrap().0
        };
        let idle = begin(now);
        assert!(store.session(&idle, after(now, 29)).unwrap().is_some());
        assert!(store.session(&idle, after(now, 58)).unwrap().is_some(), "each use prolongs it");
        assert!(store.session(&idle, after(now, 88)).unwrap().is_none());
        let used = begin(now);
        for minutes in (0..480).step_by(20) {
            assert!(store.session(&used, after(now, minutes)).unwrap().is_some(), "{minutes}");
        }
        assert!(store.session(&used, after(now, 480)).unwrap().is_none());
        let early = begin(after(now, 60));
        assert!(store.session(&early, now).unwrap().is_none(), "the clock was turned back");
    }

    #[test]
    fn a_session_is_ended_by_itself_by_its_name_or_with_all() {
        let (_folder, store, now) = start();
        let begin = |who: &str| {
            let link = store.issue(name(who), Role::Viewer, TEN, now).unwrap();
            store.redeem(&link, now).unwrap().unwrap()
        };
        let (ann, bob, second) = (begin("ann"), begin("bob"), begin("bob"));
        assert_eq!(second.1.name.as_str(), "bob-2");
        store.log_out(&ann.0, now).unwrap();
        let is_live = |secret| store.look(secret, now).unwrap().is_some();
        assert!(!is_live(&ann.0) && is_live(&bob.0));
        assert_eq!(store.end(Some(&name("bob")), now).unwrap(), 1);
        assert_eq!(store.sessions(now).unwrap(), [second.1]);
        let link = store.issue(name("eve"), Role::Owner, TEN, now).unwrap();
        assert_eq!(store.end(None, now).unwrap(), 1);
        assert_eq!(store.redeem(&link, now).unwrap(), None);
    }

    #[test]
    fn links_and_sessions_are_bounded() {
        let (_folder, store, now) = start();
        let mut links: Vec<_> =
            (0..MOST_LINKS).map(|_| store.issue(name("x"), Role::Viewer, TEN, now).unwrap()).collect();
        let more = store.issue(name("x"), Role::Viewer, TEN, now);
        assert!(matches!(more, Err(StoreError::TooManyLinks)));
        let first = store.redeem(&links.pop().unwrap(), now).unwrap().unwrap().0;
        for _ in 0..MOST_SESSIONS {
            let link = store.issue(name("x"), Role::Viewer, TEN, after(now, 1)).unwrap();
            store.redeem(&link, after(now, 1)).unwrap().unwrap();
        }
        assert_eq!(store.sessions(after(now, 1)).unwrap().len(), MOST_SESSIONS);
        assert_eq!(store.look(&first, after(now, 1)).unwrap(), None, "the one that was unused for longest makes room");
    }

    #[test]
    fn the_file_holds_no_secret_and_is_the_owners() {
        let (folder, store, now) = start();
        let link = store.issue(name("ann"), Role::Owner, TEN, now).unwrap();
        let other = store.issue(name("ann"), Role::Owner, TEN, now).unwrap();
        let (session, _) = store.redeem(&link, now).unwrap().unwrap();
        let file = folder.path().join("window/sessions.json");
        let text = fs::read_to_string(&file).unwrap();
        for secret in [&link, &other, &session] {
            assert!(!text.contains(secret.expose()));
        }
        assert!(text.contains(&session.digest()) && text.contains(&other.digest()));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, "{").unwrap();
        assert!(matches!(store.session(&session, now), Err(StoreError::Broken { .. })));
    }

    #[test]
    fn a_link_that_is_sent_names_whom_and_leaves_room_for_others() {
        let (_folder, store, now) = start();
        let send = |jid: &str| store.issue_to(jid, Role::Owner, TEN, now);
        let (called, link) = send("ann@example.org").unwrap();
        assert_eq!(called.as_str(), "ann");
        let (_, session) = store.redeem(&link, now).unwrap().unwrap();
        assert_eq!((session.name, session.jid.as_deref()), (called, Some("ann@example.org")));
        assert_eq!(store.redeem(&link, now).unwrap(), None);
        let (_, taken_back) = send("ann@example.org").unwrap();
        store.withdraw(&taken_back, now).unwrap();
        assert_eq!(store.redeem(&taken_back, now).unwrap(), None);
        assert!((0..MOST_SENT).all(|_| send("bob@example.org").is_ok()));
        assert!(matches!(send("ann@example.org"), Err(StoreError::TooManySent)));
        assert!(store.issue(name("ann"), Role::Owner, TEN, now).is_ok());
    }

    #[test]
    fn everything_of_somebody_to_whom_links_were_sent_ends_at_once() {
        let (_folder, store, now) = start();
        let send = |jid: &str| store.issue_to(jid, Role::Owner, TEN, now).unwrap().1;
        let begin = |link: &Secret| store.redeem(link, now).unwrap().unwrap().0;
        let (one, other, unused) =
            (begin(&send("ann@example.org")), begin(&send("ann@example.org")), send("ann@example.org"));
        let bob = begin(&send("bob@example.org"));
        // A command printed it, for somebody of the same name.
        let printed = begin(&store.issue(name("ann"), Role::Owner, TEN, now).unwrap());
        assert_eq!(store.end_of("ann@example.com", now).unwrap(), 0);
        assert_eq!(store.end_of("ann@example.org", now).unwrap(), 3);
        let is_live = |secret| store.look(secret, now).unwrap().is_some();
        assert!(!is_live(&one) && !is_live(&other) && is_live(&bob) && is_live(&printed));
        assert_eq!(store.redeem(&unused, now).unwrap(), None);
    }

    #[test]
    fn a_session_whose_use_cannot_be_kept_goes_on_by_its_last_one() {
        let (folder, store, now) = start();
        let link = store.issue(name("ann"), Role::Owner, TEN, now).unwrap();
        let (secret, _) = store.redeem(&link, now).unwrap().unwrap();
        // Nothing can be written there any more, as on a full disk.
        fs::create_dir(folder.path().join("window/.sessions.json.new")).unwrap();
        let session = store.session(&secret, after(now, 29)).unwrap().unwrap();
        assert_eq!((session.name.as_str(), session.used), ("ann", now));
        assert_eq!(store.session(&secret, after(now, 30)).unwrap(), None);
        assert!(store.issue(name("ann"), Role::Owner, TEN, now).is_err());
    }
}
