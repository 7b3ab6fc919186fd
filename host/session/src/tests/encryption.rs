//! OMEMO with a counterpart that has its own keys: sending, decrypting, storing before sending, and trust.

mod clients;
mod envelopes;
mod files;
mod forms;
mod kept;
mod rooms;
mod textless;
mod withdrawing;

use parlor_config::{Encryption, OtrPolicy, TrustPolicy};
use parlor_e2ee::omemo::{
    Bundle, BundleParts, Device, Effort, Keep, KeyMessage, Prekeys, Session as Ratchet, Version, payload, receive,
    start,
};
use parlor_stanza::decode::read_envelope;
use parlor_stanza::omemo::{bundle_payload, envelope, list_payload, read_bundle, read_list};
use parlor_stanza::types::{
    Affiliated, Draft, EncryptedOut, EncryptionWish, Extensions, KeyFor, ListedDevice, NodeItem, NodePage, OmemoForm,
    PublishedBundle, PubsubAsk, Sealed, SealedContent, SharedFile,
};

use super::*;

const JULIET: &str = "juliet@example.org";
/// The features of a room of members who see each other's addresses.
const OF_MEMBERS: [&str; 2] = ["muc_membersonly", "muc_nonanonymous"];

fn version(form: OmemoForm) -> Version {
    match form {
        OmemoForm::Older => Version::Axolotl,
        OmemoForm::Current => Version::Omemo2,
    }
}

fn parts(bundle: PublishedBundle) -> BundleParts {
    let PublishedBundle { signed_prekey_id, signed_prekey, signature, identity_key, prekeys } = bundle;
    BundleParts { signed_prekey_id, signed_prekey, signature, identity_key, prekeys }
}

fn published(parts: BundleParts) -> PublishedBundle {
    let BundleParts { signed_prekey_id, signed_prekey, signature, identity_key, prekeys } = parts;
    PublishedBundle { signed_prekey_id, signed_prekey, signature, identity_key, prekeys }
}

/// Returns the first message of somebody under another id.
fn renamed(xml: &str) -> String {
    xml.replace("id=\"m1\"", "id=\"m7\"").replace("id='m1'", "id='m7'")
}

/// Another person's client, which has one form of OMEMO.
struct Peer {
    jid: BareJid,
    form: OmemoForm,
    device: Device,
    session: Option<Ratchet>,
    sent: u32,
    /// How many keys of each message are for the bot's device.
    copies: usize,
}

impl Peer {
    fn new(jid: &str, form: OmemoForm) -> Self {
        let device = Device::generate(&mut rand::rng(), 0);
        Self { jid: bare(jid), form, device, session: None, sent: 0, copies: 1 }
    }

    fn id(&self) -> u32 {
        self.device.id().get()
    }

    fn fingerprint(&self) -> String {
        self.device.fingerprint().to_string().replace(' ', "")
    }

    /// Returns the message of this text as a stanza, encrypted for the bot.
    fn writes(&mut self, bot: &Bot, text: &str, attributes: &str) -> String {
        let room = attributes.contains(ROOM).then(|| bare(ROOM));
        let now = "2026-11-20T06:24:00Z".parse().unwrap();
        let draft = Draft { body: Some(text.to_owned()), ..Draft::default() };
        let plain = match self.form {
            OmemoForm::Older => text.to_owned(),
            OmemoForm::Current => envelope(&draft, &self.jid, room.as_ref(), now, 3),
        };
        self.seals(bot, &plain, attributes)
    }

    /// Returns a stanza with this content, encrypted for the bot.
    fn seals(&mut self, bot: &Bot, plain: &str, attributes: &str) -> String {
        let sealed = payload::encrypt(version(self.form), plain.as_bytes(), &mut rand::rng());
        if self.session.is_none() {
            // The last published bundle still has the prekeys that were used since.
            let bundle = bot.device().bundle(version(self.form));
            self.session = Some(start(&self.device, &bundle, &mut rand::rng()).unwrap());
        }
        let session = self.session.as_mut().unwrap();
        let key = |_| {
            let KeyMessage { prekey, bytes } = session.encrypt(&sealed.key).unwrap();
            KeyFor { jid: bare("bot@example.org"), device: bot.id, is_prekey: prekey, bytes }
        };
        let keys = (0..self.copies).map(key).collect();
        self.sent += 1;
        let (form, sender, iv) = (self.form, self.id(), sealed.iv);
        let out = EncryptedOut { form, sender, keys, iv, payload: Some(sealed.body) };
        let stanza = Outgoing::Sealed(Box::new(Sealed {
            to: jid("bot@example.org"),
            kind: MessageKind::Chat,
            id: format!("m{}", self.sent),
            content: SealedContent::Omemo(vec![out]),
            thread: None,
            beside: Extensions::default(),
            to_occupant: false,
            says: None,
        }));
        let xml = RawStanza::of(stanza).to_xml();
        let kind = if attributes.contains(ROOM) { "type=\"groupchat\"" } else { "type=\"chat\"" };
        let xml = xml.replace("type=\"chat\"", kind).replace("type='chat'", &kind.replace('"', "'"));
        xml.replacen("<message", &format!("<message {attributes}"), 1)
    }

    fn sender(&self) -> String {
        format!("from='{}/phone'", self.jid)
    }

    /// Reads what the bot sent last.
    fn reads(&mut self, bot: &Bot) -> Option<String> {
        let sealed = bot.test.sent.iter().rev().find_map(|stanza| match stanza {
            Outgoing::Sealed(sealed) => Some(sealed),
            _ => None,
        })?;
        self.reads_this(&sealed.clone())
    }

    fn reads_this(&mut self, sealed: &Sealed) -> Option<String> {
        let SealedContent::Omemo(forms) = &sealed.content else { return None };
        let one = forms.iter().find(|one| one.form == self.form)?;
        let key = one.keys.iter().find(|key| key.device == self.id() && key.jid == self.jid)?;
        let message = KeyMessage { prekey: key.is_prekey, bytes: key.bytes.clone() };
        let version = version(self.form);
        let read = receive(
            &self.device,
            self.session.as_ref(),
            (version, Prekeys::Fresh),
            &message,
            &mut Effort::of_one_stanza(),
            &mut rand::rng(),
        )
        .ok()?;
        if let Some((id, _)) = read.used_prekey {
            self.device.use_prekey(id, Keep::No);
        }
        self.session = Some(read.session);
        let body = one.payload.as_ref()?;
        let plain = payload::decrypt(version, body, one.iv.as_ref().map(<[u8; 12]>::as_slice), &read.plain).ok()?;
        match self.form {
            OmemoForm::Older => String::from_utf8(plain.to_vec()).ok(),
            OmemoForm::Current => {
                let own = FullJid::new("romeo@example.org/phone").unwrap();
                read_envelope(&plain, sealed.kind, &jid("bot@example.org/parlor"), &own)?.body
            }
        }
    }

    fn listed(&self, form: OmemoForm) -> Vec<ListedDevice> {
        let own = ListedDevice { device: self.id(), label: None };
        if form == self.form { vec![own] } else { Vec::new() }
    }
}

/// Returns the presence of a person in the room, whose nickname is that of their address.
fn occupant_of(peer: &Peer) -> Presence {
    let mut there = occupant(peer.jid.node().unwrap().as_str(), PresenceKind::Available, &[]);
    there.muc.as_mut().unwrap().jid = Some(jid(&format!("{}/phone", peer.jid)));
    there
}

/// A session with keys.
struct Bot {
    test: TestSession,
    id: u32,
}

fn page(xml: String) -> Body {
    clients::items([("current".to_owned(), xml)])
}

fn wants(ask: &Ask, wanted: &str) -> bool {
    match ask {
        Ask::Pubsub(ask) => match &**ask {
            PubsubAsk::Items { node, .. } | PubsubAsk::Item { node, .. } => node == wanted,
            _ => false,
        },
        _ => false,
    }
}

