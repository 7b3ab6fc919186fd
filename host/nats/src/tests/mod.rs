//! Everything against a real server, which is started for each test.

mod connections;
mod keys;
mod logs;
mod moving;
mod nodes;
mod proxy;
mod requests;
mod runs;
mod server;
mod shared;
mod snapshots;
mod stores;

use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;

use crate::Link;

/// Waits for something that must happen.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what).await.expect("it happens within a minute")
}

/// Begins to hear what others send to these subjects: NATS delivers it to each client of their account, also requests.
async fn listen(link: &Link, subjects: &str) -> Subscriber {
    let subscriber = link.client.subscribe(subjects.to_owned()).await.unwrap();
    link.client.flush().await.unwrap();
    subscriber
}

/// Returns all that was sent since [`listen`].
async fn heard(mut subscriber: Subscriber) -> Vec<Message> {
    subscriber.unsubscribe().await.unwrap();
    soon(subscriber.collect()).await
}
