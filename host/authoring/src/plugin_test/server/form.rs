//! The configuration form of a room (XEP-0045, section 10.2), and its values.

use std::collections::BTreeMap;

use minidom::Element;
use parlor_stanza::encode::name;
use xmpp_parsers::ns;

/// A field: its name behind [`PREFIX`], its type, its initial values, and its options if it has any.
type Field = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

/// The prefix of all field names.
const PREFIX: &str = "muc#roomconfig_";

const ROLES: &[&str] = &["moderator", "participant", "visitor"];

/// The registered fields (XEP-0045, section 16.5.3).
const FIELDS: [Field; 21] = [
    ("roomname", "text-single", &[], &[]),
    ("roomdesc", "text-single", &[], &[]),
    ("lang", "text-single", &[], &[]),
    ("persistentroom", "boolean", &["0"], &[]),
    ("publicroom", "boolean", &["1"], &[]),
    ("membersonly", "boolean", &["0"], &[]),
    ("moderatedroom", "boolean", &["0"], &[]),
    ("passwordprotectedroom", "boolean", &["0"], &[]),
    ("roomsecret", "text-private", &[], &[]),
    ("changesubject", "boolean", &["0"], &[]),
    ("allowinvites", "boolean", &["0"], &[]),
    ("allowpm", "list-single", &["anyone"], &["anyone", "participants", "moderators", "none"]),
    ("enablelogging", "boolean", &["0"], &[]),
    ("maxusers", "text-single", &["30"], &[]),
    ("maxhistoryfetch", "text-single", &["20"], &[]),
    ("whois", "list-single", &["moderators"], &["moderators", "anyone"]),
    ("presencebroadcast", "list-multi", ROLES, ROLES),
    ("getmemberlist", "list-multi", ROLES, ROLES),
    ("roomadmins", "jid-multi", &[], &[]),
    ("roomowners", "jid-multi", &[], &[]),
    ("pubsub", "text-single", &[], &[]),
];

/// The values of a room that were set.
#[derive(Debug, Default)]
pub(super) struct Configuration(BTreeMap<String, Vec<String>>);

impl Configuration {
    /// Returns the form with the current values.
    pub(super) fn form(&self) -> Element {
        let fields = FIELDS.iter().map(|(short, kind, first, options)| {
            let var = format!("{PREFIX}{short}");
            let values = match self.0.get(&var) {
                Some(values) => values.iter().map(|value| valued(value)).collect(),
                None => first.iter().map(|value| valued(value)).collect::<Vec<_>>(),
            };
            let options = options.iter().map(|one| Element::builder("option", ns::DATA_FORMS).append(valued(one)));
            Element::builder("field", ns::DATA_FORMS)
                .attr(name("var"), var)
                .attr(name("type"), *kind)
                .append_all(values)
                .append_all(options)
                .build()
        });
        Element::builder("x", ns::DATA_FORMS).attr(name("type"), "form").append_all(fields).build()
    }

    /// Applies a form that was filled in.
    pub(super) fn fill_in(&mut self, form: &Element) {
        for field in form.children().filter(|field| field.is("field", ns::DATA_FORMS)) {
            if let Some(var) = field.attr("var").filter(|var| var.starts_with(PREFIX)) {
                self.0.insert(var.to_owned(), field.children().map(Element::text).collect());
            }
        }
    }
}

/// Returns a value of a field.
pub(super) fn valued(text: &str) -> Element {
    Element::builder("value", ns::DATA_FORMS).append(text).build()
}
