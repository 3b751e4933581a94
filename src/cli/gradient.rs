//! Which gradient is judged: the program's own, or one from a file.

use super::CliError;
use super::engines::Engines;
use super::options::{CheckOptions, usage};
use crate::check::{
    AllowanceSource, CheckPlan, DISCRETISATION_FACTOR, GradientSource, own_allowance, own_gradient,
};
use crate::gradient::read_gradients;
use crate::index::{ParameterIdx, PointIdx};
use crate::model::OdeProblem;
use crate::report::digest;
use crate::startpoints::Points;
use crate::sweep::{
    Evaluator, GradientCosts, GradientMethod, OwnGradients, PointResult, Settings, StepMode,
};
use std::path::{Path, PathBuf};

/// Words for the program's own gradient: the cheaper of the two that follow, by forward tangents, by
/// adjoints.
pub const AUTO: &str = "auto";
pub const FORWARD: &str = "forward";
pub const ADJOINT: &str = "adjoint";

/// The gradient to judge.
pub enum Judged {
    Own(Own),
    File(Foreign),
}

/// The program's own gradient.
pub struct Own {
    /// As asked for; none for the cheaper.
    asked: Option<GradientMethod>,
    /// As computed.
    method: GradientMethod,
    /// Known once programs have been generated.
    costs: Option<GradientCosts>,
}

/// The own gradient that a word stands for.
pub fn own_of(word: &str) -> Option<Own> {
    let asked = match word {
        AUTO => None,
        FORWARD => Some(GradientMethod::Forward),
        ADJOINT => Some(GradientMethod::Adjoint),
        _ => return None,
    };
    Some(Own { asked, method: asked.unwrap_or(GradientMethod::Forward), costs: None })
}

impl Own {
    /// What to compute for it.
    pub fn wanted(&self) -> OwnGradients {
        match self.asked {
            None => OwnGradients::Cheaper,
            Some(GradientMethod::Forward) => OwnGradients::Forward,
            Some(GradientMethod::Adjoint) => OwnGradients::Adjoint,
        }
    }

    fn describe(&self) -> String {
        let words = |method| match method {
            GradientMethod::Forward => "forward tangents",
            GradientMethod::Adjoint => "adjoints",
        };
        let other = match self.method {
            GradientMethod::Forward => GradientMethod::Adjoint,
            GradientMethod::Adjoint => GradientMethod::Forward,
        };
        let cost = |method| self.costs.and_then(|costs| costs.in_simulations(method));
        let cost = match (cost(self.method), cost(other), self.asked) {
            (Some(own), Some(theirs), None) => format!(
                ", the cheaper by counted operations: a gradient as {own:.1} simulations, by {} as \
                 {theirs:.1}",
                words(other)
            ),
            (Some(own), ..) => {
                format!(", by counted operations a gradient as {own:.1} simulations")
            }
            (None, ..) => String::new(),
        };
        format!("own, {}{cost}", words(self.method))
    }
}

/// A gradient from a file.
pub struct Foreign {
    path: PathBuf,
    sha256: String,
    /// Accuracy claimed for it, relative to the magnitudes of the terms of each component.
    rtol: f64,
    /// `[point][parameter]`.
    values: Vec<Vec<f64>>,
}

impl Judged {
    /// Reads the file, if one is named, and says which parameters it has.
    pub fn read(
        given: &str,
        options: &CheckOptions,
        problem: &OdeProblem,
        points: &Points,
    ) -> Result<(Self, Option<Vec<ParameterIdx>>), CliError> {
        if let Some(own) = own_of(given) {
            return Ok((Self::Own(own), None));
        }
        let path = Path::new(given);
        let rtol = claimed_accuracy(options)?;
        let read = read_gradients(path, &problem.parameters, points)?;
        let foreign = Foreign {
            path: path.to_owned(),
            sha256: digest(path).map_err(CliError::output(path))?,
            rtol,
            values: read.values,
        };
        Ok((Self::File(foreign), Some(read.parameters)))
    }

    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Which own gradients it needs; that by forward tangents tells how large the terms are that a
    /// gradient from a file is a sum of.
    pub fn wanted(&self) -> OwnGradients {
        match self {
            Self::Own(own) => own.wanted(),
            Self::File(_) => OwnGradients::Forward,
        }
    }

    /// What tells it from others before programs have been generated: as asked for, or the file.
    pub fn identity(&self) -> String {
        match self {
            Self::Own(own) => match own.asked {
                None => AUTO.to_owned(),
                Some(GradientMethod::Forward) => FORWARD.to_owned(),
                Some(GradientMethod::Adjoint) => ADJOINT.to_owned(),
            },
            Self::File(_) => self.describe(),
        }
    }

