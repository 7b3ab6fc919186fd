//! Replacement texts for a message that is about to be sent.

use std::collections::BTreeMap;

use minidom::Element;
use xmpp_parsers::message::Lang;
use xmpp_parsers::stanza::Stanza;

use crate::draft::{check_draft, check_text};
use crate::encode::{FALLBACK, OLDER_FALLBACK};
use crate::error::CallError;
use crate::previews::is_of_no_link_in;
use crate::raw::{MAX_WRITTEN_BYTES, RawStanza, copy};
use crate::types::{Draft, Extensions, Message};

/// Maximum length of each text, in bytes.
const MAX_TEXT: usize = 64 * 1_024;
/// The namespace of formatted texts (XEP-0071).
pub(crate) const XHTML: &str = "http://jabber.org/protocol/xhtml-im";

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
            if let Some(extensions) = &mut draft.extensions {
                forget_parts(extensions, &body);
            }
            draft.body = Some(body);
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
                let is_range = |one: &Element| one.is("fallback", FALLBACK) || one.is("fallback", OLDER_FALLBACK);
                let is_kept = |one: &Element| !is_range(one) && !one.is("html", XHTML);
                message.payloads.retain(|one| is_kept(one) && !is_of_no_link_in(one, &body));
                message.bodies = BTreeMap::from([(Lang::new(), body)]);
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
                forget_parts(extensions, body);
            }
        }
        if let Some(subject) = &self.subject {
            message.subject = Some(subject.clone());
        }
    }
}

/// Removes the extensions that are about parts of the text before this one: also previews of links that are not in it.
fn forget_parts(extensions: &mut Extensions, body: &str) {
    extensions.fallback.clear();
    extensions.previews.retain(|preview| body.contains(&preview.url));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Fallback, LinkPreview, MessageKind, Outgoing};

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

    /// Otherwise clients would leave out as much of a hook's text as the plugin likes.
    #[test]
    fn ranges_of_the_old_text_go_in_each_form() {
        for namespace in [FALLBACK, OLDER_FALLBACK] {
            let xml = format!(
                "<message to='a@b'><body>one</body><fallback xmlns='{namespace}' for='urn:xmpp:reply:0'><body start='0' \
                 end='99'/></fallback></message>"
            );
            let stanza = RawStanza::parse(&xml, &"bot@localhost".parse().unwrap()).unwrap();
            let altered = texts(Some("two"), None).in_stanza(&stanza).unwrap().to_xml();
            assert!(altered.contains("two") && !altered.contains("fallback"), "{altered}");
        }
    }

    /// A hook that takes a link out of a text takes its preview with it, and what was hidden stays hidden.
    #[test]
    fn previews_stay_as_long_as_their_links() {
        let preview = |url: &str| LinkPreview {
            url: url.to_owned(),
            title: Some("t".to_owned()),
            image: None,
            description: None,
        };
        let previews = vec![preview("https://h/a"), preview("https://h/b")];
        let extensions =
            Extensions { previews, spoiler: Some("end".to_owned()), unstyled: true, ..Extensions::default() };
        let extensions = Some(Box::new(extensions));
        let draft = Draft { body: Some("https://h/a https://h/b".to_owned()), extensions, ..Draft::default() };
        let subject = texts(None, Some("s")).in_draft(draft.clone()).unwrap();
        assert_eq!(subject.extensions, draft.extensions);
        let altered = texts(Some("only https://h/b"), None);
        let kept = altered.clone().in_draft(draft.clone()).unwrap().extensions.unwrap();
        assert_eq!(
            (kept.previews, kept.spoiler.as_deref(), kept.unstyled),
            (vec![preview("https://h/b")], Some("end"), true)
        );
        let (to, id) = ("a@b".parse().unwrap(), "1".to_owned());
        let sent = Outgoing::Message { to, kind: MessageKind::Chat, id, draft, to_occupant: false };
        let xml = altered.in_stanza(&RawStanza::of(sent)).unwrap().to_xml();
        assert!(!xml.contains("https://h/a") && xml.matches("https://h/b").count() == 2, "{xml}");
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
