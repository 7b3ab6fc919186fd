//! Tests of requests, and of the answers to them.

use super::*;

fn answer(status: u16) -> Response {
    let headers = vec![Header { name: "content-type".to_owned(), value: "application/json".to_owned() }];
    Response { status, url: "https://example.org/".to_owned(), headers, body: b"{\"a\":1}".to_vec() }
}

#[test]
fn an_answer_is_read_as_json_and_a_status_from_400_on_is_an_error_where_it_is_asked() {
    let one = answer(200).success().unwrap();
    assert_eq!(one.json::<serde_json::Value>().unwrap()["a"], 1);
    assert!(one.json::<Vec<u8>>().is_err());
    assert_eq!((one.header("Content-Type"), &*one.text()), (Some("application/json"), "{\"a\":1}"));
    assert_eq!(answer(404).success(), Err(Error::Other("the server answered 404".into())));
    let marked = Response { body: [&b"\xef\xbb\xbf"[..], &one.body].concat(), ..one };
    assert_eq!(marked.json::<serde_json::Value>().unwrap()["a"], 1);
}

#[test]
fn an_address_is_named_without_what_may_be_secret() {
    assert_eq!(without_query("https://example.org/a?key=b#c"), "https://example.org/a");
    assert_eq!(without_query("aesgcm://example.org/a#0123"), "aesgcm://example.org/a");
    assert_eq!(without_query("https://example.org/"), "https://example.org/");
}

#[test]
fn a_body_as_json_says_so() {
    let Request(one) = post("https://example.org/").json(&[1]).unwrap().timeout(Duration::ZERO);
    assert_eq!((one.body.as_deref(), one.timeout), (Some(&b"[1]"[..]), Some(1)));
    assert_eq!(one.headers, answer(200).headers);
    let types = |Request(one): Request| one.headers.into_iter().map(|one| one.value).collect::<Vec<_>>();
    let patch = |request: Request| request.header("Content-Type", "application/merge-patch+json");
    let address = "https://example.org/";
    assert_eq!(types(patch(post(address)).json(&[1]).unwrap()), ["application/merge-patch+json"], "the author's");
    assert_eq!(types(patch(post(address).json(&[1]).unwrap())), ["application/merge-patch+json"], "also behind it");
    let form = types(patch(post(address)).multipart([Part::text("a", "b")]));
    assert!(form.len() == 1 && form[0].starts_with("multipart/form-data; boundary="), "{form:?}");
}

#[test]
fn fields_are_written_so_that_no_text_of_a_person_becomes_another_field() {
    let text = "tëa & \"pie\"=1+2 100%/~!'()*";
    let encoded = "t%C3%ABa+%26+%22pie%22%3D1%2B2+100%25%2F~%21%27%28%29%2A";
    let Request(one) = get("https://example.org/a#b").query("q&", text).query("n", 5).query("person", "{{api_key}}");
    assert_eq!(one.url, format!("https://example.org/a?q%26={encoded}&n=5&person=%7B%7Bapi_key%7D%7D#b"));
    let Request(one) = get("https://example.org/?a=1").query("b", "");
    assert_eq!(one.url, "https://example.org/?a=1&b=");
    let Request(one) = post("https://example.org/").fields([("q", text), ("person", "{{api_key}}")]);
    assert_eq!(one.body, Some(format!("q={encoded}&person=%7B%7Bapi_key%7D%7D").into_bytes()));
    let kind = "application/x-www-form-urlencoded";
    assert_eq!(one.headers, [Header { name: "content-type".to_owned(), value: kind.to_owned() }]);
    let typed = post("https://example.org/").header("Content-Type", "text/plain").fields([("a", 1)]);
    assert_eq!((typed.0.headers.len(), typed.0.body.as_deref()), (1, Some(&b"a=1"[..])), "the author's type stays");
    let Request(none) = post("https://example.org/").fields(Vec::<(&str, &str)>::new());
    assert_eq!(none.body, Some(Vec::new()));
}

#[test]
fn a_form_has_its_parts_as_browsers_send_them() {
    let parts = [Part::text("ti\"tle", "a\r\nb"), Part::file("file", "a\r\n\".png", "image/png\r\nx: y", [0, 255])];
    let Request(one) = post("https://example.org/").multipart(parts);
    let (name, kind) = (one.headers[0].name.as_str(), one.headers[0].value.as_str());
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let wanted = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"ti%22tle\"\r\n\r\na\r\nb\r\n\
         --{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a%0D%0A%22.png\"\r\n\
         content-type: image/png  x: y\r\n\r\n"
    );
    let wanted = [wanted.as_bytes(), &[0, 255], format!("\r\n--{boundary}--\r\n").as_bytes()].concat();
    assert_eq!((name, one.body), ("content-type", Some(wanted)));
}

#[test]
fn no_part_of_a_form_has_its_boundary() {
    let plain = boundary(&[Part::text("a", "b")]);
    assert!(plain.len() <= 70 && plain.bytes().all(|sign| sign.is_ascii_alphanumeric() || sign == b'-'), "{plain}");
    // The hash covers the contents, so a name may still contain the text.
    let next = boundary(&[Part::text(&plain, "b")]);
    assert!(next != plain && next.ends_with("-1"), "{next}");
    assert_ne!(boundary(&[Part::text("a", &plain)]), plain);
}

#[test]
fn what_is_longer_than_the_limit_is_an_error() {
    let mut whole = b"ab".to_vec();
    append(&mut whole, b"c", 3).unwrap();
    assert_eq!(append(&mut whole, b"d", 3), Err(Error::Other("it has more than 3 bytes".into())));
    assert_eq!(append(&mut whole, b"", 2), Ok(()), "it had more before");
    assert_eq!(whole, b"abc");
}