    /// Takes note of how the evaluator computes the own gradient.
    pub fn settle(&mut self, evaluator: &Evaluator<'_>) {
        let Self::Own(own) = self else { return };
        if own.asked.is_none() {
            own.method = evaluator.gradient_method();
        }
        own.costs = Some(evaluator.costs);
    }

    /// By which method the own gradient is computed that it looks at.
    pub fn method(&self) -> GradientMethod {
        match self {
            Self::Own(own) => own.method,
            Self::File(_) => GradientMethod::Forward,
        }
    }

    /// What is judged at a point.
    pub fn source(&self) -> Box<GradientSource<'_>> {
        match self {
            Self::Own(_) => Box::new(own_gradient),
            Self::File(foreign) => Box::new(|point: PointIdx, _: &[f64], _: Option<&[f64]>| {
                Some(foreign.values[point.position()].clone())
            }),
        }
    }

    /// The errors that it may have where it is right: twice what our own gradient, or with adaptive steps a
    /// difference, changes by at tighter tolerances, and what is claimed for the file.
    pub fn allowance(&self) -> Box<AllowanceSource<'_>> {
        match self {
            Self::Own(_) => Box::new(own_allowance),
            Self::File(foreign) => Box::new(|_: PointIdx, result: &PointResult| {
                let magnitudes = result.gradient_magnitudes.as_ref()?;
                let ours = result.discretisation_change();
                let of = |(j, magnitude): (usize, &f64)| {
                    // Where there is none at tighter tolerances, nothing is known of it.
                    let ours =
                        ours.as_ref().map_or(f64::INFINITY, |all| DISCRETISATION_FACTOR * all[j]);
                    ours + foreign.rtol * magnitude
                };
                Some(magnitudes.iter().enumerate().map(of).collect())
            }),
        }
    }

    /// What it is, for reports.
    pub fn describe(&self) -> String {
        match self {
            Self::Own(own) => own.describe(),
            Self::File(foreign) => format!(
                "{} (SHA-256 {}), accurate to {:e} of the terms' magnitudes",
                foreign.path.file_name().unwrap_or_default().to_string_lossy(),
                foreign.sha256,
                foreign.rtol
            ),
        }
    }
}

/// Evaluates for gradients. Those from files, and our own where copies choose their own steps, are
/// also told what our own gradient is at tighter tolerances, the latter differences as well.
pub(super) fn evaluator<'p>(
    problem: &'p OdeProblem,
    settings: Settings,
    engines: &Engines,
    (wanted, has_foreign): (OwnGradients, bool),
) -> Result<Evaluator<'p>, CliError> {
    let (probes, gradients) = (engines.probes.as_ref(), engines.gradients());
    let evaluator = Evaluator::with_gradients(problem, settings, probes, gradients, wanted)?;
    let tight =
        if has_foreign || wanted == OwnGradients::Both { OwnGradients::Forward } else { wanted };
    if tight == OwnGradients::None || !(has_foreign || settings.steps == StepMode::Adaptive) {
        return Ok(evaluator);
    }
    // With shared steps nothing but the points themselves is integrated there.
    let bases = match settings.steps {
        StepMode::Shared => engines.tangents.as_ref(),
        StepMode::Adaptive => engines.probes.as_ref(),
    };
    let gradients = engines.gradients();
    let settings = settings.tighter();
    let tight = Evaluator::with_gradients(problem, settings, bases, gradients, tight)?;
    Ok(evaluator.with_tight(tight))
}

/// The accuracy that is claimed for a gradient from a file, if it makes sense.
pub(super) fn claimed_accuracy(options: &CheckOptions) -> Result<f64, CliError> {
    let rtol = options.gradient_rtol;
    if rtol.is_finite() && rtol >= 0.0 {
        return Ok(rtol);
    }
    Err(usage(format!("--gradient-rtol {rtol}: zero or a positive number is expected")))
}

/// Restricts a plan to the parameters of the gradient's file.
pub(super) fn restrict(
    plan: &mut CheckPlan,
    options: &CheckOptions,
    given: &str,
    problem: &OdeProblem,
    known: &[ParameterIdx],
) -> Result<(), CliError> {
    if options.parameters.is_empty() {
        plan.parameters = known.to_vec();
    } else if let Some(absent) = plan.parameters.iter().find(|p| !known.contains(p)) {
        return Err(usage(format!(
            "--parameters: {given} has no gradient of {:?}",
            problem.parameters[absent.position()].id
        )));
    }
    Ok(())
}
