//! Fields of a query and of a form, as `application/x-www-form-urlencoded` of the URL standard has them.

use std::fmt::{Display, Write as _};

/// Appends a field. Its name and its value may be any text, such as what a person wrote. Braces are encoded as well: a `{{name}}` of a
/// person must not become a credential.
pub(crate) fn push_field(to: &mut String, name: &str, value: &dyn Display) {
    push_encoded(to, name);
    to.push('=');
    push_encoded(to, &value.to_string());
}

fn push_encoded(to: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte == b' ' {
            to.push('+');
        } else if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            to.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

/// Returns the value of the first field of this name, decoded.
pub(crate) fn find_field(fields: &str, name: &str) -> Option<String> {
    fields.split('&').filter(|field| !field.is_empty()).find_map(|field| {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        (decoded(key) == name).then(|| decoded(value))
    })
}

/// A `%` without two digits behind it stays, and bytes that are not UTF-8 are replaced.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match (first, byte_of(behind)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the byte that the first two digits say.
fn byte_of(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| text.get(at).and_then(|sign| char::from(*sign).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}
