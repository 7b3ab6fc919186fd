//! Entry points for hostile bytes without a connection, for `tests/fuzz` and for property tests. They are not part of a
//! normal build.

use crate::http::Wire;
use futures_util::FutureExt as _;

use super::{bosh, websocket};

/// Feeds what a server may send over BOSH: an HTTP answer with a BOSH answer in it. Returns whether it is valid.
pub fn over_bosh(bytes: &[u8]) -> bool {
    let body = async {
        let mut wire = Wire::new(bytes);
        let head = wire.head().await.ok()?;
        wire.body(&head, bytes.len()).await.ok()
    };
    let body = body.now_or_never().expect("nothing is waited for");
    body.is_some_and(|body| bosh::is_answer(&String::from_utf8_lossy(&body)))
}

/// Feeds what a server may send in one WebSocket message. Returns whether it can be part of a stream.
pub fn over_websocket(text: &str) -> bool {
    let mut out = Vec::new();
    let is_read = websocket::read_frame(text, &mut out).is_ok();
    // A quote becomes six bytes, and an opening element is nearly as long as the stream header.
    assert!(out.len() <= text.len() * 6 + 1024, "{} bytes became {}", text.len(), out.len());
    is_read
}
