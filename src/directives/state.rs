//! Directives about what is kept, what is written, and where detection runs.

use std::fs;

use super::{must_be, once, text};
use crate::conf::{DetectorPlace, OrOff};
use crate::ffi::conf::Conf;
use crate::ffi::directive::Refusal;

/// `api_abuse_state PATH | off`.
pub(super) fn directory(conf: &mut Conf<'_>, args: &[&[u8]]) -> Result<(), Refusal> {
    let [name, value] = text(args)?;
    once(name, conf.main().state.is_none())?;
    let directory = match value {
        "off" => OrOff::Off,
        "" => return Err(must_be(name, value, "a directory or \"off\"")),
        path => {
            let directory = conf.directory(path.as_bytes())?;
            // What is not there is made; what is there may be something else.
            if fs::metadata(directory.path()).is_ok_and(|found| !found.is_dir()) {
                return Err(must_be(name, value, "a directory or \"off\""));
            }
            OrOff::Is(directory)
        }
    };
    conf.main().state = Some(directory);
    Ok(())
}

/// `api_abuse_log PATH | off`.
pub(super) fn log(conf: &mut Conf<'_>, args: &[&[u8]]) -> Result<(), Refusal> {
    let [name, value] = text(args)?;
    once(name, conf.main().log.is_none())?;
    let file = match value {
        "off" => OrOff::Off,
        path if path.is_empty() || path.starts_with("syslog:") => {
            return Err(must_be(name, value, "a file or \"off\""));
        }
        path => OrOff::Is(conf.log_file(path.as_bytes())?),
    };
    conf.main().log = Some(file);
    Ok(())
}

/// `api_abuse_detector worker | process`.
pub(super) fn detector(conf: &mut Conf<'_>, args: &[&[u8]]) -> Result<(), Refusal> {
    let [name, value] = text(args)?;
    once(name, conf.main().detector.is_none())?;
    let place = match value {
        "worker" => DetectorPlace::Worker,
        "process" => DetectorPlace::Process,
        _ => return Err(must_be(name, value, "\"worker\" or \"process\"")),
    };
    let at = conf.place();
    (conf.main().detector, conf.main().detector_at) = (Some(place), at);
    Ok(())
}
