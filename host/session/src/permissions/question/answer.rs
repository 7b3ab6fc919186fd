//! Finds the decisions that an answer needs, and phrases the answer.

use jid::{BareJid, Jid};
use parlor_base::escape::escape_untrusted;
use parlor_base::permission::{Permission, ScopeKind};

use super::condition::{self, Check};
use super::servers::by_name;
use super::{Answer, Judge, Listening, Outcome, Question, Subject};
use crate::permissions::grants::{Decision, GrantChange};
use crate::permissions::scope::Scope;
use crate::permissions::table::{BESIDES, CALLS, Call, Depends, EVENTS, EventRule};
use crate::permissions::target::{About, Target, Use};

/// The kinds of stanzas that are decided separately. The flag is set for stanzas that change something.
const KINDS: [(&str, bool); 4] = [("message", false), ("presence", false), ("iq", true), ("iq", false)];

/// The risk of an IQ to any recipient. In-band registration (XEP-0077) sets the password.
const RISK: &str = "iq for every recipient is as good as the account, whose password it can change";

/// One of the decisions that an answer needs.
struct Part {
    decision: Option<Decision>,
    /// The entry that would cover this part and no more; none: only the whole permission would.
    entry: Option<String>,
    /// The entry also covers the account itself, which the question may not be about.
    widens: bool,
    /// A description of this part, used if there are other parts.
    words: String,
}

impl Part {
    fn is_allowed(&self) -> bool {
        self.decision.is_some_and(Decision::allows)
    }
}

impl Question {
    /// Answers the question.
    pub fn answer(&self, judge: &dyn Judge) -> Answer {
        let answer = match &self.subject {
            Subject::Call(call) => self.call(call, judge),
            Subject::Event(rule) => self.event(rule, judge),
            Subject::Permission(permission) => {
                self.as_encrypted(self.permission_alone(*permission, &KINDS, judge), judge)
            }
            Subject::Stanzas(wanted) => {
                let kinds: Vec<_> = KINDS.into_iter().filter(|(kind, _)| kind == wanted).collect();
                self.permission_alone(Permission::StanzaSend, &kinds, judge)
            }
            Subject::Entry(permission, scope) => entry(*permission, scope, judge),
            Subject::Entries(permission, each) => entries(*permission, each, judge),
        };
        let answer = self.in_rooms(answer, judge);
        match (answer.permission, &answer.lacks) {
            (Some(permission), _) if !judge.asks_for(permission) => undeclared(permission, judge),
            (_, Some((permission, change))) => match change.check(*permission) {
                Ok(()) => answer,
                Err(why) => Answer {
                    reason: format!("{}; {}", answer.reason, escape_untrusted(&why, usize::MAX)),
                    lacks: None,
                    ..answer
                },
            },
            _ => answer,
        }
    }

    /// Returns the answer about a plugin that the owner keeps to rooms, if the question is about another one.
    fn in_rooms(&self, answer: Answer, judge: &dyn Judge) -> Answer {
        let Some(about) = &self.about else { return answer };
        let is_command = matches!(&self.subject, Subject::Event(rule) if rule.payload == "command");
        let kind = match answer.permission {
            None if !is_command => return answer,
            Some(permission) if judge.scope(permission).is_none() => return answer,
            permission => permission.map(Permission::scope_kind),
        };
        let room = about.to_bare();
        let target = if kind == Some(ScopeKind::Rooms) { Target::Room(&room) } else { Target::Jid(about) };
        let Some(rooms) = judge.elsewhere(target) else { return answer };
        let about = escape_untrusted(about.as_str(), usize::MAX);
        let rooms = escape_untrusted(&rooms.to_string(), usize::MAX);
        let reason = format!("it is kept to rooms ({rooms}), and {about} is none of them and in none of them");
        let lacks = answer.permission.map(|permission| (permission, GrantChange::Room(room)));
        let how = if lacks.is_some() { "" } else { "; `parlor plugin rooms PLUGIN --add ROOM` adds one" };
        let reason = format!("{reason}{how}");
        Answer { outcome: Outcome::No, reason, lacks, ..answer }
    }

