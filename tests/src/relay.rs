//! A TCP relay that gives a program a source address and a round trip.
//!
//! gobuster and hydra cannot be told a source address, and loopback answers in microseconds, which
//! no attacker on the Internet ever sees: how many requests are under way when the conviction falls
//! depends on the round trip. Bytes are delayed half of it each way, in order, with jitter; a
//! connection costs one round trip more, as TCP's handshake does.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::connect;
use crate::random::Random;

/// Pieces under way in one direction; more wait in the socket, as in a real network.
const IN_FLIGHT: usize = 256;

/// A relay that listens on a port of its own until it is dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where the program is to connect to.
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug)]
struct Route {
    from: Ipv4Addr,
    to: SocketAddr,
    round_trip: Duration,
}

impl Relay {
    /// Relays to `to`, from the address `from`, over this round trip.
    pub fn start(to: SocketAddr, from: Ipv4Addr, round_trip: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, route) = (Arc::clone(&stop), Route { from, to, round_trip });
        let connections = AtomicU64::new(0);
        thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let seed = connections.fetch_add(1, Ordering::Relaxed);
                if let Ok(client) = client {
                    // A connection that fails is the program's to notice: it sees it closed.
                    thread::spawn(move || drop(carry(&client, route, seed)));
                }
            }
        });
        Ok(Self { address, stop })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The listener is waiting for a connection: give it one, so that it looks.
        drop(TcpStream::connect(self.address));
    }
}

fn carry(client: &TcpStream, route: Route, seed: u64) -> io::Result<()> {
    client.set_nodelay(true)?;
    thread::sleep(route.round_trip);
    let server = connect(Some(route.from), route.to)?;
    let (back_from, back_to) = (server.try_clone()?, client.try_clone()?);
    let half = route.round_trip / 2;
    let back = thread::spawn(move || pump(back_from, back_to, half, seed * 2 + 1));
    pump(client.try_clone()?, server, half, seed * 2);
    back.join().map_err(|_| io::Error::other("the way back failed"))
}

/// Carries bytes one way until the end of the stream, each piece `delay` late.
fn pump(mut from: TcpStream, to: TcpStream, delay: Duration, seed: u64) {
    let (sender, pieces) = sync_channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let late = thread::spawn(move || deliver(&pieces, to));
    let mut random = Random::new(seed);
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let jitter = 0.9 + 0.2 * random.within(0..1000) as f64 / 1000.0;
        if sender.send((Instant::now() + delay.mul_f64(jitter), buffer[..length].to_vec())).is_err()
        {
            break;
        }
    }
    drop(sender);
    // A panic there is a lost connection, no more.
    let _ = late.join();
}

fn deliver(pieces: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    for (due, piece) in pieces {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&piece).is_err() {
            // Nobody reads there any more: stop the reader of this direction, too.
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_whole_late_and_from_the_address() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        let from = Ipv4Addr::new(127, 1, 2, 3);
        let relay = Relay::start(to, from, Duration::from_millis(40)).unwrap();
        let echo = thread::spawn(move || {
            let (mut stream, peer) = listener.accept().unwrap();
            let mut text = Vec::new();
            stream.read_to_end(&mut text).unwrap();
            stream.write_all(&text).unwrap();
            peer
        });
        let begun = Instant::now();
        let mut stream = TcpStream::connect(relay.address).unwrap();
        let text = vec![7; 300_000];
        stream.write_all(&text).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, text);
        assert!(begun.elapsed() >= Duration::from_millis(76), "{:?}", begun.elapsed());
        assert_eq!(echo.join().unwrap().ip(), from);
    }
}
