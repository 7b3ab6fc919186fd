//! `chats`: private chats.

use std::sync::Arc;

use jid::BareJid;
use parlor_base::permission::Permission;
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_session::{
    Attribute, BeginOtr, CHAT_FIELDS, ChangeChatView, Chat, CloseChat, EndOtr, OpenChat, SendMessage, SetChatAttribute,
    ViewChange, field_name,
};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Draft, MessageKind};
use serde_json::{Value, json};
use wasmtime::component::Accessor;

use super::pacing::{order, pace, pace_message};
use super::types::{date_time, draft, image, image_type, shown_card, url, vcard_updated};
use super::{addresses, answer, bare_jid, bare_jids, caller, each, fits, jid};
use crate::bindings::parlor::plugin::chats::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::{Chat as WitChat, Error, Outgoing};
use crate::instance::{Context, Grouping, Instance, OpenCall, outgoing};

impl Host for Context {
    fn get(&mut self, jid: String) -> Result<Option<WitChat>, Error> {
        let found = bare_jid("jid", &jid).and_then(|jid| get(&self.instance, CallName::ChatsGet, &[Some(jid)]));
        answer(found.map(|mut found| found.pop().flatten()))
    }

    fn get_many(&mut self, jids: Vec<String>) -> Result<Vec<Option<WitChat>>, Error> {
        answer(bare_jids("jids", &jids).and_then(|jids| get(&self.instance, CallName::ChatsGetMany, &jids)))
    }

    fn get_attribute(&mut self, jid: String, name: String) -> Result<Option<String>, Error> {
        answer(get_attribute(&self.instance, &jid, &name))
    }

    fn get_all(&mut self) -> Result<Vec<WitChat>, Error> {
        let granted = self.instance.granted(CallName::ChatsGetAll, Target::None)?;
        let chats = self.instance.snapshot(&granted).chats.clone();
        fit(&self.instance, "chats.get-many", chats.values().map(|chat| &**chat))?;
        Ok(chats.values().map(|chat| (&**chat).into()).collect())
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn open(accessor: &Accessor<T, Self>, jid: String) -> Result<WitChat, Error> {
        let (instance, call) = caller(accessor, CallName::ChatsOpen)?;
        let granted = call.granted(Target::None)?;
        answer(open(&instance, &granted, "jid", &jid).await)
    }

    async fn open_many(accessor: &Accessor<T, Self>, jids: Vec<String>) -> Result<Vec<Result<WitChat, Error>>, Error> {
        let (instance, call) = caller(accessor, CallName::ChatsOpenMany)?;
        let granted = call.granted(Target::None)?;
        if addresses("jids", &jids)?.is_empty() {
            return answer(Err(CallError::invalid("jids", "at least one")));
        }
        Ok(each(jids.iter().map(|jid| open(&instance, &granted, "jids", jid))).await)
    }

    async fn close(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        let (instance, call) = caller(accessor, CallName::ChatsClose)?;
        let granted = call.granted(Target::None)?;
        answer(close(&instance, &granted, "jid", &jid).await)
    }

    async fn close_many(accessor: &Accessor<T, Self>, jids: Vec<String>) -> Result<Vec<Result<(), Error>>, Error> {
        let (instance, call) = caller(accessor, CallName::ChatsCloseMany)?;
        let granted = call.granted(Target::None)?;
        Ok(each(addresses("jids", &jids)?.iter().map(|jid| close(&instance, &granted, "jids", jid))).await)
    }

    async fn focus(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(change_view(accessor, CallName::ChatsFocus, &jid, ViewChange::Focus).await)
    }

    async fn show(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(change_view(accessor, CallName::ChatsShow, &jid, ViewChange::Show).await)
    }

    async fn maximize(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(change_view(accessor, CallName::ChatsMaximize, &jid, ViewChange::Maximize).await)
    }

    async fn minimize(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(change_view(accessor, CallName::ChatsMinimize, &jid, ViewChange::Minimize).await)
    }

    async fn set_attribute(
        accessor: &Accessor<T, Self>,
        jid: String,
        name: String,
        value: String,
    ) -> Result<(), Error> {
        answer(set_attribute(accessor, &jid, &name, &value).await)
    }

    async fn initiate_otr(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(initiate_otr(accessor, &jid).await)
    }

    async fn end_otr(accessor: &Accessor<T, Self>, jid: String) -> Result<(), Error> {
        answer(end_otr(accessor, &jid).await)
    }

    fn send(
        accessor: &Accessor<T, Self>,
        jid: String,
        message: Outgoing,
    ) -> impl Future<Output = Result<String, Error>> + Send {
        // Before the futures, each of which would have room for the half kilobyte that a message takes in this form.
        let draft = draft(message);
        async move { answer(send(accessor, &jid, draft).await) }
    }
}

fn get(instance: &Instance, call: CallName, jids: &[Option<BareJid>]) -> Result<Vec<Option<WitChat>>, CallError> {
    let snapshot = instance.snapshot(&instance.granted(call, Target::None)?);
    let found: Vec<_> = jids.iter().map(|jid| snapshot.chats.get(jid.as_ref()?)).collect();
    fit(instance, "chats.get-many", found.iter().flatten().map(|chat| &***chat))?;
    Ok(found.into_iter().map(|chat| chat.map(|chat| (&**chat).into())).collect())
}

/// Size of a chat or a view in a plugin's memory without its texts, as the contract lays it out, with its time stamps.
const RECORD: usize = 184;

/// Checks whether a plugin can hold all of these chats, or the views of them, at once. The error names a call that
/// returns fewer.
pub(super) fn fit<'a>(instance: &Instance, call: &str, chats: impl Iterator<Item = &'a Chat>) -> Result<(), CallError> {
    let size = |chat: &Chat| {
        let attributes = chat.view.attributes().map(|(name, value)| 16 + name.len() + value.len()).sum::<usize>();
        RECORD + chat.jid.as_str().len() + chat.fullname.len() + attributes + shown_card(chat.card.as_deref())
    };
    fits(instance, "chats", &format!("ask for fewer with `{call}`"), chats.map(size))
}

