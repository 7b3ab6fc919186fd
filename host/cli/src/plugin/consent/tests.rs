//! Tests of what an owner is told and asked before a grant.

use super::*;

fn manifest(permissions: &str) -> Manifest {
    let plugin = "[plugin]\nname = \"x\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"X\"\n[permissions]\n";
    Manifest::parse(&format!("{plugin}{permissions}")).unwrap()
}

const WEB: &str = "\"http.fetch\" = { scope = [\"api.example.org\", \"GET *.example.org/a\"], reason = \"r\" }\n";
const MESSAGES: &str = "\"messages.read\" = { scope = [\"*\"], reason = \"to \\u001b[2J\", optional = true }\n";

#[test]
fn what_a_plugin_reads_it_can_send_to_the_servers_that_it_asks() {
    let sheet = |permissions: &str| asked(&"x".parse().unwrap(), &manifest(permissions), &Grants::default(), |_| true);
    assert!(!sheet(WEB).contains("Together") && !sheet(MESSAGES).contains("Together"));
    let both = sheet(&format!("{WEB}{MESSAGES}"));
    let together = "\nTogether: reads everything that anybody writes to this account and in its rooms; can send it to \
                    https://api.example.org and GET https://*.example.org/a (high risk)\n";
    assert!(both.ends_with(together), "{both}");
}

#[test]
fn what_was_not_granted_counts_for_no_risk_of_what_was() {
    let (id, manifest) = ("x".parse().unwrap(), manifest(&format!("{WEB}{MESSAGES}")));
    let mut grants = Grants::default();
    assert!(granted(&id, &manifest, &grants, &Grants::default(), |_| true).starts_with("It gets nothing.\n"));
    grants.grant(Permission::HttpFetch, &["api.example.org"]).unwrap();
    let some = granted(&id, &manifest, &grants, &Grants::default(), |_| true);
    let (gets, lacks) = some.split_once("It does not get:").unwrap();
    assert!(gets.starts_with("It gets:\n") && gets.contains("      granted for "), "{some}");
    assert!(lacks.contains("messages.read") && lacks.contains("to allow it: "), "{some}");
    assert!(!some.contains("Together"), "{some}");
    grants.grant(Permission::MessagesRead, &["*"]).unwrap();
    let all = granted(&id, &manifest, &grants, &Grants::default(), |_| true);
    let together = "can send it to https://api.example.org (high risk)\n";
    assert!(all.ends_with(together) && !all.contains("It does not get"), "{all}");
}

#[test]
fn the_riskiest_is_right_before_the_question_and_reasons_are_shown_escaped() {
    let manifest = manifest(&format!("{WEB}{MESSAGES}storage = {{ reason = \"to keep\" }}\n"));
    let (id, present) = ("x".parse().unwrap(), Grants::default());
    let request = Request::of(&id, &manifest, |_| true, &present, &[]);
    let text = request.reach();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "What x could do, the riskiest last:");
    assert!(lines[1].starts_with("  low     Keeps data of its own"), "{text}");
    assert_eq!(lines[2], "          storage, which it needs: “to keep”");
    assert!(lines.contains(&"          messages.read, which it can do without: “to \\u{1b}[2J”"), "{text}");
    assert!(lines.last().unwrap().starts_with("  high    Together: reads everything"), "{text}");
    let order: Vec<_> = request.by_risk().into_iter().map(|(permission, ..)| permission).collect();
    assert_eq!(order, [Permission::Storage, Permission::HttpFetch, Permission::MessagesRead]);
}

#[test]
fn servers_in_the_owners_own_network_make_one_question_of_high_risk_of_the_permission() {
    let web = "\"http.fetch\" = { scope = [\"*\", \"https://127.0.0.1:37444\"], reason = \"to ask\" }\n";
    let (id, manifest, present) = ("x".parse().unwrap(), manifest(web), Grants::default());
    let request = Request::of(&id, &manifest, |_| true, &present, &[]);
    let asked = request.by_risk();
    let [(Permission::HttpFetch, Risk::High, text)] = &asked[..] else { panic!("{asked:?}") };
    assert!(
        text.starts_with("Asks any server") && text.contains("Reaches https://127.0.0.1:37444, in your own"),
        "{text}"
    );
    let reach = request.reach();
    assert!(
        reach.contains("  high    Reaches https://127.0.0.1:37444") && reach.matches("“to ask”").count() == 1,
        "{reach}"
    );
    // Also for who cannot be asked.
    let mut grants = Grants::default();
    grants.grant(Permission::HttpFetch, &["*", "https://127.0.0.1:37444"]).unwrap();
    for text in [
        granted(&id, &manifest, &grants, &Grants::default(), |_| true),
        super::asked(&id, &manifest, &present, |_| true),
    ] {
        assert!(
            text.contains("\nReaches https://127.0.0.1:37444, in your own network") && text.contains("(high risk)"),
            "{text}"
        );
    }
}

