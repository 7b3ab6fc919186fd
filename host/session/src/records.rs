//! The data that readers of a snapshot and listeners of events get. Every feature may name it, and it names no feature.

pub(crate) mod card;
pub(crate) mod chat;
pub(crate) mod contact;
pub(crate) mod occupant;
pub(crate) mod room;
pub(crate) mod status;
pub(crate) mod view;
