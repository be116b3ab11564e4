//! Real processes over a real shared mapping, killed with SIGKILL at arbitrary instructions.
//!
//! The test binary starts itself again as the process to be killed: the test `victim` does nothing
//! unless the environment says which part to play. Nothing sleeps for time's sake; the parent
//! waits until the victim has done something and kills it wherever it then is.
#![cfg(not(any(loom, miri)))]
#![allow(unsafe_code, clippy::unwrap_used, clippy::panic)]

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use api_abuse_shm::{
    Answer, Batch, Command as Wish, DenyEntry, DenyKey, Geometry, Inserted, Outcome, Progress, Zone,
};

const ROLE: &str = "API_ABUSE_SHM_ROLE";
const FILE: &str = "API_ABUSE_SHM_FILE";
const SEED: [u64; 2] = [0x1234, 0x5678];
const GEOMETRY: Geometry = Geometry {
    lanes: 2,
    lane_words: 1 << 10,
    denylist_slots: 1 << 10,
    incident_slots: 8,
    incident_words: 64,
    application_slots: 4,
    application_words: 16,
    engine_bytes: 4096,
};
const KILLS: u64 = 40;
/// Denials that lie in the list before anybody is killed; the victims write a hundred others. So it is
/// nearly full, and most of what they write makes others move.
const KEPT: u64 = 900;
const NOW: u64 = 1_000;

/// A file in shared memory, removed at the end.
struct Shared {
    path: PathBuf,
    zone: Zone,
}

impl Shared {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let shm = Path::new("/dev/shm");
        let directory = if shm.is_dir() { shm.to_path_buf() } else { std::env::temp_dir() };
        let path = directory.join(format!("api-abuse-shm-{}-{number}", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(GEOMETRY.bytes() as u64).unwrap();
        let base = map(&file);
        // SAFETY: a fresh file is all zero, and is never unmapped; only zones of this test use it.
        let zone = unsafe { Zone::create(base, GEOMETRY.bytes(), &GEOMETRY, SEED) }.unwrap();
        Self { path, zone }
    }

    fn spawn(&self, role: &str) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "victim", "--nocapture"])
            .env(ROLE, role)
            .env(FILE, &self.path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Nothing more can be done about a file that stays.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn map(file: &File) -> NonNull<u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let (len, fd) = (GEOMETRY.bytes(), file.as_raw_fd());
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
    let base =
        unsafe { libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, fd, 0) };
    assert_ne!(base, libc::MAP_FAILED);
    NonNull::new(base.cast()).unwrap()
}

/// Waits, busily, until `happened` or ten seconds have passed.
fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !happened() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// Kills with SIGKILL and waits, so that the pid is free.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The process to be killed. As a test of its own it does nothing.
#[test]
fn victim() {
    let Ok(role) = std::env::var(ROLE) else { return };
    // SAFETY: asks to be killed when the test that started us ends, also by a failure.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let path = std::env::var_os(FILE).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    // SAFETY: the parent made the zone before it started us; nothing unmaps it.
    let zone = unsafe { Zone::open(map(&file), GEOMETRY.bytes()) }.unwrap();
    match role.as_str() {
        "produce" => produce(&zone),
        "detect" => detect(&zone),
        "read" => read(&zone),
        "serve" => serve(&zone),
        "ask" => ask(&zone, true),
        "ask beside" => ask(&zone, false),
        other => panic!("no role {other}"),
    }
}

fn produce(zone: &Zone) {
    let producer = zone.claim_lane(std::process::id()).unwrap();
    let pid = u64::from(std::process::id());
    for i in 0.. {
        let message = message(pid, i);
        while !producer.push(&message) {
            std::thread::yield_now();
        }
    }
}

/// Pid, number, and as many repetitions of the number as follow from it.
fn message(pid: u64, i: u64) -> Vec<u64> {
    let mut message = vec![i; 3 + (i % 50) as usize];
    message[0] = pid;
    message
}

fn detect(zone: &Zone) {
    let mut guard = zone.lease().try_acquire(NOW).unwrap().unwrap();
    let recovered = guard.recovered();
    let mut writers = guard.split();
    if recovered {
        writers.denylist.repair();
    }
    for i in 0.. {
        let entry = entry(KEPT + i % 100, i);
        if i % 7 == 0 {
            writers.denylist.remove(&entry.key);
        } else {
            writers.denylist.insert(&entry, NOW);
        }
        writers.incidents.write((i % 8) as usize, &[i; 64]);
        writers.engine.fill(i as u8);
        zone.counters().detector_heartbeat_ms.store(i, Ordering::Relaxed);
    }
}

