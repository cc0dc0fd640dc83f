//! `nightshelf publish` of a run directory with campaigns, through the binary, into SQL servers.

use std::{fs, path::Path, process::Stdio};

use nightshelf::{
    artifacts::{ArtifactError, Content, ListWriter, MemberWriter, Observed, Run, RunWriter, campaign_path},
    publish::{MySqlConfig, PostgresConfig},
    recommendations::{Arm, ListBatch, ListKind, ListRow, MemberBatch, MemberRow},
};
use serde_json::Value;

use crate::support::{
    program::{command, nightshelf_in},
    servers::{PASSWORD, fresh_mariadb, fresh_postgres, is_skipped},
    sql::{self, Speaks},
};

/// Members of a campaign, by number.
fn members<'a>(campaign: &'a str, users: &'a [String]) -> MemberBatch<'a> {
    let mut members = MemberBatch { campaign, ..Default::default() };
    for (at, user) in users.iter().enumerate() {
        let (items, scores): (&[&str], &[f32]) =
            if at % 3 == 0 { (&[], &[]) } else { (&["item 1", "item \"2\""], &[0.5, 0.1]) };
        members.push(&MemberRow {
            list: ListRow { key: user, items, scores, source: "" },
            rank: u32::try_from(at + 1).unwrap(),
            score: 1.0 / (at + 1) as f32,
            arm: if at % 10 == 9 { Arm::Holdout } else { Arm::Send },
            reason: "no order for 60 days",
            variables: r#"{"first_name": "Zoë", "discount": 0.10}"#,
        });
    }
    members
}

fn users(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("user-{n:06}")).collect()
}

fn build(root: &Path, n_members: usize) -> Run {
    let writer = RunWriter::create(root, "night").unwrap();
    let mut lists = ListWriter::create(writer.file("popular/popular.parquet").unwrap(), ListKind::Popular).unwrap();
    let mut batch = ListBatch::default();
    batch.push("overall", [("item 1", 9.0), ("item 2", 4.0)], "");
    lists.write(&batch).unwrap();
    lists.finish().unwrap();
    let users = users(n_members);
    for campaign in ["spring sale", "win-back"] {
        for (part, users) in users.chunks(n_members / 2 + 1).enumerate() {
            let file = writer.file(&campaign_path(campaign, part).unwrap()).unwrap();
            let mut rows = MemberWriter::create(file).unwrap();
            // Dealt into odd batches: the bytes must not depend on it.
            users.chunks(1_000).for_each(|users| rows.write(&members(campaign, users)).unwrap());
            rows.finish().unwrap();
        }
    }
    let observed = Observed { created_at: "2026-11-23T01:00:00Z".into(), ..Observed::default() };
    writer.commit(Content { n_buckets: 1, ..Content::default() }, observed).unwrap()
}

#[test]
fn members_read_back_as_they_were_written() {
    let root = tempfile::tempdir().unwrap();
    let run = build(root.path(), 5_001);
    let all = users(5_001);
    for campaign in ["spring sale", "win-back"] {
        let folder = format!("campaigns/{campaign}");
        let files: Vec<String> = run.files_in(&folder).map(|file| file.path.clone()).collect();
        assert_eq!(files.len(), 2);
        let mut at = 0;
        for (file, users) in files.iter().zip(all.chunks(2_501)) {
            let mut reader = run.member_reader(file).unwrap();
            // As written: in batches of a thousand, each numbered from its start.
            let batches: Vec<MemberBatch<'_>> = users.chunks(1_000).map(|users| members(campaign, users)).collect();
            let mut wanted = batches.iter().flat_map(MemberBatch::rows);
            let mut n = 0;
            while let Some(table) = reader.next().unwrap() {
                let batch = table.batch();
                assert_eq!(batch.campaign, campaign);
                for member in batch.rows() {
                    assert_eq!(Some(member), wanted.next());
                    n += 1;
                }
            }
            at += n;
        }
        assert_eq!(at, 5_001);
    }
}

