//! Rooms with several people (XEP-0045).
//!
//! Reading needs `rooms.read`, entering, leaving and showing `rooms.join`, speaking `rooms.send`, looking after a room
//! `rooms.moderate`, changing what it is `rooms.configure`, each for the room.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! let room = rooms::open("hall@rooms.example.org", rooms::nick("Romeo")).await?;
//! rooms::send(&room, "Good evening!").await?;
//! # Ok(()) }
//! ```
//!
//! A room of one's own, for members only, and a guest:
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! let wish = rooms::nick("Capulet").configured("membersonly", true).configured("roomname", "The ball");
//! let ball = rooms::open("ball@rooms.example.org", wish).await?;
//! rooms::invite(&ball, "paris@example.org", rooms::because("You are expected.")).await?;
//! if let Err(error) = rooms::kick(&ball, "Romeo", Some("not on the list")).await {
//!     warn!("he stays: {error}");
//! }
//! # Ok(()) }
//! ```

use crate::as_json;
use crate::bindings::parlor::plugin::rooms;
use crate::error::Result;
use crate::failure::{located, of_call};
use crate::turns::in_turn;
use crate::types::{Affiliation, Entity, Message, Outgoing, Role, addresses, each};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::bindings::parlor::plugin::rooms::{Affiliated, Attributes, Bookmark, ConfigValue, History, Invitation};
pub use crate::types::{Occupant, Room};

/// Enter as `nick`, and otherwise according to the settings. Without any wish, use `rooms::Attributes::default()`.
pub fn nick(nick: impl Into<String>) -> Attributes {
    Attributes { nick: Some(nick.into()), ..Attributes::default() }
}

/// An invitation with a reason, by way of the room.
pub fn because(reason: impl Into<String>) -> Invitation {
    Invitation { reason: Some(reason.into()), ..Invitation::default() }
}

impl Attributes {
    /// With the room's password.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// With this part of the room's history.
    #[must_use]
    pub fn history(mut self, history: History) -> Self {
        self.history = Some(history);
        self
    }

    /// With at most this number of messages of the room's history.
    #[must_use]
    pub fn last(self, messages: u32) -> Self {
        self.history(History { max_stanzas: Some(messages), ..History::default() })
    }

    /// With a field of the configuration of a room that this creates, named without `muc#roomconfig_`.
    #[must_use]
    pub fn configured(mut self, field: impl Into<String>, value: impl Into<ConfigValue>) -> Self {
        self.auto_configure = true;
        self.roomconfig.push((field.into(), value.into()));
        self
    }

    /// Restored, if it is minimized.
    #[must_use]
    pub fn maximized(mut self) -> Self {
        self.maximize = true;
        self
    }

