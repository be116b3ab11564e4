//! What the module remembers of a request.

use core::ffi::c_void;
use core::ptr::NonNull;

use ngx::ffi::{NGX_ALIGNMENT, ngx_pool_cleanup_t, ngx_str_t};

use crate::conf::LocationConf;
use crate::ffi::request::{Request, bytes};
use crate::module;
use crate::request_state::RequestState;

/// A request's state, and the cleanup of its pool by which it is found again.
#[derive(Clone, Copy)]
struct Remembered {
    cleanup: ngx_pool_cleanup_t,
    state: RequestState,
}

const _: () = assert!(align_of::<Remembered>() <= NGX_ALIGNMENT);
const _: () = assert!(!core::mem::needs_drop::<Remembered>());

impl Request<'_> {
    /// Whether the module remembers the request, and no redirect cleared its context since.
    #[inline]
    pub(crate) fn is_known(&self) -> bool {
        // SAFETY: as in state().
        unsafe { !(*self.raw().ctx.add(module::context_index())).is_null() }
    }

    /// What the module remembers of the request.
    pub(crate) fn state(&self) -> Option<&RequestState> {
        // SAFETY: the request's contexts have a slot for every http module; ours holds NULL or what
        // remember() put there. Nobody changes it after that.
        let context = unsafe { *self.raw().ctx.add(module::context_index()) };
        if !context.is_null() {
            // SAFETY: see above.
            return unsafe { context.cast::<RequestState>().as_ref() };
        }
        // An internal redirect cleared the contexts, but not the pool's cleanups.
        let redirected = self.is_internal() || self.raw().filter_finalize() != 0;
        redirected.then(|| self.state_from_cleanup()).flatten()
    }

    fn state_from_cleanup(&self) -> Option<&RequestState> {
        let ours = forget_state as unsafe extern "C" fn(*mut c_void) as usize;
        // SAFETY: the pool's list of cleanups ends with NULL. Those with our handler were made by
        // remember().
        unsafe {
            let mut cleanup = (*self.raw().pool).cleanup;
            while let Some(entry) = cleanup.as_ref() {
                if entry.handler.map(|handler| handler as usize) == Some(ours) {
                    return entry.data.cast::<RequestState>().as_ref();
                }
                cleanup = entry.next;
            }
        }
        None
    }

    /// Remembers `state` until the request is freed, through internal redirects. Once for each
    /// request; does nothing when there is no memory.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "so that the state is built where it stays")]
    pub(crate) fn remember(&self, state: RequestState) {
        let Some(place) = NonNull::new(self.pool().alloc_type::<Remembered>()) else { return };
        let (place, pool) = (place.as_ptr(), self.raw().pool);
        // SAFETY: new memory of the right size and alignment, in the pool whose list it joins, as
        // ngx_pool_cleanup_add would do it in two pieces. The contexts have a slot for every module.
        unsafe {
            let data = (&raw mut (*place).state).cast::<c_void>();
            let next = (*pool).cleanup;
            let cleanup = ngx_pool_cleanup_t { handler: Some(forget_state), data, next };
            place.write(Remembered { cleanup, state });
            (*pool).cleanup = &raw mut (*place).cleanup;
            *self.raw().ctx.add(module::context_index()) = data;
        }
    }
}

/// A location that a request was in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Location(NonNull<LocationConf>);

impl Location {
    /// The location where this holds, to be remembered with a request that is there.
    pub(crate) fn of(conf: &LocationConf) -> Self {
        Self(NonNull::from(conf))
    }

    /// What holds there; asked for by the request that was there.
    pub(crate) fn conf<'r>(self, _request: &'r Request<'_>) -> &'r LocationConf {
        // SAFETY: a configuration outlives the requests that are served with it.
        unsafe { self.0.as_ref() }
    }
}

/// A text in the request's pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptText(NonNull<ngx_str_t>);

impl Request<'_> {
    /// Copies `text`, to be remembered with the request's state; `None` when there is no memory.
    pub(crate) fn keep(&self, text: &[u8]) -> Option<KeptText> {
        let text = self.copy_to_pool(text)?;
        let place = NonNull::new(self.pool().alloc_type::<ngx_str_t>())?;
        // SAFETY: new memory of the right size and alignment.
        unsafe { place.write(text) };
        Some(KeptText(place))
    }
}

impl KeptText {
    /// The text; asked for by the request that kept it.
    pub(crate) fn of<'r>(self, _request: &'r Request<'_>) -> &'r [u8] {
        // SAFETY: made by keep(), in the pool of the request, which lives.
        unsafe { bytes(self.0.as_ref()) }
    }
}

/// Has nothing to free: it is how the state is found again. It does something of its own, so that
/// the linker cannot merge it with another function and give both one address.
unsafe extern "C" fn forget_state(data: *mut c_void) {
    // SAFETY: the pool hands back what remember() wrote, just before it frees it.
    unsafe { (*data.cast::<RequestState>()).application = 0 };
}
