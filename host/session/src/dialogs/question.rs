//! A question to a person: the text that is sent, and how a message is read as the answer.

use std::collections::HashSet;
use std::time::Duration;

use parlor_stanza::draft::check_text;
use parlor_stanza::error::CallError;
use parlor_stanza::types::Draft;

/// Maximum length of the text of a question, in bytes.
const LONGEST_TEXT: usize = 4 << 10;
/// Maximum number of choices.
const MOST_CHOICES: usize = 32;
/// Maximum length of a choice, in bytes.
const LONGEST_CHOICE: usize = 256;
/// How long a question waits for its answer unless the plugin says otherwise, and how long at most.
const TIMEOUT: Duration = Duration::from_mins(5);
const LONGEST_TIMEOUT: Duration = Duration::from_hours(24);
/// Maximum length of an answer, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;
/// The answer that ends a question.
const CANCEL: &str = "cancel";

/// A question to a person, which was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    text: String,
    choices: Vec<String>,
    timeout: Duration,
}

/// The answer of a person. Fields as in `answer` of `wit/dialogs.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct DialogAnswer {
    pub text: String,
    pub choice: Option<u32>,
}

/// The meaning of a text as an answer to a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Answer(DialogAnswer),
    Cancelled,
    /// It matches none of the choices.
    Wrong,
}

impl Question {
    /// Checks a question that a plugin asks. The errors name the fields of the contract.
    pub fn check(text: String, choices: Vec<String>, timeout: Option<Duration>) -> Result<Self, CallError> {
        check_text("question.text", &text, LONGEST_TEXT)?;
        if text.trim().is_empty() {
            return Err(CallError::invalid("question.text", "is empty"));
        }
        if choices.len() > MOST_CHOICES {
            let reason = format!("has {} choices; at most {MOST_CHOICES} are allowed", choices.len());
            return Err(CallError::invalid("question.choices", reason));
        }
        let mut seen = HashSet::new();
        for choice in &choices {
            check_text("question.choices", choice, LONGEST_CHOICE)?;
            let reason = if choice.trim().is_empty() {
                "has one without text"
            } else if choice.contains(char::is_control) {
                "has one that is not one line"
            } else if seen.insert(folded(choice)) {
                continue;
            } else {
                "has one twice"
            };
            return Err(CallError::invalid("question.choices", reason));
        }
        let timeout = timeout.unwrap_or(TIMEOUT);
        if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
            return Err(CallError::invalid("question.timeout", "is to be from 1 ms to 24 hours"));
        }
        Ok(Self { text, choices, timeout })
    }

    /// Returns about how many bytes of memory its texts take.
    pub fn weight(&self) -> usize {
        self.text.len() + self.choices.iter().map(|choice| size_of::<String>() + choice.len()).sum::<usize>()
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns the message with the question, before hooks have seen it. In a room, it names the occupant.
    pub fn message(&self, nick: Option<&str>) -> Draft {
        Draft { body: Some(self.asked(nick, false)), ..Draft::default() }
    }

    /// Returns the message after a wrong answer, before hooks have seen it.
    pub(super) fn message_again(&self, nick: Option<&str>) -> Draft {
        Draft { body: Some(self.asked(nick, true)), ..Draft::default() }
    }

    /// Returns what the person is sent: the question, or after a wrong answer the choices alone.
    fn asked(&self, nick: Option<&str>, is_again: bool) -> String {
        let text = if is_again {
            "That is none of the choices. Answer with one of these, or with its number:"
        } else {
            &self.text
        };
        let choices: Vec<_> =
            self.choices.iter().enumerate().map(|(index, choice)| format!("\n{}. {choice}", index + 1)).collect();
        let nick = nick.map(|nick| format!("{nick}: ")).unwrap_or_default();
        format!("{nick}{text}{}", choices.concat())
    }

    /// Reads a text as the answer. The text of a choice comes before its number.
    pub(super) fn read(&self, said: &str) -> Read {
        let said = said.trim();
        let meant = folded(said);
        let by_text = || self.choices.iter().position(|choice| folded(choice) == meant);
        match by_text().or_else(|| self.numbered(&meant)) {
            Some(index) => {
                Read::Answer(DialogAnswer { text: self.choices[index].clone(), choice: u32::try_from(index).ok() })
            }
            None if meant == CANCEL => Read::Cancelled,
            None if self.choices.is_empty() => {
                let text = said[..said.floor_char_boundary(LONGEST_ANSWER)].to_owned();
                Read::Answer(DialogAnswer { text, choice: None })
            }
            None => Read::Wrong,
        }
    }

    /// Returns the choice that a folded text means by its number: `2`, as the list has it `2.` or `2. blue`, as others
    /// write it `2)`, or the emoji of a key, which some clients offer.
    fn numbered(&self, meant: &str) -> Option<usize> {
        let rest = meant.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = &meant[..meant.len() - rest.len()];
        let index = number.parse::<usize>().ok()?.checked_sub(1)?;
        let choice = self.choices.get(index)?;
        let line = rest.strip_prefix(['.', ')']).map(str::trim_start);
        let is_alone = matches!(rest, "" | "\u{20e3}" | "\u{fe0f}\u{20e3}") || line == Some("");
        (is_alone || line == Some(folded(choice).as_str())).then_some(index)
    }
}

