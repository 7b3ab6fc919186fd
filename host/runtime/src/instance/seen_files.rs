//! The files of messages that a plugin was shown: it may fetch these, and no others.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use parlor_stanza::types::{Carbon, Message, SharedFile};

/// The number of addresses that are remembered.
const REMEMBERED: usize = 1_000;

/// Digests of the addresses, the newest last. A plugin that was shown none takes no memory.
#[derive(Debug, Default)]
pub(crate) struct SeenFiles(Mutex<Option<Box<Digests>>>);

#[derive(Debug, Default)]
struct Digests {
    /// It is randomly keyed, so that no one can find two addresses with the same digest.
    hasher: RandomState,
    known: VecDeque<u64>,
}

impl SeenFiles {
    /// Returns whether a message has files to note.
    pub(super) fn are_in(message: &Message) -> bool {
        !files(message).is_empty()
    }

    /// Notes the files of a message that is shown now.
    pub(super) fn note(&self, message: &Message) {
        let files = files(message);
        if files.is_empty() {
            return;
        }
        let mut digests = self.digests();
        let digests = digests.get_or_insert_default();
        for file in files {
            let digest = digests.hasher.hash_one(&file.url);
            if digests.known.contains(&digest) {
                continue;
            }
            if digests.known.len() >= REMEMBERED {
                digests.known.pop_front();
            }
            digests.known.push_back(digest);
        }
    }

    /// Returns whether a message had a file at this address.
    pub(crate) fn has(&self, url: &str) -> bool {
        self.digests().as_ref().is_some_and(|digests| digests.known.contains(&digests.hasher.hash_one(url)))
    }

    fn digests(&self) -> MutexGuard<'_, Option<Box<Digests>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the files of a message that the plugin may fetch once it was shown the message.
fn files(message: &Message) -> &[SharedFile] {
    // The plugin may have written this itself. Messages of other clients of the account come as carbons. A server copies what we
    // send to such a client as well, but as something that was received there.
    if message.own && message.carbon != Some(Carbon::Sent) {
        return &[];
    }
    message.extensions.as_ref().map_or(&[], |extensions| extensions.files.as_slice())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use parlor_stanza::decode::filled_in;
    use parlor_stanza::types::Extensions;

    use super::*;

    /// The address of a file.
    fn url(number: usize) -> String {
        format!("https://files.example.org/{number}")
    }

    /// A message of somebody with this file.
    fn message(number: usize) -> Message {
        let files = vec![SharedFile { url: url(number), ..SharedFile::default() }];
        let (from, own) = ("juliet@example.org/balcony".parse().unwrap(), "bot@example.org/parlor".parse().unwrap());
        let message = filled_in(from, "a file".to_owned(), &own, Timestamp::UNIX_EPOCH);
        Message { extensions: Some(Box::new(Extensions { files, ..Extensions::default() })), ..message }
    }

    #[test]
    fn only_the_latest_files_may_be_fetched_and_one_that_is_sent_again_displaces_none() {
        let seen = SeenFiles::default();
        assert!(!seen.has(&url(1)));
        for number in 1..=REMEMBERED {
            seen.note(&message(number));
            seen.note(&message(number));
        }
        assert!((1..=REMEMBERED).all(|number| seen.has(&url(number))));
        seen.note(&message(0));
        assert!(!seen.has(&url(1)) && seen.has(&url(2)) && seen.has(&url(0)));
        assert_eq!(seen.digests().as_ref().unwrap().known.len(), REMEMBERED);
        // A plugin could have written this one itself.
        seen.note(&Message { own: true, ..message(REMEMBERED + 1) });
        assert!(!seen.has(&url(REMEMBERED + 1)));
    }

    /// A plugin could write to another client of the account, and have a copy of its message come back.
    #[test]
    fn a_copy_of_an_own_message_counts_only_if_another_client_sent_it() {
        let seen = SeenFiles::default();
        for (number, own, carbon, counts) in
            [(1, true, Carbon::Sent, true), (2, true, Carbon::Received, false), (3, false, Carbon::Received, true)]
        {
            seen.note(&Message { own, carbon: Some(carbon), ..message(number) });
            assert_eq!(seen.has(&url(number)), counts, "{number}");
        }
    }
}
