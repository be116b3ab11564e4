//! What an endpoint is for: configured, or read off its path, its method and its answers.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

use crate::path::Path;
use crate::record::{Method, PATH_MAX, RequestRecord, flags};
use crate::token::Token;

mod query;

/// Role of an endpoint. The discriminants travel in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Nothing special, or not known yet.
    Auto = 0,
    /// Tries credentials.
    Login = 1,
    /// Creates an account.
    Registration = 2,
    /// Publishes something: comments, messages, reviews.
    Content = 3,
    /// Reserves or buys.
    Checkout = 4,
    /// An object of somebody's.
    Object = 5,
    /// An object of the catalogue, a list or a search.
    Catalog = 6,
    /// A file that pages pull in.
    Static = 7,
    /// Not judged.
    Ignore = 8,
}

impl Role {
    /// All roles, in the order of their discriminants.
    pub const ALL: [Self; 9] = [
        Self::Auto,
        Self::Login,
        Self::Registration,
        Self::Content,
        Self::Checkout,
        Self::Object,
        Self::Catalog,
        Self::Static,
        Self::Ignore,
    ];

    /// The name used in `api_abuse_endpoint`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Login => "login",
            Self::Registration => "registration",
            Self::Content => "content",
            Self::Checkout => "checkout",
            Self::Object => "object",
            Self::Catalog => "catalog",
            Self::Static => "static",
            Self::Ignore => "ignore",
        }
    }

    /// The role with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Words of the last two segments that a login is named by.
const LOGIN: &str = include_str!("role/login.txt");
/// The same for registrations.
const REGISTRATION: &str = include_str!("role/registration.txt");
/// The same for what publishes.
const CONTENT: &str = include_str!("role/content.txt");
/// The same for what reserves or buys.
const CHECKOUT: &str = include_str!("role/checkout.txt");

/// The words that name roles, compiled.
#[derive(Debug)]
pub struct Roles {
    words: AhoCorasick,
    /// Role of each word, and whether it must be the last one of the path or stand before one of
    /// [`MAKES`] (`$` in the list): `POST /users` makes a user, `POST /users/search` does not.
    roles: Vec<(Role, bool)>,
}

/// What is done to a collection to make one more.
const MAKES: [&[u8]; 7] = [b"new-", b"create-", b"add-", b"submit-", b"send-", b"post-", b"json-"];
/// What is done without making anything.
const MAKES_NOTHING: [&[u8]; 17] = [
    b"-update-",
    b"-remove-",
    b"-delete-",
    b"-edit-",
    b"-count-",
    b"-search-",
    b"-quantity-",
    b"-qty-",
    b"-preview-",
    b"-validate-",
    b"-check-",
    b"-typing-",
    b"-read-",
    b"-seen-",
    b"-status-",
    b"-draft-",
    b"-estimate-",
];

impl Roles {
    /// Compiles the lists. Where words of several roles occur, the role listed first counts.
    pub fn new() -> Result<Self, BuildError> {
        let lists = [
            (Role::Login, LOGIN),
            (Role::Registration, REGISTRATION),
            (Role::Checkout, CHECKOUT),
            (Role::Content, CONTENT),
        ];
        let words = || lists.iter().flat_map(|(role, list)| list.lines().map(|word| (*role, word)));
        let plain = |word: &'static str| word.strip_suffix('$').unwrap_or(word);
        Ok(Self {
            words: AhoCorasick::builder()
                .kind(Some(AhoCorasickKind::DFA))
                .build(words().map(|(_, word)| format!("-{}-", plain(word))))?,
            roles: words().map(|(role, word)| (role, word.ends_with('$'))).collect(),
        })
    }