/// The grant for the webhooks as they were does not cover these.
#[test]
fn what_is_more_open_about_webhooks_is_said_with_how_to_agree() {
    let webhook = |way: &str| {
        manifest(&format!(
            "\"webhooks.receive\" = {{ reason = \"r\" }}\n[webhook.push]\ndescription = \"X\"\nsecret = \"key\"\n{way}\n\
             [settings.key]\ntype = \"secret\"\ndescription = \"X\"\n"
        ))
    };
    let (old, new) = (webhook("verify = \"github\""), webhook("verify = \"token\"\nheader = \"x-t\""));
    let text = otherwise(&"x".parse().unwrap(), &Difference::between(&old, &new), &Grants::default());
    let says =
        "More open: its webhook push is verified by: token in x-t; before, by: HMAC-SHA256 in x-hub-signature-256.\n";
    assert!(text.starts_with(says) && text.contains("--grant webhooks.receive"), "{text}");
    assert!(asks_more(&Difference::between(&old, &new)) && !asks_more(&Difference::between(&old, &old)));
}

#[test]
fn a_combination_of_high_risk_is_asked_about_although_no_permission_is() {
    let manifest = manifest(&format!("{MESSAGES}\"messages.send\" = {{ scope = [\"*\"], reason = \"r\" }}\n"));
    let (id, present) = ("x".parse().unwrap(), Grants::default());
    let request = Request::of(&id, &manifest, |_| true, &present, &[]);
    let granted = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<GrantRequest>>();
    let all = granted(&["messages.read=*", "messages.send=*"]);
    let together = request.together(&present, &all).unwrap();
    assert!(together.text.ends_with("can send it to anybody."), "{}", together.text);
    assert!(request.needs_question(&together, &all));
    // Grants that a flag gave take part.
    let decided = with(&present, &granted(&["messages.read"]), &manifest);
    let send = granted(&["messages.send=juliet@example.org"]);
    let together = request.together(&decided, &send).unwrap();
    assert!(together.text.ends_with("can send it to juliet@example.org."), "{}", together.text);
    assert!(request.needs_question(&together, &send));
    // To contacts alone, it is not of high risk.
    let contacts = granted(&["messages.send=contacts"]);
    let together = request.together(&decided, &contacts).unwrap();
    assert!(!request.needs_question(&together, &contacts));
    assert_eq!(request.together(&present, &contacts), None);
}

#[test]
fn a_typo_is_no_scope() {
    for typo in ["yse", "ye", "yess", "YESS", "nn", "noo", "eahc", "nope"] {
        assert!(written(Permission::MessagesSend, typo, &[]).is_err(), "{typo}");
    }
    // A word alone would be the address of a server.
    let domains = ["localhost"];
    let error = written(Permission::MessagesSend, "zz", &domains).unwrap_err();
    assert!(error.starts_with("“zz” is neither yes nor no, nor a whole address"), "{error}");
    for permission in [Permission::MessagesRead, Permission::RoomsSend, Permission::HttpFetch] {
        assert!(written(permission, "zz", &domains).is_err(), "{permission}");
    }
    assert!(written(Permission::MessagesSend, "juliet@example.org, yy", &domains).is_err());
    for fine in ["*", "localhost", "contacts", "@zz", "juliet@zz", "example.org"] {
        assert!(written(Permission::MessagesSend, fine, &domains).is_ok(), "{fine}");
    }
    let scope = written(Permission::MessagesSend, "contacts, @example.org", &[]).unwrap();
    assert_eq!(scope, ["contacts", "@example.org"]);
    for (permission, name) in [(Permission::StanzaSend, "iq"), (Permission::PluginsCall, "dice")] {
        assert!(written(permission, name, &[]).is_ok(), "{permission}");
    }
    assert!(written(Permission::MessagesSend, "foo bar", &[]).unwrap_err().contains("no address"));
}

#[test]
fn a_name_without_a_domain_is_said_to_be_a_domain() {
    let hints = |request: &str| strange_domains(&[request.parse().unwrap()], &["localhost", "bots.localhost"]);
    assert_eq!(
        hints("messages.send=contacts,alice,@example.org"),
        ["messages.send for alice: that is a domain, and no account here is of it; for a person write the whole \
             address, such as alice@localhost"]
    );
    assert_eq!(hints("messages.read=encrypted:alice").len(), 1);
    assert_eq!(
        hints("rooms.send=lobby@conference.localhost,juliet@localhost,*,@localhost"),
        [
            "rooms.send for juliet@localhost: that looks like a person, as localhost is the server of an account here; rooms \
             have another one, such as conference.localhost"
        ]
    );
    for fine in ["messages.send=*", "messages.send=localhost,bob@localhost,example.org", "messages.send"] {
        assert!(hints(fine).is_empty(), "{fine}");
    }
}
