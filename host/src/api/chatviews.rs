//! `chatviews`: how private chats should be shown.

use super::types::view;
use super::{answer, bare_jid, bounded};
use crate::bindings::parlor::plugin::chatviews::Host;
use crate::bindings::parlor::plugin::types::{Error, View as WitView};
use crate::error::CallError;
use crate::permissions::{Permission, Target};
use crate::plugins::{Context, Instance};

impl Host for Context {
    fn get(&mut self, jid: String) -> Result<Option<WitView>, Error> {
        answer(get(&self.instance, "jid", &[jid]).map(|mut found| found.pop().flatten()))
    }

    fn get_many(&mut self, jids: Vec<String>) -> Result<Vec<Option<WitView>>, Error> {
        answer(get(&self.instance, "jids", &jids))
    }
}

fn get(instance: &Instance, argument: &str, jids: &[String]) -> Result<Vec<Option<WitView>>, CallError> {
    instance.require(Permission::ChatsRead, Target::None)?;
    let snapshot = instance.account.snapshot();
    bounded(argument, jids)?
        .iter()
        .map(|text| {
            let jid = bare_jid(argument, text)?;
            Ok(snapshot.chats.get(&jid).map(|chat| view(&jid, &chat.view, snapshot.focus.as_ref())))
        })
        .collect()
}
