//! The texts that nothing may show to a plugin: its credentials, in the forms in which servers repeat them.
//!
//! The search is built once, when a plugin makes its first request after the owner gave or changed a credential. Nearly
//! every credential has only one form, since it consists of letters and digits.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem::Finder;
use parlor_base::web_address::encoded;

/// The credentials of a plugin, in each form that must not be shown.
#[derive(Default)]
pub(crate) struct Hidden(Vec<Form>);

/// A form of a credential, as a search for it.
struct Form {
    text: Finder<'static>,
    /// The same in lower case, if it has upper-case letters.
    small: Option<Finder<'static>>,
}

impl Form {
    fn new(text: &str) -> Self {
        let finder = |text: &str| Finder::new(text).into_owned();
        let small = text.to_ascii_lowercase();
        Self { text: finder(text), small: (small != text).then(|| finder(&small)) }
    }
}

impl Hidden {
    /// Finds the forms of these credentials.
    pub(crate) fn of<'a>(credentials: impl IntoIterator<Item = &'a str>) -> Self {
        let forms = credentials.into_iter().flat_map(forms);
        Self(forms.map(|form| Form::new(&form)).collect())
    }

    /// Returns whether there is nothing to hide.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replaces each credential in a text by asterisks.
    pub(crate) fn hide(&self, text: &mut [u8]) {
        for place in self.places(text) {
            text[place].fill(b'*');
        }
    }

    /// Returns the places in a text where a credential is. All are found before anything is replaced: one credential may be a
    /// part of another one.
    pub(crate) fn places(&self, text: &[u8]) -> Vec<Range<usize>> {
        let of_form = |form: &Form| {
            let length = form.text.needle().len();
            form.text.find_iter(text).map(|at| at..at + length).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_form).collect()
    }

    /// Returns whether a text has one.
    pub(crate) fn are_in(&self, text: &str) -> bool {
        self.0.iter().any(|form| form.text.find(text.as_bytes()).is_some())
    }

    /// Returns whether the name of a server or of a header contains one. Such names are in lower case.
    pub(crate) fn are_in_name(&self, name: &str) -> bool {
        let mut small = self.0.iter().map(|form| form.small.as_ref().unwrap_or(&form.text));
        small.any(|form| form.find(name.as_bytes()).is_some())
    }

    fn longest(&self) -> usize {
        self.0.iter().map(|form| form.text.needle().len()).max().unwrap_or(0)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hidden").field(&self.0.len()).finish()
    }
}

/// Takes credentials out of an answer that comes in parts. It keeps the end of each part back: a credential may begin there.
pub(crate) struct Mask {
    hidden: Arc<Hidden>,
    /// How many bytes are kept back.
    kept: usize,
    /// The bytes that are kept back, as they came.
    held: Vec<u8>,
    /// The same bytes, with asterisks for the credentials that were found so far. A credential that was found may be the
    /// beginning of another one, so the search needs the former.
    shown: Vec<u8>,
}

impl Mask {
    /// Creates one for an answer that has not begun.
    pub(crate) fn new(hidden: Arc<Hidden>) -> Self {
        Self { kept: hidden.longest().saturating_sub(1), hidden, held: Vec::new(), shown: Vec::new() }
    }

    /// Takes the next part, and returns what can be shown by now.
    pub(crate) fn part(&mut self, part: Bytes) -> Vec<u8> {
        if self.hidden.is_empty() {
            return part.into();
        }
        self.held.extend_from_slice(&part);
        self.shown.extend_from_slice(&part);
        for place in self.hidden.places(&self.held) {
            self.shown[place].fill(b'*');
        }
        let end = self.held.len().saturating_sub(self.kept);
        self.held.drain(..end);
        self.shown.drain(..end).collect()
    }

    /// Returns the end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.held.clear();
        std::mem::take(&mut self.shown)
    }
}

/// Returns a credential as servers repeat it: as it is, as queries have it, and as JSON has it. Libraries for JSON differ in
/// the characters that they write as numbers: Go's those with a meaning in HTML, Gson and .NET more of them, and Python's,
/// PHP's and .NET's all that are not ASCII.
fn forms(value: &str) -> BTreeSet<String> {
    let query = encoded(value);
    let spaces = query.replace('+', "%20");
    let small = |text: &str| {
        // Only the two signs behind a percent sign are another spelling.
        let mut parts = text.split('%');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| {
            let (sign, rest) = part.split_at_checked(2).unwrap_or((part, ""));
            format!("{text}%{}{rest}", sign.to_ascii_lowercase())
        })
    };
    let plain = json(value, |_| false, false);
    let ascii = json(value, |c| !c.is_ascii(), false);
    let go = json(value, |c| "<>&".contains(c), false);
    let gson = json(value, |c| "<>&='".contains(c), false);
    let dot_net = json(value, |c| !c.is_ascii() || "<>&+'`\"".contains(c), true);
    let queries = [small(&query), small(&spaces), query, spaces];
    let slashes = [plain.replace('/', "\\/"), ascii.replace('/', "\\/")];
    let others = [value.to_owned(), plain, ascii, go, gson, dot_net];
    queries.into_iter().chain(slashes).chain(others).collect()
}

