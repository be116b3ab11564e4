//! Ports that tests share with whatever else runs on the machine.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// An address that no test listens on: whoever holds a port there owns it on all the others.
const GATE: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 253);

/// A port that nothing listens on and that no other test, of this run or of another, is given while
/// this is held: also not between the end of an NGINX and its start.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    _gate: TcpListener,
}

impl Port {
    /// Below the range that the kernel takes outgoing ports from, so that no connection of a client
    /// takes it between now and the moment when NGINX binds it.
    pub(crate) fn reserve() -> io::Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let start = (std::process::id() % 500) as u16 * 20;
        for _ in 0..2000 {
            let next = NEXT.fetch_add(1, Ordering::Relaxed) % 10_000;
            let number = 20_000 + (start + next) % 10_000;
            let Ok(gate) = TcpListener::bind((GATE, number)) else { continue };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _gate: gate });
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }
}
