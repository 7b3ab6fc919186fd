//! Files: those that messages refer to (XEP-0066, XEP-0447, XEP-0454), and the place that a server gives for an upload (XEP-0363).

use minidom::Element;
use parlor_base::web_address::WebAddress;

use crate::encode::{FALLBACK, name};
use crate::error::{CallError, StanzaError};
use crate::raw::RawStanza;
use crate::text::clean;
use crate::text::is_sendable;
use crate::types::{Message, SharedFile};
use crate::xml::Xml;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::stanza::Stanza;

/// The namespace of addresses outside of XMPP (XEP-0066).
pub(crate) const OOB: &str = "jabber:x:oob";
/// The namespace of files that are shared (XEP-0447).
pub(crate) const SHARING: &str = "urn:xmpp:sfs:0";
/// The namespace of file metadata (XEP-0446).
const METADATA: &str = "urn:xmpp:file:metadata:0";
/// The namespace of addresses in the source of a file (XEP-0103).
const URL_DATA: &str = "http://jabber.org/protocol/url-data";
/// The namespace of uploads (XEP-0363), which is also the feature of a service that takes them.
pub const UPLOAD: &str = "urn:xmpp:http:upload:0";

/// How the address of an encrypted file begins (XEP-0454). Behind the `#` of it is the key.
const ENCRYPTED: &str = "aesgcm://";
/// The lengths that an initialization vector and a key have as hexadecimal digits, with a vector of 12 bytes or of 16.
const SECRETS: [usize; 2] = [88, 96];

/// The maximum number of files of one message.
pub const MAX_FILES: usize = 16;
/// The maximum length of a file's address, in bytes.
pub const MAX_URL: usize = 8_000;
/// The maximum length of a file's name, in bytes.
pub const MAX_NAME: usize = 255;
/// The maximum length of a media type, in bytes.
pub const MAX_TYPE: usize = 127;
/// The headers that a service may ask for (XEP-0363, section 4).
const HEADERS: [&str; 3] = ["Authorization", "Cookie", "Expires"];
/// The maximum number of headers that are read. Each name may be there several times.
const MAX_HEADERS: usize = 64;

/// Returns whether a text is a media type without parameters (RFC 9110, section 8.3.1).
pub fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.len() <= MAX_TYPE && text.split_once('/').is_some_and(|(kind, sub)| is_token(kind) && is_token(sub))
}

/// Returns whether a text can be the name of a file, and not that of a folder.
pub fn is_file_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text.len() <= MAX_NAME
        && is_sendable(text)
        && !text.contains(['/', '\\', '\n', '\r', '\t'])
}

/// Returns whether a text can be the address of a file.
pub fn is_file_address(text: &str) -> bool {
    text.len() <= MAX_URL && WebAddress::parse(text).is_ok()
}

/// Returns whether a text can be the address of an encrypted file (XEP-0454).
pub fn is_encrypted_address(text: &str) -> bool {
    let Some((place, secret)) = text.split_once('#') else { return false };
    let Some((scheme, place)) = place.split_at_checked(ENCRYPTED.len()) else { return false };
    scheme.eq_ignore_ascii_case(ENCRYPTED)
        && text.len() <= MAX_URL
        && SECRETS.contains(&secret.len())
        && secret.bytes().all(|digit| digit.is_ascii_hexdigit())
        && WebAddress::parse(&format!("https://{place}")).is_ok()
}

/// Returns whether an address of an encrypted file is anywhere in a text, with the file's key. It does not have to be valid: somebody who reads
/// the text can guess what was meant.
pub fn has_encrypted_address(text: &str) -> bool {
    let mut rest = text;
    // Most texts have none.
    while let Some((before, after)) = rest.split_once('#') {
        let digits = after.bytes().take_while(u8::is_ascii_hexdigit).count();
        let is_of =
            |word: &[u8]| word.windows(ENCRYPTED.len()).any(|part| part.eq_ignore_ascii_case(ENCRYPTED.as_bytes()));
        if digits >= SECRETS[0] && before.rsplit(char::is_whitespace).next().is_some_and(|word| is_of(word.as_bytes()))
        {
            return true;
        }
        rest = after;
    }
    false
}

/// Adds to a message that was decrypted the file whose address its text is. Some clients write a preview into the next line.
pub fn add_encrypted(message: &mut Message) {
    let first = message.body.as_deref().and_then(|body| body.lines().next());
    let Some(url) = first.filter(|line| is_encrypted_address(line)).map(str::to_owned) else { return };
    add(&mut message.extensions.get_or_insert_default().files, SharedFile { url, ..SharedFile::default() });
}

/// Reads the address of a file outside of XMPP.
pub(crate) fn outside<'a>(payload: impl Xml<'a>) -> Option<SharedFile> {
    let url = payload.children().find(|child| child.name() == "url" && child.has_ns(OOB))?.text();
    let url = url.trim();
    is_file_address(url).then(|| SharedFile { url: url.to_owned(), ..SharedFile::default() })
}

/// Reads a file that is shared, by the first of its sources that is on the web.
pub(crate) fn shared<'a, E: Xml<'a>>(payload: E) -> Option<SharedFile> {
    let child = |of: E, name: &str, namespace: &str| {
        of.children().find(|child| child.name() == name && child.has_ns(namespace))
    };
    let sources = child(payload, "sources", SHARING)?;
    let targets = sources.children().filter(|child| child.name() == "url-data" && child.has_ns(URL_DATA));
    let url = targets.filter_map(|target| target.attr("target")).find(|url| is_file_address(url))?;
    let known = child(payload, "file", METADATA);
    let text = |name: &str| known.and_then(|known| child(known, name, METADATA)).map(Xml::text);
    Some(SharedFile {
        url: url.to_owned(),
        // A part of it must not be interpreted as a folder.
        name: text("name")
            .and_then(|name| name.rsplit(['/', '\\']).next().map(str::to_owned))
            .filter(|name| is_file_name(name)),
        media_type: text("media-type").map(|kind| kind.to_ascii_lowercase()).filter(|kind| is_media_type(kind)),
        size: text("size").and_then(|size| size.trim().parse().ok()),
    })
}

