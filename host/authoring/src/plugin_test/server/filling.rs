//! People who give commands by forms (XEP-0050), as an ordinary client of theirs does it.

use std::collections::BTreeMap;

use jid::{FullJid, Jid};
use minidom::Element;
use parlor_base::id::PluginId;
use parlor_base::nearest::nearest;
use parlor_stanza::encode::name;
use parlor_stanza::types::COMMANDS;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::stanza::Stanza;

use super::action::{Action, FormShown};
use super::impossible::Impossible;
use super::words::iq;
use super::{MockServer, Server};

/// An action of somebody with a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormAct {
    /// They begin this command.
    Opens(String),
    /// They fill in a field of the page before them.
    FillsIn {
        /// The name of the field.
        field: String,
        /// The text that they write; empty: nothing.
        value: String,
    },
    /// They send the page, to see the next one or to have the command carried out.
    Sends,
    /// They send the last step once more, as it was.
    SendsAgain,
    /// They send the page of another person's form.
    SendsOf(FullJid),
    /// They go back to the page before.
    GoesBack,
    /// They cancel the command.
    Cancels,
}

/// The form that a person has before them.
#[derive(Debug, Default, Clone)]
struct Shown {
    node: String,
    session: Option<String>,
    /// The action that the host offers by default.
    forward: String,
    /// The fields of the page, with their values.
    fields: Vec<(String, String)>,
    /// The last step.
    sent: Option<Element>,
}

/// The forms that people have before them.
#[derive(Debug, Default)]
pub(super) struct People {
    shown: BTreeMap<FullJid, Shown>,
    /// The people who wait for answers, by the ids of their requests.
    asked: BTreeMap<String, FullJid>,
}

impl MockServer {
    /// Has somebody do something with a form of this plugin.
    pub fn form(&self, who: &FullJid, plugin: &PluginId, does: &FormAct) -> Result<(), Impossible> {
        let mut server = self.server();
        let no_form = || Impossible(format!("no form is before {who}; write: {} opens the form roll", first(who)));
        match does {
            FormAct::Opens(command) => {
                let node = if command.contains('.') { command.clone() } else { format!("{plugin}.{command}") };
                let shown = Shown { node, ..Shown::default() };
                let step = step(&shown, "execute", false);
                server.people.shown.insert(who.clone(), shown);
                server.send_step(who, step);
            }
            FormAct::FillsIn { field, value } => {
                // A form that was refused, or has ended, has no fields.
                let shown = server.people.shown.get_mut(who).filter(|shown| !shown.fields.is_empty());
                shown.ok_or_else(no_form)?.fill_in(field, value)?;
            }
            FormAct::SendsAgain => {
                let sent = server.people.shown.get(who).and_then(|shown| shown.sent.clone()).ok_or_else(no_form)?;
                server.send_step(who, sent);
            }
            FormAct::Sends | FormAct::SendsOf(_) | FormAct::GoesBack | FormAct::Cancels => {
                let whose = if let FormAct::SendsOf(whose) = does { whose } else { who };
                let shown =
                    server.people.shown.get(whose).filter(|shown| shown.session.is_some()).ok_or_else(no_form)?;
                let step = match does {
                    FormAct::GoesBack => step(shown, "prev", true),
                    FormAct::Cancels => step(shown, "cancel", false),
                    _ => step(shown, &shown.forward, true),
                };
                server.send_step(who, step);
            }
        }
        Ok(())
    }
}

impl Shown {
    fn fill_in(&mut self, field: &str, value: &str) -> Result<(), Impossible> {
        let names = self.fields.iter().map(|(name, _)| name.as_str());
        let unknown = if let Some(near) = nearest(field, names.clone()) {
            format!("the form has no field {field}; did you mean {near}?")
        } else {
            format!("the form has no field {field}; it has {}", names.collect::<Vec<_>>().join(", "))
        };
        let found = self.fields.iter_mut().find(|(name, _)| name == field);
        let (_, written) = found.ok_or(Impossible(unknown))?;
        value.clone_into(written);
        Ok(())
    }
}

impl Server {
    /// Sends a step of somebody to the account.
    fn send_step(&mut self, who: &FullJid, step: Element) {
        let id = self.number("form");
        self.people.asked.insert(id.clone(), who.clone());
        if let Some(shown) = self.people.shown.get_mut(who) {
            shown.sent = Some(step.clone());
        }
        self.bring(iq(Some(&Jid::from(who.clone())), "set", &id, Some(step)));
    }

    /// Returns what the account's answer to a step shows the person. Returns `None` if the stanza is not such an
    /// answer.
    pub(super) fn form_answer(&mut self, stanza: &Stanza) -> Option<Action> {
        let Stanza::Iq(answer) = stanza else { return None };
        let to = self.people.asked.remove(answer.id())?;
        let shows = match answer {
            Iq::Result { payload: Some(command), .. } if command.is("command", COMMANDS) => {
                self.people.shown.get_mut(&to).map_or(FormShown::Cancelled, |shown| shown.answered(command))
            }
            Iq::Error { error, .. } => {
                let element = Element::from(error.clone());
                // The detail of a command comes before the condition that any request may have.
                let detail = element.children().find(|child| child.has_ns(COMMANDS));
                let condition = detail.or_else(|| element.children().find(|child| child.has_ns(ns::XMPP_STANZAS)));
                FormShown::Refused(condition.map_or("error", Element::name).to_owned())
            }
            _ => return None,
        };
        Some(Action::Form { to: to.into(), shows })
    }
}

