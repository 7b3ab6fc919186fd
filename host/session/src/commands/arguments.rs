//! Reading the arguments of a command as people write them.

use std::collections::BTreeMap;

use parlor_base::nearest::nearest;
use parlor_stanza::types::LONGEST_VALUE;

use super::declaration::Parameter;
use super::kinds::{Kind, Named, Unfit, echo, flag};
use super::words::{SMART, first};
use crate::command_names::folded;
use crate::records::command_value::CommandValue;

/// The maximum length of all values of one page of a form, in bytes. They go back to the person if one of them is
/// wrong, several times as long where each of their signs is escaped, and servers end a stream over a stanza of 256 KiB.
pub(super) const LONGEST_PAGE: usize = 32 << 10;

/// The values of arguments with their names, in the order in which the arguments were declared.
pub(super) type Values = Vec<(String, CommandValue)>;

/// The error for arguments that are not those of the command, as a sentence for the person who wrote them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misfit {
    /// A required argument was left out.
    #[error("{label} is missing. It is {may_be}.")]
    Missing { label: String, may_be: String },
    /// More was written than there are arguments.
    #[error("`{word}` is one argument too many.")]
    TooMany { word: String },
    /// No argument has this name.
    #[error("There is no --{name}.{hint}")]
    Unknown { name: String, hint: String },
    /// A name is not followed by a value.
    #[error("{label} has no value. It is {may_be}.")]
    NoValue { label: String, may_be: String },
    /// A flag is followed by a value.
    #[error("{label} takes no value.")]
    Value { label: String },
    /// A name was written twice.
    #[error("{label} is there twice.")]
    Twice { label: String },
    /// A value is not what it may be.
    #[error("{label}: `{word}` is not {may_be}.")]
    Unfit { label: String, word: String, may_be: String },
    /// A value in a form is longer than a form may send.
    #[error("{label} is longer than {LONGEST_VALUE} bytes.")]
    TooLong { label: String },
    /// A field of a form has several values, although it takes one.
    #[error("{label} has more than one value.")]
    Several { label: String },
    /// The values of a page of a form are longer than they may be.
    #[error("The fields of this page are longer than {LONGEST_PAGE} bytes together.")]
    PageTooLong,
    /// A word in a room is neither a nickname there nor an address.
    #[error("{label}: nobody here is called `{word}`, and it is not {may_be}.")]
    Absent { label: String, word: String, may_be: String },
    /// A nickname is that of an occupant whose address the room does not show.
    #[error("{label}: this room does not show the address of `{word}`.")]
    Hidden { label: String, word: String },
}

/// Text that begins with two dashes.
enum Dashed<'l> {
    /// The name of an argument follows.
    Name(&'l str),
    /// Nothing follows: further words are not names of arguments.
    End(&'l str),
}

/// Returns what the line begins with, if that is two dashes, or one long dash, which phones write in their place. A
/// short or long dash before a digit is a minus sign, and a short one alone is text.
fn dashed(line: &str) -> Option<Dashed<'_>> {
    let (after, is_typed) = match line.strip_prefix("--") {
        Some(after) => (after, true),
        None => (line.strip_prefix(['\u{2013}', '\u{2014}'])?, false),
    };
    match after.chars().next() {
        Some(c) if !c.is_whitespace() => {
            let is_minus = !is_typed && c.is_ascii_digit();
            (!is_minus).then_some(Dashed::Name(after))
        }
        _ if line.starts_with('\u{2013}') => None,
        _ => Some(Dashed::End(after)),
    }
}

/// The state of parsing: the rest of the line, and the values so far.
struct Reader<'a> {
    parameters: &'a [Parameter],
    /// Returns the occupant with a nickname.
    occupant: &'a dyn Fn(&str) -> Named,
    rest: &'a str,
    may_pair: bool,
    found: Vec<Option<CommandValue>>,
}

/// Reads the arguments. `occupant` resolves a nickname.
pub(super) fn read(parameters: &[Parameter], line: &str, occupant: &dyn Fn(&str) -> Named) -> Result<Values, Misfit> {
    let found = vec![None; parameters.len()];
    let mut reader = Reader { parameters, occupant, rest: line.trim(), may_pair: true, found };
    let mut places = (0..).zip(parameters).filter(|(_, one)| !one.is_named);
    let mut has_names = true;
    while !reader.rest.is_empty() {
        match dashed(reader.rest).filter(|_| has_names) {
            Some(Dashed::Name(after)) => reader.named(after)?,
            Some(Dashed::End(after)) => {
                has_names = false;
                reader.rest = after.trim_start();
            }
            None => {
                let Some((place, parameter)) = places.next() else {
                    return Err(Misfit::TooMany { word: echo(&reader.word()) });
                };
                let word = if parameter.kind == Kind::Rest {
                    std::mem::take(&mut reader.rest).to_owned()
                } else {
                    reader.word()
                };
                reader.found[place] = Some(reader.value(parameter, &word)?);
            }
        }
    }
    reader.finish()
}

