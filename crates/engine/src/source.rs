//! Who a request came from: the keys under which evidence is gathered and denials are written.

use core::net::Ipv6Addr;

/// What a key is made of. The discriminants are stored in shared memory and in snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SourceKind {
    /// An address; IPv6 by /64.
    Address = 1,
    /// An address and a client fingerprint.
    Client = 2,
    /// A session, wherever it comes from.
    Session = 3,
}

impl SourceKind {
    /// The name used in the JSON API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Client => "client",
            Self::Session => "session",
        }
    }

    /// The kind with this discriminant.
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Address),
            2 => Some(Self::Client),
            3 => Some(Self::Session),
            _ => None,
        }
    }
}

/// A source. Equal keys are the same source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceKey {
    /// What the key is made of.
    pub kind: SourceKind,
    /// [`network_of`] the address; 0 for sessions.
    pub network: u64,
    /// The fingerprint of a client, the hash of a session, 0 for addresses.
    pub discriminator: u64,
}

impl SourceKey {
    /// The address of a client, IPv6 by /64.
    pub fn address(address: [u8; 16]) -> Self {
        Self { kind: SourceKind::Address, network: network_of(address), discriminator: 0 }
    }

    /// A client: address and fingerprint.
    pub fn client(address: [u8; 16], fingerprint: u64) -> Self {
        let network = network_of(address);
        Self { kind: SourceKind::Client, network, discriminator: fingerprint }
    }

    /// A session.
    pub fn session(session: u64) -> Self {
        Self { kind: SourceKind::Session, network: 0, discriminator: session }
    }
}

/// One word for an address: IPv4 is `0x0000_ffff_aabb_ccdd` (the low half of the mapped address),
/// IPv6 its first 64 bits. The two never meet: `::/64` holds no client, but the loopback, which is
/// given the word 1.
pub fn network_of(address: [u8; 16]) -> u64 {
    let address = u128::from_be_bytes(address);
    if address >> 32 == 0xffff || address == 1 { address as u64 } else { (address >> 64) as u64 }
}

/// The address that a [`network_of`] word stands for, and whether it is an IPv6 /64.
pub fn address_of(network: u64) -> Ipv6Addr {
    if network >> 32 == 0xffff || network == 1 {
        Ipv6Addr::from(u128::from(network))
    } else {
        Ipv6Addr::from(u128::from(network) << 64)
    }
}

/// Whether the address is a loopback address (127.0.0.0/8, `::1`).
pub fn is_loopback(address: [u8; 16]) -> bool {
    let address = Ipv6Addr::from(address);
    address.is_loopback() || address.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let v4 = std::net::Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped().octets();
        assert_eq!(address_of(network_of(v4)), Ipv6Addr::from(v4));
        let a: Ipv6Addr = "2001:db8:1:2::7".parse().unwrap_or(Ipv6Addr::UNSPECIFIED);
        let b: Ipv6Addr = "2001:db8:1:2:ffff::1".parse().unwrap_or(Ipv6Addr::UNSPECIFIED);
        assert_ne!(a, b);
        assert_eq!(network_of(a.octets()), network_of(b.octets()));
        assert!(is_loopback(Ipv6Addr::LOCALHOST.octets()));
        assert_eq!(address_of(network_of(Ipv6Addr::LOCALHOST.octets())), Ipv6Addr::LOCALHOST);
    }
}
