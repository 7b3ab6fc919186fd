//! The parts of an instance that most never need. They take memory when one of them is first used.

use std::ops::Deref;
use std::sync::OnceLock;

use parlor_stanza::types::Message;

use super::dialogs::Dialogs;
use super::open_parts::OpenParts;
use super::seen_files::SeenFiles;
use super::web::WebClient;

/// The parts that most instances never need. They are made when they are used, as by a `LazyLock`.
#[derive(Default)]
pub(crate) struct Seldom(OnceLock<Box<Used>>);

/// The parts once one of them was used.
#[derive(Default)]
pub(crate) struct Used {
    /// Its clients for requests over the web.
    pub(super) web: WebClient,
    /// Its requests over the web whose bodies go in parts, and its files that are open.
    pub(crate) parts: OpenParts,
    /// The files of messages that it was shown.
    pub(crate) seen_files: SeenFiles,
    /// Its questions to people.
    pub(crate) dialogs: Dialogs,
}

impl Seldom {
    /// Returns them without making them.
    pub(super) fn get(&self) -> Option<&Used> {
        self.0.get().map(Box::as_ref)
    }

    /// Notes the files of a message that is shown now.
    pub(crate) fn note_files(&self, message: &Message) {
        if SeenFiles::are_in(message) {
            self.seen_files.note(message);
        }
    }

    /// Ends its requests and files whose bodies go in parts.
    pub(crate) fn end_parts(&self) {
        if let Some(all) = self.get() {
            all.parts.shrink();
        }
    }

    /// Gives back memory that only a running guest needs.
    pub(super) fn shrink(&self) {
        if let Some(all) = self.get() {
            all.web.shrink();
            all.parts.shrink();
        }
    }
}

impl Deref for Seldom {
    type Target = Used;

    fn deref(&self) -> &Used {
        self.0.get_or_init(Box::default)
    }
}