fn is_published(stanza: &Outgoing, wanted: &str) -> Option<String> {
    match stanza {
        Outgoing::Ask { to: None, ask: Ask::Pubsub(ask), .. } => match &**ask {
            PubsubAsk::Publish { node, payload, .. } if node.starts_with(wanted) => Some(payload.to_xml()),
            _ => None,
        },
        _ => None,
    }
}

/// Returns whether something is published in a node whose name begins like this.
fn publishes(ask: &Ask, wanted: &str) -> bool {
    matches!(ask, Ask::Pubsub(ask) if matches!(&**ask, PubsubAsk::Publish { node, .. } if node.starts_with(wanted)))
}

/// Returns how the names of all nodes of bundles begin.
fn bundle_nodes(form: OmemoForm) -> String {
    form.bundle_node(1).trim_end_matches(":1").to_owned()
}

/// Returns whether the published keys of a device are taken back, from a node whose name begins like this.
fn takes_back(ask: &Ask, wanted: &str) -> bool {
    match ask {
        Ask::Pubsub(ask) => match &**ask {
            PubsubAsk::Delete { node } | PubsubAsk::Retract { node, .. } => node.starts_with(wanted),
            _ => false,
        },
        _ => false,
    }
}

/// Lets the server take everything that is published, or taken back.
fn accept(test: &mut TestSession) {
    let mut taken = String::new();
    loop {
        let id = test.asked(|ask| publishes(ask, "") || takes_back(ask, ""));
        if id == taken {
            return;
        }
        test.answer(None, id.clone(), Ok(Body::Empty));
        taken = id;
    }
}

/// Returns the device that is first in the account's list as it was last published.
fn listed_first(test: &TestSession) -> Option<u32> {
    let list = test.sent.iter().rev().find_map(|stanza| is_published(stanza, OmemoForm::Older.list_node()))?;
    Some(read_list(OmemoForm::Older, &list).unwrap()[0].device)
}

impl Bot {
    /// A connected account, whose server has no keys of it yet.
    fn new(trust: TrustPolicy) -> Self {
        let mut test = Self::unpublished(trust);
        accept(&mut test);
        let id = listed_first(&test).expect("the device is listed");
        test.forget();
        Self { test, id }
    }

    /// The same account before the server has taken any key.
    fn unpublished(trust: TrustPolicy) -> TestSession {
        Self::unpublished_beside(trust, |_| Err(stanza_error("item-not-found")))
    }

    /// The same account, with these lists on the server.
    fn unpublished_beside(
        trust: TrustPolicy,
        listed: impl Fn(OmemoForm) -> Result<Body, Box<StanzaError>>,
    ) -> TestSession {
        let mut test = TestSession::new(Settings::default());
        let config = Encryption { trust, ..Encryption::default() };
        test.run(|session, now, effects| set_encryption(session, config, now, effects));
        test.run(Session::plugins_initialized);
        test.bind();
        test.roster(vec![item(ROMEO, "both"), item(JULIET, "both")]);
        for form in OmemoForm::ALL {
            let id = test.asked(|ask| wants(ask, form.list_node()));
            test.answer(None, id, listed(form));
        }
        test
    }

    /// Lets the server push the account's devices.
    fn told_of(&mut self, device: u32) {
        self.told_of_by("bot@example.org", device);
    }

    /// Lets somebody push devices in the same way.
    fn told_of_by(&mut self, from: &str, device: u32) {
        for form in OmemoForm::ALL {
            let list = list_payload(form, &[ListedDevice { device, label: None }]).to_xml();
            self.pushes(from, form, &format!("<item id='current'>{list}</item>"));
        }
    }

    /// Lets somebody push these changes of a list.
    fn pushes(&mut self, from: &str, form: OmemoForm, changes: &str) {
        self.test.hear_xml(&format!(
            "<message xmlns='jabber:client' from='{from}' type='headline'><event \
             xmlns='http://jabber.org/protocol/pubsub#event'><items node='{}'>{changes}</items></event></message>",
            form.list_node()
        ));
    }

    /// Returns how often keys were kept.
    fn times_kept(&self) -> usize {
        self.test.keys.iter().filter(|change| matches!(change, KeyChange::Device(_))).count()
    }

    /// Returns what the account published last.
    fn bundle(&self, form: OmemoForm) -> PublishedBundle {
        let node = form.bundle_node(self.id);
        let xml = self.test.sent.iter().rev().find_map(|stanza| is_published(stanza, &node)).unwrap();
        read_bundle(form, &xml).unwrap()
    }

    fn device(&self) -> Device {
        let kept = self.test.keys.iter().rev().find_map(|change| match change {
            KeyChange::Device(device) => Some(device),
            _ => None,
        });
        Device::from_bytes(kept.unwrap().as_ref()).unwrap()
    }

    fn hear(&mut self, peer: &mut Peer, text: &str) {
        let from = peer.sender();
        let xml = peer.writes(self, text, &from);
        self.test.hear_xml(&xml);
    }

    fn say(&mut self, to: &str, text: &str, wish: EncryptionWish) -> Receiver<Result<String, CallError>> {
        let kind = if to == ROOM { MessageKind::Groupchat } else { MessageKind::Chat };
        let draft = Draft { body: Some(text.to_owned()), encryption: wish, ..Draft::default() };
        self.test.ask(SendMessage { to: jid(to), kind, draft })
    }

    /// Answers the requests for the lists of a person.
    fn lists(&mut self, who: &str, listed: impl Fn(OmemoForm) -> Vec<ListedDevice>) {
        for form in OmemoForm::ALL {
            let id = self.test.asked_of(who, |ask| wants(ask, form.list_node()));
            self.test.answer(Some(who), id, Ok(page(list_payload(form, &listed(form)).to_xml())));
        }
    }

    /// Answers the request for the bundle of a device.
    fn bundles(&mut self, peer: &Peer) {
        let (form, who) = (peer.form, peer.jid.to_string());
        let id = self.test.asked_of(&who, |ask| wants(ask, &form.bundle_node(peer.id())));
        self.test.answer(Some(&who), id, Ok(clients::items([clients::bundle_of(peer)])));
    }

    /// Lets the room say that it has these features.
    fn about(&mut self, features: &[&str]) {
        let features = features.iter().copied().map(str::to_owned).collect();
        let room = self.test.session.features.rooms.shown.get_mut(&bare(ROOM)).unwrap();
        Arc::make_mut(room).about = Arc::new(records::room::About { name: None, features });
    }

    /// Enters a room of members who see each other's addresses, in which this person is.
    fn in_room_of(&mut self, peer: &Peer) {
        self.test.in_room();
        self.about(&OF_MEMBERS);
        self.test.presence(occupant_of(peer));
        self.test.forget();
    }

    /// Answers the request for the people of the room with this affiliation: there are none.
    fn answer_affiliations(&mut self, affiliation: &str) {
        let is_meant = |ask: &Ask| matches!(ask, Ask::Affiliations { affiliation: of } if *of == affiliation);
        let id = self.test.asked_of(ROOM, is_meant);
        self.test.answer(Some(ROOM), id, Ok(Body::Affiliations(Vec::new())));
    }

    fn heard(&self) -> &Message {
        let Payload::Message(message) = self.test.last("message") else { panic!("a message") };
        message
    }

    /// Returns the texts of all reported messages.
    fn bodies(&self) -> Vec<&str> {
        let told = self.test.events.iter().filter(|event| &*event.name == "message");
        let said = told.filter_map(|event| match &event.payload {
            Payload::Message(message) => message.body.as_deref(),
            _ => None,
        });
        said.collect()
    }

    /// Returns the fingerprints that are known of a person.
    fn known(&mut self, who: &str) -> Vec<String> {
        let mut listed = self.test.ask(ListKeys { jid: Some(bare(who)) });
        got(&mut listed).unwrap().unwrap().keys.into_iter().map(|key| key.fingerprint).collect()
    }