#[test]
fn members_that_make_no_sense_are_refused_with_the_user() {
    let root = tempfile::tempdir().unwrap();
    let writer = RunWriter::create(root.path(), "one").unwrap();
    let file = |part| writer.file(&campaign_path("spring", part).unwrap()).unwrap();
    let users = users(2);
    type Change = fn(&mut MemberBatch<'_>);
    let changes: [(Change, &str); 4] = [
        (|members| members.scores[1] = f32::NAN, "user_id `user-000001`: its score is NaN"),
        (|members| members.lists.scores[0] = f32::INFINITY, "item `item 1` has the score inf"),
        (|members| members.variables[1] = "[1]", "its variables are no JSON object: [1]"),
        (|members| members.campaign = "autumn", "campaign `spring`, not `autumn`"),
    ];
    for (part, (change, wanted)) in changes.into_iter().enumerate() {
        let mut batch = members("spring", &users);
        change(&mut batch);
        let error = MemberWriter::create(file(part)).unwrap().write(&batch).unwrap_err();
        assert!(matches!(error, ArtifactError::BadRows { .. }) && error.to_string().contains(wanted), "{error}");
    }
    let elsewhere = MemberWriter::create(writer.file("popular/part-000.parquet").unwrap());
    assert!(matches!(elsewhere, Err(ArtifactError::BadFileName { .. })));
}

#[test]
fn the_bytes_do_not_depend_on_the_batches() {
    let root = tempfile::tempdir().unwrap();
    let users = users(9_000);
    let hashes: Vec<String> = [1_usize, 700, 9_000]
        .iter()
        .map(|&n| {
            let writer = RunWriter::create(root.path(), &format!("run-{n}")).unwrap();
            let all = members("spring", &users);
            let mut rows = MemberWriter::create(writer.file(&campaign_path("spring", 0).unwrap()).unwrap()).unwrap();
            let every: Vec<_> = all.rows().collect();
            for some in every.chunks(n) {
                let mut batch = MemberBatch { campaign: "spring", ..Default::default() };
                some.iter().for_each(|member| batch.push(member));
                rows.write(&batch).unwrap();
            }
            rows.finish().unwrap().sha256
        })
        .collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
}

/// The config of a store, as people write it; the password is in a variable.
fn write_config(folder: &Path, store: &str, keys: &[(&str, String)]) -> String {
    let keys = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect::<String>();
    let text = format!(
        "[publish]\ntargets = [\"{store}\"]\n[publish.{store}]\n{keys}password_env = \"SHOP_DB_PASSWORD\"\n\
         sections = [\"popular\", \"campaigns\"]\n"
    );
    let path = folder.join(format!("{store}.toml"));
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Publishes, verifies, rolls back; nothing that is printed holds the password.
fn through_the_binary(store: &str, keys: &[(&str, String)], rows: &mut dyn FnMut(&str) -> Vec<Vec<Option<String>>>) {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let run = build(&runs, 1_500);
    let config = write_config(folder.path(), store, keys);
    let with = |password: &str, arguments: &[&str]| {
        let mut all = vec!["publish"];
        all.extend_from_slice(arguments);
        all.extend_from_slice(&["--config", &config, "--runs", runs.to_str().unwrap()]);
        let environment = [("SHOP_DB_PASSWORD", password.to_owned()), ("RUST_LOG", "trace".to_owned())];
        let ran = nightshelf_in(folder.path(), &all, &environment);
        assert!(!ran.stderr.contains(password) && !ran.stdout.contains(password), "{}", ran.stderr);
        assert!(!ran.stderr.contains("Zoë"), "rows are not logged: {}", ran.stderr);
        ran
    };
    let refused = with("canary-of-a-wrong-password", &["status"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("cannot connect"), "{}", refused.stderr);

    let migrated = with(PASSWORD, &["migrate"]).ok();
    assert!(migrated.stdout.contains("is up to date"), "{}", migrated.stdout);
    for sequence in 1..=2 {
        let published: Value = with(PASSWORD, &["latest", "--json"]).json();
        assert_eq!(
            (published[0]["sequence"].as_i64(), published[0]["n_lists"].as_i64()),
            (Some(sequence), Some(3_001))
        );
    }
    with(PASSWORD, &["verify"]).ok();
    let counts = rows("SELECT campaign, n_members, n_send, n_holdout FROM campaign_runs_current ORDER BY campaign");
    let counts: Vec<Vec<String>> = counts.into_iter().map(|row| row.into_iter().flatten().collect()).collect();
    assert_eq!(counts, [["spring sale", "1500", "1351", "149"], ["win-back", "1500", "1351", "149"]]);
    let status: Value = with(PASSWORD, &["rollback", "--json"]).json();
    assert_eq!(status[store]["current"], 1);
    assert_eq!(status[store]["runs"][0]["run"], run.name());

    // Another program that looks on: arguments are for everybody to see.
    let arguments = ["publish", "--config", &config, "--runs", runs.to_str().unwrap()];
    let environment = [("SHOP_DB_PASSWORD", PASSWORD.to_owned())];
    let mut child =
        command(folder.path(), &arguments, &environment).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut n_looks = 0;
    while child.try_wait().unwrap().is_none() {
        if let Ok(line) = fs::read(format!("/proc/{}/cmdline", child.id())) {
            assert!(!String::from_utf8_lossy(&line).contains(PASSWORD));
            n_looks += usize::from(!line.is_empty());
        }
    }
    assert!(n_looks > 0);
    assert!(child.wait().unwrap().success());
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

#[test]
fn a_run_with_campaigns_goes_to_postgres() {
    if is_skipped("postgres") {
        return;
    }
    let PostgresConfig { host, port, database, user, schema, .. } = fresh_postgres();
    let keys = [
        ("host", quoted(&host)),
        ("port", port.to_string()),
        ("database", quoted(&database)),
        ("user", quoted(&user)),
        ("schema", quoted(&schema)),
    ];
    let config = PostgresConfig { host, port, database, user, schema, ..Default::default() };
    through_the_binary("postgres", &keys, &mut |query| sql::postgres(&config).rows(query));
}

#[test]
fn a_run_with_campaigns_goes_to_mariadb() {
    if is_skipped("mariadb") {
        return;
    }
    let MySqlConfig { host, port, database, user, .. } = fresh_mariadb();
    let keys =
        [("host", quoted(&host)), ("port", port.to_string()), ("database", quoted(&database)), ("user", quoted(&user))];
    let config = MySqlConfig { host, port, database, user, ..Default::default() };
    through_the_binary("mysql", &keys, &mut |query| sql::mysql(&config).rows(query));
}
