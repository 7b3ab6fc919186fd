//! `promises`: a plugin's own promises, for which others can wait.

use parlor_session::event::{EventName, check_name};
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_session::{RegisterPromises, RejectPromise, TakeOverPromises};
use parlor_stanza::error::CallError;
use wasmtime::component::Accessor;

use super::api::name;
use super::pacing::order;
use super::{answer, bounded, caller, may_fire, renamed, words};
use crate::bindings::parlor::plugin::promises::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping, Instance};

impl Host for Context {}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn add(accessor: &Accessor<T, Self>, name: String) -> Result<(), Error> {
        answer(add(accessor, CallName::PromisesAdd, "name", &[name]).await)
    }

    async fn add_all(accessor: &Accessor<T, Self>, names: Vec<String>) -> Result<(), Error> {
        answer(add(accessor, CallName::PromisesAddAll, "names", &names).await)
    }

    async fn reject(accessor: &Accessor<T, Self>, name: String, reason: String) -> Result<(), Error> {
        answer(reject(accessor, &name, &reason).await)
    }
}

async fn add<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    argument: &str,
    names: &[String],
) -> Result<(), CallError> {
    let (instance, call) = caller(accessor, call)?;
    let granted = call.granted(Target::None)?;
    let names = bounded(argument, names)?.iter().map(|text| name(argument, text)).collect::<Result<Vec<_>, _>>()?;
    names.iter().try_for_each(|name| may_fire(&instance, name))?;
    let added = add_names(&instance, &granted, &names).await;
    instance.registered.has_promises(added.map_err(|error| renamed(error, argument))?);
    Ok(())
}

/// Adds all of these promises, or none. Returns how many the plugin owns then.
async fn add_names(instance: &Instance, granted: &Granted, names: &[EventName]) -> Result<usize, CallError> {
    match add_all(instance, granted, names).await {
        // If a name is taken, the plugin should still start. It fails with the first promise that it cannot add, so it does
        // not matter that the ones before are added.
        Err(CallError::NotOwner(_)) if instance.is_starting() => {
            let mut owned = 0;
            for name in names {
                owned = add_under_any(instance, granted, name).await?;
            }
            Ok(owned)
        }
        added => added,
    }
}

/// Adds a promise by its own name, or by its full one if another plugin has the name.
async fn add_under_any(instance: &Instance, granted: &Granted, name: &EventName) -> Result<usize, CallError> {
    let one = std::slice::from_ref(name);
    match add_all(instance, granted, one).await {
        Err(CallError::NotOwner(taken)) if set_apart(instance, name, &taken) => add_all(instance, granted, one).await,
        added => added,
    }
}

/// Adds all of these promises, or none. Takes those over that this plugin alone declares, and that another one had added before it
/// came.
async fn add_all(instance: &Instance, granted: &Granted, names: &[EventName]) -> Result<usize, CallError> {
    let names: Vec<_> = names.iter().map(|name| known_as(instance, name)).collect();
    let (by, most) = (instance.id, instance.limits.promises as usize);
    let added = order(instance, granted, RegisterPromises { by, names: names.clone(), most }).await;
    let (plugin, account) = (&instance.plugin, &instance.account);
    let declared: Vec<_> = names.iter().filter(|name| account.names.are_only_of(name, plugin)).cloned().collect();
    if declared.is_empty() || !matches!(added, Err(CallError::NotOwner(_))) {
        return added;
    }
    let (owned, taken) = order(instance, granted, TakeOverPromises { by, names, declared, most }).await?;
    for name in &taken {
        tracing::warn!(
            %plugin, account = %account.name, %name,
            "another plugin had added this promise before the plugin came that provides it, which has it from now on"
        );
    }
    Ok(owned)
}

/// Returns the name by which other plugins know a promise or an event of this plugin: with its id if another plugin had the
/// name first.
pub(super) fn known_as(instance: &Instance, name: &EventName) -> EventName {
    if instance.registered.apart().contains(name) { full_name(instance, name) } else { EventName::clone(name) }
}

fn full_name(instance: &Instance, name: &str) -> EventName {
    format!("{}.{name}", instance.plugin).into()
}

/// Lets a promise go by its full name, and warns the owner. Returns false if it already does, or if that would be too long.
fn set_apart(instance: &Instance, name: &EventName, taken: &str) -> bool {
    let full = full_name(instance, name);
    let is_new = check_name(&full).is_ok() && instance.registered.apart().insert(EventName::clone(name));
    if is_new {
        let (plugin, account) = (&instance.plugin, &instance.account.name);
        tracing::warn!(
            %plugin, %account, taken,
            "another plugin of the account has the name of a promise, so others wait for this plugin's as {full} alone; \
             `parlor plugin accounts {plugin}` keeps the plugin to accounts where the other one does not run"
        );
    }
    is_new
}

