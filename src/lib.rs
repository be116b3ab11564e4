//! API Abuse Prevention for NGINX: the dynamic module.
//!
//! # The life of a request
//!
//! 1. **ACCESS** ([`phases::access`]). At its first pass through a location with `api_abuse`, a
//!    request is remembered ([`ffi::remembered`]): its location, address and [`client`]. One word says of
//!    most that nobody of their network is denied, and that is all. Others are given a
//!    [`request_state::RequestState`], with their session and the entry of the denylist that they
//!    meet, if any: look-ups read two words each. No lock is taken, nobody is waited for. In `block`
//!    mode a denied request ends here.
//!    What NGINX answers before that phase, `return` for example, a filter of response headers
//!    ([`phases::answer`]) judges when the answer is about to be sent.
//! 2. NGINX serves the request, however many internal redirects that takes. What is remembered survives them.
//!    When its body is read, a filter ([`ffi::body`]) looks for the account that it names.
//! 3. **LOG** ([`phases::log`]). The finished request, an early error or a denied one included,
//!    becomes one [`api_abuse_engine::RequestRecord`] in the worker's own lane of the shared
//!    memory, and the doorbell rings if the detector sleeps.
//! 4. **The detector** ([`detector`]), a thread of one [`worker`], which holds the zone's lease. It
//!    drains all lanes, lets the engine judge, and writes convictions into the denylist, where step 1
//!    of the next request in any worker finds them.
//! 5. **Housekeeping** ([`housekeeping`]), a thread beside it, puts what happened into words, which a
//!    timer on the main thread writes to the logs, and the state on the disk.
//!
//! # Where things are
//!
//! | | |
//! | --- | --- |
//! | [`module`] | the tables by which NGINX finds all this |
//! | [`directives`], [`conf`] | what can be configured, and what was |
//! | [`zone`] | the shared memory through starts, reloads and changes of size |
//! | [`background`], [`helper`] | the threads, in a worker or in NGINX's helper process |
//! | [`state`] | what survives a restart |
//! | [`commands`], [`allowlist`] | what operators change at run time |
//! | [`console`], [`api`], [`snapshot`] | the page for people, and what it is made from |
//! | [`variables`], [`status`], [`decision_log`], [`text`] | what is shown, and how it is written |
//! | [`ffi`] | the border to NGINX: all unsafe code but the tables |
//!
//! Whatever goes wrong in here, requests are served: every entry from C runs under one guard that
//! turns a panic into "pass" ([`ffi::guard`]), and a detector that keeps failing is switched off.

// The library exports nothing to Rust; its documentation is for those who work on it.
#![allow(rustdoc::private_intra_doc_links)]

mod allowlist;
mod api;
mod background;
mod client;
mod commands;
mod conf;
mod console;
mod decision_log;
mod detector;
mod directives;
mod ffi;
mod helper;
mod history;
mod housekeeping;
mod module;
mod phases;
mod request_state;
mod snapshot;
mod state;
mod status;
mod text;
mod variables;
mod worker;
mod zone;
