//! Who is measured: the same NGINX with nothing, with others, and with this module.

use std::fs;
use std::path::Path;

use api_abuse_tests::attack::Attacker;
use api_abuse_tests::callgrind;
use api_abuse_tests::nginx::Site;
use api_abuse_tests::sites::{attacker, guarded_files};

/// Where Debian puts NGINX's modules.
const MODULES: &str = "/usr/lib/nginx/modules";
/// Where Debian puts the rules of `ModSecurity`.
const RULES: [&str; 2] =
    ["/etc/modsecurity/crs/crs-setup.conf", "/usr/share/modsecurity-crs/rules"];
/// One NGINX.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// Directives of the main context: what else is loaded.
    main: String,
    http: String,
    /// Directives of every location.
    pub(crate) location: &'static str,
    module: bool,
    /// Whether it takes long to start.
    pub(crate) slow: bool,
    /// Files beside the configuration.
    files: Vec<(&'static str, Vec<u8>)>,
}

/// The names of two of them.
pub(crate) const LUA_CHECK: &str = "Lua: a shared dictionary asked, a counter counted";
pub(crate) const NOBODY_DENIED: &str = "`block`, nobody denied";

const LUA: &str = "access_by_lua_block { if ngx.shared.denied:get(ngx.var.binary_remote_addr) then \
    return ngx.exit(403) end } \
    log_by_lua_block { ngx.shared.seen:incr(ngx.var.binary_remote_addr, 1, 0) }";

/// All that are there, bare NGINX first, and a line for each that is not.
pub(crate) fn all() -> (Vec<Subject>, Vec<String>) {
    let ours = |name, mode, denials: Option<usize>| Subject {
        name,
        main: String::new(),
        http: zone(denials.unwrap_or(0)),
        location: mode,
        module: true,
        slow: denials.is_some_and(|denials| denials > 100_000),
        files: denials.map(|n| ("api_abuse_state/lists.state", lists(n))).into_iter().collect(),
    };
    let mut subjects = vec![
        other("bare NGINX", &[], "", ""),
        // What differs between these two is what the measurement cannot tell.
        other("bare NGINX, once more", &[], "", ""),
        other(
            "`limit_req`",
            &[],
            "limit_req_zone $binary_remote_addr zone=all:10m rate=1000000r/s;",
            "limit_req zone=all burst=1000 nodelay;",
        ),
    ];
    let mut missing = Vec::new();
    let mut peer = |subject: Subject, package: &str, needed: &[String]| {
        if needed.iter().all(|path| Path::new(path).exists()) {
            subjects.push(subject);
        } else {
            missing.push(format!("{} was left out: {package} is not installed.", subject.name));
        }
    };
    let modules = ["ndk_http_module", "ngx_http_lua_module"];
    peer(
        other(LUA_CHECK, &modules, "lua_shared_dict denied 10m; lua_shared_dict seen 10m;", LUA),
        "libnginx-mod-http-lua",
        &modules.map(path_of),
    );
    let rules = format!(
        "SecRuleEngine On\nSecRequestBodyAccess On\nSecAuditEngine Off\n\
         Include {}\nInclude {}/*.conf\n",
        RULES[0], RULES[1]
    );
    let mut modsecurity = other(
        "ModSecurity with the Core Rule Set",
        &["ngx_http_modsecurity_module"],
        "",
        "modsecurity on; modsecurity_rules_file @home@/modsecurity.conf;",
    );
    modsecurity.slow = true;
    modsecurity.files.push(("modsecurity.conf", rules.into_bytes()));
    peer(
        modsecurity,
        "libnginx-mod-http-modsecurity or modsecurity-crs",
        &[path_of("ngx_http_modsecurity_module"), RULES[0].into(), RULES[1].into()],
    );
    subjects.push(Subject { http: String::new(), ..ours("this module, off", "", None) });
    let monitor = "api_abuse shop; api_abuse_mode monitor;";
    subjects.push(ours("`monitor`", monitor, None));
    subjects.push(ours(NOBODY_DENIED, BLOCK, None));
    subjects.push(ours("`block`, 10⁴ denials", BLOCK, Some(10_000)));
    subjects.push(ours("`block`, 10⁶ denials", BLOCK, Some(1_000_000)));
    (subjects, missing)
}

