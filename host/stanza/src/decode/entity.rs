//! Reads statements of entities about themselves: idle time (XEP-0012), clock (XEP-0202) and software (XEP-0092).
//! Anyone may claim anything, so nonsensical values do not count as an answer.

use minidom::Element;
use xmpp_parsers::ns;

use super::extensions::time;
use crate::encode::LAST_ACTIVITY;
use crate::text::{is_sendable_time, kept, line};
use crate::types::{Activity, Body, EntityTime, MAX_IDLE, MAX_OFFSET, Software};

/// The bytes of a status text that are kept.
const MAX_STATUS: usize = 4 << 10;
/// The bytes of a name on one line that are kept.
const MAX_LINE: usize = 256;

/// Reads the answer of an entity; `None` if it has another form, or makes no sense.
pub(super) fn answer(payload: &Element) -> Option<Body> {
    if payload.is("query", LAST_ACTIVITY) {
        let seconds = payload.attr("seconds")?.parse::<u64>().ok().filter(|seconds| *seconds <= MAX_IDLE)?;
        let status = Some(payload.text()).filter(|status| !status.is_empty());
        return Some(Body::Activity(Activity { seconds, status: status.map(|status| kept(status, MAX_STATUS)) }));
    }
    if payload.is("time", ns::TIME) {
        let said = |name: &str| payload.get_child(name, ns::TIME).map(Element::text);
        let utc = time(said("utc")?.trim()).filter(|at| is_sendable_time(*at))?;
        return Some(Body::Time(EntityTime { utc, offset: offset(said("tzo")?.trim())? }));
    }
    if payload.is("query", ns::VERSION) {
        let said = |name: &str| line(&payload.get_child(name, ns::VERSION)?.text(), MAX_LINE);
        return Some(Body::Software(Software { name: said("name"), version: said("version"), os: said("os") }));
    }
    None
}

/// Reads an offset from UTC, in minutes (XEP-0082, section 3.2).
fn offset(text: &str) -> Option<i32> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let number = |text: &str| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i32>().ok().filter(|_| is_number)
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (number(hours)?, number(minutes).filter(|minutes| *minutes < 60)?);
    let offset = hours * 60 + minutes;
    (offset <= MAX_OFFSET).then_some(sign * offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> Option<Body> {
        answer(&xml.parse().unwrap())
    }

    /// XEP-0012, sections 3 and 4.
    #[test]
    fn an_idle_time_is_a_number_of_seconds() {
        let of =
            |attributes: &str, text: &str| read(&format!("<query xmlns='jabber:iq:last' {attributes}>{text}</query>"));
        let idle = |seconds, status: Option<&str>| {
            Some(Body::Activity(Activity { seconds, status: status.map(str::to_owned) }))
        };
        assert_eq!(of("seconds='903'", "Heading Home"), idle(903, Some("Heading Home")));
        assert_eq!(of("seconds='0'", ""), idle(0, None));
        for absurd in ["", "seconds=''", "seconds='-1'", "seconds='1.5'", "seconds='99999999999999'"] {
            assert_eq!(of(absurd, ""), None, "{absurd}");
        }
        let Some(Body::Activity(long)) = of("seconds='1'", &"x".repeat(10_000)) else { panic!("an idle time") };
        assert_eq!(long.status.unwrap().len(), MAX_STATUS);
    }

    /// XEP-0202, section 3.
    #[test]
    fn a_time_has_an_offset_from_utc() {
        const UTC: &str = "2006-12-19T17:58:35Z";
        let of = |utc: &str, tzo: &str| {
            read(&format!("<time xmlns='urn:xmpp:time'><tzo>{tzo}</tzo><utc>{utc}</utc></time>"))
        };
        let at = |offset| Some(Body::Time(EntityTime { utc: UTC.parse().unwrap(), offset }));
        assert_eq!(of(UTC, "-06:00"), at(-360));
        assert_eq!(of(UTC, "+05:45"), at(345));
        assert_eq!(of(UTC, "Z"), at(0));
        for absurd in ["", "06:00", "+6:00", "+06:60", "+99:00", "+18:01", "+-1:00", "\u{e9}"] {
            assert_eq!(of(UTC, absurd), None, "{absurd}");
        }
        for absurd in ["", "yesterday", "-9000-01-01T00:00:00Z", "2006-13-19T17:58:35Z"] {
            assert_eq!(of(absurd, "Z"), None, "{absurd}");
        }
    }

    /// XEP-0092, section 2.
    #[test]
    fn software_is_named_on_one_line() {
        let of = |inside: &str| read(&format!("<query xmlns='jabber:iq:version'>{inside}</query>"));
        let named = |name: &str, os: Option<&str>| {
            Some(Body::Software(Software { name: Some(name.to_owned()), version: None, os: os.map(str::to_owned) }))
        };
        assert_eq!(of("<name>Gajim</name><os>Debian</os>"), named("Gajim", Some("Debian")));
        assert_eq!(of("<name> a\nb </name><version/>"), named("a b", None));
        assert_eq!(of(&format!("<name>{}</name>", "x".repeat(1_000))), named(&"x".repeat(MAX_LINE), None));
        assert_eq!(of(""), Some(Body::Software(Software::default())));
    }
}
