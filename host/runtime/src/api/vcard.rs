//! `vcard`: vCards.

use std::sync::Arc;

use jid::Jid;
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_session::{GetCard, KnownCard, SetCard, UpdateCard};
use parlor_stanza::card::{CardChange, MAX_FIELD, MAX_PICTURE, Picture, PictureChange};
use parlor_stanza::error::CallError;
use wasmtime::component::Accessor;

use super::pacing::{pace_for_all, request};
use super::types::date_time;
use super::{answer, caller, jid, words};
use crate::bindings::parlor::plugin::types::Error;
use crate::bindings::parlor::plugin::vcard::{Card as WitCard, CardData, Host, HostWithStore};
use crate::instance::{Context, Grouping, Instance, OpenCall};

impl Host for Context {}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn get(accessor: &Accessor<T, Self>, jid: String, force: bool) -> Result<WitCard, Error> {
        answer(get(accessor, &jid, force).await.map(|known| (&*known).into()))
    }

    async fn set(accessor: &Accessor<T, Self>, data: CardData) -> Result<(), Error> {
        answer(set(accessor, data).await)
    }

    async fn update(accessor: &Accessor<T, Self>, jid: String, force: bool) -> Result<(), Error> {
        answer(update(accessor, &jid, force).await)
    }
}

impl From<&KnownCard> for WitCard {
    fn from(KnownCard { card, updated }: &KnownCard) -> Self {
        Self {
            fn_: card.full_name.clone(),
            nickname: card.nickname.clone(),
            url: card.url.clone(),
            role: card.role.clone(),
            email: card.email.clone(),
            image: card.picture.as_ref().map(|picture| picture.base64().to_owned()),
            image_type: card.picture_type.clone(),
            vcard_updated: date_time(*updated),
        }
    }
}

/// Returns the calling instance, and the address whose vCard is read, if the plugin may.
fn reader<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    text: &str,
) -> Result<(Arc<Instance>, OpenCall, Granted, Jid), CallError> {
    let (instance, open) = caller(accessor, call)?;
    let jid = jid("jid", text)?;
    let granted = instance.granted(call, Target::Jid(&jid))?;
    Ok((instance, open, granted, jid))
}

async fn get<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    jid: &str,
    force: bool,
) -> Result<Arc<KnownCard>, CallError> {
    let (instance, _open, granted, jid) = reader(accessor, CallName::VcardGet, jid)?;
    request(&instance, &granted, GetCard { jid, force }).await
}

async fn update<T: Send + 'static>(accessor: &Accessor<T, Grouping>, jid: &str, force: bool) -> Result<(), CallError> {
    let (instance, _open, granted, jid) = reader(accessor, CallName::VcardUpdate, jid)?;
    request(&instance, &granted, UpdateCard { jid, force }).await
}

async fn set<T: Send + 'static>(accessor: &Accessor<T, Grouping>, data: CardData) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::VcardSet)?;
    if let Some(text) = &data.jid
        && jid("data.jid", text)?.to_bare() != instance.account.own
    {
        return Err(CallError::invalid(
            "data.jid",
            format!("is not this account's, which is {}", instance.account.own),
        ));
    }
    let change = change(data)?;
    let granted = call.granted(Target::None)?;
    let _held = instance.hold(change.weight())?;
    if change.picture.is_some() {
        // Presence announces the new picture.
        pace_for_all(&instance, &granted).await?;
    }
    let by = instance.id;
    request(&instance, &granted, SetCard { by, change }).await
}

fn change(data: CardData) -> Result<CardChange, CallError> {
    let CardData { jid: _, fn_, nickname, url, role, email, image, image_type } = data;
    let picture = match image {
        None => None,
        Some(image) if image.is_empty() => Some(PictureChange::Remove),
        // White space in it is ignored, but limited as well.
        Some(image) if image.len() > 2 * MAX_PICTURE => {
            return Err(CallError::invalid("data.image", format!("has more than {MAX_PICTURE} bytes of base64")));
        }
        Some(image) => Some(PictureChange::Set(Picture::read(&image)?)),
    };
    let change = CardChange {
        full_name: field("data.fn", fn_)?,
        nickname: field("data.nickname", nickname)?,
        url: field("data.url", url)?,
        role: field("data.role", role)?,
        email: field("data.email", email)?,
        picture,
        picture_type: field("data.image-type", image_type)?,
    };
    if change.is_empty() {
        return Err(CallError::invalid("data", "names nothing to be changed"));
    }
    Ok(change)
}

fn field(argument: &str, text: Option<String>) -> Result<Option<String>, CallError> {
    text.as_deref().map(|text| words(argument, text, MAX_FIELD)).transpose()?;
    Ok(text)
}
