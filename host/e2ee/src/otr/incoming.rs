//! A conversation with one person: incoming messages.

use std::sync::Arc;
use std::time::Duration;

use rand::CryptoRng;

use super::ake::{self, Authenticated, Commitment, Exchange};
use super::conversation::{
    Conversation, Encrypted, MOST_ENCRYPTED, MOST_INSTANCES, Outcome, Peer, Pending, State, is_due,
};
use super::data::{self, Channel};
use super::errors::ReceiveError;
use super::fragments::{LONGEST, Progress, cut};
use super::group::Element;
use super::message::{self, Body, Data, InstanceTag, Route, Sealed, Unread, Version, encode};
use super::smp::{Record, Smp, Step};
use super::text::{self, Fragment, FragmentTags, Offer, Text};
use super::tlv::{self, Kind};
use super::wire::Reader;

/// The time without a message to the other side after which an encrypted message is answered by an empty one, so that keys change.
const HEARTBEAT: Duration = Duration::from_mins(1);
/// The least time between two error messages.
const BETWEEN_ERRORS: Duration = Duration::from_secs(10);
/// The least time between two queries that answer errors.
const BETWEEN_QUERIES: Duration = Duration::from_secs(30);
/// The time that an instance may take to answer a commitment that went to all. After that its secret is wiped, with which conversations
/// have begun: they forget it themselves once their keys have changed.
const PENDING: Duration = Duration::from_mins(10);
/// The greatest length of an error message of the other side that is reported, in characters.
const LONGEST_ERROR: usize = 200;
/// The greatest number of records in one message that belong to a comparison of secrets. Each takes milliseconds.
const MOST_SMP: usize = 2;

impl From<ake::Refused> for ReceiveError {
    fn from(refused: ake::Refused) -> Self {
        match refused {
            ake::Refused::Unexpected => Self::Unexpected,
            ake::Refused::NotAuthentic => Self::NotAuthentic,
            ake::Refused::BadSignature => Self::BadSignature,
            ake::Refused::Malformed => Self::Malformed,
        }
    }
}

impl From<data::Refused> for ReceiveError {
    fn from(refused: data::Refused) -> Self {
        match refused {
            data::Refused::UnknownKeys => Self::Unreadable,
            data::Refused::NotAuthentic => Self::NotAuthentic,
            data::Refused::Replayed => Self::Replayed,
            data::Refused::Malformed => Self::Malformed,
        }
    }
}

impl From<Unread> for ReceiveError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Version => Self::UnsupportedVersion,
            Unread::Malformed => Self::Malformed,
        }
    }
}

impl Conversation {
    /// Takes the body of a message, and returns its outcomes, in order. It is empty for a part of a longer message.
    pub fn receive<R: CryptoRng + ?Sized>(&mut self, text: &str, now: Duration, rng: &mut R) -> Vec<Outcome> {
        self.forget_commitment(now);
        self.unheard.forget_old(now);
        let mut out = Vec::new();
        let is_off = self.policy.versions() == Offer::default();
        let read = if is_off { Text::Plain } else { text::read(text) };
        if let Err(error) = self.take(text, read, now, rng, &mut out) {
            out.push(Outcome::Error(error));
        }
        out
    }

    fn take<R: CryptoRng + ?Sized>(
        &mut self,
        text: &str,
        read: Text<'_>,
        now: Duration,
        rng: &mut R,
        out: &mut Vec<Outcome>,
    ) -> Result<(), ReceiveError> {
        match read {
            Text::Plain => {
                self.fragments.clear();
                self.has_heard_plain = true;
                out.push(plain(self, text.to_owned()));
                Ok(())
            }
            Text::Tagged { text, offer } => {
                self.fragments.clear();
                out.push(plain(self, text));
                let version = offer.best(self.policy.versions()).filter(|_| self.policy.whitespace_start);
                version.map_or(Ok(()), |version| self.commit(version, now, rng, out))
            }
            Text::Query(offer) => {
                let version = offer.best(self.policy.versions()).ok_or(ReceiveError::UnsupportedVersion)?;
                self.commit(version, now, rng, out)
            }
            Text::Error(error) => {
                self.unheard.refused();
                if self.policy.error_start && is_due(&mut self.last_query, BETWEEN_QUERIES, now) {
                    out.extend(self.start().map(Outcome::Send));
                }
                let error = error.chars().filter(|sign| !sign.is_control()).take(LONGEST_ERROR).collect();
                Err(ReceiveError::Peer(error))
            }
            Text::Fragment(fragment) => self.part(&fragment.ok_or(ReceiveError::Malformed)?, now, rng, out),
            Text::Encoded(base64) => self.encoded(base64.ok_or(ReceiveError::Malformed)?, now, rng, out),
        }
    }

