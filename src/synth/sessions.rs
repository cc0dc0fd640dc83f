//! One session: what a person looks at, takes, puts back and buys.
//!
//! A session is made from its place alone, so that any of them can be made again later: a refund is written on a
//! later day by somebody who has only the place of its purchase.

use super::{
    arithmetic::power,
    calendar::{DAY_MS, Day},
    config::Config,
    items::Items,
    random::{Name, Stream},
    taste::{Favourite, Taste, Tastes},
    users::Users,
};

const SESSION: Name = Name::new("session");
const BOT_SESSION: Name = Name::new("bot session");
const REFUND: Name = Name::new("refund");

/// No session has more views.
pub(crate) const MAX_VIEWS: usize = 32;
/// A refund comes at most so many days after its purchase.
pub(crate) const MAX_REFUND_DAYS: u32 = 21;
/// How much likelier a viewed item goes into the cart on a campaign day.
const CAMPAIGN_CART: f64 = 1.3;

/// Where a session stands: day of the log, row group of the day, number in the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) day: u32,
    pub(crate) group: u32,
    pub(crate) session: u32,
}

impl Place {
    fn stream(self, seed: u64, name: Name) -> Stream {
        Stream::new(seed, name, (u64::from(self.day) << 32) | u64::from(self.group), self.session.into())
    }
}

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    View,
    Cart,
    RemoveFromCart,
    Purchase,
    Refund,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::View, Self::Cart, Self::RemoveFromCart, Self::Purchase, Self::Refund];

    /// The word in the column `event_type`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Cart => "cart",
            Self::RemoveFromCart => "remove_from_cart",
            Self::Purchase => "purchase",
            Self::Refund => "refund",
        }
    }
}

/// One event as it really happened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Milliseconds after midnight of the day it is written on.
    pub(crate) at_ms: u32,
    pub(crate) user: u32,
    pub(crate) item: u32,
    pub(crate) place: Place,
    /// Number of the view in its session that it goes back to.
    pub(crate) line: u8,
    pub(crate) kind: Kind,
    /// Pieces; nothing for a view.
    pub(crate) quantity: u8,
    /// Of one piece, in cents; nothing for a view.
    pub(crate) price_cents: u32,
    /// A purchase whose refund is in the log.
    pub(crate) refunded: bool,
    /// Of a category that the person likes.
    pub(crate) favourite: bool,
    pub(crate) by_bot: bool,
}

/// What becomes of a viewed item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Left,
    Abandoned,
    Removed,
    Bought,
}

/// The shape of a session, known before its shopper and items are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Skeleton {
    fates: [Fate; MAX_VIEWS],
    n_views: u8,
    replenish: bool,
    n_rows: u32,
}

impl Skeleton {
    pub(crate) fn n_rows(&self) -> u32 {
        self.n_rows
    }

    fn fates(&self) -> &[Fate] {
        &self.fates[..usize::from(self.n_views)]
    }

    /// The lines that are bought.
    pub(crate) fn bought(&self) -> impl Iterator<Item = u8> + '_ {
        (0..self.n_views).filter(|&line| self.fates[usize::from(line)] == Fate::Bought)
    }
}

/// The laws by which sessions go.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    seed: u64,
    /// Chance that there are more than i + 1 views.
    more_views: [f64; MAX_VIEWS - 1],
    /// Chances that a view ends as bought, as bought or removed, in the cart at all: on an ordinary day and in a campaign.
    fates: [[f64; 3]; 2],
    replenish_rate: f64,
    return_rate: f64,
    /// Only every so many-th session can have refunds, so that looking for them is quick.
    refund_stride: u32,
    /// Chance of a refund of a line bought in such a session.
    refund_chance: f64,
}

impl Sessions {
    pub(crate) fn new(config: &Config) -> Self {
        let more = 1.0 - 1.0 / config.views_per_session;
        let more_views = std::array::from_fn(|i| if more > 0.0 { power(more, i as f64 + 1.0) } else { 0.0 });
        let fates = [1.0, CAMPAIGN_CART].map(|lift| {
            let cart = (config.view_to_cart_rate * lift).min(1.0);
            let bought = cart * config.cart_to_purchase_rate;
            [bought, bought + cart * config.cart_to_remove_rate, cart]
        });
        let refund_stride =
            if config.refund_rate > 0.0 { (1.0 / config.refund_rate).clamp(1.0, 16.0) as u32 } else { 1 };
        Self {
            seed: config.seed,
            more_views,
            fates,
            replenish_rate: config.replenish_rate,
            return_rate: config.return_rate,
            refund_stride,
            refund_chance: config.refund_rate * f64::from(refund_stride),
        }
    }