    /// With these fields of the configuration of a room that this creates, such as those of a map.
    #[must_use]
    pub fn configured_as(
        mut self,
        fields: impl IntoIterator<Item = (impl Into<String>, impl Into<ConfigValue>)>,
    ) -> Self {
        self.auto_configure = true;
        self.roomconfig.extend(fields.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// With the focus, if another chat or room is open.
    #[must_use]
    pub fn in_foreground(mut self) -> Self {
        self.bring_to_foreground = true;
        self
    }
}

impl Invitation {
    /// Straight to the person, and not by way of the room (XEP-0249).
    #[must_use]
    pub fn direct(mut self) -> Self {
        self.direct = true;
        self
    }

    /// Straight to the person, with the room's password.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.direct = true;
        self.password = Some(password.into());
        self
    }
}

/// Returns the room, if it was opened.
#[track_caller]
pub fn get(jid: impl Entity) -> Result<Option<Room>> {
    let jid = jid.address();
    rooms::get(&jid).map_err(of_call("rooms.get", &jid))
}

/// Several, in the same order.
#[track_caller]
pub fn get_many(jids: impl IntoIterator<Item = impl Entity>) -> Result<Vec<Option<Room>>> {
    rooms::get_many(&addresses(jids)).map_err(of_call("rooms.get-many", ""))
}

/// All open ones that the grant covers, ordered by JID.
#[track_caller]
pub fn get_all() -> Result<Vec<Room>> {
    rooms::get_all().map_err(of_call("rooms.get-all", ""))
}

/// The room, entered first where it is not open.
#[track_caller]
pub fn get_or_create(
    jid: impl Entity,
    attributes: impl Into<Attributes>,
) -> impl Future<Output = Result<Option<Room>>> {
    located(async move { get_with(jid, attributes, true).await })
}

/// The room. If it is not open and `create` is true, it is entered with these attributes.
#[track_caller]
pub fn get_with(
    jid: impl Entity,
    attributes: impl Into<Attributes>,
    create: bool,
) -> impl Future<Output = Result<Option<Room>>> {
    located(async move {
        let jid = jid.address();
        rooms::get_or_create(jid.clone(), attributes.into(), create).await.map_err(of_call("rooms.get-or-create", &jid))
    })
}

/// Enters a room, under this nickname or with these attributes, and returns when we are in.
/// [`Error::condition`](crate::Error::condition) says why a room did not let us in.
#[track_caller]
pub fn open(jid: impl Entity, attributes: impl Into<Attributes>) -> impl Future<Output = Result<Room>> {
    located(async move {
        let jid = jid.address();
        rooms::open(jid.clone(), attributes.into()).await.map_err(of_call("rooms.open", &jid))
    })
}

/// Enters several, each with its own result, in the same order. An empty list: all open ones.
#[track_caller]
pub fn open_many(
    jids: impl IntoIterator<Item = impl Entity>,
    attributes: impl Into<Attributes>,
) -> impl Future<Output = Result<Vec<Result<Room>>>> {
    located(async move {
        rooms::open_many(addresses(jids), attributes.into()).await.map(each).map_err(of_call("rooms.open-many", ""))
    })
}

/// Leaves a room.
#[track_caller]
pub fn close(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::close(jid.clone()).await.map_err(of_call("rooms.close", &jid))
    })
}

/// Leaves several, each with its own result, in the same order. An empty list: all open ones.
#[track_caller]
pub fn close_many(jids: impl IntoIterator<Item = impl Entity>) -> impl Future<Output = Result<Vec<Result<()>>>> {
    located(async move { rooms::close_many(addresses(jids)).await.map(each).map_err(of_call("rooms.close-many", "")) })
}

/// Sends a message to a room that we are in, and returns its id once it is queued.
///
/// By that id a correction names it ([`Outgoing::replacing`]); in replies and reactions others name it by the room's own, the
/// `stanza_id` of its echo, which [`Listen::with_own`](crate::listen::Listen::with_own) lets through.
#[track_caller]
pub fn send(jid: impl Entity, message: impl Into<Outgoing>) -> impl Future<Output = Result<String>> {
    located(async move {
        let jid = jid.address();
        let message = message.into();
        in_turn(|| rooms::send(jid.clone(), message.clone())).await.map_err(of_call("rooms.send", &jid))
    })
}

/// Answers publicly, in the room of the message.
#[track_caller]
pub fn reply(to: &Message, message: impl Into<Outgoing>) -> impl Future<Output = Result<String>> {
    located(async move { send(&to.chat, message.into().in_thread_of(to)?).await })
}

/// Returns the people in the room, ordered by nickname.
#[track_caller]
pub fn occupants(jid: impl Entity) -> Result<Vec<Occupant>> {
    let jid = jid.address();
    rooms::occupants(&jid).map_err(of_call("rooms.occupants", &jid))
}

/// Returns the author of a message in a room, or of one from there to us alone, as the room knows them now: role,
/// affiliation, and the real JID if the room shows it. None: the room itself sent it, or the author has left. In a room that
/// gives occupant ids, somebody who has taken the author's nickname since is not the author. Needs `rooms.read` for it.
///
/// ```no_run
/// # use parlor_sdk::prelude::*;
/// # fn example(message: &Message) -> Result<()> {
/// let is_moderator = rooms::occupant_of(message)?.is_some_and(|one| one.role == Role::Moderator);
/// # Ok(()) }
/// ```
#[track_caller]
pub fn occupant_of(message: &Message) -> Result<Option<Occupant>> {
    // A person who writes from a room to us alone has a chat of their own.
    let alone = || message.chat.split_once('/');
    let said =
        if message.is_groupchat() { message.nick.as_deref().map(|nick| (&*message.chat, nick)) } else { alone() };
    let Some((room, nick)) = said else { return Ok(None) };
    // The author may have another nickname by now, and somebody else the old one.
    let is_author = |one: &Occupant| match message.occupant_id.as_ref().zip(one.occupant_id.as_ref()) {
        Some((said, has)) => said == has,
        None => one.nick == nick,
    };
    Ok(occupants(room)?.into_iter().filter(is_author).min_by_key(|one| one.nick != nick))
}