async fn reject<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    promise: &str,
    reason: &str,
) -> Result<(), CallError> {
    const MAX_REASON: usize = 4 << 10;
    let (instance, call) = caller(accessor, CallName::PromisesReject)?;
    let granted = call.granted(Target::None)?;
    let name = name("name", promise)?;
    // It may have added the promise before the plugin came that declares it.
    may_fire(&instance, &name)?;
    let name = known_as(&instance, &name);
    let reason = words("reason", reason, MAX_REASON)?.to_owned();
    let by = instance.id;
    order(&instance, &granted, RejectPromise { by, name, reason }).await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use parlor_session::event::Payload;
    use parlor_session::{Emit, WaitUntil};
    use parlor_store::Store;

    use super::*;
    use crate::account::Account;
    use crate::instance::tests::{account_config, on_account};
    use crate::threads::Place;

    fn names(all: &[&str]) -> Vec<EventName> {
        all.iter().map(|name| EventName::from(*name)).collect()
    }

    /// Otherwise the second instance of a plugin would not run beside the first one.
    #[tokio::test]
    async fn a_promise_whose_name_is_taken_when_a_plugin_starts_goes_by_its_id() {
        let account = Account::start(account_config(), Store::in_memory(), Place::here());
        let (first, _mailbox) = on_account(account.shared(), "greeter");
        let (second, _other) = on_account(account.shared(), "g-main");
        let host = &Granted::HOST;
        assert_eq!(add_names(&first, host, &names(&["ready"])).await, Ok(1));
        assert_eq!(add_names(&second, host, &names(&["own", "ready"])).await, Ok(2));
        let ready = EventName::from("ready");
        assert_eq!(&*known_as(&first, &ready), "ready");
        assert_eq!(&*known_as(&second, &ready), "g-main.ready");
        assert_eq!(&*known_as(&second, &"own".into()), "own");
        // Each keeps its own promise.
        for by in [&first, &second] {
            let name = known_as(by, &ready);
            let emit = Emit { by: by.id, name: EventName::clone(&name), payload: Payload::None };
            assert_eq!(order(by, host, emit).await, Ok(()));
            assert!(order(by, host, WaitUntil { by: by.id, name }).await.is_ok());
        }
        // A fresh one has the same name.
        assert_eq!(add_names(&second, host, &names(&["ready"])).await, Ok(2));
    }

    /// Others wait for what its manifest says. The other plugin could not have added the promise later.
    #[tokio::test]
    async fn a_plugin_has_the_promise_that_it_alone_declares_also_if_another_one_was_first() {
        let account = Account::start(account_config(), Store::in_memory(), Place::here());
        let (first, _mailbox) = on_account(account.shared(), "first");
        let (owner, _other) = on_account(account.shared(), "owner");
        let (host, ready) = (&Granted::HOST, EventName::from("ready"));
        assert_eq!(add_names(&first, host, &names(&["ready", "own"])).await, Ok(2));
        let emit = |by: &Instance| Emit { by: by.id, name: EventName::clone(&ready), payload: Payload::None };
        assert_eq!(order(&first, host, emit(&first)).await, Ok(()));
        let declared = ["ready".to_owned(), "own".to_owned()];
        account.shared().names.declare(&owner.plugin, declared[..1].iter());
        assert_eq!(add_names(&owner, host, &names(&["ready"])).await, Ok(1));
        assert_eq!(&*known_as(&owner, &ready), "ready");
        assert!(matches!(order(&first, host, emit(&first)).await, Err(CallError::NotOwner(_))));
        assert_eq!(order(&owner, host, emit(&owner)).await, Ok(()));
        // If both declare it, the first one keeps it.
        account.shared().names.declare(&owner.plugin, declared[1..].iter());
        account.shared().names.declare(&first.plugin, declared[1..].iter());
        assert_eq!(add_names(&owner, host, &names(&["own"])).await, Ok(2));
        assert_eq!(&*known_as(&owner, &"own".into()), "owner.own");
    }

    /// `add-all` adds all of them, or none.
    #[tokio::test]
    async fn a_promise_is_taken_over_only_if_all_are_added() {
        let account = Account::start(account_config(), Store::in_memory(), Place::here());
        let (first, _mailbox) = on_account(account.shared(), "first");
        let (owner, _other) = on_account(account.shared(), "owner");
        let host = &Granted::HOST;
        assert_eq!(add_names(&first, host, &names(&["ready", "own"])).await, Ok(2));
        account.shared().names.declare(&owner.plugin, ["ready".to_owned()].iter());
        owner.only_handles.store(true, Relaxed);
        let added = add_names(&owner, host, &names(&["ready", "own"])).await;
        assert!(matches!(added, Err(CallError::NotOwner(_))), "{added:?}");
        let emit = Emit { by: first.id, name: "ready".into(), payload: Payload::None };
        assert_eq!(order(&first, host, emit).await, Ok(()));
        assert_eq!(add_names(&owner, host, &names(&["ready", "new"])).await, Ok(2));
    }

    #[tokio::test]
    async fn a_plugin_that_has_started_gets_no_other_name_for_a_promise() {
        let account = Account::start(account_config(), Store::in_memory(), Place::here());
        let (first, _mailbox) = on_account(account.shared(), "greeter");
        let (second, _other) = on_account(account.shared(), "g-main");
        let (host, long) = (&Granted::HOST, "x".repeat(128));
        assert_eq!(add_names(&first, host, &names(&["ready", &long])).await, Ok(2));
        assert!(matches!(add_names(&second, host, &names(&[&long])).await, Err(CallError::NotOwner(_))), "too long");
        second.only_handles.store(true, Relaxed);
        let taken = add_names(&second, host, &names(&["own", "ready"])).await;
        let says = "the promise ready, which another plugin of this account added first";
        assert_eq!(taken, Err(CallError::NotOwner(says.to_owned())));
    }
}
