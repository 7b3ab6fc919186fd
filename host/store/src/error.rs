//! The error of a file that is read or changed as a whole.

use std::path::PathBuf;

use parlor_base::escape::EscapedPath as _;

use super::file::Unfit;

/// An error from reading or changing the file.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be used.
    #[error("{} cannot be used ({cause})", path.escaped())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The reason that it cannot be used.
        cause: String,
    },
    /// The file is another user's.
    #[error("{} cannot be used ({cause}): only the user that the host runs as may use it", path.escaped())]
    Denied {
        /// The path of the file.
        path: PathBuf,
        /// The error from the system.
        cause: String,
    },
    /// The import would exceed the plugin's quota of this many bytes.
    #[error("that is more than the {0} bytes that the plugin may keep; nothing was imported")]
    TooMuch(u64),
}

impl DataError {
    /// Returns the error of a file that cannot be opened.
    pub(super) fn unopened(path: PathBuf, cause: &Unfit) -> Self {
        let (is_denied, cause) = (cause.is_denied(), cause.to_string());
        if is_denied { Self::Denied { path, cause } } else { Self::File { path, cause } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_user_is_told_of_with_who_may_use_it() {
        let says = |errno: i32| {
            let cause = Unfit::from(std::io::Error::from_raw_os_error(errno));
            DataError::unopened("data/parlor.db".into(), &cause).to_string()
        };
        // EACCES and EIO.
        assert!(says(13).ends_with("): only the user that the host runs as may use it"), "{}", says(13));
        assert!(says(5).starts_with("data/parlor.db cannot be used (") && says(5).ends_with(')'), "{}", says(5));
    }
}
