//! The threads beside NGINX's own: they take no signal, no processor that NGINX needs, hardly any time
//! when there is nothing to do, and there are none where nothing is to be detected. And detectors that
//! die again and again.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use api_abuse_tests::attack::{Attacker, probe};
use api_abuse_tests::eventually;
use api_abuse_tests::nginx::{Nginx, Site};
use api_abuse_tests::sites::{attacker, guarded_files, neighbour};

const PATIENCE: Duration = Duration::from_secs(60);
const DETECTOR: &str = "abuse-detector";
const HOUSEKEEPING: &str = "abuse-house";

/// A thread of a process: its name and what the kernel says of it.
struct Thread {
    name: String,
    directory: String,
}

impl Thread {
    fn of(pid: u32) -> Vec<Self> {
        let all = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let directories = all.map(|thread| thread.path().display().to_string());
        directories
            .map(|directory| {
                let name = fs::read_to_string(format!("{directory}/comm")).unwrap_or_default();
                Self { name: name.trim().to_owned(), directory }
            })
            .collect()
    }

    /// A line of `status`, without its name.
    fn status(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("{}/status", self.directory)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name}: {status}")).trim().to_owned()
    }

    fn nice(&self) -> i32 {
        let stat = fs::read_to_string(format!("{}/stat", self.directory)).unwrap();
        let fields = stat.rsplit(')').next().unwrap();
        fields.split_whitespace().nth(16).unwrap().parse().unwrap()
    }

    /// Nanoseconds that it ran.
    fn ran(&self) -> u64 {
        let text = fs::read_to_string(format!("{}/schedstat", self.directory)).unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    }
}

fn named<'t>(threads: &'t [Thread], name: &str) -> &'t Thread {
    let found = threads.iter().find(|thread| thread.name == name);
    found.unwrap_or_else(|| panic!("no thread {name}"))
}

/// Bits of all signals but ILL, BUS, FPE and SEGV, and of the two that the C library keeps to itself.
fn is_everything_but_faults(mask: &str) -> bool {
    let bit = |signal: u32| 1_u64 << (signal - 1);
    let faults = bit(4) | bit(7) | bit(8) | bit(11);
    let unmaskable = bit(9) | bit(19) | bit(32) | bit(33);
    u64::from_str_radix(mask, 16).unwrap() | unmaskable == !faults
}

#[test]
fn threads_leave_signals_and_processors_to_nginx() {
    let nginx = guarded_files().main("worker_cpu_affinity 01 01;").start();
    let detecting = detecting_worker(&nginx);
    for pid in nginx.worker_pids() {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains("\nCpus_allowed_list:\t0\n"), "{status}");
        if pid != detecting {
            continue;
        }
        // A thread is there before it has its name, and has that before it has given way.
        let mut threads = Vec::new();
        let names = [DETECTOR, HOUSEKEEPING];
        let there = eventually(PATIENCE, || {
            threads = Thread::of(pid);
            names.iter().all(|name| threads.iter().any(|thread| thread.name == *name))
        });
        assert!(there, "{}", threads.len());
        let main = threads.iter().find(|thread| thread.directory.ends_with(&format!("/{pid}")));
        let main = main.unwrap();
        for name in names {
            let thread = named(&threads, name);
            let mask = thread.status("SigBlk");
            assert!(is_everything_but_faults(&mask), "{name}: {mask}");
            let gave_way =
                || thread.nice() > main.nice() && thread.status("Cpus_allowed_list") != "0";
            assert!(eventually(PATIENCE, gave_way), "{name} {}", thread.nice());
        }
        let takes_signals = || main.status("SigBlk").trim_matches('0').is_empty();
        assert!(eventually(PATIENCE, takes_signals), "NGINX takes its signals");
        assert_eq!(main.status("Cpus_allowed_list"), "0");
    }
}

/// The worker that detects, once it is the only one that has threads.
fn detecting_worker(nginx: &Nginx) -> u32 {
    let mut found = None;
    let one = eventually(PATIENCE, || {
        // Who asks has somebody detect, when the one who did has left and no request has come since.
        let detecting = nginx.detecting_pid();
        let workers = nginx.worker_pids().into_iter();
        let all: Vec<_> = workers.filter(|pid| Thread::of(*pid).len() > 1).collect();
        found = all.first().copied().filter(|pid| all.len() == 1 && Thread::of(*pid).len() == 3);
        found.is_some() && detecting == found
    });
    assert!(one, "{found:?}, {:?}: {}", nginx.detecting_pid(), nginx.error_log());
    found.unwrap()
}

/// Whoever detects is killed, told to go, replaced: another worker takes its place, and only one.
#[test]
fn whoever_detects_is_followed_by_one() {
    let nginx = guarded_files().start();
    let next = |before: u32, what: &str| {
        let mut found = before;
        let followed = eventually(PATIENCE, || {
            found = detecting_worker(&nginx);
            found != before
        });
        assert!(followed, "{what}: {}", nginx.error_log());
        found
    };
    let mut host = 0;
    let mut convicts = || {
        host += 1;
        Attacker::new(nginx.address, attacker(host)).scan().denied
    };
    let mut detecting = detecting_worker(&nginx);
    for _ in 0..3 {
        nginx.kill9(detecting);
        detecting = next(detecting, "killed");
        assert!(convicts());
    }
    // It leaves in good order while half a request keeps it alive: NGINX starts none in its place yet.
    let halves: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(nginx.address).unwrap();
            stream.write_all(b"GET /page.html HTTP/1.1\r\n").unwrap();
            stream
        })
        .collect();
    nginx.tell_to_go(detecting);
    detecting = next(detecting, "told to go");
    assert!(convicts());
    drop(halves);
    nginx.reload();
    next(detecting, "replaced");
    assert!(convicts());
}