    fn reason(&self) -> UndecryptableReason {
        let Payload::Undecryptable(told) = self.test.last("undecryptable") else { panic!("it is told") };
        told.reason
    }

    /// Lets the owner decide about the key of a counterpart.
    fn decide(&mut self, peer: &Peer, trust: types::DeviceTrust) {
        let fingerprint = Some(peer.fingerprint());
        let decided = self.test.ask(SetTrust { jid: peer.jid.clone(), fingerprint, trust });
        assert_eq!(got(&mut { decided }).unwrap().unwrap().len(), 1);
    }

    fn sealed(&self) -> usize {
        self.test.sent.iter().filter(|stanza| matches!(stanza, Outgoing::Sealed(_))).count()
    }
}

#[test]
fn a_first_start_publishes_a_hundred_prekeys_in_one_request_and_then_the_device() {
    let bot = Bot::new(TrustPolicy::Blind);
    for form in OmemoForm::ALL {
        let bundle = bot.bundle(form);
        assert_eq!(bundle.prekeys.len(), 100);
        assert!(Bundle::parse(version(form), &parts(bundle)).is_ok());
        let list = bot.test.sent.iter().find_map(|stanza| is_published(stanza, form.list_node())).unwrap();
        assert_eq!(read_list(form, &list).unwrap()[0].device, bot.id);
    }
    assert!(matches!(bot.test.keys.first(), Some(KeyChange::Device(_))));
}

#[test]
fn the_own_device_in_a_list_that_the_server_tells_of_is_no_other_one() {
    let mut bot = Bot::new(TrustPolicy::Blind);
    bot.told_of(bot.id);
    assert_eq!((bot.times_kept(), bot.device().id().get()), (1, bot.id));
}

#[test]
fn a_server_that_has_lost_the_list_gets_the_keys_again_before_the_device_is_listed() {
    let mut bot = Bot::new(TrustPolicy::Blind);
    for has_lost in [false, true] {
        bot.test.run(|session, now, effects| session.lost("gone", now, effects));
        let before = bot.test.sent.len();
        bot.test.bind();
        bot.test.roster(vec![item(ROMEO, "both")]);
        for form in OmemoForm::ALL {
            let id = bot.test.asked(|ask| wants(ask, form.list_node()));
            let listed = [ListedDevice { device: bot.id, label: None }];
            let list = if has_lost { Body::Empty } else { page(list_payload(form, &listed).to_xml()) };
            bot.test.answer(None, id, Ok(list));
        }
        if has_lost {
            accept(&mut bot.test);
        }
        for form in OmemoForm::ALL {
            let place =
                |node: &str| bot.test.sent[before..].iter().position(|stanza| is_published(stanza, node).is_some());
            let (bundle, list) = (place(&bundle_nodes(form)), place(form.list_node()));
            assert_eq!([bundle.is_some(), list.is_some()], [has_lost; 2]);
            assert!(bundle <= list, "nobody finds a device without keys");
        }
    }
}

/// Returns the account's lists in the present form as they were published.
fn lists(test: &TestSession) -> Vec<String> {
    test.sent.iter().filter_map(|stanza| is_published(stanza, OmemoForm::Current.list_node())).collect()
}

#[test]
fn lists_keep_what_other_devices_wrote_in_them() {
    let mut bot = Bot::new(TrustPolicy::Blind);
    let (form, label) = (OmemoForm::Current, "a telephone with a long name ".repeat(3));
    let others = (1..=80).map(|id| format!("<device id='{id}' label='{label}' labelsig='c2ln'/>"));
    let others = others.collect::<Vec<_>>().concat();
    let list = format!("<devices xmlns='urn:xmpp:omemo:2'>{others}<later xmlns='urn:example:later'/></devices>");
    bot.pushes("bot@example.org", form, &format!("<item id='current'>{list}</item>"));
    let written = lists(&bot.test).pop().unwrap();
    assert_eq!((written.matches(label.trim()).count(), written.matches("labelsig=").count()), (80, 81), "{written}");
    assert!(written.contains("urn:example:later"), "{written}");
    let listed = read_list(form, &written).unwrap();
    assert_eq!((listed[0].device, listed.len()), (bot.id, 81));
    // They stay if the own device gets new keys.
    accept(&mut bot.test);
    got(&mut bot.test.ask(ResetOwnKeys));
    accept(&mut bot.test);
    let written = lists(&bot.test).pop().unwrap();
    let listed = read_list(form, &written).unwrap();
    assert_eq!((written.matches("labelsig=").count(), listed.len()), (81, 81));
    assert_eq!(listed[0].device, bot.device().id().get());
    assert!(listed.iter().all(|one| one.device != bot.id), "the former device is not listed any more");
}

#[test]
fn a_list_that_cannot_be_read_is_not_overwritten() {
    const ODD: &str = "<devices xmlns='urn:xmpp:omemo:3'><device id='5'/></devices>";
    let cut = || {
        let item = NodeItem { id: Some("current".to_owned()), is_cut: true, ..NodeItem::default() };
        Body::NodeItems(Box::new(NodePage { items: vec![item], ..NodePage::default() }))
    };
    let unreadable: [fn() -> Body; 3] = [|| page(ODD.to_owned()), cut, || Body::Other];
    for answer in unreadable {
        let mut test = Bot::unpublished_beside(TrustPolicy::Blind, |_| Ok(answer()));
        accept(&mut test);
        assert!(test.news.iter().any(|news| matches!(news.what, KeyNewsKind::NotPublished)), "{:?}", answer());
        got(&mut test.ask(ResetOwnKeys));
        accept(&mut test);
        assert_eq!(lists(&test), Vec::<String>::new(), "{:?}", answer());
        let mut bot = Bot { test, id: 0 };
        let list = "<devices xmlns='urn:xmpp:omemo:2'><device id='5'/></devices>";
        bot.pushes("bot@example.org", OmemoForm::Current, &format!("<item id='current'>{list}</item>"));
        let listed = read_list(OmemoForm::Current, &lists(&bot.test)[0]).unwrap();
        assert_eq!(listed.iter().map(|one| one.device).collect::<Vec<_>>(), [bot.device().id().get(), 5]);
        accept(&mut bot.test);
        bot.pushes("bot@example.org", OmemoForm::Current, &format!("<item id='current'>{ODD}</item>"));
        assert_eq!(lists(&bot.test).len(), 1, "it is left alone");
    }
    // A list that is empty or gone is made again.
    let empty: [fn() -> Body; 3] =
        [|| Body::Empty, || Body::NodeItems(Box::default()), || page("<devices xmlns='urn:xmpp:omemo:2'/>".to_owned())];
    for answer in empty {
        let mut test = Bot::unpublished_beside(TrustPolicy::Blind, |form| {
            Ok(if form == OmemoForm::Current { answer() } else { Body::Empty })
        });
        accept(&mut test);
        assert_eq!(lists(&test).len(), 1, "{:?}", answer());
    }
}

#[test]
fn a_list_that_a_notification_lacks_is_asked_for() {
    let mut bot = Bot::new(TrustPolicy::Blind);
    let (form, before) = (OmemoForm::Current, lists(&bot.test).len());
    for changes in ["<item id='current'/>", "<retract id='older'/>"] {
        let asked = bot.test.count_asked(|ask| wants(ask, form.list_node()));
        bot.pushes("bot@example.org", form, changes);
        assert_eq!(bot.test.count_asked(|ask| wants(ask, form.list_node())), asked + 1, "{changes}");
        let id = bot.test.asked(|ask| wants(ask, form.list_node()));
        let list = [7, bot.id].map(|device| ListedDevice { device, label: None });
        bot.test.answer(None, id, Ok(page(list_payload(form, &list).to_xml())));
        assert_eq!(lists(&bot.test).len(), before, "nothing is missing: {changes}");
    }
}

