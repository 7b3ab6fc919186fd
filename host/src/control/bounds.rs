//! The limits of requests and connections, which refusals name.

use std::time::Duration;

/// The timeout for a request to arrive.
pub(super) const REQUEST: Duration = Duration::from_secs(10);
/// The longest body of a request, in bytes. An entry of a plugin with the longest value fits into it, in hexadecimal digits. Requests
/// between nodes have room for such a body.
pub(super) const LONGEST_BODY: u64 = 768 << 10;
/// The most connections that may follow the log. The rest is reserved for short requests.
pub(super) const FOLLOWERS: usize = 24;