    /// Begins a key exchange: in version 3 with every instance, because the one that asked is not known yet.
    fn commit<R: CryptoRng + ?Sized>(
        &mut self,
        version: Version,
        now: Duration,
        rng: &mut R,
        out: &mut Vec<Outcome>,
    ) -> Result<(), ReceiveError> {
        let route = match version {
            Version::V2 => Route::V2,
            Version::V3 => Route::V3 { sender: self.account.instance_tag(), receiver: None },
        };
        let place = if version == Version::V2 { Some(self.place(None)?) } else { None };
        let commitment = Arc::new(Commitment::new(route, rng));
        self.reply(commitment.bytes(), route, out);
        match place {
            Some(place) => self.peers[place].exchange = Exchange::AwaitingKey(commitment),
            None => self.pending = Some(Pending { commitment, used: Vec::new(), since: now }),
        }
        Ok(())
    }

    /// While a key is in use by version 3, no one on the path can bring its client back to version 2. A person may have an older client
    /// as well, which has another key.
    fn refuse_downgrade(&self, tag: Option<InstanceTag>, by: &Authenticated) -> Result<(), ReceiveError> {
        let fingerprint = by.key.fingerprint();
        let is_v3 = |peer: &Peer| peer.tag.is_some() && peer.is_encrypted_by(fingerprint);
        if tag.is_none() && self.peers.iter().any(is_v3) { Err(ReceiveError::Downgrade) } else { Ok(()) }
    }

    fn reply(&self, bytes: &[u8], route: Route, out: &mut Vec<Outcome>) {
        out.extend(cut(encode(bytes), route, self.policy.fragment).into_iter().map(Outcome::Send));
    }

    fn part<R: CryptoRng + ?Sized>(
        &mut self,
        part: &Fragment<'_>,
        now: Duration,
        rng: &mut R,
        out: &mut Vec<Outcome>,
    ) -> Result<(), ReceiveError> {
        match part.tags {
            Some(tags) => self.is_for_us(Version::V3, Some(tags))?,
            None => self.is_for_us(Version::V2, None)?,
        }
        match self.fragments.add(part, now) {
            Progress::Incomplete => Ok(()),
            Progress::TooLong => Err(ReceiveError::TooLong),
            Progress::Complete(whole) => match text::read(&whole) {
                Text::Encoded(Some(base64)) => self.encoded(base64, now, rng, out),
                _ => Err(ReceiveError::Malformed),
            },
        }
    }

    /// Refuses versions that are not allowed, messages for other instances, and our own, sent back.
    fn is_for_us(&self, version: Version, tags: Option<FragmentTags>) -> Result<(), ReceiveError> {
        let allowed = self.policy.versions();
        let is_allowed = if version == Version::V3 { allowed.v3 } else { allowed.v2 };
        if !is_allowed {
            return Err(ReceiveError::UnsupportedVersion);
        }
        let ours = self.account.instance_tag();
        let is_for_other = tags.is_some_and(|tags| tags.sender == ours || tags.receiver.is_some_and(|tag| tag != ours));
        if is_for_other { Err(ReceiveError::OtherInstance) } else { Ok(()) }
    }

