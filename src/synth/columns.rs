//! The tables of a shop: their columns, and how rows become them.
//!
//! What the columns mean stands in data-samples/README.md.

use parquet::{
    data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type},
    errors::Result,
};

use super::{
    calendar::{DAY_MS, Day},
    config::Compression,
    dirt::{Dirt, UNKNOWN_TYPES},
    plan::GroupPlan,
    sessions::{Kind, Place},
    shop::{GroupLog, Shop},
    table::{Encoded, Encoder, Schema, digits},
    taste::Taste,
};

/// The schemas of all tables.
#[derive(Debug)]
pub(crate) struct Schemas {
    pub(crate) events: Schema,
    pub(crate) catalog: Schema,
    pub(crate) customers: Schema,
    pub(crate) orders: Schema,
    pub(crate) truth: Schema,
    pub(crate) truth_items: Schema,
}

impl Schemas {
    pub(crate) fn new(compression: Compression) -> Self {
        Self {
            events: Schema::new(
                "message event {
                    required binary event_id (STRING);
                    optional binary user_id (STRING);
                    optional binary item_id (STRING);
                    required binary event_type (STRING);
                    required int64 timestamp (TIMESTAMP(MILLIS, true));
                    required binary session_id (STRING);
                    optional int32 quantity;
                    optional double price;
                }",
                &["event_id", "session_id", "timestamp"],
                &["timestamp"],
                compression,
            ),
            catalog: Schema::new(
                "message item {
                    required binary item_id (STRING);
                    required binary title (STRING);
                    required binary category (STRING);
                    required binary brand (STRING);
                    required double price;
                    required boolean available;
                    required int64 created_at (TIMESTAMP(MILLIS, true));
                }",
                &["item_id", "title", "created_at"],
                &["created_at"],
                compression,
            ),
            customers: Schema::new(
                "message customer {
                    required binary user_id (STRING);
                    required binary email (STRING);
                    required binary country (STRING);
                    required binary locale (STRING);
                    required boolean marketing_consent;
                    required int64 created_at (TIMESTAMP(MILLIS, true));
                }",
                &["user_id", "email", "created_at"],
                &["created_at"],
                compression,
            ),
            orders: Schema::new(
                "message order {
                    required binary order_id (STRING);
                    required binary user_id (STRING);
                    required binary item_id (STRING);
                    required int32 quantity;
                    required double price;
                    required int64 ordered_at (TIMESTAMP(MILLIS, true));
                    required binary status (STRING);
                }",
                &["order_id", "ordered_at"],
                &["ordered_at"],
                compression,
            ),
            truth: Schema::new(
                "message taste {
                    required binary user_id (STRING);
                    required boolean is_bot;
                    required int32 style;
                    required group favourite_categories (LIST) {
                        repeated group list {
                            required group element {
                                required binary category (STRING);
                                required binary brand (STRING);
                                required double weight;
                            }
                        }
                    }
                }",
                &["user_id"],
                &[],
                compression,
            ),
            // As events, so that whatever reads events can test against it.
            truth_items: Schema::new(
                "message wanted {
                    required binary user_id (STRING);
                    required binary item_id (STRING);
                    required binary event_type (STRING);
                    required int64 timestamp (TIMESTAMP(MILLIS, true));
                }",
                &[],
                &[],
                compression,
            ),
        }
    }
}

fn user_id(out: &mut Vec<u8>, user: u32) {
    out.push(b'u');
    digits(out, user.into(), 7);
}

fn item_id(out: &mut Vec<u8>, item: u32) {
    out.push(b'i');
    digits(out, item.into(), 6);
}

/// A letter, the date, the row group of the day and a number in it: `e2026060100000000123`.
fn dated_id(out: &mut Vec<u8>, letter: u8, day: &Day, group: u32, number: u32) {
    out.push(letter);
    digits(out, day.digits.into(), 8);
    digits(out, group.into(), 4);
    digits(out, number.into(), 7);
}

fn money(cents: u64) -> f64 {
    cents as f64 / 100.0
}

