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

/// Returns how often the published keys of the account's first device were taken back, in each form.
fn taken_back(bot: &Bot) -> [usize; 2] {
    OmemoForm::ALL.map(|form| bot.test.count_asked(|ask| takes_back(ask, &form.bundle_node(bot.id))))
}

/// Returns how often the account's list was published, in each form.
fn lists_sent(bot: &Bot) -> [usize; 2] {
    OmemoForm::ALL.map(|form| bot.test.count_asked(|ask| publishes(ask, form.list_node())))
}

/// A connected account, whose lists also name the device 77 of another client.
fn beside_another() -> Bot {
    let mut bot = Bot::new(TrustPolicy::Blind);
    let id = bot.id;
    for form in OmemoForm::ALL {
        bot.pushes("bot@example.org", form, &format!("<item id='current'>{}</item>", list_of(form, &[id, 77])));
    }
    bot.test.sent.clear();
    bot
}

fn set(bot: &mut Bot, config: Encryption) {
    bot.test.run(|session, now, effects| set_encryption(session, config, now, effects));
}

/// Lets the server answer the last request of a kind with this error.
fn fails(bot: &mut Bot, is: impl Fn(&Ask) -> bool, condition: &str) {
    let id = bot.test.asked(is);
    bot.test.answer(None, id, Err(stanza_error(condition)));
}

/// Lets the server take the account's lists, one after the other.
fn take_lists(bot: &mut Bot) {
    for form in OmemoForm::ALL {
        let id = bot.test.asked(|ask| publishes(ask, form.list_node()));
        bot.test.answer(None, id, Ok(Body::Empty));
    }
}

/// Returns how often the account's list was asked for, in the older form.
fn lists_asked(bot: &Bot) -> usize {
    bot.test.count_asked(|ask| wants(ask, OmemoForm::Older.list_node()))
}

fn log_in_again(bot: &mut Bot) {
    bot.test.run(|session, now, effects| session.lost("gone", now, effects));
    bot.test.sent.clear();
    bot.test.bind();
    bot.test.roster(vec![item(ROMEO, "both")]);
}

#[test]
fn the_device_leaves_the_lists_while_omemo_is_off_and_comes_back_as_the_same() {
    let mut bot = beside_another();
    let id = bot.id;
    set(&mut bot, Encryption::OFF);
    assert_eq!(taken_back(&bot), [0; 2], "the server still lists it");
    accept(&mut bot.test);
    assert_eq!(taken_back(&bot), [1; 2]);
    for form in OmemoForm::ALL {
        assert_eq!(listed(&bot, form), [77], "{form:?}");
    }
    // Another device came meanwhile.
    set(&mut bot, Encryption::default());
    lists_come(&mut bot.test, &[77, 78]);
    accept(&mut bot.test);
    for form in OmemoForm::ALL {
        assert_eq!((listed(&bot, form), bot.bundle(form).prekeys.len()), (vec![id, 77, 78], 100), "{form:?}");
    }
}

/// The process may have ended before the server had removed the device, or before it had removed the keys.
#[test]
fn a_device_of_which_the_server_has_something_although_omemo_is_off_is_withdrawn_after_the_log_in() {
    for is_listed in [true, false] {
        let device = Device::generate(&mut rand::rng(), 0);
        let mut test = TestSession::new(Settings::default());
        test.run(|session, now, effects| set_encryption(session, Encryption::OFF, now, effects));
        keys_kept(&mut test.session, KeptKeys { device: Some(device.to_bytes()), ..KeptKeys::default() });
        test.run(Session::plugins_initialized);
        test.bind();
        test.roster(vec![item(ROMEO, "both")]);
        let id = device.id().get();
        let mut bot = Bot { test, id };
        let devices = if is_listed { vec![id, 77] } else { vec![77] };
        lists_come(&mut bot.test, &devices);
        accept(&mut bot.test);
        assert_eq!((lists_sent(&bot), taken_back(&bot)), ([usize::from(is_listed); 2], [1; 2]));
        for form in OmemoForm::ALL.into_iter().filter(|_| is_listed) {
            assert_eq!(listed(&bot, form), [77], "{form:?}");
        }
        // That is done once.
        log_in_again(&mut bot);
        lists_come(&mut bot.test, &[77]);
        assert_eq!((lists_sent(&bot), taken_back(&bot)), ([0; 2], [0; 2]));
    }
}

