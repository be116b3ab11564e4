//! Every configuration in the documentation is one that NGINX takes, and its links lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use api_abuse_tests::nginx::Site;
use api_abuse_tests::sites::guarded;
use serde_json::Value;

/// Where a block may belong, from the outermost in; `@block@` is the block.
const CONTEXTS: [(&str, &str); 3] = [
    ("http", "@block@"),
    ("server", "server { listen @listen@; @block@ }"),
    ("location", "server { listen @listen@; location / { @block@ } }"),
];

/// A block of a page: the line that it begins at, and its text.
struct Block {
    place: String,
    text: String,
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> =
        docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.extend(["README.md", "SECURITY.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    pages.sort();
    pages
}

fn blocks(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap();
    let (mut blocks, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        match (open.as_mut(), line.trim()) {
            (None, "```nginx") => {
                let name = page.file_name().unwrap().to_string_lossy();
                open = Some(Block { place: format!("{name}:{}", number + 1), text: String::new() });
            }
            (Some(_), "```") => blocks.extend(open.take()),
            // "And so on" for people.
            (Some(block), words) if words != "..." => block.text += &format!("{line}\n"),
            _ => {}
        }
    }
    assert!(open.is_none(), "{} ends inside a block", page.display());
    blocks
}

/// A configuration around a block, which says what other blocks and files say elsewhere.
fn site(block: &str, context: &str) -> Site {
    let text = if block.contains("http {") {
        let events = if block.contains("events {") { "" } else { "\nevents {}\n" };
        format!("{block}{events}")
    } else {
        let around = |what: &str, directive: &str| {
            if block.contains(what) { "" } else { directive }.to_owned()
        };
        let zone = around("api_abuse_zone ", "api_abuse_zone abuse:16m;");
        let upstream =
            around("upstream application", "upstream application { server 127.0.0.1:1; }");
        let log = around("log_format api_abuse", "include log_format.conf;");
        format!(
            "load_module modules/ngx_http_api_abuse_module.so;\nevents {{}}\nerror_log error.log;\n\
             http {{\n{zone}\n{upstream}\n{log}\n{}\n}}\n",
            context.replace("@block@", block)
        )
    };
    Site::whole(&text)
        .file("log_format.conf", include_str!("../../../nginx-conf/log_format.conf"))
        .file("fastcgi_params", "fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;")
        .set("listen 80", &"listen @listen@")
        .set("/var/log/nginx/", &"")
}

/// Nothing, when NGINX takes it somewhere; otherwise what it says of each place.
fn refused(block: &str) -> Option<String> {
    let mut said = String::new();
    for (name, context) in CONTEXTS {
        let (well, words) = site(block, context).test();
        if well {
            return None;
        }
        said += &format!("  in {name}: {words}");
    }
    Some(said)
}

#[test]
fn nginx_takes_every_block_of_every_page() {
    let blocks: Vec<_> = pages().iter().flat_map(|page| blocks(page)).collect();
    assert!(blocks.len() > 20, "{} blocks", blocks.len());
    let wrong = |block: &Block| refused(&block.text).map(|said| format!("{}\n{said}", block.place));
    let wrong: Vec<_> = blocks.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_wrong_is_found() {
    for block in ["api_abuse_zoen abuse:16m;", "location / { api_abuse_mode deny; }", "server {"] {
        assert!(refused(block).is_some(), "{block}");
    }
}

/// The rows of a table of a page, with what stands in their cells.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let lines = page.lines().skip_while(|line| !line.contains(heading)).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        row.trim_matches('|').split('|').map(|cell| cell.trim().replace(',', "")).collect()
    };
    rows.map(cells).collect()
}

#[test]
fn zones_hold_what_the_page_says() {
    let page = include_str!("../../../docs/operating.md");
    let rows = table(page, "| `api_abuse_zone` | denylist, slots | sources | incidents |");
    assert!(rows.len() > 3, "{rows:?}");
    for row in rows {
        let server = "location /abuse/ { api_abuse off; api_abuse_console; }";
        let mut site = guarded(server).workers(2);
        site.http = site.http.replacen("abuse:16m", &format!("abuse:{}", row[0]), 1);
        let nginx = site.start();
        let status = nginx.client().get("/abuse/api/status").unwrap();
        let status: Value = serde_json::from_slice(&status.body).unwrap();
        let tables = status["health"]["tables"].as_array().unwrap();
        for (name, said) in [("denylist", &row[1]), ("sources", &row[2]), ("incidents", &row[3])] {
            let found = tables.iter().find(|table| table["name"] == name).unwrap();
            let (found, said) = (found["size"].as_f64().unwrap(), said.parse::<f64>().unwrap());
            // The page need not follow each byte that a source takes more or less.
            let near = (said * 0.95..said * 1.2).contains(&found);
            assert!(near, "{}: {name}: {found}, the page says {said}", row[0]);
        }
    }
}

/// Names of the headings of a page, as GitHub makes anchors of them.
fn anchors(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let kept = |letter: &char| letter.is_alphanumeric() || "-_ ".contains(*letter);
    let name = |heading: &str| heading.to_lowercase().chars().filter(kept).collect::<String>();
    headings.map(|heading| name(heading).replace(' ', "-")).collect()
}

/// What is wrong with a link of a page.
fn broken(page: &Path, link: &str) -> Option<String> {
    if link.starts_with("https://") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let to = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    let found =
        to.exists() && (anchor.is_empty() || anchors(&to).iter().any(|name| name == anchor));
    (!found).then(|| format!("{}: {link}", page.display()))
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (_, rest) in text.match_indices("](").map(|(at, _)| text.split_at(at + 2)) {
            links += 1;
            wrong.extend(broken(&page, rest.split(')').next().unwrap()));
        }
    }
    assert!(links > 60, "{links} links");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    assert!(broken(&readme, "docs/cli.md#changes").is_none());
    assert!(
        broken(&readme, "docs/cli.md#nothing").is_some() && broken(&readme, "docs/x.md").is_some()
    );
}