    /// The shape of the session at `place`, and the stream from which the rest of it is drawn.
    #[inline]
    pub(crate) fn skeleton(&self, place: Place, campaign: bool) -> (Skeleton, Stream) {
        let mut stream = place.stream(self.seed, SESSION);
        let length = stream.unit();
        // From the short end: most sessions are short.
        let n_views = 1 + self.more_views.iter().take_while(|&&more| length < more).count();
        let replenish = stream.chance(self.replenish_rate);
        let [bought, removed, carted] = self.fates[usize::from(campaign)];
        let mut fates = [Fate::Left; MAX_VIEWS];
        let mut n_rows = 0;
        for (line, fate) in fates[..n_views].iter_mut().enumerate() {
            let at = stream.unit();
            *fate = if at < bought || (line == 0 && replenish) {
                Fate::Bought
            } else if at < removed {
                Fate::Removed
            } else if at < carted {
                Fate::Abandoned
            } else {
                Fate::Left
            };
            n_rows += match fate {
                Fate::Left => 1,
                Fate::Abandoned => 2,
                Fate::Removed | Fate::Bought => 3,
            };
        }
        (Skeleton { fates, n_views: n_views as u8, replenish, n_rows }, stream)
    }

    /// The sessions of a group, of which `n_sessions` are whole, that can have refunds.
    pub(crate) fn refundable(&self, n_sessions: u32) -> impl Iterator<Item = u32> + use<> {
        (0..n_sessions).step_by(self.refund_stride as usize)
    }

    /// Days until the line bought at `place` is refunded, if it ever is.
    pub(crate) fn refund_after(&self, place: Place, line: u8) -> Option<u32> {
        if !place.session.is_multiple_of(self.refund_stride) {
            return None;
        }
        let mut stream = Stream::new(place.stream(self.seed, REFUND).word(), REFUND, line.into(), 0);
        if !stream.chance(self.refund_chance) {
            return None;
        }
        // The smaller of two draws: most come back in the first week.
        let (one, other) = (stream.below(MAX_REFUND_DAYS.into()), stream.below(MAX_REFUND_DAYS.into()));
        Some(1 + one.min(other) as u32)
    }
}

/// Who and what sessions are drawn from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cast<'a> {
    pub(crate) items: &'a Items,
    pub(crate) users: &'a Users,
    pub(crate) tastes: &'a Tastes,
}

/// A slice of a day's visits: part `part` of `n_parts` that are as busy as one another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice<'a> {
    pub(crate) day: &'a Day,
    pub(crate) part: u32,
    pub(crate) n_parts: u32,
}

impl Slice<'_> {
    /// A random time in the slice, in ms after midnight.
    pub(crate) fn time(&self, stream: &mut Stream) -> i64 {
        self.day.time_of((f64::from(self.part) + stream.unit()) / f64::from(self.n_parts))
    }
}

impl Sessions {
    /// Appends the rows of the session at `place`, in the order of time; all lie within the day.
    pub(crate) fn rows(&self, cast: Cast<'_>, slice: Slice<'_>, place: Place, rows: &mut Vec<Row>) {
        let (skeleton, mut stream) = self.skeleton(place, slice.day.campaign);
        let fates = skeleton.fates();
        let mut view_at = [0_i64; MAX_VIEWS + 1];
        for line in 0..fates.len() {
            let pause = stream.unit();
            view_at[line + 1] = view_at[line] + 4_000 + (pause * pause * 110_000.0) as i64;
        }
        let removed = fates.iter().filter(|&&fate| fate == Fate::Removed).count() as i64;
        let (remove_at, pay_at) = (view_at[fates.len()], view_at[fates.len()] + removed * 9_000 + 75_000);
        let start = slice.time(&mut stream).min(DAY_MS - 1 - pay_at);
        let start_ms = slice.day.start_ms + start;

        let user = cast.users.draw(start_ms, &mut stream);
        let taste = cast.tastes.of(cast.items, user);
        let focus = taste.draw(&mut stream);
        let mut basket = [Pick { item: 0, quantity: 0, price_cents: 0, favourite: false }; MAX_VIEWS];
        let row = |at: i64, line: usize, kind: Kind, pick: Pick| {
            let (quantity, price_cents) = if kind == Kind::View { (0, 0) } else { (pick.quantity, pick.price_cents) };
            Row {
                at_ms: (start + at) as u32,
                user,
                item: pick.item,
                place,
                line: line as u8,
                kind,
                quantity,
                price_cents,
                refunded: false,
                favourite: pick.favourite,
                by_bot: false,
            }
        };
        for (line, &fate) in fates.iter().enumerate() {
            let item = self.item(cast, &taste, focus, start_ms, line, &skeleton, &basket[..line], &mut stream);
            basket[line] = pick(cast.items, &taste, slice.day, item, &mut stream);
            rows.push(row(view_at[line], line, Kind::View, basket[line]));
            if fate != Fate::Left {
                let cart_at = view_at[line] + (view_at[line + 1] - view_at[line]) * 3 / 5;
                rows.push(row(cart_at, line, Kind::Cart, basket[line]));
            }
        }
        let with = |wanted: Fate| (0..fates.len()).filter(move |&line| fates[line] == wanted);
        for (number, line) in with(Fate::Removed).enumerate() {
            rows.push(row(remove_at + 9_000 * number as i64, line, Kind::RemoveFromCart, basket[line]));
        }
        for line in with(Fate::Bought) {
            rows.push(row(pay_at, line, Kind::Purchase, basket[line]));
        }
    }

