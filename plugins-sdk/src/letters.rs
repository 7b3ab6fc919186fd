//! The letters and digits of the moderation kit, from a table of its own, and the texts that are compared by them.
//!
//! The standard library of each language has those of some version of Unicode, and each toolchain of another one. With one table, a
//! text is the same to the kit in each language. The SDKs for the other languages have the same table, and a test compares them.

use std::sync::LazyLock;

/// The most bytes of a text that are compared.
pub(crate) const MAX_TEXT: usize = 200;

/// The letters and digits of Unicode 14.0: code points that are alphabetic (`-`), and numbers that are not (`+`).
///
/// For each run of them: how many code points lie between it and the one before, the sign, and how many more than one it has. All
/// numbers are to base 36, and a 0 at the end is left out. Later versions of Unicode have more, which are signs here: so the small
/// letter of each of these is the same in every toolchain.
pub(crate) const RUNS: &str = "\
    1c+9 7-p 6-p 1b- 7+1 1- 3+ 0- 1+2 1-m 1-u 1-cp 4-b e-4 7- 1- 2e- t-h 1-1 2-3 1- 6- 1-2 1- 1-j 1-2a 1-3u 8-4l \
    1-11 2- 6-14 13-d 1- 1-1 1-1 1- 8-q 4-3 t-a 5-1j 1-6 0+9 4-2t 1-7 4-7 4-2 0+9 0-2 2- g-1b d-2s e+9 0-w 9-1 \
    4- 5-n 2-i j-o 7-a 5-n 1-5 h-15 a-b 3-6 6-23 1-f 1-2 4-e 2+9 1-i 1-7 2-1 2-l 1-6 1- 3-3 3-7 2-1 2-1 1- 8- \
    4-1 1-4 2+9 0-1 2+5 2- 4-2 1-5 4-1 2-l 1-6 1-1 1-1 1-1 4-4 4-1 2-1 4- 7-3 1- 7+9 0-5 b-2 1-8 1-2 1-l 1-6 1-1 \
    1-4 3-8 1-2 1-1 3- f-3 2+9 9-3 4-2 1-7 2-1 2-l 1-6 1-1 1-4 3-7 2-1 2-1 9-1 4-1 1-4 2+9 1- 0+5 a-1 1-5 3-2 \
    1-3 3-1 1- 1-1 3-1 3-2 3-b 4-4 3-2 1-2 3- 6- e+c d-c 1-2 1-m 1-f 3-7 1-2 1-2 8-1 1-2 2- 2-3 2+9 8+6 1-3 1-7 \
    1-2 1-m 1-9 1-4 3-7 1-2 1-2 8-1 6-1 1-3 2+9 1-1 d-c 1-2 1-14 2-7 1-2 1-2 1- 5-3 0+6 0-4 2+i 1-5 1-2 1-h 3-n \
    1-8 1- 2-6 8-5 1- 1-7 6+9 2-1 d-1l 5-6 6- 2+9 13-1 1- 1-4 1-n 1- 1-i 1-2 2-4 1- 6- 2+9 2-3 w- v+j c-7 1-z \
    4-i 4-f 1-z 1v-1i 1- 2-4 0+9 6-1r 0+9 0-3 2-11 1- 5- 2-16 1-98 1-3 2-6 1- 1-3 2-14 1-3 2-w 1-3 2-6 1- 1-3 \
    2-e 1-1k 1-3 2-1u e+j 3-f g-2d 2-5 3-h7 2-g 1-p 5-22 3-a 7-j b-k c-j c-c 1-2 1-1 c-1f 2-i e- 4- 3+9 6+9 m+9 \
    6-2g 7-16 5-1x a-u 1-b 4-8 d+9 0-t 2-4 b-17 4-p 6+a 11-r 4-1q 2-j b+9 6+9 d- n-1 b-2 1d-1f 1-e 1-7 3+9 12-15 \
    2-3 0+9 0-17 1-a e-1i 9+9 3-2 0+9 0-z 2-8 7-16 2-2 15-3 1-5 1-1 3- 5-5b j-x b-7p 2-5 2-11 2-5 2-7 1- 1- 1- \
    1-u 2-1g 1-6 1- 3-2 1-6 3-3 2-5 4-c 5-2 1-6 37+ 0- 2+5 5- 0+9 6-c 2t- 4- 2-9 1- 3-4 6- 1- 1- 1-3 1-a 2-3 5-4 \
    4- 1+f 0-14 0+ k6+1n q-1f 0+l hi+t vg-6c 6-3 3-1 9+ 2-11 1- 5- 2-1j 7- g-m 9-6 1-6 1-6 1-6 1-6 1-6 1-6 1-6 \
    1-v 1b- d1-2 p-8 7-4 2-4 4-2d 6-2 1-2h 1-3 5-16 1-2l 3+3 a-v 1c-f w+9 u+7 1+e w+9 13+e 8w-533 1s-h3g 1v-19 \
    2-7g 3-f 0+9 0-1 k-1a 5-7 3-34 13-8 2-2u 2-1r 5-1 1- 1-4 o-j 1-w 8+5 a-1f c-1v 1- a+9 o-5 3- 1-2 0+9 0-w 5-y \
    d-s 3-1e 1-b f- 0+9 6-f 0+9 0-4 1-1i 9-d 2+9 6-m 3-1w 1- 1- o-2 2-f 2-3 b-5 2-5 2-5 9-6 1-6 1-16 1-d 6-3e \
    5+9 6-8mb c-m 4-1c 6is-a5 2-2x 12-6 c-4 5-b 1-c 1-4 1- 1-1 1-1 1-2z x-a2 i-1r 2-1h 14-b 38-4 1-3q j+9 7-p \
    6-p b-2g 3-5 2-5 2-5 2-2 z-b 1-p 1-i 1-1 1-e 2-d y-3e c+18 c-1g 0+3 h+1 6s-s 3-1c g+q 4-v 0+3 9-t 5-16 5-t \
    2-z 4-7 1-4 16-4d 2+9 6-z 4-z 4-13 8-1f c-a 1-e 1-6 1-1 1-a 1-e 1-6 1-1 1v-8m 9-l a-7 o-5 1-15 1-8 1x-5 2- \
    1-17 1-1 3- 2-m 2+7 0-m 2+6 0-u 8+8 1c-i 1-1 5+4 0-l 0+5 4-p 1y-1j 4+1 0-1 0+f 2+19 0-3 1-1 5-7 1-2 1-s a+8 \
    n-s 0+1 1-s 0+2 w-7 1-r 6+4 g-1h a-l 2+7 0-i 5+7 0-h n+6 28-20 1j-1e d-1e 7+5 0-13 8+9 86+u 1-15 1-1 3-1 \
    26-s 0+9 0- 8-l b+3 r-h 1a-k 0+6 k-m 9-1x c+t 1-4 a-1k 9- d-o 7+9 6-1e 3+9 4-3 8-y 3- 9-1r 1-3 9-1 0+9 0- 1- \
    4+j b-h 1-x 2- 6- 1t-6 1- 1-3 1-e 1-9 7-1k 7+9 6-3 1-7 2-1 2-l 1-6 1-1 1-4 3-7 2-1 2-1 3- 6- 5-6 4c-1t 1-2 \
    1-3 5+9 5-2 u-1t 2-1 1- 8+9 4m-1h 2-6 p-5 y-1q 1- 3- b+9 12-1h 2- 7+9 1i-q 2-d 5+b 4-6 55-1k 2v-1r 0+i c-7 \
    2- 2-7 1-1 1-t 1-1 2-1 2-3 d+9 1y-7 2-19 2-5 1- 1-1 r-1e 2-9 h-1z 5- i-20 7b-8 1-18 1-6 1- f+s 5-t 2-l 1-d \
    21-6 1-1 1-17 3- 1-1 1-2 1- 2-1 8+9 6-5 1-1 1-10 1-1 1-3 1- 7+9 8m-m 55- f+k 17-pl 2u-32 h-5f 218-2o f-tq \
    34h-g6 6nt-fs 7-u 1+9 6-26 1+9 6-t i-1b g-3 c+9 1+6 1-k 5-i j4-1r 0+m 2x-22 4-1k 7-g 1s-1 1- c-1 e-4qf 8-yd \
    16-8 6w7-3 1-6 1-1 1-82 19-2 h-3 8-az 1s4-2y 5-c 3-8 7-9 4- 4e9+j 30+o 3r-2c 1-1y 1-1 2- 2-1 2-3 1-b 1- 1-6 \
    1-1s 1-3 2-7 1-6 1-r 1-3 1-4 1- 3-6 1-9f 2-o 1-o 1-u 1-o 1-u 1-o 1-u 1-o 1-u 1-o 1-7 2+1d 1ds-u 69-6 1-g 2-6 \
    1-1 1-4 5x-18 a-6 2+9 4- 8x-t i-17 4+9 yu-6 1-3 1-1 1-e 1-5g 2+8 1c-1v 3- 3- 4+9 lz+1m 1+2 1+3 24+18 1+e \
    5e-3 1-q 1-1 1- 2- 1-9 1-3 1- 1- 6- 4- 1- 1- 1-2 1-1 1- 2- 1- 1- 1- 1- 1-1 1- 2-3 1-6 1-3 1-3 1- 1-9 1-g 5-2 \
    1-4 1-g g4+c z-p 6-p 6-p 21y+9 sm-wyn w-37c 7-65 2-4g1 e-5rk 2e7-f1 15u-3t6";

