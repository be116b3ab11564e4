//! `api_abuse_detector process`: detection in NGINX's helper process.
//!
//! NGINX runs one process that looks after caches, and calls what belongs to its directories there
//! at intervals. The directory of the state is one of them. The process is started with the workers,
//! started again when it dies, and replaced by a reload: whatever happens to detection there, no
//! request notices. The threads in it are those that a worker runs otherwise.

use std::time::Duration;

use parking_lot::Mutex;

use crate::background::Background;
use crate::conf::MainConf;
use crate::ffi::error_log::Log;
use crate::ffi::process;

/// How long the end of the process waits for its threads when it is in a hurry.
const JOIN: Duration = Duration::from_millis(500);

/// A panic under this lock, which is caught further out, leaves it usable: the next call starts anew.
static BACKGROUND: Mutex<Option<Background>> = Mutex::new(None);

/// Called by the process at intervals, on its main thread: starts what is to run in it, and writes
/// what that has to say.
pub(crate) fn work(conf: &MainConf, log: Log<'_>) {
    let mut running = BACKGROUND.lock();
    match (&*running, conf.ready()) {
        (Some(background), _) => background.write_lines(),
        (None, Some(ready)) => {
            *running = Some(Background::start(conf, &ready, log));
            process::at_exit();
        }
        (None, None) => {}
    }
}

/// The process ends.
pub(crate) fn stop() {
    let background = BACKGROUND.lock().take();
    background.map(|background| background.stop(JOIN));
}
