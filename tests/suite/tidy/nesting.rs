//! How deep the blocks of functions go.
//!
//! Clippy has a lint, `excessive_nesting`, but it counts from the file: a method would have one level less than a
//! function, and a test within `mod tests` one less again.

use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::token::Brace;
use syn::visit::{self, Visit};
use syn::{Block, Expr, ExprMatch, ImplItemFn, ItemFn, Macro, Pat, Token, TraitItemFn};

use super::{Source, all, nobody, sources};

/// The levels below a function's body: each block, as of `if`, `loop` or a closure, and each `match`.
const DEEPEST: usize = 5;

#[test]
fn no_function_is_too_deep() {
    let deep: Vec<_> = sources(&all()).iter().flat_map(deep).collect();
    nobody(&deep, "more than 5 levels are two functions");
}

#[test]
fn levels_are_those_below_the_body_of_a_function() {
    let four = "for a in b { loop { if c { match d { () => $ } } } }";
    for (inner, levels) in [
        ("1", 4),
        ("{ 1 }", 5),
        ("tokio::select! { biased; () = e, if f => 1, else => { 1 } }", 6),
        ("assert!({ let g = || { 1 }; g() })", 6),
        ("{ fn h() { loop {} } }", 5),
    ] {
        let text = format!("impl A {{ async fn i() {{ {} }} }}", four.replace('$', inner));
        assert_eq!(Depth::of(&text).functions.last(), Some(&(String::from("i"), levels)), "{inner}");
    }
}

/// Returns the functions of a file that are too deep.
fn deep(source: &Source) -> Vec<String> {
    let functions = Depth::of(&source.text).functions.into_iter();
    let deep = functions.filter(|(_, levels)| *levels > DEEPEST);
    deep.map(|(name, levels)| format!("{}: {name} has {levels} levels", source.path)).collect()
}

/// The walk through a file.
#[derive(Default)]
struct Depth {
    /// The levels around the present place.
    around: usize,
    /// The most levels of the present function.
    most: usize,
    /// Each function with its levels.
    functions: Vec<(String, usize)>,
}

impl Depth {
    fn of(text: &str) -> Self {
        let mut depth = Self::default();
        depth.visit_file(&syn::parse_file(text).unwrap());
        depth
    }

    fn function(&mut self, name: &syn::Ident, body: &Block) {
        let outer = std::mem::take(self);
        visit::visit_block(self, body);
        let own = (name.to_string(), self.most);
        let inner = std::mem::replace(self, outer).functions;
        self.functions.extend(inner.into_iter().chain([own]));
    }

    fn level(&mut self, within: impl FnOnce(&mut Self)) {
        self.around += 1;
        self.most = self.most.max(self.around);
        within(self);
        self.around -= 1;
    }
}

impl<'a> Visit<'a> for Depth {
    fn visit_item_fn(&mut self, function: &'a ItemFn) {
        self.function(&function.sig.ident, &function.block);
    }

    fn visit_impl_item_fn(&mut self, function: &'a ImplItemFn) {
        self.function(&function.sig.ident, &function.block);
    }

    fn visit_trait_item_fn(&mut self, function: &'a TraitItemFn) {
        if let Some(body) = &function.default {
            self.function(&function.sig.ident, body);
        }
    }

    fn visit_block(&mut self, block: &'a Block) {
        self.level(|depth| visit::visit_block(depth, block));
    }

    fn visit_expr_match(&mut self, expression: &'a ExprMatch) {
        self.level(|depth| visit::visit_expr_match(depth, expression));
    }

    /// Reads `select!`, and macros that take expressions or statements, such as `assert!`. The arguments of others, such
    /// as the functions of `proptest!`, are not Rust of their own.
    fn visit_macro(&mut self, call: &'a Macro) {
        let tokens = &call.tokens;
        if call.path.segments.last().is_some_and(|name| name.ident == "select") {
            let arms = syn::parse2::<Select>(tokens.clone()).unwrap().0;
            self.level(|depth| {
                for expression in &arms {
                    depth.visit_expr(expression);
                }
            });
        } else if let Ok(all) = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(tokens.clone()) {
            for one in &all {
                self.visit_expr(one);
            }
        } else if let Ok(all) = Block::parse_within.parse2(tokens.clone()) {
            for one in &all {
                self.visit_stmt(one);
            }
        }
    }
}

syn::custom_keyword!(biased);

/// The expressions of a `select!`: the future and the handler of each arm.
struct Select(Vec<Expr>);

impl Parse for Select {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut all = Vec::new();
        if input.peek(biased) {
            input.parse::<biased>()?;
            input.parse::<Token![;]>()?;
        }
        while !input.is_empty() {
            if input.parse::<Option<Token![else]>>()?.is_none() {
                Pat::parse_single(input)?;
                input.parse::<Token![=]>()?;
                all.push(input.parse()?);
            }
            if input.parse::<Option<Token![,]>>()?.is_some() {
                input.parse::<Token![if]>()?;
                all.push(input.parse()?);
            }
            input.parse::<Token![=>]>()?;
            // After a block, the next arm may follow without a comma.
            all.push(if input.peek(Brace) { Expr::Block(input.parse()?) } else { input.parse()? });
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(Self(all))
    }
}