    /// The item of view `line`: there already, and not yet seen in this session if that can be helped.
    #[expect(clippy::too_many_arguments)]
    fn item(
        &self,
        cast: Cast<'_>,
        taste: &Taste,
        focus: Favourite,
        start_ms: i64,
        line: usize,
        skeleton: &Skeleton,
        before: &[Pick],
        stream: &mut Stream,
    ) -> u32 {
        let mut item = if line == 0 && skeleton.replenish {
            cast.tastes.staple(cast.items, taste, stream)
        } else if stream.chance(self.return_rate) {
            cast.tastes.on_mind(cast.items, taste, stream)
        } else {
            cast.tastes.draw_item(cast.items, taste, focus, stream)
        };
        for _ in 0..8 {
            if cast.items.arrivals.at(item) <= start_ms && before.iter().all(|pick| pick.item != item) {
                return item;
            }
            item = cast.tastes.draw_item(cast.items, taste, focus, stream);
        }
        if cast.items.arrivals.at(item) <= start_ms {
            return item;
        }
        stream.below(cast.items.arrivals.n_old.into()) as u32
    }

    /// Appends rows of a bot that walks through the whole catalogue, views only; at most `n_rows`.
    pub(crate) fn bot_rows(&self, cast: Cast<'_>, slice: Slice<'_>, place: Place, n_rows: u32, rows: &mut Vec<Row>) {
        let mut stream = place.stream(self.seed, BOT_SESSION);
        let n_views = (40 + stream.below(120) as u32).min(n_rows);
        let pauses = 800 + stream.below(1_700) as i64;
        let start = slice.time(&mut stream).min(DAY_MS - 1 - pauses * i64::from(n_views));
        let user = cast.users.bot(stream.below(cast.users.n_bots().into()) as u32);
        for line in 0..n_views {
            let mut item = stream.below(cast.items.len().into()) as u32;
            if cast.items.arrivals.at(item) > slice.day.start_ms + start {
                item = stream.below(cast.items.arrivals.n_old.into()) as u32;
            }
            let at_ms = (start + pauses * i64::from(line)) as u32;
            rows.push(Row {
                at_ms,
                user,
                item,
                place,
                line: line as u8,
                kind: Kind::View,
                quantity: 0,
                price_cents: 0,
                refunded: false,
                favourite: false,
                by_bot: true,
            });
        }
    }

    /// The refund of what was bought as `line` at `place`; `slice` is the time it may come, `scratch` is overwritten.
    pub(crate) fn refund(
        &self,
        cast: Cast<'_>,
        bought: Slice<'_>,
        place: Place,
        line: u8,
        slice: Slice<'_>,
        scratch: &mut Vec<Row>,
    ) -> Row {
        scratch.clear();
        self.rows(cast, bought, place, scratch);
        let purchase = scratch.iter().find(|row| row.kind == Kind::Purchase && row.line == line);
        let purchase = *purchase.expect("refunds are made for purchases");
        let mut stream = Stream::new(place.stream(self.seed, REFUND).word(), REFUND, line.into(), 1);
        Row { at_ms: slice.time(&mut stream) as u32, kind: Kind::Refund, ..purchase }
    }
}

/// An item in hand.
#[derive(Debug, Clone, Copy)]
struct Pick {
    item: u32,
    quantity: u8,
    price_cents: u32,
    favourite: bool,
}

