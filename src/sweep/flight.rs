//! Work under way on threads of its own, whose results are taken in the order in which it began.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::thread::{Scope, ScopedJoinHandle};

/// At most so many pieces of work at a time.
pub struct Flight<'scope, 'env, T> {
    scope: &'scope Scope<'scope, 'env>,
    most: usize,
    under_way: VecDeque<Work<'scope, T>>,
}

enum Work<'scope, T> {
    Done(T),
    Thread(ScopedJoinHandle<'scope, T>),
}

impl<'scope, T: Send + 'scope> Flight<'scope, '_, T> {
    /// Room for `most` pieces of work; a single one is done by the thread that begins it.
    pub fn new<'env>(scope: &'scope Scope<'scope, 'env>, most: usize) -> Flight<'scope, 'env, T> {
        Flight { scope, most: most.max(1), under_way: VecDeque::new() }
    }

    /// Whether more may begin.
    pub fn has_room(&self) -> bool {
        self.under_way.len() < self.most
    }

    /// Begins with something.
    pub fn begin(&mut self, work: impl FnOnce() -> T + Send + 'scope) {
        self.under_way.push_back(match self.most {
            1 => Work::Done(work()),
            _ => Work::Thread(self.scope.spawn(work)),
        });
    }

    /// Waits for the result of what began first; none where nothing is under way.
    pub fn take(&mut self) -> Option<T> {
        Some(match self.under_way.pop_front()? {
            Work::Done(result) => result,
            Work::Thread(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Flight;
    use std::sync::mpsc::sync_channel;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn results_come_in_order_whichever_ends_first() {
        for most in 1..4 {
            let results = thread::scope(|scope| {
                let mut flight = Flight::new(scope, most);
                let mut results = Vec::new();
                for k in 0..6 {
                    while !flight.has_room() {
                        results.extend(flight.take());
                    }
                    flight.begin(move || {
                        thread::sleep(Duration::from_millis(10 * (k % 3)));
                        k
                    });
                }
                while let Some(k) = flight.take() {
                    results.push(k);
                }
                results
            });
            assert_eq!(results, [0, 1, 2, 3, 4, 5], "at most {most}");
        }
    }

    /// The first waits for the second, which is under way with it.
    #[test]
    fn two_are_under_way_at_a_time() {
        let (send, receive) = sync_channel(0);
        let got = thread::scope(|scope| {
            let mut flight = Flight::new(scope, 2);
            flight.begin(move || receive.recv_timeout(Duration::from_secs(20)).is_ok());
            flight.begin(move || send.send(()).is_ok());
            assert!(!flight.has_room());
            [flight.take(), flight.take(), flight.take()]
        });
        assert_eq!(got, [Some(true), Some(true), None]);
    }
}
