//! `files`: those that messages refer to, and uploads to the account's server (XEP-0363).

mod encrypted;

use std::borrow::Cow;
use std::sync::Arc;

use parlor_base::permission::Permission;
use parlor_base::web_address::WebAddress;
use parlor_session::SendIq;
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_stanza::error::CallError;
use parlor_stanza::files::{MAX_NAME, MAX_URL, Slot, is_file_name, is_media_type, slot, slot_request, takes_at_most};
use parlor_stanza::raw::RawStanza;
use parlor_web::header::CONTENT_TYPE;
use parlor_web::{Hop, Method, Outgoing, WebError};
use wasmtime::component::Accessor;

use self::encrypted::{Encrypted, Sealing};
use super::http::credentials::Credentials;
use super::http::parts::{Incoming, Sending, checked_part};
use super::http::underway::Underway;
use super::http::{Failed, failed, one_more, readable, shown, without_address};
use super::pacing::{pace_bytes, put};
use super::{answer, caller, text};
use crate::account::web::WebRequest;
use crate::bindings::parlor::plugin::files::{Host, HostWithStore, Opened};
use crate::bindings::parlor::plugin::types::{Error, File};
use crate::instance::{Context, Grouping, Instance, OpenCall, OpenFile, WebClient};

/// Maximum number of redirects on the way to a file.
const MOST_REDIRECTS: u8 = 5;

/// The server that takes the uploads of a test.
const IN_TESTS: &str = "https://files.example/";

/// A file that is open.
pub(crate) struct Transfer {
    state: State,
    _open: OpenFile,
}

enum State {
    /// It is uploaded.
    Upload(Box<Upload>),
    /// It is read.
    Download(Box<Incoming>),
    /// It is encrypted, and comes.
    Encrypted(Box<Encrypted>),
    /// It is collected for a test, which answers it.
    Scripted(Box<Scripted>),
    /// It was uploaded.
    Over,
}

/// An upload that has begun.
pub(crate) struct Upload {
    sending: Sending,
    /// The file that the plugin is given at the end.
    file: File,
    /// How many bytes are still to be sent.
    left: u64,
    /// Its encryption, if requested.
    sealing: Option<Sealing>,
}

/// The description of a file for the server.
struct Described<'a> {
    name: Cow<'a, str>,
    kind: &'a str,
    size: u64,
}

/// An upload to the server of a test.
struct Scripted {
    file: File,
    body: Vec<u8>,
}

