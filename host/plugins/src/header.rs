//! Names of HTTP headers, as manifests write them.

use parlor_base::document::{DocumentError, Node};

/// The maximum length of the name of a header, and of a text before a signature, in bytes.
pub(crate) const MAX_HEADER: usize = 64;

/// Parses the name of a header (RFC 9110, section 5.1). Returns it in lower case.
pub(crate) fn header(node: &Node<'_>, name: &str) -> Result<String, DocumentError> {
    let is_token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    if name.is_empty() || name.len() > MAX_HEADER || !name.bytes().all(is_token) {
        return Err(node.wants(&format!("the name of a header, at most {MAX_HEADER} bytes")));
    }
    Ok(name.to_ascii_lowercase())
}
