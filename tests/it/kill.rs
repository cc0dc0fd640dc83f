//! SIGKILL at any moment leaves no run or a whole one, and readers see a whole run all the time.

use std::{
    fs,
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

use nightshelf::{
    artifacts::{list_runs, verify},
    synth::{self, generate},
};

use crate::support::{
    program::{nightshelf, start},
    random::Random,
    runs::assert_served,
};

const SEED: u64 = 20_261_122;

/// Kills a child after a while. Returns: whether it lived until then.
fn kill_after(mut child: Child, after: Duration) -> bool {
    let until = Instant::now() + after;
    while Instant::now() < until {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let lived = child.try_wait().unwrap().is_none();
    if lived {
        child.kill().unwrap();
    }
    child.wait().unwrap();
    lived
}

/// Every listed run is whole, and the views hold exactly the run that the store names.
fn check(here: &Path) {
    let runs = list_runs(&here.join("runs")).unwrap();
    assert!(runs.damaged.is_empty(), "{:?}", runs.damaged);
    for run in &runs.runs {
        let checked = verify(run).unwrap();
        assert!(checked.problems.is_empty(), "{}: {:?}", run.name(), checked.problems);
    }
    let listed = nightshelf(here, &["runs", "list", "--json"]).json();
    assert_eq!(listed.as_array().unwrap().len(), runs.runs.len());
    let status = nightshelf(here, &["publish", "status", "--json"]).json()["sqlite"].clone();
    let current = status["runs"].as_array().unwrap().iter().find(|run| run["sequence"] == status["current"]).unwrap();
    let served = runs.runs.iter().find(|run| current["run"] == run.name()).unwrap();
    assert_eq!(current["content_sha256"], served.manifest().content_sha256.as_str());
    assert_served(&here.join("nightshelf.db"), served);
}

fn partials(here: &Path) -> Vec<String> {
    let names = fs::read_dir(here.join("runs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".partial")).collect()
}

#[test]
fn a_kill_at_any_moment_leaves_a_whole_run_or_none() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let shop = synth::Config {
        users: 1_500,
        items: 200,
        events: 40_000,
        days: 5,
        start: jiff::civil::date(2024, 6, 1),
        rows_per_row_group: 2_000,
        ..synth::Config::default()
    };
    generate(&shop, &here.join("shop"), &|_| {}).unwrap();
    fs::write(
        here.join("nightshelf.toml"),
        "[events]\npaths = ['shop/events']\n[catalog]\npath = 'shop/catalog.parquet'\n[interactions]\nn_buckets = 16\n\
         [model.als]\nn_factors = 16\niterations = 4\n[recommendations]\nk = 20\n",
    )
    .unwrap();
    let start_at = Instant::now();
    nightshelf(here, &["build", "--run", "whole"]).ok();
    let build_time = start_at.elapsed();
    check(here);

    let mut random = Random::new(SEED);
    let (mut n_live, mut n_partial) = (0, 0);
    const N: u32 = 10;
    for number in 0..N {
        let share = (f64::from(number) + random.unit()) / f64::from(N);
        let name = format!("killed-{number}");
        // The partial directory of the kill before is there when this build starts.
        let lived = kill_after(start(here, &["build", "--run", &name]), build_time.mul_f64(share));
        n_live += u32::from(lived);
        let left = partials(here);
        assert!(left.len() <= 1 && left.iter().all(|left| *left == format!("{name}.partial")), "{name}: {left:?}");
        n_partial += left.len();
        check(here);
    }

    let start_at = Instant::now();
    nightshelf(here, &["publish", "whole"]).ok();
    let publish_time = start_at.elapsed();
    let mut n_live_publishing = 0;
    const N_PUBLISHING: u32 = 6;
    for number in 0..N_PUBLISHING {
        let share = (f64::from(number) + random.unit()) / f64::from(N_PUBLISHING);
        let lived = kill_after(start(here, &["publish", "whole"]), publish_time.mul_f64(share));
        n_live_publishing += u32::from(lived);
        check(here);
    }
    println!(
        "seed {SEED}: {n_live} of {N} kills hit a live build ({:.2} s long), {n_partial} left a partial directory; \
         {n_live_publishing} of {N_PUBLISHING} hit a live publish ({:.2} s)",
        build_time.as_secs_f64(),
        publish_time.as_secs_f64()
    );
    assert!(n_live >= 4, "only {n_live} of {N} kills hit a live process");
    assert!(n_partial >= 2, "only {n_partial} kills left something behind");
    assert!(n_live_publishing >= 2, "only {n_live_publishing} of {N_PUBLISHING} kills hit a live publish");

    nightshelf(here, &["build", "--run", "after"]).ok();
    assert_eq!(partials(here), [""; 0]);
    check(here);
    let status = nightshelf(here, &["publish", "status", "--json"]).json()["sqlite"].clone();
    assert_eq!(status["runs"][0]["run"], "after");
    assert_eq!(status["runs"][0]["sequence"], status["current"]);
    assert_eq!(status["unfinished"], serde_json::json!([]));
}
