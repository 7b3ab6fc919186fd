//! What shows that a plugin can use the whole of the private API: the list of it, the tests that name its parts, and what
//! was seen while they ran.

pub mod list;
pub mod record;
pub mod tests_of;
pub mod verdict;

use std::path::{Path, PathBuf};

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the workspace").to_owned()
}
