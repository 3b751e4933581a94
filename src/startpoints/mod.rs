//! Points to start from: drawn at random, nominal, or read from a file.
//!
//! The value of a random point depends on the seed and its number alone, so that a sweep may draw
//! its points in chunks, in any order, and point 1234 can be drawn again by itself.

mod error;
mod file;
mod prior_sample;
mod sample;

pub use error::StartpointError;
pub use file::{read_csv, write_csv};
pub use prior_sample::random_from_priors;
pub use sample::{nominal, random};

use std::path::PathBuf;

/// Named vectors of the estimated parameters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Points {
    /// A name for each point, no two the same.
    pub ids: Vec<String>,
    /// `[point][estimated parameter]`, on the parameter scale.
    pub theta_scaled: Vec<Vec<f64>>,
}

impl Points {
    /// Number of points.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// Where points come from: the value of `--at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The nominal values of the parameter table: [`nominal`].
    Nominal,
    /// This many points, at least one, uniform between the bounds: [`random`].
    Random(usize),
    /// A points file, or `-` for standard input: [`read_csv`].
    File(PathBuf),
}

/// Reads the value of `--at`: `nominal`, `random:N`, or the name of a points file. A file of such
/// a name is reached as `./nominal`.
///
/// # Errors
/// An empty name, and a number of random points that is missing, no whole number, or zero.
pub fn parse_at(text: &str) -> Result<At, StartpointError> {
    let random = |count: &str| match count.parse() {
        Ok(count) if count > 0 => Ok(At::Random(count)),
        _ => Err(StartpointError::Count { found: error::excerpt(count) }),
    };
    match text {
        "" => Err(StartpointError::NoSource),
        "nominal" => Ok(At::Nominal),
        "random" => random(""),
        _ => match text.strip_prefix("random:") {
            Some(count) => random(count),
            None => Ok(At::File(PathBuf::from(text))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        for (text, at) in [
            ("nominal", At::Nominal),
            ("random:1", At::Random(1)),
            ("random:10000", At::Random(10_000)),
            ("points.csv", At::File("points.csv".into())),
            ("./random", At::File("./random".into())),
            ("nominal:", At::File("nominal:".into())),
            ("nominal.csv", At::File("nominal.csv".into())),
            (r"C:\points.csv", At::File(r"C:\points.csv".into())),
            (":", At::File(":".into())),
            ("-", At::File("-".into())),
        ] {
            assert_eq!(parse_at(text).unwrap(), at, "{text}");
        }
    }

    #[test]
    fn bad_sources() {
        let message = |text: &str| parse_at(text).unwrap_err().to_string();
        assert_eq!(message(""), "no points named; expected `nominal`, `random:N` or a CSV file");
        for (text, found) in [
            ("random", ""),
            ("random:", ""),
            ("random:0", "0"),
            ("random:-1", "-1"),
            ("random:1e3", "1e3"),
            ("random: 3", " 3"),
            ("random:99999999999999999999", "99999999999999999999"),
        ] {
            let expected = format!(
                "`{found}` is no number of random points; expected `random:N` with a whole number \
                 N of at least 1"
            );
            assert_eq!(message(text), expected);
        }
    }
}
