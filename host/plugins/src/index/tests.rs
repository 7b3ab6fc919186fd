//! Tests with indexes as publishers sign them, and as others may.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;
use crate::listing::Wanted;

/// A key that signs as minisign does without hashing first.
struct Signer(Ed25519KeyPair);

impl Signer {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn public(&self) -> PublisherKey {
        BASE64_STANDARD.encode([&b"Ed12345678"[..], self.0.public_key().as_ref()].concat()).parse().unwrap()
    }

    fn sign(&self, text: &str) -> String {
        let signature = self.0.sign(text.as_bytes());
        let whole = self.0.sign(&[signature.as_ref(), b"test"].concat());
        format!(
            "untrusted comment: a test\n{}\ntrusted comment: test\n{}\n",
            BASE64_STANDARD.encode([&b"Ed12345678"[..], signature.as_ref()].concat()),
            BASE64_STANDARD.encode(whole)
        )
    }

    fn fetched(&self, text: &str) -> Fetched {
        let file = Signed { bytes: text.as_bytes().to_vec(), signatures: vec![self.sign(text)] };
        Fetched::of(web(), file).unwrap()
    }
}

fn web() -> Source {
    Source::parse("https://example.org/plugins/index.toml", Path::new("")).unwrap()
}

fn head(key: &PublisherKey, serial: u64) -> String {
    format!("format = 1\nname = \"examples\"\nserial = {serial}\ndescription = \"Some\"\nkey = \"{key}\"\n")
}

fn plugin(name: &str, version: &str, more: &str) -> String {
    let digest = Digest::of(version.as_bytes());
    format!(
        "[plugin.{name}]\ndescription = \"Does {name}\"\nlanguage = \"Rust\"\n{more}[plugin.{name}.version.\"{version}\"]\n\
         source = \"{name}-{version}.wasm\"\ndigest = \"{digest}\"\npermissions = [\"messages.read\", \"stanza.send\"]\n"
    )
}

fn known(signer: &Signer, text: &str) -> Known {
    Known::new(None, signer.public(), &signer.fetched(text)).unwrap()
}

#[test]
fn a_signed_index_is_read_and_leads_to_where_it_lies() {
    let signer = Signer::new(1);
    let text = head(&signer.public(), 3) + &plugin("echo", "0.1.0", "") + &plugin("tea", "1.0.0", "");
    let known = known(&signer, &text);
    assert_eq!((known.name.as_str(), known.index.serial, known.index.plugins.len()), ("examples", 3, 2));
    let (version, release) = known.index.plugins["echo"].newest().unwrap();
    assert_eq!((version, release.digest), (&Version::new(0, 1, 0), Digest::of(b"0.1.0")));
    assert_eq!(release.source(&web()).unwrap().to_string(), "https://example.org/plugins/echo-0.1.0.wasm");
    let file = Source::File("/srv/index.toml".into());
    assert_eq!(release.source(&file), Ok(Source::File("/srv/echo-0.1.0.wasm".into())));
    let of = |source: &str, base: &Source| Release { source: source.to_owned(), ..release.clone() }.source(base);
    for out in ["/etc/passwd", "../x.wasm", "a/../../x.wasm", "http://example.org/x.wasm", "ftp://x/y", "oci://x"] {
        assert!(of(out, &file).is_err(), "{out}");
    }
    for out in ["http://example.org/x.wasm", "file:/etc/passwd", "http:x"] {
        assert!(of(out, &web()).is_err(), "{out}");
    }
    assert!(matches!(of("/etc/passwd", &web()), Ok(Source::Web(_))));
    assert!(matches!(of("oci://example.org/a/b:1", &file), Ok(Source::Registry(_))));
}

