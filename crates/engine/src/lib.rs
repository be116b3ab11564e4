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
//! 2. [`source`] turns it into the keys it is judged by: the address, the client (address and
//!    fingerprint) and, where there is one, the session.
//! 3. [`endpoint`] finds the template of its path (`/users/42` is `/users/{int}`).
//! 4. The [`detectors`] turn it into log likelihood ratios, [`evidence`] accumulates them for each
//!    source and threat, and [`fusion`] mixes the threats into one number.
//! 5. [`Engine::turn`] convicts when that number passes the threshold, and says so in a
//!    [`Decision`] which carries the [`Incident`] that explains it. The [`policy`] of the application
//!    says at which threshold and what is done, its [`budget`] when not to.
#![forbid(unsafe_code)]

pub mod application;
pub mod approach;
pub mod budget;
pub mod campaign;
pub mod checkpoint;
pub mod cidr;
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
pub mod identity;
mod judgement;
pub mod learned;
mod learning;
pub mod lift;
pub mod object;
pub mod outcome;
pub mod path;
pub mod policy;
pub mod profiles;
pub mod record;
pub mod role;
pub mod secret;
pub mod sketch;
mod slots;
pub mod source;
pub mod sources;
pub mod tables;
pub mod target;
pub mod threat;
pub mod token;

pub use cidr::{Cidr, CidrError, CidrSet};
pub use decision::{Action, Decision, Incident};
pub use engine::Engine;
pub use policy::{ApplicationConfig, Config, Policy};
pub use record::RequestRecord;
pub use source::{SourceKey, SourceKind};
pub use threat::Threat;
