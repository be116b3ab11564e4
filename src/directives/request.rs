//! Directives that say how requests are to be looked at.

use api_abuse_engine::identity::{FIELDS_MAX, NAME_MAX};
use api_abuse_engine::outcome::{Outcomes, Statuses};
use api_abuse_engine::role::Role;

use super::{must_be, once, text};
use crate::conf::{Endpoint, LocationConf};
use crate::ffi::conf::{ComplexValue, Conf};
use crate::ffi::directive::Refusal;

/// `api_abuse_endpoint ROLE [success=STATUS,…] [failure=STATUS,…]`.
pub(super) fn endpoint(conf: &mut Conf<'_>, args: &[&[u8]]) -> Result<(), Refusal> {
    let [name, role, parameters @ ..] = text::<4>(args)?;
    once(name, conf.location().endpoint.is_none())?;
    let Some(role) = Role::from_name(role) else {
        let names = Role::ALL.map(|role| format!("\"{}\"", role.name())).join(", ");
        return Err(must_be(name, role, &format!("one of {names}")));
    };
    let mut outcomes = Outcomes::default();
    for parameter in parameters.into_iter().take(args.len() - 2) {
        let invalid = || {
            format!(
                "invalid parameter {parameter:?} in {name:?} directive, it must be success= or \
                 failure= and statuses, as in \"success=2xx,302\""
            )
        };
        let (key, statuses) = parameter.split_once('=').ok_or_else(invalid)?;
        let set = match key {
            "success" => &mut outcomes.success,
            "failure" => &mut outcomes.failure,
            _ => return Err(invalid().into()),
        };
        let statuses: Statuses = statuses.parse().map_err(|()| invalid())?;
        if set.replace(statuses).is_some() {
            return Err(format!("duplicate parameter {key:?} in {name:?} directive").into());
        }
    }
    if let (Some(success), Some(failure)) = (&outcomes.success, &outcomes.failure) {
        if success.overlaps(failure) {
            return Err(format!("a status is success and failure in {name:?} directive").into());
        }
    }
    conf.location().endpoint = Some(Endpoint { role, outcomes });
    Ok(())
}

/// `api_abuse_session $variable …`.
pub(super) fn session(conf: &mut Conf<'_>, args: &[&[u8]]) -> Result<(), Refusal> {
    values(conf, args, |location| &mut location.session)
}

/// `api_abuse_identity FIELD …`: names of fields, and values with variables.
pub(super) fn identity(conf: &mut Conf<'_>, args: &[&[u8]]) -> Result<(), Refusal> {
    let [name] = text(args)?;
    for value in &args[1..] {
        let [written] = text(&[value])?;
        let identity = conf.location().identity.get_or_insert_default();
        let mut known = identity.variables.iter();
        if identity.fields.contains(value) || known.any(|known| known.text() == *value) {
            return Err(format!("duplicate value {written:?} in {name:?} directive").into());
        }
        if written.contains('$') {
            let value = conf.compile(value)?;
            conf.location().identity.get_or_insert_default().variables.push(value);
        } else if identity.fields.add(value).is_none() {
            let what = format!("a field of 1 to {NAME_MAX} bytes, at most {FIELDS_MAX} of them");
            return Err(must_be(name, written, &what));
        }
    }
    Ok(())
}

/// `api_abuse_fingerprint $variable …`.
pub(super) fn fingerprint(conf: &mut Conf<'_>, args: &[&[u8]]) -> Result<(), Refusal> {
    values(conf, args, |location| &mut location.fingerprint)
}

/// `api_abuse_bypass $variable …`.
pub(super) fn bypass(conf: &mut Conf<'_>, args: &[&[u8]]) -> Result<(), Refusal> {
    values(conf, args, |location| &mut location.bypass)
}

/// Values with variables. As with `proxy_cache_bypass`, several directives of one block add up.
fn values(
    conf: &mut Conf<'_>,
    args: &[&[u8]],
    list: fn(&mut LocationConf) -> &mut Option<Vec<ComplexValue>>,
) -> Result<(), Refusal> {
    let [name] = text(args)?;
    for value in &args[1..] {
        let [written] = text(&[value])?;
        // One text for all requests says nothing about any of them.
        if !written.contains('$') {
            return Err(must_be(name, written, "a variable, as in \"$cookie_session\""));
        }
        let known = list(conf.location()).iter().flatten().any(|known| known.text() == *value);
        if known {
            return Err(format!("duplicate value {written:?} in {name:?} directive").into());
        }
        let value = conf.compile(value)?;
        list(conf.location()).get_or_insert_default().push(value);
    }
    Ok(())
}
