//! A shop: who buys there, what it sells, and what the shoppers really like.

use super::{
    calendar::{Day, days},
    config::Config,
    dirt::{Dirt, DirtLaws, duplicates},
    error::SynthError,
    items::Items,
    plan::{GroupPlan, Plan},
    sessions::{Cast, Kind, Place, Row, Sessions, Slice},
    taste::{Taste, Tastes},
    users::Users,
};

/// A made-up shop, without its log: it knows its own truth.
///
/// Users and items are numbered from 0; [`user_id`](Self::user_id) and [`item_id`](Self::item_id) give the ids that
/// the files carry, [`user`](Self::user) and [`item`](Self::item) go back.
///
/// Determinism: a pure function of the config.
/// Cost: about 50 bytes an item, nothing a user.
#[derive(Debug)]
pub struct Shop {
    pub(crate) config: Config,
    pub(crate) days: Vec<Day>,
    pub(crate) items: Items,
    pub(crate) users: Users,
    pub(crate) sessions: Sessions,
    tastes: Tastes,
    dirt: DirtLaws,
}

/// A category that a shopper likes.
#[derive(Debug, Clone, PartialEq)]
pub struct FavouriteCategory<'a> {
    /// Its name, as in the catalogue.
    pub category: &'a str,
    /// The brand that he likes best there.
    pub brand: &'a str,
    /// Its share of his taste; all of a shopper's favourites have 1 together.
    pub weight: f64,
}

impl Shop {
    /// The shop that `config` describes.
    ///
    /// # Errors
    /// When the config asks for what cannot be.
    pub fn new(config: &Config) -> Result<Self, SynthError> {
        config.check("synth").map_err(SynthError::Config)?;
        let days = days(config);
        Ok(Self {
            config: config.clone(),
            items: Items::new(config, &days),
            users: Users::new(config, &days)?,
            sessions: Sessions::new(config),
            tastes: Tastes::new(config),
            dirt: DirtLaws::new(config),
            days,
        })
    }

    /// The config that it was made from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The id of a user's number: `u` and at least seven digits.
    #[must_use]
    pub fn user_id(&self, user: u32) -> String {
        format!("u{user:07}")
    }

    /// The id of an item's number: `i` and at least six digits.
    #[must_use]
    pub fn item_id(&self, item: u32) -> String {
        format!("i{item:06}")
    }

    /// The number of a user's id; `None` when the shop has no such user.
    #[must_use]
    pub fn user(&self, id: &str) -> Option<u32> {
        number(id, 'u', self.users.len()).filter(|&user| self.user_id(user) == id)
    }

    /// The number of an item's id; `None` when the shop has no such item.
    #[must_use]
    pub fn item(&self, id: &str) -> Option<u32> {
        number(id, 'i', self.items.len()).filter(|&item| self.item_id(item) == id)
    }

    /// Whether a user is a bot; a bot has no taste.
    #[must_use]
    pub fn is_bot(&self, user: u32) -> bool {
        self.users.is_bot(user)
    }

    /// The latent style of a user, 0 to `styles` - 1.
    #[must_use]
    pub fn style_of_user(&self, user: u32) -> u32 {
        self.tastes.of(&self.items, user).style
    }

    /// The latent style of an item, 0 to `styles` - 1.
    #[must_use]
    pub fn style_of_item(&self, item: u32) -> u32 {
        self.items.style(item)
    }

    /// The category of an item.
    #[must_use]
    pub fn category_of_item(&self, item: u32) -> &str {
        self.items.category_name(self.items.category(item))
    }

