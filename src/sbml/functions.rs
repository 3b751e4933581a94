//! Function definitions (section 4.3), inlined where they are called.

use std::collections::{HashMap, HashSet};

use super::error::{Problem, SbmlError};
use super::mathml::{MathReader, Scope, Term, children, content, name_size};
use super::xml::{MATHML, Node, is_id, shortened};
use crate::math::{Expr, MAX_DEPTH, Piece};

/// The arguments of a definition by name, with their position.
pub(super) type Parameters = HashMap<String, usize>;

/// A function definition, ready to be inlined.
pub(super) struct Definition {
    parameters: Parameters,
    body: Term,
    /// For each parameter, how often the body uses it and how deep its deepest use lies: the size
    /// of a call is known before anything is built.
    uses: Vec<Use>,
    /// Size of the body without those uses.
    rest: u64,
}

#[derive(Clone, Copy, Default)]
struct Use {
    count: u64,
    depth: usize,
}

/// Reads the definitions of `model` into `reader`; callees before callers, whatever their order
/// in the file. Returns their ids in file order.
pub(super) fn define<'a>(
    reader: &mut MathReader<'a>,
    model: Node<'a>,
) -> Result<Vec<String>, SbmlError> {
    let source = reader.source;
    let mut found: Vec<(&str, Node)> = Vec::new();
    for node in source.items(model, "listOfFunctionDefinitions", "functionDefinition")? {
        source.expect_only(node, "math", |n| n.has_tag_name((MATHML, "math")))?;
        let id = source.required_id(node, "id")?;
        if let Some(math) = source.math(node)? {
            found.push((id, math));
        }
    }
    for i in callees_first(reader, &found)? {
        let (id, math) = found[i];
        let definition = read_lambda(reader, math)?;
        reader.functions.insert(id, definition);
    }
    Ok(found.into_iter().map(|(id, _)| id.to_owned()).collect())
}

/// The order in which every definition comes after those it calls.
fn callees_first<'a>(
    reader: &MathReader<'a>,
    found: &[(&str, Node<'a>)],
) -> Result<Vec<usize>, SbmlError> {
    let index: HashMap<&str, usize> =
        found.iter().enumerate().map(|(i, (id, _))| (*id, i)).collect();
    let mut callers: Vec<Vec<usize>> = vec![Vec::new(); found.len()];
    let mut missing: Vec<usize> = Vec::with_capacity(found.len());
    for (caller, (_, math)) in found.iter().enumerate() {
        let callees: HashSet<usize> = math
            .descendants()
            .filter(|node| node.has_tag_name((MATHML, "apply")))
            .filter_map(|apply| reader.content_of(children(apply).next()?).ok())
            .filter(|head| head.has_tag_name((MATHML, "ci")))
            .filter_map(|head| index.get(content(head).as_str()).copied())
            .collect();
        missing.push(callees.len());
        callees.into_iter().for_each(|callee| callers[callee].push(caller));
    }
    let mut order: Vec<usize> = (0..found.len()).filter(|i| missing[*i] == 0).collect();
    let mut next = 0;
    while let Some(&ready) = order.get(next) {
        next += 1;
        for &caller in &callers[ready] {
            missing[caller] -= 1;
            if missing[caller] == 0 {
                order.push(caller);
            }
        }
    }
    match cyclic(&callers, &missing) {
        None => Ok(order),
        Some(i) => {
            let name = found[i].0.to_owned();
            Err(reader.source.error(found[i].1, Problem::RecursiveFunction { name }))
        }
    }
}

/// A definition on a cycle of calls, given for each its callers and its number of callees that
/// could not be ordered.
fn cyclic(callers: &[Vec<usize>], missing: &[usize]) -> Option<usize> {
    let mut callee = vec![None; missing.len()];
    for (i, callers) in callers.iter().enumerate().filter(|(i, _)| missing[*i] > 0) {
        callers.iter().for_each(|caller| callee[*caller] = Some(i));
    }
    // Every definition left over has such a callee; following them ends on a cycle.
    let mut at = missing.iter().position(|n| *n > 0)?;
    for _ in 0..missing.len() {
        at = callee[at]?;
    }
    Some(at)
}

fn read_lambda<'a>(reader: &mut MathReader<'a>, math: Node<'a>) -> Result<Definition, SbmlError> {
    let source = reader.source;
    let lambda = reader.single(math)?;
    if !lambda.has_tag_name((MATHML, "lambda")) {
        let element = lambda.tag_name().name().to_owned();
        return Err(source.error(lambda, Problem::MisplacedMath { element, expected: "lambda" }));
    }
    let mut parameters = Parameters::new();
    let mut bodies = Vec::new();
    for child in children(lambda) {
        if !child.has_tag_name((MATHML, "bvar")) {
            bodies.push(child);
            continue;
        }
        let name = children(child)
            .next()
            .filter(|ci| ci.has_tag_name((MATHML, "ci")))
            .map(content)
            .unwrap_or_default();
        if !bodies.is_empty() || !is_id(&name) || parameters.contains_key(&name) {
            let problem = Problem::MisplacedMath {
                element: format!("bvar {}", shortened(&name)),
                expected: "arguments with different ids, before the formula",
            };
            return Err(source.error(child, problem));
        }
        parameters.insert(name, parameters.len());
    }
    let [body] = bodies[..] else {
        let element = "lambda".to_owned();
        let (expected, found) = ("one formula after its arguments".into(), bodies.len());
        return Err(source.error(lambda, Problem::Arguments { element, expected, found }));
    };
    let body = reader.term(body, &Scope::Lambda(&parameters), 1)?;
    let mut uses = vec![Use::default(); parameters.len()];
    count(&body.expr, 1, &parameters, &mut uses);
    let used = parameters.iter().map(|(name, i)| uses[*i].count * name_size(name)).sum();
    let rest = body.size.saturating_sub(used);
    Ok(Definition { parameters, body, uses, rest })
}

