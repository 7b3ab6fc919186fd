//! A file watcher for the files that configure the host, or that an author builds from. It reports that one of them may
//! have changed, and reads none of them.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use inotify::{EventStream, Inotify, WatchMask};
use tokio::time::Instant;

/// How long no write may happen before a change is reported: editors write one file in several steps.
const QUIET: Duration = Duration::from_millis(200);
/// Maximum delay of a report while writes continue.
const LONGEST: Duration = Duration::from_secs(2);
/// Size of the event buffer, in bytes. If it overflows, the kernel reports that, which counts as a change.
const BUFFER: usize = 4 << 10;

/// Maximum number of watched folders of a tree. Changes in further ones go unnoticed. The system allows a user some
/// thousands.
const MOST_FOLDERS: usize = 1_000;

/// Maximum number of links on the path of a file. The system follows no more, either (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// A watcher for files. It watches their folders rather than the files: an editor replaces the old file by another one,
/// and a deployment replaces the folder.
pub(crate) struct FileWatcher {
    wanted: Wanted,
    /// The names of the files and of the folders on the way to them.
    names: BTreeSet<OsString>,
    events: EventStream<Vec<u8>>,
    /// The first and the last write since the last report.
    written: Option<(Instant, Instant)>,
}

/// The files or the folder to watch.
enum Wanted {
    /// These files, whether they exist or not.
    Files(Vec<PathBuf>),
    /// A folder with everything in it, except for entries with excluded names.
    Tree { root: PathBuf, is_left_out: fn(&str) -> bool },
}

impl FileWatcher {
    /// Watches these files, whether they exist or not. Must be called within a runtime.
    pub(crate) fn start(files: impl IntoIterator<Item = PathBuf>) -> io::Result<Self> {
        Self::of(Wanted::Files(files.into_iter().collect()))
    }

    /// Watches a folder and its subfolders. Changes of entries with excluded names are not reported. Must be called
    /// within a runtime.
    #[cfg_attr(not(feature = "authoring"), expect(dead_code, reason = "only commands for authors need it"))]
    pub(crate) fn tree(root: PathBuf, is_left_out: fn(&str) -> bool) -> io::Result<Self> {
        Self::of(Wanted::Tree { root, is_left_out })
    }

    fn of(wanted: Wanted) -> io::Result<Self> {
        let events = Inotify::init()?.into_event_stream(vec![0; BUFFER])?;
        let mut watch = Self { wanted, names: BTreeSet::new(), events, written: None };
        watch.follow()?;
        Ok(watch)
    }

    /// Starts to watch everything that exists by now.
    fn follow(&mut self) -> io::Result<()> {
        match &self.wanted {
            Wanted::Files(_) => self.follow_files(),
            Wanted::Tree { root, is_left_out } => {
                let (root, is_left_out) = (root.clone(), *is_left_out);
                let mut folders = vec![root];
                let mut seen = 0;
                while let Some(folder) = folders.pop().filter(|_| seen < MOST_FOLDERS) {
                    seen += 1;
                    self.follow_folder(&folder, is_left_out, &mut folders)?;
                }
                Ok(())
            }
        }
    }

