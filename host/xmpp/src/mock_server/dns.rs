//! A resolver that knows only the records that a test gives it.

use futures_util::future::BoxFuture;

use crate::srv::{Resolve, SrvRecord};

/// The records by name.
#[derive(Debug)]
pub struct ScriptedDns(Vec<(String, SrvRecord)>);

impl ScriptedDns {
    /// Creates a resolver with these records: a name, a priority, a host, a port.
    pub fn of(records: &[(&str, u16, &str, u16)]) -> Self {
        let record = |&(name, priority, host, port): &(&str, u16, &str, u16)| {
            (name.to_owned(), SrvRecord { priority, weight: 1, host: host.to_owned(), port })
        };
        Self(records.iter().map(record).collect())
    }
}

impl Resolve for ScriptedDns {
    fn records<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Vec<SrvRecord>> {
        let found = self.0.iter().filter(|(of, _)| of == name).map(|(_, record)| record.clone()).collect();
        Box::pin(std::future::ready(found))
    }
}
