//! Checks of outgoing messages before anything is sent. Errors name the argument.

use crate::error::CallError;
use crate::files;
use crate::previews;
use crate::text::{is_one_line, is_sendable_char};
use crate::types::{Draft, Extensions, Fallback, Hint, LinkPreview, MAX_SPOILER, RETRACT, SharedFile};

/// Maximum length of a body, in bytes.
const MAX_BODY: usize = 64 * 1_024;
/// Maximum length of an id or a thread, in bytes.
const MAX_ID: usize = 1_024;
/// Maximum length of an emoji, in bytes: some consist of a dozen characters.
const MAX_EMOJI: usize = 64;
/// Maximum number of reactions in one message.
const MAX_EMOJIS: usize = 64;
/// Maximum number of fallback ranges of a body.
const MAX_FALLBACKS: usize = 8;
/// Maximum total length of the texts as XML; servers end the whole stream at 256 KiB.
const MAX_WRITTEN: usize = 240 * 1_024;

/// The body of a retraction, for clients that know none.
const RETRACTED: &str =
    "A message was retracted here. Your client does not know retractions, so it still shows the message.";

/// Returns a body for a retraction that has none, which it marks as there for clients that know no retractions. The hint
/// tells servers to keep the message, since those who come later need it as well (XEP-0424).
pub fn stand_in_for_retraction(extensions: &mut Extensions) -> Option<String> {
    // Parts of another body would lie in this one.
    if extensions.retract.is_none() || !extensions.fallback.is_empty() {
        return None;
    }
    extensions.fallback.push(Fallback { feature: Some(RETRACT.to_owned()), part: None });
    if extensions.hints.iter().all(|hint| *hint == Hint::NoCopy) {
        extensions.hints.push(Hint::Store);
    }
    Some(RETRACTED.to_owned())
}

/// Checks whether this may be sent.
pub fn check_draft(draft: &Draft) -> Result<(), CallError> {
    let extensions = draft.extensions.as_deref().filter(|extensions| **extensions != Extensions::default());
    if draft.body.is_none() && draft.subject.is_none() && extensions.is_none_or(Extensions::say_nothing) {
        return Err(CallError::invalid("message", "is empty; give a body, a subject or an extension"));
    }
    if draft.body.as_deref() == Some("") {
        return Err(CallError::invalid("message.body", "is empty; leave it out"));
    }
    check_optional("message.body", draft.body.as_ref(), MAX_BODY)?;
    check_optional("message.subject", draft.subject.as_ref(), MAX_BODY)?;
    check_id("message.thread", draft.thread.as_ref())?;
    if let Some(extensions) = extensions {
        check_extensions(extensions, draft)?;
    }
    let texts = draft.body.iter().chain(&draft.subject).chain(&draft.thread);
    let written = texts.chain(extensions.into_iter().flat_map(texts_of)).map(|text| written_len(text)).sum::<usize>();
    if written > MAX_WRITTEN {
        let reason = format!("takes {written} bytes as XML; at most {MAX_WRITTEN} are allowed");
        return Err(CallError::invalid("message", reason));
    }
    Ok(())
}

/// Returns whether a message has the key of an encrypted file anywhere in its texts (XEP-0454).
pub fn has_key_of_a_file(draft: &Draft) -> bool {
    let said = draft.body.iter().chain(&draft.subject).chain(&draft.thread);
    let beside = draft.extensions.as_deref().into_iter().flat_map(texts_of);
    said.chain(beside).any(|text| files::has_encrypted_address(text))
}

/// Returns all texts of the extensions that have no fixed set of values.
fn texts_of(extensions: &Extensions) -> impl Iterator<Item = &String> {
    let Extensions { thread_parent, reply, fallback, replace, retract, reactions, receipt, marked, files, .. } =
        extensions;
    let shown = extensions.spoiler.iter().chain(extensions.previews.iter().flat_map(LinkPreview::texts));
    let named = files.iter().flat_map(|file| [Some(&file.url), file.name.as_ref(), file.media_type.as_ref()]).flatten();
    let ids = [thread_parent, replace, retract, receipt, marked].into_iter().flatten().chain(named);
    let reply = reply.iter().map(|reply| &reply.id);
    let reactions = reactions.iter().flat_map(|reactions| std::iter::once(&reactions.id).chain(&reactions.emojis));
    ids.chain(reply).chain(reactions).chain(fallback.iter().filter_map(|one| one.feature.as_ref())).chain(shown)
}

