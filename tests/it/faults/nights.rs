//! D11: delta publishes, night after night.

use super::{
    alone,
    bench::{Bench, users},
    results::Results,
    sized,
};
use crate::support::{
    dynamo::{TABLE, seed},
    random::Random,
};

#[test]
fn d11_thirty_nights_of_differences_read_like_thirty_full_publishes() {
    let _turn = alone();
    let seed = seed("d11", 0xD11);
    let mut random = Random::new(seed);
    let mut bench = Bench::new("");
    let mut results = Results::of("D11");
    let n_users = sized(600, 50_000);
    let mut shop = users(n_users, 0);
    const NIGHTS: u32 = 30;
    for night in 0..NIGHTS {
        if night > 0 {
            for edition in shop.values_mut() {
                if random.one_in(5) {
                    *edition = night;
                }
            }
            let n_before = shop.len();
            shop.retain(|_, _| !random.one_in(100));
            // As many come as go; some of them have been here before.
            while shop.len() < n_before {
                let user = random.below(2 * n_users as u64) as u32;
                shop.entry(user).or_insert(night);
            }
        }
        let run = format!("night-{night:02}");
        bench.build(&run, &shop, night);
        bench.server.take_seen();
        bench.publish(&run).ok();
        let written = bench.server.take_seen().items_written;
        bench.assert_served(&bench.expected(&run), &format!("seed {seed}, night {night}"));
        if night > 0 {
            results.add("rows written after the first night", written);
        }
        results.ran();
    }
    let table = bench.server.table(TABLE);
    results.figure("users", n_users);
    results.figure("rows in the table", table.n_rows());
    results.finish(NIGHTS as usize);
}
