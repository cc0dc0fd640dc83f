//! Users packed for screening, six to a group.

use super::{
    items::{ROUNDING, SMALLEST_SCALE, Screen, nearest, norm},
    kernel::{GROUP, Pair, pair},
};

/// Largest integer of a user, taken a little lower so that rounding never goes beyond it.
const LARGEST: f32 = 126.9;

/// Six users.
#[derive(Debug, Clone)]
pub(super) struct UserGroup {
    /// For each pair of elements those of each user.
    pub(super) pairs: Vec<[Pair; GROUP]>,
    /// What takes the items' offset of 64 away again.
    pub(super) start: [i16; GROUP],
    /// 1 / t
    pub(super) by_scale: [f32; GROUP],
    /// `|f|`
    pub(super) error: [f32; GROUP],
    /// `|x|`
    pub(super) norm: [f32; GROUP],
}

impl UserGroup {
    /// Packs up to six rows.
    pub(super) fn pack(screen: &Screen, rows: &[f32]) -> Self {
        let width = screen.width;
        let mut group = Self {
            pairs: vec![[0; GROUP]; width / 2],
            start: [0; GROUP],
            by_scale: [1.0; GROUP],
            error: [0.0; GROUP],
            norm: [0.0; GROUP],
        };
        // The sums of products stay within 15 bits: |p| |q| <= 32767, whatever rounding adds to |p|.
        let most = 32_767.0 / screen.integer_norm - 0.5 * (width as f32).sqrt() - 1.0;
        let mut errors = Vec::with_capacity(width);
        for (user, row) in rows.chunks_exact(width).enumerate() {
            let largest = row.iter().fold(0f32, |most, x| most.max(x.abs()));
            group.norm[user] = norm(row);
            let scale = (largest / LARGEST).max(group.norm[user] / most);
            let scale = if scale > SMALLEST_SCALE { scale } else { 1.0 };
            group.by_scale[user] = 1.0 / scale;
            let mut sum = 0i32;
            errors.clear();
            for (pairs, two) in group.pairs.iter_mut().zip(row.chunks_exact(2)) {
                let (a, b) = (nearest(two[0], scale), nearest(two[1], scale));
                pairs[user] = pair(a as i8, b as i8);
                sum += a + b;
                errors.extend([two[0] - scale * a as f32, two[1] - scale * b as f32]);
            }
            group.start[user] = (-64 * sum) as i16;
            group.error[user] = norm(&errors) + ROUNDING * group.norm[user];
        }
        group
    }
}