/// Reads the arguments from the fields of a submitted form. An empty field counts as omitted.
pub(super) fn read_fields(parameters: &[Parameter], fields: &BTreeMap<String, String>) -> Result<Values, Misfit> {
    let nobody = |_: &str| Named::Nobody;
    let found = vec![None; parameters.len()];
    let mut reader = Reader { parameters, occupant: &nobody, rest: "", may_pair: true, found };
    for (place, parameter) in parameters.iter().enumerate() {
        let Some(text) = fields.get(&parameter.name).map(|text| text.trim()).filter(|text| !text.is_empty()) else {
            continue;
        };
        reader.found[place] = Some(match parameter.kind {
            Kind::Flag => CommandValue::Flag(flag(text).ok_or_else(|| {
                let (label, word) = (parameter.label(), echo(text));
                Misfit::Unfit { label, word, may_be: "yes or no".to_owned() }
            })?),
            _ => reader.value(parameter, text)?,
        });
    }
    reader.finish()
}

impl Reader<'_> {
    /// Takes the next word.
    fn word(&mut self) -> String {
        let (word, after) = first(self.rest, SMART, &mut self.may_pair);
        self.rest = after.trim_start();
        word
    }

    fn value(&self, parameter: &Parameter, word: &str) -> Result<CommandValue, Misfit> {
        parameter.kind.read(word, self.occupant).map_err(|unfit| {
            let (label, word) = (parameter.label(), echo(word));
            match unfit {
                Unfit::Other => Misfit::Unfit { label, word, may_be: parameter.kind.may_be() },
                Unfit::Absent => Misfit::Absent { label, word, may_be: parameter.kind.may_be() },
                Unfit::Hidden => Misfit::Hidden { label, word },
            }
        })
    }

    /// Takes an argument whose name the text begins with, and its value.
    fn named(&mut self, after: &str) -> Result<(), Misfit> {
        let end = after.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(after.len());
        let (name, value) = after.split_at(end);
        let small = folded(name);
        let place = self.parameters.iter().position(|one| one.is_named && folded(&one.name) == small);
        let Some(place) = place else { return Err(unknown(&small, self.parameters)) };
        let parameter = &self.parameters[place];
        let label = parameter.label();
        if self.found[place].is_some() {
            return Err(Misfit::Twice { label });
        }
        // The text after the name is a suffix of the rest.
        self.rest = &self.rest[self.rest.len() - value.len()..];
        let found = match (&parameter.kind, value.strip_prefix('=')) {
            (Kind::Flag, Some(_)) => return Err(Misfit::Value { label }),
            (Kind::Flag, None) => {
                self.rest = self.rest.trim_start();
                CommandValue::Flag(true)
            }
            (_, is_joined) => {
                self.rest = if is_joined.is_some() { &self.rest[1..] } else { self.rest.trim_start() };
                if is_joined.is_none() && (self.rest.is_empty() || dashed(self.rest).is_some()) {
                    return Err(Misfit::NoValue { label, may_be: parameter.kind.may_be() });
                }
                let word = self.word();
                self.value(parameter, &word)?
            }
        };
        self.found[place] = Some(found);
        Ok(())
    }

    /// Returns the values, with the defaults of those that were left out.
    fn finish(self) -> Result<Values, Misfit> {
        let mut values = Vec::new();
        for (parameter, found) in self.parameters.iter().zip(self.found) {
            let default = || parameter.default.as_ref().map(|(_, value)| value.clone());
            match found.or_else(default) {
                Some(value) => values.push((parameter.name.clone(), value)),
                None if parameter.kind == Kind::Flag => {
                    values.push((parameter.name.clone(), CommandValue::Flag(false)));
                }
                None if parameter.is_optional => {}
                None => {
                    return Err(Misfit::Missing { label: parameter.label(), may_be: parameter.kind.may_be() });
                }
            }
        }
        Ok(values)
    }
}

