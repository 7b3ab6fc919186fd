//! Tests of what becomes of a credential on the way out and back.

use parlor_base::permission::ScopeKind;
use parlor_session::permissions::Scope;
use proptest::prelude::*;

use super::credentials::{Credential, Credentials, forms};

const TOKEN: &str = "s3cr3t/+token";

fn token() -> Credentials {
    let servers = Scope::parse(ScopeKind::Servers, &["api.example.org"]).unwrap();
    let all = [("token", TOKEN), ("other", "{{token}} of another")];
    let all = all.map(|(name, value)| Credential::new(name.to_owned(), value.to_owned(), servers.clone()));
    let hidden = [TOKEN].into_iter().flat_map(forms).collect();
    Credentials { used: all.into(), hidden }
}

#[test]
fn a_credential_stands_where_its_name_stood_and_is_not_looked_through_itself() {
    let filled = |text: &str| String::from_utf8(token().fill("x", text.as_bytes()).unwrap().into_owned()).unwrap();
    assert_eq!(filled("Bearer {{token}}"), format!("Bearer {TOKEN}"));
    assert_eq!(filled("{{{token}}} {{token}{{token}}"), format!("{{{TOKEN}}} {{{{token}}{TOKEN}"));
    assert_eq!(filled("{{other}}, {{unknown}}"), "{{token}} of another, {{unknown}}");
    let to = |text: &str| parlor_base::web_address::WebAddress::parse(text).unwrap();
    let with = token().fill_query(&to("https://example.org/{{token}}?key={{token}}&b=c")).unwrap();
    assert_eq!(with.as_str(), "https://example.org/%7B%7Btoken%7D%7D?key=s3cr3t%2F%2Btoken&b=c");
    assert_eq!(token().fill_query(&to("https://example.org/a?b")).unwrap(), to("https://example.org/a?b"));
}

#[test]
fn many_names_cannot_make_a_request_large() {
    let many = "{{other}}".repeat(100_000);
    assert!(token().fill("x", many.as_bytes()).is_err());
    assert!(token().fill("x", "{{other}}".repeat(100).as_bytes()).is_ok());
}

proptest! {
    /// With any text around it, and repeated any number of times.
    #[test]
    fn nothing_of_a_credential_is_left_in_an_answer(
        parts in prop::collection::vec(prop_oneof![Just(TOKEN.to_owned()), Just("s3cr3t%2f%2btoken".to_owned()), Just("s3cr3t\\/+token".to_owned()), ".{0,9}"], 0..9),
    ) {
        let text = parts.concat();
        let mut hidden = text.clone().into_bytes();
        token().hide(&mut hidden);
        prop_assert_eq!(hidden.len(), text.len());
        let hidden = String::from_utf8(hidden).unwrap();
        prop_assert!(forms(TOKEN).iter().all(|form| !hidden.contains(form)), "{}", hidden);
    }
}
