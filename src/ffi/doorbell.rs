//! How a request wakes the detector.
//!
//! A thread that polls costs a wake-up every few milliseconds, which is a thousandth of a core on
//! bare metal and half a percent on some virtual machines. So the detector sleeps on a word in the
//! zone, and the first request that has something for it rings.

use core::sync::atomic::{AtomicU32, Ordering, fence};
use core::time::Duration;

/// Nobody sleeps.
const AWAKE: u32 = 0;
/// The detector sleeps, or is about to.
const ASLEEP: u32 = 1;

/// No detector is there, and none is about to be.
const VACANT: u32 = 2;

/// A word in shared memory: one sleeper (the lease holder), any number of ringers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doorbell(&'static AtomicU32);

impl Doorbell {
    /// The word of a new zone.
    pub(super) fn unattended() -> AtomicU32 {
        AtomicU32::new(VACANT)
    }

    /// Over a word in shared memory that outlives all users.
    pub(super) fn new(word: &'static AtomicU32) -> Self {
        Self(word)
    }

    /// Says that a detector is at work, or that it is gone.
    pub(crate) fn attend(self, here: bool) {
        self.0.store(if here { AWAKE } else { VACANT }, Ordering::Relaxed);
    }

    /// Sleeps until somebody rings, at most `bound`. `nothing_left` is asked once after ringers can
    /// see that somebody sleeps: what came before that rings no bell.
    pub(crate) fn sleep(self, bound: Duration, nothing_left: impl FnOnce() -> bool) {
        self.0.store(ASLEEP, Ordering::Relaxed);
        // With the fence in ring(): either the ringer sees ASLEEP, or we see what it pushed.
        fence(Ordering::SeqCst);
        if nothing_left() {
            self.wait(bound);
        }
        self.0.store(AWAKE, Ordering::Relaxed);
    }

    /// Wakes the sleeper, if there is one. Costs a system call only then. Whether there is nobody to wake.
    #[inline]
    pub(crate) fn ring(self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) != AWAKE && self.ring_out()
    }

    #[cold]
    fn ring_out(self) -> bool {
        match self.0.compare_exchange(ASLEEP, AWAKE, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {
                // SAFETY: FUTEX_WAKE uses only the word's address. Not the private variant: the
                // sleeper may be another process.
                unsafe { libc::syscall(libc::SYS_futex, self.0.as_ptr(), libc::FUTEX_WAKE, 1) };
                false
            }
            Err(found) => found == VACANT,
        }
    }

    fn wait(self, bound: Duration) {
        let bound = libc::timespec {
            tv_sec: bound.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(bound.subsec_nanos()),
        };
        // SAFETY: the word and the timeout are valid during the call. It returns at once when the
        // word is not ASLEEP any more, and its failures (a signal, the timeout) mean the same as
        // success: look again.
        unsafe {
            let bound = &raw const bound;
            libc::syscall(libc::SYS_futex, self.0.as_ptr(), libc::FUTEX_WAIT, ASLEEP, bound);
        }
    }
}
