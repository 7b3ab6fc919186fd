//! The path of the socket, kept short enough for the kernel.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

/// The socket's name in the data folder.
const NAME: &str = "control.sock";
/// The longest socket path that the kernel accepts, in bytes.
const LONGEST: usize = 107;

/// Returns the socket of the host with this data folder.
pub fn path(data: &Path) -> PathBuf {
    data.join(NAME)
}

/// A socket path that the kernel accepts, even for a long original. It holds the folder open.
#[derive(Debug)]
pub(super) struct Address {
    path: PathBuf,
    _folder: Option<File>,
}

impl Address {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::other("it has no folder"));
        };
        if path.as_os_str().len() <= LONGEST {
            return Ok(Self { path: path.to_owned(), _folder: None });
        }
        let folder = File::open(folder)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
        Ok(Self { path, _folder: Some(folder) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_long_name_has_a_socket_too() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(200));
        std::fs::create_dir(&deep).unwrap();
        let path = path(&deep);
        let address = Address::of(&path).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(address.path()).unwrap();
        assert!(path.exists());
        std::os::unix::net::UnixStream::connect(Address::of(&path).unwrap().path()).unwrap();
        listener.accept().unwrap();
    }
}
