//! The session of one account as its task sees it: inputs with the time, effects, and the snapshot.

use std::collections::BTreeSet;
use std::time::Duration;

use jid::{BareJid, FullJid, Jid};
use jiff::{SignedDuration, Timestamp};
use parlor_base::id::InstanceId;
use parlor_config::{AccountName, Settings};
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::{Incoming, Message, Offers, RosterItem};

use crate::calls::AnyCommand;
use crate::effect::Effect;
use crate::features::settings::room_passwords_read;
use crate::features::{Features, ad_hoc};
use crate::rooms::passwords::{RoomPasswords, await_passwords};
use crate::snapshot::Snapshot;
use crate::turn::{Common, Turn};

/// The outcome of removing the registrations that a woken plugin has not repeated.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Woken {
    /// The names of the commands that were removed.
    pub removed_commands: Vec<String>,
    /// The number of promises that it owns now.
    pub promises: usize,
}

/// The state of one account, and the rules by which it changes.
#[derive(Debug)]
pub struct Session {
    pub(super) common: Common,
    pub(super) features: Features,
}

/// Sets how the session finds out whether an address is a client by which the host is logged in to one of its accounts. Plugins send
/// by these.
pub fn set_host_clients(session: &mut Session, is_one: impl Fn(&Jid) -> bool + Send + Sync + 'static) {
    session.features.owners.know_clients(Box::new(is_one));
}

/// Sets the owner's name for the account, for lines of the log. Must be called before the first log-in.
pub fn set_name(session: &mut Session, name: AccountName) {
    session.common.account = Some(name);
}

impl Session {
    /// Creates the session of an account that has not connected yet.
    pub fn new(own: Jid, settings: Settings) -> Self {
        Self { common: Common::new(own, settings), features: Features::new() }
    }

    /// Handles one input, and then all that follows from it in other features.
    pub(super) fn input(
        &mut self,
        now: Timestamp,
        effects: &mut Vec<Effect>,
        input: impl FnOnce(&mut Features, &mut Turn<'_>),
    ) {
        let (features, turn) = (&mut self.features, &mut Turn::new(&mut self.common, now, effects));
        input(features, turn);
        features.follow_up(turn);
    }

    /// Handles a stanza from the stream.
    pub fn incoming(&mut self, incoming: Incoming, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, |features, turn| features.incoming(incoming, turn));
    }

    /// Carries out a permitted command of a plugin. A command whose caller no longer waits is dropped: its plugin may
    /// be gone, and nothing would clean up after it.
    pub fn command(&mut self, command: AnyCommand, now: Timestamp, effects: &mut Vec<Effect>) {
        if command.is_abandoned() {
            return;
        }
        self.input(now, effects, |features, turn| command.carry_out(features, turn));
    }

