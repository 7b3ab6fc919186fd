//! The servers that get a credential, and the parts of a request that the host writes it into.
//!
//! The host fills in a place such as `{{api_key}}`, and cannot know who wrote it there. Texts of people are mostly in bodies, so a
//! credential goes into a body only if the author says so.

use parlor_base::document::{DocumentError, Node, Section};
use parlor_base::permission::ScopeKind;
use parlor_session::permissions::Scope;

use crate::header::header;

/// The most servers of one credential.
pub(crate) const MAX_SERVERS: usize = 64;
/// The most places of one credential.
pub(crate) const MAX_PLACES: usize = 16;

/// The servers that a credential is bound to, and the parts of a request that it is written into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    servers: Scope,
    places: Vec<Place>,
}

/// A part of a request that a credential may stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// The value of the header with this name.
    Header(&'a str),
    /// The query of the address.
    Query,
    /// The body, if it is sent as a whole.
    Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The value of each header.
    Headers,
    /// The value of this header, in lower case.
    Header(String),
    Query,
    Body,
}

impl Binding {
    /// Binds a credential to these servers, for all headers and the query.
    pub fn new(servers: Scope) -> Self {
        Self { servers, places: vec![Place::Headers, Place::Query] }
    }

    /// Binds it to the body as well.
    #[must_use]
    pub fn with_body(mut self) -> Self {
        self.places.push(Place::Body);
        self
    }

    /// Parses `hosts` and `insert_in` of `[settings.NAME]`.
    pub(super) fn read(section: &Section<'_>) -> Result<Option<Self>, DocumentError> {
        let places = section.get("insert_in");
        let Some(hosts) = section.get("hosts") else {
            let why = "without `hosts` it goes into no request: list the servers in `hosts`";
            return places.map_or(Ok(None), |places| Err(places.error(why)));
        };
        let mut binding = Self::new(bound(&hosts)?);
        if let Some(places) = places {
            binding.places = Place::read_all(&places)?;
        }
        Ok(Some(binding))
    }

    /// Returns the servers.
    pub fn servers(&self) -> &Scope {
        &self.servers
    }

    /// Returns whether it is written into this part of a request.
    pub fn is_for(&self, part: Part<'_>) -> bool {
        self.places.iter().any(|place| match place {
            Place::Headers => matches!(part, Part::Header(_)),
            Place::Header(one) => matches!(part, Part::Header(name) if one.eq_ignore_ascii_case(name)),
            Place::Query => part == Part::Query,
            Place::Body => part == Part::Body,
        })
    }

    /// Lists the places in words.
    pub fn places(&self) -> Vec<String> {
        self.places.iter().map(Place::in_words).collect()
    }

    /// Lists the places, in words, that another binding does not have.
    pub(crate) fn places_beyond(&self, other: &Self) -> Vec<String> {
        let is_beyond = |place: &&Place| match place {
            Place::Header(name) => !other.is_for(Part::Header(name)),
            Place::Headers | Place::Query | Place::Body => !other.places.contains(place),
        };
        self.places.iter().filter(is_beyond).map(Place::in_words).collect()
    }
}

impl Place {
    fn read_all(node: &Node<'_>) -> Result<Vec<Self>, DocumentError> {
        let places = node.strings(MAX_PLACES)?;
        if places.is_empty() {
            return Err(node.error("it goes nowhere: list `header`, `header NAME`, `query` or `body`"));
        }
        places.into_iter().map(|place| Self::read(node, place)).collect()
    }

    fn read(node: &Node<'_>, place: &str) -> Result<Self, DocumentError> {
        match place {
            "header" => Ok(Self::Headers),
            "query" => Ok(Self::Query),
            "body" => Ok(Self::Body),
            _ => match place.strip_prefix("header ") {
                Some(name) => Ok(Self::Header(header(node, name)?)),
                None => Err(node.wants("a list of `header`, `header NAME`, `query` and `body`")),
            },
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Headers => "headers".to_owned(),
            Self::Header(name) => format!("the header {name}"),
            Self::Query => "the query".to_owned(),
            Self::Body => "the body".to_owned(),
        }
    }
}

/// Parses the servers that a credential is bound to.
fn bound(node: &Node<'_>) -> Result<Scope, DocumentError> {
    let entries = node.strings(MAX_SERVERS)?;
    let open = entries.iter().find(|entry| entry.ends_with('*') || entry.contains("http://"));
    if let Some(open) = open {
        let open = open.escape_debug();
        return Err(node.error(format!("`{open}` binds it to no server: list hosts that are asked over TLS")));
    }
    Scope::parse(ScopeKind::Servers, &entries).map_err(|error| node.error(error.to_string()))
}

#[cfg(test)]
mod tests {
    use parlor_base::document::Document;

    use super::*;

    fn read(text: &str) -> Result<Option<Binding>, String> {
        let document = Document::parse(text).map_err(|error| error.to_string())?;
        Binding::read(&document.root()).map_err(|error| error.to_string())
    }

    fn binding(places: &str) -> Binding {
        read(&format!("hosts = [\"https://api.example.org\"]\n{places}")).unwrap().unwrap()
    }

    #[test]
    fn a_credential_goes_into_headers_and_the_query_unless_the_author_says_where() {
        let goes = |binding: &Binding| {
            let headers = ["authorization", "X-Key"].map(|name| binding.is_for(Part::Header(name)));
            (headers, binding.is_for(Part::Query), binding.is_for(Part::Body))
        };
        assert_eq!(goes(&binding("")), ([true, true], true, false));
        assert_eq!(goes(&binding("insert_in = [\"header x-key\"]")), ([false, true], false, false));
        assert_eq!(goes(&binding("insert_in = [\"header\"]")), ([true, true], false, false));
        assert_eq!(goes(&binding("insert_in = [\"query\", \"body\"]")), ([false, false], true, true));
        assert_eq!(goes(&binding("").with_body()), ([true, true], true, true));
        assert_eq!(read("").unwrap(), None);
    }

    #[test]
    fn a_place_that_is_none_is_refused_with_those_that_there_are() {
        for (text, part) in [
            ("insert_in = [\"body\"]", "list the servers in `hosts`"),
            ("hosts = [\"https://a.example\"]\ninsert_in = []", "it goes nowhere"),
            ("hosts = [\"https://a.example\"]\ninsert_in = [\"path\"]", "`header NAME`"),
            ("hosts = [\"https://a.example\"]\ninsert_in = [\"header \"]", "the name of a header"),
            ("hosts = [\"https://a.example\"]\ninsert_in = [\"header a b\"]", "the name of a header"),
            ("hosts = [\"https://a.example\"]\ninsert_in = \"body\"", "a list"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn places_that_are_new_are_told_from_those_that_there_were() {
        let usual = binding("");
        assert_eq!(binding("insert_in = [\"header authorization\", \"query\"]").places_beyond(&usual), [""; 0]);
        assert_eq!(usual.clone().with_body().places_beyond(&usual), ["the body"]);
        let narrow = binding("insert_in = [\"header authorization\"]");
        assert_eq!(usual.places_beyond(&narrow), ["headers", "the query"]);
        assert_eq!(binding("insert_in = [\"header Authorization\"]").places_beyond(&narrow), [""; 0]);
    }
}
