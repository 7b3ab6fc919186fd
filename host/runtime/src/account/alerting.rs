//! The way of alerts from the rest of the host to an account's task.

use super::alerts::Alert;
use super::order::Order;
use super::shared::Shared;

/// Tells the owners of an account something. Nothing waits: if the account has too much to do, the alert is dropped, and
/// the log says what happened all the same.
pub fn send(shared: &Shared, alert: Alert) {
    let _ = shared.orders.try_send(Order::Alert(alert));
}
