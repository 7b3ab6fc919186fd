//! The contacts that the plugins of an account added or changed: in memory, and on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use jid::BareJid;
use jiff::Timestamp;
use parlor_base::id::PluginId;
use parlor_session::router::{OwnContacts, OwnersPart, Revised};
use parlor_session::{Contact, Snapshot};

use super::{MOST_ADDED, Records};

impl Records {
    /// Loads the contacts that plugins added or changed, once. If that fails, a warning is logged and these contacts count like
    /// any others. The roster of the snapshot may have come before them.
    pub(crate) async fn learn(&self, snapshot: impl Fn() -> Arc<Snapshot>) {
        let learn = async || match self.kept.load().await {
            Ok(all) => {
                let mut each = BTreeMap::<PluginId, Vec<(BareJid, OwnersPart)>>::new();
                for (plugin, jid, part) in all {
                    each.entry(plugin).or_default().push((jid, part));
                }
                for (plugin, parts) in each {
                    self.own_contacts(&plugin).load(&parts);
                }
                self.roster_came(&snapshot());
            }
            Err(error) => {
                let says = "which contacts plugins added or changed cannot be read: these count like any others";
                tracing::warn!(%error, "{says}");
            }
        };
        self.learned.get_or_init(learn).await;
    }

    /// Returns the contacts that this plugin added or changed, now and later.
    pub fn own_contacts(&self, plugin: &PluginId) -> OwnContacts {
        self.own_contacts.of(plugin)
    }

    /// Returns the plugins that added or changed a contact.
    pub fn changed_by(&self, jid: &BareJid) -> Vec<PluginId> {
        self.own_contacts.noted_by(jid)
    }

    /// Records that a plugin is about to change a contact again. Returns false if it is the first time.
    pub(crate) fn touches_contact(&self, plugin: &PluginId, jid: &BareJid, now: Timestamp) -> bool {
        self.own_contacts(plugin).touch(jid, now)
    }

