//! Devices with OMEMO by the host's own library, for attacks and measurements: if many messages or broken ones are
//! needed, an independent client is too slow, or too honest. They speak the older namespace, as most clients do.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parlor_e2ee::omemo::{
    Bundle, BundleParts, Device as Keys, DeviceId, Effort, Keep, KeyMessage, Prekeys, Session, Version, payload,
    receive, start,
};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element;

use crate::client::Client;
use crate::counterparts::{AXOLOTL, SOON};

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";

/// A device of a person, and its session with one device of the host's account.
pub struct Device {
    keys: Keys,
    /// The id that it writes into its messages.
    id: u32,
    /// The other device, with the session once there is one.
    other: Option<(u32, Option<Session>)>,
}

impl Device {
    /// Makes a new device.
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let keys = Keys::generate(&mut rand::rng(), now);
        let id = keys.id().get();
        Self { keys, id, other: None }
    }

    /// Makes a new device that says it is the one with this id.
    pub fn posing_as(id: u32) -> Self {
        Self { id, ..Self::new() }
    }

    /// Returns the id that it gives itself.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Returns its fingerprint, 64 digits.
    pub fn fingerprint(&self) -> String {
        self.keys.fingerprint().to_hex()
    }

    /// Returns what it publishes, in parts that may be changed.
    pub fn parts(&self) -> BundleParts {
        self.keys.bundle(Version::Axolotl).parts()
    }

    /// Begins a session with the device that published this.
    pub fn meet(&mut self, id: u32, bundle: &Element) -> Result<()> {
        let bundle = Bundle::parse(Version::Axolotl, &read_bundle(bundle)?).context("not a bundle")?;
        let session = start(&self.keys, &bundle, &mut rand::rng()).context("no session can begin")?;
        self.other = Some((id, Some(session)));
        Ok(())
    }

    /// Returns the element of a message with this text.
    pub fn write(&mut self, text: &str) -> Result<String> {
        let Some((other, Some(session))) = &mut self.other else { bail!("there is no session") };
        let payload = payload::encrypt(Version::Axolotl, text.as_bytes(), &mut rand::rng());
        let key = session.encrypt(&payload.key).context("it cannot be encrypted")?;
        let iv = payload.iv.context("the older namespace has a vector")?;
        Ok(encrypted(self.id, *other, &key, &iv, Some(&payload.body)))
    }

    /// Reads the element of a message: its text, or nothing where it carries only the session on.
    pub fn read(&mut self, encrypted: &Element) -> Result<Option<String>> {
        let header = encrypted.get_child("header", AXOLOTL).context("no header")?;
        let own = self.id.to_string();
        let key =
            header.children().find(|one| one.attr("rid") == Some(own.as_str())).context("no key for this device")?;
        let prekey = matches!(key.attr("prekey"), Some("true" | "1"));
        let message = KeyMessage { prekey, bytes: bytes(key)? };
        let session = self.other.as_ref().and_then(|(_, session)| session.as_ref());
        let received = receive(
            &self.keys,
            session,
            (Version::Axolotl, Prekeys::Fresh),
            &message,
            &mut Effort::of_one_stanza(),
            &mut rand::rng(),
        )?;
        if let Some((used, _)) = received.used_prekey {
            self.keys.use_prekey(used, Keep::No);
        }
        let sender = header.attr("sid").context("no sender")?.parse()?;
        self.other = Some((sender, Some(received.session)));
        let Some(payload) = encrypted.get_child("payload", AXOLOTL) else { return Ok(None) };
        let iv = bytes(header.get_child("iv", AXOLOTL).context("no vector")?)?;
        let plain = payload::decrypt(Version::Axolotl, &bytes(payload)?, Some(&iv), &received.plain)?;
        Ok(Some(String::from_utf8(plain.to_vec())?))
    }
}

