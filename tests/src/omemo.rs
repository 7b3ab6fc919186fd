//! Devices with OMEMO by the host's own library, for attacks and measurements: if many messages or broken ones are
//! needed, an independent client is too slow, or too honest. They speak the older namespace, as most clients do, unless a test says
//! otherwise.

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
/// The account that messages in the newer namespace are for. Those in the older one do not name it.
pub const ACCOUNT: &str = "bot@localhost";

/// A device of a person, and its session with one device of the host's account.
pub struct Device {
    keys: Keys,
    version: Version,
    /// The id that it writes into its messages.
    id: u32,
    /// The other device, with the session once there is one.
    other: Option<(u32, Option<Session>)>,
}

impl Device {
    /// Makes a new device that speaks the older namespace.
    pub fn new() -> Self {
        Self::of(Version::Axolotl)
    }

    /// Makes a new device that speaks this version.
    pub fn of(version: Version) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let keys = Keys::generate(&mut rand::rng(), now);
        let id = keys.id().get();
        Self { keys, version, id, other: None }
    }

    /// Makes a new device that says it is the one with this id.
    pub fn posing_as(version: Version, id: u32) -> Self {
        Self { id, ..Self::of(version) }
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
        self.keys.bundle(self.version).parts()
    }

    /// Begins a session with the device that published this.
    pub fn meet(&mut self, id: u32, bundle: &Element) -> Result<()> {
        let bundle = Bundle::parse(self.version, &read_bundle(bundle)?).context("not a bundle")?;
        let session = start(&self.keys, &bundle, &mut rand::rng()).context("no session can begin")?;
        self.other = Some((id, Some(session)));
        Ok(())
    }

    /// Returns the element of a message with this text.
    pub fn write(&mut self, text: &str) -> Result<String> {
        let Some((other, Some(session))) = &mut self.other else { bail!("there is no session") };
        let plain = match self.version {
            Version::Axolotl => text.to_owned(),
            Version::Omemo2 => envelope(text),
        };
        let payload = payload::encrypt(self.version, plain.as_bytes(), &mut rand::rng());
        let key = session.encrypt(&payload.key).context("it cannot be encrypted")?;
        Ok(encrypted(self.version, (self.id, *other), &key, payload.iv.as_ref(), Some(&payload.body)))
    }

    /// Reads the element of a message in the older namespace: its text, or nothing where it carries only the session on.
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

/// Writes the envelope of a text that has no characters of XML.
fn envelope(text: &str) -> String {
    let body = format!("<body xmlns='jabber:client'>{text}</body>");
    format!("<envelope xmlns='urn:xmpp:sce:1'><content>{body}</content><rpad>x</rpad></envelope>")
}

/// Writes the element of a message from one device to another.
pub fn encrypted(
    version: Version,
    (sender, to): (u32, u32),
    key: &KeyMessage,
    iv: Option<&[u8; 12]>,
    payload: Option<&[u8]>,
) -> String {
    let begins = match (key.prekey, version) {
        (false, _) => "",
        (true, Version::Axolotl) => " prekey='true'",
        (true, Version::Omemo2) => " kex='true'",
    };
    let key = format!("<key rid='{to}'{begins}>{}</key>", BASE64_STANDARD.encode(&key.bytes));
    let keys = match version {
        Version::Axolotl => key,
        Version::Omemo2 => format!("<keys jid='{ACCOUNT}'>{key}</keys>"),
    };
    let iv = iv.map(|iv| format!("<iv>{}</iv>", BASE64_STANDARD.encode(iv))).unwrap_or_default();
    let payload = payload.map(|body| format!("<payload>{}</payload>", BASE64_STANDARD.encode(body)));
    format!(
        "<encrypted xmlns='{version}'><header sid='{sender}'>{keys}{iv}</header>{}</encrypted>",
        payload.unwrap_or_default()
    )
}

/// Returns the node of the lists of devices.
pub fn list_node(version: Version) -> &'static str {
    match version {
        Version::Axolotl => "eu.siacs.conversations.axolotl.devicelist",
        Version::Omemo2 => "urn:xmpp:omemo:2:devices",
    }
}

/// Writes a list of devices.
pub fn list(version: Version, devices: impl IntoIterator<Item = u32>) -> String {
    let devices = devices.into_iter().fold(String::new(), |mut text, id| {
        // Writing to a string cannot fail.
        let _ = write!(text, "<device id='{id}'/>");
        text
    });
    list_of(version, &devices)
}

