//! Replacement texts for a message that is about to be sent.

use std::collections::BTreeMap;

use xmpp_parsers::message::Lang;
use xmpp_parsers::stanza::Stanza;

use crate::draft::{check_draft, check_text};
use crate::encode::FALLBACK;
use crate::error::CallError;
use crate::raw::{MAX_WRITTEN_BYTES, RawStanza, copy};
use crate::types::{Draft, Message};

/// Maximum length of each text, in bytes.
const MAX_TEXT: usize = 64 * 1_024;
/// The namespace of formatted texts (XEP-0071).
const XHTML: &str = "http://jabber.org/protocol/xhtml-im";

/// Replacement texts for a message. None: the text stays unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// The body.
    pub body: Option<String>,
    /// The subject.
    pub subject: Option<String>,
}

impl Texts {
    /// Returns whether both texts stay.
    pub fn change_nothing(&self) -> bool {
        self.body.is_none() && self.subject.is_none()
    }

    /// Checks that a message can have these texts. The errors name the arguments `body` and `subject`.
    pub fn check(&self) -> Result<(), CallError> {
        if self.body.as_ref().is_some_and(String::is_empty) {
            return Err(CallError::invalid("body", "is empty; leave it out, or stop the message"));
        }
        for (name, text) in [("body", &self.body), ("subject", &self.subject)] {
            if let Some(text) = text {
                check_text(name, text, MAX_TEXT)?;
            }
        }
        Ok(())
    }

    /// Adds the changes of a later hook.
    pub fn then(&mut self, later: Self) {
        self.body = later.body.or_else(|| self.body.take());
        self.subject = later.subject.or_else(|| self.subject.take());
    }

    /// Returns the draft with these texts. Extensions that refer to parts of the old body are removed with it.
    pub fn in_draft(self, mut draft: Draft) -> Result<Draft, CallError> {
        if let Some(body) = self.body {
            draft.body = Some(body);
            if let Some(extensions) = &mut draft.extensions {
                extensions.fallback.clear();
            }
        }
        draft.subject = self.subject.or(draft.subject);
        check_draft(&draft)?;
        Ok(draft)
    }

    /// Returns the same message with these texts, in place of those in any language. A stanza of another kind stays.
    pub fn in_stanza(self, stanza: &RawStanza) -> Result<RawStanza, CallError> {
        let mut altered = copy(stanza.stanza());
        if let Stanza::Message(message) = &mut altered {
            if let Some(body) = self.body {
                message.bodies = BTreeMap::from([(Lang::new(), body)]);
                message.payloads.retain(|one| !one.is("fallback", FALLBACK) && !one.is("html", XHTML));
            }
            if let Some(subject) = self.subject {
                message.subjects = BTreeMap::from([(Lang::new(), subject)]);
            }
        }
        let altered = RawStanza::from(altered);
        if altered.to_xml().len() > MAX_WRITTEN_BYTES {
            let reason = format!("with it, the stanza is longer than {MAX_WRITTEN_BYTES} bytes");
            return Err(CallError::invalid("body", reason));
        }
        Ok(altered)
    }

    /// Changes a message as others see it. Its XML stays as it was.
    pub fn show_in(&self, message: &mut Message) {
        if let Some(body) = &self.body {
            message.body = Some(body.clone());
            message.bodies.clear();
            if let Some(extensions) = &mut message.extensions {
                extensions.fallback.clear();
            }
        }
        if let Some(subject) = &self.subject {
            message.subject = Some(subject.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Extensions, Fallback};

    fn texts(body: Option<&str>, subject: Option<&str>) -> Texts {
        Texts { body: body.map(str::to_owned), subject: subject.map(str::to_owned) }
    }

    #[test]
    fn a_later_change_counts_and_texts_are_checked() {
        let mut all = texts(Some("one"), None);
        all.then(texts(None, Some("about")));
        all.then(texts(Some("two"), None));
        assert_eq!(all, texts(Some("two"), Some("about")));
        assert!(Texts::default().change_nothing() && !all.change_nothing() && all.check().is_ok());
        for wrong in [texts(Some(""), None), texts(Some("a\u{0}"), None), texts(None, Some(&"x".repeat(MAX_TEXT + 1)))]
        {
            assert!(matches!(wrong.check(), Err(CallError::Invalid { .. })), "{wrong:?}");
        }
        assert!(texts(None, Some("")).check().is_ok(), "it takes a subject away");
    }

    #[test]
    fn what_is_about_parts_of_the_old_text_goes_with_it() {
        let fallback = vec![Fallback { feature: None, part: Some((0, 9)) }];
        let extensions = Some(Box::new(Extensions { fallback, ..Extensions::default() }));
        let draft = Draft { body: Some("> quoted\nsaid".to_owned()), extensions, ..Draft::default() };
        let draft = texts(Some("new"), None).in_draft(draft).unwrap();
        assert_eq!(draft.body.as_deref(), Some("new"));
        assert!(draft.extensions.unwrap().fallback.is_empty());
    }

    #[test]
    fn a_stanza_has_the_one_text_afterwards_and_keeps_the_rest() {
        let xml = "<message to='a@b' id='7'><body>one</body><body xml:lang='de'>eins</body>\
                   <html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>one</body></html>\
                   <x xmlns='urn:example:kept'/></message>";
        let stanza = RawStanza::parse(xml, &"bot@localhost".parse().unwrap()).unwrap();
        let altered = texts(Some("two & three"), None).in_stanza(&stanza).unwrap().to_xml();
        assert!(altered.contains("two &amp; three") && altered.contains("urn:example:kept"), "{altered}");
        for gone in ["eins", "xhtml", ">one<"] {
            assert!(!altered.contains(gone), "{altered}");
        }
        assert!(altered.contains("a@b"), "{altered}");
    }
}