impl Default for Device {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes the element of a message for one device.
pub fn encrypted(sender: u32, to: u32, key: &KeyMessage, iv: &[u8], payload: Option<&[u8]>) -> String {
    let prekey = if key.prekey { " prekey='true'" } else { "" };
    let payload = payload.map(|body| format!("<payload>{}</payload>", BASE64_STANDARD.encode(body)));
    format!(
        "<encrypted xmlns='{AXOLOTL}'><header sid='{sender}'><key rid='{to}'{prekey}>{}</key><iv>{}</iv></header>{}\
         </encrypted>",
        BASE64_STANDARD.encode(&key.bytes),
        BASE64_STANDARD.encode(iv),
        payload.unwrap_or_default()
    )
}

/// Writes a list of devices.
pub fn list(devices: impl IntoIterator<Item = u32>) -> String {
    let devices = devices.into_iter().fold(String::new(), |mut text, id| {
        // Writing to a string cannot fail.
        let _ = write!(text, "<device id='{id}'/>");
        text
    });
    format!("<list xmlns='{AXOLOTL}'>{devices}</list>")
}

/// Writes what a device publishes.
pub fn bundle(parts: &BundleParts) -> String {
    let BundleParts { signed_prekey_id, signed_prekey, signature, identity_key, prekeys } = parts;
    let encode = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    let prekeys: Vec<_> = prekeys
        .iter()
        .map(|(id, key)| format!("<preKeyPublic preKeyId='{id}'>{}</preKeyPublic>", encode(key)))
        .collect();
    format!(
        "<bundle xmlns='{AXOLOTL}'><signedPreKeyPublic signedPreKeyId='{signed_prekey_id}'>{}</signedPreKeyPublic>\
         <signedPreKeySignature>{}</signedPreKeySignature><identityKey>{}</identityKey><prekeys>{}</prekeys></bundle>",
        encode(signed_prekey),
        encode(signature),
        encode(identity_key),
        prekeys.concat()
    )
}

/// Reads what a device published.
pub fn read_bundle(bundle: &Element) -> Result<BundleParts> {
    let child = |name: &str| bundle.get_child(name, AXOLOTL).with_context(|| format!("a bundle without {name}"));
    let signed = child("signedPreKeyPublic")?;
    let mut prekeys = Vec::new();
    for key in child("prekeys")?.children() {
        prekeys.push((number(key, "preKeyId")?, bytes(key)?));
    }
    Ok(BundleParts {
        signed_prekey_id: number(signed, "signedPreKeyId")?,
        signed_prekey: bytes(signed)?,
        signature: bytes(child("signedPreKeySignature")?)?,
        identity_key: bytes(child("identityKey")?)?,
        prekeys,
    })
}

fn number(element: &Element, name: &str) -> Result<u32> {
    Ok(element.attr(name).with_context(|| format!("no {name}"))?.parse()?)
}

fn bytes(element: &Element) -> Result<Vec<u8>> {
    BASE64_STANDARD.decode(element.text().trim()).context("not base64")
}

/// Publishes the devices of a person, so that everybody can read them.
pub async fn publish(client: &mut Client, devices: &[Device]) -> Result<()> {
    let list = list(devices.iter().map(Device::id));
    put(client, &format!("{AXOLOTL}.devicelist"), &list).await?;
    for device in devices {
        put(client, &format!("{AXOLOTL}.bundles:{}", device.id()), &bundle(&device.parts())).await?;
    }
    Ok(())
}

async fn put(client: &mut Client, node: &str, payload: &str) -> Result<()> {
    let field = |name: &str, value: &str| format!("<field var='{name}'><value>{value}</value></field>");
    let form = field("FORM_TYPE", &format!("{PUBSUB}#publish-options")) + &field("pubsub#access_model", "open");
    let request: Element = format!(
        "<pubsub xmlns='{PUBSUB}'><publish node='{node}'><item id='current'>{payload}</item></publish>\
         <publish-options><x xmlns='jabber:x:data' type='submit'>{form}</x></publish-options></pubsub>"
    )
    .parse()?;
    client.ask(Iq::Set { from: None, to: None, id: String::new(), payload: request }, SOON).await.map(drop)
}

/// Fetches the devices of an account, each with its bundle.
pub async fn fetch(client: &mut Client, account: &jid::BareJid) -> Result<Vec<(u32, Element)>> {
    let list = get(client, account, &format!("{AXOLOTL}.devicelist")).await?;
    let mut devices = Vec::new();
    for device in list.children() {
        let id = number(device, "id")?;
        DeviceId::new(id).context("not the id of a device")?;
        devices.push((id, get(client, account, &format!("{AXOLOTL}.bundles:{id}")).await?));
    }
    Ok(devices)
}

async fn get(client: &mut Client, account: &jid::BareJid, node: &str) -> Result<Element> {
    let request: Element = format!("<pubsub xmlns='{PUBSUB}'><items node='{node}'/></pubsub>").parse()?;
    let to = Some(account.clone().into());
    let answer = client.ask(Iq::Get { from: None, to, id: String::new(), payload: request }, SOON).await?;
    let item = answer.as_ref().and_then(|answer| answer.get_child("items", PUBSUB)?.get_child("item", PUBSUB));
    item.and_then(|item| item.children().next()).cloned().with_context(|| format!("{node} of {account} is empty"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_devices_read_each_other() {
        let (mut juliet, mut bot) = (Device::new(), Device::new());
        let published: Element = bundle(&bot.parts()).parse().unwrap();
        juliet.meet(bot.id(), &published).unwrap();
        for text in ["one", "two"] {
            let written: Element = juliet.write(text).unwrap().parse().unwrap();
            assert_eq!(bot.read(&written).unwrap().as_deref(), Some(text));
            assert!(bot.read(&written).is_err(), "it came twice");
        }
        let answer: Element = bot.write("three").unwrap().parse().unwrap();
        assert_eq!(juliet.read(&answer).unwrap().as_deref(), Some("three"));
    }
}
