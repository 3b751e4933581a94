//! Reading elements and attributes with their positions.

use std::sync::Arc;

use super::error::{Place, Problem, SbmlError};
use super::number;

/// An XML node; the text outlives every reader.
pub(super) type Node<'a> = roxmltree::Node<'a, 'a>;

pub(super) const MATHML: &str = "http://www.w3.org/1998/Math/MathML";

/// The positions of a file's text.
pub(super) struct Positions {
    file: Arc<str>,
    /// Byte offset of each line's start: looking a line up must not scan the text again.
    starts: Vec<usize>,
}

impl Positions {
    pub(super) fn new(file: &str, text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        Self { file: file.into(), starts: std::iter::once(0).chain(ends).collect() }
    }

    pub(super) fn line(&self, offset: usize) -> u32 {
        let line = self.starts.partition_point(|start| *start <= offset);
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    pub(super) fn at_line(&self, line: u32) -> Place {
        Place { file: self.file.clone(), line }
    }

    pub(super) fn place(&self, node: Node) -> Place {
        self.at_line(self.line(node.range().start))
    }

    pub(super) fn error(&self, node: Node, problem: Problem) -> SbmlError {
        SbmlError { place: self.place(node), problem }
    }
}

/// An SBML document of a known level: access to its elements in SBML's own terms.
pub(super) struct Source {
    pub positions: Positions,
    pub level: u8,
    pub version: u8,
    /// The namespace of the core elements.
    pub core: &'static str,
}

impl Source {
    pub(super) fn place(&self, node: Node) -> Place {
        self.positions.place(node)
    }

    pub(super) fn error(&self, node: Node, problem: Problem) -> SbmlError {
        self.positions.error(node, problem)
    }

    /// Whether formulas may be left out: Level 3 Version 2 and later.
    pub(super) fn math_is_optional(&self) -> bool {
        (self.level, self.version) >= (3, 2)
    }

    pub(super) fn is_core(&self, node: Node, name: &str) -> bool {
        node.tag_name().namespace() == Some(self.core) && node.tag_name().name() == name
    }

