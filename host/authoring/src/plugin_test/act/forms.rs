//! Parses the steps of people who give commands by forms (XEP-0050).

use super::super::names;
use super::super::server::FormAct;
use super::Act;

/// Parses what somebody does with a form. Returns `None` if it has another form.
pub(super) fn act(subject: &str, rest: &str) -> Option<Result<Act, String>> {
    let does = if let Some(command) = rest.strip_prefix("opens the form") {
        opens(subject, command.trim())
    } else if let Some(filled) = rest.strip_prefix("fills in ") {
        fills_in(subject, filled.trim())
    } else if let Some(how) = rest.strip_prefix("sends the form") {
        sends(subject, how.trim())
    } else {
        match rest {
            "goes back in the form" => Ok(FormAct::GoesBack),
            "cancels the form" => Ok(FormAct::Cancels),
            _ => return None,
        }
    };
    Some(does.and_then(|does| Ok(Act::Form { who: names::person(subject)?, does })))
}

fn opens(subject: &str, command: &str) -> Result<FormAct, String> {
    if command.is_empty() || command.contains(char::is_whitespace) {
        return Err(format!("write the command's name: {subject} opens the form roll"));
    }
    Ok(FormAct::Opens(command.to_lowercase()))
}

fn fills_in(subject: &str, filled: &str) -> Result<FormAct, String> {
    let how_to = || format!("write: {subject} fills in sides with 6");
    // A field that is emptied has nothing behind the word.
    let (field, value) = filled
        .strip_suffix(" with")
        .map(|field| (field, ""))
        .or_else(|| filled.split_once(" with "))
        .ok_or_else(how_to)?;
    let (field, value) = (field.trim(), value.trim());
    if field.is_empty() || field.contains(char::is_whitespace) {
        return Err(how_to());
    }
    Ok(FormAct::FillsIn { field: field.to_owned(), value: value.to_owned() })
}

fn sends(subject: &str, how: &str) -> Result<FormAct, String> {
    match (how, how.strip_prefix("of ")) {
        ("", _) => Ok(FormAct::Sends),
        ("again", _) => Ok(FormAct::SendsAgain),
        (_, Some(whose)) => Ok(FormAct::SendsOf(names::person(whose.trim())?)),
        _ => Err(format!("write: {subject} sends the form; or: sends the form again, or: sends the form of bob")),
    }
}