/// A row group of events.
pub(crate) fn events(shop: &Shop, schemas: &Schemas, group: &GroupPlan, log: &GroupLog) -> Result<Encoded> {
    let today = &shop.days[group.place.day as usize];
    let after_log = shop.days.last().expect("a log has a day").start_ms - today.start_ms;
    let at = |written: usize| {
        let row = log.written[written] as usize;
        (&log.rows[row], log.dirt[row])
    };
    let mut encoder = Encoder::new(&schemas.events, log.written.len());
    encoder.texts(|n, out| {
        dated_id(out, b'e', today, group.place.group, log.written[n]);
        true
    })?;
    encoder.texts(|n, out| {
        let (row, dirt) = at(n);
        if dirt != Dirt::NullUser {
            user_id(out, row.user);
        }
        dirt != Dirt::NullUser
    })?;
    encoder.texts(|n, out| {
        let (row, dirt) = at(n);
        if dirt != Dirt::NullItem {
            item_id(out, row.item);
        }
        dirt != Dirt::NullItem
    })?;
    encoder.texts(|n, out| {
        let (row, dirt) = at(n);
        let name = if let Dirt::UnknownType(word) = dirt { UNKNOWN_TYPES[usize::from(word)] } else { row.kind.name() };
        out.extend_from_slice(name.as_bytes());
        true
    })?;
    encoder.values::<Int64Type>(|n| {
        let (row, dirt) = at(n);
        let time = today.start_ms + i64::from(row.at_ms);
        Some(match dirt {
            Dirt::Future(days) => time + after_log + i64::from(days) * DAY_MS,
            _ => time,
        })
    })?;
    encoder.texts(|n, out| {
        let Place { day, group, session } = at(n).0.place;
        dated_id(out, b's', &shop.days[day as usize], group, session);
        true
    })?;
    encoder.values::<Int32Type>(|n| {
        let row = at(n).0;
        (row.kind != Kind::View).then_some(row.quantity.into())
    })?;
    encoder.values::<DoubleType>(|n| {
        let row = at(n).0;
        (row.kind != Kind::View).then(|| money(row.price_cents.into()))
    })?;
    Ok(encoder.finish())
}

/// A line of an order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    place: Place,
    line: u8,
    user: u32,
    item: u32,
    quantity: u8,
    price_cents: u32,
    ordered_ms: i64,
    pub(crate) refunded: bool,
}

/// The orders of a row group of events: every purchase that happened, whatever became of its event.
pub(crate) fn orders_of<'a>(
    shop: &'a Shop,
    group: &GroupPlan,
    log: &'a GroupLog,
) -> impl Iterator<Item = Order> + use<'a> {
    let start_ms = shop.days[group.place.day as usize].start_ms;
    log.rows.iter().filter(|row| row.kind == Kind::Purchase).map(move |row| Order {
        place: row.place,
        line: row.line,
        user: row.user,
        item: row.item,
        quantity: row.quantity,
        price_cents: row.price_cents,
        ordered_ms: start_ms + i64::from(row.at_ms),
        refunded: row.refunded,
    })
}

/// A row group of orders.
pub(crate) fn orders(shop: &Shop, schemas: &Schemas, rows: &[Order]) -> Result<Encoded> {
    let mut encoder = Encoder::new(&schemas.orders, rows.len());
    encoder.texts(|n, out| {
        let Place { day, group, session } = rows[n].place;
        dated_id(out, b'o', &shop.days[day as usize], group, session);
        out.push(b'-');
        digits(out, u64::from(rows[n].line) + 1, 1);
        true
    })?;
    encoder.texts(|n, out| {
        user_id(out, rows[n].user);
        true
    })?;
    encoder.texts(|n, out| {
        item_id(out, rows[n].item);
        true
    })?;
    encoder.values::<Int32Type>(|n| Some(rows[n].quantity.into()))?;
    encoder.values::<DoubleType>(|n| Some(money(rows[n].price_cents.into())))?;
    encoder.values::<Int64Type>(|n| Some(rows[n].ordered_ms))?;
    encoder.texts(|n, out| {
        out.extend_from_slice(if rows[n].refunded { b"refunded" } else { b"completed" });
        true
    })?;
    Ok(encoder.finish())
}

/// A row group of the catalogue: items `first` to `end` - 1.
pub(crate) fn catalog(shop: &Shop, schemas: &Schemas, first: u32, end: u32) -> Result<Encoded> {
    let items = &shop.items;
    let mut encoder = Encoder::new(&schemas.catalog, (end - first) as usize);
    let item = |n: usize| first + n as u32;
    encoder.texts(|n, out| {
        item_id(out, item(n));
        true
    })?;
    encoder.texts(|n, out| {
        out.extend_from_slice(items.title(item(n)).as_bytes());
        true
    })?;
    encoder.texts(|n, out| {
        out.extend_from_slice(items.category_name(items.category(item(n))).as_bytes());
        true
    })?;
    encoder.texts(|n, out| {
        out.extend_from_slice(items.brand_name(items.brand(item(n))).as_bytes());
        true
    })?;
    encoder.values::<DoubleType>(|n| Some(money(items.price_cents(item(n)).into())))?;
    encoder.values::<BoolType>(|n| Some(items.available(item(n))))?;
    encoder.values::<Int64Type>(|n| Some(items.arrivals.at(item(n))))?;
    Ok(encoder.finish())
}

