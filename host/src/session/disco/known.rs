//! What others said of themselves. Bounded in every direction, since anybody can say anything.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use imbl::{HashMap, HashSet};
use jid::{BareJid, Jid};
use jiff::Timestamp;

use super::caps;
use crate::session::occupants::is_occupant;
use crate::stanza::{Caps, Disco, Identity};

/// How many entities' own answers are kept.
pub(in crate::session) const MAX_ENTITIES: usize = 512;
/// How many features, identities or fields of one entity are kept.
pub(in crate::session) const MAX_FEATURES: usize = 512;
/// How much text of one entity is kept, in bytes.
const MAX_TEXT: usize = 32 << 10;
/// How many full addresses are kept with what they claim.
pub(in crate::session) const MAX_CLAIMS: usize = 16_384;
/// How long each part of a claim may be, in bytes.
const MAX_CLAIM: usize = 256;
/// How many hashes are kept with what they stand for.
pub(in crate::session) const MAX_VERIFIED: usize = 256;
/// The feature of a service of rooms (XEP-0045).
const MUC: &str = "http://jabber.org/protocol/muc";
/// How long an entity's own answer counts.
const FRESH: Duration = Duration::from_hours(1);

/// What is known of what others can do. Cloning it copies a few pointers.
#[derive(Debug, Clone, Default)]
pub struct KnownDisco {
    /// What an entity answered itself, and when.
    entities: HashMap<Jid, (Timestamp, Arc<Disco>)>,
    order: Arc<VecDeque<Jid>>,
    /// The own server, account and services: what they said stays for as long as the stream.
    lasting: HashSet<Jid>,
    /// What full addresses claim in their presence.
    claims: HashMap<Jid, Arc<Caps>>,
    /// What a hash stands for, compared: true of everybody who claims it.
    verified: HashMap<String, Arc<Disco>>,
    verified_order: Arc<VecDeque<String>>,
}

impl KnownDisco {
    /// What this entity is and can do: as it said itself within the last hour, or as somebody else of the same, verified
    /// hash did.
    pub fn of(&self, entity: &Jid, now: Timestamp) -> Option<&Arc<Disco>> {
        let fresh = |at: Timestamp| now.duration_since(at).unsigned_abs() <= FRESH;
        match self.entities.get(entity) {
            Some((at, disco)) if fresh(*at) || self.lasting.contains(entity) => Some(disco),
            Some(_) | None => {
                let claim = self.claims.get(entity).filter(|claim| claim.hash == caps::HASH)?;
                self.verified.get(&claim.ver)
            }
        }
    }

    /// Whether this is the address of a room, by what the service at its domain says of itself: that it has nothing but rooms.
    /// Gateways have people as well, and another type (XEP-0045, section 6.2).
    pub fn is_at_rooms(&self, jid: &BareJid, now: Timestamp) -> bool {
        let service = Jid::from(BareJid::from_parts(None, jid.domain()));
        let Some(service) = self.of(&service, now).filter(|_| jid.node().is_some()) else { return false };
        let has_rooms = |identity: &Identity| identity.category == "conference" && identity.kind == "text";
        service.identities.iter().any(has_rooms) && service.features.iter().any(|feature| feature == MUC)
    }

    /// What an entity claims in its presence.
    pub(super) fn claim(&self, entity: &Jid) -> Option<&Caps> {
        self.claims.get(entity).map(|claim| &**claim)
    }

    /// What this entity says is kept for as long as the stream.
    pub(super) fn last(&mut self, entity: &Jid) {
        self.lasting.insert(entity.clone());
    }