    fn event(&self, rule: &EventRule, judge: &dyn Judge) -> Answer {
        let answer = match rule.permission {
            None => free("it needs no permission: every plugin may hear it"),
            Some(permission) => {
                let answer = self.put(permission, &self.parts_of_event(rule, judge), judge);
                // An undecryptable message was encrypted.
                if rule.payload == "message" { self.as_encrypted(answer, judge) } else { answer }
            }
        };
        let answer = self.as_heard(rule, answer, judge);
        condition::of_event(rule, self.about.as_ref(), judge.state()).apply(answer)
    }

    /// Returns the answer about an event, restricted to the part that the plugin listens to.
    fn as_heard(&self, rule: &EventRule, answer: Answer, judge: &dyn Judge) -> Answer {
        if answer.outcome == Outcome::No {
            return answer;
        }
        match judge.listens(rule, self.about.as_ref()) {
            None | Some(Listening::All) => answer,
            Some(Listening::Not) => {
                let reason = format!("it does not listen to it, although it may: {}", answer.reason);
                Answer { outcome: Outcome::No, reason, lacks: None, ..answer }
            }
            Some(Listening::Elsewhere(filters)) => {
                let reason = format!("it listens with a filter that leaves this out ({filters}): {}", answer.reason);
                Answer { outcome: Outcome::No, reason, lacks: None, ..answer }
            }
            Some(Listening::Part(filters)) => {
                let reason = format!("it listens with a filter ({filters}): {}", answer.reason);
                let outcome = if answer.outcome == Outcome::Yes { Outcome::Partly } else { answer.outcome };
                Answer { outcome, reason, ..answer }
            }
        }
    }

