//! Parses the answers of people and services to IQs of the plugin.

use super::super::names;
use super::Act;

/// Parses the answer to an IQ: `<query xmlns='jabber:iq:version'><name>x</name></query>`.
pub(super) fn answers(subject: &str, xml: &str) -> Result<Act, String> {
    Ok(Act::Answers { who: names::entity(subject)?, xml: xml.trim().to_owned(), refused: None })
}

/// Parses an IQ and an error: `<query xmlns='jabber:iq:version'/>: not-allowed`.
pub(super) fn refuses(subject: &str, rest: &str) -> Result<Act, String> {
    let how_to = || format!("write: {subject} refuses <query xmlns='jabber:iq:version'/>: not-allowed");
    let (iq, error) = rest.rsplit_once(">:").filter(|(iq, _)| iq.starts_with('<')).ok_or_else(how_to)?;
    let refused = Some(condition(error.trim()).map_err(|error| format!("{error}; {}", how_to()))?);
    Ok(Act::Answers { who: names::entity(subject)?, xml: format!("{iq}>"), refused })
}

/// Checks the condition of an error.
pub(super) fn condition(text: &str) -> Result<String, String> {
    if text.is_empty() || !text.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'-') {
        return Err(format!("{text:?} is no condition of an error, such as item-not-found"));
    }
    Ok(text.to_owned())
}
