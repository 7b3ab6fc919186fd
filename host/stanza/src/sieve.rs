//! Finds the boundaries of a stream's elements byte by byte, and checks the limits. Pure.
//!
//! It is not a parser: it finds tags, quotes and depth, and leaves it to the library to check that the XML is
//! well-formed.

pub mod held;
pub mod limits;
pub mod lost;
pub mod mend;
mod tag;

use minidom::rxml;
use xmpp_parsers::ns;

use crate::sieve::held::{Held, Prefixes, is_whole_message};
use crate::sieve::limits::ILL_FORMED;
use crate::sieve::lost::Lost;
use crate::sieve::tag::{find, local};

pub use crate::sieve::limits::MAX_BYTES;
pub use crate::sieve::limits::MAX_TOKEN;
pub use crate::sieve::tag::name_of as name;

/// The capacity up to which a buffer is kept after a large stanza.
pub const KEEP: usize = 64 * 1024;

const CDATA: &[u8] = b"<![CDATA[";

#[derive(Debug, Clone, Copy, Default)]
enum At {
    #[default]
    Text,
    /// After `<`.
    Tag,
    /// In a start tag, outside quotes.
    Open,
    Quote(u8),
    /// In an end tag.
    Close,
    /// After `<!`, and this many bytes of the beginning of a CDATA section.
    Markup(usize),
    /// In a CDATA section, after this many closing brackets (at most two are counted).
    Cdata(u8),
    /// After `<?`.
    Declaration,
}

/// Splits a stream into elements.
#[derive(Debug, Default)]
pub struct Sieve {
    at: At,
    /// The number of open elements, including the stream itself.
    level: usize,
    /// The element or tag that is being received.
    held: Held,
    farewell: Option<Lost>,
    /// Whether the outermost element may be empty.
    may_be_empty: bool,
    /// The header of the stream.
    header: Vec<u8>,
    /// The element that was just completed.
    whole: Option<Whole>,
}

/// An element, header or footer of a stream that is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// A message as received, within the limits and with nothing to repair or to note.
    Message,
    /// Any other element.
    Other,
}

impl Sieve {
    /// Creates a sieve for stanzas without their stream, as in a WebSocket message.
    pub fn within_a_stream() -> Self {
        Self { level: 1, ..Self::default() }
    }

    /// Creates a sieve for stanzas in an element other than a stream, as in the body of a BOSH answer.
    pub fn of_a_document() -> Self {
        Self { may_be_empty: true, ..Self::default() }
    }

    /// Returns how the server ended the stream, if it did.
    pub fn farewell(&mut self) -> Option<Lost> {
        self.farewell.take()
    }

    /// Returns whether an element of the stream has begun and not ended.
    pub fn is_within_an_element(&self) -> bool {
        self.level > 1 || !matches!(self.at, At::Text)
    }

    /// Returns the header of the stream; empty before it is complete.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Returns whether an element of the stream can begin, and nothing of it has come.
    pub fn is_between_elements(&self) -> bool {
        self.level == 1 && matches!(self.at, At::Text)
    }

    /// Frees the memory that is kept for the next element, unless that has begun.
    pub fn give_back(&mut self) {
        if self.is_between_elements() && !self.held.is_own() {
            self.held = Held::default();
            self.header.shrink_to_fit();
        }
    }

