//! Keys on disk: kept keys are read again, in the order of their changes.

use super::*;

fn account() -> BareJid {
    "bot@example.org".parse().unwrap()
}

fn juliet() -> BareJid {
    "juliet@example.org".parse().unwrap()
}

fn session(device: u32, state: Option<&[u8]>) -> KeyChange {
    let state = state.map(|state| Secret::new(state.to_vec()));
    KeyChange::Session { jid: juliet(), device, form: OmemoForm::Older, state }
}

fn known(device: u32, trust: DeviceTrust) -> KnownKey {
    KnownKey {
        jid: juliet(),
        kind: if device == 0 { KeyKind::Otr } else { KeyKind::Omemo { device } },
        fingerprint: format!("{device:064x}"),
        label: Some("phone".to_owned()),
        trust,
        first_seen: "2026-01-02T03:04:05Z".parse().unwrap(),
        last_seen: "2026-02-02T03:04:05Z".parse().unwrap(),
        is_listed: false,
    }
}

fn message_key(name: &str) -> KeyChange {
    let at = "2026-01-02T03:04:05Z".parse().unwrap();
    let key = Secret::new(vec![7; 48]);
    KeyChange::MessageKey(MessageKey {
        archived: name.to_owned(),
        jid: juliet(),
        device: 5,
        form: OmemoForm::Current,
        key,
        at,
    })
}

async fn settle(keeper: &mut EncryptionKeeper) {
    while !keeper.is_idle() {
        assert!(keeper.written().await.is_kept);
    }
}

#[tokio::test]
async fn stored_keys_and_decisions_are_read_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut keeper = EncryptionKeeper::new(store.clone(), &account());
    assert!(keeper.is_idle());
    keeper.keep(vec![
        KeyChange::Device(Secret::new(vec![1, 2])),
        KeyChange::Otr(Some(Secret::new(vec![3]))),
        session(5, Some(b"a")),
        session(6, Some(b"b")),
        KeyChange::Key(known(5, DeviceTrust::Blind)),
        KeyChange::Key(known(0, DeviceTrust::Trusted)),
        KeyChange::Way(juliet(), Some(Way::Omemo(OmemoForm::Current))),
        message_key(" 1"),
        message_key(" 2"),
    ]);
    // The one that is used is the latest.
    keeper.keep(vec![session(5, Some(b"c")), KeyChange::Key(known(5, DeviceTrust::Distrusted))]);
    keeper.keep(vec![KeyChange::NoMessageKeys(vec![" 1".to_owned()])]);
    assert_eq!(keeper.last(), 3);
    settle(&mut keeper).await;
    drop(keeper);
    store.close().await;

    let store = Store::open(folder.path()).unwrap();
    let mut keeper = EncryptionKeeper::new(store, &account());
    let kept = keeper.load().await.unwrap();
    assert_eq!(kept.device.as_deref(), Some(&[1, 2][..]));
    assert_eq!(kept.otr.as_deref(), Some(&[3][..]));
    let sessions: Vec<_> = kept.sessions.iter().map(|(_, device, _, state)| (*device, state.to_vec())).collect();
    assert_eq!(sessions, [(6, b"b".to_vec()), (5, b"c".to_vec())]);
    assert_eq!(kept.keys, [known(0, DeviceTrust::Trusted), known(5, DeviceTrust::Distrusted)]);
    assert_eq!(kept.ways, [(juliet(), Way::Omemo(OmemoForm::Current))]);
    assert_eq!(keeper.load_ways().await.unwrap(), kept.ways);
    assert_eq!(kept.message_keys.iter().map(|key| key.archived.as_str()).collect::<Vec<_>>(), [" 2"]);

    let all = [session(5, None), session(6, None), KeyChange::NoKey(known(0, DeviceTrust::Trusted))];
    keeper.keep(all.into_iter().chain([KeyChange::Way(juliet(), None), KeyChange::Otr(None)]).collect());
    settle(&mut keeper).await;
    let kept = keeper.load().await.unwrap();
    assert!(kept.sessions.is_empty() && kept.ways.is_empty() && kept.otr.is_none());
    assert_eq!(kept.keys.len(), 1);
}

