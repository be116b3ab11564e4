//! Where the bytes of a mapping become words, counters, a mutex and the engine's bytes. All unsafe
//! code of the crate, and all its calls into libc.
//!
//! The handle keeps the raw base pointer, and every reference is made from it for exactly the bytes
//! of one region; the regions do not overlap. A reference to the header must never be stretched
//! over what lies behind it.
#![allow(unsafe_code)]
// Every region starts on a cache line; Mapping::new and the assertions below see to it.
#![allow(clippy::cast_ptr_alignment)]

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::slice;

use crate::counters::Counters;
use crate::layout::{Geometry, HEADER_WORDS, LINE, Layout, MUTEX_BYTES, Region};
use crate::sync::AtomicU64;
use crate::zone::{AttachError, Zone};

const _: () = assert!(size_of::<libc::pthread_mutex_t>() as u64 <= MUTEX_BYTES);
const _: () = assert!(align_of::<libc::pthread_mutex_t>() as u64 <= LINE);
const _: () = assert!(size_of::<AtomicU64>() == 8 && align_of::<AtomicU64>() as u64 <= LINE);
const _: () = assert!(align_of::<Counters>() as u64 <= LINE);

impl Zone {
    /// Makes a zone of `geometry` in the `len` bytes at `base`, all of which are zero. `seed` is
    /// secret and random.
    ///
    /// # Errors
    /// [`AttachError::Misaligned`], [`AttachError::Geometry`] (does not fit), [`AttachError::Lease`].
    ///
    /// # Safety
    /// The caller guarantees, for [`Zone::create`] as for [`Zone::open`]:
    ///
    /// * `base` points to `len` bytes, readable and writable, that stay mapped there until the
    ///   process ends, or until the last use of this handle, of its copies and of everything
    ///   obtained from them (a [`crate::Producer`] and a [`crate::LeaseGuard`] are used when they
    ///   are dropped).
    /// * Nothing but this crate, in any process, writes to these bytes; for `create`, nobody else
    ///   makes a zone of them at the same time.
    /// * No thread of this process leaks a lease (`mem::forget`, `Box::leak`) and ends while
    ///   references into the engine's bytes, obtained from it, live on: the lease would go to
    ///   another thread.
    /// * This process does not call `fork` while it holds the lease and use the lease in the child.
    pub unsafe fn create(
        base: NonNull<u8>,
        len: usize,
        geometry: &Geometry,
        seed: [u64; 2],
    ) -> Result<Self, AttachError> {
        // SAFETY: the caller's promise about base and len is the one that Mapping::new wants.
        let mapping = unsafe { Mapping::new(base, len, geometry) }?;
        Self::format(mapping, *geometry, seed)
    }

    /// Opens the zone that lies in the `len` bytes at `base`.
    ///
    /// # Errors
    /// [`AttachError`] says why these bytes are not a zone that this build can use. Nothing is
    /// written in that case.
    ///
    /// # Safety
    /// As for [`Zone::create`].
    pub unsafe fn open(base: NonNull<u8>, len: usize) -> Result<Self, AttachError> {
        check_alignment(base)?;
        if len < HEADER_WORDS * 8 {
            return Err(AttachError::NotAZone);
        }
        // SAFETY: the caller promises len mapped bytes, the header's are among them, base is
        // aligned for words, and everybody accesses the header as atomic words.
        let header = unsafe { slice::from_raw_parts(base.cast().as_ptr(), HEADER_WORDS) };
        let (geometry, seed) = Self::read_header(header)?;
        // SAFETY: as above; the geometry is checked against len.
        let mapping = unsafe { Mapping::new(base, len, &geometry) }?;
        Ok(Self::from_parts(mapping, geometry, seed))
    }
}

fn check_alignment(base: NonNull<u8>) -> Result<(), AttachError> {
    let aligned = base.addr().get() as u64 % LINE == 0;
    if aligned { Ok(()) } else { Err(AttachError::Misaligned) }
}

/// Mapped memory and the regions in it, all of which are known to lie inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a mapping only hands out references to atomics, which any thread may use, and (through
// HeldMutex, which stays with its thread) the engine's bytes, whose access the mutex orders.
unsafe impl Send for Mapping {}
// SAFETY: as for Send.
unsafe impl Sync for Mapping {}

