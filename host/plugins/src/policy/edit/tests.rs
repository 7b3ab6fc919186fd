//! Tests of edits to `plugins.toml` that keep its layout, and a property test of random files.

use proptest::prelude::*;

use super::*;

const TEXT: &str = r#"# who may run

[plugin.echo] # the good one
source = "echo.wasm" # as built
digest = "sha256:00"

# what it may
[plugin.echo.grants]
"messages.read" = ["*"]   # all
"contacts.read" = true

# a stranger
[plugin.snoop]
source = "snoop.wasm"
enabled = true
"#;

fn set_to(keys: &[&str], value: impl Into<Value>) -> Change {
    Change::Set(keys.iter().map(ToString::to_string).collect(), value.into())
}

fn unset_of(keys: &[&str]) -> Change {
    Change::Unset(keys.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn edited(change: Change, id: &str, from: &str, to: &str) {
    assert_eq!(edit(TEXT, id, &[change]).unwrap(), TEXT.replacen(from, to, 1));
}

#[test]
fn a_value_is_replaced_where_it_stands() {
    edited(set_to(&["digest"], "sha256:11"), "echo", "sha256:00", "sha256:11");
    edited(set_to(&["grants", "messages.read"], vec!["a@b"]), "echo", r#"["*"]   # all"#, r#"["a@b"]   # all"#);
    edited(set_to(&["enabled"], false), "snoop", "enabled = true", "enabled = false");
}

/// A secret may have a header of its own.
#[test]
fn a_table_is_replaced_below_its_header() {
    let text = "[plugin.echo]\nsource = \"e\"\n\n# rotated\n[plugin.echo.settings.key]\nfile = \"a\" # kept\nold = 1\n\n[plugin.x]\n";
    let key = |table: &str| Change::Set(vec!["settings".into(), "key".into()], Value::Table(table.parse().unwrap()));
    let both = edit(text, "echo", &[key("file = \"b\"\nformer = { file = \"a\", until = \"x\" }")]).unwrap();
    let former = "former = { file = \"a\", until = \"x\" }\n";
    assert_eq!(both, text.replace("file = \"a\"", "file = \"b\"").replace("old = 1\n", former));
    let alone = edit(&both, "echo", &[key("file = \"b\"")]).unwrap();
    assert_eq!(alone, both.replace(former, ""));
}

#[test]
fn many_entries_are_added_as_one_after_the_other() {
    let entry = |number: usize| (format!("a{number}"), "source = \"a.wasm\"".parse::<Table>().unwrap());
    for text in [TEXT, "", "# nothing yet\n", "\u{feff}[plugin.x]\r\nsource = \"x\"\r\n"] {
        let entries: Vec<_> = (0..30).map(entry).collect();
        let together = add_all_in("plugin", text, &entries).unwrap();
        let mut single = text.to_owned();
        for (id, entry) in &entries {
            single = edit(&single, id, &[Change::Add(entry.clone())]).unwrap();
        }
        assert_eq!(together, single);
        assert!(together.starts_with(text.trim_end()), "{together}");
        assert!(add_all_in("plugin", &together, &entries[..1]).is_err(), "it is there already");
    }
    assert_eq!(add_all_in("plugin", TEXT, &[]).unwrap(), TEXT);
    assert!(add_all_in("plugin", "plugin = 1\n", &[entry(0)]).is_err());
}

#[test]
fn many_entries_are_removed_as_one_after_the_other() {
    let more = "\n# rest\n[plugin.x]\nsource = \"x\" # here\n[settings]\n# end\n";
    for text in [TEXT.to_owned() + more, format!("\u{feff}{}", TEXT.replace('\n', "\r\n")), String::new()] {
        for ids in [&["echo", "snoop"][..], &["echo", "x"], &["snoop", "none"], &["x"], &[]] {
            let mut single = text.clone();
            for id in ids {
                single = edit(&single, id, &[Change::Remove]).unwrap();
            }
            assert_eq!(remove_all_in("plugin", &text, &ids.iter().copied().collect()).unwrap(), single, "{ids:?}");
        }
    }
    let inline = "plugin = { a = { source = \"a\" }, b = { source = \"b\" } }\n";
    let error = remove_all_in("plugin", inline, &["a", "b"].into()).unwrap_err();
    assert!(error.to_string().ends_with("take out the 2 tables below [plugin] with all that is below them"), "{error}");
}

#[test]
fn a_number_with_many_zeros_has_its_exponent() {
    for (number, written) in [(1e308, "1e308"), (-1.5e-9, "-1.5e-9"), (0.5, "0.5"), (0.0, "0.0"), (2e3, "2000.0")] {
        edited(
            set_to(&["version"], number),
            "snoop",
            "enabled = true\n",
            &format!("enabled = true\nversion = {written}\n"),
        );
    }
}

#[test]
fn what_is_noted_in_a_list_stays() {
    let file = |list: &str| format!("[plugin.echo.grants]\n\"messages.send\" = {list} # kept\n");
    let to = |list: &str, items: &[&str]| {
        let change = set_to(&["grants", "messages.send"], items.to_vec());
        edit(&file(list), "echo", &[change]).unwrap()
    };
    let several = "[ # whom it may write to\n  \"a@b\", # my friend\n  # the others\n  \"c@d\" # hers\n]";
    assert_eq!(
        to(several, &["c@d", "@e", "@f"]),
        file("[ # whom it may write to\n  # the others\n  \"c@d\", # hers\n  \"@e\",\n  \"@f\",\n]")
    );
    assert_eq!(to(several, &["a@b"]), file("[ # whom it may write to\n  \"a@b\", # my friend\n  # the others\n]"));
    let one_line = "[ # all\n  \"a@b\", \"c@d\", \"@e\" ]";
    assert_eq!(to(one_line, &["a@b", "@e", "@f"]), file("[ # all\n  \"a@b\", \"@e\", \"@f\" ]"));
    // If the order changes, or nothing of the old list is left, the list is replaced.
    assert_eq!(to(several, &["c@d", "a@b"]), file("[\"c@d\", \"a@b\"]"));
    assert_eq!(to(several, &["@e"]), file("[\"@e\"]"));
    assert_eq!(to("[\"a#b@c\"]", &["a#b@c", "@e"]), file("[\"a#b@c\", \"@e\"]"));
}

/// Editors on other systems write such files.
#[test]
fn a_mark_at_the_beginning_and_other_ends_of_lines_are_understood() {
    let text = "\u{feff}[plugin.echo]\r\nsource = \"x\"\r\n\r\n[plugin.snoop]\r\nsource = \"y\"\r\n";
    let with = |changes: &[Change]| edit(text, "echo", changes).unwrap();
    assert_eq!(with(&[set_to(&["enabled"], false)]), text.replacen("\"x\"\r\n", "\"x\"\r\nenabled = false\r\n", 1));
    assert_eq!(with(&[unset_of(&["source"])]), text.replacen("source = \"x\"\r\n", "", 1));
    assert_eq!(with(&[Change::Remove]), "\u{feff}\r\n[plugin.snoop]\r\nsource = \"y\"\r\n");
}

#[test]
fn a_new_value_comes_at_the_end_of_its_table() {
    edited(set_to(&["enabled"], false), "echo", "sha256:00\"\n", "sha256:00\"\nenabled = false\n");
    let read = "\"contacts.read\" = true\n";
    edited(set_to(&["grants", "storage"], true), "echo", read, &format!("{read}storage = true\n"));
    let end = "source = \"snoop.wasm\"\nenabled = true\n";
    let table = "\n[plugin.snoop.grants]\n\"rooms.send\" = [\"*\"]\n";
    edited(set_to(&["grants", "rooms.send"], vec!["*"]), "snoop", end, &format!("{end}{table}"));
}

#[test]
fn what_goes_takes_its_line_along_and_no_other() {
    edited(unset_of(&["grants", "messages.read"]), "echo", "\"messages.read\" = [\"*\"]   # all\n", "");
    edited(unset_of(&["nothing"]), "echo", "", "");
    let new = edit(TEXT, "echo", &[Change::Remove]).unwrap();
    assert_eq!(
        new,
        "# who may run\n\n# what it may\n\n# a stranger\n[plugin.snoop]\nsource = \"snoop.wasm\"\nenabled = true\n"
    );
    let new = edit(&new, "snoop", &[Change::Remove]).unwrap();
    assert_eq!(new, "# who may run\n\n# what it may\n\n# a stranger\n");
}

#[test]
fn an_entry_is_added_at_the_end() {
    let entry: Table = "source = \"x\"\n[grants]\n\"a.b\" = true\n[limits]\n".parse().unwrap();
    let mut expected = entry.clone();
    expected.remove("limits");
    let new = edit(TEXT, "x-1", &[Change::Add(expected)]).unwrap();
    assert_eq!(new, format!("{TEXT}\n[plugin.x-1]\nsource = \"x\"\n\n[plugin.x-1.grants]\n\"a.b\" = true\n"));
    assert_eq!(edit("", "y", &[Change::Add("a = 1".parse().unwrap())]).unwrap(), "[plugin.y]\na = 1\n");
}

#[test]
fn inline_tables_are_understood() {
    let text = "[plugin]\necho = { source = \"x\", grants = { a = true } } # short\n";
    let with = |changes: &[Change]| edit(text, "echo", changes).unwrap();
    assert_eq!(
        with(&[set_to(&["enabled"], false)]),
        "[plugin]\necho = { source = \"x\", grants = { a = true }, enabled = false } # short\n"
    );
    assert_eq!(
        with(&[set_to(&["grants", "b"], true), unset_of(&["grants", "a"])]),
        "[plugin]\necho = { source = \"x\", grants = { b = true } } # short\n"
    );
    assert_eq!(with(&[unset_of(&["source"])]), "[plugin]\necho = { grants = { a = true } } # short\n");
    assert_eq!(
        with(&[set_to(&["limits", "m"], 1)]),
        "[plugin]\necho = { source = \"x\", grants = { a = true }, limits = { m = 1 } } # short\n"
    );
}

#[test]
fn a_list_keeps_its_lines_and_a_table_the_comments_before_what_goes() {
    let text = "plugin.echo.source = \"x\"\n\n# why\nplugin.echo.grants.a = [\n    \"@e\",\n    \"a@b\",\n]\n# end\n";
    let with = |changes: &[Change]| edit(text, "echo", changes).unwrap();
    assert_eq!(
        with(&[set_to(&["grants", "a"], vec!["@e", "c@d"])]),
        text.replacen("\"a@b\"", "\"c@d\"", 1),
        "the list has no comments, and keeps its lines all the same"
    );
    assert_eq!(
        with(&[set_to(&["grants", "b"], true)]),
        text.replacen("# end", "plugin.echo.grants.b = true\n# end", 1)
    );
    assert_eq!(
        with(&[set_to(&["grants", "b"], true), unset_of(&["grants", "a"])]),
        "plugin.echo.source = \"x\"\n\n# why\nplugin.echo.grants.b = true\n# end\n"
    );
    assert_eq!(with(&[unset_of(&["source"])]), text.replacen("plugin.echo.source = \"x\"\n", "", 1));
}

#[test]
fn what_is_not_understood_is_refused_and_says_what_to_do() {
    // A multi-line string that contains a line like a header.
    let text = "[plugin.echo]\nsource = \"\"\"\n[plugin.echo.grants]\n\"\"\"\n[plugin.echo.grants]\n";
    match edit(text, "echo", &[set_to(&["grants", "a"], true)]) {
        Ok(new) => {
            let table: Table = new.parse().unwrap();
            assert_eq!(table["plugin"]["echo"]["grants"]["a"], Value::Boolean(true));
            assert_eq!(table["plugin"]["echo"]["source"].as_str(), Some("[plugin.echo.grants]\n"));
        }
        Err(error) => assert!(error.to_string().ends_with("under [plugin.echo], write grants.a = true"), "{error}"),
    }
    assert!(edit("[plugin.echo", "echo", &[Change::Remove]).is_err());
}

proptest! {
    /// For any file, the result means the wanted policy, or there is no result.
    #[test]
    fn no_file_is_spoiled(
        header in prop::sample::select(vec!["[plugin.e]\n", "[plugin]\n[plugin.e] # x\n", "plugin.e.d = 1\n[plugin.f]\n", "[plugin]\ne = { d = 1 }\n"]),
        body in prop::collection::vec(prop::sample::select(vec![
            "a = 1\n", "b = [\n 1,\n 2 ]\n", "# note\n", "\n", "[plugin.e.grants]\n", "c = 'x' # [plugin.e]\n", "[plugin.g]\n", "t = \"\"\"\n[plugin.e]\n\"\"\"\n",
        ]), 0..8),
        key in prop::sample::select(vec!["a", "enabled", "b"]),
    ) {
        let text = format!("{header}{}", body.concat());
        prop_assume!(text.parse::<Table>().is_ok());
        for change in [set_to(&[key], 7), set_to(&["grants", key], 7), unset_of(&[key]), unset_of(&["grants", key]), Change::Remove] {
            if let Ok(new) = edit(&text, "e", std::slice::from_ref(&change)) {
                let notes = |text: &str| text.matches("# note").count();
                if change != Change::Remove {
                    prop_assert_eq!(notes(&new), notes(&text));
                }
                prop_assert!(new.parse::<Table>().is_ok());
            }
        }
    }
}