/// Returns the error for a name that no argument has.
fn unknown(name: &str, parameters: &[Parameter]) -> Misfit {
    let known = parameters.iter().filter(|one| one.is_named).map(|one| one.name.as_str());
    let hint = nearest(name, known).map(|near| format!(" Did you mean --{near}?")).unwrap_or_default();
    Misfit::Unknown { name: echo(name), hint }
}

#[cfg(test)]
mod tests {
    use jid::Jid;
    use proptest::prelude::*;

    use super::super::declaration::tests::{argument, declaration};
    use super::super::declaration::{Argument, Declared};
    use super::*;

    fn nobody(_: &str) -> Named {
        Named::Nobody
    }

    fn parameters(arguments: Vec<Argument>) -> Vec<Parameter> {
        Declared::check(declaration("x", arguments)).unwrap().parameters
    }

    /// Returns arguments of each kind.
    fn all() -> Vec<Parameter> {
        let optional = |one: Argument| Argument { optional: true, ..one };
        let or = |default: &str, one: Argument| Argument { default: Some(default.to_owned()), ..one };
        let named = |one: Argument| Argument { named: true, ..one };
        parameters(vec![
            argument("count", Kind::Integer(1, 100)),
            or("1", argument("factor", Kind::Number(0.0, 9.5))),
            optional(argument("wait", Kind::Duration)),
            or("green", argument("colour", Kind::Choice(vec!["red".to_owned(), "green".to_owned()]))),
            optional(argument("whom", Kind::Jid)),
            argument("secret", Kind::Flag),
            optional(named(argument("Times", Kind::Integer(-5, 5)))),
            or("none", named(argument("label", Kind::Text))),
            optional(argument("why", Kind::Rest)),
        ])
    }

    fn text(text: &str) -> CommandValue {
        CommandValue::Text(text.to_owned())
    }

    fn values(line: &str) -> Values {
        read(&all(), line, &nobody).unwrap()
    }

    fn value(line: &str, name: &str) -> Option<CommandValue> {
        values(line).into_iter().find(|(one, _)| one == name).map(|(_, value)| value)
    }

    fn error(line: &str) -> String {
        read(&all(), line, &nobody).unwrap_err().to_string()
    }

