//! `api_abuse_application NAME { … }`.

use api_abuse_engine::policy::text::{PolicyText, is_application_name};

use super::{no_name, text};
use crate::ffi::conf::Conf;
use crate::ffi::directive::{Block, Refusal};

/// The directives inside are the engine's: `api-abuse replay --config` reads the same ones.
impl Block for PolicyText {
    fn directive(&mut self, words: &[&[u8]]) -> Result<(), String> {
        PolicyText::directive(self, words)
    }
}

/// `api_abuse_application NAME { … }`. Nothing need enable the application: one that a variable names
/// is known by its value alone.
pub(super) fn application(conf: &mut Conf<'_>, args: &[&[u8]]) -> Result<(), Refusal> {
    let [name, value] = text(args)?;
    if !is_application_name(value.as_bytes()) || value == "off" {
        return Err(no_name(name, value));
    }
    let place = conf.place();
    let mut policy = PolicyText::default();
    conf.read_block(&mut policy)?;
    let application = conf.main().application(value.as_bytes());
    application.set_policy(policy.policy(), place).map_err(|other| {
        format!("duplicate {name:?} {value:?}, the other one is in {other}").into()
    })
}
