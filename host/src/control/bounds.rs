//! The limits of requests and connections, which refusals name.

use std::time::Duration;

/// The timeout for a request to arrive.
pub(super) const REQUEST: Duration = Duration::from_secs(10);
/// The longest body of a request, in bytes: an entry of a plugin with the longest value, in hexadecimal digits, and more of them. What
/// nodes pass on has room for it.
pub(super) const LONGEST_BODY: u64 = 768 << 10;
/// The most connections that may follow the log. The rest is reserved for short requests.
pub(super) const FOLLOWERS: usize = 24;
