//! The names of environment variables that hold secrets.

/// Returns whether this can name the environment variable that holds a password. A text in the wrong place, such as the password
/// itself, is seldom a valid name.
pub fn is_variable(name: &str) -> bool {
    /// The longest name, in bytes.
    const LONGEST: usize = 128;
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    begins && name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