    fn encoded<R: CryptoRng + ?Sized>(
        &mut self,
        base64: &str,
        now: Duration,
        rng: &mut R,
        out: &mut Vec<Outcome>,
    ) -> Result<(), ReceiveError> {
        if base64.len() > LONGEST {
            return Err(ReceiveError::TooLong);
        }
        let bytes = message::decode(base64).ok_or(ReceiveError::Malformed)?;
        let mut reader = Reader::new(&bytes);
        let (route, kind) = message::read_head(&mut reader)?;
        let tags = match route {
            Route::V2 => None,
            Route::V3 { sender, receiver } => Some(FragmentTags { sender, receiver }),
        };
        self.is_for_us(route.version(), tags)?;
        let sender = tags.map(|tags| tags.sender);
        self.fragments.forget(sender);
        let rest = reader.rest();
        let Some(body) = message::read_body(kind, &mut reader, &bytes) else {
            let is_quiet = message::is_ignorable(kind, rest);
            return if is_quiet {
                Ok(())
            } else {
                self.refuse(message::is_data(kind), ReceiveError::Malformed, now, out)
            };
        };
        match body {
            Body::Commit { encrypted, hash } => self.on_commit(sender, (encrypted, hash), rng, out),
            Body::Key(theirs) => self.on_key(sender, theirs, out),
            Body::Reveal { revealed, sealed } => self.on_reveal(sender, (revealed, &sealed), now, rng, out),
            Body::Signature(sealed) => self.on_signature(sender, &sealed, now, rng, out),
            Body::Data(data) => self.on_data(sender, &data, now, rng, out),
        }
    }

    /// Tells the other side of a data message that it was of no use, now and then.
    fn refuse(
        &mut self,
        is_told: bool,
        error: ReceiveError,
        now: Duration,
        out: &mut Vec<Outcome>,
    ) -> Result<(), ReceiveError> {
        if is_told && is_due(&mut self.last_error, BETWEEN_ERRORS, now) {
            let text = match error {
                ReceiveError::NotEncrypted => {
                    "?OTR Error: Your message was encrypted, but this conversation is not. Please begin it again."
                }
                _ => "?OTR Error: Your encrypted message cannot be read. Please begin the conversation again.",
            };
            out.push(Outcome::Send(text.to_owned()));
        }
        Err(error)
    }

    fn find(&self, tag: Option<InstanceTag>) -> Option<usize> {
        self.peers.iter().position(|peer| peer.tag == tag)
    }

    /// Returns the place of an instance, and makes it if there is none. Instances that are not encrypted give way to new ones.
    fn place(&mut self, tag: Option<InstanceTag>) -> Result<usize, ReceiveError> {
        if let Some(place) = self.find(tag) {
            return Ok(place);
        }
        if self.peers.len() == MOST_INSTANCES {
            let oldest = self.peers.iter().position(|peer| peer.encrypted.is_none());
            self.peers.remove(oldest.ok_or(ReceiveError::TooManyInstances)?);
        }
        self.peers.push(Peer { tag, exchange: Exchange::Idle, encrypted: None });
        Ok(self.peers.len() - 1)
    }

    /// Returns the commitment that went to all instances, if this one has not taken it up yet. From now on it has.
    fn take_up(&mut self, tag: Option<InstanceTag>) -> Option<Arc<Commitment>> {
        let tag = tag?;
        self.pending.take_if(|pending| pending.used.len() == MOST_INSTANCES);
        let pending = self.pending.as_mut()?;
        if pending.used.contains(&tag) {
            return None;
        }
        pending.used.push(tag);
        Some(Arc::clone(&pending.commitment))
    }

    /// Forgets a commitment that went to all instances long ago.
    pub(super) fn forget_commitment(&mut self, now: Duration) {
        self.pending.take_if(|pending| now.saturating_sub(pending.since) >= PENDING);
    }

    fn on_commit<R: CryptoRng + ?Sized>(
        &mut self,
        sender: Option<InstanceTag>,
        commitment: (&[u8], &[u8; 32]),
        rng: &mut R,
        out: &mut Vec<Outcome>,
    ) -> Result<(), ReceiveError> {
        let route = self.route(sender);
        let place = self.place(sender)?;
        let pending = self.take_up(sender);
        let reply = self.peers[place].exchange.on_commit(route, commitment, pending.as_ref(), rng)?;
        self.reply(&reply, route, out);
        Ok(())
    }

