//! Handing the result of service discovery to the features that wait for it.

use jid::Jid;
use parlor_stanza::error::CallError;
use parlor_stanza::types::Body;

use super::Features;
use crate::carbons::Carbons;
use crate::iq::PATIENCE;
use crate::turn::Turn;

/// The feature of an entity that lists related entities.
const ITEMS: &str = "http://jabber.org/protocol/disco#items";

impl Features {
    /// Handles an entity's answer about its identities and features, or the failure.
    pub(super) fn disco_came(
        &mut self,
        entity: &Jid,
        node: Option<&str>,
        outcome: Result<Body, CallError>,
        turn: &mut Turn<'_>,
    ) {
        let outcome = outcome.and_then(|body| match body {
            Body::Disco(disco) => Ok(disco),
            _ => Err(CallError::Other(format!("{entity} did not say what it is and can do"))),
        });
        let disco = match outcome {
            // Without a node, it is asked for what it can do now, however often it changes.
            Ok(disco) if self.disco.is_of_before(entity, node, &disco) => {
                return turn.ask_info(entity.clone(), None, PATIENCE);
            }
            Ok(disco) => disco,
            // It does not know the node in its own presence, or no longer. A query without the node may still be
            // answered.
            Err(CallError::Stanza(error)) if node.is_some() && error.condition == "item-not-found" => {
                return turn.ask_info(entity.clone(), None, PATIENCE);
            }
            Err(error) => {
                self.disco.answer_waiting(entity, Err(&error), turn);
                let (archives, sources) = self.archives_and_sources();
                archives.entity_answered(entity, Err(&error), &sources, turn);
                return self.disco.no_longer_due(entity, turn);
            }
        };
        let disco = self.disco.known.add(entity, disco, turn.now);
        turn.changed = true;
        self.disco.answer_waiting(entity, Ok(&disco), turn);
        self.numbering.note(entity, &disco.features, &self.rooms, turn);
        self.rooms.learned_about(entity, &disco, turn);
        self.disco.tell_disco(entity, &disco, turn);
        let (archives, sources) = self.archives_and_sources();
        archives.entity_answered(entity, Ok(()), &sources, turn);
        if *entity == turn.own.to_bare() {
            self.archives.account_answered(&disco, turn);
        }
        if *entity == turn.server() {
            Carbons::enable(&disco.features, turn);
            if disco.features.iter().any(|feature| feature == ITEMS) {
                turn.ask_items(entity.clone());
            }
        }
        self.disco.no_longer_due(entity, turn);
    }
}
