//! What the directives set: once for the whole `http` block, and for each server and location.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use api_abuse_engine::hash::Seed;
use api_abuse_engine::identity::Fields;
use api_abuse_engine::outcome::Outcomes;
use api_abuse_engine::record::{Verdict, words::Kinds};
use api_abuse_engine::role::Role;
use api_abuse_engine::{CidrSet, Policy};

use crate::ffi::conf::{ComplexValue, Cycle};
use crate::ffi::files::{Directory, LogFile};
use crate::ffi::shm::Shared;

/// Status of a denial when no `api_abuse_deny_status` says otherwise.
const DENY_STATUS: u16 = 403;

/// Where the state is when no `api_abuse_state` says otherwise, below NGINX's prefix.
pub(crate) const STATE_DIRECTORY: &[u8] = b"api_abuse_state";

/// What holds for the whole `http` block.
#[derive(Debug, Default)]
pub(crate) struct MainConf {
    /// `api_abuse_zone`.
    pub(crate) zone: Option<ZoneConf>,
    /// `api_abuse_deny_loopback`.
    pub(crate) deny_loopback: Option<bool>,
    /// `api_abuse_state`.
    pub(crate) state: Option<OrOff<Directory>>,
    /// `api_abuse_log`.
    pub(crate) log: Option<OrOff<LogFile>>,
    /// `api_abuse_detector`.
    pub(crate) detector: Option<DetectorPlace>,
    /// File and line of `api_abuse_detector`.
    pub(crate) detector_at: String,
    /// What `set_real_ip_from` names, wherever it stands.
    pub(crate) proxies: CidrSet,
    /// The applications that `api_abuse` and `api_abuse_application` name, each once.
    pub(crate) applications: Vec<Rc<Application>>,
    /// Modes of locations whose application is the value of a variable.
    pub(crate) variable_modes: Modes,
    /// Where the first application was enabled.
    pub(crate) enabled_at: Option<String>,
    /// Where each request has room for what the module remembers of it: a byte of NGINX's array.
    pub(crate) place: usize,
    /// Set when NGINX has mapped the zone; workers inherit it.
    ready: OnceCell<Ready>,
}

/// What can be switched off by `off`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OrOff<T> {
    Off,
    Is(T),
}

/// `api_abuse_detector`: where detection runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DetectorPlace {
    /// A thread of a worker.
    Worker,
    /// A thread of NGINX's helper process.
    Process,
}

/// `api_abuse_zone NAME:SIZE`.
#[derive(Debug)]
pub(crate) struct ZoneConf {
    pub(crate) name: String,
    /// File and line of the directive.
    pub(crate) place: String,
    pub(crate) cycle: Option<Cycle>,
}

/// The zone of a configuration that was loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) shared: Shared,
    /// Monotonic milliseconds when the configuration was loaded: what tells one load from the next.
    pub(crate) loaded_ms: u64,
    /// How often the lease had been taken by then.
    pub(crate) acquisitions: u64,
}

/// An application that the configuration names.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) name: Vec<u8>,
    /// `api_abuse_application`, with file and line.
    policy: OnceCell<(Policy, String)>,
    /// Modes of its locations.
    modes: Cell<Modes>,
    /// Its name under the zone's seed, which is not known before the zone is mapped.
    key: Cell<u64>,
}

/// `api_abuse`.
#[derive(Clone, Debug)]
pub(crate) enum Selector {
    Off,
    Named(Rc<Application>),
    Variable(ComplexValue),
}

/// `api_abuse_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Off,
    Monitor,
    Block,
}

/// The modes of some locations: one bit for each, and one for each that only a server around locations
/// says, which counts when no location says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Modes(u8);

