//! What the access phase leaves for the log phase and for the variables.
//!
//! An internal redirect (an error page, `try_files`, `X-Accel-Redirect`) changes a request's
//! location, method and URI and clears the modules' contexts. The state is made at the first pass
//! through an enabled location and never changes: a request is judged once and counted once, for
//! the application that it came for. Of a request that nothing is to be done about, less is remembered
//! ([`crate::ffi::remembered::Plain`]), of which the state can be made.

use api_abuse_engine::hash::{Seed, combine};
use api_abuse_engine::record::words::Answer;
use api_abuse_engine::record::{APPLICATION_MAX, Verdict, flags};
use api_abuse_engine::source::{SourceKey, SourceKind};
use api_abuse_engine::{Action, CidrSet, Policy, Threat};
use api_abuse_shm::{DenyEntry, DenyKey};

use crate::client::Client;
use crate::commands::OPERATOR_THREAT;
use crate::conf::{LocationConf, Mode, Selector};
use crate::ffi::body::WatchedBody;
use crate::ffi::conf::ComplexValue;
use crate::ffi::remembered::{KeptText, Location, Plain};
use crate::ffi::request::Request;
use crate::worker::Worker;
use crate::zone;

/// Statuses of requests that NGINX gives up on before it looks for their location.
const EARLY_ERRORS: [u16; 10] = [400, 408, 411, 414, 431, 494, 495, 496, 497, 505];

/// One judged request. Plain data: it lies in the request's pool and needs no drop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestState {
    pub(crate) application: u64,
    /// The application's name where it comes from a variable, so that the detectors do not know it
    /// yet.
    pub(crate) variable_name: Option<KeptText>,
    /// Client address, IPv4 mapped; zero: a unix socket.
    pub(crate) address: [u8; 16],
    pub(crate) client: Client,
    /// Keyed hash of the session, 0 for none.
    pub(crate) session: u64,
    /// The location that it was judged by.
    pub(crate) location: Location,
    /// What looks at its body.
    pub(crate) body: Option<WatchedBody>,
    pub(crate) verdict: Verdict,
    /// Whether the location is in `block` mode.
    pub(crate) blocking: bool,
    /// The denylist entry that it met.
    pub(crate) met: Option<Met>,
}

/// What a denylist entry says of the request that met it. The rest of its key is the request's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met {
    kind: SourceKind,
    pub(crate) threat: u8,
    action: u8,
    pub(crate) confidence: u8,
    pub(crate) incident: u64,
}

impl Met {
    fn of(entry: &DenyEntry) -> Option<Self> {
        let DenyEntry { threat, action, confidence, incident, .. } = *entry;
        let kind = SourceKind::from_u8(entry.key.kind)?;
        Some(Self { kind, threat, action, confidence, incident })
    }
}

impl RequestState {
    /// Judges a request by the location that it is in now; `None` when nothing is done there.
    #[inline]
    pub(crate) fn judge_here(request: &Request<'_>, worker: &Worker) -> Option<Self> {
        let conf = request.location_conf();
        let Named { key, variable_name, policy } = application(request, conf, worker)?;
        let address = request.address();
        let mut client = request.client(&worker.fingerprints);
        let mut session = 0;
        if conf.asks_more {
            (client, session) = ask(request, conf, client, worker.seed);
        }
        if is_early(request) {
            client.facts |= Answer::said(flags::EARLY);
        }
        let blocking = conf.mode() == Mode::Block;
        let (mut verdict, mut met) = (Verdict::Passed, None);
        let excepted = policy.is_some()
            || conf.bypass.is_some()
            || address.is_some_and(|(address, _)| worker.allows(address));
        if excepted {
            verdict = exception(request, conf, policy, worker);
        }
        // Who comes through a unix socket has no address to be denied by.
        if let Some((_, network)) = address.filter(|_| verdict == Verdict::Passed) {
            let key = |kind, network, discriminator| DenyKey {
                application: key,
                kind: kind as u8,
                network,
                discriminator,
            };
            let client = key(SourceKind::Client, network, client.fingerprint);
            let address = key(SourceKind::Address, network, 0);
            let entry = if session == 0 {
                worker.denied(&[client, address])
            } else {
                worker.denied(&[key(SourceKind::Session, 0, session), client, address])
            };
            if let Some(entry) = entry {
                (met, verdict) = meet(&entry, blocking, worker);
            }
        }
        Some(Self {
            application: key,
            variable_name,
            address: address.map_or([0; 16], |(address, _)| address),
            client,
            session,
            location: Location::of(conf),
            body: None,
            verdict,
            blocking,
            met,
        })
    }

