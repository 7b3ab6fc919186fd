//! Off-the-record messaging with people who have conversations of their own, and the comparison of secrets with them.

use std::sync::OnceLock;

use parlor_config::{Encryption, OtrPolicy, TrustPolicy};
use parlor_e2ee::otr::{Account, Conversation, Outcome, Policy, State, Version};
use parlor_stanza::types::{
    COMMANDS, DeviceTrust, Draft, EncryptionWish, Extensions, Reactions, SealedContent, SharedFile,
};

use super::commands::plugin;
use super::declared::declaration;
use super::*;
use crate::encryption::otr::MAX_CHATS;
use crate::encryption::remarks::Remark;

/// The clients of Romeo, which have different keys.
const PHONE: &str = "romeo@example.org/phone";
const DESK: &str = "romeo@example.org/desk";

/// Returns one of three keys: the first is the account's. Making them takes a while, so they are made once.
fn key(index: usize) -> Vec<u8> {
    static KEYS: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    KEYS.get_or_init(|| [(); 3].map(|()| Account::generate(&mut rand::rng()).to_bytes().to_vec()))[index].clone()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// A client of Romeo.
struct Person {
    address: &'static str,
    conversation: Conversation,
    /// The outcomes that it got, without its own messages.
    told: Vec<Outcome>,
}

impl Person {
    fn new(address: &'static str, index: usize, policy: Policy) -> Self {
        let account = Arc::new(Account::from_bytes(&key(index)).unwrap());
        Self { address, conversation: Conversation::new(account, policy), told: Vec::new() }
    }

    fn is_told(&self, is: impl Fn(&Outcome) -> bool) -> bool {
        self.told.iter().any(is)
    }

    fn has_read(&self, wanted: &str) -> bool {
        self.is_told(|outcome| matches!(outcome, Outcome::Message { text, .. } if text == wanted))
    }

    fn question(&self) -> Option<&str> {
        self.told.iter().find_map(|outcome| match outcome {
            Outcome::SmpAsked { question, .. } => question.as_deref(),
            _ => None,
        })
    }

    fn is_aborted(&self) -> bool {
        self.is_told(|outcome| matches!(outcome, Outcome::SmpAborted { .. }))
    }

    fn has_compared(&self, wanted: bool) -> bool {
        self.is_told(|outcome| matches!(outcome, Outcome::SmpDone { same, .. } if *same == wanted))
    }
}

/// An account with a chat with Romeo.
struct Talk {
    test: TestSession,
    people: Vec<Person>,
    /// How many stanzas of the account were brought to the people.
    read: usize,
    now: Duration,
}

fn account(settings: Settings, trust: TrustPolicy) -> TestSession {
    let mut test = TestSession::new(settings);
    let config = Encryption { omemo: false, trust, ..Encryption::default() };
    test.run(|session, now, effects| set_encryption(session, config, now, effects));
    keys_kept(&mut test.session, KeptKeys { otr: Some(Secret::new(key(0))), ..KeptKeys::default() });
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster(vec![item(ROMEO, "both"), item("juliet@example.org", "both")]);
    assert!(got(&mut test.ask(OpenChat { by: InstanceId(1), jid: bare(ROMEO) })).unwrap().is_ok());
    test.forget();
    test
}

impl Talk {
    fn with(trust: TrustPolicy, policy: Policy) -> Self {
        let test = account(Settings::default(), trust);
        let read = test.sent.len();
        Self { test, people: vec![Person::new(PHONE, 1, policy)], read, now: Duration::ZERO }
    }

    /// Returns a talk that is encrypted. Romeo's phone has begun.
    fn begun(trust: TrustPolicy) -> Self {
        let mut talk = Self::with(trust, Policy::default());
        talk.begins(0);
        talk
    }

    /// Lets one of the people begin.
    fn begins(&mut self, index: usize) {
        let query = self.people[index].conversation.start().unwrap();
        self.hears(index, [query]);
        assert_eq!(self.people[index].conversation.state(), State::Encrypted);
    }

    /// Lets the account hear texts of one of the people, and then everybody what the others answer.
    fn hears(&mut self, index: usize, texts: impl IntoIterator<Item = String>) {
        for text in texts {
            self.test.message(message(self.people[index].address, MessageKind::Chat, &text));
        }
        self.settle();
    }

    /// Ends the conversation of a person, and returns what that person's client sends.
    fn ends(&mut self, index: usize) -> Vec<String> {
        self.people[index].conversation.end().into_iter().map(|(_, text)| text).collect()
    }

    /// Brings everybody what the others have sent.
    fn settle(&mut self) {
        while self.read < self.test.sent.len() {
            self.read += 1;
            let Outgoing::Sealed(sealed) = &self.test.sent[self.read - 1] else { continue };
            let SealedContent::Otr(text) = &sealed.content else { continue };
            let (to, text) = (sealed.to.clone(), text.clone());
            let mut replies = Vec::new();
            // Other clients of hers than that of a conversation would show its messages as they are.
            assert!(to.is_full() || !text.starts_with("?OTR:"), "{to}: {text}");
            for person in self.people.iter_mut().filter(|person| !to.is_full() || to == jid(person.address)) {
                for outcome in person.conversation.receive(&text, self.now, &mut rand::rng()) {
                    match outcome {
                        Outcome::Send(reply) => replies.push((person.address, reply)),
                        outcome => person.told.push(outcome),
                    }
                }
            }
            for (from, reply) in replies {
                self.test.message(message(from, MessageKind::Chat, &reply));
            }
        }
    }

    /// Lets one of the people write.
    fn writes(&mut self, index: usize, text: &str) {
        let texts = self.people[index].conversation.send(text, self.now).unwrap();
        self.hears(index, texts);
    }

    /// Lets a plugin write.
    fn says(&mut self, text: &str) -> Option<Result<String, CallError>> {
        got(&mut self.says_with(text, EncryptionWish::AsTheChat))
    }

    /// Lets a plugin write, with this wish.
    fn says_with(&mut self, text: &str, encryption: EncryptionWish) -> Receiver<Result<String, CallError>> {
        let draft = Draft { body: Some(text.to_owned()), encryption, ..Draft::default() };
        let sent = self.test.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
        self.settle();
        sent
    }

    /// Sets when chats are off the record: all, and those with Romeo.
    fn otr(&mut self, all: OtrPolicy, romeo: Option<OtrPolicy>) {
        let config = Encryption { omemo: false, otr: all, ..Encryption::default() };
        let people = romeo.map(|policy| (bare(ROMEO), policy)).into_iter().collect();
        set_otr_people(&mut self.test.session, people);
        self.test.run(|session, now, effects| set_encryption(session, config, now, effects));
        self.settle();
    }

    /// Returns how many messages of the account went out plainly.
    fn plain(&self) -> usize {
        self.test.sent.iter().filter(|stanza| matches!(stanza, Outgoing::Message { .. })).count()
    }

    /// Lets a plugin write a spoiler, and returns what stands beside the encrypted text.
    fn hides(&mut self, hint: &str) -> Extensions {
        let extensions = Some(Box::new(Extensions { spoiler: Some(hint.to_owned()), ..Extensions::default() }));
        let draft = Draft { body: Some("they die".to_owned()), extensions, ..Draft::default() };
        let mut sent = self.test.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
        self.settle();
        assert!(matches!(got(&mut sent), Some(Ok(_))));
        let Some(Outgoing::Sealed(sealed)) = self.test.sent.last() else { panic!("it is not encrypted") };
        sealed.beside.clone()
    }

    /// Lets one of the people ask for a secret.
    fn asks(&mut self, index: usize, entered: &str, question: Option<&str>) {
        let conversation = &mut self.people[index].conversation;
        let texts = conversation.smp_start(entered.as_bytes(), question, self.now, &mut rand::rng()).unwrap();
        self.hears(index, texts);
    }

    /// Lets Romeo's phone enter a secret.
    fn enters(&mut self, entered: &str) {
        let conversation = &mut self.people[0].conversation;
        let texts = conversation.smp_answer(entered.as_bytes(), self.now, &mut rand::rng()).unwrap();
        self.hears(0, texts);
    }

    fn gives_up(&mut self) {
        let texts = self.people[0].conversation.smp_abort(None, self.now).unwrap();
        self.hears(0, texts);
    }

    /// Lets the owner begin.
    fn owner_begins(&mut self, entered: &str, question: Option<&str>) -> Receiver<Result<Compared, CallError>> {
        let question = question.map(str::to_owned);
        let begun = self.test.ask(BeginComparison { jid: bare(ROMEO), secret: secret(entered), question });
        self.settle();
        begun
    }

    /// Lets the owner answer.
    fn owner_answers(&mut self, number: Option<u64>, entered: &str) -> Receiver<Result<Compared, CallError>> {
        let answered = self.test.ask(AnswerComparison { jid: bare(ROMEO), number, secret: secret(entered) });
        self.settle();
        answered
    }

    /// Returns what the owner sees.
    fn open(&mut self) -> Vec<OpenComparison> {
        got(&mut self.test.ask(ListKeys { jid: None })).unwrap().unwrap().comparisons
    }

    fn waits(&mut self, seconds: u64) {
        self.test.wait(seconds);
        self.settle();
    }

    fn status(&self) -> OtrStatus {
        self.test.session.snapshot().chats[&bare(ROMEO)].otr_status
    }

    fn heard(&self) -> &Message {
        let Payload::Message(message) = self.test.last("message") else { panic!("a message") };
        message
    }

    fn trust(&mut self) -> DeviceTrust {
        let listed = got(&mut self.test.ask(ListKeys { jid: Some(bare(ROMEO)) })).unwrap().unwrap();
        listed.keys[0].trust
    }

    fn last_news(&self) -> Option<KeyNewsKind> {
        self.test.news.last().map(|news| news.what)
    }

    fn assert_talking(&mut self) {
        self.test.forget();
        self.writes(0, "hello <&> \u{1f347}");
        assert_eq!(self.heard().body.as_deref(), Some("hello <&> \u{1f347}"));
        assert_eq!(self.heard().encryption, Some(types::Encryption::Otr));
        assert!(matches!(self.says("and you?"), Some(Ok(_))));
        assert!(self.people[0].has_read("and you?"), "{:?}", self.people[0].told);
        assert_eq!(self.hides("end").spoiler.as_deref(), Some(""), "the hint would be open");
        self.people[0].told.clear();
    }
}

/// Returns how a comparison ended, if it did.
fn end(compared: &mut Receiver<Result<Compared, CallError>>) -> Option<ComparisonEnd> {
    got(compared).map(|compared| compared.unwrap().end)
}

#[test]
fn a_person_begins_both_talk_and_the_person_ends() {
    for policy in [Policy::default(), Policy { v3: false, ..Policy::default() }] {
        let mut talk = Talk::with(TrustPolicy::Blind, policy);
        talk.begins(0);
        assert_eq!((talk.status(), talk.test.count("otrStatusChanged")), (OtrStatus::Unverified, 1));
        talk.assert_talking();
        let last = talk.ends(0);
        talk.hears(0, last);
        assert_eq!(talk.status(), OtrStatus::Finished);
        assert!(matches!(talk.says("too late"), Some(Err(CallError::Unsupported(_)))));
        let mut ended = talk.test.ask(EndOtr { jid: bare(ROMEO) });
        assert_eq!((got(&mut ended), talk.status()), (Some(Ok(())), OtrStatus::Unencrypted));
        talk.begins(0);
        talk.assert_talking();
    }
}

#[test]
fn a_plugin_begins_both_talk_and_the_plugin_ends() {
    let mut talk = Talk::with(TrustPolicy::Blind, Policy::default());
    let mut begun = talk.test.ask(BeginOtr { by: InstanceId(1), jid: bare(ROMEO) });
    assert_eq!(got(&mut begun), None, "nobody has answered");
    talk.settle();
    assert_eq!((got(&mut begun), talk.status()), (Some(Ok(())), OtrStatus::Unverified));
    talk.assert_talking();
    let mut ended = talk.test.ask(EndOtr { jid: bare(ROMEO) });
    talk.settle();
    assert_eq!((got(&mut ended), talk.status()), (Some(Ok(())), OtrStatus::Unencrypted));
    assert_eq!(talk.people[0].conversation.state(), State::Finished);
    let mut nobody = talk.test.ask(BeginOtr { by: InstanceId(1), jid: bare(ROMEO) });
    talk.people.clear();
    talk.waits(31);
    assert_eq!(got(&mut nobody), Some(Err(CallError::TimedOut)));
}

/// Clients may leave the text of an error out.
#[test]
fn whoever_waits_for_a_conversation_is_told_of_an_error() {
    for (error, told) in
        [("?OTR Error: no key", "no key"), ("?OTR Error:", "the client of romeo@example.org reports an error of OTR")]
    {
        let mut talk = Talk::with(TrustPolicy::Blind, Policy::default());
        let mut begun = talk.test.ask(BeginOtr { by: InstanceId(1), jid: bare(ROMEO) });
        talk.test.message(message(PHONE, MessageKind::Chat, error));
        assert_eq!(got(&mut begun), Some(Err(CallError::Rejected(told.to_owned()))));
        assert_eq!(talk.test.count("message"), 0);
    }
}

#[test]
fn after_a_restart_what_was_encrypted_is_told_as_such_and_a_new_conversation_begins() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    talk.assert_talking();
    talk.test = account(Settings::default(), TrustPolicy::Blind);
    talk.read = talk.test.sent.len();
    talk.writes(0, "still there?");
    let Payload::Undecryptable(told) = talk.test.last("undecryptable") else { panic!("it is told") };
    assert_eq!(told.reason, UndecryptableReason::NoSession);
    assert_eq!((talk.test.count("message"), talk.status()), (0, OtrStatus::Unverified));
    talk.assert_talking();
}

