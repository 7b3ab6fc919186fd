//! Where elements of a stream begin and end, byte by byte, and whether they are within the limits. Pure.
//!
//! Not a parser: it finds tags, quotes and depth, and leaves to the library whether all of it is well-formed.

use super::held::Held;
use super::lost::Lost;
use super::mend;

pub(super) use super::held::name_of as name;
pub(in crate::xmpp) use super::limits::MAX_BYTES;
pub(super) use super::limits::MAX_TOKEN;

const CDATA: &[u8] = b"<![CDATA[";

#[derive(Debug, Clone, Copy, Default)]
enum At {
    #[default]
    Text,
    /// After `<`.
    Tag,
    /// In a start tag, outside of quotes.
    Open,
    Quote(u8),
    /// In an end tag.
    Close,
    /// After `<!`, and so many bytes of the beginning of a CDATA section.
    Markup(usize),
    /// In a CDATA section, after so many brackets (two are as good as more).
    Cdata(u8),
    /// After `<?`.
    Declaration,
}

/// Takes a stream apart.
#[derive(Debug, Default)]
pub(in crate::xmpp) struct Sieve {
    at: At,
    /// How many elements are open, the stream's own included.
    level: usize,
    /// The element or tag that is coming in.
    held: Held,
    farewell: Option<Lost>,
    /// The outermost element may have nothing in it.
    may_be_empty: bool,
}

impl Sieve {
    /// One for stanzas that come without the stream that they belong to, such as in a message of a WebSocket.
    pub(in crate::xmpp) fn within_a_stream() -> Self {
        Self { level: 1, ..Self::default() }
    }

    /// One for stanzas in an element that is no stream, such as the body of an answer over BOSH.
    pub(in crate::xmpp) fn of_a_document() -> Self {
        Self { may_be_empty: true, ..Self::default() }
    }

    /// What the server said last, where it said goodbye.
    pub(in crate::xmpp) fn farewell(&mut self) -> Option<Lost> {
        self.farewell.take()
    }

    /// Takes what came and gives what is whole. After an error nothing more may be pushed.
    pub(in crate::xmpp) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Lost> {
        while !bytes.is_empty() {
            let amount = match self.at {
                At::Text => self.text(bytes, out)?,
                At::Tag => self.tag(bytes[0])?,
                At::Open => self.open(bytes, out)?,
                At::Quote(quote) => self.quoted(bytes, quote)?,
                At::Close => self.close(bytes, out)?,
                At::Markup(matched) => self.markup(bytes[0], matched)?,
                At::Cdata(brackets) => self.cdata(bytes[0], brackets)?,
                At::Declaration => self.declaration(bytes, out)?,
            };
            bytes = &bytes[amount..];
        }
        Ok(())
    }

    fn text(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Lost> {
        let end = find(bytes, |byte| byte == b'<');
        let text = &bytes[..end.unwrap_or(bytes.len())];
        if self.level < 2 {
            // Whitespace keeps connections alive; for anything else the library ends the stream.
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
            // It may end at once, and is looked at again.
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
            // A comment, an instruction or a document type: none belongs in a stream (RFC 6120, section 11.1).
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
            self.flush(out);
        }
        Ok(amount)
    }

    /// A start tag is whole.
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

    /// The stream's own header is whole; after a log-in it comes again.
    fn begun(&mut self, is_empty: bool, out: &mut Vec<u8>) -> Result<(), Lost> {
        if self.held.is_over() || (is_empty && !self.may_be_empty) {
            return Err(Lost::Unreadable);
        }
        self.level = usize::from(!is_empty);
        self.flush(out);
        Ok(())
    }

    /// An end tag is whole.
    fn closed(&mut self, out: &mut Vec<u8>) -> Result<(), Lost> {
        self.at = At::Text;
        self.level = self.level.checked_sub(1).ok_or(Lost::Unreadable)?;
        if self.level == 0 {
            self.farewell.get_or_insert(Lost::Closed);
            self.flush(out);
        } else {
            self.ended(out);
        }
        Ok(())
    }

    /// The element is whole that was opened at this level.
    fn ended(&mut self, out: &mut Vec<u8>) {
        self.held.ended(self.level);
        if self.level == 1 {
            self.finish(out);
        }
    }

    /// An element of the stream is whole.
    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.held.is_own() {
            self.held.finish();
            self.mend();
        }
        self.flush(out);
    }

    /// Makes of the element what the library takes.
    fn mend(&mut self) {
        if self.held.is_replaced() {
            return;
        }
        let (tag, bytes) = (self.held.head(), self.held.bytes());
        let mended = if self.held.is_stanza() {
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
            // So nothing is spelled (RFC 6120, section 6.4.6), which the library takes for broken base64.
            let at = tag.len();
            self.held.remove(at);
            None
        } else {
            None
        };
        if let Some(mended) = mended {
            self.held.replace(mended);
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        let bytes = self.held.take();
        out.extend_from_slice(&bytes);
        self.held.reuse(bytes);
        self.at = At::Text;
    }
}

/// Cuts what this end writes into its elements, the stream's header and footer included.
#[derive(Debug)]
pub(in crate::xmpp) struct Cutter {
    sieve: Sieve,
    whole: Vec<u8>,
}

impl Default for Cutter {
    fn default() -> Self {
        // The limits are for strangers, and over TCP it would go out as it is.
        Self { sieve: Sieve { held: Held::own(), ..Sieve::default() }, whole: Vec::new() }
    }
}

impl Cutter {
    /// Takes what was written and gives each element as soon as it is whole.
    pub(in crate::xmpp) fn cut(&mut self, bytes: &[u8], mut take: impl FnMut(&str)) -> Result<(), Lost> {
        // An element ends with a tag, and a tag with this byte; most that end with it are not whole yet.
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

fn find(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    bytes.iter().position(|byte| wanted(*byte))
}

/// A name without its prefix.
fn local(name: &[u8]) -> &[u8] {
    find(name, |byte| byte == b':').map_or(name, |colon| &name[colon + 1..])
}

#[cfg(test)]
mod tests;
