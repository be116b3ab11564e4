//! The way through the tree of templates that nearly every served request goes.

use super::{ESTABLISHED, Endpoints, Resolved, child_key};
use crate::target::{Names, Step};
use crate::token::Token;

impl Endpoints<'_> {
    /// Goes down as nearly every served request does, which counts a visit of each node: as long as nodes are
    /// established, and no others could stand for them. How many steps that were.
    pub(super) fn beaten_track(
        &mut self,
        at: &mut Resolved,
        (steps, names): (&mut [Step], &[Names]),
        source: u64,
        now_ms: u64,
    ) -> usize {
        let (mask, bit) = (self.nodes.len() - 1, 1 << (source >> 60));
        for (depth, (step, names)) in steps.iter_mut().zip(names).enumerate() {
            let key = step.key(at.template, names, child_key);
            let node = &mut self.nodes[key as usize & mask];
            if node.key != key || node.flags & ESTABLISHED == 0 {
                return depth;
            }
            node.last_ms = now_ms;
            node.visits = node.visits.saturating_add(1);
            node.sources |= bit;
            *at = at.step(key, true, step.class != Token::Literal);
        }
        steps.len()
    }
}
