//! Fields of a query and of a form, as `application/x-www-form-urlencoded` of the URL standard has them.

use std::fmt::{Display, Write as _};

/// Appends a field. Its name and its value may be any text.
pub(crate) fn push_field(to: &mut String, name: &str, value: &dyn Display) {
    push_encoded(to, name);
    to.push('=');
    push_encoded(to, &value.to_string());
}

fn push_encoded(to: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte == b' ' {
            to.push('+');
        } else if byte.is_ascii_alphanumeric() || b"-._~{}".contains(&byte) {
            // The braces are those of `{{name}}`, the place of a credential.
            to.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}