impl Host for Context {
    fn close(&mut self, transfer: u64) -> Result<(), Error> {
        let is_there = self.instance.seldom.parts.close::<Transfer>(transfer);
        answer(is_there.then_some(()).ok_or_else(|| none(transfer)))
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn upload(accessor: &Accessor<T, Self>, name: String, kind: String, size: u64) -> Result<u64, Error> {
        answer(upload(accessor, CallName::FilesUpload, name, &kind, size).await)
    }

    async fn upload_encrypted(
        accessor: &Accessor<T, Self>,
        name: String,
        kind: String,
        size: u64,
    ) -> Result<u64, Error> {
        answer(upload(accessor, CallName::FilesUploadEncrypted, name, &kind, size).await)
    }

    async fn write(accessor: &Accessor<T, Self>, transfer: u64, part: Vec<u8>) -> Result<(), Error> {
        answer(write(accessor, transfer, part).await)
    }

    async fn finish(accessor: &Accessor<T, Self>, transfer: u64) -> Result<File, Error> {
        answer(finish(accessor, transfer).await)
    }

    async fn open(accessor: &Accessor<T, Self>, url: String) -> Result<Opened, Error> {
        answer(open(accessor, &url).await)
    }

    async fn read(accessor: &Accessor<T, Self>, transfer: u64) -> Result<Option<Vec<u8>>, Error> {
        answer(read(accessor, transfer).await)
    }
}

async fn upload<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    called: CallName,
    name: String,
    kind: &str,
    size: u64,
) -> Result<u64, CallError> {
    let (instance, call) = caller(accessor, called)?;
    if !is_file_name(&name) {
        return Err(CallError::invalid("name", format!("1 to {MAX_NAME} bytes without a path")));
    }
    let kind = kind.to_ascii_lowercase();
    if !is_media_type(&kind) {
        return Err(CallError::invalid("media-type", "it is none, such as image/png"));
    }
    let granted = call.granted(Target::File { media_type: &kind, bytes: size })?;
    let open = OpenFile::begin(&instance)?;
    if instance.account.web_script.get().is_some() {
        // Tests have no keys.
        let url = WebAddress::parse(IN_TESTS).and_then(|address| address.to(&name));
        let url = url.map_err(|error| CallError::invalid("name", error.to_string()))?.as_str().to_owned();
        let file = File { url, name: Some(name), media_type: Some(kind), size: Some(size) };
        let state = State::Scripted(Box::new(Scripted { file, body: Vec::new() }));
        return Ok(instance.seldom.parts.add(Transfer { state, _open: open }));
    }
    let mut sealing = (called == CallName::FilesUploadEncrypted).then(Sealing::begin);
    let sent = match &sealing {
        None => Described { name: Cow::Borrowed(&name), kind: &kind, size },
        Some(_) => encrypted::described(&name, size)?,
    };
    let place = place(&instance, &granted, &sent).await?;
    let client = WebClient::for_files(&instance).await?;
    // The server may have taken long to answer.
    call.granted(Target::File { media_type: &kind, bytes: size })?;
    let mut request = parlor_web::Request::get(place.put, instance.limits.http_time, 64 << 10);
    request.method = Method::PUT;
    let headers = place.headers.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in headers.chain([(CONTENT_TYPE.as_str(), sent.kind)]) {
        request
            .header(name, value.as_bytes())
            .map_err(|error| failed_file(&instance, Permission::FilesSend, &error))?;
    }
    let (sender, body) = Outgoing::sized_stream(sent.size);
    request.body = body;
    let url = match &mut sealing {
        None => place.get.as_str().to_owned(),
        Some(sealing) => sealing.url(place.get.as_str())?,
    };
    let sending = Sending::begin(&instance, client, request, Some(sender));
    let file = File { url, name: Some(name), media_type: Some(kind), size: Some(size) };
    let state = State::Upload(Box::new(Upload { sending, file, left: size, sealing }));
    Ok(instance.seldom.parts.add(Transfer { state, _open: open }))
}

/// Asks the account's server for a place.
async fn place(instance: &Arc<Instance>, granted: &Granted, file: &Described<'_>) -> Result<Slot, CallError> {
    let Described { name, kind, size } = file;
    let snapshot = instance.account.snapshot();
    let Some((service, most)) = snapshot.known.uploads() else {
        return Err(CallError::Unsupported("the server takes no files, or has not said so yet".to_owned()));
    };
    if let Some(most) = most.filter(|most| size > most) {
        return Err(CallError::Unsupported(takes_at_most(most)));
    }
    slot(ask_for_place(instance, granted, &slot_request(service, name, kind, *size)).await)
}

/// Sends this request, as XML.
async fn ask_for_place(instance: &Arc<Instance>, granted: &Granted, iq: &str) -> Result<RawStanza, CallError> {
    let request = instance.pending_iq()?;
    pace_bytes(instance, granted, iq.len()).await?;
    let iq = RawStanza::parse_request(iq, &instance.account.snapshot().jid)?;
    let asked = instance.ask_for_much(granted, SendIq { by: instance.id, iq }, RawStanza::weight);
    put(instance, request, asked).await
}

