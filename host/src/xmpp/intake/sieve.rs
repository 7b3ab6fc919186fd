//! Where elements of a stream begin and end, byte by byte, and whether they are within the limits. Pure.
//!
//! Not a parser: it finds tags, quotes and depth, and leaves to the library whether all of it is well-formed.

use super::lost::Lost;
use super::mend;

/// The most bytes of one stanza; a roster of 50,000 contacts fits.
pub(in crate::xmpp) const MAX_BYTES: usize = 10 * 1024 * 1024;
/// How deep a stanza may nest. Trees are built and dropped recursively, and an overflow of the stack ends the process.
pub(super) const MAX_DEPTH: usize = 64;
/// How many elements and how many attributes a stanza may have: each costs hundreds of bytes once it is parsed.
pub(super) const MAX_ELEMENTS: usize = 100_000;
pub(super) const MAX_ATTRIBUTES: usize = 200_000;
/// The longest name or attribute; the library's parser gives up the stream at 8192.
pub(super) const MAX_TOKEN: usize = 8000;

/// The longest name of a namespace. The library copies it for each element that is in it, of which there may be 60,000 in 256 KiB.
const MAX_NAMESPACE: usize = 256;

const CDATA: &[u8] = b"<![CDATA[";
/// The children that the library wants at most once in a message, or whose languages it mixes up where there are several. Presences
/// are looked at anyway.
const ONCE: [&[u8]; 3] = [b"thread", b"body", b"subject"];

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
    /// After `<!`.
    Markup,
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
    held: Vec<u8>,
    /// What is known of it.
    seen: Seen,
    farewell: Option<Lost>,
    /// It is what this end writes: where elements begin and end is all that matters.
    is_own: bool,
}

/// What is known of the element that is coming in.
#[derive(Debug, Default)]
struct Seen {
    /// Where its start tag ends.
    head: usize,
    /// Where the tag that is being read begins.
    tag: usize,
    /// How long the name or value that is being read is so far.
    token: usize,
    elements: usize,
    attributes: usize,
    /// Elements right below it.
    children: usize,
    /// Which of [`ONCE`] were among them.
    once: [bool; ONCE.len()],
    /// Something that the library may refuse.
    odd: bool,
    /// The limit that it is over.
    over: Option<&'static str>,
}

impl Sieve {
    /// What the server said last, where it said goodbye.
    pub(in crate::xmpp) fn farewell(&mut self) -> Option<Lost> {
        self.farewell.take()
    }

    /// Takes what came and gives what is whole. After an error nothing more may be pushed.
    pub(in crate::xmpp) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Lost> {
        while let Some(&first) = bytes.first() {
            let amount = match self.at {
                At::Text => {
                    let amount = find(bytes, |byte| byte == b'<').unwrap_or(bytes.len());
                    self.text(&bytes[..amount], out)?;
                    if amount < bytes.len() {
                        self.seen.tag = self.held.len();
                        self.hold(b"<")?;
                        self.at = At::Tag;
                        amount + 1
                    } else {
                        amount
                    }
                }
                At::Tag => {
                    self.hold(&[first])?;
                    self.at = match first {
                        b'/' => At::Close,
                        b'!' => At::Markup,
                        b'?' => At::Declaration,
                        _ => At::Open,
                    };
                    self.seen.token = 0;
                    1
                }
                At::Open => {
                    let end = find(bytes, |byte| matches!(byte, b'"' | b'\'' | b'>'));
                    let amount = self.take(bytes, end)?;
                    match end.map(|end| bytes[end]) {
                        None => {}
                        Some(b'>') => self.opened(out)?,
                        Some(quote) => {
                            self.at = At::Quote(quote);
                            self.seen.token = 0;
                            self.seen.attributes += 1;
                            self.limit(self.seen.attributes > MAX_ATTRIBUTES, "too many attributes");
                        }
                    }
                    amount
                }
                At::Quote(quote) => {
                    let end = find(bytes, |byte| byte == quote);
                    let amount = self.take(bytes, end)?;
                    if end.is_some() {
                        // The quote behind it is counted.
                        let is_long = self.seen.token > MAX_NAMESPACE + 1 && self.declares();
                        self.limit(is_long, "a namespace that is too long");
                        self.at = At::Open;
                        self.seen.token = 0;
                    }
                    amount
                }
                At::Close => {
                    let end = find(bytes, |byte| byte == b'>');
                    let amount = self.take(bytes, end)?;
                    if end.is_some() {
                        self.closed(out)?;
                    }
                    amount
                }
                At::Markup => {
                    self.hold(&[first])?;
                    let markup = &self.held[self.seen.tag..];
                    if self.level < 2 || !CDATA.starts_with(markup) {
                        // A comment, an instruction or a document type: none belongs in a stream (RFC 6120, section 11.1).
                        return Err(Lost::Unreadable);
                    }
                    if markup == CDATA {
                        self.at = At::Cdata(0);
                        self.seen.odd |= self.level == 2;
                    }
                    1
                }
                At::Cdata(brackets) => {
                    self.hold(&[first])?;
                    self.at = match first {
                        b']' => At::Cdata((brackets + 1).min(2)),
                        b'>' if brackets == 2 => At::Text,
                        _ => At::Cdata(0),
                    };
                    1
                }
                At::Declaration => {
                    let end = find(bytes, |byte| byte == b'>');
                    let amount = self.take(bytes, end)?;
                    if self.level > 1 || self.seen.over.is_some() {
                        return Err(Lost::Unreadable);
                    }
                    if end.is_some() {
                        self.flush(out);
                    }
                    amount
                }
            };
            bytes = &bytes[amount..];
        }
        Ok(())
    }

