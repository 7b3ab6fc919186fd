//! `chatviews`: how private chats should be shown.

use jid::BareJid;
use parlor_session::permissions::{CallName, Target};
use parlor_stanza::error::CallError;

use super::chats::fit;
use super::{answer, bare_jid, bare_jids};
use crate::bindings::parlor::plugin::chatviews::Host;
use crate::bindings::parlor::plugin::types::{Error, View as WitView};
use crate::instance::{Context, Instance};

impl Host for Context {
    fn get(&mut self, jid: String) -> Result<Option<WitView>, Error> {
        let found = bare_jid("jid", &jid).and_then(|jid| get(&self.instance, CallName::ChatviewsGet, &[Some(jid)]));
        answer(found.map(|mut found| found.pop().flatten()))
    }

    fn get_many(&mut self, jids: Vec<String>) -> Result<Vec<Option<WitView>>, Error> {
        answer(bare_jids("jids", &jids).and_then(|jids| get(&self.instance, CallName::ChatviewsGetMany, &jids)))
    }
}

fn get(instance: &Instance, call: CallName, jids: &[Option<BareJid>]) -> Result<Vec<Option<WitView>>, CallError> {
    let snapshot = instance.snapshot(&instance.granted(call, Target::None)?);
    let found: Vec<_> = jids.iter().map(|jid| snapshot.chats.get(jid.as_ref()?)).collect();
    fit(instance, "chatviews.get-many", found.iter().flatten().map(|chat| &***chat))?;
    Ok(found.into_iter().map(|chat| chat.map(|chat| (&**chat).into())).collect())
}
