//! Texts that the other side may not have read: a client that was started anew has lost its keys, and says so by an error. They are sent
//! once more when it has begun again, as libotr does with the last one.

use std::collections::VecDeque;
use std::time::Duration;

use zeroize::Zeroizing;

use super::key::Fingerprint;

/// The mark in front of a text that is sent once more. libotr writes the same.
pub const AGAIN: &str = "[resent] ";
/// The age from which a text is not sent once more.
const RECENT: Duration = Duration::from_mins(1);
/// The greatest number of these texts, and of their bytes.
const MOST: (usize, usize) = (8, 64 << 10);

/// A text that was sent.
struct Sent {
    /// The key of the client that it was encrypted for.
    to: Fingerprint,
    text: Zeroizing<String>,
    at: Duration,
}

/// The texts that were sent since their readers were last heard.
#[derive(Default)]
pub(super) struct Unheard {
    /// The oldest is the first.
    texts: VecDeque<Sent>,
    /// How many errors the other side has reported since. Most clients report one for each text that they cannot read.
    errors: usize,
}

impl Unheard {
    /// Notes a text. Beyond the limits, the oldest is forgotten.
    pub(super) fn sent(&mut self, to: Fingerprint, text: &str, now: Duration) {
        self.forget_old(now);
        self.texts.push_back(Sent { to, text: Zeroizing::new(text.to_owned()), at: now });
        let (most, longest) = MOST;
        while self.texts.len() > most || self.texts.iter().map(|sent| sent.text.len()).sum::<usize>() > longest {
            self.texts.pop_front();
        }
    }

    /// Notes that the owner of a key has written, so that their client has its keys.
    pub(super) fn heard(&mut self, from: Fingerprint) {
        self.texts.retain(|sent| sent.to != from);
        self.errors = 0;
    }

    /// Notes that the other side reports an error.
    pub(super) fn refused(&mut self) {
        self.errors = self.texts.len().min(self.errors + 1);
    }

    /// Takes the last texts for the owner of a key: as many as errors were reported. None of their texts is taken again.
    pub(super) fn take(&mut self, to: Fingerprint, now: Duration) -> Vec<Zeroizing<String>> {
        self.forget_old(now);
        let errors = std::mem::take(&mut self.errors);
        if errors == 0 {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.texts).into_iter();
        let (meant, others): (VecDeque<Sent>, VecDeque<Sent>) = all.partition(|sent| sent.to == to);
        self.texts = others;
        let read = meant.len().saturating_sub(errors);
        meant.into_iter().skip(read).map(|sent| sent.text).collect()
    }

    /// Forgets texts that are too old.
    pub(super) fn forget_old(&mut self, now: Duration) {
        self.texts.retain(|sent| now.saturating_sub(sent.at) < RECENT);
        self.errors = self.errors.min(self.texts.len());
    }
}
