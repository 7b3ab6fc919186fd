//! Pages and other answers, as handlers return them.

use maud::{Markup, html};

use crate::problem::Problem;

/// A page: a title, and the content below it.
#[derive(Debug, Clone)]
pub struct Page {
    pub(crate) title: String,
    pub(crate) content: Markup,
    pub(crate) status: u16,
    pub(crate) refresh: Option<u32>,
}

impl Page {
    /// Returns a page. The title is shown as its heading, and escaped.
    pub fn new(title: impl Into<String>, content: Markup) -> Self {
        Self { title: title.into(), content, status: 200, refresh: None }
    }

    /// Returns the page that reports a problem, with more below it, such as a form that was refused.
    pub fn of(problem: &Problem, below: &Markup) -> Self {
        let page = Self::new(problem.title(), html! { (problem.told()) (below) });
        Self { status: problem.status, refresh: problem.refresh, ..page }
    }

    /// Has the browser load the page again after this many seconds, without any script.
    #[must_use]
    pub fn refreshing(self, seconds: u32) -> Self {
        Self { refresh: Some(seconds), ..self }
    }

    /// Sets the status code.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// The answer of a page.
#[derive(Debug, Clone)]
pub struct Reply(pub(crate) Kind);

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Page(Page),
    /// A redirect to this path of the window.
    To(String),
    Download {
        name: String,
        media: &'static str,
        bytes: Vec<u8>,
    },
}

impl From<Page> for Reply {
    fn from(page: Page) -> Self {
        Self(Kind::Page(page))
    }
}

impl Reply {
    /// Sends the browser to another path of the window.
    pub fn to(path: impl Into<String>) -> Self {
        Self(Kind::To(path.into()))
    }

    /// Sets the status code of a page. Other answers have their own.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        match self.0 {
            Kind::Page(page) => page.status(status).into(),
            other => Self(other),
        }
    }

    /// Returns the status code of a page; none of another answer.
    #[cfg(any(test, feature = "test-support"))]
    pub fn page_status(&self) -> Option<u16> {
        match &self.0 {
            Kind::Page(page) => Some(page.status),
            Kind::To(_) | Kind::Download { .. } => None,
        }
    }

    /// Returns the title and the content of a page, the path of a redirect, or the text of a file.
    #[cfg(any(test, feature = "test-support"))]
    pub fn into_text(self) -> String {
        match self.0 {
            Kind::Page(page) => format!("{}\n{}", page.title, page.content.into_string()),
            Kind::To(path) => path,
            Kind::Download { bytes, .. } => String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// Returns a file that the browser keeps and never shows: a stranger may have written what is in it.
    pub fn download(name: impl Into<String>, media: &'static str, bytes: Vec<u8>) -> Self {
        Self(Kind::Download { name: name.into(), media, bytes })
    }
}

/// The page before a change, which says what would change, and asks.
#[derive(Debug)]
pub struct Question<'q> {
    /// The title, such as `Restart echo?`.
    pub title: String,
    /// The changes, each with the value before and after.
    pub sentences: Vec<Markup>,
    /// The text of the button, such as `Restart echo`.
    pub button: String,
    /// Whether something is lost by it, or allowed that is of high risk.
    pub is_danger: bool,
    /// The path that the form is sent to: usually that of the request.
    pub action: &'q str,
    /// The path of the page for those who do not agree.
    pub back: &'q str,
    /// The fields that were sent so far, which are sent again.
    pub fields: &'q [(String, String)],
}
