//! Threads beside NGINX's own.

use std::io;
use std::mem::MaybeUninit;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

/// What the threads give way to NGINX by, whatever `worker_priority` says.
const NICE: libc::c_int = 5;

/// A thread that can be waited for with a bound.
pub(crate) struct Thread {
    handle: JoinHandle<()>,
    /// Never carries anything: it is disconnected when the thread ends.
    done: Receiver<()>,
}

impl Thread {
    /// Starts `body` on a thread that leaves signals and the main thread's processor to NGINX.
    pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (ending, done) = bounded::<()>(0);
        let body = move || {
            let _ending = ending;
            give_way();
            body();
        };
        rule_out_cancellation();
        let before = block_signals();
        let handle = Builder::new().name(name.to_owned()).spawn(body);
        restore_signals(&before);
        Ok(Self { handle: handle?, done })
    }

    /// Waits for the end of the thread; whether it came in time. Otherwise the thread goes on by
    /// itself.
    pub(crate) fn join(self, bound: Duration) -> bool {
        let ended = self.done.recv_timeout(bound) == Err(RecvTimeoutError::Disconnected);
        // Past the channel there are only the thread's own last instructions.
        ended && self.handle.join().is_ok()
    }
}

/// Says that this thread will never be cancelled. In a process with threads, glibc makes this thread
/// cancellable at once during each system call that could block, and not so afterwards, which takes two
/// locked instructions a call. Where it is so for good there is nothing to change, and cancellation,
/// which nobody asks for, is switched off altogether.
fn rule_out_cancellation() {
    const DISABLE: libc::c_int = 1;
    const ASYNCHRONOUS: libc::c_int = 1;
    // The C library's; the crate libc has them for some platforms only.
    unsafe extern "C" {
        fn pthread_setcancelstate(state: libc::c_int, old: *mut libc::c_int) -> libc::c_int;
        fn pthread_setcanceltype(of: libc::c_int, old: *mut libc::c_int) -> libc::c_int;
    }
    let mut old = 0;
    // SAFETY: both write to `old` alone. The first one comes first: at no time can the thread be
    // cancelled anywhere. On failure system calls cost what they did.
    unsafe {
        if pthread_setcancelstate(DISABLE, &raw mut old) == 0 {
            pthread_setcanceltype(ASYNCHRONOUS, &raw mut old);
        }
    }
}

/// Blocks all signals but those of a fault for this thread and those that it starts, and returns
/// what was blocked before. NGINX's signals must interrupt its main thread: one that any other
/// thread takes is a wake-up lost.
fn block_signals() -> libc::sigset_t {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset and pthread_sigmask initialise the sets that they are given. Neither fails
    // for valid arguments.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        for fault in [libc::SIGILL, libc::SIGFPE, libc::SIGSEGV, libc::SIGBUS] {
            libc::sigdelset(all.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}

fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: a set that pthread_sigmask filled.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, core::ptr::null_mut()) };
}

/// Has the kernel run this thread for a shorter time at once, and therefore sooner after it woke: what it
/// waits for is its turn, not its share, which stays that of its priority. Linux 6.12 and later do so;
/// others take no notice.
fn ask_for_short_slices() {
    /// The shortest that the kernel takes, nanoseconds.
    const SLICE_NS: u64 = 100_000;
    /// `struct sched_attr` as every kernel knows it.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime_ns: u64,
        deadline_ns: u64,
        period_ns: u64,
    }
    let mut attributes = Attributes::default();
    let size = size_of::<Attributes>();
    // SAFETY: both calls are about this thread; the first one writes `size` bytes at most, the second one
    // reads as many as the first one said there are.
    unsafe {
        let place = &raw mut attributes;
        if libc::syscall(libc::SYS_sched_getattr, 0, place, size, 0) == 0 {
            (*place).runtime_ns = SLICE_NS;
            libc::syscall(libc::SYS_sched_setattr, 0, place, 0);
        }
    }
}

/// Lowers the priority of this thread, and lets it run on any processor: it inherited the one that
/// `worker_cpu_affinity` keeps busy with requests. Neither is worth failing for.
fn give_way() {
    // SAFETY: on Linux, nice() is about the calling thread, and 0 means it. A set of all zero bits is
    // a valid empty set.
    unsafe {
        libc::nice(NICE);
        let mut processors: libc::cpu_set_t = core::mem::zeroed();
        for processor in 0..libc::CPU_SETSIZE as usize {
            libc::CPU_SET(processor, &mut processors);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const processors);
    }
    ask_for_short_slices();
}