/// Adds a file to those of a message. Clients write the same one in both forms: the fuller one counts.
pub(crate) fn add(files: &mut Vec<SharedFile>, file: SharedFile) {
    match files.iter().position(|known| known.url == file.url) {
        Some(at) if files[at].name.is_none() && files[at].media_type.is_none() && files[at].size.is_none() => {
            files[at] = file;
        }
        None if files.len() < MAX_FILES => files.push(file),
        Some(_) | None => {}
    }
}

/// Returns the elements for the files of a message with this body. `is_own_body`: the body is the address of the first one,
/// for clients that know no files.
pub(crate) fn elements(files: Vec<SharedFile>, is_own_body: bool) -> Vec<Element> {
    let mut elements = Vec::new();
    if let Some(first) = files.first().filter(|_| is_own_body) {
        let url = Element::builder("url", OOB).append(clean(first.url.clone())).build();
        elements.push(Element::builder("x", OOB).append(url).build());
        let body = Element::builder("body", FALLBACK).build();
        elements.push(Element::builder("fallback", FALLBACK).attr(name("for"), SHARING).append(body).build());
    }
    elements.extend(files.into_iter().map(sharing));
    elements
}

fn sharing(file: SharedFile) -> Element {
    let SharedFile { url, name: file_name, media_type, size } = file;
    let text = |name: &'static str, text: Option<String>| {
        text.map(|text| Element::builder(name, METADATA).append(clean(text)).build())
    };
    let known =
        [text("media-type", media_type), text("name", file_name), text("size", size.map(|size| size.to_string()))];
    let known = Element::builder("file", METADATA).append_all(known.into_iter().flatten()).build();
    let source = Element::builder("url-data", URL_DATA).attr(name("target"), clean(url)).build();
    let sources = Element::builder("sources", SHARING).append(source).build();
    Element::builder("file-sharing", SHARING).attr(name("disposition"), "inline").append(known).append(sources).build()
}

/// The place that a service gives for an upload.
#[derive(Clone, PartialEq, Eq)]
pub struct Slot {
    /// The address that the file is sent to, over TLS.
    pub put: WebAddress,
    /// The address at which others find it then.
    pub get: WebAddress,
    /// The headers that the upload must have.
    pub headers: Vec<(&'static str, String)>,
}

/// Returns the request for a place, as XML.
pub fn slot_request(service: &jid::Jid, file_name: &str, media_type: &str, size: u64) -> String {
    let request = Element::builder("request", UPLOAD)
        .attr(name("filename"), file_name)
        .attr(name("size"), size.to_string())
        .attr(name("content-type"), media_type)
        .build();
    let iq = Element::builder("iq", xmpp_parsers::ns::JABBER_CLIENT)
        .attr(name("type"), "get")
        .attr(name("to"), service.to_string())
        .append(request)
        .build();
    String::from(&iq)
}

/// Reads the answer to that. A file that is too large for the service is unsupported: not every service says beforehand how large a
/// file may be.
pub fn slot(answer: Result<RawStanza, CallError>) -> Result<Slot, CallError> {
    let answer = answer.map_err(|error| {
        let why = if let CallError::Stanza(refusal) = &error { too_large(refusal) } else { None };
        why.map_or(error, CallError::Unsupported)
    })?;
    given(&answer).ok_or_else(|| CallError::Protocol("the server gave no place within TLS for the file".to_owned()))
}

/// Reads a place; `None` if it is none, or names no server within TLS.
fn given(answer: &RawStanza) -> Option<Slot> {
    let Stanza::Iq(Iq::Result { payload: Some(slot), .. }) = answer.stanza() else { return None };
    if !slot.is("slot", UPLOAD) {
        return None;
    }
    let put = slot.get_child("put", UPLOAD)?;
    let secure = |element: &Element| {
        let address = WebAddress::parse(element.attr("url")?).ok()?;
        address.is_secure().then_some(address)
    };
    let header = |element: &Element| {
        let known = HEADERS
            .into_iter()
            .find(|known| element.attr("name").is_some_and(|name| name.eq_ignore_ascii_case(known)))?;
        // Line breaks must be taken out (XEP-0363, section 4).
        Some((known, element.text().replace(['\r', '\n'], "")))
    };
    let headers = put.children().filter(|child| child.is("header", UPLOAD)).filter_map(header).take(MAX_HEADERS);
    Some(Slot { put: secure(put)?, get: secure(slot.get_child("get", UPLOAD)?)?, headers: headers.collect() })
}

/// Returns why a service gives no place for a file, if the file is too large for it (XEP-0363, section 5).
fn too_large(error: &StanzaError) -> Option<String> {
    let error: Element = error.xml.parse().ok()?;
    let why = error.get_child("file-too-large", UPLOAD)?;
    let most = why.get_child("max-file-size", UPLOAD).and_then(|most| most.text().trim().parse::<u64>().ok());
    Some(most.map_or_else(|| "the server takes no file so large".to_owned(), takes_at_most))
}

/// Returns how large a file may be, as a sentence.
pub fn takes_at_most(bytes: u64) -> String {
    format!("the server takes files of at most {bytes} bytes")
}

#[cfg(test)]
mod tests;
