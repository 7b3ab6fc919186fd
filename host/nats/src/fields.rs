//! The headers of a stored message.
//!
//! The library parses those of messages that arrive. A message that is read by a request comes with its headers as
//! text.

use async_nats::HeaderMap;

/// Headers, as they are asked for by name.
pub(crate) trait Fields {
    /// Returns the value of a header.
    fn field(&self, name: &str) -> Option<&str>;
}

impl Fields for HeaderMap {
    fn field(&self, name: &str) -> Option<&str> {
        self.get(name).map(async_nats::HeaderValue::as_str)
    }
}

impl Fields for Option<HeaderMap> {
    fn field(&self, name: &str) -> Option<&str> {
        self.as_ref()?.field(name)
    }
}

/// Headers as text: a line with the version, and a line for each. Names are compared as they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextFields<'a>(pub(crate) &'a str);

impl Fields for TextFields<'_> {
    fn field(&self, name: &str) -> Option<&str> {
        let lines = self.0.lines().skip(1).map_while(|line| line.split_once(':'));
        lines.filter(|(one, _)| *one == name).map(|(_, value)| value.trim()).next()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_are_found_by_their_names() {
        let fields = TextFields("NATS/1.0\r\nParlor-Token: 7\r\nOther:x:y\r\n\r\nParlor-Number: 8\r\n");
        assert_eq!(fields.field("Parlor-Token"), Some("7"));
        assert_eq!(fields.field("Other"), Some("x:y"));
        assert_eq!(fields.field("Parlor-Number"), None, "it comes after the end");
        assert_eq!(fields.field("parlor-token"), None);
    }

    proptest! {
        #[test]
        fn any_text_may_stand_there(text in ".*", name in ".*") {
            TextFields(&text).field(&name);
        }
    }
}
