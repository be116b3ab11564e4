//! What the module remembers of a request.
//!
//! NGINX makes an array for the values of variables with each request, all zero, and keeps it through
//! internal redirects, which clear the contexts of modules. Some places of that array are the module's
//! own: of variables whose names nobody can write, and which are never evaluated. So remembering takes no
//! memory and no cleanup of its own.
//!
//! The first word of each value is NGINX's and stays zero: `ngx_http_script_run`, which works out a `root` or
//! a `proxy_pass` with variables, goes through all values, and where the bit `no_cacheable` is set it clears two
//! others.

use core::marker::PhantomData;
use core::ptr::NonNull;

use ngx::core::Status;
use ngx::ffi::{
    NGX_ALIGNMENT, NGX_HTTP_VAR_NOHASH, ngx_http_add_variable, ngx_http_get_variable_index,
    ngx_http_request_t, ngx_int_t, ngx_str_t, ngx_uint_t, ngx_variable_value_t,
};

use crate::client::Client;
use crate::conf::LocationConf;
use crate::ffi::conf::Conf;
use crate::ffi::request::{Request, bytes};
use crate::request_state::RequestState;

/// A request that nothing was to be done about, or where the state of one lies that was looked at closer.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Remembered {
    /// The location that it was judged by; NULL, as all of it, before that.
    location: Kept<Option<Location>>,
    closer: Kept<Option<NonNull<RequestState>>>,
    address: [Kept<[u8; 8]>; 2],
    fingerprint: Kept<u64>,
    facts: Kept<u64>,
}

/// One of the values that NGINX makes for each request.
type Value = ngx_variable_value_t;

/// What the module keeps in one of them.
#[derive(Clone, Copy)]
#[repr(C)]
struct Kept<T> {
    /// Length and flags, which are NGINX's: zero.
    bits: u64,
    data: T,
}

/// How many of them are the module's own.
const VALUES: usize = size_of::<Remembered>() / size_of::<Value>();
const _: () = assert!(size_of::<Remembered>() == VALUES * size_of::<Value>());
const _: () = assert!(size_of::<Kept<u64>>() == size_of::<Value>());
const _: () = assert!(core::mem::offset_of!(Kept<u64>, data) == core::mem::offset_of!(Value, data));
const _: () = assert!(align_of::<Remembered>() <= align_of::<Value>());
const _: () = assert!(align_of::<RequestState>() <= NGX_ALIGNMENT);
const _: () = assert!(!core::mem::needs_drop::<RequestState>());

/// Their names. A space ends a variable's name wherever it can be written.
const NAMES: [&str; 6] = [
    "api_abuse state 1",
    "api_abuse state 2",
    "api_abuse state 3",
    "api_abuse state 4",
    "api_abuse state 5",
    "api_abuse state 6",
];
const _: () = assert!(NAMES.len() == VALUES);

/// What the module knows of a request.
pub(crate) enum Known<'r> {
    Plain(Plain<'r>),
    Closer(&'r RequestState),
}

/// A request that nothing was to be done about.
#[derive(Clone, Copy)]
pub(crate) struct Plain<'r> {
    /// What holds where it was judged.
    pub(crate) conf: &'r LocationConf,
    pub(crate) address: [u8; 16],
    pub(crate) client: Client,
}

/// Has NGINX make room in each request of the configuration that is about to be read; at which byte of the
/// array it is, or `None` when there is no memory.
pub(super) fn reserve(conf: &Conf<'_>) -> Option<usize> {
    let mut first = None;
    for (at, name) in NAMES.iter().enumerate() {
        let mut name = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
        // SAFETY: NGINX copies the name, without changing it because it is lower case, and hands out a
        // variable in the configuration's pool.
        let index = unsafe {
            let flags = NGX_HTTP_VAR_NOHASH as ngx_uint_t;
            ngx_http_add_variable(conf.as_ptr(), &raw mut name, flags).as_mut()?.get_handler =
                Some(never);
            ngx_http_get_variable_index(conf.as_ptr(), &raw mut name)
        };
        let index = usize::try_from(index).ok()?;
        // One behind the other.
        if *first.get_or_insert(index) + at != index {
            return None;
        }
    }
    first.map(|first| first * size_of::<Value>())
}

