//! Tests of how long a silent or slow server is kept.

use super::*;

/// Returns how long the connection to a server that was asked is kept, with these signs at each check, and why it
/// is given up.
fn kept(mut signs: impl FnMut(u32) -> Signs) -> (Duration, Lost) {
    let first = Instant::now();
    let mut asked = Asked { first, checked: first, pieces: 0, written: 0, arriving: 0 };
    let mut now = first + RESPONSE_LIMIT;
    for look in 1..=100 {
        match asked.look(now, signs(look)) {
            Ok(next) => {
                assert!(next > now, "it looks again and again at once");
                now = next;
            }
            Err(why) => return (now - first, why),
        }
    }
    (now - first, Lost::Unknown)
}

#[test]
fn a_server_is_left_for_what_it_does_not_say_and_not_for_a_slow_line() {
    let signs = |pieces, written, writes| Signs { pieces, written, writes, arriving: None };
    assert_eq!(kept(|_| signs(0, 0, false)), (RESPONSE_LIMIT, Lost::TimedOut));
    // Data that the system accepted need not have left the machine.
    assert_eq!(kept(|_| signs(0, 9, false)), (RESPONSE_LIMIT, Lost::TimedOut));
    assert_eq!(kept(|look| signs(look.into(), 0, false)), (ACK_LIMIT, Lost::Deaf));
    // A line that still accepts data now and then is never given up, however long that takes.
    let (time, why) = kept(|look| signs(0, look.into(), true));
    assert_eq!(why, Lost::Unknown);
    assert!(time > 10 * ACK_LIMIT);
    // A line that accepts no more data is.
    let (time, why) = kept(|look| signs(0, look.min(8).into(), true));
    assert_eq!((time, why), (9 * RESPONSE_LIMIT, Lost::TimedOut));
}

#[test]
fn a_large_stanza_on_a_slow_line_is_waited_for_and_one_that_trickles_is_not() {
    let arriving = |rate: u64| {
        move |look: u32| Signs {
            pieces: look.into(),
            written: 0,
            writes: false,
            arriving: Some(rate * RESPONSE_LIMIT.as_secs() * u64::from(look)),
        }
    };
    assert_eq!(kept(arriving(SLOWEST - 1)), (ACK_LIMIT, Lost::Deaf));
    assert_eq!(kept(arriving(SLOWEST)), (ELEMENT_LIMIT, Lost::Deaf));
    // It has come to its end before the last look.
    let ended = |look: u32| Signs {
        arriving: if look < 9 { arriving(SLOWEST)(look).arriving } else { None },
        ..arriving(0)(look)
    };
    assert_eq!(kept(ended), (9 * RESPONSE_LIMIT, Lost::Deaf));
}