    /// Ends everything whose deadline has passed.
    pub fn tick(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, Features::tick);
    }

    /// Returns when [`tick`](Self::tick) is due. None: only after another input.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.common.deadlines.next()
    }

    /// Notes that every plugin had its turn to initialize. The log-in follows.
    pub fn plugins_initialized(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, |_, turn| turn.plugins_initialized());
    }

    /// Handles a new stream. If there was one before, it could not be resumed, and everything is built up again.
    pub fn bound(&mut self, jid: FullJid, offers: Offers, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, |features, turn| features.bound(jid, offers, turn));
    }

    /// Handles a stream that was [`bound`](Self::bound) just now and resumes a session that a previous process left.
    /// The server considered that session lost, and sends the stanzas that arrived in between.
    ///
    /// This process cannot know the state of the previous one. So it sends unavailable presence first: the server then
    /// sends everyone's presence again when we become available, and rooms can be entered again.
    pub fn taken_up(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, Features::taken_up);
    }

    /// Handles the loss of the stream. The link tries to resume it, and outgoing stanzas are queued until then.
    pub fn suspended(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, |_, turn| turn.suspended());
    }

    /// Handles the resumption of a lost stream. Nothing was lost.
    pub fn resumed(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, Features::resumed);
    }

    /// Notes another attempt to connect.
    pub fn reconnecting(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, |_, turn| turn.reconnecting());
    }

    /// Notes that an attempt to connect failed. The next one comes after this time.
    pub fn retrying(&mut self, after: Duration, why: &str, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, |_, turn| turn.retrying(after, why));
    }

    /// Handles the final loss of the connection, for this reason. There is no retry.
    ///
    /// Afterwards the host's promises are pending again, and everyone who waited for one gets `stopped`.
    pub fn lost(&mut self, reason: &str, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, |features, turn| features.lost(reason, turn));
    }

    /// Handles a stream that was closed on request. Resolved promises stay resolved.
    pub fn closed(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, Features::closed);
    }

    /// Handles a log-out: as [`closed`](Self::closed), and everything that was known is forgotten.
    pub fn logged_out(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, Features::logged_out);
    }

    /// Notes a new log-in, so that promises that others wait for may still resolve.
    pub fn connecting(&mut self) {
        self.common.connecting();
    }

    /// Handles possible losses on the stream that was [`resumed`](Self::resumed) just now. Nothing is built up again.
    /// Plugins catch up as after a new stream on which each room was entered.
    pub fn doubt_stream(&mut self) {
        self.common.may_have_missed();
        self.features.rooms.enter_in_doubt();
    }

    /// Sends the stanzas that the server of a previous stream did not acknowledge, after [`bound`](Self::bound).
    /// Stanzas for a room wait until we are in it again.
    pub fn send_again(&mut self, stanzas: Vec<RawStanza>, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, |features, turn| features.rooms.send_again(stanzas, turn));
    }

    /// Fires the events of a message that leaves, once it is queued on the stream.
    pub fn leaving(&mut self, message: Box<Message>, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, |features, turn| features.leaving(message, turn));
    }

    /// Sets the roster that was stored when the last process ended. Before the first log-in.
    pub fn roster_kept(&mut self, version: String, items: Vec<RosterItem>) {
        self.features.roster.keep(version, items);
    }

    /// Sets the people who may give commands to the host itself.
    pub fn set_owners(&mut self, owners: Vec<BareJid>) {
        self.features.owners.set(owners);
        ad_hoc::announce(&self.features, &mut self.common);
    }

    /// Sets the namespaces whose requests plugins answer, which the account announces, and the plugins whose own features and
    /// identities it does not announce, since they have no grant for that now. Returns how many namespaces it does not announce,
    /// for lack of room.
    pub fn announce(&mut self, answered: Vec<String>, withheld: BTreeSet<InstanceId>) -> usize {
        self.common.withhold_own(withheld);
        self.common.set_answered(answered)
    }

    /// Notes that the handler of a command from this form has ended.
    pub fn form_handled(&mut self, form: &str, is_well: bool, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, |features, turn| features.commands.form_handled(form, is_well, turn));
    }

    /// Ends a form whose command was refused, in these words.
    pub fn form_refused(&mut self, form: &str, words: Option<&str>, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, |features, turn| features.commands.form_refused(form, words, turn));
    }

    /// Returns the present settings.
    pub fn settings(&self) -> &Settings {
        &self.common.settings
    }

    /// Applies settings that the owner changed in the configuration. Differences take effect at once. A room that is no
    /// longer listed is left, unless a bookmark lists it.
    pub fn rewritten(&mut self, before: &Settings, after: &Settings, now: Timestamp, effects: &mut Vec<Effect>) {
        self.input(now, effects, |features, turn| features.rewritten(before, after, turn));
    }

    /// Removes everything that a plugin's instance owned and waited for.
    ///
    /// Its calls are recognised by their dropped receivers, so drop those first.
    pub fn instance_gone(&mut self, instance: InstanceId, effects: &mut Vec<Effect>) {
        self.features.instance_gone(instance, &mut self.common, effects);
    }

    /// Keeps what an instance registered whose plugin is parked, for the next run.
    pub fn instance_parked(&mut self, instance: InstanceId) {
        self.common.promises.instance_parked(instance);
        self.common.own_parked(instance);
        self.features.commands.instance_parked(instance);
    }

    /// Removes what an instance has not registered again since it was parked.
    pub fn instance_woken(&mut self, instance: InstanceId, effects: &mut Vec<Effect>) -> Woken {
        let promises = self.common.promises.instance_woken(instance, effects);
        self.common.own_woken(instance);
        let removed_commands = self.features.commands.instance_woken(instance);
        ad_hoc::announce(&self.features, &mut self.common);
        Woken { removed_commands, promises }
    }

    /// Lets an instance register the same as another one, which it is to replace.
    pub fn instance_successor(&mut self, new: InstanceId, of: InstanceId) {
        self.common.promises.successor(new, of);
        self.features.pubsub.successor(new, of);
    }

    /// Transfers everything that one instance registered to the one that replaces it.
    pub fn instance_inherits(&mut self, new: InstanceId) {
        self.common.promises.inherit(new);
        self.features.commands.inherit(new);
        self.features.pubsub.inherit(new);
    }

    /// Returns the snapshot for readers.
    pub fn snapshot(&self) -> Snapshot {
        self.features.snapshot(&self.common)
    }

    /// Returns the number of the present or last stream. A resumed stream is the same one, unless messages may have been
    /// missed.
    pub fn stream(&self) -> u64 {
        self.common.stream
    }

    /// Returns when the present or last stream began, allowing for different clocks.
    pub fn stream_since(&self) -> Timestamp {
        self.common.stream_since()
    }

    /// Returns whether the first presence on this stream was sent, or would have been if the account were not hidden.
    pub fn is_announced(&self) -> bool {
        self.common.announced
    }

    /// Returns whether readers should get a new [`snapshot`](Self::snapshot), since the last call.
    pub fn changed(&mut self) -> bool {
        std::mem::take(&mut self.common.changed)
    }

    /// Returns how many stanzas were not trusted, were duplicates, or were more than is kept.
    pub fn ignored(&self) -> u64 {
        self.common.ignored
    }

    /// Returns whether the account has an archive, as far as it was announced on this stream or an earlier one.
    pub fn has_archive(&self) -> bool {
        self.features.archives.is_there()
    }

    /// Adjusts to a clock that was set by this much. No deadline comes nearer or moves away.
    pub fn clock_set(&mut self, by: SignedDuration) {
        self.common.clock_set(by);
    }
}

/// Notes that the owner gives passwords for these rooms, which are still being read: the rooms are entered once they are set.
pub fn await_room_passwords(session: &mut Session, awaited: BTreeSet<BareJid>) {
    await_passwords(&mut session.features.rooms, awaited);
}

/// Sets the passwords that the owner gives for rooms. A listed room that refused the one before is asked again at once.
pub fn set_room_passwords(session: &mut Session, passwords: RoomPasswords, now: Timestamp, effects: &mut Vec<Effect>) {
    session.input(now, effects, |features, turn| room_passwords_read(features, passwords, turn));
}

/// Handles the same as [`Session::taken_up`], if the process is another node of a cluster that gave the account away. The account was never
/// absent, so what was said to it meanwhile is news, whatever the server stamps it with.
pub fn moved(session: &mut Session, now: Timestamp, effects: &mut Vec<Effect>) {
    session.input(now, effects, |features, turn| {
        turn.moves();
        features.taken_up(turn);
    });
}
