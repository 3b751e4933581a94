//! MathML content to expressions: the subset of SBML Level 2 and Level 3 (section 3.4).

use std::collections::HashMap;

use super::error::{Problem, SbmlError};
use super::functions::{CallError, Definition, Parameters};
use super::ids::Ids;
use super::number;
use super::operators::{Arity, constant, operator};
use super::xml::{MATHML, Node, Source, attribute, shortened};
use crate::math::{Expr, Function, MAX_DEPTH, Piece};

/// Most terms that the formulas of one model may have, every function call inlined.
pub(super) const MAX_TERMS: u64 = 5_000_000;

/// Avogadro's number as SBML fixes it (section 3.4.6), in spite of later CODATA values.
const AVOGADRO: f64 = 6.02214179e23;

const OPERATOR: &str = "an operator or a function";

/// Names that a formula may use.
pub(super) enum Scope<'s> {
    /// The ids of the model.
    Model(&'s Ids),
    /// The ids of the model, hidden by the local parameters of a kinetic law: their ids with
    /// their unique names.
    Law(&'s Ids, &'s HashMap<&'s str, String>),
    /// The arguments of a function definition.
    Lambda(&'s Parameters),
}

impl Scope<'_> {
    fn resolve(&self, name: &str) -> Option<String> {
        let global = |ids: &Ids| ids.symbol(name).map(|_| name.to_owned());
        match self {
            Self::Model(ids) => global(ids),
            Self::Law(ids, locals) => locals.get(name).cloned().or_else(|| global(ids)),
            Self::Lambda(arguments) => arguments.contains_key(name).then(|| name.to_owned()),
        }
    }

    fn expected(&self) -> &'static str {
        match self {
            Self::Model(_) => {
                "the id of a species, compartment, parameter, reaction or species reference"
            }
            Self::Law(..) => {
                "a local parameter or the id of a species, compartment, parameter, reaction or \
                 species reference"
            }
            Self::Lambda(_) => "an argument (bvar) of the function definition",
        }
    }
}

/// An expression with its size and depth, both at least 1.
pub(super) struct Term {
    pub expr: Expr,
    /// Number of nodes; long names count for more, so that it bounds the memory as well.
    pub size: u64,
    pub depth: usize,
}

impl Term {
    fn leaf(expr: Expr) -> Self {
        let size = match &expr {
            Expr::Symbol(name) | Expr::RateOf(name) => name_size(name),
            _ => 1,
        };
        Self { expr, size, depth: 1 }
    }

    fn call(function: Function, arguments: Vec<Term>) -> Self {
        let size = arguments.iter().fold(1, |sum: u64, a| sum.saturating_add(a.size));
        let depth = 1 + arguments.iter().map(|a| a.depth).max().unwrap_or(0);
        let arguments = arguments.into_iter().map(|a| a.expr).collect();
        Self { expr: Expr::Call(function, arguments), size, depth }
    }

    /// From values and conditions in turn; a last value without a condition is for `otherwise`.
    fn piecewise(parts: Vec<Term>) -> Self {
        let size = parts.iter().fold(1, |sum: u64, part| sum.saturating_add(part.size));
        let depth = 1 + parts.iter().map(|part| part.depth).max().unwrap_or(0);
        let (mut pieces, mut otherwise) = (Vec::with_capacity(parts.len() / 2), None);
        let mut parts = parts.into_iter().map(|part| part.expr);
        while let Some(value) = parts.next() {
            match parts.next() {
                Some(condition) => pieces.push(Piece { value, condition }),
                None => otherwise = Some(Box::new(value)),
            }
        }
        Self { expr: Expr::Piecewise { pieces, otherwise }, size, depth }
    }
}

/// The size of a symbol.
pub(super) fn name_size(name: &str) -> u64 {
    1 + name.len() as u64 / 32
}

/// Reads the formulas of one model.
pub(super) struct MathReader<'a> {
    pub source: &'a Source,
    pub functions: HashMap<&'a str, Definition>,
    /// Terms built so far.
    terms: u64,
}

