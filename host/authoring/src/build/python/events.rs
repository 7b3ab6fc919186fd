//! The host's events for Python's type checkers: an overload of `on` for all events with the same type of payload.

use std::collections::BTreeMap;

use parlor_session::permissions::table;
use wit_parser::Resolve;

use super::super::contract;
use super::stubs::pascal;

/// The line of `listen.pyi` that the overloads replace.
const PLACE: &str = "# Events of the host: parlor writes them here, from its own table.\n";

/// Returns `listen.pyi` with an overload for each type of payload.
pub(super) fn into_stub(stub: &str) -> String {
    // The overload for plugins' own events has the parameters of all others, up to the result.
    let parameters = stub.split_once("    name: OwnEvent,\n").and_then(|(_, rest)| rest.split_once(") -> "));
    let (parameters, _) = parameters.unwrap_or_default();
    let mut by_payload: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let contract = contract::whole();
    for event in table::EVENTS {
        by_payload.entry(carried(&contract, event.payload)).or_default().push(format!("{:?}", event.name));
    }
    let overload = |(carried, names): (&String, &Vec<String>)| {
        let names = names.join(", ");
        format!(
            "@overload\ndef on(\n    name: Literal[{names}],\n{parameters}) -> Callable[[Handler[{carried}]], Subscription]: ...\n"
        )
    };
    stub.replacen(PLACE, &by_payload.iter().map(overload).collect::<String>(), 1)
}

fn carried(contract: &Resolve, payload: &str) -> String {
    match payload {
        "none" => "None".to_owned(),
        "json" => "Any".to_owned(),
        payload => contract::record_of(contract, payload).map_or_else(|| "str".to_owned(), pascal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_of_the_host_is_in_one_overload_with_what_it_carries() {
        let stub = into_stub(include_str!("../../../../../plugins-sdk/python/editors/listen.pyi"));
        for event in table::EVENTS {
            assert_eq!(stub.matches(&format!("{:?}", event.name)).count(), 1, "{}", event.name);
        }
        let messages = stub.split("@overload").find(|one| one.contains("\"message\"")).unwrap();
        assert!(
            messages.contains("    delayed: bool = ...,\n") && messages.contains("[[Handler[Message]], "),
            "{messages}"
        );
        assert!(!stub.contains(PLACE), "the line is there");
    }
}
