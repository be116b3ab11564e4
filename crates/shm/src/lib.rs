//! The shared memory of API Abuse Prevention for NGINX.
//!
//! One zone is mapped by the master and all workers. It holds, and this crate knows nothing of what
//! the words mean:
//!
//! | table | written by | read by | module |
//! | --- | --- | --- | --- |
//! | lanes: finished requests on their way to the detector | each worker its own | the lease holder | `lane` |
//! | denylist | the lease holder | every request | `denylist` |
//! | incidents, applications | the lease holder | whoever shows them | `slots` |
//! | allowlist of the run time | the lease holder | every request | `allowlist` |
//! | commands to the lease holder, and its answers | each worker its own | the lease holder | `commands` |
//! | counters | said with each | whoever shows them | `counters` |
//! | the engine's tables | the lease holder | the lease holder | `lease` |
//!
//! What holds everywhere: every word is an atomic with one writer at a time (exceptions are
//! named); nobody waits for anybody; any process may be killed at any instruction, and the others
//! neither stall nor read half of anything. There are no pointers in the zone, so it may be mapped
//! anywhere. A zone of another layout version or size is refused.
//!
//! ```no_run
//! use api_abuse_shm::{Batch, Geometry, Needs, Zone};
//! # use std::ptr::NonNull;
//! # let (base, len): (NonNull<u8>, usize) = (NonNull::dangling(), 16 << 20);
//! # let now_ms = 0;
//! let needs = Needs {
//!     workers: 4,
//!     incident_words: 150,
//!     application_words: 50,
//!     application_slots: 64,
//!     engine_min_bytes: 1 << 20,
//!     max_message_words: 100,
//! };
//! let geometry = Geometry::plan(len, &needs)?;
//! // SAFETY: base points to len zeroed bytes of shared memory that stay mapped.
//! let zone = unsafe { Zone::create(base, len, &geometry, [1, 2]) }?;
//!
//! // In a worker:
//! let producer = zone.claim_lane(std::process::id()).ok_or("no lane")?;
//! producer.push(&[1, 2, 3]);
//!
//! // In the one thread that detects:
//! if let Some(mut lease) = zone.lease().try_acquire(now_ms)? {
//!     let recovered = lease.recovered();
//!     let mut writers = lease.split();
//!     if recovered {
//!         writers.denylist.repair();
//!     }
//!     let mut batch = Batch::default();
//!     while writers.consumer.drain(&mut batch, 1024) > 0 {
//!         for message in batch.messages() {
//!             assert_eq!(message, [1, 2, 3]);
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Lanes`], [`Denylist`] and [`Slots`] are built over slices of atomics, so tests run them on the
//! heap and under the loom model checker; only a [`Zone`] needs real shared memory.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod allowlist;
mod commands;
mod counters;
mod denylist;
mod lane;
#[cfg(not(loom))]
mod saved;
mod slots;
pub mod sync;

// Loom has atomics of its own size, which cannot lie in a zone.
#[cfg(not(loom))]
mod attach;
#[cfg(not(loom))]
mod layout;
#[cfg(not(loom))]
mod lease;
#[cfg(not(loom))]
mod zone;

#[cfg(all(test, not(loom)))]
mod testing;

pub use allowlist::{AllowEntry, Allowed, Allowlist, AllowlistWriter, COMMENT_MAX, NETWORK_MAX};
pub use commands::{
    ANSWER_WORDS, Answer, COMMAND_WORDS, Command, Commands, Outcome, Progress, Ticket,
};
pub use counters::{
    Counters, ENFORCEMENT_BOUNDS_US, ENGINE_LOADED, Histogram, HistogramValues, LISTS_LOADED,
};
pub use denylist::{
    CERTAIN, DenyEntry, DenyKey, Denylist, DenylistWriter, Inserted, Rate, Repaired,
};
pub use lane::{Batch, Consumer, LaneTotals, Lanes, Message, Producer, Room};
#[cfg(not(loom))]
pub use saved::{Lists, SavedError};
pub use slots::{Slots, SlotsWriter};

#[cfg(not(loom))]
pub use layout::{Geometry, HISTORY_WORDS, LAYOUT_VERSION, Needs, TooSmall};
#[cfg(not(loom))]
pub use lease::{Lease, LeaseError, LeaseGuard, Writers};
#[cfg(not(loom))]
pub use zone::{AttachError, Zone};