    #[test]
    fn arguments_of_each_kind_are_read_in_the_order_in_which_they_are_declared() {
        let line = " 3 2.5 1m30s RED Romeo@Example.org --times=-2 --secret --label 'two words' what  is   'left' ";
        let found: Vec<(String, CommandValue)> = [
            ("count", CommandValue::Integer(3)),
            ("factor", CommandValue::Number(2.5)),
            ("wait", CommandValue::Duration(90_000)),
            ("colour", text("red")),
            ("whom", CommandValue::Jid(Jid::new("romeo@example.org").unwrap())),
            ("secret", CommandValue::Flag(true)),
            ("Times", CommandValue::Integer(-2)),
            ("label", text("two words")),
            ("why", text("what  is   'left'")),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        assert_eq!(values(line), found);
    }

    #[test]
    fn what_is_left_out_has_its_default_or_no_value() {
        let found: Vec<_> = values("7").into_iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        assert_eq!(
            found,
            [
                "count: Integer(7)",
                "factor: Number(1.0)",
                "colour: Text(\"green\")",
                "secret: Flag(false)",
                "label: Text(\"none\")"
            ]
        );
    }

    #[test]
    fn named_ones_stand_anywhere_and_capitals_do_not_count() {
        for line in ["--times 4 3", "3 --TIMES=4", "3 --Times  4", "--secret 3 --times '4'", "3 \u{2014}times 4"] {
            assert_eq!(value(line, "Times"), Some(CommandValue::Integer(4)), "{line}");
            assert_eq!(value(line, "count"), Some(CommandValue::Integer(3)), "{line}");
        }
        assert_eq!(value("3 \u{2013}secret", "secret"), Some(CommandValue::Flag(true)));
        assert_eq!(value("3 --label=\u{201c}a b\u{201d}", "label"), Some(text("a b")));
        assert_eq!(value("3 --label \u{2018}it\u{2019}s a\u{2019}", "label"), Some(text("it\u{2019}s a")));
        assert_eq!(value("3 --label=", "label"), Some(text("")));
        assert_eq!(value("3 --times \u{2013}2", "Times"), Some(CommandValue::Integer(-2)));
    }

    /// Authors and people may have systems that write an accent as a sign of its own. The plugin gets the author's spelling.
    #[test]
    fn an_accent_in_a_name_or_a_choice_may_be_a_sign_of_its_own() {
        let ways = ["gr\u{fc}n", "gru\u{308}n", "GRU\u{308}N"];
        for declared in ways {
            let choice = Kind::Choice(vec![declared.to_owned()]);
            let all = parameters(vec![Argument { named: true, ..argument(declared, choice) }]);
            for given in ways {
                let found = read(&all, &format!("--{given} {given}"), &nobody);
                assert_eq!(found, Ok(vec![(declared.to_owned(), text(declared))]), "{given:?}");
            }
        }
    }

    #[test]
    fn after_two_dashes_and_within_the_rest_there_are_no_names() {
        let before = "3 1 1s red a@b";
        assert_eq!(value(&format!("{before} -- --secret  x"), "why"), Some(text("--secret  x")));
        assert_eq!(value(&format!("{before} \u{2014} --secret"), "why"), Some(text("--secret")));
        let line = format!("{before} well --secret -- 'x ");
        assert_eq!(value(&line, "why"), Some(text("well --secret -- 'x")));
        assert_eq!(value(&line, "secret"), Some(CommandValue::Flag(false)));
        assert_eq!(value(&format!("{before} \u{2013} at noon"), "why"), Some(text("\u{2013} at noon")));
        let word = parameters(vec![argument("word", Kind::Text)]);
        let quoted = read(&word, "'--secret'", &nobody);
        assert_eq!(quoted, Ok(vec![("word".to_owned(), text("--secret"))]));
    }

    #[test]
    fn an_error_says_which_argument_is_wrong_and_what_it_may_be() {
        assert_eq!(error(""), "COUNT is missing. It is a whole number from 1 to 100.");
        assert_eq!(error("many"), "COUNT: `many` is not a whole number from 1 to 100.");
        assert_eq!(error("101"), "COUNT: `101` is not a whole number from 1 to 100.");
        assert_eq!(error("1 nan"), "FACTOR: `nan` is not a number from 0 to 9.5.");
        assert_eq!(error("1 1 1s blue"), "COLOUR: `blue` is not one of red, green.");
        assert_eq!(error("1 --secert"), "There is no --secert. Did you mean --secret?");
        assert_eq!(error("1 --loud"), "There is no --loud.");
        assert_eq!(error("1 --count 2"), "There is no --count.");
        assert_eq!(error("1 --times"), "--Times has no value. It is a whole number from -5 to 5.");
        assert_eq!(error("1 --times --secret"), "--Times has no value. It is a whole number from -5 to 5.");
        assert_eq!(error("1 --secret=perhaps"), "--secret takes no value.");
        assert_eq!(error("1 --secret --SECRET"), "--secret is there twice.");
        let none = read(&[], "a\u{202e}b", &nobody).unwrap_err().to_string();
        assert!(none.ends_with("is one argument too many.") && !none.contains('\u{202e}'), "{none}");
        let hidden = read(&parameters(vec![argument("whom", Kind::Jid)]), "Ghost", &|_| Named::Hidden);
        assert_eq!(hidden.unwrap_err().to_string(), "WHOM: this room does not show the address of `Ghost`.");
    }

    #[test]
    fn an_error_repeats_little_of_what_was_written() {
        let long = "x".repeat(60_000);
        for line in [long.clone(), format!("--{long}"), format!("--{long}={long}"), format!("1 {long}")] {
            assert!(error(&line).len() < 300, "{}", error(&line).len());
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_has_values_of_all_required_arguments_or_an_error(
            line in r#"([0-9]{1,3}|--[a-z]{0,6}=?|[-\u{2013}\u{2014}'"\u{201c}\\ ]|red|1s|a@b|.){0,12}"#,
        ) {
            if let Ok(values) = read(&all(), &line, &nobody) {
                let names: Vec<_> = values.iter().map(|(name, _)| name.as_str()).collect();
                for name in ["count", "factor", "colour", "secret", "label"] {
                    prop_assert!(names.contains(&name), "{:?}: {:?}", line, names);
                }
            }
        }

        #[test]
        fn a_rest_is_kept_as_it_was_written(words in "[a-z'\"][ a-z'\"]{0,20}[a-z]") {
            let rest = parameters(vec![argument("why", Kind::Rest)]);
            prop_assert_eq!(read(&rest, &format!("  {words} "), &nobody), Ok(vec![("why".to_owned(), text(&words))]));
        }
    }
}