/// NGINX wants to know how to evaluate a variable. This one has no value.
unsafe extern "C" fn never(_: *mut ngx_http_request_t, _: *mut Value, _: usize) -> ngx_int_t {
    Status::NGX_ERROR.into()
}

impl Request<'_> {
    /// Where the module remembers the request, of which `conf` holds.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "on the path of every request")]
    fn place(&self, conf: &LocationConf) -> Place<'_> {
        // SAFETY: the array has a value for each variable of the request's configuration; ours begin
        // where `reserve` said when that was read.
        let place = unsafe { NonNull::new_unchecked(self.raw().variables.byte_add(conf.place)) };
        Place { place: place.cast(), life: PhantomData }
    }

    /// Where the module is to remember a request that is in this location, and that it does not know yet.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "on the path of every request")]
    pub(crate) fn unknown(&self, conf: &LocationConf) -> Option<Place<'_>> {
        let place = self.place(conf);
        place.get().location.data.is_none().then_some(place)
    }

    /// Whether the module remembers the request.
    #[inline]
    pub(crate) fn is_known(&self) -> bool {
        self.unknown(self.location_conf()).is_none()
    }

    /// What the module remembers of the request.
    #[inline]
    pub(crate) fn known(&self) -> Option<Known<'_>> {
        let place = self.place(self.location_conf()).get();
        let location = place.location.data?;
        Some(match place.closer.data {
            // SAFETY: `remember` put it into the request's pool.
            Some(state) => Known::Closer(unsafe { state.as_ref() }),
            None => Known::Plain(Plain {
                conf: location.conf(self),
                address: place.address(),
                client: place.client(),
            }),
        })
    }

    /// The same, as one state.
    pub(crate) fn state(&self) -> Option<RequestState> {
        Some(match self.known()? {
            Known::Plain(plain) => RequestState::of_plain(&plain),
            Known::Closer(state) => *state,
        })
    }

    /// Remembers `state` until the request is freed, through internal redirects. Once for each
    /// request; does nothing when there is no memory.
    pub(crate) fn remember(&self, state: RequestState) {
        let Some(kept) = NonNull::new(self.pool().alloc_type::<RequestState>()) else { return };
        let place = self.place(self.location_conf()).place.as_ptr();
        // SAFETY: new memory of the right size and alignment; for the other one see Place::get().
        unsafe {
            kept.write(state);
            (*place).location.data = Some(state.location);
            (*place).closer.data = Some(kept);
        }
    }
}

impl Remembered {
    #[inline]
    fn address(&self) -> [u8; 16] {
        zerocopy::transmute!(self.address.map(|half| half.data))
    }

    #[inline]
    fn client(&self) -> Client {
        Client { fingerprint: self.fingerprint.data, facts: self.facts.data }
    }
}

/// Where the module remembers a request.
#[derive(Clone, Copy)]
pub(crate) struct Place<'r> {
    place: NonNull<Remembered>,
    life: PhantomData<&'r Remembered>,
}

impl<'r> Place<'r> {
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "on the path of every request")]
    fn get(self) -> &'r Remembered {
        // SAFETY: made by place(): all zero, or what was written there, all of which is valid. It is
        // written once, while nobody looks at it.
        unsafe { self.place.as_ref() }
    }

    /// Remembers, through internal redirects, that nothing is to be done about the request in the
    /// location where `conf` holds.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "on the path of every request")]
    pub(crate) fn remember(
        self,
        conf: &LocationConf,
        address: [u8; 16],
        client: impl FnOnce() -> Client,
    ) {
        let place = self.place.as_ptr();
        // SAFETY: see get(). It is written before the client is asked for, so that little has to be kept
        // meanwhile.
        unsafe {
            (*place).location.data = Some(Location::of(conf));
            let [first, last]: [[u8; 8]; 2] = zerocopy::transmute!(address);
            (*place).address[0].data = first;
            (*place).address[1].data = last;
            let client = client();
            (*place).fingerprint.data = client.fingerprint;
            (*place).facts.data = client.facts;
        }
    }
}

/// A location that a request was in.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
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