fn check_extensions(extensions: &Extensions, draft: &Draft) -> Result<(), CallError> {
    for (argument, text) in [
        ("message.extensions.thread-parent", extensions.thread_parent.as_ref()),
        ("message.extensions.reply.id", extensions.reply.as_ref().map(|reply| &reply.id)),
        ("message.extensions.replace", extensions.replace.as_ref()),
        ("message.extensions.retract", extensions.retract.as_ref()),
        ("message.extensions.reactions.id", extensions.reactions.as_ref().map(|reactions| &reactions.id)),
        ("message.extensions.receipt", extensions.receipt.as_ref()),
        ("message.extensions.marked", extensions.marked.as_ref()),
    ] {
        check_id(argument, text)?;
    }
    if extensions.moderated.is_some() {
        let reason = "is said by rooms alone; leave it out, and call `rooms.retract`";
        return Err(CallError::invalid("message.extensions.moderated", reason));
    }
    let emojis = extensions.reactions.as_ref().map(|reactions| reactions.emojis.as_slice()).unwrap_or_default();
    if emojis.len() > MAX_EMOJIS {
        let reason = format!("has {} entries; at most {MAX_EMOJIS} are allowed", emojis.len());
        return Err(CallError::invalid("message.extensions.reactions.emojis", reason));
    }
    for (index, emoji) in emojis.iter().enumerate() {
        check_text("message.extensions.reactions.emojis", emoji, MAX_EMOJI)?;
        if emoji.is_empty() || emojis[..index].contains(emoji) {
            let reason = "has an empty text, or one that is there twice";
            return Err(CallError::invalid("message.extensions.reactions.emojis", reason));
        }
    }
    if let Some(state) = &extensions.chat_state {
        one_of("message.extensions.chat-state", state, &["active", "composing", "paused", "inactive", "gone"])?;
    }
    if let Some(marker) = &extensions.marker {
        one_of("message.extensions.marker", marker, &["received", "displayed", "acknowledged"])?;
    }
    if extensions.marker.is_some() != extensions.marked.is_some() {
        return Err(CallError::invalid("message.extensions.marker", "and marked are given together, or neither is"));
    }
    if extensions.receipt.is_some() && extensions.receipt_requested {
        // XEP-0184, section 5.3: two clients would acknowledge each other's receipts forever.
        return Err(CallError::invalid("message.extensions.receipt-requested", "is not asked for a receipt"));
    }
    if extensions.thread_parent.is_some() && draft.thread.is_none() {
        return Err(CallError::invalid("message.extensions.thread-parent", "needs a thread that grew out of it"));
    }
    if extensions.hints.iter().enumerate().any(|(index, hint)| extensions.hints[..index].contains(hint)) {
        return Err(CallError::invalid("message.extensions.hints", "has one that is there twice"));
    }
    check_files(&extensions.files)?;
    check_spoiler(extensions.spoiler.as_deref(), draft)?;
    check_previews(&extensions.previews, draft)?;
    check_fallback(&extensions.fallback, draft.body.as_deref())
}

fn check_files(all: &[SharedFile]) -> Result<(), CallError> {
    let invalid = |reason: String| Err(CallError::invalid("message.extensions.files", reason));
    if all.len() > files::MAX_FILES {
        return invalid(format!("has {} entries; at most {} are allowed", all.len(), files::MAX_FILES));
    }
    for SharedFile { url, name, media_type, size: _ } in all {
        if !files::is_file_address(url) && !files::is_encrypted_address(url) {
            let most = files::MAX_URL;
            return invalid(format!("has an address that is none: https://… or aesgcm://…, at most {most} bytes"));
        }
        if name.as_ref().is_some_and(|name| !files::is_file_name(name)) {
            return invalid(format!("has a name that is none: 1 to {} bytes without a path", files::MAX_NAME));
        }
        if media_type.as_ref().is_some_and(|kind| !files::is_media_type(kind)) {
            return invalid("has a media type that is none, such as image/png".to_owned());
        }
    }
    Ok(())
}

