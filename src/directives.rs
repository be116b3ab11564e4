//! The directives: one row for each, and what it does with its argument.
//!
//! A row's function gets the directive's name and its arguments, as NGINX counts them. What it
//! refuses, it refuses in NGINX's words; NGINX adds file and line.

mod policy;
mod request;
mod state;

use api_abuse_engine::policy::text::is_application_name;
use api_abuse_engine::record::APPLICATION_MAX;

use crate::conf::{Mode, Selector, ZoneConf};
use crate::ffi::conf::Conf;
use crate::ffi::directive::{Arguments, Context, Directive, Refusal};
use crate::ffi::shm;
use crate::zone;

/// All directives. `docs/directives.md` has a section for each; a test holds the two together.
pub(crate) static DIRECTIVES: [Directive; 16] = [
    Directive {
        name: c"api_abuse_zone",
        context: Context::Http,
        arguments: Arguments::One,
        parse: declare_zone,
    },
    Directive {
        name: c"api_abuse",
        context: Context::HttpServerLocation,
        arguments: Arguments::One,
        parse: application,
    },
    Directive {
        name: c"api_abuse_mode",
        context: Context::HttpServerLocation,
        arguments: Arguments::One,
        parse: mode,
    },
    Directive {
        name: c"api_abuse_deny_status",
        context: Context::HttpServerLocation,
        arguments: Arguments::One,
        parse: deny_status,
    },
    Directive {
        name: c"api_abuse_deny_loopback",
        context: Context::Http,
        arguments: Arguments::One,
        parse: deny_loopback,
    },
    Directive {
        name: c"api_abuse_state",
        context: Context::Http,
        arguments: Arguments::One,
        parse: state::directory,
    },
    Directive {
        name: c"api_abuse_log",
        context: Context::Http,
        arguments: Arguments::One,
        parse: state::log,
    },
    Directive {
        name: c"api_abuse_detector",
        context: Context::Http,
        arguments: Arguments::One,
        parse: state::detector,
    },
    Directive {
        name: c"api_abuse_application",
        context: Context::Http,
        arguments: Arguments::Block,
        parse: policy::application,
    },
    Directive {
        name: c"api_abuse_endpoint",
        context: Context::ServerLocation,
        arguments: Arguments::OneToThree,
        parse: request::endpoint,
    },
    Directive {
        name: c"api_abuse_session",
        context: Context::HttpServerLocation,
        arguments: Arguments::Any,
        parse: request::session,
    },
    Directive {
        name: c"api_abuse_identity",
        context: Context::ServerLocation,
        arguments: Arguments::Any,
        parse: request::identity,
    },
    Directive {
        name: c"api_abuse_fingerprint",
        context: Context::HttpServerLocation,
        arguments: Arguments::Any,
        parse: request::fingerprint,
    },
    Directive {
        name: c"api_abuse_bypass",
        context: Context::HttpServerLocation,
        arguments: Arguments::Any,
        parse: request::bypass,
    },
    Directive {
        name: c"api_abuse_status",
        context: Context::Location,
        arguments: Arguments::None,
        parse: status,
    },
    Directive {
        name: c"api_abuse_console",
        context: Context::Location,
        arguments: Arguments::None,
        parse: console,
    },
];

/// `api_abuse_zone NAME:SIZE`. How much is needed depends on the number of workers, which may not
/// be known yet: here the size must do for one, and the rest is said when the zone is mapped.
fn declare_zone(conf: &mut Conf<'_>, args: &[&[u8]]) -> Result<(), Refusal> {
    let [name, value] = text(args)?;
    let invalid = || {
        let remedy = "write NAME:SIZE, as in \"abuse:16m\"";
        format!("invalid zone size {value:?} in {name:?} directive, {remedy}")
    };
    once(name, conf.main().zone.is_none())?;
    let (zone_name, size) = value.rsplit_once(':').ok_or_else(invalid)?;
    if zone_name.is_empty() {
        let remedy = "write NAME:SIZE, as in \"abuse:16m\"";
        return Err(format!("invalid zone name {value:?} in {name:?} directive, {remedy}").into());
    }
    let bytes = parse_size(size).ok_or_else(invalid)?;
    let least = zone::least_bytes(1);
    if bytes < least {
        let least = least >> 10;
        return Err(format!("zone {zone_name:?} is too small: it needs at least {least}k").into());
    }
    shm::add_zone(conf, zone_name.as_bytes(), bytes)?;
    let (place, cycle) = (conf.place(), conf.cycle());
    conf.main().zone = Some(ZoneConf { name: zone_name.to_owned(), place, cycle });
    Ok(())
}

