//! What a member is told about himself: the reason for people, and variables for templates.

use serde_json::{Map, Value, json};

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
pub(super) fn variables(why: &Why, items: &[(u32, f32)], shop: &Shop) -> String {
    let item = |&(item, _): &(u32, f32)| {
        let mut entry = Map::new();
        entry.insert("item_id".into(), Value::from(shop.items.get(item as usize)));
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                entry.insert(key.into(), value);
            }
        };
        let title = &shop.catalog.titles[item as usize];
        put("title", (!title.is_empty()).then(|| Value::from(title.as_str())));
        put("category", shop.category(item).map(Value::from));
        put("brand", shop.brand(item).map(Value::from));
        put("price", shop.price(item).map(Value::from));
        if matches!(why, Why::Cheaper(..)) {
            put("earlier_price", shop.earlier.as_ref().and_then(|it| it.prices[item as usize]).map(Value::from));
        }
        Value::Object(entry)
    };
    let mut all = Map::new();
    all.insert("items".into(), Value::Array(items.iter().map(item).collect()));
    let more = match why {
        Why::Carted(n, at) => json!({ "n_carted": n, "carted_at": instant(*at) }),
        Why::Browsed(n, at) => json!({ "n_looked_at": n, "looked_at": instant(*at) }),
        Why::Lapsed(at, n_orders, spent) => {
            json!({ "last_order_at": instant(*at), "n_orders": n_orders, "spent": spent })
        }
        Why::Tier(tier) => json!({ "tier": tier }),
        Why::New(name) => json!({ "likes": name }),
        Why::Due(item, every, last) => json!({
            "due_item_id": shop.items.get(*item as usize),
            "every_days": every.round(),
            "last_bought_at": instant(*last),
        }),
        Why::Goes(item, at) => json!({
            "bought_item_id": shop.items.get(*item as usize),
            "bought_title": shop.title(*item),
            "bought_at": instant(*at),
        }),
        _ => json!({}),
    };
    if let Value::Object(more) = more {
        all.extend(more);
    }
    Value::Object(all).to_string()
}
