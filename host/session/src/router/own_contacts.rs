//! Contacts that plugins added to the roster or changed there, and the part of each that is the owner's.
//!
//! A contact that a plugin added does not count for its own grants: otherwise `contacts.write` would make `contacts` mean
//! everyone. Nobody may give a command as `contacts` or `group:NAME` by what a plugin made of a contact: otherwise one plugin
//! could open the commands of another. Each note is made before the server is asked.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use imbl::HashMap;
use jid::BareJid;
use jiff::{SignedDuration, Timestamp};
use parlor_base::id::PluginId;

use crate::records::contact::Contact;

/// How long no plugin may have changed a contact before a change is that of the owner in another client. It is longer than a
/// server keeps a session whose connection was lost, so that the server's word of a plugin's change does not come later.
const QUIET: SignedDuration = SignedDuration::from_hours(1);
/// Maximum number of notes that are dropped at once because their contacts left the roster long ago.
const SWEPT: usize = 100;

/// The part of a contact that no plugin made. It only ever becomes less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnersPart {
    /// Whether it was in the roster before the plugin changed it.
    pub is_listed: bool,
    /// Whether this account saw its presence before, and still does.
    pub is_seen: bool,
    /// The groups in which it was before, and still is.
    pub groups: Vec<String>,
}

impl OwnersPart {
    /// Returns all of a contact.
    fn of(contact: &Contact) -> Self {
        Self { is_listed: true, is_seen: contact.is_seen(), groups: contact.groups.clone() }
    }

    /// Returns what a contact still has of it. The contact is in the roster.
    fn left_in(&self, contact: &Contact) -> Self {
        let groups = self.groups.iter().filter(|group| contact.groups.contains(group));
        Self {
            is_listed: self.is_listed,
            is_seen: self.is_seen && contact.is_seen(),
            groups: groups.cloned().collect(),
        }
    }
}

/// The note that a plugin added or changed a contact.
#[derive(Debug, Clone)]
struct Note {
    part: Arc<OwnersPart>,
    /// When the plugin last asked for a change, since the host started.
    touched: Option<Timestamp>,
    /// How often it did.
    times: u64,
}

impl Note {
    /// Returns whether a change that is told now cannot be the plugin's. `stirred` is the time of the last log-in.
    fn is_quiet(&self, stirred: Timestamp, now: Timestamp) -> bool {
        let last = self.touched.map_or(stirred, |touched| touched.max(stirred));
        now.duration_since(last) >= QUIET
    }
}

type Notes = HashMap<PluginId, HashMap<BareJid, Note>>;

/// A note that is otherwise now, for the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revised {
    /// The plugin whose note it is.
    pub plugin: PluginId,
    /// The contact.
    pub jid: BareJid,
    /// The part of the contact that is the owner's. None: there is no note any more, all of it is.
    pub part: Option<Arc<OwnersPart>>,
}

/// The contacts that the plugins of one account added or changed, by plugin. Reading it takes no lock. Most plugins change
/// none, and take no memory here.
#[derive(Debug, Default)]
pub struct PluginContacts {
    notes: ArcSwap<Notes>,
    /// When the account last logged in. Until a while later, the server may tell of changes from before.
    stirred: Mutex<Option<Timestamp>>,
}

impl PluginContacts {
    /// Returns those of a plugin, now and later.
    pub fn of(self: &Arc<Self>, plugin: &PluginId) -> OwnContacts {
        OwnContacts { all: Arc::clone(self), plugin: plugin.clone() }
    }

    /// Notes that the account has logged in. What other clients changed meanwhile cannot be told from what plugins did.
    pub fn logged_in(&self, now: Timestamp) {
        *self.stirred.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    fn stirred(&self, now: Timestamp) -> Timestamp {
        *self.stirred.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now)
    }

    /// Returns whether something of a contact is the owner's: no plugin made it.
    fn is_owners(&self, jid: &BareJid, what: impl Fn(&OwnersPart) -> bool) -> bool {
        let notes = self.notes.load();
        notes.values().filter_map(|own| own.get(jid)).all(|note| what(&note.part))
    }

