//! The state of the own keys on the server.

use std::time::Duration;

use parlor_stanza::omemo::DeviceList;
use parlor_stanza::types::OmemoForm;

use super::withdrawn::{Withdrawn, place};
use crate::deadlines::DeadlineKey;
use crate::iq::keys::Published;

/// How often the own device is put into a list again on one stream. Without a limit, two devices that remove each other
/// would do so forever.
const MAX_AGAIN: u32 = 20;
/// Delay before publishing is retried after the server's first failure. It doubles with each further failure.
const FIRST: Duration = Duration::from_secs(1);
/// Maximum of this delay.
const LONGEST: Duration = Duration::from_hours(1);
/// Number of consecutive failures after which the owner is notified, about a minute after the first one.
const MANY: u32 = 6;

/// The bundle of the own device, in one form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Bundle {
    /// The server is not known to have a bundle of this device.
    #[default]
    Missing,
    /// The server has a bundle, but its keys have changed since.
    Outdated,
    Present,
}

/// Whether all changes of keys since the own keys were last stored are on the disk.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    #[default]
    All,
    /// Some could not be written.
    NotAll,
}

/// The state of publishing, as far as it is known on this stream.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Whether the own device is in each list, as far as the server has said.
    listed: [bool; 2],
    /// The account's lists, as the server has told of them on this stream. None: not yet, or a list that cannot be read, which must not be
    /// overwritten.
    own: [Option<DeviceList>; 2],
    /// Whether the server failed to tell of each list, so that it must be asked again.
    is_unknown: [bool; 2],
    /// Whether the list that was sent last names the own device.
    names_own: [bool; 2],
    /// The devices that must not be on the server.
    pub(super) withdrawn: Withdrawn,
    bundles: [Bundle; 2],
    /// Whether the server has taken each bundle on this stream.
    is_taken: [bool; 2],
    /// Whether the keys have changed since a bundle was last sent to the server.
    is_changed: [bool; 2],
    /// Whether the own device goes into each list once its bundle is there. Others who found it sooner would find no
    /// keys.
    is_waiting: [bool; 2],
    /// Whether the device is new and the list has not been received since, so that another device may have its id.
    pub(super) is_new: [bool; 2],
    pub(super) written: Written,
    /// Whether the owner was notified that publishing fails.
    pub(super) is_refused: bool,
    /// Whether it was logged that the server does not remove a former device.
    pub(super) is_former_kept: bool,
    again: u32,
    /// The items that are published next, and whether one is being published. There is one at a time: a server that makes
    /// several nodes of an account at once may lose one (ejabberd 23).
    queue: Vec<Published>,
    is_busy: bool,
    /// Number of consecutive rounds with a temporary failure of the server.
    failures: u32,
    /// For publishing keys after some were used, or after the server failed.
    pub(super) deadline: Option<DeadlineKey>,
    /// For checking the age of the signed prekey.
    pub(super) check: Option<DeadlineKey>,
    /// When a prekey was last used by an archived message.
    pub(super) catches_up: Option<Duration>,
}

impl State {
    /// Returns whether others can find the own keys in both forms.
    pub(super) fn is_complete(&self) -> bool {
        self.listed == [true; 2] && self.bundles == [Bundle::Present; 2]
    }

    /// Notes that the bundle is sent to the server.
    pub(super) fn bundle_sent(&mut self, form: OmemoForm) {
        self.is_changed[place(form)] = false;
    }

    /// Notes that the account's list is sent to the server, and whether it names the own device. It names no withdrawn one.
    pub(super) fn list_sent(&mut self, form: OmemoForm, names_own: bool) {
        self.names_own[place(form)] = names_own;
        self.withdrawn.list_sent(form);
    }

    /// Returns whether the list that was sent last names the own device.
    pub(super) fn names_own(&self, form: OmemoForm) -> bool {
        self.names_own[place(form)]
    }

    /// Removes the withdrawn devices from the account's list. Returns whether the list is known.
    pub(super) fn remove_withdrawn(&mut self, form: OmemoForm) -> bool {
        let Some(list) = &mut self.own[place(form)] else { return false };
        for id in self.withdrawn.ids() {
            list.remove(id);
        }
        true
    }

    /// Notes that no keys of a withdrawn device are published in this form. Returns whether the server has nothing of it in either
    /// form.
    pub(super) fn keys_gone(&mut self, id: u32, form: OmemoForm) -> bool {
        let is_gone = self.withdrawn.keys_gone(id, form);
        if is_gone {
            self.failures = 0;
        }
        is_gone
    }

    /// Notes that the server failed to tell of a list.
    pub(super) fn ask_again(&mut self, form: OmemoForm) {
        self.is_unknown[place(form)] = true;
    }

    /// Returns whether the server must be asked for a list again. It counts as asked.
    pub(super) fn must_ask_again(&mut self, form: OmemoForm) -> bool {
        std::mem::take(&mut self.is_unknown[place(form)])
    }

    /// Returns whether the server has keys of the own device, though they may have changed since.
    pub(super) fn has_keys(&self, form: OmemoForm) -> bool {
        self.bundles[place(form)] != Bundle::Missing
    }

