//! Writes answers to ad-hoc commands (XEP-0050).

use jid::Jid;
use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;

use super::{clean, name, refusal, text};
use crate::types::{AdHocAnswer, AdHocField, AdHocRefusal, AdHocStage, COMMANDS, FormStep};

/// Returns the answer to a command.
pub(super) fn answer(answer: AdHocAnswer) -> Element {
    let command = |status: &str| {
        Element::builder("command", COMMANDS)
            .attr(name("node"), clean(answer.node.clone()))
            .attr(name("sessionid"), answer.session.clone())
            .attr(name("status"), status)
    };
    match answer.stage {
        AdHocStage::Cancelled => command("canceled").build(),
        AdHocStage::Choose { title, field, label, options } => {
            let value = |one: &str| text("value", ns::DATA_FORMS, one.to_owned());
            let options = options.iter().map(|one| {
                Element::builder("option", ns::DATA_FORMS)
                    .attr(name("label"), clean(one.clone()))
                    .append(value(one))
                    .build()
            });
            let field = Element::builder("field", ns::DATA_FORMS)
                .attr(name("var"), field)
                .attr(name("type"), "list-single")
                .attr(name("label"), label)
                .append(Element::bare("required", ns::DATA_FORMS))
                .append_all(options)
                .build();
            let form = Element::builder("x", ns::DATA_FORMS)
                .attr(name("type"), "form")
                .append(text("title", ns::DATA_FORMS, title))
                .append(field)
                .build();
            command("executing").append(actions(ONLY)).append(form).build()
        }
        AdHocStage::Fill { title, fields, wrong, step } => {
            let number = format!("Step {} of {}", step.number, step.of);
            let form = Element::builder("x", ns::DATA_FORMS)
                .attr(name("type"), "form")
                .append(text("title", ns::DATA_FORMS, title))
                .append_all((step.of > 1).then(|| text("instructions", ns::DATA_FORMS, number)))
                .append_all(fields.into_iter().map(field))
                .build();
            let note = wrong.map(|wrong| note("error", wrong));
            command("executing").append(actions(step)).append(form).append_all(note).build()
        }
        AdHocStage::AtWork { note: said } => {
            command("executing").append(actions(MORE)).append(note("info", said)).build()
        }
        AdHocStage::Done { lines, failed } => {
            let kind = if failed { "error" } else { "info" };
            command("completed").append(note(kind, lines.join("\n"))).build()
        }
    }
}

/// The only page of a form.
const ONLY: FormStep = FormStep { number: 1, of: 1 };
/// A page without one before it, and with one after it.
const MORE: FormStep = FormStep { number: 1, of: 2 };

fn note(kind: &str, text: String) -> Element {
    Element::builder("note", COMMANDS).attr(name("type"), kind).append(clean(text)).build()
}

/// Returns what can be done with a page of a form (XEP-0050, section 3.4). The default is the next page, and after the last
/// one the end.
fn actions(step: FormStep) -> Element {
    let forward = if step.has_next() { "next" } else { "complete" };
    Element::builder("actions", COMMANDS)
        .attr(name("execute"), forward)
        .append_all(step.has_previous().then(|| Element::bare("prev", COMMANDS)))
        .append(Element::bare(forward, COMMANDS))
        .build()
}

fn field(field: AdHocField) -> Element {
    let AdHocField { var, kind, label, about, required, value, options } = field;
    let about = Some(about).filter(|about| !about.is_empty()).map(|about| text("desc", ns::DATA_FORMS, about));
    let options = options.into_iter().map(|one| {
        Element::builder("option", ns::DATA_FORMS)
            .attr(name("label"), clean(one.clone()))
            .append(text("value", ns::DATA_FORMS, one))
            .build()
    });
    Element::builder("field", ns::DATA_FORMS)
        .attr(name("var"), clean(var))
        .attr(name("type"), kind)
        .attr(name("label"), clean(label))
        .append_all(about)
        .append_all(required.then(|| Element::bare("required", ns::DATA_FORMS)))
        .append_all(value.map(|value| text("value", ns::DATA_FORMS, value)))
        .append_all(options)
        .build()
}

/// Returns the list of commands for `disco#items`.
pub(super) fn list(owner: &str, items: &[(String, String)]) -> Element {
    let item = |(node, label): &(String, String)| {
        Element::builder("item", ns::DISCO_ITEMS)
            .attr(name("jid"), owner)
            .attr(name("node"), clean(node.clone()))
            .attr(name("name"), clean(label.clone()))
            .build()
    };
    Element::builder("query", ns::DISCO_ITEMS).attr(name("node"), COMMANDS).append_all(items.iter().map(item)).build()
}

/// Returns the refusal of a command: the condition, with the detail specific to commands (XEP-0050, section 4.4).
pub(super) fn refused(to: Option<Jid>, id: String, why: AdHocRefusal) -> Iq {
    let (kind, condition, detail) = match why {
        AdHocRefusal::Unknown => ("cancel", "item-not-found", None),
        AdHocRefusal::BadAction => ("modify", "bad-request", Some("bad-action")),
        AdHocRefusal::MalformedAction => ("modify", "bad-request", Some("malformed-action")),
        AdHocRefusal::BadSession => ("modify", "bad-request", Some("bad-sessionid")),
        AdHocRefusal::SessionExpired => ("cancel", "not-allowed", Some("session-expired")),
    };
    let mut iq = refusal(to, id, kind, condition, None);
    if let Iq::Error { error, .. } = &mut iq {
        error.other = detail.map(|detail| Element::bare(detail, COMMANDS));
    }
    iq
}
