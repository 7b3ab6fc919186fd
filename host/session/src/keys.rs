//! End-to-end encryption from the account task's view: the owner's settings, and the keys that were kept on disk.

use jid::BareJid;
use jiff::Timestamp;
use parlor_config::{Encryption, OtrPeople};
use parlor_e2ee::omemo::Secret;
use parlor_stanza::types::OmemoForm;

use crate::effect::Effect;
use crate::encryption::kept::{KeptKeys, Way};
use crate::encryption::{KeyCounts, off_the_record, publishing, withdrawing};
use crate::session::Session;

/// Sets the people with whom an account is off the record by a policy of their own. Counts from the next
/// [`set_encryption`].
pub fn set_otr_people(session: &mut Session, people: OtrPeople) {
    session.features.encryption.set_otr_people(people);
}

/// Sets how an account encrypts. A form of encryption that was off before starts immediately. The device of one that is off now
/// leaves the account's lists.
pub fn set_encryption(session: &mut Session, config: Encryption, now: Timestamp, effects: &mut Vec<Effect>) {
    session.input(now, effects, |features, turn| {
        let was_on = features.encryption.has_omemo();
        features.encryption.set_config(config);
        turn.encrypts = config.omemo || features.encryption.names_otr() || features.encryption.is_guarded();
        off_the_record::follow_policies(&mut features.encryption, turn);
        let lists = if config.omemo { OmemoForm::ALL.map(OmemoForm::notify).to_vec() } else { Vec::new() };
        turn.be_notified(lists);
        match (was_on, config.omemo) {
            (false, true) if turn.announced => withdrawing::come_back(&mut features.encryption, turn),
            (true, false) => withdrawing::withdraw(&mut features.encryption, turn),
            _ => {}
        }
    });
}

/// Sets the keys that the last process kept. Must be called before the first log-in.
pub fn keys_kept(session: &mut Session, kept: KeptKeys) {
    let encryption = &mut session.features.encryption;
    encryption.load(kept, session.common.account());
    publishing::check_soon(encryption, &mut session.common.deadlines);
    session.common.encrypts |= session.features.encryption.is_guarded();
}

/// Notes that the kept keys cannot be read. Nothing is encrypted, and encrypted chats get no unencrypted answers,
/// unless the owner allows that. `ways`: the encrypted chats. If even they cannot be read, any chat may be one. Must be
/// called before the first log-in.
pub fn keys_unreadable(session: &mut Session, ways: Option<Vec<(BareJid, Way)>>, now: Timestamp) {
    let off = session.features.encryption.cannot_load(ways);
    set_encryption(session, off, now, &mut Vec::new());
}

/// Notes that changes of keys could not be written to the disk. Own keys are stored again before they are published.
pub fn keys_unwritten(session: &mut Session) {
    publishing::not_written(&mut session.features.encryption);
}

/// Stores a key for off-the-record messaging, which was made because an effect requested it.
pub fn otr_key_made(session: &mut Session, key: Secret, now: Timestamp, effects: &mut Vec<Effect>) {
    session.input(now, effects, |features, turn| off_the_record::key_made(&mut features.encryption, key, turn));
}

/// Returns the figures to report about the keys of an account, if they changed since the last call.
pub fn changed_key_counts(session: &mut Session) -> Option<KeyCounts> {
    session.features.encryption.changed_counts()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use parlor_config::Settings;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;
    use crate::session::set_name;

    /// Keeps the accounts that lines of the log name.
    #[derive(Clone, Default)]
    struct Accounts(Arc<Mutex<Vec<String>>>);

    impl Visit for Accounts {
        fn record_str(&mut self, field: &Field, value: &str) {
            if field.name() == "account" {
                self.0.lock().unwrap().push(value.to_owned());
            }
        }

        fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
    }

    impl Subscriber for Accounts {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            event.record(&mut self.clone());
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// On a host with several accounts, nobody else would know whose keys these are.
    #[test]
    fn a_line_of_the_log_names_the_account() {
        let mut session = Session::new("bot@example.org".parse().unwrap(), Settings::default());
        set_name(&mut session, "support".parse().unwrap());
        let accounts = Accounts::default();
        let broken = || Some(Secret::new(vec![7]));
        tracing::subscriber::with_default(accounts.clone(), || {
            keys_kept(&mut session, KeptKeys { device: broken(), otr: broken(), ..KeptKeys::default() });
        });
        assert_eq!(*accounts.0.lock().unwrap(), ["support", "support"]);
    }
}