/// Returns a text as JSON has it (RFC 8259, section 7), with numbers instead of these characters.
fn json(text: &str, is_number: impl Fn(char) -> bool, are_large: bool) -> String {
    let mut json = String::new();
    for c in text.chars() {
        if is_number(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let digits = format!("{unit:04x}");
                json.push_str("\\u");
                json.push_str(&if are_large { digits.to_ascii_uppercase() } else { digits });
            }
        } else {
            let quoted = serde_json::Value::from(c.to_string()).to_string();
            json.push_str(&quoted[1..quoted.len() - 1]);
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "s3cr3t/+Token";

    fn any_text() -> impl Strategy<Value = String> {
        let written = |text: &str| Just(text.to_owned());
        prop_oneof![written(TOKEN), written("s3cr3t%2f%2bToken"), written("s3cr3t\\/+Token"), ".{0,9}"]
    }

    #[test]
    fn a_credential_of_letters_and_digits_has_one_form() {
        assert_eq!(forms("abcDEF123"), BTreeSet::from(["abcDEF123".to_owned()]));
        assert_eq!(forms(TOKEN).len(), 5);
    }

    #[test]
    fn a_credential_is_hidden_as_each_library_for_json_writes_it() {
        let hidden = Hidden::of(["a&b<c>+d=\"ü🦜/"]);
        for written in [
            r#"a&b<c>+d=\"ü🦜/"#,
            r#"a&b<c>+d=\"\u00fc\ud83e\udd9c/"#,
            r#"a&b<c>+d=\"\u00fc\ud83e\udd9c\/"#,
            r#"a\u0026b\u003cc\u003e+d=\"ü🦜/"#,
            r#"a\u0026b\u003cc\u003e+d\u003d\"ü🦜/"#,
            r"a\u0026b\u003Cc\u003E\u002Bd=\u0022\u00FC\uD83E\uDD9C/",
        ] {
            let mut text = written.as_bytes().to_vec();
            hidden.hide(&mut text);
            assert_eq!(text, vec![b'*'; written.len()], "{written}");
        }
    }

    /// Owners have a name with its password in one setting, and the password alone in another one.
    #[test]
    fn a_credential_that_is_a_part_of_another_one_shows_nothing_of_it() {
        for all in [["password", "password of juliet"], ["password of juliet", "password"]] {
            let hidden = Arc::new(Hidden::of(all));
            let text = b"a password, and the password of juliet";
            let expected = b"a ********, and the ******************";
            let mut whole = text.to_vec();
            hidden.hide(&mut whole);
            assert_eq!(whole, expected);
            for size in 1..text.len() {
                let mut mask = Mask::new(Arc::clone(&hidden));
                let parts = text.chunks(size).flat_map(|part| mask.part(Bytes::copy_from_slice(part)));
                let mut shown: Vec<u8> = parts.collect();
                shown.extend(mask.rest());
                assert_eq!(shown, expected, "{size}");
            }
        }
    }

    #[test]
    fn without_credentials_nothing_is_hidden_or_held_back() {
        let none = Arc::new(Hidden::default());
        let mut text = *b"s3cr3t";
        none.hide(&mut text);
        assert_eq!(&text, b"s3cr3t");
        assert!(!none.are_in("s3cr3t") && !none.are_in_name("s3cr3t"));
        let mut mask = Mask::new(none);
        assert_eq!(mask.part(Bytes::from_static(b"part")), b"part");
        assert_eq!(mask.rest(), b"");
    }

    #[test]
    fn a_name_shows_a_credential_in_small_letters_and_a_text_as_it_is() {
        let hidden = Hidden::of([TOKEN, "SECOND99"]);
        assert!(hidden.are_in_name("x-s3cr3t/+token") && hidden.are_in_name("second99.example"));
        assert!(!hidden.are_in_name("second9") && !hidden.are_in("second99"));
        assert!(hidden.are_in("https://example.org/?a=s3cr3t%2F%2BToken"));
        assert!(!format!("{hidden:?}").contains("SECOND99"));
    }

    proptest! {
        /// With any text around it, and repeated any number of times.
        #[test]
        fn nothing_of_a_credential_is_left_in_an_answer(parts in prop::collection::vec(any_text(), 0..9)) {
            let text = parts.concat();
            let mut hidden = text.clone().into_bytes();
            Hidden::of([TOKEN]).hide(&mut hidden);
            prop_assert_eq!(hidden.len(), text.len());
            let hidden = String::from_utf8(hidden).unwrap();
            prop_assert!(forms(TOKEN).iter().all(|form| !hidden.contains(form)), "{}", hidden);
        }

        /// However the network cuts it.
        #[test]
        fn an_answer_in_parts_shows_what_a_whole_one_shows(
            parts in prop::collection::vec(any_text(), 0..9),
            size in 1_usize..40,
        ) {
            let hidden = Arc::new(Hidden::of([TOKEN]));
            let mut whole = parts.concat().into_bytes();
            let mut mask = Mask::new(Arc::clone(&hidden));
            let mut shown: Vec<u8> =
                whole.chunks(size).flat_map(|part| mask.part(Bytes::copy_from_slice(part))).collect();
            shown.extend(mask.rest());
            hidden.hide(&mut whole);
            prop_assert_eq!(shown, whole);
        }
    }
}
