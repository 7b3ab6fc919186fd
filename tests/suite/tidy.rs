//! Rules that the sources keep, checked by reading them: which modules may name what, and the form of files.

mod circles;
mod nesting;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use parlor_plugins::limits::Limits;
use parlor_tests::packages::{self, Package};
use syn::{ImplItem, Item, ItemImpl, Type};

/// Returns the workspace's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A Rust file, with its path from the root.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Returns the text without tests: up to the tests at the end of the file.
    fn product(&self) -> &str {
        let mark = "#[cfg(test)]\n";
        // The module may have any visibility.
        let is_module =
            |rest: &str| rest.lines().next().unwrap_or_default().split(' ').take(2).any(|word| word == "mod");
        let begin = self.text.match_indices(mark).find(|(at, _)| is_module(&self.text[at + mark.len()..]));
        begin.map_or(&self.text, |(at, _)| &self.text[..at])
    }

    fn is_test(&self) -> bool {
        let parts: BTreeSet<_> = self.path.split(['/', '.']).collect();
        parts.contains("tests")
            || parts.contains("suite")
            || ["peer", "simulated_network", "mock_server"]
                .iter()
                .any(|one| self.path.contains(&format!("xmpp/src/{one}")))
    }

    /// Returns whether it is a test, or a program or plugin that only tests run.
    fn is_of_tests(&self) -> bool {
        self.is_test() || self.path.starts_with("tests/")
    }

    /// Returns the lines without tests and comments, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.product().lines().enumerate();
        lines.map(|(number, line)| (number + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// Returns every Rust file below these folders.
fn sources(folders: &[impl AsRef<Path>]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root()).unwrap().display().to_string();
                found.push(Source { path, text });
            }
        }
    }
    assert!(found.len() > 10, "the sources were read: {}", found.len());
    found
}

/// Returns the folders of the sources of the host's packages.
fn host() -> Vec<String> {
    packages::ALL.iter().map(Package::sources).collect()
}

/// Returns the folders of all sources.
fn all() -> Vec<String> {
    host().into_iter().chain(["plugins-sdk/src", "example-plugins", "tests"].map(str::to_owned)).collect()
}

/// Returns the lines that name one of these words in files that `may` does not allow.
fn named(folders: &[impl AsRef<Path>], words: &[&str], may: impl Fn(&str) -> bool) -> Vec<String> {
    let sources = sources(folders);
    let elsewhere = sources.iter().filter(|source| !source.is_test() && !may(&source.path));
    elsewhere
        .flat_map(|source| {
            let lines = source.code().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
            lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim()))
        })
        .collect()
}

#[track_caller]
fn nobody(lines: &[String], rule: &str) {
    assert!(lines.is_empty(), "{rule}:\n{}", lines.join("\n"));
}

/// Cargo keeps most packages from them: `session` and `plugins` list none. Authors' mock server makes stanzas.
#[test]
fn only_the_packages_of_xmpp_name_stanza_types_and_sockets() {
    let words = ["tokio_xmpp", "xmpp_parsers", "minidom", "sasl::"];
    // The last is the library for the store of a cluster, which connects by itself.
    let sockets = ["tokio_rustls", "TcpStream", "async_nats"];
    let may = |path: &str| {
        ["host/xmpp/", "host/stanza/", "host/authoring/src/plugin_test/server"].iter().any(|one| path.starts_with(one))
    };
    let may_connect =
        |path: &str| ["host/xmpp/", "host/https/", "host/nats/", "host/web/"].iter().any(|one| path.starts_with(one));
    nobody(&named(&host(), &words, may), "the types of stanzas are those of parlor-stanza");
    let rule = "only parlor-xmpp, parlor-https, parlor-web and parlor-nats connect to anybody";
    nobody(&named(&host(), &sockets, may_connect), rule);
    assert!(!named(&host(), &words, |_| false).is_empty(), "the words are those that the sources use");
}

