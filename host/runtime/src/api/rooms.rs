//! `rooms`: rooms with several people.

mod arguments;
mod attributes;
mod bookmarks;
mod occupants;
mod reading;

use std::sync::Arc;

use jid::BareJid;
use parlor_base::permission::Permission;
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_session::{
    AnswerVoice, Attribute, ChangeRoomView, CloseRoom, Command, ConfigureRoom, DeclineInvitation, GetReservedNick,
    InviteToRoom, ListAffiliations, ModerateRoom, OpenRoom, ROOM_FIELDS, RegisterWithRoom, RemoveBookmark,
    RequestVoice, RetractInRoom, RoomOptions, SendMessage, SetBookmark, SetRoomAttribute, SetSubject,
    UnregisterFromRoom, ViewChange,
};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Affiliated, Ask, Bookmark, MessageKind};
use wasmtime::component::Accessor;

use self::arguments::{affiliation, fields, has_affiliation, message_id, nick, optional, options, role};
use self::reading::{all, covered, get};
use super::pacing::{order, pace, pace_message, request, request_for_much};
use super::types::draft;
use super::{addresses, answer, bare_jid, bare_jids, caller, each, jid as full_jid, words};
use crate::bindings::parlor::plugin::rooms::{
    Affiliated as WitAffiliated, Attributes, Bookmark as WitBookmark, ConfigValue as WitValue, Host, HostWithStore,
    Invitation,
};
use crate::bindings::parlor::plugin::types::{Error, Occupant as WitOccupant, Outgoing, Room as WitRoom};
use crate::instance::denied::may_reach;
use crate::instance::{Context, Grouping, Instance, OpenCall, outgoing};

/// Maximum length of a subject, in bytes.
const MAX_SUBJECT: usize = 4 << 10;

impl Host for Context {
    fn get(&mut self, jid: String) -> Result<Option<WitRoom>, Error> {
        let found = bare_jid("jid", &jid).and_then(|jid| get(&self.instance, CallName::RoomsGet, &[Some(jid)]));
        answer(found.map(|mut found| found.pop().flatten()))
    }

    fn get_many(&mut self, jids: Vec<String>) -> Result<Vec<Option<WitRoom>>, Error> {
        answer(bare_jids("jids", &jids).and_then(|jids| get(&self.instance, CallName::RoomsGetMany, &jids)))
    }

    fn get_all(&mut self) -> Result<Vec<WitRoom>, Error> {
        answer(all(&self.instance))
    }

    fn occupants(&mut self, jid: String) -> Result<Vec<WitOccupant>, Error> {
        answer(occupants::read(&self.instance, &jid))
    }

    fn get_attribute(&mut self, jid: String, name: String) -> Result<Option<String>, Error> {
        answer(attributes::read(&self.instance, &jid, &name))
    }

