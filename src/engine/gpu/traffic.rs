//! What a device was given, gave back, and how long the host waited for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Work of a device since it was opened. Times are of host threads, of which several may be at it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Traffic {
    pub lanes: u64,
    pub dispatches: u64,
    /// Bytes to the device.
    pub uploaded: u64,
    /// Bytes from it.
    pub downloaded: u64,
    /// Getting lanes ready, and handing them over.
    pub preparing: Duration,
    /// From handing a dispatch over until what it wrote has been copied back.
    pub waiting: Duration,
    /// Sorting what came back.
    pub collecting: Duration,
}

/// Adds up [`Traffic`].
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) lanes: AtomicU64,
    pub(super) dispatches: AtomicU64,
    pub(super) uploaded: AtomicU64,
    pub(super) downloaded: AtomicU64,
    preparing: AtomicU64,
    waiting: AtomicU64,
    collecting: AtomicU64,
}

/// What a host thread is doing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Doing {
    Preparing,
    Waiting,
    Collecting,
}

impl Meter {
    pub(super) fn add(to: &AtomicU64, count: u64) {
        to.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn traffic(&self) -> Traffic {
        let get = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let time = |of: &AtomicU64| Duration::from_nanos(get(of));
        Traffic {
            lanes: get(&self.lanes),
            dispatches: get(&self.dispatches),
            uploaded: get(&self.uploaded),
            downloaded: get(&self.downloaded),
            preparing: time(&self.preparing),
            waiting: time(&self.waiting),
            collecting: time(&self.collecting),
        }
    }

    /// Begins to measure what a thread does.
    pub(super) fn watch(&self, doing: Doing) -> Watch<'_> {
        Watch { meter: self, doing, since: Instant::now() }
    }
}

/// Measures what one thread does, one thing after the other.
pub(super) struct Watch<'m> {
    meter: &'m Meter,
    doing: Doing,
    since: Instant,
}

impl Watch<'_> {
    /// From now on it does something else.
    pub(super) fn turn(&mut self, doing: Doing) {
        let now = Instant::now();
        let time = match self.doing {
            Doing::Preparing => &self.meter.preparing,
            Doing::Waiting => &self.meter.waiting,
            Doing::Collecting => &self.meter.collecting,
        };
        let took = now.duration_since(self.since).as_nanos();
        Meter::add(time, u64::try_from(took).unwrap_or(u64::MAX));
        (self.doing, self.since) = (doing, now);
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.turn(self.doing);
    }
}