/// A plugin may send messages to the own account, which the server delivers from a full address.
#[test]
fn only_the_account_itself_tells_of_its_devices() {
    let mut bot = Bot::new(TrustPolicy::Blind);
    let before = bot.test.sent.len();
    for from in ["bot@example.org/parlor", "bot@example.org/phone", "example.org", "bot@example.net"] {
        bot.told_of_by(from, 4_711);
        assert_eq!(bot.test.sent.len(), before, "{from}");
    }
    bot.told_of(4_711);
    assert!(bot.test.sent.len() > before, "another client left this device out");
}

#[test]
fn a_further_device_of_the_account_itself_is_told() {
    for (trust, gets) in [(TrustPolicy::Blind, true), (TrustPolicy::Strict, false)] {
        let form = OmemoForm::Older;
        let mut bot = Bot::new(trust);
        let (mut romeo, phone) = (Peer::new(ROMEO, form), Peer::new("bot@example.org", form));
        bot.hear(&mut romeo, "hello");
        bot.decide(&romeo, types::DeviceTrust::Trusted);
        let both = [bot.id, phone.id()].map(|device| ListedDevice { device, label: None });
        let list = list_payload(form, &both).to_xml();
        bot.pushes("bot@example.org", form, &format!("<item id='current'>{list}</item>"));
        let mut sent = bot.say(ROMEO, "who is it?", EncryptionWish::Required);
        bot.lists(ROMEO, |form| romeo.listed(form));
        let id = bot.test.asked(|ask| wants(ask, &form.bundle_node(phone.id())));
        let bundle = published(phone.device.bundle(version(form)).parts());
        bot.test.answer(None, id, Ok(page(bundle_payload(form, &bundle).to_xml())));
        assert!(matches!(got(&mut sent), Some(Ok(_))));
        let news = bot.test.news.last().map(|news| (news.jid.clone(), news.what, news.fingerprint.clone()));
        assert_eq!(news, Some((bare("bot@example.org"), KeyNewsKind::NewDevice, Some(phone.fingerprint()))));
        let sealed = bot.test.sent.iter().rev().find_map(|stanza| match stanza {
            Outgoing::Sealed(message) => Some(&message.content),
            _ => None,
        });
        let Some(SealedContent::Omemo(forms)) = sealed else { panic!("it is not encrypted") };
        assert_eq!(forms[0].keys.iter().any(|key| key.device == phone.id()), gets);
    }
}

#[test]
fn nobody_finds_a_device_before_its_keys() {
    let form = OmemoForm::Older;
    let mut test = Bot::unpublished(TrustPolicy::Blind);
    let is_bundle = |ask: &Ask| publishes(ask, &bundle_nodes(form));
    let is_other = |ask: &Ask| publishes(ask, &bundle_nodes(OmemoForm::Current));
    // ejabberd 23 does not know an option, and fails where it makes the nodes of several accounts at once.
    for wait in [1, 2, 4, 8] {
        for condition in ["resource-constraint", "item-not-found"] {
            let id = test.asked(is_bundle);
            test.answer(None, id, Err(stanza_error(condition)));
            assert_eq!(listed_first(&test), None, "{condition}");
        }
        // Items are published one after another.
        let id = test.asked(is_other);
        test.answer(None, id, Err(stanza_error("item-not-found")));
        let asked = test.asked(is_bundle);
        test.wait(wait);
        assert_ne!(test.asked(is_bundle), asked, "{wait} s later");
    }
    let id = test.asked(is_bundle);
    test.answer(None, id, Ok(Body::Empty));
    assert_eq!(listed_first(&test), None, "the other form comes first");
    accept(&mut test);
    assert!(listed_first(&test).is_some());
}

#[test]
fn new_keys_are_there_before_their_device_as_well() {
    let mut bot = Bot::new(TrustPolicy::Blind);
    got(&mut bot.test.ask(ResetOwnKeys));
    let device = bot.device().id().get();
    assert_ne!(device, bot.id);
    assert_eq!(listed_first(&bot.test), Some(bot.id));
    for form in OmemoForm::ALL {
        let id = bot.test.asked(|ask| publishes(ask, &form.bundle_node(device)));
        bot.test.answer(None, id, Ok(Body::Empty));
    }
    assert_eq!(listed_first(&bot.test), Some(device));
    bot.told_of(device);
    assert_eq!((bot.times_kept(), bot.device().id().get()), (2, device));
}

#[test]
fn people_write_encrypted_and_are_answered_in_the_same_way() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.hear(&mut romeo, "hello");
        let heard = bot.heard();
        assert_eq!(heard.body.as_deref(), Some("hello"));
        assert_eq!(heard.encryption, Some(types::Encryption::Omemo));
        assert_eq!(heard.device_trust, Some(types::DeviceTrust::Blind));
        bot.test.lines();
        let mut sent = bot.say(ROMEO, "who is it?", EncryptionWish::AsTheChat);
        assert_eq!(got(&mut sent), None, "it waits for the lists");
        bot.lists(ROMEO, |form| romeo.listed(form));
        assert!(matches!(got(&mut sent), Some(Ok(_))));
        assert_eq!(romeo.reads(&bot).as_deref(), Some("who is it?"));
        let lines = bot.test.lines();
        let at = |wanted: &str| lines.iter().rposition(|line| line.starts_with(wanted)).unwrap();
        assert!(at("keep keys") < at("> sealed"), "{lines:?}");
        for number in 0..5 {
            bot.hear(&mut romeo, &format!("{number}?"));
            assert_eq!(bot.heard().body, Some(format!("{number}?")));
            assert!(matches!(got(&mut bot.say(ROMEO, "yes", EncryptionWish::AsTheChat)), Some(Ok(_))));
            assert_eq!(romeo.reads(&bot).as_deref(), Some("yes"));
        }
    }
}

#[test]
fn a_device_whose_keys_in_one_form_are_not_there_gets_the_other_form() {
    // The server refuses, or gives the keys of another device that were put in their place.
    for is_refused in [true, false] {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
        let mut sent = bot.say(ROMEO, "who is it?", EncryptionWish::Required);
        let listed = vec![ListedDevice { device: romeo.id(), label: None }];
        bot.lists(ROMEO, |_| listed.clone());
        let current = OmemoForm::Current.bundle_node(romeo.id());
        let id = bot.test.asked_of(ROMEO, |ask| wants(ask, &current));
        let outcome = if is_refused { Err(stanza_error("item-not-found")) } else { Ok(page("<other/>".to_owned())) };
        bot.test.answer(Some(ROMEO), id, outcome);
        assert_eq!(got(&mut sent), None, "it waits for the other form");
        bot.bundles(&romeo);
        assert!(matches!(got(&mut sent), Some(Ok(_))));
        assert_eq!(romeo.reads(&bot).as_deref(), Some("who is it?"));
    }
}

#[test]
fn keys_of_other_devices_with_the_same_id_hide_no_message() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        let begins = ["", "prekey='true' kex='true'"];
        let others = begins.map(|begins| format!("<key rid='{}' {begins}>MwgBEgA=</key>", bot.id)).concat();
        let from = romeo.sender();
        for (text, many, is_read) in [("first", 1, true), ("second", 3, true), ("third", 4, false), ("fourth", 0, true)]
        {
            let xml = romeo.writes(&bot, text, &from).replacen("<key ", &format!("{}<key ", others.repeat(many)), 1);
            bot.test.forget();
            bot.test.hear_xml(&xml);
            assert_eq!(bot.bodies() == [text], is_read, "{form:?} {text}");
            assert_eq!(bot.test.count("undecryptable"), usize::from(!is_read), "{form:?} {text}");
        }
    }
}

