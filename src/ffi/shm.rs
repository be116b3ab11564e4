//! NGINX's shared memory zones, and what the module keeps in its own.
//!
//! The zone's slab pool is emptied at once: a small root that says where everything lies, and all
//! other pages for [`Zone`]. Nothing is allocated in it afterwards.

use core::ffi::c_void;
use core::ptr::NonNull;
use core::slice;
use core::sync::atomic::AtomicU32;

use api_abuse_shm::{AttachError, Geometry, Zone};
use ngx::core::Status;
use ngx::ffi::{
    ngx_cycle, ngx_int_t, ngx_pagesize, ngx_shared_memory_add, ngx_shm_zone_t, ngx_slab_alloc,
    ngx_slab_pool_t, ngx_str_t,
};

use crate::conf::MainConf;
use crate::ffi::conf::Conf;
use crate::ffi::directive::Refusal;
use crate::ffi::doorbell::Doorbell;
use crate::ffi::error_log::{Level, Log};
use crate::ffi::guard::guarded;
use crate::{module, zone};

/// "ABUSROOT".
const ROOT_MAGIC: u64 = u64::from_be_bytes(*b"ABUSROOT");

/// What `ngx_slab_pool_t.data` points to. The zone is mapped at the same address in all processes.
#[repr(C)]
struct Root {
    magic: u64,
    zone: NonNull<u8>,
    bytes: usize,
    doorbell: AtomicU32,
}

/// The zone as the processes of NGINX share it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared {
    pub(crate) zone: Zone,
    pub(crate) doorbell: Doorbell,
}

/// Declares the zone; NGINX maps it when the whole configuration was read.
pub(crate) fn add_zone(conf: &mut Conf<'_>, name: &[u8], bytes: usize) -> Result<(), Refusal> {
    // SAFETY: NGINX keeps the name's pointer, so the name lies in the pool of the configuration. It
    // reports what it refuses. What `data` points to lies in the same pool and is not moved.
    unsafe {
        let Some(mut name) = ngx_str_t::from_bytes((*conf.as_ptr()).pool, name) else {
            return Err(Refusal::Because("no memory".to_owned()));
        };
        let zone = ngx_shared_memory_add(conf.as_ptr(), &raw mut name, bytes, tag());
        let Some(zone) = zone.as_mut() else { return Err(Refusal::Said) };
        zone.init = Some(init_zone);
        zone.data = conf.main_ptr().cast();
    }
    Ok(())
}

/// What tells our zones from those of other modules.
fn tag() -> *mut c_void {
    (&raw mut module::ngx_http_api_abuse_module).cast()
}

/// Runs when the zone is mapped: at start, at every reload, even for a configuration that is going
/// to be rejected, and under `nginx -t`. Workers may be at work in the memory meanwhile.
unsafe extern "C" fn init_zone(zone: *mut ngx_shm_zone_t, _old: *mut c_void) -> ngx_int_t {
    guarded(Status::NGX_ERROR.into(), || {
        // SAFETY: NGINX hands in the zone that add_zone declared, mapped; its configuration was
        // read and is not changed any more.
        let (conf, memory, log) = unsafe {
            let conf = &*(*zone).data.cast::<MainConf>();
            let memory = SharedMemory { pool: (*zone).shm.addr.cast(), declared: &*zone };
            (conf, memory, Log::from_raw((*zone).shm.log))
        };
        match (zone::ready(conf, &memory, log), log) {
            (Ok(ready), _) => {
                conf.zone_is_ready(&ready);
                Status::NGX_OK.into()
            }
            (Err(message), log) => {
                if let Some(log) = log {
                    log.write(Level::Emerg, format_args!("{message}"));
                }
                Status::NGX_ERROR.into()
            }
        }
    })
}

/// The mapped memory of a zone that is declared.
pub(crate) struct SharedMemory<'a> {
    pool: *mut ngx_slab_pool_t,
    declared: &'a ngx_shm_zone_t,
}