/// Writes a list with these elements.
pub fn list_of(version: Version, devices: &str) -> String {
    let element = match version {
        Version::Axolotl => "list",
        Version::Omemo2 => "devices",
    };
    format!("<{element} xmlns='{version}'>{devices}</{element}>")
}

/// The names in the bundle of a version: the signed prekey and its id, its signature, the identity key, a prekey and its id.
fn names(version: Version) -> [&'static str; 6] {
    match version {
        Version::Axolotl => {
            ["signedPreKeyPublic", "signedPreKeyId", "signedPreKeySignature", "identityKey", "preKeyPublic", "preKeyId"]
        }
        Version::Omemo2 => ["spk", "id", "spks", "ik", "pk", "id"],
    }
}

/// Writes what a device publishes.
pub fn bundle(version: Version, parts: &BundleParts) -> String {
    let [signed, signed_number, signed_by, identity, prekey, number] = names(version);
    let leaf = |name: &str, attribute: &str, bytes: &[u8]| {
        format!("<{name}{attribute}>{}</{name}>", BASE64_STANDARD.encode(bytes))
    };
    let numbered =
        |name: &str, attribute: &str, id: u32, bytes: &[u8]| leaf(name, &format!(" {attribute}='{id}'"), bytes);
    let prekeys: Vec<_> = parts.prekeys.iter().map(|(id, key)| numbered(prekey, number, *id, key)).collect();
    format!(
        "<bundle xmlns='{version}'>{}{}{}<prekeys>{}</prekeys></bundle>",
        numbered(signed, signed_number, parts.signed_prekey_id, &parts.signed_prekey),
        leaf(signed_by, "", &parts.signature),
        leaf(identity, "", &parts.identity_key),
        prekeys.concat()
    )
}

/// Reads what a device published.
pub fn read_bundle(bundle: &Element) -> Result<BundleParts> {
    let version = Version::of_namespace(&bundle.ns()).context("the bundle of another protocol")?;
    let [signed, signed_number, signed_by, identity, _, prekey_number] = names(version);
    let child = |name: &'static str| {
        bundle.get_child(name, version.namespace()).with_context(|| format!("a bundle without {name}"))
    };
    let signed = child(signed)?;
    let mut prekeys = Vec::new();
    for key in child("prekeys")?.children() {
        prekeys.push((number(key, prekey_number)?, bytes(key)?));
    }
    Ok(BundleParts {
        signed_prekey_id: number(signed, signed_number)?,
        signed_prekey: bytes(signed)?,
        signature: bytes(child(signed_by)?)?,
        identity_key: bytes(child(identity)?)?,
        prekeys,
    })
}

fn number(element: &Element, name: &str) -> Result<u32> {
    Ok(element.attr(name).with_context(|| format!("no {name}"))?.parse()?)
}

fn bytes(element: &Element) -> Result<Vec<u8>> {
    BASE64_STANDARD.decode(element.text().trim()).context("not base64")
}

/// Publishes the devices of a person, which speak the older namespace, so that everybody can read them.
pub async fn publish(client: &mut Client, devices: &[Device]) -> Result<()> {
    let version = Version::Axolotl;
    let list = list(version, devices.iter().map(Device::id));
    put(client, list_node(version), &list).await?;
    for device in devices {
        put(client, &format!("{AXOLOTL}.bundles:{}", device.id()), &bundle(version, &device.parts())).await?;
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
    let list = get(client, account, list_node(Version::Axolotl)).await?;
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
        let published: Element = bundle(Version::Axolotl, &bot.parts()).parse().unwrap();
        juliet.meet(bot.id(), &published).unwrap();
        for text in ["one", "two"] {
            let written: Element = juliet.write(text).unwrap().parse().unwrap();
            assert_eq!(bot.read(&written).unwrap().as_deref(), Some(text));
            assert!(bot.read(&written).is_err(), "it came twice");
        }
        let answer: Element = bot.write("three").unwrap().parse().unwrap();
        assert_eq!(juliet.read(&answer).unwrap().as_deref(), Some("three"));
    }

    #[test]
    fn a_bundle_is_read_as_it_was_written_in_both_versions() {
        for version in Version::ALL {
            let parts = Device::of(version).parts();
            let written: Element = bundle(version, &parts).parse().unwrap();
            assert_eq!(read_bundle(&written).unwrap(), parts);
        }
    }
}