    /// The favourite categories of a user, the best liked first; empty for a bot.
    #[must_use]
    pub fn favourite_categories(&self, user: u32) -> Vec<FavouriteCategory<'_>> {
        let Some(taste) = self.taste(user) else { return Vec::new() };
        let named = taste.favourites().iter().map(|favourite| FavouriteCategory {
            category: self.items.category_name(favourite.category),
            brand: self.items.brand_name(favourite.brand),
            weight: favourite.weight,
        });
        named.collect()
    }

    /// The planted affinity of a user to an item: how much likelier than the item's popularity says he is to be drawn
    /// to it when he looks for something new.
    ///
    /// Formula: with t, s, b the config's strengths of taste, style and brand, w the weight of the item's category in
    /// his taste, P the popularity, p his favourite brand's share of the items of that category and style:
    /// (1 - t) + t * w / P(category) * style * brand; style = (1 - s) + s / P(style | category) for his style and
    /// 1 - s for others (1 where the category has nothing of his style); brand = 1 + b (1 - p) for the favourite brand
    /// and 1 - b p for others.
    /// Returns: 1 for a bot and every item. Times [`popularity`](Self::popularity), summed over all items, it is 1.
    #[must_use]
    pub fn affinity(&self, user: u32, item: u32) -> f64 {
        self.taste(user).map_or(1.0, |taste| self.tastes.lift(&self.items, &taste, item))
    }

    /// The planted popularity of an item: its share of what shoppers without a taste would look at.
    #[must_use]
    pub fn popularity(&self, item: u32) -> f64 {
        self.items.popularity(item)
    }

    /// The chance that a person with `taste` is drawn to `item` when he looks for something new.
    pub(crate) fn draw_rate(&self, taste: &Option<Taste>, item: u32) -> f64 {
        self.popularity(item) * taste.as_ref().map_or(1.0, |taste| self.tastes.lift(&self.items, taste, item))
    }

    /// The taste of a person; `None` for a bot.
    pub(crate) fn taste(&self, user: u32) -> Option<Taste> {
        (!self.is_bot(user)).then(|| self.tastes.of(&self.items, user))
    }

    /// Mean over 1,000 people of the popularity that their favourite categories have together.
    pub(crate) fn favourite_share_by_chance(&self) -> f64 {
        let (mut sum, mut n) = (0.0, 0.0);
        for taste in (0..self.users.len()).filter_map(|user| self.taste(user)).take(1_000) {
            let masses = taste.favourites().iter().map(|favourite| self.items.category_mass(favourite.category));
            sum += masses.sum::<f64>();
            n += 1.0;
        }
        sum / n
    }

    pub(crate) fn plan(&self) -> Plan {
        Plan::new(&self.config, &self.days, &self.users, &self.sessions)
    }

    fn cast(&self) -> Cast<'_> {
        Cast { items: &self.items, users: &self.users, tastes: &self.tastes }
    }

    fn slice(&self, group: &GroupPlan) -> Slice<'_> {
        Slice { day: &self.days[group.place.day as usize], part: group.place.group, n_parts: group.n_groups }
    }

    /// Makes the rows of a row group; `log` is overwritten, so that its memory serves many groups.
    pub(crate) fn fill(&self, plan: &Plan, group: &GroupPlan, log: &mut GroupLog) {
        let (cast, slice) = (self.cast(), self.slice(group));
        let made = &mut log.made;
        made.clear();
        for session in 0..group.n_sessions {
            self.sessions.rows(cast, slice, Place { session, ..group.place }, made);
        }
        made.truncate(group.n_session_rows as usize);
        let mut n_wanted = group.n_bot_rows as usize;
        let mut place = Place { session: group.n_sessions, ..group.place };
        while n_wanted > 0 {
            let before = made.len();
            self.sessions.bot_rows(cast, slice, place, n_wanted as u32, made);
            n_wanted -= made.len() - before;
            place.session += 1;
        }
        log.n_sessions = place.session;
        for row in made.iter_mut() {
            if row.kind == Kind::Purchase && row.place.session < group.n_whole {
                row.refunded = plan.refunded(&self.sessions, row.place, row.line);
            }
        }
        let mut scratch = Vec::new();
        for (bought, line) in plan.refunds_in(&self.days, &self.sessions, group) {
            let then = &plan.groups[plan.of_day(bought.day).start + bought.group as usize];
            let refund = self.sessions.refund(cast, self.slice(then), bought, line, slice, &mut scratch);
            made.push(refund);
        }
        debug_assert_eq!(made.len() as u32 + group.n_duplicates, group.n_rows);
        self.spoil(group, log);
    }

    /// Puts the rows in the order of time, spoils some, and adds the duplicates.
    fn spoil(&self, group: &GroupPlan, log: &mut GroupLog) {
        let key = |at_ms: u32, row: u32| (u64::from(at_ms) << 32) | u64::from(row);
        let order = &mut log.order;
        order.clear();
        order.extend(log.made.iter().enumerate().map(|(number, row)| key(row.at_ms, number as u32)));
        order.sort_unstable();
        log.rows.clear();
        log.rows.extend(order.iter().map(|&key| log.made[key as u32 as usize]));

        let mut stream = self.dirt.stream(group.place.day, group.place.group);
        log.dirt.clear();
        log.dirt.extend(log.rows.iter().map(|_| self.dirt.draw(&mut stream)));
        let again = duplicates(&mut log.dirt, group.n_duplicates, &mut stream);
        let mut again: Vec<u64> =
            again.into_iter().map(|(delay, row)| key(log.rows[row as usize].at_ms + delay, row)).collect();
        again.sort_unstable();

        log.written.clear();
        let mut again = again.into_iter().peekable();
        for (number, row) in log.rows.iter().enumerate() {
            while let Some(copy) = again.next_if(|&copy| copy < key(row.at_ms, 0)) {
                log.written.push(copy as u32);
            }
            log.written.push(number as u32);
        }
        log.written.extend(again.map(|copy| copy as u32));
    }
}

