//! The interim answers of a server over HTTP/1: those before the answer to a request (RFC 9110, section 15.2).
//!
//! The library skips them. A server may send them without end, as fast as they are read.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use hyper::Request;
use hyper::ext::on_informational;
use tokio::sync::Notify;

/// The maximum number of interim answers before an answer.
pub const MOST: usize = 32;

/// Returns the error for a server that sends too many.
pub fn too_many() -> String {
    format!("it sends more than {MOST} interim answers")
}

/// Counts the interim answers to a request. The returned value is notified when there are too many.
pub fn counted<B>(request: &mut Request<B>) -> Arc<Notify> {
    let flooded = Arc::new(Notify::new());
    let (floods, count) = (Arc::clone(&flooded), AtomicUsize::new(0));
    on_informational(request, move |_| {
        if count.fetch_add(1, Relaxed) == MOST {
            floods.notify_one();
        }
    });
    flooded
}
