//! `api-abuse replay`: the module's engine over access logs.
//!
//! One thread reads and translates ([`intake`]), this one judges ([`judge`]) and writes; between
//! them goes a bounded channel of batches, so memory does not depend on the length of a log.

mod batch;
mod clock;
mod intake;
mod judge;
mod nginx_config;
mod order;
mod site;
mod translate;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use api_abuse_engine::hash::Seed;
use api_abuse_engine::policy::text::is_application_name;
use api_abuse_engine::record::APPLICATION_MAX;
use api_abuse_engine::{Config, Engine};
use clap::Args;
use crossbeam_channel::bounded;

use crate::Failure;
use crate::access_log::{Field, Format};
use crate::memory::{Memory, parse_size};
use crate::report::{Progress, Report};
use crate::state::State;
use batch::Batch;
use intake::Intake;
use judge::Judge;
pub(crate) use judge::{Conviction, Summary};
pub(crate) use nginx_config::NginxConfig;
use translate::{Application, Translator};

/// Batches that wait for the engine.
const BACKLOG: usize = 8;

/// Which logs, and how they are read.
#[derive(Args, Debug)]
pub(crate) struct Logs {
    /// Access logs (plain, gzip or zstd), judged from the oldest on; `-` is standard input
    #[arg(required = true, value_name = "LOG")]
    files: Vec<PathBuf>,
    /// combined, common, json, or an NGINX `log_format` string
    #[arg(long, default_value = "combined", value_name = "FORMAT")]
    format: String,
    /// Application that the requests belong to; `$host` makes one for each host. Without, the only
    /// one that --config describes, or "default"
    #[arg(long, value_name = "NAME", value_parser = parse_application)]
    application: Option<String>,
    /// The site's own host names, to know its own pages in Referer; without, and without $host in
    /// the log, the host that most Referers name is the site's
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Memory for the engine's tables, as the size of `api_abuse_zone`
    #[arg(long, default_value = "256m", value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory: usize,
}

impl Logs {
    /// The configuration under which they are judged.
    pub(crate) fn config(&self, seed: Seed, nginx: &NginxConfig) -> Config {
        let applications = nginx.applications.clone();
        let mut config = Config { deny_loopback: true, applications, ..Config::new(seed) };
        for name in self.application(seed, nginx).configured() {
            if !config.applications.iter().any(|known| known.name == name) {
                config = config.with_application(&name);
            }
        }
        config
    }

    /// The application that requests belong to.
    fn application(&self, seed: Seed, nginx: &NginxConfig) -> Application {
        let name = match (&self.application, &nginx.applications[..]) {
            (Some(name), _) => name.clone(),
            (None, [only]) => String::from_utf8_lossy(&only.name).into_owned(),
            (None, _) => "default".to_owned(),
        };
        Application::named(&name, seed)
    }

    /// Memory for the engine, and the engine over it.
    pub(crate) fn engine(memory: &mut Memory, config: Config) -> Result<Engine<'_>, Failure> {
        let engine = Engine::attach(memory.bytes(), config).map(|(engine, _)| engine);
        let least = Engine::MIN_BYTES >> 20;
        engine
            .ok_or_else(|| Failure::Usage(format!("--memory: the engine needs at least {least}m")))
    }

    /// Feeds all lines to the engine, and tells of each conviction. `None` when whoever is told wants
    /// no more.
    pub(crate) fn feed<'m>(
        &self,
        engine: Engine<'m>,
        seed: Seed,
        nginx: &NginxConfig,
        mut tell: impl FnMut(&Conviction<'_>) -> io::Result<()>,
    ) -> Result<Option<(Engine<'m>, Summary)>, Failure> {
        let format = Format::compile(&self.format).map_err(Failure::Usage)?;
        let application = self.application(seed, nginx);
        if matches!(application, Application::Host) && !format.has(Field::Host) {
            let problem =
                "--application: the log has no $host; a --format with one says where it is";
            return Err(Failure::Usage(problem.to_owned()));
        }
        let translator = Translator::new(seed, application, &self.host, nginx.roles.clone());
        let (filled, batches) = bounded::<Batch>(BACKLOG);
        let (used, spares) = bounded::<Batch>(BACKLOG + 2);
        thread::scope(|scope| {
            let intake = Intake::new(format, translator, filled, spares);
            let reader = thread::Builder::new()
                .name("reader".to_owned())
                .spawn_scoped(scope, || intake.run(&self.files))
                .map_err(|error| Failure::Input(format!("no thread to read with: {error}")))?;
            let mut judge = Judge::new(engine);
            let mut progress = Progress::new(Instant::now(), io::stderr().is_terminal());
            for batch in batches {
                if !written(judge.take(&batch, &mut tell))? {
                    return Ok(None);
                }
                progress.show(batch.lines_before + batch.len() as u64);
                let _ = used.try_send(batch);
            }
            progress.clear();
            let counts = reader.join();
            let counts =
                counts.map_err(|_| Failure::Input("the reading thread died".to_owned()))?;
            Ok(Some(judge.finish(counts)))
        })
    }
}