    /// The role that a path names.
    pub fn of(&self, path: &Path, looks: Looks) -> Role {
        if looks.is_resource() {
            return Role::Static;
        }
        if path.segments().any(is_called_back) {
            return Role::Auto;
        }
        let mut text = [b'-'; PATH_MAX + 2];
        let words = words(path, &mut text);
        let named = self.words.find_overlapping_iter(words).filter_map(|found| {
            let word = found.pattern().as_usize();
            let (role, last) = self.roles.get(word)?;
            let (tail, makes) = (&words[found.end()..], *role != Role::Login);
            let nothing = makes && MAKES_NOTHING.iter().any(|verb| words.ends_with(verb));
            (!nothing && (!last || tail.is_empty() || MAKES.contains(&tail)))
                .then_some((word, *role))
        });
        let role = named.min_by_key(|(word, _)| *word).map(|(_, role)| role);
        match role {
            // `PUT /users/5` changes a user.
            Some(Role::Registration) if Token::of(path.last()).0 != Token::Literal => Role::Auto,
            role => role.unwrap_or(Role::Auto),
        }
    }
}

/// Whether other programs report here what happened with them: `/webhooks/orders` orders nothing.
fn is_called_back(segment: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] = [b"webhook", b"webhooks", b"hook", b"hooks"];
    NAMES.iter().any(|name| segment.eq_ignore_ascii_case(name))
}

/// The role of a request: the configured one, or the one that its path names.
pub fn of_record(record: &RequestRecord<'_>, named: Role) -> Role {
    match Role::ALL.get(usize::from(record.head.role)) {
        None | Some(Role::Auto) => named,
        Some(configured) => *configured,
    }
}

/// The last two segments, lower case, with everything that joins words turned into `-`:
/// `/users/Sign_In.php` is `-users-sign-in-php-`.
fn words<'t>(path: &Path, text: &'t mut [u8; PATH_MAX + 2]) -> &'t [u8] {
    let tail = path.as_bytes();
    let tail = tail.strip_suffix(b"/").unwrap_or(tail);
    let start = tail.iter().rposition(|&b| b == b'/').unwrap_or(0);
    let start = tail[..start].iter().rposition(|&b| b == b'/').unwrap_or(start);
    let tail = &tail[start..];
    for (to, from) in text[1..].iter_mut().zip(tail) {
        *to = if from.is_ascii_alphanumeric() { from.to_ascii_lowercase() } else { b'-' };
    }
    text[tail.len() + 1] = b'-';
    &text[..tail.len() + 2]
}

/// What a path looks like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looks(u8);

const RESOURCE: u8 = 1;
const CODE: u8 = 2;
const INTERFACE: u8 = 4;
const DOCUMENT: u8 = 8;

impl Looks {
    /// Nothing of it.
    pub(crate) const NOTHING: Self = Self(0);

    /// Looks at a path.
    pub fn of(path: &Path) -> Self {
        let extension = path.extension();
        let of = |bit: u8, holds: bool| if holds { bit } else { 0 };
        Self(
            of(RESOURCE, names_resource(extension))
                | of(CODE, names_code(extension))
                | of(INTERFACE, names_interface(path))
                | of(DOCUMENT, names_document(extension)),
        )
    }

    /// Pulled in by a page rather than visited.
    pub fn is_resource(self) -> bool {
        self.0 & RESOURCE != 0
    }

    /// A resource that says what software serves it: scanners look for those.
    pub fn is_code(self) -> bool {
        self.0 & CODE != 0
    }

    /// Something to be read, that others link to; not what a server runs.
    pub fn is_document(self) -> bool {
        self.0 & DOCUMENT != 0
    }

    /// The path of a programming interface, where 2xx is success and nothing is a form.
    pub fn is_interface(self) -> bool {
        self.0 & INTERFACE != 0
    }
}

fn names_resource(extension: &[u8]) -> bool {
    let mut lower = [0; 5];
    let Some(lower) = lower.get_mut(..extension.len()) else { return false };
    lower.copy_from_slice(extension);
    lower.make_ascii_lowercase();
    matches!(
        &*lower,
        b"css"
            | b"js"
            | b"mjs"
            | b"map"
            | b"png"
            | b"jpg"
            | b"jpeg"
            | b"gif"
            | b"svg"
            | b"webp"
            | b"avif"
            | b"ico"
            | b"bmp"
            | b"woff"
            | b"woff2"
            | b"ttf"
            | b"eot"
            | b"otf"
            | b"mp3"
            | b"mp4"
            | b"webm"
            | b"ogg"
            | b"wasm"
            | b"swf"
            // What programs that install packages pull in.
            | b"whl"
            | b"jar"
            | b"pom"
            | b"deb"
            | b"rpm"
            | b"gem"
            | b"crate"
            | b"nupkg"
    )
}

