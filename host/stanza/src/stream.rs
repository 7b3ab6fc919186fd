//! Elements of a stream as text: read by the library's types, and written.

use std::io;

use minidom::rxml::error::EndOrError;
use minidom::rxml::writer::{Encoder, SimpleNamespaces, TrackNamespace as _};
use minidom::rxml::xml_lang::XmlLangStack;
use minidom::rxml::{Event, Item, Namespace, Parse as _, Parser};
use xmpp_parsers::ns;
use xso::error::Error;
use xso::fromxml::Discard;
use xso::{AsXml, Context, FromEventsBuilder as _, FromXml};

use crate::sieve::mend::{attributes, unquoted};
use crate::text::name;

/// Reads the elements behind the header of a stream, of which each is given whole.
pub struct StreamReader {
    parser: Parser,
    langs: XmlLangStack,
}

/// The next thing that a [`StreamReader`] has read.
#[derive(Debug)]
pub enum Read<T> {
    /// An element, or why its contents are not those of its type. The next element can be read.
    Element(Result<T, Error>),
    /// An element of another type, which was skipped.
    Foreign,
    /// The end of the stream.
    Footer,
    /// No further element exists.
    Nothing,
}

impl StreamReader {
    /// Begins behind this header; `None` if it is not valid.
    pub fn behind(mut header: &[u8]) -> Option<Self> {
        let (mut parser, mut langs) = (Parser::default(), XmlLangStack::new());
        loop {
            let event = parser.parse(&mut header, false).ok()??;
            langs.handle_event(&event);
            if matches!(event, Event::StartElement(..)) {
                return Some(Self { parser, langs });
            }
        }
    }

    /// Returns the language of the stream.
    pub fn lang(&self) -> Option<&str> {
        self.langs.current()
    }

    /// Reads the next element, and removes it from the bytes. After an error, nothing more can be read.
    pub fn read<T: FromXml>(&mut self, bytes: &mut &[u8]) -> io::Result<Read<T>> {
        let mut builder = None;
        loop {
            let Some(event) = self.next(bytes)? else {
                return if builder.is_none() { Ok(Read::Nothing) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            };
            let context = Context::empty().with_language(self.langs.current());
            builder = match (builder, event) {
                (None, Event::XmlDeclaration(..)) => None,
                (None, Event::Text(_, text)) if xso::is_xml_whitespace(text.as_bytes()) => None,
                (None, Event::Text(..)) => return Err(invalid("text between elements")),
                (None, Event::EndElement(_)) => return Ok(Read::Footer),
                (None, Event::StartElement(_, name, attributes)) => {
                    let begun = <Result<T, Error> as FromXml>::from_events(name, attributes, &context);
                    // Faults in the element are reported at its end, and another type at its beginning.
                    let Ok(begun) = begun else { return self.skip(bytes).map(|()| Read::Foreign) };
                    Some(begun)
                }
                (Some(mut builder), event) => match builder.feed(event, &context).map_err(invalid)? {
                    Some(element) => return Ok(Read::Element(element)),
                    None => Some(builder),
                },
            };
        }
    }

    /// Reads to the end of an element whose start tag was read.
    fn skip(&mut self, bytes: &mut &[u8]) -> io::Result<()> {
        let mut rest = Discard::new();
        loop {
            let event = self.next(bytes)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if rest.feed(event, &Context::empty()).map_err(invalid)?.is_some() {
                return Ok(());
            }
        }
    }

    /// Returns the next tag or text; `None` if it is not complete.
    fn next(&mut self, bytes: &mut &[u8]) -> io::Result<Option<Event>> {
        match self.parser.parse(bytes, false) {
            Ok(Some(event)) => {
                self.langs.handle_event(&event);
                Ok(Some(event))
            }
            Err(EndOrError::NeedMoreData) => Ok(None),
            Ok(None) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(EndOrError::Error(error)) => Err(invalid(error)),
        }
    }
}

/// Returns whether elements without a prefix are stanzas behind this header of a stream.
pub fn declares_stanzas(header: &[u8]) -> bool {
    declares(header, ns::JABBER_CLIENT)
}

/// Returns whether elements without a prefix are in this namespace behind this header of a stream.
pub fn declares(header: &[u8], namespace: &str) -> bool {
    let mut declared = attributes(header).filter(|(name, _)| *name == b"xmlns");
    declared.next().is_some_and(|(_, value)| unquoted(value) == namespace.as_bytes())
}

/// Returns an attribute of this header of a stream; `None` if it is not there, or the header is not valid.
pub fn header_attribute(mut header: &[u8], name: &str) -> Option<String> {
    let mut parser = Parser::default();
    loop {
        if let Event::StartElement(_, _, attributes) = parser.parse(&mut header, false).ok()?? {
            return attributes.get(&Namespace::NONE, name).cloned();
        }
    }
}

/// Writes an element as it is in a stream whose header declares the prefix `stream`, and `jabber:client` or, for a
/// component, `jabber:component:accept` in its place.
pub fn written(element: &impl AsXml) -> Result<String, Error> {
    let mut encoder = Encoder::<SimpleNamespaces>::new();
    let mut bytes = Vec::new();
    // The first element declares what is fixed, and that is the header, which is written elsewhere.
    let names = encoder.ns_tracker_mut();
    names.declare_fixed(Some(&name("stream")), Namespace::from(ns::STREAM));
    names.declare_fixed(None, Namespace::from(ns::JABBER_CLIENT));
    encoder.encode(Item::ElementHeadStart(Namespace::from(ns::STREAM), &name("stream")), &mut bytes)?;
    encoder.encode(Item::ElementHeadEnd, &mut bytes)?;
    bytes.clear();
    for item in element.as_xml_iter()? {
        encoder.encode(item?.as_rxml_item(), &mut bytes)?;
    }
    String::from_utf8(bytes).map_err(Error::text_parse_error)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use xmpp_parsers::iq::Iq;
    use xmpp_parsers::stanza::Stanza;
    use xmpp_parsers::stream_error::{DefinedCondition, StreamError};

    use super::*;

    #[test]
    fn an_element_of_another_type_is_skipped_and_the_next_one_is_read() {
        let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
        let mut reader = StreamReader::behind(header.as_bytes()).unwrap();
        let stream =
            "<a xmlns='urn:x'><b><a/></b>text</a> <iq xmlns='jabber:server'/><message><body>hi</body></message><c>";
        let mut bytes = stream.as_bytes();
        for _ in 0..2 {
            assert!(matches!(reader.read::<Stanza>(&mut bytes), Ok(Read::Foreign)));
        }
        assert!(matches!(reader.read::<Stanza>(&mut bytes), Ok(Read::Element(Ok(Stanza::Message(_))))));
        assert!(reader.read::<Stanza>(&mut bytes).is_err(), "it is given whole");
    }

    /// Prosody refuses what a component sends in the namespace of clients.
    #[test]
    fn what_the_header_declares_is_not_declared_again() {
        let iq = Iq::Result { from: None, to: None, id: "1".to_owned(), payload: None };
        assert_eq!(written(&iq).unwrap(), "<iq type='result' id='1'></iq>");
        let error = written(&StreamError::new(DefinedCondition::Reset, "en", "again")).unwrap();
        assert!(error.starts_with("<stream:error><reset xmlns="), "{error}");
    }
}
