use std::collections::VecDeque;

use super::*;
use crate::testing::{Random, memory, rounds};

const ALL_ALIVE: fn(u32) -> bool = |_| true;

fn drained(consumer: &mut Consumer<'_>, max: usize) -> Vec<Vec<u64>> {
    let mut batch = Batch::default();
    let n = consumer.drain(&mut batch, max);
    assert_eq!((n, batch.is_empty()), (batch.len(), n == 0));
    batch.messages().map(<[u64]>::to_vec).collect()
}

#[test]
fn messages_of_any_size_come_out_as_they_went_in() {
    let memory = memory(Lanes::stride(64));
    let lanes = Lanes::over(&memory, 64).unwrap();
    let producer = lanes.claim(1, ALL_ALIVE).unwrap();
    let mut consumer = lanes.consumer();
    let (mut random, mut model, mut free) = (Random(1), VecDeque::new(), 64);
    let (mut pushed, mut dropped) = (0, 0);
    for _ in 0..rounds(100_000) {
        if random.below(3) > 0 {
            let message: Vec<u64> = (0..=random.below(30)).map(|_| random.next()).collect();
            let fits = message.len() < free;
            assert_eq!(producer.push(&message), fits);
            if fits {
                free -= message.len() + 1;
                model.push_back(message);
                pushed += 1;
            } else {
                dropped += 1;
            }
        } else {
            let max = random.below(5) as usize;
            for message in drained(&mut consumer, max) {
                free += message.len() + 1;
                assert_eq!(Some(message), model.pop_front());
            }
        }
    }
    let totals = lanes.totals();
    assert!(pushed > 0 && dropped > 0);
    assert_eq!((totals.pushed, totals.dropped, totals.garbage), (pushed, dropped, 0));
    assert_eq!(totals.consumed + model.len() as u64, pushed);
    assert_eq!(totals.queued_words, 64 - free as u64);
}

#[test]
fn what_can_never_fit_is_dropped_and_counted() {
    let memory = memory(Lanes::stride(16));
    let lanes = Lanes::over(&memory, 16).unwrap();
    let producer = lanes.claim(1, ALL_ALIVE).unwrap();
    assert!(!producer.push(&[]));
    assert!(!producer.push(&[1; 16]));
    assert!(producer.push(&[1; 15]), "the ring less one word");
    assert!(!producer.push(&[1]));
    assert_eq!((lanes.totals().pushed, lanes.totals().dropped), (1, 3));
    assert_eq!(drained(&mut lanes.consumer(), 9), [[1; 15]]);
    assert!(producer.push(&[2; 15]));
}

#[test]
fn lanes_are_claimed_once_released_and_taken_from_the_dead() {
    let memory = memory(2 * Lanes::stride(16));
    let lanes = Lanes::over(&memory, 16).unwrap();
    assert_eq!((lanes.len(), lanes.is_empty()), (2, false));
    assert!(lanes.claim(0, ALL_ALIVE).is_none(), "0 means free");
    let first = lanes.claim(1, ALL_ALIVE).unwrap();
    let second = lanes.claim(2, ALL_ALIVE).unwrap();
    assert!(lanes.claim(3, ALL_ALIVE).is_none());
    assert_eq!(lanes.totals().claimed, 2);
    first.release();
    let first = lanes.claim(3, ALL_ALIVE).unwrap();

    assert!(second.push(&[22]));
    let heir = lanes.claim(4, |pid| pid != 2).unwrap();
    assert!(heir.push(&[44]));
    assert_eq!(drained(&mut lanes.consumer(), 9), [[22], [44]], "goes on at the published tail");
    second.release();
    assert!(lanes.claim(5, ALL_ALIVE).is_none(), "who was taken for dead frees nothing");
    drop((first, heir));
    assert_eq!(lanes.totals().claimed, 0);
}

#[test]
fn a_killed_producer_loses_only_what_it_had_not_published() {
    let memory = memory(Lanes::stride(16));
    let lanes = Lanes::over(&memory, 16).unwrap();
    let killed = lanes.claim(1, ALL_ALIVE).unwrap();
    assert!(killed.push(&[1, 2]));
    // Half a message: the header and a word, the tail not moved.
    memory[CONTROL_WORDS + 3].store(message_header(5, 3), Ordering::Relaxed);
    memory[CONTROL_WORDS + 4].store(99, Ordering::Relaxed);
    std::mem::forget(killed);
    let heir = lanes.claim(2, |_| false).unwrap();
    assert!(heir.push(&[3]));
    assert_eq!(drained(&mut lanes.consumer(), 9), [vec![1, 2], vec![3]]);
}