/// Its client was started anew, and has lost its keys.
#[test]
fn what_a_person_could_not_read_is_said_again_once_their_client_has_begun_anew() {
    let older = Policy { v3: false, ..Policy::default() };
    for (policy, index, is_again) in [(Policy::default(), 1, true), (older, 1, true), (older, 2, false)] {
        let mut talk = Talk::with(TrustPolicy::Blind, policy);
        talk.begins(0);
        talk.assert_talking();
        talk.people[0] = Person::new(PHONE, index, policy);
        assert!(matches!(talk.says("lost"), Some(Ok(_))));
        assert_eq!(talk.people[0].conversation.state(), State::Encrypted);
        assert_eq!(talk.people[0].has_read("[resent] lost"), is_again, "it is for the owner of one key: {index}");
        assert!(!talk.people[0].has_read("[resent] and you?"), "it was read");
        talk.assert_talking();
    }
}

/// Clients with libotr send the last text once more, behind a mark by which no plugin would know its command.
#[test]
fn what_a_client_says_again_since_the_account_was_started_anew_is_told_as_it_was_written() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    talk.assert_talking();
    talk.test = account(Settings::default(), TrustPolicy::Blind);
    talk.read = talk.test.sent.len();
    talk.writes(0, "<b>!help</b>");
    assert_eq!(talk.test.count("message"), 0);
    let again = talk.people[0].conversation.send_again(talk.now);
    talk.hears(0, again);
    assert_eq!(talk.heard().body.as_deref(), Some("!help"));
    talk.writes(0, "[resent] !help");
    assert_eq!(talk.heard().body.as_deref(), Some("[resent] !help"), "it does not begin anew");
}

