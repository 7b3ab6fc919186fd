//! The calls of `archive`: queries, and streams that stay open between orders.

use std::cell::RefCell;
use std::collections::BTreeMap;

use parlor_sdk::archive::{ArchivedMessage, Messages, Options};
use parlor_sdk::prelude::*;

use super::{arg, unknown};
use crate::json;

thread_local! {
    /// The open streams, by the number of the order that opened them.
    static STREAMS: RefCell<BTreeMap<u64, Messages>> = const { RefCell::new(BTreeMap::new()) };
}

pub(super) async fn call(n: u64, function: &str, args: &Value) -> Result<Value> {
    match function {
        "query" => {
            let page = archive::query(options(args)?).await?;
            let messages = page.messages.iter().map(archived).collect::<Value>();
            Ok(json!({ "messages": messages, "rsm": rsm(&page.rsm) }))
        }
        "next" => Ok(rsm(&options(&args["rsm"])?.next(arg(args, "max")?))),
        "previous" => Ok(rsm(&options(&args["rsm"])?.previous(arg(args, "max")?))),
        // Reads everything at once. Returns the number of messages, the first and the last, and how the stream ended.
        "query-all" => {
            let mut messages = archive::query_all(options(args)?).await?;
            let (mut count, mut first, mut last) = (0, None, None);
            let end = loop {
                match messages.next().await {
                    Ok(Some(one)) => {
                        count += 1;
                        let body = one.message.body.unwrap_or_default();
                        first.get_or_insert_with(|| body.clone());
                        last = Some(body);
                    }
                    Ok(None) => break Value::Null,
                    Err(error) => break json::error(&error),
                }
            };
            Ok(json!({ "count": count, "first": first, "last": last, "end": end }))
        }
        // Opens a stream that later orders read.
        "open" => {
            let messages = archive::query_all(options(args)?).await?;
            STREAMS.with_borrow_mut(|streams| streams.insert(n, messages));
            Ok(n.into())
        }
        "read" => read(arg(args, "stream")?, arg(args, "count")?).await,
        "close" => {
            let stream: u64 = arg(args, "stream")?;
            Ok(STREAMS.with_borrow_mut(|streams| streams.remove(&stream)).is_some().into())
        }
        _ => Err(unknown(function)),
    }
}

/// Reads this many messages of a stream, or as many as there are.
async fn read(stream: u64, count: usize) -> Result<Value> {
    let Some(mut messages) = STREAMS.with_borrow_mut(|streams| streams.remove(&stream)) else {
        return Err(Error::other("there is no such stream"));
    };
    let mut came = Vec::new();
    let mut end = json!("open");
    while came.len() < count {
        match messages.next().await {
            Ok(Some(one)) => came.push(archived(&one)),
            Ok(None) => end = Value::Null,
            Err(error) => end = json::error(&error),
        }
        if end != "open" {
            return Ok(json!({ "messages": came, "end": end }));
        }
    }
    STREAMS.with_borrow_mut(|streams| streams.insert(stream, messages));
    Ok(json!({ "messages": came, "end": end }))
}

fn options(args: &Value) -> Result<Options> {
    Ok(Options {
        with: arg(args, "with")?,
        start: arg(args, "start")?,
        end: arg(args, "end")?,
        max: arg(args, "max")?,
        before: arg(args, "before")?,
        after: arg(args, "after")?,
        index: arg(args, "index")?,
        xml: arg::<Option<bool>>(args, "xml")?.unwrap_or_default(),
        first: arg(args, "first")?,
        last: arg(args, "last")?,
        count: arg(args, "count")?,
        complete: arg(args, "complete")?,
    })
}

fn rsm(rsm: &Options) -> Value {
    json!({
        "with": rsm.with, "start": rsm.start, "end": rsm.end, "max": rsm.max, "before": rsm.before, "after": rsm.after,
        "index": rsm.index, "xml": rsm.xml, "first": rsm.first, "last": rsm.last, "count": rsm.count,
        "complete": rsm.complete,
    })
}

fn archived(one: &ArchivedMessage) -> Value {
    let message = json::message(&one.message);
    json!({ "id": one.id, "stamp": one.stamp, "message": message, "undecryptable": one.undecryptable })
}
