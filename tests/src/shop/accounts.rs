//! The shop's customers and their sessions.

use std::collections::HashMap;
use std::sync::Mutex;

/// Customers that exist from the beginning: numbers 1 to this.
pub const CUSTOMERS: u64 = 500;

/// E-mail address and password of a customer.
pub fn credentials(customer: u64) -> (String, String) {
    (format!("customer{customer}@example.org"), format!("correct-{}", customer * 7919 % 10_007))
}

/// Everybody who can log in, and who has.
#[derive(Debug, Default)]
pub struct Accounts {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    registered: HashMap<String, String>,
    /// Session token to customer.
    sessions: HashMap<String, String>,
}

impl Accounts {
    /// A session token, when the credentials are right.
    pub fn log_in(&self, email: &str, password: &str) -> Option<String> {
        let mut state = self.state.lock().unwrap();
        let number = email.strip_prefix("customer").and_then(|rest| rest.split('@').next());
        let known = number.and_then(|number| number.parse().ok()).is_some_and(|number| {
            (1..=CUSTOMERS).contains(&number)
                && credentials(number) == (email.to_owned(), password.to_owned())
        });
        let registered = state.registered.get(email).is_some_and(|p| p == password);
        (known || registered).then(|| {
            let token = format!("{:016x}", (state.sessions.len() as u64 + 1) * 0x9e37_79b9_7f4a);
            state.sessions.insert(token.clone(), email.to_owned());
            token
        })
    }

    /// The customer whose session this is.
    pub fn customer(&self, session: Option<&str>) -> Option<String> {
        self.state.lock().unwrap().sessions.get(session?).cloned()
    }

    /// Adds a customer; false when the address is taken.
    pub fn register(&self, email: &str, password: &str) -> bool {
        let mut state = self.state.lock().unwrap();
        if email.is_empty() || state.registered.contains_key(email) {
            return false;
        }
        state.registered.insert(email.to_owned(), password.to_owned());
        true
    }
}