/// Code points in a row that are all letters, or all digits.
struct Run {
    first: u32,
    last: u32,
    is_letter: bool,
}

static TABLE: LazyLock<Vec<Run>> = LazyLock::new(|| {
    let mut next = 0;
    RUNS.split(' ').filter_map(|run| parsed(run, &mut next)).collect()
});

/// Reads a run of the table. `next` is the code point behind the one before.
fn parsed(run: &str, next: &mut u32) -> Option<Run> {
    let (gap, more) = run.split_once(['-', '+'])?;
    let number = |digits: &str| u32::from_str_radix(digits, 36).unwrap_or_default();
    let first = *next + number(gap);
    let last = first + number(more);
    *next = last + 1;
    Some(Run { first, last, is_letter: run.contains('-') })
}

fn run_of(sign: char) -> Option<&'static Run> {
    let code = u32::from(sign);
    let at = TABLE.partition_point(|run| run.last < code);
    TABLE.get(at).filter(|run| run.first <= code)
}

/// Returns whether this is a letter or a digit.
pub(crate) fn is_letter_or_digit(sign: char) -> bool {
    run_of(sign).is_some()
}

/// Returns whether this is a letter.
pub(crate) fn is_letter(sign: char) -> bool {
    run_of(sign).is_some_and(|run| run.is_letter)
}

