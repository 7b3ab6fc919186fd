//! Tests of markup, by a reader of XEP-0393 of their own.

use proptest::prelude::*;

use super::*;

/// Returns the signs that begin markup in a line (XEP-0393), or in the text of a span.
fn marks(line: &str) -> Vec<char> {
    let signs: Vec<char> = line.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    let mut begins = true;
    while let Some(&sign) = signs.get(at) {
        let end = |from: usize| (from..signs.len()).find(|&end| signs[end] == sign && !signs[end - 1].is_whitespace());
        let is_open = SIGNS.contains(&sign) && begins && signs.get(at + 1).is_some_and(|next| !next.is_whitespace());
        if is_open
            && signs.get(at + 1) != Some(&sign)
            && let Some(end) = end(at + 2)
        {
            found.push(sign);
            if sign != '`' {
                found.extend(marks(&signs[at + 1..end].iter().collect::<String>()));
            }
            at = end;
            begins = false;
        } else {
            begins = sign.is_whitespace();
        }
        at += 1;
    }
    found
}

#[test]
fn each_line_is_styled_by_itself() {
    assert_eq!(bold("wherefore art thou"), "*wherefore art thou*");
    assert_eq!(italic(" two \nlines\n\n"), " _two_ \n_lines_\n\n");
    assert_eq!(strike("a"), "~a~");
    assert_eq!(monospace("*a* _b_"), "`*a* _b_`");
    assert_eq!(bold(italic("both")), "*_both_*");
    assert_eq!((bold(""), bold(" ")), (String::new(), " ".to_owned()));
}

#[test]
fn a_line_with_the_sign_in_it_is_left_alone() {
    assert_eq!(bold("2*3\nthat"), "2*3\n*that*");
    assert_eq!(bold(bold("once")), "*once*");
    assert_eq!(monospace("a ` *b*"), "a \u{2060}` \u{2060}*b*");
}

#[test]
fn quotations_and_blocks_have_lines_of_their_own() {
    assert_eq!(quote("a\n\nb\n"), "> a\n> \n> b");
    assert_eq!(quote(quote("a")), "> > a");
    assert_eq!(code_block("let a = 2;\n"), "```\nlet a = 2;\n```");
    assert_eq!(code_block("a\n```\n ```b"), "```\na\n\u{2060}```\n\u{2060} ```b\n```");
}

#[test]
fn escaped_text_has_no_markup() {
    assert_eq!(escape("*a* b_c_ _d_"), "\u{2060}*a* b_c_ \u{2060}_d_");
    assert_eq!(escape("> a > b\n>c"), "\u{2060}> a > b\n\u{2060}>c");
    assert!(!escape("```\na\n```").starts_with(FENCE));
    assert_eq!(escape("snake_case and 2*3"), "snake_case and 2*3");
}

proptest! {
    #[test]
    fn nothing_in_an_escaped_text_begins_markup(text in "[*_~` >a\\n]{0,12}") {
        for line in escape(&text).split('\n') {
            prop_assert!(marks(line).is_empty(), "{:?}", line);
            prop_assert!(!line.starts_with(QUOTED) && !line.starts_with(FENCE), "{:?}", line);
        }
    }

    #[test]
    fn a_styled_text_has_that_style_alone(text in "[*_~` >ab]{0,12}") {
        for line in bold(escape(&text)).split('\n') {
            prop_assert!(marks(line).iter().all(|sign| *sign == '*'), "{:?}", line);
        }
        let code = monospace(&text);
        prop_assert!(marks(&code).iter().all(|sign| *sign == '`'), "{:?}", code);
    }
}