/// Anybody in between can write the error for which a client sends its last text once more.
#[test]
fn what_a_client_says_again_although_it_was_read_is_not_told_twice() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    for (pause, count) in [(0, 1), (91, 3)] {
        talk.writes(0, "!order");
        talk.test.wait(pause);
        let outcomes = talk.people[0].conversation.receive("?OTR Error: forged", talk.now, &mut rand::rng());
        let query = outcomes.into_iter().find_map(|outcome| match outcome {
            Outcome::Send(text) => Some(text),
            _ => None,
        });
        talk.hears(0, query);
        let again = talk.people[0].conversation.send_again(talk.now);
        assert_eq!(again.len(), 1);
        talk.hears(0, again);
        assert_eq!(talk.test.count("message"), count, "{pause}");
        talk.now += Duration::from_mins(1);
    }
    let Payload::Undecryptable(told) = talk.test.last("undecryptable") else { panic!("it is told") };
    assert_eq!(told.reason, UndecryptableReason::Replayed);
}

#[test]
fn nobody_in_between_brings_it_back_to_an_older_version_or_to_plain_text() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    let sent = talk.test.sent.len();
    // This client goes back, as libotr does.
    let older = Person::new(PHONE, 1, Policy { v3: false, ..Policy::default() });
    let phone = std::mem::replace(&mut talk.people[0], older);
    talk.hears(0, ["?OTRv2?".to_owned()]);
    assert_eq!((talk.people[0].conversation.state(), talk.status()), (State::Finished, OtrStatus::Unverified));
    talk.people[0] = phone;
    let Payload::Undecryptable(told) = talk.test.last("undecryptable") else { panic!("it is told") };
    assert_eq!(told.reason, UndecryptableReason::Broken);
    talk.hears(0, ["let us speak plainly".to_owned()]);
    assert_eq!((talk.heard().encryption, talk.status()), (None, OtrStatus::Unverified));
    let (remarks, romeo) = (&talk.test.session.features.encryption.remarks, jid(PHONE).to_bare());
    assert!(remarks.has(&romeo, Remark::CamePlainly), "the log says it once");
    assert!(matches!(talk.says("no"), Some(Ok(_))));
    assert!(talk.people[0].has_read("no"));
    assert!(!talk.test.sent[sent..].iter().any(|stanza| matches!(stanza, Outgoing::Message { .. })));
}

#[test]
fn a_person_talks_by_an_old_and_by_a_new_client() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    // With this policy, an offer in a text begins a conversation.
    talk.otr(OtrPolicy::Require, None);
    let old = Policy { v3: false, whitespace_tag: true, ..Policy::default() };
    talk.people.push(Person::new(DESK, 2, old));
    talk.writes(1, "hello");
    assert_eq!((talk.heard().body.as_deref(), talk.heard().encryption), (Some("hello"), None));
    assert_eq!((talk.test.count("undecryptable"), talk.status()), (0, OtrStatus::Unverified));
    assert_eq!(talk.people[1].conversation.version(), Some(Version::V2));
    assert!(matches!(talk.says("for the old one"), Some(Ok(_))));
    assert!(talk.people[1].has_read("for the old one") && !talk.people[0].has_read("for the old one"));
    talk.assert_talking();
}

