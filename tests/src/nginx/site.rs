//! What an NGINX is to serve, and the directory that it is given to do so.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use super::port::Port;
use super::{Nginx, PATIENCE};
use crate::access_log;

/// File name of the module as cargo builds it.
const LIBRARY: &str = "libngx_http_api_abuse_module.so";

/// The module as people install it: what the shipped configurations load.
const INSTALLED: &str = "modules/ngx_http_api_abuse_module.so";

/// A configuration and what belongs to it. In all texts `@listen@` and `@other@` stand for two
/// addresses that NGINX may listen on, `@port@` for the port of the first, which is free on every
/// loopback address, `@home@` for its directory.
#[derive(Clone, Debug)]
pub struct Site {
    /// Directives of the main context, besides those every site has.
    pub main: String,
    /// Directives of `http { }`.
    pub http: String,
    /// Number of workers.
    pub workers: usize,
    /// Whether the module is loaded.
    pub module: bool,
    /// Pieces of alarming log lines that the test provokes.
    pub expected: Vec<String>,
    /// How long NGINX may take to start and to stop, at the very most.
    pub patience: Duration,
    whole: Option<String>,
    wrapper: Vec<String>,
    files: Vec<(PathBuf, Vec<u8>)>,
    variables: Vec<(String, String)>,
}

impl Site {
    /// A site with these directives in `http { }`, two workers and the module.
    pub fn new(http: &str) -> Self {
        Self {
            main: String::new(),
            http: http.into(),
            workers: 2,
            module: true,
            expected: Vec::new(),
            patience: PATIENCE,
            whole: None,
            wrapper: Vec::new(),
            files: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// A site whose configuration is a whole file, as people write them. It loads the module from
    /// where people install it; only that path and what is told with [`Self::set`] are replaced.
    pub fn whole(configuration: &str) -> Self {
        let number = configuration.split("worker_processes ").nth(1);
        let number = number.and_then(|rest| rest.split(';').next()?.parse().ok());
        Self { whole: Some(configuration.into()), workers: number.unwrap_or(1), ..Self::new("") }
    }

    /// Adds directives to the main context.
    #[must_use]
    pub fn main(mut self, directives: &str) -> Self {
        self.main.push_str(directives);
        self
    }

    /// Sets the number of workers.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Does not load the module: the NGINX to compare with.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.module = false;
        self
    }

    /// Puts a file below the site's directory.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.push((path.into(), content.as_ref().to_vec()));
        self
    }

    /// Replaces every `text` in the configuration.
    #[must_use]
    pub fn set(mut self, text: &str, value: &impl ToString) -> Self {
        self.variables.push((text.into(), value.to_string()));
        self
    }

    /// Expects lines with this fragment in the error log.
    #[must_use]
    pub fn expect(mut self, fragment: &str) -> Self {
        self.expected.push(fragment.into());
        self
    }

    /// Runs NGINX inside this program: a profiler. In its arguments `@home@` is replaced, too.
    #[must_use]
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Starts NGINX on this site.
    pub fn start(self) -> Nginx {
        Nginx::launch(self)
    }

    /// What `nginx -t` says of this site, and whether it is content.
    pub fn test(&self) -> (bool, String) {
        Home::new(self).test()
    }

    /// Number of the first line of the configuration that contains `text`.
    pub fn line_of(&self, text: &str) -> Option<usize> {
        let placeholder = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let rendered = self.render(Path::new("/"), placeholder, placeholder);
        rendered.lines().position(|line| line.contains(text)).map(|index| index + 1)
    }

    fn render(&self, home: &Path, listen: SocketAddr, other: SocketAddr) -> String {
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!(" {kind}_temp_path tmp/{kind};"))
            .collect();
        let mut text = match &self.whole {
            Some(whole) => {
                // Paths that NGINX was built with are the system's: none may be left in force.
                let log = if whole.contains("access_log") { "" } else { "access_log access.json;" };
                let http = format!("daemon off; pid nginx.pid;\nhttp {{{temporary} {log}");
                whole
                    .replace(INSTALLED, &module().display().to_string())
                    .replacen("http {", &http, 1)
            }
            None => self.render_parts(&temporary),
        };
        for (from, to) in &self.variables {
            text = text.replace(from, to);
        }
        text.replace("@listen@", &listen.to_string())
            .replace("@port@", &listen.port().to_string())
            .replace("@other@", &other.to_string())
            .replace("@home@", &home.display().to_string())
    }

    fn render_parts(&self, temporary: &str) -> String {
        let Self { main, http, workers, .. } = self;
        let (load, log) = if self.module {
            let log = format!("{}\n    access_log access.json api_abuse;", access_log::FORMAT);
            (format!("load_module {};", module().display()), log)
        } else {
            (String::new(), "access_log access.json;".into())
        };
        format!(
            "{load}\n{main}\ndaemon off; worker_processes {workers}; pid nginx.pid;\n\
             error_log error.log notice;\nworker_rlimit_nofile 8192;\n\
             events {{ worker_connections 4096; }}\nhttp {{\n   {temporary}\n    {log}\n{http}\n}}\n"
        )
    }
}

