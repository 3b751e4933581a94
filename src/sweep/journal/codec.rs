//! Evaluated points as bytes, little-endian; floats by their bits.

use crate::engine::{LaneReport, LaneStatus};
use crate::index::{ParameterIdx, RowIdx, SimulationIdx, StateIdx};
use crate::sweep::{EvaluatedChunk, Failure, PointResult, ProbePair};

/// Points that were evaluated together.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalChunk {
    /// Number of the first of them.
    pub first: usize,
    /// Their results, without predictions, which nothing needs any more.
    pub evaluated: EvaluatedChunk,
    /// What the engine says of itself where it has failed and another went on.
    pub failed_engine: Option<String>,
}

const STATUSES: [LaneStatus; 8] = [
    LaneStatus::Ok,
    LaneStatus::TooManySteps,
    LaneStatus::StepTooSmall,
    LaneStatus::NotFinite,
    LaneStatus::NoSteadyState,
    LaneStatus::Reordered,
    LaneStatus::EndlessEvents,
    LaneStatus::NegativeDelay,
];

/// Behind the bits that tell which numbers of a pair are written.
const IS_COMPENSATED: u8 = 1 << 7;

/// Numbers of a pair that are often 0 and not written then.
type PairNumbers = [f64; 7];

fn numbers(pair: &ProbePair) -> PairNumbers {
    [
        pair.paired_forward,
        pair.paired_backward,
        pair.paired_central,
        pair.round_off,
        pair.unmoved_round_off,
        pair.unreached_round_off,
        pair.step_noise,
    ]
}

impl JournalChunk {
    /// As bytes. Predictions are left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u64(self.first as u64);
        out.u64(self.evaluated.lanes);
        out.u64(self.evaluated.steps);
        out.some(self.failed_engine.as_ref(), |out, text| out.list(text.as_bytes(), Writer::u8));
        out.list(&self.evaluated.points, |out, point| out.point(point));
        out.into_bytes()
    }

    /// From bytes; none where they are something else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        let first = usize::try_from(from.u64()?).ok()?;
        let (lanes, steps) = (from.u64()?, from.u64()?);
        let failed_engine = from.some(|from| String::from_utf8(from.list(Reader::u8)?).ok())?;
        let points = from.list(Reader::point)?;
        let is_all = from.is_at_end();
        let evaluated = EvaluatedChunk { points, lanes, steps };
        is_all.then_some(Self { first, evaluated, failed_engine })
    }
}

/// A record under way.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub fn u8(&mut self, value: &u8) {
        self.0.push(*value);
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    pub fn f64(&mut self, value: &f64) {
        self.u64(value.to_bits());
    }

    pub fn some<T>(&mut self, value: Option<T>, each: impl Fn(&mut Self, T)) {
        self.u8(&u8::from(value.is_some()));
        if let Some(value) = value {
            each(self, value);
        }
    }

    pub fn list<T>(&mut self, values: &[T], each: impl Fn(&mut Self, &T)) {
        // A record holds less than 4 GiB, or it is refused.
        self.u64(values.len() as u64);
        values.iter().for_each(|value| each(self, value));
    }

    pub fn value(&mut self, value: &Result<f64, Failure>) {
        match value {
            Ok(value) => {
                self.u8(&0);
                self.f64(value);
            }
            Err(Failure::Lane { simulation, report }) => {
                self.u8(&1);
                self.u32(simulation.0);
                let status = STATUSES.iter().position(|s| *s == report.status);
                self.u8(&(status.unwrap_or(STATUSES.len()) as u8));
                self.u32(report.steps);
                self.u32(report.retries);
                self.f64(&report.t);
            }
            Err(Failure::NotFinite { row }) => {
                self.u8(&2);
                self.u32(row.0);
            }
            Err(Failure::Prior { parameter }) => {
                self.u8(&3);
                self.u32(parameter.0);
            }
        }
    }

    fn pair(&mut self, pair: &ProbePair) {
        self.u32(pair.parameter.0);
        self.f64(&pair.eps);
        self.value(&pair.plus);
        self.value(&pair.minus);
        let numbers = numbers(pair);
        let is_written = numbers.map(|number| number.to_bits() != 0);
        let mask = |mask: u8, (i, &is_written): (usize, &bool)| mask | u8::from(is_written) << i;
        let start = if pair.is_compensated { IS_COMPENSATED } else { 0 };
        self.u8(&is_written.iter().enumerate().fold(start, mask));
        for (number, _) in numbers.iter().zip(is_written).filter(|(_, is_written)| *is_written) {
            self.f64(number);
        }
    }

    fn point(&mut self, point: &PointResult) {
        self.value(&point.objective);
        self.f64(&point.prior);
        self.f64(&point.chi2);
        self.u64(point.steps);
        self.u32(point.retries);
        self.list(&point.below_atol, |out, state| out.u32(state.0));
        for gradient in [
            &point.gradient,
            &point.adjoint_gradient,
            &point.gradient_magnitudes,
            &point.gradient_rounding,
            &point.tight_gradient,
            &point.difference_changes,
        ] {
            self.some(gradient.as_ref(), |out, values| out.list(values, Writer::f64));
        }
        self.list(&point.probes, Writer::pair);
        self.list(&point.refinements, Writer::pair);
    }
}

