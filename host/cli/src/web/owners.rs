//! The owners, and whether the log-in page has links sent. Requests of strangers ask for both, so the configuration is read again only
//! after a change.
//!
//! A file that is broken says of nobody that they are no owner any more, nor does one that is being written: half of a
//! configuration can be one without owners, or one in which somebody owns each account.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jid::BareJid;
use parlor_config::{Config, SentLinks, accounts_file};
use parlor_window::Standing;

/// How long the file has to be as it is before it counts.
const SETTLED: Duration = Duration::from_secs(1);

/// How long a file that could not be read counts as such, if it stays as it is. Files that it names may be there by then.
const UNREADABLE: Duration = Duration::from_mins(1);

/// The owners, for those who ask whether somebody is one.
#[derive(Debug, Default)]
pub(super) struct Owners(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    owners: HashMap<BareJid, Standing>,
    /// The file that they were read from. None: it counts as another one.
    file: Option<Stamps>,
    /// The setting of the log-in page.
    page: Option<Page>,
}

/// The setting of the log-in page, as it was read from a file.
#[derive(Debug)]
struct Page {
    file: Stamps,
    /// Whether it has links sent; `None` if the file could not be read.
    sends: Option<bool>,
    /// When the file was read.
    at: SystemTime,
}

impl Page {
    /// Returns whether this is still what the file says.
    fn is_of(&self, file: Stamps, now: SystemTime) -> bool {
        let is_fresh = || now.duration_since(self.at).is_ok_and(|age| age < UNREADABLE);
        self.file == file && (self.sends.is_some() || is_fresh())
    }
}

/// Tells one content of a file from the next, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    /// The seconds and nanoseconds of its last change. Unlike the time of its last write, nobody can set it.
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        let changed = (found.ctime(), found.ctime_nsec());
        Some(Self { file: (found.dev(), found.ino()), length: found.len(), changed })
    }

    /// Returns whether the file has been as it is for a while, or the clock was set back meanwhile.
    fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let since = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok());
        let since = since.map(|(seconds, nanoseconds)| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds));
        since.is_none_or(|since| {
            let apart = now.duration_since(since).unwrap_or_else(|ahead| ahead.duration());
            apart >= SETTLED
        })
    }
}

/// Tells one content of the configuration from the next: of its file, and of the `accounts.toml` beside it if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamps {
    file: Stamp,
    accounts: Option<Stamp>,
}

impl Stamps {
    fn of(path: &Path) -> Option<Self> {
        let accounts = accounts_file(path).and_then(|file| Stamp::of(&file));
        Some(Self { file: Stamp::of(path)?, accounts })
    }

    fn is_settled(&self, now: SystemTime) -> bool {
        self.file.is_settled(now) && self.accounts.is_none_or(|file| file.is_settled(now))
    }
}

/// Returns the owners of a configuration.
fn owners(config: &Config) -> HashMap<BareJid, Standing> {
    let of = |jid: BareJid| {
        let standing = if config.is_owned_by(&jid) { Standing::OfAll } else { Standing::OfSome };
        (jid, standing)
    };
    config.owners().into_iter().map(of).collect()
}