    fn text(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Lost> {
        if self.level < 2 {
            // Whitespace keeps connections alive; for anything else the library ends the stream.
            out.extend_from_slice(text);
            return Ok(());
        }
        self.seen.odd |= self.level == 2 && text.iter().any(|byte| !byte.is_ascii_whitespace());
        self.hold(text)
    }

    /// Holds all up to and with `end`, and says how much that is.
    fn take(&mut self, bytes: &[u8], end: Option<usize>) -> Result<usize, Lost> {
        let amount = end.map_or(bytes.len(), |end| end + 1);
        self.hold(&bytes[..amount])?;
        self.seen.token += amount;
        self.limit(self.seen.token > MAX_TOKEN, "a name or an attribute that is too long");
        Ok(amount)
    }

    /// Whether the attribute that has just been read declares a namespace.
    fn declares(&self) -> bool {
        let before = &self.held[..self.held.len().saturating_sub(self.seen.token + 1)];
        let name = before.trim_ascii_end().strip_suffix(b"=").unwrap_or(before).trim_ascii_end();
        let is_edge = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
        let name = name.rsplit(is_edge).next().unwrap_or_default();
        name == b"xmlns" || name.starts_with(b"xmlns:")
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        if self.held.len() + bytes.len() > MAX_BYTES {
            return Err(Lost::TooLarge { limit: MAX_BYTES });
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    fn limit(&mut self, is_over: bool, what: &'static str) {
        if is_over {
            self.seen.over.get_or_insert(what);
        }
    }

    /// A start tag is whole.
    fn opened(&mut self, out: &mut Vec<u8>) -> Result<(), Lost> {
        self.at = At::Text;
        let is_empty = self.held.ends_with(b"/>");
        let name = name(&self.held[self.seen.tag..]);
        if self.level == 0 || (self.level == 1 && local(name) == b"stream") {
            // The stream's own header; after a log-in it comes again.
            if is_empty || self.seen.over.is_some() {
                return Err(Lost::Unreadable);
            }
            self.level = 1;
            self.flush(out);
            return Ok(());
        }
        if self.level == 1 {
            self.seen.head = self.held.len();
        }
        if self.level == 2 {
            self.seen.children += 1;
            if let Some(place) = ONCE.iter().position(|once| *once == name) {
                self.seen.odd |= std::mem::replace(&mut self.seen.once[place], true);
            }
        }
        self.seen.elements += 1;
        self.limit(self.seen.elements > MAX_ELEMENTS, "too many elements");
        if !is_empty {
            self.level += 1;
            self.limit(self.level > MAX_DEPTH, "nested too deep");
        } else if self.level == 1 {
            self.finish(out)?;
        }
        Ok(())
    }

    /// An end tag is whole.
    fn closed(&mut self, out: &mut Vec<u8>) -> Result<(), Lost> {
        self.at = At::Text;
        self.level = self.level.checked_sub(1).ok_or(Lost::Unreadable)?;
        match self.level {
            0 => {
                self.farewell.get_or_insert(Lost::Closed);
                self.flush(out);
            }
            1 => self.finish(out)?,
            _ => {}
        }
        Ok(())
    }

    /// An element of the stream is whole.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Lost> {
        if self.is_own {
            // The limits are for strangers, and over TCP it would go out as it is.
            self.flush(out);
            return Ok(());
        }
        let head = &self.held[..self.seen.head];
        let name = name(head);
        let is_stanza = matches!(name, b"message" | b"presence" | b"iq");
        if let Some(over) = self.seen.over {
            if !is_stanza {
                return Err(Lost::Unreadable);
            }
            tracing::debug!(reason = over, "a stanza over the limits was not read");
            self.held = mend::replacement(head, over);
        } else if is_stanza {
            if (self.seen.odd || mend::is_odd(head, self.seen.children))
                && let Some(mended) = mend::mend(&self.held)
            {
                tracing::debug!("a stanza that would have been dropped or misread was mended");
                self.held = mended;
            }
        } else if local(name) == b"features" {
            if let Some(mended) = mend::features(&self.held) {
                tracing::debug!("features of the server's that are not known were left out");
                self.held = mended;
            }
        } else if local(name) == b"enabled" {
            if let Some(mended) = mend::enabled(&self.held) {
                tracing::debug!("for how long the server keeps the session is not known, and was left out");
                self.held = mended;
            }
        } else if local(name) == b"error" {
            self.farewell = Some(mend::stream_error(&self.held));
        } else if matches!(local(name), b"success" | b"challenge") && self.held[self.seen.head..].starts_with(b"=</") {
            // So nothing is spelled (RFC 6120, section 6.4.6), which the library takes for broken base64.
            self.held.remove(self.seen.head);
        }
        self.flush(out);
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.held);
        self.held.clear();
        self.held.shrink_to(super::KEEP);
        self.seen = Seen::default();
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
        Self { sieve: Sieve { is_own: true, ..Sieve::default() }, whole: Vec::new() }
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

/// The name in a start tag.
pub(super) fn name(tag: &[u8]) -> &[u8] {
    let tag = tag.strip_prefix(b"<").unwrap_or(tag);
    &tag[..find(tag, |byte| matches!(byte, b'>' | b'/') || byte.is_ascii_whitespace()).unwrap_or(tag.len())]
}

/// A name without its prefix.
fn local(name: &[u8]) -> &[u8] {
    find(name, |byte| byte == b':').map_or(name, |colon| &name[colon + 1..])
}

#[cfg(test)]
mod tests;