    /// The state of a request that nothing was to be done about.
    pub(crate) fn of_plain(plain: &Plain<'_>) -> Self {
        let Plain { conf, address, client } = *plain;
        Self {
            application: conf.plain_key(),
            variable_name: None,
            address,
            client,
            session: 0,
            location: Location::of(conf),
            body: None,
            verdict: Verdict::Passed,
            blocking: conf.mode() == Mode::Block,
            met: None,
        }
    }

    /// The same, for who seldom asks.
    #[cold]
    pub(crate) fn judge(request: &Request<'_>, worker: &Worker) -> Option<Self> {
        Self::judge_here(request, worker)
    }

    /// The same request when it ended before anything could be done about it. The entry that it met
    /// stays known: what an already denied source is answered does not feed the detectors.
    pub(crate) fn not_enforced(self) -> Self {
        let verdict = match self.verdict {
            verdict @ (Verdict::Bypassed | Verdict::Allowed) => verdict,
            _ => Verdict::Passed,
        };
        Self { verdict, ..self }
    }

    /// The source of one kind that the request came from.
    fn source_of(&self, kind: SourceKind) -> SourceKey {
        match kind {
            SourceKind::Address => SourceKey::address(self.address),
            SourceKind::Client => SourceKey::client(self.address, self.client.fingerprint),
            SourceKind::Session => SourceKey::session(self.session),
        }
    }

    fn deny_key(&self, kind: SourceKind) -> DenyKey {
        deny_key(self.application, self.source_of(kind))
    }

    /// The key of the entry that it met.
    pub(crate) fn met_key(&self) -> Option<DenyKey> {
        self.met.map(|met| self.deny_key(met.kind))
    }

    /// The application's name.
    pub(crate) fn name<'r>(&self, request: &'r Request<'_>) -> &'r [u8] {
        match (&self.variable_name, self.location.conf(request).selector()) {
            (Some(name), _) => name.of(request),
            (None, Some(Selector::Named(application))) => &application.name,
            (None, _) => b"",
        }
    }

    /// The incident that explains the entry that it met; 0 for none.
    #[inline]
    pub(crate) fn incident(&self) -> u64 {
        self.met.map_or(0, |met| met.incident)
    }

    /// For what the source was convicted.
    pub(crate) fn threat(&self) -> Option<Threat> {
        self.met.and_then(|met| Threat::from_u8(met.threat))
    }

    /// Who the request came from: the key that it was denied by, or else the client. `None`
    /// when it has no address.
    pub(crate) fn source(&self) -> Option<SourceKey> {
        let kind = self.met.map_or(SourceKind::Client, |met| met.kind);
        (self.address != [0; 16]).then(|| self.source_of(kind))
    }
}

/// The address of a request that nothing is to be done about, as [`RequestState::judge_here`] would find:
/// of most of them. `None` when that takes a closer look.
#[inline(always)]
#[allow(clippy::inline_always, reason = "on the path of every request")]
pub(crate) fn plain_address(
    request: &Request<'_>,
    conf: &LocationConf,
    worker: &Worker,
) -> Option<[u8; 16]> {
    let is_plain = conf.plain.is_some();
    // What was redirected internally may be an early error.
    if !is_plain || !request.was_located() || request.is_internal() || worker.allows_some() {
        return None;
    }
    let (address, network) = request.address()?;
    (!worker.may_deny(network)).then_some(address)
}

/// Asks for the session, and for what else tells clients apart.
#[inline(never)]
fn ask(
    request: &Request<'_>,
    conf: &LocationConf,
    mut client: Client,
    seed: Seed,
) -> (Client, u64) {
    let session = first(request, conf.session.as_deref().unwrap_or_default());
    let values = conf.fingerprint.iter().flatten().map(|value| request.evaluate(*value));
    let hashes = values.map(|value| value.filter(|v| !v.is_empty()).map_or(0, |v| seed.secret(v)));
    let more =
        hashes.fold(0, |more, hash| if (more, hash) == (0, 0) { 0 } else { combine(more, hash) });
    if more != 0 {
        client.fingerprint = combine(client.fingerprint, more).max(1);
    }
    (client, session.map_or(0, |value| seed.secret(value)))
}