#[test]
fn the_example_of_the_page_for_authors_is_an_index() {
    let page = include_str!("../../../../docs/author/publishing.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let key: PublisherKey = text.split('"').find(|word| word.starts_with("RW")).unwrap().parse().unwrap();
    let index = Index::parse(text, &key).unwrap();
    let feeds = &index.plugins["feeds"];
    assert!(feeds.newest().is_some() && feeds.homepage.is_some() && feeds.key == key);
}

#[test]
fn what_another_key_signed_or_nobody_is_refused() {
    let (signer, other) = (Signer::new(1), Signer::new(2));
    let text = head(&signer.public(), 3);
    let unsigned = Fetched::of(web(), Signed { bytes: text.clone().into_bytes(), signatures: Vec::new() });
    assert!(matches!(unsigned, Err(IndexError::Unsigned(_))));
    let changed = text.replace("Some", "More");
    let forged = Fetched::of(web(), Signed { bytes: changed.into_bytes(), signatures: vec![signer.sign(&text)] });
    assert!(matches!(forged.unwrap().verified(&signer.public()), Err(IndexError::Signature { .. })));
    assert!(matches!(signer.fetched(&text).verified(&other.public()), Err(IndexError::Signature { .. })));
    // It claims that another key signed it.
    let error = other.fetched(&text).verified(&other.public()).unwrap_err().to_string();
    assert!(error.contains("the index says that"), "{error}");
    assert_eq!(signer.fetched(&text).claimed_key().unwrap(), signer.public());
    let long = Signed { bytes: vec![b'#'; MAX_BYTES + 1], signatures: vec![String::new()] };
    assert!(matches!(Fetched::of(web(), long), Err(IndexError::TooLong(_))));
}

#[test]
fn a_hostile_index_ends_in_one_error_with_its_place() {
    let signer = Signer::new(1);
    let key = signer.public();
    let whole = head(&key, 3) + &plugin("echo", "0.1.0", "");
    let error = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        signer.fetched(&whole.replacen(from, to, 1)).verified(&key).unwrap_err().to_string()
    };
    for (from, to, words) in [
        ("format = 1", "format = 2", "1:1: this index has a format that this parlor does not know"),
        ("serial = 3", "serial = 0", "`serial` has to be a whole number, at least 1"),
        ("serial = 3", "serial = -1", "`serial` has to be a whole number, at least 1"),
        ("serial = 3", "serial = \"3\"", "`serial` has to be a whole number"),
        ("name = \"examples\"", "name = \"../x\"", "an index's name is 1 to 64"),
        ("[plugin.echo]", "[plugin.\"../echo\"]", "cannot be a plugin's id"),
        ("language", "langauge", "did you mean `language`?"),
        ("sha256:", "sha512:", "a digest begins with `sha256:`"),
        ("echo-0.1.0.wasm", "http://example.org/x.wasm", "the source of echo 0.1.0 does not fit"),
        ("echo-0.1.0.wasm", "a\\u001b[2Jb", "without control characters"),
        ("\"stanza.send\"", "\"Stanza\\u001b\"", "a list of names of permissions"),
        ("Does echo", "", "a text that is not empty"),
        (".version.\"0.1.0\"", ".version.\"one\"", "unexpected character"),
        ("[plugin.echo.version.\"0.1.0\"]", "[plugin.echo.version]", "unexpected character"),
    ] {
        let said = error(from, to);
        assert!(said.contains(words) && !said.contains('\x1b'), "no {words:?} in {said}");
    }
    let long = "x".repeat(LONGEST_DESCRIPTION + 1);
    assert!(error("Does echo", &long).contains("at most 500 bytes long"));
    let mut many = head(&key, 3);
    for number in 0..=MAX_PLUGINS {
        many += &plugin(&format!("p{number}"), "0.1.0", "");
    }
    assert!(signer.fetched(&many).verified(&key).unwrap_err().to_string().contains("more than 2000 plugins"));
    let mut versions = whole.clone();
    for number in 1..=MAX_VERSIONS {
        let digest = Digest::of(b"");
        write!(
            versions,
            "[plugin.echo.version.\"0.2.{number}\"]\nsource = \"x\"\ndigest = \"{digest}\"\npermissions = []\n"
        )
        .unwrap();
    }
    assert!(signer.fetched(&versions).verified(&key).unwrap_err().to_string().contains("more than 20 versions"));
}

#[test]
fn an_older_index_or_another_one_does_not_take_its_place() {
    let signer = Signer::new(1);
    let key = signer.public();
    let of = |serial| head(&key, serial) + &plugin("echo", "0.1.0", "");
    let refreshed = |text: &str| known(&signer, &of(3)).refreshed(&signer.fetched(text));
    assert!(matches!(refreshed(&of(3)), Ok(Refreshed::Same(_))));
    assert!(matches!(refreshed(&of(4)), Ok(Refreshed::Newer(known)) if known.index.serial == 4));
    assert!(matches!(refreshed(&of(2)), Err(IndexError::Older { known: 3, offered: 2, .. })));
    assert!(matches!(refreshed(&of(3).replace("Some", "More")), Err(IndexError::SameSerial { serial: 3, .. })));
    let other = of(4).replace("name = \"examples\"", "name = \"others\"");
    assert!(matches!(refreshed(&other), Err(IndexError::Other { .. })));
}

