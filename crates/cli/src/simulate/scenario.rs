//! All attacks, by threat: the plain one first, then the ladder of evasions.

use api_abuse_engine::Threat;

use super::attack::{From, Move, Pace, Plan};
use From::{Addresses, Browsers, Mixed, Office, One};
use Pace::{Every, Jitter, Ramp};

/// A row of the evaluation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) threat: Threat,
    /// Name within its threat.
    pub(super) name: &'static str,
    pub(super) plan: Plan,
    /// The login is used 200 times a minute by others.
    pub(super) busy_login: bool,
    /// The application has just been switched on.
    pub(super) cold: bool,
}

impl Scenario {
    /// `threat/name`, as on the command line.
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.threat.slug(), self.name)
    }

    /// Comes from one client, one address at most.
    pub(super) fn is_single_source(&self) -> bool {
        matches!(self.plan.from, One | Office)
    }
}

/// What, from where, how fast, honest requests for each of its own, requests until it gives up.
type Row = (&'static str, Move, From, Pace, u32, u32);

const SCANNING: &[Row] = &[
    ("plain", Move::Names, One, Every(200), 0, 400),
    ("payloads", Move::Payloads, One, Every(500), 0, 400),
    ("dilution-1", Move::Names, One, Jitter(800), 1, 800),
    ("dilution-4", Move::Names, One, Jitter(800), 4, 2000),
    ("dilution-10", Move::Names, One, Jitter(800), 10, 4000),
    ("dilution-20", Move::Names, One, Jitter(800), 20, 8000),
    ("browsers-20", Move::Names, Browsers(20), Every(300), 0, 600),
    ("slow", Move::Names, One, Jitter(60_000), 0, 400),
    ("addresses-20", Move::Names, Mixed(20), Every(200), 0, 1200),
    ("office", Move::Names, Office, Every(300), 0, 400),
    ("cold-start", Move::Names, One, Every(200), 0, 400),
];

const STUFFING: &[Row] = &[
    ("json", Move::JsonLogin, One, Every(800), 0, 300),
    ("form", Move::FormLogin, One, Every(800), 0, 300),
    ("basic", Move::BasicLogin, One, Every(800), 0, 300),
    ("jitter", Move::JsonLogin, One, Jitter(4000), 0, 300),
    ("slow", Move::JsonLogin, One, Jitter(60_000), 0, 300),
    ("dilution-4", Move::FormLogin, One, Jitter(1500), 4, 1500),
    ("browsers-20", Move::JsonLogin, Browsers(20), Jitter(2000), 0, 800),
    ("office", Move::JsonLogin, Office, Jitter(2000), 0, 300),
    ("cold-start", Move::JsonLogin, One, Every(800), 0, 300),
];

/// 15 seconds between attempts are two in a hundred of the login's volume.
const DISTRIBUTED: &[Row] = &[
    ("2%-10-addresses", Move::FormLogin, Addresses(10), Jitter(15_000), 0, 240),
    ("2%-30-addresses", Move::FormLogin, Addresses(30), Jitter(15_000), 0, 240),
    ("2%-60-addresses", Move::FormLogin, Addresses(60), Jitter(15_000), 0, 240),
    ("10%-200-addresses", Move::FormLogin, Addresses(200), Jitter(3000), 0, 1200),
    ("10%-200-browsers", Move::FormLogin, Mixed(200), Jitter(3000), 0, 1200),
];

const ACCOUNTS: &[Row] = &[
    ("fast", Move::Register, One, Every(700), 0, 200),
    ("form", Move::RegisterForm, One, Every(1000), 0, 300),
    ("slow", Move::Register, One, Jitter(120_000), 0, 200),
    ("dilution-4", Move::Register, One, Jitter(2000), 4, 1000),
    ("browsers-20", Move::Register, Browsers(20), Jitter(2000), 0, 400),
    ("addresses-30", Move::RegisterForm, Addresses(30), Every(1500), 0, 600),
];

const SPAM: &[Row] = &[
    ("fast", Move::Comment, One, Every(500), 0, 200),
    ("slow", Move::Comment, One, Jitter(30_000), 0, 300),
    ("dilution-2", Move::Comment, One, Jitter(1000), 2, 900),
    ("browsers-20", Move::Comment, Browsers(20), Jitter(1000), 0, 400),
    ("addresses-20", Move::Comment, Addresses(20), Jitter(1000), 0, 1200),
];

const SCALPING: &[Row] = &[
    ("plain", Move::Reserve, One, Every(400), 0, 600),
    ("jitter", Move::Reserve, One, Jitter(700), 0, 600),
    ("slow", Move::Reserve, One, Jitter(3000), 0, 1200),
    ("pool-20", Move::Reserve, Mixed(20), Jitter(60), 0, 6000),
];

const SCRAPING: &[Row] = &[
    ("in-order", Move::ItemsInOrder, One, Every(250), 0, 1500),
    ("at-random", Move::ItemsAtRandom, One, Jitter(500), 0, 1500),
    ("by-popularity", Move::ItemsByPopularity, One, Jitter(500), 0, 1500),
    ("pages", Move::Pages, One, Jitter(700), 0, 1500),
    ("slow", Move::Pages, One, Jitter(15_000), 0, 1500),
    ("slow-in-order", Move::ItemsInOrder, One, Jitter(15_000), 0, 1500),
    ("browsers-20", Move::Pages, Browsers(20), Jitter(700), 0, 2000),
    ("addresses-50", Move::Pages, Mixed(50), Jitter(100), 0, 6000),
];

const BOLA: &[Row] = &[
    ("in-order", Move::OrdersInOrder, One, Every(400), 0, 600),
    ("at-random", Move::OrdersAtRandom, One, Jitter(700), 0, 600),
    ("harvested", Move::OrdersHarvested, One, Jitter(700), 0, 600),
    ("refused", Move::OrdersRefused, One, Every(400), 0, 600),
    ("slow", Move::OrdersInOrder, One, Jitter(20_000), 0, 600),
    ("slow-harvested", Move::OrdersHarvested, One, Jitter(20_000), 0, 600),
];

const FLOODS: &[Row] = &[
    ("requests", Move::Flood, One, Every(4), 0, 60_000),
    ("heavy", Move::Heavy, One, Every(31), 0, 6000),
    ("ramp", Move::Heavy, One, Ramp(2000, 25, 4000), 0, 12_000),
    ("addresses-10", Move::Heavy, Addresses(10), Every(6), 0, 30_000),
];

/// All of them.
pub(super) fn scenarios() -> Vec<Scenario> {
    let tables = [
        (Threat::VulnerabilityScanning, SCANNING, false),
        (Threat::CredentialStuffing, STUFFING, false),
        (Threat::CredentialStuffing, DISTRIBUTED, true),
        (Threat::AccountCreation, ACCOUNTS, false),
        (Threat::Spamming, SPAM, false),
        (Threat::Scalping, SCALPING, false),
        (Threat::Scraping, SCRAPING, false),
        (Threat::Bola, BOLA, false),
        (Threat::ResourceExhaustion, FLOODS, false),
    ];
    let mut all = Vec::new();
    for (threat, rows, busy_login) in tables {
        for &(name, what, from, pace, dilution, limit) in rows {
            let plan = Plan { what, from, pace, dilution, limit };
            let cold = name == "cold-start";
            all.push(Scenario { threat, name, plan, busy_login, cold });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_threat_has_a_plain_attack_and_names_are_unique() {
        let all = scenarios();
        for threat in Threat::ALL {
            let plain = all.iter().find(|it| it.threat == threat).map(Scenario::is_single_source);
            assert_eq!(plain, Some(true), "{}", threat.slug());
        }
        let mut names: Vec<String> = all.iter().map(Scenario::full_name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all.len());
    }
}
