//! Token buckets, the run-time allowlist and the command lane under the loom model checker. See
//! `loom.rs`, whose harness this uses.

use api_abuse_shm::sync::{AtomicU64, Edge};
use api_abuse_shm::{
    ANSWER_WORDS, AllowEntry, Allowlist, AllowlistWriter, COMMAND_WORDS, Commands, Denylist,
    DenylistWriter, Progress, Rate,
};
use loom::{sync::Arc, thread};

use super::{ALL_ALIVE, Table, entry, holds, memory, needs};

const RATE: Rate = Rate { interval_ms: 10, burst: 2 };

/// Two workers want tokens of one bucket: together they get as many as there are.
fn take_tokens() {
    let table = Arc::new(Table::new(1));
    let mut writer = DenylistWriter::new(table.list());
    writer.insert(&entry(100), 0);
    let take = |list: Denylist<'_>| {
        (0..2).filter(|_| list.take_token(&entry(0).key, 1, RATE).is_ok()).count()
    };
    let shared = table.clone();
    let other = thread::spawn(move || take(shared.list()));
    let mine = take(table.list());
    assert_eq!(mine + other.join().unwrap(), 2, "no token twice, none lost");
}

/// A worker looks whether the list has changed while the holder adds to it.
fn add_and_look() {
    let memory = memory(32);
    let shared = memory.clone();
    let allowed = AllowEntry { network: b"192.0.2.1".to_vec(), comment: Vec::new(), since_ms: 1 };
    let expected = allowed.clone();
    let reader = thread::spawn(move || {
        let list = Allowlist::over(&shared).unwrap();
        let changes = list.changes();
        let entries = list.entries();
        // Who has seen the count and keeps what it read must have read the entry.
        let complete = entries.is_none_or(|all| changes == 0 || all == [expected]);
        assert!(complete, "a change was seen and its entry was not");
    });
    AllowlistWriter::new(Allowlist::over(&memory).unwrap()).insert(&allowed);
    reader.join().unwrap();
    assert_eq!(Allowlist::over(&memory).unwrap().entries().unwrap(), [allowed]);
}

fn answer(command: &[u64; COMMAND_WORDS]) -> [u64; ANSWER_WORDS] {
    assert_eq!(*command, [command[0]; COMMAND_WORDS], "half a command");
    [command[0] + 1; ANSWER_WORDS]
}

fn whole(progress: Progress<[u64; ANSWER_WORDS]>, command: u64) -> bool {
    match progress {
        Progress::Answered(words) => {
            assert_eq!(words, [command + 1; ANSWER_WORDS], "half an answer");
            true
        }
        Progress::Waiting => false,
        Progress::Gone => panic!("nobody else may take it"),
    }
}

/// A command is submitted while the holder looks for some.
fn submit_and_serve() {
    let memory = memory(Commands::words(1));
    let shared = memory.clone();
    let holder = thread::spawn(move || Commands::over(&shared).unwrap().serve(answer));
    let lane = Commands::over(&memory).unwrap();
    let ticket = lane.submit(1, &[7; COMMAND_WORDS], ALL_ALIVE).unwrap();
    let served = holder.join().unwrap() + lane.serve(answer);
    assert_eq!(served, 1, "done once");
    assert!(whole(lane.poll(ticket), 7));
}

/// The holder answers while the worker asks for it.
fn answer_and_poll() {
    let memory = memory(Commands::words(1));
    let lane = Commands::over(&memory).unwrap();
    let ticket = lane.submit(1, &[7; COMMAND_WORDS], ALL_ALIVE).unwrap();
    let shared = memory.clone();
    let worker = thread::spawn(move || whole(Commands::over(&shared).unwrap().poll(ticket), 7));
    lane.serve(answer);
    let early = worker.join().unwrap();
    let progress = lane.poll(ticket);
    assert!(if early { progress == Progress::Gone } else { whole(progress, 7) }, "once");
}

/// Two workers want the only slot.
fn two_want_one_slot() {
    let memory = memory(Commands::words(1));
    let ask = |memory: &[AtomicU64], n: u64| {
        Commands::over(memory).unwrap().submit(n as u32, &[n; COMMAND_WORDS], ALL_ALIVE)
    };
    let shared = memory.clone();
    let other = thread::spawn(move || ask(&shared, 1));
    let mine = ask(&memory, 2);
    let other = other.join().unwrap();
    assert!(mine.is_some() != other.is_some(), "exactly one");
    let lane = Commands::over(&memory).unwrap();
    assert_eq!(lane.serve(answer), 1);
    let (ticket, command) = mine.map_or_else(|| (other.unwrap(), 1), |mine| (mine, 2));
    assert!(whole(lane.poll(ticket), command));
}

#[test]
fn tokens_are_handed_out_once() {
    holds("two workers, one bucket", 4, take_tokens);
}

#[test]
fn allowlist_changes_are_seen_with_their_entries() {
    holds("allowlist insert and look", 2, add_and_look);
}

#[test]
fn commands_and_answers_are_whole() {
    holds("submit and serve", 2, submit_and_serve);
    holds("answer and poll", 2, answer_and_poll);
    holds("two workers, one slot", 2, two_want_one_slot);
}

#[test]
fn a_relaxed_submission_is_noticed() {
    needs(Edge::CommandSubmit, 2, submit_and_serve);
}

#[test]
fn a_relaxed_answer_is_noticed() {
    needs(Edge::CommandAnswer, 2, answer_and_poll);
}
