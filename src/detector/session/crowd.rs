//! Whether the clients of an application can be told apart at all: behind a proxy without realip, all of
//! them have one address.

use api_abuse_engine::record::RequestRecord;
use api_abuse_engine::source::{is_loopback, network_of};
use api_abuse_engine::tables::APPLICATIONS;

use crate::snapshot::{LOOPBACK_ONLY, ONE_ADDRESS};

/// Requests before anything is said, and fingerprints that many clients have at least.
const ENOUGH: u64 = 500;
const FINGERPRINTS: u32 = 3;
/// Counts are halved here, so that what was put right is forgotten.
const WINDOW: u64 = 4000;

/// The requests of one application. The address is the one that may be in the majority, by the algorithm
/// of Boyer and Moore (1981): `lead` is by how many requests it is ahead of all others. With a share
/// of 99 % that is 98 % of the requests.
#[derive(Debug, Default)]
struct Crowd {
    application: u64,
    requests: u64,
    network: u64,
    loopback: bool,
    lead: u64,
    /// One bit of 64 for each fingerprint.
    fingerprints: u64,
}

/// Those of all applications. They begin anew with each holder of the lease.
#[derive(Debug, Default)]
pub(super) struct Crowds(Vec<Crowd>);

impl Crowds {
    /// Takes in a request.
    pub(super) fn see(&mut self, record: &RequestRecord<'_>) {
        let head = &record.head;
        let known = self.0.iter().position(|crowd| crowd.application == head.application);
        let at = known.unwrap_or(self.0.len());
        if at >= APPLICATIONS || head.address == [0; 16] {
            return;
        }
        if known.is_none() {
            self.0.push(Crowd { application: head.application, ..Crowd::default() });
        }
        let crowd = &mut self.0[at];
        let network = network_of(head.address);
        if crowd.lead == 0 {
            (crowd.network, crowd.loopback) = (network, is_loopback(head.address));
        }
        crowd.lead = if network == crowd.network { crowd.lead + 1 } else { crowd.lead - 1 };
        crowd.requests += 1;
        crowd.fingerprints |= 1 << (head.fingerprint >> 58);
        if crowd.requests >= WINDOW {
            (crowd.requests, crowd.lead) = (crowd.requests / 2, crowd.lead / 2);
        }
    }

    /// What looks wrong about an application, as bits.
    pub(super) fn notes(&self, application: u64, deny_loopback: bool) -> u64 {
        let crowd = self.0.iter().find(|crowd| crowd.application == application);
        let alone = crowd.filter(|crowd| {
            crowd.requests >= ENOUGH
                && crowd.fingerprints.count_ones() >= FINGERPRINTS
                && crowd.lead * 100 >= crowd.requests * 98
        });
        alone.map_or(0, |crowd| match (crowd.loopback, deny_loopback) {
            (false, _) => ONE_ADDRESS,
            (true, false) => LOOPBACK_ONLY,
            (true, true) => 0,
        })
    }
}
