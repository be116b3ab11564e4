//! Where a client says that it comes from.

use api_abuse_engine::record::flags;

use crate::ffi::request::{KnownHeader, Request};

/// Where the client says that it comes from.
pub(super) enum Referer<'r> {
    None,
    /// Another site, or nothing that looks like a URL.
    Elsewhere,
    /// A page of this host, with its path.
    Here(&'r [u8]),
}

impl<'r> Referer<'r> {
    pub(super) fn of(request: &'r Request<'_>) -> Self {
        let Some(referer) = request.header(KnownHeader::Referer) else { return Self::None };
        let url = [b"https://".as_slice(), b"http://"]
            .into_iter()
            .find_map(|scheme| referer.strip_prefix(scheme));
        let Some(url) = url else { return Self::Elsewhere };
        let own = request.header(KnownHeader::Host).unwrap_or_default();
        let Some((host, rest)) = url.split_at_checked(own.len()) else { return Self::Elsewhere };
        let ends = matches!(rest.first(), None | Some(b'/' | b'?' | b'#'));
        // Mostly it is written as the client always writes it.
        if own.is_empty() || !ends || host != own && !host.eq_ignore_ascii_case(own) {
            return Self::Elsewhere;
        }
        let end = rest.iter().position(|byte| matches!(byte, b'?' | b'#'));
        let path = &rest[..end.unwrap_or(rest.len())];
        Self::Here(if path.is_empty() { b"/" } else { path })
    }

    pub(super) fn path(&self) -> Option<&'r [u8]> {
        match self {
            Self::Here(path) => Some(path),
            Self::None | Self::Elsewhere => None,
        }
    }

    pub(super) fn flags(&self) -> u32 {
        match self {
            Self::None => 0,
            Self::Elsewhere => flags::REFERER,
            Self::Here(_) => flags::REFERER | flags::SAME_SITE_REFERER,
        }
    }
}
