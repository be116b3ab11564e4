//! People: sessions of pages with interests, think times, forms and passwords.

use std::fmt::Write as _;

use crate::simulate::random::Random;
use crate::simulate::shop::{CATEGORIES, PRODUCTS, Request};
use crate::simulate::world::{Agent, World};

/// What a session is like.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulate) struct Habits {
    /// Mean number of pages.
    pub(in crate::simulate) pages: f64,
    /// Probability of logging in.
    pub(in crate::simulate) login: f64,
    /// Probability that a password is mistyped.
    pub(in crate::simulate) mistype: f64,
    /// Probability of registering.
    pub(in crate::simulate) register: f64,
    /// A phone: icons that are missing, a network that fails.
    pub(in crate::simulate) phone: bool,
    /// Everybody comes for this product.
    pub(in crate::simulate) product: Option<u64>,
}

/// Habits of people.
pub(in crate::simulate) const PERSON: Habits =
    Habits { pages: 5.0, login: 0.25, mistype: 0.12, register: 0.01, phone: false, product: None };

/// What comes next in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Page,
    Asset,
    LoginForm,
    Password,
    Orders,
    RegisterForm,
    Register,
    Review,
    Cart,
    Icon,
}

/// One session of one person.
#[derive(Debug)]
pub(in crate::simulate) struct Visit {
    who: u32,
    person: u64,
    random: Random,
    habits: Habits,
    pages: u32,
    assets: u32,
    tries: u32,
    length: u32,
    step: Step,
    logged_in: bool,
    product: u64,
    path: String,
    page: String,
}

impl Visit {
    /// A session of `person` with the browser `who`.
    pub(in crate::simulate) fn new(
        who: u32,
        person: u64,
        habits: Habits,
        mut random: Random,
    ) -> Self {
        let pages = 1 + random.exponential(habits.pages - 1.0) as u32;
        let length = 28 + (person % 23) as u32;
        let (path, page) = (String::new(), String::new());
        Self {
            who,
            person,
            random,
            habits,
            pages: pages.min(80),
            assets: 0,
            tries: 0,
            length,
            step: Step::Page,
            logged_in: false,
            product: 0,
            path,
            page,
        }
    }

    fn think(&mut self, median_ms: f64) -> u64 {
        self.random.lognormal(median_ms, 0.8) as u64
    }

    /// The product that the person wants to see: what is popular, and what it likes.
    fn interest(&mut self) -> u64 {
        if let Some(product) = self.habits.product {
            return product;
        }
        let rank = if self.random.chance(0.35) {
            Random::new(self.person ^ self.random.below(6)).zipf(PRODUCTS)
        } else {
            self.random.zipf(PRODUCTS)
        };
        1 + (rank * 7919) % PRODUCTS
    }

