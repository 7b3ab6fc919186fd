//! `user`: the account that a plugin runs for.

use std::sync::Arc;

use parlor_session::permissions::{CallName, Target};
use parlor_session::{SetStatus, StatusValue, WaitUntil};
use parlor_stanza::error::CallError;
use parlor_xmpp::Supplied;
use wasmtime::component::Accessor;

use super::pacing::{pace_for_all, pace_order};
use super::{answer, caller, jid, text};
use crate::account::Credentials;
use crate::bindings::parlor::plugin::types::{Error, Status as WitStatus};
use crate::bindings::parlor::plugin::user::{Credentials as WitCredentials, Host, HostWithStore};
use crate::instance::{Context, Grouping, Instance};

/// Maximum length of a status text, in bytes.
const MAX_MESSAGE: usize = 4 << 10;

impl Host for Context {
    fn jid(&mut self) -> String {
        self.instance.account.snapshot().jid.as_str().to_owned()
    }

    fn bare_jid(&mut self) -> String {
        // Copied, and not formatted: plugins ask for it in every handler.
        self.instance.account.own.as_str().to_owned()
    }

    fn get_status(&mut self) -> Result<WitStatus, Error> {
        let granted = self.instance.granted(CallName::UserGetStatus, Target::None)?;
        Ok((&self.instance.snapshot(&granted).status).into())
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn set_status(accessor: &Accessor<T, Self>, value: String, message: Option<String>) -> Result<(), Error> {
        answer(match value.parse() {
            Ok(value) => set(accessor, CallName::UserSetStatus, Some(value), message).await,
            Err(error) => Err(CallError::invalid("value", format!("{error}"))),
        })
    }

    async fn set_status_message(accessor: &Accessor<T, Self>, message: String) -> Result<(), Error> {
        answer(set(accessor, CallName::UserSetStatusMessage, None, Some(message)).await)
    }

    async fn login(accessor: &Accessor<T, Self>, credentials: Option<WitCredentials>) -> Result<(), Error> {
        // Taken over at once, so that the password is wiped in any case.
        let credentials = credentials.map(|WitCredentials { jid, password }| (jid, Supplied::new(password)));
        let (instance, _open) = caller(accessor, CallName::UserLogin)?;
        answer(login(&instance, credentials).await)
    }

    async fn logout(accessor: &Accessor<T, Self>) -> Result<(), Error> {
        let (instance, _open) = caller(accessor, CallName::UserLogout)?;
        answer(logout(&instance).await)
    }
}

async fn login(instance: &Arc<Instance>, credentials: Option<(String, Supplied)>) -> Result<(), CallError> {
    let account = &instance.account;
    let credentials = match credentials {
        None => None,
        Some((text, password)) => {
            let jid = jid("credentials.jid", &text)?;
            if jid.to_bare() != account.own {
                return Err(CallError::invalid(
                    "credentials.jid",
                    format!("is not this account's, which is {}", account.own),
                ));
            }
            if !password.is_usable() {
                return Err(CallError::invalid("credentials.password", "must have 1 to 1024 bytes, and no NUL"));
            }
            Some(Credentials { jid, password })
        }
    };
    let granted = instance.granted(CallName::UserLogout, Target::None)?;
    pace_order(instance, &granted).await?;
    let _waits = instance.waits_for_session();
    account.log_in(instance.asker(), &granted, credentials).await?;
    // Before that, every call that depends on the server's features would fail because they seem to be missing.
    let (by, name) = (instance.id, "discoInitialized".into());
    instance.ask(&granted, WaitUntil { by, name }).await.map(drop)
}

async fn logout(instance: &Arc<Instance>) -> Result<(), CallError> {
    let granted = instance.granted(CallName::UserLogout, Target::None)?;
    pace_order(instance, &granted).await?;
    let _waits = instance.waits_for_session();
    instance.account.log_out(instance.asker(), &granted).await
}

async fn set<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    value: Option<StatusValue>,
    message: Option<String>,
) -> Result<(), CallError> {
    let (instance, _open) = caller(accessor, call)?;
    change(&instance, call, value, message).await
}

