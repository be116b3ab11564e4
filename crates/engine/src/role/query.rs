//! What a query says that an endpoint is for, where one path serves all of an application:
//! `/ucp.php?mode=login`, `/index.php?route=account/register`, `/?login/`.

use crate::path::Path;

use super::{Looks, Role, Roles};

/// Names of arguments that say what is to be done.
const DEEDS: [&[u8]; 15] = [
    b"action",
    b"act",
    b"mode",
    b"do",
    b"task",
    b"_task",
    b"op",
    b"cmd",
    b"func",
    b"method",
    b"mod",
    b"route",
    b"r",
    b"controller",
    b"wc-ajax",
];
/// Names of arguments that say which page is shown. What is bought or written there is no name of a page:
/// `?page=orders` is a list of them.
const PAGES: [&[u8]; 6] = [b"page", b"p", b"view", b"title", b"q", b"option"];

impl Role {
    /// The role of a path that names this one, with a query that names another.
    #[must_use]
    pub fn with_query(self, query: Self) -> Self {
        match (self, query) {
            // `/wp-login.php?action=register`
            (Self::Auto, _) | (Self::Login, Self::Registration) => query,
            _ => self,
        }
    }
}

impl Roles {
    /// The role that a query names. Where to go afterwards says nothing: `?next=/login`.
    pub fn of_query(&self, query: &[u8]) -> Role {
        let named = query.split(|&b| b == b'&').filter_map(|argument| self.named(argument));
        named.min_by_key(|role| *role as u8).unwrap_or(Role::Auto)
    }

    /// The role that one argument names.
    fn named(&self, argument: &[u8]) -> Option<Role> {
        let (name, value) = match argument.iter().position(|&b| b == b'=') {
            Some(at) => (&argument[..at], &argument[at + 1..]),
            None => (&b""[..], argument),
        };
        let is = |names: &[&[u8]]| names.iter().any(|it| name.eq_ignore_ascii_case(it));
        // A question without a name is a path: `/?account/login`. What is searched for is none.
        let text = value.contains(&b'+') || (name == b"q" && !value.contains(&b'/'));
        let deed = is(&DEEDS);
        let page = (is(&PAGES) && !text) || (name.is_empty() && !value.is_empty());
        if !deed && !page {
            return None;
        }
        // `login2` is the second step of `login`.
        let digits = value.iter().rev().take_while(|b| b.is_ascii_digit()).count();
        let role = self.of(&Path::new(&value[..value.len() - digits]), Looks::NOTHING);
        let counts = match role {
            Role::Login | Role::Registration => true,
            Role::Content | Role::Checkout => deed,
            _ => false,
        };
        counts.then_some(role)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_what_a_path_does_not() {
        let roles = Roles::new().unwrap();
        for (query, expected) in [
            ("mode=login", Role::Login),
            ("action=login2&PHPSESSID=7", Role::Login),
            ("login/login", Role::Login),
            ("q=user/login", Role::Login),
            ("title=Special:UserLogin&returnto=Main", Role::Login),
            ("option=com_users&task=user.login", Role::Login),
            ("route=account%2Fregister", Role::Registration),
            ("mod=join", Role::Registration),
            ("mode=reply&f=2&t=17", Role::Content),
            ("route=checkout/cart/add", Role::Checkout),
            ("wc-ajax=add_to_cart", Role::Checkout),
            ("route=checkout/cart/remove", Role::Auto),
            ("next=/login", Role::Auto),
            ("redirect_to=%2Fwp-login.php&x=login", Role::Auto),
            ("page=orders", Role::Auto),
            ("q=login", Role::Auto),
            ("q=login/logout&title=how+to+login", Role::Auto),
            ("q=lamp&page=3", Role::Auto),
            ("", Role::Auto),
            ("=", Role::Auto),
        ] {
            assert_eq!(roles.of_query(query.as_bytes()), expected, "{query}");
        }
        // What the path says stands, but for what a login is told to do.
        assert_eq!(Role::Login.with_query(Role::Registration), Role::Registration);
        assert_eq!(Role::Login.with_query(Role::Content), Role::Login);
        assert_eq!(Role::Checkout.with_query(Role::Login), Role::Checkout);
        assert_eq!(Role::Auto.with_query(Role::Login), Role::Login);
    }
}
