//! `tokens`: the tokens of a BOSH session.

use parlor_session::permissions::{CallName, Target};
use parlor_stanza::error::CallError;

use super::answer;
use crate::bindings::parlor::plugin::tokens::Host;
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Instance};

impl Host for Context {
    fn get(&mut self, name: String) -> Result<Option<String>, Error> {
        answer(get(&self.instance, &name))
    }
}

fn get(instance: &Instance, name: &str) -> Result<Option<String>, CallError> {
    instance.granted(CallName::TokensGet, Target::None)?;
    if !matches!(name, "rid" | "sid") {
        return Err(CallError::invalid("name", "is neither rid nor sid"));
    }
    if !instance.account.settings().expose_rid_and_sid {
        return Ok(None);
    }
    let tokens = instance.account.tokens();
    Ok(if name == "rid" { tokens.rid().map(|rid| rid.to_string()) } else { tokens.sid() })
}