/// Returns the lines of a text that do not begin with `>`, without the breaks between them.
pub(crate) fn unquoted(text: &str) -> String {
    text.split('\n').filter(|line| !line.starts_with('>')).collect()
}

/// Returns the part of a text that has at most so many bytes.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// Returns the letters and digits of a text, each in its small letter. If it has none, as with emojis, all but its spaces are
/// returned. Nothing else is changed: a letter with an accent is not the same as that letter and an accent behind it, which is a
/// sign.
pub(crate) fn normalized(text: &str) -> String {
    // The rest can be long, and would be cut off below.
    let letters = text.chars().filter(|sign| is_letter_or_digit(*sign)).flat_map(char::to_lowercase).take(MAX_TEXT);
    let letters: String = letters.collect();
    let signs = || -> String { text.chars().filter(|sign| !sign.is_whitespace()).take(MAX_TEXT).collect() };
    let found = if letters.is_empty() { signs() } else { letters };
    cut(&found, MAX_TEXT).to_owned()
}

/// Returns whether clients are likely to show this word as a link.
pub(crate) fn is_link(word: &str) -> bool {
    let begins = word.trim_start_matches(|sign: char| !is_letter_or_digit(sign));
    let has_scheme = word
        .split_once("://")
        .is_some_and(|(scheme, rest)| scheme.ends_with(|sign: char| sign.is_ascii_alphanumeric()) && !rest.is_empty());
    let is_named = ["www.", "xmpp:", "magnet:"]
        .iter()
        .any(|name| begins.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name)));
    has_scheme || is_named || is_bare_address(begins)
}

/// Returns whether a word is an address without a scheme, such as `example.org/x`, which many clients show as a link. Without
/// the slash it may be the name of a file.
fn is_bare_address(word: &str) -> bool {
    let address = word.split_once('/').and_then(|(host, _)| host.rsplit_once('.'));
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|sign| is_letter_or_digit(sign) || sign == '-');
    address.is_some_and(|(name, top)| {
        top.chars().count() >= 2 && top.chars().all(is_letter) && name.split('.').all(is_label)
    })
}
