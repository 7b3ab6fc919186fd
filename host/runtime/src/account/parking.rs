//! The part of the session in parking a plugin: it keeps what an instance registered.

use parlor_base::id::InstanceId;
use parlor_session::Woken;
use tokio::sync::oneshot;

use super::order::Order;
use super::shared::Shared;

/// Keeps what an instance registered with the session while its plugin is parked.
pub(crate) async fn park(account: &Shared, instance: InstanceId) {
    account.tell(|done| Order::Park { instance, done }).await;
}

/// Removes what a plugin that was parked has not registered again with the session.
pub(crate) async fn wake(account: &Shared, instance: InstanceId) -> Woken {
    let (done, woken) = oneshot::channel();
    match account.order(Order::Wake { instance, done }).await {
        Ok(()) => woken.await.unwrap_or_default(),
        Err(_) => Woken::default(),
    }
}
