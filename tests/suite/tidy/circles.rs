//! Circles of files: each of them names an item of another one, round to the first.
//!
//! Cargo allows none among packages; within a package, a reader of one file must read all of its circle. An arrow
//! points from a file that names an item to the file that defines it, even if another one re-exports it. Unit tests and
//! macros' own output are not read.

mod arrows;
mod groups;
mod names;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use self::arrows::Arrows;
use self::groups::groups;
use self::tree::Tree;
use super::{Source, nobody, root, sources};

/// The maximum number of files in a circle: a few may describe one thing together, such as both ends of a protocol.
const MOST: usize = 3;

#[test]
fn no_circle_among_more_than_three_files_of_a_package() {
    let sources = sources(&["host"]);
    let mut packages = BTreeMap::<&str, BTreeMap<&str, &str>>::new();
    for Source { path, text } in &sources {
        if let Some((package, _)) = path.split_once("/src/") {
            assert!(root().join(package).join("Cargo.toml").is_file(), "{path} is in no package");
            packages.entry(package).or_default().insert(path, text);
        }
    }
    assert!(packages.len() > 10, "the packages were found: {:?}", packages.keys());
    let arrows = packages.values().map(arrows).fold(Arrows::new(), |all, own| all.into_iter().chain(own).collect());
    assert!(arrows.len() > 200, "the arrows were found: {arrows:#?}");
    let rule = "too many files lead to each other; of one arrow in the circle, move the item that it names to the lower \
                file, or to a new file below both";
    nobody(&circles(&arrows), rule);
}

/// Returns the arrows among the files of a package, each with its path and text.
fn arrows(files: &BTreeMap<&str, &str>) -> Arrows {
    let mut arrows = Arrows::new();
    let mut unread: BTreeSet<_> =
        files.keys().filter(|path| !path.split(['/', '.']).any(|part| part == "tests")).collect();
    for root in files.keys().filter(|path| path.ends_with("src/lib.rs") || path.ends_with("src/main.rs")) {
        let tree = Tree::read(files, root);
        unread.retain(|path| tree.modules.iter().all(|module| module.file != **path));
        arrows::add(&tree, &mut arrows);
    }
    assert!(unread.is_empty(), "no `mod` leads to {unread:?}");
    arrows
}

/// Describes the circles that are too large.
fn circles(arrows: &Arrows) -> Vec<String> {
    let large = groups(arrows).into_iter().filter(|group| group.len() > MOST);
    large
        .map(|group| {
            let mut text = format!("a circle of {} files:", group.len());
            for from in &group {
                for (to, names) in arrows[*from].iter().filter(|(to, _)| group.contains(&to.as_str())) {
                    let names: Vec<_> = names.iter().map(String::as_str).collect();
                    write!(text, "\n  {from} -> {to}: {}", names.join(", ")).unwrap();
                }
            }
            text
        })
        .collect()
}

/// Returns the arrows of a made-up package: each file with the items that it names.
fn made_up(files: &[(&str, &str)]) -> Arrows {
    let files: BTreeMap<String, &str> = files.iter().map(|(path, text)| (format!("src/{path}"), *text)).collect();
    arrows(&files.iter().map(|(path, text)| (path.as_str(), *text)).collect())
}

/// Returns the arrows of one file of a made-up package, with the names that make them.
fn of(files: &[(&str, &str)], file: &str) -> Vec<String> {
    let arrows = made_up(files);
    let own = arrows.get(&format!("src/{file}")).into_iter().flatten();
    let own = own.flat_map(|(to, names)| names.iter().map(move |name| format!("{} {name}", &to["src/".len()..])));
    own.collect()
}

#[test]
fn a_circle_of_four_is_found_and_one_of_three_is_allowed() {
    let lib = ("lib.rs", "mod a; mod b; mod c; mod d;");
    let [a, b, c] =
        [("a.rs", "use crate::b::B;"), ("b.rs", "use super::c::{C, c};"), ("c.rs", "fn c() { super::d::d() }")];
    let four = made_up(&[lib, a, b, c, ("d.rs", "struct D(crate::a::A);")]);
    let shown = "a circle of 4 files:\n  src/a.rs -> src/b.rs: B\n  src/b.rs -> src/c.rs: C, c\n  \
                 src/c.rs -> src/d.rs: d\n  src/d.rs -> src/a.rs: A";
    assert_eq!(circles(&four), [shown]);
    let three = made_up(&[lib, a, b, c, ("d.rs", "use crate::b::B;")]);
    assert_eq!(groups(&three), [["src/b.rs", "src/c.rs", "src/d.rs"]]);
    assert!(circles(&three).is_empty());
    let line = made_up(&[lib, a, b, c, ("d.rs", "")]);
    assert!(groups(&line).is_empty());
}

#[test]
fn circles_that_touch_are_one_and_others_are_apart() {
    let arrows = |of: &[(&str, &str)]| {
        let mut arrows = Arrows::new();
        for (from, to) in of {
            let names = BTreeSet::from(["x".to_owned()]);
            arrows.entry((*from).to_owned()).or_default().insert((*to).to_owned(), names);
        }
        arrows
    };
    let two = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c"), ("e", "a"), ("d", "f")];
    assert_eq!(groups(&arrows(&two)), [["c", "d"], ["a", "b"]]);
    let one = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "b"), ("c", "d"), ("d", "c"), ("d", "f")];
    assert_eq!(groups(&arrows(&one)), [["a", "b", "c", "d"]]);
    // `c` points back to the path over `b`, whose visit has ended.
    let twice = [("a", "b"), ("b", "c"), ("c", "a"), ("a", "d"), ("d", "c")];
    assert_eq!(groups(&arrows(&twice)), [["a", "b", "c", "d"]]);
}