#[test]
fn what_somebody_in_between_adds_to_an_encrypted_text_is_not_told() {
    let beside = "<subject>open</subject><x xmlns='jabber:x:oob'><url>https://example.net/other</url></x></message>";
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        let from = romeo.sender();
        for text in ["hello", "https://example.net/other"] {
            let xml = romeo.writes(&bot, text, &from);
            bot.test.hear_xml(&xml.replace("</message>", beside));
            let heard = bot.heard();
            assert_eq!((heard.body.as_deref(), heard.subject.as_deref()), (Some(text), None));
            let files = heard.extensions.as_ref().map_or(0, |extensions| extensions.files.len());
            // An address that was encrypted may be marked as that of a file.
            assert_eq!(files, usize::from(form == OmemoForm::Older && text != "hello"), "{form:?} {text}");
        }
    }
}

#[test]
fn the_address_of_an_encrypted_file_counts_only_where_it_was_encrypted() {
    let url = format!("aesgcm://upload.example.org/a.png#{}", "0f".repeat(44));
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        let files = |bot: &Bot| -> Vec<String> {
            let extensions = bot.heard().extensions.iter();
            extensions.flat_map(|all| &all.files).map(|file| file.url.clone()).collect()
        };
        bot.hear(&mut romeo, &url);
        assert_eq!(files(&bot), std::slice::from_ref(&url), "{form:?}");
        bot.test.hear_xml(&format!(
            "<message xmlns='jabber:client' from='{ROMEO}/phone' type='chat' id='plain'><body>{url}</body></message>"
        ));
        assert_eq!((bot.heard().body.as_deref(), files(&bot).len()), (Some(&*url), 0), "{form:?}");
    }
}

#[test]
fn the_address_of_an_encrypted_file_goes_out_encrypted_or_not_at_all() {
    let url = format!("aesgcm://upload.example.org/a.png#{}", "0f".repeat(44));
    let message = |encryption| {
        let file = SharedFile { url: url.clone(), ..SharedFile::default() };
        let extensions = Some(Box::new(Extensions { files: vec![file], ..Extensions::default() }));
        // The address of a file is the body of a message that has none.
        let draft = Draft { body: Some(url.clone()), extensions, encryption, ..Draft::default() };
        SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft }
    };
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        for wish in [EncryptionWish::AsTheChat, EncryptionWish::None] {
            let mut sent = bot.test.ask(message(wish));
            assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))), "{form:?} {wish:?}");
        }
        bot.hear(&mut romeo, "hello");
        let mut sent = bot.test.ask(message(EncryptionWish::AsTheChat));
        bot.lists(ROMEO, |form| romeo.listed(form));
        assert!(matches!(got(&mut sent), Some(Ok(_))), "{form:?}");
        assert_eq!(romeo.reads(&bot).as_deref(), Some(&*url), "{form:?}");
        let mut sent = bot.test.ask(message(EncryptionWish::None));
        assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))), "{form:?}");
    }
    let mut off = TestSession::new(Settings::default());
    off.bind();
    let mut sent = off.ask(message(EncryptionWish::AsTheChat));
    assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))), "encryption is off");
}

/// The older form of OMEMO encrypts a text alone.
#[test]
fn hints_and_previews_go_out_encrypted_or_not_at_all() {
    let preview = types::LinkPreview {
        url: "https://example.org/".to_owned(),
        title: Some("Page".to_owned()),
        ..types::LinkPreview::default()
    };
    let extensions = Extensions { spoiler: Some("end".to_owned()), previews: vec![preview], ..Extensions::default() };
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.hear(&mut romeo, "hello");
        let extensions = Some(Box::new(extensions.clone()));
        let draft = Draft { body: Some("they die".to_owned()), extensions, ..Draft::default() };
        let mut sent = bot.test.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
        bot.lists(ROMEO, |form| romeo.listed(form));
        assert!(matches!(got(&mut sent), Some(Ok(_))), "{form:?}");
        let sealed = bot.test.sent.iter().rev().find_map(|stanza| match stanza {
            Outgoing::Sealed(sealed) => Some(sealed),
            _ => None,
        });
        let sealed = sealed.expect("it is encrypted");
        assert!(sealed.beside.previews.is_empty(), "{form:?}");
        // The text stays hidden.
        let hint = (form == OmemoForm::Older).then(String::new);
        assert_eq!(sealed.beside.spoiler, hint, "{form:?}");
        assert_eq!(romeo.reads(&bot).as_deref(), Some("they die"), "{form:?}");
    }
}

#[test]
fn hints_and_previews_beside_an_encrypted_text_are_not_told() {
    let beside = "<spoiler xmlns='urn:xmpp:spoiler:0'>open</spoiler><r:Description \
                  xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#' r:about='https://example.net/'><title \
                  xmlns='https://ogp.me/ns#'>open</title></r:Description></message>";
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        let from = romeo.sender();
        let xml = romeo.writes(&bot, "they die", &from);
        bot.test.hear_xml(&xml.replace("</message>", beside));
        assert_eq!(bot.heard().body.as_deref(), Some("they die"), "{form:?}");
        let shown = bot.heard().extensions.as_deref().cloned().unwrap_or_default();
        assert!(shown.previews.is_empty(), "{form:?}");
        assert_eq!(shown.spoiler, (form == OmemoForm::Older).then(String::new), "{form:?}");
    }
}

#[test]
fn what_was_said_plainly_is_answered_plainly_except_by_who_asks_for_more() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
    bot.test.message(message("romeo@example.org/x", MessageKind::Chat, "hi"));
    assert!(matches!(got(&mut bot.say(ROMEO, "hi", EncryptionWish::AsTheChat)), Some(Ok(_))));
    assert_eq!(bot.sealed(), 0);
    let mut sent = bot.say(ROMEO, "secret", EncryptionWish::Required);
    let mut behind = bot.say(ROMEO, "plain", EncryptionWish::None);
    bot.lists(ROMEO, |form| romeo.listed(form));
    assert_eq!((got(&mut sent), got(&mut behind)), (None, None), "later messages keep their place");
    bot.bundles(&romeo);
    assert!(matches!((got(&mut sent), got(&mut behind)), (Some(Ok(_)), Some(Ok(_)))));
    assert_eq!(romeo.reads(&bot).as_deref(), Some("secret"));
    assert!(matches!(bot.test.sent.last(), Some(Outgoing::Message { .. })));
    bot.hear(&mut romeo, "and now");
    // A plain line among encrypted ones may be of somebody in between.
    bot.test.message(message("romeo@example.org/x", MessageKind::Chat, "plain again"));
    assert!(matches!(got(&mut bot.say(ROMEO, "is it you?", EncryptionWish::AsTheChat)), Some(Ok(_))));
    assert_eq!(romeo.reads(&bot).as_deref(), Some("is it you?"));
    bot.test.wait(15 * 60 + 1);
    bot.test.message(message("romeo@example.org/x", MessageKind::Chat, "I have another client now"));
    let before = bot.sealed();
    assert!(matches!(got(&mut bot.say(ROMEO, "so be it", EncryptionWish::AsTheChat)), Some(Ok(_))));
    assert_eq!(bot.sealed(), before);
}

#[test]
fn an_answer_that_names_an_encrypted_message_is_encrypted() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.hear(&mut romeo, "where shall we meet?");
        let named = bot.heard().id.clone().unwrap();
        bot.test.wait(15 * 60 + 1);
        bot.test.message(message("romeo@example.org/x", MessageKind::Chat, "well?"));
        let mut answer = |id: &str| {
            let reply = Some(types::ReplyTo { id: id.to_owned(), to: None });
            let extensions = Some(Box::new(Extensions { reply, ..Extensions::default() }));
            let draft = Draft { body: Some("at the balcony".to_owned()), extensions, ..Draft::default() };
            let before = bot.sealed();
            let mut sent = bot.test.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
            if got(&mut sent).is_none() {
                bot.lists(ROMEO, |form| romeo.listed(form));
            }
            bot.sealed() - before
        };
        assert_eq!(answer("another one"), 0);
        assert_eq!(answer(&named), 1);
        assert_eq!(romeo.reads(&bot).as_deref(), Some("at the balcony"));
    }
}