#[test]
fn the_key_of_a_publisher_is_the_first_one_until_the_owner_agrees() {
    let (signer, mallory) = (Signer::new(1), Signer::new(2));
    let folder = tempfile::tempdir().unwrap();
    let indexes = Indexes::new(folder.path());
    assert!(indexes.all().unwrap().is_empty() && !folder.path().join("indexes").exists());
    let first = known(&signer, &(head(&signer.public(), 1) + &plugin("echo", "0.1.0", "")));
    indexes.is_free(&first.name).unwrap();
    indexes.keep(&first).unwrap();
    assert!(matches!(indexes.is_free(&first.name), Err(IndexError::Taken { .. })));
    let wanted: Wanted = "echo".parse().unwrap();
    let found = indexes.find(&wanted).unwrap();
    assert_eq!((found.key, found.was), (signer.public(), None));
    // The plugin is gone for a while, which does not forget its key.
    let without = head(&signer.public(), 2);
    let theirs = plugin("echo", "0.2.0", &format!("key = \"{}\"\n", mallory.public()));
    for text in [without, head(&signer.public(), 3) + &theirs] {
        let known = indexes.known(&first.name).unwrap();
        let Refreshed::Newer(known) = known.refreshed(&signer.fetched(&text)).unwrap() else { panic!("it is newer") };
        indexes.keep(&known).unwrap();
    }
    let found = indexes.find(&wanted).unwrap();
    assert_eq!((&found.key, &found.was), (&mallory.public(), &Some(signer.public())));
    assert!(indexes.known(&first.name).unwrap().has_other_key(&"echo".parse().unwrap()));
    indexes.agree(&found).unwrap();
    assert_eq!(indexes.find(&wanted).unwrap().was, None);
    indexes.remove(&first.name).unwrap();
    assert!(matches!(indexes.find(&wanted), Err(IndexError::NoPlugin { .. })));
    assert!(matches!(indexes.known(&first.name), Err(IndexError::Unknown { .. })));
}

#[test]
fn the_newest_version_that_fits_is_found_and_a_name_in_two_indexes_is_not_guessed() {
    let signer = Signer::new(1);
    let folder = tempfile::tempdir().unwrap();
    let indexes = Indexes::new(folder.path());
    let digest = Digest::of(b"");
    let version = |version: &str, permission: &str| {
        format!(
            "[plugin.echo.version.\"{version}\"]\nsource = \"x.wasm\"\ndigest = \"{digest}\"\npermissions = [\"{permission}\"]\n"
        )
    };
    let text = head(&signer.public(), 1)
        + &plugin("echo", "0.1.0", "")
        + &version("0.10.0", "messages.read")
        + &version("0.9.0", "messages.read")
        + &version("0.11.0-rc.1", "messages.read")
        + &version("0.12.0", "fly.high");
    indexes.keep(&known(&signer, &text)).unwrap();
    let find = |text: &str| indexes.find(&text.parse().unwrap());
    assert_eq!(find("echo").unwrap().version.to_string(), "0.10.0");
    assert_eq!(find("examples/echo@0.11.0-rc.1").unwrap().version.to_string(), "0.11.0-rc.1");
    assert!(matches!(find("echo@0.12.0"), Err(IndexError::NotForThis { .. })));
    assert!(matches!(find("echo@7.0.0"), Err(IndexError::NoVersion { .. })));
    assert!(find("ehco").unwrap_err().to_string().contains("did you mean \"echo\"?"));
    assert!(find("exmaples/echo").unwrap_err().to_string().contains("did you mean \"examples\"?"));
    let second = Known::new(Some("mine".parse().unwrap()), signer.public(), &signer.fetched(&text)).unwrap();
    indexes.keep(&second).unwrap();
    assert!(find("echo").unwrap_err().to_string().contains("give one of examples/echo, mine/echo"));
    assert_eq!(find("mine/echo").unwrap().listing.to_string(), "mine/echo");
    std::fs::write(folder.path().join("indexes/mine.json"), "{").unwrap();
    assert!(matches!(indexes.all(), Err(IndexError::Unreadable { .. })));
}

#[test]
fn a_search_puts_first_what_has_the_word_as_its_name() {
    let signer = Signer::new(1);
    let names = ["tea-time", "green-tea", "tea", "coffee"];
    let text = names.iter().fold(head(&signer.public(), 1), |text, name| text + &plugin(name, "0.1.0", ""));
    let all = [known(&signer, &text.replace("Does coffee", "Makes TEA too"))];
    let of = |words: &[&str]| {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        search(&all, &words).iter().map(|hit| hit.plugin.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of(&["Tea"]), ["tea", "tea-time", "green-tea", "coffee"]);
    assert_eq!(of(&["tea", "makes"]), ["coffee"]);
    assert_eq!(of(&[]), ["coffee", "green-tea", "tea", "tea-time"]);
    assert_eq!(of(&["stanza.send", "green"]), ["green-tea"]);
    assert_eq!(of(&["rust", "nothing"]), [""; 0]);
}

proptest! {
    #[test]
    fn whatever_is_signed_is_read_or_refused(text in "\\PC{0,200}", at in 0_usize..300, put in "\\PC{0,5}") {
        let signer = Signer::new(1);
        let key = signer.public();
        let _ = signer.fetched(&text).verified(&key);
        let mut whole = head(&key, 3) + &plugin("echo", "0.1.0", "");
        let at = (0..=at.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
        whole.insert_str(at, &put);
        let _ = signer.fetched(&whole).verified(&key);
    }
}