    /// Returns the decisions that an event needs.
    fn parts_of_event(&self, rule: &EventRule, judge: &dyn Judge) -> Vec<Part> {
        let part = |about: About<'_>, entry: Option<String>, words: String| Part {
            decision: judge.decide(Use::Event(rule.name, about)),
            entry,
            widens: false,
            words,
        };
        match (rule.payload, &self.about) {
            ("none", _) => vec![part(About::Nothing, None, String::new())],
            ("message" | "undecryptable" | "command" | "hook" | "contact" | "chat", Some(jid)) => {
                let of =
                    |(jid, words): (Jid, String)| part(About::Target(Target::Jid(&jid)), Some(jid.to_string()), words);
                conversations(jid, judge).into_iter().map(of).collect()
            }
            ("room" | "occupant" | "invite", Some(jid)) => {
                let room = jid.to_bare();
                vec![part(About::Target(Target::Room(&room)), Some(room.to_string()), String::new())]
            }
            ("stanza", _) => {
                let of = |kind: &str| {
                    let target = Target::Stanza { kind, to: None };
                    part(About::Target(target), Some(kind.to_owned()), format!("{kind} stanzas"))
                };
                ["message", "presence", "iq"].map(of).into()
            }
            _ => vec![part(About::Target(Target::None), None, String::new())],
        }
    }

    fn call(&self, call: &Call, judge: &dyn Judge) -> Answer {
        let check = condition::of_call(call.depends, self.about.as_ref(), judge.state());
        if let Check::Never(reason) = check {
            // No permission helps, so none is named as missing.
            return Answer { outcome: Outcome::No, permission: call.permission, reason, lacks: None };
        }
        let (answer, lacking) = self.with_besides(call, judge);
        let free_but =
            "the call itself is free, and needs what the event or promise needs that it names; ask about that";
        let reason = if call.depends == Depends::Event { free_but } else { &answer.reason };
        let reason = lacking.map_or_else(|| reason.to_owned(), |clause| format!("{reason}; {clause}"));
        let answer = check.apply(Answer { reason, ..answer });
        match call.depends {
            Depends::Event if answer.outcome != Outcome::No => Answer { outcome: Outcome::Partly, ..answer },
            _ => answer,
        }
    }

    /// Returns the answer by the call's own permission. The second value is a clause about permissions that the plugin
    /// lacks for some uses of the call.
    fn with_besides(&self, call: &Call, judge: &dyn Judge) -> (Answer, Option<String>) {
        let kinds = match call.function {
            "send-iq" => &KINDS[2..],
            _ => &KINDS[..],
        };
        let answer = match call.permission {
            None => free("it needs no permission: every plugin may"),
            Some(permission) => self.as_encrypted(self.permission_alone(permission, kinds, judge), judge),
        };
        if answer.outcome != Outcome::Yes {
            return (answer, None);
        }
        let besides = BESIDES.iter().filter(|one| one.grouping == call.grouping && one.function == call.function);
        let lacking = besides.filter_map(|one| {
            let permission = one.permission?;
            // Calls show no stanzas but those of messages.
            let kinds = if permission == Permission::StanzaRead { &KINDS[..1] } else { kinds };
            let other = self.permission_alone(permission, kinds, judge);
            (!judge.asks_for(permission) || other.outcome != Outcome::Yes).then_some(permission.to_string())
        });
        let lacking: Vec<_> = lacking.collect();
        if lacking.is_empty() {
            return (answer, None);
        }
        let lacking = lacking.join(" or ");
        let clause = format!("for some of its uses it needs {lacking}, too, which it does not have in full");
        (Answer { outcome: Outcome::Partly, ..answer }, Some(clause))
    }

    fn permission_alone(&self, permission: Permission, kinds: &[(&str, bool)], judge: &dyn Judge) -> Answer {
        let part = |target: Target<'_>, entry: Option<String>, words: String| Part {
            decision: judge.decide(Use::Call(permission, target)),
            entry,
            widens: false,
            words,
        };
        let parts = match (permission.scope_kind(), &self.about) {
            (ScopeKind::Jids | ScopeKind::Messages, Some(jid)) => match of_events_alone(permission) {
                Some(rule) => self.parts_of_event(rule, judge),
                None => vec![part(Target::Jid(jid), Some(jid.to_string()), String::new())],
            },
            (ScopeKind::Rooms, Some(jid)) => {
                let room = jid.to_bare();
                vec![part(Target::Room(&room), Some(room.to_string()), String::new())]
            }
            (ScopeKind::Stanzas, to) => {
                let to = to.as_ref().filter(|_| permission == Permission::StanzaSend);
                let of = |&(kind, is_set): &(&str, bool)| {
                    let to = to.filter(|to| kind != "iq" || !judge.acts_for(to, is_set));
                    let entry = to.map_or_else(|| kind.to_owned(), |to| format!("{kind}:{to}"));
                    let words = match (kind, is_set) {
                        ("iq", true) => "iq stanzas that change something".to_owned(),
                        ("iq", false) => "iq stanzas that ask".to_owned(),
                        _ => format!("{kind} stanzas"),
                    };
                    let widens = permission == Permission::StanzaSend && kind == "iq" && to.is_none();
                    Part { widens, ..part(Target::Stanza { kind, to }, Some(entry), words) }
                };
                kinds.iter().map(of).collect()
            }
            _ => vec![part(Target::None, None, String::new())],
        };
        self.put(permission, &parts, judge)
    }

    /// Returns the answer, restricted to encrypted messages if the grant leaves out some that are not.
    fn as_encrypted(&self, answer: Answer, judge: &dyn Judge) -> Answer {
        let Some(permission) = answer.permission.filter(|_| answer.outcome == Outcome::Yes) else { return answer };
        let Some(scope) = judge.scope(permission).filter(Scope::leaves_plain_out) else { return answer };
        let plain = |(chat, words): (Jid, String)| Part {
            decision: judge.decide(Use::Call(permission, Target::Message { chat: &chat, is_encrypted: false })),
            entry: Some(chat.to_string()),
            widens: false,
            words,
        };
        let parts: Vec<_> = match &self.about {
            Some(jid) => conversations(jid, judge).into_iter().map(plain).collect(),
            None if scope.includes(&Scope::whole(scope.kind())) => Vec::new(),
            None => {
                let decision = Some(Decision::OutOfScope(permission));
                vec![Part { decision, entry: None, widens: false, words: String::new() }]
            }
        };
        if parts.iter().all(Part::is_allowed) {
            return answer;
        }
        let reason = format!("{}; messages that were not encrypted are left out", answer.reason);
        Answer { outcome: Outcome::Partly, reason, lacks: Some((permission, change(permission, &parts))), ..answer }
    }

    /// Phrases the decisions as an answer.
    fn put(&self, permission: Permission, parts: &[Part], judge: &dyn Judge) -> Answer {
        let scope = judge.scope(permission);
        let list = scope.as_ref().map(|scope| shown(&scope.entries())).unwrap_or_default();
        let kind = permission.scope_kind();
        let counts = matches!(kind, ScopeKind::Jids | ScopeKind::Messages | ScopeKind::Rooms)
            || permission == Permission::StanzaSend;
        let about = self.about.as_ref().filter(|_| counts);
        let shown_about = about.map(|jid| escape_untrusted(jid.as_str(), usize::MAX)).unwrap_or_default();
        let lacks = || Some((permission, change(permission, parts)));
        let with = |outcome, reason: String, lacks: Option<_>| {
            let is_risky = lacks.is_some() && offered(parts).iter().any(|part| part.widens);
            let less = if about.is_none() { "; name an address to ask for less" } else { "" };
            let reason = if is_risky { format!("{reason}; {RISK}{less}") } else { reason };
            Answer { outcome, permission: Some(permission), reason, lacks }
        };
        let names_contacts = scope.as_ref().is_some_and(Scope::names_contacts);
        let is_not_granted = |part: &Part| matches!(part.decision, Some(Decision::NotGranted(_)));
        if scope.is_none() || parts.iter().all(is_not_granted) {
            return with(Outcome::No, format!("it needs {permission}, which is not granted"), lacks());
        }
        if parts.iter().all(Part::is_allowed) {
            let granted = if list.is_empty() { String::new() } else { format!(" for {list}") };
            let contact = match about {
                Some(jid) if names_contacts && judge.is_contact(&jid.to_bare()) == Some(true) => {
                    format!(", and {shown_about} is a contact")
                }
                _ => String::new(),
            };
            return with(Outcome::Yes, format!("it needs {permission}, which is granted{granted}{contact}"), None);
        }
        if parts.iter().any(|part| part.decision.is_none()) {
            let reason = format!(
                "{permission} covers {list}, and only a connected host knows whether {shown_about} is a contact"
            );
            return with(Outcome::Unknown, reason, lacks());
        }
        let Some(about) = about else {
            let more = ask_for_address(kind);
            return with(
                Outcome::Partly,
                format!("it needs {permission}, which is granted only for {list}{more}"),
                None,
            );
        };
        let (allowed, denied): (Vec<_>, Vec<_>) = parts.iter().partition(|part| part.is_allowed());
        if !allowed.is_empty() {
            let words = |parts: &[&Part]| {
                parts.iter().map(|part| escape_untrusted(&part.words, usize::MAX)).collect::<Vec<_>>().join(" and ")
            };
            let reason =
                format!("{permission} covers {list}, and with that {}, not {}", words(&allowed), words(&denied));
            return with(Outcome::Partly, reason, lacks());
        }
        if kind == ScopeKind::Stanzas {
            let reason = format!("{permission} covers {list}, and nothing of that kind to {shown_about}");
            return with(Outcome::No, reason, lacks());
        }
        // Chat events carry the bare address only.
        let bare = about.to_bare();
        let judged = match parts {
            [Part { entry: Some(entry), .. }] if *entry == bare.as_str() && !about.is_bare() => {
                format!("{bare}, by whose bare address it is decided")
            }
            _ => shown_about,
        };
        let reason = if names_contacts && judge.added(&bare) {
            format!(
                "{permission} covers {list}, and {judged} is one that the plugin added itself, which does not count"
            )
        } else if names_contacts && matches!(kind, ScopeKind::Jids | ScopeKind::Messages) {
            format!("{permission} covers {list}, and {judged} is none")
        } else {
            format!("{permission} covers {list}, not {judged}")
        };
        with(Outcome::No, reason, lacks())
    }
}

