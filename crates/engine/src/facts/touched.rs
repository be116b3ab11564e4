//! Objects that a request does something to, or asks a part of: `DELETE /cards/4`, `GET /users/4/orders`,
//! `GET /invoices/4/download`.

use crate::approach::Keys;
use crate::endpoint::Resolved;
use crate::engine::Engine;
use crate::hash::combine;
use crate::object::{Lesson, Visit};
use crate::record::{Method, RequestRecord, flags};
use crate::role::Role;
use crate::target::Target;

use super::{Standing, owner, shows};

impl Engine<'_> {
    /// Whose object the request touched, if it was served. Only what is asked for teaches: whoever deletes
    /// something has it no longer, and parts of an upload are asked for by nobody.
    pub(super) fn touched(
        &mut self,
        record: &RequestRecord<'_>,
        (target, role): (&Target, Role),
        endpoint: &Resolved,
        keys: &Keys,
        standing: &Standing,
    ) -> Option<Visit> {
        let head = &record.head;
        let kept = !matches!(role, Role::Static | Role::Login | Role::Catalog) && endpoint.known;
        // What was made by this request was nobody's before.
        if !kept || !(200..300).contains(&head.status) || head.status == 201 {
            return None;
        }
        let writes =
            matches!(record.method(), Method::Head | Method::Put | Method::Patch | Method::Delete);
        let part =
            record.is(Method::Get) && record.has(flags::JSON | flags::FILE) && target.is_part();
        let (group, number) = match (endpoint.object && writes, part) {
            (true, _) => (endpoint.group, target.number.flatten()),
            (_, true) => (endpoint.template, None),
            _ => return None,
        };
        let key = combine(keys.path_key, number.unwrap_or(0));
        let owner = owner(record, keys.address);
        let Standing { teaches, binds, few, .. } = *standing;
        let (teaches, shown) = (teaches && part, shows(record));
        // How popular it is says nothing here.
        let lesson = Lesson { learned: false, teaches, binds: teaches && binds, shown, few };
        Some(self.objects.visit(group, key, number, owner, lesson, head.time_ms).of(role))
    }
}
