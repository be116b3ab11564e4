//! The two phases of a request in which the module takes part, and the answers that are given before.

pub(crate) mod access;
pub(crate) mod answer;
pub(crate) mod log;