    fn bookmarks(&mut self) -> Result<Vec<WitBookmark>, Error> {
        answer(bookmarks::read(&self.instance))
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn get_or_create(
        accessor: &Accessor<T, Self>,
        jid: String,
        attributes: Attributes,
        create: bool,
    ) -> Result<Option<WitRoom>, Error> {
        let (instance, _open) = caller(accessor, CallName::RoomsGetOrCreate)?;
        answer(get_or_create(&instance, &jid, &attributes, create).await)
    }

    async fn open(accessor: &Accessor<T, Self>, jid: String, attributes: Attributes) -> Result<WitRoom, Error> {
        let (instance, _open) = caller(accessor, CallName::RoomsOpen)?;
        answer(open(&instance, CallName::RoomsOpen, "jid", &jid, &options(&attributes)?).await)
    }

    async fn open_many(
        accessor: &Accessor<T, Self>,
        jids: Vec<String>,
        attributes: Attributes,
    ) -> Result<Vec<Result<WitRoom, Error>>, Error> {
        let (instance, _open) = caller(accessor, CallName::RoomsOpenMany)?;
        let options = options(&attributes)?;
        if addresses("jids", &jids)?.is_empty() {
            let rooms = covered(&instance, CallName::RoomsOpenMany)?;
            return Ok(rooms.iter().map(|room| Ok((&**room).into())).collect());
        }
        Ok(each(jids.iter().map(|jid| open(&instance, CallName::RoomsOpenMany, "jids", jid, &options))).await)
    }

    async fn close(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        let (instance, _open) = caller(accessor, CallName::RoomsClose)?;
        let jid = bare_jid("jid", &jid)?;
        answer(close(&instance, CallName::RoomsClose, jid).await)
    }

    async fn close_many(accessor: &Accessor<T, Self>, jids: Vec<String>) -> Result<Vec<Result<(), Error>>, Error> {
        let (instance, _open) = caller(accessor, CallName::RoomsCloseMany)?;
        let all: Vec<_> = if addresses("jids", &jids)?.is_empty() {
            // Denials for the others would name rooms that the plugin may not know of.
            covered(&instance, CallName::RoomsCloseMany)?.into_iter().map(|room| Ok(room.jid.clone())).collect()
        } else {
            jids.iter().map(|jid| bare_jid("jids", jid)).collect()
        };
        Ok(each(all.into_iter().map(async |jid| close(&instance, CallName::RoomsCloseMany, jid?).await)).await)
    }

    async fn send(accessor: &Accessor<T, Self>, jid: String, message: Outgoing) -> Result<String, Error> {
        answer(send(accessor, &jid, message).await)
    }

    async fn focus(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(view(accessor, CallName::RoomsFocus, &jid, ViewChange::Focus).await)
    }

    async fn show(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(view(accessor, CallName::RoomsShow, &jid, ViewChange::Show).await)
    }

    async fn maximize(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(view(accessor, CallName::RoomsMaximize, &jid, ViewChange::Maximize).await)
    }

    async fn minimize(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(view(accessor, CallName::RoomsMinimize, &jid, ViewChange::Minimize).await)
    }

    async fn set_attribute(
        accessor: &Accessor<T, Self>,
        jid: String,
        name: String,
        value: String,
    ) -> Result<(), Error> {
        let room = Caller::new(accessor, CallName::RoomsSetAttribute, &jid)?;
        let attribute = Attribute::parse(&name, &value, ROOM_FIELDS)?;
        answer(room.show(|jid| SetRoomAttribute { jid, attribute }).await)
    }

    async fn set_subject(accessor: &Accessor<T, Self>, jid: String, subject: String) -> Result<(), Error> {
        let room = Caller::new(accessor, CallName::RoomsSetSubject, &jid)?;
        words("subject", &subject, MAX_SUBJECT)?;
        answer(room.ask(|jid| SetSubject { jid, subject }).await)
    }

    async fn set_role(
        accessor: &Accessor<T, Self>,
        jid: String,
        nick: String,
        role: String,
        reason: Option<String>,
    ) -> Result<(), Error> {
        let room = Caller::new(accessor, CallName::RoomsSetRole, &jid)?;
        let role = self::role(&role)?;
        answer(room.set_role(nick, role, reason).await)
    }

    async fn set_affiliation(
        accessor: &Accessor<T, Self>,
        jid: String,
        user: String,
        affiliation: String,
        reason: Option<String>,
    ) -> Result<(), Error> {
        let room = Caller::new(accessor, CallName::RoomsSetAffiliation, &jid)?;
        let affiliation = self::affiliation(&affiliation)?;
        answer(room.set_affiliation(&user, affiliation, reason).await)
    }

    async fn affiliations(
        accessor: &Accessor<T, Self>,
        jid: String,
        affiliation: String,
    ) -> Result<Vec<WitAffiliated>, Error> {
        let room = Caller::new(accessor, CallName::RoomsAffiliations, &jid)?;
        let affiliation = has_affiliation(&affiliation)?;
        let people = room.affiliations(affiliation).await?;
        Ok(people.into_iter().map(Into::into).collect())
    }

    async fn kick(
        accessor: &Accessor<T, Self>,
        jid: String,
        nick: String,
        reason: Option<String>,
    ) -> Result<(), Error> {
        answer(Caller::new(accessor, CallName::RoomsKick, &jid)?.set_role(nick, "none", reason).await)
    }

    async fn ban(accessor: &Accessor<T, Self>, jid: String, user: String, reason: Option<String>) -> Result<(), Error> {
        answer(Caller::new(accessor, CallName::RoomsBan, &jid)?.set_affiliation(&user, "outcast", reason).await)
    }

    async fn retract(
        accessor: &Accessor<T, Self>,
        jid: String,
        id: String,
        reason: Option<String>,
    ) -> Result<(), Error> {
        let room = Caller::new(accessor, CallName::RoomsRetract, &jid)?;
        message_id(&id)?;
        optional("reason", reason.as_ref())?;
        answer(room.ask(|jid| RetractInRoom { jid, id, reason }).await)
    }

    async fn request_voice(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(Caller::new(accessor, CallName::RoomsRequestVoice, &jid)?.ask(|jid| RequestVoice { jid }).await)
    }

    async fn answer_voice(accessor: &Accessor<T, Self>, jid: String, nick: String, allow: bool) -> Result<(), Error> {
        let room = Caller::new(accessor, CallName::RoomsAnswerVoice, &jid)?;
        self::nick(&room.jid, &nick)?;
        answer(room.ask(|jid| AnswerVoice { jid, nick, allow }).await)
    }

    async fn register(
        accessor: &Accessor<T, Self>,
        jid: String,
        nick: String,
        fields: Vec<(String, WitValue)>,
    ) -> Result<(), Error> {
        let room = Caller::new(accessor, CallName::RoomsRegister, &jid)?;
        self::nick(&room.jid, &nick)?;
        let fields = self::fields("fields", &fields)?;
        answer(room.ask(|jid| RegisterWithRoom { jid, nick, fields }).await)
    }

    async fn unregister(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(Caller::new(accessor, CallName::RoomsUnregister, &jid)?.ask(|jid| UnregisterFromRoom { jid }).await)
    }

    async fn reserved_nick(accessor: &Accessor<T, Self>, jid: String) -> Result<Option<String>, Error> {
        answer(Caller::new(accessor, CallName::RoomsReservedNick, &jid)?.ask(|jid| GetReservedNick { jid }).await)
    }

    async fn invite(
        accessor: &Accessor<T, Self>,
        jid: String,
        user: String,
        invitation: Invitation,
    ) -> Result<(), Error> {
        answer(invite(&Caller::new(accessor, CallName::RoomsInvite, &jid)?, &user, invitation).await)
    }

    async fn decline(
        accessor: &Accessor<T, Self>,
        jid: String,
        inviter: String,
        reason: Option<String>,
    ) -> Result<(), Error> {
        let room = Caller::new(accessor, CallName::RoomsDecline, &jid)?;
        let inviter = full_jid("inviter", &inviter)?;
        optional("reason", reason.as_ref())?;
        answer(room.ask(|jid| DeclineInvitation { jid, inviter, reason }).await)
    }

    async fn configure(
        accessor: &Accessor<T, Self>,
        jid: String,
        fields: Vec<(String, WitValue)>,
    ) -> Result<(), Error> {
        let room = Caller::new(accessor, CallName::RoomsConfigure, &jid)?;
        if fields.is_empty() {
            return Err(CallError::invalid("fields", "at least one").into());
        }
        let fields = self::fields("fields", &fields)?;
        answer(room.ask(|jid| ConfigureRoom { jid, fields }).await)
    }

    async fn destroy(
        accessor: &Accessor<T, Self>,
        jid: String,
        reason: Option<String>,
        alternative: Option<String>,
    ) -> Result<(), Error> {
        let room = Caller::new(accessor, CallName::RoomsDestroy, &jid)?;
        let alternative = alternative.map(|jid| bare_jid("alternative", &jid)).transpose()?;
        optional("reason", reason.as_ref())?;
        let order = Ask::DestroyRoom { reason, alternative };
        answer(room.ask(|jid| ModerateRoom { jid, ask: order }).await)
    }

    async fn set_bookmark(accessor: &Accessor<T, Self>, bookmark: WitBookmark) -> Result<(), Error> {
        let (instance, open) = caller(accessor, CallName::RoomsSetBookmark)?;
        let bookmark = arguments::bookmark(bookmark)?;
        let room = Caller { jid: bookmark.room.clone(), instance, open };
        answer(set_bookmark(&room, bookmark).await)
    }

    async fn remove_bookmark(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(Caller::new(accessor, CallName::RoomsRemoveBookmark, &jid)?.ask(|jid| RemoveBookmark { jid }).await)
    }
}

/// A call about one room.
struct Caller {
    instance: Arc<Instance>,
    jid: BareJid,
    /// The call is counted as open as long as this is there.
    open: OpenCall,
}

impl Caller {
    fn new<T: Send + 'static>(accessor: &Accessor<T, Grouping>, call: CallName, jid: &str) -> Result<Self, CallError> {
        let (instance, open) = caller(accessor, call)?;
        Ok(Self { instance, jid: bare_jid("jid", jid)?, open })
    }

