//! The way of alerts from the rest of the host to an account's task.

use super::alerts::Alert;
use super::order::Order;
use super::shared::Shared;

/// Sends an alert to the owners of an account. It never waits: if the account is overloaded, the alert is dropped, but
/// the log still has the event.
pub fn send(shared: &Shared, alert: Alert) {
    let _ = shared.orders.try_send(Box::new(Order::Alert(alert)));
}
