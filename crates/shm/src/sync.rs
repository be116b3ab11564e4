//! The only switch between the atomics of the machine and those of the loom model checker.
//!
//! It also names the release edges on which the protocols rest, so that a loom test can take one
//! away and prove that it would notice.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU64, Ordering, fence};

/// How often a reader tries again when the writer is at work on what it reads. A write takes tens
/// of nanoseconds: only a writer that was killed or descheduled half-way outlasts this.
#[cfg(not(loom))]
pub(crate) const READ_ATTEMPTS: u32 = 16;
#[cfg(loom)]
pub(crate) const READ_ATTEMPTS: u32 = 2;

/// A place where one process publishes and another must see everything written before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// A lane's message, before the tail that shows it.
    LaneTail,
    /// A lane's tail, before the owner word that lets the next worker in.
    LaneOwner,
    /// A slot's odd sequence, before the first new word.
    SlotOpen,
    /// A slot's last new word, before the even sequence.
    SlotClose,
    /// An entry of the denylist at its new place, before the count that sends readers to look again.
    DenyMoved,
    /// A command, before the state that shows it to the lease holder.
    CommandSubmit,
    /// An answer, before the state that shows it to its worker.
    CommandAnswer,
}

/// The ordering of the store that publishes `edge`.
#[cfg(not(loom))]
#[inline]
pub(crate) const fn release(_: Edge) -> Ordering {
    Ordering::Release
}

/// Orders all earlier stores before all later ones.
#[cfg(not(loom))]
#[inline]
pub(crate) fn release_fence(_: Edge) {
    fence(Ordering::Release);
}

#[cfg(loom)]
pub use weakened::without;
#[cfg(loom)]
pub(crate) use weakened::{release, release_fence};

/// Takes one edge away, for the test that wants to see loom object.
#[cfg(loom)]
mod weakened {
    use std::cell::Cell;

    use super::{Edge, Ordering, fence};

    std::thread_local! {
        static MISSING: Cell<Option<Edge>> = const { Cell::new(None) };
    }

    /// Runs `model` with `edge` published by relaxed stores. Loom runs all threads of a model on
    /// the calling thread, so tests that run beside this one are not affected.
    pub fn without<T>(edge: Edge, model: impl FnOnce() -> T) -> T {
        MISSING.set(Some(edge));
        let result = model();
        MISSING.set(None);
        result
    }

    pub(crate) fn release(edge: Edge) -> Ordering {
        if MISSING.get() == Some(edge) { Ordering::Relaxed } else { Ordering::Release }
    }

    pub(crate) fn release_fence(edge: Edge) {
        if MISSING.get() != Some(edge) {
            fence(Ordering::Release);
        }
    }
}

/// Adds to a word that only the caller writes: cheaper than a locked addition.
#[inline]
pub(crate) fn add_own(word: &AtomicU64, n: u64) {
    word.store(word.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}
