//! What a member is told about himself: the reason for people, and variables for templates.

use serde::Serialize;
use serde_json::Value;

use super::{Shop, propose::Why};
use crate::interactions::{DAY, Stamp};

/// Longest title in a reason, in characters.
const MAX_TITLE: usize = 60;

/// `19 Nov`, or `19 Nov 2025` when it is not the year of `as_of`.
fn day(at: Stamp, as_of: Option<Stamp>) -> String {
    let date = |at: Stamp| {
        let instant = jiff::Timestamp::from_second(at.unix()).ok()?;
        Some(instant.to_zoned(jiff::tz::TimeZone::UTC).date())
    };
    let Some(date_at) = date(at) else { return String::new() };
    let same_year = as_of.and_then(date).is_some_and(|today| today.year() == date_at.year());
    date_at.strftime(if same_year { "%-d %b" } else { "%-d %b %Y" }).to_string()
}

fn instant(at: Stamp) -> Value {
    jiff::Timestamp::from_second(at.unix()).map_or(Value::Null, |at| Value::from(at.to_string()))
}

fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

fn money(amount: f64) -> String {
    format!("{amount:.2}")
}

fn title(shop: &Shop, item: u32) -> String {
    let whole = shop.title(item);
    match whole.char_indices().nth(MAX_TITLE) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole.to_owned(),
    }
}

/// Why he is a member, for people.
pub(super) fn reason(why: &Why, shop: &Shop, audience: Option<&str>) -> String {
    let day = |at: Stamp| day(at, shop.as_of);
    match why {
        Why::Carted(n, at) => format!("added {} on {}, not bought", count(*n, "item", "items"), day(*at)),
        Why::Browsed(n, at) => {
            format!("looked at {} more than once, last on {}, not bought", count(*n, "item", "items"), day(*at))
        }
        Why::Lapsed(at, n_orders, spent) => {
            let days = shop.as_of.map_or(0, |as_of| at.age_at(as_of) / DAY);
            let orders = count(*n_orders as usize, "order", "orders");
            let spent = if *spent > 0.0 { format!(", {} in all", money(*spent)) } else { String::new() };
            format!("last order on {}, {days} days ago; {orders}{spent}", day(*at))
        }
        Why::Tier(tier) => format!("RFM tier {tier}"),
        Why::Likes => "likes these more than most".to_owned(),
        Why::New(name) if name.is_empty() => "new in the shop".to_owned(),
        Why::New(name) => format!("likes {name}; these are new"),
        Why::Due(item, every, last) => {
            let days = every.round().max(1.0);
            let title = title(shop, *item);
            format!("buys {title} about every {days:.0} days, last on {}", day(*last))
        }
        Why::Goes(item, at) => format!("bought {} on {}; these go with it", title(shop, *item), day(*at)),
        Why::Cheaper(item, before, now, carted) => {
            let did = if *carted { "put into the cart" } else { "looked at" };
            format!("{did} {}, now {} instead of {}", title(shop, *item), money(*now), money(*before))
        }
        Why::Back(item, carted) => {
            let did = if *carted { "put into the cart" } else { "looked at" };
            format!("{did} {}, which is there again", title(shop, *item))
        }
        Why::Picks => "recommended to this user".to_owned(),
        Why::Audience => audience.map_or_else(|| "in the audience".to_owned(), str::to_owned),
    }
}

/// The variables of a member's template: the items with what the catalogue says of them, and what the reason says.
///
/// Keys ascend, at both levels.
pub(super) fn variables(why: &Why, items: &[(u32, f32)], shop: &Shop) -> String {
    let earlier = shop.earlier.as_ref().filter(|_| matches!(why, Why::Cheaper(..)));
    let items = items.iter().map(|&(item, _)| {
        let title = shop.catalog.titles[item as usize].as_str();
        ItemVariables {
            brand: shop.brand(item),
            category: shop.category(item),
            earlier_price: earlier.and_then(|it| it.prices[item as usize]),
            item_id: shop.items.get(item as usize),
            price: shop.price(item),
            title: (!title.is_empty()).then_some(title),
        }
    });
    let mut all = Variables { items: items.collect(), ..Variables::default() };
    match why {
        Why::Carted(n, at) => (all.n_carted, all.carted_at) = (Some(*n), Some(instant(*at))),
        Why::Browsed(n, at) => (all.n_looked_at, all.looked_at) = (Some(*n), Some(instant(*at))),
        Why::Lapsed(at, n_orders, spent) => {
            (all.last_order_at, all.n_orders, all.spent) = (Some(instant(*at)), Some(*n_orders), Some(*spent));
        }
        Why::Tier(tier) => all.tier = Some(tier),
        Why::New(name) => all.likes = Some(name),
        Why::Due(item, every, last) => {
            all.due_item_id = Some(shop.items.get(*item as usize));
            (all.every_days, all.last_bought_at) = (Some(every.round()), Some(instant(*last)));
        }
        Why::Goes(item, at) => {
            all.bought_item_id = Some(shop.items.get(*item as usize));
            (all.bought_title, all.bought_at) = (Some(shop.title(*item)), Some(instant(*at)));
        }
        _ => {}
    }
    serde_json::to_string(&all).expect("texts and numbers are JSON")
}

/// An item as templates see it; what is not known is left out.
#[derive(Serialize)]
struct ItemVariables<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    brand: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    earlier_price: Option<f64>,
    item_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

/// What templates see; a campaign's kind decides what is there besides the items.
#[derive(Default, Serialize)]
struct Variables<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    bought_at: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bought_item_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bought_title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    carted_at: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_item_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every_days: Option<f32>,
    items: Vec<ItemVariables<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_bought_at: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_order_at: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    likes: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    looked_at: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n_carted: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n_looked_at: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n_orders: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'a str>,
}
