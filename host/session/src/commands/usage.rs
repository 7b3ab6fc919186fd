//! The usage of a command with typed arguments, as people read it.

use std::fmt::Write as _;

use super::declaration::Parameter;
use super::kinds::Kind;

/// The longest list of words in a usage, in bytes. Longer lists are shown only in the help.
const LONGEST_CHOICES: usize = 60;

impl Parameter {
    /// Returns its name in texts for people: `COUNT` or `--times`.
    pub(super) fn label(&self) -> String {
        if self.is_named { format!("--{}", self.name) } else { self.name.to_uppercase() }
    }

    /// Returns its part of the usage: `COUNT`, `[red|green]` or `[--times N]`.
    fn usage(&self) -> String {
        let choices = match &self.kind {
            Kind::Choice(words) => Some(words.join("|")).filter(|words| words.len() <= LONGEST_CHOICES),
            _ => None,
        };
        let label = self.label();
        let text = match (&self.kind, self.is_named) {
            (Kind::Flag, _) => label,
            (Kind::Rest, _) => format!("{label}…"),
            (_, false) => choices.unwrap_or(label),
            (Kind::Integer(..) | Kind::Number(..), true) => format!("{label} N"),
            (Kind::Duration, true) => format!("{label} TIME"),
            (Kind::Date, true) => format!("{label} DATE"),
            (Kind::Time, true) => format!("{label} HH:MM"),
            (Kind::Jid, true) => format!("{label} ADDRESS"),
            (Kind::Text | Kind::Choice(_), true) => format!("{label} {}", choices.as_deref().unwrap_or("WORD")),
        };
        if self.is_optional { format!("[{text}]") } else { text }
    }

    /// Returns the line of the help about it.
    fn line(&self) -> String {
        let mut notes = Vec::new();
        if !matches!(self.kind, Kind::Text | Kind::Flag | Kind::Rest) {
            notes.push(self.kind.may_be());
        }
        if let Some((written, _)) = &self.default {
            notes.push(format!("{written} if left out"));
        }
        let notes = notes.join("; ");
        let mut line = self.label();
        // Writing into a String cannot fail.
        let _ = match (self.help.is_empty(), notes.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => write!(line, " – {notes}"),
            (false, true) => write!(line, " – {}", self.help),
            (false, false) => write!(line, " – {} ({notes})", self.help),
        };
        line
    }
}

/// Returns the part of the usage after the name of a command: `COUNT [SIDES] [--secret] [--times N]`. An argument of
/// kind `Rest` comes last, since it takes all text that follows.
pub(super) fn usage(parameters: &[Parameter]) -> String {
    let place = |one: &Parameter| match (one.is_named, &one.kind) {
        (_, Kind::Rest) => 2,
        (true, _) => 1,
        (false, _) => 0,
    };
    let mut sorted: Vec<_> = parameters.iter().collect();
    sorted.sort_by_key(|one| place(one));
    sorted.into_iter().map(Parameter::usage).collect::<Vec<_>>().join(" ")
}

/// Returns a line about each argument.
pub(super) fn lines(parameters: &[Parameter]) -> Vec<String> {
    parameters.iter().map(Parameter::line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::declaration::tests::{argument, declaration};
    use super::super::declaration::{Argument, Declared};
    use super::*;

    fn checked(arguments: Vec<Argument>) -> Declared {
        Declared::check(declaration("x", arguments)).unwrap()
    }

    fn choice(words: &[&str]) -> Kind {
        Kind::Choice(words.iter().map(|&word| word.to_owned()).collect())
    }

    #[test]
    fn the_usage_has_names_in_capitals_and_brackets_around_what_may_be_left_out() {
        let optional = |one: Argument| Argument { optional: true, ..one };
        let named = |one: Argument| Argument { named: true, ..one };
        let declared = checked(vec![
            argument("count", Kind::Integer(1, 100)),
            argument("colour", choice(&["red", "green"])),
            optional(argument("sides", Kind::Integer(2, 20))),
            argument("secret", Kind::Flag),
            optional(argument("why", Kind::Rest)),
            optional(named(argument("times", Kind::Integer(1, 9)))),
            named(argument("in", Kind::Duration)),
            optional(named(argument("on", Kind::Date))),
            optional(named(argument("at", Kind::Time))),
            optional(named(argument("how", choice(&["slow", "fast"])))),
            optional(named(argument("whom", Kind::Jid))),
            optional(named(argument("label", Kind::Text))),
        ]);
        assert_eq!(
            usage(&declared.parameters),
            "COUNT red|green [SIDES] [--secret] [--times N] --in TIME [--on DATE] [--at HH:MM] \
             [--how slow|fast] [--whom ADDRESS] [--label WORD] [WHY…]"
        );
        let many: Vec<_> = (0..64).map(|n| format!("word-{n}")).collect();
        let declared = checked(vec![argument("one", Kind::Choice(many))]);
        assert_eq!(usage(&declared.parameters), "ONE");
        assert_eq!(usage(&[]), "");
    }

    #[test]
    fn each_argument_has_a_line_with_what_it_may_be() {
        let with = |one: Argument, help: &str, default: Option<&str>| Argument {
            help: help.to_owned(),
            default: default.map(str::to_owned),
            ..one
        };
        let declared = checked(vec![
            with(argument("count", Kind::Integer(1, 6)), "How many", Some("2")),
            with(argument("word", Kind::Text), "", Some("a b")),
            with(argument("colour", choice(&["red", "green"])), "", Some("RED")),
            with(argument("secret", Kind::Flag), "Tells you alone", None),
            with(argument("why", Kind::Rest), "", Some("x")),
        ]);
        assert_eq!(
            lines(&declared.parameters),
            [
                "COUNT – How many (a whole number from 1 to 6; 2 if left out)",
                "WORD – a b if left out",
                "COLOUR – one of red, green; RED if left out",
                "--secret – Tells you alone",
                "WHY – x if left out",
            ]
        );
    }
}
