//! Entity capabilities: an entity's features as one hash (XEP-0115, section 5). Pure.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parlor_stanza::types::{Caps, Disco, Field, Form, Identity};
use sha1::{Digest, Sha1};

/// The only hash function that all implementations support (XEP-0115, section 8.1).
pub(super) const HASH: &str = "sha-1";
/// The name of this software in capabilities.
const NODE: &str = "urn:x-parlor:bot";
/// The only form type with which a hash is trusted (XEP-0232).
const SOFTWARE: &str = "urn:xmpp:dataforms:softwareinfo";

/// Returns the capabilities that an account with this information claims in its presence.
pub(super) fn of(disco: &Disco) -> Caps {
    Caps { hash: HASH.to_owned(), node: NODE.to_owned(), ver: ver(disco) }
}

/// Returns the node under which the claiming entity answers for these capabilities (XEP-0115, section 6.2).
pub(super) fn node(caps: &Caps) -> String {
    format!("{}#{}", caps.node, caps.ver)
}

/// Returns the hash in the form that presence uses.
pub(crate) fn ver(disco: &Disco) -> String {
    BASE64_STANDARD.encode(Sha1::digest(verification(disco)))
}

/// Returns the string that is hashed (section 5.1). Texts are ordered byte by byte, as `i;octet` does.
fn verification(disco: &Disco) -> String {
    let mut text = String::new();
    let mut push = |part: &str| {
        text.push_str(part);
        text.push('<');
    };
    let mut identities: Vec<_> = disco.identities.iter().map(key).collect();
    identities.sort_unstable();
    for (category, kind, lang, name) in identities {
        push(&format!("{category}/{kind}/{lang}/{name}"));
    }
    let mut features: Vec<&str> = disco.features.iter().map(String::as_str).collect();
    features.sort_unstable();
    features.into_iter().for_each(&mut push);
    let mut forms: Vec<(&str, &Form)> =
        disco.forms.iter().filter_map(|form| Some((form.form_type.as_deref()?, form))).collect();
    forms.sort_by_key(|(form_type, _)| *form_type);
    for (form_type, form) in forms {
        push(form_type);
        let mut fields: Vec<&Field> = form.fields.iter().filter(|field| field.var != "FORM_TYPE").collect();
        fields.sort_by_key(|field| &field.var);
        for field in fields {
            push(&field.var);
            let mut values: Vec<&str> = field.values.iter().map(String::as_str).collect();
            values.sort_unstable();
            values.into_iter().for_each(&mut push);
        }
    }
    text
}

fn key(identity: &Identity) -> (&str, &str, &str, &str) {
    let lang = identity.lang.as_deref().unwrap_or_default();
    (&identity.category, &identity.kind, lang, identity.name.as_deref().unwrap_or_default())
}

/// Returns whether the claim stands for this information and cannot stand for any other. Then it is true of everyone
/// who claims the same (sections 5.4 and 9.2).
pub(super) fn vouches(claim: &Caps, disco: &Disco) -> bool {
    claim.hash == HASH && is_well_formed(disco) && is_unambiguous(disco) && ver(disco) == claim.ver
}

/// Checks section 5.4, steps 3.3 to 3.5.
fn is_well_formed(disco: &Disco) -> bool {
    let identities: BTreeSet<_> = disco.identities.iter().map(key).collect();
    let features: BTreeSet<_> = disco.features.iter().collect();
    let form_types: Vec<_> = disco.forms.iter().filter_map(|form| form.form_type.as_ref()).collect();
    let different: BTreeSet<_> = form_types.iter().collect();
    let one_type = |form: &Form| {
        let mut values =
            form.fields.iter().filter(|field| field.var == "FORM_TYPE").flat_map(|field| field.values.iter());
        let first = values.next();
        values.all(|value| Some(value) == first)
    };
    identities.len() == disco.identities.len()
        && features.len() == disco.features.len()
        && different.len() == form_types.len()
        && disco.forms.iter().all(one_type)
}