/// Why the mutex was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockError {
    /// Somebody holds it.
    Busy,
    /// The system's error number.
    Os(i32),
}

impl Mapping {
    /// # Safety
    /// The promises of [`Zone::create`] about `base` and `len`.
    unsafe fn new(base: NonNull<u8>, len: usize, geometry: &Geometry) -> Result<Self, AttachError> {
        check_alignment(base)?;
        let layout = Layout::of(geometry).ok_or(AttachError::Geometry)?;
        // The largest slice that Rust allows; keeps all pointer arithmetic below in bounds.
        if layout.end > len as u64 || len > isize::MAX as usize {
            return Err(AttachError::Geometry);
        }
        #[cfg(not(miri))]
        ask_for_huge_pages(base, len);
        Ok(Self { base, layout })
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    fn at(&self, region: Region) -> *mut u8 {
        // SAFETY: new() checked that all regions lie within the mapping, whose extent the caller
        // of Zone::create or Zone::open guarantees.
        unsafe { self.base.as_ptr().add(region.offset as usize) }
    }

    /// A region as words. Not for the mutex and the engine, which is why it is private.
    fn words(&self, region: Region) -> &'static [AtomicU64] {
        let len = region.bytes as usize / 8;
        // SAFETY: the region lies in the mapping and starts on a cache line; it is only ever
        // accessed as atomic words, which are valid whatever they hold; the caller of Zone::create
        // or Zone::open guarantees that the memory outlives every use.
        unsafe { slice::from_raw_parts(self.at(region).cast::<AtomicU64>(), len) }
    }

    pub(crate) fn header(&self) -> &'static [AtomicU64] {
        self.words(self.layout.header)
    }

    pub(crate) fn lease_words(&self) -> &'static [AtomicU64] {
        self.words(self.layout.lease)
    }

    pub(crate) fn lane_words(&self) -> &'static [AtomicU64] {
        self.words(self.layout.lanes)
    }

    /// Tags and entries.
    pub(crate) fn denylist_words(&self) -> [&'static [AtomicU64]; 2] {
        [self.layout.tags, self.layout.entries].map(|region| self.words(region))
    }

    pub(crate) fn allowlist_words(&self) -> &'static [AtomicU64] {
        self.words(self.layout.allowlist)
    }

    pub(crate) fn command_words(&self) -> &'static [AtomicU64] {
        self.words(self.layout.commands)
    }

    pub(crate) fn history_words(&self) -> &'static [AtomicU64] {
        self.words(self.layout.history)
    }

    pub(crate) fn incident_words(&self) -> &'static [AtomicU64] {
        self.words(self.layout.incidents)
    }

    pub(crate) fn application_words(&self) -> &'static [AtomicU64] {
        self.words(self.layout.applications)
    }

    pub(crate) fn counters(&self) -> &'static Counters {
        // SAFETY: as in words(); Counters is repr(C), all of it atomic words, aligned as such, and
        // the layout asserts that it fits its region.
        unsafe { &*self.at(self.layout.counters).cast::<Counters>() }
    }

    fn mutex(&self) -> *mut libc::pthread_mutex_t {
        self.at(self.layout.mutex).cast()
    }

    /// Makes the lease's mutex; the error is the system's number.
    pub(crate) fn make_mutex(&self) -> Result<(), i32> {
        let mut attributes = core::mem::MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: attributes is memory of ours, initialised by the first call before the others
        // use it and destroyed once. The mutex lies in its own region, large and aligned enough by
        // the assertions above, and the caller of Zone::create guarantees that nobody uses it yet.
        unsafe {
            check(libc::pthread_mutexattr_init(attributes))?;
            let shared = libc::PTHREAD_PROCESS_SHARED;
            let made = check(libc::pthread_mutexattr_setpshared(attributes, shared))
                .and_then(|()| {
                    let robust = libc::PTHREAD_MUTEX_ROBUST;
                    check(libc::pthread_mutexattr_setrobust(attributes, robust))
                })
                .and_then(|()| {
                    let errors = libc::PTHREAD_MUTEX_ERRORCHECK;
                    check(libc::pthread_mutexattr_settype(attributes, errors))
                })
                .and_then(|()| check(libc::pthread_mutex_init(self.mutex(), attributes)));
            libc::pthread_mutexattr_destroy(attributes);
            made
        }
    }

    /// Locks the lease's mutex if nobody holds it; the flag says that its last holder died.
    pub(crate) fn try_lock(&self) -> Result<(HeldMutex, bool), LockError> {
        // SAFETY: the mutex was made by Zone::create before the magic that Zone::open looks for,
        // and the caller of both guarantees that it stays mapped.
        let locked = unsafe { libc::pthread_mutex_trylock(self.mutex()) };
        let held = || HeldMutex { mapping: *self, stays_with_its_thread: PhantomData };
        match locked {
            0 => Ok((held(), false)),
            libc::EOWNERDEAD => {
                let held = held();
                // SAFETY: as above; this thread holds the mutex now. If we are killed here, the
                // next holder meets EOWNERDEAD again.
                let consistent = unsafe { libc::pthread_mutex_consistent(self.mutex()) };
                check(consistent).map_err(LockError::Os)?;
                Ok((held, true))
            }
            libc::EBUSY | libc::EDEADLK => Err(LockError::Busy),
            errno => Err(LockError::Os(errno)),
        }
    }
}

