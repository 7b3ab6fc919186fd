//! The kinds of lines that a test may have, for `--help` and the documentation.

/// One kind of line, for `--help` and the documentation.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The keyword that identifies the line.
    pub word: &'static str,
    /// An example of the line.
    pub example: &'static str,
    /// The line's meaning.
    pub about: &'static str,
}

const fn row(word: &'static str, example: &'static str, about: &'static str) -> Row {
    Row { word, example, about }
}

/// The steps that may happen, written at the left margin.
pub const STEPS: [Row; 55] = [
    row("start", "start", "the plugin starts; else before the first step that needs it"),
    row("says", "alice: hello", "alice writes to the plugin; a bar begins further lines"),
    row("says", "garden/alice: hello", "alice writes in a room; a name with spaces stands in quotes"),
    row("says", "alice (omemo): hello", "the same, encrypted; likewise `otr`"),
    row("says", "alice (omemo, trusted): hello", "by a device that is trusted, blind, undecided or distrusted"),
    row("whispers:", "garden/alice whispers: hello", "alice writes from the room to the account alone"),
    row("reacts", "alice reacts 👍 to \"Pizza\"", "to the last message that begins so; nothing = none any more"),
    row("reacts", "alice reacts 👍 to 1st \"Pizza\"", "to the first, 2nd, 3rd that does; `\\u{a}` is a line break"),
    row("replies", "alice replies to \"Pizza\": yes", "alice answers it, and quotes it as clients do"),
    row("corrects", "garden/alice corrects \"helo\": hello", "and says something of hers in other words"),
    row("retracts", "alice retracts \"helo\"", "and takes something of hers back"),
    row("form", "alice opens the form roll", "alice's client begins a declared command as a form"),
    row("fills", "alice fills in sides with 6", "in a field of the page; nothing behind `with` empties it"),
    row("form", "alice sends the form", "it goes on to the next page, or the command is carried out"),
    row("form", "alice sends the form again", "the last step comes twice, as it was"),
    row("form", "bob sends the form of alice", "bob tries to go on with it in her place"),
    row("form", "alice goes back in the form", "to the page before"),
    row("form", "alice cancels the form", "and the plugin hears nothing of it"),
    row("enters", "garden/alice enters", "alice enters the room"),
    row("leaves", "garden/alice leaves", "and leaves it"),
    row("is", "alice is away: at lunch", "online, offline, away, xa, dnd or chat"),
    row("rank", "garden/alice is admin", "or owner, member, none, outcast, moderator, visitor"),
    row("called", "garden/alice is now called al", "alice takes another nickname in the room"),
    row("invites", "alice invites to garden: come", "alice invites the account to a room"),
    row("asks", "alice asks to be a contact", "alice asks to see the account's presence"),
    row("after", "after 10 min", "time goes by: ms, s, min, h, d"),
    row("set", "set greeting = \"Hello\"", "a setting of the plugin, before the start or while it runs"),
    row("deny", "deny messages.send", "a permission is withheld, or taken back"),
    row("grant", "grant messages.send = [\"contacts\"]", "it is granted, for what is asked for or for less"),
    row("contact", "contact alice", "alice is in the roster"),
    row("restart", "restart", "the plugin ends and starts again; what it stores stays"),
    row("cut", "cut", "the connection breaks"),
    row("back", "back", "and is there again: what happened meanwhile comes then"),
    row("and", "and garden/alice: hello", "it happens at once with the step above, before the plugin acts"),
    row("kicks", "garden/alice kicks bot: spam", "the plugin's account is put out of the room"),
    row("bans", "garden/alice bans bot", "and cannot come back"),
    row("is", "garden is destroyed: moved", "the room is gone, and everybody is out of it"),
    row(
        "bounces",
        "alice bounces \"hello\": item-not-found",
        "what the plugin wrote to alice comes back with an error",
    ),
    row(
        "answers:",
        "alice answers: <query xmlns='jabber:iq:version'><name>x</name></query>",
        "alice answers such an IQ with this; without, it is refused",
    ),
    row("GET", "GET https://api.example.org/x answers 200 {\"a\":1}", "such requests are answered so from here on"),
    row("GET", "GET https://api.example.org/x answers 304 with etag: v1", "the same with headers, before a body"),
    row("GET", "GET https://api.example.org/x is unreachable", "nobody answers, as for all that no line names"),
    row("POST", "POST github {\"zen\":\"x\"}", "a verified request comes to the webhook github of the plugin"),
    row("POST", "POST github with x-github-event: push {\"ref\":\"x\"}", "with a header that the manifest lists"),
    row("restart", "restart host", "the host ends and starts again, and logs in anew"),
    row(
        "xml",
        "xml <iq type='get' id='1' from='alice@example.org/home'><ping xmlns='urn:xmpp:ping'/></iq>",
        "an IQ as well",
    ),
    row("xml", "xml <message from='alice@example.org/home'><body>hi</body></message>", "any stanza"),
    row("==", "== it answers", "a test begins, with what it shows"),
    row("room", "room garden: alice, bob", "at the top: the account is in this room, and they are"),
    row("room", "room garden: alice (admin), bob", "and alice is an admin of it, or whatever else she may be"),
    row("room", "room garden, anonymous: alice", "and it hides addresses; the account is no moderator then"),
    row("room", "room garden, retracting: alice", "and it retracts messages of others, which other rooms do not"),
    row("no", "no archive", "at the top: neither the account nor a room has an archive"),
    row("clock", "clock 2026-03-01T09:00:00Z", "at the top: what time it is"),
    row("host", "host nickname = \"Marvin\"", "at the top: a setting of the host"),
];