#[test]
fn what_has_to_be_off_the_record_waits_until_it_is() {
    for (all, romeo) in [(OtrPolicy::Allow, Some(OtrPolicy::Require)), (OtrPolicy::Require, None)] {
        let mut talk = Talk::with(TrustPolicy::Blind, Policy::default());
        talk.otr(all, romeo);
        assert!(matches!(talk.says("the first"), Some(Ok(_))));
        assert_eq!((talk.status(), talk.plain()), (OtrStatus::Unverified, 0));
        assert!(talk.people[0].has_read("the first"));
        talk.assert_talking();
        // After the end it begins anew, whatever the plugin wishes.
        let last = talk.ends(0);
        talk.hears(0, last);
        for wish in [EncryptionWish::None, EncryptionWish::Required] {
            assert!(matches!(got(&mut talk.says_with("once more", wish)), Some(Ok(_))));
            assert!(talk.people[0].has_read("once more"));
            talk.people[0].told.clear();
        }
        assert_eq!(talk.plain(), 0);
        // Their plain message comes as such.
        talk.test.message(message(PHONE, MessageKind::Chat, "plainly"));
        assert_eq!((talk.heard().body.as_deref(), talk.heard().encryption), (Some("plainly"), None));
    }
}

#[test]
fn what_has_to_be_off_the_record_is_refused_if_nobody_answers() {
    let mut talk = Talk::with(TrustPolicy::Blind, Policy::default());
    talk.people.clear();
    talk.otr(OtrPolicy::Require, None);
    let mut all: Vec<_> = (0..65).map(|_| talk.says_with("hello", EncryptionWish::None)).collect();
    let mut last = all.pop().unwrap();
    assert!(matches!(got(&mut last), Some(Err(CallError::OverLimit(_)))));
    assert!(all.iter_mut().all(|sent| got(sent).is_none()));
    // It is asked for once.
    let queries = talk.test.sent.iter().filter(|stanza| matches!(stanza, Outgoing::Sealed(_))).count();
    assert_eq!(queries, 1);
    talk.waits(31);
    for sent in &mut all {
        let Some(Err(CallError::Unsupported(why))) = got(sent) else { panic!("it is refused") };
        assert!(why.contains("has not begun OTR in time"), "{why}");
    }
    // A message without a text goes out.
    let typing = Some(Box::new(Extensions { chat_state: Some("composing".to_owned()), ..Extensions::default() }));
    let draft = Draft { extensions: typing, ..Draft::default() };
    let mut sent = talk.test.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
    assert!(matches!(got(&mut sent), Some(Ok(_))));
    assert_eq!(talk.plain(), 1);
    // Without OTR, a text is refused, too.
    let mut test = account(settings(&[("allow_otr", false.into())]), TrustPolicy::Blind);
    let config = Encryption { omemo: false, otr: OtrPolicy::Require, ..Encryption::default() };
    test.run(|session, now, effects| set_encryption(session, config, now, effects));
    let draft = Draft { body: Some("hello".to_owned()), ..Draft::default() };
    let mut sent = test.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
    assert!(matches!(got(&mut sent), Some(Err(CallError::Unsupported(_)))));
}

#[test]
fn a_policy_for_a_person_counts_at_once_and_over_that_of_the_account() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    talk.otr(OtrPolicy::Allow, Some(OtrPolicy::Never));
    assert_eq!((talk.status(), talk.people[0].conversation.state()), (OtrStatus::Unencrypted, State::Finished));
    // The chat was encrypted, so it gets no plain answers.
    assert!(matches!(talk.says("plainly"), Some(Err(CallError::Unsupported(_)))));
    talk.hears(0, ["?OTRv23?".to_owned()]);
    assert_eq!(talk.heard().body.as_deref(), Some("?OTRv23?"));
    talk.otr(OtrPolicy::Never, Some(OtrPolicy::Allow));
    talk.begins(0);
    talk.assert_talking();
    // An account that requires it of others does not of him.
    let mut talk = Talk::with(TrustPolicy::Blind, Policy::default());
    talk.otr(OtrPolicy::Require, Some(OtrPolicy::Allow));
    assert!(matches!(talk.says("plainly"), Some(Ok(_))));
    assert_eq!((talk.plain(), talk.status()), (1, OtrStatus::Unencrypted));
    let own = got(&mut talk.test.ask(ListKeys { jid: Some(bare(ROMEO)) })).unwrap().unwrap().own;
    assert_eq!((own.otr_policy, own.otr_people.of(&bare(ROMEO))), (OtrPolicy::Require, Some(OtrPolicy::Allow)));
}

#[test]
fn while_keys_cannot_be_read_nothing_that_has_to_be_off_the_record_is_sent() {
    for is_allowed in [false, true] {
        let mut test = TestSession::new(Settings::default());
        set_otr_people(&mut test.session, [(bare(ROMEO), OtrPolicy::Require)].into_iter().collect());
        let config = Encryption { plain_instead: is_allowed, ..Encryption::default() };
        test.run(|session, now, effects| set_encryption(session, config, now, effects));
        test.run(|session, now, _| keys_unreadable(session, Some(Vec::new()), now));
        test.run(Session::plugins_initialized);
        test.bind();
        test.roster(vec![item(ROMEO, "both")]);
        let draft = Draft { body: Some("hello".to_owned()), ..Draft::default() };
        let mut sent = test.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
        assert_eq!(got(&mut sent).unwrap().is_ok(), is_allowed);
        assert!(test.keys.is_empty(), "no new keys take the place of those on disk");
    }
}

#[test]
fn a_long_text_goes_out_in_parts() {
    for policy in [Policy::default(), Policy { v3: false, ..Policy::default() }] {
        let mut talk = Talk::with(TrustPolicy::Blind, policy);
        talk.begins(0);
        let (text, before) = ("x".repeat(50_000), talk.test.sent.len());
        assert!(matches!(talk.says(&text), Some(Ok(_))));
        assert!(talk.people[0].has_read(&text));
        let parts: Vec<_> = talk.test.sent[before..]
            .iter()
            .filter_map(|stanza| match stanza {
                Outgoing::Sealed(sealed) => Some(&sealed.content),
                _ => None,
            })
            .collect();
        let is_part = |part: &&SealedContent| matches!(part, SealedContent::Otr(text) if text.len() <= 60_000);
        assert!(parts.len() == 2 && parts.iter().all(is_part));
    }
}