/// What holds for a location. `None`: as in the block around it.
#[derive(Debug, Default)]
pub(crate) struct LocationConf {
    /// `api_abuse`.
    pub(crate) application: Option<Selector>,
    /// `api_abuse_mode`.
    pub(crate) mode: Option<Mode>,
    /// `api_abuse_deny_status`.
    pub(crate) deny_status: Option<u16>,
    /// `api_abuse_endpoint`.
    pub(crate) endpoint: Option<Endpoint>,
    /// `api_abuse_session`.
    pub(crate) session: Option<Vec<ComplexValue>>,
    /// `api_abuse_fingerprint`.
    pub(crate) fingerprint: Option<Vec<ComplexValue>>,
    /// `api_abuse_bypass`.
    pub(crate) bypass: Option<Vec<ComplexValue>>,
    /// `api_abuse_identity`.
    pub(crate) identity: Option<Identity>,
    /// Whether requests are asked for their session, or for more of their fingerprint.
    pub(crate) asks_more: bool,
    /// Whether they are asked for their identity or outcome.
    pub(crate) says_more: bool,
    /// The application, where it has a name and nothing is asked for or excepted but at run time.
    pub(crate) plain: Option<Rc<Application>>,
    /// As in [`MainConf`].
    pub(crate) place: usize,
    /// What the record of a request that passed says of verdict and mode, as a word.
    pub(crate) passed: u64,
}

/// `api_abuse_identity`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    /// Fields of the body.
    pub(crate) fields: Fields,
    pub(crate) variables: Vec<ComplexValue>,
}

/// `api_abuse_endpoint`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint {
    pub(crate) role: Role,
    pub(crate) outcomes: Outcomes,
}

impl MainConf {
    /// The application of this name, the same one each time it is named.
    pub(crate) fn application(&mut self, name: &[u8]) -> Rc<Application> {
        if let Some(known) = self.applications.iter().find(|known| known.name == name) {
            return Rc::clone(known);
        }
        let name = name.to_vec();
        let application = Application {
            name,
            policy: OnceCell::new(),
            modes: Cell::default(),
            key: Cell::new(0),
        };
        let application = Rc::new(application);
        self.applications.push(Rc::clone(&application));
        application
    }

    /// The directory of the state.
    pub(crate) fn state(&self) -> Option<Directory> {
        match self.state {
            Some(OrOff::Is(directory)) => Some(directory),
            Some(OrOff::Off) | None => None,
        }
    }

    /// The log of decisions.
    pub(crate) fn log(&self) -> Option<LogFile> {
        match self.log {
            Some(OrOff::Is(file)) => Some(file),
            Some(OrOff::Off) | None => None,
        }
    }

    /// The policy of the application with this key; `None` when the default holds.
    pub(crate) fn policy(&self, key: u64) -> Option<&Policy> {
        self.applications.iter().find(|known| known.key() == key)?.policy()
    }

    /// Takes in that the requests of a location belong to an application; `around`: of a server that
    /// has locations.
    pub(crate) fn note_location(&mut self, location: &LocationConf, around: bool) {
        match &location.application {
            Some(Selector::Named(application)) => {
                application.modes.set(application.modes.get().with(location.mode(), around));
            }
            Some(Selector::Variable(_)) => {
                self.variable_modes = self.variable_modes.with(location.mode(), around);
            }
            Some(Selector::Off) | None => {}
        }
    }

    /// Modes of all locations that belong to an application.
    pub(crate) fn modes(&self) -> Modes {
        let named = self.applications.iter().map(|known| known.modes.get());
        named.fold(self.variable_modes, Modes::and)
    }

    /// Modes of the locations of one application; that of a variable may be any.
    pub(crate) fn modes_of(&self, key: u64) -> Modes {
        let known = self.applications.iter().find(|known| known.key() == key);
        let named = known.map_or(Modes::default(), |known| known.modes.get());
        if named == Modes::default() { self.variable_modes } else { named }
    }

    /// Whether the module has anything to do with this configuration's requests.
    pub(crate) fn in_use(&self) -> bool {
        self.enabled_at.is_some()
    }

    /// Called once, when NGINX has mapped the zone.
    pub(crate) fn zone_is_ready(&self, ready: &Ready) {
        let seed = Seed(ready.shared.zone.seed());
        for application in &self.applications {
            application.key.set(seed.table(&application.name));
        }
        // A second call would be NGINX mapping one zone twice; the first answer stays.
        let _ = self.ready.set(*ready);
    }

    /// The zone, when there is one and NGINX has mapped it.
    pub(crate) fn ready(&self) -> Option<Ready> {
        self.ready.get().copied()
    }
}