async fn open(instance: &Arc<Instance>, granted: &Granted, argument: &str, text: &str) -> Result<WitChat, CallError> {
    let jid = bare_jid(argument, text)?;
    instance.require(Permission::ChatsWrite, Target::Jid(&jid))?;
    let _waits = instance.waits_for_session();
    let by = instance.id;
    let chat = order(instance, granted, OpenChat { by, jid }).await?;
    Ok((&*chat).into())
}

async fn close(instance: &Instance, granted: &Granted, argument: &str, text: &str) -> Result<(), CallError> {
    let jid = bare_jid(argument, text)?;
    order(instance, granted, CloseChat { jid }).await
}

fn get_attribute(instance: &Instance, text: &str, name: &str) -> Result<Option<String>, CallError> {
    let granted = instance.granted(CallName::ChatsGetAttribute, Target::None)?;
    let jid = bare_jid("jid", text)?;
    Attribute::check_name(name)?;
    let snapshot = instance.snapshot(&granted);
    let chat = snapshot.chats.get(&jid).ok_or_else(|| CallError::NotFound(format!("an open chat with {jid}")))?;
    Ok(match field(chat, name) {
        Some(field) => Some(field).filter(|field| !field.is_null()).map(|field| field.to_string()),
        None => chat.view.attribute(name).map(ToString::to_string),
    })
}

/// Returns a field of the record, or of the view. None: it is an attribute.
fn field(chat: &Chat, name: &str) -> Option<Value> {
    let card = chat.card.as_deref();
    Some(match &*field_name(name) {
        "focused" => json!(chat.view.focused),
        "fullname" => json!(chat.fullname),
        "image" => json!(image(card)),
        "image-type" => json!(image_type(card)),
        "jid" => json!(chat.jid.as_str()),
        "last-active" => json!(chat.last_active.map(date_time)),
        "minimized" => json!(chat.view.minimized),
        "opened" => json!(date_time(chat.opened)),
        "otr-status" => json!(chat.otr_status.as_str()),
        "shown" => json!(chat.view.shown),
        // The attribute of the heading takes precedence.
        "url" if chat.view.attribute(name).is_none() => json!(url(card)),
        "vcard-updated" => json!(vcard_updated(card)),
        _ => return None,
    })
}

async fn set_attribute<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    text: &str,
    name: &str,
    value: &str,
) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::ChatsSetAttribute)?;
    let granted = call.granted(Target::None)?;
    let jid = bare_jid("jid", text)?;
    let attribute = Attribute::parse(name, value, CHAT_FIELDS)?;
    order(&instance, &granted, SetChatAttribute { jid, attribute }).await
}

async fn change_view<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    text: &str,
    change: ViewChange,
) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, call)?;
    let granted = call.granted(Target::None)?;
    let jid = bare_jid("jid", text)?;
    order(&instance, &granted, ChangeChatView { jid, change }).await
}

async fn initiate_otr<T: Send + 'static>(accessor: &Accessor<T, Grouping>, text: &str) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, CallName::ChatsInitiateOtr)?;
    let jid = bare_jid("jid", text)?;
    let granted = call.granted(Target::Jid(&jid))?;
    pace(&instance, &granted).await?;
    let _waits = instance.waits_for_session();
    instance.ask(&granted, BeginOtr { by: instance.id, jid }).await
}

async fn end_otr<T: Send + 'static>(accessor: &Accessor<T, Grouping>, text: &str) -> Result<(), CallError> {
    let (_, call) = caller(accessor, CallName::ChatsEndOtr)?;
    end_otr_by(&call, text).await
}

async fn end_otr_by(call: &OpenCall, text: &str) -> Result<(), CallError> {
    let (instance, jid) = (call.instance(), bare_jid("jid", text)?);
    let granted = call.granted(Target::Jid(&jid))?;
    pace(instance, &granted).await?;
    instance.ask(&granted, EndOtr { jid }).await
}

