//! Elements in the open beside an encrypted text: somebody in between may have added or changed them.

use parlor_stanza::types::{Extensions, Fallback, Message, REPLY};

/// Removes the subject, files, previews and hints beside the encrypted text of a message, and what would leave out words of it.
pub(super) fn drop_what_is_beside(message: &mut Message) {
    message.subject = None;
    if let Some(extensions) = &mut message.extensions {
        extensions.files.retain(|file| message.body.as_ref() == Some(&file.url));
        extensions.fallback.retain(|part| is_quotation(part, message.body.as_deref().unwrap_or_default()));
        extensions.forget_what_is_shown();
    }
    message.extensions.take_if(|extensions| **extensions == Extensions::default());
}

/// Returns whether a part of a text is what clients write in front of a reply: quoted lines (XEP-0461, section 3.2). Any other part could
/// be words of the person, such as the first ones of "do not open". Parts for other features refer to the text that is for clients
/// without encryption.
fn is_quotation(part: &Fallback, text: &str) -> bool {
    let Some((0, end)) = part.part else { return false };
    let end = text.char_indices().nth(end as usize).map_or(text.len(), |(at, _)| at);
    let (quoted, said) = text.split_at(end);
    // Some clients count the end of the last line, and others do not.
    let is_whole = quoted.ends_with('\n') || said.starts_with('\n');
    let is_quoted = |line: &str| line.is_empty() || line.starts_with('>');
    part.feature.as_deref() == Some(REPLY) && is_whole && quoted.lines().all(is_quoted)
}