/// A made-up package, with the text of `low/user.rs`.
fn package(user: &str) -> [(&str, &str); 8] {
    [
        (
            "lib.rs",
            "mod high; mod low; mod word; pub use high::Host; pub(crate) use high::inner::Deep as Low; pub use word::word; \
             pub use high::many::*; struct Own; #[cfg(test)] mod tests;",
        ),
        (
            "high/mod.rs",
            "pub mod inner; pub mod many; pub mod again { pub use super::inner::Deep; struct Within; } struct Host;",
        ),
        ("high/inner.rs", "pub struct Deep;"),
        ("high/many.rs", "pub enum Many { One }"),
        ("word.rs", "pub fn word() {}"),
        ("low.rs", "mod user; use crate::high::Host; struct Ours;"),
        ("low/user.rs", user),
        ("tests.rs", "use crate::high::Host;"),
    ]
}

#[test]
fn an_arrow_leads_to_the_file_that_defines_the_name() {
    for (user, arrows) in [
        ("use crate::high::Host;", &["high/mod.rs Host"][..]),
        ("use crate::Host as Other;", &["high/mod.rs Host"]),
        ("use super::Host;", &["high/mod.rs Host"]),
        ("use super::super::{Host, Low};", &["high/inner.rs Deep", "high/mod.rs Host"]),
        ("use crate::high::again::Deep;", &["high/inner.rs Deep"]),
        ("use crate::high::again::Within;", &["high/mod.rs Within"]),
        ("use crate::Many;", &["high/many.rs Many"]),
        ("fn f() -> crate::Many { crate::Many::One }", &["high/many.rs Many"]),
        ("use crate::high::many::*;", &["high/many.rs *"]),
        ("use crate::high::of_a_macro;", &["high/mod.rs of_a_macro"]),
        // A function and a module of one name.
        ("use crate::word;", &["word.rs word"]),
        ("fn f() { crate::word::word(); crate::word() }", &["word.rs word"]),
        ("use crate::{high as other}; fn f() { other::inner::f() }", &["high/inner.rs f", "high/mod.rs high"]),
        ("use crate::high::{self}; fn f(a: high::Host) {}", &["high/mod.rs Host", "high/mod.rs high"]),
        (
            "fn f() { use crate::high::inner as i; fn g() { use i as j; j::f() } }",
            &["high/inner.rs f", "high/inner.rs inner"],
        ),
        ("fn f() { matches!(a, b if crate::Many::One == c) }", &["high/many.rs Many"]),
        ("macro_rules! m { () => { $crate::Low } }", &["high/inner.rs Deep"]),
        ("#[derive(Args)] struct A { #[arg(value_parser = crate::word::word)] a: u8 }", &["word.rs word"]),
        ("impl<T: crate::high::Trait> crate::Low for A<T> {}", &["high/inner.rs Deep", "high/mod.rs Trait"]),
        ("mod own { use super::super::Host; use crate::Low; }", &["high/inner.rs Deep", "high/mod.rs Host"]),
        ("#[cfg(any(test, feature = \"fuzzing\"))] use crate::Host;", &["high/mod.rs Host"]),
        ("#[cfg(not(test))] use crate::Host;", &["high/mod.rs Host"]),
    ] {
        assert_eq!(of(&package(user), "low/user.rs"), arrows, "{user}");
    }
}

#[test]
fn tests_ancestors_and_other_packages_make_no_arrow() {
    for user in [
        "use crate::Own;",
        "use super::Ours; use super::super::Own; fn f() { crate::f(super::g()) }",
        "#[cfg(test)] use crate::Host;",
        "#[cfg(test)] mod tests { use crate::Host; fn f() { crate::high::f() } }",
        "#[cfg(all(test, unix))] mod tests;",
        "impl A { #[cfg(test)] fn f() { crate::high::f() } }",
        "fn f() { #[cfg(test)] fn g() { crate::high::f() } }",
        "use high::Host; use tokio::time; use ::word::word; use crate_of::word; use time::time;",
        "fn f() { ::high::f(); Own::new(); tokio::word::word(); time::high() }",
        "fn f(high: A) { high.word(); let word = high; word }",
        "/// See [`crate::Host`].\nfn f() { g(\"crate::Host\") } // crate::Host",
        "mod own { struct A; use super::B; } use own::A; use self::own::C; struct B;",
    ] {
        assert_eq!(of(&package(user), "low/user.rs"), [""; 0], "{user}");
    }
    assert_eq!(of(&package(""), "tests.rs"), [""; 0]);
}

#[test]
fn a_parent_leads_to_its_children() {
    assert_eq!(of(&package("use crate::Host;"), "low.rs"), ["high/mod.rs Host"]);
    let lib = ["high/inner.rs Deep", "high/many.rs *", "high/mod.rs Host", "word.rs word"];
    assert_eq!(of(&package(""), "lib.rs"), lib);
    let other = [
        ("main.rs", "#[cfg(a)] mod a; #[cfg(not(a))] #[path = \"b/absent.rs\"] mod a; #[path = \"c.rs\"] mod r#type;"),
        ("a.rs", "use crate::r#type::C;"),
        ("b/absent.rs", "use crate::r#type::B;"),
        ("c.rs", "pub struct C;"),
    ];
    assert_eq!(of(&other, "a.rs"), ["c.rs C"]);
    assert_eq!(of(&other, "b/absent.rs"), ["c.rs B"]);
}
