//! Texts of the contract with a fixed set of values, which languages with literal types or constants declare as such.

/// A kind of text.
pub(super) struct Few {
    /// The name of its type.
    pub(super) name: &'static str,
    /// Its values.
    pub(super) values: &'static [&'static str],
    /// The fields and arguments of this kind: the grouping or record, and the name.
    places: &'static [(&'static str, &'static str)],
}

/// All kinds.
pub(super) const ALL: &[Few] = &[
    Few {
        name: "Role",
        values: &["none", "visitor", "participant", "moderator"],
        places: &[("occupant", "role"), ("room", "role"), ("rooms", "role")],
    },
    Few {
        name: "Affiliation",
        values: &["none", "outcast", "member", "admin", "owner"],
        places: &[
            ("occupant", "affiliation"),
            ("room", "affiliation"),
            ("affiliated", "affiliation"),
            ("rooms", "affiliation"),
        ],
    },
    Few { name: "Kind", values: &["chat", "normal", "headline", "groupchat", "error"], places: &[("message", "kind")] },
];

/// Returns the kind of a record's field, or of an argument in a grouping; `None` for arbitrary texts.
pub(super) fn of(owner: &str, name: &str) -> Option<&'static Few> {
    ALL.iter().find(|few| few.places.contains(&(owner, name)))
}

#[cfg(test)]
mod tests {
    use wit_parser::{Type, TypeDefKind};

    use super::super::contract;
    use super::*;

    #[test]
    fn go_and_c_have_a_constant_for_each_value() {
        let squeezed = |text: &[u8]| String::from_utf8_lossy(text).split_whitespace().collect::<Vec<_>>().join(" ");
        let file =
            |files: &[(&str, &[u8])], name: &str| squeezed(files.iter().find(|(one, _)| *one == name).unwrap().1);
        let (go, c) = (file(super::super::go::SDK, "listen.go"), file(super::super::c::FILES, "parlor.h"));
        for few in ALL {
            for value in few.values {
                let name = format!("{}{}{}", few.name, value[..1].to_uppercase(), &value[1..]);
                assert!(go.contains(&format!(" {name} = {value:?} ")), "Go has no {name}");
                let name = format!("PARLOR_{}_{}", few.name, value).to_uppercase();
                assert!(c.contains(&format!("#define {name} {value:?} ")), "C has no {name}");
            }
        }
    }

    #[test]
    fn each_place_is_a_text_of_the_contract_whose_comment_names_every_value() {
        let contract = contract::whole();
        for few in ALL {
            for (owner, name) in few.places {
                let records = contract.types.iter().filter(|(_, ty)| ty.name.as_deref() == Some(owner));
                let fields = records.filter_map(|(_, ty)| match &ty.kind {
                    TypeDefKind::Record(record) => record.fields.iter().find(|field| field.name == *name),
                    _ => None,
                });
                let fields: Vec<_> = fields.map(|field| (field.ty, field.docs.contents.clone())).collect();
                let calls = contract.interfaces.iter().filter(|(_, one)| one.name.as_deref() == Some(owner));
                let calls = calls.flat_map(|(_, one)| one.functions.values());
                let calls = calls.filter_map(|call| {
                    Some((call.params.iter().find(|one| one.name == *name)?.ty, call.docs.contents.clone()))
                });
                let places: Vec<_> = fields.into_iter().chain(calls).collect();
                assert!(!places.is_empty(), "there is no {owner}.{name}");
                for (ty, docs) in places {
                    let docs = docs.unwrap_or_default();
                    assert_eq!(ty, Type::String, "{owner}.{name}");
                    // `none` need not be named: lists leave out entries that have none.
                    let named = few.values.iter().filter(|value| **value != "none");
                    for value in named {
                        assert!(docs.contains(&format!("`{value}`")), "{owner}.{name} may be {value}: {docs}");
                    }
                }
            }
        }
    }
}