/// Returns the hint to name an address, if the address would decide.
fn ask_for_address(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Jids | ScopeKind::Messages | ScopeKind::Rooms => "; name an address to ask about it",
        ScopeKind::None
        | ScopeKind::Stanzas
        | ScopeKind::Quota
        | ScopeKind::Servers
        | ScopeKind::Files
        | ScopeKind::Namespaces
        | ScopeKind::Plugins
        | ScopeKind::Nodes => "",
    }
}

/// Returns the addresses that messages with this address are about, each with a description. As in `About::of`: in a
/// chat the other side's bare address, in a room the room's, and for a private message of an occupant the occupant's.
fn conversations(jid: &Jid, judge: &dyn Judge) -> Vec<(Jid, String)> {
    let bare = jid.to_bare();
    let is_room = if jid.is_bare() { Some(false) } else { judge.state().map(|state| state.room(&bare).is_some()) };
    let with_all = || (bare.clone().into(), format!("what is said to all of {bare}"));
    let alone = || (jid.clone(), format!("what {jid} says to this account alone"));
    match is_room {
        Some(true) => vec![with_all(), alone()],
        Some(false) => vec![(bare.into(), String::new())],
        None => vec![(bare.clone().into(), format!("what is about {bare}")), alone()],
    }
}

/// Returns an event that needs this permission, if no call does: its scope then lists the targets of events.
fn of_events_alone(permission: Permission) -> Option<&'static EventRule> {
    let is_called = CALLS.iter().chain(BESIDES).any(|call| call.permission == Some(permission));
    EVENTS.iter().find(|rule| !is_called && rule.permission == Some(permission) && rule.payload == "message")
}

