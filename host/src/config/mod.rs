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

impl Settings {
    /// The same with another value.
    #[expect(clippy::needless_pass_by_value, reason = "stub")]
    pub fn with(&self, key: &str, value: serde_json::Value) -> Result<Self, String> {
        let mut new = self.clone();
        let wrong = || format!("{key} cannot be {value}");
        let jid = |value: &serde_json::Value| BareJid::new(value.as_str().unwrap_or_default()).map_err(|_| wrong());
        let text = || value.as_str().map(str::to_owned).ok_or_else(wrong);
        let truth = || value.as_bool().ok_or_else(wrong);
        let list = || value.as_array().ok_or_else(wrong);
        match key {
            "allow_contact_requests" => new.allow_contact_requests = truth()?,
            "allow_muc" => new.allow_muc = truth()?,
            "allow_non_roster_messaging" => new.allow_non_roster_messaging = truth()?,
            "auto_join_on_invite" => new.auto_join_on_invite = truth()?,
            "auto_subscribe" => new.auto_subscribe = truth()?,
            "default_state" => new.default_state = text()?,
            "muc_instant_rooms" => new.muc_instant_rooms = truth()?,
            "muc_nickname_from_jid" => new.muc_nickname_from_jid = truth()?,
            "nickname" => new.nickname = Some(text()?),
            "priority" => {
                new.priority = value.as_i64().and_then(|value| value.try_into().ok()).ok_or_else(wrong)?;
            }
            "auto_join_private_chats" => {
                new.auto_join_private_chats = list()?.iter().map(jid).collect::<Result<_, _>>()?;
            }
            "auto_join_rooms" => {
                let room = |value: &serde_json::Value| {
                    let nick = value["nick"].as_str().map(str::to_owned);
                    jid(&value["jid"]).map(|jid| AutoJoin { jid, nick })
                };
                new.auto_join_rooms = list()?.iter().map(room).collect::<Result<_, _>>()?;
            }
            _ => return Err(wrong()),
        }
        Ok(new)
    }
}