    /// Returns the plugins with a note about a contact.
    pub fn noted_by(&self, jid: &BareJid) -> Vec<PluginId> {
        let notes = self.notes.load();
        let mut plugins: Vec<_> =
            notes.iter().filter(|(_, own)| own.contains_key(jid)).map(|(plugin, _)| plugin.clone()).collect();
        plugins.sort();
        plugins
    }

    /// Returns the part of a contact that is the owner's, for the note of a plugin that changes it now. None: it is not in the
    /// roster.
    pub fn owners_part(&self, jid: &BareJid, contact: Option<&Contact>) -> OwnersPart {
        let Some(contact) = contact else { return OwnersPart::default() };
        let mut part = OwnersPart::of(contact);
        for note in self.notes.load().values().filter_map(|own| own.get(jid)) {
            part.is_seen &= note.part.is_seen;
            part.groups.retain(|group| note.part.groups.contains(group));
        }
        part
    }

    /// Handles the server's word of an entry. `is_edited`: its name or groups changed, or it is new. If no plugin can have
    /// asked for that, the owner did in another client, and the whole contact is the owner's.
    #[must_use]
    pub fn came(&self, contact: &Contact, is_edited: bool, now: Timestamp) -> Vec<Revised> {
        let stirred = self.stirred(now);
        let notes = self.notes.load_full();
        let is_of_owner =
            is_edited && notes.values().filter_map(|own| own.get(&contact.jid)).all(|note| note.is_quiet(stirred, now));
        self.revise(&contact.jid, |note| (!is_of_owner).then(|| Arc::new(note.part.left_in(contact))))
    }

    /// Handles the end of an entry. If the plugin may have asked to have it again, nothing of what comes is the owner's.
    #[must_use]
    pub fn left(&self, jid: &BareJid, now: Timestamp) -> Vec<Revised> {
        let stirred = self.stirred(now);
        self.revise(jid, |note| (!note.is_quiet(stirred, now)).then(Arc::default))
    }

    /// Handles a whole roster, without the people who only ask to be in it.
    #[must_use]
    pub fn roster_came<'c>(&self, find: impl Fn(&BareJid) -> Option<&'c Arc<Contact>>) -> Vec<Revised> {
        let left = |jid: &BareJid, part: &OwnersPart| {
            Arc::new(find(jid).map(|contact| part.left_in(contact)).unwrap_or_default())
        };
        let notes = self.notes.load_full();
        let each = notes.values().flat_map(HashMap::iter);
        let less = each.filter(|(jid, note)| left(jid, &note.part) != note.part).map(|(jid, _)| jid);
        let less: HashSet<&BareJid> = less.collect();
        less.into_iter().flat_map(|jid| self.revise(jid, |note| Some(left(jid, &note.part)))).collect()
    }

    /// Changes the notes about a contact, or drops them. Returns those that changed.
    fn revise(&self, jid: &BareJid, with: impl Fn(&Note) -> Option<Arc<OwnersPart>>) -> Vec<Revised> {
        let mut revised = Vec::new();
        if self.notes.load().is_empty() {
            return revised;
        }
        self.notes.rcu(|all| {
            revised.clear();
            let mut new = HashMap::clone(all);
            for (plugin, own) in all.iter() {
                let Some(note) = own.get(jid) else { continue };
                let part = with(note);
                if part.as_ref() == Some(&note.part) {
                    continue;
                }
                let mut own = own.clone();
                if let Some(part) = &part {
                    own.insert(jid.clone(), Note { part: Arc::clone(part), ..note.clone() });
                } else {
                    own.remove(jid);
                }
                if own.is_empty() {
                    new.remove(plugin);
                } else {
                    new.insert(plugin.clone(), own);
                }
                revised.push(Revised { plugin: plugin.clone(), jid: jid.clone(), part });
            }
            Arc::new(new)
        });
        revised
    }
}

/// The contacts that one plugin added to one account or changed there.
#[derive(Debug, Clone)]
pub struct OwnContacts {
    all: Arc<PluginContacts>,
    plugin: PluginId,
}

