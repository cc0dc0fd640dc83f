//! The search: panels by descending norm, groups of users, candidates computed eight at a time.

use super::{
    items::{PanelBounds, Screen, norm},
    kernel::{GROUP, PANEL, above},
    users::UserGroup,
};
use crate::linalg::isa::{Isa, Simd, Task, prefetch};

/// Panels that stay in the second cache while all users pass by: 128 KB at 64 elements.
const PANELS_AT_ONCE: usize = 64;

/// Candidates that are computed at once: their chains of additions run side by side.
const EXACT: usize = 8;

/// Elements of a candidate that are asked for when it is found; what follows comes by itself.
const PREFETCHED: usize = 64;

/// Products of norms up to which no sum overflows.
const MOST_PRODUCT: f32 = 1e30;

/// Users of a search.
struct Searched<'a> {
    isa: Isa,
    screen: &'a Screen,
    /// Items and users, row-major.
    items: &'a [f32],
    users: &'a [f32],
    /// Error of an f32 product, as a share of the norms.
    gamma: f32,
}

/// A user's candidates that wait to be computed.
#[derive(Clone, Copy)]
struct Waiting {
    numbers: [u32; EXACT],
    n: usize,
}

impl Screen {
    /// Tells `take` of every item whose product with a user is above that user's bound: `bounds` at first, then what
    /// `take` returned last. Items with lower products may be told of, too; none twice. `take` gets user, item, product.
    ///
    /// Shapes: `items` are the rows that were packed, `users` row-major of the same width, one bound a user.
    /// Determinism: products are chains of fused multiply-adds over ascending elements, as in
    /// [`product`](crate::linalg::product). The order of calls for one user does not depend on the others.
    /// Returns whether it could be done: not with users that are not finite or products that may overflow.
    pub fn search(
        &self,
        isa: Isa,
        items: &[f32],
        users: &[f32],
        bounds: &mut [f32],
        take: &mut dyn FnMut(usize, u32, f32) -> f32,
    ) -> bool {
        assert_eq!(users.len(), bounds.len() * self.width, "one bound a user");
        assert_eq!(items.len(), self.order.len() * self.width, "the rows that were packed");
        let Some(largest) = self.bounds.first().map(|panel| panel.norm) else { return true };
        // A comparison that NaN fails.
        if !users.chunks_exact(self.width).all(|row| norm(row) * largest < MOST_PRODUCT) {
            return false;
        }
        let groups: Vec<UserGroup> = users.chunks(GROUP * self.width).map(|rows| UserGroup::pack(self, rows)).collect();
        // n rounded additions and multiplications: n u / (1 - n u), doubled for the roundings of the bounds themselves.
        let gamma = (self.width + 8) as f32 * f32::EPSILON;
        let searched = Searched { isa, screen: self, items, users, gamma };
        let mut waiting = vec![Waiting { numbers: [0; EXACT], n: 0 }; bounds.len()];
        let mut done = vec![false; groups.len()];
        for first in (0..self.bounds.len()).step_by(PANELS_AT_ONCE) {
            let panels = first..self.bounds.len().min(first + PANELS_AT_ONCE);
            for (at, group) in groups.iter().enumerate() {
                if done[at] {
                    continue;
                }
                let users = at * GROUP..bounds.len().min((at + 1) * GROUP);
                done[at] = searched.group(
                    group,
                    users.start,
                    panels.clone(),
                    &mut bounds[users.clone()],
                    &mut waiting[users],
                    take,
                );
            }
            if done.iter().all(|&done| done) {
                break;
            }
        }
        for (user, (waiting, bound)) in waiting.iter_mut().zip(bounds).enumerate() {
            searched.compute(user, waiting, bound, take);
        }
        true
    }
}

