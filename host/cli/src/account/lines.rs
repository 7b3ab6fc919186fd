//! The lines of a file with accounts, as CSV (RFC 4180) or JSON. Pure.
//!
//! No reason repeats the text of a line: it may be a password in the wrong column.

use std::collections::{BTreeMap, HashMap};

use csv::ReaderBuilder;
use jid::{BareJid, Jid};
use parlor_base::nearest::{nearest, suggestion};
use parlor_config::{AccountName, GroupName, Hidden, is_variable};
use serde_json::Value;

/// The largest file, in bytes.
pub(super) const LARGEST: u64 = 8 << 20;
/// The most accounts in a file.
const MOST: usize = 10_000;
/// The longest line, in bytes.
const LONGEST: usize = 4096;
/// The longest password, in bytes, as for `account add`.
const LONGEST_PASSWORD: usize = 1024;

/// The columns, each with the name of its key in the configuration where there is one.
const COLUMNS: [&str; 8] =
    ["component", "group", "jid", "name", "password", "password_command", "password_env", "password_file"];
/// The columns that say where the password is, or that the account needs none.
const WAYS: [&str; 5] = ["component", "password", "password_command", "password_env", "password_file"];

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The number of its line, from 1.
    pub(super) number: usize,
    pub(super) name: AccountName,
    /// Whether the line has the name. Else it is the first part of the address.
    pub(super) is_named: bool,
    pub(super) jid: Jid,
    pub(super) group: Option<GroupName>,
    pub(super) password: Source,
}

/// The source of an account's password, or the component that it is an address of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// On the line.
    Text(Hidden<String>),
    /// In this file.
    File(String),
    /// A key of the configuration, with its value.
    Key(&'static str, String),
    /// The line does not say: the account's group does, or the environment.
    Elsewhere,
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    /// The number of the line, from 1.
    pub(super) line: usize,
    /// The reason.
    pub(super) reason: String,
}

impl Bad {
    pub(super) fn new(line: usize, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }
}

/// The values of a line, by column. Empty values are left out.
type Fields = BTreeMap<&'static str, String>;

/// Parses a file. If the first line begins with `{`, each line is JSON; else it is CSV, and the first line names the
/// columns. Returns the lines, and those that are bad.
pub(super) fn parse(text: &str) -> (Vec<Line>, Vec<Bad>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let mut lines = lines.filter(|(_, line)| !line.trim().is_empty()).peekable();
    let is_json = lines.peek().is_some_and(|(_, line)| line.trim_start().starts_with('{'));
    let head = if is_json { None } else { lines.next() };
    let columns = match head {
        None => Vec::new(),
        Some((number, line)) => match columns(line) {
            Ok(columns) => columns,
            Err(reason) => return (Vec::new(), vec![Bad::new(number, reason)]),
        },
    };
    let (mut all, mut bad) = (Vec::new(), Vec::new());
    for (count, (number, line)) in lines.enumerate() {
        if count == MOST {
            bad.push(Bad::new(number, format!("this is more than {MOST} accounts: make several files of it")));
            break;
        }
        let fields = match line.len() {
            length if length > LONGEST => Err(format!("it has more than {LONGEST} bytes")),
            _ if is_json => of_json(line),
            _ => of_csv(&columns, line),
        };
        match fields.and_then(|fields| account(number, fields)) {
            Ok(line) => all.push(line),
            Err(reason) => bad.push(Bad::new(number, reason)),
        }
    }
    if all.is_empty() && bad.is_empty() {
        bad.push(Bad::new(1, "there is no account in the file"));
    }
    bad.extend(twins(&all));
    (all, bad)
}

/// Returns the columns that the first line of CSV names.
fn columns(line: &str) -> Result<Vec<&'static str>, String> {
    let mut columns = Vec::new();
    for (index, cell) in cells(line)?.iter().enumerate() {
        let name = cell.trim();
        let Some(known) = COLUMNS.into_iter().find(|known| *known == name) else {
            let hint = match separator(line) {
                Some(separator) => format!(": separate them by commas, not by {separator}"),
                None => suggestion(nearest(name, COLUMNS)),
            };
            return Err(format!(
                "the first line has to name the columns, and the name in column {} is none of {}{hint}",
                index + 1,
                COLUMNS.join(", ")
            ));
        };
        if columns.contains(&known) {
            return Err(format!("the column {known} is there twice"));
        }
        columns.push(known);
    }
    if columns.contains(&"jid") { Ok(columns) } else { Err("the first line names no column jid".to_owned()) }
}

/// Returns what separates the columns in place of commas, as spreadsheets of some countries write it.
fn separator(line: &str) -> Option<&'static str> {
    let is_between = |separator: char| {
        let mut names = line.split(separator).map(|name| name.trim().trim_matches('"'));
        line.contains(separator) && names.any(|name| COLUMNS.contains(&name))
    };
    match () {
        () if is_between(';') => Some("semicolons"),
        () if is_between('\t') => Some("tabs"),
        () => None,
    }
}