/// Returns whether the hashed string can be parsed in only one way. Its parts are separated by `<`, which they may
/// contain as well, and the end of the features looks like a form. So information that contains `<`, or a form other
/// than that for software, is trusted only for the entity that sent it.
fn is_unambiguous(disco: &Disco) -> bool {
    let identity = |one: &Identity| {
        let (category, kind, lang, name) = key(one);
        [category, kind, lang].iter().all(|part| !part.contains(['<', '/'])) && !name.contains('<')
    };
    let field = |field: &Field| !field.var.contains('<') && !field.values.iter().any(|value| value.contains('<'));
    disco.identities.iter().all(identity)
        && !disco.features.iter().any(|feature| feature.contains('<') || feature == SOFTWARE)
        && disco.forms.iter().all(|form| form.form_type.as_deref() == Some(SOFTWARE) && form.fields.iter().all(field))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity(category: &str, kind: &str, lang: Option<&str>, name: &str) -> Identity {
        Identity {
            category: category.to_owned(),
            kind: kind.to_owned(),
            name: Some(name.to_owned()),
            lang: lang.map(str::to_owned),
        }
    }

    fn features() -> Vec<String> {
        ["disco#info", "disco#items", "muc", "caps"].map(|name| format!("http://jabber.org/protocol/{name}")).to_vec()
    }

    fn claim(ver: &str) -> Caps {
        Caps { hash: HASH.to_owned(), node: "http://psi-im.org".to_owned(), ver: ver.to_owned() }
    }

    fn field(var: &str, kind: Option<&str>, values: &[&str]) -> Field {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Field { var: var.to_owned(), kind: kind.map(str::to_owned), values }
    }

    fn with_form() -> Disco {
        let fields = vec![
            field("FORM_TYPE", Some("hidden"), &[SOFTWARE]),
            field("ip_version", None, &["ipv6", "ipv4"]),
            field("os", None, &["Mac"]),
            field("os_version", None, &["10.5.1"]),
            field("software", None, &["Psi"]),
            field("software_version", None, &["0.11"]),
        ];
        Disco {
            identities: vec![
                identity("client", "pc", Some("en"), "Psi 0.11"),
                identity("client", "pc", Some("el"), "Ψ 0.11"),
            ],
            features: features(),
            forms: vec![Form { form_type: Some(SOFTWARE.to_owned()), fields }],
        }
    }

    /// The examples of XEP-0115, sections 5.2 and 5.3.
    #[test]
    fn the_examples_of_the_standard_come_out_as_it_says() {
        let simple = Disco {
            identities: vec![identity("client", "pc", None, "Exodus 0.9.1")],
            features: features(),
            forms: Vec::new(),
        };
        assert_eq!(ver(&simple), "QgayPKawpkPSDYmwT/WM94uAlu0=");
        assert_eq!(ver(&with_form()), "q07IKJEyjvHSyhy//CH0CxmKi8w=");
        assert!(vouches(&claim("q07IKJEyjvHSyhy//CH0CxmKi8w="), &with_form()));
        assert!(!vouches(&claim("QgayPKawpkPSDYmwT/WM94uAlu0="), &with_form()));
        let other = Caps { hash: "md5".to_owned(), ..claim("q07IKJEyjvHSyhy//CH0CxmKi8w=") };
        assert!(!vouches(&other, &with_form()));
    }

    #[test]
    fn forms_without_a_hidden_type_are_left_out_of_the_hash() {
        let mut disco = with_form();
        let fields = vec![field("FORM_TYPE", None, &["urn:x"]), field("a", None, &["b"])];
        disco.forms.push(Form { form_type: None, fields });
        assert_eq!(ver(&disco), "q07IKJEyjvHSyhy//CH0CxmKi8w=");
    }

    #[test]
    fn what_is_ill_formed_or_can_be_read_in_two_ways_is_believed_of_nobody_else() {
        let sound = with_form();
        let spoilt: [fn(&mut Disco); 8] = [
            |disco| disco.features.push("http://jabber.org/protocol/muc".to_owned()),
            |disco| disco.identities.push(disco.identities[0].clone()),
            |disco| disco.forms.push(disco.forms[0].clone()),
            |disco| disco.forms[0].fields.push(field("FORM_TYPE", Some("hidden"), &["urn:other"])),
            |disco| disco.features.push("a<b".to_owned()),
            |disco| disco.identities[0].name = Some("Psi<http://jabber.org/protocol/muc".to_owned()),
            |disco| disco.identities[0].category = "client/pc".to_owned(),
            |disco| disco.forms[0].form_type = Some("http://jabber.org/protocol/muc".to_owned()),
        ];
        for (index, spoil) in spoilt.into_iter().enumerate() {
            let mut disco = sound.clone();
            spoil(&mut disco);
            assert!(!vouches(&claim(&ver(&disco)), &disco), "case {index}");
        }
    }

    proptest! {
        /// The hash does not depend on the order.
        #[test]
        fn order_does_not_matter(
            features in prop::collection::vec("[a-z#:]{1,8}", 0..8),
            names in prop::collection::vec("[a-zψ]{0,4}", 0..4),
        ) {
            let disco = Disco {
                identities: names.iter().map(|name| identity("client", "pc", None, name)).collect(),
                features,
                forms: Vec::new(),
            };
            let mut turned = disco.clone();
            turned.features.reverse();
            turned.identities.reverse();
            prop_assert_eq!(ver(&disco), ver(&turned));
        }
    }
}
