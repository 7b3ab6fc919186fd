//! The pages of a form, their fields, and the message that a person would have written instead.

use std::collections::BTreeMap;

use jid::FullJid;
use jiff::Timestamp;
use parlor_stanza::decode::filled_in;
use parlor_stanza::types::{AdHocField, Message};

use super::declaration::Parameter;
use super::kinds::{Kind, flag};
use crate::records::command_value::CommandValue;

/// A page of a form: some of the arguments, in their order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'p> {
    pub(super) title: Option<&'p str>,
    pub(super) parameters: &'p [Parameter],
}

/// Returns the pages of a command; none if it has no arguments.
pub(super) fn pages(parameters: &[Parameter]) -> Vec<Page<'_>> {
    let mut pages = Vec::new();
    let mut begin = 0;
    for end in 1..=parameters.len() {
        if parameters.get(end).is_none_or(|next| next.page.is_some()) {
            let parameters = &parameters[begin..end];
            let title = parameters.first().and_then(|first| first.page.as_deref());
            pages.push(Page { title, parameters });
            begin = end;
        }
    }
    pages
}

impl Page<'_> {
    /// Returns its fields, with the values that were filled in.
    pub(super) fn fields(&self, given: &BTreeMap<String, String>) -> Vec<AdHocField> {
        self.parameters.iter().map(|one| field(one, given)).collect()
    }

    /// Returns whether any of its fields is filled in.
    pub(super) fn has_any(&self, given: &BTreeMap<String, String>) -> bool {
        self.parameters.iter().any(|one| given.contains_key(&one.name))
    }
}

/// Returns the message that a person would have written to give a command.
pub(super) fn message(text: String, name: &str, from: &FullJid, own: &FullJid, now: Timestamp) -> Message {
    let mut message = filled_in(from.clone(), text, own, now);
    message.command = Some(name.to_owned());
    message
}

/// Returns the field for an argument, with the value that was filled in, else with its default.
fn field(one: &Parameter, given: &BTreeMap<String, String>) -> AdHocField {
    let kind = match one.kind {
        Kind::Flag => "boolean",
        Kind::Choice(_) => "list-single",
        Kind::Jid => "jid-single",
        Kind::Text | Kind::Integer(..) | Kind::Number(..) | Kind::Duration | Kind::Date | Kind::Time | Kind::Rest => {
            "text-single"
        }
    };
    let options = if let Kind::Choice(words) = &one.kind { words.clone() } else { Vec::new() };
    let default = match &one.default {
        // The word as it was declared, which is among the options.
        Some((_, CommandValue::Text(word))) => Some(word.clone()),
        Some((written, _)) => Some(written.clone()),
        None => None,
    };
    let is_plain = matches!(one.kind, Kind::Text | Kind::Flag | Kind::Rest);
    let about = if is_plain { String::new() } else { one.kind.may_be() };
    let mut value = given.get(&one.name).cloned().or(default);
    // Clients know no other values (XEP-0004, section 3.3).
    if one.kind == Kind::Flag
        && let Some(is_set) = value.as_deref().and_then(flag)
    {
        value = Some(if is_set { "1" } else { "0" }.to_owned());
    }
    AdHocField {
        var: one.name.clone(),
        kind,
        label: if one.help.is_empty() { one.name.clone() } else { one.help.clone() },
        about,
        required: !one.is_optional,
        value,
        options,
    }
}

/// Returns what a person would have written behind the command's name. The rest of the text has its place at the end.
pub(super) fn line(parameters: &[Parameter], given: &BTreeMap<String, String>) -> String {
    let (mut words, mut rest) = (Vec::new(), None);
    for one in parameters {
        let Some(text) = given.get(&one.name).map(|text| text.trim()).filter(|text| !text.is_empty()) else { continue };
        match one.kind {
            Kind::Flag if flag(text) == Some(true) => words.push(one.label()),
            Kind::Flag => {}
            // Otherwise the rest would be read as the name of an argument.
            Kind::Rest if is_dashed(text) => rest = Some(format!("-- {text}")),
            Kind::Rest => rest = Some(text.to_owned()),
            _ if one.is_named => words.extend([one.label(), quoted(text)]),
            _ => words.push(quoted(text)),
        }
    }
    words.extend(rest);
    words.join(" ")
}

