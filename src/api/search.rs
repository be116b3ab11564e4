//! What `q` finds.

use api_abuse_engine::Cidr;
use api_abuse_engine::source::{SourceKey, SourceKind, address_of, network_of};

use super::problem::Problem;
use super::query::Query;
use crate::text;

/// What is searched for.
#[derive(Debug)]
pub(super) enum Search {
    Everything,
    /// Sources in a network, or the one of an address.
    Network(Cidr),
    /// In lower case.
    Text(String),
}

impl Search {
    pub(super) fn of(query: &Query) -> Result<Self, Problem> {
        Ok(match query.search()? {
            None => Self::Everything,
            Some(text) => text.parse().map_or(Self::Text(text), Self::Network),
        })
    }

    /// Whether it finds this source, or the incident of this number.
    pub(super) fn finds(&self, key: SourceKey, incident: Option<u64>) -> bool {
        let has_address = key.kind != SourceKind::Session;
        match self {
            Self::Everything => true,
            Self::Network(network) => {
                let address = address_of(key.network).octets();
                let holds = network.contains(address)
                    || network.is_source() && network_of(network.first().octets()) == key.network;
                has_address && holds
            }
            Self::Text(text) => {
                let hash = key.kind != SourceKind::Address;
                has_address && text::address(key.network).contains(text)
                    || hash && format!("{:016x}", key.discriminator).starts_with(text)
                    || incident.is_some_and(|id| text::incident(id).starts_with(text))
            }
        }
    }
}
