//! The changes of each role. The forms are those of the pages, as they stand there for an owner.

use parlor_tests::window::{Answer, forms_of};

use super::{House, all_pages, pages};

/// The changes that operators may make: those that leave what plugins may, and how they are set, as it is.
const OPERATOR: [&str; 11] = [
    "/contacts/accept",
    "/contacts/deny",
    "/doctor",
    "/plugins/echo/disable",
    "/plugins/echo/enable",
    "/plugins/echo/replay",
    "/plugins/echo/restart",
    "/plugins/echo/schedule",
    "/rooms/dismiss",
    "/rooms/join",
    "/rooms/leave",
];

/// Gives each session another role.
fn demote(house: &House, role: &str) {
    house.edit(|kept| {
        for session in kept["sessions"].as_array_mut().unwrap() {
            session["role"] = role.into();
        }
    });
}

/// Returns whether an answer lets a change through: it asks first.
fn asks(answer: &Answer) -> bool {
    (200..400).contains(&answer.status) || answer.status == 400
}

#[tokio::test]
async fn each_change_needs_its_role_whatever_the_page_offered() {
    let house = House::open().await;
    let session = house.log_in("owner").await;
    let changes = forms_of(&all_pages(&session).await);
    let offered: Vec<_> = changes.keys().map(String::as_str).collect();
    for action in ["/logout", "/plugins/echo/restart", "/plugins/echo/settings", "/plugins/echo/remove", "/rooms/join"]
    {
        assert!(offered.contains(&action), "the pages offer no {action}: {offered:?}");
    }
    // The tokens stay right: it is the role alone that is missing.
    for (role, may) in [("viewer", &[][..]), ("operator", &OPERATOR[..])] {
        demote(&house, role);
        for (action, form) in changes.iter().filter(|(action, _)| *action != "/logout") {
            let is_right = may.contains(&action.as_str());
            let mut forms = vec![form.clone()];
            if !is_right {
                // Also as if it had been agreed to.
                let mut agreed = form.clone();
                agreed.set("agreed", "yes");
                forms.push(agreed);
            }
            for form in forms {
                let answer = session.send_form(&form, "/").await.unwrap();
                if is_right {
                    assert!(asks(&answer), "{role} {action}: {answer:?}");
                } else {
                    assert_eq!(answer.status, 403, "{role} {action}: {answer:?}");
                    assert!(
                        answer.body.contains("owner") || answer.body.contains("operator"),
                        "{role} {action}: {answer:?}"
                    );
                }
            }
        }
    }
    let by_web: Vec<_> = house.audit().await.into_iter().filter(|one| one["way"] == "parlor web").collect();
    assert!(by_web.is_empty(), "{by_web:?}");
}

#[tokio::test]
async fn pages_offer_to_each_role_what_it_may_change() {
    let house = House::open().await;
    for (role, more) in [("viewer", &[][..]), ("operator", &OPERATOR[..])] {
        let session = house.log_in(role).await;
        let all = pages(&session).await;
        for action in forms_of(&all).keys() {
            let is_right = action == "/logout" || more.contains(&action.as_str());
            assert!(is_right, "a {role} is offered {action}");
        }
        assert!(all["/"].body.contains(&format!("({role})")), "{role}");
        // The install page is looked at here without a link to it.
        for (path, page) in &all {
            assert!(page.status == 200 || path == "/install", "a {role} is led to {path}: {page:?}");
            assert!(!page.body.contains("href=\"/install\""), "{role} {path}: {page:?}");
        }
        let storage = all.keys().filter(|path| path.contains("/storage")).count();
        assert_eq!(storage > 0, role == "operator", "{role}: {:?}", all.keys());
    }
    for odd in ["", "admin", "OWNER"] {
        let finished = house.home.run(&["web", "login", "--role", odd]).await.unwrap();
        assert_eq!(finished.code, Some(2), "{odd}: {finished:?}");
    }
}

#[tokio::test]
async fn without_a_session_nothing_is_shown_or_changed() {
    let house = House::open().await;
    let owner = house.log_in("owner").await;
    let all = all_pages(&owner).await;
    let guest = house.window.guest();
    for path in all.keys().filter(|path| !path.starts_with("/login")) {
        let answer = guest.get(path).await.unwrap();
        assert_eq!((answer.status, answer.header("location")), (303, "/login"), "{path}: {answer:?}");
        assert!(!answer.body.contains("echo"), "{path}: {answer:?}");
    }
    for (action, form) in forms_of(&all) {
        // With the token of somebody's session, too.
        assert_eq!(guest.send_form(&form, "/").await.unwrap().status, 403, "{action}");
    }
    assert_eq!(guest.get("/live").await.unwrap().status, 303);
}