    fn on_key(
        &mut self,
        sender: Option<InstanceTag>,
        theirs: Element,
        out: &mut Vec<Outcome>,
    ) -> Result<(), ReceiveError> {
        // A commitment to all instances is newer than any exchange in progress with this instance.
        if let Some(pending) = self.take_up(sender) {
            let place = self.place(sender)?;
            self.peers[place].exchange = Exchange::AwaitingKey(pending);
        }
        let place = self.find(sender).ok_or(ReceiveError::Unexpected)?;
        let (route, account) = (self.route(sender), Arc::clone(&self.account));
        let reply = self.peers[place].exchange.on_key(route, theirs, &account)?;
        self.reply(&reply, route, out);
        Ok(())
    }

    fn on_reveal<R: CryptoRng + ?Sized>(
        &mut self,
        sender: Option<InstanceTag>,
        message: (&[u8; 16], &Sealed<'_>),
        now: Duration,
        rng: &mut R,
        out: &mut Vec<Outcome>,
    ) -> Result<(), ReceiveError> {
        let place = self.find(sender).ok_or(ReceiveError::Unexpected)?;
        let (route, account) = (self.route(sender), Arc::clone(&self.account));
        let (reply, authenticated) = self.peers[place].exchange.on_reveal(route, message, &account)?;
        self.refuse_downgrade(sender, &authenticated)?;
        self.reply(&reply, route, out);
        out.push(self.establish(place, authenticated, now, rng));
        Ok(())
    }

    fn on_signature<R: CryptoRng + ?Sized>(
        &mut self,
        sender: Option<InstanceTag>,
        sealed: &Sealed<'_>,
        now: Duration,
        rng: &mut R,
        out: &mut Vec<Outcome>,
    ) -> Result<(), ReceiveError> {
        let place = self.find(sender).ok_or(ReceiveError::Unexpected)?;
        let (route, account) = (self.route(sender), Arc::clone(&self.account));
        let authenticated = self.peers[place].exchange.on_signature(sealed, &account)?;
        if let Err(refused) = self.refuse_downgrade(sender, &authenticated) {
            // The other side encrypts already. Its texts would be lost if it were not told that this is over.
            let last = Channel::new(route, &authenticated, None, rng).seal_last(&tlv::write(Kind::Disconnected, &[]));
            if let Ok(bytes) = last {
                self.reply(&bytes, route, out);
            }
            return Err(refused);
        }
        out.push(self.establish(place, authenticated, now, rng));
        Ok(())
    }

    /// Begins to encrypt with an instance. If too many are encrypted, the one that was not heard for longest is forgotten.
    fn establish<R: CryptoRng + ?Sized>(
        &mut self,
        place: usize,
        by: Authenticated,
        now: Duration,
        rng: &mut R,
    ) -> Outcome {
        let mut peer = self.peers.remove(place);
        let (tag, route, fingerprint) = (peer.tag, self.route(peer.tag), by.key.fingerprint());
        let former = peer.encrypted.take();
        let again = former.as_ref().is_some_and(|former| former.fingerprint == fingerprint);
        let channel = Channel::new(route, &by, former.map(|former| former.channel), rng);
        let encrypted =
            Encrypted { channel, fingerprint, session_id: by.session_id, smp: Smp::default(), last_sent: now };
        peer.encrypted = Some(Box::new(encrypted));
        // A message of its version 2 that was held back must not make that the version in use.
        self.peers.retain(|other| tag.is_none() || other.tag.is_some() || !other.is_encrypted_by(fingerprint));
        if self.peers.iter().filter(|peer| peer.encrypted.is_some()).count() >= MOST_ENCRYPTED {
            let oldest = self.peers.iter().position(|peer| peer.encrypted.is_some());
            oldest.map(|oldest| self.peers.remove(oldest));
        }
        self.peers.push(peer);
        self.is_finished = false;
        Outcome::Started { fingerprint, version: route.version(), instance: tag, again }
    }

    fn on_data<R: CryptoRng + ?Sized>(
        &mut self,
        sender: Option<InstanceTag>,
        data: &Data<'_>,
        now: Duration,
        rng: &mut R,
        out: &mut Vec<Outcome>,
    ) -> Result<(), ReceiveError> {
        let is_told = !data.ignore_unreadable;
        let place = self.find(sender).filter(|place| self.peers[*place].encrypted.is_some());
        let Some(place) = place else {
            return if is_told { self.refuse(true, ReceiveError::NotEncrypted, now, out) } else { Ok(()) };
        };
        let Some(encrypted) = self.encrypted_mut(place) else { return Err(ReceiveError::NotEncrypted) };
        let plain = match encrypted.channel.open(data, rng) {
            Ok(plain) => plain,
            Err(_) if !is_told => return Ok(()),
            // It may be a copy that the network made: no reason to begin again.
            Err(data::Refused::Replayed) => return Err(ReceiveError::Replayed),
            Err(refused) => return self.refuse(true, refused.into(), now, out),
        };
        let fingerprint = encrypted.fingerprint;
        self.unheard.heard(fingerprint);
        let (text, records) = tlv::read(&plain);
        let is_text = !text.is_empty();
        if is_text {
            out.push(Outcome::Message { text: String::from_utf8_lossy(text).into_owned(), fingerprint });
        } else if records.is_empty() {
            out.push(Outcome::Heartbeat);
        }
        let peer = self.peers.remove(place);
        self.peers.push(peer);
        let place = self.peers.len() - 1;
        let mut compared = 0;
        for (kind, value) in records {
            if kind == Kind::Disconnected {
                self.peers[place].encrypted = None;
                self.is_finished = true;
                out.push(Outcome::Ended);
                return Ok(());
            }
            compared += 1;
            if compared <= MOST_SMP {
                self.on_smp(place, kind, value, now, rng, out);
            }
        }
        // Empty messages are not answered: over a slow network, both sides would answer each other without end.
        if is_text {
            self.beat(place, now, out);
        }
        Ok(())
    }

    fn on_smp<R: CryptoRng + ?Sized>(
        &mut self,
        place: usize,
        kind: Kind,
        value: &[u8],
        now: Duration,
        rng: &mut R,
        out: &mut Vec<Outcome>,
    ) {
        let Some(encrypted) = self.encrypted_mut(place) else { return };
        let fingerprint = encrypted.fingerprint;
        let (record, outcome) = match encrypted.smp.receive(kind, value, rng) {
            Step::Asked(question) => (None, Some(Outcome::SmpAsked { question, fingerprint })),
            Step::Send(record) => (Some(record), None),
            Step::Done { same, last } => (last, Some(Outcome::SmpDone { same, fingerprint })),
            Step::Aborted => (None, Some(Outcome::SmpAborted { fingerprint })),
            Step::Broken => (Some(Record::abort()), Some(Outcome::SmpAborted { fingerprint })),
            Step::Nothing => (None, None),
        };
        // Keys that are used up end the comparison, too: the other side gets no answer.
        let sent = record.map(|record| self.seal_record(place, &record, now)).and_then(Result::ok);
        out.extend(sent.into_iter().flatten().map(Outcome::Send));
        out.extend(outcome);
    }

    /// Answers by an empty message if none has gone out for a while.
    fn beat(&mut self, place: usize, now: Duration, out: &mut Vec<Outcome>) {
        let Some(encrypted) = self.encrypted_mut(place) else { return };
        if now.saturating_sub(encrypted.last_sent) < HEARTBEAT {
            return;
        }
        let sent = self.seal(place, &[], true, now).unwrap_or_default();
        out.extend(sent.into_iter().map(Outcome::Send));
    }
}

fn plain(conversation: &Conversation, text: String) -> Outcome {
    let is_expected = conversation.state() == State::Plain && !conversation.policy.require_encryption;
    Outcome::Plain { text, unexpected: !is_expected }
}
