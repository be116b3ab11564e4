//! The proxies that `set_real_ip_from` trusts, whose addresses no detector may deny.
//!
//! The realip module keeps them in a structure of its own, which no header shows. Its first field is the
//! array of networks, in every NGINX that this module can be built for; what is found there is used
//! only when it looks like one. Nothing of that module is changed, and it need not be there.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::slice;

use api_abuse_engine::Cidr;
use ngx::ffi::{NGX_HTTP_MODULE, ngx_array_t, ngx_cidr_t, ngx_module_t};

use crate::ffi::conf::Conf;

const NAME: &[u8] = b"ngx_http_realip_module";

/// The front of `ngx_http_realip_loc_conf_t`.
#[repr(C)]
struct LocationConf {
    /// Of `ngx_cidr_t`; NULL where the directive does not stand.
    from: *const ngx_array_t,
}

/// Adds the proxies of the block that is current in `conf`: a location that is merged, or `http`.
pub(super) fn collect(conf: &mut Conf<'_>) {
    let Some(index) = context_index(conf) else { return };
    // SAFETY: the context has a slot for every http module; see the module's documentation for what
    // lies there.
    let networks = unsafe {
        let slot = *(*conf.context()).loc_conf.add(index);
        let location = slot.cast::<LocationConf>().cast_const().as_ref();
        location.and_then(|location| location.from.as_ref()).map_or(&[][..], |from| networks(from))
    };
    let main = conf.main();
    for cidr in networks.iter().filter_map(cidr) {
        if !main.proxies.covers(cidr) {
            main.proxies.insert(cidr);
        }
    }
}

/// Where the realip module keeps its part of a location; `None` when there is no such module.
fn context_index(conf: &Conf<'_>) -> Option<usize> {
    // SAFETY: the cycle's list of modules ends with NULL; names are strings that end with NUL.
    unsafe {
        let mut module: *const *mut ngx_module_t = (*(*conf.as_ptr()).cycle).modules;
        while let Some(known) = (*module).as_ref() {
            let is_http = known.type_ == NGX_HTTP_MODULE as usize;
            if is_http
                && !known.name.is_null()
                && core::ffi::CStr::from_ptr(known.name).to_bytes() == NAME
            {
                return Some(known.ctx_index);
            }
            module = module.add(1);
        }
    }
    None
}

/// # Safety
///
/// `array` must be an array of NGINX's.
unsafe fn networks(array: &ngx_array_t) -> &[ngx_cidr_t] {
    let is_one = array.size == size_of::<ngx_cidr_t>() && array.nelts <= array.nalloc;
    if !is_one || array.elts.is_null() {
        return &[];
    }
    // SAFETY: the array holds `nelts` elements of this size.
    unsafe { slice::from_raw_parts(array.elts.cast(), array.nelts) }
}

/// A network in the engine's terms. `None` for unix sockets, which have no address, and for networks
/// of all addresses: who trusts everybody's header names nobody's address.
fn cidr(network: &ngx_cidr_t) -> Option<Cidr> {
    let written = match i32::try_from(network.family).ok()? {
        libc::AF_INET => {
            // SAFETY: the field of this family. All its bit patterns are valid.
            let network = unsafe { network.u.in_ };
            let address = Ipv4Addr::from_bits(u32::from_be(network.addr));
            let bits = u32::from_be(network.mask).leading_ones();
            (bits > 0).then(|| format!("{address}/{bits}"))?
        }
        libc::AF_INET6 => {
            // SAFETY: as above; both are sixteen bytes, whatever the C library calls them.
            let (address, mask) = unsafe {
                let address = (&raw const network.u.in6.addr).cast::<[u8; 16]>().read();
                (address, (&raw const network.u.in6.mask).cast::<[u8; 16]>().read())
            };
            let (address, mask) = (Ipv6Addr::from(address), Ipv6Addr::from(mask));
            let bits = mask.to_bits().leading_ones();
            (bits > 0).then(|| format!("{address}/{bits}"))?
        }
        _ => return None,
    };
    written.parse().ok()
}