/// Callers pass the time to these packages, so tests and simulations decide what time it is.
#[test]
fn packages_that_get_the_time_as_an_input_read_no_clock() {
    let folders = ["e2ee", "stanza", "session", "schedules", "cluster"].map(|name| format!("host/{name}/src"));
    // A value of the first two cannot be made without the clock.
    let words = ["Instant", "SystemTime", "::now("];
    nobody(&named(&folders, &words, |_| false), "the caller passes the time");
    assert!(!named(&["host/runtime/src"], &words, |_| false).is_empty(), "the words are those that the sources use");
}

#[test]
fn only_the_api_and_what_runs_guests_name_the_bindings() {
    let may = |path: &str| {
        path.starts_with("host/runtime/src/api/")
            || path.starts_with("host/runtime/src/run/")
            || ["bindings.rs", "engine.rs", "run.rs"].iter().any(|file| path == format!("host/runtime/src/{file}"))
    };
    nobody(&named(&host(), &["bindings::"], may), "only api/, run and engine may name them");
    assert!(!named(&host(), &["bindings::"], |_| false).is_empty(), "the word is the one that the sources use");
}

#[test]
fn only_password_opens_passwords() {
    let may = |path: &str| path.starts_with("host/xmpp/src/");
    nobody(&named(&host(), &["Password::"], may), "only parlor-xmpp may");
    let may_wipe = |path: &str| may(path) || path.starts_with("host/e2ee/src/") || path == "host/nats/src/seal.rs";
    let rule = "only parlor-xmpp, parlor-e2ee and the keys of a cluster hold what has to be wiped";
    nobody(&named(&host(), &["zeroize"], may_wipe), rule);
}

/// The host's compiler process inherits nothing at all, and manual pages use another type named `Command`.
#[test]
fn only_child_starts_programs() {
    let words = ["Command::new("];
    let may = |path: &str| {
        path.starts_with("host/runtime/src/compiler/")
            || ["host/base/src/child.rs", "host/cli/src/manual.rs"].contains(&path)
    };
    nobody(&named(&host(), &words, may), "it would inherit passwords");
    assert!(!named(&host(), &words, |_| false).is_empty(), "the word is the one that the sources use");
}

/// Python imports from its working folder before its own library, unless an option forbids it.
#[test]
fn python_runs_isolated() {
    let words = ["\"-m\", \"", "\"-c\", CALL", "\"-c\", CHECK", "\"-c\", \"import", "\"-c\", &format"];
    let isolated = named(&["host/authoring/src/build"], &["\"-I\""], |_| false);
    let all = named(&["host/authoring/src/build"], &words, |_| false);
    let open: Vec<_> = all.into_iter().filter(|line| !isolated.contains(line)).collect();
    nobody(&open, "it would import what lies in the folder at hand; give it -I");
    assert!(isolated.len() >= 8, "the word is the one that the sources use");
}

/// A file name may contain a line end and imitate parlor's own messages.
#[test]
fn paths_are_escaped_where_they_are_shown() {
    nobody(&named(&host(), &[".display()"], |_| false), "it shows the name of a file as it is; take `escaped`");
}

/// Code that could bring in machine code could do everything.
#[test]
fn machine_code_comes_in_at_one_place() {
    let words = ["deserialize(engine", "deserialize_file(", "deserialize_open_file(", "deserialize_raw("];
    let found = named(&host(), &words, |_| false);
    assert!(matches!(&found[..], [one] if one.starts_with("host/runtime/src/compiler.rs:")), "{found:#?}");
    let makers = named(&host(), &["Artifact("], |path| path.starts_with("host/runtime/src/compiler"));
    nobody(&makers, "only the compiler and its cache may say what is machine code");
}

/// In each place, an interface of the system or of wasmtime requires it, and the code says why.
#[test]
fn unsafe_code_is_where_an_interface_demands_it() {
    let allowed = [
        "host/src/memory.rs",
        "host/runtime/src/compiler.rs",
        "host/runtime/src/compiler/worker.rs",
        "host/runtime/src/watchdog/runtimes.rs",
    ];
    nobody(
        &named(&host(), &["unsafe {", "unsafe fn", "unsafe impl"], |path| allowed.contains(&path)),
        "nobody else may",
    );
}

