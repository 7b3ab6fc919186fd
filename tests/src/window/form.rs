//! Forms as they stand on a page, and their values as they are sent. It reads the HTML that the pages are made of, in which
//! each value is quoted, and no other.

use std::fmt::Write as _;

/// A form on a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Form {
    /// Its target address, as it is written; empty if that is the page itself.
    pub action: String,
    method: String,
    /// Its fields with the values that a browser would send without changes.
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// Returns all forms of a page.
    pub fn all(html: &str) -> Vec<Self> {
        let mut forms = Vec::new();
        for part in html.split("<form").skip(1) {
            let Some((head, rest)) = part.split_once('>') else { continue };
            let inside = rest.split("</form>").next().unwrap_or_default();
            let of = |name| attribute(head, name).unwrap_or_default();
            forms.push(Self { action: of("action"), method: of("method"), fields: fields(inside) });
        }
        forms
    }

    /// Returns whether it changes something.
    pub fn is_post(&self) -> bool {
        self.method.eq_ignore_ascii_case("post")
    }

    /// Returns whether it is the one of a page that asks before a change.
    pub fn confirms(&self) -> bool {
        self.is_post() && self.value("agreed") == Some("yes")
    }

    /// Returns its target path from the page at this path.
    pub fn leads_to(&self, from: &str) -> String {
        let from = from.split(['?', '#']).next().unwrap_or_default();
        match self.action.as_str() {
            "" => from.to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            path => format!("{}/{path}", from.rsplit_once('/').map_or("", |(folder, _)| folder)),
        }
    }

    /// Returns the value of a field.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Sets the value of a field, or adds one.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.fields.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
    }
}

/// Returns the fields in the inside of a form: those of `input` that are always sent, of `textarea` and of `select`.
fn fields(html: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for (at, _) in html.match_indices('<') {
        let Some((head, rest)) = html[at + 1..].split_once('>') else { continue };
        let name = attribute(head, "name");
        let value = attribute(head, "value");
        let tag = head.split([' ', '\n', '/']).next().unwrap_or_default();
        let value = match (tag, name.is_some()) {
            ("input", true) => match attribute(head, "type").as_deref() {
                Some("submit" | "button" | "file" | "image" | "reset") => None,
                Some("checkbox" | "radio") => has(head, "checked").then(|| value.unwrap_or_else(|| "on".to_owned())),
                _ => Some(value.unwrap_or_default()),
            },
            ("textarea", true) => rest.split("</textarea>").next().map(unescaped),
            ("select", true) => rest.split("</select>").next().and_then(chosen),
            _ => None,
        };
        if let (Some(name), Some(value)) = (name, value) {
            fields.push((name, value));
        }
    }
    fields
}

/// Returns the value of the option that is chosen; without one, of the first.
fn chosen(html: &str) -> Option<String> {
    let options: Vec<_> = html.split("<option").skip(1).filter_map(|part| part.split_once('>')).collect();
    let (head, rest) = options.iter().find(|(head, _)| has(head, "selected")).or(options.first())?;
    Some(attribute(head, "value").unwrap_or_else(|| text_of(rest.split("</option").next().unwrap_or_default())))
}

/// Returns whether a tag has an attribute without a value.
fn has(head: &str, name: &str) -> bool {
    // Values are cut away, so that no word in one counts.
    head.split('"').step_by(2).any(|part| part.split([' ', '\n', '/']).any(|word| word == name))
}

/// Returns the value of an attribute in a tag.
fn attribute(head: &str, name: &str) -> Option<String> {
    let mut rest = head;
    while let Some((before, after)) = rest.split_once("=\"") {
        let (value, next) = after.split_once('"')?;
        if before.rsplit([' ', '\n']).next() == Some(name) {
            return Some(unescaped(value));
        }
        rest = next;
    }
    None
}

/// Returns the paths of this site to which links of a page lead, without what is behind `#`.
pub fn links_of(html: &str) -> Vec<String> {
    let links = html.split("<a ").skip(1).filter_map(|part| attribute(part.split_once('>')?.0, "href"));
    let links = links.filter(|link| link.starts_with('/') && !link.starts_with("//"));
    links.filter_map(|link| link.split('#').next().map(str::to_owned)).collect()
}

/// Returns the text of HTML without its tags.
pub fn text_of(html: &str) -> String {
    let mut text = String::new();
    for (index, part) in html.split('<').enumerate() {
        let shown = if index == 0 { part } else { part.split_once('>').map_or("", |(_, shown)| shown) };
        text.push_str(shown);
    }
    unescaped(&text)
}

/// Returns a text without the escapes that the pages use.
fn unescaped(text: &str) -> String {
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
    plain.replace("&amp;", "&")
}

/// Returns a text as a form sends it: all but letters and digits by their bytes.
pub fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<h1>x</h1><form method="get" action="/audit"><input name="q"></form>
        <form class="card" method="post" action="/plugins/echo/grant"><input type="hidden" name="csrf" value="a&amp;b">
        <input type="checkbox" name="on" checked><input type="checkbox" name="off" value="checked">
        <select name="pick"><option value="1">one</option><option selected value="2">two</option></select>
        <input type="hidden" name="agreed" value="yes"><textarea name="text">&lt;b&gt;</textarea><button name="go" value="1">Go</button></form>"#;

    #[test]
    fn a_form_has_what_a_browser_would_send() {
        let forms = Form::all(PAGE);
        assert_eq!(forms.iter().map(Form::is_post).collect::<Vec<_>>(), [false, true]);
        assert!(!forms[0].confirms() && forms[1].confirms());
        let expected = [("csrf", "a&b"), ("on", "on"), ("pick", "2"), ("agreed", "yes"), ("text", "<b>")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(forms[1].fields, expected);
        assert_eq!(forms[1].value("pick"), Some("2"));
    }

    #[test]
    fn a_form_leads_from_its_page() {
        let to = |action: &str| Form { action: action.to_owned(), ..Form::default() }.leads_to("/login/abc");
        assert_eq!([to(""), to("/logout"), to("other")], ["/login/abc", "/logout", "/login/other"]);
    }

    #[test]
    fn links_of_this_site_are_found() {
        let page = r##"<a class="x" href="/audit?a=1&amp;b=2#top">a</a> <a href="//other.example/">b</a> <a href="#main">c</a>"##;
        assert_eq!(links_of(page), ["/audit?a=1&b=2"]);
    }

    #[test]
    fn texts_are_sent_by_their_bytes_and_read_without_tags() {
        assert_eq!(encoded("a b&=ü"), "a%20b%26%3D%C3%BC");
        assert_eq!(text_of("<p>1 &lt; <b>2</b></p>"), "1 < 2");
    }
}
