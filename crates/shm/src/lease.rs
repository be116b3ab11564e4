//! The lease: which process detects.
//!
//! A robust, process-shared mutex in the zone. When its holder is killed the kernel marks it, and
//! the next who tries gets it within that try; a holder that is merely stopped keeps it, so it can
//! never wake up beside a second one (a heartbeat could not promise that). Who holds it is the only
//! writer of everything in [`Writers`].

use core::fmt;

use crate::allowlist::AllowlistWriter;
use crate::attach::{self, HeldMutex, LockError, Mapping};
use crate::commands::Commands;
use crate::denylist::DenylistWriter;
use crate::lane::Consumer;
use crate::layout::TAKEOVERS;
use crate::slots::SlotsWriter;
use crate::sync::{AtomicU64, Ordering, add_own};
use crate::zone::Zone;

const HOLDER: usize = 0;
const ACQUISITIONS: usize = 1;
const TAKEOVER_COUNT: usize = 2;
/// Process that is to ask for the lease, or holds it.
const CANDIDATE: usize = TAKEOVER_TIMES + TAKEOVERS;
/// From here on: the monotonic milliseconds of the last [`TAKEOVERS`] takeovers, a ring.
const TAKEOVER_TIMES: usize = 3;

/// The lease of a zone.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    zone: Zone,
}

/// The mutex cannot be used. This does not go away by trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseError {
    /// The system's error number.
    pub errno: i32,
}

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = std::io::Error::from_raw_os_error(self.errno);
        write!(f, "the lease cannot be taken: {error}")
    }
}

impl std::error::Error for LeaseError {}

impl Lease {
    pub(crate) fn new(zone: &Zone) -> Self {
        Self { zone: *zone }
    }

