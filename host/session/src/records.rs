//! The data that readers of a snapshot and listeners of events get. Every feature may name it, and it names no feature.

pub(super) mod card;
pub(super) mod chat;
pub(super) mod command_value;
pub(super) mod contact;
pub(super) mod due_time;
pub(super) mod encryption;
pub(super) mod hook;
pub(super) mod iq_request;
pub(super) mod occupant;
pub(super) mod plugin_request;
pub(super) mod pubsub_item;
pub(super) mod room;
pub(super) mod room_record;
pub(super) mod status;
pub(super) mod view;
pub(super) mod webhook;
