//! Reads the frames of a WebSocket server (RFC 6455, section 5.2), and cuts each long message to the limits of a
//! stanza.
//!
//! The library collects a message before it passes it on, and closes the connection if one is too long. A server may
//! serialise a stranger's stanza of 256 KiB as hundreds of megabytes, and would deliver it again on the next
//! connection. So a long message passes through a sieve here as it arrives, and the rest of it continues in separate
//! frames.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use parlor_stanza::sieve::Sieve;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest message that passes unchanged, in bytes.
const SHORT: u64 = 256 << 10;
/// The size of one read.
const AT_ONCE: usize = 16 << 10;
/// The longest header of a frame without a mask; servers use none.
const LONGEST_HEAD: usize = 10;

const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;

/// A connection whose long messages are cut to the limits of a stanza.
pub(super) struct Narrow<S> {
    inner: S,
    frames: Frames,
    /// The bytes that can be read.
    ready: VecDeque<u8>,
}

/// Parses frames. Pure.
#[derive(Default)]
pub(crate) struct Frames {
    at: At,
    /// The sieve of the current long message, and whether part of the message was passed on.
    message: Option<(Sieve, bool)>,
}

enum At {
    /// In the header of a frame, of which these bytes have arrived.
    Head(Vec<u8>),
    /// In a frame that passes unchanged, before this many more bytes of it.
    Passing(u64),
    /// In a frame of a long message; `is_final` marks its last frame.
    Sifted { left: u64, is_final: bool },
}

impl Default for At {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Frames {
    /// Accepts received bytes and appends the bytes to pass on.
    pub(crate) fn push(&mut self, mut bytes: &[u8], out: &mut VecDeque<u8>) -> io::Result<()> {
        while !bytes.is_empty() {
            match &mut self.at {
                At::Head(head) => {
                    head.push(bytes[0]);
                    bytes = &bytes[1..];
                    if let Some(length) = length(head) {
                        let head = std::mem::take(head);
                        self.begin(&head, length, out)?;
                    }
                }
                At::Passing(left) => {
                    let part = part(&mut bytes, *left);
                    *left -= part.len() as u64;
                    out.extend(part);
                    if *left == 0 {
                        self.at = At::default();
                    }
                }
                At::Sifted { left, is_final } => {
                    let part = part(&mut bytes, *left);
                    *left -= part.len() as u64;
                    let (is_over, is_final) = (*left == 0, *is_final);
                    self.sift(part, is_over && is_final, out)?;
                    if is_over {
                        self.at = At::default();
                    }
                }
            }
        }
        Ok(())
    }

    /// Handles the header of a frame. The frame passes unchanged if it is short or not text.
    fn begin(&mut self, head: &[u8], length: u64, out: &mut VecDeque<u8>) -> io::Result<()> {
        let (is_final, opcode) = (head[0] & FINAL != 0, head[0] & 0xf);
        let begins_text = opcode == TEXT && !(is_final && length <= SHORT);
        let goes_on = opcode == CONTINUATION && self.message.is_some();
        if !begins_text && !goes_on {
            out.extend(head);
            self.at = if length > 0 { At::Passing(length) } else { At::default() };
            return Ok(());
        }
        if begins_text {
            self.message = Some((Sieve::within_a_stream(), false));
        }
        if length > 0 {
            self.at = At::Sifted { left: length, is_final };
            return Ok(());
        }
        self.at = At::default();
        self.sift(&[], is_final, out)
    }

    /// Passes a part of a message through the sieve, and appends the rest as a frame.
    fn sift(&mut self, part: &[u8], is_last: bool, out: &mut VecDeque<u8>) -> io::Result<()> {
        let Some((sieve, has_begun)) = &mut self.message else { return Ok(()) };
        let mut kept = Vec::new();
        sieve.push(part, &mut kept).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why.to_string()))?;
        if !kept.is_empty() || is_last {
            let opcode = if std::mem::replace(has_begun, true) { CONTINUATION } else { TEXT };
            out.push_back(opcode | if is_last { FINAL } else { 0 });
            // The longest form of the length suits all lengths.
            out.push_back(127);
            out.extend((kept.len() as u64).to_be_bytes());
            out.extend(kept);
        }
        if is_last {
            self.message = None;
        }
        Ok(())
    }
}

/// Returns the payload length from a header; `None` while the header is incomplete. Servers must not mask frames, and
/// the library rejects masked ones.
fn length(head: &[u8]) -> Option<u64> {
    let bytes = match head.get(1)? & 0x7f {
        126 => 2,
        127 => 8,
        short => return Some(u64::from(short)),
    };
    let length = head.get(2..2 + bytes)?;
    debug_assert!(head.len() <= LONGEST_HEAD);
    Some(length.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)))
}

