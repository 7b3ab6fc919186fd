//! The sentences of permissions, alone and together.

use super::*;

fn place(account: &str, jid: &str, rooms: Option<usize>) -> Place {
    Place { account: account.parse().unwrap(), jid: jid.parse().unwrap(), rooms }
}

fn on_main() -> Vec<Place> {
    vec![place("main", "bot@example.org", Some(12))]
}

/// Parses the grants of a policy: `"storage" = true`.
fn grants(text: &str) -> Grants {
    Grants::from_table(&text.parse().unwrap()).unwrap()
}

/// Returns each sentence with its risk.
fn said(more: &str, present: &str) -> Vec<String> {
    let sentences = sentences(&grants(more), &grants(present), &on_main());
    sentences.iter().map(|sentence| format!("{}: {}", sentence.risk, sentence.text)).collect()
}

/// Returns what is said of permissions together.
fn together(more: &str, present: &str) -> Option<String> {
    said(more, present).into_iter().find(|text| text.contains(": Together: "))
}

/// Returns an entry of this kind that no sentence has in it by chance.
fn entry(permission: Permission) -> Option<(&'static str, &'static str)> {
    use parlor_base::permission::ScopeKind;
    Some(match permission.scope_kind() {
        ScopeKind::None => return None,
        ScopeKind::Jids | ScopeKind::Messages => ("@juliet.example", "anybody at juliet.example"),
        ScopeKind::Rooms => ("@muc.example.org", "all rooms of muc.example.org"),
        ScopeKind::Stanzas => ("presence", "presence"),
        ScopeKind::Quota => ("7 MiB", "7 MiB"),
        ScopeKind::Servers => ("GET api.example.org/a", "GET https://api.example.org/a"),
        ScopeKind::Files => ("image/png 5 MiB", "image/png up to 5 MiB"),
        ScopeKind::Namespaces => ("urn:example:weather", "urn:example:weather"),
        ScopeKind::Plugins => ("dice", "dice"),
        ScopeKind::Nodes => ("own/urn:example:mood", "urn:example:mood of this account"),
    })
}

#[test]
fn every_permission_has_a_sentence_with_its_whole_scope() {
    for &permission in Permission::ALL {
        let (entries, shown) = entry(permission).map_or((vec![], ""), |(entry, shown)| (vec![entry], shown));
        let mut one = Grants::default();
        one.grant(permission, &entries).unwrap();
        let sentences = sentences(&one, &Grants::default(), &on_main());
        let [sentence] = &sentences[..] else { panic!("{permission}: {sentences:?}") };
        let text = &sentence.text;
        assert_eq!((sentence.risk, &sentence.permissions[..]), (permission.risk(), &[permission][..]));
        assert!(text.contains(shown) && text.ends_with('.') && !text.contains(".."), "{permission}: {text}");
        assert!(text.starts_with(char::is_uppercase) && !text.contains("  "), "{permission}: {text}");
    }
}

/// `*` covers none of them, so that the owner has to be told of each.
#[test]
fn servers_in_the_owners_own_network_and_without_tls_are_named_beside_a_star() {
    let scope =
        "\"http.fetch\" = [\"*\", \"https://127.0.0.1:37444\", \"http://localhost:37080\", \"http://a.example.org\"]\n";
    let asks = "and sends what it likes there, also of what it reads here.";
    assert_eq!(
        said(scope, ""),
        [
            format!("medium: Asks any server of the public web and http://a.example.org (without TLS), {asks}"),
            format!("high: Reaches https://127.0.0.1:37444 and http://localhost:37080, in your own network, {asks}"),
        ]
    );
    let text = together(&format!("\"messages.read\" = [\"*\"]\n{scope}"), "").unwrap();
    let sent = "can send it to any server of the public web, http://a.example.org (without TLS), https://127.0.0.1:37444 (in your own \
                network) and http://localhost:37080 (in your own network).";
    assert!(text.ends_with(sent), "{text}");
    // Without a star, too; and that is all that it says then.
    let own = format!("high: Reaches https://192.168.1.7, in your own network, {asks}");
    assert_eq!(said("\"http.fetch\" = [\"192.168.1.7\"]", ""), [own]);
    // However many there are.
    let many = "\"http.fetch\" = [\"a.org\", \"b.org\", \"c.org\", \"d.org\", \"http://e.org\", \"10.0.0.1\"]\n\"contacts.read\" = true";
    let text = together(many, "").unwrap();
    let sent = "4 servers of the web, http://e.org (without TLS) and https://10.0.0.1 (in your own network).";
    assert!(text.ends_with(sent), "{text}");
    assert!(adds_high_risk(&grants("\"http.fetch\" = [\"*\", \"10.0.0.1\"]"), &grants("\"http.fetch\" = [\"*\"]")));
}