#[test]
fn a_busy_lane_does_not_hold_up_the_others() {
    let memory = memory(2 * Lanes::stride(4096));
    let lanes = Lanes::over(&memory, 4096).unwrap();
    let busy = lanes.claim(1, ALL_ALIVE).unwrap();
    let quiet = lanes.claim(2, ALL_ALIVE).unwrap();
    for i in 0..1000 {
        assert!(busy.push(&[1, i]));
    }
    assert!(quiet.push(&[2, 0]));
    let mut consumer = lanes.consumer();
    let first = drained(&mut consumer, 100);
    assert_eq!(first.len(), 100);
    assert!(first.contains(&vec![2, 0]));
    let rest = drained(&mut consumer, usize::MAX);
    let of_busy: Vec<u64> = first.iter().chain(&rest).filter(|m| m[0] == 1).map(|m| m[1]).collect();
    assert_eq!(of_busy, (0..1000).collect::<Vec<_>>());
}

#[test]
fn garbage_is_skipped_counted_and_never_fatal() {
    let memory = memory(Lanes::stride(64));
    let lanes = Lanes::over(&memory, 64).unwrap();
    let mut random = Random(2);
    let mut batch = Batch::default();
    for round in 0..rounds(50_000) {
        let producer = lanes.claim(1, |_| false).unwrap();
        for _ in 0..random.below(5) {
            producer.push(&[7; 5]);
        }
        let word = match random.below(4) {
            0 => TAIL,
            1 => HEAD,
            _ => CONTROL_WORDS + random.below(64) as usize,
        };
        let garbage = random.next() >> random.below(64);
        memory[word].store(garbage, Ordering::Relaxed);
        lanes.consumer().drain(&mut batch, 100);
        assert!(batch.messages().all(|message| message.len() < 64));
        // Whatever it was, the lane works again for the next one.
        drop(producer);
        let producer = lanes.claim(1, |_| false).unwrap();
        lanes.consumer().drain(&mut batch, 100);
        assert!(producer.push(&[round as u64; 9]), "round {round}");
        assert_eq!(lanes.consumer().drain(&mut batch, 100), 1, "round {round}");
        assert_eq!(batch.messages().next(), Some(&[round as u64; 9][..]));
    }
    assert!(lanes.totals().garbage > 0);
}

#[test]
fn leftovers_of_an_earlier_lap_are_no_messages() {
    assert_eq!(message_len(message_header(5, 1000), 1000), Some(5));
    assert_eq!(message_len(message_header(5, 1000), 1064), None);
    assert_eq!(message_len(0, 0), None);
    assert_eq!(message_len(message_header(0, 8), 8), None);
}