/// Returns a text without capitals and the white space around it.
fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(choices: &[&str]) -> Question {
        let choices = choices.iter().map(|&choice| choice.to_owned()).collect();
        Question::check("Which?".to_owned(), choices, None).unwrap()
    }

    fn chosen(text: &str, index: u32) -> Read {
        Read::Answer(DialogAnswer { text: text.to_owned(), choice: Some(index) })
    }

    #[test]
    fn a_choice_is_answered_by_its_text_or_its_number() {
        let size = question(&["Small", "large one"]);
        assert_eq!(size.asked(None, false), "Which?\n1. Small\n2. large one");
        assert!(size.asked(Some("Romeo"), true).starts_with("Romeo: That is none"));
        for said in ["small", " SMALL\n", "1"] {
            assert_eq!(size.read(said), chosen("Small", 0), "{said:?}");
        }
        for said in
            ["Large One", "2", "2.", "2)", " 2. LARGE one ", "2.large one", "02", "2\u{fe0f}\u{20e3}", "2\u{20e3}"]
        {
            assert_eq!(size.read(said), chosen("large one", 1), "{said:?}");
        }
        let wrong =
            ["0", "3", "smal", "-1", "+1", "18446744073709551616", "x", "1. large one", "1.5", "1..", "1 small", "."];
        for said in wrong {
            assert_eq!(size.read(said), Read::Wrong, "{said:?}");
        }
        assert_eq!(size.read(" Cancel "), Read::Cancelled);
        // The text comes first.
        assert_eq!(question(&["2", "1"]).read("1"), chosen("1", 1));
        assert_eq!(question(&["a", "1."]).read("1."), chosen("1.", 1));
        assert_eq!(question(&["go on", "Cancel"]).read("cancel"), chosen("Cancel", 1));
    }

    #[test]
    fn without_choices_any_text_is_an_answer_of_bounded_length() {
        let free = question(&[]);
        let text = |said: &str| match free.read(said) {
            Read::Answer(DialogAnswer { text, choice: None }) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(text(" 1 "), "1");
        assert_eq!(free.read("CANCEL"), Read::Cancelled);
        assert_eq!(text(&"é".repeat(40_000)).len(), LONGEST_ANSWER);
    }

    #[test]
    fn a_question_is_bounded() {
        let check = |text: &str, choices: Vec<String>, timeout| {
            Question::check(text.to_owned(), choices, timeout).map_err(|error| match error {
                CallError::Invalid { argument, .. } => argument,
                other => panic!("{other}"),
            })
        };
        let few = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
        let (text, choices) = ("question.text".to_owned(), "question.choices".to_owned());
        assert_eq!(check("", few(&[]), None).unwrap_err(), text);
        assert_eq!(check(" \n", few(&[]), None).unwrap_err(), text);
        assert_eq!(check(&"x".repeat(5_000), few(&[]), None).unwrap_err(), text);
        for bad in [few(&[" "]), few(&["a", "A "]), few(&["a\nb"]), vec!["x".repeat(257)], vec!["x".to_owned(); 33]] {
            assert_eq!(check("?", bad, None).unwrap_err(), choices);
        }
        for bad in [Duration::ZERO, Duration::from_hours(25)] {
            assert_eq!(check("?", few(&[]), Some(bad)).unwrap_err(), "question.timeout");
        }
        assert!(check("?", few(&["a", "b"]), Some(LONGEST_TIMEOUT)).is_ok());
    }
}
