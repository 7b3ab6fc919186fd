//! `disco`: the features of entities, this account included.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use jid::Jid;
use parlor_base::id::InstanceId;
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_session::{AddFeature, AddIdentity, ClearIdentities, Command, Discover, GetActivity, GetSoftware, GetTime};
use parlor_stanza::error::CallError;
use parlor_stanza::raw::is_one_line;
use parlor_stanza::types::{Activity, Disco, EntityTime, Identity, Software};
use wasmtime::component::Accessor;

use super::pacing::{order, request};
use super::types::date_time;
use super::{answer, caller, jid, text};
use crate::bindings::parlor::plugin::disco::{
    Activity as WitActivity, EntityTime as WitTime, Host, HostWithStore, Identity as WitIdentity,
    Software as WitSoftware, Support,
};
use crate::bindings::parlor::plugin::types::{Error, Feature};
use crate::instance::{Context, Grouping, Instance};

/// Maximum length of a feature, category or kind to look up, and of texts that may wait for the session, which is
/// stricter.
const LONGEST: usize = 1_024;

impl Host for Context {
    fn own_features_get(&mut self) -> Result<Vec<String>, Error> {
        let granted = self.instance.granted(CallName::DiscoOwnFeaturesGet, Target::None)?;
        Ok(self.instance.snapshot(&granted).own.features.clone())
    }

    fn own_identities_get(&mut self) -> Result<Vec<WitIdentity>, Error> {
        let granted = self.instance.granted(CallName::DiscoOwnIdentitiesGet, Target::None)?;
        Ok(self.instance.snapshot(&granted).own.identities.iter().map(Into::into).collect())
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn own_features_add(accessor: &Accessor<T, Self>, name: String) -> Result<bool, Error> {
        let held = held(&[("name", &name)]);
        answer(own(accessor, CallName::DiscoOwnFeaturesAdd, held, |by| AddFeature { by, name }).await)
    }

    async fn own_identities_add(
        accessor: &Accessor<T, Self>,
        category: String,
        kind: String,
        name: String,
        lang: Option<String>,
    ) -> Result<bool, Error> {
        let texts =
            [("category", &*category), ("kind", &kind), ("name", &name), ("lang", lang.as_deref().unwrap_or_default())];
        let held = held(&texts);
        let identity = Identity { category, kind, name: Some(name).filter(|name| !name.is_empty()), lang };
        answer(own(accessor, CallName::DiscoOwnIdentitiesAdd, held, |by| AddIdentity { by, identity }).await)
    }

    async fn own_identities_clear(accessor: &Accessor<T, Self>) -> Result<(), Error> {
        answer(own(accessor, CallName::DiscoOwnIdentitiesClear, Ok(()), |by| ClearIdentities { by }).await)
    }

    async fn get_identity(
        accessor: &Accessor<T, Self>,
        category: String,
        kind: String,
        jid: String,
    ) -> Result<Option<WitIdentity>, Error> {
        answer(get_identity(accessor, &category, &kind, &jid).await)
    }

    async fn supports(accessor: &Accessor<T, Self>, feature: String, jid: String) -> Result<Support, Error> {
        answer(supports(accessor, feature, &jid).await)
    }

    async fn last_activity(accessor: &Accessor<T, Self>, jid: String) -> Result<WitActivity, Error> {
        let call = CallName::DiscoLastActivity;
        let Activity { seconds, status } = about(accessor, call, &jid, |entity| GetActivity { entity }).await?;
        Ok(WitActivity { seconds, status })
    }

    async fn time(accessor: &Accessor<T, Self>, jid: String) -> Result<WitTime, Error> {
        let EntityTime { utc, offset } =
            about(accessor, CallName::DiscoTime, &jid, |entity| GetTime { entity }).await?;
        Ok(WitTime { utc: date_time(utc), offset })
    }

    async fn version(accessor: &Accessor<T, Self>, jid: String) -> Result<WitSoftware, Error> {
        let Software { name, version, os } =
            about(accessor, CallName::DiscoVersion, &jid, |entity| GetSoftware { entity }).await?;
        Ok(WitSoftware { name, version, os })
    }
}

impl From<&Identity> for WitIdentity {
    fn from(identity: &Identity) -> Self {
        Self {
            category: identity.category.clone(),
            kind: identity.kind.clone(),
            name: identity.name.clone(),
            lang: identity.lang.clone(),
        }
    }
}

/// Checks whether these may be held until the session examines them.
fn held(texts: &[(&str, &str)]) -> Result<(), CallError> {
    texts.iter().try_for_each(|(argument, given)| text(argument, given, LONGEST).map(drop))
}

/// Changes the account's own features or identities. The session checks what a plugin may announce.
async fn own<T: Send + 'static, C: Command>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    held: Result<(), CallError>,
    command: impl FnOnce(InstanceId) -> C,
) -> Result<C::Answer, CallError> {
    let (instance, call) = caller(accessor, call)?;
    let granted = call.granted(Target::None)?;
    held?;
    instance.registered.is_announced.store(true, Relaxed);
    order(&instance, &granted, command(instance.id)).await
}

async fn get_identity<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    category: &str,
    kind: &str,
    entity: &str,
) -> Result<Option<WitIdentity>, CallError> {
    let (instance, call) = caller(accessor, CallName::DiscoGetIdentity)?;
    let entity = jid("jid", entity)?;
    let granted = call.granted(Target::Jid(&entity))?;
    for (argument, value) in [("category", category), ("kind", kind)] {
        looked_for(argument, value)?;
    }
    let disco = ask(&instance, &granted, entity).await?;
    let found = disco.identities.iter().find(|one| one.category == category && one.kind == kind);
    Ok(found.map(Into::into))
}

async fn supports<T: Send + 'static>(
    accessor: &Accessor<T, Grouping>,
    feature: String,
    entity: &str,
) -> Result<Support, CallError> {
    let (instance, call) = caller(accessor, CallName::DiscoSupports)?;
    let entity = jid("jid", entity)?;
    let granted = call.granted(Target::Jid(&entity))?;
    looked_for("feature", &feature)?;
    let disco = ask(&instance, &granted, entity.clone()).await?;
    let supported = disco.features.contains(&feature);
    Ok(Support { supported, feature: supported.then(|| Feature { var: feature, entity: entity.to_string() }) })
}

/// Asks an entity about itself. Nothing of the answer is kept.
async fn about<T: Send + 'static, C: Command>(
    accessor: &Accessor<T, Grouping>,
    call: CallName,
    entity: &str,
    command: impl FnOnce(Jid) -> C,
) -> Result<C::Answer, CallError> {
    let (instance, call) = caller(accessor, call)?;
    let entity = jid("jid", entity)?;
    let granted = call.granted(Target::Jid(&entity))?;
    request(&instance, &granted, command(entity)).await
}

fn looked_for(argument: &str, name: &str) -> Result<(), CallError> {
    if text(argument, name, LONGEST)?.is_empty() {
        return Err(CallError::invalid(argument, "is empty"));
    }
    if !is_one_line(name) {
        return Err(CallError::invalid(argument, "contains a control character, and nothing is called by one"));
    }
    Ok(())
}

/// Returns an entity's information: from the snapshot if it is known, which costs no stanza and no command.
async fn ask(instance: &Arc<Instance>, granted: &Granted, entity: Jid) -> Result<Arc<Disco>, CallError> {
    let known = instance.snapshot(granted).known.of(&entity, instance.account.clock.now()).cloned();
    if let Some(known) = known {
        return Ok(known);
    }
    request(instance, granted, Discover { entity }).await
}