impl Shown {
    /// Takes in the answer to a step.
    fn answered(&mut self, command: &Element) -> FormShown {
        let note = command.get_child("note", COMMANDS).map(Element::text);
        self.session = command.attr("sessionid").map(str::to_owned);
        let forward = command.get_child("actions", COMMANDS).and_then(|actions| actions.attr("execute"));
        forward.unwrap_or("execute").clone_into(&mut self.forward);
        let is_over = command.attr("status") != Some("executing");
        if is_over {
            self.fields.clear();
        }
        match command.get_child("x", ns::DATA_FORMS) {
            _ if command.attr("status") == Some("canceled") => FormShown::Cancelled,
            Some(form) if !is_over => {
                let text = |name: &str| form.get_child(name, ns::DATA_FORMS).map(Element::text);
                self.fields = form.children().filter_map(field).collect();
                FormShown::Page {
                    title: text("title").unwrap_or_default(),
                    step: text("instructions"),
                    fields: self.fields.clone(),
                    wrong: note,
                }
            }
            _ => FormShown::Note {
                is_over,
                is_error: command.get_child("note", COMMANDS).is_some_and(|note| note.attr("type") == Some("error")),
                text: note.unwrap_or_default(),
            },
        }
    }
}

/// Returns a field with its value.
fn field(field: &Element) -> Option<(String, String)> {
    let value = field.get_child("value", ns::DATA_FORMS).map(Element::text).unwrap_or_default();
    field.attr("var").map(|var| (var.to_owned(), value))
}

/// Builds a step, with the filled-in values if the form is sent.
fn step(shown: &Shown, action: &str, has_form: bool) -> Element {
    let filled = shown.fields.iter().map(|(var, value)| {
        let value =
            (!value.is_empty()).then(|| Element::builder("value", ns::DATA_FORMS).append(value.as_str()).build());
        Element::builder("field", ns::DATA_FORMS).attr(name("var"), var.as_str()).append_all(value).build()
    });
    let form =
        has_form.then(|| Element::builder("x", ns::DATA_FORMS).attr(name("type"), "submit").append_all(filled).build());
    Element::builder("command", COMMANDS)
        .attr(name("node"), shown.node.as_str())
        .attr(name("action"), action)
        .attr(name("sessionid"), shown.session.clone())
        .append_all(form)
        .build()
}

/// Returns the short name of somebody.
fn first(who: &FullJid) -> &str {
    who.node().map_or("alice", jid::NodeRef::as_str)
}

#[cfg(test)]
mod tests {
    use parlor_base::clock::Clock;

    use super::*;

    #[test]
    fn a_person_fills_in_what_is_before_them() {
        let own = FullJid::new("bot@example.org/here").unwrap();
        let server = MockServer::new(own, Clock::Machine, |_| {});
        let (alice, plugin) = (FullJid::new("alice@example.org/home").unwrap(), "dice".parse().unwrap());
        let fill = FormAct::FillsIn { field: "sides".to_owned(), value: "6".to_owned() };
        let nothing = server.form(&alice, &plugin, &fill).unwrap_err();
        assert_eq!(nothing.0, "no form is before alice@example.org/home; write: alice opens the form roll");
        server.form(&alice, &plugin, &FormAct::Opens("roll".to_owned())).unwrap();
        assert!(server.form(&alice, &plugin, &FormAct::Sends).is_err(), "it is not answered yet");
        assert_eq!(server.form(&alice, &plugin, &fill).unwrap_err().0, nothing.0, "it has no page yet");
        let page = format!(
            "<iq xmlns='jabber:client' type='result' id='form-1' to='{alice}'><command xmlns='{COMMANDS}' \
             node='dice.roll' sessionid='s' status='executing'><actions execute='complete'><complete/></actions>\
             <x xmlns='jabber:x:data' type='form'><title>Rolls dice</title><field var='sides'><value>20</value></field>\
             </x></command></iq>"
        );
        let stanza = Stanza::try_from(page.parse::<Element>().unwrap()).unwrap();
        let shown = server.server().form_answer(&stanza);
        let Some(Action::Form { shows: FormShown::Page { title, fields, .. }, .. }) = shown else { panic!() };
        assert_eq!((title.as_str(), fields.as_slice()), ("Rolls dice", &[("sides".to_owned(), "20".to_owned())][..]));
        assert!(server.server().form_answer(&stanza).is_none(), "nobody waits for another one");
        let other = FormAct::FillsIn { field: "side".to_owned(), value: "6".to_owned() };
        let other = server.form(&alice, &plugin, &other).unwrap_err();
        assert_eq!(other.0, "the form has no field side; did you mean sides?");
        server.form(&alice, &plugin, &fill).unwrap();
        server.form(&alice, &plugin, &FormAct::Sends).unwrap();
        let sent = server.server().people.shown[&alice].sent.clone().unwrap();
        assert_eq!((sent.attr("action"), sent.attr("sessionid")), (Some("complete"), Some("s")));
        assert_eq!(sent.get_child("x", ns::DATA_FORMS).map(Element::text).as_deref(), Some(""));
        let value = sent.get_child("x", ns::DATA_FORMS).and_then(|form| form.children().next()).unwrap();
        assert_eq!(value.get_child("value", ns::DATA_FORMS).map(Element::text).as_deref(), Some("6"));
    }
}
