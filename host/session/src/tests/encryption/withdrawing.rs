//! OMEMO is turned off, and on again.

use super::*;

/// Returns the element of a list with these devices.
fn list_of(form: OmemoForm, devices: &[u32]) -> String {
    let listed: Vec<_> = devices.iter().map(|device| ListedDevice { device: *device, label: None }).collect();
    list_payload(form, &listed).to_xml()
}

/// Lets the server answer the requests for the account's lists.
fn lists_come(test: &mut TestSession, devices: &[u32]) {
    for form in OmemoForm::ALL {
        let id = test.asked(|ask| wants(ask, form.list_node()));
        test.answer(None, id, Ok(page(list_of(form, devices))));
    }
}

/// Returns the devices in the list that was published last.
fn listed(bot: &Bot, form: OmemoForm) -> Vec<u32> {
    let list = bot.test.sent.iter().rev().find_map(|stanza| is_published(stanza, form.list_node())).unwrap();
    read_list(form, &list).unwrap().iter().map(|one| one.device).collect()
}

/// Returns how often the published keys of the account's device were taken back.
fn taken_back(bot: &Bot, form: OmemoForm) -> usize {
    let wanted = form.bundle_node(bot.id);
    bot.test.count_asked(|ask| match ask {
        Ask::Pubsub(ask) => match &**ask {
            PubsubAsk::Delete { node } | PubsubAsk::Retract { node, .. } => *node == wanted,
            _ => false,
        },
        _ => false,
    })
}

#[test]
fn the_device_leaves_the_lists_while_omemo_is_off_and_comes_back_as_the_same() {
    let mut bot = Bot::new(TrustPolicy::Blind);
    let id = bot.id;
    for form in OmemoForm::ALL {
        bot.pushes("bot@example.org", form, &format!("<item id='current'>{}</item>", list_of(form, &[id, 77])));
    }
    bot.test.sent.clear();
    bot.test.run(|session, now, effects| set_encryption(session, Encryption::OFF, now, effects));
    assert_eq!(OmemoForm::ALL.map(|form| taken_back(&bot, form)), [0; 2], "the server still lists it");
    accept(&mut bot.test);
    for form in OmemoForm::ALL {
        assert_eq!((listed(&bot, form), taken_back(&bot, form)), (vec![77], 1), "{form:?}");
    }
    // Another device came meanwhile.
    bot.test.run(|session, now, effects| set_encryption(session, Encryption::default(), now, effects));
    lists_come(&mut bot.test, &[77, 78]);
    accept(&mut bot.test);
    for form in OmemoForm::ALL {
        assert_eq!((listed(&bot, form), bot.bundle(form).prekeys.len()), (vec![id, 77, 78], 100), "{form:?}");
    }
}

#[test]
fn a_device_that_is_listed_although_omemo_is_off_leaves_the_lists_after_the_log_in() {
    for is_listed in [true, false] {
        let device = Device::generate(&mut rand::rng(), 0);
        let mut test = TestSession::new(Settings::default());
        test.run(|session, now, effects| set_encryption(session, Encryption::OFF, now, effects));
        keys_kept(&mut test.session, KeptKeys { device: Some(device.to_bytes()), ..KeptKeys::default() });
        test.run(Session::plugins_initialized);
        test.bind();
        test.roster(vec![item(ROMEO, "both")]);
        let id = device.id().get();
        let devices = if is_listed { vec![id, 77] } else { vec![77] };
        lists_come(&mut test, &devices);
        if !is_listed {
            assert_eq!(test.count_asked(|ask| publishes(ask, "")), 0);
            continue;
        }
        accept(&mut test);
        let bot = Bot { test, id };
        for form in OmemoForm::ALL {
            assert_eq!((listed(&bot, form), taken_back(&bot, form)), (vec![77], 1), "{form:?}");
        }
    }
}
