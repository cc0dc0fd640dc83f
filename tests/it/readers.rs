//! The readers of docs/examples, run as they stand against the emulator.
//!
//! They need boto3 and the AWS SDK for JavaScript, so `scripts/test.sh` (part `readers`) runs them and says where those are.

use std::{path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::{
    faults::bench::{Bench, Users, users},
    support::dynamo::TABLE,
};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: scripts/test.sh (part readers) sets it"))
}

/// Asks a reader, which must answer every question.
fn ask(bench: &Bench, reader: &[String], questions: &[&str]) -> Vec<Value> {
    let mut command = Command::new(&reader[0]);
    command.args(&reader[1..]).args(["--table", TABLE]).args(questions);
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).env("PYTHONUTF8", "1");
    command.envs(bench.server.environment()).env("AWS_DEFAULT_REGION", "eu-central-1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{reader:?} {questions:?}: {said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["found"].take()).collect()
}

fn check(reader: &[String]) {
    let mut bench = Bench::new("");
    let everybody = users(60, 1);
    bench.build("first", &everybody, 1);
    // A fifth of the users gets another list, user 7 leaves, user 1000 comes.
    let mut others: Users =
        everybody.iter().map(|(&user, &edition)| (user, edition + u32::from(user % 5 == 0))).collect();
    others.remove(&7);
    others.insert(1_000, 1);
    bench.build("second", &others, 2);
    let questions = ["user", "user-000000", "user", "user-000001", "user", "user-000007", "user", "user-001000"];
    let more = ["item", "item-00003", "popular", "overall", "trending", "overall", "recommend", "user-000007"];
    let questions = [&questions[..], &more[..]].concat();
    let keys =
        ["u#user-000000", "u#user-000001", "u#user-000007", "u#user-001000", "i#item-00003", "p#overall", "t#overall"];
    let wanted = |run: &str| {
        let visible = bench.expected(run);
        let list = |key: &str| {
            visible.get(key).map(|(items, source)| {
            json!({"items": items, "source": if source.is_empty() { Value::Null } else { json!(source) }})
        })
        };
        let mut wanted: Vec<Value> = keys.iter().map(|key| json!(list(key))).collect();
        wanted.push(json!(list("u#user-000007").or_else(|| list("p#overall"))));
        wanted
    };
    let found = || {
        let mut found = ask(&bench, reader, &questions);
        let mut sequences = Vec::new();
        for list in found.iter_mut().filter_map(Value::as_object_mut) {
            sequences.push(list.remove("sequence").unwrap().as_i64().unwrap());
        }
        (found, sequences)
    };
    bench.publish("first").ok();
    assert_eq!(found().0, wanted("first"));
    bench.publish("second").ok();
    let (lists, sequences) = found();
    assert_eq!(lists, wanted("second"));
    // User 0 changed, user 1 did not: a list of the run before is read on.
    let pointer = bench.server.pointer(TABLE).unwrap();
    assert_eq!(sequences[0], pointer.current);
    assert_eq!(sequences[1], pointer.previous.unwrap());
    bench.nightshelf(&["publish", "rollback"]).ok();
    assert_eq!(found().0, wanted("first"));
}

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(name)
}

#[test]
#[ignore = "needs boto3: scripts/test.sh runs it"]
fn python_reads_what_was_published() {
    check(&[variable("NIGHTSHELF_READERS_PYTHON"), example("reader.py").to_str().unwrap().to_owned()]);
}

#[test]
#[ignore = "needs the AWS SDK for JavaScript: scripts/test.sh runs it"]
fn javascript_reads_what_was_published() {
    // Node looks for packages beside the file that imports them.
    let folder = PathBuf::from(variable("NIGHTSHELF_READERS_NODE"));
    let copy = folder.join("reader.mjs");
    std::fs::copy(example("reader.mjs"), &copy).unwrap();
    check(&["node".to_owned(), copy.to_str().unwrap().to_owned()]);
}

#[test]
fn the_documents_say_what_the_examples_do() {
    let document = std::fs::read_to_string(example("../readers.md")).unwrap();
    for example in ["reader.py", "reader.mjs"].map(example) {
        let text = std::fs::read_to_string(&example).unwrap();
        for part in ["pk = :key AND sk BETWEEN :floor AND :current", "!pointer", "ScanIndexForward", "gone"] {
            assert!(text.contains(part) && document.contains(part), "{}: {part}", example.display());
        }
    }
}
