//! Files: those that messages refer to, and those that the plugin uploads to the account's server (XEP-0363). Sending needs
//! `files.send`, reading `files.read`. They go in parts, and are never whole in memory.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! on_message(|message| async move {
//!     for file in message.files() {
//!         let mut download = files::open(&file.url).await?;
//!         let mut size = 0;
//!         while let Some(part) = download.read().await? {
//!             size += part.len();
//!         }
//!         info!("{} has {size} bytes", file.url);
//!     }
//!     Ok(())
//! })?;
//!
//! let text = "But soft!";
//! let mut upload = files::upload("note.txt", "text/plain", text.len() as u64).await?;
//! upload.write(text).await?;
//! chats::send("juliet@example.org", upload.finish().await?).await?;
//! # Ok(()) }
//! ```

use crate::bindings::parlor::plugin::files;
use crate::error::Result;
use crate::failure::{located, of_call};
use crate::http::{MOST, append, without_query};
use crate::turns::in_turn;
use crate::types::File;

/// Begins an upload of this number of bytes to the account's server.
///
/// The name has 1 to 255 bytes and no path; it can be seen in the file's address. The limit `files` bounds the number
/// of open transfers.
///
/// [`Error::Denied`](crate::Error::Denied): the grant covers no file of this media type and size.
/// [`Error::Unsupported`](crate::Error::Unsupported): the server takes no files, or none so large.
/// [`Error::Stanza`](crate::Error::Stanza): it refuses, such as with `resource-constraint` when it was too much in some time.
#[track_caller]
pub fn upload(name: impl AsRef<str>, media_type: impl AsRef<str>, size: u64) -> impl Future<Output = Result<Upload>> {
    located(async move {
        let (name, media_type) = (name.as_ref().to_owned(), media_type.as_ref());
        let call = || files::upload(name.clone(), media_type.to_owned(), size);
        let id = in_turn(call).await.map_err(of_call("files.upload", &name))?;
        Ok(Upload { id, name, is_over: false })
    })
}

/// Does the same for an encrypted chat: the host encrypts the file, and the server gets no more of its name than the ending.
///
/// The address of the file has its key. A message with it is sent encrypted, or is [`Error::Unsupported`](crate::Error::Unsupported):
/// use this where [`Message::encryption`](crate::types::Message::encryption) says that the chat is encrypted.
#[track_caller]
pub fn upload_encrypted(
    name: impl AsRef<str>,
    media_type: impl AsRef<str>,
    size: u64,
) -> impl Future<Output = Result<Upload>> {
    located(async move {
        let (name, media_type) = (name.as_ref().to_owned(), media_type.as_ref());
        let call = || files::upload_encrypted(name.clone(), media_type.to_owned(), size);
        let id = in_turn(call).await.map_err(of_call("files.upload-encrypted", &name))?;
        Ok(Upload { id, name, is_over: false })
    })
}

/// A file that is being sent. Dropping it before [`Upload::finish`] gives it up.
#[derive(Debug)]
pub struct Upload {
    id: u64,
    name: String,
    is_over: bool,
}

impl Upload {
    /// Sends a part of the file, of any size. It waits while the server accepts no more.
    ///
    /// [`Error::Invalid`](crate::Error::Invalid): that is more than was said. [`Error::Protocol`](crate::Error::Protocol): the server
    /// takes no more.
    #[track_caller]
    pub fn write(&mut self, part: impl AsRef<[u8]>) -> impl Future<Output = Result<()>> {
        located(async move {
            for piece in part.as_ref().chunks(MOST) {
                let sent = in_turn(|| files::write(self.id, piece.to_vec())).await;
                sent.map_err(of_call("files.write", &self.name))?;
            }
            Ok(())
        })
    }

    /// Ends the upload, and returns the file for a message: [`Outgoing::file`](crate::types::Outgoing::file).
    ///
    /// [`Error::Invalid`](crate::Error::Invalid): bytes are missing. [`Error::Protocol`](crate::Error::Protocol): the server did not
    /// store it; the text has its status.
    #[track_caller]
    pub fn finish(self) -> impl Future<Output = Result<File>> {
        located(async move {
            let mut upload = self;
            let file = in_turn(|| files::finish(upload.id)).await.map_err(of_call("files.finish", &upload.name))?;
            upload.is_over = true;
            Ok(file)
        })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        close(self.id, self.is_over);
    }
}

/// Opens a file of a message, by its address: that of one which this plugin was shown since its start, among the last 1,000 of them.
///
/// Redirects are followed, five at most. [`Error::Denied`](crate::Error::Denied): no message had this address, or it is not of the
/// public network. [`Error::Protocol`](crate::Error::Protocol): the server's status is not 200.
#[track_caller]
pub fn open(url: impl AsRef<str>) -> impl Future<Output = Result<Download>> {
    located(async move {
        let url = url.as_ref();
        let server = without_query(url).to_owned();
        let opened = in_turn(|| files::open(url.to_owned())).await.map_err(of_call("files.open", &server))?;
        let files::Opened { transfer, size, media_type } = opened;
        Ok(Download { size, media_type, id: transfer, server, is_over: false })
    })
}

/// A file that is open for reading. Dropping it closes it.
#[derive(Debug)]
pub struct Download {
    /// Its size in bytes, if the server says it. It may say anything.
    pub size: Option<u64>,
    /// Its media type, if the server says it.
    pub media_type: Option<String>,
    id: u64,
    server: String,
    /// It was read to its end.
    is_over: bool,
}

impl Download {
    /// Reads the next part, of at most 64 KiB; none at the end. The host reads from the server no faster than the plugin reads.
    ///
    /// A part that is on its way when the future is dropped is lost.
    #[track_caller]
    pub fn read(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>>> {
        located(async move {
            if self.is_over {
                return Ok(None);
            }
            let part = in_turn(|| files::read(self.id)).await.map_err(of_call("files.read", &self.server))?;
            self.is_over = part.is_none();
            Ok(part)
        })
    }

    /// Reads the rest into memory.
    ///
    /// [`Error::Other`](crate::Error::Other): it has more than `limit` bytes.
    ///
    /// ```no_run
    /// # use parlor_sdk::prelude::*;
    /// # async fn example(message: &Message) -> Result<()> {
    /// if let [file] = message.files() {
    ///     let text = String::from_utf8(files::open(&file.url).await?.read_all(64 << 10).await?).map_err(Error::other)?;
    ///     message.reply(format!("{} lines", text.lines().count())).await?;
    /// }
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn read_all(&mut self, limit: usize) -> impl Future<Output = Result<Vec<u8>>> {
        located(async move {
            let mut whole = Vec::new();
            while let Some(part) = self.read().await? {
                append(&mut whole, &part, limit)?;
            }
            Ok(whole)
        })
    }

    /// Closes it, as dropping it does.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        close(self.id, self.is_over);
    }
}

/// Closes a transfer, unless it has already ended.
fn close(id: u64, is_over: bool) {
    if !is_over {
        let _ = files::close(id);
    }
}