impl Owners {
    /// Takes over the owners of a configuration that was read.
    pub(super) fn note(&self, config: &Config) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Known { owners: owners(config), ..Known::default() };
    }

    /// Returns whether the log-in page has links sent. With a file that cannot be read it does not: that may be the one that turns
    /// them off.
    pub(super) fn sends_links(
        &self,
        path: &Path,
        now: SystemTime,
        read: impl FnOnce() -> anyhow::Result<Config>,
    ) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = Stamps::of(path) else { return false };
        if let Some(page) = known.page.as_ref().filter(|page| page.is_of(file, now)) {
            return page.sends.unwrap_or(false);
        }
        let sends = read().ok().map(|config| config.window.links == SentLinks::Page);
        // Else the file may have changed while it was read, or may change without another stamp.
        let is_lasting = file.is_settled(now) && Stamps::of(path) == Some(file);
        known.page = is_lasting.then_some(Page { file, sends, at: now });
        sends.unwrap_or(false)
    }

    /// Returns which accounts somebody is an owner of. If the file has changed, it is read again. A new owner is one of some accounts
    /// at once, and one who is taken out is none any more once the file is no longer being written. If it cannot be read, those who
    /// were owners still are.
    pub(super) fn standing(
        &self,
        jid: &str,
        path: &Path,
        now: SystemTime,
        read: impl FnOnce() -> anyhow::Result<Config>,
    ) -> Standing {
        let Ok(jid) = BareJid::new(jid) else { return Standing::Nobody };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, before) = (Stamps::of(path), known.owners.get(&jid).copied());
        let is_settled = file.is_some_and(|file| file.is_settled(now));
        let is_known = before.is_some();
        let before = before.unwrap_or(Standing::Nobody);
        if file.is_none() || file == known.file || (is_known && !is_settled) {
            return before;
        }
        match read() {
            Ok(config) => {
                // Else the file may have changed while it was read.
                if is_settled && Stamps::of(path) == file {
                    (known.owners, known.file) = (owners(&config), file);
                } else {
                    for jid in config.owners() {
                        known.owners.entry(jid).or_insert(Standing::OfSome);
                    }
                }
                known.owners.get(&jid).copied().unwrap_or(Standing::Nobody)
            }
            Err(error) => {
                tracing::debug!("owners are those of before: {error:#}");
                before
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use parlor_config::Overrides;

    use super::*;

    const ANN: &str = "ann@example.org";

    fn text(owners: &str) -> String {
        format!(
            "[group.team]\nowners = [{owners}]\n[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\ngroup = \"team\"\n\
             [account.second]\njid = \"second@example.org\"\npassword_env = \"NONE\"\nowners = [\"bob@example.org\"]\n"
        )
    }

    fn read(path: &Path) -> anyhow::Result<Config> {
        Ok(Config::load(path, &Overrides { environment: |_| None, ..Overrides::default() })?)
    }

    /// Returns a file with an owner, and the owners that are known of it.
    fn start() -> (tempfile::TempDir, std::path::PathBuf, Owners) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        fs::write(&path, text("\"ann@example.org\"")).unwrap();
        let owners = Owners::default();
        owners.note(&read(&path).unwrap());
        (folder, path, owners)
    }

    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_mins(1)
    }

    #[test]
    fn somebody_who_is_taken_out_of_the_owners_is_none_any_more() {
        let (_folder, path, owners) = start();
        let has = |jid: &str| owners.standing(jid, &path, later(), || read(&path)) != Standing::Nobody;
        assert!(has(ANN) && has("bob@example.org") && !has("bot@example.org") && !has("eve@example.org") && !has("@"));
        // It is written whole, by way of another file, or in place.
        fs::write(&path, text("\"eve@example.org\"")).unwrap();
        assert!(!has(ANN) && has("eve@example.org") && has("bob@example.org"));
        let other = path.with_extension("new");
        fs::write(&other, text("\"ann@example.org\"")).unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(has(ANN) && !has("eve@example.org"));
    }

    #[test]
    fn owners_in_a_file_of_accounts_come_and_go_with_it() {
        let (_folder, path, owners) = start();
        let has = |jid: &str, at: SystemTime| owners.standing(jid, &path, at, || read(&path)) != Standing::Nobody;
        assert!(has(ANN, later()) && !has("eve@example.org", later()));
        let beside = path.with_file_name("accounts.toml");
        let third = |owner: &str| {
            format!("[account.third]\njid = \"third@example.org\"\npassword_env = \"NONE\"\nowners = [\"{owner}\"]\n")
        };
        fs::write(&beside, third("eve@example.org")).unwrap();
        assert!(has("eve@example.org", SystemTime::now()), "a new one is one at once");
        assert!(has("eve@example.org", later()) && has(ANN, later()));
        fs::write(&beside, third("carl@example.org")).unwrap();
        assert!(has("eve@example.org", SystemTime::now()), "it may not be whole yet");
        assert!(!has("eve@example.org", later()) && has("carl@example.org", later()));
        fs::remove_file(&beside).unwrap();
        assert!(!has("carl@example.org", later()) && has(ANN, later()));
    }

    #[test]
    fn a_file_that_is_broken_away_or_being_written_takes_nobody_out() {
        let (_folder, path, owners) = start();
        let has = |at: SystemTime| owners.standing(ANN, &path, at, || read(&path)) != Standing::Nobody;
        for broken in [
            "",
            "[account.main",
            "owners = 1",
            &text("\"no address@\""),
            "[account.main]\njid = \"bot@example.org\"\nx = 1\n",
        ] {
            fs::write(&path, broken).unwrap();
            assert!(has(SystemTime::now()) && has(later()), "{broken}");
        }
        fs::remove_file(&path).unwrap();
        assert!(has(later()));
        // Half of it is a configuration, and has no owner.
        fs::write(&path, "[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n").unwrap();
        assert!(has(SystemTime::now()), "it may not be whole yet");
        assert!(!has(later()));
    }

    #[test]
    fn a_new_owner_is_one_at_once() {
        let (_folder, path, owners) = start();
        let has = |jid: &str| owners.standing(jid, &path, SystemTime::now(), || read(&path)) != Standing::Nobody;
        fs::write(&path, text("\"eve@example.org\"")).unwrap();
        assert!(has("eve@example.org") && has(ANN) && !has("mallory@example.org"));
        // She was seen, so a broken file does not take her out.
        fs::write(&path, "[").unwrap();
        assert_ne!(owners.standing("eve@example.org", &path, later(), || read(&path)), Standing::Nobody);
        fs::write(&path, text("\"eve@example.org\"")).unwrap();
        assert_eq!(owners.standing(ANN, &path, later(), || read(&path)), Standing::Nobody);
    }

    #[test]
    fn an_owner_of_each_account_is_one_of_all_once_the_file_is_whole() {
        let (_folder, path, owners) = start();
        let of = |jid: &str, at: SystemTime| owners.standing(jid, &path, at, || read(&path));
        assert_eq!((of(ANN, later()), of("bob@example.org", later())), (Standing::OfSome, Standing::OfSome));
        // Half of it has one account alone.
        let half = text("\"ann@example.org\", \"eve@example.org\"");
        fs::write(&path, half.split_once("[account.second]").unwrap().0).unwrap();
        let now = SystemTime::now();
        assert_eq!((of("eve@example.org", now), of(ANN, now)), (Standing::OfSome, Standing::OfSome));
        let whole = text("\"ann@example.org\", \"bob@example.org\"");
        fs::write(&path, whole).unwrap();
        assert_eq!((of("bob@example.org", later()), of(ANN, later())), (Standing::OfAll, Standing::OfSome));
    }

    #[test]
    fn a_file_is_read_again_only_if_it_changed() {
        let (_folder, path, owners) = start();
        let mut times = 0;
        for _ in 0..5 {
            let counted = || {
                times += 1;
                read(&path)
            };
            assert_eq!(owners.standing(ANN, &path, later(), counted), Standing::OfSome);
        }
        assert_eq!(times, 1);
    }

    #[test]
    fn whether_links_are_sent_is_read_once_for_each_content_of_the_file() {
        let (_folder, path, owners) = start();
        let times = Cell::new(0);
        let sends = |at: SystemTime| {
            owners.sends_links(&path, at, || {
                times.set(times.get() + 1);
                read(&path)
            })
        };
        let account = text("\"ann@example.org\"");
        let off = format!("{account}[window]\nlinks = \"never\"\n");
        for (content, expected) in [(account.as_str(), true), (off.as_str(), false), ("[", false)] {
            fs::write(&path, content).unwrap();
            times.set(0);
            let at = later();
            assert!((0..5).all(|_| sends(at) == expected), "{content}");
            assert_eq!(times.get(), 1, "{content}");
        }
        // A file that could not be read is tried again after a while.
        sends(later() + UNREADABLE);
        assert_eq!(times.get(), 2);
        fs::remove_file(&path).unwrap();
        assert!(!sends(later()));
    }

    #[test]
    fn a_file_that_is_being_written_is_read_each_time() {
        let (_folder, path, owners) = start();
        let sends = || owners.sends_links(&path, SystemTime::now(), || read(&path));
        assert!(sends());
        let off = format!("{}[window]\nlinks = \"never\"\n", text("\"ann@example.org\""));
        fs::write(&path, off).unwrap();
        assert!(!sends());
    }
}
