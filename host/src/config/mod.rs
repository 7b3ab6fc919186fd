//! The owner's files. Written elsewhere at the same time; this stub has the fields that the session reads.

use jid::BareJid;

/// A room to enter on connecting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "stub")]
pub struct AutoJoin {
    pub jid: BareJid,
    pub nick: Option<String>,
}

/// The host's settings for one account.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "stub")]
#[expect(clippy::struct_excessive_bools, reason = "stub")]
pub struct Settings {
    pub auto_join_rooms: Vec<AutoJoin>,
    pub nickname: Option<String>,
    pub muc_nickname_from_jid: bool,
    pub priority: i8,
    pub default_state: String,
    pub allow_non_roster_messaging: bool,
    pub allow_muc: bool,
    pub muc_instant_rooms: bool,
    pub muc_history_max_stanzas: Option<u32>,
    pub message_carbons: bool,
    pub auto_join_private_chats: Vec<BareJid>,
    pub auto_join_on_invite: bool,
    pub auto_subscribe: bool,
    pub allow_contact_requests: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auto_join_rooms: Vec::new(),
            nickname: None,
            muc_nickname_from_jid: false,
            priority: 0,
            default_state: "online".to_owned(),
            allow_non_roster_messaging: false,
            allow_muc: true,
            muc_instant_rooms: true,
            muc_history_max_stanzas: None,
            message_carbons: true,
            auto_join_private_chats: Vec::new(),
            auto_join_on_invite: false,
            auto_subscribe: false,
            allow_contact_requests: true,
        }
    }
}