fn of_csv(columns: &[&'static str], line: &str) -> Result<Fields, String> {
    let cells = cells(line)?;
    if cells.len() != columns.len() {
        return Err(format!("it has {} fields, and the first line names {} columns", cells.len(), columns.len()));
    }
    let fields = columns.iter().copied().zip(cells).map(|(column, cell)| {
        // Spaces may be part of a password.
        let value = if column == "password" { cell } else { cell.trim().to_owned() };
        (column, value)
    });
    Ok(fields.filter(|(_, value)| !value.is_empty()).collect())
}

/// Splits a line of CSV. A quoted field ends on its line, and with its quote: the reader would take other fields as well, and the
/// password would be another one than the person meant.
fn cells(line: &str) -> Result<Vec<String>, String> {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line.as_bytes());
    let record = reader.records().next().and_then(Result::ok).unwrap_or_default();
    let mut rest = Some(line);
    for (index, cell) in record.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        rest = rest.and_then(|rest| {
            let rest = rest.strip_prefix(comma)?;
            let Some(quoted) = rest.strip_prefix('"') else { return rest.strip_prefix(cell) };
            quoted.strip_prefix(cell.replace('"', "\"\"").as_str())?.strip_prefix('"')
        });
    }
    if rest == Some("") {
        return Ok(record.iter().map(str::to_owned).collect());
    }
    let says = if line.contains('\r') {
        "it contains a line break"
    } else if line.matches('"').count() % 2 == 1 {
        "a field in quotes has no end on this line"
    } else {
        "there is more behind a field in quotes: write \"\" for a quote in it"
    };
    Err(says.to_owned())
}

fn of_json(line: &str) -> Result<Fields, String> {
    let parsed: Result<Value, _> = serde_json::from_str(line);
    let object = match parsed {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err("it is no JSON object".to_owned()),
        // The error of the parser might repeat a value.
        Err(error) => return Err(format!("it is no JSON object: there is a mistake in column {}", error.column())),
    };
    let mut fields = Fields::new();
    for (key, value) in object {
        let Some(known) = COLUMNS.into_iter().find(|known| *known == key) else {
            let near = suggestion(nearest(&key, COLUMNS));
            return Err(format!("it has a key that is none of {}{near}", COLUMNS.join(", ")));
        };
        match value {
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => drop(fields.insert(known, text)),
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return Err(format!("its {known} has to be a text"));
            }
        }
    }
    Ok(fields)
}

fn account(number: usize, mut fields: Fields) -> Result<Line, String> {
    let jid = fields.remove("jid").ok_or("it has no jid")?;
    let jid = Jid::new(&jid).ok().filter(|jid| jid.node().is_some());
    let jid = jid.ok_or("its jid is no address of an account: write one, such as bot@example.org")?;
    let given = fields.remove("name");
    let is_named = given.is_some();
    let name = if let Some(name) = given {
        name.parse::<AccountName>().map_err(|_| format!("its name {NAME}"))?
    } else {
        let node = jid.node().map(|node| node.as_str().to_owned()).unwrap_or_default();
        node.parse::<AccountName>().map_err(|_| {
            format!(
                "the part of its jid before the @ would be its name, which {NAME}: give it another in a column name"
            )
        })?
    };
    let group = fields.remove("group");
    let group = group.map(|group| group.parse::<GroupName>().map_err(|_| format!("its group {NAME}")));
    let group = group.transpose()?;
    Ok(Line { number, name, is_named, jid, group, password: way(fields)? })
}

/// The end of a sentence about a name.
const NAME: &str = "is not 1 to 32 of a-z, 0-9, - and _, with a letter or digit first";

fn way(mut fields: Fields) -> Result<Source, String> {
    let mut given = WAYS.into_iter().filter_map(|key| Some((key, fields.remove(key)?)));
    let Some((key, value)) = given.next() else { return Ok(Source::Elsewhere) };
    if let Some((second, _)) = given.next() {
        return Err(format!("it has {key} and {second}: keep one of them"));
    }
    if value.contains(['\n', '\r', '\0']) {
        return Err(format!("its {key} contains a line break"));
    }
    match key {
        "password" if value.len() > LONGEST_PASSWORD => {
            Err(format!("its password has more than {LONGEST_PASSWORD} bytes, which is more than a server takes"))
        }
        "password" => Ok(Source::Text(Hidden(value))),
        "password_file" => Ok(Source::File(value)),
        "component" if value.parse::<AccountName>().is_err() => Err(format!("its component {NAME}")),
        "password_env" if !is_variable(&value) => Err(
            "its password_env is no name of a variable: write 1 to 128 of A-Z, a-z, 0-9 and _, without a digit first; a password belongs into the column password".to_owned(),
        ),
        _ => Ok(Source::Key(key, value)),
    }
}

