//! Service discovery (XEP-0030): the features and identities of others and of this account.
//!
//! ```no_run
//! # use parlor_sdk::{prelude::*, types::Feature};
//! # async fn example() -> Result<()> {
//! // Needs `disco.own`; gone with the plugin.
//! disco::own_features_add("urn:example:weather:1").await?;
//! disco::own_identities_add("automation", "weather", "Weather for Verona", None).await?;
//!
//! // Needs `disco.read`.
//! if disco::supports("urn:xmpp:mam:2", user::bare_jid()).await?.supported {
//!     info!("this account has an archive");
//! }
//! let pep = disco::get_identity("pubsub", "pep", user::bare_jid()).await?;
//! on("serviceDiscovered").run(|feature: Feature| async move {
//!     info!("{} can do {}", feature.entity, feature.var);
//!     Ok(())
//! })?;
//! # let _ = pep; Ok(()) }
//! ```

use crate::bindings::parlor::plugin::disco;
use crate::error::Result;
use crate::failure::{located, of_call};
use crate::types::Entity;

pub use disco::{Activity, EntityTime, Identity, Software, Support};

/// Adds a feature to this account. `false`: it was added already. Needs `disco.own`.
#[track_caller]
pub fn own_features_add(name: impl AsRef<str>) -> impl Future<Output = Result<bool>> {
    located(async move {
        disco::own_features_add(name.as_ref().to_owned()).await.map_err(of_call("disco.own-features-add", &name))
    })
}

/// Everything that this account says it can do, the host's own included. Needs `disco.own`.
#[track_caller]
pub fn own_features_get() -> Result<Vec<String>> {
    disco::own_features_get().map_err(of_call("disco.own-features-get", ""))
}

/// Says that this account is something, such as `("client", "bot", "Friar Laurence", None)`. `false`: exactly this was said
/// already. Needs `disco.own`.
#[track_caller]
pub fn own_identities_add(
    category: impl AsRef<str>,
    kind: impl AsRef<str>,
    name: impl AsRef<str>,
    lang: Option<&str>,
) -> impl Future<Output = Result<bool>> {
    located(async move {
        let (category, kind, name) = (category.as_ref().to_owned(), kind.as_ref().to_owned(), name.as_ref().to_owned());
        disco::own_identities_add(category, kind, name, lang.map(str::to_owned))
            .await
            .map_err(of_call("disco.own-identities-add", ""))
    })
}

/// Returns all identities of this account. Needs `disco.own`.
#[track_caller]
pub fn own_identities_get() -> Result<Vec<Identity>> {
    disco::own_identities_get().map_err(of_call("disco.own-identities-get", ""))
}

/// Takes away what this plugin added, and the host's default until this plugin is gone. Needs `disco.own`.
#[track_caller]
pub fn own_identities_clear() -> impl Future<Output = Result<()>> {
    located(async move { disco::own_identities_clear().await.map_err(of_call("disco.own-identities-clear", "")) })
}

/// Returns an entity's identity of this category and kind, if it has one. Needs `disco.read`.
#[track_caller]
pub fn get_identity(
    category: impl AsRef<str>,
    kind: impl AsRef<str>,
    jid: impl Entity,
) -> impl Future<Output = Result<Option<Identity>>> {
    located(async move {
        let jid = jid.address();
        let (category, kind, jid) = (category.as_ref().to_owned(), kind.as_ref().to_owned(), jid.clone());
        disco::get_identity(category, kind, jid).await.map_err(of_call("disco.get-identity", ""))
    })
}

/// Whether an entity can do something. [`Error::Stanza`](crate::Error::Stanza), [`Error::TimedOut`](crate::Error::TimedOut): it did not say. Needs `disco.read`.
#[track_caller]
pub fn supports(feature: impl AsRef<str>, jid: impl Entity) -> impl Future<Output = Result<Support>> {
    located(async move {
        let jid = jid.address();
        disco::supports(feature.as_ref().to_owned(), jid.clone()).await.map_err(of_call("disco.supports", &jid))
    })
}

/// How long an entity has been idle. [`Error::Stanza`](crate::Error::Stanza) with `forbidden`: this account does not see that
/// person's presence. Needs `disco.read`, as the next two do.
#[track_caller]
pub fn last_activity(jid: impl Entity) -> impl Future<Output = Result<Activity>> {
    located(async move {
        let jid = jid.address();
        disco::last_activity(jid.clone()).await.map_err(of_call("disco.last-activity", &jid))
    })
}

/// The clock of an entity, and how far its local time is from UTC.
#[track_caller]
pub fn time(jid: impl Entity) -> impl Future<Output = Result<EntityTime>> {
    located(async move {
        let jid = jid.address();
        disco::time(jid.clone()).await.map_err(of_call("disco.time", &jid))
    })
}

/// The software of an entity.
#[track_caller]
pub fn version(jid: impl Entity) -> impl Future<Output = Result<Software>> {
    located(async move {
        let jid = jid.address();
        disco::version(jid.clone()).await.map_err(of_call("disco.version", &jid))
    })
}