#[test]
fn a_withdrawal_that_fails_is_tried_again_after_growing_delays() {
    let mut bot = beside_another();
    let id = bot.id;
    set(&mut bot, Encryption::OFF);
    for wait in [1, 2, 4, 8] {
        for form in OmemoForm::ALL {
            fails(&mut bot, |ask| publishes(ask, form.list_node()), "internal-server-error");
        }
        let (asked, sent) = (lists_asked(&bot), lists_sent(&bot));
        bot.test.wait(wait - 1);
        assert_eq!(lists_asked(&bot), asked, "less than {wait} s later");
        bot.test.wait(1);
        assert_eq!((lists_asked(&bot), lists_sent(&bot)), (asked + 1, sent), "{wait} s later");
        // Another client came meanwhile, of which the server did not tell.
        lists_come(&mut bot.test, &[id, 77, 78]);
    }
    assert_eq!(taken_back(&bot), [0; 2]);
    accept(&mut bot.test);
    assert_eq!((lists_sent(&bot), taken_back(&bot)), ([5; 2], [1; 2]));
    for form in OmemoForm::ALL {
        assert_eq!(listed(&bot, form), [77, 78], "{form:?}");
    }
    let asked = lists_asked(&bot);
    bot.test.wait(4 * 3_600);
    assert_eq!((lists_asked(&bot), lists_sent(&bot), taken_back(&bot)), (asked, [5; 2], [1; 2]), "it is done");
}

/// The server may have taken the list, although its answer did not come.
#[test]
fn a_device_that_has_left_the_list_although_that_failed_is_not_removed_from_it_again() {
    let mut bot = beside_another();
    set(&mut bot, Encryption::OFF);
    for form in OmemoForm::ALL {
        fails(&mut bot, |ask| publishes(ask, form.list_node()), "internal-server-error");
    }
    bot.test.wait(1);
    lists_come(&mut bot.test, &[77]);
    accept(&mut bot.test);
    assert_eq!((lists_sent(&bot), taken_back(&bot)), ([1; 2], [1; 2]));
}

#[test]
fn a_list_that_the_server_failed_to_give_is_asked_for_again_also_while_omemo_is_on() {
    let mut bot = beside_another();
    let id = bot.id;
    log_in_again(&mut bot);
    for form in OmemoForm::ALL {
        fails(&mut bot, |ask| wants(ask, form.list_node()), "internal-server-error");
    }
    assert!(bot.test.news.iter().all(|news| !matches!(news.what, KeyNewsKind::NotPublished)));
    bot.test.wait(1);
    lists_come(&mut bot.test, &[77]);
    accept(&mut bot.test);
    for form in OmemoForm::ALL {
        assert_eq!(listed(&bot, form), [id, 77], "{form:?}");
    }
}

#[test]
fn a_device_that_another_client_left_out_and_the_server_does_not_list_again_is_news() {
    let form = OmemoForm::Older;
    let mut bot = beside_another();
    bot.pushes("bot@example.org", form, &format!("<item id='current'>{}</item>", list_of(form, &[77])));
    fails(&mut bot, |ask| publishes(ask, form.list_node()), "forbidden");
    assert!(bot.test.news.iter().any(|news| matches!(news.what, KeyNewsKind::NotPublished)));
}

#[test]
fn keys_of_a_former_device_that_the_server_does_not_remove_are_no_news_about_the_own_ones() {
    let mut bot = beside_another();
    got(&mut bot.test.ask(ResetOwnKeys));
    for form in OmemoForm::ALL {
        let id = bot.test.asked(|ask| publishes(ask, &bundle_nodes(form)));
        bot.test.answer(None, id, Ok(Body::Empty));
    }
    take_lists(&mut bot);
    let nodes = OmemoForm::ALL.map(|form| form.bundle_node(bot.id));
    for wait in [1, 2, 4, 8, 16, 32, 64] {
        for node in &nodes {
            fails(&mut bot, |ask| takes_back(ask, node), "internal-server-error");
        }
        bot.test.wait(wait);
    }
    // The keys of the two forms are removed one after the other.
    assert_eq!(taken_back(&bot), [8, 7]);
    assert!(bot.test.news.iter().all(|news| !matches!(news.what, KeyNewsKind::NotPublished)));
}

