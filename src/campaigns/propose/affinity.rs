//! Who likes given items best: the model's scores of these items, for every user.

use std::ops::Range;

use super::{Proposal, Why, catalogue::named_items};
use crate::{
    campaigns::{BucketUsers, ItemFilter, Lists, PairFacts, Plan, Rule, Shop},
    interactions::{History, Stamp},
    model::{PackedItems, UserBlock},
    recommendations::{Scored, Scorer, TopK},
};

/// Items between two wanted ones that are scored along, rather than beginning another range.
const MAX_GAP: u32 = 256;

/// Scores a bucket's users for the items that campaigns are about. Made once for all buckets.
pub struct Affinity<'a> {
    /// The model.
    scorer: Scorer<'a>,
    /// The shop.
    shop: &'a Shop,
    /// By campaign of the plan; `None` for other kinds.
    about: Vec<Option<About>>,
}

/// What one campaign is about.
struct About {
    /// The items that can be sold, in the model's numbering, ascending.
    numbers: Vec<u32>,
    /// The same, where the model can score them alone.
    packed: Option<PackedItems>,
    /// Ranges of the model's items that hold them, for models that cannot.
    ranges: Vec<Range<usize>>,
    /// Items of a member.
    n: usize,
}

/// Users' histories in the model's numbering.
#[derive(Default)]
struct Histories {
    indptr: Vec<usize>,
    items: Vec<u32>,
    weights: Vec<f32>,
    times: Vec<Stamp>,
}

impl Histories {
    /// `n_known`: items that the model has.
    fn of(users: &BucketUsers, wanted: &[usize], shop: &Shop, n_known: usize) -> Self {
        let mut all = Self { indptr: vec![0], ..Self::default() };
        for &user in wanted {
            for (item, pair) in users.pairs.of(user) {
                let known = |number: &u32| pair.weight > 0.0 && (*number as usize) < n_known;
                if let Some(number) = shop.model_items[item as usize].filter(known) {
                    all.items.push(number);
                    all.weights.push(pair.weight);
                    all.times.extend(pair.last);
                }
            }
            all.indptr.push(all.items.len());
        }
        all
    }

    fn get(&self, at: usize) -> History<'_> {
        let range = self.indptr[at]..self.indptr[at + 1];
        let times = self.times.get(range.clone()).unwrap_or_default();
        History { items: &self.items[range.clone()], weights: &self.weights[range], times }
    }
}

/// Ascending numbers as ranges, with small gaps closed, none longer than `longest`.
fn ranges(numbers: &[u32], longest: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for &number in numbers {
        let number = number as usize;
        match ranges.last_mut() {
            Some(last) if number < last.end + MAX_GAP as usize && number - last.start < longest => {
                last.end = number + 1;
            }
            _ => ranges.push(number..number + 1),
        }
    }
    ranges
}

impl<'a> Affinity<'a> {
    /// Packs the items of the plan's campaigns.
    #[must_use]
    pub fn new(scorer: Scorer<'a>, shop: &'a Shop, plan: &Plan) -> Self {
        let about = plan.campaigns.iter().map(|campaign| match &campaign.rule {
            Rule::ItemAffinity { of } => Some(About::new(&scorer, shop, of, campaign.config.items)),
            _ => None,
        });
        Self { scorer, shop, about: about.collect() }
    }

    /// Whether the model knows anything of the user.
    pub(in crate::campaigns) fn knows(&self, users: &BucketUsers, user: usize) -> bool {
        let n_known = self.scorer.model.n_items();
        let known = |(item, pair): (u32, &PairFacts)| {
            pair.weight > 0.0 && self.shop.model_items[item as usize].is_some_and(|number| (number as usize) < n_known)
        };
        self.scorer.serves_empty_histories || users.pairs.of(user).any(known)
    }