#[test]
fn in_a_room_a_plain_line_of_somebody_does_not_make_answers_plain() {
    let (mut bot, mut juliet) = (Bot::new(TrustPolicy::Blind), Peer::new(JULIET, OmemoForm::Older));
    bot.in_room_of(&juliet);
    bot.hear(&mut juliet, "we are alone");
    bot.test.forget();
    let xml = juliet.writes(&bot, "are we?", &format!("from='{ROOM}/juliet'"));
    bot.test.hear_xml(&xml);
    assert_eq!(bot.heard().body.as_deref(), Some("are we?"));
    bot.test.message(message(&format!("{ROOM}/mallory"), MessageKind::Groupchat, "hello all"));
    let mut sent = bot.say(ROOM, "yes", EncryptionWish::AsTheChat);
    for affiliation in ["owner", "admin", "member"] {
        bot.answer_affiliations(affiliation);
    }
    bot.lists(JULIET, |form| juliet.listed(form));
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    assert_eq!(juliet.reads(&bot).as_deref(), Some("yes"));
}

#[test]
fn what_a_room_says_in_the_name_of_somebody_does_not_make_their_chat_plain() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
    bot.hear(&mut romeo, "hello");
    bot.test.in_room();
    let mut there = occupant("romeo", PresenceKind::Available, &[]);
    there.muc.as_mut().unwrap().jid = Some(jid("romeo@example.org/phone"));
    bot.test.presence(there);
    bot.test.message(message(&format!("{ROOM}/romeo"), MessageKind::Chat, "let us speak plainly"));
    let mut sent = bot.say(ROMEO, "secret", EncryptionWish::AsTheChat);
    bot.lists(ROMEO, |form| romeo.listed(form));
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    assert_eq!(romeo.reads(&bot).as_deref(), Some("secret"));
}

#[test]
fn required_encryption_that_is_impossible_fails_as_unsupported() {
    let mut bot = Bot::new(TrustPolicy::Blind);
    let mut sent = bot.say(ROMEO, "secret", EncryptionWish::Required);
    bot.lists(ROMEO, |_| Vec::new());
    assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))));
    let mut sent = bot.say(JULIET, "secret", EncryptionWish::Required);
    bot.test.wait(31);
    assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))), "nobody answers");
    assert_eq!(bot.sealed(), 0);
    let mut off = TestSession::connected(Settings::default());
    let draft = Draft { body: Some("a".to_owned()), encryption: EncryptionWish::Required, ..Draft::default() };
    let mut sent = off.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
    assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))));
}

#[test]
fn a_server_that_does_not_answer_keeps_nobody_elses_keys_from_being_fetched() {
    let (mut bot, mut nurse) = (Bot::new(TrustPolicy::Blind), Peer::new("nurse@example.net", OmemoForm::Older));
    let to_silent: Vec<_> = (0..100)
        .map(|number| bot.say(&format!("p{number}@silent.example"), "hello?", EncryptionWish::Required))
        .collect();
    let asked = bot.test.sent.iter().filter(|stanza| match stanza {
        Outgoing::Ask { to: Some(to), .. } => to.domain().as_str() == "silent.example",
        _ => false,
    });
    assert_eq!(asked.count(), 16);
    let mut sent = bot.say("nurse@example.net", "secret", EncryptionWish::Required);
    bot.lists("nurse@example.net", |form| nurse.listed(form));
    bot.bundles(&nurse);
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    assert_eq!(nurse.reads(&bot).as_deref(), Some("secret"));
    // A call that waits longer than 30 seconds gets an answer.
    bot.test.wait(21);
    bot.test.wait(10);
    let mut answers = to_silent.into_iter().map(|mut sent| got(&mut sent));
    assert!(answers.all(|answer| matches!(answer, Some(Err(CallError::Unsupported(_))))));
}

#[test]
fn a_message_that_comes_again_is_told_as_such() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        let from = romeo.sender();
        let first = romeo.writes(&bot, "pay 5", &from);
        bot.test.hear_xml(&first);
        assert_eq!(bot.heard().body.as_deref(), Some("pay 5"));
        bot.test.forget();
        bot.test.hear_xml(&renamed(&first));
        assert_eq!(bot.test.count("message"), 0);
        assert_eq!(bot.reason(), UndecryptableReason::Replayed);
    }
}

#[test]
fn one_that_carries_keys_alone_is_not_told_however_often_it_comes() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        let from = romeo.sender();
        let whole = romeo.writes(&bot, "nothing", &from);
        let (before, payload) = whole.split_once("<payload").unwrap();
        let empty = format!("{before}{}", payload.split_once("</payload>").unwrap().1);
        for xml in [empty.clone(), renamed(&empty)] {
            bot.test.hear_xml(&xml);
            assert_eq!((bot.test.count("message"), bot.test.count("undecryptable")), (0, 0), "{form:?}");
        }
        bot.hear(&mut romeo, "hello");
        assert_eq!(bot.heard().body.as_deref(), Some("hello"));
    }
}

#[test]
fn out_of_order_all_are_read_and_each_once() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Current));
    let from = romeo.sender();
    let mut all: Vec<String> = (0..20).map(|number| romeo.writes(&bot, &number.to_string(), &from)).collect();
    all.reverse();
    for xml in &all {
        bot.test.hear_xml(xml);
    }
    assert_eq!(bot.test.count("message"), 20);
    assert_eq!(bot.test.count("undecryptable"), 0);
}

#[test]
fn a_device_that_lost_its_session_gets_a_new_one() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
    bot.hear(&mut romeo, "hello");
    // The account forgets its side.
    let mut ended = bot.test.ask(ResetSessions { jid: bare(ROMEO), device: None });
    assert_eq!(got(&mut ended), Some(Ok(1)));
    let mut sent = bot.say(ROMEO, "are you there?", EncryptionWish::AsTheChat);
    bot.lists(ROMEO, |form| romeo.listed(form));
    bot.bundles(&romeo);
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    assert_eq!(romeo.reads(&bot).as_deref(), Some("are you there?"));
    bot.hear(&mut romeo, "yes");
    assert_eq!(bot.heard().body.as_deref(), Some("yes"));
}

#[test]
fn a_message_for_other_devices_is_told_as_such() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
    let (from, rid) = (romeo.sender(), bot.id);
    let xml = romeo.writes(&bot, "not for you", &from);
    let other = xml.replace(&format!("rid=\"{rid}\""), "rid=\"77\"").replace(&format!("rid='{rid}'"), "rid='77'");
    bot.test.hear_xml(&other);
    assert_eq!(bot.reason(), UndecryptableReason::NoKeyForUs);
    assert_eq!(bot.test.count("message"), 0);
    // A device 0 does not exist.
    let id = romeo.id();
    let odd = xml.replace(&format!("sid=\"{id}\""), "sid=\"0\"").replace(&format!("sid='{id}'"), "sid='0'");
    bot.test.hear_xml(&renamed(&odd));
    assert_eq!(bot.reason(), UndecryptableReason::Broken);
}

/// Wraps a message in a copy that the account's server sends (XEP-0280).
fn carbon(which: &str, message: &str) -> String {
    format!(
        "<message xmlns='jabber:client' from='bot@example.org' type='chat'><{which} xmlns='urn:xmpp:carbons:2'><forwarded \
         xmlns='urn:xmpp:forward:0'>{message}</forwarded></{which}></message>"
    )
}

/// Changes the value of an attribute, in either quotes.
fn with(xml: &str, attribute: &str, value: &str, other: &str) -> String {
    let changed = ['"', '\''].into_iter().fold(xml.to_owned(), |xml, quote| {
        xml.replace(&format!("{attribute}={quote}{value}{quote}"), &format!("{attribute}={quote}{other}{quote}"))
    });
    assert_ne!(changed, xml, "{attribute}");
    changed
}