    /// Records that a plugin is about to add a contact, or to change it for the first time. Returns false if it has added or
    /// changed [`MOST_ADDED`] already.
    pub(crate) async fn changes_contact(
        &self,
        plugin: &PluginId,
        jid: &BareJid,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> bool {
        let own = self.own_contacts(plugin);
        if own.count() >= MOST_ADDED {
            for gone in own.sweep(|jid| snapshot.is_contact(jid), now) {
                self.kept.forget(Some(plugin), &gone);
            }
        }
        let is_full = own.count() >= MOST_ADDED;
        if is_full {
            return false;
        }
        let entry = snapshot.entry(jid).map(|contact| &**contact);
        let part = own.note(jid, &Arc::new(self.own_contacts.owners_part(jid, entry)), now);
        if let Err(error) = self.kept.keep(plugin, jid, &part).await {
            tracing::warn!(%plugin, %error, "that a plugin changed a contact is forgotten with the next start of the host");
        }
        true
    }

    /// Takes that record back, because the server refused the contact. It stays if the plugin has asked again meanwhile.
    pub(crate) fn added_no_contact(&self, plugin: &PluginId, jid: &BareJid) {
        if self.own_contacts(plugin).take_back(jid) {
            self.kept.forget(Some(plugin), jid);
        }
    }

    /// Records that the account has logged in.
    pub(crate) fn logged_in(&self, now: Timestamp) {
        self.own_contacts.logged_in(now);
    }

    /// Handles the server's word of an entry. What the owner edited in another client is the owner's.
    pub(crate) fn contact_came(&self, contact: &Contact, is_edited: bool, now: Timestamp) {
        self.keep_revised(self.own_contacts.came(contact, is_edited, now));
    }

    /// Handles the end of an entry. If a plugin adds it again, it becomes that plugin's.
    pub(crate) fn contact_left(&self, jid: &BareJid, now: Timestamp) {
        self.keep_revised(self.own_contacts.left(jid, now));
    }

    /// Handles a whole roster.
    pub(crate) fn roster_came(&self, snapshot: &Snapshot) {
        if snapshot.contacts.is_some() {
            self.keep_revised(self.own_contacts.roster_came(|jid| snapshot.entry(jid)));
        }
    }

    fn keep_revised(&self, all: Vec<Revised>) {
        for Revised { plugin, jid, part } in all {
            match part {
                Some(part) => self.kept.lessen(&plugin, &jid, &part),
                None => self.kept.forget(Some(&plugin), &jid),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use parlor_config::Settings;
    use parlor_session::Session;
    use parlor_stanza::types::RosterItem;
    use parlor_store::Store;

    use super::*;

    const JULIET: &str = "juliet@example.org";

    fn bare(jid: &str) -> BareJid {
        BareJid::new(jid).unwrap()
    }

    fn plugins() -> [PluginId; 2] {
        ["echo", "other"].map(|id| id.parse().unwrap())
    }

    /// A time, this many minutes after the log-in.
    fn after(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    fn contact(jid: &str, groups: &[&str]) -> Contact {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Contact::new(RosterItem { jid: bare(jid), name: None, subscription: "both".to_owned(), ask: false, groups })
    }

    fn snapshot(contacts: Vec<Contact>) -> Snapshot {
        let mut snapshot = Session::new("bot@example.org/here".parse().unwrap(), Settings::default()).snapshot();
        snapshot.contacts = Some(contacts.into_iter().map(|one| (one.jid.clone(), Arc::new(one))).collect());
        snapshot
    }

    /// The records of an account that logs in again in a new process.
    async fn restarted(store: &Store) -> Records {
        let no_roster = Snapshot { contacts: None, ..snapshot(Vec::new()) };
        restarted_after(store, no_roster).await
    }

    /// The same, after this roster has come.
    async fn restarted_after(store: &Store, snapshot: Snapshot) -> Records {
        let (records, snapshot) = (Records::new(store.added_contacts(&bare("bot@example.org"))), Arc::new(snapshot));
        records.learn(|| Arc::clone(&snapshot)).await;
        records.logged_in(after(0));
        records
    }

    fn own(records: &Records, jid: &str) -> [bool; 2] {
        plugins().map(|plugin| records.own_contacts(&plugin).has(&bare(jid)))
    }

    /// Whether the owner put the person among the contacts, and into this group.
    fn is_owners(records: &Records, jid: &str, group: &str) -> [bool; 2] {
        let any = records.own_contacts(&plugins()[0]);
        let is_in = any.is_owners(&bare(jid), |part| part.groups.iter().any(|one| one == group));
        [any.is_owners(&bare(jid), |part| part.is_seen), is_in]
    }

    #[tokio::test]
    async fn a_contact_that_a_plugin_added_is_its_own_until_it_leaves_also_after_a_start() {
        let (store, [echo, _], empty) = (Store::in_memory(), plugins(), snapshot(Vec::new()));
        let first = restarted(&store).await;
        assert!(first.changes_contact(&echo, &bare(JULIET), &empty, after(1)).await);
        assert!(first.changes_contact(&echo, &bare("nurse@example.org"), &empty, after(1)).await);
        first.added_no_contact(&echo, &bare("nurse@example.org"));
        let second = restarted(&store).await;
        assert_eq!(own(&second, JULIET), [true, false], "another plugin is granted it like any contact");
        assert_eq!(is_owners(&second, JULIET, "staff"), [false; 2], "and people give commands as such to none");
        assert_eq!(own(&second, "nurse@example.org"), [false, false]);
        second.keep_only(|_| false);
        assert_eq!(own(&second, JULIET), [true, false], "a plugin that comes back has added it still");
        second.contact_left(&bare(JULIET), after(60));
        let third = restarted(&store).await;
        for records in [second, third] {
            assert_eq!((own(&records, JULIET), is_owners(&records, JULIET, "staff")), ([false; 2], [true; 2]));
        }
    }

    /// Otherwise a plugin would remove a contact and add it again in one go, and it would count as the owner's.
    #[tokio::test]
    async fn what_a_plugin_may_have_asked_for_is_its_own_however_the_contact_came_and_went() {
        let (store, [echo, _]) = (Store::in_memory(), plugins());
        let (known, juliet) = (snapshot(vec![contact(JULIET, &["staff"])]), bare(JULIET));
        let records = restarted(&store).await;
        // The contact is the owner's. Its removal is on the way when the plugin adds it again.
        assert!(records.changes_contact(&echo, &juliet, &known, after(70)).await);
        assert_eq!((own(&records, JULIET), is_owners(&records, JULIET, "staff")), ([false; 2], [true; 2]));
        records.contact_left(&juliet, after(71));
        records.contact_came(&contact(JULIET, &["staff"]), true, after(71));
        let lost = ([true, false], [false; 2]);
        assert_eq!((own(&records, JULIET), is_owners(&records, JULIET, "staff")), lost);
        // A second request keeps the note, whatever became of the first.
        assert!(records.touches_contact(&echo, &juliet, after(72)));
        records.added_no_contact(&echo, &juliet);
        records.contact_came(&contact(JULIET, &["friends"]), true, after(131));
        assert_eq!(own(&records, JULIET), [true, false]);
        // After a start, a change from before may still come.
        let records = restarted(&store).await;
        assert_eq!((own(&records, JULIET), is_owners(&records, JULIET, "staff")), lost);
        records.contact_came(&contact(JULIET, &["staff"]), true, after(59));
        records.contact_came(&contact(JULIET, &["staff"]), false, after(60));
        assert_eq!((own(&records, JULIET), is_owners(&records, JULIET, "staff")), lost, "the contact did that");
    }

    /// Both calls wait for their turn. Otherwise the second one would store that the contact was there before.
    #[tokio::test]
    async fn of_two_calls_that_add_a_contact_the_first_says_what_was_the_owners() {
        let (store, [echo, _], juliet) = (Store::in_memory(), plugins(), bare(JULIET));
        let records = restarted(&store).await;
        assert!(records.changes_contact(&echo, &juliet, &snapshot(Vec::new()), after(1)).await);
        let added = snapshot(vec![contact(JULIET, &["staff"])]);
        assert!(records.changes_contact(&echo, &juliet, &added, after(1)).await);
        for records in [records, restarted(&store).await] {
            assert_eq!((own(&records, JULIET), is_owners(&records, JULIET, "staff")), ([true, false], [false; 2]));
        }
    }

    #[tokio::test]
    async fn a_group_that_a_plugin_gave_a_contact_is_none_of_the_owners_until_the_owner_edits_it() {
        let (store, [echo, other]) = (Store::in_memory(), plugins());
        let known = snapshot(vec![contact(JULIET, &["staff", "night"])]);
        let records = restarted(&store).await;
        assert!(records.changes_contact(&echo, &bare(JULIET), &known, after(1)).await);
        records.contact_came(&contact(JULIET, &["staff", "admins"]), true, after(1));
        // What it is in by the first plugin does not become the owner's by the note of the second.
        let changed = contact(JULIET, &["staff", "admins"]);
        assert_eq!(records.own_contacts.owners_part(&bare(JULIET), Some(&changed)).groups, ["staff"]);
        let known = snapshot(vec![changed]);
        assert!(records.changes_contact(&other, &bare(JULIET), &known, after(2)).await);
        // Nor does a group from which it was taken, and to which it comes back.
        records.contact_came(&contact(JULIET, &["staff", "night", "admins"]), true, after(2));
        let seen = |records: &Records| {
            assert_eq!(own(records, JULIET), [false; 2], "it stays a contact for the grants of both");
            ["staff", "night", "admins"].map(|group| is_owners(records, JULIET, group))
        };
        assert_eq!(seen(&records), [[true, true], [true, false], [true, false]]);
        assert_eq!(records.changed_by(&bare(JULIET)), plugins());
        let later = restarted(&store).await;
        assert_eq!(seen(&later), [[true, true], [true, false], [true, false]]);
        later.contact_came(&contact(JULIET, &["staff", "admins"]), true, after(60));
        assert_eq!(seen(&later), [[true; 2]; 3], "the owner edited it: no plugin has a note");
        assert!(later.changed_by(&bare(JULIET)).is_empty());
        assert_eq!(seen(&restarted(&store).await), [[true; 2]; 3]);
    }

    /// A server without versions sends the whole roster at each log-in.
    #[tokio::test]
    async fn what_a_whole_roster_lacks_is_the_owners_no_more() {
        let (store, [echo, _]) = (Store::in_memory(), plugins());
        let known = snapshot(vec![contact(JULIET, &["staff"]), contact("nurse@example.org", &["staff"])]);
        let records = restarted(&store).await;
        for jid in [JULIET, "nurse@example.org"] {
            assert!(records.changes_contact(&echo, &bare(jid), &known, after(1)).await);
        }
        let mut asks = snapshot(vec![contact(JULIET, &["night"]), contact("nurse@example.org", &["staff"])]);
        asks.strangers.insert(bare("nurse@example.org"));
        let none = Snapshot { contacts: None, ..asks.clone() };
        records.roster_came(&none);
        assert_eq!(is_owners(&records, JULIET, "staff"), [true; 2]);
        records.roster_came(&asks);
        for records in [records, restarted(&store).await] {
            assert_eq!((own(&records, JULIET), is_owners(&records, JULIET, "staff")), ([false; 2], [true, false]));
            let nurse = "nurse@example.org";
            assert_eq!((own(&records, nurse), is_owners(&records, nurse, "staff")), ([true, false], [false; 2]));
        }
        let gone = restarted_after(&store, snapshot(Vec::new())).await;
        assert_eq!(own(&gone, JULIET), [true, false], "the roster came before the notes");
    }

    /// They are remembered on disk for ever, and loaded at each start.
    #[tokio::test]
    async fn one_plugin_adds_or_changes_a_bounded_number_of_contacts() {
        let (store, [echo, other]) = (Store::in_memory(), plugins());
        let records = restarted(&store).await;
        let many = (1..MOST_ADDED).map(|number| (bare(&format!("a{number}@b")), OwnersPart::default()));
        records.own_contacts(&echo).load(&many.collect::<Vec<_>>());
        let all = (1..MOST_ADDED).map(|number| contact(&format!("a{number}@b"), &[])).collect();
        let (all, more) = (snapshot(all), bare("more@b"));
        assert!(records.changes_contact(&echo, &bare("last@b"), &all, after(1)).await);
        assert!(!records.changes_contact(&echo, &more, &all, after(60)).await, "the server may still add the last one");
        assert!(records.changes_contact(&other, &more, &all, after(60)).await, "each plugin has its own");
        assert!(records.changes_contact(&echo, &more, &all, after(61)).await, "the last one was never added");
        assert_eq!(records.own_contacts(&echo).count(), MOST_ADDED);
    }
}