/// No sentence about everything shows the star.
#[test]
fn everything_is_said_in_words() {
    for sentence in sentences(&Grants::all(), &Grants::default(), &on_main()) {
        assert!(!sentence.text.contains('*'), "{sentence:?}");
    }
}

#[test]
fn the_sentences_of_each_permission() {
    let all: Vec<_> = Permission::ALL
        .iter()
        .map(|&permission| {
            let whole = Scope::whole(permission.scope_kind());
            let text = of(permission, &whole, &Words::of(&on_main())).text;
            format!("{permission}: {text}")
        })
        .collect();
    let has_scope = |text: &&String| {
        let (name, _) = text.split_once(": ").unwrap();
        name.parse::<Permission>().unwrap().scope_kind() != parlor_base::permission::ScopeKind::None
    };
    let all: Vec<_> = all.iter().filter(has_scope).map(String::as_str).collect();
    assert_eq!(
        all,
        [
            "archive.read: Reads old messages from the archives of servers: all that this account wrote and got, and those of its \
             12 rooms.",
            "files.send: Uploads files to the server of this account, for everybody who is given their address: files of any kind \
             and size.",
            "hooks.commands: As a hook, if you put it in the order: sees and refuses commands from anybody to other plugins, in \
             rooms too, and answers them in the name of this account. If it cannot answer, also since somebody floods it, a command \
             is carried out, unless `on_failure = \"stop\"` stands under [hooks].",
            "hooks.incoming: As a hook, if you put it in the order: sees what comes from anybody before other plugins do, labels \
             it, and hides it from them. If it cannot answer, also since somebody floods it, a message passes, \
             unless `on_failure = \"stop\"` stands under [hooks].",
            "hooks.outgoing: As a hook, if you put it in the order: sees, changes and stops what other plugins send to anybody, in \
             the name of this account. If it cannot answer, also since somebody floods it, a message is sent, \
             unless `on_failure = \"stop\"` stands under [hooks].",
            "http.fetch: Asks any server of the public web, and sends what it likes there, also of what it reads here.",
            "iq.answer: Answers what others ask this account in every XML namespace that its manifest lists, in the name of this \
             account, and tells everybody so.",
            "messages.read: Reads everything that anybody writes to this account and in its 12 rooms, encrypted messages too, as \
             their authors wrote them.",
            "messages.send: Sends private messages to anybody in the name of this account, and hears the answers to its \
             questions.",
            "plugins.answer: Answers what it is asked by any other plugin, by what it was granted itself.",
            "plugins.call: Asks any other plugin, and tells what it likes there; the answers go by what was granted there.",
            "pubsub.configure: Creates, configures and deletes nodes of publish-subscribe in the name of this account, and says \
             who may read them: every node of every service.",
            "pubsub.publish: Publishes and retracts items in nodes of publish-subscribe in the name of this account: every node \
             of every service.",
            "pubsub.read: Reads nodes of publish-subscribe and subscribes to them, and lets contacts know that this account wants \
             to be told of them: every node of every service.",
            "rooms.configure: Configures and destroys all rooms.",
            "rooms.join: Enters and leaves all rooms, registers there, and asks for voice.",
            "rooms.moderate: Moderates all rooms: invites, kicks and bans people, gives them rights, retracts what they said, and \
             sets the subject.",
            "rooms.read: Sees all rooms: who is there, and invitations.",
            "rooms.send: Speaks in all rooms in the name of this account, and hears the answers to its questions.",
            "stanza.read: Reads raw stanzas of this account, with all that they carry: every message, every presence and every \
             request and answer (IQ).",
            "stanza.send: Sends raw stanzas: messages to anybody, presence to anybody and requests (IQs) to anybody. Whatever \
             this account may do by these, it may do.",
            "storage: Keeps data of its own on this machine, at most 16 MiB.",
            "vcard.read: Fetches the visiting cards of anybody.",
        ]
    );
}