    /// Returns the proof that the plugin may make this call for this room.
    fn granted(&self) -> Result<Granted, CallError> {
        self.open.granted(Target::Room(&self.jid))
    }

    /// Carries out an action that sends a stanza.
    async fn ask<C: Command>(&self, command: impl FnOnce(BareJid) -> C) -> Result<C::Answer, CallError> {
        request(&self.instance, &self.granted()?, command(self.jid.clone())).await
    }

    /// Returns the people with an affiliation. The room may list thousands.
    async fn affiliations(&self, affiliation: &'static str) -> Result<Vec<Affiliated>, CallError> {
        let weigh = |people: &Vec<Affiliated>| people.iter().map(Affiliated::weight).sum();
        let command = ListAffiliations { jid: self.jid.clone(), affiliation };
        request_for_much(&self.instance, &self.granted()?, command, weigh).await
    }

    /// Carries out an action that only a front end sees.
    async fn show<C: Command>(&self, command: impl FnOnce(BareJid) -> C) -> Result<C::Answer, CallError> {
        order(&self.instance, &self.granted()?, command(self.jid.clone())).await
    }

    async fn set_role(&self, nick: String, role: &'static str, reason: Option<String>) -> Result<(), CallError> {
        self::nick(&self.jid, &nick)?;
        optional("reason", reason.as_ref())?;
        let order = Ask::SetRole { nick, role, reason };
        self.ask(|jid| ModerateRoom { jid, ask: order }).await
    }

