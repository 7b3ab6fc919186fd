//! Effects that are held back until keys are on disk.

use std::collections::VecDeque;

use parlor_base::id::InstanceId;
use parlor_session::Effect;
use parlor_stanza::types::{Outgoing, Sealed};

/// Maximum number of effects that wait for the disk.
pub(super) const MOST: usize = 8_192;
/// Maximum number of bytes of memory that they take.
const MOST_BYTES: usize = 64 << 20;
/// The size of an effect without its longest texts, in bytes.
const RECORD: usize = 512;

/// An effect that waits.
#[derive(Debug)]
struct Held {
    /// The number of the change that must be on disk first.
    after: u64,
    bytes: usize,
    effect: Effect,
}

/// The effects that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    all: VecDeque<Held>,
    bytes: usize,
}

impl HeldBack {
    /// Holds an effect until the change of this number is on disk. Returns the effect if there is no space.
    pub(super) fn put(&mut self, after: u64, effect: Effect) -> Option<Effect> {
        let bytes = weight(&effect);
        if self.all.len() >= MOST || self.bytes + bytes > MOST_BYTES {
            return Some(effect);
        }
        self.bytes += bytes;
        self.all.push_back(Held { after, bytes, effect });
        None
    }

    /// Has an instance get the commands of the one that it replaces. That one takes no events any more.
    pub(super) fn inherit(&mut self, new: InstanceId, old: InstanceId) {
        for held in &mut self.all {
            if let Effect::FireFor(instance, _) | Effect::FireForForm(instance, ..) = &mut held.effect
                && *instance == old
            {
                *instance = new;
            }
        }
    }

    /// Takes the oldest effect, if what it waits for is on disk up to this number.
    pub(super) fn take(&mut self, up_to: u64) -> Option<Effect> {
        if self.all.front()?.after > up_to {
            return None;
        }
        let Held { bytes, effect, .. } = self.all.pop_front()?;
        self.bytes -= bytes;
        Some(effect)
    }
}

/// Returns about how many bytes of memory an effect takes.
fn weight(effect: &Effect) -> usize {
    let of_what_is_in_it = match effect {
        Effect::Send(stanza) | Effect::SendFor(stanza, _) | Effect::SendKept(stanza) => weight_of_stanza(stanza),
        Effect::Fire(event) | Effect::FireFor(_, event) | Effect::FireForForm(_, event, _) => event.payload.weight(),
        Effect::FireAnswer(answer) => answer.message.raw.weight(),
        _ => 0,
    };
    RECORD + of_what_is_in_it
}

fn weight_of_stanza(stanza: &Outgoing) -> usize {
    match stanza {
        Outgoing::Message { draft, .. } => draft.weight(),
        Outgoing::Sealed(sealed) => {
            let Sealed { content, says, .. } = &**sealed;
            content.weight() + says.as_ref().map_or(0, |draft| draft.weight())
        }
        Outgoing::Raw(raw) | Outgoing::Again(raw) | Outgoing::Private(raw, _) => raw.weight(),
        _ => 0,
    }
}

/// The effects of one input, on their way.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Whether keys have changed among them, so that all that follows waits.
    pub(super) waits: bool,
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use parlor_session::event::{Event, Payload};
    use parlor_stanza::types::{Draft, MessageKind};

    use super::*;

    fn message(bytes: usize) -> Effect {
        let to = "romeo@example.org".parse().unwrap();
        let draft = Draft { body: Some("x".repeat(bytes)), ..Draft::default() };
        Effect::Send(Outgoing::Message { to, kind: MessageKind::Chat, id: String::new(), draft, to_occupant: false })
    }

    #[test]
    fn so_many_effects_wait_and_so_many_bytes() {
        let mut held = HeldBack::default();
        assert_eq!((0..MOST + 5).filter(|_| held.put(1, message(1)).is_none()).count(), MOST);
        let mut held = HeldBack::default();
        let large = (0..100).filter(|_| held.put(1, message(1 << 20)).is_none()).count();
        assert_eq!(large, 63, "each of them is somewhat larger than its text");
        assert!(held.put(1, message(1)).is_none(), "a small one still has room");
        assert!(held.take(1).is_some());
        assert!(held.put(2, message(1 << 20)).is_none());
    }

    #[test]
    fn a_command_that_waits_goes_to_the_version_that_replaces_its_plugin() {
        let [old, new, other] = [(); 3].map(|()| InstanceId::next());
        let event = || Event { name: "command".into(), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
        let mut held = HeldBack::default();
        let form = Effect::FireForForm(old, event(), "1".to_owned());
        for effect in [Effect::FireFor(old, event()), form, Effect::FireFor(other, event())] {
            assert!(held.put(1, effect).is_none());
        }
        held.inherit(new, old);
        let instances = std::iter::from_fn(|| held.take(1)).map(|effect| match effect {
            Effect::FireFor(instance, _) | Effect::FireForForm(instance, ..) => instance,
            other => panic!("{other:?}"),
        });
        assert_eq!(instances.collect::<Vec<_>>(), [new, new, other]);
    }

    #[test]
    fn each_waits_for_its_own_change() {
        let mut held = HeldBack::default();
        for after in [1, 1, 2] {
            assert!(held.put(after, message(1)).is_none());
        }
        assert!(held.take(0).is_none());
        assert!(held.take(1).is_some() && held.take(1).is_some() && held.take(1).is_none());
        assert!(held.take(9).is_some() && held.take(9).is_none());
        assert_eq!(held.bytes, 0);
    }
}
