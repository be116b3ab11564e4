//! Runs that have nothing to do with each other, on all processors.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// `run(scratch, n)` for each n below `count`, in the order of n, whoever was done first. Each thread has
/// a scratch of its own.
pub(super) fn map<S, T: Send>(
    count: u64,
    scratch: impl Fn() -> S + Sync,
    run: impl Fn(&mut S, u64) -> T + Sync,
) -> Vec<T> {
    let next = AtomicU64::new(0);
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(count as usize);
    let work = || {
        let (mut scratch, mut done) = (scratch(), Vec::new());
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= count {
                return done;
            }
            done.push((n, run(&mut scratch, n)));
        }
    };
    let mut all: Vec<(u64, T)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_by_key(|(n, _)| *n);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_each_once() {
        for count in [0, 1, 2, 1000] {
            let squares = map(
                count,
                || 0_u64,
                |calls, n| {
                    *calls += 1;
                    (n * n, *calls)
                },
            );
            let expected: Vec<u64> = (0..count).map(|n| n * n).collect();
            assert_eq!(squares.iter().map(|it| it.0).collect::<Vec<_>>(), expected);
            assert!(squares.iter().all(|it| it.1 >= 1));
        }
    }
}
