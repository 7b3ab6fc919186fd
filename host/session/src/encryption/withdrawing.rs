//! Takes the own device out of the account's lists when OMEMO is turned off. Others would go on to encrypt for it, and get
//! no answers (XEP-0384, section 6). The own keys stay on disk, so that the device is the same if OMEMO is turned on again.

use parlor_stanza::types::{Ask, OmemoForm, PubsubAsk};

use super::EndToEnd;
use super::publishing::{begin, publish};
use crate::iq::keys::{KeysIq, Published};
use crate::iq::{PATIENCE, Waiting};
use crate::turn::Turn;

/// Takes the own device out of the account's lists, as far as they are known. The others follow on the next stream.
pub(crate) fn withdraw(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    if turn.is_live() {
        for form in OmemoForm::ALL {
            unlist(keys, form, turn);
        }
    }
    keys.published.renew();
}

/// Publishes the own keys after OMEMO was off. The account's lists may have changed unnoticed meanwhile.
pub(crate) fn come_back(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    for form in OmemoForm::ALL {
        keys.published.set_own(form, None);
    }
    begin(keys, turn);
}

/// Takes the own device out of a list. Its keys follow once the server has the list: nobody finds a device without keys.
pub(super) fn unlist(keys: &mut EndToEnd, form: OmemoForm, turn: &mut Turn<'_>) {
    let Some(id) = keys.device.as_ref().map(|device| device.id().get()) else { return };
    if let Some(list) = keys.published.own_mut(form) {
        // A request that adds the device may be on its way, so the list is published even if it lacks it.
        list.remove(id);
        publish(keys, Published::List(form), turn);
    }
}

/// Takes the published keys of a device back.
pub(super) fn take_back(id: u32, form: OmemoForm, turn: &mut Turn<'_>) {
    let ask = match form {
        OmemoForm::Older => PubsubAsk::Delete { node: form.bundle_node(id) },
        OmemoForm::Current => PubsubAsk::Retract { node: form.bundle_node(id), id: form.bundle_item(id) },
    };
    turn.ask(None, Ask::Pubsub(Box::new(ask)), Waiting::Keys(KeysIq::Retract), PATIENCE);
}
