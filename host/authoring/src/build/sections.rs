//! The outermost sections of a component, without those of nested modules and components.

use wasmparser::{Parser, Payload};

/// Any error of a parser.
pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

/// A section of the file.
pub(super) struct Section<'c> {
    pub(super) id: u8,
    pub(super) data: &'c [u8],
    /// The parsed section.
    pub(super) payload: Payload<'c>,
}

/// Iterates over the outermost sections in order.
pub(super) fn outermost(component: &[u8]) -> impl Iterator<Item = Result<Section<'_>, Error>> {
    let mut depth = 0;
    Parser::new(0).parse_all(component).filter_map(move |payload| {
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => return Some(Err(error.into())),
        };
        let is_outermost = depth == 0;
        match &payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) if depth > 0 => depth -= 1,
            _ => {}
        }
        let (id, range) = payload.as_section().filter(|_| is_outermost)?;
        let data = component.get(range).ok_or_else(|| "a section ends behind its component".into());
        Some(data.map(|data| Section { id, data, payload }))
    })
}
