//! `contacts`: the roster.

use std::sync::Arc;

use imbl::OrdMap;
use jid::BareJid;

use super::{answer, bare_jid, bounded};
use crate::bindings::parlor::plugin::contacts::Host;
use crate::bindings::parlor::plugin::types::{Contact as WitContact, Error};
use crate::error::CallError;
use crate::permissions::{Permission, Target};
use crate::plugins::{Context, Instance};
use crate::session::Contact;

impl Host for Context {
    fn get(&mut self, jid: String) -> Result<Option<WitContact>, Error> {
        answer(get(&self.instance, "jid", &[jid]).map(|mut found| found.pop().flatten()))
    }

    fn get_many(&mut self, jids: Vec<String>) -> Result<Vec<Option<WitContact>>, Error> {
        answer(get(&self.instance, "jids", &jids))
    }

    fn get_all(&mut self) -> Result<Vec<WitContact>, Error> {
        answer(roster(&self.instance).map(|roster| roster.values().map(|contact| (&**contact).into()).collect()))
    }
}

fn roster(instance: &Instance) -> Result<OrdMap<BareJid, Arc<Contact>>, CallError> {
    instance.require(Permission::ContactsRead, Target::None)?;
    instance.account.snapshot().contacts.clone().ok_or(CallError::NotReady("rosterContactsFetched"))
}

fn get(instance: &Instance, argument: &str, jids: &[String]) -> Result<Vec<Option<WitContact>>, CallError> {
    let roster = roster(instance)?;
    bounded(argument, jids)?
        .iter()
        .map(|text| Ok(roster.get(&bare_jid(argument, text)?).map(|contact| (&**contact).into())))
        .collect()
}