/// Gives the room the focus of a front end that follows.
#[track_caller]
pub fn focus(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::focus(jid.clone()).await.map_err(of_call("rooms.focus", &jid))
    })
}

/// Asks a front end to show the room.
#[track_caller]
pub fn show(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::show(jid.clone()).await.map_err(of_call("rooms.show", &jid))
    })
}

/// No longer small.
#[track_caller]
pub fn maximize(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::maximize(jid.clone()).await.map_err(of_call("rooms.maximize", &jid))
    })
}

/// Minimizes it and removes the focus.
#[track_caller]
pub fn minimize(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::minimize(jid.clone()).await.map_err(of_call("rooms.minimize", &jid))
    })
}

/// Returns the attribute that was set for a front end under this name, read by `serde`; none = it is not set.
#[track_caller]
pub fn get_attribute<T: DeserializeOwned>(jid: impl Entity, name: impl AsRef<str>) -> Result<Option<T>> {
    let jid = jid.address();
    match rooms::get_attribute(&jid, name.as_ref()).map_err(of_call("rooms.get-attribute", &jid))? {
        Some(json) => Ok(Some(serde_json::from_str(&json)?)),
        None => Ok(None),
    }
}

/// Keeps a value for a front end as long as the room is open; a value that is written as `null` removes it.
#[track_caller]
pub fn set_attribute(
    jid: impl Entity,
    name: impl Into<String>,
    value: impl Serialize,
) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        let value = as_json::text(&value)?;
        rooms::set_attribute(jid.clone(), name.into(), value).await.map_err(of_call("rooms.set-attribute", &jid))
    })
}

/// Sets the subject, and returns when the room has taken it; empty = none.
#[track_caller]
pub fn set_subject(jid: impl Entity, subject: impl Into<String>) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::set_subject(jid.clone(), subject.into()).await.map_err(of_call("rooms.set-subject", &jid))
    })
}

/// Gives an occupant a role; `Role::None` kicks.
#[track_caller]
pub fn set_role(
    jid: impl Entity,
    nick: impl Into<String>,
    role: Role,
    reason: Option<&str>,
) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        let reason = reason.map(str::to_owned);
        rooms::set_role(jid.clone(), nick.into(), role.to_string(), reason)
            .await
            .map_err(of_call("rooms.set-role", &jid))
    })
}

/// Gives a person an affiliation; `Affiliation::Outcast` bans.
#[track_caller]
pub fn set_affiliation(
    jid: impl Entity,
    user: impl Into<String>,
    affiliation: Affiliation,
    reason: Option<&str>,
) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        let reason = reason.map(str::to_owned);
        rooms::set_affiliation(jid.clone(), user.into(), affiliation.to_string(), reason)
            .await
            .map_err(of_call("rooms.set-affiliation", &jid))
    })
}

/// Returns the people with this affiliation. A room has no list of people without one.
#[track_caller]
pub fn affiliations(jid: impl Entity, affiliation: Affiliation) -> impl Future<Output = Result<Vec<Affiliated>>> {
    located(async move {
        let jid = jid.address();
        rooms::affiliations(jid.clone(), affiliation.to_string()).await.map_err(of_call("rooms.affiliations", &jid))
    })
}

/// Kicks an occupant, who may come back.
#[track_caller]
pub fn kick(jid: impl Entity, nick: impl Into<String>, reason: Option<&str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::kick(jid.clone(), nick.into(), reason.map(str::to_owned)).await.map_err(of_call("rooms.kick", &jid))
    })
}

/// Bans a person.
#[track_caller]
pub fn ban(jid: impl Entity, user: impl Into<String>, reason: Option<&str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::ban(jid.clone(), user.into(), reason.map(str::to_owned)).await.map_err(of_call("rooms.ban", &jid))
    })
}

