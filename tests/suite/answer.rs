//! What came of a call: the result or the typed error, as the plugin saw it.

use serde_json::Value;

/// The answer to one order. What is asked of it panics where it is something else, and shows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// What was called, for failures.
    pub(crate) call: String,
    /// `Err`: the typed error, its case under `case`.
    pub(crate) result: Result<Value, Value>,
}

impl Answer {
    /// From `{ok}` or `{err}`.
    pub(crate) fn read(call: &str, answer: &Value) -> Self {
        let result = match (answer.get("ok"), answer.get("err")) {
            (Some(value), None) => Ok(value.clone()),
            (_, Some(error)) => Err(error.clone()),
            (None, None) => panic!("{call}: neither result nor error: {answer}"),
        };
        Self { call: call.to_owned(), result }
    }

    /// It worked.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        match self.result {
            Ok(value) => value,
            Err(error) => panic!("{}: {error}", self.call),
        }
    }

    /// It gave this very result.
    #[track_caller]
    pub(crate) fn is(self, expected: impl Into<Value>) {
        let call = self.call.clone();
        assert_eq!(self.ok(), expected.into(), "{call}");
    }

    /// It failed with this case of error.
    #[track_caller]
    pub(crate) fn fails(self, case: &str) -> Value {
        match self.result {
            Ok(value) => panic!("{}: should fail with {case}, but gave {value}", self.call),
            Err(error) => {
                assert_eq!(error["case"], case, "{}: {error}", self.call);
                error
            }
        }
    }

    /// An argument was wrong: this one.
    #[track_caller]
    pub(crate) fn invalid(self, argument: &str) {
        let call = self.call.clone();
        let error = self.fails("invalid");
        assert_eq!(error["argument"], argument, "{call}: {error}");
    }

    /// This grant was missing, for this scope; gives the hint.
    #[track_caller]
    pub(crate) fn denied(self, permission: &str, scope: Option<&str>) -> String {
        let call = self.call.clone();
        let error = self.fails("denied");
        assert_eq!(error["permission"], permission, "{call}: {error}");
        assert_eq!(error["scope"].as_str(), scope, "{call}: {error}");
        let hint = error["hint"].as_str().unwrap().to_owned();
        assert!(hint.starts_with("parlor plugin grant ") && hint.contains(permission), "{call}: {hint}");
        hint
    }
}
