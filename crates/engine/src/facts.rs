//! What one record means for its application, before it is held against anybody.

mod alike;
mod login;
mod member;
mod standing;
mod touched;

use crate::approach::Keys;
use crate::detectors::credential_stuffing::Login;
use crate::detectors::vulnerability_scanning::{self, Contact, is_miss};
use crate::endpoint::Resolved;
use crate::engine::Engine;
use crate::hash::combine;
use crate::object::{self, Lesson, Visit};
use crate::profiles::Feature;
use crate::record::{Method, RecordHead, RequestRecord, flags};
use crate::role::{self, Role};
use crate::slots::Slots;
use crate::target::Said;

pub(crate) use login::login_slot;
use member::Attempt;
pub(crate) use standing::Standing;

/// What happened. Worked out once for each record; the detectors then hold it against each source.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// What it says about scanning.
    pub contact: Contact,
    /// What it was in contact with: the path, and the query if that is an attack.
    pub contact_key: u64,
    /// What it says about logging in.
    pub login: Login,
    /// A path of a programming interface.
    pub interface: bool,
    /// The login seems to fail for people, too.
    pub login_outage: bool,
    /// Role of the endpoint.
    pub role: Role,
    /// Key of the path template.
    pub template: u64,
    /// Hash of application and path.
    pub path_key: u64,
    /// A request for an object or a page of a kind, if it was served.
    pub visit: Option<Visit>,
    /// An object that the request does something to, or asks a part of, if it was served.
    pub touched: Option<Visit>,
    /// The number that was asked for is a place in a list, or a moment, and no object.
    pub place: bool,
    /// An object that was refused (401, 403, 404): its group and number.
    pub refused: Option<(u64, Option<u64>)>,
    /// The request made something, and the answer says so (201).
    pub makes: bool,
    /// A request that changes something: POST or PUT.
    pub post: bool,
    /// The answer was a success, and no way of saying no.
    pub accepted: bool,
    /// It looks like part of an attack from many sources that is on: the evidence at which its source
    /// starts, nats.
    pub member: Option<f32>,
    /// A form that was sent sooner than a person can fill it in.
    pub hasty_form: bool,
    /// A page that people visit.
    pub page: bool,
    /// A file that a page pulls in.
    pub asset: bool,
    /// The request shows who makes it: a session or a credential.
    pub authenticated: bool,
    /// A crawler that asked for robots.txt and does not hurry.
    pub polite: bool,
    /// The User-Agent says that it is a crawler.
    pub crawler: bool,
    /// A program that says so, asked for the sitemap and does not hurry.
    pub invited: bool,
    /// A program that says so, does not hurry and did not come by a link: somebody gave it a list.
    pub listed: bool,
    /// Objects that the answer may name: those of a list.
    pub names: u16,
    /// The application is known to have several people with sessions or credentials.
    pub peopled: bool,
    /// The first request of its client.
    pub new_client: bool,
    /// Monotonic milliseconds when half of the learning was done.
    pub learned_ms: u64,
    /// The object that was asked for, if it is private or may be.
    pub private_object: Option<u64>,
    /// The feature of a habit that the record belongs to, and its template.
    pub habit: (Feature, u64),
    /// The detectors that it concerns: a bit for each threat.
    pub threats: u8,
    /// The null of the habit that the record belongs to, and that of the application.
    pub null: Option<(f32, f32)>,
}

