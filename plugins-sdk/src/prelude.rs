//! The items that nearly every plugin uses: `use parlor_sdk::prelude::*;`.

pub use crate::api::{emit, wait_until};
pub use crate::clock::{now, random};
pub use crate::dialogs::Question;
pub use crate::listen::{Event, Json, on, on_mention, on_message, on_ready};
pub use crate::stanza::Element;
pub use crate::types::{
    Affiliation, Command, Contact, DueTime, Hook, Invite, IqRequest, LinkPreview, Message, Occupant, Outgoing, Payload,
    PluginRequest, PubsubItem, Role, Room, Undecryptable, Webhook,
};
pub use crate::{Error, Result, Value, json, on_stop, spawn};
pub use crate::{
    api, archive, chats, chatviews, commands, connection, contacts, dialogs, disco, files, hooks, http, iq, listen,
    moderation, plugins, promises, pubsub, rooms, schedules, settings, stanza, storage, styling, timers, tokens, user,
    vcard, webhooks,
};
pub use crate::{debug, error, fatal, info, warn};
pub use std::time::Duration;