/// A row group of customers: users `first` to `end` - 1.
pub(crate) fn customers(shop: &Shop, schemas: &Schemas, first: u32, end: u32) -> Result<Encoded> {
    let rows: Vec<_> = (first..end).map(|user| shop.users.customer(user)).collect();
    let mut encoder = Encoder::new(&schemas.customers, rows.len());
    encoder.texts(|n, out| {
        user_id(out, first + n as u32);
        true
    })?;
    encoder.texts(|n, out| {
        out.extend_from_slice(rows[n].email.as_bytes());
        true
    })?;
    encoder.texts(|n, out| {
        out.extend_from_slice(rows[n].country.as_bytes());
        true
    })?;
    encoder.texts(|n, out| {
        out.extend_from_slice(rows[n].locale.as_bytes());
        true
    })?;
    encoder.values::<BoolType>(|n| Some(rows[n].consent))?;
    encoder.values::<Int64Type>(|n| Some(rows[n].created_ms))?;
    Ok(encoder.finish())
}

/// A row group of the truth: users `first` to `end` - 1.
pub(crate) fn truth(shop: &Shop, schemas: &Schemas, first: u32, end: u32) -> Result<Encoded> {
    let mut encoder = Encoder::new(&schemas.truth, (end - first) as usize);
    encoder.texts(|n, out| {
        user_id(out, first + n as u32);
        true
    })?;
    let tastes: Vec<Option<Taste>> = (first..end).map(|user| shop.taste(user)).collect();
    encoder.values::<BoolType>(|n| Some(tastes[n].is_none()))?;
    encoder.values::<Int32Type>(|n| Some(shop.style_of_user(first + n as u32) as i32))?;
    // One level a favourite, and one for an empty list: defined 0 is empty, repeated 1 goes on with the row's list.
    let (mut defined, mut repeated) = (Vec::new(), Vec::new());
    for taste in &tastes {
        let n = taste.as_ref().map_or(0, |taste| taste.favourites().len());
        for entry in 0..n.max(1) {
            defined.push(i16::from(n > 0));
            repeated.push(i16::from(entry > 0));
        }
    }
    let favourites = || tastes.iter().flatten().flat_map(Taste::favourites);
    // A name is copied once, then shared by all who like it.
    let names = |n: u32, name: &dyn Fn(u32) -> String| -> Vec<ByteArray> {
        (0..n).map(|number| ByteArray::from(name(number).into_bytes())).collect()
    };
    let categories = names(shop.config.categories, &|category| shop.items.category_name(category).to_owned());
    let brands = names(shop.config.brands, &|brand| shop.items.brand_name(brand).to_owned());
    let categories: Vec<ByteArray> = favourites().map(|f| categories[f.category as usize].clone()).collect();
    let brands: Vec<ByteArray> = favourites().map(|f| brands[f.brand as usize].clone()).collect();
    let weights: Vec<f64> = favourites().map(|favourite| favourite.weight).collect();
    for values in [categories, brands] {
        encoder.column::<ByteArrayType>(|writer| {
            writer.write_batch(&values, Some(&defined), Some(&repeated)).map(|_| ())
        })?;
    }
    encoder.column::<DoubleType>(|writer| writer.write_batch(&weights, Some(&defined), Some(&repeated)).map(|_| ()))?;
    Ok(encoder.finish())
}

/// A row group of the items that people want most, by person and best first: pairs (user, item).
pub(crate) fn truth_items(shop: &Shop, schemas: &Schemas, pairs: &[(u32, u32)]) -> Result<Encoded> {
    let last_ms = shop.days.last().expect("a log has a day").start_ms + DAY_MS - 1;
    let mut encoder = Encoder::new(&schemas.truth_items, pairs.len());
    encoder.texts(|n, out| {
        user_id(out, pairs[n].0);
        true
    })?;
    encoder.texts(|n, out| {
        item_id(out, pairs[n].1);
        true
    })?;
    encoder.texts(|_, out| {
        out.extend_from_slice(Kind::Purchase.name().as_bytes());
        true
    })?;
    encoder.values::<Int64Type>(|_| Some(last_ms))?;
    Ok(encoder.finish())
}
