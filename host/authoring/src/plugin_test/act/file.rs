//! Parses a file that somebody sends: `alice (file): https://example.org/cat.png`, or `alice (file image/png): …` with
//! its media type.

use parlor_stanza::types::SharedFile;

use super::Act;

/// Parses what follows a speaker, if it says that the message is a file. Returns its media type, which may be empty,
/// and its address.
pub(super) fn file(rest: &str) -> Option<(&str, &str)> {
    let (media_type, url) = rest.strip_prefix("(file")?.split_once("):")?;
    let is_word = media_type.is_empty() || media_type.starts_with(' ');
    is_word.then(|| (media_type.trim(), url.trim()))
}

/// Marks the text of a message as the address of a file.
pub(super) fn marked(act: Act, media_type: &str) -> Result<Act, String> {
    let Act::Say(mut said) = act else { return Ok(act) };
    let url = said.body.clone();
    let is_type = media_type.is_empty() || (media_type.contains('/') && !media_type.contains(char::is_whitespace));
    if !is_type || !url.contains("://") || url.contains(char::is_whitespace) {
        return Err("write: alice (file image/png): https://example.org/cat.png".to_owned());
    }
    let media_type = (!media_type.is_empty()).then(|| media_type.to_owned());
    said.file = Some(SharedFile { url, media_type, ..SharedFile::default() });
    Ok(Act::Say(said))
}