    /// Watches a folder of a tree, and adds its subfolders to the list of folders to watch.
    fn follow_folder(
        &mut self,
        folder: &Path,
        is_left_out: fn(&str) -> bool,
        more: &mut Vec<PathBuf>,
    ) -> io::Result<()> {
        // A build also notices that a file was removed.
        let mask = written() | WatchMask::MOVED_FROM | WatchMask::DELETE | WatchMask::ONLYDIR;
        // Adding a watched folder again does no harm, and it may be another folder of the same name.
        match self.events.watches().add(folder, mask) {
            // The folder was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !more.is_empty() => return Ok(()),
            watched => watched?,
        };
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !is_left_out(&entry.file_name().to_string_lossy()) {
                more.push(entry.path());
            }
        }
        Ok(())
    }

    /// Watches the folders of the files, of the targets of their links, and those on the way there. On the way, a
    /// folder may be replaced by another one, or a link may be changed to another target.
    fn follow_files(&mut self) -> io::Result<()> {
        let Wanted::Files(files) = &self.wanted else { return Ok(()) };
        // A removed file changes nothing, but must be reported to the owner.
        let mask = written() | WatchMask::MOVED_FROM | WatchMask::DELETE;
        self.names.clear();
        for file in files {
            for path in ways(file) {
                self.names.extend(path.iter().map(OsStr::to_owned));
                for (distance, folder) in path.ancestors().skip(1).enumerate() {
                    // Adding a watched folder again does no harm, and it may be another folder of the same name.
                    let watched = self.events.watches().add(folder, mask);
                    // A folder that is created later is noticed in the one above it. A folder that may be passed but
                    // not read cannot be watched.
                    if let Err(error) = watched
                        && distance == 0
                        && error.kind() != io::ErrorKind::NotFound
                    {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns whether a change of a file of this name matters.
    fn matters(&self, name: Option<&OsStr>) -> bool {
        match &self.wanted {
            Wanted::Files(_) => name.is_none_or(|name| self.names.contains(name)),
            Wanted::Tree { is_left_out, .. } => name.is_none_or(|name| !is_left_out(&name.to_string_lossy())),
        }
    }

    /// Waits until something was written in the folders, and nothing more for a moment. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        loop {
            let due = async {
                match self.written {
                    Some((first, last)) => tokio::time::sleep_until((last + QUIET).min(first + LONGEST)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = due => break,
                event = self.events.next() => match event {
                    Some(Ok(event)) => {
                        if !self.matters(event.name.as_deref()) {
                            continue;
                        }
                        let now = Instant::now();
                        self.written = Some((self.written.map_or(now, |(first, _)| first), now));
                    }
                    ended => {
                        let reason = ended.map_or_else(|| "it ended".to_owned(), |event| format!("{:?}", event.err()));
                        tracing::warn!(reason, "files are not watched any more; {}", self.remedy());
                        return std::future::pending().await;
                    }
                },
            }
        }
        self.written = None;
        // A link may have another target by now.
        if let Err(error) = self.follow() {
            tracing::warn!(%error, "the folder of a file is not watched; {}", self.remedy());
        }
    }

    /// Returns the other way to make the host read the files, for the log.
    fn remedy(&self) -> &'static str {
        match self.wanted {
            Wanted::Files(_) => "SIGHUP reads it again",
            Wanted::Tree { .. } => "start again to build from it",
        }
    }
}

/// Returns the path of a file, and the paths through which the links on it lead to it, resolving one link after the
/// other.
fn ways(file: &Path) -> Vec<PathBuf> {
    let mut ways: Vec<PathBuf> = std::path::absolute(file).into_iter().collect();
    while let Some(way) = ways.last().filter(|_| ways.len() <= MOST_LINKS) {
        let links = way.ancestors().filter_map(|part| Some((part, part.read_link().ok()?)));
        // The first link, counted from the root.
        let Some((link, target)) = links.last() else { break };
        let target = link.parent().unwrap_or(link).join(target);
        let next = match way.strip_prefix(link) {
            Ok(rest) if rest != Path::new("") => target.join(rest),
            Ok(_) | Err(_) => target,
        };
        ways.push(next);
    }
    ways
}

/// Returns the events that mean a complete write: a file counts as written when it is closed, and unfinished ones are
/// ignored.
fn written() -> WatchMask {
    WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO | WatchMask::CREATE
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Enough time for anything that should happen.
    const SOON: Duration = Duration::from_secs(20);

    async fn told(watch: &mut FileWatcher) {
        tokio::time::timeout(SOON, watch.changed()).await.expect("it tells that something was written");
    }

    /// Returns whether nothing has happened that will be reported.
    async fn is_quiet(watch: &mut FileWatcher) -> bool {
        // Handles the events that the system has reported so far.
        tokio::task::yield_now().await;
        let says = futures_util::poll!(std::pin::pin!(watch.changed()));
        says.is_pending() && watch.written.is_none()
    }

    #[tokio::test]
    async fn a_file_that_is_written_moved_into_place_or_made_anew_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plugins.toml");
        let mut watch = FileWatcher::start([file.clone()]).unwrap();
        fs::write(&file, "a").unwrap();
        told(&mut watch).await;
        fs::write(folder.path().join("new"), "b").unwrap();
        fs::rename(folder.path().join("new"), &file).unwrap();
        told(&mut watch).await;
        fs::rename(&file, folder.path().join("plugins.toml~")).unwrap();
        fs::write(&file, "c").unwrap();
        told(&mut watch).await;
        assert!(is_quiet(&mut watch).await);
        fs::remove_file(&file).unwrap();
        told(&mut watch).await;
        fs::write(&file, "d").unwrap();
        told(&mut watch).await;
        fs::rename(&file, folder.path().join("plugins.toml~")).unwrap();
        told(&mut watch).await;
    }

    #[tokio::test]
    async fn what_a_link_leads_to_is_watched_also_where_it_leads_elsewhere_later() {
        let (near, far, farther) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let link = near.path().join("plugins.toml");
        for folder in [&far, &farther] {
            fs::write(folder.path().join("real.toml"), "a").unwrap();
        }
        std::os::unix::fs::symlink(far.path().join("real.toml"), &link).unwrap();
        let mut watch = FileWatcher::start([link.clone()]).unwrap();
        fs::write(far.path().join("real.toml"), "b").unwrap();
        told(&mut watch).await;
        // An atomic change: a new link is moved over the first one.
        std::os::unix::fs::symlink(farther.path().join("real.toml"), near.path().join("next")).unwrap();
        fs::rename(near.path().join("next"), &link).unwrap();
        told(&mut watch).await;
        fs::write(farther.path().join("real.toml"), "c").unwrap();
        told(&mut watch).await;
    }

    #[tokio::test]
    async fn a_folder_that_comes_in_the_place_of_another_is_watched_like_that() {
        let base = tempfile::tempdir().unwrap();
        let (now, link) = (base.path().join("releases/1/conf"), base.path().join("current"));
        fs::create_dir_all(&now).unwrap();
        std::os::unix::fs::symlink("releases/1", &link).unwrap();
        let file = link.join("conf/parlor.toml");
        fs::write(&file, "a").unwrap();
        let mut watch = FileWatcher::start([file.clone()]).unwrap();
        // Another folder of the same name.
        fs::rename(&now, base.path().join("old")).unwrap();
        told(&mut watch).await;
        fs::create_dir(&now).unwrap();
        told(&mut watch).await;
        fs::write(&file, "b").unwrap();
        told(&mut watch).await;
        // A link on the way gets another target.
        fs::create_dir_all(base.path().join("releases/2/conf")).unwrap();
        let new = base.path().join("new");
        std::os::unix::fs::symlink("releases/2", &new).unwrap();
        fs::rename(&new, &link).unwrap();
        told(&mut watch).await;
        fs::write(&file, "c").unwrap();
        told(&mut watch).await;
        assert!(is_quiet(&mut watch).await);
        // Other files in the same folder do not matter.
        fs::write(base.path().join("beside"), "d").unwrap();
        assert!(is_quiet(&mut watch).await);
        fs::write(&file, "e").unwrap();
        assert!(!is_quiet(&mut watch).await);
    }

    /// The layout of a Kubernetes mount: `parlor.toml -> ..data/parlor.toml`, `..data -> ..2026`.
    #[tokio::test]
    async fn a_link_in_the_middle_of_others_may_lead_elsewhere() {
        let base = tempfile::tempdir().unwrap();
        for (folder, text) in [("..2026", "a"), ("..2027", "b")] {
            fs::create_dir(base.path().join(folder)).unwrap();
            fs::write(base.path().join(folder).join("parlor.toml"), text).unwrap();
        }
        let (data, file) = (base.path().join("..data"), base.path().join("parlor.toml"));
        std::os::unix::fs::symlink("..2026", &data).unwrap();
        std::os::unix::fs::symlink("..data/parlor.toml", &file).unwrap();
        let mut watch = FileWatcher::start([file.clone()]).unwrap();
        std::os::unix::fs::symlink("..2027", base.path().join("new")).unwrap();
        fs::rename(base.path().join("new"), &data).unwrap();
        told(&mut watch).await;
        fs::write(base.path().join("..2027/parlor.toml"), "c").unwrap();
        told(&mut watch).await;
    }

    #[tokio::test]
    async fn a_tree_is_watched_with_what_comes_into_it_and_without_what_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("made")).unwrap();
        let mut watch = FileWatcher::tree(folder.path().to_owned(), |name| name == "made" || name == "a.out").unwrap();
        fs::create_dir_all(at("src/deep")).unwrap();
        told(&mut watch).await;
        fs::write(at("src/deep/a"), "a").unwrap();
        told(&mut watch).await;
        fs::remove_dir_all(at("src")).unwrap();
        told(&mut watch).await;
        fs::create_dir_all(at("src/deep")).unwrap();
        told(&mut watch).await;
        fs::write(at("src/deep/a"), "a").unwrap();
        told(&mut watch).await;
        // An excluded folder is not watched at all, and changes of an excluded file are ignored.
        fs::write(at("made/x"), "x").unwrap();
        fs::write(at("a.out"), "x").unwrap();
        let event = watch.events.next().await.unwrap().unwrap();
        assert_eq!(event.name.as_deref(), Some(OsStr::new("a.out")));
        assert!(!watch.matters(event.name.as_deref()) && watch.matters(Some(OsStr::new("b"))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_all_the_time_is_told_now_and_then() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plugins.toml");
        let mut watch = FileWatcher::start([file.clone()]).unwrap();
        let began = Instant::now();
        watch.written = Some((began, began));
        for _ in 0..100 {
            // Each write comes before the report would.
            tokio::time::advance(QUIET / 2).await;
            if watch.written.is_none() {
                break;
            }
            fs::write(&file, "a").unwrap();
            let _ = tokio::time::timeout(QUIET / 4, watch.changed()).await;
        }
        assert!(watch.written.is_none() && began.elapsed() < LONGEST + QUIET, "{:?}", began.elapsed());
    }
}
