//! The module in a real NGINX, seen from outside.
//!
//! One binary, so that the harness is linked once; one file for each question. Whatever is measured
//! in time or needs the whole machine is in `load.rs`, which cargo runs after this.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::format_push_string,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "a test fails loudly, and is in no hurry"
)]

#[path = "nginx/addresses.rs"]
mod addresses;
#[path = "nginx/answers.rs"]
mod answers;
#[path = "nginx/clock.rs"]
mod clock;
#[path = "nginx/command_line.rs"]
mod command_line;
#[path = "nginx/console.rs"]
mod console;
#[path = "nginx/counting.rs"]
mod counting;
#[path = "nginx/detection.rs"]
mod detection;
#[path = "nginx/directives.rs"]
mod directives;
#[path = "nginx/documented.rs"]
mod documented;
#[path = "nginx/enforcement.rs"]
mod enforcement;
#[path = "nginx/exchanges.rs"]
mod exchanges;
#[path = "nginx/harness.rs"]
mod harness;
#[path = "nginx/hostile.rs"]
mod hostile;
#[path = "nginx/identity.rs"]
mod identity;
#[path = "nginx/inheritance.rs"]
mod inheritance;
#[path = "nginx/interoperation.rs"]
mod interoperation;
#[path = "nginx/isolation.rs"]
mod isolation;
#[path = "nginx/lifecycle.rs"]
mod lifecycle;
#[path = "nginx/ownership.rs"]
mod ownership;
#[path = "nginx/policy.rs"]
mod policy;
#[path = "nginx/protocol.rs"]
mod protocol;
#[path = "nginx/proxies.rs"]
mod proxies;
#[path = "nginx/requests.rs"]
mod requests;
#[path = "nginx/secrets.rs"]
mod secrets;
#[path = "nginx/shipped.rs"]
mod shipped;
#[path = "nginx/state.rs"]
mod state;
#[path = "nginx/status.rs"]
mod status;
#[path = "nginx/threads.rs"]
mod threads;
#[path = "nginx/throttle.rs"]
mod throttle;
#[path = "nginx/tls.rs"]
mod tls;