    /// For each user of `asking`: his best of the items of campaign `at` of the plan that he has not got, with the model's
    /// scores.
    ///
    /// Determinism: a score is the one a build gives.
    /// Cost: preparing each user and searching the items for him, on the calling thread: buckets are what threads share.
    pub(in crate::campaigns) fn liked(&self, at: usize, users: &BucketUsers, asking: &[usize]) -> Lists<(u32, f32)> {
        let mut lists = Lists::default();
        let Some(about) = &self.about[at] else { return lists };
        for block in asking.chunks(self.scorer.model.tile().n_users.clamp(1, 4_096)) {
            let all = Histories::of(users, block, self.shop, self.scorer.model.n_items());
            let histories: Vec<History<'_>> = (0..block.len()).map(|at| all.get(at)).collect();
            let mut prepared = self.scorer.model.prepare(&histories);
            for mut top in self.best(about, prepared.as_mut(), users, block) {
                let item =
                    |entry: Scored| (self.shop.shop_items[about.numbers[entry.item as usize] as usize], entry.score);
                lists.push(top.finish().map(item));
            }
        }
        lists
    }

    /// The best of a block's users, by their place among the campaign's items.
    fn best(&self, about: &About, block: &mut dyn UserBlock, users: &BucketUsers, scored: &[usize]) -> Vec<TopK> {
        let mut tops = vec![TopK::new(about.n, self.scorer.min_score); scored.len()];
        let offer = |top: &mut TopK, at: usize, place: u32, score: f32| {
            if score.is_finite() {
                top.offer(place, score, |place| {
                    let item = self.shop.shop_items[about.numbers[place as usize] as usize];
                    !users.pairs.get(scored[at], item).is_some_and(|pair| pair.is_owned())
                });
            }
            top.bound()
        };
        if let Some(packed) = &about.packed {
            let mut bounds: Vec<f32> = tops.iter().map(TopK::bound).collect();
            if block.search_among(packed, &mut bounds, &mut |at, place, score| offer(&mut tops[at], at, place, score)) {
                return tops;
            }
        }
        let mut scores = Vec::new();
        for range in &about.ranges {
            scores.clear();
            scores.resize(scored.len() * range.len(), 0.0);
            block.score(range.clone(), &mut scores);
            let first = about.numbers.partition_point(|&number| (number as usize) < range.start);
            let last = about.numbers.partition_point(|&number| (number as usize) < range.end);
            for (at, scores) in scores.chunks_exact(range.len()).enumerate() {
                for place in first..last {
                    offer(&mut tops[at], at, place as u32, scores[about.numbers[place] as usize - range.start]);
                }
            }
        }
        tops
    }
}

impl About {
    fn new(scorer: &Scorer<'_>, shop: &Shop, of: &ItemFilter, n: usize) -> Self {
        let n_known = scorer.model.n_items();
        let numbers: Vec<u32> = (0u32..)
            .zip(named_items(shop, of))
            .filter(|&(item, named)| named && shop.sellable[item as usize])
            .filter_map(|(item, _)| shop.model_items[item as usize])
            .filter(|&number| (number as usize) < n_known)
            .collect();
        let packed = scorer.model.pack(&numbers);
        let ranges = ranges(&numbers, scorer.model.tile().n_items);
        Self { numbers, packed, ranges, n }
    }
}

/// A member by the items he likes, `None` without any.
///
/// Score: the sum over the items written about.
pub(in crate::campaigns) fn liked_items(liked: &[(u32, f32)]) -> Option<Proposal> {
    let _ = liked.first()?;
    let score = liked.iter().map(|(_, score)| f64::from(*score)).sum();
    Some(Proposal { score, items: liked.to_vec(), why: Why::Likes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_the_numbers_and_stay_short() {
        assert_eq!(ranges(&[], 100), Vec::<Range<usize>>::new());
        assert_eq!(ranges(&[3, 4, 9, 400, 401], 100), [3..10, 400..402]);
        assert_eq!(ranges(&[3, 400_000], usize::MAX), [3..4, 400_000..400_001]);
        assert_eq!(ranges(&[0, 1, 2, 3, 4], 2), [0..2, 2..4, 4..5]);
    }
}
