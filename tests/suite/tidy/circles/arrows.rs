//! The arrows among the files of a package: each points from a file to one whose items it names.

use std::collections::{BTreeMap, BTreeSet};

use syn::buffer::{Cursor, TokenBuffer};
use syn::ext::IdentExt as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, ImplItem, Item, Macro, Meta, Path, Stmt};

use super::names::{Names, Segments, attributes, is_for_tests, paths};
use super::tree::Tree;

/// For each file the others that it names, with the names that it takes from there.
pub(super) type Arrows = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Adds the arrows between the files of a tree.
pub(super) fn add(tree: &Tree, arrows: &mut Arrows) {
    for (module, own) in tree.modules.iter().enumerate() {
        let mut walk = Walk { tree, module, blocks: Vec::new(), arrows };
        for item in &own.items {
            walk.visit_item(item);
        }
    }
}

/// The walk through the items of a module.
struct Walk<'a> {
    tree: &'a Tree,
    module: usize,
    /// The names that the blocks around the present place bring.
    blocks: Vec<Names>,
    arrows: &'a mut Arrows,
}

impl Walk<'_> {
    /// Adds the arrow of a path. The file of an own ancestor is a module's context, and makes none.
    fn names(&mut self, path: &[String]) {
        let path = self.brought_by_blocks(path);
        if let Some((file, name)) = self.tree.resolve(self.module, &path)
            && !self.tree.is_around(self.module, file)
        {
            let own = self.tree.modules[self.module].file.clone();
            self.arrows.entry(own).or_default().entry(file.to_owned()).or_default().insert(name);
        }
    }

    /// Replaces a name that a block around the path brings.
    fn brought_by_blocks(&self, path: &[String]) -> Segments {
        let mut path = path.to_owned();
        for names in self.blocks.iter().rev() {
            if let Some(brought) = names.named.get(&path[0]).and_then(|paths| paths.first()) {
                path.splice(..1, brought.iter().cloned());
            }
        }
        path
    }

    /// Reads paths among tokens that need not be Rust: the arguments of macros and attributes.
    fn tokens(&mut self, mut at: Cursor<'_>) {
        while !at.eof() {
            if let Some((inside, _, _, after)) = at.any_group() {
                self.tokens(inside);
                at = after;
            } else if let Some((path, after)) = path_at(at) {
                if path.len() > 1 {
                    self.names(&path);
                }
                at = after;
            } else {
                at = at.token_tree().unwrap().1;
            }
        }
    }
}

impl<'a> Visit<'a> for Walk<'_> {
    fn visit_item(&mut self, item: &'a Item) {
        if is_for_tests(attributes(item)) {
            return;
        }
        if let Item::Use(item) = item {
            for path in paths(item) {
                self.names(&path);
            }
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'a ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_block(&mut self, block: &'a Block) {
        let items = block.stmts.iter().filter_map(|one| if let Stmt::Item(item) = one { Some(item) } else { None });
        self.blocks.push(Names::of(items));
        visit::visit_block(self, block);
        self.blocks.pop();
    }

    /// A single name has its arrow where it was brought.
    fn visit_path(&mut self, path: &'a Path) {
        if path.segments.len() > 1 && path.leading_colon.is_none() {
            let segments: Segments = path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect();
            self.names(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'a Macro) {
        self.visit_path(&call.path);
        self.tokens(TokenBuffer::new2(call.tokens.clone()).begin());
    }

    fn visit_attribute(&mut self, attribute: &'a Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.tokens(TokenBuffer::new2(list.tokens.clone()).begin());
        }
        visit::visit_attribute(self, attribute);
    }
}

/// Returns the path that begins here, and the rest after it.
fn path_at(at: Cursor<'_>) -> Option<(Segments, Cursor<'_>)> {
    if let Some(after) = colons(at) {
        // A path that begins with `::` is another package's.
        return Some((Segments::new(), path_at(after).map_or(after, |(_, after)| after)));
    }
    let (first, mut at) = at.ident()?;
    let mut path = vec![first.unraw().to_string()];
    while let Some((next, after)) = colons(at).and_then(Cursor::ident) {
        path.push(next.unraw().to_string());
        at = after;
    }
    Some((path, at))
}

fn colons(at: Cursor<'_>) -> Option<Cursor<'_>> {
    colon(at).and_then(colon)
}

fn colon(at: Cursor<'_>) -> Option<Cursor<'_>> {
    at.punct().filter(|(punct, _)| punct.as_char() == ':').map(|(_, after)| after)
}