/// XEP-0454: the address of an encrypted file has its key.
#[test]
fn a_file_without_a_text_goes_out_encrypted_and_a_subject_or_a_reaction_not_at_all() {
    let url = format!("aesgcm://example.org/cat.jpg#{}", "0".repeat(88));
    let file = || {
        let files = vec![SharedFile { url: url.clone(), ..SharedFile::default() }];
        Draft { extensions: Some(Box::new(Extensions { files, ..Extensions::default() })), ..Draft::default() }
    };
    let mut talk = Talk::begun(TrustPolicy::Blind);
    let sends = |talk: &mut Talk, draft: Draft| {
        let mut sent = talk.test.ask(SendMessage { to: jid(ROMEO), kind: MessageKind::Chat, draft });
        talk.settle();
        got(&mut sent)
    };
    assert!(matches!(sends(&mut talk, file()), Some(Ok(_))));
    assert!(talk.people[0].has_read(&url));
    let subject = || Draft { subject: Some("secret".to_owned()), ..Draft::default() };
    let reaction = || {
        let reactions = Some(Reactions { id: "m1".to_owned(), emojis: vec!["👍".to_owned()] });
        Draft { extensions: Some(Box::new(Extensions { reactions, ..Extensions::default() })), ..Draft::default() }
    };
    for draft in [subject(), reaction()] {
        assert!(matches!(sends(&mut talk, draft), Some(Err(CallError::Unsupported(_)))));
    }
    assert_eq!(talk.plain(), 0);
    // Also where it begins with the file.
    let mut talk = Talk::with(TrustPolicy::Blind, Policy::default());
    talk.otr(OtrPolicy::Require, None);
    assert!(matches!(sends(&mut talk, file()), Some(Ok(_))));
    assert!(talk.people[0].has_read(&url));
    for draft in [subject(), reaction()] {
        assert!(matches!(sends(&mut talk, draft), Some(Err(CallError::Unsupported(_)))));
    }
    assert_eq!(talk.plain(), 0);
}

/// Most people whose client has no OTR do not know what a query is.
#[test]
fn a_query_tells_people_without_otr_what_it_is() {
    let mut talk = Talk::with(TrustPolicy::Blind, Policy::never());
    talk.otr(OtrPolicy::Require, None);
    assert!(talk.says("hello").is_none(), "it waits");
    let Some(Outgoing::Sealed(sealed)) = talk.test.sent.last() else { panic!("nothing was asked") };
    let SealedContent::Otr(text) = &sealed.content else { panic!("it is not of OTR") };
    let (query, told) = text.split_once('\n').unwrap();
    assert_eq!(query, "?OTRv23?");
    assert!(told.contains("encrypted by OTR") && !told.contains(|sign: char| sign.is_ascii_digit()), "{told}");
}

#[test]
fn where_it_is_required_no_raw_stanza_says_anything_plainly() {
    let mut talk = Talk::with(TrustPolicy::Blind, Policy::default());
    let sends = |talk: &mut Talk, attributes: &str, content: &str| {
        let stanza = raw(&format!("<message {attributes}>{content}</message>"));
        got(&mut talk.test.ask(SendRaw { by: InstanceId(1), stanza })).unwrap()
    };
    let file = "<x xmlns='jabber:x:oob'><url>https://example.org/cat.jpg</url></x>";
    let to_all = format!("type='groupchat' to='{ROOM}'");
    let (to_romeo, to_phone) = (format!("type='chat' to='{ROMEO}'"), format!("type='groupchat' to='{PHONE}'"));
    talk.otr(OtrPolicy::Allow, Some(OtrPolicy::Require));
    for attributes in [&*to_romeo, &to_phone, &format!("to='{PHONE}'")] {
        let typed = "<rtt xmlns='urn:xmpp:rtt:0'><t>hello</t></rtt>";
        for content in ["<body>hello</body>", "<subject>hello</subject>", file, typed] {
            let result = sends(&mut talk, attributes, content);
            assert!(matches!(result, Err(CallError::Unsupported(_))), "{attributes} {content}: {result:?}");
        }
        let typing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
        assert_eq!(sends(&mut talk, attributes, typing), Ok(()), "{attributes}");
    }
    for others in [&*to_all, "type='chat' to='juliet@example.org'"] {
        assert_eq!(sends(&mut talk, others, "<body>hello</body>"), Ok(()), "{others}");
    }
    // The server refuses it, and has read it then.
    let as_to_all = format!("type='groupchat' to='{ROMEO}'");
    let result = sends(&mut talk, &as_to_all, "<body>hello</body>");
    assert!(matches!(result, Err(CallError::Unsupported(_))), "{result:?}");
    // A chat that was encrypted gets no plain answers while that is off.
    let mut talk = Talk::begun(TrustPolicy::Blind);
    assert_eq!(sends(&mut talk, &to_romeo, "<body>hello</body>"), Ok(()));
    talk.otr(OtrPolicy::Allow, Some(OtrPolicy::Never));
    let result = sends(&mut talk, &to_romeo, "<body>hello</body>");
    assert!(matches!(result, Err(CallError::Unsupported(_))), "{result:?}");
}

/// RFC 7622, section 3.2.1.
#[test]
fn where_it_is_required_no_other_spelling_of_a_domain_goes_plainly() {
    let (dns, shown) = ("juliet@xn--bcher-kva.example", "juliet@b\u{fc}cher.example");
    for (listed, other) in [(dns, shown), (shown, dns)] {
        let mut talk = Talk::with(TrustPolicy::Blind, Policy::default());
        talk.otr(OtrPolicy::Allow, None);
        let people = [(bare(listed), OtrPolicy::Require)].into_iter().collect();
        set_otr_people(&mut talk.test.session, people);
        let stanza = raw(&format!("<message type='chat' to='{other}'><body>hello</body></message>"));
        let result = got(&mut talk.test.ask(SendRaw { by: InstanceId(1), stanza })).unwrap();
        assert!(matches!(result, Err(CallError::Unsupported(_))), "{listed} {other}: {result:?}");
    }
}

#[test]
fn where_it_is_required_no_invitation_states_a_reason() {
    let mut talk = Talk::with(TrustPolicy::Blind, Policy::default());
    let invites = |talk: &mut Talk, direct: bool, reason: Option<&str>| {
        let (jid, user, reason) = (bare(ROOM), bare(ROMEO), reason.map(str::to_owned));
        got(&mut talk.test.ask(InviteToRoom { jid, user, direct, reason, password: None })).unwrap()
    };
    let declines = |talk: &mut Talk, reason: Option<&str>| {
        let reason = reason.map(str::to_owned);
        got(&mut talk.test.ask(DeclineInvitation { jid: bare(ROOM), inviter: jid(PHONE), reason })).unwrap()
    };
    assert_eq!((invites(&mut talk, true, Some("hello")), declines(&mut talk, Some("hello"))), (Ok(()), Ok(())));
    talk.otr(OtrPolicy::Allow, Some(OtrPolicy::Require));
    let file = format!("aesgcm://h/a#{}", "0f".repeat(44));
    for reason in ["hello", &file] {
        for result in [
            invites(&mut talk, true, Some(reason)),
            invites(&mut talk, false, Some(reason)),
            declines(&mut talk, Some(reason)),
        ] {
            assert!(matches!(result, Err(CallError::Unsupported(_))), "{result:?}");
        }
    }
    for reason in [None, Some("")] {
        assert_eq!((invites(&mut talk, true, reason), declines(&mut talk, reason)), (Ok(()), Ok(())), "{reason:?}");
    }
}