    /// Takes received data and appends complete elements to `out`. After an error nothing more may be pushed.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Lost> {
        while !bytes.is_empty() {
            bytes = &bytes[self.push_one(bytes, out)?.0..];
        }
        Ok(())
    }

    /// Like [`Sieve::push`], but stops behind the first complete element. Returns the number of bytes taken, and the
    /// completed element. White space between elements is appended at once.
    pub fn push_one(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(usize, Option<Whole>), Lost> {
        let mut rest = bytes;
        self.whole = None;
        while !rest.is_empty() && self.whole.is_none() {
            let amount = match self.at {
                At::Text => self.text(rest, out)?,
                At::Tag => self.tag(rest[0])?,
                At::Open => self.open(rest, out)?,
                At::Quote(quote) => self.quoted(rest, quote)?,
                At::Close => self.close(rest, out)?,
                At::Markup(matched) => self.markup(rest[0], matched)?,
                At::Cdata(brackets) => self.cdata(rest[0], brackets)?,
                At::Declaration => self.declaration(rest, out)?,
            };
            rest = &rest[amount..];
        }
        Ok((bytes.len() - rest.len(), self.whole))
    }

    fn text(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Lost> {
        let end = find(bytes, |byte| byte == b'<');
        let text = &bytes[..end.unwrap_or(bytes.len())];
        if self.level < 2 {
            // Whitespace keeps connections alive; the library ends the stream over any other text.
            out.extend_from_slice(text);
        } else {
            self.held.text(text, self.level)?;
        }
        if end.is_some() {
            self.held.tag_begins(self.level)?;
            self.at = At::Tag;
        }
        Ok(text.len() + usize::from(end.is_some()))
    }

    fn tag(&mut self, first: u8) -> Result<usize, Lost> {
        self.at = match first {
            b'/' => {
                self.held.tag_closes(self.level);
                At::Close
            }
            b'!' => At::Markup(2),
            b'?' => At::Declaration,
            // The byte may already end the tag, so it is examined again.
            _ => {
                self.at = At::Open;
                return Ok(0);
            }
        };
        self.held.hold(&[first])?;
        Ok(1)
    }

    fn open(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Lost> {
        let Some(end) = find(bytes, |byte| matches!(byte, b'"' | b'\'' | b'>')) else {
            self.held.name(bytes)?;
            return Ok(bytes.len());
        };
        self.held.name(&bytes[..end])?;
        if bytes[end] == b'>' {
            self.held.hold(b">")?;
            self.opened(out)?;
        } else {
            self.held.quote(bytes[end])?;
            self.at = At::Quote(bytes[end]);
        }
        Ok(end + 1)
    }

    fn quoted(&mut self, bytes: &[u8], quote: u8) -> Result<usize, Lost> {
        let Some(end) = find(bytes, |byte| byte == quote) else {
            self.held.part(bytes)?;
            return Ok(bytes.len());
        };
        self.held.part(&bytes[..end])?;
        self.held.unquote(quote)?;
        self.at = At::Open;
        Ok(end + 1)
    }

    fn close(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Lost> {
        let end = find(bytes, |byte| byte == b'>');
        let amount = end.map_or(bytes.len(), |end| end + 1);
        self.held.closing(&bytes[..amount])?;
        if end.is_some() {
            self.closed(out)?;
        }
        Ok(amount)
    }

    fn markup(&mut self, next: u8, matched: usize) -> Result<usize, Lost> {
        if self.level < 2 || next != CDATA[matched] {
            // A comment, an instruction or a document type is not permitted in a stream (RFC 6120, section 11.1).
            return Err(Lost::Unreadable);
        }
        self.held.hold(&[next])?;
        self.at = if matched + 1 == CDATA.len() { At::Cdata(0) } else { At::Markup(matched + 1) };
        Ok(1)
    }

    fn cdata(&mut self, next: u8, brackets: u8) -> Result<usize, Lost> {
        self.held.hold(&[next])?;
        self.at = match next {
            b']' => At::Cdata((brackets + 1).min(2)),
            b'>' if brackets == 2 => {
                self.held.characters_end(self.level);
                At::Text
            }
            _ => At::Cdata(0),
        };
        Ok(1)
    }

    fn declaration(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Lost> {
        let end = find(bytes, |byte| byte == b'>');
        let amount = end.map_or(bytes.len(), |end| end + 1);
        if self.level > 1 {
            return Err(Lost::Unreadable);
        }
        self.held.closing(&bytes[..amount])?;
        if end.is_some() {
            self.flush(Whole::Other, out);
        }
        Ok(amount)
    }

    /// Handles a complete start tag.
    fn opened(&mut self, out: &mut Vec<u8>) -> Result<(), Lost> {
        self.at = At::Text;
        let is_empty = self.held.is_empty_tag();
        if self.level == 0 || (self.level == 1 && local(name(self.held.tag())) == b"stream") {
            return self.begun(is_empty, out);
        }
        if self.level == 1 {
            self.held.head_ends();
        } else {
            self.held.opened(self.level)?;
        }
        if is_empty {
            self.ended(out);
            return Ok(());
        }
        self.level += 1;
        self.held.deeper(self.level)
    }

    /// Handles the complete header of the stream, which is repeated after the log-in.
    fn begun(&mut self, is_empty: bool, out: &mut Vec<u8>) -> Result<(), Lost> {
        if self.held.is_over() || (is_empty && !self.may_be_empty) {
            return Err(Lost::Unreadable);
        }
        self.level = usize::from(!is_empty);
        self.header.clear();
        self.header.extend_from_slice(self.held.bytes());
        self.flush(Whole::Other, out);
        Ok(())
    }

    /// Handles a complete end tag.
    fn closed(&mut self, out: &mut Vec<u8>) -> Result<(), Lost> {
        self.at = At::Text;
        self.level = self.level.checked_sub(1).ok_or(Lost::Unreadable)?;
        if self.level == 0 {
            self.farewell.get_or_insert(Lost::Closed);
            self.flush(Whole::Other, out);
        } else {
            self.ended(out);
        }
        Ok(())
    }

    /// Handles the end of the element that was opened at this level.
    fn ended(&mut self, out: &mut Vec<u8>) {
        self.held.ended(self.level);
        if self.level == 1 {
            self.finish(out);
        }
    }

    /// Passes on a complete element of the stream.
    fn finish(&mut self, out: &mut Vec<u8>) {
        let mut whole = if is_whole_message(&self.held) { Whole::Message } else { Whole::Other };
        if !self.held.is_own() {
            self.held.finish();
            if self.mend() {
                whole = Whole::Other;
            }
        }
        self.flush(whole, out);
    }

    /// Repairs the element so that the library accepts it. Returns whether it was replaced.
    fn mend(&mut self) -> bool {
        if self.held.is_replaced() {
            return false;
        }
        // What BOSH wraps is read without the body's own tag.
        let may_declare = self.held.prefixes == Prefixes::Doubtful && local(name(&self.header)) == b"stream";
        let is_declared = may_declare && self.held.declare_as_in(&self.header);
        let (tag, bytes) = (self.held.head(), self.held.bytes());
        let mended = if self.held.is_stanza() && self.held.prefixes == Prefixes::Doubtful && !is_readable(bytes) {
            tracing::debug!("a stanza that is not well-formed was reduced to its start tag");
            Some(mend::replacement(tag, ILL_FORMED))
        } else if self.held.is_stanza() {
            let is_odd = self.held.is_odd || mend::is_odd(tag, self.held.direct);
            is_odd.then(|| mend::mend(bytes)).flatten().inspect(|_| {
                tracing::debug!("a stanza that would have been dropped or misread was mended");
            })
        } else if local(name(tag)) == b"features" {
            mend::features(bytes).inspect(|_| {
                tracing::debug!("features of the server's that are not known were left out");
            })
        } else if local(name(tag)) == b"enabled" {
            mend::enabled(bytes).inspect(|_| {
                tracing::debug!("for how long the server keeps the session is not known, and was left out");
            })
        } else if local(name(tag)) == b"error" {
            self.farewell = Some(mend::stream_error(bytes));
            None
        } else if matches!(local(name(tag)), b"success" | b"challenge") && bytes[tag.len()..].starts_with(b"=</") {
            // "=" stands for empty data (RFC 6120, section 6.4.6), but the library takes it for broken base64.
            let at = tag.len();
            self.held.remove(at);
            None
        } else {
            None
        };
        let is_mended = is_declared || mended.is_some();
        if let Some(mended) = mended {
            self.held.replace(mended);
        }
        is_mended
    }

    fn flush(&mut self, whole: Whole, out: &mut Vec<u8>) {
        self.whole = Some(whole);
        let bytes = self.held.take();
        out.extend_from_slice(&bytes);
        self.held.reuse(bytes);
        self.at = At::Text;
    }
}

/// Returns whether the library can read a stanza behind the header of a stream.
fn is_readable(stanza: &[u8]) -> bool {
    let header = format!("<stream xmlns='{}' xmlns:stream='{}'>", ns::JABBER_CLIENT, ns::STREAM);
    let document = [header.as_bytes(), stanza, b"</stream>"].concat();
    let mut reader = rxml::Reader::new(document.as_slice());
    loop {
        match reader.read() {
            Ok(Some(_)) => {}
            end => return end.is_ok(),
        }
    }
}

/// Splits the data that this end writes into elements, including the stream's header and footer.
#[derive(Debug)]
pub struct Cutter {
    sieve: Sieve,
    whole: Vec<u8>,
}

impl Default for Cutter {
    fn default() -> Self {
        // The limits are for peers; over TCP this data would be sent unchanged.
        Self { sieve: Sieve { held: Held::own(), ..Sieve::default() }, whole: Vec::new() }
    }
}

impl Cutter {
    /// Takes written data and passes each complete element to `take`.
    pub fn cut(&mut self, bytes: &[u8], mut take: impl FnMut(&str)) -> Result<(), Lost> {
        // An element ends with a tag, and a tag with this byte; most pieces that end with it are not complete yet.
        for piece in bytes.split_inclusive(|byte| *byte == b'>') {
            self.sieve.push(piece, &mut self.whole)?;
            if !self.whole.is_empty() {
                take(std::str::from_utf8(&self.whole).map_err(|_| Lost::Unreadable)?);
                self.whole.clear();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
