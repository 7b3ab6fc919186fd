//! Tests of how credentials are written into requests.

use parlor_base::permission::ScopeKind;
use parlor_plugins::binding::{Binding, Part};
use parlor_session::permissions::Scope;

use super::credentials::{Credential, Credentials};
use crate::bindings::parlor::plugin::http::Header;
use crate::settings::Hidden;

const TOKEN: &str = "s3cr3t/+token";

/// A binding to a server for headers and the query.
fn bound() -> Binding {
    Binding::new(Scope::parse(ScopeKind::Servers, &["api.example.org"]).unwrap())
}

/// Credentials for all parts of a request.
fn token() -> Credentials {
    let all = [("token", TOKEN), ("other", "{{token}} of another")];
    let all = all.map(|(name, value)| Credential::new(name.to_owned(), value.to_owned(), bound().with_body()));
    Credentials { used: all.into(), hidden: Hidden::of([TOKEN]).into() }
}

/// A person may write the name of a credential to a bot, and read the credential at the service that the bot sends texts to.
#[test]
fn a_credential_is_written_into_no_body_unless_its_manifest_says_so() {
    let used = vec![Credential::new("token".to_owned(), TOKEN.to_owned(), bound())];
    let credentials = Credentials { used, hidden: Hidden::of([TOKEN]).into() };
    let text = b"title: {{token}}";
    assert_eq!(credentials.fill(Part::Body, text).unwrap().as_ref(), text);
    assert_eq!(credentials.fill(Part::Header("title"), text).unwrap().as_ref(), format!("title: {TOKEN}").as_bytes());
    // As the host leaves it in parts as well, they are not refused.
    assert_eq!(credentials.stands_in(b"", text), None);
}

#[test]
fn a_credential_stands_where_its_name_stood_and_is_not_looked_through_itself() {
    let filled =
        |text: &str| String::from_utf8(token().fill(Part::Body, text.as_bytes()).unwrap().into_owned()).unwrap();
    assert_eq!(filled("Bearer {{token}}"), format!("Bearer {TOKEN}"));
    assert_eq!(filled("{{{token}}} {{token}{{token}}"), format!("{{{TOKEN}}} {{{{token}}{TOKEN}"));
    assert_eq!(filled("{{other}}, {{unknown}}"), "{{token}} of another, {{unknown}}");
    let to = |text: &str| parlor_base::web_address::WebAddress::parse(text).unwrap();
    let with = token().fill_query(&to("https://example.org/{{token}}?key={{token}}&b=c")).unwrap();
    assert_eq!(with.as_str(), "https://example.org/%7B%7Btoken%7D%7D?key=s3cr3t%2F%2Btoken&b=c");
    assert_eq!(token().fill_query(&to("https://example.org/a?b")).unwrap(), to("https://example.org/a?b"));
}

/// The server would get the name, and answer as if the credential were wrong.
#[test]
fn a_place_for_a_credential_in_a_path_is_refused() {
    let token = token();
    for (url, is_refused) in [
        ("https://example.org/bot{{token}}/send", true),
        ("https://example.org/{{token}}?a={{other}}", true),
        ("https://example.org/a?b=/{{token}}", false),
        ("https://example.org/{{unknown}}#{{token}}", false),
    ] {
        let result = token.refuse_in_path(url);
        assert_eq!(result.is_err(), is_refused, "{url}");
        let text = result.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(!is_refused || text.contains("no credential into a path: write {{token}} in a part that"), "{text}");
    }
}

#[test]
fn a_place_for_a_credential_that_the_request_does_not_name_is_found() {
    let token = token();
    for (text, expected) in [
        ("Bearer {{token}}", None),
        ("Bearer {{tokne}}", Some("tokne")),
        ("{{token}} {{api_key}} {{other}}", Some("api_key")),
        ("a={{}}&b={{a b}}&c={{token", None),
        ("{token} token}}", None),
        ("", None),
    ] {
        assert_eq!(token.other(text), expected, "{text}");
    }
}

#[test]
fn a_test_is_given_the_headers_as_the_plugin_wrote_them() {
    let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
    let headers = [header("Authorization", "Bearer {{token}}"), header("Accept", "*/*")];
    let shown = [("authorization", "Bearer {{token}}"), ("accept", "*/*")];
    assert_eq!(super::script::as_written(&headers), shown.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

/// The host finds a credential in an answer only as a whole.
#[test]
fn a_plugin_with_credentials_asks_for_no_part_of_an_answer() {
    for (header, expected) in [
        ("Range", true),
        ("request-range", true),
        ("Request_Range", true),
        ("if-range", false),
        ("accept-ranges", false),
        ("x-range", false),
    ] {
        assert_eq!(super::asks_for_a_part(header), expected, "{header}");
    }
}

#[test]
fn the_name_of_a_credential_is_found_in_parts_wherever_they_meet() {
    let (token, text) = (token(), b"a {{token}} of the body");
    for size in 1..text.len() {
        let mut end = Vec::new();
        let found = text.chunks(size).find_map(|part| {
            let found = token.stands_in(&end, part);
            token.end_of(&mut end, part);
            found
        });
        assert_eq!(found, Some("token"), "{size}");
        assert!(end.len() < "{{token}}".len(), "{size}: {end:?}");
    }
    for innocent in ["{{unknown}} {token} {{tok en}} token}} {{", "{{token}", ""] {
        assert_eq!(token.stands_in(b"{", innocent.as_bytes()), None, "{innocent}");
    }
}

/// Servers keep what they were sent, and may put it into the address that they redirect to.
#[test]
fn an_address_shows_a_credential_also_if_it_begins_with_one_that_the_request_uses() {
    let shows = |used: &str, address: &str| {
        let all = ["password", "password of juliet", "juliet:password"];
        let used = vec![Credential::new("used".to_owned(), used.to_owned(), bound())];
        Credentials { used, hidden: Hidden::of(all).into() }.others_are_shown_by(address)
    };
    for (used, address, expected) in [
        ("password", "https://example.org/?a=password", false),
        ("password", "https://example.org/?a=password+of+juliet", true),
        ("password", "https://example.org/?a=juliet%3apassword", true),
        ("juliet:password", "https://example.org/?a=juliet%3Apassword", false),
        ("juliet:password", "https://example.org/?a=juliet%3apassword", false),
        ("juliet:password", "https://example.org/?a=juliet:password&b=password", true),
        ("password", "https://example.org/?a=pass", false),
    ] {
        assert_eq!(shows(used, address), expected, "{used} and {address}");
    }
}

#[test]
fn many_names_cannot_make_a_request_large() {
    let many = "{{other}}".repeat(100_000);
    assert!(token().fill(Part::Body, many.as_bytes()).is_err());
    assert!(token().fill(Part::Body, "{{other}}".repeat(100).as_bytes()).is_ok());
}