#[test]
fn where_it_is_required_no_plugin_answers_in_a_form() {
    let mut talk = Talk::with(TrustPolicy::Blind, Policy::default());
    talk.test.declare(&plugin("dice"), declaration("roll")).unwrap();
    talk.test.is_at_work = true;
    let answers = |talk: &mut Talk, text: &str, more: bool| {
        talk.test.hear_xml(&format!(
            "<iq xmlns='jabber:client' type='set' id='1' from='{PHONE}'><command xmlns='{COMMANDS}' \
             node='dice.roll' action='execute'/></iq>"
        ));
        let Payload::Command { form: Some(form), .. } = talk.test.last("command") else { panic!("a command") };
        let (plugin, form) = ("dice".parse().unwrap(), form.to_string());
        got(&mut talk.test.ask(AnswerForm { plugin, form, text: text.to_owned(), more })).unwrap()
    };
    assert_eq!(answers(&mut talk, "six", false), Ok(()));
    talk.otr(OtrPolicy::Allow, Some(OtrPolicy::Require));
    for more in [true, false] {
        let result = answers(&mut talk, "six", more);
        assert!(matches!(result, Err(CallError::Unsupported(_))), "{result:?}");
    }
    assert_eq!(answers(&mut talk, "", false), Ok(()), "it says nothing");
    // A chat that was encrypted gets no plain answers while that is off.
    talk.otr(OtrPolicy::Allow, None);
    talk.begins(0);
    talk.otr(OtrPolicy::Allow, Some(OtrPolicy::Never));
    let result = answers(&mut talk, "six", false);
    assert!(matches!(result, Err(CallError::Unsupported(_))), "{result:?}");
}

#[test]
fn messages_go_to_the_client_that_can_read_them() {
    for policy in [Policy::default(), Policy { v3: false, ..Policy::default() }] {
        let mut talk = Talk::with(TrustPolicy::Blind, policy);
        talk.begins(0);
        // Another client writes last, and its text is no part of the conversation.
        talk.test.message(message(DESK, MessageKind::Chat, "at my desk"));
        talk.test.forget();
        assert!(matches!(talk.says("for the phone"), Some(Ok(_))));
        assert!(talk.people[0].has_read("for the phone"));
        let mut begun = talk.owner_begins("nightingale", None);
        talk.enters("nightingale");
        assert_eq!(end(&mut begun), Some(ComparisonEnd::Same));
        talk.test.message(message(DESK, MessageKind::Chat, "still at my desk"));
        talk.test.ask(EndOtr { jid: bare(ROMEO) });
        talk.settle();
        assert_eq!(talk.people[0].conversation.state(), State::Finished);
    }
}

#[test]
fn each_client_of_a_person_is_told_of_the_end_at_its_own_address() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    talk.people.push(Person::new(DESK, 2, Policy::default()));
    talk.begins(1);
    assert!(matches!(talk.says("for the desk"), Some(Ok(_))));
    assert!(talk.people[1].has_read("for the desk") && !talk.people[0].has_read("for the desk"));
    talk.writes(0, "I am at the phone again");
    assert!(matches!(talk.says("for the phone"), Some(Ok(_))));
    assert!(talk.people[0].has_read("for the phone"));
    // The client that ends is not the one that goes on.
    let last = talk.ends(0);
    talk.hears(0, last);
    assert!(matches!(talk.says("for the desk alone"), Some(Ok(_))));
    assert!(talk.people[1].has_read("for the desk alone"));
    talk.begins(0);
    talk.test.ask(EndOtr { jid: bare(ROMEO) });
    talk.settle();
    assert!(talk.people.iter().all(|person| person.conversation.state() == State::Finished));
}

#[test]
fn a_command_that_a_client_writes_as_html_comes_as_text() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    for (written, heard) in [
        ("<FONT FACE=\"Sans\">!say &quot;a &lt; b &amp; c&quot;</FONT>", "!say \"a < b & c\""),
        ("a < b & c", "a < b & c"),
    ] {
        talk.writes(0, written);
        assert_eq!(talk.heard().body.as_deref(), Some(heard));
    }
}

#[test]
fn a_query_within_markup_begins_a_conversation() {
    let mut talk = Talk::with(TrustPolicy::Blind, Policy::default());
    talk.hears(0, ["<p>?OTRv23?</p>".to_owned()]);
    assert_eq!((talk.status(), talk.test.count("message")), (OtrStatus::Unverified, 0));
    talk.assert_talking();
}

#[test]
fn where_the_owner_does_not_allow_it_a_query_is_a_text() {
    let mut test = account(settings(&[("allow_otr", false.into())]), TrustPolicy::Blind);
    let sent = test.sent.len();
    test.message(message(PHONE, MessageKind::Chat, "?OTRv23?"));
    let Payload::Message(heard) = test.last("message") else { panic!("a message") };
    assert_eq!((heard.body.as_deref(), heard.encryption, test.sent.len()), (Some("?OTRv23?"), None, sent));
}

#[test]
fn where_otr_is_off_what_a_client_encrypts_is_told_and_is_no_text() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    talk.test = account(settings(&[("allow_otr", false.into())]), TrustPolicy::Blind);
    talk.read = talk.test.sent.len();
    talk.writes(0, "still there?");
    let Payload::Undecryptable(told) = talk.test.last("undecryptable") else { panic!("it is told") };
    assert_eq!((told.reason, told.encryption), (UndecryptableReason::Unsupported, types::Encryption::Otr));
    talk.hears(0, ["?OTR,1,2,AAID,".to_owned()]);
    assert_eq!((talk.test.count("undecryptable"), talk.test.count("message")), (2, 0));
    talk.hears(0, ["?OTR Error: it is off".to_owned()]);
    assert_eq!(talk.heard().body.as_deref(), Some("?OTR Error: it is off"));
}