impl Searched<'_> {
    /// Runs a group through some panels; returns whether norms say that there is nothing left for it.
    fn group(
        &self,
        group: &UserGroup,
        first_user: usize,
        panels: std::ops::Range<usize>,
        bounds: &mut [f32],
        waiting: &mut [Waiting],
        take: &mut dyn FnMut(usize, u32, f32) -> f32,
    ) -> bool {
        for panel in panels {
            let (limits, alive) = self.limits(&self.screen.bounds[panel], group, bounds);
            if !alive {
                return true;
            }
            let masks = above(self.screen.panel(panel), &group.pairs, &group.start, &limits);
            let order = &self.screen.order[panel * PANEL..];
            for user in 0..bounds.len() {
                let mut mask = masks[user];
                while mask != 0 {
                    let lane = mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    // The last panel may not be full.
                    let Some(&item) = order.get(lane) else { break };
                    let start = item as usize * self.screen.width;
                    prefetch(&self.items[start..start + PREFETCHED.min(self.screen.width)]);
                    let waiting = &mut waiting[user];
                    waiting.numbers[waiting.n] = item;
                    waiting.n += 1;
                    if waiting.n == EXACT {
                        self.compute(first_user + user, waiting, &mut bounds[user], take);
                    }
                }
            }
        }
        false
    }

    /// What each user's sums of integers must be above to beat his bound, and whether norms leave anybody a chance.
    #[inline(always)]
    fn limits(&self, of: &PanelBounds, group: &UserGroup, bounds: &[f32]) -> ([i16; GROUP], bool) {
        let mut limits = [i16::MAX; GROUP];
        let mut alive = false;
        for (user, &bound) in bounds.iter().enumerate() {
            let most = group.norm[user] * of.norm;
            let rounding = self.gamma * most;
            alive |= bound <= most + rounding;
            let lost = group.error[user] * of.reach + group.norm[user] * of.error + rounding;
            // A bound beyond what norms allow may be rounded as it likes; for others a millionth covers the roundings
            // of the terms. Those of the quotient matter up to 2^15 only: one covers them, and one more what the
            // conversion cuts off.
            let lost = lost + 1e-6 * (bound.abs() + lost);
            let limit = (bound - lost) * of.by_scale * group.by_scale[user];
            limits[user] = (limit - 2.0) as i16;
        }
        (limits, alive)
    }

    /// Computes the waiting candidates and tells of those above the bound.
    fn compute(
        &self,
        user: usize,
        waiting: &mut Waiting,
        bound: &mut f32,
        take: &mut dyn FnMut(usize, u32, f32) -> f32,
    ) {
        let width = self.screen.width;
        let vector = &self.users[user * width..(user + 1) * width];
        let numbers = &waiting.numbers[..waiting.n];
        let products = self.isa.run(Chains { items: self.items, vector, numbers: &waiting.numbers });
        for (&item, &product) in numbers.iter().zip(&products) {
            // NaN cannot be: norms were looked at.
            if product > *bound {
                *bound = take(user, item, product);
            }
        }
        waiting.n = 0;
    }
}

/// Eight products, each a chain of fused multiply-adds over ascending elements.
struct Chains<'a> {
    items: &'a [f32],
    vector: &'a [f32],
    numbers: &'a [u32; EXACT],
}

impl Chains<'_> {
    #[inline(always)]
    fn row(&self, at: usize) -> &[f32] {
        let n = self.vector.len();
        &self.items[self.numbers[at] as usize * n..][..n]
    }
}

impl Task for Chains<'_> {
    type Output = [f32; EXACT];

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> [f32; EXACT] {
        let n = self.vector.len();
        let vector = &self.vector[..n];
        let (a, b, c, d) = (self.row(0), self.row(1), self.row(2), self.row(3));
        let (e, f, g, h) = (self.row(4), self.row(5), self.row(6), self.row(7));
        let mut sums = [0f32; EXACT];
        for k in 0..n {
            sums[0] = vector[k].mul_add(a[k], sums[0]);
            sums[1] = vector[k].mul_add(b[k], sums[1]);
            sums[2] = vector[k].mul_add(c[k], sums[2]);
            sums[3] = vector[k].mul_add(d[k], sums[3]);
            sums[4] = vector[k].mul_add(e[k], sums[4]);
            sums[5] = vector[k].mul_add(f[k], sums[5]);
            sums[6] = vector[k].mul_add(g[k], sums[6]);
            sums[7] = vector[k].mul_add(h[k], sums[7]);
        }
        sums
    }
}