fn names_code(extension: &[u8]) -> bool {
    [&b"css"[..], b"js", b"mjs", b"map", b"wasm", b"swf"]
        .iter()
        .any(|code| extension.eq_ignore_ascii_case(code))
}

fn names_document(extension: &[u8]) -> bool {
    const NAMES: [&[u8]; 13] = [
        b"html", b"htm", b"shtml", b"xhtml", b"pdf", b"doc", b"docx", b"xls", b"xlsx", b"ppt",
        b"pptx", b"odt", b"epub",
    ];
    NAMES.iter().any(|name| extension.eq_ignore_ascii_case(name))
}

fn names_interface(path: &Path) -> bool {
    const NAMES: [&[u8]; 8] =
        [b"api", b"rest", b"oauth", b"oauth2", b"graphql", b"token", b"tokens", b"rpc"];
    path.segments().any(|segment| {
        let version = segment.len() <= 3
            && matches!(segment.first(), Some(b'v' | b'V'))
            && segment[1..].iter().all(u8::is_ascii_digit);
        version || NAMES.iter().any(|name| segment.eq_ignore_ascii_case(name))
    })
}

/// A page that a person or a crawler visits, as opposed to what pages fetch for themselves. Access
/// logs do not say content types: there, everything that is no file of a page is one.
pub fn is_page(record: &RequestRecord<'_>, looks: Looks) -> bool {
    let visited = record.is(Method::Get) && !looks.is_resource();
    visited && (record.has(flags::HTML) || (record.has(flags::FROM_LOG) && !looks.is_interface()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn role(path: &str) -> Role {
        let path = Path::new(path.as_bytes());
        Roles::new().unwrap().of(&path, Looks::of(&path))
    }

    #[test]
    fn roles_by_name() {
        for (path, expected) in [
            ("/login", Role::Login),
            ("/account/login", Role::Login),
            ("/users/sign_in", Role::Login),
            ("/wp-login.php", Role::Login),
            ("/rest/user/login", Role::Login),
            ("/oauth/token", Role::Login),
            ("/api/v1/sessions", Role::Login),
            ("/Account/LogOn", Role::Login),
            ("/register", Role::Registration),
            ("/api/v2/sign-up", Role::Registration),
            ("/join_form", Role::Registration),
            ("/users", Role::Registration),
            ("/api/users/search", Role::Auto),
            ("/api/users/me", Role::Auto),
            ("/cart/update", Role::Auto),
            ("/cart/add", Role::Checkout),
            ("/api/messages/typing", Role::Auto),
            ("/api/messages/send", Role::Content),
            ("/api/posts/7", Role::Auto),
            ("/api/orders", Role::Checkout),
            ("/api/orders/search", Role::Auto),
            ("/users/new", Role::Registration),
            ("/account/new", Role::Registration),
            ("/cart", Role::Checkout),
            ("/api/cart/items", Role::Checkout),
            ("/wp-comments-post.php", Role::Content),
            ("/products/7/reviews", Role::Content),
            ("/feedback", Role::Content),
            ("/webhooks/orders", Role::Auto),
            ("/api/hooks/shop/customers/create", Role::Auto),
            ("/api/2fa/verify", Role::Login),
            ("/account/otp", Role::Login),
            ("/emails/verify", Role::Auto),
            ("/authors", Role::Auto),
            ("/tokenizer", Role::Auto),
            ("/blogging/in", Role::Auto),
            ("/api/metrics", Role::Auto),
            ("/static/login.js", Role::Static),
        ] {
            assert_eq!(role(path), expected, "{path}");
        }
        assert_eq!(role("/users/5"), Role::Auto);
    }
}
