//! Path templates: `/users/42` and `/users/43` are one endpoint, `/users/{int}`.
//!
//! A bounded tree of path segments for each application, kept as one hash table: a node's key is
//! the hash of its parent and its token, so a lookup takes one probe for each segment and nothing
//! points anywhere. It learns from successful answers alone. A literal child is *established* after
//! [`ESTABLISHED_VISITS`] successes of [`ESTABLISHED_SOURCES`] sources and is never merged away; a
//! parent with more than [`FAN_OUT`] children that are not established is *fanned out*, and from then
//! on names it has not established are `{var}`. A flood of random names on a catch-all therefore
//! cannot merge endpoints that people use.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::hash::combine;
use crate::path::{MAX_SEGMENTS, Path, extension};
use crate::target::{Names, Step, Target};
use crate::token::Token;

mod beaten;
mod saved;

/// Successful visits after which a literal child is never merged away.
pub const ESTABLISHED_VISITS: u32 = 20;
/// Sources that must have made them.
pub const ESTABLISHED_SOURCES: u32 = 3;
/// Children that are not established, after which a parent is fanned out.
pub const FAN_OUT: u32 = 64;
/// Slots looked at for one key.
const PROBES: usize = 8;
/// Bytes kept of a literal, for people.
const TEXT: usize = 22;

const ESTABLISHED: u8 = 1;
const FANNED_OUT: u8 = 2;

/// One node. Plain old data; key 0 is a free slot.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Node {
    key: u64,
    parent: u64,
    last_ms: u64,
    visits: u32,
    /// Children not established, for a segment; distinct names, for an extension group.
    children: u32,
    /// A bit for each of 16 groups of sources that were served here.
    sources: u16,
    class: u8,
    flags: u8,
    text_len: u8,
    extension_len: u8,
    text: [u8; TEXT],
    padding: [u8; 4],
}

/// Where a path stands among what the application serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Key of the template: of the whole path when it is known, of its deepest known part when not.
    pub template: u64,
    /// Key that it shares with objects of its kind: the template itself, where the last segment is
    /// an identifier, else its parent.
    pub group: u64,
    /// The whole path has a template that was served before this request.
    pub known: bool,
    /// The last segment is a typed value or a name among very many: an object's identifier.
    pub object: bool,
    /// Some segment is such a value, or was where it is no longer known.
    pub valued: bool,
    /// Different names that were served beside it with the same extension.
    pub siblings: u32,
}

impl Resolved {
    /// One segment deeper.
    fn step(self, template: u64, known: bool, object: bool) -> Self {
        let group = if object { template } else { self.template };
        Self { template, group, known, object, valued: self.valued | object, siblings: 0 }
    }
}

/// The table of nodes.
#[derive(Debug)]
pub struct Endpoints<'m> {
    nodes: &'m mut [Node],
}

impl<'m> Endpoints<'m> {
    /// A table over `nodes`, whose number must be a power of two of at least 8.
    pub fn new(nodes: &'m mut [Node]) -> Self {
        debug_assert!(nodes.len().is_power_of_two() && nodes.len() >= PROBES);
        Self { nodes }
    }

    /// Finds the template of a path. `served` (a success, by the hash of its source) teaches it.
    pub fn resolve(
        &mut self,
        application: u64,
        (target, raw): (&mut Target, &[u8]),
        served: Option<u64>,
        now_ms: u64,
    ) -> Resolved {
        let mut at = Resolved {
            template: application,
            group: application,
            known: true,
            object: false,
            valued: false,
            siblings: 0,
        };
        let mut parent = self.find(application);
        if served.is_some() && parent.is_none() {
            self.create(0, application, Token::Literal, &[], u64::MAX >> 1);
            parent = self.find(application);
        }
        let (steps, names) = target.steps();
        let depths = steps.len();
        let beaten = match served {
            Some(source) => self.beaten_track(&mut at, (&mut *steps, names), source, now_ms),
            None => 0,
        };
        if beaten == depths {
            return at;
        }
        if beaten > 0 {
            parent = self.find(at.template);
        }
        for (depth, (step, names)) in steps.iter_mut().zip(names).enumerate().skip(beaten) {
            let key = step.key(at.template, names, child_key);
            let found = Found { key, index: self.find(key) };
            let above = core::mem::replace(&mut parent, found.index);
            let literal = step.class == Token::Literal;
            let leads =
                |index: &usize| at.known && (!literal || self.leads(*index, at.template, above));
            if let Some(index) = found.index.filter(leads) {
                // As nearly always: a node that is there, and no other could stand for.
                let from = at.template;
                at = at.step(found.key, true, !literal);
                match served {
                    Some(source) => self.count(index, from, source, now_ms),
                    None if literal && depth + 1 == depths => {
                        at.siblings = self.siblings(from, names.extension, false);
                    }
                    None => {}
                }
                continue;
            }
            at.siblings = 0;
            at = match (step.class, served) {
                (Token::Literal, _) => {
                    self.literal((at, above), found, (step, names, raw), served, now_ms)
                }
                (class, Some(source)) => self.visit(at, found, (class, step, raw), source, now_ms),
                (_, None) => Self::lookup(at, found, true),
            };
            if !at.known && served.is_none() {
                // Nothing deeper can be known, and what lies in a directory that is not there has no
                // siblings.
                at.object &= step.last && step.class != Token::Literal;
                at.siblings *= u32::from(step.last);
                break;
            }
        }
        at
    }

