//! Commands with typed arguments, as plugins describe them: checked once, when they are declared.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::Duration;

use parlor_stanza::draft::check_text;
use parlor_stanza::error::CallError;

use super::kinds::{Kind, Named, show_duration, show_time};
use crate::command_names::{CommandName, NoCommandName, folded};
use crate::command_rules::{CommandPlace, LONGEST_COOLDOWN, LONGEST_GROUP, MOST_PEOPLE, People};
use crate::records::command_value::CommandValue;

/// Maximum number of other names.
const MOST_ALIASES: usize = 8;
/// Maximum number of arguments.
const MOST_ARGUMENTS: usize = 16;
/// Maximum number of words of a choice.
const MOST_CHOICES: usize = 64;
/// Maximum length of such a word, in bytes.
const LONGEST_CHOICE: usize = 64;
/// Maximum length of a help and of a default, in bytes.
const LONGEST_LINE: usize = 256;
/// Maximum length of all texts of the arguments, in bytes: the session keeps them for each command.
const MOST_TEXT: usize = 16 << 10;

/// The name of the call's argument, with which errors begin.
const COMMAND: &str = "command";

/// An argument of a command, as a plugin describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// The values that it accepts.
    pub kind: Kind,
    /// Whether it may be omitted.
    pub optional: bool,
    /// The value if it is omitted, as a person would write it.
    pub default: Option<String>,
    /// Whether it is written with its name.
    pub named: bool,
    /// One sentence about it; may be empty.
    pub help: String,
    /// The title of the page of a form that it begins.
    pub page: Option<String>,
}

/// A command with typed arguments, as a plugin describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// The name, with or without the plugin's id before it.
    pub name: String,
    /// The description, in one sentence.
    pub help: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// The arguments in their order.
    pub arguments: Vec<Argument>,
    /// The people who may give it; empty: everybody.
    pub allow: Vec<People>,
    /// The time after which the same person may give it again.
    pub person_cooldown: Duration,
    /// The time after which it may be given again in the same room.
    pub room_cooldown: Duration,
    /// The only place in which it may be given. None: anywhere.
    pub place: Option<CommandPlace>,
}

/// An argument that was checked.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) is_optional: bool,
    /// The value if it is omitted, as it was written and as it is parsed.
    pub(super) default: Option<(String, CommandValue)>,
    pub(super) is_named: bool,
    pub(super) help: String,
    /// The title of the page of a form that it begins.
    pub(super) page: Option<String>,
}

/// A command with typed arguments that was checked. Only its names may still be taken.
#[derive(Debug, Clone)]
pub struct Declared {
    /// The name, with or without the plugin's id before it.
    pub name: String,
    /// The description, in one sentence.
    pub help: String,
    pub(super) aliases: Vec<CommandName>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) allow: Vec<People>,
    pub(super) person_cooldown: Duration,
    pub(super) room_cooldown: Duration,
    pub(super) place: Option<CommandPlace>,
}

impl Declared {
    /// Checks a description. The name and the help are checked when the command is added, as those of other commands.
    pub fn check(declaration: Declaration) -> Result<Self, CallError> {
        let Declaration { name, help, aliases, arguments, allow, person_cooldown, room_cooldown, place } = declaration;
        check_people(&allow)?;
        for (field, cooldown) in [("person-cooldown", person_cooldown), ("room-cooldown", room_cooldown)] {
            if cooldown > LONGEST_COOLDOWN {
                return Err(wrong(field, "is longer than a day"));
            }
        }
        let (aliases, parameters) = (check_aliases(&aliases)?, check_arguments(arguments)?);
        Ok(Self { name, help, aliases, parameters, allow, person_cooldown, room_cooldown, place })
    }

