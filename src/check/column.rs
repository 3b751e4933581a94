//! Numbers of very many points.

/// Numbers that are together, in 8 KiB.
const BLOCK: usize = 1024;

/// A list that grows without being moved, so that it never takes more than its numbers need.
#[derive(Debug, Clone, Default)]
pub(super) struct Column {
    blocks: Vec<Vec<f64>>,
}

impl Column {
    pub(super) fn push(&mut self, value: f64) {
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK => block.push(value),
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(value);
                self.blocks.push(block);
            }
        }
    }

    pub(super) fn get(&self, place: usize) -> f64 {
        self.blocks[place / BLOCK][place % BLOCK]
    }

    /// All of them in ascending order.
    pub(super) fn sorted(&self) -> Vec<f64> {
        let mut all = self.blocks.concat();
        all.sort_unstable_by(f64::total_cmp);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_places() {
        let mut column = Column::default();
        assert!(column.sorted().is_empty());
        let count = 3 * BLOCK + 1;
        (0..count).for_each(|i| column.push((count - i) as f64));
        assert!((0..count).all(|i| column.get(i) == (count - i) as f64));
        let expected: Vec<f64> = (1..=count).map(|i| i as f64).collect();
        assert_eq!(column.sorted(), expected);
    }
}