#[test]
fn a_scope_is_said_in_words() {
    for (granted, words) in [
        (
            "\"messages.read\" = [\"contacts\", \"@example.org\", \"juliet@example.net\"]",
            "medium: Reads everything that comes to this account from contacts, anybody at example.org and juliet@example.net, \
             encrypted messages too, as their authors wrote them, and of a room among these what occupants say to this account \
             alone.",
        ),
        (
            "\"messages.read\" = [\"encrypted:*\"]",
            "medium: Reads each encrypted message that anybody writes to this account and in its 12 rooms.",
        ),
        (
            "\"archive.read\" = [\"juliet@example.net\", \"encrypted:contacts\"]",
            "medium: Reads old messages from the archives of servers, in both directions: those with juliet@example.net, and the \
             encrypted ones with contacts.",
        ),
        (
            "\"stanza.send\" = [\"message:@example.org\", \"iq\"]",
            "high: Sends raw stanzas: messages to anybody at example.org and requests (IQs) to anybody. Whatever this account may \
             do by these, it may do.",
        ),
        (
            "\"files.send\" = [\"image/*\", \"10 MiB\"]",
            "medium: Uploads files to the server of this account, for everybody who is given their address: image/* and files up \
             to 10 MiB.",
        ),
        (
            "\"pubsub.read\" = [\"pubsub.example.org/*\", \"contacts/urn:example:mood\"]",
            "medium: Reads nodes of publish-subscribe and subscribes to them, and lets contacts know that this account wants to \
             be told of them: every node of pubsub.example.org and urn:example:mood of contacts.",
        ),
    ] {
        assert_eq!(said(granted, ""), [words]);
    }
}

#[test]
fn what_is_read_and_can_be_sent_is_one_sentence_and_comes_last() {
    let echo =
        "\"messages.read\" = [\"*\"]\n\"messages.send\" = [\"*\"]\n\"stanza.send\" = [\"message\"]\nstorage = true";
    let said = said(echo, "");
    let risks: Vec<_> = said.iter().map(|text| text.split(':').next().unwrap()).collect();
    assert_eq!(risks, ["low", "medium", "medium", "high", "high"]);
    let last = "high: Together: reads everything that anybody writes to this account and in its 12 rooms; can send it to anybody.";
    assert_eq!(said.last().map(String::as_str), Some(last));
}

#[test]
fn the_web_and_whoever_else_gets_it_is_named() {
    let web = "\"http.fetch\" = [\"api.example.org\"]\n";
    assert_eq!(together(web, ""), None);
    assert_eq!(together("\"messages.read\" = [\"*\"]", ""), None);
    let reads = "\"contacts.read\" = true\n\"rooms.read\" = [\"*\"]\n";
    assert_eq!(
        together(&format!("{web}{reads}"), "").unwrap(),
        "medium: Together: reads the contact list and who is in rooms; can send it to https://api.example.org."
    );
    let many = "\"messages.read\" = [\"a@b\", \"c@d\", \"e@f\", \"g@h\"]\n";
    assert_eq!(
        together(&format!("{web}{many}\"plugins.call\" = [\"dice\"]"), "").unwrap(),
        "high: Together: reads what comes from 4 addresses and what other plugins answer; can send it to https://api.example.org and \
         other plugins."
    );
}

/// A plugin asks for three addresses and a domain. "4 addresses" would hide how many people that are.
#[test]
fn what_covers_more_than_one_address_is_named_however_many_entries_there_are() {
    let sent = |scope: &str| {
        let said = together(&format!("\"messages.read\" = [\"*\"]\n{scope}"), "").unwrap();
        said.split_once("can send it to ").unwrap().1.to_owned()
    };
    let people = "\"messages.send\" = [\"a@b.org\", \"contacts\", \"c@b.org\", \"@x.org\", \"d@b.org\", \"e@b.org\"]";
    assert_eq!(sent(people), "contacts, anybody at x.org and 4 addresses.");
    let rooms = "\"rooms.send\" = [\"a@m.org\", \"b@m.org\", \"c@m.org\", \"@muc.org\"]";
    assert_eq!(sent(rooms), "a@m.org, b@m.org, c@m.org and all rooms of muc.org.");
    let servers = "\"http.fetch\" = [\"a.org\", \"b.org\", \"c.org\", \"d.org\", \"*.e.org\"]";
    assert_eq!(sent(servers), "https://*.e.org and 4 servers of the web.");
    // The same address with another kind of stanza is the same address, and a kind alone goes to anybody.
    let stanzas = "\"stanza.send\" = [\"message:a@b.org\", \"iq:a@b.org\", \"message:c@b.org\", \"iq:c@b.org\"]";
    assert_eq!(sent(stanzas), "a@b.org and c@b.org.");
    let anybody = "\"stanza.send\" = [\"message:a@b.org\", \"iq:a@b.org\", \"message:c@b.org\", \"presence\"]";
    assert_eq!(sent(anybody), "anybody.");
    let read = "\"messages.read\" = [\"a@b.org\", \"c@b.org\", \"@x.org\", \"d@b.org\", \"e@b.org\"]\n\"messages.send\" = [\"*\"]";
    assert!(together(read, "").unwrap().contains("reads what comes from anybody at x.org and 4 addresses; "));
}

