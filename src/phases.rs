//! The two phases of a request in which the module takes part.

pub(crate) mod access;
pub(crate) mod log;