/// An entry whose fields follow from its key and version, so that half of another one shows.
fn entry(n: u64, version: u64) -> DenyEntry {
    DenyEntry {
        key: DenyKey { application: n ^ 0xabc, kind: 1, network: n, discriminator: !n },
        threat: version as u8,
        action: version as u8 & 15,
        confidence: 50,
        incident: version,
        expires_ms: NOW + 1 + version,
        ttl_ms: 1 + version,
        hits: version as u32,
    }
}

/// Reads until the zone says that it is over; a torn read ends the process with a failure.
fn read(zone: &Zone) {
    let counters = zone.counters();
    let (mut words, mut whole) = ([0; 64], 0_u64);
    while counters.detector_disabled.load(Ordering::Relaxed) == 0 {
        for n in 0..KEPT + 100 {
            let found = zone.denylist().find(&entry(n, 0).key, NOW);
            if let Some(found) = found {
                assert_eq!(found, entry(n, found.incident));
                whole += 1;
            }
            assert!(found.is_some() || n >= KEPT, "{n} was never removed");
        }
        for slot in 0..8 {
            if zone.incidents().read(slot, &mut words) {
                assert_eq!(words, [words[0]; 64]);
                whole += 1;
            }
        }
        counters.sources_live.store(whole, Ordering::Relaxed);
    }
    assert!(whole > 0);
}

#[test]
fn a_killed_producer_leaves_whole_messages_and_its_lane() {
    let shared = Shared::new();
    let zone = shared.zone;
    let mut guard = zone.lease().try_acquire(NOW).unwrap().unwrap();
    let mut consumer = guard.split().consumer;
    let mut batch = Batch::default();
    let mut records = 0;
    // One lane stays ours, so every victim but the first has to take over the other from the dead.
    let _mine = zone.claim_lane(std::process::id()).unwrap();
    for kill_number in 0..KILLS {
        let child = shared.spawn("produce");
        let pid = u64::from(child.id());
        let mut next = 0;
        let mut check = |batch: &Batch| {
            for words in batch.messages() {
                assert_eq!(words, message(pid, next));
                next += 1;
            }
        };
        let enough = zone.lane_totals().consumed + 100 + kill_number * 7;
        wait_until("production", || {
            consumer.drain(&mut batch, 64);
            check(&batch);
            zone.lane_totals().consumed >= enough
        });
        kill(child);
        while consumer.drain(&mut batch, 64) > 0 {
            check(&batch);
        }
        records += next;
    }
    let totals = zone.lane_totals();
    assert_eq!((totals.garbage, totals.queued_words, totals.consumed), (0, 0, records));
    // A kill between a tail and its count leaves the count one short.
    assert!(totals.pushed <= records && totals.pushed + KILLS >= records);
    assert!(records >= KILLS * 100, "{records} records");
    assert_eq!(totals.claimed, 2, "ours and the last victim's");
    println!("{KILLS} producers killed, {records} records whole and in order");
}

