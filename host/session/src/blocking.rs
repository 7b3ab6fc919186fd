//! Addresses that the server lets nothing through from (XEP-0191), and reports about them (XEP-0377). Nothing is kept here:
//! the server has the list.

use jid::Jid;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, BLOCKING, Body, REPORTING, Report};

use crate::disco::Discovery;
use crate::iq::blocking::BlockingIq;
use crate::iq::{PATIENCE, Waiting};
use crate::turn::Turn;

/// Checks whether an address may be blocked: without its own server, an account hears nothing at all.
pub(super) fn check_address(jid: &Jid, turn: &Turn<'_>) -> Result<(), CallError> {
    let bare = jid.to_bare();
    if bare == turn.own.to_bare() {
        return Err(CallError::invalid("jid", "is this account itself"));
    }
    if bare == turn.server() {
        return Err(CallError::invalid("jid", "is the server of this account"));
    }
    Ok(())
}

/// Checks whether something about blocked addresses may be asked of the server now.
pub(super) fn may_ask(disco: &Discovery, report: Option<&Report>, turn: &mut Turn<'_>) -> Result<(), CallError> {
    if !turn.is_live() {
        return Err(CallError::Offline);
    }
    let server = turn.server();
    // A server whose features are not known is asked, and refuses what it does not know.
    if disco.can(&server, BLOCKING, turn) == Some(false) {
        return Err(CallError::Unsupported(format!("{server} blocks no addresses (XEP-0191)")));
    }
    // A server without support for reports may still block the address, and drop the report.
    if report.is_some() && disco.can(&server, REPORTING, turn) != Some(true) {
        let why = format!("{server} does not say that it takes reports (XEP-0377); block without one");
        return Err(CallError::Unsupported(why));
    }
    turn.make_room_for_iq()
}

/// Sends a request to the server.
pub(super) fn ask(ask: Ask, asked: BlockingIq, turn: &mut Turn<'_>) {
    turn.ask(None, ask, Waiting::Blocking(asked), PATIENCE);
}

/// Handles the answer to a request.
pub(super) fn answered(asked: BlockingIq, outcome: Result<Body, CallError>, turn: &mut Turn<'_>) {
    match asked {
        BlockingIq::Change(answer) => turn.answer(answer, outcome.map(drop)),
        BlockingIq::List(answer) => {
            let listed = outcome.and_then(|body| match body {
                Body::Blocked(jids) => Ok(jids),
                _ => Err(CallError::Other("the server gave no list of blocked addresses".to_owned())),
            });
            turn.answer(answer, listed);
        }
    }
}