/// Finds lines that are about the same account as an earlier one, or have its name.
fn twins(all: &[Line]) -> Vec<Bad> {
    let mut names = HashMap::<&AccountName, usize>::new();
    let mut jids = HashMap::<BareJid, Vec<&Line>>::new();
    let mut bad = Vec::new();
    for line in all {
        let known = jids.entry(line.jid.to_bare()).or_default();
        let first = *names.entry(&line.name).or_insert(line.number);
        if let Some(twin) = known.iter().find(|twin| is_same(&twin.jid, &line.jid)) {
            bad.push(Bad::new(line.number, format!("its account is that of line {}", twin.number)));
        } else if first != line.number {
            bad.push(Bad::new(
                line.number,
                format!("its name is that of line {first}: give it another in a column name"),
            ));
        }
        known.push(line);
    }
    bad
}

/// Returns whether two addresses are one account, without a resource of its own for each.
pub(super) fn is_same(one: &Jid, other: &Jid) -> bool {
    let are_apart = one.is_full() && other.is_full() && one != other;
    one.to_bare() == other.to_bare() && !are_apart
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Vec<Line> {
        let (lines, bad) = parse(text);
        assert_eq!(bad, []);
        lines
    }

    fn reasons(text: &str) -> Vec<String> {
        parse(text).1.into_iter().map(|Bad { line, reason }| format!("{line}: {reason}")).collect()
    }

    #[test]
    fn csv_and_json_say_the_same() {
        let csv = "\u{feff}jid, name,group,password,password_file,password_env\r\n\
            one@example.org,,shop,\"s3\"\"c, r3t \",,\r\n\
            \r\n\
            Two@Example.org,second,,,two.password,\r\n\
            three@example.org,,,,,THREE\r\n\
            four@example.org,,,,,\r\n";
        let json = r#"{"jid":"one@example.org","group":"shop","password":"s3\"c, r3t "}

            {"jid":"Two@Example.org","name":"second","password_file":"two.password"}
            {"jid":"three@example.org","group":null,"password_env":"THREE"}
            {"jid":"four@example.org","password":""}"#;
        let csv = good(csv);
        let [one, two, three, four] = &csv[..] else { panic!("{csv:?}") };
        assert_eq!((one.number, one.name.as_str(), one.is_named), (2, "one", false));
        assert_eq!(one.group.as_ref().map(GroupName::as_str), Some("shop"));
        assert_eq!(one.password, Source::Text(Hidden("s3\"c, r3t ".to_owned())));
        assert_eq!((two.number, two.name.as_str(), two.jid.as_str()), (4, "second", "two@example.org"));
        assert!(two.is_named && two.password == Source::File("two.password".to_owned()));
        assert_eq!(three.password, Source::Key("password_env", "THREE".to_owned()));
        assert_eq!(four.password, Source::Elsewhere);
        let json = good(json);
        let without_numbers =
            |lines: Vec<Line>| lines.into_iter().map(|line| Line { number: 0, ..line }).collect::<Vec<_>>();
        assert_eq!(without_numbers(json), without_numbers(csv));
    }

    #[test]
    fn each_bad_line_is_named_with_its_reason_and_no_value() {
        let text = "jid,name,group,password,password_env\n\
            s3cr3t,,,,\n\
            a@example.org,S3cr3t!,,,\n\
            b@example.org,,s3cr3t!,,\n\
            c@example.org,,,s3cr3t,S3CR3T\n\
            d@example.org,,,\"s3cr3t,\n\
            e@example.org,,,\"s3\"cr3t,\n\
            f@example.org,,s3cr3t\n\
            ,,,s3cr3t,\n\
            o.neill@example.org,,,,\n\
            good@example.org,,,s3cr3t,\n\
            good@example.org/x,other,,s3cr3t,\n\
            h@example.org,good,,s3cr3t,\n\
            i@example.org,,,,s3cr3t!\n";
        let of_components = reasons("jid,component,password\na@b.example,bots,s3cr3t\nc@b.example,s3cr3t!,\n");
        let expected =
            ["2: it has component and password: keep one of them".to_owned(), format!("3: its component {NAME}")];
        assert_eq!(of_components, expected);
        let reasons = reasons(text);
        for (line, words) in [
            (2, "no address of an account"),
            (3, "its name is not 1 to 32"),
            (4, "its group is not 1 to 32"),
            (5, "it has password and password_env"),
            (6, "no end on this line"),
            (7, "behind a field in quotes"),
            (8, "it has 3 fields, and the first line names 5"),
            (9, "it has no jid"),
            (10, "before the @ would be its name"),
            (12, "its account is that of line 11"),
            (13, "its name is that of line 11"),
            (14, "its password_env is no name of a variable"),
        ] {
            let begin = format!("{line}: ");
            assert!(
                reasons.iter().any(|one| one.starts_with(&begin) && one.contains(words)),
                "{line} {words}: {reasons:?}"
            );
        }
        assert_eq!(reasons.len(), 12, "{reasons:?}");
        assert!(!format!("{reasons:?}").to_lowercase().contains("s3cr3t"), "{reasons:?}");
        assert!(!format!("{:?}", good("jid,password\na@b.example,s3cr3t\n")).contains("s3cr3t"));
    }

    #[test]
    fn a_file_without_heads_or_with_wrong_ones_says_so_and_repeats_nothing() {
        for (text, words) in [
            ("", "there is no account"),
            ("jid\n", "there is no account"),
            ("a@example.org,s3cr3t\n", "name in column 1 is none of component, group, jid, name, password"),
            ("jid,pasword\na@example.org,s3cr3t\n", "did you mean \"password\"?"),
            ("jid,jid\n", "the column jid is there twice"),
            ("name,password\na,s3cr3t\n", "no column jid"),
            ("{\"jid\":\"a@example.org\",\"s3cr3t\":1}", "a key that is none of"),
            ("{\"jid\":\"a@example.org\",\"password\":53}", "its password has to be a text"),
            ("{\"jid\":\"a@example.org\",\"password\":\"s3cr3t\"", "a mistake in column"),
            ("{\"jid\":\"a@example.org\"}\n[\"s3cr3t\"]", "2: it is no JSON object"),
            ("{\"jid\":\"a@example.org\",\"password\":\"s3cr3t\\nb\"}", "line break"),
        ] {
            let reasons = reasons(text);
            assert!(reasons.len() == 1 && reasons[0].contains(words), "{words}: {reasons:?}");
            assert!(!reasons[0].contains("s3cr3t"), "{reasons:?}");
        }
    }

    #[test]
    fn columns_that_other_characters_separate_are_said_to_need_commas() {
        for (line, words) in [("jid;name;password", "not by semicolons"), ("jid\tpassword", "not by tabs")] {
            let reasons = reasons(&format!("{line}\na@example.org\n"));
            assert!(reasons[0].ends_with(&format!(": separate them by commas, {words}")), "{reasons:?}");
        }
        assert!(!reasons("jid,pass;word\na@example.org,x\n")[0].contains("commas"));
    }

    #[test]
    fn lines_passwords_and_files_are_bounded() {
        let long = format!("jid,password\na@example.org,{}\n", "x".repeat(LONGEST_PASSWORD + 1));
        assert!(reasons(&long)[0].contains("more than 1024 bytes"));
        let long = format!("jid\n{}@example.org\n", "x".repeat(LONGEST));
        assert_eq!(reasons(&long), ["2: it has more than 4096 bytes"]);
        let accounts = |count: usize| -> String {
            std::iter::once("jid\n".to_owned())
                .chain((0..count).map(|number| format!("a{number}@example.org\n")))
                .collect()
        };
        assert_eq!(good(&accounts(MOST)).len(), MOST);
        assert_eq!(reasons(&accounts(MOST + 1)).len(), 1);
    }

    #[test]
    fn a_cell_that_is_quoted_is_read_as_it_was() {
        let texts = ["", "a", "\"", "\"\"", ",", "a\"b", " ä ", "\",\""];
        for (one, other) in texts.into_iter().flat_map(|one| texts.map(|other| (one, other))) {
            let quoted = [one, other].map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).join(",");
            assert_eq!(cells(&quoted).unwrap(), [one, other], "{quoted}");
        }
    }

    #[test]
    fn a_field_is_taken_as_it_is_written_or_not_at_all() {
        assert_eq!(cells("a\"b,,c").unwrap(), ["a\"b", "", "c"]);
        assert_eq!(cells("a,").unwrap(), ["a", ""]);
        for (line, words) in [
            ("a,\"b", "no end"),
            ("a,\"b\"\"", "no end"),
            ("a,\"b\"c", "more behind"),
            ("a,\"b\" ,c", "more behind"),
            ("a\rb,c", "line break"),
            ("a,b\r", "line break"),
            ("\r,", "line break"),
        ] {
            let reason = cells(line).unwrap_err();
            assert!(reason.contains(words), "{line:?}: {reason}");
        }
    }

    #[test]
    fn no_file_is_too_strange() {
        let text = "jid,password\n\"a@b.example\",\"ä\"\"\n{\"jid\":\"a@b.example\"}\n,,\n\u{0}\r\n\"";
        let ends: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
        for (begin, end) in ends.iter().flat_map(|begin| ends.iter().map(move |end| (*begin, *end))) {
            let _ = parse(text.get(begin..end).unwrap_or_default());
        }
    }
}