impl OwnContacts {
    /// Returns whether the plugin added this contact.
    pub fn has(&self, jid: &BareJid) -> bool {
        let all = self.all.notes.load();
        !all.is_empty() && all.get(&self.plugin).and_then(|own| own.get(jid)).is_some_and(|note| !note.part.is_listed)
    }

    /// Returns whether something of a contact is the owner's: neither this plugin nor another one made it.
    pub fn is_owners(&self, jid: &BareJid, what: impl Fn(&OwnersPart) -> bool) -> bool {
        self.all.is_owners(jid, what)
    }

    /// Returns how many contacts the plugin added or changed.
    pub fn count(&self) -> usize {
        self.all.notes.load().get(&self.plugin).map_or(0, HashMap::len)
    }

    /// Adds the notes of an earlier process.
    pub fn load(&self, parts: &[(BareJid, OwnersPart)]) {
        // A copy shares what does not change.
        self.change(|own| {
            for (jid, part) in parts {
                own.insert(jid.clone(), Note { part: Arc::new(part.clone()), touched: None, times: 0 });
            }
        });
    }

    /// Notes that the plugin asks for a change of a contact of which it has a note. Returns false if it has none.
    pub fn touch(&self, jid: &BareJid, now: Timestamp) -> bool {
        if !self.all.notes.load().get(&self.plugin).is_some_and(|own| own.contains_key(jid)) {
            return false;
        }
        let mut is_noted = false;
        self.change(|own| {
            let known = own.get(jid).cloned();
            is_noted = known.is_some();
            if let Some(note) = known {
                own.insert(jid.clone(), Note { touched: Some(now), times: note.times + 1, ..note });
            }
        });
        is_noted
    }

    /// Notes that the plugin asks to add a contact, or to change it for the first time. Returns the part that is the owner's by
    /// the note: another call of the plugin, which waited for its turn as well, may have made it when the owner had less.
    pub fn note(&self, jid: &BareJid, part: &Arc<OwnersPart>, now: Timestamp) -> Arc<OwnersPart> {
        let mut noted = Arc::clone(part);
        self.change(|own| {
            let known = own.get(jid).cloned();
            let note = known.unwrap_or_else(|| Note { part: Arc::clone(part), touched: None, times: 0 });
            noted = Arc::clone(&note.part);
            own.insert(jid.clone(), Note { touched: Some(now), times: note.times + 1, ..note });
        });
        noted
    }

    /// Drops the note of the plugin's only request about a contact, which changed nothing. Returns whether that was so.
    pub fn take_back(&self, jid: &BareJid) -> bool {
        let mut is_gone = false;
        self.change(|own| {
            is_gone = own.get(jid).is_some_and(|note| note.times == 1);
            if is_gone {
                own.remove(jid);
            }
        });
        is_gone
    }

    /// Drops some of the notes about contacts that left the roster long ago. Returns these contacts.
    #[must_use]
    pub fn sweep(&self, is_contact: impl Fn(&BareJid) -> bool, now: Timestamp) -> Vec<BareJid> {
        let stirred = self.all.stirred(now);
        let notes = self.all.notes.load_full();
        let own = notes.get(&self.plugin).into_iter().flat_map(HashMap::iter);
        let gone = own.filter(|(jid, note)| !is_contact(jid) && note.is_quiet(stirred, now));
        let gone: Vec<BareJid> = gone.map(|(jid, _)| jid.clone()).take(SWEPT).collect();
        if !gone.is_empty() {
            self.change(|own| {
                for jid in &gone {
                    own.remove(jid);
                }
            });
        }
        gone
    }

    fn change(&self, mut with: impl FnMut(&mut HashMap<BareJid, Note>)) {
        self.all.notes.rcu(|all| {
            let mut new = HashMap::clone(all);
            let mut own = new.remove(&self.plugin).unwrap_or_default();
            with(&mut own);
            if !own.is_empty() {
                new.insert(self.plugin.clone(), own);
            }
            Arc::new(new)
        });
    }
}