/// `api_abuse NAME | $variable | off`.
fn application(conf: &mut Conf<'_>, args: &[&[u8]]) -> Result<(), Refusal> {
    let [name, value] = text(args)?;
    once(name, conf.location().application.is_none())?;
    let selector = match value {
        "off" => Selector::Off,
        value if value.contains('$') => Selector::Variable(conf.compile(value.as_bytes())?),
        value if is_application_name(value.as_bytes()) => {
            Selector::Named(conf.main().application(value.as_bytes()))
        }
        value => return Err(no_name(name, value)),
    };
    if !matches!(selector, Selector::Off) {
        let place = conf.place();
        conf.main().enabled_at.get_or_insert(place);
    }
    conf.location().application = Some(selector);
    Ok(())
}

/// `api_abuse_mode off | monitor | block`.
fn mode(conf: &mut Conf<'_>, args: &[&[u8]]) -> Result<(), Refusal> {
    let [name, value] = text(args)?;
    once(name, conf.location().mode.is_none())?;
    let mode = match value {
        "off" => Mode::Off,
        "monitor" => Mode::Monitor,
        "block" => Mode::Block,
        _ => return Err(must_be(name, value, "\"off\", \"monitor\" or \"block\"")),
    };
    conf.location().mode = Some(mode);
    Ok(())
}

/// `api_abuse_deny_status CODE`. As in `limit_req_status`, any error; 444 closes the connection
/// without an answer.
fn deny_status(conf: &mut Conf<'_>, args: &[&[u8]]) -> Result<(), Refusal> {
    let [name, value] = text(args)?;
    once(name, conf.location().deny_status.is_none())?;
    let all_digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let status = value.parse().ok().filter(|status| all_digits && (400..=599).contains(status));
    let status = status.ok_or_else(|| must_be(name, value, "a status between 400 and 599"))?;
    conf.location().deny_status = Some(status);
    Ok(())
}

/// `api_abuse_deny_loopback on | off`.
fn deny_loopback(conf: &mut Conf<'_>, args: &[&[u8]]) -> Result<(), Refusal> {
    let [name, value] = text(args)?;
    once(name, conf.main().deny_loopback.is_none())?;
    // NGINX takes its own flags in any case.
    let on = value.eq_ignore_ascii_case("on");
    if !on && !value.eq_ignore_ascii_case("off") {
        return Err(must_be(name, value, "\"on\" or \"off\""));
    }
    conf.main().deny_loopback = Some(on);
    Ok(())
}

/// `api_abuse_status`.
#[expect(clippy::unnecessary_wraps, reason = "all rows have one form")]
fn status(conf: &mut Conf<'_>, _: &[&[u8]]) -> Result<(), Refusal> {
    conf.serve_status();
    Ok(())
}

/// `api_abuse_console`.
fn console(conf: &mut Conf<'_>, _: &[&[u8]]) -> Result<(), Refusal> {
    conf.serve_console()
}

/// The arguments as text. Whatever is no UTF-8 is no valid value of any of our directives.
fn text<'a, const N: usize>(args: &[&'a [u8]]) -> Result<[&'a str; N], Refusal> {
    let mut texts = [""; N];
    for (text, arg) in texts.iter_mut().zip(args) {
        *text = std::str::from_utf8(arg)
            .map_err(|_| format!("invalid value \"{}\": it is no UTF-8", arg.escape_ascii()))?;
    }
    Ok(texts)
}

fn once(name: &str, first: bool) -> Result<(), Refusal> {
    if first { Ok(()) } else { Err(format!("{name:?} directive is duplicate").into()) }
}

fn no_name(name: &str, value: &str) -> Refusal {
    format!(
        "invalid value {value:?} in {name:?} directive, a name is 1 to {APPLICATION_MAX} letters, \
         digits, \"_\", \".\", \":\" and \"-\""
    )
    .into()
}

fn must_be(name: &str, value: &str, what: &str) -> Refusal {
    format!("invalid value {value:?} in {name:?} directive, it must be {what}").into()
}

/// A size as NGINX writes it: bytes, or with `k` or `m`.
fn parse_size(size: &str) -> Option<usize> {
    let (digits, unit) = match size.as_bytes().last()? {
        b'k' | b'K' => (&size[..size.len() - 1], 1 << 10),
        b'm' | b'M' => (&size[..size.len() - 1], 1 << 20),
        _ => (size, 1),
    };
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let size = all_digits.then(|| digits.parse::<usize>().ok())??;
    // NGINX computes with signed sizes.
    size.checked_mul(unit).filter(|bytes| isize::try_from(*bytes).is_ok() && *bytes > 0)
}
