//! A response that follows the log until the client disconnects.

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::http::Body;
use super::lines::{Lines, Said, Wanted};
use super::timed_writer::PART;

/// Lines of the log, and those that come.
pub(super) struct Follower<R> {
    lines: Lines,
    wanted: Wanted,
    news: watch::Receiver<u64>,
    /// The number of the newest line that was looked at.
    newest: u64,
    /// Lines that are not sent yet, the next one last.
    unsent: Vec<Arc<Said>>,
    /// The client, which sends nothing further: a read only ends when it disconnects.
    client: R,
    /// Held for as long as the client follows.
    _place: OwnedSemaphorePermit,
}

impl<R: AsyncRead + Unpin + Send + 'static> Follower<R> {
    /// Begins with the last lines, up to a maximum number.
    pub(super) fn new(lines: &Lines, wanted: Wanted, most: usize, client: R, place: OwnedSemaphorePermit) -> Self {
        // Subscribe before reading, so that no line between the two is missed.
        let mut news = lines.news();
        news.mark_unchanged();
        let (mut unsent, newest) = lines.after(0, &wanted);
        unsent.reverse();
        unsent.truncate(most);
        Self { lines: lines.clone(), wanted, news, newest, unsent, client, _place: place }
    }

    pub(super) fn body(self) -> Body {
        let parts = stream::unfold(self, |mut follower| async move {
            let part = follower.part().await?;
            Some((Ok::<_, Infallible>(Frame::data(part)), follower))
        });
        StreamBody::new(parts).boxed_unsync()
    }

    /// Waits for lines, and returns a part of them. None: the client has disconnected.
    async fn part(&mut self) -> Option<Bytes> {
        while self.unsent.is_empty() {
            let mut nothing = [0; 1];
            tokio::select! {
                changed = self.news.changed() => changed.ok()?,
                _ = self.client.read(&mut nothing) => return None,
            }
            (self.unsent, self.newest) = self.lines.after(self.newest, &self.wanted);
            self.unsent.reverse();
        }
        let mut text = Vec::new();
        while text.len() < PART
            && let Some(line) = self.unsent.pop()
        {
            put(&mut text, &*line).ok()?;
        }
        Some(text.into())
    }
}

/// Writes one line of JSON.
pub(super) fn put(text: &mut Vec<u8>, line: &impl Serialize) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *text, line)?;
    text.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;
    use tokio::sync::Semaphore;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::http::{self, LINES, SharedReader};
    use super::super::routes::refused;
    use super::*;

    #[tokio::test]
    async fn a_follower_gets_each_line_at_once_and_is_gone_when_it_leaves() {
        let (lines, places) = (Lines::default(), Arc::new(Semaphore::new(1)));
        let subscriber = tracing_subscriber::registry().with(lines.clone());
        let _logs = tracing::subscriber::set_default(subscriber);
        for number in 0..3 {
            tracing::info!("before {number}");
        }
        let (mut client, host) = UnixStream::pair().unwrap();
        let (read, write) = host.into_split();
        let read = SharedReader::new(read);
        let follow = |_| {
            let place = Arc::clone(&places).try_acquire_owned().unwrap();
            let follower = Follower::new(&lines, Wanted::default(), 2, read.clone(), place);
            std::future::ready(Ok(http::stream(hyper::StatusCode::OK, LINES, follower.body())))
        };
        let serving = http::serve(read.clone(), write, refused, follow);
        let reading = async {
            client.write_all(b"GET /v1/logs?follow=true HTTP/1.1\r\n\r\n").await.unwrap();
            let mut text = String::new();
            while !text.contains("before 2") {
                text.push_str(std::str::from_utf8(&read_some(&mut client).await).unwrap());
            }
            assert!(text.contains("before 1") && !text.contains("before 0"), "{text}");
            for number in 0..3 {
                tracing::info!("after {number}");
                let text = String::from_utf8(read_some(&mut client).await).unwrap();
                assert!(text.contains(&format!("after {number}")) && text.ends_with("}\n\r\n"), "{text:?}");
            }
            assert_eq!(places.available_permits(), 0);
            drop(client);
        };
        // It ends although no line comes any more.
        let (_, ()) = tokio::join!(serving, reading);
        assert_eq!(places.available_permits(), 1);
    }

    async fn read_some(client: &mut UnixStream) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 << 10);
        assert_ne!(client.read_buf(&mut bytes).await.unwrap(), 0);
        bytes
    }

    #[tokio::test]
    async fn many_lines_come_in_parts() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::registry().with(lines.clone());
        let long = "x".repeat(1 << 10);
        tracing::subscriber::with_default(subscriber, || (0..200).for_each(|_| tracing::info!("{long}")));
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let mut follower = Follower::new(&lines, Wanted::default(), 200, tokio::io::empty(), place);
        let mut text = Vec::new();
        while let Some(part) = follower.part().await {
            assert!(part.len() < 2 * PART, "{} bytes", part.len());
            text.extend_from_slice(&part);
        }
        let numbers = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let numbers = numbers.map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap()["number"].clone());
        assert_eq!(numbers.collect::<Vec<_>>(), (1..=200).collect::<Vec<_>>());
    }
}
