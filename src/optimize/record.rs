//! Rounds and starts of an optimisation as bytes of a journal.

use super::dense::Matrix;
use super::minimiser::Evaluation;
use super::multistart::Round;
use crate::startpoints::Points;
use crate::sweep::{Failure, Reader, Writer};

/// What an optimisation starts from, once points are screened and settled.
#[derive(Debug, Clone, PartialEq)]
pub struct StartsRecord {
    pub starts: Points,
    /// Evaluations that settling them took.
    pub settling: usize,
}

impl StartsRecord {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u64(self.settling as u64);
        out.list(&self.starts.ids, |out, id| out.list(id.as_bytes(), Writer::u8));
        out.list(&self.starts.theta_scaled, |out, x| out.list(x, Writer::f64));
        out.into_bytes()
    }

    /// From bytes; none where they are something else than so many starts in so many dimensions.
    pub fn decode(bytes: &[u8], starts: usize, dimensions: usize) -> Option<Self> {
        let mut from = Reader::new(bytes);
        let settling = usize::try_from(from.u64()?).ok()?;
        let ids = from.list(|from| String::from_utf8(from.list(Reader::u8)?).ok())?;
        let theta_scaled = from.list(|from| from.list(Reader::f64))?;
        let fits = from.is_at_end()
            && ids.len() == starts
            && theta_scaled.len() == starts
            && theta_scaled.iter().all(|x| x.len() == dimensions);
        fits.then_some(Self { starts: Points { ids, theta_scaled }, settling })
    }
}

/// As bytes; of curvatures, which are symmetric, one half.
pub fn encode_round(round: &Round) -> Vec<u8> {
    let mut out = Writer::default();
    out.u64(round.lanes);
    out.u64(round.steps);
    out.list(&round.evaluations, |out, (evaluation, failure)| {
        out.value(&failure.map_or(Ok(evaluation.value), Err));
        out.list(&evaluation.gradient, Writer::f64);
        out.some(evaluation.curvature.as_ref(), |out, matrix| {
            let half: Vec<f64> =
                (0..matrix.size).flat_map(|i| &matrix.row(i)[..=i]).copied().collect();
            out.list(&half, Writer::f64);
        });
    });
    out.into_bytes()
}

/// From bytes; none where they are something else than so many evaluations in so many dimensions.
pub fn decode_round(bytes: &[u8], evaluations: usize, dimensions: usize) -> Option<Round> {
    let mut from = Reader::new(bytes);
    let (lanes, steps) = (from.u64()?, from.u64()?);
    let all = from.list(|from| evaluation(from, dimensions))?;
    let fits = from.is_at_end() && all.len() == evaluations;
    fits.then_some(Round { evaluations: all, lanes, steps })
}

fn evaluation(from: &mut Reader<'_>, n: usize) -> Option<(Evaluation, Option<Failure>)> {
    let (value, failure) = match from.value()? {
        Ok(value) => (value, None),
        Err(failure) => (f64::INFINITY, Some(failure)),
    };
    let gradient = from.list(Reader::f64)?;
    let curvature = match from.some(|from| from.list(Reader::f64))? {
        None => None,
        Some(half) if half.len() == n * (n + 1) / 2 => {
            let mut matrix = Matrix::zeros(n);
            let places = (0..n).flat_map(|i| (0..=i).map(move |j| (i, j)));
            for ((i, j), value) in places.zip(half) {
                matrix.set(i, j, value);
                matrix.set(j, i, value);
            }
            Some(matrix)
        }
        Some(_) => return None,
    };
    let fits = gradient.is_empty() || gradient.len() == n;
    fits.then_some((Evaluation { value, gradient, curvature }, failure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::RowIdx;

    fn round() -> Round {
        let matrix = Matrix { size: 2, values: vec![1.0, -0.5, -0.5, 3.0] };
        let good = Evaluation { value: 0.1, gradient: vec![-0.0, 1e-300], curvature: Some(matrix) };
        let plain = Evaluation { curvature: None, ..good.clone() };
        let failure = Failure::NotFinite { row: RowIdx(3) };
        let evaluations = vec![
            (good, None),
            (plain, None),
            (Evaluation::failed(), None),
            (Evaluation::failed(), Some(failure)),
        ];
        Round { evaluations, lanes: 7, steps: u64::MAX }
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = encode_round(&round());
        let read = decode_round(&bytes, 4, 2).unwrap();
        assert_eq!(read, round());
        assert_eq!(encode_round(&read), bytes, "to the bit");
        let starts = Points {
            ids: vec!["a".to_owned(), "start 2".to_owned()],
            theta_scaled: vec![vec![0.1, -0.0], vec![1.0 / 3.0, 5e-324]],
        };
        let record = StartsRecord { starts, settling: 12 };
        let bytes = record.encode();
        assert_eq!(StartsRecord::decode(&bytes, 2, 2), Some(record));
        assert_eq!(StartsRecord::decode(&bytes, 3, 2), None);
        assert_eq!(StartsRecord::decode(&bytes, 2, 1), None);
    }

    #[test]
    fn other_bytes_are_no_round() {
        let bytes = encode_round(&round());
        assert!((0..bytes.len()).all(|end| decode_round(&bytes[..end], 4, 2).is_none()));
        assert_eq!(decode_round(&[&bytes[..], &[0]].concat(), 4, 2), None);
        assert_eq!(decode_round(&bytes, 3, 2), None);
        assert_eq!(decode_round(&bytes, 4, 3), None);
    }
}
