//! Who makes requests: addresses, browsers, and the classes they belong to.

use std::net::{Ipv4Addr, Ipv6Addr};

use api_abuse_engine::hash::{Seed, combine};
use api_abuse_engine::record::flags;
use api_abuse_engine::source::network_of;

use super::random::Random;

/// What kind of population a source belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub(super) enum Class {
    People,
    Phones,
    Offices,
    Carriers,
    Apps,
    Monitors,
    Crawlers,
    Partners,
    Support,
    FlashCrowd,
    RetryStorm,
    ExpiredToken,
    WebDav,
    GraphQl,
    SinglePage,
    BasicAuth,
    CacheWarmer,
    FeedReaders,
    Students,
    Chat,
    Attacker,
}

impl Class {
    /// All benign classes.
    pub(super) const BENIGN: [Self; 20] = [
        Self::People,
        Self::Phones,
        Self::Offices,
        Self::Carriers,
        Self::Apps,
        Self::Monitors,
        Self::Crawlers,
        Self::Partners,
        Self::Support,
        Self::FlashCrowd,
        Self::RetryStorm,
        Self::ExpiredToken,
        Self::WebDav,
        Self::GraphQl,
        Self::SinglePage,
        Self::BasicAuth,
        Self::CacheWarmer,
        Self::FeedReaders,
        Self::Students,
        Self::Chat,
    ];

    /// The name in tables and on the command line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Phones => "phones",
            Self::Offices => "offices",
            Self::Carriers => "carriers",
            Self::Apps => "apps",
            Self::Monitors => "monitors",
            Self::Crawlers => "crawlers",
            Self::Partners => "partners",
            Self::Support => "support",
            Self::FlashCrowd => "flash_crowd",
            Self::RetryStorm => "retry_storm",
            Self::ExpiredToken => "expired_token",
            Self::WebDav => "webdav",
            Self::GraphQl => "graphql",
            Self::SinglePage => "single_page",
            Self::BasicAuth => "basic_auth",
            Self::CacheWarmer => "cache_warmer",
            Self::FeedReaders => "feed_readers",
            Self::Students => "students",
            Self::Chat => "chat",
            Self::Attacker => "attacker",
        }
    }

    /// People behind each source: where many share an address, they share browsers too.
    pub(super) const fn people(self) -> u64 {
        match self {
            Self::Offices => 8,
            Self::Carriers => 30,
            Self::Students => 10,
            _ => 1,
        }
    }
}

/// The shape of a client's headers, which is also the family of its User-Agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Software {
    /// A browser on a desk.
    Desktop,
    /// A browser on a phone.
    Phone,
    /// The shop's own application.
    App,
    /// A program that says what it is.
    Tool(&'static str),
}

/// Builds of each kind of browser that are in use at once.
const BUILDS: u64 = 40;
/// Languages and other settings that make header shapes differ.
const SHAPES: u64 = 12;

/// One client key: an address and a browser. Several people may be behind it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) class: Class,
    pub(super) address: [u8; 16],
    pub(super) network: u64,
    pub(super) fingerprint: u64,
    pub(super) user_agent: Box<str>,
    pub(super) flags: u32,
    pub(super) headers: u16,
    /// The first of the people behind it.
    pub(super) person: u64,
    /// Virtual day of its last request, from one on; 0 for none.
    pub(super) day: u32,
    /// It has been here: its browser has the assets.
    pub(super) cached: bool,
    /// A request of it was denied, although it was not convicted.
    pub(super) caught: bool,
    /// It was convicted, or its address.
    pub(super) convicted: bool,
    /// It made a request while the deploy was broken.
    pub(super) saw_deploy: bool,
    pub(super) requests: u32,
}

impl Source {
    /// A source at an address, with a browser drawn from those in use.
    pub(super) fn new(
        class: Class,
        address: [u8; 16],
        software: Software,
        seed: Seed,
        random: &mut Random,
    ) -> Self {
        let build = random.zipf(BUILDS);
        let shape = random.zipf(SHAPES);
        Self::with_build(class, address, software, seed, build, shape)
    }

    /// The same with a certain build: in an office all browsers are of few builds.
    pub(super) fn with_build(
        class: Class,
        address: [u8; 16],
        software: Software,
        seed: Seed,
        build: u64,
        shape: u64,
    ) -> Self {
        let user_agent = user_agent(software, build);
        let browser = matches!(software, Software::Desktop | Software::Phone);
        let mut set = flags::ACCEPT | flags::ACCEPT_ENCODING;
        if browser {
            set |= flags::ACCEPT_LANGUAGE | flags::SEC_FETCH;
        }
        let shape = if browser { shape } else { 0 };
        Self {
            class,
            address,
            network: network_of(address),
            fingerprint: combine(seed.table(user_agent.as_bytes()), shape).max(1),
            user_agent: user_agent.into_boxed_str(),
            flags: set,
            headers: if browser { 14 + shape as u16 % 4 } else { 6 },
            person: 0,
            day: 0,
            cached: false,
            caught: false,
            convicted: false,
            saw_deploy: false,
            requests: 0,
        }
    }

    /// Whether requests of the source look like a browser's.
    pub(super) fn is_browser(&self) -> bool {
        self.flags & flags::SEC_FETCH != 0
    }
}

fn user_agent(software: Software, build: u64) -> String {
    let version = 140 - build / 2;
    match (software, build % 4) {
        (Software::Tool(name), _) => name.to_owned(),
        (Software::App, _) => format!("ShopApp/5.{build} (Android 14; okhttp/4.12.0)"),
        (Software::Desktop, 3) => format!(
            "Mozilla/5.0 (X11; Linux x86_64; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
        ),
        (Software::Desktop, 2) => format!(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{}.1 Safari/605.1.15",
            18 - build / 10
        ),
        (Software::Desktop, system) => format!(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.{system} Safari/537.36"
        ),
        (Software::Phone, 0 | 2) => format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS {}_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
            18 - build / 8,
            build % 8
        ),
        (Software::Phone, _) => format!(
            "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Mobile Safari/537.36"
        ),
    }
}

/// The `n`th address: IPv4 all over `32.0.0.0/4`, no two alike.
pub(super) fn ipv4(n: u64) -> [u8; 16] {
    let scattered = (n as u32).wrapping_mul(0x9e37_79b1) & 0x0fff_ffff;
    Ipv4Addr::from(0x2000_0000 | scattered).to_ipv6_mapped().octets()
}

/// The `n`th IPv6 subscriber, at one of its addresses.
pub(super) fn ipv6(n: u64, random: &mut Random) -> [u8; 16] {
    let network = 0x2001_0db8_0000_0000 | (n & 0xffff_ffff);
    Ipv6Addr::from(u128::from(network) << 64 | u128::from(random.next())).octets()
}
