//! Sets of addresses: what `allow`, `deny` and `set_real_ip_from` name.
//!
//! An address is 128 bits; IPv4 is mapped (`::ffff:a.b.c.d`), so an IPv4-mapped address *is* the IPv4
//! address. A set is a sorted list of disjoint ranges: a lookup is one binary search, however many
//! networks were named.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};

/// First address and length of `::ffff:0:0/96`, where IPv4 lives.
const MAPPED: (u128, u8) = (0xffff_0000_0000, 96);

/// One network, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: u128,
    /// Bits of the prefix, 0 to 128; of IPv4, 96 more than written.
    prefix: u8,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidrError {
    /// What stands before the slash is no address.
    Address,
    /// What stands behind it is no number from 0 to 32 (IPv4) or 128 (IPv6).
    Prefix,
    /// Bits behind the prefix are set; the network that was probably meant.
    HostBits(Cidr),
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => write!(f, "expected an IPv4 or IPv6 address"),
            Self::Prefix => write!(f, "expected a prefix of 0 to 32 (IPv4) or 128 (IPv6) bits"),
            Self::HostBits(meant) => {
                write!(f, "bits behind the prefix are set, the network is {meant}")
            }
        }
    }
}

impl core::error::Error for CidrError {}

impl Cidr {
    /// The network with this first address (mapped, when IPv4) and this many bits of prefix (96 more
    /// than written, when IPv4).
    fn new(address: u128, prefix: u8) -> Result<Self, CidrError> {
        let meant = Self { network: address & mask(prefix), prefix };
        if meant.network == address { Ok(meant) } else { Err(CidrError::HostBits(meant)) }
    }

    /// First and last address.
    fn range(self) -> (u128, u128) {
        (self.network, self.network | !mask(self.prefix))
    }

    /// Whether the address (IPv4 mapped) is in the network. An IPv6 network holds no IPv4 address,
    /// even where it is as wide as `::/0`.
    pub fn contains(self, address: [u8; 16]) -> bool {
        let address = u128::from_be_bytes(address);
        address & mask(self.prefix) == self.network
            && (self.is_v4() || address & mask(MAPPED.1) != MAPPED.0)
    }

    /// The first address; IPv4 is mapped.
    pub fn first(self) -> Ipv6Addr {
        Ipv6Addr::from(self.network)
    }

    /// Whether it is a single address.
    pub fn is_single(self) -> bool {
        self.prefix == 128
    }

    /// Whether it is one source of the engine's: an IPv4 address, or an IPv6 address or /64.
    pub fn is_source(self) -> bool {
        self.is_single() || self.prefix == 64 && !self.is_v4()
    }

    fn is_v4(self) -> bool {
        self.prefix >= MAPPED.1 && self.network & mask(MAPPED.1) == MAPPED.0
    }
}

impl core::str::FromStr for Cidr {
    type Err = CidrError;

    /// `192.0.2.0/24`, `2001:db8::/32`, `::ffff:192.0.2.0/120`, or an address alone.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
        let (bits, offset) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_ipv6_mapped()), MAPPED.1),
            IpAddr::V6(v6) => (u128::from(v6), 0),
        };
        let prefix = match prefix {
            None => 128 - offset,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| CidrError::Prefix)?
            }
            Some(_) => return Err(CidrError::Prefix),
        };
        if prefix > 128 - offset {
            return Err(CidrError::Prefix);
        }
        Self::new(bits, prefix + offset)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from(self.network);
        match (self.is_v4(), address.to_ipv4_mapped()) {
            (true, Some(v4)) => write!(f, "{v4}/{}", self.prefix - MAPPED.1),
            _ => write!(f, "{address}/{}", self.prefix),
        }
    }
}

/// The leading `prefix` bits.
fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

/// A set of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CidrSet {
    /// First and last addresses, sorted, disjoint, never adjacent.
    ranges: Vec<(u128, u128)>,
}

impl CidrSet {
    /// Adds a network.
    pub fn insert(&mut self, cidr: Cidr) {
        let (first, last) = cidr.range();
        let ipv4 = (MAPPED.0, MAPPED.0 | !mask(MAPPED.1));
        if !cidr.is_v4() && first <= ipv4.0 && ipv4.1 <= last {
            // An IPv6 network around the mapped addresses: not these.
            self.ranges.push((first, ipv4.0 - 1));
            self.ranges.push((ipv4.1 + 1, last));
        } else {
            self.ranges.push((first, last));
        }
        self.ranges.sort_unstable();
        self.ranges.dedup_by(|next, kept| {
            let touches = next.0 <= kept.1.saturating_add(1);
            if touches {
                kept.1 = kept.1.max(next.1);
            }
            touches
        });
    }