    /// Where the next page is; the path is left in `self.path`, the query is returned.
    fn choose(&mut self, landing: bool) -> &'static str {
        self.path.clear();
        let choice = self.random.unit();
        self.product = 0;
        let direct = self.habits.product.is_some() || choice < 0.45;
        if direct {
            self.product = self.interest();
            let _ = write!(self.path, "/products/{}.html", self.product);
        } else if landing || choice < 0.55 {
            self.path.push('/');
        } else if choice < 0.8 {
            let _ = write!(self.path, "/category/c{}", self.random.zipf(CATEGORIES));
            return self.random.pick(&["", "", "", "page=2", "page=3"], "");
        } else {
            self.path.push_str("/search");
            return self.random.pick(&["q=lamp", "q=blue+chair", "q=desk", "q=rug&page=2"], "q=a");
        }
        ""
    }

    fn page(&mut self, world: &mut World<'_>) -> Option<u64> {
        if self.pages == 0 {
            return None;
        }
        self.pages -= 1;
        let landing = self.page.is_empty();
        let query = self.choose(landing);
        let aborted = self.habits.phone && self.random.chance(0.03);
        let request = Request {
            query,
            referer: &self.page,
            cookie: self.logged_in,
            aborted,
            ..Request::get(&self.path)
        };
        let reply = world.send(self.who, &request);
        std::mem::swap(&mut self.page, &mut self.path);
        if reply.denied {
            return None;
        }
        if aborted || reply.status >= 500 {
            // Reload, as everybody does.
            self.pages += u32::from(self.random.chance(0.7));
            return Some(self.think(2500.0));
        }
        let cached = std::mem::replace(&mut world.sources[self.who as usize].cached, true);
        self.assets = if cached { u32::from(self.product != 0) } else { 5 };
        let after = self.after_page(landing, cached);
        self.step = if self.assets > 0 { Step::Asset } else { after };
        Some(if self.assets > 0 { self.random.between(30, 200) } else { self.think(9000.0) })
    }

    /// What a person does with a page: most go on to the next.
    fn after_page(&mut self, landing: bool, cached: bool) -> Step {
        if landing && self.random.chance(self.habits.login) {
            Step::LoginForm
        } else if landing && self.random.chance(self.habits.register) {
            Step::RegisterForm
        } else if landing && !cached && self.habits.phone && self.random.chance(0.4) {
            Step::Icon
        } else if self.product != 0 && self.random.chance(0.06) {
            Step::Cart
        } else if self.product != 0 && self.random.chance(0.01) {
            Step::Review
        } else {
            Step::Page
        }
    }

    fn asset(&mut self, world: &mut World<'_>) -> u64 {
        const FILES: [&str; 4] =
            ["/static/app.css", "/static/app.js", "/static/vendor.js", "/static/logo.svg"];
        self.assets -= 1;
        self.path.clear();
        match FILES.get((self.assets as usize).wrapping_sub(1)) {
            Some(file) => self.path.push_str(file),
            None => {
                let _ = write!(self.path, "/img/products/{}.jpg", self.product.max(1));
            }
        }
        let request = Request {
            referer: &self.page,
            conditional: self.random.chance(0.2),
            ..Request::get(&self.path)
        };
        world.send(self.who, &request);
        if self.assets > 0 {
            return self.random.between(5, 80);
        }
        self.step = self.after_page(self.page == "/", true);
        self.think(9000.0)
    }

    fn login(&mut self, world: &mut World<'_>) -> Option<u64> {
        if self.step == Step::LoginForm {
            let form = Request { referer: &self.page, ..Request::get("/login") };
            self.step = Step::Password;
            if world.send(self.who, &form).denied {
                return None;
            }
            let filled_in_by_browser = self.random.chance(0.5);
            return Some(self.think(if filled_in_by_browser { 2500.0 } else { 9000.0 }));
        }
        let right = !self.random.chance(self.habits.mistype);
        let length = self.length + if right { 0 } else { self.random.below(4) as u32 };
        let request = Request { right, referer: "/login", ..Request::post("/login", length) };
        let reply = world.send(self.who, &request);
        self.tries += 1;
        if reply.denied || (!right && self.tries >= 5) {
            return None;
        }
        if right {
            self.logged_in = true;
            self.step = if self.random.chance(0.5) { Step::Orders } else { Step::Page };
            return Some(self.think(1500.0));
        }
        Some(self.think(5000.0))
    }

    fn orders(&mut self, world: &mut World<'_>) -> u64 {
        self.path.clear();
        let order = world.shop.order_of(self.person, self.random.below(3));
        let _ = write!(self.path, "/account/orders/{order}");
        let request = Request { cookie: true, referer: "/account", ..Request::get(&self.path) };
        world.send(self.who, &request);
        self.step = if self.random.chance(0.3) { Step::Orders } else { Step::Page };
        self.think(7000.0)
    }

    fn form(&mut self, world: &mut World<'_>) -> u64 {
        match self.step {
            Step::RegisterForm => {
                world.send(self.who, &Request { referer: &self.page, ..Request::get("/register") });
                self.step = Step::Register;
                return if self.random.chance(0.03) { 1500 } else { self.think(40_000.0) };
            }
            Step::Register => {
                let request = Request {
                    referer: "/register",
                    ..Request::post("/register", 70 + self.length)
                };
                world.send(self.who, &request);
                self.logged_in = true;
            }
            Step::Review => {
                self.path.clear();
                let _ = write!(self.path, "/products/{}/reviews", self.product);
                let length = 60 + self.random.below(400) as u32;
                let request = Request {
                    referer: &self.page,
                    cookie: true,
                    ..Request::post(&self.path, length)
                };
                world.send(self.who, &request);
            }
            _ => {
                let right = self.habits.product.is_none() || self.random.chance(0.3);
                let post = Request { right, referer: &self.page, ..Request::post("/cart", 24) };
                let again = self.habits.product.is_some() && !right && self.tries < 6;
                world.send(self.who, &post);
                self.tries += 1;
                if again {
                    return self.think(3000.0);
                }
                if right && self.random.chance(0.5) {
                    self.step = Step::Page;
                    let length = 200 + self.length;
                    world.send(
                        self.who,
                        &Request { referer: "/cart", ..Request::post("/checkout", length) },
                    );
                }
            }
        }
        self.step = Step::Page;
        self.think(8000.0)
    }

    /// What iOS asks every site for.
    fn icons(&mut self, world: &mut World<'_>) -> u64 {
        const ICONS: [&str; 3] = [
            "/apple-touch-icon-120x120-precomposed.png",
            "/apple-touch-icon-120x120.png",
            "/apple-touch-icon.png",
        ];
        for icon in ICONS {
            world.send(self.who, &Request::get(icon));
        }
        self.step = Step::Page;
        self.think(6000.0)
    }
}

impl Agent for Visit {
    fn act(&mut self, world: &mut World<'_>) -> Option<u64> {
        match self.step {
            Step::Page => self.page(world),
            Step::Asset => Some(self.asset(world)),
            Step::LoginForm | Step::Password => self.login(world),
            Step::Orders => Some(self.orders(world)),
            Step::Icon => Some(self.icons(world)),
            Step::RegisterForm | Step::Register | Step::Review | Step::Cart => {
                Some(self.form(world))
            }
        }
    }
}
