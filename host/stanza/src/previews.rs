//! Previews of links (XEP-0511), which the author of a message wrote into it.

use minidom::Element;
use minidom::rxml::Namespace;
use parlor_base::web_address::WebAddress;

use crate::text::{clean, kept, line, name};
use crate::types::LinkPreview;

/// The namespace of a preview.
pub(crate) const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
/// The namespace of its contents (Open Graph).
const OPEN_GRAPH: &str = "https://ogp.me/ns#";

/// The maximum number of previews of one message.
pub const MAX_PREVIEWS: usize = 8;
/// The maximum length of the address of a link or an image, in bytes.
pub const MAX_ADDRESS: usize = 2_000;
/// The maximum length of a title, in bytes.
pub const MAX_TITLE: usize = 512;
/// The maximum length of a description, in bytes.
pub const MAX_DESCRIPTION: usize = 4_096;

/// Returns whether a text can be the address of a link or an image.
pub fn is_address(text: &str) -> bool {
    text.len() <= MAX_ADDRESS && WebAddress::parse(text).is_ok()
}

/// Reads a preview; `None` if it is none, is about something outside of the web, or says nothing.
pub(crate) fn read(element: &Element) -> Option<LinkPreview> {
    let url = about(element).filter(|url| is_address(url))?;
    let texts =
        |wanted: &'static str| element.children().filter(move |child| child.is(wanted, OPEN_GRAPH)).map(Element::text);
    let title = texts("title").find_map(|text| line(&text, MAX_TITLE));
    let described = |text: String| kept(clean(text.trim().to_owned()), MAX_DESCRIPTION).trim_end().to_owned();
    let description = texts("description").map(described).find(|text| !text.is_empty());
    let image = texts("image").map(|url| url.trim().to_owned()).find(|url| is_address(url));
    let says_something = title.is_some() || description.is_some() || image.is_some();
    says_something.then(|| LinkPreview { url: url.to_owned(), title, description, image })
}

/// Adds a preview to those of a message. Of several about one link, the first counts.
pub(crate) fn add(previews: &mut Vec<LinkPreview>, preview: LinkPreview) {
    if previews.len() < MAX_PREVIEWS && previews.iter().all(|known| known.url != preview.url) {
        previews.push(preview);
    }
}

/// Returns the element of a preview.
pub(crate) fn element(preview: LinkPreview) -> Element {
    let LinkPreview { url, title, description, image } = preview;
    let part = |called: &'static str, text: Option<String>| {
        text.map(|text| Element::builder(called, OPEN_GRAPH).append(clean(text)).build())
    };
    let parts = [part("title", title), part("description", description), part("image", image)];
    Element::builder("Description", RDF)
        .attr_ns(Namespace::from(RDF), name("about"), clean(url))
        .append_all(parts.into_iter().flatten())
        .build()
}

/// Returns whether an element is the preview of a link that is not in this text.
pub(crate) fn is_of_no_link_in(element: &Element, text: &str) -> bool {
    element.is("Description", RDF) && about(element).is_none_or(|url| !text.contains(url))
}

/// Returns the address that an element is about.
fn about(element: &Element) -> Option<&str> {
    element.attr_ns(&Namespace::from(RDF), "about").map(str::trim)
}

#[cfg(test)]
mod tests;