    /// Returns the same command with another name.
    #[must_use]
    pub fn called(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// Returns about how many bytes of memory it takes.
    pub(crate) fn weight(&self) -> usize {
        let argument = |one: &Parameter| {
            let words = if let Kind::Choice(words) = &one.kind { words.as_slice() } else { &[] };
            let words: usize = words.iter().map(|word| size_of::<String>() + word.len()).sum();
            let page = one.page.as_ref().map_or(0, String::len);
            size_of::<Parameter>() + one.name.len() + one.help.len() + page + words
        };
        let arguments: usize = self.parameters.iter().map(argument).sum();
        let people = self.allow.len() * (size_of::<People>() + LONGEST_GROUP);
        self.name.len() + self.help.len() + self.aliases.len() * CommandName::MAX_BYTES + arguments + people
    }
}

/// Returns the error about a field of the command.
fn wrong(field: &str, reason: impl Into<String>) -> CallError {
    CallError::invalid(format!("{COMMAND}.{field}"), reason.into())
}

fn check_people(allow: &[People]) -> Result<(), CallError> {
    if allow.len() > MOST_PEOPLE {
        return Err(wrong("allow", format!("has {} groups of people; at most {MOST_PEOPLE} are allowed", allow.len())));
    }
    for one in allow {
        if let People::Group(name) = one {
            check_text(&format!("{COMMAND}.allow"), name, LONGEST_GROUP)?;
            if name.is_empty() {
                return Err(wrong("allow", "has a group without a name"));
            }
        }
    }
    Ok(())
}

fn check_aliases(aliases: &[String]) -> Result<Vec<CommandName>, CallError> {
    if aliases.len() > MOST_ALIASES {
        return Err(wrong("aliases", format!("has {} names; at most {MOST_ALIASES} are allowed", aliases.len())));
    }
    let mut names: Vec<CommandName> = Vec::new();
    for alias in aliases {
        let name: Result<CommandName, NoCommandName> = alias.parse();
        let name = name.map_err(|error| wrong("aliases", format!("has one that {error}")))?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn check_arguments(arguments: Vec<Argument>) -> Result<Vec<Parameter>, CallError> {
    if arguments.len() > MOST_ARGUMENTS {
        return Err(wrong("arguments", format!("has {}; at most {MOST_ARGUMENTS} are allowed", arguments.len())));
    }
    let bytes: usize = arguments.iter().map(texts).sum();
    if bytes > MOST_TEXT {
        return Err(wrong("arguments", format!("has {bytes} bytes of text; at most {MOST_TEXT} are allowed")));
    }
    let mut names = BTreeSet::new();
    let mut parameters: Vec<Parameter> = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let name = argument.name.parse::<CommandName>().ok().filter(|name| !name.as_str().starts_with('-'));
        let Some(name) = name else {
            return Err(wrong(
                "arguments",
                "has one whose name is not 1 to 32 letters, digits, - and _, and no - at the beginning",
            ));
        };
        let parameter =
            check_argument(argument).map_err(|reason| wrong("arguments", format!("has {name}, which {reason}")))?;
        let before = parameters.iter().rfind(|one| !one.is_named).filter(|_| !parameter.is_named);
        if before.is_some_and(|before| before.kind == Kind::Rest) {
            return Err(wrong("arguments", format!("has {name} after the rest, which takes all")));
        }
        if before.is_some_and(|before| before.is_optional) && !parameter.is_optional {
            return Err(wrong("arguments", format!("has {name} after an optional one; make it optional, or named")));
        }
        if !names.insert(name.clone()) {
            return Err(wrong("arguments", format!("has {name} twice")));
        }
        parameters.push(parameter);
    }
    Ok(parameters)
}

/// Returns how many bytes the texts of an argument take.
fn texts(argument: &Argument) -> usize {
    let words: usize = match &argument.kind {
        Kind::Choice(words) => words.iter().map(String::len).sum(),
        _ => 0,
    };
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    argument.name.len() + argument.help.len() + optional(&argument.default) + optional(&argument.page) + words
}

/// Checks an argument independently of the others. The error continues "has NAME, which".
fn check_argument(argument: Argument) -> Result<Parameter, String> {
    let Argument { name, kind, optional, default, named, help, page } = argument;
    check_kind(&kind)?;
    is_line(&help).map_err(|reason| format!("has a help that {reason}"))?;
    if let Some(title) = &page {
        is_line(title).map_err(|reason| format!("begins a page with a title that {reason}"))?;
        if title.trim().is_empty() {
            return Err("begins a page without a title".to_owned());
        }
    }
    let is_flag = kind == Kind::Flag;
    if kind == Kind::Rest && named {
        return Err("is named, though it is the rest".to_owned());
    }
    let default = match default {
        Some(_) if is_flag => return Err("has a default, though it is a flag".to_owned()),
        Some(text) => {
            is_line(&text).map_err(|reason| format!("has a default that {reason}"))?;
            // Only a room has occupants.
            let value = kind.read(&text, &|_| Named::Nobody);
            let value = value.map_err(|_| format!("has a default that is not {}", kind.may_be()))?;
            // People see a time in one way, though some languages write `3600s` for an hour, or `09:00:00`.
            let written = match value {
                CommandValue::Duration(span) => show_duration(span),
                CommandValue::Time(time) => show_time(time),
                _ => text,
            };
            Some((written, value))
        }
        None => None,
    };
    let (is_optional, is_named) = (optional || is_flag || default.is_some(), named || is_flag);
    Ok(Parameter { name, kind, is_optional, default, is_named, help, page })
}

fn check_kind(kind: &Kind) -> Result<(), String> {
    match kind {
        Kind::Integer(least, most) if least > most => Err(format!("is from {least} to {most}, where nothing is")),
        // NaN is neither less nor greater.
        Kind::Number(least, most) if least.partial_cmp(most).is_none_or(Ordering::is_gt) => {
            Err("has bounds between which nothing is".to_owned())
        }
        Kind::Choice(words) => check_choice(words),
        _ => Ok(()),
    }
}

fn check_choice(words: &[String]) -> Result<(), String> {
    if words.is_empty() || words.len() > MOST_CHOICES {
        return Err(format!("has {} words to choose from; 1 to {MOST_CHOICES} are allowed", words.len()));
    }
    let mut known = BTreeSet::new();
    for word in words {
        is_line(word).map_err(|reason| format!("has a word to choose that {reason}"))?;
        if word.is_empty() || word.len() > LONGEST_CHOICE || word.trim() != word {
            return Err(format!(
                "has a word to choose that is not 1 to {LONGEST_CHOICE} bytes without spaces around it"
            ));
        }
        if !known.insert(folded(word)) {
            return Err(format!("has the word {word} twice; capitals do not count"));
        }
    }
    Ok(())
}

/// Checks one line that the host may send on behalf of a plugin.
fn is_line(text: &str) -> Result<(), String> {
    if text.len() > LONGEST_LINE {
        return Err(format!("has {} bytes; at most {LONGEST_LINE} are allowed", text.len()));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("contains {c:?}, and is to be one line")),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns a required argument.
    pub(in crate::commands) fn argument(name: &str, kind: Kind) -> Argument {
        Argument {
            name: name.to_owned(),
            kind,
            optional: false,
            default: None,
            named: false,
            help: String::new(),
            page: None,
        }
    }

    /// Returns a command for everybody.
    pub(in crate::commands) fn declaration(name: &str, arguments: Vec<Argument>) -> Declaration {
        Declaration {
            name: name.to_owned(),
            help: "Does it".to_owned(),
            aliases: Vec::new(),
            arguments,
            allow: Vec::new(),
            person_cooldown: Duration::ZERO,
            room_cooldown: Duration::ZERO,
            place: None,
        }
    }

    /// Returns the field and the reason of the error.
    fn refusal(declaration: Declaration) -> (String, String) {
        match Declared::check(declaration) {
            Err(CallError::Invalid { argument, reason }) => (argument, reason),
            other => panic!("{other:?}"),
        }
    }

    fn of(arguments: Vec<Argument>) -> String {
        let (field, reason) = refusal(declaration("x", arguments));
        assert_eq!(field, "command.arguments");
        reason
    }

    #[test]
    fn an_argument_with_a_default_is_optional_and_a_flag_is_named_too() {
        let with_default = Argument { default: Some("3".to_owned()), ..argument("n", Kind::Integer(1, 6)) };
        let checked = Declared::check(declaration("x", vec![with_default, argument("f", Kind::Flag)])).unwrap();
        let [n, f] = &checked.parameters[..] else { panic!() };
        assert_eq!(n.default, Some(("3".to_owned(), CommandValue::Integer(3))));
        assert!(n.is_optional && !n.is_named && f.is_optional && f.is_named);
    }

    #[test]
    fn a_default_span_of_time_is_shown_in_one_way_in_every_language() {
        for written in ["1h", "60m", "3600s"] {
            let wait = Argument { default: Some(written.to_owned()), ..argument("wait", Kind::Duration) };
            let checked = Declared::check(declaration("x", vec![wait])).unwrap();
            assert_eq!(checked.parameters[0].default, Some(("1h".to_owned(), CommandValue::Duration(3_600_000))));
        }
    }

    #[test]
    fn a_default_time_of_day_is_shown_in_one_way_in_every_language() {
        for (written, shown) in [("9:00", "09:00"), ("09:00:00", "09:00"), ("9:00:05", "09:00:05")] {
            let at = Argument { default: Some(written.to_owned()), ..argument("at", Kind::Time) };
            let checked = Declared::check(declaration("x", vec![at])).unwrap();
            assert_eq!(checked.parameters[0].default.as_ref().map(|(shown, _)| shown.as_str()), Some(shown));
        }
    }

    #[test]
    fn ambiguous_arguments_and_those_without_a_possible_value_are_refused() {
        let text = |name: &str| argument(name, Kind::Text);
        let optional = |name: &str| Argument { optional: true, ..text(name) };
        assert_eq!(of(vec![text("a"), text("A")]), "has a twice");
        assert!(of(vec![optional("a"), text("b")]).starts_with("has b after an optional one"));
        assert!(of(vec![argument("a", Kind::Rest), text("b")]).starts_with("has b after the rest"));
        assert!(of(vec![Argument { named: true, ..argument("a", Kind::Rest) }]).contains("is named"));
        assert!(of(vec![argument("a", Kind::Integer(2, 1))]).contains("from 2 to 1"));
        for (least, most) in [(2.0, 1.0), (f64::NAN, 1.0), (1.0, f64::NAN)] {
            assert!(of(vec![argument("a", Kind::Number(least, most))]).contains("nothing is"));
        }
        let choice = |words: &[&str]| argument("a", Kind::Choice(words.iter().map(|&word| word.to_owned()).collect()));
        let accents = &["\u{fc}", "u\u{308}"];
        for words in [&[][..], &[""], &[" a"], &["a\n"], &["red", "RED"], accents, &["x"; 65], &[&*"x".repeat(65)]] {
            assert!(of(vec![choice(words)]).starts_with("has a, which has"), "{words:?}");
        }
        for name in ["", "two words", "a\u{1}", "--a", "-a", &"x".repeat(33)] {
            assert!(of(vec![text(name)]).contains("letters, digits"), "{name:?}");
        }
        // Named ones may stand anywhere.
        let named = Argument { named: true, ..text("c") };
        Declared::check(declaration("x", vec![optional("a"), argument("b", Kind::Flag), named])).unwrap();
    }

    #[test]
    fn a_default_is_a_value_of_its_kind() {
        let red = Kind::Choice(vec!["red".to_owned()]);
        for (kind, default) in [
            (Kind::Integer(1, 6), "7"),
            (Kind::Number(0.0, 1.0), "1.5"),
            (Kind::Duration, "soon"),
            (Kind::Date, "tomorrow"),
            (Kind::Time, "25:00"),
            (Kind::Jid, "@@"),
            (red, "blue"),
            (Kind::Flag, "true"),
            (Kind::Text, "a\nb"),
        ] {
            let reason = of(vec![Argument { default: Some(default.to_owned()), ..argument("a", kind) }]);
            assert!(reason.starts_with("has a, which has a default"), "{reason}");
        }
    }

    #[test]
    fn everything_is_bounded() {
        let many = |count: usize| (0..count).map(|n| argument(&format!("a{n}"), Kind::Text)).collect::<Vec<_>>();
        assert!(of(many(17)).contains("at most 16"));
        Declared::check(declaration("x", many(16))).unwrap();
        let words: Vec<_> = (0..64).map(|n| format!("{n:0>64}")).collect();
        let large =
            |count: usize| (0..count).map(|n| argument(&format!("a{n}"), Kind::Choice(words.clone()))).collect();
        Declared::check(declaration("x", large(3))).unwrap();
        assert!(of(large(4)).contains("bytes of text"));
        let long = Argument { help: "x".repeat(257), ..argument("a", Kind::Text) };
        assert!(of(vec![long]).contains("a help that has 257 bytes"));

        let plain = || declaration("x", Vec::new());
        let second = Duration::from_secs(1);
        let field = |declaration: Declaration| refusal(declaration).0;
        let names = |count: usize| (0..count).map(|n| format!("n{n}")).collect();
        assert_eq!(field(Declaration { aliases: names(9), ..plain() }), "command.aliases");
        assert_eq!(field(Declaration { aliases: vec!["a b".to_owned()], ..plain() }), "command.aliases");
        assert_eq!(field(Declaration { allow: vec![People::Owners; 17], ..plain() }), "command.allow");
        assert_eq!(field(Declaration { allow: vec![People::Group(String::new())], ..plain() }), "command.allow");
        let cooldown = LONGEST_COOLDOWN + second;
        assert_eq!(field(Declaration { person_cooldown: cooldown, ..plain() }), "command.person-cooldown");
        assert_eq!(field(Declaration { room_cooldown: cooldown, ..plain() }), "command.room-cooldown");
        Declared::check(Declaration { aliases: names(8), allow: vec![People::Owners; 16], ..plain() }).unwrap();
    }
}