impl Modes {
    fn with(self, mode: Mode, around: bool) -> Self {
        Self(self.0 | 1 << (mode as u8 + if around { 3 } else { 0 }))
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The name of the only one, or `mixed`. Without a location nothing is done.
    pub(crate) fn name(self) -> &'static str {
        let said = self.0 & 7;
        let bits = if said == 0 { self.0 >> 3 } else { said };
        match bits {
            0 | 1 => "off",
            2 => "monitor",
            4 => "block",
            _ => "mixed",
        }
    }
}

impl Application {
    /// Key of the application in records and in the denylist.
    pub(crate) fn key(&self) -> u64 {
        self.key.get()
    }

    /// What `api_abuse_application` says; `None` when the default holds.
    pub(crate) fn policy(&self) -> Option<&Policy> {
        self.policy.get().map(|(policy, _)| policy)
    }

    /// Whether its policy lets some addresses through, or denies some.
    pub(crate) fn excepts(&self) -> bool {
        self.policy().is_some_and(|policy| !(policy.allow.is_empty() && policy.deny.is_empty()))
    }

    /// Sets the policy that is written at `place`. The error is the place of an earlier one.
    pub(crate) fn set_policy(&self, policy: Policy, place: String) -> Result<(), &str> {
        let refused = self.policy.set((policy, place)).is_err();
        if refused { Err(self.policy.get().map_or("", |(_, place)| place)) } else { Ok(()) }
    }
}

impl LocationConf {
    /// Takes from the block around it what the location does not say itself.
    pub(crate) fn inherit(&mut self, around: &Self) {
        self.application = self.application.take().or_else(|| around.application.clone());
        self.mode = self.mode.or(around.mode);
        self.deny_status = self.deny_status.or(around.deny_status);
        self.endpoint = self.endpoint.or(around.endpoint);
        inherit(&mut self.session, around.session.as_ref());
        inherit(&mut self.fingerprint, around.fingerprint.as_ref());
        inherit(&mut self.bypass, around.bypass.as_ref());
        inherit(&mut self.identity, around.identity.as_ref());
        self.asks_more = self.session.is_some() || self.fingerprint.is_some();
        self.says_more = self.identity.is_some() || self.endpoint.is_some();
        let blocking = u8::from(self.mode() == Mode::Block);
        self.passed = Kinds { verdict: Verdict::Passed as u8, blocking, ..Kinds::NONE }.into();
        // By now the whole configuration was read, policies too.
        let plain = !self.asks_more && self.bypass.is_none() && self.identity.is_none();
        self.plain = match self.selector().filter(|_| plain) {
            Some(Selector::Named(application)) if !application.excepts() => {
                Some(Rc::clone(application))
            }
            _ => None,
        };
    }

    /// The application of requests here; `None` when they belong to none, or nothing is done.
    pub(crate) fn selector(&self) -> Option<&Selector> {
        let off = self.mode() == Mode::Off;
        self.application.as_ref().filter(|selector| !off && !matches!(selector, Selector::Off))
    }

    /// The key of the application in [`Self::plain`]; 0 where there is none.
    pub(crate) fn plain_key(&self) -> u64 {
        self.plain.as_ref().map_or(0, |application| application.key())
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode.unwrap_or(Mode::Monitor)
    }

    pub(crate) fn deny_status(&self) -> u16 {
        self.deny_status.unwrap_or(DENY_STATUS)
    }
}

/// As with NGINX's own lists: a block that says anything says all of it.
fn inherit<T: Clone>(list: &mut Option<T>, around: Option<&T>) {
    if list.is_none() {
        *list = around.cloned();
    }
}

/// What can only be checked when all of the `http` block was read.
pub(crate) fn check(conf: &MainConf) -> Result<(), String> {
    match (&conf.enabled_at, &conf.zone) {
        (Some(place), None) => Err(format!(
            "\"api_abuse\" needs a zone: add \"api_abuse_zone NAME:SIZE;\" \
             to the \"http\" block in {place}"
        )),
        _ if conf.detector == Some(DetectorPlace::Process)
            && matches!(conf.state, Some(OrOff::Off)) =>
        {
            let place = &conf.detector_at;
            Err(format!(
                "\"api_abuse_detector process\" needs the directory of \"api_abuse_state\", which is \
                 \"off\" in {place}"
            ))
        }
        _ => Ok(()),
    }
}