#[test]
fn a_killed_detector_is_followed_at_once_and_loses_no_denial() {
    let shared = Shared::new();
    let zone = shared.zone;
    {
        let mut guard = zone.lease().try_acquire(NOW).unwrap().unwrap();
        let mut denylist = guard.split().denylist;
        for n in 0..KEPT {
            assert_eq!(denylist.insert(&entry(n, n), NOW), Inserted::New);
        }
    }
    let mut reader = shared.spawn("read");
    let counters = zone.counters();
    wait_until("reading", || counters.sources_live.load(Ordering::Relaxed) > 0);
    let (mut torn, mut tags, mut twice, mut slowest) = (0, 0, 0, Duration::ZERO);
    for kill_number in 0..KILLS {
        counters.detector_heartbeat_ms.store(0, Ordering::Relaxed);
        let mut child = shared.spawn("detect");
        let turns = 50 + kill_number * 13;
        wait_until("detection", || {
            assert!(reader.try_wait().unwrap().is_none(), "the reader saw something torn");
            counters.detector_heartbeat_ms.load(Ordering::Relaxed) > turns
        });
        assert!(zone.lease().try_acquire(NOW).unwrap().is_none(), "held");
        assert_eq!(zone.lease().holder(), Some(child.id()));
        let killed = Instant::now();
        child.kill().unwrap();
        let mut taken = None;
        wait_until("takeover", || {
            taken = zone.lease().try_acquire(NOW + kill_number).unwrap();
            taken.is_some()
        });
        slowest = slowest.max(killed.elapsed());
        let mut guard = taken.unwrap();
        assert!(guard.recovered());
        let mut writers = guard.split();
        let repaired = writers.denylist.repair();
        torn += repaired.torn;
        tags += repaired.tags;
        twice += repaired.twice;
        for n in 0..KEPT {
            assert_eq!(zone.denylist().find(&entry(n, 0).key, NOW), Some(entry(n, n)));
        }
        let mut keys = HashSet::new();
        for found in zone.denylist().iter(NOW) {
            assert!(keys.insert(found.key), "twice in the list");
            assert_eq!(found, entry(found.key.network, found.incident));
        }
        // Whatever the victim was writing can be written again.
        for slot in 0..8 {
            assert!(writers.incidents.write(slot, &[kill_number; 64]));
        }
        assert_ne!(writers.denylist.insert(&entry(KEPT, 1), NOW), Inserted::Full);
        drop(guard);
        child.wait().unwrap();
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert_eq!(zone.lease().takeovers(), KILLS);
    assert_eq!(zone.lease().takeovers_since(NOW + KILLS - 5), 5);
    let whole = counters.sources_live.load(Ordering::Relaxed);
    counters.detector_disabled.store(1, Ordering::Relaxed);
    assert!(reader.wait().unwrap().success(), "the reader saw something torn");
    assert!(whole > KILLS, "{whole}");
    println!(
        "{KILLS} detectors killed, slowest takeover {slowest:?}, {torn} entries and {tags} tags \
         repaired, {twice} moves ended, {whole} whole reads"
    );
}

/// Answers every command until it is killed; what the answer says follows from the command.
fn serve(zone: &Zone) {
    let mut guard = loop {
        if let Some(guard) = zone.lease().try_acquire(NOW).unwrap() {
            break guard;
        }
        std::thread::yield_now();
    };
    let commands = guard.split().commands;
    loop {
        commands.serve(|words| {
            let Some(Wish::Extend { key, ttl_ms }) = Wish::from_words(words) else {
                panic!("half a command: {words:?}");
            };
            assert_eq!((key.application, key.discriminator), (key.network ^ 0xabc, !key.network));
            let (entries, grace_ms) = (key.network, key.network.wrapping_mul(3));
            Answer { outcome: Outcome::Done, entries, expires_ms: ttl_ms, grace_ms }.to_words()
        });
    }
}

/// Asks until it is killed, and wants the answer to its own question each time. Who sleeps while the
/// other asks a thousand times may have lost the answer, as nobody in an NGINX does, and asks the next.
fn ask(zone: &Zone, counts: bool) {
    let pid = std::process::id();
    let mut answered = 0;
    for i in 0_u64.. {
        let n = u64::from(pid) << 32 | i;
        let wish = Wish::Extend { key: entry(n, 0).key, ttl_ms: !n };
        let ticket = loop {
            if let Some(ticket) = zone.submit(pid, &wish) {
                break ticket;
            }
            std::thread::yield_now();
        };
        let words = loop {
            match zone.commands().poll(ticket) {
                Progress::Waiting => std::thread::yield_now(),
                Progress::Answered(words) => break Some(words),
                Progress::Gone => break None,
            }
        };
        let Some(words) = words else { continue };
        let (entries, grace_ms) = (n, n.wrapping_mul(3));
        let expected = Answer { outcome: Outcome::Done, entries, expires_ms: !n, grace_ms };
        assert_eq!(Answer::from_words(&words), Some(expected));
        answered += 1;
        if counts {
            zone.counters().sources_live.store(answered, Ordering::Relaxed);
        }
    }
}

#[test]
fn killed_workers_and_holders_leave_the_command_lane_in_order() {
    let shared = Shared::new();
    let zone = shared.zone;
    let mut asker = shared.spawn("ask");
    let answered = || zone.counters().sources_live.load(Ordering::Relaxed);
    for kill_number in 0..KILLS {
        let server = shared.spawn("serve");
        // More of them die than there are slots.
        let beside = shared.spawn("ask beside");
        let enough = answered() + 10 + kill_number;
        wait_until("answers", || {
            assert!(asker.try_wait().unwrap().is_none(), "an answer was wrong");
            answered() >= enough
        });
        kill(beside);
        assert_eq!(zone.lease().holder(), Some(server.id()));
        kill(server);
    }
    println!("{KILLS} holders and {KILLS} workers killed, {} answers", answered());
    kill(asker);
}
