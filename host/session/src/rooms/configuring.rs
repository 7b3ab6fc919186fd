//! Configuring rooms: new ones before others may enter, and existing ones later (XEP-0045, sections 10.1 and 10.2).

use std::collections::HashMap;

use jid::BareJid;
use parlor_stanza::draft::written_len;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, Body, FormField, MAX_FORM_FIELDS, MAX_FORM_VALUES};

use super::RoomTurn;
use super::membership::Stage;
use crate::answer::Answer;
use crate::iq::rooms::{ConfigValue, RoomIq, Wanted};
use crate::turn::{FollowUp, Turn};

/// Maximum length of a submitted form as XML; servers end the whole stream at 256 KiB.
const MAX_FORM_WRITTEN: usize = 200 << 10;
/// Length of the markup around each text.
const AROUND: usize = "<field var=''></field><value></value>".len();

impl RoomTurn<'_, '_> {
    pub(super) fn new_form_came(&mut self, wanted: Wanted, form: Result<Body, CallError>) {
        let jid = self.jid;
        match filled_in(jid, form, wanted, "attributes.roomconfig") {
            Ok(fields) => self.turn.ask_room(jid, Ask::ConfigureRoom { fields }, RoomIq::ConfiguredNew),
            Err(error) => self.new_room_failed(&error),
        }
    }

    /// Handles the answer to the configuration of a room that we created.
    pub(super) fn configured_new(&mut self, result: &Result<(), CallError>) {
        let jid = self.jid;
        if self.rooms.stage(jid) != Some(Stage::Configuring) {
            return;
        }
        match result {
            Ok(()) => {
                if let Some(membership) = self.rooms.membership(jid) {
                    membership.stage = Stage::Inside;
                }
                self.turn.follow(FollowUp::RoomChanged(jid.clone()));
                self.settled_in();
            }
            Err(error) => self.new_room_failed(error),
        }
    }

    /// Gives up a room that we created and that others cannot enter. It ends when we leave.
    fn new_room_failed(&mut self, error: &CallError) {
        let jid = self.jid;
        let Some(membership) = self.rooms.membership(jid).filter(|room| room.stage == Stage::Configuring) else {
            return;
        };
        let joiners = std::mem::take(&mut membership.joiners);
        self.turn.ask_room(jid, Ask::CancelRoomConfig, RoomIq::GivenUp);
        self.leave(None);
        for joiner in joiners {
            self.turn.answer(joiner.answer, Err(error.clone()));
        }
    }
}

impl Turn<'_> {
    pub(super) fn form_came(
        &mut self,
        jid: &BareJid,
        wanted: Wanted,
        form: Result<Body, CallError>,
        answer: Answer<()>,
    ) {
        match filled_in(jid, form, wanted, "fields") {
            // The caller may have ended meanwhile.
            Ok(_) if answer.is_abandoned() => {}
            Ok(fields) => self.ask_room(jid, Ask::ConfigureRoom { fields }, RoomIq::Done(answer)),
            Err(error) => self.answer(answer, Err(error)),
        }
    }

    /// Configures a room that we just created. Others cannot enter it before that.
    pub(super) fn configure_new(&mut self, jid: &BareJid, wanted: Wanted) {
        if wanted.is_empty() {
            self.ask_room(jid, Ask::ConfigureRoom { fields: Vec::new() }, RoomIq::ConfiguredNew);
        } else {
            self.ask_room(jid, Ask::RoomConfig, RoomIq::NewForm(wanted));
        }
    }
}

/// Fills in the form. Fields that were not named keep the room's values.
fn filled_in(
    jid: &BareJid,
    form: Result<Body, CallError>,
    wanted: Wanted,
    argument: &str,
) -> Result<Vec<(String, Vec<String>)>, CallError> {
    let Body::RoomForm(form) = form? else {
        return Err(CallError::Other(format!("{jid} gave no form by which it could be configured")));
    };
    filled(jid, form, wanted, "muc#roomconfig_", argument)
}

/// Fills in a form of a room. The names of its fields begin with `prefix`, which plugins leave out.
pub(super) fn filled(
    jid: &BareJid,
    form: Vec<FormField>,
    wanted: Wanted,
    prefix: &str,
    argument: &str,
) -> Result<Vec<(String, Vec<String>)>, CallError> {
    if form.len() > MAX_FORM_FIELDS {
        return Err(CallError::Other(format!("the form of {jid} has more than {MAX_FORM_FIELDS} fields")));
    }
    let mut values = HashMap::new();
    for (name, value) in wanted {
        let argument = format!("{argument}.{name}");
        let full = format!("{prefix}{name}");
        let field = form.iter().find(|field| field.var == full).or_else(|| form.iter().find(|field| field.var == name));
        let field = field.ok_or_else(|| CallError::invalid(&*argument, format!("{jid} has no such field")))?;
        let value = fitting(field, value).map_err(|reason| CallError::invalid(&*argument, reason))?;
        if values.insert(field.var.clone(), value).is_some() {
            return Err(CallError::invalid(&*argument, "is there twice"));
        }
    }
    // The host has not read all of its values, and the room would lose the others.
    let is_long = |field: &&FormField| field.values.len() > MAX_FORM_VALUES && !values.contains_key(&field.var);
    if let Some(long) = form.iter().find(is_long) {
        let reason = format!("{:.64} of {jid} has more than {MAX_FORM_VALUES} values; give all of them", long.var);
        return Err(CallError::OverLimit(reason));
    }
    // The form's type comes first, and is written for every form.
    let fields = form.into_iter().filter(|field| field.var != "FORM_TYPE");
    let fields: Vec<_> =
        fields.map(|field| (values.remove(&field.var).unwrap_or(field.values), field.var)).map(swapped).collect();
    let written: usize = fields
        .iter()
        .flat_map(|(name, values)| std::iter::once(name).chain(values))
        .map(|text| AROUND + written_len(text))
        .sum();
    if written > MAX_FORM_WRITTEN {
        let reason = format!("the form of {jid} has {written} bytes of XML; at most {MAX_FORM_WRITTEN} are sent");
        return Err(CallError::OverLimit(reason));
    }
    Ok(fields)
}

fn swapped<A, B>((a, b): (A, B)) -> (B, A) {
    (b, a)
}

/// Converts a value for a field of this type (XEP-0004, section 3.3).
fn fitting(field: &FormField, value: ConfigValue) -> Result<Vec<String>, String> {
    let multiple = field.kind.ends_with("-multi");
    let values = match value {
        ConfigValue::Flag(flag) => vec![if flag { "1" } else { "0" }.to_owned()],
        ConfigValue::Text(text) if field.kind == "text-multi" => text.lines().map(str::to_owned).collect(),
        ConfigValue::Text(text) => vec![text],
        ConfigValue::Texts(texts) if multiple || texts.len() == 1 => texts,
        ConfigValue::Texts(texts) => {
            return Err(format!("is of the type {}, and has one value, not {}", field.kind, texts.len()));
        }
    };
    if field.kind == "boolean" {
        return match values.first().map(String::as_str) {
            Some("1" | "true") => Ok(vec!["1".to_owned()]),
            Some("0" | "false") => Ok(vec!["0".to_owned()]),
            _ => Err("is a boolean: true, false, 1 or 0".to_owned()),
        };
    }
    if !field.options.is_empty() && values.iter().any(|value| !field.options.contains(value)) {
        let shown = field.options.iter().take(32).map(|option| format!("{option:.64}")).collect::<Vec<_>>();
        return Err(format!("has a value that is none of {}", shown.join(", ")));
    }
    Ok(values)
}
