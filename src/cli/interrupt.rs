//! Ctrl-C, and the signal by which job managers end a job.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells whether the user wants the run to end.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on. The first signal asks for an end once a batch is done, the second ends the
    /// program at once: a journal is as good after it.
    pub fn listen() -> Self {
        let interrupt = Self::default();
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGINT, SIGTERM};
            let asked = interrupt.clone();
            match signal_hook::iterator::Signals::new([SIGINT, SIGTERM]) {
                Ok(mut signals) => {
                    std::thread::spawn(move || {
                        for _ in signals.forever() {
                            if asked.0.swap(true, Ordering::SeqCst) {
                                std::process::exit(i32::from(super::error::UNFINISHED));
                            }
                            eprintln!("gradsweep: stopping after this batch (again: at once)");
                        }
                    });
                }
                Err(error) => tracing::warn!("signals are not caught: {error}"),
            }
        }
        interrupt
    }

    pub fn is_asked_for(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