    /// Keeps what an entity answered, as much of it as is kept.
    pub(super) fn add(&mut self, entity: &Jid, mut disco: Disco, now: Timestamp) -> Arc<Disco> {
        let is_whole = !cut(&mut disco);
        let disco = Arc::new(disco);
        if let Some(claim) = self.claims.get(entity)
            && is_whole
            && !self.verified.contains_key(&claim.ver)
            && caps::vouches(claim, &disco)
        {
            let order = Arc::make_mut(&mut self.verified_order);
            if order.len() >= MAX_VERIFIED
                && let Some(oldest) = order.pop_front()
            {
                self.verified.remove(&oldest);
            }
            order.push_back(claim.ver.clone());
            self.verified.insert(claim.ver.clone(), Arc::clone(&disco));
        }
        let is_new = self.entities.insert(entity.clone(), (now, Arc::clone(&disco))).is_none();
        if is_new && !self.lasting.contains(entity) {
            let order = Arc::make_mut(&mut self.order);
            order.push_back(entity.clone());
            // Those that have left are in the order still.
            while self.entities.len() > MAX_ENTITIES + self.lasting.len() || order.len() > 2 * MAX_ENTITIES {
                match order.pop_front() {
                    Some(oldest) if oldest != *entity => self.entities.remove(&oldest),
                    Some(_) | None => break,
                };
            }
        }
        disco
    }

    /// A full address claims this now. Whether anything is different.
    pub(super) fn claimed(&mut self, entity: &Jid, claim: Caps) -> bool {
        if [&claim.hash, &claim.node, &claim.ver].iter().any(|part| part.len() > MAX_CLAIM) {
            return self.claims.remove(entity).is_some();
        }
        let before = self.claims.get(entity);
        if before.is_some_and(|before| **before == claim) || (before.is_none() && self.claims.len() >= MAX_CLAIMS) {
            return false;
        }
        // What it said of itself was true of something else.
        self.entities.remove(entity);
        self.claims.insert(entity.clone(), Arc::new(claim));
        true
    }

    /// A full address is not there any more. Whether anything is different.
    pub(super) fn gone(&mut self, entity: &Jid) -> bool {
        let claimed = self.claims.remove(entity).is_some();
        self.entities.remove(entity).is_some() || claimed
    }

    /// Nobody says any more who is in a room.
    pub(in crate::session) fn forget_occupants(&mut self, room: &BareJid) {
        self.claims.retain(|entity, _| !is_occupant(entity, room));
        self.entities.retain(|entity, _| !is_occupant(entity, room));
    }

    /// Forgets everybody, but not what hashes stand for.
    pub(super) fn forget_entities(&mut self) {
        self.entities.clear();
        self.order = Arc::default();
        self.lasting.clear();
        self.claims.clear();
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 3] {
        [self.entities.len().max(self.order.len() / 2), self.claims.len(), self.verified.len()]
    }
}

/// Leaves out what is more than is kept. Whether anything was.
fn cut(disco: &mut Disco) -> bool {
    let mut left = MAX_TEXT;
    let mut is_cut = false;
    let mut keep = |number: usize, texts: &mut dyn Iterator<Item = usize>| {
        let length: usize = texts.sum();
        let fits = number < MAX_FEATURES && length <= left;
        left -= if fits { length } else { 0 };
        is_cut |= !fits;
        fits
    };
    let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let mut number = 0;
    disco.identities.retain(|one| {
        let texts = [one.category.len(), one.kind.len(), len(&one.name), len(&one.lang)];
        number += 1;
        keep(number - 1, &mut texts.into_iter())
    });
    number = 0;
    disco.features.retain(|feature| {
        number += 1;
        keep(number - 1, &mut std::iter::once(feature.len()))
    });
    number = 0;
    for form in &mut disco.forms {
        form.fields.retain(|field| {
            number += 1;
            // Each value costs something even if it is empty.
            let values = field.values.iter().map(|value| value.len() + 8);
            keep(number - 1, &mut values.chain([field.var.len(), len(&field.kind)]))
        });
    }
    disco.forms.retain(|form| {
        number += 1;
        keep(number - 1, &mut std::iter::once(len(&form.form_type)))
    });
    is_cut
}
