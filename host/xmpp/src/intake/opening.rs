//! Adds the language of the texts to the headers of the streams that the library opens.
//!
//! The library sends headers without a language. Servers then write errors in one of their own (RFC 6120, section 4.7.4).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// The language of the texts that the host writes, and wants from servers.
const LANGUAGE: &[u8] = b" xml:lang='en'";

/// A header on its way out.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// The part that is not written yet.
    rest: Vec<u8>,
    /// The number of bytes of the library that it stands for.
    replaced: usize,
}

impl Opening {
    /// Writes the header with which these bytes begin, with the language, and returns how many of them that was; `None` if they begin
    /// with no header.
    pub(super) fn poll_write<T: AsyncWrite + Unpin>(
        &mut self,
        inner: &mut T,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<Option<usize>>> {
        if self.rest.is_empty() {
            let Some((header, replaced)) = with_language(bytes) else { return Poll::Ready(Ok(None)) };
            *self = Self { rest: header, replaced };
        }
        while !self.rest.is_empty() {
            match ready!(Pin::new(&mut *inner).poll_write(cx, &self.rest)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => drop(self.rest.drain(..written)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(Some(self.replaced)))
    }
}

/// Returns the header of a client's stream with which these bytes begin, with the language, and its length without it. The library
/// writes a whole header at once, and text of others never looks like one.
fn with_language(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    const BEGIN: &str = "<stream:stream ";
    if !bytes.starts_with(b"<?xml ") && !bytes.starts_with(BEGIN.as_bytes()) {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let begin = text.find(BEGIN)?;
    let end = begin + text[begin..].find('>')?;
    // A component's stream has no errors in a language.
    text[begin..end].contains("'jabber:client'").then(|| ([&bytes[..end], LANGUAGE, b">"].concat(), end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_client_names_the_language() {
        let header = "<?xml version='1.0' encoding='utf-8'?>\n<stream:stream xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'";
        let (written, replaced) = with_language(format!("{header}><auth/>").as_bytes()).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), format!("{header} xml:lang='en'>"));
        assert_eq!(replaced, header.len() + 1);
        for other in [
            "<message xmlns='jabber:client'><body>&lt;stream:stream </body></message>",
            "</stream:stream>",
            "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' to='bots.localhost'>",
            "",
        ] {
            assert_eq!(with_language(other.as_bytes()), None, "{other}");
        }
    }

    /// A transport may take any number of bytes at a time.
    #[tokio::test]
    async fn a_header_that_is_written_in_parts_goes_out_once() {
        let (mut near, far) = tokio::io::duplex(7);
        let header = "<stream:stream xmlns='jabber:client' to='localhost' version='1.0'>";
        let writing = async {
            let mut opening = Opening::default();
            let first = std::future::poll_fn(|cx| opening.poll_write(&mut near, cx, header.as_bytes())).await.unwrap();
            let next = std::future::poll_fn(|cx| opening.poll_write(&mut near, cx, b"<presence/>")).await.unwrap();
            drop(near);
            (first, next)
        };
        let reading = async {
            let (mut far, mut read) = (far, String::new());
            tokio::io::AsyncReadExt::read_to_string(&mut far, &mut read).await.unwrap();
            read
        };
        let (counted, read) = tokio::join!(writing, reading);
        assert_eq!(counted, (Some(header.len()), None));
        assert_eq!(read, "<stream:stream xmlns='jabber:client' to='localhost' version='1.0' xml:lang='en'>");
    }
}
