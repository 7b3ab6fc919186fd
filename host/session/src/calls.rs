//! The commands of plugins to an account, in one file for each feature. A command hands its arguments to the features
//! that carry it out.

pub(super) mod archive;
pub(super) mod bookmarks;
pub(super) mod cards;
pub(super) mod chats;
pub(super) mod commands;
pub(super) mod contacts;
pub(super) mod dialogs;
pub(super) mod disco;
pub(super) mod encryption;
pub(super) mod entities;
pub(super) mod keys;
pub(super) mod messages;
pub(super) mod promises;
pub(super) mod pubsub;
pub(super) mod registration;
pub(super) mod rooms;
pub(super) mod settings;
pub(super) mod stanzas;
pub(super) mod status;

use std::fmt;

use crate::answer::Answer;
use crate::features::Features;
use crate::turn::Turn;

/// A command of a plugin, after its grants were checked.
pub trait Command: fmt::Debug + Send + Sized + 'static {
    /// The answer that the caller gets.
    type Answer: Send + 'static;

    /// Whether the command sends something, so that it waits while the link has no room. Other commands never wait for
    /// the link.
    const SENDS: bool;

    /// Returns about how many bytes of memory the command takes without its answer, as far as that may be much. The
    /// calls limit each argument to some KiB, and account for lists of them themselves.
    fn weight(&self) -> usize {
        0
    }

    /// Carries it out, and answers now or later.
    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>);
}

/// A command of any kind on its way to the session, with its answer.
#[derive(Debug)]
pub struct AnyCommand(Box<dyn Erased>);

impl AnyCommand {
    /// Returns this command with the place where its answer goes.
    pub fn with<C: Command>(command: C, answer: Answer<C::Answer>) -> Self {
        Self(Box::new(Pending { command, answer }))
    }

    /// Returns [`Command::SENDS`].
    pub fn sends(&self) -> bool {
        self.0.sends()
    }

    /// Returns [`Command::weight`].
    pub fn weight(&self) -> usize {
        self.0.weight()
    }

    /// Returns whether the answer is no longer needed: the call was given up, or its plugin has ended.
    pub fn is_abandoned(&self) -> bool {
        self.0.is_abandoned()
    }

    pub(super) fn carry_out(self, features: &mut Features, turn: &mut Turn<'_>) {
        self.0.carry_out(features, turn);
    }
}

struct Pending<C: Command> {
    command: C,
    answer: Answer<C::Answer>,
}

impl<C: Command> fmt::Debug for Pending<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.command.fmt(f)
    }
}

trait Erased: fmt::Debug + Send {
    fn sends(&self) -> bool;
    fn weight(&self) -> usize;
    fn is_abandoned(&self) -> bool;
    fn carry_out(self: Box<Self>, features: &mut Features, turn: &mut Turn<'_>);
}

impl<C: Command> Erased for Pending<C> {
    fn sends(&self) -> bool {
        C::SENDS
    }

    fn weight(&self) -> usize {
        self.command.weight()
    }

    fn is_abandoned(&self) -> bool {
        self.answer.is_abandoned()
    }

    fn carry_out(self: Box<Self>, features: &mut Features, turn: &mut Turn<'_>) {
        self.command.carry_out(self.answer, features, turn);
    }
}

#[cfg(test)]
mod tests {
    use jid::BareJid;
    use parlor_base::id::InstanceId;
    use parlor_stanza::types::Bookmark;

    use super::*;
    use crate::event::EventName;
    use crate::{
        ChangeContact, ConfigValue, ConfigureRoom, ContactChange, OpenRoom, RegisterPromises, RoomOptions, SetBookmark,
    };

    fn weight<C: Command>(command: C) -> usize {
        AnyCommand::with(command, Answer::channel().0).weight()
    }

    /// A field may be as long as a stanza, and a plugin may wait for many calls.
    #[test]
    fn a_command_weighs_what_it_carries() {
        let long = "x".repeat(100_000);
        let fields = || vec![("a".to_owned(), ConfigValue::Text(long.clone()))];
        let jid: BareJid = "room@rooms.example.org".parse().unwrap();
        let options = RoomOptions { configure: Some(fields()), ..RoomOptions::default() };
        let bookmark = Bookmark {
            room: jid.clone(),
            name: None,
            autojoin: false,
            nick: None,
            password: None,
            extensions: Some(long.clone()),
            is_cut: false,
        };
        let names = (0..1_000).map(|number| EventName::from(format!("{number:0>100}").as_str())).collect();
        let groups = ContactChange::SetGroups(vec![long.clone()]);
        for weight in [
            weight(OpenRoom { by: InstanceId::next(), jid: jid.clone(), options }),
            weight(ConfigureRoom { jid, fields: fields() }),
            weight(SetBookmark { bookmark }),
            weight(RegisterPromises { by: InstanceId::next(), names, most: 64 }),
            weight(ChangeContact { jid: "a@b".parse().unwrap(), change: groups }),
        ] {
            assert!(weight >= long.len(), "{weight}");
        }
    }
}
