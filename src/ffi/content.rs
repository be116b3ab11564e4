//! Content handlers: how NGINX asks the module for the content of its own locations, and how an
//! answer waits for something without holding up the worker.

use core::ffi::c_void;
use core::ptr;

use ngx::core::Status;
use ngx::ffi::{
    NGX_ALIGNMENT, NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_HTTP_NOT_ALLOWED, ngx_add_timer, ngx_buf_t,
    ngx_del_timer, ngx_event_t, ngx_http_discard_request_body, ngx_http_finalize_request,
    ngx_http_read_client_request_body, ngx_http_request_t, ngx_http_run_posted_requests, ngx_int_t,
    ngx_msec_t, ngx_pool_cleanup_add, ngx_read_file,
};

use crate::console;
use crate::ffi::body::in_memory;
use crate::ffi::guard::guarded;
use crate::ffi::request::Request;
use crate::ffi::response::Reply;
use crate::status;

/// What is to be done about a request.
pub(crate) enum Step {
    /// It is answered.
    Reply(Reply),
    /// Its body is wanted first.
    ReadBody,
    /// Something works on it.
    Work(Box<dyn Job>),
}

/// Work on an answer in turns, between which the worker does other things.
pub(crate) trait Job {
    /// Goes on.
    fn turn(&mut self, request: &Request<'_>) -> Turn;
}

/// What became of a turn.
pub(crate) enum Turn {
    /// It is to go on after so many milliseconds.
    Again(u64),
    /// It is done.
    Reply(Reply),
}

/// A body is longer than it may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooLong;

/// A job between two turns. Lies in its request's pool and is freed with it, wherever it has got to.
#[repr(C)]
struct Parked {
    /// First, so that a pointer to the event is a pointer to all of it.
    event: ngx_event_t,
    request: *mut ngx_http_request_t,
    job: Option<Box<dyn Job>>,
}

const _: () = assert!(align_of::<Parked>() <= NGX_ALIGNMENT);

const FAILED: ngx_int_t = NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;

/// Content handler of `api_abuse_status`.
pub(super) unsafe extern "C" fn serve_status(r: *mut ngx_http_request_t) -> ngx_int_t {
    guarded(FAILED, || {
        // SAFETY: NGINX hands in the request that is to be answered.
        let request = unsafe { Request::from_raw(r) };
        if !request.is_get_or_head() {
            return NGX_HTTP_NOT_ALLOWED as ngx_int_t;
        }
        // SAFETY: as above; a content handler reads or discards the body.
        let discarded = unsafe { ngx_http_discard_request_body(r) };
        if discarded != 0 {
            return discarded;
        }
        status::page(&request).map_or(FAILED, |page| request.reply(Reply::Page(page)))
    })
}

/// Content handler of `api_abuse_console`.
pub(super) unsafe extern "C" fn serve_console(r: *mut ngx_http_request_t) -> ngx_int_t {
    guarded(FAILED, || {
        // SAFETY: NGINX hands in the request that is to be answered.
        let request = unsafe { Request::from_raw(r) };
        let step = console::begin(&request);
        if matches!(step, Step::ReadBody) {
            // SAFETY: as above. It takes a reference to the request, which body_is_here gives back.
            let status = unsafe { ngx_http_read_client_request_body(r, Some(body_is_here)) };
            let refused = status >= 300;
            return if refused { status } else { Status::NGX_DONE.into() };
        }
        // SAFETY: as above; a content handler reads or discards the body.
        let discarded = unsafe { ngx_http_discard_request_body(r) };
        if discarded != 0 {
            return discarded;
        }
        take(&request, step).unwrap_or_else(|| {
            // SAFETY: as above. The job refers to the request until it answers.
            unsafe {
                let main = (*r).main;
                (*main).set_count((*main).count() + 1);
            }
            Status::NGX_DONE.into()
        })
    })
}

/// Called when the body was read.
unsafe extern "C" fn body_is_here(r: *mut ngx_http_request_t) {
    let status = guarded(Some(FAILED), || {
        // SAFETY: NGINX hands in the request whose body it read.
        let request = unsafe { Request::from_raw(r) };
        take(&request, console::with_body(&request))
    });
    if let Some(status) = status {
        // SAFETY: as above; the reference of the reading ends. Nothing touches the request after it.
        unsafe { ngx_http_finalize_request(r, status) };
    }
}

/// Answers, or begins to work; `None` when an answer comes later.
fn take(request: &Request<'_>, step: Step) -> Option<ngx_int_t> {
    match step {
        Step::Reply(reply) => Some(request.reply(reply)),
        Step::ReadBody => Some(FAILED),
        Step::Work(mut job) => match job.turn(request) {
            Turn::Reply(reply) => Some(request.reply(reply)),
            Turn::Again(after_ms) => (!park(request, job, after_ms)).then_some(FAILED),
        },
    }
}

/// Has a job called again; false when there is no memory for that.
fn park(request: &Request<'_>, job: Box<dyn Job>, after_ms: u64) -> bool {
    // SAFETY: the request's own pool, which aligns what it hands out as asserted above. All-zero bits
    // are what NGINX itself starts events from. The timer is taken out before the pool is freed.
    unsafe {
        let cleanup = ngx_pool_cleanup_add(request.pool().as_ptr(), size_of::<Parked>());
        let Some(cleanup) = cleanup.as_mut() else { return false };
        let parked = cleanup.data.cast::<Parked>();
        let event = core::mem::zeroed();
        parked.write(Parked { event, request: request.as_ptr(), job: Some(job) });
        let connection = request.raw().connection;
        (*parked).event.data = connection.cast();
        (*parked).event.log = (*connection).log;
        (*parked).event.handler = Some(resume);
        cleanup.handler = Some(abandon);
        ngx_add_timer(parked.cast(), after_ms as ngx_msec_t);
    }
    true
}

/// The next turn of a job.
unsafe extern "C" fn resume(event: *mut ngx_event_t) {
    let parked = event.cast::<Parked>();
    // SAFETY: only events made by `park` have this handler; the request holds a reference for it.
    let (r, connection) = unsafe { ((*parked).request, (*(*parked).request).connection) };
    let status = guarded(Some(FAILED), || {
        // SAFETY: see above; nobody else uses the job.
        let (request, job) = unsafe { (Request::from_raw(r), &mut (*parked).job) };
        match job.as_mut()?.turn(&request) {
            Turn::Reply(reply) => Some(request.reply(reply)),
            Turn::Again(after_ms) => {
                // SAFETY: the event is ours, and its timer has expired.
                unsafe { ngx_add_timer(event, after_ms as ngx_msec_t) };
                None
            }
        }
    });
    if let Some(status) = status {
        // SAFETY: the job is over. As NGINX's own handlers of events do it; the connection outlives
        // the request and knows when it is gone itself.
        unsafe {
            ngx_http_finalize_request(r, status);
            ngx_http_run_posted_requests(connection);
        }
    }
}

/// Called when the request's pool is freed.
unsafe extern "C" fn abandon(data: *mut c_void) {
    let parked = data.cast::<Parked>();
    guarded((), || {
        // SAFETY: the pool hands back what `park` wrote, just before it frees it.
        unsafe {
            if (*parked).event.timer_set() != 0 {
                ngx_del_timer(parked.cast());
            }
            drop((*parked).job.take());
        }
    });
}

impl Request<'_> {
    /// The body that was read, when it has at most `limit` bytes.
    pub(crate) fn body(&self, limit: usize) -> Result<Vec<u8>, TooLong> {
        let mut bytes = Vec::new();
        // SAFETY: NULL, or the body that NGINX read, whose chain ends with NULL.
        unsafe {
            let body = self.raw().request_body;
            let mut link = body.as_ref().map_or(ptr::null_mut(), |body| body.bufs);
            while let Some(piece) = link.as_ref() {
                append(&mut bytes, &mut *piece.buf, limit)?;
                link = piece.next;
            }
        }
        Ok(bytes)
    }
}

/// Appends what a buffer holds, in memory or in a file.
fn append(bytes: &mut Vec<u8>, buffer: &mut ngx_buf_t, limit: usize) -> Result<(), TooLong> {
    let fits = |more: usize| if bytes.len() + more > limit { Err(TooLong) } else { Ok(()) };
    if buffer.in_file() == 0 {
        let piece = in_memory(buffer);
        fits(piece.len())?;
        bytes.extend_from_slice(piece);
        return Ok(());
    }
    let length = usize::try_from(buffer.file_last - buffer.file_pos).unwrap_or(0);
    fits(length)?;
    let mut piece = vec![0; length];
    // SAFETY: a buffer in a file refers to an open one; `piece` has room for `length` bytes.
    let read = unsafe { ngx_read_file(buffer.file, piece.as_mut_ptr(), length, buffer.file_pos) };
    // What cannot be read is no JSON: the caller refuses what is left.
    piece.truncate(usize::try_from(read).unwrap_or(0));
    bytes.extend_from_slice(&piece);
    Ok(())
}