async fn write<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    transfer: u64,
    part: Vec<u8>,
) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::FilesWrite)?;
    checked_part(&part)?;
    let found = instance.seldom.parts.get::<Transfer>(transfer).ok_or_else(|| none(transfer))?;
    let written = found.closed.run_until_cancelled(async {
        let mut turn = found.turns.lock().await;
        let (file, left) = match &turn.state {
            State::Upload(upload) => (&upload.file, upload.left),
            State::Scripted(upload) => (&upload.file, upload.left()),
            State::Download(_) | State::Encrypted(_) | State::Over => return Err(none(transfer)),
        };
        let target =
            Target::File { media_type: file.media_type.as_deref().unwrap_or_default(), bytes: file.size.unwrap_or(0) };
        call.granted(target)?;
        let Some(rest) = left.checked_sub(part.len() as u64) else {
            return Err(CallError::invalid("part", format!("only {left} bytes are left of the size")));
        };
        match &mut turn.state {
            State::Upload(upload) => {
                // Kept once it is sent: a call that is given up may be made again, with other bytes.
                let (part, sealing) = match &upload.sealing {
                    None => (part, None),
                    Some(sealing) => sealing.sealed(part)?,
                };
                let told = |error: &WebError| failed_file(&instance, Permission::FilesSend, error);
                let sent = upload.sending.send(&instance, part, instance.limits.http_time, told).await;
                sent.unwrap_or_else(|| Err(none(transfer)))?;
                (upload.left, upload.sealing) = (rest, sealing);
            }
            State::Scripted(upload) => upload.body.extend_from_slice(&part),
            State::Download(_) | State::Encrypted(_) | State::Over => {}
        }
        Ok(())
    });
    written.await.unwrap_or_else(|| Err(none(transfer)))
}

async fn finish<T: Send + 'static>(accessor: &Accessor<T, Grouping>, transfer: u64) -> Result<File, CallError> {
    let (instance, call) = caller(accessor, CallName::FilesFinish)?;
    call.granted(Target::None)?;
    let found = instance.seldom.parts.get::<Transfer>(transfer).ok_or_else(|| none(transfer))?;
    let finished = found.closed.run_until_cancelled(async {
        let mut turn = found.turns.lock().await;
        let upload = match std::mem::replace(&mut turn.state, State::Over) {
            // A server that refuses a file says so before it has all of it.
            State::Upload(upload) if upload.left == 0 || upload.sending.has_ended() => *upload,
            State::Scripted(upload) if upload.left() == 0 => {
                instance.seldom.parts.remove(transfer);
                return upload.stored(&instance);
            }
            before => {
                let missing = match &before {
                    State::Upload(upload) => Some(upload.left),
                    State::Scripted(upload) => Some(upload.left()),
                    State::Download(_) | State::Encrypted(_) | State::Over => None,
                };
                turn.state = before;
                let missing = missing.map(|left| CallError::invalid("transfer", format!("{left} bytes are missing")));
                return Err(missing.unwrap_or_else(|| none(transfer)));
            }
        };
        let Upload { mut sending, file, left, sealing } = upload;
        let told = |error: &WebError| failed_file(&instance, Permission::FilesSend, error);
        if let Some(sealing) = sealing.filter(|_| left == 0) {
            // If the server does not take it, its answer says more. An error is told once, by `answer`.
            let later = |error: &WebError| CallError::Protocol(error.to_string());
            let _ = sending.send(&instance, sealing.end()?, instance.limits.http_time, later).await;
        }
        let patience = instance.limits.http_time.min(instance.limits.http_first_byte);
        let answered = sending.answer(patience, told).await;
        instance.seldom.parts.remove(transfer);
        let (answer, _underway) = answered?;
        if left > 0 && answer.status < 300 {
            return Err(CallError::Protocol("the server did not wait for the whole file".to_owned()));
        }
        stored(answer.status, file)
    });
    finished.await.unwrap_or_else(|| Err(none(transfer)))
}

impl Scripted {
    /// Returns how many bytes are still to be sent.
    fn left(&self) -> u64 {
        self.file.size.unwrap_or(0).saturating_sub(self.body.len() as u64)
    }

    /// Shows the upload to the test. If that does not say what the server answers, it stores the file.
    fn stored(self, instance: &Instance) -> Result<File, CallError> {
        let asked = WebRequest { method: "PUT", url: &self.file.url, headers: &[], body: &self.body };
        let answered = instance.account.web_script.get().and_then(|answer| answer(asked));
        stored(answered.map_or(201, |answer| answer.status), self.file)
    }
}

/// Returns the file if the server has stored it, by the status of its answer.
fn stored(status: u16, file: File) -> Result<File, CallError> {
    match status {
        200..=299 => Ok(file),
        status => Err(CallError::Protocol(format!("the server did not store the file, and answered {status}"))),
    }
}

async fn open<T: Send + 'static>(accessor: &Accessor<T, Grouping>, url: &str) -> Result<Opened, CallError> {
    let (_, call) = caller(accessor, CallName::FilesOpen)?;
    open_by(&call, url).await
}