/// Returns the denied parts that the answer offers the owner to allow. A part whose entry covers more than the question
/// is offered only if no other part is left.
fn offered(parts: &[Part]) -> Vec<&Part> {
    let (wide, narrow): (Vec<_>, Vec<_>) = parts.iter().filter(|part| !part.is_allowed()).partition(|part| part.widens);
    if narrow.is_empty() { wide } else { narrow }
}

/// Returns the grant that would cover the offered parts.
fn change(permission: Permission, parts: &[Part]) -> GrantChange {
    let offered = offered(parts).into_iter();
    let Some(entries) = offered.map(|part| part.entry.clone()).collect::<Option<Vec<_>>>() else {
        return GrantChange::Whole;
    };
    let scope = |entry: &String| Scope::parse(permission.scope_kind(), &[entry]).ok();
    let covers = |wide: &String, one: &String| {
        wide != one && scope(wide).zip(scope(one)).is_some_and(|(wide, one)| wide.includes(&one))
    };
    let mut needed: Vec<String> = Vec::new();
    for entry in &entries {
        if !needed.contains(entry) && !entries.iter().any(|wide| covers(wide, entry)) {
            needed.push(entry.clone());
        }
    }
    GrantChange::Targets(needed)
}

fn free(reason: &str) -> Answer {
    Answer { outcome: Outcome::Yes, permission: None, reason: reason.to_owned(), lacks: None }
}

fn undeclared(permission: Permission, judge: &dyn Judge) -> Answer {
    let reason = if judge.scope(permission).is_some() {
        format!(
            "it needs {permission}, which is granted, but the plugin does not ask for it in its manifest, so it does not get it"
        )
    } else {
        format!("it needs {permission}, which the plugin does not ask for in its manifest, so that no grant would help")
    };
    Answer { outcome: Outcome::No, permission: Some(permission), reason, lacks: None }
}

