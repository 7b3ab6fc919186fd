//! The result of a call, as the plugin saw it: a value or a typed error.

use serde_json::Value;

/// The answer to one order. Its methods assert what it is, and panic with the answer otherwise.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// The name of the call, for failure messages.
    pub(crate) call: String,
    /// The value, or the typed error with its case under `case`.
    pub(crate) result: Result<Value, Value>,
}

impl Answer {
    /// Parses `{ok}` or `{err}`.
    pub(crate) fn read(call: &str, answer: &Value) -> Self {
        let result = match (answer.get("ok"), answer.get("err")) {
            (Some(value), None) => Ok(value.clone()),
            (_, Some(error)) => Err(error.clone()),
            (None, None) => panic!("{call}: neither result nor error: {answer}"),
        };
        Self { call: call.to_owned(), result }
    }

    /// Asserts that the call succeeded, and returns the value.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        match self.result {
            Ok(value) => value,
            Err(error) => panic!("{}: {error}", self.call),
        }
    }

    /// Asserts that the call succeeded with this value.
    #[track_caller]
    pub(crate) fn is(self, expected: impl Into<Value>) {
        let call = self.call.clone();
        assert_eq!(self.ok(), expected.into(), "{call}");
    }

    /// Asserts that the call failed with this case of error, and returns the error.
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

    /// Asserts that this argument was invalid.
    #[track_caller]
    pub(crate) fn invalid(self, argument: &str) {
        let call = self.call.clone();
        let error = self.fails("invalid");
        assert_eq!(error["argument"], argument, "{call}: {error}");
    }

    /// Asserts that this grant was missing for this scope, and returns the hint.
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