#[test]
fn only_processes_that_detect_have_threads() {
    let count = |pid: u32| Thread::of(pid).len();
    let mut cached = guarded_files();
    cached.http.insert_str(0, "proxy_cache_path cache keys_zone=c:1m;\n");
    let nginx = cached.start();
    assert!(eventually(PATIENCE, || !nginx.helper_pids().is_empty()));
    assert!(nginx.helper_pids().into_iter().all(|pid| count(pid) == 1), "a cache manager detects");
    assert_eq!(count(nginx.master_pid()), 1);
    // One of the workers, and no other one.
    let detecting = detecting_worker(&nginx);
    let others = || nginx.worker_pids().into_iter().filter(|pid| *pid != detecting);
    assert!(others().count() == 1 && others().all(|pid| count(pid) == 1));
    drop(nginx);
    let mut apart = guarded_files();
    apart.http.insert_str(0, "api_abuse_detector process;\n");
    let nginx = apart.start();
    assert!(eventually(PATIENCE, || nginx.helper_pids().into_iter().any(|pid| count(pid) == 3)));
    assert!(nginx.worker_pids().into_iter().all(|pid| count(pid) == 1));
    drop(nginx);
    // Loaded, and enabled nowhere.
    let nginx = Site::new("server { listen @listen@; api_abuse off; root html; }").start();
    assert!(nginx.worker_pids().into_iter().all(|pid| count(pid) == 1));
}

#[test]
fn a_detector_without_work_takes_next_to_nothing() {
    const IDLE: Duration = Duration::from_secs(2);
    let nginx = guarded_files().start();
    assert!(Attacker::new(nginx.address, attacker(1)).scan().denied);
    let workers = nginx.worker_pids();
    let mut ours = Vec::new();
    let named = eventually(PATIENCE, || {
        ours = workers.iter().flat_map(|pid| Thread::of(*pid)).collect();
        ours.retain(|thread| thread.name.starts_with("abuse-"));
        ours.len() == 2
    });
    assert!(named, "{} threads", ours.len());
    let ran = || ours.iter().map(Thread::ran).collect::<Vec<_>>();
    // There is work left at first: what was learned is written after some seconds. Without any the
    // threads are idle for good, so one look at that is enough.
    let mut shares = Vec::new();
    let idle = eventually(PATIENCE, || {
        let (before, begun) = (ran(), Instant::now());
        thread::sleep(IDLE);
        let (now, took) = (ran(), begun.elapsed().as_nanos() as f64);
        shares = now.iter().zip(before).map(|(now, before)| (now - before) as f64 / took).collect();
        shares.iter().all(|share| *share < 0.002)
    });
    println!("without work, shares of a processor: {shares:?}");
    assert!(idle, "{shares:?}");
}

fn detector_is_up(nginx: &Nginx) -> bool {
    nginx.metrics().total("api_abuse_detector_up") > 0.5
}

#[test]
fn detectors_that_die_again_and_again_are_switched_off_and_requests_are_served() {
    let off = "detection is off until NGINX is reloaded";
    let nginx = guarded_files().expect(off).start();
    assert!(Attacker::new(nginx.address, attacker(1)).scan().denied);
    let mut killed = 0;
    let switched_off = eventually(Duration::from_secs(50), || {
        let victim = nginx.detecting_pid().filter(|pid| nginx.worker_pids().contains(pid));
        if let Some(pid) = victim {
            nginx.kill9(pid);
            killed += 1;
        }
        eventually(Duration::from_millis(300), || nginx.error_log().contains(off))
    });
    println!("switched off after {killed} deaths");
    assert!(switched_off && (5..60).contains(&killed), "{killed}: {}", nginx.error_log());
    assert!(eventually(PATIENCE, || !detector_is_up(&nginx)));
    assert!(eventually(PATIENCE, || nginx.worker_pids().len() == 2));
    // Who was denied is, everybody else is served, and nobody new is convicted.
    let status = |host| nginx.client_from(attacker(host)).send(&probe("/page.html")).unwrap();
    assert_eq!(status(1).status, 403);
    assert_eq!(nginx.client_from(neighbour(1)).get("/page.html").unwrap().status, 200);
    let unseen = Attacker { waits: false, ..Attacker::new(nginx.address, attacker(2)) };
    assert!(!unseen.scan().denied);
    nginx.reload();
    assert!(eventually(PATIENCE, || detector_is_up(&nginx)), "{}", nginx.error_log());
    let scan = Attacker::new(nginx.address, attacker(3)).scan();
    assert!(scan.denied && status(1).status == 403, "{scan:?}");
}
