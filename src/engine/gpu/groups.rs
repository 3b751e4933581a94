//! Cutting the lanes of a batch into groups whose buffers fit a device.

use crate::engine::EngineError;
use std::ops::Range;

/// What a group may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// In any one buffer.
    pub(super) bytes: u64,
    pub(super) lanes: usize,
}

impl Room {
    /// Whether buffers of these sizes fit.
    pub(super) fn check(self, buffers: &[u64]) -> Result<(), EngineError> {
        match buffers.iter().find(|&&needed| needed > self.bytes) {
            Some(&needed) => Err(EngineError::TooLarge { needed, allowed: self.bytes }),
            None => Ok(()),
        }
    }
}

/// Cuts `count` lanes, in their order, into groups. `needs` tells what the lane at a place adds to
/// each buffer of the group with a number, lanes before it in this group being there already.
pub(super) fn cut<const N: usize>(
    count: usize,
    room: Room,
    mut needs: impl FnMut(usize, usize) -> [u64; N],
) -> Result<Vec<Range<usize>>, EngineError> {
    let (mut groups, mut start) = (Vec::new(), 0);
    let mut used = [0_u64; N];
    for place in 0..count {
        let mut more = needs(place, groups.len());
        let is_full = |more: &[u64; N]| used.iter().zip(more).any(|(u, n)| u + n > room.bytes);
        if place > start && (place - start >= room.lanes || is_full(&more)) {
            groups.push(start..place);
            start = place;
            used = [0; N];
            more = needs(place, groups.len());
        }
        used.iter_mut().zip(more).for_each(|(u, n)| *u += n);
        if place == start {
            room.check(&used)?;
        }
    }
    if start < count {
        groups.push(start..count);
    }
    Ok(groups)
}
