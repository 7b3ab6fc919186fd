//! A request to a webhook.

/// A request over the web to a webhook of a plugin, which was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Webhook {
    pub id: String,
    pub name: String,
    pub attempt: u32,
    pub method: String,
    pub query: Option<String>,
    pub path: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Webhook {
    /// Returns about how many bytes of memory its texts take.
    pub fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let [query, path] = [&self.query, &self.path].map(|text| text.as_ref().map_or(0, String::len));
        query + path + headers + self.body.len()
    }
}