#[test]
fn a_list_that_the_server_failed_to_give_is_asked_for_again_while_a_device_must_leave_it() {
    let mut bot = beside_another();
    log_in_again(&mut bot);
    set(&mut bot, Encryption::OFF);
    for form in OmemoForm::ALL {
        fails(&mut bot, |ask| wants(ask, form.list_node()), "internal-server-error");
    }
    let id = bot.id;
    bot.test.wait(1);
    lists_come(&mut bot.test, &[id, 77]);
    accept(&mut bot.test);
    assert_eq!((lists_sent(&bot), taken_back(&bot)), ([1; 2], [1; 2]));
}

#[test]
fn keys_that_the_server_fails_to_remove_are_removed_later_and_absent_ones_are_gone() {
    let mut bot = beside_another();
    set(&mut bot, Encryption::OFF);
    take_lists(&mut bot);
    let nodes = OmemoForm::ALL.map(|form| form.bundle_node(bot.id));
    fails(&mut bot, |ask| takes_back(ask, &nodes[0]), "internal-server-error");
    fails(&mut bot, |ask| takes_back(ask, &nodes[1]), "item-not-found");
    assert_eq!(taken_back(&bot), [1, 1]);
    bot.test.wait(1);
    assert_eq!(taken_back(&bot), [2, 1]);
    fails(&mut bot, |ask| takes_back(ask, &nodes[0]), "item-not-found");
    bot.test.wait(4 * 3_600);
    assert_eq!((lists_sent(&bot), taken_back(&bot)), ([1; 2], [2, 1]));
}

#[test]
fn a_withdrawal_that_was_cut_off_goes_on_after_the_next_log_in() {
    for is_list_taken in [false, true] {
        let mut bot = beside_another();
        let id = bot.id;
        set(&mut bot, Encryption::OFF);
        if is_list_taken {
            take_lists(&mut bot);
        }
        log_in_again(&mut bot);
        let devices = if is_list_taken { vec![77] } else { vec![id, 77] };
        lists_come(&mut bot.test, &devices);
        accept(&mut bot.test);
        assert_eq!((lists_sent(&bot), taken_back(&bot)), ([usize::from(!is_list_taken); 2], [1; 2]));
    }
}

#[test]
fn a_withdrawal_that_the_server_refuses_is_tried_once_for_each_log_in() {
    let mut bot = beside_another();
    let id = bot.id;
    set(&mut bot, Encryption::OFF);
    for _ in 0..2 {
        for form in OmemoForm::ALL {
            fails(&mut bot, |ask| publishes(ask, form.list_node()), "forbidden");
        }
        bot.test.wait(4 * 3_600);
        assert_eq!((lists_sent(&bot), taken_back(&bot)), ([1; 2], [0; 2]));
        log_in_again(&mut bot);
        lists_come(&mut bot.test, &[id, 77]);
    }
}

#[test]
fn omemo_that_is_on_again_is_not_undone_by_a_withdrawal_that_failed() {
    let mut bot = beside_another();
    let id = bot.id;
    set(&mut bot, Encryption::OFF);
    for form in OmemoForm::ALL {
        fails(&mut bot, |ask| publishes(ask, form.list_node()), "internal-server-error");
    }
    set(&mut bot, Encryption::default());
    lists_come(&mut bot.test, &[id, 77]);
    accept(&mut bot.test);
    let before = lists_sent(&bot);
    bot.test.wait(60);
    assert_eq!((lists_sent(&bot), taken_back(&bot)), (before, [0; 2]));
}