impl<'a> MathReader<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self { source, functions: HashMap::new(), terms: 0 }
    }

    /// The formula of a `math` element.
    pub(super) fn read(&mut self, math: Node<'a>, scope: &Scope) -> Result<Expr, SbmlError> {
        let top = self.single(math)?;
        Ok(self.term(top, scope, 1)?.expr)
    }

    /// The only child of `math`, out of any `semantics` around it.
    pub(super) fn single(&self, math: Node<'a>) -> Result<Node<'a>, SbmlError> {
        let mut found = children(math);
        match (found.next(), found.next()) {
            (Some(only), None) => self.content_of(only),
            (first, second) => {
                let count = first.iter().chain(&second).count() + found.count();
                Err(self.arguments(math, "one formula", count))
            }
        }
    }

    /// The content that `semantics` elements annotate: their first child.
    pub(super) fn content_of(&self, mut node: Node<'a>) -> Result<Node<'a>, SbmlError> {
        while node.has_tag_name((MATHML, "semantics")) {
            node = children(node).next().ok_or_else(|| self.arguments(node, "a formula", 0))?;
        }
        Ok(node)
    }

    /// Reads one element; `level` counts the elements above it and itself.
    ///
    /// The only function that recurses, and kept small: at the depth limit its frames must fit
    /// the stack of any thread.
    pub(super) fn term(
        &mut self,
        node: Node<'a>,
        scope: &Scope,
        level: usize,
    ) -> Result<Term, SbmlError> {
        let node = self.enter(node, level)?;
        let Some(operands) = self.operands(node)? else { return self.leaf(node, scope) };
        let mut terms = Vec::with_capacity(operands.len());
        for operand in operands {
            terms.push(self.term(operand, scope, level + 1)?);
        }
        self.build(node, terms)
    }

    /// Checks the limits; returns the content without annotations.
    fn enter(&mut self, node: Node<'a>, level: usize) -> Result<Node<'a>, SbmlError> {
        if level > MAX_DEPTH {
            return Err(self.source.error(node, Problem::TooDeep { limit: MAX_DEPTH }));
        }
        self.terms = spent(self.source, node, self.terms, 1)?;
        self.content_of(node)
    }

    /// The formulas inside this one, in the order in which [`build`](Self::build) takes them;
    /// `None` if it is not made of formulas.
    fn operands(&self, node: Node<'a>) -> Result<Option<Vec<Node<'a>>>, SbmlError> {
        if node.has_tag_name((MATHML, "piecewise")) {
            return self.branches(node).map(Some);
        }
        if !node.has_tag_name((MATHML, "apply")) {
            return Ok(None);
        }
        let head = self.head(node)?;
        match head.tag_name().name() {
            _ if head.tag_name().namespace() != Some(MATHML) => Err(self.unknown(head)),
            "csymbol" => Ok(None),
            // Some tools write brackets as an `apply` of nothing but the formula inside.
            "apply" | "piecewise" if children(node).count() == 1 => Ok(Some(vec![head])),
            "apply" | "piecewise" | "cn" => Err(self.misplaced(head, OPERATOR)),
            name if constant(name).is_some() => Err(self.misplaced(head, OPERATOR)),
            name if !is_applied(name) => Err(self.unknown(head)),
            _ => {
                let plain = children(node).skip(1).filter(|child| !is_qualifier(head, *child));
                Ok(Some(self.qualifier(node, head)?.into_iter().chain(plain).collect()))
            }
        }
    }

    /// The operator of an `apply`.
    fn head(&self, apply: Node<'a>) -> Result<Node<'a>, SbmlError> {
        match children(apply).next() {
            Some(head) => self.content_of(head),
            None => Err(self.arguments(apply, "an operator and its arguments", 0)),
        }
    }

    /// The formula in the `degree` of a root or the `logbase` of a logarithm.
    fn qualifier(&self, apply: Node<'a>, head: Node<'a>) -> Result<Option<Node<'a>>, SbmlError> {
        let mut found = children(apply).skip(1).filter(|child| is_qualifier(head, *child));
        match (found.next(), found.next()) {
            (_, Some(second)) => Err(self.source.repeated(second)),
            (Some(only), None) => self.single(only).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The values and conditions of a `piecewise`, then the value of its `otherwise`.
    fn branches(&self, node: Node<'a>) -> Result<Vec<Node<'a>>, SbmlError> {
        let (mut found, mut otherwise) = (Vec::new(), None);
        for child in children(node) {
            let inner: Vec<Node> = children(child).collect();
            if child.has_tag_name((MATHML, "piece")) {
                if inner.len() != 2 {
                    return Err(self.arguments(child, "a value and a condition", inner.len()));
                }
                found.extend(inner);
            } else if child.has_tag_name((MATHML, "otherwise")) {
                let [value] = inner[..] else {
                    return Err(self.arguments(child, "one value", inner.len()));
                };
                if otherwise.replace(value).is_some() {
                    return Err(self.source.repeated(child));
                }
            } else {
                return Err(self.misplaced(child, "piece or otherwise"));
            }
        }
        found.extend(otherwise);
        Ok(found)
    }

    /// The term of an `apply` or `piecewise` whose operands have been read.
    fn build(&mut self, node: Node<'a>, mut terms: Vec<Term>) -> Result<Term, SbmlError> {
        let term = if node.has_tag_name((MATHML, "piecewise")) {
            Term::piecewise(terms)
        } else {
            let head = self.head(node)?;
            match head.tag_name().name() {
                "apply" | "piecewise" => {
                    return terms.pop().ok_or_else(|| self.arguments(node, "a formula", 0));
                }
                "ci" => self.inline(head, &terms)?,
                _ => {
                    let qualified = self.qualifier(node, head)?.is_some();
                    Term::call(self.function(head, terms.len(), qualified)?, terms)
                }
            }
        };
        match term.depth {
            0..=MAX_DEPTH => Ok(term),
            _ => Err(self.source.error(node, Problem::TooDeep { limit: MAX_DEPTH })),
        }
    }

    /// The function that `head` stands for with this many operands, its qualifier included.
    fn function(
        &self,
        head: Node,
        operands: usize,
        qualified: bool,
    ) -> Result<Function, SbmlError> {
        let found = operands.saturating_sub(usize::from(qualified));
        let (function, arity) = match (head.tag_name().name(), found, qualified) {
            ("minus", 1, _) => (Function::Neg, Arity::Any),
            ("minus", ..) => (Function::Sub, Arity::OneOrTwo),
            ("root", _, false) => (Function::Sqrt, Arity::One),
            ("root", _, true) => (Function::Root, Arity::One),
            ("log", _, false) => (Function::Log10, Arity::One),
            ("log", _, true) => (Function::Log, Arity::One),
            (name, ..) => operator(name).ok_or_else(|| self.unknown(head))?,
        };
        match arity.holds(found) {
            true => Ok(function),
            false => Err(self.arguments(head, arity.words(), found)),
        }
    }

    /// A term that holds no other.
    fn leaf(&self, node: Node<'a>, scope: &Scope) -> Result<Term, SbmlError> {
        let name = node.tag_name().name();
        let expr = match (node.tag_name().namespace() == Some(MATHML)).then_some(name) {
            Some("apply") => self.rate_of(node, scope)?,
            Some("cn") => Expr::Number(self.number(node)?),
            Some("ci") => Expr::Symbol(self.symbol(node, scope)?),
            Some("csymbol") => self.csymbol(node)?,
            other => Expr::Number(other.and_then(constant).ok_or_else(|| self.unknown(node))?),
        };
        Ok(Term::leaf(expr))
    }

    fn arguments(&self, node: Node, expected: &'static str, found: usize) -> SbmlError {
        let (element, expected) = (node.tag_name().name().to_owned(), expected.into());
        self.source.error(node, Problem::Arguments { element, expected, found })
    }

    fn misplaced(&self, node: Node, expected: &'static str) -> SbmlError {
        let element = node.tag_name().name().to_owned();
        self.source.error(node, Problem::MisplacedMath { element, expected })
    }

    /// The error for an element that does not stand for a value.
    fn unknown(&self, node: Node) -> SbmlError {
        let name = node.tag_name().name();
        let element = shortened(name);
        let known = matches!(
            name,
            "lambda" | "bvar" | "piece" | "otherwise" | "degree" | "logbase" | "sep"
        );
        let known = known || is_applied(name);
        if node.tag_name().namespace() == Some(MATHML) && known {
            return self.misplaced(node, "a number, a symbol or an operation");
        }
        self.source.error(node, Problem::UnknownMath { element })
    }

    fn symbol(&self, ci: Node, scope: &Scope) -> Result<String, SbmlError> {
        let name = content(ci);
        scope.resolve(&name).ok_or_else(|| {
            let problem =
                Problem::UnknownSymbol { symbol: shortened(&name), expected: scope.expected() };
            self.source.error(ci, problem)
        })
    }

    fn csymbol(&self, node: Node) -> Result<Expr, SbmlError> {
        match self.symbol_of(node)? {
            Csymbol::Time => Ok(Expr::Time),
            Csymbol::Avogadro => Ok(Expr::Number(AVOGADRO)),
            Csymbol::RateOf => Err(self.misplaced(node, "rateOf only as the head of an apply")),
        }
    }

    fn symbol_of(&self, node: Node) -> Result<Csymbol, SbmlError> {
        let url = number::trim(attribute(node, "definitionURL").unwrap_or_default());
        match url.strip_prefix("http://www.sbml.org/sbml/symbols/") {
            Some("time") => Ok(Csymbol::Time),
            Some("avogadro") => Ok(Csymbol::Avogadro),
            Some("rateOf") => Ok(Csymbol::RateOf),
            Some("delay") => Err(self.source.error(node, Problem::Delay)),
            _ => Err(self.source.error(node, Problem::Csymbol { url: shortened(url) })),
        }
    }

    fn number(&self, cn: Node) -> Result<f64, SbmlError> {
        let mut parts = vec![String::new()];
        for child in cn.children() {
            match (child.text().filter(|_| child.is_text()), parts.last_mut()) {
                (Some(text), Some(part)) => part.push_str(text),
                _ if child.has_tag_name((MATHML, "sep")) => parts.push(String::new()),
                _ if child.is_element() => return Err(self.misplaced(child, "digits and <sep/>")),
                _ => {}
            }
        }
        let refuse = |expected| {
            let text = shortened(number::trim(&parts.join("<sep/>")));
            self.source.error(cn, Problem::Number { text, expected })
        };
        if attribute(cn, "base").is_some_and(|base| number::trim(base) != "10") {
            return Err(refuse("a decimal number (no base attribute)"));
        }
        let kind = attribute(cn, "type").map_or("real", number::trim);
        let (value, expected) = match (kind, &parts[..]) {
            ("real", [text]) => (number::double(text), "a decimal number"),
            ("integer", [text]) => (number::integer(text), "an integer"),
            ("e-notation", [mantissa, exponent]) => (
                number::scaled(mantissa, exponent),
                "a decimal number and an integer exponent, within the range of doubles",
            ),
            ("rational", [numerator, denominator]) => {
                (number::rational(numerator, denominator), "two integers, the second not 0")
            }
            ("real" | "integer", _) => (None, "no <sep/> for this type"),
            ("e-notation" | "rational", _) => (None, "two parts with one <sep/> between them"),
            _ => (None, "the type real, integer, e-notation or rational"),
        };
        value.ok_or_else(|| refuse(expected))
    }

    /// `rateOf`, the only csymbol that is applied.
    fn rate_of(&self, apply: Node<'a>, scope: &Scope) -> Result<Expr, SbmlError> {
        let head = self.head(apply)?;
        let inside: Vec<Node> = children(apply).skip(1).collect();
        match (self.symbol_of(head)?, &inside[..]) {
            (Csymbol::RateOf, [target]) if target.has_tag_name((MATHML, "ci")) => {
                Ok(Expr::RateOf(self.symbol(*target, scope)?))
            }
            (Csymbol::RateOf, _) => Err(self.rate_of_expression(head, inside.len())),
            _ => Err(self.misplaced(head, OPERATOR)),
        }
    }

    fn rate_of_expression(&self, node: Node, found: usize) -> SbmlError {
        let (element, expected) = ("csymbol rateOf".to_owned(), "one symbol (ci)".into());
        self.source.error(node, Problem::Arguments { element, expected, found })
    }

    /// A call of a function definition.
    fn inline(&mut self, head: Node, arguments: &[Term]) -> Result<Term, SbmlError> {
        let name = content(head);
        let Some(definition) = self.functions.get(name.as_str()) else {
            let name = shortened(&name);
            return Err(self.source.error(head, Problem::UnknownFunction { name }));
        };
        let (size, found) = (definition.size(arguments), arguments.len());
        // Paid before anything is built.
        self.terms = spent(self.source, head, self.terms, size)?;
        match definition.inline(arguments) {
            Ok(term) => Ok(term),
            Err(CallError::TooDeep) => {
                Err(self.source.error(head, Problem::TooDeep { limit: MAX_DEPTH }))
            }
            Err(CallError::RateOfExpression) => Err(self.rate_of_expression(head, found)),
            Err(CallError::ArgumentCount(n)) => {
                let (element, expected) = (name, format!("{n} argument(s)").into());
                Err(self.source.error(head, Problem::Arguments { element, expected, found }))
            }
        }
    }
}

/// The terms built after `terms` more.
fn spent(source: &Source, node: Node, before: u64, terms: u64) -> Result<u64, SbmlError> {
    match before.saturating_add(terms) {
        total if total > MAX_TERMS => {
            Err(source.error(node, Problem::TooManyTerms { limit: MAX_TERMS }))
        }
        total => Ok(total),
    }
}

#[derive(Clone, Copy)]
enum Csymbol {
    Time,
    Avogadro,
    RateOf,
}

/// Whether an `apply` may start with this element.
fn is_applied(name: &str) -> bool {
    matches!(name, "ci" | "minus" | "root" | "log") || operator(name).is_some()
}

fn is_qualifier(head: Node, child: Node) -> bool {
    let names = (head.tag_name().name(), child.tag_name().name());
    child.tag_name().namespace() == Some(MATHML)
        && matches!(names, ("root", "degree") | ("log", "logbase"))
}

/// The child elements.
pub(super) fn children<'a>(node: Node<'a>) -> impl Iterator<Item = Node<'a>> {
    node.children().filter(|child| child.is_element())
}

/// The text of a token element, trimmed.
pub(super) fn content(token: Node) -> String {
    let text: String =
        token.children().filter(|child| child.is_text()).filter_map(|child| child.text()).collect();
    number::trim(&text).to_owned()
}