#[test]
fn threads_see_every_message_once_and_in_order() {
    const PRODUCERS: u64 = 2;
    let per_producer = rounds(100_000) as u64;
    let memory = memory(PRODUCERS as usize * Lanes::stride(256));
    let lanes = Lanes::over(&memory, 256).unwrap();
    std::thread::scope(|scope| {
        for id in 0..PRODUCERS {
            scope.spawn(move || {
                let producer = lanes.claim(id as u32 + 1, ALL_ALIVE).unwrap();
                let mut random = Random(id);
                for i in 0..per_producer {
                    let mut message = vec![i; 2 + random.below(12) as usize];
                    message[0] = id;
                    while !producer.push(&message) {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let (mut consumer, mut batch) = (lanes.consumer(), Batch::with_capacity(64, 1024));
        let mut next = [0; PRODUCERS as usize];
        while next.iter().sum::<u64>() < PRODUCERS * per_producer {
            if consumer.drain(&mut batch, 64) == 0 {
                std::thread::yield_now();
            }
            for message in batch.messages() {
                let next = &mut next[message[0] as usize];
                assert!(message[1..].iter().all(|word| word == next), "{message:?} is not {next}");
                *next += 1;
            }
        }
    });
    assert_eq!(lanes.totals().consumed, PRODUCERS * per_producer);
}

#[test]
fn texts_are_padded_wherever_the_ring_ends() {
    let memory = memory(Lanes::stride(32));
    let lanes = Lanes::over(&memory, 32).unwrap();
    let producer = lanes.claim(1, ALL_ALIVE).unwrap();
    let text: Vec<u8> = (1..=40).collect();
    for len in (0..=text.len()).cycle().take(500) {
        let message = producer.room::<9>().unwrap();
        message.room.set(0, 5);
        message.room.add_bits(0, 2);
        let end = message.room.text(1, &text[..len]);
        message.room.set(end, 9);
        assert!(message.push(end + 1));
        let mut bytes = text[..len].to_vec();
        bytes.resize(len.next_multiple_of(8), 0);
        let words = bytes.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap()));
        let expected: Vec<u64> = [7].into_iter().chain(words).chain([9]).collect();
        assert_eq!(drained(&mut lanes.consumer(), 9), [expected], "{len} bytes");
    }
    assert_eq!(lanes.totals().garbage, 0);
}

#[test]
fn a_message_that_is_empty_or_does_not_fit_was_never_there() {
    let memory = memory(Lanes::stride(16));
    let lanes = Lanes::over(&memory, 16).unwrap();
    let producer = lanes.claim(1, ALL_ALIVE).unwrap();
    for round in 1..20 {
        for len in [0, 5, usize::MAX] {
            assert!(!producer.room::<5>().unwrap().push(len));
        }
        assert!(producer.room::<17>().is_none());
        assert_eq!(lanes.totals().dropped, round);
        // A text without room is not written, and says so by where the next one begins.
        let message = producer.room::<5>().unwrap();
        message.room.set(0, 5);
        assert_eq!(message.room.text(2, &[4; 17]), 2);
        assert!(message.push(1));
        assert_eq!(drained(&mut lanes.consumer(), 9), [[5]]);
    }
}

/// Written in one piece, pushed in two, drained now and then: all come out, in order.
#[test]
fn messages_in_one_piece_and_in_two_share_a_lane() {
    let memory = memory(Lanes::stride(64));
    let lanes = Lanes::over(&memory, 64).unwrap();
    let producer = lanes.claim(1, ALL_ALIVE).unwrap();
    let (mut random, mut model) = (Random(3), VecDeque::new());
    let (mut pushed, mut dropped) = (0, 0);
    for n in 0..rounds(100_000) as u64 {
        let len = random.below(20) as usize;
        let message = vec![n; len + 1];
        let taken = match random.below(4) {
            0 => producer.push(&message),
            1 | 2 => producer.room::<21>().is_some_and(|to| {
                (0..message.len()).for_each(|at| to.room.set(at, message[at]));
                to.push(message.len())
            }),
            _ => {
                for message in drained(&mut lanes.consumer(), random.below(6) as usize) {
                    assert_eq!(Some(message), model.pop_front());
                }
                continue;
            }
        };
        (pushed, dropped) = if taken { (pushed + 1, dropped) } else { (pushed, dropped + 1) };
        model.extend(taken.then_some(message));
    }
    for message in drained(&mut lanes.consumer(), usize::MAX) {
        assert_eq!(Some(message), model.pop_front());
    }
    let totals = lanes.totals();
    assert!(model.is_empty() && pushed > dropped && dropped > 0, "{pushed} {dropped}");
    assert_eq!((totals.pushed, totals.dropped, totals.garbage), (pushed, dropped, 0));
    assert_eq!((totals.consumed, totals.queued_words), (pushed, 0));
}

/// A header that skips more than was published is none.
#[test]
fn nothing_beyond_the_tail_is_skipped() {
    let memory = memory(Lanes::stride(16));
    let lanes = Lanes::over(&memory, 16).unwrap();
    let producer = lanes.claim(1, ALL_ALIVE).unwrap();
    assert!(producer.push(&[1, 2, 3]));
    memory[CONTROL_WORDS].store(message_header(SKIP, 0), Ordering::Relaxed);
    assert!(drained(&mut lanes.consumer(), 9).is_empty());
    assert_eq!((lanes.totals().garbage, lanes.totals().queued_words), (1, 0));
    assert!(producer.push(&[4]));
    assert_eq!(drained(&mut lanes.consumer(), 9), [[4]]);
}