/// Returns whether an entry that covers more than one address is granted as it is.
fn entry(permission: Permission, wanted: &Scope, judge: &dyn Judge) -> Answer {
    let list = shown(&wanted.entries());
    let lacks = || Some((permission, GrantChange::Entries(wanted.entries())));
    let with = |outcome, reason, lacks| Answer { outcome, permission: Some(permission), reason, lacks };
    let Some(granted) = judge.scope(permission) else {
        return with(Outcome::No, format!("{permission} is not granted"), lacks());
    };
    let held = shown(&granted.entries());
    if wanted.is_by_name() && granted.spans(wanted) {
        return by_name(permission, wanted, &granted, &held);
    }
    if granted.includes(wanted) {
        let reason = format!("{permission} is granted for {held}");
        return match uncovered_self(&granted, wanted, judge) {
            Some(own) => {
                let reason =
                    format!("{reason}, which covers no IQ to {own}, the account itself; only iq does, and {RISK}");
                with(Outcome::Partly, reason, None)
            }
            None => with(Outcome::Yes, reason, None),
        };
    }
    let (outcome, reason) = match granted.shares(wanted) {
        Some(true) => (Outcome::Partly, format!("which does not cover all of {list}")),
        Some(false) => (Outcome::No, format!("which covers nothing of {list}")),
        None => (Outcome::Unknown, format!("and who is covered by both that and {list} depends on the contact list")),
    };
    with(outcome, format!("{permission} is granted for {held}, {reason}"), lacks())
}

/// Returns the account's own address, if the wanted scope includes it and the granted one does not. An IQ to that
/// address can do whatever the account's owner can, so no entry with a recipient covers it.
fn uncovered_self(granted: &Scope, wanted: &Scope, judge: &dyn Judge) -> Option<BareJid> {
    let covers = |scope: &Scope, to: Option<&Jid>| scope.covers(Target::Stanza { kind: "iq", to }, &|_| false);
    judge.own().into_iter().find(|own| covers(wanted, Some(own)) && !covers(granted, None))
}

/// Returns whether several entries are granted, each as a separate question.
fn entries(permission: Permission, each: &[Question], judge: &dyn Judge) -> Answer {
    let answers: Vec<_> = each.iter().map(|one| (one, one.answer(judge))).collect();
    let all = |outcome| answers.iter().all(|(_, answer)| answer.outcome == outcome);
    let outcome = [Outcome::Yes, Outcome::No, Outcome::Unknown].into_iter().find(|outcome| all(*outcome));
    let open: Vec<_> = answers.iter().filter(|(_, answer)| answer.outcome != Outcome::Yes).collect();
    let reason = match open.first() {
        None => {
            let granted = judge.scope(permission).map(|scope| shown(&scope.entries())).unwrap_or_default();
            format!("{permission} is granted for {granted}")
        }
        Some((one, answer)) => format!("{}: {}, {}", one.words(), answer.outcome, answer.reason),
    };
    let lacking = |(_, answer): &(&Question, Answer)| match &answer.lacks {
        Some((_, GrantChange::Targets(entries) | GrantChange::Entries(entries))) => Some(entries.clone()),
        Some((_, GrantChange::Whole | GrantChange::Room(_))) | None => None,
    };
    let lacks = open.iter().map(|one| lacking(one)).collect::<Option<Vec<_>>>();
    let lacks = lacks.map(|all| all.concat()).filter(|all| !all.is_empty());
    Answer {
        outcome: outcome.unwrap_or(Outcome::Partly),
        permission: Some(permission),
        reason,
        // Each entry passed its own check, and is what the owner named.
        lacks: lacks.map(|entries| (permission, GrantChange::Entries(entries))),
    }
}

/// Joins entries into a list for people.
fn shown(entries: &[String]) -> String {
    entries.iter().map(|entry| escape_untrusted(entry, usize::MAX)).collect::<Vec<_>>().join(", ")
}
