//! Registering with rooms (XEP-0045, sections 7.10 and 7.12).

use jid::BareJid;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, Body, Disco, FormField, Registration};

use super::configuring::filled;
use crate::answer::Answer;
use crate::iq::rooms::{ConfigValue, RoomIq, WantedRegistration};
use crate::turn::Turn;

/// The beginning of the names of the form's fields.
const FIELDS: &str = "muc#register_";
/// The field with the nickname.
const NICK: &str = "roomnick";
/// The full name of that field in forms of `MongooseIM`. There, an account registers with the service, for all rooms.
const NICK_OF_SERVICE: &str = "nick";
/// Maximum length of a nickname, in bytes (RFC 7622, section 3.4).
const MAX_NICK: usize = 1_023;

impl Turn<'_> {
    /// Fills in the form by which an account registers with a room.
    pub(super) fn registration_came(
        &mut self,
        jid: &BareJid,
        wanted: WantedRegistration,
        form: Result<Body, CallError>,
        answer: Answer<()>,
    ) {
        match filled_in(jid, form, wanted) {
            // The caller may have ended meanwhile.
            Ok(_) if answer.is_abandoned() => {}
            Ok(fields) => self.ask_room(jid, Ask::Register { fields }, RoomIq::Done(answer)),
            Err(error) => self.answer(answer, Err(error)),
        }
    }
}

fn filled_in(
    jid: &BareJid,
    form: Result<Body, CallError>,
    wanted: WantedRegistration,
) -> Result<Vec<(String, Vec<String>)>, CallError> {
    let registration =
        if let Body::Registration(registration) = form? { registration } else { Registration::default() };
    let form = match registration {
        Registration { form: Some(form), .. } => form,
        // Prosody sends no form to an account that is already registered, but accepts one.
        Registration { is_registered: true, .. } => {
            let kind = "text-single".to_owned();
            vec![FormField { var: format!("{FIELDS}{NICK}"), kind, ..FormField::default() }]
        }
        Registration { .. } => {
            return Err(CallError::Other(format!("{jid} gave no form by which one could register with it")));
        }
    };
    let WantedRegistration { nick, fields } = wanted;
    let has = |name: &str| form.iter().any(|field| field.var == name);
    let is_usual = has(NICK) || has(&format!("{FIELDS}{NICK}")) || !has(NICK_OF_SERVICE);
    let name = if is_usual { NICK } else { NICK_OF_SERVICE };
    let nick = (name.to_owned(), ConfigValue::Text(nick));
    filled(jid, form, std::iter::once(nick).chain(fields).collect(), FIELDS, "fields")
}

/// Returns the nickname in a room's answer. A room that does not know the request may answer with its own features.
pub(super) fn reserved_nick(disco: &Disco) -> Option<String> {
    let about_us = disco.identities.iter().find(|one| one.category == "conference" && disco.features.is_empty());
    about_us?.name.clone().filter(|nick| !nick.is_empty() && nick.len() <= MAX_NICK)
}
