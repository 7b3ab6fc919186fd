//! Why occupants leave rooms, as the rooms say it (XEP-0045, sections 7.14, 8.2, 9.1 and 15.6).

use parlor_stanza::types::MucUser;

use crate::records::occupant::Occupant;

/// Maximum length of a reason that is kept, in bytes.
pub(super) const MAX_REASON: usize = 4_096;
// The meanings of a room's status codes (XEP-0045, section 15.6).
const BANNED: u16 = 301;
const KICKED: u16 = 307;
const NOT_A_MEMBER: u16 = 321;
const MEMBERS_ONLY: u16 = 322;
const SHUTDOWN: u16 = 332;
const TROUBLE: u16 = 333;
/// Not standardised: Prosody's `mod_ping_muc` sends it in the room's name when the room's server is unreachable.
const UNREACHABLE: u16 = 330;
/// The beginning of Openfire's reason for removing someone whose client did not answer a ping, as during a lost connection.
const UNANSWERED: &str = "User seems to be unreachable";
/// The beginning of Openfire's reason for removing someone who was silent for longer than its administrator allows.
const SILENT: &str = "User exceeded idle time limit";
/// The beginning of the reason with which older clusters of Tigase kick everyone in the rooms of a node that is gone.
const NODE_GONE: &str = "MUC component is disconnected";
/// The words in the status with which ejabberd and `MongooseIM` remove someone for whom a server returned a message.
const RETURNED: [&str; 2] = ["sent an error", "kicked"];

impl Occupant {
    /// Marks the occupant as gone, with the room's information: someone who was banned is an outcast now. The previous
    /// presence is dropped, and the last status is that of the unavailable presence (XEP-0045, section 7.14).
    pub(super) fn went(&mut self, muc: &MucUser, status: Option<String>) {
        self.left = Some(why_left(muc, status.as_deref()));
        self.reason = kept_reason(muc, status.as_deref());
        self.actor.clone_from(&muc.actor);
        self.card = None;
        self.show = None;
        self.status = status;
        if !muc.affiliation.is_empty() {
            self.affiliation.clone_from(&muc.affiliation);
        }
    }
}

/// Returns why someone left, in the words of the contract.
pub(super) fn why_left(muc: &MucUser, status: Option<&str>) -> &'static str {
    let has = |code| muc.status.contains(&code);
    if muc.destroyed.is_some() {
        "destroyed"
    } else if has(BANNED) {
        "banned"
    } else if has(TROUBLE) || has(UNREACHABLE) || is_taken_for_gone(muc, status) {
        // The first code is sent together with 307, which older clients know.
        "error"
    } else if has(SHUTDOWN) || is_by_service(muc, NODE_GONE) {
        // Spectrum sends this code together with 307, too.
        "shutdown"
    } else if has(KICKED) {
        "kicked"
    } else if has(NOT_A_MEMBER) {
        "affiliation"
    } else if has(MEMBERS_ONLY) {
        "members-only"
    } else {
        "left"
    }
}

/// Returns whether the service removed someone by itself, because it believes that they are not there any more. If the room
/// names a moderator, that one removed them: people choose their own status, and may write the same words.
fn is_taken_for_gone(muc: &MucUser, status: Option<&str>) -> bool {
    let says_so = muc.reason.as_deref().is_some_and(|reason| reason.starts_with(UNANSWERED))
        || status.is_some_and(|status| RETURNED.iter().all(|words| status.contains(words)));
    says_so && muc.actor.is_none()
}

/// Returns the reason as text. After an error, a service may give it as the status if there is no reason.
pub(super) fn kept_reason(muc: &MucUser, status: Option<&str>) -> Option<String> {
    let of_trouble = status.filter(|_| why_left(muc, status) == "error");
    let reason = muc.reason.as_deref().or(of_trouble)?;
    Some(reason[..reason.floor_char_boundary(MAX_REASON)].to_owned())
}

/// Returns whether the service removed someone by itself because they were silent, which is no kick by a person. The lack of an
/// actor alone does not tell: a room need not name the moderator (XEP-0045, section 8.2).
pub(super) fn is_for_silence(muc: &MucUser) -> bool {
    muc.status.contains(&KICKED) && is_by_service(muc, SILENT)
}

/// Returns whether the reason begins with these words of a service, and the room names no moderator who may have written them.
fn is_by_service(muc: &MucUser, words: &str) -> bool {
    muc.actor.is_none() && muc.reason.as_deref().is_some_and(|reason| reason.starts_with(words))
}