async fn open_by(call: &OpenCall, url: &str) -> Result<Opened, CallError> {
    let instance = call.instance();
    call.granted(Target::None)?;
    text("url", url, MAX_URL)?;
    let (to, key) = encrypted::place(url)?;
    if !instance.seldom.seen_files.has(url) {
        let hint = "no grant helps: a plugin fetches the files of messages that it was shown".to_owned();
        return Err(instance.deny_for_good(Permission::FilesRead, to.origin(), hint));
    }
    if !to.is_secure() {
        return Err(CallError::Protocol("the file is not served within TLS".to_owned()));
    }
    let open = OpenFile::begin(instance)?;
    one_more(instance).await?;
    // Another request of this plugin may have stored a credential there.
    let credentials = Credentials::of(instance, None, Vec::new())?;
    if let Some(answer) = instance.account.web_script.get() {
        // A test's script contains the decrypted file.
        let url = if key.is_some() { to.as_str() } else { url };
        let Some(answer) = answer(WebRequest { method: "GET", url, headers: &[], body: &[] }) else {
            return Err(CallError::Unreachable(format!("nobody answers GET {url} in this test")));
        };
        served(answer.status)?;
        let size = Some(answer.body.len() as u64);
        let media_type = answer.headers.into_iter().find(|(name, _)| name == "content-type").map(|(_, kind)| kind);
        let read = Incoming::whole(answer.body, credentials.mask());
        let transfer = instance.seldom.parts.add(Transfer { state: State::Download(Box::new(read)), _open: open });
        return Ok(Opened { transfer, size, media_type });
    }
    let client = WebClient::for_files(instance).await?;
    // The grant may have changed while this waited.
    call.granted(Target::None)?;
    let mut underway = Underway::begin(instance, &Method::GET, &to);
    let mut request = parlor_web::Request::get(to, instance.limits.http_time, u64::MAX);
    request.first_byte = instance.limits.http_first_byte;
    let allow = |hop: Hop<'_>| -> Result<(), Failed> {
        // Each redirect is a request, too.
        call.granted(Target::None).map_err(Failed::Call)?;
        instance.lasting.budgets.owe_request(0);
        credentials.may_be_in(instance, Permission::FilesRead, hop.to).map_err(Failed::Call)?;
        underway.redirected(&hop);
        Ok(())
    };
    let answered = client.follow(request, None, MOST_REDIRECTS, allow).await;
    let answered = answered.map_err(|error| match error {
        Failed::Web(error) => {
            underway.refused_by(&error);
            failed_file(instance, Permission::FilesRead, &error)
        }
        Failed::Call(error) => error,
    });
    match &answered {
        Ok(answer) => underway.answered(answer.status),
        Err(error) => underway.failed(error),
    }
    let answered = answered?;
    served(answered.status)?;
    readable(&credentials, &answered)?;
    let header = |name: &str| answered.headers.get(name).map(|value| shown(&credentials, value.as_bytes()));
    let (mut size, media_type) = (header("content-length").and_then(|size| size.parse().ok()), header("content-type"));
    let incoming = Incoming::of(answered, credentials.mask(), underway);
    let state = match &key {
        None => State::Download(Box::new(incoming)),
        Some(key) => {
            size = size.map(|bytes| encrypted::size(instance, bytes)).transpose()?;
            State::Encrypted(Box::new(Encrypted::new(incoming, key)))
        }
    };
    let transfer = instance.seldom.parts.add(Transfer { state, _open: open });
    Ok(Opened { transfer, size, media_type })
}

/// Checks that a server gives the whole file, by the status of its answer.
fn served(status: u16) -> Result<(), CallError> {
    if status == 200 { Ok(()) } else { Err(CallError::Protocol(format!("the server of the file answered {status}"))) }
}

