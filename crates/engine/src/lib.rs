//! Pure detection engine: request records in, decisions out.
//!
//! Nothing here knows NGINX, a clock, a file or a thread. Time and the seed are arguments, the
//! tables are plain old data over memory that the caller hands in (the shared zone in NGINX, the
//! heap in replay and tests), and the same records with the same seed give the same decisions, bit
//! for bit.
//!
//! The life of a record:
//!
//! 1. [`RequestRecord`] is what NGINX's log phase (or a line of an access log) says of one request.
//! 2. [`source`] turns it into the keys it is judged by: the address and the client (address and
//!    fingerprint).
//! 3. [`endpoint`] finds the template of its path (`/users/42` is `/users/{int}`).
//! 4. The [`detectors`] turn it into log likelihood ratios, [`evidence`] accumulates them for each
//!    source and threat, and [`fusion`] mixes the threats into one number.
//! 5. [`Engine::turn`] convicts when that number passes the threshold, and says so in a
//!    [`Decision`] which carries the [`Incident`] that explains it.
#![forbid(unsafe_code)]

pub mod application;
pub mod campaign;
pub mod conviction;
pub mod decision;
pub mod detectors;
pub mod endpoint;
pub mod engine;
pub mod evidence;
pub mod explain;
pub mod facts;
pub mod fusion;
pub mod hash;
pub mod object;
pub mod path;
pub mod record;
pub mod role;
pub mod sketch;
pub mod source;
pub mod sources;
pub mod tables;
pub mod threat;
pub mod token;

pub use decision::{Action, Decision, Incident};
pub use engine::{Config, Engine};
pub use record::RequestRecord;
pub use source::{SourceKey, SourceKind};
pub use threat::Threat;
