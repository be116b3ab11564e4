//! What is measured of a client's day.

/// Features of a profile.
pub const FEATURES: usize = 12;

/// What is measured of a client's day. The discriminants are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Feature {
    /// Requests.
    Requests = 0,
    /// Requests in the busiest ten minutes.
    Busiest = 1,
    /// Different path templates, up to 32.
    Templates = 2,
    /// Misses, percent of the requests.
    Misses = 3,
    /// Attempts to log in.
    Logins = 4,
    /// Accounts created.
    Registrations = 5,
    /// Content published.
    Posts = 6,
    /// Carts, reservations, orders.
    Reservations = 7,
    /// Requests for objects and pages of a kind.
    Objects = 8,
    /// Different objects of groups that are private, or may be.
    PrivateObjects = 9,
    /// Tenths of a second that upstreams were busy.
    Upstream = 10,
    /// Response bytes, in units of 8 KiB.
    Volume = 11,
}

impl Feature {
    /// All features, in the order of their discriminants.
    pub const ALL: [Self; FEATURES] = [
        Self::Requests,
        Self::Busiest,
        Self::Templates,
        Self::Misses,
        Self::Logins,
        Self::Registrations,
        Self::Posts,
        Self::Reservations,
        Self::Objects,
        Self::PrivateObjects,
        Self::Upstream,
        Self::Volume,
    ];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Busiest => "requests_in_ten_minutes",
            Self::Templates => "templates",
            Self::Misses => "misses_percent",
            Self::Logins => "logins",
            Self::Registrations => "registrations",
            Self::Posts => "posts",
            Self::Reservations => "reservations",
            Self::Objects => "objects",
            Self::PrivateObjects => "private_objects",
            Self::Upstream => "upstream_tenths",
            Self::Volume => "volume_8k",
        }
    }

    /// The null where nothing was learned, and what few samples are drawn towards.
    pub const fn prior(self) -> f32 {
        match self {
            Self::Requests => 5000.0,
            Self::Busiest => 1000.0,
            Self::Templates => 32.0,
            Self::Misses | Self::Logins => 20.0,
            Self::Registrations => 5.0,
            Self::Posts => 60.0,
            Self::Reservations | Self::PrivateObjects => 40.0,
            Self::Objects => 500.0,
            Self::Upstream => 3000.0,
            Self::Volume => 12_800.0,
        }
    }

    /// No null is lower, whatever was learned: what one lively visitor of a quiet site does.
    pub const fn floor(self) -> f32 {
        match self {
            Self::Requests => 500.0,
            Self::Busiest => 200.0,
            Self::Templates => 16.0,
            Self::Misses | Self::Logins | Self::Reservations => 5.0,
            Self::Registrations => 2.0,
            Self::Posts => 4.0,
            Self::Objects => 60.0,
            Self::PrivateObjects => 8.0,
            Self::Upstream => 600.0,
            Self::Volume => 2560.0,
        }
    }
}