impl Engine<'_> {
    /// What happened, from the record and what is known of the application. A source that is not
    /// suspicious teaches.
    #[inline(never)]
    pub(crate) fn facts(
        &mut self,
        record: &RequestRecord<'_>,
        mut said: Said<'_>,
        keys: &Keys,
        slots: &Slots,
        standing: &Standing,
        role: Role,
    ) -> Facts {
        let (head, address, path_key) = (&record.head, keys.address, keys.path_key);
        let slots = [slots.client, slots.address];
        let served = (200..300).contains(&head.status) || head.status == 304;
        let teacher = (served && standing.teaches).then_some(address);
        let endpoint = self.endpoints.resolve(
            head.application,
            (said.target, record.path),
            teacher,
            head.time_ms,
        );
        let contact = self.contact(record, &mut said, &endpoint, keys, standing);
        let target = &*said.target;
        let (login, login_outage) = self.login(record, target.looks, role, keys, standing);
        let page = role::is_page(record, target.looks);
        let hasty_form = self.hasty_form(record, role, page, slots);
        let accepted = accepted(record, role);
        let attempt = Attempt { role, login, accepted, hasty_form };
        let interface = target.looks.is_interface();
        let member =
            if login_outage { None } else { self.member(record, slots, attempt, interface) };
        let read = record.is(Method::Get) && !matches!(role, Role::Static | Role::Login);
        let named = read.then(|| object::number(target.number, record.query, &endpoint)).flatten();
        let (number, place) = (named.map(|it| it.number), named.is_some_and(|it| it.place));
        let collected = read && (endpoint.object || page || number.is_some());
        let visit = (collected && served)
            .then(|| self.visit(record, &endpoint, number, keys, standing).of(role));
        // What was served to others and now fails, fails for everybody.
        let refused = collected
            && endpoint.object
            && matches!(head.status, 401 | 403 | 404)
            && role != Role::Catalog
            && self.served.others(path_key, address) < 2;
        Facts {
            contact,
            contact_key: match contact {
                Contact::Payload => self.with_query(path_key, record),
                _ => self.looked_for(record, target, contact).unwrap_or(path_key),
            },
            login,
            interface,
            login_outage,
            role,
            member,
            hasty_form,
            template: endpoint.template,
            path_key,
            visit,
            touched: self.touched(record, (said.target, role), &endpoint, keys, standing),
            place,
            refused: refused.then_some((endpoint.group, number)),
            makes: accepted && is_post(record) && head.status == 201,
            post: is_post(record),
            accepted,
            page,
            asset: role == Role::Static,
            authenticated: shows(record),
            polite: standing.polite,
            crawler: standing.agent.crawler,
            invited: standing.invited,
            listed: standing.listed && !record.has(flags::REFERER),
            names: names(record, interface || visit.is_some(), &endpoint),
            peopled: false,
            new_client: standing.new_client,
            learned_ms: standing.learned_ms,
            private_object: None,
            habit: (Feature::Requests, 0),
            threats: 0,
            null: None,
        }
    }

    /// Takes in a request for an object. While the application is learned, how popular the object is
    /// says nothing yet.
    fn visit(
        &mut self,
        record: &RequestRecord<'_>,
        endpoint: &Resolved,
        number: Option<u64>,
        keys: &Keys,
        standing: &Standing,
    ) -> Visit {
        let head = &record.head;
        let key = combine(keys.path_key, number.unwrap_or(0));
        let owner = owner(record, keys.address);
        let Standing { ready, teaches, binds, few, .. } = *standing;
        let binds = teaches && binds;
        let lesson = Lesson { learned: ready, teaches, binds, shown: shows(record), few };
        let mut visit =
            self.objects.visit(endpoint.group, key, number, owner, lesson, head.time_ms);
        if asks_for_itself(record) {
            // A page of its own for each question; how popular it is, its path and number say.
            visit.key = self.with_query(visit.key, record);
        }
        visit
    }

    /// A key, and the query of a record.
    #[inline(never)]
    fn with_query(&self, key: u64, record: &RequestRecord<'_>) -> u64 {
        combine(key, self.config.seed.table(record.query))
    }

    /// Whether a registration or a post was sent sooner after its form than a person can fill it in.
    fn hasty_form(
        &mut self,
        record: &RequestRecord<'_>,
        role: Role,
        page: bool,
        slots: [Option<usize>; 2],
    ) -> bool {
        if !matches!(role, Role::Registration | Role::Content) {
            return false;
        }
        let now_ms = record.head.time_ms;
        let mut hasty = false;
        for slot in slots.into_iter().flatten() {
            let source = self.sources.get_mut(slot);
            if is_post(record) {
                let asked_ms = core::mem::take(&mut source.form_ms);
                // A little out of order, it has been asked for just now.
                let since_ms = (now_ms as u32).wrapping_sub(asked_ms);
                hasty |= asked_ms != 0 && (since_ms <= HASTY_FORM_MS || since_ms > LATER_MS);
            } else if page {
                // Messages that a program fetches are no form.
                source.form_ms = (now_ms as u32).max(1);
            }
        }
        hasty
    }

    /// What the request says about scanning; a source that teaches adds to what is served and missed.
    fn contact(
        &mut self,
        record: &RequestRecord<'_>,
        said: &mut Said<'_>,
        endpoint: &Resolved,
        keys: &Keys,
        standing: &Standing,
    ) -> Contact {
        let (head, address, path_key) = (&record.head, keys.address, keys.path_key);
        let miss = is_miss(head.status)
            .then(|| said.target.missed(record.path, &self.patterns, self.config.seed));
        let context = vulnerability_scanning::Context {
            patterns: &self.patterns,
            attack: said.target.attack || said.query || said.agent.attack,
            miss,
            served: &self.served,
            missed: &self.missed,
            path_key,
            missed_key: miss.map_or(0, |miss| combine(head.application, miss.name)),
            referer_key: match head.referer_hash {
                0 => 0,
                hash => combine(head.application, hash),
            },
            address,
            fallback: self.is_fallback(record, path_key, address),
            maps: miss.is_some() && self.maps_served(record),
            alike: miss.is_some() && self.lies_elsewhere(record, said.target),
        };
        let missed_key = context.missed_key;
        let contact =
            vulnerability_scanning::classify(&context, record, said.target.looks, endpoint);
        // A name that only attacks use does not become harmless because many attack.
        let taught = if matches!(contact, Contact::Probe | Contact::Payload) {
            standing.vouched
        } else {
            true
        };
        if standing.teaches && contact == Contact::Served {
            self.served.insert(path_key, address);
            if !endpoint.known {
                self.lies_here(record, said.target, path_key);
            }
            if is_front(record) {
                self.served.insert(size_key(head), address);
            }
        } else if miss.is_some() && taught {
            self.missed.insert(missed_key, address);
        }
        contact
    }
}