#[test]
fn what_stays_with_those_who_said_it_is_less_risky() {
    let risk = |text: &str| together(text, "").map(|text| text.split(':').next().unwrap().to_owned());
    let reads = "\"messages.read\" = [\"juliet@example.org\"]\n";
    assert_eq!(risk(&format!("{reads}\"messages.send\" = [\"juliet@example.org\"]")), None, "she said it");
    assert_eq!(risk(&format!("{reads}\"messages.send\" = [\"romeo@example.org\"]")).as_deref(), Some("high"));
    assert_eq!(risk(&format!("{reads}\"messages.send\" = [\"contacts\"]")).as_deref(), Some("medium"));
    let room = "\"messages.read\" = [\"hall@muc.example.org\"]\n\"rooms.send\" = [\"hall@muc.example.org\"]";
    assert_eq!(risk(room).as_deref(), Some("medium"), "occupants may have said it to the account alone");
}

#[test]
fn whoever_gets_it_by_several_permissions_is_named_once() {
    let text = "\"messages.read\" = [\"*\"]\n\"messages.send\" = [\"example.net\", \"juliet@example.org\"]\n\
                \"rooms.send\" = [\"juliet@example.org\"]";
    let said = together(text, "").unwrap();
    assert!(said.ends_with("can send it to example.net and juliet@example.org."), "{said}");
}

#[test]
fn what_is_granted_already_adds_no_risk() {
    let (reads, all) = ("\"messages.read\" = [\"*\"]", "\"messages.send\" = [\"*\"]");
    let adds = |more: &str, present: &str| adds_high_risk(&grants(more), &grants(present));
    assert!(adds(all, reads) && adds(reads, all) && adds(&format!("{reads}\n{all}"), ""));
    assert!(!adds(all, "") && !adds(reads, ""));
    let both = format!("{reads}\n{all}");
    assert!(!adds("\"messages.send\" = [\"juliet@example.org\"]", &both));
    assert!(adds("\"stanza.send\" = [\"message\"]", &both) && !adds("storage = true", &both));
}

/// For an update or a further grant, the owner is asked only about the additions.
#[test]
fn with_earlier_grants_only_what_is_new_is_said() {
    let reads = "\"messages.read\" = [\"*\"]";
    let web = "\"http.fetch\" = [\"*\"]";
    let said = said(web, reads);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].ends_with("in its 12 rooms; can send it to any server of the public web."), "{said:?}");
    assert_eq!(together("storage = true", &format!("{reads}\n{web}")), None, "it was so before");
    let more = "\"messages.send\" = [\"romeo@example.org\"]";
    let both = together(more, "\"messages.read\" = [\"*\"]\n\"messages.send\" = [\"juliet@example.org\"]").unwrap();
    assert!(both.ends_with("can send it to juliet@example.org and romeo@example.org."), "{both}");
}

#[test]
fn accounts_are_named_with_their_rooms() {
    let places = [place("main", "bot@example.org", Some(1)), place("other", "it@example.net", None)];
    assert_eq!(listed(&places), "main (bot@example.org, in 1 room) and other (it@example.net)");
    let read = grants("\"messages.read\" = [\"*\"]\n\"vcard.write\" = true");
    let said = |places: &[Place]| sentences(&read, &Grants::default(), places)[0].text.clone();
    assert!(said(&places[..1]).contains("writes to this account and in its room,"));
    assert!(said(&places).contains("writes to each account and in its rooms,"));
    assert!(sentences(&read, &Grants::default(), &places)[1].text.contains("each account's own visiting card"));
    assert!(said(&[]).contains("writes to this account and in its rooms,"));
}

/// An entry is the author's text, and an address may have characters that turn words around.
#[test]
fn entries_are_escaped() {
    let said = said("\"messages.send\" = [\"juliet@example.org/a\u{2067}b\"]", "");
    assert!(said[0].contains("juliet@example.org/a\\u{2067}b"), "{said:?}");
}