    /// Notes that something is published. A bundle of keys that have changed since it was sent does not count.
    pub(super) fn set(&mut self, what: Published) {
        match what {
            Published::List(form) => {
                self.listed[place(form)] = true;
                self.is_waiting[place(form)] = false;
            }
            Published::Bundle(form) if self.is_changed[place(form)] => {}
            Published::Bundle(form) => {
                self.bundles[place(form)] = Bundle::Present;
                self.is_taken[place(form)] = true;
            }
            Published::Retraction(..) => {}
        }
        if self.is_complete() {
            self.failures = 0;
        }
    }

    /// Notes that the own device is missing in the account's list.
    pub(super) fn unlisted(&mut self, form: OmemoForm) {
        self.listed[place(form)] = false;
    }

    /// Returns the account's list.
    pub(super) fn own(&self, form: OmemoForm) -> Option<&DeviceList> {
        self.own[place(form)].as_ref()
    }

    /// Returns the account's list, to note a change of it.
    pub(super) fn own_mut(&mut self, form: OmemoForm) -> Option<&mut DeviceList> {
        self.own[place(form)].as_mut()
    }

    /// Stores the account's list. `None`: it cannot be read, so nothing is known of the own device in it.
    pub(super) fn set_own(&mut self, form: OmemoForm, list: Option<DeviceList>) {
        if list.is_none() {
            self.listed[place(form)] = false;
            self.is_waiting[place(form)] = false;
        }
        self.own[place(form)] = list;
    }

    /// Returns whether something is published, or is taken back or in use again.
    pub(super) fn has(&self, what: Published) -> bool {
        match what {
            Published::List(form) => self.listed[place(form)],
            Published::Bundle(form) => self.bundles[place(form)] == Bundle::Present,
            Published::Retraction(form, id) => !self.withdrawn.with_keys(form).contains(&id),
        }
    }

    /// Notes that the keys of the own device have changed.
    pub(super) fn outdate(&mut self) {
        self.is_changed = [true; 2];
        for bundle in self.bundles.iter_mut().filter(|bundle| **bundle == Bundle::Present) {
            *bundle = Bundle::Outdated;
        }
    }

    /// Notes that the server has lost the list with the own device. Returns whether it may have lost the bundle, too, which it took on
    /// an earlier stream.
    pub(super) fn doubts(&mut self, form: OmemoForm) -> bool {
        let bundle = &mut self.bundles[place(form)];
        let is_doubtful = *bundle != Bundle::Missing && !self.is_taken[place(form)];
        if is_doubtful {
            *bundle = Bundle::Missing;
        }
        is_doubtful
    }

    /// Returns whether the own device may be put into a list now, and counts it. If its bundle is missing, the device waits
    /// for the bundle.
    pub(super) fn may_list(&mut self, form: OmemoForm) -> bool {
        let is_missing = !self.has_keys(form);
        self.is_waiting[place(form)] = is_missing;
        if is_missing {
            return false;
        }
        self.again += 1;
        self.again <= MAX_AGAIN
    }

    /// Queues an item to publish, and returns the item to publish now, if any.
    pub(super) fn enqueue(&mut self, what: Published) -> Option<Published> {
        if !self.queue.contains(&what) {
            self.queue.push(what);
        }
        if self.is_busy { None } else { self.next() }
    }

    /// Returns the next item to publish.
    pub(super) fn next(&mut self) -> Option<Published> {
        self.is_busy = !self.queue.is_empty();
        self.is_busy.then(|| self.queue.remove(0))
    }

    /// Notes that the server failed, and returns the delay before the next attempt.
    pub(super) fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        LONGEST.min(FIRST * 2_u32.saturating_pow(self.failures - 1))
    }

    /// Returns whether there were enough consecutive failures to notify the owner.
    pub(super) fn is_failing(&self) -> bool {
        self.failures >= MANY
    }

    /// Lets the own device wait until it is put into a list.
    pub(super) fn list_later(&mut self, form: OmemoForm) {
        self.is_waiting[place(form)] = true;
    }

    /// Returns whether the own device waits to be put into a list.
    pub(super) fn is_waiting(&self, form: OmemoForm) -> bool {
        self.is_waiting[place(form)]
    }

    /// Notes that the own device is new: the server has nothing of it.
    pub(super) fn renew(&mut self) {
        self.is_changed = [true; 2];
        self.bundles = [Bundle::Missing; 2];
        self.listed = [false; 2];
        // A list that is on its way names the device from before.
        self.names_own = [false; 2];
    }

    /// Notes that another client may change the lists unnoticed.
    pub(super) fn stream_gone(&mut self) {
        self.listed = [false; 2];
        self.is_taken = [false; 2];
        self.own = [None, None];
        self.is_unknown = [false; 2];
        self.names_own = [false; 2];
        self.withdrawn.stream_gone();
        self.is_waiting = [false; 2];
        self.queue.clear();
        self.is_busy = false;
        self.failures = 0;
        self.again = 0;
        self.is_refused = false;
        self.is_former_kept = false;
    }

    /// Notes that all deadlines are over.
    pub(super) fn end(&mut self) {
        self.deadline = None;
        self.check = None;
    }
}
