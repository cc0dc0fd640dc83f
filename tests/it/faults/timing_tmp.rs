#[test]
fn timing() {
    let mut bench = super::bench::Bench::new("");
    let t = std::time::Instant::now();
    bench.build("a", &super::bench::users(4000, 1), 1);
    println!("build {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let e = bench.expected("a");
    println!("expected {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let ran = bench.command(&["publish", "a"], &[("RUST_LOG", "debug")]).output().unwrap();
    println!("publish {:?} {}", t.elapsed(), String::from_utf8_lossy(&ran.stdout));
    let t = std::time::Instant::now();
    bench.assert_served(&e, "x");
    println!("served {:?}", t.elapsed());
    let t = std::time::Instant::now();
    bench.publish("a").ok();
    println!("again {:?}", t.elapsed());
}
