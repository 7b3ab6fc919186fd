//! Which of the own keys others can find.

use std::time::Duration;

use parlor_stanza::types::OmemoForm;

use crate::deadlines::DeadlineKey;
use crate::iq::keys::Published;

/// How often the own device is put into a list again on one stream. Two devices that take out each other would do so for ever.
const MAX_AGAIN: u32 = 20;

/// What is known on this stream of what is published.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Whether the own device is in each list, as far as the server has said.
    listed: [bool; 2],
    /// Whether the keys are published in each form.
    bundled: [bool; 2],
    /// Whether the device is new and a list has not come since, so that its id may be that of another one.
    pub(super) is_new: [bool; 2],
    /// Whether the owner was told that publishing fails.
    pub(super) is_refused: bool,
    again: u32,
    /// For publishing keys after some were used.
    pub(super) deadline: Option<DeadlineKey>,
    /// For looking whether a key is too old.
    pub(super) check: Option<DeadlineKey>,
    /// When a key was last used that came from the archive.
    pub(super) catches_up: Option<Duration>,
}

fn place(form: OmemoForm) -> usize {
    match form {
        OmemoForm::Older => 0,
        OmemoForm::Current => 1,
    }
}

impl State {
    /// Returns whether others can find the own keys in both forms.
    pub(super) fn is_complete(&self) -> bool {
        self.listed == [true; 2] && self.bundled == [true; 2]
    }

    /// Notes whether something is published.
    pub(super) fn set(&mut self, what: Published, is_there: bool) {
        match what {
            Published::List(form) => self.listed[place(form)] = is_there,
            Published::Bundle(form) => self.bundled[place(form)] = is_there,
        }
    }

    /// Returns whether something is published.
    pub(super) fn has(&self, what: Published) -> bool {
        match what {
            Published::List(form) => self.listed[place(form)],
            Published::Bundle(form) => self.bundled[place(form)],
        }
    }

    /// Returns whether the own device may be put into a list once more, and notes that it is.
    pub(super) fn may_list_again(&mut self) -> bool {
        self.again += 1;
        self.again <= MAX_AGAIN
    }

    /// Notes that another client may change the lists unnoticed.
    pub(super) fn stream_gone(&mut self) {
        self.listed = [false; 2];
        self.again = 0;
        self.is_refused = false;
    }

    /// Notes that all deadlines are over.
    pub(super) fn end(&mut self) {
        self.deadline = None;
        self.check = None;
    }
}