    /// The child elements of `parent` that belong to the model: notes and annotations left out,
    /// and the elements of packages, which [`packages`](super::packages) judges.
    pub(super) fn elements<'a>(&self, parent: Node<'a>) -> impl Iterator<Item = Node<'a>> {
        parent.children().filter(|child| {
            child.is_element()
                && !self.is_core(*child, "notes")
                && !self.is_core(*child, "annotation")
                && child.tag_name().namespace().and_then(package_name).is_none()
        })
    }

    /// Refuses any child element of `parent` for which `known` does not hold.
    pub(super) fn expect_only(
        &self,
        parent: Node,
        expected: &'static str,
        known: impl Fn(Node) -> bool,
    ) -> Result<(), SbmlError> {
        match self.elements(parent).find(|child| !known(*child)) {
            None => Ok(()),
            Some(child) => Err(self.unexpected(child, expected)),
        }
    }

    pub(super) fn unexpected(&self, node: Node, expected: &'static str) -> SbmlError {
        let parent = node.parent_element().map_or("document", |p| p.tag_name().name()).to_owned();
        let element = node.tag_name().name().to_owned();
        self.error(node, Problem::UnexpectedElement { element, parent, expected })
    }

    /// The only child element of this name, if there is one.
    pub(super) fn child<'a>(
        &self,
        parent: Node<'a>,
        name: &str,
    ) -> Result<Option<Node<'a>>, SbmlError> {
        let mut found = self.elements(parent).filter(|child| self.is_core(*child, name));
        let first = found.next();
        match found.next() {
            None => Ok(first),
            Some(second) => Err(self.repeated(second)),
        }
    }

    pub(super) fn repeated(&self, second: Node) -> SbmlError {
        let parent = second.parent_element().map_or("document", |p| p.tag_name().name()).to_owned();
        let element = second.tag_name().name().to_owned();
        self.error(second, Problem::RepeatedElement { parent, element })
    }

    /// The items of the list `list` below `parent`: none where there is no list.
    pub(super) fn items<'a>(
        &self,
        parent: Node<'a>,
        list: &str,
        item: &'static str,
    ) -> Result<Vec<Node<'a>>, SbmlError> {
        let Some(list) = self.child(parent, list)? else { return Ok(Vec::new()) };
        self.expect_only(list, item, |node| self.is_core(node, item))?;
        Ok(self.elements(list).collect())
    }

    /// The `math` child, if there is one.
    pub(super) fn math<'a>(&self, parent: Node<'a>) -> Result<Option<Node<'a>>, SbmlError> {
        let is_math = |node: &Node| node.has_tag_name((MATHML, "math"));
        let mut found = parent.children().filter(is_math);
        let first = found.next();
        match (first, found.next()) {
            (_, Some(second)) => Err(self.repeated(second)),
            (None, None) if !self.math_is_optional() => {
                let parent_name = parent.tag_name().name().to_owned();
                let problem = Problem::MissingElement { parent: parent_name, element: "math" };
                Err(self.error(parent, problem))
            }
            (first, None) => Ok(first),
        }
    }

    pub(super) fn required<'a>(
        &self,
        node: Node<'a>,
        attribute: &'static str,
    ) -> Result<&'a str, SbmlError> {
        self::attribute(node, attribute).ok_or_else(|| {
            let element = node.tag_name().name().to_owned();
            self.error(node, Problem::MissingAttribute { element, attribute })
        })
    }

    fn bad(
        &self,
        node: Node,
        attribute: &'static str,
        value: &str,
        expected: &'static str,
    ) -> SbmlError {
        let value = shortened(value);
        self.error(node, Problem::BadAttribute { attribute, value, expected })
    }

    /// An attribute that is an identifier (SId, section 3.1.7).
    pub(super) fn id<'a>(
        &self,
        node: Node<'a>,
        attribute: &'static str,
    ) -> Result<Option<&'a str>, SbmlError> {
        match self::attribute(node, attribute) {
            Some(value) if !is_id(value) => {
                let expected = "an identifier of at most 255 letters, digits and underscores, \
                                starting with no digit";
                Err(self.bad(node, attribute, value, expected))
            }
            value => Ok(value),
        }
    }

    pub(super) fn required_id<'a>(
        &self,
        node: Node<'a>,
        attribute: &'static str,
    ) -> Result<&'a str, SbmlError> {
        self.required(node, attribute)?;
        Ok(self.id(node, attribute)?.unwrap_or_default())
    }

    pub(super) fn number(
        &self,
        node: Node,
        attribute: &'static str,
    ) -> Result<Option<f64>, SbmlError> {
        let Some(text) = self::attribute(node, attribute) else { return Ok(None) };
        match number::double(text) {
            None => Err(self.bad(node, attribute, text, "a number")),
            value => Ok(value),
        }
    }

    /// A boolean attribute with a default.
    pub(super) fn flag_or(
        &self,
        node: Node,
        attribute: &'static str,
        default: bool,
    ) -> Result<bool, SbmlError> {
        let Some(text) = self::attribute(node, attribute) else { return Ok(default) };
        number::boolean(text).ok_or_else(|| self.bad(node, attribute, text, "true or false"))
    }

    /// A boolean attribute with a default in level 2 that level 3 requires.
    pub(super) fn flag(
        &self,
        node: Node,
        attribute: &'static str,
        level2: bool,
    ) -> Result<bool, SbmlError> {
        if self.level >= 3 {
            self.required(node, attribute)?;
        }
        self.flag_or(node, attribute, level2)
    }

    /// `spatialDimensions`: 0, 1, 2 or 3 in level 2, any number in level 3.
    pub(super) fn dimensions(&self, node: Node) -> Result<Option<f64>, SbmlError> {
        const NAME: &str = "spatialDimensions";
        let value = self.number(node, NAME)?;
        match (self.level, value) {
            (2, None) => Ok(Some(3.0)),
            (2, Some(n)) if ![0.0, 1.0, 2.0, 3.0].contains(&n) => {
                let text = self::attribute(node, NAME).unwrap_or_default();
                Err(self.bad(node, NAME, text, "0, 1, 2 or 3"))
            }
            (_, value) => Ok(value),
        }
    }

    /// The element and all below it in file order, without notes, annotations and formulas.
    pub(super) fn model_part<'a>(&self, top: Node<'a>) -> impl Iterator<Item = Node<'a>> {
        let mut waiting = vec![top];
        let core = self.core;
        std::iter::from_fn(move || {
            let node = waiting.pop()?;
            waiting.extend(node.children().rev().filter(|child| {
                let (namespace, name) = (child.tag_name().namespace(), child.tag_name().name());
                child.is_element()
                    && namespace != Some(MATHML)
                    && !(namespace == Some(core) && matches!(name, "notes" | "annotation"))
            }));
            Some(node)
        })
    }
}

/// The attribute of this name without a namespace (roxmltree's own look-up ignores prefixes).
pub(super) fn attribute<'a>(node: Node<'a>, name: &str) -> Option<&'a str> {
    node.attributes().find(|a| a.namespace().is_none() && a.name() == name).map(|a| a.value())
}

/// The package's name if this is the namespace of an SBML Level 3 package.
pub(super) fn package_name(namespace: &str) -> Option<&str> {
    let rest = namespace.strip_prefix("http://www.sbml.org/sbml/level3/version")?;
    let name = rest.split('/').nth(1)?;
    (name != "core").then_some(name)
}

/// An SId of a length that may be repeated without harm.
pub(super) fn is_id(text: &str) -> bool {
    let head = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    text.len() <= 255
        && text.bytes().next().is_some_and(head)
        && text.bytes().all(|b| head(b) || b.is_ascii_digit())
}

/// Untrusted text for a message: its first characters, control characters escaped.
pub(super) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}