/// Arguments of `replay`.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    logs: Logs,
    /// Start from what `learn` or the module learned: a file, or the directory of `api_abuse_state`
    #[arg(long, value_name = "PATH")]
    state: Option<PathBuf>,
    /// Judge by the `api_abuse_application` blocks and the roles of locations in this NGINX
    /// configuration and the files that it includes
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Seed of the engine's hashes; that of --state when there is one
    #[arg(long, default_value_t = 1, value_name = "NUMBER", conflicts_with = "state")]
    seed: u64,
    /// One JSON object for each conviction, then one with the summary
    #[arg(long)]
    json: bool,
}

/// Replays the logs.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let state = arguments.state.as_deref().map(State::read).transpose()?;
    let seed = state.as_ref().map_or_else(|| seed_of(arguments.seed), State::seed);
    let mut memory = Memory::try_new(arguments.logs.memory)?;
    let nginx = arguments.config.as_deref().map(NginxConfig::read).transpose()?;
    let nginx = nginx.unwrap_or_default();
    for note in &nginx.notes {
        let _ = writeln!(io::stderr(), "api-abuse: --config: {note}");
    }
    let mut engine = Logs::engine(&mut memory, arguments.logs.config(seed, &nginx))?;
    if let Some(state) = &state {
        state.load(&mut engine)?;
    }
    let mut report = Report::new(BufWriter::new(io::stdout().lock()), arguments.json);
    let started = Instant::now();
    let tell = |conviction: &Conviction<'_>| report.conviction(conviction);
    let fed = arguments.logs.feed(engine, seed, &nginx, tell)?;
    let Some((_, summary)) = fed else { return Ok(()) };
    if !written(report.summary(&summary))? {
        return Ok(());
    }
    if summary.counts.parsed == 0 {
        return Err(Failure::Input("no line could be read".to_owned()));
    }
    if !arguments.json {
        let seconds = started.elapsed().as_secs_f64();
        let speed = summary.counts.lines as f64 / seconds.max(1e-9);
        let _ = writeln!(io::stderr(), "{seconds:.2} s, {speed:.0} lines a second");
    }
    Ok(())
}

/// The name of an application, or what names it.
fn parse_application(text: &str) -> Result<String, String> {
    let known = Application::is_variable(text) || is_application_name(text.as_bytes());
    let wanted =
        || format!("expected $host, or 1 to {APPLICATION_MAX} letters, digits, _ . : and -");
    known.then(|| text.to_owned()).ok_or_else(wanted)
}

/// The seed that a number stands for.
pub(crate) fn seed_of(number: u64) -> Seed {
    Seed([number, number.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15])
}

/// Whether somebody still reads what is written. A pipe that has seen enough (`| head`) is no
/// failure, but the end.
fn written(outcome: io::Result<()>) -> Result<bool, Failure> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Input(format!("standard output: {error}"))),
    }
}