/// A limit that is not enforced is an empty promise.
#[test]
fn every_limit_is_enforced_and_attacked() {
    let sources = sources(&host());
    let suite: String = self::sources(&["tests/suite"]).into_iter().map(|source| source.text).collect();
    for name in Limits::NAMES {
        let word = format!("limits.{name}");
        let is_asked = |line: &str| {
            let after = |at: usize| line[at + word.len()..].chars().next();
            line.match_indices(&word).any(|(at, _)| !after(at).is_some_and(|one| one.is_alphanumeric() || one == '_'))
        };
        let elsewhere = sources.iter().filter(|source| !source.path.ends_with("plugins/src/limits.rs"));
        assert!(elsewhere.flat_map(Source::code).any(|(_, line)| is_asked(line)), "nobody enforces {name}");
        // Its smallest value is a minute, which is too long for a test.
        let is_attacked = *name == "catch_up_age" || suite.contains(&format!("limit(\"{name}\""));
        assert!(is_attacked, "no test attacks {name}");
    }
}

#[test]
fn nothing_unwraps_or_is_left_to_do_outside_of_tests() {
    let words = [".unwrap()", "todo!(", "unimplemented!(", "dbg!("];
    nobody(&named(&all(), &words, |_| false), "an error says more, an `expect` states the invariant");
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = sources(&all())
        .iter()
        .map(|source| (source.text.lines().count(), if source.is_of_tests() { 1_300 } else { 500 }, &source.path))
        .filter(|(lines, most, _)| lines > most)
        .map(|(lines, most, path)| format!("{path}: {lines} lines, at most {most}"))
        .collect();
    nobody(&long, "a long file is two files");
}

/// Methods of traits are not counted: their number is that of the trait.
#[test]
fn no_type_has_too_many_methods() {
    let mut methods = BTreeMap::<(String, String), usize>::new();
    for source in sources(&all()).iter().filter(|source| !source.is_test()) {
        let package = source.path.split("/src/").next().unwrap_or_default();
        for item in syn::parse_file(&source.text).unwrap().items {
            if let Item::Impl(ItemImpl { trait_: None, self_ty, items, .. }) = item
                && let Type::Path(path) = *self_ty
            {
                let name = path.path.segments.last().unwrap().ident.to_string();
                let count = items.iter().filter(|item| matches!(item, ImplItem::Fn(_))).count();
                *methods.entry((package.to_owned(), name)).or_default() += count;
            }
        }
    }
    assert!(methods.len() > 100, "{methods:?}");
    let many = methods.iter().filter(|(_, count)| **count > 40);
    let many: Vec<_> = many.map(|((package, name), count)| format!("{name} of {package}: {count} methods")).collect();
    nobody(&many, "a type with more than 40 methods is several types");
}

#[test]
fn every_module_says_what_it_is() {
    let silent: Vec<_> = sources(&all())
        .iter()
        .filter(|source| !source.text.starts_with("//!") && !source.text.starts_with("#![doc = include_str!"))
        .map(|source| source.path.clone())
        .collect();
    nobody(&silent, "a module opens with `//!`");
}

#[test]
fn a_grouping_is_one_file_of_its_name_everywhere() {
    let world = std::fs::read_to_string(root().join("wit/world.wit")).unwrap();
    let groupings: Vec<_> =
        world.lines().filter_map(|line| line.trim().strip_prefix("import ")?.strip_suffix(';')).collect();
    assert!(groupings.len() >= 11, "{groupings:?}");
    for grouping in groupings {
        let name = grouping.replace('-', "_");
        for file in [
            format!("wit/{grouping}.wit"),
            format!("host/runtime/src/api/{name}.rs"),
            format!("plugins-sdk/src/{name}.rs"),
            format!("tests/suite/{name}.rs"),
        ] {
            assert!(root().join(&file).is_file(), "{grouping} has no {file}");
        }
    }
}

