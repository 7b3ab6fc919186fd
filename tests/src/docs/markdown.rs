//! Pages in Markdown, read for the checks: headings, links, commands, and where each of them is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use pulldown_cmark::{CodeBlockKind, Event, OffsetIter, Options, Parser, Tag, TagEnd};

/// How a comment begins that says why nothing runs the block of commands below it.
const NOT_RUN: &str = "<!-- not run: ";

/// A page of the repository.
#[derive(Debug, Default)]
pub struct Page {
    /// The path from the root of the repository, with `/`.
    pub path: String,
    /// The text of the first heading, as Markdown.
    pub title: String,
    /// The anchors of the headings.
    pub anchors: BTreeSet<String>,
    /// The links to other places, those to the web included.
    pub links: Vec<Link>,
    /// The fenced blocks.
    pub blocks: Vec<Block>,
    /// Code within sentences and tables, with its line.
    pub code: Vec<(usize, String)>,
}

/// A link.
#[derive(Debug)]
pub struct Link {
    /// The line, counted from 1.
    pub line: usize,
    /// The target as the page has it.
    pub target: String,
}

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// The line of the fence, counted from 1.
    pub line: usize,
    /// The word behind the fence, up to a comma or space.
    pub language: String,
    /// The text between the fences.
    pub text: String,
    /// The reason why nothing runs it, from a comment above it.
    pub not_run: Option<String>,
}

impl Page {
    /// Reads a page.
    pub fn parse(path: &str, text: &str) -> Self {
        let mut reader = Reader { page: Self { path: path.to_owned(), ..Self::default() }, text, ..Reader::default() };
        for (event, range) in events(text) {
            reader.read(event, range.start);
        }
        reader.page
    }
}

/// Parses Markdown as the readers of the repository and mdbook do.
pub(super) fn events(text: &str) -> OffsetIter<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH).into_offset_iter()
}

/// The state while a page is read.
#[derive(Debug, Default)]
struct Reader<'a> {
    page: Page,
    text: &'a str,
    /// The plain text of the open heading, and where its Markdown begins.
    heading: Option<(String, usize)>,
    block: Option<Block>,
    /// The reason in the comment that was read last, until another element begins.
    not_run: Option<String>,
}

impl Reader<'_> {
    fn read(&mut self, event: Event<'_>, at: usize) {
        let line = || self.text[..at].matches('\n').count() + 1;
        match event {
            Event::Start(Tag::Link { dest_url, .. }) => {
                self.page.links.push(Link { line: line(), target: dest_url.into_string() });
            }
            Event::Start(Tag::Heading { .. }) => self.heading = Some((String::new(), at)),
            Event::End(TagEnd::Heading(_)) => self.end_heading(),
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(word) => word.split([' ', ',']).next().unwrap_or_default().to_owned(),
                    CodeBlockKind::Indented => String::new(),
                };
                let not_run = self.not_run.take();
                self.block = Some(Block { line: line(), language, text: String::new(), not_run });
            }
            Event::End(TagEnd::CodeBlock) => self.page.blocks.extend(self.block.take()),
            Event::Html(html) => {
                let reason = html.trim_end().strip_prefix(NOT_RUN).and_then(|rest| rest.strip_suffix("-->"));
                self.not_run = reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
            }
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
            Event::Start(_) => self.not_run = None,
            Event::Text(text) => self.add(&text),
            Event::Code(code) => {
                self.add(&code);
                self.page.code.push((line(), code.into_string()));
            }
            Event::SoftBreak | Event::HardBreak => self.add(" "),
            _ => {}
        }
    }

    /// Adds text to the open element.
    fn add(&mut self, text: &str) {
        if let Some(block) = &mut self.block {
            block.text.push_str(text);
        } else if let Some((heading, _)) = &mut self.heading {
            heading.push_str(text);
        }
    }

    fn end_heading(&mut self) {
        let Some((plain, at)) = self.heading.take() else { return };
        if self.page.title.is_empty() {
            let line = self.text[at..].lines().next().unwrap_or_default();
            line.trim_start_matches('#').trim().clone_into(&mut self.page.title);
        }
        let anchor = anchor(&plain);
        let repeated = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone()).chain(repeated).find(|one| !self.page.anchors.contains(one));
        self.page.anchors.extend(free);
    }
}

/// Returns the anchor of a heading, as both GitHub and mdbook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect::<String>().to_lowercase()
}

/// Reads every page below this folder, by path. Folders of build products and hidden ones are left out.
pub fn pages(root: &Path) -> Result<Vec<Page>> {
    let files = super::links::files(root, &["md"])?;
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
            Ok(Page::parse(&path, &text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A `code` title\n\nSee [there](other.md#at) and `parlor run`.\n\n## The same\n\n## The same\n\n\
        <!-- not run: it asks -->\n\n```console\n$ parlor init\n```\n\n```sh\nparlor run\n```\n";

    #[test]
    fn a_page_is_read_with_the_lines_of_its_parts() {
        let page = Page::parse("a.md", PAGE);
        assert_eq!(page.title, "A `code` title");
        assert_eq!(page.anchors.iter().collect::<Vec<_>>(), ["a-code-title", "the-same", "the-same-1"]);
        assert_eq!((page.links[0].line, page.links[0].target.as_str()), (3, "other.md#at"));
        assert_eq!(page.code.last().unwrap(), &(3, "parlor run".to_owned()));
        let blocks: Vec<_> = page.blocks.iter().map(|one| (one.line, &*one.language, one.not_run.as_deref())).collect();
        assert_eq!(blocks, [(11, "console", Some("it asks")), (15, "sh", None)]);
        assert_eq!(page.blocks[1].text, "parlor run\n");
    }

    #[test]
    fn a_mark_counts_for_the_block_below_it_alone() {
        let page = Page::parse("a.md", "<!-- not run: it asks -->\n\nA sentence.\n\n```sh\nparlor run\n```\n");
        assert_eq!(page.blocks[0].not_run, None);
        let page = Page::parse("a.md", "<!-- not run: -->\n\n```sh\nparlor run\n```\n");
        assert_eq!(page.blocks[0].not_run, None, "a reason is demanded");
    }
}