#[test]
fn copies_of_encrypted_messages_are_read_where_they_are_for_this_device_too() {
    for form in OmemoForm::ALL {
        // People encrypt for all devices of the account, and write to one of its clients.
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        let (from, rid) = (romeo.sender(), bot.id.to_string());
        let xml =
            with(&romeo.writes(&bot, "to the telephone", &from), "to", "bot@example.org", "bot@example.org/phone");
        bot.test.hear_xml(&carbon("received", &xml));
        let heard = bot.heard();
        assert_eq!((heard.body.as_deref(), heard.carbon), (Some("to the telephone"), Some(types::Carbon::Received)));
        assert_eq!(heard.encryption, Some(types::Encryption::Omemo));
        bot.test.forget();
        let xml = with(&romeo.writes(&bot, "to the telephone alone", &from), "rid", &rid, "77");
        bot.test.hear_xml(&carbon("received", &xml));
        assert_eq!((bot.test.count("message"), bot.reason()), (0, UndecryptableReason::OtherDevice));
    }
}

#[test]
fn what_another_client_of_the_account_sends_encrypted_is_its_own() {
    for form in OmemoForm::ALL {
        let (mut bot, mut phone) = (Bot::new(TrustPolicy::Blind), Peer::new("bot@example.org", form));
        let (from, rid) = (phone.sender(), bot.id.to_string());
        let xml = with(&phone.writes(&bot, "I am here", &from), "to", "bot@example.org", ROMEO);
        bot.test.hear_xml(&carbon("sent", &xml));
        let heard = bot.heard();
        assert_eq!((heard.body.as_deref(), heard.carbon), (Some("I am here"), Some(types::Carbon::Sent)));
        assert_eq!((heard.own, &heard.chat, heard.encryption), (true, &jid(ROMEO), Some(types::Encryption::Omemo)));
        bot.test.forget();
        let xml = with(&phone.writes(&bot, "not for a bot", &from), "to", "bot@example.org", ROMEO);
        bot.test.hear_xml(&carbon("sent", &with(&xml, "rid", &rid, "77")));
        assert_eq!((bot.test.count("message"), bot.reason()), (0, UndecryptableReason::OtherDevice));
        let Payload::Undecryptable(told) = bot.test.last("undecryptable") else { panic!("it is told") };
        assert!(told.own && told.chat == jid(ROMEO), "{told:?}");
        // Nobody else can copy messages.
        bot.test.forget();
        let forged = carbon("sent", &xml).replacen("from='bot@example.org'", "from='romeo@example.org'", 1);
        bot.test.hear_xml(&forged);
        assert_eq!(bot.test.count("undecryptable"), 0);
        assert!(bot.bodies().is_empty());
    }
}

#[test]
fn a_message_in_another_encryption_is_told_and_its_text_is_not() {
    use UndecryptableReason::{Broken, Unsupported};
    use types::Encryption::{Omemo, OpenPgp, Other, Pgp};
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
    bot.hear(&mut romeo, "hello");
    let said = |number: usize, payload: &str| {
        let body = "<body>This message is encrypted, and your client cannot read it.</body>";
        let from = format!("from='{ROMEO}/phone' id='odd{number}'");
        format!("<message xmlns='jabber:client' type='chat' {from} to='bot@example.org'>{body}{payload}</message>")
    };
    let hint = |namespace: &str| format!("<encryption xmlns='urn:xmpp:eme:0' namespace='{namespace}'/>");
    let cases = [
        ("<openpgp xmlns='urn:xmpp:openpgp:0'>AAAA</openpgp>".to_owned(), OpenPgp, Unsupported),
        (hint("urn:xmpp:openpgp:0"), OpenPgp, Unsupported),
        ("<x xmlns='jabber:x:encrypted'>AAAA</x>".to_owned(), Pgp, Unsupported),
        (hint("jabber:x:encrypted"), Pgp, Unsupported),
        (hint("urn:xmpp:omemo:1"), Other, Unsupported),
        (hint("urn:example:later"), Other, Unsupported),
        // The content was lost on the way.
        (hint("urn:xmpp:omemo:2"), Omemo, Broken),
    ];
    for (number, (payload, by, reason)) in cases.into_iter().enumerate() {
        bot.test.forget();
        bot.test.hear_xml(&said(number, &payload));
        assert_eq!((bot.test.count("message"), bot.test.count("undecryptable")), (0, 1), "{payload}");
        let Payload::Undecryptable(told) = bot.test.last("undecryptable") else { panic!("it is told") };
        assert_eq!((told.encryption, told.reason), (by, reason), "{payload}");
    }
    // The chat is still encrypted.
    let mut sent = bot.say(ROMEO, "what was that?", EncryptionWish::AsTheChat);
    bot.lists(ROMEO, |form| romeo.listed(form));
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    assert_eq!(romeo.reads(&bot).as_deref(), Some("what was that?"));
    // A hint at off-the-record messaging says nothing that the text does not say.
    bot.test.forget();
    bot.test.hear_xml(&said(90, &hint("urn:xmpp:otr:0")));
    assert_eq!((bot.test.count("message"), bot.test.count("undecryptable")), (1, 0));
}

#[test]
fn while_omemo_is_off_encrypted_messages_are_told_as_such() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Current));
    bot.hear(&mut romeo, "hello");
    bot.test.run(|session, now, effects| set_encryption(session, Encryption::OFF, now, effects));
    bot.test.forget();
    bot.hear(&mut romeo, "are you there?");
    assert_eq!((bot.test.count("message"), bot.reason()), (0, UndecryptableReason::Unsupported));
    let Payload::Undecryptable(told) = bot.test.last("undecryptable") else { panic!("it is told") };
    assert_eq!(told.encryption, types::Encryption::Omemo);
}

#[test]
fn another_key_in_place_of_a_verified_one_is_refused_and_told() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Current));
    bot.hear(&mut romeo, "it is me");
    bot.decide(&romeo, types::DeviceTrust::Trusted);
    // The prekey that he used is not published any more.
    bot.test.wait(11);
    let mut mallory = Peer::new(ROMEO, OmemoForm::Current);
    let (theirs, from) = (mallory.id(), mallory.sender());
    let xml = mallory.writes(&bot, "it is me, too", &from);
    let id = romeo.id();
    let same = xml.replace(&format!("sid=\"{theirs}\""), &format!("sid=\"{id}\""));
    let same = same.replace(&format!("sid='{theirs}'"), &format!("sid='{id}'"));
    bot.test.forget();
    bot.test.hear_xml(&same);
    assert_eq!(bot.reason(), UndecryptableReason::Distrusted);
    assert_eq!(bot.test.news.last().map(|news| news.what), Some(KeyNewsKind::ChangedIdentity));
    // So is another device, which was not verified.
    bot.test.hear_xml(&renamed(&xml));
    assert_eq!(bot.reason(), UndecryptableReason::Distrusted);
    assert_eq!(bot.test.news.last().map(|news| news.what), Some(KeyNewsKind::NewDevice));
    // The verified one still works.
    bot.hear(&mut romeo, "still me");
    assert_eq!(bot.heard().body.as_deref(), Some("still me"));
    assert_eq!(bot.heard().device_trust, Some(types::DeviceTrust::Trusted));
    // Plain words do not make it plain.
    bot.test.message(message("romeo@example.org/x", MessageKind::Chat, "let us speak plainly"));
    let mut sent = bot.say(ROMEO, "no", EncryptionWish::AsTheChat);
    let both = [&romeo, &mallory].map(|peer| ListedDevice { device: peer.id(), label: None });
    bot.lists(ROMEO, |form| if form == OmemoForm::Current { both.to_vec() } else { Vec::new() });
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    assert_eq!(mallory.reads(&bot), None, "a device that is not trusted gets nothing");
    assert_eq!(romeo.reads(&bot).as_deref(), Some("no"));
}

