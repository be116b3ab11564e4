//! The threats of the contract, with the names that directives, metrics and logs use.

/// What a source is convicted of. The discriminants are stored in shared memory and in snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Threat {
    /// OAT-015, API4: spikes or expensive calls that take the application down.
    ResourceExhaustion = 0,
    /// OAT-008, OAT-007: stolen or guessed credentials tried at a login.
    CredentialStuffing = 1,
    /// OAT-019: fake accounts in bulk.
    AccountCreation = 2,
    /// OAT-017: fake content.
    Spamming = 3,
    /// OAT-005, OAT-021: polling for stock and reserving it faster than people can.
    Scalping = 4,
    /// OAT-014, OAT-004, OAT-018: probing for paths, files, parameters and payloads.
    VulnerabilityScanning = 5,
    /// OAT-011: collecting the catalogue.
    Scraping = 6,
    /// API1: walking object ids that belong to others.
    Bola = 7,
}

impl Threat {
    /// All threats, in the order of their discriminants.
    pub const ALL: [Self; 8] = [
        Self::ResourceExhaustion,
        Self::CredentialStuffing,
        Self::AccountCreation,
        Self::Spamming,
        Self::Scalping,
        Self::VulnerabilityScanning,
        Self::Scraping,
        Self::Bola,
    ];

    /// The name used in directives, variables, metrics and logs.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::ResourceExhaustion => "resource_exhaustion",
            Self::CredentialStuffing => "credential_stuffing",
            Self::AccountCreation => "account_creation",
            Self::Spamming => "spamming",
            Self::Scalping => "scalping",
            Self::VulnerabilityScanning => "vulnerability_scanning",
            Self::Scraping => "scraping",
            Self::Bola => "bola",
        }
    }

    /// The threat with this slug.
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|threat| threat.slug() == slug)
    }

    /// The threat with this discriminant; what shared memory holds may be anything.
    pub fn from_u8(value: u8) -> Option<Self> {
        Self::ALL.get(usize::from(value)).copied()
    }
}
