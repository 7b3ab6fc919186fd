//! `promises`: a plugin's own promises, for which others can wait.

use parlor_session::permissions::{CallName, Target};
use parlor_session::{AddPromises, RejectPromise};
use parlor_stanza::error::CallError;
use wasmtime::component::Accessor;

use super::api::name;
use super::{answer, bounded, caller, may_fire, order, renamed, words};
use crate::bindings::parlor::plugin::promises::{Host, HostWithStore};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping};

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
    let (by, most) = (instance.id, instance.limits.promises as usize);
    let added = order(&instance, &granted, AddPromises { by, names, most }).await;
    instance.registered.has_promises(added.map_err(|error| renamed(error, argument))?);
    Ok(())
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
    let reason = words("reason", reason, MAX_REASON)?.to_owned();
    let by = instance.id;
    order(&instance, &granted, RejectPromise { by, name, reason }).await
}