async fn change(
    instance: &Instance,
    call: CallName,
    value: Option<StatusValue>,
    message: Option<String>,
) -> Result<(), CallError> {
    if let Some(message) = &message {
        text("message", message, MAX_MESSAGE)?;
    }
    let granted = instance.granted(call, Target::None)?;
    pace_for_all(instance, &granted).await?;
    instance.ask(&granted, SetStatus { value, message }).await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::Ordering::Relaxed;

    use futures_util::poll;
    use jid::BareJid;
    use parlor_config::Settings;
    use parlor_plugins::limits::Limits;
    use parlor_session::{Room, Session, Snapshot};

    use super::*;
    use crate::instance::tests::instance as disconnected_instance;

    /// Returns an instance that may change the status in this many rooms.
    fn in_rooms(rooms: u32, limits: Limits) -> Arc<Instance> {
        let room = |number: u32| {
            let jid: BareJid = format!("{number}@muc.example.org").parse().unwrap();
            (jid.clone(), Arc::new(Room::new(jid, "bot".to_owned())))
        };
        let (instance, _mailbox) = disconnected_instance("\"status.write\" = true", limits);
        let snapshot = Session::new("bot@example.org".parse().unwrap(), Settings::default()).snapshot();
        instance.account.publish(Snapshot { rooms: (0..rooms).map(room).collect(), ..snapshot });
        instance
    }

    /// All others wait until the server has accepted the presence for each room.
    #[tokio::test]
    async fn a_status_counts_once_for_each_room_that_is_told_it() {
        for (rooms, counted) in [(0, 1), (4, 5), (100, 101)] {
            let limits = Limits { messages_per_second: 0, messages_burst: 5, ..Limits::default() };
            let instance = in_rooms(rooms, limits);
            change(&instance, CallName::UserSetStatus, Some(StatusValue::Away), None).await.unwrap();
            assert_eq!(instance.counters.sent.load(Relaxed), counted);
            assert_eq!(
                instance.lasting.budgets.outgoing().take(4.0).is_ok(),
                rooms == 0,
                "what is left, with {rooms} rooms"
            );
        }
    }

    /// For example, after it has opened them.
    #[tokio::test(start_paused = true)]
    async fn a_status_in_many_rooms_waits_as_so_many_stanzas_would_and_is_not_refused() {
        let instance = in_rooms(100, Limits { messages_per_second: 10, messages_burst: 50, ..Limits::default() });
        instance.lasting.budgets.outgoing().take(50.0).unwrap();
        change(&instance, CallName::UserSetStatus, Some(StatusValue::Away), None).await.unwrap();
        assert_eq!(instance.counters.sent.load(Relaxed), 101);
    }

    /// It may wait for half a minute, and everybody who sees the account sees its text.
    #[tokio::test(start_paused = true)]
    async fn a_status_that_waited_for_its_turn_is_not_set_if_the_grant_was_taken_back() {
        let instance = in_rooms(0, Limits::default());
        instance.lasting.budgets.outgoing().take(50.0).unwrap();
        let mut call = pin!(change(&instance, CallName::UserSetStatusMessage, None, Some("hi".to_owned())));
        assert!(poll!(call.as_mut()).is_pending());
        instance.account.router.grant(&instance.mailbox, Arc::default());
        let result = call.await;
        assert!(matches!(result, Err(CallError::Denied { .. })), "{result:?}");
    }

    /// Every plugin gets an event for it.
    #[tokio::test]
    async fn nobody_logs_out_or_in_more_often_than_calls_may_be() {
        let limits = Limits { calls_per_second: 0, ..Limits::default() };
        let (instance, _mailbox) = disconnected_instance("\"session.control\" = true", limits);
        let result = logout(&instance).await;
        assert!(matches!(result, Err(CallError::OverLimit(_))), "{result:?}");
        let result = login(&instance, None).await;
        assert!(matches!(result, Err(CallError::OverLimit(_))), "{result:?}");
    }
}
