//! The features of other entities. Bounded in every respect, since anyone can send anything.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use imbl::{HashMap, OrdMap, OrdSet};
use jid::{BareJid, Jid};
use jiff::Timestamp;
use parlor_stanza::files::UPLOAD;
use parlor_stanza::types::{Caps, Disco, Identity};

use super::caps;
use crate::records::occupant::is_occupant;

/// Maximum number of entities whose own answers are kept.
pub(crate) const MAX_ENTITIES: usize = 512;
/// Maximum number of features, identities or fields of one entity.
pub(crate) const MAX_FEATURES: usize = 512;
/// Maximum length of the texts of one entity, in bytes.
const MAX_TEXT: usize = 32 << 10;
/// Maximum number of full addresses whose claims are kept.
pub(crate) const MAX_CLAIMS: usize = 16_384;
/// Maximum length of each part of a claim, in bytes.
const MAX_CLAIM: usize = 256;
/// Maximum number of verified hashes.
pub(crate) const MAX_VERIFIED: usize = 256;
/// The feature of a service with rooms (XEP-0045).
const MUC: &str = "http://jabber.org/protocol/muc";
/// How long an entity's own answer is valid.
const FRESH: Duration = Duration::from_hours(1);

/// The known features of other entities. Cloning it copies a few pointers.
#[derive(Debug, Clone, Default)]
pub struct KnownDisco {
    /// The entities' own answers, with the time of each. Most accounts have two or three of them, for which a hash map would take 2 KiB.
    entities: OrdMap<Jid, (Timestamp, Arc<Disco>)>,
    order: Arc<VecDeque<Jid>>,
    /// The own server, account and services: their answers are valid for the whole stream.
    lasting: OrdSet<Jid>,
    /// The claims in the presence of full addresses.
    claims: HashMap<Jid, Arc<Caps>>,
    /// The verified information for each hash. It is true of everyone who claims the hash.
    verified: HashMap<String, Arc<Disco>>,
    verified_order: Arc<VecDeque<String>>,
}

impl KnownDisco {
    /// Returns the information about this entity: its own answer within the last hour, or that of another entity with
    /// the same verified hash.
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

    /// Returns the service of the own server that takes uploads (XEP-0363), and the largest file that it takes, if it says so.
    pub fn uploads(&self) -> Option<(&Jid, Option<u64>)> {
        let takes = |disco: &Disco| disco.features.iter().any(|feature| feature == UPLOAD);
        let found = self.entities.iter().filter(|(jid, (_, disco))| self.lasting.contains(*jid) && takes(disco));
        // If there are several, the choice is always the same.
        let (jid, (_, disco)) = found.min_by_key(|(jid, _)| (*jid).clone())?;
        let form = disco.forms.iter().find(|form| form.form_type.as_deref() == Some(UPLOAD));
        let most = form.and_then(|form| form.fields.iter().find(|field| field.var == "max-file-size"));
        Some((jid, most.and_then(|field| field.values.first()?.parse().ok())))
    }

    /// Returns whether this is the address of a room, according to the service at its domain: it has only rooms.
    /// Gateways have people as well, and another type (XEP-0045, section 6.2).
    pub fn is_at_rooms(&self, jid: &BareJid, now: Timestamp) -> bool {
        let service = Jid::from(BareJid::from_parts(None, jid.domain()));
        let Some(service) = self.of(&service, now).filter(|_| jid.node().is_some()) else { return false };
        let has_rooms = |identity: &Identity| identity.category == "conference" && identity.kind == "text";
        service.identities.iter().any(has_rooms) && service.features.iter().any(|feature| feature == MUC)
    }

    /// Returns the claim in an entity's presence.
    pub(super) fn claim(&self, entity: &Jid) -> Option<&Caps> {
        self.claims.get(entity).map(|claim| &**claim)
    }

    /// Keeps the answers of this entity for the whole stream.
    pub(super) fn last(&mut self, entity: &Jid) {
        self.lasting.insert(entity.clone());
    }

    /// Stores an entity's answer, as much of it as is kept.
    pub(crate) fn add(&mut self, entity: &Jid, mut disco: Disco, now: Timestamp) -> Arc<Disco> {
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
            // Entities that have left are still in the order.
            while self.entities.len() > MAX_ENTITIES + self.lasting.len() || order.len() > 2 * MAX_ENTITIES {
                match order.pop_front() {
                    Some(oldest) if oldest != *entity => self.entities.remove(&oldest),
                    Some(_) | None => break,
                };
            }
        }
        disco
    }

    /// Stores the claim of a full address. Returns whether anything changed.
    pub(super) fn claimed(&mut self, entity: &Jid, claim: Caps) -> bool {
        if [&claim.hash, &claim.node, &claim.ver].iter().any(|part| part.len() > MAX_CLAIM) {
            return self.claims.remove(entity).is_some();
        }
        let before = self.claims.get(entity);
        if before.is_some_and(|before| **before == claim) || (before.is_none() && self.claims.len() >= MAX_CLAIMS) {
            return false;
        }
        // Its previous answer belonged to the previous claim.
        self.entities.remove(entity);
        self.claims.insert(entity.clone(), Arc::new(claim));
        true
    }

    /// Removes a full address that went offline. Returns whether anything changed.
    pub(super) fn gone(&mut self, entity: &Jid) -> bool {
        let claimed = self.claims.remove(entity).is_some();
        self.entities.remove(entity).is_some() || claimed
    }

    /// Removes the occupants of a room, whose presence is no longer reported.
    pub(crate) fn forget_occupants(&mut self, room: &BareJid) {
        self.claims.retain(|entity, _| !is_occupant(entity, room));
        let occupants: Vec<Jid> = self.entities.keys().filter(|entity| is_occupant(entity, room)).cloned().collect();
        for occupant in &occupants {
            self.entities.remove(occupant);
        }
    }

    /// Removes all entities, but keeps the verified hashes.
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

/// Removes the part that exceeds the limits. Returns whether there was any.
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
            // Each value takes memory even if it is empty.
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
