//! Parsing a plugin's archive query, and its answer for the page.

use jid::Jid;
use parlor_base::permission::Permission;
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_stanza::error::CallError;
use parlor_stanza::raw::is_sendable;
use parlor_stanza::types::{ArchiveFin, ArchiveQuery, Cursor};

use crate::api::listen::WHOLE_MESSAGES;
use crate::api::pacing::pace_query;
use crate::api::{jid, text, time};
use crate::bindings::parlor::plugin::archive::Options;
use crate::instance::Instance;

/// Maximum length of an archive id, in bytes.
const MAX_ID: usize = 1_024;

/// A valid and permitted query.
pub(super) struct Request {
    /// The proof that it is permitted, and the call that it is for.
    pub(super) granted: Granted,
    pub(super) call: CallName,
    /// The query; its `max` is not set.
    pub(super) query: ArchiveQuery,
    /// The number of wanted messages, if it was given.
    pub(super) max: Option<u32>,
    /// Whether the stanzas are wanted, too; the grants allow it.
    pub(super) xml: bool,
    /// Maximum number of messages in one answer, and in one page of the server.
    pub(super) limit: u32,
    pub(super) page: u32,
    asked: Options,
}

/// The size of a query's result.
pub(super) enum Size {
    /// This many messages at most.
    OnePage(u32),
    /// Everything, in pages of this size. More than the limit is an error.
    All { page: u32, limit: u32 },
}

impl Request {
    /// Parses a plugin's query and checks the grants.
    pub(super) fn read(instance: &Instance, call: CallName, options: Options) -> Result<Self, CallError> {
        let with = options.with.as_deref().map(|with| jid("options.with", with)).transpose()?;
        let start = options.start.as_deref().map(|start| time("options.start", start)).transpose()?;
        let end = options.end.as_deref().map(|end| time("options.end", end)).transpose()?;
        let cursor = cursor(&options)?;
        let granted = permitted(instance, call, with.as_ref(), options.xml)?;
        let is_answered = options.first.is_some() || options.last.is_some() || options.complete.is_some();
        let max = options.max.or(options.count.filter(|_| !is_answered));
        let settings = instance.account.settings();
        Ok(Self {
            granted,
            call,
            query: ArchiveQuery { with, start, end, cursor, ..ArchiveQuery::default() },
            max,
            xml: options.xml,
            limit: settings.archived_messages_limit,
            page: settings.archived_messages_page_size,
            // Earlier answers may have any length, and are replaced.
            asked: Options { max, first: None, last: None, ..options },
        })
    }

    /// Waits until the plugin may send the query. If its grants changed meanwhile, they are asked again.
    pub(super) async fn in_turn(self, instance: &Instance) -> Result<Self, CallError> {
        let Self { granted, call, query, xml, .. } = self;
        let decide = || permitted(instance, call, query.with.as_ref(), xml);
        let granted = pace_query(instance, granted, decide).await?;
        Ok(Self { granted, query, ..self })
    }

    /// Returns the size of the result of `query`.
    pub(super) fn page_size(&self) -> Result<Size, CallError> {
        match self.max {
            Some(max) if max > self.limit => {
                Err(CallError::OverLimit(format!("{max} messages at once are more than {}; use query-all", self.limit)))
            }
            Some(max) => Ok(Size::OnePage(max)),
            None => Ok(Size::All { page: self.page, limit: self.limit }),
        }
    }

    /// Returns the options of the query, with the archive's answer for the page.
    pub(super) fn answered(self, fin: ArchiveFin) -> Options {
        Options {
            index: fin.index,
            first: fin.first,
            last: fin.last,
            count: fin.count,
            complete: Some(fin.complete),
            ..self.asked
        }
    }
}

/// Checks the grants for a whole query, which may want the stanzas, too.
fn permitted(instance: &Instance, call: CallName, with: Option<&Jid>, xml: bool) -> Result<Granted, CallError> {
    let granted = may_read(instance, call, with)?;
    if xml {
        instance.require(Permission::StanzaRead, WHOLE_MESSAGES)?;
    }
    Ok(granted)
}

/// Checks the grants. This is done for each page, since they may have been narrowed meanwhile.
pub(super) fn may_read(instance: &Instance, call: CallName, with: Option<&Jid>) -> Result<Granted, CallError> {
    instance.granted(call, with.map_or(Target::None, Target::Jid))
}

/// Returns the query for a page next to one that was answered.
pub(super) fn turned(rsm: Options, max: u32, before: Option<String>, after: Option<String>) -> Options {
    Options { max: Some(max), before, after, index: None, first: None, last: None, count: None, complete: None, ..rsm }
}