/// Otherwise a spammer could hide a text from the plugins that moderate, while clients show it.
#[test]
fn in_a_room_what_looks_like_otr_is_a_text() {
    for allow in [true, false] {
        let mut test = account(settings(&[("allow_otr", allow.into())]), TrustPolicy::Blind);
        test.in_room();
        for text in ["?OTRv23?", "?OTR:AAMD.", "?OTR,1,2,buy it at example.net,"] {
            test.message(message(&format!("{ROOM}/juliet"), MessageKind::Groupchat, text));
            let Payload::Message(heard) = test.last("message") else { panic!("a message") };
            assert_eq!((heard.body.as_deref(), heard.encryption), (Some(text), None), "{allow}");
        }
        assert_eq!((test.count("message"), test.count("undecryptable")), (3, 0), "{allow}");
    }
}

#[test]
fn versions_that_do_not_exist_here_are_told_as_such() {
    let mut talk = Talk::with(TrustPolicy::Blind, Policy::default());
    for (count, text) in [(1, "?OTR?"), (2, "?OTRv4?"), (3, "?OTR:AAQ1.")] {
        talk.hears(0, [text.to_owned()]);
        let Payload::Undecryptable(told) = talk.test.last("undecryptable") else { panic!("it is told") };
        assert_eq!(
            (told.reason, talk.test.count("undecryptable")),
            (UndecryptableReason::Unsupported, count),
            "{text}"
        );
    }
    assert_eq!((talk.status(), talk.test.count("message")), (OtrStatus::Unencrypted, 0));
}

#[test]
fn the_whitespace_by_which_a_client_offers_otr_is_not_told() {
    let policy = Policy { whitespace_tag: true, ..Policy::default() };
    for all in [OtrPolicy::Allow, OtrPolicy::Never] {
        let mut talk = Talk::with(TrustPolicy::Blind, policy);
        talk.otr(all, None);
        let tagged = talk.people[0].conversation.send("!help me", talk.now).unwrap().concat();
        assert!(tagged.len() > "!help me".len());
        let sent = talk.test.sent.len();
        talk.hears(0, [tagged.clone()]);
        assert_eq!((talk.heard().body.as_deref(), talk.heard().encryption), (Some("!help me"), None), "{all:?}");
        let bodies = ["en", "de"].map(|language| (language.to_owned(), tagged.clone())).to_vec();
        talk.test.message(Message { bodies, ..message(PHONE, MessageKind::Chat, &tagged) });
        let texts: Vec<&str> = talk.heard().bodies.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["!help me"; 2], "{all:?}");
        assert!(!talk.test.sent[sent..].iter().any(|stanza| matches!(stanza, Outgoing::Sealed(_))), "{all:?}");
    }
}

#[test]
fn a_person_asks_the_owner_enters_the_same_and_the_key_is_trusted_if_the_person_chose_no_question() {
    // In a strict account nothing of theirs is read before.
    let policies = [(TrustPolicy::Blind, DeviceTrust::Blind), (TrustPolicy::Strict, DeviceTrust::Undecided)];
    for ((trust, before), question) in
        policies.into_iter().flat_map(|policy| [(policy, None), (policy, Some("what sang?"))])
    {
        let mut talk = Talk::begun(trust);
        talk.test.forget();
        talk.asks(0, "nightingale", question);
        let news = talk.test.news.last().unwrap();
        assert_eq!((news.what, news.question.as_deref()), (KeyNewsKind::AskedToCompare, question));
        let open = talk.open();
        assert_eq!((open.len(), open[0].is_asked, open[0].question.as_deref()), (1, true, question));
        assert_eq!((&open[0].jid, open[0].fingerprint.len()), (&bare(ROMEO), 40));
        let mut answered = talk.owner_answers(Some(open[0].number), "nightingale");
        let compared = got(&mut answered).unwrap().unwrap();
        // Somebody in between could choose a question to which they know the answer.
        let (after, status) = match question {
            None => (DeviceTrust::Trusted, OtrStatus::Verified),
            Some(_) => (before, OtrStatus::Unverified),
        };
        assert_eq!((compared.end, compared.before, compared.trust), (ComparisonEnd::Same, before, after));
        assert!(talk.people[0].has_compared(true));
        assert_eq!((talk.trust(), talk.status()), (after, status));
        let is_kept = |change: &KeyChange| matches!(change, KeyChange::Key(key) if key.trust == DeviceTrust::Trusted);
        assert_eq!(talk.test.keys.iter().any(is_kept), question.is_none());
        // No plugin has heard anything of it but how the chat stands.
        assert!(talk.test.events.iter().all(|event| &*event.name == "otrStatusChanged"), "{:?}", talk.test.lines());
        assert!(talk.open().is_empty());
        if trust == TrustPolicy::Blind || question.is_none() {
            talk.assert_talking();
        }
    }
}

#[test]
fn conversations_of_strangers_end_for_new_ones_and_none_with_a_verified_key() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    talk.asks(0, "nightingale", None);
    assert_eq!(end(&mut talk.owner_answers(None, "nightingale")), Some(ComparisonEnd::Same));
    for index in 1..=MAX_CHATS + 1 {
        let address = Box::leak(format!("stranger{index}@example.net/x").into_boxed_str());
        talk.people.push(Person::new(address, 2, Policy::default()));
        talk.waits(1);
        talk.begins(index);
    }
    let state = |index: usize| talk.people[index].conversation.state();
    // The first strangers are told that theirs have ended.
    let ended: Vec<_> = (1..=MAX_CHATS + 1).filter(|index| state(*index) != State::Encrypted).collect();
    assert_eq!(ended, [1, 2]);
    assert_eq!((state(0), talk.status()), (State::Encrypted, OtrStatus::Verified));
    talk.assert_talking();
}

#[test]
fn the_owner_asks_and_only_the_same_changes_what_is_trusted() {
    for (entered, is_same) in [("lark", false), ("nightingale", true)] {
        let mut talk = Talk::begun(TrustPolicy::Blind);
        let mut begun = talk.owner_begins("nightingale", Some("what sang?"));
        assert_eq!(end(&mut begun), None, "nobody has answered");
        assert_eq!(talk.people[0].question(), Some("what sang?"));
        assert!(!talk.open()[0].is_asked);
        talk.enters(entered);
        assert!(talk.people[0].has_compared(is_same));
        let compared = got(&mut begun).unwrap().unwrap();
        if is_same {
            assert_eq!((compared.end, talk.status()), (ComparisonEnd::Same, OtrStatus::Verified));
        } else {
            assert_eq!((compared.end, compared.trust), (ComparisonEnd::Different, DeviceTrust::Blind));
            assert_eq!(
                (talk.last_news(), talk.status()),
                (Some(KeyNewsKind::ComparedDifferent), OtrStatus::Unverified)
            );
            assert_eq!(talk.trust(), DeviceTrust::Blind);
        }
        talk.assert_talking();
    }
}