/// Asks for pages of 2 MiB, each of which spares looking for 512 small ones. Linux gives them to shared memory where
/// `shmem_enabled` is `advise` (or `within_size`, `always`); a kernel that has none refuses, and nothing is lost.
#[cfg(not(miri))]
fn ask_for_huge_pages(base: NonNull<u8>, len: usize) {
    // SAFETY: sysconf only reads a number.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    // Whole pages of the mapping only: a neighbour's are not ours to advise on.
    let skipped = base.addr().get().wrapping_neg() % page;
    let whole = len.saturating_sub(skipped) / page * page;
    if whole > 0 {
        // SAFETY: these pages lie within the len mapped bytes that the caller of Zone::create or Zone::open
        // guarantees; the advice changes how they are mapped and none of what they hold.
        unsafe { libc::madvise(base.as_ptr().add(skipped).cast(), whole, libc::MADV_HUGEPAGE) };
    }
}

fn check(result: i32) -> Result<(), i32> {
    if result == 0 { Ok(()) } else { Err(result) }
}

/// The lease's mutex, held by this thread until dropped.
#[derive(Debug)]
pub(crate) struct HeldMutex {
    mapping: Mapping,
    /// A mutex belongs to the thread that locked it: neither Send nor Sync.
    stays_with_its_thread: PhantomData<*mut ()>,
}

impl HeldMutex {
    /// The engine's bytes.
    pub(crate) fn engine(&mut self) -> &mut [u8] {
        let engine = self.mapping.layout.engine;
        // SAFETY: the region lies in the mapping, and nothing else makes references into it. Who
        // calls holds the mutex, of which there is one for this zone, and borrows it mutably for
        // as long as the slice lives; that the mutex cannot go to another thread meanwhile is
        // guaranteed by the caller of Zone::create or Zone::open, who does not leak it.
        unsafe { slice::from_raw_parts_mut(self.mapping.at(engine), engine.bytes as usize) }
    }
}

impl Drop for HeldMutex {
    fn drop(&mut self) {
        // SAFETY: this thread locked the mutex (the type is not Send), which is still mapped by
        // the promise given to Zone::create or Zone::open.
        unsafe { libc::pthread_mutex_unlock(self.mapping.mutex()) };
    }
}

/// Whether there is a process `pid`, ours to signal or not. One that ended but was not yet waited
/// for by its parent counts.
pub(crate) fn process_exists(pid: u32) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return false };
    if pid == 0 {
        return false;
    }
    // SAFETY: signal 0 is sent to nobody; the call only looks whether it could be.
    let missing = unsafe { libc::kill(pid, 0) } == -1;
    !(missing && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH))
}

#[cfg(test)]
pub(crate) mod tests;