    /// Whether the address (IPv4 mapped) is in the set.
    pub fn contains(&self, address: [u8; 16]) -> bool {
        if self.ranges.is_empty() {
            return false;
        }
        let address = u128::from_be_bytes(address);
        let after = self.ranges.partition_point(|(first, _)| *first <= address);
        after.checked_sub(1).is_some_and(|at| address <= self.ranges[at].1)
    }

    /// Whether all addresses of the network are in the set.
    pub fn covers(&self, cidr: Cidr) -> bool {
        let (first, last) = cidr.range();
        let after = self.ranges.partition_point(|range| range.0 <= first);
        after.checked_sub(1).is_some_and(|at| last <= self.ranges[at].1)
    }

    /// Whether a source of this address is named: an IPv4 address, or any address of an IPv6 /64.
    pub fn touches(&self, address: Ipv6Addr) -> bool {
        let single = address.to_ipv4_mapped().is_some() || address.is_loopback();
        let first = u128::from(address);
        let last = if single { first } else { first | !mask(64) };
        self.ranges.iter().any(|range| range.0 <= last && first <= range.1)
    }

    /// The fewest networks that make up the set, in the order of their addresses.
    pub fn networks(&self) -> impl Iterator<Item = Cidr> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| {
            let mut next = Some(first);
            core::iter::from_fn(move || {
                let network = next?;
                let mut bits = network.trailing_zeros().min(128);
                while network | !mask(128 - bits as u8) > last {
                    bits -= 1;
                }
                let end = network | !mask(128 - bits as u8);
                next = end.checked_add(1).filter(|next| *next <= last);
                Some(Cidr { network, prefix: 128 - bits as u8 })
            })
        })
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl FromIterator<Cidr> for CidrSet {
    fn from_iter<I: IntoIterator<Item = Cidr>>(networks: I) -> Self {
        let mut set = Self::default();
        networks.into_iter().for_each(|network| set.insert(network));
        set
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn address(text: &str) -> [u8; 16] {
        match text.parse().unwrap() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        }
    }

    #[test]
    fn written_and_read() {
        let cases = [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ];
        for (text, written) in cases {
            assert_eq!(text.parse::<Cidr>().map(|c| c.to_string()), Ok(written.to_owned()));
        }
    }

    #[test]
    fn wrong_ones_say_why() {
        for text in ["", "all", "192.0.2", "192.0.2.0.0/8", "/8", "2001:db8", "unix:"] {
            assert_eq!(text.parse::<Cidr>(), Err(CidrError::Address), "{text}");
        }
        for text in ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "::/-1", "10.0.0.0/999"] {
            assert_eq!(text.parse::<Cidr>(), Err(CidrError::Prefix), "{text}");
        }
        let error = "192.0.2.7/24".parse::<Cidr>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "bits behind the prefix are set, the network is 192.0.2.0/24"
        );
        assert!(matches!("2001:db8::1/64".parse::<Cidr>(), Err(CidrError::HostBits(_))));
    }

    #[test]
    fn sets_agree_with_their_networks() {
        let texts =
            ["10.0.0.0/9", "10.128.0.0/9", "192.0.2.7", "2001:db8::/33", "::1", "fe80::/10"];
        let networks: Vec<Cidr> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let set: CidrSet = networks.iter().copied().collect();
        let probes = [
            "9.255.255.255",
            "10.0.0.0",
            "10.127.255.255",
            "10.128.0.0",
            "10.255.255.255",
            "11.0.0.0",
            "192.0.2.6",
            "192.0.2.7",
            "2001:db8:7fff::1",
            "2001:db8:8000::1",
            "::1",
            "::",
            "fe80::1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ];
        for text in probes {
            let probe = address(text);
            let expected = networks.iter().any(|network| network.contains(probe));
            assert_eq!(set.contains(probe), expected, "{text}");
        }
        assert!(!CidrSet::default().contains(address("10.0.0.1")));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_and_no_other() {
        let all6: CidrSet = ["::/0".parse().unwrap()].into_iter().collect();
        assert!(all6.contains(address("2001:db8::1")) && all6.contains(address("::1")));
        assert!(!all6.contains(address("192.0.2.1")));
        assert!(!"::/0".parse::<Cidr>().unwrap().contains(address("192.0.2.1")));
        let all4: CidrSet = ["0.0.0.0/0".parse().unwrap()].into_iter().collect();
        assert!(all4.contains(address("::ffff:192.0.2.1")) && !all4.contains(address("::1")));
    }
}
