//! Machine code that the hosts of this process share, and that those in processes of their own share. Most of them run
//! the same few plugins, one of which takes seconds of CPU time to compile. Tests of compiling itself have hosts of
//! their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use parlor::host::Host;
use parlor_config::Config;
use parlor_runtime::compiler::Compiler;
use parlor_runtime::threads::Threads;
use parlor_tests::compiled::{CACHE, KEY, Shared};
use parlor_tests::component::with_manifest;
use parlor_tests::folder::Folder;
use parlor_tests::host::Home;
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use tokio::sync::OwnedMutexGuard;

use crate::test_host::{Plan, TestHost, granted};

/// The shared cache. It is removed with this process, so that nothing is reused from another build.
static SHARED: LazyLock<Folder> = LazyLock::new(|| {
    let shared = Folder::new().unwrap();
    shared.make_folder(CACHE).unwrap();
    shared.write(KEY, rand::random::<[u8; 32]>()).unwrap();
    shared
});

/// Starts a host in this process. It finds the compiled code of other hosts in its cache, as at a second start, and
/// shares the code that it compiles itself.
pub(crate) async fn start(config: Config, policy: &Policy) -> Host {
    let data = config.data.clone();
    DirBuilder::new().recursive(true).mode(0o700).create(data.join(CACHE)).unwrap();
    named_too(&SHARED.join(KEY), &data.join(KEY));
    // Each place has a separate hard link, since a host that drops or replaces an entry removes only its own link.
    let digests = policy.plugin.values().filter_map(|entry| entry.digest.strip_prefix("sha256:"));
    let places = digests.map(|digest| Path::new(CACHE).join(digest));
    let entries: Vec<_> = places.map(|place| (SHARED.join(&place), data.join(&place))).collect();
    let missing = entries.iter().map(|(shared, _)| shared.clone()).filter(|shared| !shared.exists());
    let _alone = alone_with(missing.collect()).await;
    for (shared, own) in &entries {
        named_too(shared, own);
    }
    let host = Host::start(config, Compiler::ThisProcess { optimized: false }, Threads::of_the_caller()).await.unwrap();
    for (shared, own) in &entries {
        named_too(own, shared);
    }
    host
}

/// Waits for other hosts that compile these plugins now, and keeps further ones waiting until the result is dropped.
async fn alone_with(places: BTreeSet<PathBuf>) -> Vec<OwnedMutexGuard<()>> {
    static ALL: Mutex<BTreeMap<PathBuf, Arc<tokio::sync::Mutex<()>>>> = Mutex::new(BTreeMap::new());
    let mut alone = Vec::new();
    // In the order of the places, so that no two hosts wait for each other.
    for place in places {
        let one = Arc::clone(ALL.lock().unwrap().entry(place).or_default());
        alone.push(one.lock_owned().await);
    }
    alone
}

/// The code that the hosts in processes of their own share. It is made to run fast, so it is not that of the others.
static OF_PROCESSES: LazyLock<Shared> = LazyLock::new(|| Shared::new().unwrap());

/// Gives a `parlor run` that has not started yet what others have compiled.
pub(crate) fn give(home: &Home) {
    OF_PROCESSES.give(home).unwrap();
}

/// Takes what such a host has compiled, for others.
pub(crate) fn take(home: &Home) {
    OF_PROCESSES.take(home).unwrap();
}

/// Creates a hard link to a file, unless the file is missing or the link exists.
fn named_too(file: &Path, name: &Path) {
    let named = fs::hard_link(file, name);
    let is_fine =
        named.as_ref().err().is_none_or(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists));
    assert!(is_fine, "{}: {named:?}", name.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_host_has_compiled_the_next_one_finds() {
    // No other test has these bytes.
    let bytes = built("echo").unwrap().bytes().unwrap();
    let bytes = with_manifest(&bytes, |manifest| format!("{manifest}\n# of this test\n")).unwrap();
    let start = async || Plan::offline().bytes("echo", &bytes, granted).start().await;
    let code = |host: &TestHost| {
        let mut entries = fs::read_dir(host.home.path().join("data").join(CACHE)).unwrap();
        entries.next().unwrap().unwrap().metadata().unwrap().ino()
    };
    let (one, other) = (start().await, start().await);
    assert_eq!(code(&one), code(&other), "it was compiled anew");
    one.stop().await;
    other.stop().await;
}