impl Engine<'_> {
    /// Whether the answer is the front page, of a size that it had, to a path that hardly anybody asked for:
    /// what applications answer that leave all names to the browser.
    fn is_fallback(&self, record: &RequestRecord<'_>, path_key: u64, address: u64) -> bool {
        let head = &record.head;
        let page = head.status == 200 && (record.has(flags::HTML) || record.has(flags::FROM_LOG));
        page && record.path != b"/"
            && self.served.others(path_key, address) < 2
            && self.served.others(size_key(head), 0) > 0
    }
}

/// A page with a question to it, and not a piece of one that a page asks for while somebody types.
fn asks_for_itself(record: &RequestRecord<'_>) -> bool {
    let inside = record.has(flags::SAME_SITE_REFERER) && !record.has(flags::ACCEPTS_HTML);
    !record.query.is_empty() && record.has(flags::HTML) && !inside
}

/// The front page, as people see it.
fn is_front(record: &RequestRecord<'_>) -> bool {
    record.path == b"/" && record.head.status == 200 && record.head.response_bytes > 0
}

/// Marks, among what was served, that the front page had this size.
fn size_key(head: &RecordHead) -> u64 {
    combine(combine(head.application, head.response_bytes), FRONT)
}

const FRONT: u64 = 0x6672_6f6e_7470;

/// Whether a request shows who makes it.
pub(crate) fn shows(record: &RequestRecord<'_>) -> bool {
    record.has(flags::AUTHORIZATION) || record.head.session != 0
}

/// Whose an object is that a request asks for: the session's, the credential's, the client's.
pub(crate) fn owner(record: &RequestRecord<'_>, address: u64) -> u64 {
    let head = &record.head;
    match (head.session, head.credential) {
        (0, 0) => combine(address, head.fingerprint),
        (0, credential) => credential,
        (session, _) => session,
    }
}

/// Bytes of a list, for each object that it names, at the least.
const NAMED_BYTES: u64 = 8;

/// Objects that an answer may name: `content` says whether it is one that may be a list.
fn names(record: &RequestRecord<'_>, content: bool, endpoint: &Resolved) -> u16 {
    let served = record.head.status == 200 && record.is(Method::Get);
    let list = served && content && !endpoint.object;
    let objects = if list { record.head.response_bytes / NAMED_BYTES } else { 0 };
    u16::try_from(objects).unwrap_or(u16::MAX)
}

/// Forms sent sooner than this were not filled in by hand.
const HASTY_FORM_MS: u32 = 2000;
/// Beyond, one moment is before another rather than after it.
const LATER_MS: u32 = u32::MAX - 60_000;

/// Whether the answer says yes: as the configuration has it, else as answers do.
fn accepted(record: &RequestRecord<'_>, role: Role) -> bool {
    let usual = match record.head.status {
        200..=299 | 304 => true,
        300..=399 => !refuses(record, role),
        _ => false,
    };
    record.has(flags::SUCCEEDED) || usual && !record.has(flags::FAILED)
}

/// Whether a redirect is a form's way of saying no. Who posts a comment is led back to what was
/// commented on.
fn refuses(record: &RequestRecord<'_>, role: Role) -> bool {
    role != Role::Content && record.has(flags::REDIRECTS_BACK)
}

fn is_post(record: &RequestRecord<'_>) -> bool {
    record.is(Method::Post) || record.is(Method::Put)
}
