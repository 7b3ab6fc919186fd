//! Shows that a plugin can use the whole of the private API: the list of it, the tests that name its parts, and the
//! records of those tests.

pub mod list;
pub mod record;
pub mod tests_of;
pub mod verdict;

use std::path::{Path, PathBuf};

/// Returns the workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the workspace").to_owned()
}
