//! The rooms of `auto_join_rooms`. Where their passwords are stands apart, in `room_passwords.rs`.

use jid::BareJid;
use serde::Deserialize;

/// A room that the account enters when it connects.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenRoom")]
pub struct AutoJoin {
    /// The address of the room.
    pub jid: BareJid,
    /// The nickname there; none = the account's.
    pub nick: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenRoom {
    Jid(String),
    Room { jid: String, nick: Option<String> },
}

impl TryFrom<WrittenRoom> for AutoJoin {
    type Error = jid::Error;

    fn try_from(written: WrittenRoom) -> Result<Self, jid::Error> {
        let (jid, nick) = match written {
            WrittenRoom::Jid(jid) => (jid, None),
            WrittenRoom::Room { jid, nick } => (jid, nick),
        };
        Ok(Self { jid: BareJid::new(&jid)?, nick })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn rooms_are_jids_or_tables() {
        let rooms = json!(["Lobby@conference.example.org", { "jid": "den@conference.example.org", "nick": "bot" }]);
        let settings = Settings::default().with("auto_join_rooms", rooms).unwrap();
        let room =
            |jid, nick: Option<&str>| AutoJoin { jid: BareJid::new(jid).unwrap(), nick: nick.map(str::to_owned) };
        assert_eq!(
            settings.auto_join_rooms,
            [room("lobby@conference.example.org", None), room("den@conference.example.org", Some("bot"))]
        );
    }
}