/// Takes at most `most` bytes.
fn part<'a>(bytes: &mut &'a [u8], most: u64) -> &'a [u8] {
    let amount = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
    let (part, rest) = bytes.split_at(amount);
    *bytes = rest;
    part
}

impl<S> Narrow<S> {
    /// Creates a connection of which these bytes were already read.
    pub(super) fn new(inner: S, come: &[u8]) -> io::Result<Self> {
        let (mut frames, mut ready) = (Frames::default(), VecDeque::new());
        frames.push(come, &mut ready)?;
        Ok(Self { inner, frames, ready })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Narrow<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.ready.is_empty() {
            let mut room = [0; AT_ONCE];
            let mut come = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut come))?;
            if come.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.frames.push(come.filled(), &mut this.ready)?;
        }
        let (bytes, _) = this.ready.as_slices();
        let amount = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..amount]);
        this.ready.drain(..amount);
        if this.ready.is_empty() {
            this.ready.shrink_to(AT_ONCE);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Narrow<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Builds a frame as servers write it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..126 => frame.push(u8::try_from(short).unwrap()),
            middle @ 126..65_536 => {
                frame.push(126);
                frame.extend(u16::try_from(middle).unwrap().to_be_bytes());
            }
            long => {
                frame.push(127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend(payload);
        frame
    }

    fn narrowed(bytes: &[u8], step: usize) -> io::Result<Vec<u8>> {
        let (mut frames, mut out) = (Frames::default(), VecDeque::new());
        for chunk in bytes.chunks(step) {
            frames.push(chunk, &mut out)?;
        }
        Ok(out.into())
    }

    /// Returns the texts in frames.
    fn texts(mut bytes: &[u8]) -> Vec<String> {
        let (mut texts, mut text) = (Vec::new(), Vec::new());
        while !bytes.is_empty() {
            let head = (2..=LONGEST_HEAD).find(|end| length(&bytes[..*end]).is_some()).unwrap();
            let (first, length) = (bytes[0], usize::try_from(length(&bytes[..head]).unwrap()).unwrap());
            if first & 0x8 == 0 {
                assert_eq!(first & 0xf == CONTINUATION, !text.is_empty());
                text.extend_from_slice(&bytes[head..head + length]);
                if first & FINAL != 0 {
                    texts.push(String::from_utf8(std::mem::take(&mut text)).unwrap());
                }
            }
            bytes = &bytes[head + length..];
        }
        texts
    }

    #[test]
    fn what_is_short_goes_on_as_it_is() {
        let short = [
            frame(FINAL | TEXT, b"<presence/>"),
            frame(FINAL | 0x9, b"ping"),
            frame(FINAL | TEXT, format!("<message><body>{}</body></message>", "y".repeat(200_000)).as_bytes()),
            frame(FINAL | 0x2, b"bytes"),
            frame(FINAL | 0x8, &[3, 232]),
        ];
        for step in [1, 7, 100_000] {
            assert_eq!(narrowed(&short.concat(), step).unwrap(), short.concat());
        }
    }

    #[test]
    fn what_is_long_loses_what_is_over_the_limits_and_the_next_message_comes() {
        let bomb = format!("<x>{}</x>", format!("<a xmlns='{}'/>", "u".repeat(254)).repeat(100_000));
        let message = format!("<message from='m@evil'>{bomb}<body>hi</body></message>");
        let (first, second) = message.split_at(message.len() / 2);
        let whole = frame(FINAL | TEXT, message.as_bytes());
        let ping = frame(FINAL | 0x9, b"");
        let parts =
            [frame(TEXT, first.as_bytes()), ping, frame(CONTINUATION, second.as_bytes()), frame(FINAL, b"")].concat();
        for long in [whole, parts] {
            let come = [long, frame(FINAL | TEXT, b"<presence/>")].concat();
            let gone_on = narrowed(&come, 4096).unwrap();
            assert!(gone_on.len() < 1_000, "{}", gone_on.len());
            let texts = texts(&gone_on);
            assert!(texts[0].starts_with("<message from='m@evil'><body>hi</body><cut "), "{texts:?}");
            assert_eq!(texts[1..], ["<presence/>"]);
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), step in 1_usize..9) {
            let _ = narrowed(&bytes, step);
        }

        #[test]
        fn a_message_in_pieces_is_the_same_message(text in "[a-zäöü]{0,40}", at in 0_usize..60, step in 1_usize..9) {
            let message = format!("<message><body>{text}</body></message>");
            let (first, second) = message.as_bytes().split_at(at.min(message.len()));
            let pieces = [frame(TEXT, first), frame(FINAL, second)].concat();
            prop_assert_eq!(texts(&narrowed(&pieces, step).unwrap()), [message]);
        }
    }
}
