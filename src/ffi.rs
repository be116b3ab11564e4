//! The border to NGINX: one file for each of its concepts, and all of the module's unsafe code but
//! the static tables of [`crate::module`].
//!
//! Two rules hold everywhere here:
//!
//! * Whatever NGINX calls (`extern "C"`) does its work inside [`guard::guarded`], so that a panic
//!   ends in "pass" and never unwinds into C.
//! * A wrapper borrows what NGINX owns for as long as the callback runs that received it. Worker
//!   processes run NGINX on one thread; wrappers are neither `Send` nor `Sync`.
#![allow(unsafe_code)]
// NGINX keeps statuses, sizes and times in signed integers, and none of them comes near the sign.
#![allow(clippy::cast_possible_wrap)]

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod clock;
pub(crate) mod conf;
pub(crate) mod content;
pub(crate) mod directive;
pub(crate) mod doorbell;
pub(crate) mod error_log;
pub(crate) mod files;
pub(crate) mod guard;
pub(crate) mod headers;
pub(crate) mod main_thread;
pub(crate) mod phase;
pub(crate) mod process;
pub(crate) mod realip;
pub(crate) mod remembered;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod shm;
pub(crate) mod thread;
pub(crate) mod timer;
pub(crate) mod variable;