#[test]
fn whoever_gives_up_or_ends_ends_the_comparison_without_a_result() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    let mut begun = talk.owner_begins("x", None);
    let mut second = talk.owner_begins("x", None);
    assert!(matches!(got(&mut second), Some(Err(CallError::Other(_)))), "one at a time");
    talk.gives_up();
    assert_eq!(end(&mut begun), Some(ComparisonEnd::Aborted));
    // The owner gives up.
    let mut begun = talk.owner_begins("x", None);
    let mut aborted = talk.test.ask(AbortComparison { jid: bare(ROMEO) });
    talk.settle();
    assert_eq!((got(&mut aborted), end(&mut begun)), (Some(Ok(true)), Some(ComparisonEnd::Aborted)));
    assert!(talk.people[0].is_aborted());
    let mut aborted = talk.test.ask(AbortComparison { jid: bare(ROMEO) });
    assert_eq!(got(&mut aborted), Some(Ok(false)));
    // The person takes a request back.
    talk.asks(0, "x", None);
    talk.gives_up();
    assert!(talk.open().is_empty());
    assert!(matches!(got(&mut talk.owner_answers(None, "x")), Some(Err(CallError::Other(_)))));
    // The conversation ends.
    let mut begun = talk.owner_begins("x", None);
    let last = talk.ends(0);
    talk.hears(0, last);
    assert_eq!(end(&mut begun), Some(ComparisonEnd::Aborted));
    assert!(matches!(got(&mut talk.owner_begins("x", None)), Some(Err(CallError::Other(_)))));
    // A plugin ends it.
    talk.begins(0);
    let mut begun = talk.owner_begins("x", None);
    talk.test.ask(EndOtr { jid: bare(ROMEO) });
    talk.settle();
    assert_eq!(end(&mut begun), Some(ComparisonEnd::Aborted));
}

#[test]
fn what_nobody_answers_ends_after_five_minutes() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    talk.asks(0, "x", None);
    talk.waits(290);
    assert_eq!((talk.open().len(), talk.people[0].is_aborted()), (1, false));
    talk.waits(20);
    assert_eq!((talk.open().len(), talk.people[0].is_aborted()), (0, true));
    talk.people[0].told.clear();
    let mut begun = talk.owner_begins("x", None);
    talk.waits(301);
    assert_eq!((end(&mut begun), talk.people[0].is_aborted()), (Some(ComparisonEnd::TimedOut), true));
    talk.assert_talking();
}

#[test]
fn a_person_who_asks_without_end_is_refused_and_may_ask_again_later() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    let requests = |talk: &Talk| talk.test.news.iter().filter(|news| news.what == KeyNewsKind::AskedToCompare).count();
    for round in 0..20 {
        talk.asks(0, "x", Some("again?"));
        assert_eq!(talk.people[0].is_aborted(), round >= 4, "{round}");
        assert_eq!(talk.open().len(), usize::from(round < 4), "{round}");
        if round < 4 {
            talk.gives_up();
        }
        talk.people[0].told.clear();
    }
    assert_eq!(requests(&talk), 4);
    talk.waits(601);
    talk.asks(0, "x", None);
    assert_eq!((requests(&talk), talk.open().len()), (5, 1));
}

#[test]
fn a_second_client_with_another_key_cannot_take_the_place_of_a_comparison() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    talk.asks(0, "x", None);
    let first = talk.open()[0].clone();
    talk.people.push(Person::new(DESK, 2, Policy::default()));
    talk.begins(1);
    talk.asks(1, "x", None);
    assert!(talk.people[1].is_aborted());
    assert_eq!(talk.open(), [first]);
    // The answer goes to the one that asked, and its key alone is trusted.
    let mut answered = talk.owner_answers(None, "x");
    assert_eq!(end(&mut answered), Some(ComparisonEnd::Same));
    assert!(talk.people[0].has_compared(true) && !talk.people[1].has_compared(true));
    let listed = got(&mut talk.test.ask(ListKeys { jid: None })).unwrap().unwrap();
    let trusted = listed.keys.iter().filter(|key| key.trust == DeviceTrust::Trusted).count();
    assert_eq!((listed.keys.len(), trusted), (2, 1));
}

#[test]
fn an_answer_is_for_the_question_that_the_owner_has_seen_and_no_key_that_is_distrusted() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    talk.asks(0, "x", Some("one"));
    let number = talk.open()[0].number;
    talk.gives_up();
    talk.asks(0, "x", Some("two"));
    assert!(matches!(got(&mut talk.owner_answers(Some(number), "x")), Some(Err(CallError::Other(_)))));
    for wrong in ["", &"x".repeat(1_025)] {
        assert!(matches!(got(&mut talk.owner_answers(None, wrong)), Some(Err(CallError::Invalid { .. }))));
    }
    assert_eq!(talk.open().len(), 1, "the request is still there");
    let set = SetTrust { jid: bare(ROMEO), fingerprint: None, trust: DeviceTrust::Distrusted };
    let decided = got(&mut talk.test.ask(set)).unwrap().unwrap();
    assert_eq!((decided[0].before, decided[0].key.trust), (DeviceTrust::Blind, DeviceTrust::Distrusted));
    talk.settle();
    assert!(talk.open().is_empty() && talk.people[0].is_aborted());
    assert!(matches!(got(&mut talk.owner_begins("x", None)), Some(Err(CallError::Other(_)))));
    talk.asks(0, "x", None);
    assert!(talk.open().is_empty());
    assert_eq!(talk.trust(), DeviceTrust::Distrusted);
    let mut talk = Talk::begun(TrustPolicy::Blind);
    let mut begun = talk.owner_begins("x", Some(&"x".repeat(1_001)));
    assert!(matches!(got(&mut begun), Some(Err(CallError::Invalid { .. }))));
}

#[test]
fn without_a_session_nothing_is_compared() {
    let mut talk = Talk::begun(TrustPolicy::Blind);
    let mut begun = talk.owner_begins("x", None);
    talk.test.run(|session, now, effects| session.lost("gone", now, effects));
    assert!(matches!(got(&mut begun), Some(Err(CallError::Offline))));
    assert!(talk.open().is_empty());
}