fn count(expr: &Expr, depth: usize, index: &Parameters, uses: &mut [Use]) {
    match expr {
        Expr::Number(_) | Expr::Time => {}
        Expr::Symbol(name) | Expr::RateOf(name) => {
            if let Some(found) = index.get(name).and_then(|i| uses.get_mut(*i)) {
                found.count += 1;
                found.depth = found.depth.max(depth);
            }
        }
        Expr::Call(_, arguments) => {
            arguments.iter().for_each(|a| count(a, depth + 1, index, uses));
        }
        Expr::Piecewise { pieces, otherwise } => {
            for piece in pieces {
                count(&piece.value, depth + 1, index, uses);
                count(&piece.condition, depth + 1, index, uses);
            }
            if let Some(otherwise) = otherwise {
                count(otherwise, depth + 1, index, uses);
            }
        }
    }
}

/// Why a call cannot be inlined.
pub(super) enum CallError {
    /// The number of arguments that the definition has.
    ArgumentCount(usize),
    /// The function takes the rate of an argument that is not a symbol.
    RateOfExpression,
    TooDeep,
}

impl Definition {
    /// The size of a call once inlined.
    pub(super) fn size(&self, arguments: &[Term]) -> u64 {
        self.uses.iter().zip(arguments).fold(self.rest, |size, (used, argument)| {
            size.saturating_add(used.count.saturating_mul(argument.size))
        })
    }

    /// The body with its parameters replaced by the arguments.
    pub(super) fn inline(&self, arguments: &[Term]) -> Result<Term, CallError> {
        if arguments.len() != self.parameters.len() {
            return Err(CallError::ArgumentCount(self.parameters.len()));
        }
        let size = self.size(arguments);
        let used = self.uses.iter().zip(arguments).filter(|(used, _)| used.count > 0);
        let depth = used.fold(self.body.depth, |depth, (used, argument)| {
            depth.max((used.depth + argument.depth).saturating_sub(1))
        });
        if depth > MAX_DEPTH {
            return Err(CallError::TooDeep);
        }
        let value = |name: &str| {
            self.parameters.get(name).and_then(|i| arguments.get(*i)).map(|argument| &argument.expr)
        };
        Ok(Term { expr: replace(&self.body.expr, &value)?, size, depth })
    }
}

/// [`Expr::substitute`], but into `rateOf` as well.
fn replace<'e>(expr: &Expr, value: &impl Fn(&str) -> Option<&'e Expr>) -> Result<Expr, CallError> {
    Ok(match expr {
        Expr::Number(_) | Expr::Time => expr.clone(),
        Expr::Symbol(name) => match value(name) {
            Some(found) => found.clone(),
            None => expr.clone(),
        },
        Expr::RateOf(name) => match value(name) {
            Some(Expr::Symbol(target)) => Expr::RateOf(target.clone()),
            Some(_) => return Err(CallError::RateOfExpression),
            None => expr.clone(),
        },
        Expr::Call(function, arguments) => Expr::Call(
            *function,
            arguments.iter().map(|a| replace(a, value)).collect::<Result<_, _>>()?,
        ),
        Expr::Piecewise { pieces, otherwise } => {
            let piece = |p: &Piece| {
                let (value, condition) = (replace(&p.value, value)?, replace(&p.condition, value)?);
                Ok(Piece { value, condition })
            };
            let otherwise = otherwise.as_ref().map(|o| replace(o, value)).transpose()?;
            Expr::Piecewise {
                pieces: pieces.iter().map(piece).collect::<Result<_, _>>()?,
                otherwise: otherwise.map(Box::new),
            }
        }
    })
}
