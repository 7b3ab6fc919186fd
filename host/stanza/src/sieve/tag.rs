//! The names in tags.

/// Returns the index of the first such byte.
pub(super) fn find(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    bytes.iter().position(|byte| wanted(*byte))
}

/// Returns the name in a start tag.
pub fn name_of(tag: &[u8]) -> &[u8] {
    let tag = tag.strip_prefix(b"<").unwrap_or(tag);
    &tag[..find(tag, |byte| matches!(byte, b'>' | b'/') || byte.is_ascii_whitespace()).unwrap_or(tag.len())]
}

/// Returns a name without its prefix.
pub(super) fn local(name: &[u8]) -> &[u8] {
    find(name, |byte| byte == b':').map_or(name, |colon| &name[colon + 1..])
}
