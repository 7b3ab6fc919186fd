//! A link whose stream is for many accounts (XEP-0114). It passes received stanzas on unchanged, with their addresses.

use std::sync::Arc;
use std::time::Duration;

use parlor_config::LinkSettings;
use parlor_stanza::decode::Arrived;
use parlor_stanza::encode::Written;

use super::{Link, LogIn, Stage};

/// Takes the stanzas of a stream.
pub(super) type Post = Arc<dyn Fn(Arrived) + Send + Sync>;

impl Link {
    /// Begins to connect after this time, and passes all stanzas to `post`, which must not panic. Must be called within a
    /// runtime.
    pub(crate) fn of_many(settings: LinkSettings, after: Duration, post: Post) -> Self {
        Self { post: Some(post), ..Self::log_in(settings, LogIn { after, ..LogIn::default() }) }
    }

    /// Same as [`Link::send`], for a stanza that is written already.
    pub(crate) fn send_written(&mut self, stanza: Written) {
        if !matches!(self.stage, Stage::Over) {
            self.queue.push_back(stanza);
        }
    }
}