/// Returns whether a text begins like the name of an argument, also with the long dashes of phones.
fn is_dashed(text: &str) -> bool {
    text.starts_with("--") || text.starts_with(['\u{2013}', '\u{2014}'])
}

/// Returns a word in quotes, if it needs them.
fn quoted(word: &str) -> String {
    let is_odd = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\');
    let is_plain = !word.is_empty() && !is_dashed(word) && !word.contains(is_odd);
    if is_plain { word.to_owned() } else { format!("\"{}\"", word.replace('\\', r"\\").replace('"', "\\\"")) }
}

#[cfg(test)]
mod tests {
    use super::super::declaration::Declared;
    use super::super::declaration::tests::{argument, declaration};
    use super::super::kinds::Named;
    use super::*;

    #[test]
    fn an_argument_with_a_title_begins_a_page() {
        let titled = |name: &str, page: Option<&str>| {
            let page = page.map(str::to_owned);
            crate::Argument { page, ..argument(name, Kind::Text) }
        };
        let shown = |all: &[(&str, Option<&str>)]| -> Vec<(Option<String>, Vec<String>)> {
            let arguments = all.iter().map(|(name, page)| titled(name, *page)).collect();
            let declared = Declared::check(declaration("x", arguments)).unwrap();
            let names = |page: &Page<'_>| page.parameters.iter().map(|one| one.name.clone()).collect();
            pages(&declared.parameters).iter().map(|page| (page.title.map(str::to_owned), names(page))).collect()
        };
        let page = |title: Option<&str>, names: &[&str]| {
            (title.map(str::to_owned), names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert!(shown(&[]).is_empty());
        assert_eq!(shown(&[("a", None), ("b", None)]), [page(None, &["a", "b"])]);
        assert_eq!(shown(&[("a", Some("A")), ("b", None)]), [page(Some("A"), &["a", "b"])]);
        let all = [("a", None), ("b", Some("B")), ("c", None), ("d", Some("D"))];
        assert_eq!(shown(&all), [page(None, &["a"]), page(Some("B"), &["b", "c"]), page(Some("D"), &["d"])]);
    }

    #[test]
    fn a_line_is_what_a_person_would_have_written() {
        let flag = argument("loud", Kind::Flag);
        let arguments = vec![argument("whom", Kind::Text), argument("why", Kind::Rest), flag];
        let declared = Declared::check(declaration("x", arguments)).unwrap();
        let given = [("whom", "Al Ice"), ("why", " it's  \"late\" "), ("loud", "1"), ("other", "x")];
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(line(&declared.parameters, &given), "\"Al Ice\" --loud it's  \"late\"");
        assert_eq!(line(&declared.parameters, &BTreeMap::new()), "");
        // Values that look like names are read as values.
        let given = [("whom", "--loud"), ("why", "--whom it may concern")];
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let line = line(&declared.parameters, &given);
        assert_eq!(line, "\"--loud\" -- --whom it may concern");
        let text = |text: &str| CommandValue::Text(text.to_owned());
        let values: Vec<_> = super::super::arguments::read(&declared.parameters, &line, &|_| Named::Nobody)
            .unwrap()
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        assert_eq!(values, [text("--loud"), text("--whom it may concern"), CommandValue::Flag(false)]);
    }

    #[test]
    fn a_word_that_needs_quotes_has_them() {
        for (word, written) in [
            ("a", "a"),
            ("-1", "-1"),
            ("--a", "\"--a\""),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("a\"b", r#""a\"b""#),
            ("a\\", r#""a\\""#),
        ] {
            assert_eq!(quoted(word), written);
            assert_eq!(super::super::words::split(written, 9), [word]);
        }
    }
}
