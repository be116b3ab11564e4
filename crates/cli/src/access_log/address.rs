//! Client addresses of a log line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use api_abuse_engine::hash::Seed;

/// Longest name in the address field that is taken for a host.
const NAME_MAX: usize = 255;

/// Who a line says it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// An address as IPv6, IPv4 mapped; zero for a unix socket.
    Address([u8; 16]),
    /// A host name (the log was written with `HostnameLookups`), as [`name_address`].
    Name([u8; 16]),
}

/// Understands the address field; `None` when it is neither an address nor a host name.
pub(crate) fn parse(text: &[u8], seed: Seed) -> Option<Client> {
    if let Some(address) = ipv4(text) {
        return Some(Client::Address(address));
    }
    if text.starts_with(b"unix:") {
        return Some(Client::Address([0; 16]));
    }
    let name = std::str::from_utf8(text).ok()?;
    let bare = name.strip_prefix('[').and_then(|name| name.split(']').next()).unwrap_or(name);
    let bare = bare.split('%').next().unwrap_or(bare);
    match bare.parse() {
        Ok(IpAddr::V6(address)) => return Some(Client::Address(address.octets())),
        Ok(IpAddr::V4(address)) => return Some(Client::Address(address.to_ipv6_mapped().octets())),
        Err(_) => {}
    }
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let plausible = text.len() <= NAME_MAX
        && text.iter().any(u8::is_ascii_alphabetic)
        && text.iter().copied().all(is_host);
    plausible.then(|| Client::Name(name_address(text, seed)))
}

/// The address that stands for a host name: in `fd00::/8` (unique local addresses, which no client on
/// the Internet has), the next seven bytes are the name's hash. Each name is a /64 of its own.
fn name_address(name: &[u8], seed: Seed) -> [u8; 16] {
    let hash = seed.table(&name.to_ascii_lowercase()).to_be_bytes();
    let mut address = [0; 16];
    address[0] = 0xfd;
    address[1..8].copy_from_slice(&hash[..7]);
    address[15] = 1;
    address
}

/// The common case, without a detour over text.
fn ipv4(text: &[u8]) -> Option<[u8; 16]> {
    let mut octets = [0u8; 4];
    let mut parts = text.split(|&byte| byte == b'.');
    for octet in &mut octets {
        let part = parts.next()?;
        let value = super::number::whole(part).filter(|_| part.len() <= 3)?;
        *octet = u8::try_from(value).ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets).to_ipv6_mapped().octets())
}

/// A network of the engine for people: an IPv4 address, or an IPv6 /64.
pub(crate) fn display(network: Ipv6Addr) -> String {
    match network.to_ipv4_mapped() {
        Some(address) => address.to_string(),
        None if network.is_loopback() => network.to_string(),
        None => format!("{network}/64"),
    }
}