impl SharedMemory<'_> {
    /// What an earlier configuration left in this memory; `None` when it is new.
    pub(crate) fn existing(&self) -> Option<Result<Shared, AttachError>> {
        // SAFETY: the pool of a mapped zone with our tag.
        unsafe { open(self.pool) }
    }

    /// The zone of the same name in the running configuration, when that is another memory: its
    /// size differs.
    pub(crate) fn predecessor(&self) -> Option<Shared> {
        // SAFETY: while a configuration is read, `ngx_cycle` is the one before, or an empty one;
        // its zones stay mapped until the new one is in place.
        let zones = unsafe { &ngx_cycle.as_ref()?.shared_memory };
        let mut part: *const _ = &raw const zones.part;
        // SAFETY: a list of zones of NGINX's; those with our tag have our root.
        unsafe {
            while let Some(here) = part.as_ref() {
                let elements = here.elts.cast::<ngx_shm_zone_t>();
                let elements: &[ngx_shm_zone_t] =
                    if here.nelts == 0 { &[] } else { slice::from_raw_parts(elements, here.nelts) };
                let found = elements.iter().find(|old| {
                    old.tag == tag()
                        && old.shm.name.as_bytes() == self.declared.shm.name.as_bytes()
                        && old.shm.addr != self.pool.cast()
                        && !old.shm.addr.is_null()
                });
                if let Some(old) = found {
                    return open(old.shm.addr.cast())?.ok();
                }
                part = here.next;
            }
        }
        None
    }

    /// Bytes that a new zone can have.
    pub(crate) fn room(&self) -> usize {
        // SAFETY: nobody else allocates in this pool. One page is for the root.
        unsafe { (*self.pool).pfree.saturating_sub(1) * ngx_pagesize }
    }

    /// Makes the zone, in all the room there is.
    pub(crate) fn create(&self, geometry: &Geometry, seed: [u64; 2]) -> Result<Shared, String> {
        let bytes = self.room();
        // SAFETY: the allocations are valid or NULL, aligned to their size (the root) and to pages.
        // Shared memory is never unmapped while one of our threads or requests may use it: see
        // worker::configuration_replaced. Nobody knows this memory before `data` points to it.
        unsafe {
            let root = ngx_slab_alloc(self.pool, size_of::<Root>().next_power_of_two());
            let pages = ngx_slab_alloc(self.pool, bytes);
            let (Some(root), Some(base)) =
                (NonNull::new(root.cast::<Root>()), NonNull::new(pages.cast::<u8>()))
            else {
                return Err("NGINX did not hand out the memory of the new zone".to_owned());
            };
            zero(base, bytes);
            let zone = Zone::create(base, bytes, geometry, seed).map_err(|e| e.to_string())?;
            let doorbell = Doorbell::unattended();
            root.write(Root { magic: ROOT_MAGIC, zone: base, bytes, doorbell });
            (*self.pool).data = root.as_ptr().cast();
            Ok(Shared { zone, doorbell: Doorbell::new(&root.as_ref().doorbell) })
        }
    }
}

/// What lies in the pool; `None` for an empty one.
///
/// # Safety
///
/// `pool` must be the slab pool of a mapped zone with our tag.
unsafe fn open(pool: *mut ngx_slab_pool_t) -> Option<Result<Shared, AttachError>> {
    // SAFETY: only create() sets `data`, when all that it points to is in place.
    unsafe {
        let root = (*pool).data.cast::<Root>().as_ref()?;
        if root.magic != ROOT_MAGIC {
            return Some(Err(AttachError::NotAZone));
        }
        let shared = Zone::open(root.zone, root.bytes)
            .map(|zone| Shared { zone, doorbell: Doorbell::new(&root.doorbell) });
        Some(shared)
    }
}

/// Clears new memory, unless it is clean already: anonymous mappings are, and writing to them would
/// make every page resident. NGINX fills a new pool with junk when it debugs its allocations.
///
/// # Safety
///
/// `base` must point to `bytes` bytes that nobody else uses.
unsafe fn zero(base: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if base.read() != 0 || base.add(bytes - 1).read() != 0 {
            base.write_bytes(0, bytes);
        }
    }
}

/// A secret from the kernel; `None` when it has none to give.
pub(crate) fn random_seed() -> Option<[u64; 2]> {
    let mut seed = [0_u64; 2];
    // SAFETY: fills the 16 bytes that it is given. A request this small is never cut short.
    let got = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), size_of_val(&seed), 0) };
    (got == size_of_val(&seed) as isize).then_some(seed)
}