/// The rows of one row group, as they are written.
#[derive(Debug, Default)]
pub(crate) struct GroupLog {
    /// In the order in which they were made.
    made: Vec<Row>,
    order: Vec<u64>,
    /// In the order of time, every row once; the row's number here is the number in its event id.
    pub(crate) rows: Vec<Row>,
    /// By row: what is wrong with it.
    pub(crate) dirt: Vec<Dirt>,
    /// Numbers of the rows in the order of the file, duplicates included.
    pub(crate) written: Vec<u32>,
    /// Sessions, those of bots included.
    pub(crate) n_sessions: u32,
}

/// Reads an id of `letter` and digits that is below `n`.
fn number(id: &str, letter: char, n: u32) -> Option<u32> {
    id.strip_prefix(letter)?.parse().ok().filter(|&number| number < n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_there_and_back() {
        let shop = Shop::new(&Config { users: 100, items: 50, ..Config::default() }).unwrap();
        assert_eq!((shop.user_id(7).as_str(), shop.item_id(49).as_str()), ("u0000007", "i000049"));
        assert_eq!((shop.user("u0000007"), shop.item("i000049")), (Some(7), Some(49)));
        for wrong in ["u0000100", "u7", "u+000007", "i0000007", "", "u"] {
            assert_eq!(shop.user(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn affinity_times_popularity_is_a_distribution() {
        let shop = Shop::new(&Config { users: 300, items: 500, ..Config::default() }).unwrap();
        for user in (0..300).step_by(23) {
            let sum: f64 = (0..500).map(|item| shop.popularity(item) * shop.affinity(user, item)).sum();
            assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        }
    }

    #[test]
    fn a_group_has_its_rows_in_order_and_any_group_can_be_made_alone() {
        let config = Config { events: 30_000, days: 5, rows_per_row_group: 1_000, ..Config::default() };
        let shop = Shop::new(&config).unwrap();
        let plan = shop.plan();
        let rows = |log: &GroupLog| log.rows.iter().map(|row| (row.at_ms, row.user, row.item)).collect::<Vec<_>>();
        let (mut reused, last) = (GroupLog::default(), plan.groups.last().unwrap());
        for group in &plan.groups {
            shop.fill(&plan, group, &mut reused);
            assert_eq!(reused.written.len() as u32, group.n_rows);
            assert_eq!(reused.rows.len() as u32, group.n_rows - group.n_duplicates);
            assert!(reused.rows.is_sorted_by_key(|row| row.at_ms));
        }
        let mut alone = GroupLog::default();
        shop.fill(&plan, last, &mut alone);
        assert_eq!(rows(&alone), rows(&reused));
        assert_eq!(alone.written, reused.written);
    }
}