    /// Whether the node of a literal is the one that its segment means: its parent has not fanned out, or
    /// it is established.
    fn leads(&self, index: usize, parent: u64, above: Option<usize>) -> bool {
        self.nodes[index].flags & ESTABLISHED != 0
            || self.known(parent, above).is_none_or(|node| node.flags & FANNED_OUT == 0)
    }

    /// One step down to a literal segment.
    #[inline(never)]
    fn literal(
        &mut self,
        (at, above): (Resolved, Option<usize>),
        found: Found,
        (step, names, raw): (&Step, &Names, &[u8]),
        served: Option<u64>,
        now_ms: u64,
    ) -> Resolved {
        let fanned_out =
            self.known(at.template, above).is_some_and(|node| node.flags & FANNED_OUT != 0);
        let established = found.index.is_some_and(|i| self.nodes[i].flags & ESTABLISHED != 0);
        if fanned_out && !established {
            let any = self.child(at.template, Token::Variable, names.extension);
            return match served {
                Some(source) => self.visit(at, any, (Token::Variable, step, raw), source, now_ms),
                None => Self::lookup(at, any, true),
            };
        }
        // Who is served what is known needs no others to be told from.
        let siblings = match (served, found.index) {
            (Some(_), Some(_)) => 0,
            _ => self.siblings(at.template, names.extension, served.is_some()),
        };
        let next = match served {
            Some(source) => self.visit(at, found, (Token::Literal, step, raw), source, now_ms),
            None => Self::lookup(at, found, false),
        };
        Resolved { siblings, ..next }
    }

    /// The step down of a request that teaches nothing.
    fn lookup(at: Resolved, found: Found, object: bool) -> Resolved {
        match found.index {
            Some(_) => at.step(found.key, at.known, object),
            None => Resolved { known: false, object: false, ..at },
        }
    }

    /// The step down of a served request: makes the child if it is new, and counts the visit.
    #[inline(never)]
    fn visit(
        &mut self,
        at: Resolved,
        found: Found,
        (class, step, raw): (Token, &Step, &[u8]),
        source: u64,
        now_ms: u64,
    ) -> Resolved {
        let object = class != Token::Literal;
        let known = at.known && found.index.is_some();
        let slot = found.index.or_else(|| {
            let path = Path::new(raw);
            let text = step.text(&path);
            let name = if object { extension(text).1 } else { text };
            self.create(at.template, found.key, class, name, now_ms)
        });
        let Some(slot) = slot else { return Resolved { known: false, object, ..at } };
        self.count(slot, at.template, source, now_ms);
        at.step(found.key, known, object)
    }

    /// Counts a visit of a node.
    fn count(&mut self, slot: usize, parent: u64, source: u64, now_ms: u64) {
        let node = &mut self.nodes[slot];
        node.last_ms = now_ms;
        node.visits = node.visits.saturating_add(1);
        node.sources |= 1 << (source >> 60);
        if node.flags & ESTABLISHED == 0 && node.visits >= ESTABLISHED_VISITS {
            self.ripen(slot, parent);
        }
    }

    /// Establishes a node that was visited often enough, if enough sources did.
    fn ripen(&mut self, slot: usize, parent: u64) {
        let node = &mut self.nodes[slot];
        if node.sources.count_ones() < ESTABLISHED_SOURCES {
            return;
        }
        node.flags |= ESTABLISHED;
        let literal = node.class == Token::Literal as u8;
        if let Some(parent) = self.get_mut(parent).filter(|_| literal) {
            parent.children = parent.children.saturating_sub(1);
        }
    }