/// What is still to be read.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether all was read.
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    pub fn f64(&mut self) -> Option<f64> {
        self.u64().map(f64::from_bits)
    }

    pub fn some<T>(&mut self, each: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.u8()? {
            0 => Some(None),
            1 => each(self).map(Some),
            _ => None,
        }
    }

    pub fn list<T>(&mut self, each: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u64()?;
        // Each takes a byte at least: no more is reserved than there may be.
        let count = usize::try_from(count).ok().filter(|count| *count <= self.0.len())?;
        (0..count).map(|_| each(self)).collect()
    }

    pub fn value(&mut self) -> Option<Result<f64, Failure>> {
        Some(match self.u8()? {
            0 => Ok(self.f64()?),
            1 => Err(Failure::Lane {
                simulation: SimulationIdx(self.u32()?),
                report: LaneReport {
                    status: *STATUSES.get(usize::from(self.u8()?))?,
                    steps: self.u32()?,
                    retries: self.u32()?,
                    t: self.f64()?,
                },
            }),
            2 => Err(Failure::NotFinite { row: RowIdx(self.u32()?) }),
            3 => Err(Failure::Prior { parameter: ParameterIdx(self.u32()?) }),
            _ => return None,
        })
    }

    fn pair(&mut self) -> Option<ProbePair> {
        let (parameter, eps) = (ParameterIdx(self.u32()?), self.f64()?);
        let (plus, minus) = (self.value()?, self.value()?);
        let mask = self.u8()?;
        let mut numbers = PairNumbers::default();
        for (i, number) in numbers.iter_mut().enumerate() {
            if mask & (1 << i) != 0 {
                *number = self.f64()?;
            }
        }
        let [paired_forward, paired_backward, paired_central, rest @ ..] = numbers;
        let [round_off, unmoved_round_off, unreached_round_off, step_noise] = rest;
        Some(ProbePair {
            parameter,
            eps,
            plus,
            minus,
            paired_forward,
            paired_backward,
            paired_central,
            round_off,
            unmoved_round_off,
            unreached_round_off,
            step_noise,
            is_compensated: mask & IS_COMPENSATED != 0,
        })
    }

    fn point(&mut self) -> Option<PointResult> {
        Some(PointResult {
            objective: self.value()?,
            prior: self.f64()?,
            chi2: self.f64()?,
            steps: self.u64()?,
            retries: self.u32()?,
            below_atol: self.list(|from| from.u32().map(StateIdx))?,
            gradient: self.some(|from| from.list(Reader::f64))?,
            adjoint_gradient: self.some(|from| from.list(Reader::f64))?,
            gradient_magnitudes: self.some(|from| from.list(Reader::f64))?,
            gradient_rounding: self.some(|from| from.list(Reader::f64))?,
            tight_gradient: self.some(|from| from.list(Reader::f64))?,
            difference_changes: self.some(|from| from.list(Reader::f64))?,
            probes: self.list(Reader::pair)?,
            refinements: self.list(Reader::pair)?,
            predictions: Vec::new(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every kind of value and failure, numbers that are 0, -0 and infinite.
    pub fn chunk(first: usize, count: usize) -> JournalChunk {
        let lane = |status| Failure::Lane {
            simulation: SimulationIdx(3),
            report: LaneReport { status, steps: 17, retries: 2, t: 0.1 },
        };
        let mut values: Vec<Result<f64, Failure>> =
            STATUSES.iter().map(|status| Err(lane(*status))).collect();
        values.push(Err(Failure::NotFinite { row: RowIdx(5) }));
        values.push(Err(Failure::Prior { parameter: ParameterIdx(1) }));
        values.extend([Ok(-0.0), Ok(1.0 / 3.0), Ok(f64::INFINITY)]);
        let pair = |k: usize| ProbePair {
            paired_forward: 0.0,
            paired_backward: -0.0,
            paired_central: k as f64 / 7.0,
            round_off: 1e-300,
            unmoved_round_off: f64::NEG_INFINITY,
            unreached_round_off: 5e-324,
            step_noise: 0.0,
            is_compensated: k.is_multiple_of(2),
            ..ProbePair::of_values(
                ParameterIdx(k as u32),
                1e-5,
                values[k % values.len()],
                values[(k + 1) % values.len()],
            )
        };
        let point = |k: usize| PointResult {
            objective: values[k % values.len()],
            prior: 0.25,
            chi2: -1.5,
            steps: u64::MAX - k as u64,
            retries: 1,
            below_atol: vec![StateIdx(k as u32)],
            gradient: Some(vec![1.0, 2.0]),
            adjoint_gradient: k.is_multiple_of(3).then(|| vec![-0.5]),
            gradient_magnitudes: k.is_multiple_of(2).then(|| vec![3.0]),
            gradient_rounding: k.is_multiple_of(7).then(|| vec![f64::INFINITY, 0.5]),
            tight_gradient: (!k.is_multiple_of(2)).then(Vec::new),
            difference_changes: k.is_multiple_of(5).then(|| vec![0.0, 1e-7]),
            probes: (0..k % 4).map(pair).collect(),
            refinements: (0..values.len()).map(pair).collect(),
            predictions: Vec::new(),
        };
        let points = (first..first + count).map(point).collect();
        let failed_engine = (first > 0).then(|| "gpu, failed 1 time".to_owned());
        let evaluated = EvaluatedChunk { points, lanes: 12, steps: 34 };
        JournalChunk { first, evaluated, failed_engine }
    }

    #[test]
    fn bytes_hold_every_bit() {
        let written = chunk(0, 30);
        let bytes = written.encode();
        let read = JournalChunk::decode(&bytes).unwrap();
        // Equal numbers may have other bits: 0 and -0.
        assert_eq!(read.encode(), bytes);
        assert_eq!(read, written);
    }

    #[test]
    fn other_bytes_are_no_points() {
        let bytes = chunk(2, 3).encode();
        assert!((0..bytes.len()).all(|end| JournalChunk::decode(&bytes[..end]).is_none()));
        assert!(JournalChunk::decode(&[&bytes[..], &[0]].concat()).is_none());
    }
}