/// What the lists of the operator or `api_abuse_bypass` say of a request.
#[inline(never)]
fn exception(
    request: &Request<'_>,
    conf: &LocationConf,
    policy: Option<&Policy>,
    worker: &Worker,
) -> Verdict {
    let address = request.address().map(|(address, _)| address);
    let named = |set: fn(&Policy) -> &CidrSet| {
        let set = policy.map(set);
        set.zip(address).is_some_and(|(set, address)| set.contains(address))
    };
    let allowed = address.is_some_and(|address| worker.allows(address));
    if allowed || named(|policy| &policy.allow) {
        Verdict::Allowed
    } else if is_bypassed(request, conf) {
        Verdict::Bypassed
    } else if named(|policy| &policy.deny) {
        if conf.mode() == Mode::Block { Verdict::Denied } else { Verdict::DeniedMonitor }
    } else {
        Verdict::Passed
    }
}

/// What an entry means to the request that met it. An application whose circuit breaker is open denies
/// nobody but whom an operator does.
#[cold]
fn meet(entry: &DenyEntry, blocking: bool, worker: &Worker) -> (Option<Met>, Verdict) {
    let Some(met) = Met::of(entry) else { return (None, Verdict::Passed) };
    let by_operator = entry.threat == OPERATOR_THREAT;
    let tripped = || zone::is_tripped(&worker.zone, entry.key.application);
    let enforced = blocking && (by_operator || !tripped());
    let verdict = match (Action::from_u8(met.action), enforced) {
        (Some(Action::Throttle), true) => Verdict::Throttled,
        (Some(Action::Throttle), false) => Verdict::ThrottledMonitor,
        (Some(Action::Deny), true) => Verdict::Denied,
        _ => Verdict::DeniedMonitor,
    };
    (Some(met), verdict)
}

/// Whether NGINX gave up on the request before it looked for its location.
#[inline]
pub(crate) fn is_early(request: &Request<'_>) -> bool {
    !request.was_located()
        || request.is_internal() && EARLY_ERRORS.contains(&request.error_status())
}

/// The application of requests in a location.
struct Named<'r> {
    key: u64,
    variable_name: Option<KeptText>,
    policy: Option<&'r Policy>,
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "on the path of every request")]
fn application<'r>(
    request: &'r Request<'_>,
    conf: &'r LocationConf,
    worker: &Worker,
) -> Option<Named<'r>> {
    match conf.selector()? {
        Selector::Off => None,
        Selector::Named(application) => {
            let policy = application.policy();
            Some(Named { key: application.key(), variable_name: None, policy })
        }
        Selector::Variable(value) => variable_application(request, *value, worker),
    }
}

#[inline(never)]
fn variable_application<'r>(
    request: &'r Request<'_>,
    value: ComplexValue,
    worker: &Worker,
) -> Option<Named<'r>> {
    // As with auth_basic, a value of "off" turns it off like the word in the configuration.
    let value = request.evaluate(value).filter(|value| !matches!(*value, b"" | b"off"))?;
    let name = value.get(..APPLICATION_MAX).unwrap_or(value);
    let key = worker.seed.table(name);
    let policy = request.main_conf().policy(key);
    Some(Named { key, variable_name: Some(request.keep(name)?), policy })
}

/// What identified the session when the request was judged.
pub(crate) fn session<'r>(request: &'r Request<'_>, state: &RequestState) -> Option<&'r [u8]> {
    let conf = state.location.conf(request);
    first(request, conf.session.as_deref().filter(|_| state.session != 0)?)
}

/// The first of the values that is not empty.
fn first<'r>(request: &'r Request<'_>, values: &[ComplexValue]) -> Option<&'r [u8]> {
    values.iter().filter_map(|value| request.evaluate(*value)).find(|value| !value.is_empty())
}

/// As `proxy_cache_bypass` has it: a value that is neither empty nor "0".
fn is_bypassed(request: &Request<'_>, conf: &LocationConf) -> bool {
    let mut values = conf.bypass.iter().flatten().filter_map(|value| request.evaluate(*value));
    values.any(|value| !matches!(value, b"" | b"0"))
}

/// A source of an application in the denylist's terms.
pub(crate) fn deny_key(application: u64, key: SourceKey) -> DenyKey {
    DenyKey {
        application,
        kind: key.kind as u8,
        network: key.network,
        discriminator: key.discriminator,
    }
}

/// The source of a denylist entry; `None` when the entry is of no kind that is known.
pub(crate) fn source_key(key: &DenyKey) -> Option<SourceKey> {
    let kind = SourceKind::from_u8(key.kind)?;
    Some(SourceKey { kind, network: key.network, discriminator: key.discriminator })
}