#[test]
fn a_session_with_another_key_than_the_verified_one_gets_nothing() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Current));
    bot.hear(&mut romeo, "it is me");
    bot.test.wait(11);
    // Somebody in between takes the place of the device before anybody has compared keys.
    let mut mallory = Peer::new(ROMEO, OmemoForm::Current);
    let (theirs, id, from) = (mallory.id(), romeo.id(), mallory.sender());
    let xml = mallory.writes(&bot, "me, too", &from);
    let same = xml.replace(&format!("sid=\"{theirs}\""), &format!("sid=\"{id}\""));
    bot.test.hear_xml(&same.replace(&format!("sid='{theirs}'"), &format!("sid='{id}'")));
    assert_eq!(bot.heard().body.as_deref(), Some("me, too"));
    bot.decide(&romeo, types::DeviceTrust::Trusted);
    let mut sent = bot.say(ROMEO, "secret", EncryptionWish::AsTheChat);
    bot.lists(ROMEO, |form| romeo.listed(form));
    assert_eq!(got(&mut sent), None, "it begins a session with the key that was verified");
    bot.bundles(&romeo);
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    assert_eq!(romeo.reads(&bot).as_deref(), Some("secret"));
}

#[test]
fn a_strict_account_reads_nothing_before_its_owner_says_so() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Strict), Peer::new(ROMEO, OmemoForm::Older));
    bot.hear(&mut romeo, "hello");
    assert_eq!(bot.reason(), UndecryptableReason::Distrusted);
    assert_eq!(bot.test.count("message"), 0);
    bot.decide(&romeo, types::DeviceTrust::Trusted);
    bot.hear(&mut romeo, "hello again");
    assert_eq!(bot.heard().body.as_deref(), Some("hello again"));
    bot.decide(&romeo, types::DeviceTrust::Distrusted);
    bot.hear(&mut romeo, "and now?");
    assert_eq!(bot.reason(), UndecryptableReason::Distrusted);
}

#[test]
fn a_list_that_grows_without_end_is_cut_and_told() {
    let mut bot = Bot::new(TrustPolicy::Blind);
    let devices = (1..=200).fold(String::new(), |all, id| all + &format!("<device id='{id}'/>"));
    let pushed = format!(
        "<message xmlns='jabber:client' from='{ROMEO}' type='headline'><event \
         xmlns='http://jabber.org/protocol/pubsub#event'><items node='eu.siacs.conversations.axolotl.devicelist'>\
         <item id='current'><list xmlns='eu.siacs.conversations.axolotl'>{devices}</list></item></items></event></message>"
    );
    (0..3).for_each(|_| bot.test.hear_xml(&pushed));
    assert_eq!(bot.test.news.iter().filter(|news| news.what == KeyNewsKind::TooManyDevices).count(), 1, "once");
    let _sent = bot.say(ROMEO, "hi", EncryptionWish::Required);
    let id = bot.test.asked_of(ROMEO, |ask| wants(ask, OmemoForm::Current.list_node()));
    bot.test.answer(Some(ROMEO), id, Err(stanza_error("item-not-found")));
    let asked = bot.test.count_asked(|ask| match ask {
        Ask::Pubsub(ask) => matches!(&**ask, PubsubAsk::Items { node, .. } if node.contains(".bundles:")),
        _ => false,
    });
    assert_eq!(asked, 50, "one for each of the devices that count");
}

#[test]
fn a_new_session_is_answered_by_an_empty_message_that_nobody_is_told_of() {
    for form in OmemoForm::ALL {
        let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form));
        bot.hear(&mut romeo, "hello");
        assert_eq!(bot.sealed(), 0);
        bot.test.wait(3);
        assert_eq!(bot.sealed(), 1);
        let Some(Outgoing::Sealed(sealed)) = bot.test.sent.last() else { panic!("an empty message") };
        assert!(sealed.says.is_none());
        let sealed = sealed.clone();
        assert_eq!(romeo.reads_this(&sealed), None, "there is nothing in it");
        assert!(!romeo.session.as_ref().unwrap().is_unanswered(), "but the session is confirmed");
    }
}

#[test]
fn used_prekeys_are_replaced_and_published_after_a_moment() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Older));
    let before = bot.bundle(OmemoForm::Older);
    bot.hear(&mut romeo, "hello");
    bot.test.wait(11);
    let after = bot.bundle(OmemoForm::Older);
    assert_eq!(after.prekeys.len(), 100);
    assert_eq!(before.prekeys.iter().filter(|key| !after.prekeys.contains(key)).count(), 1);
    // After a week, the signed one is another.
    accept(&mut bot.test);
    bot.test.wait(8 * 24 * 3_600);
    bot.test.wait(11);
    assert_ne!(bot.bundle(OmemoForm::Older).signed_prekey, after.signed_prekey);
}

#[test]
fn people_who_picked_the_same_prekey_at_once_are_all_read() {
    let mut bot = Bot::new(TrustPolicy::Blind);
    let mut parts = bot.device().bundle(Version::Omemo2).parts();
    parts.prekeys.truncate(1);
    let bundle = Bundle::parse(Version::Omemo2, &parts).unwrap();
    let mut people = [ROMEO, JULIET, "nurse@example.org", "tybalt@example.org"].map(|jid| {
        let mut peer = Peer::new(jid, OmemoForm::Current);
        peer.session = Some(start(&peer.device, &bundle, &mut rand::rng()).unwrap());
        peer
    });
    let (last, first) = people.split_last_mut().unwrap();
    for (place, peer) in first.iter_mut().enumerate() {
        bot.hear(peer, "hello");
        assert_eq!(bot.test.count("message"), place + 1);
        bot.test.wait(30);
    }
    let kept = bot.device();
    assert!(kept.bundle(Version::Omemo2).parts().prekeys.iter().all(|(id, _)| *id != parts.prekeys[0].0), "{kept:?}");
    bot.test.wait(120);
    bot.hear(last, "hello");
    assert_eq!((bot.test.count("message"), bot.reason()), (3, UndecryptableReason::NoSession));
}

#[test]
fn keys_that_change_while_others_are_published_are_published_after_them() {
    let form = OmemoForm::Older;
    let (mut bot, mut romeo, mut juliet) =
        (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, form), Peer::new(JULIET, form));
    bot.hear(&mut romeo, "hello");
    bot.test.wait(11);
    let before = bot.bundle(form);
    bot.hear(&mut juliet, "hello");
    // The server takes only now what was published before that.
    accept(&mut bot.test);
    bot.test.wait(11);
    let after = bot.bundle(form);
    assert_eq!(before.prekeys.iter().filter(|key| !after.prekeys.contains(key)).count(), 1);
}

#[test]
fn a_message_of_the_archive_is_read_as_often_as_it_comes() {
    let (mut bot, mut romeo) = (Bot::new(TrustPolicy::Blind), Peer::new(ROMEO, OmemoForm::Current));
    bot.test.announces("bot@example.org", &["urn:xmpp:sid:0".to_owned()]);
    let from = romeo.sender();
    let xml = romeo.writes(&bot, "once", &from);
    let with_id =
        xml.replace("</message>", "<stanza-id xmlns='urn:xmpp:sid:0' by='bot@example.org' id='a1'/></message>");
    bot.test.hear_xml(&with_id);
    assert_eq!(bot.heard().body.as_deref(), Some("once"));
    let key = bot.test.keys.iter().find_map(|change| match change {
        KeyChange::MessageKey(key) => Some(key.archived.clone()),
        _ => None,
    });
    assert_eq!(key.as_deref(), Some(" a1"));
    // If a server repeats it under the same id, it is not reported twice.
    bot.test.forget();
    bot.test.hear_xml(&renamed(&with_id));
    assert_eq!((bot.test.count("message"), bot.reason()), (0, UndecryptableReason::Replayed));
    // Under the same id, another author is refused.
    bot.test.forget();
    bot.test.hear_xml(&renamed(&with_id).replace(ROMEO, JULIET));
    assert_eq!(bot.test.count("message"), 0);
    assert_eq!(bot.test.count("undecryptable"), 1);
}
