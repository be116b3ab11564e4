//! The processes of NGINX and the module's hooks in their lives.

use ngx::core::Status;
use ngx::ffi::{
    NGINX_VERSION, NGX_PROCESS_SINGLE, NGX_PROCESS_WORKER, ngx_cycle, ngx_cycle_t, ngx_exiting,
    ngx_http_conf_ctx_t, ngx_http_module, ngx_int_t, ngx_msec_t, ngx_pid, ngx_process, ngx_quit,
    ngx_terminate,
};

use crate::background::LOG_INTERVAL_MS;
use crate::conf::{DetectorPlace, MainConf};
use crate::ffi::error_log::Log;
use crate::ffi::files::LogFile;
use crate::ffi::guard::{guarded, install_panic_hook};
use crate::{helper, module, worker};

/// Whether this process answers requests. Cache manager and loader call the same hooks and do not.
fn answers_requests() -> bool {
    // SAFETY: written by the main thread before the hooks run, which run on the main thread.
    let process = unsafe { ngx_process };
    process == NGX_PROCESS_WORKER as usize || process == NGX_PROCESS_SINGLE as usize
}

/// Whether this process was told to go. May be asked from any thread.
pub(crate) fn leaving() -> bool {
    // SAFETY: words that signal handlers and the main thread set to 1 and nobody takes back;
    // volatile, because they change behind the compiler's back.
    unsafe {
        (&raw const ngx_exiting).read_volatile() != 0
            || (&raw const ngx_quit).read_volatile() != 0
            || (&raw const ngx_terminate).read_volatile() != 0
    }
}

/// Whether this process is to end at once, and is killed if it does not.
pub(crate) fn hurries() -> bool {
    // SAFETY: as in leaving().
    unsafe { (&raw const ngx_terminate).read_volatile() != 0 }
}

/// Version of the NGINX that this was built for, which is the one that it runs in.
pub(crate) fn nginx_version() -> &'static str {
    NGINX_VERSION.to_str().unwrap_or_default()
}

/// This process's id.
pub(crate) fn pid() -> u32 {
    // SAFETY: set once, when the process starts.
    unsafe { ngx_pid as u32 }
}

/// Runs in the process that read the configuration. NGINX calls it for `nginx -t` as well, and it
/// may not touch a live zone. Only without a master process there is something to do: the zone of
/// the last configuration is about to be unmapped, under the thread that works on it.
pub(crate) unsafe extern "C" fn init_module(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guarded(Status::NGX_ERROR.into(), || {
        install_panic_hook();
        // SAFETY: NGINX hands in the new cycle, complete but for being announced.
        worker::configuration_replaced(unsafe { configuration(cycle) });
        Status::NGX_OK.into()
    })
}

/// Runs in every new process, after the fork.
pub(crate) unsafe extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // A worker whose hook fails takes NGINX down with it; one without a detector only detects less.
    guarded(Status::NGX_OK.into(), || {
        install_panic_hook();
        // SAFETY: NGINX hands in the running cycle.
        let configuration = unsafe { configuration(cycle) };
        if let Some((conf, log)) = configuration.filter(|_| answers_requests()) {
            worker::start(conf, log);
        }
        Status::NGX_OK.into()
    })
}

/// Runs when a worker ends in good order.
pub(crate) unsafe extern "C" fn exit_process(_cycle: *mut ngx_cycle_t) {
    guarded((), worker::stop);
}

/// Called in the helper process, for the directory of the state, at intervals; returns the next one.
pub(super) unsafe extern "C" fn manage(_conf: *mut core::ffi::c_void) -> ngx_msec_t {
    guarded((), || {
        install_panic_hook();
        if let Some((conf, log)) = running() {
            helper::work(conf, log);
        }
    });
    LOG_INTERVAL_MS as ngx_msec_t
}

/// Has the end of this process, which calls no hook of a module, end our threads.
pub(crate) fn at_exit() {
    extern "C" fn stop() {
        guarded((), helper::stop);
    }
    // SAFETY: the handler is code of this library, which is never unloaded (`-z nodelete`). Without
    // memory for it the last state is not written, and an older one is read.
    unsafe { libc::atexit(stop) };
}

/// Whether detection runs in a process of its own, which there is only beside a master.
pub(crate) fn has_detector_process(conf: &MainConf) -> bool {
    // SAFETY: as in answers_requests().
    let single = unsafe { ngx_process } == NGX_PROCESS_SINGLE as usize;
    conf.detector == Some(DetectorPlace::Process) && !single
}

/// The module's part of the running configuration, and its log. Main thread only.
pub(crate) fn running() -> Option<(&'static MainConf, Log<'static>)> {
    // SAFETY: the running cycle, on the thread that replaces it. Who asks uses it at once.
    unsafe { configuration(ngx_cycle) }
}

/// The file of `api_abuse_log` of the running configuration. Main thread only.
pub(crate) fn decision_log() -> Option<LogFile> {
    running()?.0.log()
}

/// The module's part of a cycle's `http` block, and the cycle's log; `None` when there is no such
/// block.
///
/// # Safety
///
/// `cycle` must be a cycle whose configuration was read, and outlive the result.
unsafe fn configuration<'a>(cycle: *mut ngx_cycle_t) -> Option<(&'a MainConf, Log<'a>)> {
    // SAFETY: `conf_ctx` has a slot for every module of the cycle, the http module's holds its
    // context or NULL, and `main_conf` in there has a slot for every http module.
    unsafe {
        if (*cycle).conf_ctx.is_null() {
            return None;
        }
        let http = *(*cycle).conf_ctx.add((&raw const ngx_http_module).read().index);
        let context = http.cast::<ngx_http_conf_ctx_t>().as_ref()?;
        let slot = context.main_conf.add(module::context_index());
        Some(((*slot).cast::<MainConf>().as_ref()?, Log::from_raw((*cycle).log)?))
    }
}
