//! What the shop sells.

/// Product numbers are 1 to this.
pub const PRODUCTS: u64 = 300;

/// Products of a page of a list.
pub const PAGE: u64 = 12;

/// The departments; product `n` belongs to number `n % 8`.
pub const DEPARTMENTS: [&str; 8] =
    ["lamps", "chairs", "desks", "shelves", "rugs", "clocks", "kettles", "mugs"];

const STYLES: [&str; 9] =
    ["Plain", "Oak", "Copper", "Folding", "Tall", "Woven", "Enamel", "Reading", "Travel"];

/// Whether the product is still sold. One in nineteen is gone: lists and search engines still link
/// to it, and it answers 404, as in every shop that is older than a year.
pub fn is_sold(product: u64) -> bool {
    (1..=PRODUCTS).contains(&product) && product % 19 != 7
}

/// The department of a product.
pub fn department(product: u64) -> &'static str {
    DEPARTMENTS[(product % 8) as usize]
}

/// What the product is called.
pub fn name(product: u64) -> String {
    let style = STYLES[(product * 5 % 9) as usize];
    format!("{style} {} No. {product}", department(product).trim_end_matches('s'))
}

/// Its price in cents.
pub fn price(product: u64) -> u64 {
    990 + product * 379 % 9000
}

/// The products of one page of a department; those that are gone are still listed.
pub fn page_of(department: usize, page: u64) -> Vec<u64> {
    let start = page.saturating_sub(1) * PAGE;
    (0..PAGE)
        .map(|index| (start + index) * 8 + department as u64)
        .filter(|product| (1..=PRODUCTS).contains(product))
        .collect()
}

/// Products that a search finds: any word finds some, as in a shop with a generous search.
pub fn search(words: &str) -> Vec<u64> {
    let hash = words.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31) + u64::from(byte));
    (0..8).map(|n| (hash / 8 + n * 37) % PRODUCTS + 1).filter(|&p| is_sold(p)).collect()
}
