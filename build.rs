//! Tells the compiler which NGINX it builds for.
//!
//! `nginx-sys` finds NGINX's headers and binds them; what it learned (version, features, operating
//! system) reaches only the build scripts of direct dependents, as `DEP_NGINX_*`, and is forwarded
//! to the compiler here.

use std::env;

/// Versions at which something that the module uses changed its shape.
const VERSIONS: &[(u64, &str)] = &[
    // Headers that repeat became linked lists.
    (1_023_000, "nginx_header_lists"),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    forward("ngx_feature", "DEP_NGINX_FEATURES");
    forward("ngx_os", "DEP_NGINX_OS");
    forward_version();
    // NGINX closes the library when a worker exits. A detector thread that did not stop in time
    // must not find its code unmapped.
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
}

/// Turns the comma separated list in `variable` into `cfg(name = "item")`, with the values that
/// are possible at all.
fn forward(name: &str, variable: &str) {
    let possible = env::var(format!("{variable}_CHECK")).unwrap_or_else(|_| "any()".to_owned());
    println!("cargo::rerun-if-env-changed={variable}_CHECK");
    println!("cargo::rustc-check-cfg=cfg({name}, values({possible}))");
    println!("cargo::rerun-if-env-changed={variable}");
    for item in env::var(variable).unwrap_or_default().split(',').map(str::trim) {
        if !item.is_empty() {
            println!("cargo::rustc-cfg={name}=\"{item}\"");
        }
    }
}

fn forward_version() {
    println!("cargo::rerun-if-env-changed=DEP_NGINX_VERSION_NUMBER");
    let version = env::var("DEP_NGINX_VERSION_NUMBER").ok().and_then(|v| v.parse::<u64>().ok());
    for (since, name) in VERSIONS {
        println!("cargo::rustc-check-cfg=cfg({name})");
        if version.is_some_and(|version| version >= *since) {
            println!("cargo::rustc-cfg={name}");
        }
    }
    if version.is_none() {
        missing_headers();
    }
}

/// Ends the build with what to do. `nginx-sys` stops before us when it finds no headers at all,
/// so this is for headers which it could read only in part.
fn missing_headers() {
    for line in [
        "the version of NGINX is not known: its configured headers are missing or incomplete.",
        "Debian: apt-get install nginx nginx-dev libclang-dev, then `make build`,",
        "or point NGINX_BUILD_DIR to the objs directory of a configured NGINX source tree,",
        "or build against the source that a crate carries: cargo build --features vendored",
    ] {
        println!("cargo::error={line}");
    }
}