    fn word(&self, index: usize) -> &'static AtomicU64 {
        &self.mapping().lease_words()[index]
    }

    fn mapping(&self) -> Mapping {
        self.zone.mapping()
    }

    /// Takes the lease if nobody holds it; does not wait. `Ok(None)`: somebody does, maybe another
    /// thread of this process. `now_ms` is the monotonic time, remembered if the last holder died.
    ///
    /// # Errors
    /// [`LeaseError`] when the mutex is beyond use, which a zone made by this crate never is.
    pub fn try_acquire(&self, now_ms: u64) -> Result<Option<LeaseGuard>, LeaseError> {
        let (held, recovered) = match self.mapping().try_lock() {
            Ok(locked) => locked,
            Err(LockError::Busy) => return Ok(None),
            Err(LockError::Os(errno)) => return Err(LeaseError { errno }),
        };
        let own = u64::from(std::process::id());
        self.word(HOLDER).store(own, Ordering::Relaxed);
        self.word(CANDIDATE).store(own, Ordering::Relaxed);
        add_own(self.word(ACQUISITIONS), 1);
        if recovered {
            let count = self.takeovers();
            self.word(TAKEOVER_TIMES + count as usize % TAKEOVERS).store(now_ms, Ordering::Relaxed);
            self.word(TAKEOVER_COUNT).store(count.wrapping_add(1), Ordering::Relaxed);
        }
        Ok(Some(LeaseGuard { lease: *self, held, recovered }))
    }

    /// Process that holds the lease or died holding it; `None` when it was given back.
    pub fn holder(&self) -> Option<u32> {
        let pid = self.word(HOLDER).load(Ordering::Relaxed) as u32;
        (pid != 0).then_some(pid)
    }

    /// Makes this process the one that is to ask for the lease, so that not everybody has to. `false`:
    /// another one that lives is that already.
    pub fn stand(&self) -> bool {
        let word = self.word(CANDIDATE);
        let found = word.load(Ordering::Relaxed);
        let free = found == 0 || !attach::process_exists(found as u32);
        let own = u64::from(std::process::id());
        free && word.compare_exchange(found, own, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Leaves that to another process, as giving the lease back does.
    pub fn step_down(&self) {
        let own = u64::from(std::process::id());
        // Another one's: it holds the lease.
        let _ = self.word(CANDIDATE).compare_exchange(own, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// How often the lease was taken.
    pub fn acquisitions(&self) -> u64 {
        self.word(ACQUISITIONS).load(Ordering::Relaxed)
    }

    /// How often it was taken from a holder that had died.
    pub fn takeovers(&self) -> u64 {
        self.word(TAKEOVER_COUNT).load(Ordering::Relaxed)
    }

    /// How many holders died since `since_ms` of the monotonic clock, as far as the last 16
    /// takeovers tell: enough to recognise a detector that crashes again and again.
    pub fn takeovers_since(&self, since_ms: u64) -> usize {
        let known = (self.takeovers() as usize).min(TAKEOVERS);
        let time = |i| self.word(TAKEOVER_TIMES + i).load(Ordering::Relaxed);
        (0..known).filter(|i| time(*i) >= since_ms).count()
    }
}

/// The lease, held. Dropping it gives it back. Bound to its thread (not `Send`), as the mutex is.
/// It must not be leaked by a thread that ends: see the safety section of [`Zone::create`].
///
/// ```compile_fail,E0277
/// fn needs_send<T: Send>() {}
/// needs_send::<api_abuse_shm::LeaseGuard>();
/// ```
#[derive(Debug)]
pub struct LeaseGuard {
    lease: Lease,
    held: HeldMutex,
    recovered: bool,
}

/// Everything that only the lease holder may write.
#[derive(Debug)]
pub struct Writers<'g> {
    /// Takes the records out of the lanes.
    pub consumer: Consumer<'g>,
    /// Writes denials. After a recovery, call [`DenylistWriter::repair`] first.
    pub denylist: DenylistWriter<'g>,
    /// Writes the run-time allowlist. After a recovery, call [`AllowlistWriter::repair`] first.
    pub allowlist: AllowlistWriter<'g>,
    /// What workers want done.
    pub commands: Commands<'g>,
    /// Writes incidents.
    pub incidents: SlotsWriter<'g>,
    /// Writes the applications' statistics.
    pub applications: SlotsWriter<'g>,
    /// Writes the counts of each hour.
    pub history: SlotsWriter<'g>,
    /// The engine's tables, aligned to 64 bytes. Zero in a new zone; after a recovery the dead
    /// holder may have left any of it half-changed.
    pub engine: &'g mut [u8],
}

impl LeaseGuard {
    /// Whether the last holder died with the lease.
    pub fn recovered(&self) -> bool {
        self.recovered
    }

    /// The writing sides of all tables.
    pub fn split(&mut self) -> Writers<'_> {
        let zone = self.lease.zone;
        Writers {
            consumer: zone.lanes().consumer(),
            denylist: DenylistWriter::new(zone.denylist()),
            allowlist: AllowlistWriter::new(zone.allowlist()),
            commands: zone.commands(),
            incidents: SlotsWriter::new(zone.incidents()),
            applications: SlotsWriter::new(zone.applications()),
            history: SlotsWriter::new(zone.history()),
            engine: self.held.engine(),
        }
    }
}

impl Drop for LeaseGuard {
    /// The mutex itself is unlocked when `held` is dropped, after this.
    fn drop(&mut self) {
        self.lease.word(HOLDER).store(0, Ordering::Relaxed);
        self.lease.step_down();
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use crate::attach::tests::zone;
    use crate::sync::Ordering;

    #[test]
    fn one_thread_at_a_time() {
        let zone = zone();
        let lease = zone.lease();
        assert_eq!((lease.holder(), lease.acquisitions()), (None, 0));
        let guard = lease.try_acquire(5).unwrap().unwrap();
        assert!(!guard.recovered());
        assert_eq!(lease.holder(), Some(std::process::id()));
        assert!(lease.try_acquire(5).unwrap().is_none(), "not twice in one thread");
        let elsewhere = std::thread::spawn(move || lease.try_acquire(5).unwrap().is_none());
        assert!(elsewhere.join().unwrap());
        drop(guard);
        assert_eq!(lease.holder(), None);
        assert!(!lease.try_acquire(6).unwrap().unwrap().recovered());
        assert_eq!((lease.acquisitions(), lease.takeovers()), (2, 0));
    }

    #[test]
    fn one_process_stands() {
        let zone = zone();
        let lease = zone.lease();
        let word = lease.word(super::CANDIDATE);
        assert!(lease.stand() && !lease.stand(), "this process lives");
        lease.step_down();
        assert!(lease.stand());
        // A dead one, and another that lives.
        word.store(u64::from(u32::MAX), Ordering::Relaxed);
        assert!(lease.stand());
        word.store(1, Ordering::Relaxed);
        lease.step_down();
        assert!(!lease.stand());
        let guard = lease.try_acquire(5).unwrap().unwrap();
        assert!(!lease.stand(), "who holds it is the one");
        drop(guard);
        assert!(lease.stand());
    }

    /// A thread that ends with the lease is, to the kernel, a holder that died.
    #[test]
    fn deaths_are_recovered_and_remembered() {
        let zone = zone();
        let lease = zone.lease();
        for death in 0..20 {
            let dying = std::thread::spawn(move || {
                let guard = lease.try_acquire(1_000 + death).unwrap().unwrap();
                let recovered = guard.recovered();
                // Nothing of the zone is referenced from here on.
                std::mem::forget(guard);
                recovered
            });
            assert_eq!(dying.join().unwrap(), death > 0);
        }
        assert_eq!(lease.takeovers(), 19);
        assert_eq!(lease.takeovers_since(1_020), 0);
        assert_eq!(lease.takeovers_since(1_015), 5);
        assert_eq!(lease.takeovers_since(0), 16, "as far as it remembers");
        let guard = lease.try_acquire(2_000).unwrap().unwrap();
        assert!(guard.recovered());
        drop(guard);
        assert!(!lease.try_acquire(2_001).unwrap().unwrap().recovered());
    }
}