/// What a location in block mode says.
pub(crate) const BLOCK: &str = "api_abuse shop; api_abuse_mode block;";

fn path_of(module: &str) -> String {
    format!("{MODULES}/{module}.so")
}

fn other(name: &'static str, modules: &[&str], http: &str, location: &'static str) -> Subject {
    let load = |module: &&str| format!("load_module {};\n", path_of(module));
    let main = modules.iter().map(load).collect();
    let http = http.into();
    Subject { name, main, http, location, module: false, slow: false, files: Vec::new() }
}

/// A zone that holds so many denials.
pub(crate) fn zone(denials: usize) -> String {
    let size = if denials > 100_000 { 256 } else { 128 };
    format!("api_abuse_zone abuse:{size}m;")
}

/// The state of a zone in which so many addresses, none of which will come, are denied: what NGINX wrote
/// after it convicted one source, with that denial multiplied.
pub(crate) fn lists(denials: usize) -> Vec<u8> {
    const HEAD_WORDS: usize = 12;
    const NAME_WORDS: usize = 10;
    const ENTRY_WORDS: usize = 7;
    let nginx = guarded_files().start();
    let outcome = Attacker::new(nginx.address, attacker(1)).scan();
    assert!(outcome.denied, "{outcome:?}");
    let bytes =
        nginx.finish_and_read(|home| fs::read(home.join("api_abuse_state/lists.state")).unwrap());
    let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let words: Vec<u64> = words.collect();
    let [names, written] = [words[8], words[9]].map(|count| count as usize);
    let (front, rest) = words.split_at(HEAD_WORDS + names * NAME_WORDS);
    let (one, rest) = (&rest[..ENTRY_WORDS], &rest[written * ENTRY_WORDS..rest.len() - 1]);
    let mut all = front.to_vec();
    for n in 0..denials as u64 {
        let mut entry = one.to_vec();
        // 10.0.0.0/8 in the engine's words.
        entry[2] = 0xffff_0a00_0000 + n;
        all.extend(entry);
    }
    all.extend(rest);
    all[2] = all.len() as u64 + 1;
    all[9] = denials as u64;
    all.push(checksum(&all));
    all.into_iter().flat_map(u64::to_le_bytes).collect()
}

/// The checksum of such a file.
fn checksum(words: &[u64]) -> u64 {
    words.iter().fold(u64::from_be_bytes(*b"APILISTS"), |sum, word| {
        let product = u128::from(sum ^ word) * 0x9e37_79b9_7f4a_7c15;
        ((product as u64) ^ (product >> 64) as u64).wrapping_add(1)
    })
}
impl Subject {
    /// The site: a file, the same behind a kept connection to an application, and HTTP/2.
    pub(crate) fn site(&self, application: &str) -> Site {
        let Self { main, http, location, .. } = self;
        let mut site = Site::new(&format!(
            "access_log off; keepalive_requests 100000000; keepalive_timeout 600; {http}\n\
             upstream application {{ server {application}; keepalive 16; }}\n\
             server {{ listen @listen@ reuseport; listen @other@ http2 reuseport; server_name shop.test;\n\
             {}\n\
             location / {{ root html; {location} }}\n\
             location /proxied/ {{ proxy_pass http://application; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; {location} }} }}",
            callgrind::LOCATION,
        ))
        .main(main)
        .file("html/1k.bin", [b'x'; 1024]);
        site.module = self.module;
        self.files.iter().fold(site, |site, (path, content)| site.file(path, content))
    }
}
