//! The parts of a message beside its text: conversion between the host's records and those of the contract.

use parlor_stanza::error::CallError;
use parlor_stanza::types::{Extensions, Fallback, Hint, LinkPreview, Moderated, Reactions, ReplyTo, SharedFile};

use super::super::{bounded, jid};
use super::wit;

impl From<&Extensions> for wit::Extensions {
    fn from(extensions: &Extensions) -> Self {
        Self {
            thread_parent: extensions.thread_parent.clone(),
            fallback: extensions
                .fallback
                .iter()
                .map(|Fallback { feature, part }| wit::Fallback { feature: feature.clone(), part: *part })
                .collect(),
            markable: extensions.markable,
            hints: extensions.hints.iter().map(|hint| hint.as_str().to_owned()).collect(),
            reply: extensions
                .reply
                .as_ref()
                .map(|reply| wit::Reply { id: reply.id.clone(), to: reply.to.as_ref().map(ToString::to_string) }),
            replace: extensions.replace.clone(),
            retract: extensions.retract.clone(),
            moderated: extensions.moderated.as_ref().map(Into::into),
            reactions: extensions
                .reactions
                .as_ref()
                .map(|reactions| wit::Reactions { id: reactions.id.clone(), emojis: reactions.emojis.clone() }),
            receipt_requested: extensions.receipt_requested,
            receipt: extensions.receipt.clone(),
            marker: extensions.marker.clone(),
            marked: extensions.marked.clone(),
            chat_state: extensions.chat_state.clone(),
            files: extensions.files.iter().map(Into::into).collect(),
            unstyled: extensions.unstyled,
            spoiler: extensions.spoiler.clone(),
            previews: extensions.previews.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Moderated> for wit::Moderated {
    fn from(moderated: &Moderated) -> Self {
        let Moderated { id, by, occupant_id, reason } = moderated.clone();
        Self { id, by: by.map(|by| by.to_string()), occupant_id, reason }
    }
}

impl From<&LinkPreview> for wit::LinkPreview {
    fn from(preview: &LinkPreview) -> Self {
        let LinkPreview { url, title, description, image } = preview.clone();
        Self { url, title, description, image }
    }
}

impl From<&SharedFile> for wit::File {
    fn from(file: &SharedFile) -> Self {
        let SharedFile { url, name, media_type, size } = file.clone();
        Self { url, name, media_type, size }
    }
}

/// Converts the extensions of a message that a plugin wants to send.
pub(super) fn extensions(carried: wit::Extensions) -> Result<Extensions, CallError> {
    let reply = match carried.reply {
        None => None,
        Some(wit::Reply { id, to }) => {
            Some(ReplyTo { id, to: to.map(|to| jid("message.extensions.reply.to", &to)).transpose()? })
        }
    };
    let hints = bounded("message.extensions.hints", &carried.hints)?.iter().map(|name| {
        let known = Hint::ALL.map(Hint::as_str).join(", ");
        Hint::named(name)
            .ok_or_else(|| CallError::invalid("message.extensions.hints", format!("{name:.32} is none of {known}")))
    });
    Ok(Extensions {
        thread_parent: carried.thread_parent,
        fallback: carried
            .fallback
            .into_iter()
            .map(|wit::Fallback { feature, part }| Fallback { feature, part })
            .collect(),
        markable: carried.markable,
        hints: hints.collect::<Result<_, _>>()?,
        reply,
        replace: carried.replace,
        retract: carried.retract,
        moderated: carried.moderated.map(moderated).transpose()?,
        reactions: carried.reactions.map(|wit::Reactions { id, emojis }| Reactions { id, emojis }),
        receipt_requested: carried.receipt_requested,
        receipt: carried.receipt,
        marker: carried.marker,
        marked: carried.marked,
        chat_state: carried.chat_state,
        files: carried
            .files
            .into_iter()
            .map(|wit::File { url, name, media_type, size }| SharedFile { url, name, media_type, size })
            .collect(),
        unstyled: carried.unstyled,
        spoiler: carried.spoiler,
        previews: carried
            .previews
            .into_iter()
            .map(|wit::LinkPreview { url, title, description, image }| LinkPreview { url, title, description, image })
            .collect(),
    })
}

/// Converts what no plugin may send, so that the check of the message refuses it by its name.
fn moderated(carried: wit::Moderated) -> Result<Moderated, CallError> {
    let wit::Moderated { id, by, occupant_id, reason } = carried;
    let by = by.map(|by| jid("message.extensions.moderated", &by)).transpose()?;
    Ok(Moderated { id, by, occupant_id, reason })
}