async fn send<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    text: &str,
    draft: Result<Draft, CallError>,
) -> Result<String, CallError> {
    let (instance, call) = caller(accessor, CallName::ChatsSend)?;
    let to = jid("jid", text)?;
    let draft = draft?;
    let granted = call.granted(Target::Jid(&to))?;
    let _held = instance.hold(draft.weight())?;
    let granted = pace_message(&call, granted, Target::Jid(&to), draft.weight()).await?;
    outgoing::send(&instance, &granted, SendMessage { to, kind: MessageKind::Chat, draft }).await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use futures_util::poll;
    use jid::Jid;
    use parlor_plugins::limits::Limits;
    use parlor_session::permissions::Grants;
    use parlor_session::{OtrStatus, View};
    use tokio::time::Instant;

    use super::*;
    use crate::instance::tests::instance as disconnected_instance;

    /// A handler that waits for longer than it may take would end the plugin.
    #[tokio::test(start_paused = true)]
    async fn a_message_waits_for_both_of_its_limits_at_once() {
        let limits = Limits { handler: Some(Duration::from_secs(4)), ..Limits::default() };
        let (instance, _mailbox) = disconnected_instance("\"messages.send\" = [\"*\"]", limits);
        let call = instance.open_call(CallName::ChatsSend).unwrap();
        let to: Jid = "romeo@example.org".parse().unwrap();
        let granted = call.granted(Target::Jid(&to)).unwrap();
        // It would wait 1.9 s for the one, and 3.8 s for the other.
        instance.lasting.budgets.outgoing().owe(68.0);
        instance.lasting.budgets.outgoing_bytes().owe(4.8 * instance.limits.bytes_per_second.as_f64());
        let (began, used) = (Instant::now(), instance.lasting.budgets.outgoing().used());
        let result = pace_message(&call, granted, Target::Jid(&to), 10).await;
        assert!(matches!(result, Err(CallError::OverLimit(_))), "{result:?}");
        assert!(began.elapsed() < Duration::from_millis(1) && instance.lasting.budgets.outgoing().used() <= used);
    }

    /// It may wait for half a minute.
    #[tokio::test(start_paused = true)]
    async fn a_message_that_waited_for_its_turn_goes_by_what_is_granted_then() {
        for (left, is_sent) in
            [("\"messages.send\" = [\"*\"]", true), ("\"messages.send\" = [\"other@example.org\"]", false)]
        {
            let (instance, _mailbox) = disconnected_instance("\"messages.send\" = [\"*\"]", Limits::default());
            let call = instance.open_call(CallName::ChatsSend).unwrap();
            let to: Jid = "romeo@example.org".parse().unwrap();
            let granted = call.granted(Target::Jid(&to)).unwrap();
            instance.lasting.budgets.outgoing().take(50.0).unwrap();
            let mut waits = pin!(pace_message(&call, granted, Target::Jid(&to), 10));
            assert!(poll!(waits.as_mut()).is_pending());
            let left = Grants::from_table(&left.parse().unwrap()).unwrap();
            instance.account.router.grant(&instance.mailbox, Arc::new(left));
            let result = waits.await;
            assert_eq!(result.is_ok(), is_sent, "{result:?}");
            assert_eq!(matches!(result, Err(CallError::Denied { .. })), !is_sent, "{result:?}");
        }
    }

    /// Messages after the end of OTR are sent in plain text.
    #[tokio::test(start_paused = true)]
    async fn a_conversation_is_not_ended_if_the_grant_was_taken_back_while_the_call_waited() {
        let (instance, _mailbox) = disconnected_instance("\"messages.send\" = [\"*\"]", Limits::default());
        let call = instance.open_call(CallName::ChatsEndOtr).unwrap();
        instance.lasting.budgets.outgoing().take(50.0).unwrap();
        let mut ends = pin!(end_otr_by(&call, "romeo@example.org"));
        assert!(poll!(ends.as_mut()).is_pending());
        instance.account.router.grant(&instance.mailbox, Arc::default());
        let result = ends.await;
        assert!(matches!(result, Err(CallError::Denied { .. })), "{result:?}");
    }

    #[test]
    fn each_field_that_is_no_attribute_can_be_read_like_one() {
        let chat = Chat {
            jid: "romeo@example.org".parse().unwrap(),
            fullname: "Romeo".to_owned(),
            opened: "2026-11-20T06:24:00Z".parse().unwrap(),
            view: View::default(),
            last_active: None,
            otr_status: OtrStatus::default(),
            card: None,
        };
        assert_eq!(CHAT_FIELDS.iter().filter(|name| field(&chat, name).is_none()).count(), 0);
        assert_eq!(field(&chat, "jid"), Some(json!("romeo@example.org")));
        assert_eq!(field(&chat, "otrStatus"), Some(Value::Null), "it is not used");
        assert_eq!((field(&chat, "vcard_updated"), field(&chat, "mine")), (Some(Value::Null), None));
    }
}