/// Beyond a limit, those sessions end that were unused longest.
#[tokio::test]
async fn sessions_are_read_in_the_order_of_their_use_also_after_further_starts_and_from_a_file_of_before() {
    let folder = tempfile::tempdir().unwrap();
    Store::open(folder.path()).unwrap().close().await;
    let before = Connection::open(folder.path().join(crate::FILE)).unwrap();
    before.execute_batch("ALTER TABLE omemo_session DROP COLUMN used").unwrap();
    for device in [9, 7, 8] {
        let (of, form) = ([account().to_string(), juliet().to_string()], OmemoForm::Older.namespace());
        before.execute(REPLACE_SESSION.text, params![of[0], of[1], device, form, b"old"]).unwrap();
    }
    drop(before);
    for (used, expected) in [(vec![3, 1, 2, 1], [9, 7, 8, 3, 2, 1]), (vec![3, 7], [9, 8, 2, 1, 3, 7])] {
        let store = Store::open(folder.path()).unwrap();
        let mut keeper = EncryptionKeeper::new(store.clone(), &account());
        keeper.load().await.unwrap();
        for device in used {
            keeper.keep(vec![session(device, Some(b"x"))]);
        }
        settle(&mut keeper).await;
        let devices: Vec<_> = keeper.load().await.unwrap().sessions.iter().map(|one| one.1).collect();
        assert_eq!(devices, expected);
        drop(keeper);
        store.close().await;
    }
}

/// A message to a person changes one session, and one to a room those of all its devices.
#[test]
fn one_session_is_written_alone_and_several_together_in_their_order() {
    let (mut file, account) = (StoreFile::new(crate::file::in_memory(), crate::NoLog), account().to_string());
    write_all(&mut file, &account, [3, 1, 2].map(|device| session(device, Some(b"a"))).into(), 1).unwrap();
    write_all(&mut file, &account, vec![session(3, Some(b"b"))], 4).unwrap();
    assert!(file.is_autocommit());
    let (kept, used) = load(&file, &account).unwrap();
    let sessions: Vec<_> = kept.sessions.iter().map(|(_, device, _, state)| (*device, state.to_vec())).collect();
    assert_eq!(sessions, [(1, b"a".to_vec()), (2, b"a".to_vec()), (3, b"b".to_vec())]);
    assert_eq!(used, 4);
    write_all(&mut file, &account, vec![session(1, None)], 5).unwrap();
    assert_eq!(load(&file, &account).unwrap().0.sessions.len(), 2);
}

#[tokio::test]
async fn keys_with_a_decision_are_read_before_all_others() {
    let mut keeper = EncryptionKeeper::new(Store::in_memory(), &account());
    let trusts = [DeviceTrust::Blind, DeviceTrust::Undecided, DeviceTrust::Trusted, DeviceTrust::Distrusted];
    let keys: Vec<_> = (1..).zip(trusts).map(|(device, trust)| known(device, trust)).collect();
    keeper.keep(keys.iter().cloned().map(KeyChange::Key).collect());
    settle(&mut keeper).await;
    let kept = keeper.load().await.unwrap().keys;
    assert_eq!(kept.iter().map(|key| key.trust).collect::<Vec<_>>(), [trusts[2], trusts[3], trusts[0], trusts[1]]);
}

#[tokio::test]
async fn keys_of_one_account_are_not_those_of_another() {
    let store = Store::in_memory();
    let mut keeper = EncryptionKeeper::new(store.clone(), &account());
    keeper.keep(vec![KeyChange::Device(Secret::new(vec![1]))]);
    settle(&mut keeper).await;
    let mut other = EncryptionKeeper::new(store, &"other@example.org".parse().unwrap());
    assert!(other.load().await.unwrap().device.is_none());
}

/// A caller that waits for a change waits for a write that contains it.
#[tokio::test]
async fn changes_during_a_write_share_the_next_one() {
    let store = Store::in_memory();
    let (release, held) = std::sync::mpsc::channel::<()>();
    assert!(store.put(move |_| {
        let _ = held.recv();
        Ok(())
    }));
    let mut keeper = EncryptionKeeper::new(store, &account());
    for state in 0..10 {
        keeper.keep(vec![session(5, Some(&[state]))]);
    }
    keeper.keep(Vec::new());
    drop(release);
    assert_eq!(keeper.written().await, KeysWritten { up_to: 1, is_kept: true });
    assert!(!keeper.is_idle());
    assert_eq!(keeper.written().await, KeysWritten { up_to: 10, is_kept: true });
    assert!(keeper.is_idle());
    assert_eq!(keeper.load().await.unwrap().sessions[0].3.to_vec(), [9]);
}
