//! `chats`: private chats.

use jid::BareJid;
use wasmtime::component::Accessor;

use super::types::draft;
use super::{addresses, answer, bare_jid, bare_jids, caller, each, jid, order, pace};
use crate::bindings::parlor::plugin::chats::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::{Chat as WitChat, Error, Outgoing};
use crate::error::CallError;
use crate::permissions::{Permission, Target};
use crate::plugins::{Context, Grouping, Instance};
use crate::session::{Attribute, Command, ViewChange};
use crate::stanza::MessageKind;

impl Host for Context {
    fn get(&mut self, jid: String) -> Result<Option<WitChat>, Error> {
        let found = bare_jid("jid", &jid).and_then(|jid| get(&self.instance, &[Some(jid)]));
        answer(found.map(|mut found| found.pop().flatten()))
    }

    fn get_many(&mut self, jids: Vec<String>) -> Result<Vec<Option<WitChat>>, Error> {
        answer(bare_jids("jids", &jids).and_then(|jids| get(&self.instance, &jids)))
    }

    fn get_attribute(&mut self, jid: String, name: String) -> Result<Option<String>, Error> {
        answer(get_attribute(&self.instance, &jid, &name))
    }

    fn get_all(&mut self) -> Result<Vec<WitChat>, Error> {
        self.instance.require(Permission::ChatsRead, Target::None)?;
        Ok(self.instance.account.snapshot().chats.values().map(|chat| (&**chat).into()).collect())
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn open(accessor: &Accessor<T, Self>, jid: String) -> Result<WitChat, Error> {
        let (instance, _open) = caller(accessor, "chats.open")?;
        instance.require(Permission::ChatsWrite, Target::None)?;
        answer(open(&instance, "jid", &jid).await)
    }

    async fn open_many(accessor: &Accessor<T, Self>, jids: Vec<String>) -> Result<Vec<Result<WitChat, Error>>, Error> {
        let (instance, _open) = caller(accessor, "chats.open-many")?;
        instance.require(Permission::ChatsWrite, Target::None)?;
        if addresses("jids", &jids)?.is_empty() {
            return answer(Err(CallError::invalid("jids", "at least one")));
        }
        Ok(each(jids.iter().map(|jid| open(&instance, "jids", jid))).await)
    }

    async fn close(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        let (instance, _open) = caller(accessor, "chats.close")?;
        instance.require(Permission::ChatsWrite, Target::None)?;
        answer(close(&instance, "jid", &jid).await)
    }

    async fn close_many(accessor: &Accessor<T, Self>, jids: Vec<String>) -> Result<Vec<Result<(), Error>>, Error> {
        let (instance, _open) = caller(accessor, "chats.close-many")?;
        instance.require(Permission::ChatsWrite, Target::None)?;
        Ok(each(addresses("jids", &jids)?.iter().map(|jid| close(&instance, "jids", jid))).await)
    }

    async fn focus(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(change_view(accessor, &jid, ViewChange::Focus).await)
    }

    async fn show(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(change_view(accessor, &jid, ViewChange::Show).await)
    }

    async fn maximize(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(change_view(accessor, &jid, ViewChange::Maximize).await)
    }

    async fn minimize(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(change_view(accessor, &jid, ViewChange::Minimize).await)
    }

    async fn set_attribute(
        accessor: &Accessor<T, Self>,
        jid: String,
        name: String,
        value: String,
    ) -> Result<(), Error> {
        answer(set_attribute(accessor, &jid, &name, &value).await)
    }

    async fn initiate_otr(_: &Accessor<T, Self>, _: String) -> Result<(), Error> {
        answer(Err(no_otr()))
    }

    async fn end_otr(_: &Accessor<T, Self>, _: String) -> Result<(), Error> {
        answer(Err(no_otr()))
    }

    async fn send(accessor: &Accessor<T, Self>, jid: String, message: Outgoing) -> Result<String, Error> {
        answer(send(accessor, &jid, message).await)
    }
}

fn get(instance: &Instance, jids: &[Option<BareJid>]) -> Result<Vec<Option<WitChat>>, CallError> {
    instance.require(Permission::ChatsRead, Target::None)?;
    let snapshot = instance.account.snapshot();
    let open = |jid| snapshot.chats.get(jid).map(|chat| (&**chat).into());
    Ok(jids.iter().map(|jid| jid.as_ref().and_then(open)).collect())
}

async fn open(instance: &std::sync::Arc<Instance>, argument: &str, text: &str) -> Result<WitChat, CallError> {
    let jid = bare_jid(argument, text)?;
    let _waits = instance.waits_for_session();
    let by = instance.id;
    let chat = order(instance, |answer| Command::OpenChat { by, jid, answer }).await?;
    Ok((&*chat).into())
}

async fn close(instance: &Instance, argument: &str, text: &str) -> Result<(), CallError> {
    let jid = bare_jid(argument, text)?;
    order(instance, |answer| Command::CloseChat { jid, answer }).await
}

fn get_attribute(instance: &Instance, text: &str, name: &str) -> Result<Option<String>, CallError> {
    instance.require(Permission::ChatsRead, Target::None)?;
    let jid = bare_jid("jid", text)?;
    Attribute::check_name(name)?;
    let snapshot = instance.account.snapshot();
    let chat = snapshot.chats.get(&jid).ok_or_else(|| CallError::NotFound(format!("an open chat with {jid}")))?;
    Ok(chat.view.attribute(name).map(ToString::to_string))
}

async fn set_attribute<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    text: &str,
    name: &str,
    value: &str,
) -> Result<(), CallError> {
    let (instance, _open) = caller(accessor, "chats.set-attribute")?;
    instance.require(Permission::ChatsWrite, Target::None)?;
    let jid = bare_jid("jid", text)?;
    let attribute = Attribute::parse(name, value)?;
    order(&instance, |answer| Command::SetChatAttribute { jid, attribute, answer }).await
}

async fn change_view<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    text: &str,
    change: ViewChange,
) -> Result<(), CallError> {
    let (instance, _open) = caller(accessor, "chats.change-view")?;
    instance.require(Permission::ChatsWrite, Target::None)?;
    let jid = bare_jid("jid", text)?;
    order(&instance, |answer| Command::ChangeChatView { jid, change, answer }).await
}

fn no_otr() -> CallError {
    CallError::Unsupported("off-the-record messaging (OTR)".to_owned())
}

async fn send<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    text: &str,
    message: Outgoing,
) -> Result<String, CallError> {
    let (instance, _open) = caller(accessor, "chats.send")?;
    let to = jid("jid", text)?;
    let draft = Box::new(draft(message)?);
    instance.require(Permission::MessagesSend, Target::Jid(&to))?;
    pace(&instance).await?;
    instance.ask(|answer| Command::SendMessage { to, kind: MessageKind::Chat, draft, answer }).await
}