/// The expected actions of the plugin, written indented.
pub const ACTIONS: [Row; 33] = [
    row("to", "to alice: hello", "it writes to alice; a bar begins further lines"),
    row("to", "to garden: hello", "it writes in a room; to garden/alice: to one alone"),
    row("to", "to alice (re \"hello\"): hi", "a reply to what begins so"),
    row("to", "to garden (instead of \"helo\"): hello", "a correction"),
    row("to", "to alice (👍 for \"hello\")", "a reaction; `nothing for`: it takes them back"),
    row("to", "to alice (received \"hello\")", "a receipt; a marker likewise, such as displayed"),
    row("to", "to alice (composing)", "a chat state; likewise another kind: normal, headline"),
    row("subject", "subject of garden: tea", "it sets a room's subject"),
    row("enters", "enters garden as bot", "it enters a room; leaves garden"),
    row("invites", "invites alice to garden", "it invites somebody to a room"),
    row("kicks", "kicks garden/alice: spam", "likewise bans, and makes garden/alice moderator"),
    row("retracts", "retracts \"spam\" in garden: rude", "it has a room retract a message of somebody"),
    row("gives", "gives voice to garden/alice", "likewise `refuses voice to …`, and `asks for voice in garden`"),
    row("blocks", "blocks alice", "the server lets nothing through from her; unblocks alice"),
    row("configures", "configures garden", "it configures a room, or destroys it"),
    row("is", "is away: at lunch", "the account's status changes"),
    row("keeps", "keeps contact alice \"Alice\"", "the roster changes; removes contact alice"),
    row("subscribe", "subscribe alice", "likewise subscribed, unsubscribe, unsubscribed"),
    row("asks", "asks alice: <query xmlns='jabber:iq:version'>", "it sends an IQ; tells, where it is a set"),
    row("requests", "requests GET https://api.example.org/x", "it asks a server of the web"),
    row("requests", "requests POST https://api.example.org/x: {\"a\":1}", "with what it sends"),
    row("answers", "answers github 200: {\"type\":1}", "it answers a request to its webhook, in the mode `answer`"),
    row(
        "form",
        "shows alice the form \"Rolls dice\": sides = 6, secret",
        "a page, with its fields; a bar begins what is wrong",
    ),
    row("form", "answers alice in the form: 4", "it answers there; or `fails in the form of alice: it failed`"),
    row("form", "goes on in the form of alice: rolling", "it is at work, and alice may send the form to look again"),
    row("form", "ends the form of alice", "alice has cancelled it"),
    row("form", "refuses the form of bob: bad-sessionid", "by a condition of XEP-0050 or of any request"),
    row("denied", "denied messages.send for alice", "it wanted to and may not"),
    row(
        "log",
        "log error: a handler of message failed: it went wrong",
        "an error that it logs; a warning: `log warn:`; nothing less",
    ),
    row("host", "host warns: mailbox full, events lost", "the host has something to say about it"),
    row("plugin", "plugin ends: it panicked* (glob)", "it ended by a mistake, and starts again"),
    row("glob", "to alice: you rolled * (glob)", "`*` is anything, further lines as well; `?` is one character"),
    row("nothing", "(nothing)", "may be written where it does nothing"),
];
