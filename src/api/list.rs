//! A page of a long table, found and written in turns.
//!
//! Sorting takes one pass over the table, a few slots at a time; of what it finds only the order is
//! kept, and the page's entries are read again when they are written. What is removed meanwhile is
//! left out.

use std::io::{self, Write};
use std::ops::Range;

use serde_json::Value;

use super::problem::page;
use super::query::Paging;
use crate::ffi::clock;
use crate::ffi::content::{Job, Turn};
use crate::ffi::request::Request;
use crate::ffi::response::{Body, Reply};

/// How long a turn takes, microseconds: a fraction of the five milliseconds that other requests of the
/// worker may wait.
pub(super) const TURN_US: u64 = 1000;
/// Slots that are looked at between two looks at the clock.
pub(super) const PIECE: usize = 128;

/// A table that can be listed.
pub(super) trait Table {
    /// Where an entry stands in the wanted order, and which one it is.
    type Rank: Ord + Copy;

    fn slots(&self) -> usize;

    /// Appends what is wanted of these slots.
    fn find(&self, slots: Range<usize>, found: &mut Vec<Self::Rank>);

    /// An entry as JSON; `None` when it is gone.
    fn show(&self, rank: &Self::Rank) -> Option<Value>;
}

/// How the work goes on.
enum Step {
    More,
    /// In the next turn.
    Pause,
    Done,
}

/// The work on one page.
pub(super) struct List<T: Table> {
    table: T,
    paging: Paging,
    /// The next slot to look at.
    slot: usize,
    found: Vec<T::Rank>,
    body: Body,
    /// What is left to write, once all was found.
    unwritten: Option<Range<usize>>,
    /// Whether an entry was written.
    begun: bool,
}

impl<T: Table> List<T> {
    pub(super) fn new(table: T, paging: Paging, request: &Request<'_>) -> Self {
        let body = Body::new(request);
        let (found, unwritten) = (Vec::new(), None);
        Self { table, paging, slot: 0, found, body, unwritten, begun: false }
    }

    /// Does a little.
    fn step(&mut self) -> io::Result<Step> {
        if self.slot < self.table.slots() {
            let end = self.slot + PIECE;
            self.table.find(self.slot..end, &mut self.found);
            self.slot = end;
            // Putting a long list in order takes a turn of its own.
            let found = self.slot >= self.table.slots();
            return Ok(if found { Step::Pause } else { Step::More });
        }
        let Some(unwritten) = &mut self.unwritten else {
            self.unwritten = Some(self.select());
            self.body.write_all(b"{\"entries\":[")?;
            return Ok(Step::Pause);
        };
        let Some(next) = unwritten.next() else {
            let (total, Paging { offset, limit }) = (self.found.len(), self.paging);
            let end = format!("],\"total\":{total},\"offset\":{offset},\"limit\":{limit}}}");
            self.body.write_all(end.as_bytes())?;
            return Ok(Step::Done);
        };
        if let Some(value) = self.table.show(&self.found[next]) {
            let comma = if self.begun { "," } else { "" };
            self.begun = true;
            write!(self.body, "{comma}{value}")?;
        }
        Ok(Step::More)
    }

    /// Puts the page's entries in order, at their place; the others only on the right side of it.
    fn select(&mut self) -> Range<usize> {
        let total = self.found.len();
        let start = self.paging.offset.min(total);
        let end = start.saturating_add(self.paging.limit).min(total);
        if start > 0 && start < total {
            self.found.select_nth_unstable(start);
        }
        let rest = &mut self.found[start..];
        if end - start < rest.len() && end > start {
            rest.select_nth_unstable(end - start);
        }
        rest[..end - start].sort_unstable();
        start..end
    }
}

impl<T: Table> Job for List<T> {
    fn turn(&mut self, request: &Request<'_>) -> Turn {
        let end_us = clock::monotonic_us() + TURN_US;
        loop {
            match self.step() {
                Ok(Step::More) if clock::monotonic_us() < end_us => {}
                Ok(Step::More | Step::Pause) => return Turn::Again(1),
                Ok(Step::Done) => {
                    let body = std::mem::replace(&mut self.body, Body::new(request));
                    return Turn::Reply(page(200, "application/json", body));
                }
                Err(_) => return Turn::Reply(Reply::Status(500)),
            }
        }
    }
}