/// A directory that NGINX works in. Removed when dropped, unless [`Home::keep`] was asked for.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) path: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) other: SocketAddr,
    wrapper: Vec<String>,
    kept: bool,
    /// Keeps the ports from everybody else, also while no NGINX runs here.
    _ports: [Port; 2],
}

impl Home {
    pub(crate) fn new(site: &Site) -> Self {
        let ports = [Port::reserve().unwrap(), Port::reserve().unwrap()];
        let [listen, other] =
            [&ports[0], &ports[1]].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port.number)));
        let wrapper = site.wrapper.clone();
        let home =
            Self { path: new_directory(), listen, other, wrapper, kept: false, _ports: ports };
        // `logs` is where an NGINX that was built from source writes what nobody has placed.
        for directory in ["tmp", "logs"] {
            fs::create_dir(home.path.join(directory)).unwrap();
        }
        for (path, content) in &site.files {
            let path = home.path.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        home.write_configuration(site);
        home
    }

    pub(crate) fn write_configuration(&self, site: &Site) {
        let text = site.render(&self.path, self.listen, self.other);
        fs::write(self.path.join("nginx.conf"), text).unwrap();
    }

    /// NGINX on this directory, in a process group of its own: Ctrl-C is for the demo to handle.
    pub(crate) fn command(&self) -> Command {
        let said = fs::File::create(self.path.join("stderr")).unwrap();
        let home = self.path.display().to_string();
        let mut words: Vec<OsString> =
            self.wrapper.iter().map(|word| word.replace("@home@", &home).into()).collect();
        words.push(binary().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
            .arg("-p")
            .arg(format!("{}/", self.path.display()))
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .process_group(0);
        command
    }

    pub(crate) fn test(&self) -> (bool, String) {
        let output = self.command().arg("-t").stderr(Stdio::piped()).output().expect("nginx -t");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub(crate) fn error_log(&self) -> String {
        let read = |name| fs::read(self.path.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("stderr"), read("error.log")].concat()).into_owned()
    }

    /// The end of what NGINX said, for people who look at a failed test.
    pub(crate) fn said(&self) -> String {
        let log = self.error_log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A new directory that the workers may enter. Started by root, NGINX runs its workers as the user
/// that it was built for, so every directory above must let others pass, and this one, too.
fn new_directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let passable = |path: &Path| {
        path.ancestors().all(|p| fs::metadata(p).is_ok_and(|m| m.permissions().mode() & 1 == 1))
    };
    let base = [env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
    let base = base.iter().find(|path| passable(path)).expect("a directory for all users");
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = base.join(format!("api-abuse-{}-{count}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The NGINX to test: `NGINX_BINARY`, or the one in PATH, or Debian's.
pub fn binary() -> PathBuf {
    if let Some(binary) = env::var_os("NGINX_BINARY") {
        return binary.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&path).map(|directory| directory.join("nginx"));
    places.find(|place| place.is_file()).unwrap_or_else(|| "/usr/sbin/nginx".into())
}

/// Whether NGINX was configured with this option, `http_v3_module` for example.
pub fn built_with(option: &str) -> bool {
    let output = Command::new(binary()).arg("-V").output().expect("nginx -V");
    String::from_utf8_lossy(&output.stderr).contains(&format!("--with-{option}"))
}

/// The module to test: `API_ABUSE_MODULE`, or the one that cargo built last, beside this program.
pub fn module() -> PathBuf {
    if let Some(module) = env::var_os("API_ABUSE_MODULE") {
        return module.into();
    }
    let program = env::current_exe().unwrap();
    let built = |path: &PathBuf| -> Option<SystemTime> { path.metadata().ok()?.modified().ok() };
    // target/debug/deps/nginx-0123456789abcdef, target/release/demo
    let target = program.ancestors().skip(2).take(2);
    let places = target
        .flat_map(|target| ["release", "debug"].map(|profile| target.join(profile).join(LIBRARY)));
    places.filter(|place| built(place).is_some()).max_by_key(built).unwrap_or_else(|| {
        panic!(
            "no {LIBRARY} beside {}: run `make build`, or set API_ABUSE_MODULE",
            program.display()
        )
    })
}