/// A function that acts for a plugin demands the proof that the plugin may do it. The host's own proof shows nothing about a plugin.
#[test]
fn no_call_of_a_plugin_is_made_in_the_name_of_the_host() {
    let may = |path: &str| !path.starts_with("host/runtime/src/api/");
    nobody(&named(&host(), &["Granted::HOST"], may), "ask `granted` whether the plugin may");
    assert!(!named(&host(), &["Granted::HOST"], |_| false).is_empty(), "the word is the one that the sources use");
}

/// Every call of `wit/` is made by a plugin in the suite.
#[test]
fn every_call_of_the_contract_is_made_by_a_test() {
    let suite: String = sources(&["tests/suite"]).into_iter().map(|source| source.text).collect();
    let mut calls = 0;
    for entry in std::fs::read_dir(root().join("wit")).unwrap() {
        let path = entry.unwrap().path();
        let grouping = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if ["types", "guest", "world"].contains(&grouping.as_str()) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for line in
            text.lines().map(str::trim).filter(|line| line.contains(": func(") || line.contains(": async func("))
        {
            let call = format!("{grouping}.{}", line.split(':').next().unwrap().trim_start_matches('%'));
            assert!(suite.contains(&format!("\"{call}\"")), "no test calls {call}");
            calls += 1;
        }
    }
    assert!(calls > 40, "the contract was read: {calls} calls");
}

/// Returns for each promise of `SECURITY.md` what shows that it is kept.
fn shown_by(page: &str) -> Vec<&str> {
    let rows = page.lines().skip_while(|line| !line.ends_with("| shown by |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|')).map(|line| line.trim_matches('|').split('|'));
    rows.map(|cells| {
        let cells: Vec<_> = cells.map(str::trim).collect();
        let [_, _, shown_by] = cells[..] else { panic!("not an attack, a promise and what shows it: {cells:?}") };
        shown_by
    })
    .collect()
}

/// Each promise must be shown by something that exists.
#[test]
fn what_security_promises_is_shown_by_what_is_there() {
    let page = std::fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let is_there = |path: String| root().join(&path).exists() || root().join(format!("{path}.rs")).is_file();
    // All tests of one file, or one test by its name. A whole folder is not specific enough.
    let is_test = |path: &str| {
        let file = |module: &str| root().join(format!("tests/suite/{}.rs", module.replace("::", "/")));
        let holds = |(module, test): (&str, &str)| {
            std::fs::read_to_string(file(module)).is_ok_and(|text| text.contains(&format!("fn {test}(")))
        };
        file(path).is_file() || path.rsplit_once("::").is_some_and(holds)
    };
    let mut numbers = BTreeSet::new();
    for what in shown_by(&page).into_iter().flat_map(|all| all.split(", ")) {
        if let Some(word) = what.strip_prefix('`').and_then(|what| what.strip_suffix('`')) {
            let found = match (word.strip_prefix("suite::"), word.strip_prefix("cargo xtask ")) {
                (Some(test), _) => is_test(test),
                (None, Some(command)) => is_there(format!("tests/src/bin/{command}")),
                (None, None) => is_there(word.to_owned()),
            };
            assert!(found, "there is no {word}");
        } else {
            let (first, last) = what.split_once('–').unwrap_or((what, what));
            let number =
                |text: &str| text.parse::<u8>().unwrap_or_else(|_| panic!("{what:?} is neither case nor test"));
            numbers.extend(number(first)..=number(last));
        }
    }
    let attacks: String = sources(&["tests/src/bin/attack"]).into_iter().map(|source| source.text).collect();
    let cases: BTreeSet<u8> =
        attacks.split("case!(").filter_map(|text| text.split_once(", ")?.0.parse().ok()).collect();
    assert_eq!(numbers, cases, "the cases of `cargo xtask attack`");
}
