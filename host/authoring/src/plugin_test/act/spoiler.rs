//! Parses a spoiler of somebody: `alice (spoiler "end"): he dies`, or `alice (spoiler): he dies` without a hint.

use super::Act;

/// Parses what follows a speaker, if it says that the message is a spoiler. Returns its hint, and the text.
pub(super) fn spoiler(rest: &str) -> Option<(Result<String, String>, &str)> {
    let (hint, said) = rest.strip_prefix("(spoiler")?.split_once("):")?;
    let hint = match hint.trim() {
        "" => Ok(String::new()),
        hint => match hint.strip_prefix('"').and_then(|hint| hint.strip_suffix('"')) {
            Some(hint) => Ok(hint.to_owned()),
            None => Err("in the brackets stands spoiler, and behind it a hint in quotes: (spoiler \"end\")".to_owned()),
        },
    };
    Some((hint, said.trim()))
}

/// Hides a message behind this hint.
pub(super) fn hidden(act: Act, hint: String) -> Act {
    match act {
        Act::Say(mut said) => {
            said.spoiler = Some(hint);
            Act::Say(said)
        }
        other => other,
    }
}