fn cursor(options: &Options) -> Result<Cursor, CallError> {
    for (argument, id) in [("options.before", &options.before), ("options.after", &options.after)] {
        if let Some(id) = id {
            text(argument, id, MAX_ID)?;
            if !is_sendable(id) {
                return Err(CallError::invalid(argument, "has a control character, which no archive id has"));
            }
        }
    }
    let is_answered = options.first.is_some() || options.last.is_some() || options.complete.is_some();
    match (&options.before, &options.after, options.index) {
        (Some(_), Some(_), _) => Err(CallError::invalid("options.after", "give before or after, not both")),
        (Some(_), None, Some(_)) | (None, Some(_), Some(_)) if !is_answered => {
            Err(CallError::invalid("options.index", "not together with before or after"))
        }
        (None, Some(after), _) if after.is_empty() => {
            Err(CallError::invalid("options.after", "is empty; leave it out to begin with the oldest message"))
        }
        (Some(before), None, _) => Ok(Cursor::Before(before.clone())),
        (None, Some(after), _) => Ok(Cursor::After(after.clone())),
        (None, None, Some(index)) if index > 0 => Ok(Cursor::Index(index)),
        (None, None, _) => Ok(Cursor::Start),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use futures_util::poll;
    use jiff::Timestamp;
    use parlor_plugins::limits::Limits;
    use parlor_session::permissions::Grants;

    use super::*;
    use crate::instance::tests::instance as disconnected_instance;

    fn options() -> Options {
        Options {
            with: None,
            start: None,
            end: None,
            max: None,
            before: None,
            after: None,
            index: None,
            xml: false,
            first: None,
            last: None,
            count: None,
            complete: None,
        }
    }

    /// Rows 38.
    #[test]
    fn times_are_iso_8601_with_any_offset() {
        let utc = |text: &str| time("start", text).map(|time| time.to_string()).unwrap();
        for (written, read) in [
            ("2010-06-07T00:00:00Z", "2010-06-07T00:00:00Z"),
            ("2010-06-07T02:00:00+02:00", "2010-06-07T00:00:00Z"),
            ("2010-06-06T18:30:00-05:30", "2010-06-07T00:00:00Z"),
            ("2010-06-07T00:00:00.25Z", "2010-06-07T00:00:00.25Z"),
            ("20100607T000000Z", "2010-06-07T00:00:00Z"),
            ("2010-06-07", "2010-06-07T00:00:00Z"),
            ("2010-06-07T00:00:00", "2010-06-07T00:00:00Z"),
        ] {
            assert_eq!(utc(written), read, "{written}");
        }
        for bad in ["", "yesterday", "2010-13-07T00:00:00Z", "2010-06-07T00:00:00Zed", "not a real date", "-0044-03-15"]
        {
            let error = time("start", bad).unwrap_err();
            assert!(matches!(&error, CallError::Invalid { argument, .. } if argument == "start"), "{bad}: {error}");
        }
        assert!(matches!(time("end", &"2".repeat(65)), Err(CallError::Invalid { argument, .. }) if argument == "end"));
    }

    /// It may wait for half a minute. Encrypted messages are shown by the proof alone.
    #[tokio::test(start_paused = true)]
    async fn a_query_that_waited_for_its_turn_goes_by_what_is_granted_then() {
        let all = "\"archive.read\" = [\"*\"]\n\"stanza.read\" = [\"message\"]";
        for (left, is_asked) in [
            (all, true),
            ("\"archive.read\" = [\"*\"]", false),
            ("\"archive.read\" = [\"juliet@example.org\"]\n\"stanza.read\" = [\"message\"]", false),
            ("", false),
        ] {
            let (instance, _mailbox) = disconnected_instance(all, Limits::default());
            let wanted = Options { with: Some("romeo@example.org".to_owned()), xml: true, ..options() };
            let request = Request::read(&instance, CallName::ArchiveQuery, wanted).unwrap();
            instance.lasting.budgets.outgoing().take(50.0).unwrap();
            let mut waits = pin!(request.in_turn(&instance));
            assert!(poll!(waits.as_mut()).is_pending());
            let left = Grants::from_table(&left.parse().unwrap()).unwrap();
            instance.account.router.grant(&instance.mailbox, Arc::new(left));
            let result = waits.await.map(|request| request.query.with);
            assert_eq!(result.is_ok(), is_asked, "{result:?}");
            assert_eq!(matches!(result, Err(CallError::Denied { .. })), !is_asked, "{result:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_written_as_a_time_is_one_or_is_refused_by_name(written in "[0-9TZ:+. -]{0,30}|\\PC{0,70}") {
            match time("start", &written) {
                Ok(read) => proptest::prop_assert_eq!(read.to_string().parse::<Timestamp>().unwrap(), read),
                Err(CallError::Invalid { argument, .. }) => proptest::prop_assert_eq!(argument, "start"),
                Err(error) => proptest::prop_assert!(false, "{}", error),
            }
        }
    }

    /// Rows 40-43.
    #[test]
    fn what_was_answered_is_ignored_in_a_request() {
        let rsm = Options {
            after: Some("a".to_owned()),
            index: Some(7),
            first: Some("b".to_owned()),
            last: Some("c".to_owned()),
            count: Some(9),
            complete: Some(false),
            ..options()
        };
        assert_eq!(cursor(&rsm).unwrap(), Cursor::After("a".to_owned()));
        let asked = Options { after: Some("a".to_owned()), index: Some(7), ..options() };
        assert!(matches!(cursor(&asked), Err(CallError::Invalid { argument, .. }) if argument == "options.index"));
        let both = Options { before: Some(String::new()), ..asked };
        assert!(matches!(cursor(&both), Err(CallError::Invalid { argument, .. }) if argument == "options.after"));
        assert_eq!(cursor(&Options { index: Some(7), ..options() }).unwrap(), Cursor::Index(7));
        assert_eq!(
            cursor(&Options { before: Some(String::new()), ..options() }).unwrap(),
            Cursor::Before(String::new())
        );
        for (before, after) in [(Some("\u{1}"), None), (None, Some("\u{1}")), (None, Some(""))] {
            let odd = Options { before: before.map(str::to_owned), after: after.map(str::to_owned), ..options() };
            assert!(matches!(cursor(&odd), Err(CallError::Invalid { .. })), "{before:?} {after:?}");
        }
        let long = Options { after: Some("x".repeat(MAX_ID + 1)), ..options() };
        assert!(matches!(cursor(&long), Err(CallError::Invalid { argument, .. }) if argument == "options.after"));
    }
}