    /// Takes a slot for a new child; `None` when all it could have are established.
    fn create(
        &mut self,
        parent: u64,
        key: u64,
        class: Token,
        name: &[u8],
        now_ms: u64,
    ) -> Option<usize> {
        let slot = self
            .window(key)
            .filter(|&i| self.nodes[i].flags & (ESTABLISHED | FANNED_OUT) == 0)
            .min_by_key(|&i| (self.nodes[i].key != 0, self.nodes[i].last_ms))?;
        let mut node = Node { key, parent, last_ms: now_ms, class: class as u8, ..Node::default() };
        let len = name.len().min(TEXT);
        node.text[..len].copy_from_slice(&name[..len]);
        node.text_len = len as u8;
        self.nodes[slot] = node;
        if class == Token::Literal {
            if let Some(parent) = self.get_mut(parent) {
                parent.children += 1;
                if parent.children > FAN_OUT {
                    parent.flags |= FANNED_OUT;
                }
            }
        }
        Some(slot)
    }

    /// How many different names with this extension were served under `parent`; `more` adds one.
    fn siblings(&mut self, parent: u64, extension: u64, more: bool) -> u32 {
        let key = combine(extension, combine(parent, 0x7369_626c));
        if let Some(group) = self.get_mut(key) {
            group.children = group.children.saturating_add(u32::from(more));
            return group.children;
        }
        if more {
            if let Some(slot) = self.create(parent, key, Token::Opaque, &[], 0) {
                self.nodes[slot].children = 1;
                self.nodes[slot].last_ms = u64::MAX >> 1;
            }
        }
        0
    }

    /// The template as people write it, for logs and explanations: `/users/{int}`.
    pub fn describe(&self, template: u64) -> String {
        let mut parts = Vec::new();
        let mut at = template;
        while let Some(node) = self.get(at).filter(|node| node.parent != 0) {
            let text = String::from_utf8_lossy(&node.text[..usize::from(node.text_len).min(TEXT)]);
            parts.push(match class_name(node.class) {
                "" => text.into_owned(),
                class if text.is_empty() => class.to_owned(),
                class => format!("{class}.{text}"),
            });
            if parts.len() > MAX_SEGMENTS {
                break;
            }
            at = node.parent;
        }
        parts.reverse();
        format!("/{}", parts.join("/"))
    }

    fn child(&self, parent: u64, class: Token, name: u64) -> Found {
        let key = child_key(parent, class, name);
        Found { key, index: self.find(key) }
    }

    #[inline]
    fn find(&self, key: u64) -> Option<usize> {
        let first = key as usize & (self.nodes.len() - 1);
        if self.nodes[first].key == key && key != 0 {
            return Some(first);
        }
        self.find_further(key)
    }

    #[inline(never)]
    fn find_further(&self, key: u64) -> Option<usize> {
        self.window(key).find(|&i| key != 0 && self.nodes[i].key == key)
    }

    fn get(&self, key: u64) -> Option<&Node> {
        self.find(key).map(|i| &self.nodes[i])
    }

    /// The node of a key, which was found here if it was there.
    fn known(&self, key: u64, index: Option<usize>) -> Option<&Node> {
        match index.and_then(|index| self.nodes.get(index)) {
            Some(node) if node.key == key => Some(node),
            _ => self.get(key),
        }
    }

    fn get_mut(&mut self, key: u64) -> Option<&mut Node> {
        self.find(key).map(|i| &mut self.nodes[i])
    }

    fn window(&self, key: u64) -> impl Iterator<Item = usize> + use<'m> {
        let mask = self.nodes.len() - 1;
        (0..PROBES).map(move |i| (key as usize).wrapping_add(i) & mask)
    }
}

/// A child that was looked for.
#[derive(Clone, Copy)]
struct Found {
    key: u64,
    index: Option<usize>,
}

/// The key of a child of a node.
fn child_key(parent: u64, class: Token, name: u64) -> u64 {
    combine(combine(parent, class as u64), name).max(1)
}

fn class_name(class: u8) -> &'static str {
    use Token::{Date, Hex, Int, Opaque, Uuid, Variable};
    [Int, Uuid, Hex, Date, Opaque, Variable]
        .into_iter()
        .find(|token| *token as u8 == class)
        .map_or("", Token::name)
}

#[cfg(test)]
mod tests;