async fn read<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    transfer: u64,
) -> Result<Option<Vec<u8>>, CallError> {
    let (instance, call) = caller(accessor, CallName::FilesRead)?;
    call.granted(Target::None)?;
    let found = instance.seldom.parts.get::<Transfer>(transfer).ok_or_else(|| none(transfer))?;
    let read = found.closed.run_until_cancelled(async {
        let mut turn = found.turns.lock().await;
        let told = |error: &WebError| failed_file(&instance, Permission::FilesRead, error);
        if let State::Encrypted(file) = &mut turn.state {
            let came = file.take_in(&instance, instance.limits.http_time, told).await;
            if let Err(error) = came.and_then(|()| open_encrypted(&mut turn.state)) {
                // The next call waits on. After any other error, the file cannot be read any further.
                if !matches!(error, CallError::TimedOut) {
                    turn.state = State::Over;
                    instance.seldom.parts.remove(transfer);
                }
                return Err(error);
            }
        }
        let State::Download(incoming) = &mut turn.state else { return Err(none(transfer)) };
        let part = incoming.next(&instance, instance.limits.http_time, told).await?;
        if part.is_none() {
            instance.seldom.parts.remove(transfer);
        }
        Ok(part)
    });
    read.await.unwrap_or_else(|| Err(none(transfer)))
}

/// Lets an encrypted file be read of which all has come, if it is authentic.
fn open_encrypted(state: &mut State) -> Result<(), CallError> {
    match std::mem::replace(state, State::Over) {
        State::Encrypted(file) => *state = State::Download(Box::new(file.opened()?)),
        other => *state = other,
    }
    Ok(())
}

/// Describes an error on the way to a server that only a message or the account's server named.
fn failed_file(instance: &Instance, permission: Permission, error: &WebError) -> CallError {
    match error {
        WebError::Refused { address, .. } => {
            let hint = format!("no grant helps: the owner can list \"{address}\" as local_files in [web]");
            let denial = instance.deny_for_good(permission, format!("https://{address}"), hint);
            without_address(instance, error, denial)
        }
        WebError::Header { .. } => CallError::Protocol(error.to_string()),
        _ => failed(instance, error),
    }
}

fn none(transfer: u64) -> CallError {
    CallError::NotFound(format!("file {transfer}"))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use jiff::Timestamp;
    use parlor_plugins::limits::Limits;
    use parlor_stanza::decode::filled_in;
    use parlor_stanza::types::{Extensions, Message, SharedFile};

    use super::*;
    use crate::instance::tests::instance as disconnected_instance;

    #[tokio::test(start_paused = true)]
    async fn no_place_is_asked_for_if_the_grant_was_taken_back_while_the_call_waited() {
        let (instance, _mailbox) = disconnected_instance("\"files.send\" = [\"*\"]", Limits::default());
        let granted =
            instance.granted(CallName::FilesUpload, Target::File { media_type: "image/png", bytes: 1 }).unwrap();
        instance.lasting.budgets.outgoing().take(50.0).unwrap();
        let request = slot_request(&"upload.example.org".parse().unwrap(), "a.png", "image/png", 1);
        let mut asks = pin!(ask_for_place(&instance, &granted, &request));
        assert!(poll!(asks.as_mut()).is_pending());
        instance.account.router.grant(&instance.mailbox, Arc::default());
        let result = asks.await.map(drop);
        assert!(matches!(result, Err(CallError::Denied { .. })), "{result:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_file_is_fetched_if_the_grant_was_taken_back_while_the_call_waited() {
        let (instance, _mailbox) = disconnected_instance("\"files.read\" = true", Limits::default());
        let url = "https://192.0.2.1/a.png";
        let files = vec![SharedFile { url: url.to_owned(), ..SharedFile::default() }];
        let (from, own) = ("juliet@example.org/balcony".parse().unwrap(), "bot@example.org/parlor".parse().unwrap());
        let message = filled_in(from, "a file".to_owned(), &own, Timestamp::UNIX_EPOCH);
        let extensions = Some(Box::new(Extensions { files, ..Extensions::default() }));
        instance.seldom.note_files(&Message { extensions, ..message });
        let call = instance.open_call(CallName::FilesOpen).unwrap();
        instance.lasting.budgets.requests().owe(instance.limits.http_per_second.into());
        let mut opens = pin!(open_by(&call, url));
        assert!(poll!(opens.as_mut()).is_pending());
        instance.account.router.grant(&instance.mailbox, Arc::default());
        let result = opens.await.map(drop);
        let scope =
            if let Err(CallError::Denied { scope, .. }) = &result { scope.clone() } else { Some(url.to_owned()) };
        assert_eq!(scope, None, "it was not dialed: {result:?}");
    }
}
