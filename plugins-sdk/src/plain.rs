//! Messages that consist only of a text or a file, and conversions to a contact's attributes.

use serde_json::{Value, json};

use crate::types::{File, Outgoing, Resource};

/// The name as Rust spells it, of that of any language.
pub(crate) fn snake_case(name: &str) -> String {
    let mut spelled = String::with_capacity(name.len());
    for sign in name.chars() {
        if sign.is_ascii_uppercase() && spelled.ends_with(|before: char| before.is_ascii_lowercase()) {
            spelled.push('_');
            spelled.push(sign.to_ascii_lowercase());
        } else {
            spelled.push(if sign == '-' { '_' } else { sign });
        }
    }
    spelled
}

/// A client of a contact as JSON.
pub(crate) fn resource(one: &Resource) -> Value {
    json!({
        "name": one.name, "priority": one.priority, "show": one.show, "status": one.status, "since": one.since,
    })
}

impl From<String> for Outgoing {
    fn from(body: String) -> Self {
        Self::new(body)
    }
}

impl From<&String> for Outgoing {
    fn from(body: &String) -> Self {
        Self::new(body)
    }
}

impl From<&str> for Outgoing {
    fn from(body: &str) -> Self {
        Self::new(body)
    }
}

impl From<File> for Outgoing {
    fn from(file: File) -> Self {
        Self::file(file)
    }
}
