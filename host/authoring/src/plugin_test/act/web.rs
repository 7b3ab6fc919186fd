//! Parses the web of a test: the answers of servers, the headers that are shown, and requests to webhooks.

use parlor_runtime::account::web::WebAnswer;

use super::{Act, Hooked, joined, quoted};

/// Names of headers without a hyphen.
const WORDS: [&str; 18] = [
    "accept",
    "age",
    "allow",
    "authorization",
    "cookie",
    "date",
    "etag",
    "expires",
    "from",
    "host",
    "link",
    "location",
    "origin",
    "range",
    "referer",
    "server",
    "vary",
    "via",
];

/// Parses `https://api.example.org/x answers 200 {"a":1}`, with headers as [`hooked`] has them before the body, or
/// `https://api.example.org/x is unreachable`. `more` are further lines of the body.
pub(super) fn answered(method: &str, rest: &str, more: &[String]) -> Result<Act, String> {
    let how_to = || format!("write: {method} https://api.example.org/x answers 200 {{\"a\":1}}");
    let (url, what) = rest.split_once(' ').ok_or_else(how_to)?;
    let answer = match what.trim().strip_prefix("answers ") {
        None if what.trim() == "is unreachable" && more.is_empty() => None,
        None if what.contains(" answers ") || what.ends_with(" is unreachable") => {
            return Err("an address has no spaces: write %20".to_owned());
        }
        None => return Err(how_to()),
        Some(answer) => {
            let (status, rest) = answer.trim().split_once(' ').unwrap_or((answer.trim(), ""));
            let status = status.parse().ok().filter(|status| (200..600).contains(status));
            let (headers, body) = headers(rest, how_to)?;
            let body = encoded(&headers, body_of(body, more))?;
            Some(WebAnswer { status: status.ok_or_else(how_to)?, headers, body })
        }
    };
    Ok(Act::Web { method: method.to_owned(), url: url.to_owned(), answer })
}

/// Parses `github {"zen":"x"}`, `github/garden?a=b` or `github with x-github-event: push {"ref":"x"}`. The value of a header is a word, or
/// stands in quotes. `more` are further lines of the body.
pub(super) fn hooked(method: &str, rest: &str, more: &[String]) -> Result<Act, String> {
    let how_to = || format!("write: {method} github with x-github-event: push {{\"ref\":\"x\"}}");
    let (address, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (name, query) = address.split_once('?').map_or((address, None), |(name, query)| (name, Some(query)));
    let (name, path) = name.split_once('/').map_or((name, None), |(name, path)| (name, Some(path)));
    if name.is_empty() {
        return Err(how_to());
    }
    let (headers, body) = headers(rest, how_to)?;
    let body = body_of(body, more);
    let [path, query] = [path, query].map(|text| text.map(str::to_owned));
    Ok(Act::Webhook(Hooked { method: method.to_owned(), name: name.to_owned(), path, query, headers, body }))
}

/// Parses `if-none-match, accept`.
pub(super) fn shows(rest: &str) -> Result<Vec<String>, String> {
    let names: Vec<_> = rest.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
    let is_wrong =
        |name: &String| name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == ':');
    if names.iter().any(is_wrong) {
        return Err("write the names of headers: show if-none-match, accept".to_owned());
    }
    Ok(names)
}

/// Joins the lines of a body, which may begin in the first line or below it.
fn body_of(first: &str, more: &[String]) -> String {
    let first = first.trim();
    if first.is_empty() { more.join("\n") } else { joined(first, more) }
}

/// Writes a body in the charset of its type. Pages that are not UTF-8 are in ISO-8859-1 most often.
fn encoded(headers: &[(String, String)], body: String) -> Result<Vec<u8>, String> {
    let kind = headers.iter().find(|(name, _)| name == "content-type");
    let last = match kind.and_then(|(_, value)| charset(value)).as_deref() {
        None | Some("utf-8" | "utf8" | "binary") => return Ok(body.into_bytes()),
        Some("iso-8859-1") => u8::MAX,
        Some("us-ascii") => 0x7f,
        Some(other) => return Err(format!("a test has no body in the charset `{other}`: write utf-8 or iso-8859-1")),
    };
    let byte = |letter: char| u8::try_from(letter).ok().filter(|byte| *byte <= last);
    let name = if last == u8::MAX { "ISO-8859-1" } else { "US-ASCII" };
    body.chars().map(|letter| byte(letter).ok_or_else(|| format!("{name} has no `{letter}`"))).collect()
}

/// Returns the charset that a `content-type` names, in small letters.
fn charset(kind: &str) -> Option<String> {
    let mut parameters = kind.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Some(value.trim().trim_matches('"').to_ascii_lowercase())
}

/// Headers, and the body behind them.
type Parts<'a> = (Vec<(String, String)>, &'a str);

/// Splits the headers that are listed behind `with` from the body that follows them.
fn headers(rest: &str, how_to: impl Fn() -> String) -> Result<Parts<'_>, String> {
    let mut headers = Vec::new();
    let Some(mut rest) = rest.trim_start().strip_prefix("with ") else { return Ok((headers, rest)) };
    loop {
        let (header, after) = rest.split_once(':').ok_or_else(&how_to)?;
        let is_quoted = after.trim_start().starts_with('"');
        let (value, after) = value(after.trim_start());
        let name = header.trim().to_ascii_lowercase();
        if value.ends_with(';') && !is_quoted && !after.is_empty() {
            return Err(format!("the value of `{name}` has a space: put it in quotes, as in {name}: \"{value} …\""));
        }
        headers.push((name, value.trim_end_matches(',').to_owned()));
        let goes_on = value.ends_with(',') || after.starts_with(',');
        rest = after.trim_start_matches(',').trim_start();
        if !goes_on {
            return match header_at(rest) {
                Some(next) => Err(format!("write a comma before `{next}`: several headers are `with a: b, c: d`")),
                None => Ok((headers, rest)),
            };
        }
    }
}

/// Returns the name of the header that a body seems to begin with.
fn header_at(body: &str) -> Option<&str> {
    let (name, after) = body.split_once(':')?;
    let is_name = |name: &str| name.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'-');
    let is_usual = name.contains('-') || WORDS.iter().any(|word| name.eq_ignore_ascii_case(word));
    (after.starts_with(' ') && is_usual && is_name(name)).then_some(name)
}

/// Splits a word, or a text in quotes, from the rest.
fn value(text: &str) -> (&str, &str) {
    quoted(text).unwrap_or_else(|| text.split_once(' ').unwrap_or((text, "")))
}