/// Checks the hint of a spoiler. Without a body there would be nothing to hide, and no encryption.
fn check_spoiler(hint: Option<&str>, draft: &Draft) -> Result<(), CallError> {
    let Some(hint) = hint else { return Ok(()) };
    check_text("message.extensions.spoiler", hint, MAX_SPOILER)?;
    if !is_one_line(hint) {
        return Err(CallError::invalid("message.extensions.spoiler", "is not one line"));
    }
    if draft.body.is_none() {
        return Err(CallError::invalid("message.extensions.spoiler", "needs a body"));
    }
    Ok(())
}

fn check_previews(all: &[LinkPreview], draft: &Draft) -> Result<(), CallError> {
    const ARGUMENT: &str = "message.extensions.previews";
    let invalid = |reason: String| Err(CallError::invalid(ARGUMENT, reason));
    if all.len() > previews::MAX_PREVIEWS {
        return invalid(format!("has {} entries; at most {} are allowed", all.len(), previews::MAX_PREVIEWS));
    }
    if !all.is_empty() && draft.body.is_none() {
        return invalid("needs a body".to_owned());
    }
    for (index, LinkPreview { url, title, description, image }) in all.iter().enumerate() {
        if std::iter::once(url).chain(image).any(|address| !previews::is_address(address)) {
            let most = previews::MAX_ADDRESS;
            return invalid(format!("has an address that is none: https://… or http://…, at most {most} bytes"));
        }
        if all[..index].iter().any(|other| other.url == *url) {
            return invalid("has the same address twice".to_owned());
        }
        if title.is_none() && description.is_none() && image.is_none() {
            return invalid("has one that says nothing; give a title, a description or an image".to_owned());
        }
        if [title, description].into_iter().flatten().any(|text| text.trim().is_empty()) {
            return invalid("has an empty text; leave it out".to_owned());
        }
        check_optional(ARGUMENT, title.as_ref(), previews::MAX_TITLE)?;
        check_optional(ARGUMENT, description.as_ref(), previews::MAX_DESCRIPTION)?;
        if title.as_deref().is_some_and(|title| !is_one_line(title)) {
            return invalid("has a title that is not one line".to_owned());
        }
    }
    Ok(())
}

fn check_fallback(fallback: &[Fallback], body: Option<&str>) -> Result<(), CallError> {
    let invalid = |reason: String| Err(CallError::invalid("message.extensions.fallback", reason));
    if fallback.len() > MAX_FALLBACKS {
        return invalid(format!("has {} entries; at most {MAX_FALLBACKS} are allowed", fallback.len()));
    }
    let Some(body) = body else {
        return if fallback.is_empty() { Ok(()) } else { invalid("needs a body".to_owned()) };
    };
    let length = if fallback.is_empty() { 0 } else { body.chars().count() };
    for Fallback { feature, part } in fallback {
        check_id("message.extensions.fallback", feature.as_ref())?;
        if let Some((start, end)) = *part
            && (start > end || end as usize > length)
        {
            return invalid(format!("has a part from {start} to {end}; the body ends at {length}"));
        }
    }
    Ok(())
}

fn one_of(argument: &str, value: &str, allowed: &[&str]) -> Result<(), CallError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(CallError::invalid(argument, format!("{value:.32} is none of {}", allowed.join(", "))))
}

/// Checks an id of a message or a thread, or a name. It must not be empty.
fn check_id(argument: &str, id: Option<&String>) -> Result<(), CallError> {
    match id {
        Some(id) if id.is_empty() => Err(CallError::invalid(argument, "is empty; leave it out")),
        id => check_optional(argument, id, MAX_ID),
    }
}

fn check_optional(argument: &str, text: Option<&String>, limit: usize) -> Result<(), CallError> {
    text.map_or(Ok(()), |text| check_text(argument, text, limit))
}

/// Checks a text for its length, and for control characters, which XML 1.0 cannot carry or which only confuse readers.
pub fn check_text(argument: &str, text: &str, limit: usize) -> Result<(), CallError> {
    if text.len() > limit {
        return Err(CallError::invalid(argument, format!("has {} bytes; at most {limit} are allowed", text.len())));
    }
    match text.chars().find(|character| !is_sendable_char(*character)) {
        Some(found) => {
            Err(CallError::invalid(argument, format!("contains U+{:04X}, a control character", u32::from(found))))
        }
        None => Ok(()),
    }
}

/// Returns the length of a text as XML.
pub fn written_len(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'&' | b'\r' | b'\t' | b'\n' => 5,
        b'<' | b'>' => 4,
        b'"' | b'\'' => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}