#[test]
fn omemo_that_is_on_again_is_not_undone_by_a_withdrawal_that_is_on_its_way() {
    let mut bot = beside_another();
    let id = bot.id;
    set(&mut bot, Encryption::OFF);
    set(&mut bot, Encryption::default());
    // The server takes only now the list without the device.
    accept(&mut bot.test);
    lists_come(&mut bot.test, &[77]);
    accept(&mut bot.test);
    assert_eq!(taken_back(&bot), [0; 2]);
    for form in OmemoForm::ALL {
        assert_eq!((listed(&bot, form), bot.bundle(form).prekeys.len()), (vec![id, 77], 100), "{form:?}");
    }
}

#[test]
fn keys_are_published_again_once_their_removal_has_ended() {
    let mut bot = beside_another();
    let id = bot.id;
    set(&mut bot, Encryption::OFF);
    take_lists(&mut bot);
    assert_eq!(taken_back(&bot), [1, 0], "one after the other");
    set(&mut bot, Encryption::default());
    let bundles = |bot: &Bot| bot.test.count_asked(|ask| publishes(ask, &bundle_nodes(OmemoForm::Older)));
    assert_eq!(bundles(&bot), 0, "the server may still be about to remove them");
    let node = OmemoForm::Older.bundle_node(id);
    fails(&mut bot, |ask| takes_back(ask, &node), "internal-server-error");
    assert_eq!(bundles(&bot), 1);
    lists_come(&mut bot.test, &[77]);
    accept(&mut bot.test);
    bot.test.wait(60);
    assert_eq!(taken_back(&bot), [1, 0]);
    for form in OmemoForm::ALL {
        assert_eq!(listed(&bot, form), [id, 77], "{form:?}");
    }
}

#[test]
fn keys_are_not_removed_while_a_list_with_their_device_is_on_its_way() {
    let form = OmemoForm::Older;
    let mut bot = beside_another();
    // Another client left the device out.
    bot.pushes("bot@example.org", form, &format!("<item id='current'>{}</item>", list_of(form, &[77])));
    let adding = bot.test.asked(|ask| publishes(ask, form.list_node()));
    set(&mut bot, Encryption::OFF);
    bot.test.answer(None, adding, Ok(Body::Empty));
    for form in OmemoForm::ALL {
        fails(&mut bot, |ask| publishes(ask, form.list_node()), "internal-server-error");
    }
    assert_eq!(taken_back(&bot), [0; 2], "the server lists the device now");
    bot.test.wait(1);
    let id = bot.id;
    lists_come(&mut bot.test, &[id, 77]);
    accept(&mut bot.test);
    assert_eq!((listed(&bot, form), taken_back(&bot)), (vec![77], [1; 2]));
}

#[test]
fn a_device_that_new_keys_replaced_is_withdrawn_also_without_a_connection_and_after_a_restart() {
    for (is_lost, is_restarted) in [(false, false), (true, false), (true, true)] {
        let mut bot = beside_another();
        let id = bot.id;
        if is_lost {
            bot.test.run(|session, now, effects| session.lost("gone", now, effects));
        }
        got(&mut bot.test.ask(ResetOwnKeys));
        let device = bot.device();
        assert_eq!(device.former(), [id]);
        if is_restarted {
            bot.test = TestSession::new(Settings::default());
            set(&mut bot, Encryption::default());
            keys_kept(&mut bot.test.session, KeptKeys { device: Some(device.to_bytes()), ..KeptKeys::default() });
            bot.test.run(Session::plugins_initialized);
        }
        if is_lost {
            bot.test.bind();
            bot.test.roster(vec![item(ROMEO, "both")]);
            lists_come(&mut bot.test, &[id, 77]);
        }
        assert_eq!(taken_back(&bot), [0; 2], "the server still lists it");
        accept(&mut bot.test);
        assert_eq!((lists_sent(&bot), taken_back(&bot)), ([1; 2], [1; 2]), "{is_lost} {is_restarted}");
        for form in OmemoForm::ALL {
            assert_eq!(listed(&bot, form), [device.id().get(), 77], "{form:?}");
        }
        assert!(bot.device().former().is_empty(), "the server has nothing of it");
    }
}
