//! The view on an element that the rules of `decode` need, for both the library's trees and elements of the fast
//! parser.

use minidom::Element;
use minidom::rxml::Namespace;

/// An element that can be read.
pub(crate) trait Xml<'a>: Copy {
    /// Returns the name without a prefix.
    fn name(self) -> &'a str;

    /// Returns whether it is in this namespace.
    fn has_ns(self, namespace: &str) -> bool;

    /// Returns whether it is in the same namespace as the other one.
    fn is_beside(self, other: Self) -> bool;

    /// Returns the attribute of this name.
    fn attr(self, name: &str) -> Option<&'a str>;

    /// Returns the language that it declares.
    fn lang(self) -> Option<&'a str>;

    /// Returns the text in it, without that of other elements in it.
    fn text(self) -> String;

    /// Returns the elements in it.
    fn children(self) -> impl Iterator<Item = Self>;

    /// Returns the tree, unless it is from the fast parser.
    fn element(self) -> Option<&'a Element>;
}

impl<'a> Xml<'a> for &'a Element {
    fn name(self) -> &'a str {
        Element::name(self)
    }

    fn has_ns(self, namespace: &str) -> bool {
        Element::has_ns(self, namespace)
    }

    fn is_beside(self, other: Self) -> bool {
        self.ns() == other.ns()
    }

    fn attr(self, name: &str) -> Option<&'a str> {
        self.attrs().get(&Namespace::NONE, name).map(String::as_str)
    }

    fn lang(self) -> Option<&'a str> {
        self.attrs().get(&Namespace::XML, "lang").map(String::as_str)
    }

    fn text(self) -> String {
        Element::text(self)
    }

    fn children(self) -> impl Iterator<Item = Self> {
        Element::children(self)
    }

    fn element(self) -> Option<&'a Element> {
        Some(self)
    }
}
