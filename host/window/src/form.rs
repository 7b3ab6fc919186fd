//! The fields that a form sends.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use tokio::time::timeout;
use url::form_urlencoded;

use crate::problem::Problem;

/// The longest body of a form, in bytes.
pub(crate) const LONGEST: usize = 64 << 10;
/// The most fields of a form.
pub(crate) const MOST_FIELDS: usize = 512;
/// The time for the body of a form.
const PATIENCE: Duration = Duration::from_secs(30);
/// The type of a form without files.
const FORM: &str = "application/x-www-form-urlencoded";

/// The field with the token.
pub(crate) const TOKEN: &str = "csrf";
/// The field that says that the person has read the question, and its value.
pub(crate) const AGREED: (&str, &str) = ("agreed", "yes");

/// The fields of a form, without the token, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form(pub(crate) Vec<(String, String)>);

impl Form {
    /// Returns the first value of a field; none if it is empty or absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns all values of a field that are not empty.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Returns the first value of a field, also an empty one; none if it is absent.
    pub fn sent(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Returns the value of a required field.
    pub fn need(&self, name: &str) -> Result<&str, Problem> {
        self.get(name).ok_or_else(|| Problem::wrong(format!("the field {name} is empty: go back, and fill it in")))
    }

    /// Returns all fields, such as for a question that sends them again.
    pub fn fields(&self) -> &[(String, String)] {
        &self.0
    }

    /// Returns whether the person has agreed to the question.
    pub fn is_agreed(&self) -> bool {
        self.get(AGREED.0) == Some(AGREED.1)
    }

    /// Returns a form with these fields.
    #[cfg(any(test, feature = "test-support"))]
    pub fn of(fields: &[(&str, &str)]) -> Self {
        Self(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// Reads a form without files, and checks its token by `is_own`.
    pub(crate) async fn read(headers: &HeaderMap, body: Body, is_own: impl Fn(&str) -> bool) -> Result<Self, Problem> {
        let Self(mut fields) = Self::read_of_anybody(headers, body).await?;
        let is_token = fields.iter().any(|(name, value)| name == TOKEN && is_own(value));
        fields.retain(|(name, _)| name != TOKEN);
        if is_token { Ok(Self(fields)) } else { Err(foreign()) }
    }

    /// Reads a form without files of somebody who is not logged in, and has no token.
    pub(crate) async fn read_of_anybody(headers: &HeaderMap, body: Body) -> Result<Self, Problem> {
        let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
        if media.split(';').next().is_none_or(|media| !media.trim().eq_ignore_ascii_case(FORM)) {
            return Err(Problem::wrong("what was sent is no form"));
        }
        let read = timeout(PATIENCE, whole(body)).await;
        let bytes = read.map_err(|_| Problem::new(408, "the form did not arrive in time: send it again"))??;
        let fields: Vec<(String, String)> = form_urlencoded::parse(&bytes).into_owned().take(MOST_FIELDS + 1).collect();
        if fields.len() > MOST_FIELDS {
            return Err(Problem::new(413, format!("a form has at most {MOST_FIELDS} fields")));
        }
        Ok(Self(fields))
    }
}

/// Returns the problem of a form that no page of this session has sent.
pub(crate) fn foreign() -> Problem {
    Problem::forbidden(
        "this form is of another session, or of another page: go back, load the page again, and send the form once more",
    )
}

/// Reads a whole body of bounded size.
async fn whole(mut body: Body) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::wrong("the form broke off: send it again"))?;
        // Trailers are of no use to anybody.
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > LONGEST - bytes.len() {
            return Err(Problem::new(413, format!("a form has at most {LONGEST} bytes")));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(media: &str, body: impl Into<Body>) -> Result<Form, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, media.parse().unwrap());
        Form::read(&headers, body.into(), |token| token == "right").await.map_err(|problem| problem.status)
    }

    #[tokio::test]
    async fn a_form_is_read_if_it_has_its_token() {
        let form =
            read("application/x-www-form-urlencoded; charset=utf-8", "csrf=right&a=1&b=&a=2+%C3%A4").await.unwrap();
        assert_eq!(form.all("a").collect::<Vec<_>>(), ["1", "2 ä"]);
        assert_eq!((form.get("b"), form.sent("b"), form.sent("c"), form.get("csrf")), (None, Some(""), None, None));
        assert!(form.need("a").is_ok() && form.need("b").is_err() && !form.is_agreed());
        assert_eq!(read(FORM, "csrf=wrong&a=1").await, Err(403));
        assert_eq!(read(FORM, "a=1").await, Err(403));
        assert_eq!(read("text/plain", "csrf=right").await, Err(400));
    }

    #[tokio::test]
    async fn a_form_is_bounded() {
        assert_eq!(read(FORM, format!("csrf=right&a={}", "x".repeat(LONGEST))).await, Err(413));
        assert_eq!(read(FORM, format!("csrf=right{}", "&a=".repeat(MOST_FIELDS))).await, Err(413));
        assert!(read(FORM, format!("csrf=right{}", "&a=".repeat(MOST_FIELDS - 1))).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_form_that_never_ends_is_given_up() {
        let endless = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        assert_eq!(read(FORM, endless).await, Err(408));
    }
}