/// What the item costs today and how many are taken if any are.
fn pick(items: &Items, taste: &Taste, day: &Day, item: u32, stream: &mut Stream) -> Pick {
    let category = items.category(item);
    let favourite = taste.favourites().iter().any(|favourite| favourite.category == category);
    let more = if items.consumable(category) { 0.35 } else { 0.1 };
    let quantity = if stream.chance(more) { 2 + stream.below(3) as u8 } else { 1 };
    let price = items.price_cents(item);
    Pick { item, quantity, price_cents: if day.campaign { price * 4 / 5 } else { price }, favourite }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::calendar::days;

    fn places(n: u32) -> impl Iterator<Item = Place> {
        (0..n).map(|session| Place { day: 0, group: 0, session })
    }

    #[test]
    fn shapes_follow_the_rates() {
        let config = Config { replenish_rate: 0.0, ..Config::default() };
        let sessions = Sessions::new(&config);
        let (mut views, mut carts, mut bought, mut removed) = (0_u32, 0_u32, 0_u32, 0_u32);
        for place in places(50_000) {
            let (skeleton, _) = sessions.skeleton(place, false);
            let fates = skeleton.fates();
            let n = |wanted: &[Fate]| fates.iter().filter(|fate| wanted.contains(fate)).count() as u32;
            views += fates.len() as u32;
            carts += n(&[Fate::Abandoned, Fate::Removed, Fate::Bought]);
            bought += n(&[Fate::Bought]);
            removed += n(&[Fate::Removed]);
            assert_eq!(skeleton.bought().count() as u32, n(&[Fate::Bought]));
        }
        let near = |part: u32, of: u32, rate: f64| (f64::from(part) / f64::from(of) - rate).abs() < 0.04 * rate;
        assert!(near(views, 50_000, config.views_per_session), "{views}");
        assert!(near(carts, views, config.view_to_cart_rate), "{carts}");
        assert!(near(bought, carts, config.cart_to_purchase_rate), "{bought}");
        assert!(near(removed, carts, config.cart_to_remove_rate), "{removed}");
    }

    #[test]
    fn rows_are_as_many_as_the_shape_says_and_tell_one_story() {
        let config = Config { campaign_days: 0, ..Config::default() };
        let days = days(&config);
        let (items, users) = (Items::new(&config, &days), Users::new(&config, &days).unwrap());
        let tastes = Tastes::new(&config);
        let cast = Cast { items: &items, users: &users, tastes: &tastes };
        let sessions = Sessions::new(&config);
        for place in places(3_000) {
            // The last slice of the day: sessions that would run past midnight begin earlier.
            let slice = Slice { day: &days[0], part: 99, n_parts: 100 };
            let mut rows = Vec::new();
            sessions.rows(cast, slice, place, &mut rows);
            assert_eq!(rows.len() as u32, sessions.skeleton(place, false).0.n_rows());
            assert!(rows.is_sorted_by_key(|row| row.at_ms) && rows.iter().all(|row| i64::from(row.at_ms) < DAY_MS));
            for row in &rows {
                let same = |kind| rows.iter().any(|other| other.kind == kind && other.line == row.line);
                match row.kind {
                    Kind::View => assert_eq!((row.quantity, row.price_cents), (0, 0)),
                    Kind::Cart => assert!(same(Kind::View) && row.quantity > 0),
                    Kind::RemoveFromCart => assert!(same(Kind::Cart) && !same(Kind::Purchase)),
                    Kind::Purchase => assert!(same(Kind::Cart) && row.price_cents == items.price_cents(row.item)),
                    Kind::Refund => panic!("no session refunds"),
                }
                let born = items.arrivals.at(row.item).max(users.created_ms(row.user));
                assert!(born <= days[0].start_ms + i64::from(row.at_ms));
            }
        }
    }

    #[test]
    fn refunds_come_at_their_rate_within_three_weeks() {
        for rate in [0.0, 0.04, 0.3, 0.5] {
            let sessions = Sessions::new(&Config { refund_rate: rate, ..Config::default() });
            let after: Vec<u32> = places(100_000).filter_map(|place| sessions.refund_after(place, 3)).collect();
            assert!((after.len() as f64 - rate * 1e5).abs() < 0.06 * rate * 1e5 + 0.5, "{rate}: {}", after.len());
            assert!(after.iter().all(|days| (1..=MAX_REFUND_DAYS).contains(days)));
        }
    }
}
