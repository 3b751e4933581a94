//! `--shard i/n`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// One of the parts into which a sweep is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// From 1 to `of`.
    pub number: usize,
    pub of: usize,
}

impl Shard {
    /// Its points among so many: neighbours, and as many in each shard, to one.
    pub fn range(self, points: usize) -> Range<usize> {
        let at = |k: usize| (points as u128 * k as u128 / self.of as u128) as usize;
        at(self.number - 1)..at(self.number)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(number, of)| {
            Some(Self { number: number.parse().ok()?, of: of.parse().ok()? })
        });
        match parsed {
            Some(shard) if (1..=shard.of).contains(&shard.number) => Ok(shard),
            _ => Err(format!("{text:?}: i/n is expected with 1 <= i <= n, e.g. 3/8")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_every_point_once() {
        for (points, of) in [(0, 3), (1, 1), (2, 5), (10, 3), (1_000_003, 64)] {
            let mut next = 0;
            for number in 1..=of {
                let range = Shard { number, of }.range(points);
                assert_eq!(range.start, next);
                assert!(range.len() == points / of || range.len() == points.div_ceil(of));
                next = range.end;
            }
            assert_eq!(next, points);
        }
    }

    #[test]
    fn bad_shards() {
        assert_eq!("2/4".parse(), Ok(Shard { number: 2, of: 4 }));
        for text in ["", "1", "0/4", "5/4", "-1/4", "1/0", "1/4/2", "a/b"] {
            assert!(text.parse::<Shard>().unwrap_err().contains("e.g. 3/8"), "{text}");
        }
    }
}
