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

/// Waits for something that must happen.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what).await.expect("it happens within a minute")
}
