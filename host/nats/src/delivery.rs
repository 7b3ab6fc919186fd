//! Deliveries of the records of a stream.

use std::time::Duration;

use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig};
use tokio::time::timeout;

use crate::connect::Link;
use crate::queue::asked;

/// How long several servers may take to begin a delivery, and how often they are asked. The one that is to deliver may be lost while the
/// others do not know it yet. Nobody answers then, and the next request may reach another server.
const BEGIN: Duration = Duration::from_millis(1_500);
const ATTEMPTS: usize = 5;

/// Begins a delivery, and returns it with its name.
///
/// If several servers keep the stream, any of them delivers what it has, which may be less than what the leader has. It delivers the rest
/// once it has it.
pub(crate) async fn begin(link: &Link, stream: &str, config: OrderedConfig) -> Result<(String, Ordered), String> {
    if link.replicas == 1 {
        return asked(begin_once(link, stream, config)).await;
    }
    for _ in 0..ATTEMPTS {
        let once = Box::pin(begin_once(link, stream, config.clone()));
        if let Ok(begun) = timeout(BEGIN, once).await {
            return begun;
        }
    }
    Err("no server begins to deliver".to_owned())
}

async fn begin_once(link: &Link, stream: &str, config: OrderedConfig) -> Result<(String, Ordered), String> {
    let name = format!("parlor-{:016x}", rand::random::<u64>());
    let config = OrderedConfig { name: Some(name.clone()), deliver_subject: link.client.new_inbox(), ..config };
    let consumer = link.jetstream.create_consumer_on_stream(config, stream).await;
    let consumer = consumer.map_err(|error| error.to_string())?;
    let messages = consumer.messages().await.map_err(|error| error.to_string())?;
    Ok((name, messages))
}