/// Retracts somebody's message for all, by its `stanza-id`. The room tells everybody with a message that has `moderated`.
#[track_caller]
pub fn retract(jid: impl Entity, id: impl Into<String>, reason: Option<&str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::retract(jid.clone(), id.into(), reason.map(str::to_owned)).await.map_err(of_call("rooms.retract", &jid))
    })
}

/// Asks the moderators of a moderated room for voice, which a visitor lacks.
#[track_caller]
pub fn request_voice(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::request_voice(jid.clone()).await.map_err(of_call("rooms.request-voice", &jid))
    })
}

/// Answers a visitor who asks for voice, as the event `voiceRequest` tells.
#[track_caller]
pub fn answer_voice(jid: impl Entity, nick: impl Into<String>, allow: bool) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::answer_voice(jid.clone(), nick.into(), allow).await.map_err(of_call("rooms.answer-voice", &jid))
    })
}

/// Registers this account with a room, which reserves the nickname for it. The fields are those of the room's form.
#[track_caller]
pub fn register(
    jid: impl Entity,
    nick: impl Into<String>,
    fields: Vec<(String, ConfigValue)>,
) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::register(jid.clone(), nick.into(), fields).await.map_err(of_call("rooms.register", &jid))
    })
}

/// Ends the registration with a room.
#[track_caller]
pub fn unregister(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::unregister(jid.clone()).await.map_err(of_call("rooms.unregister", &jid))
    })
}

/// Returns the nickname that a room has reserved for this account.
#[track_caller]
pub fn reserved_nick(jid: impl Entity) -> impl Future<Output = Result<Option<String>>> {
    located(async move {
        let jid = jid.address();
        rooms::reserved_nick(jid.clone()).await.map_err(of_call("rooms.reserved-nick", &jid))
    })
}

/// Invites somebody. [`because`] makes an invitation; `Invitation::default()` has no reason.
#[track_caller]
pub fn invite(jid: impl Entity, user: impl Into<String>, invitation: Invitation) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::invite(jid.clone(), user.into(), invitation).await.map_err(of_call("rooms.invite", &jid))
    })
}

/// Declines an invitation that was sent through the room.
#[track_caller]
pub fn decline(jid: impl Entity, inviter: impl Into<String>, reason: Option<&str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::decline(jid.clone(), inviter.into(), reason.map(str::to_owned))
            .await
            .map_err(of_call("rooms.decline", &jid))
    })
}

/// Changes fields of a room's configuration, named without `muc#roomconfig_`; the others stay as they are.
#[track_caller]
pub fn configure(
    jid: impl Entity,
    fields: impl IntoIterator<Item = (impl Into<String>, impl Into<ConfigValue>)>,
) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        let fields: Vec<_> = fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        rooms::configure(jid.clone(), fields).await.map_err(of_call("rooms.configure", &jid))
    })
}

/// Destroys a room, optionally with the address of another room to enter instead.
#[track_caller]
pub fn destroy(jid: impl Entity, reason: Option<&str>, alternative: Option<&str>) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        let (reason, alternative) = (reason.map(str::to_owned), alternative.map(str::to_owned));
        rooms::destroy(jid.clone(), reason, alternative).await.map_err(of_call("rooms.destroy", &jid))
    })
}

/// The bookmarks of this account that the grant covers, ordered by JID.
#[track_caller]
pub fn bookmarks() -> Result<Vec<Bookmark>> {
    rooms::bookmarks().map_err(of_call("rooms.bookmarks", ""))
}

/// Puts down a room for all clients of the account, or changes what was put down of it.
#[track_caller]
pub fn set_bookmark(bookmark: Bookmark) -> impl Future<Output = Result<()>> {
    located(async move { rooms::set_bookmark(bookmark).await.map_err(of_call("rooms.set-bookmark", "")) })
}

/// Removes a bookmark; a room that was entered because of it is left.
#[track_caller]
pub fn remove_bookmark(jid: impl Entity) -> impl Future<Output = Result<()>> {
    located(async move {
        let jid = jid.address();
        rooms::remove_bookmark(jid.clone()).await.map_err(of_call("rooms.remove-bookmark", &jid))
    })
}