    async fn set_affiliation(
        &self,
        user: &str,
        affiliation: &'static str,
        reason: Option<String>,
    ) -> Result<(), CallError> {
        let user = bare_jid("user", user)?;
        optional("reason", reason.as_ref())?;
        let order = Ask::SetAffiliation { user, affiliation, reason };
        self.ask(|jid| ModerateRoom { jid, ask: order }).await
    }
}

async fn view<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    jid: &str,
    change: ViewChange,
) -> Result<(), CallError> {
    Caller::new(accessor, call, jid)?.show(|jid| ChangeRoomView { jid, change }).await
}

async fn get_or_create(
    instance: &Arc<Instance>,
    jid: &str,
    attributes: &Attributes,
    create: bool,
) -> Result<Option<WitRoom>, CallError> {
    let options = options(attributes)?;
    let found = get(instance, CallName::RoomsGetOrCreate, &[Some(bare_jid("jid", jid)?)])?.pop().flatten();
    match found {
        Some(room) if room.joined || !create => Ok(Some(room)),
        None if !create => Ok(None),
        // To enter it takes what entering takes.
        _ => open(instance, CallName::RoomsOpen, "jid", jid, &options).await.map(Some),
    }
}

async fn open(
    instance: &Arc<Instance>,
    call: CallName,
    argument: &str,
    jid: &str,
    options: &RoomOptions,
) -> Result<WitRoom, CallError> {
    let jid = bare_jid(argument, jid)?;
    let granted = instance.granted(call, Target::Room(&jid))?;
    may_configure(instance, &jid, options)?;
    let place = instance.open_room(&jid)?;
    let opening = async {
        pace(instance, &granted).await?;
        may_configure(instance, &jid, options)?;
        // Only now: most calls of a list wait, and the options of each may be as long as a stanza.
        let (by, options) = (instance.id, options.clone());
        let _waits = instance.waits_for_session();
        instance.ask(&granted, OpenRoom { by, jid, options }).await
    };
    let opened = opening.await;
    place.ended(opened.is_ok());
    Ok((&*opened?).into())
}

/// Checks that the plugin may configure a room, if it wants that of a room that it enters.
fn may_configure(instance: &Instance, jid: &BareJid, options: &RoomOptions) -> Result<(), CallError> {
    match &options.configure {
        Some(fields) if !fields.is_empty() => instance.require(Permission::RoomsConfigure, Target::Room(jid)),
        Some(_) | None => Ok(()),
    }
}

async fn invite(room: &Caller, user: &str, invitation: Invitation) -> Result<(), CallError> {
    let user = bare_jid("user", user)?;
    let Invitation { reason, direct, password } = invitation;
    optional("invitation.reason", reason.as_ref())?;
    optional("invitation.password", password.as_ref())?;
    if !direct && password.is_some() {
        return Err(CallError::invalid(
            "invitation.password",
            "goes with a direct invitation only: a room adds its own",
        ));
    }
    if direct {
        // The account itself writes to that address.
        may_reach(&room.instance, Permission::RoomsModerate, Target::Jid(&user))?;
    }
    room.ask(|jid| InviteToRoom { jid, user, direct, reason, password }).await
}

/// Stores a bookmark. With `autojoin` the account enters the room automatically, at once and after each log-in, so the
/// room counts as opened.
async fn set_bookmark(room: &Caller, bookmark: Bookmark) -> Result<(), CallError> {
    room.granted()?;
    let place = bookmark.autojoin.then(|| room.instance.open_room(&room.jid)).transpose()?;
    let set = room.ask(|_| SetBookmark { bookmark }).await;
    if let Some(place) = place {
        place.ended(set.is_ok());
    }
    set
}

async fn close(instance: &Instance, call: CallName, jid: BareJid) -> Result<(), CallError> {
    let granted = instance.granted(call, Target::Room(&jid))?;
    let by = instance.id;
    order(instance, &granted, CloseRoom { by, jid }).await
}

async fn send<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    jid: &str,
    message: Outgoing,
) -> Result<String, CallError> {
    let (instance, call) = caller(accessor, CallName::RoomsSend)?;
    let jid = bare_jid("jid", jid)?;
    let draft = draft(message)?;
    let granted = call.granted(Target::Room(&jid))?;
    let _held = instance.hold(draft.weight())?;
    let granted = pace_message(&call, granted, Target::Room(&jid), draft.weight()).await?;
    let to = jid.into();
    outgoing::send(&instance, &granted, SendMessage { to, kind: MessageKind::Groupchat, draft }).await
}

#[cfg(test)]
mod tests;
