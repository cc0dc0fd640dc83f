//! The contract on MariaDB, and what only it promises.

use nightshelf::publish::{MySqlConfig, MySqlSink, PublishError, Sink};

use super::{Snapshot, Store, keeps_the_contract, list, publish, run_of, shown, write};
use crate::support::{
    servers::{PASSWORD, fresh_mariadb, is_skipped},
    sql::{self, Speaks},
};

/// A database of its own.
pub(crate) struct MariaDb {
    pub(crate) config: MySqlConfig,
}

impl MariaDb {
    pub(crate) fn new() -> Self {
        let store = Self { config: fresh_mariadb() };
        drop(store.sink());
        store
    }

    /// Somebody who reads.
    pub(crate) fn reader(&self) -> sql::Client<sqlx::MySqlConnection> {
        sql::mysql(&self.config)
    }
}

impl Store for MariaDb {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(MySqlSink::open(&self.config).unwrap())
    }

    fn read(&self) -> Snapshot {
        let mut reader = self.reader();
        Snapshot::of(|sql| reader.rows(sql))
    }
}

#[test]
fn mariadb_keeps_the_contract() {
    if !is_skipped("mariadb") {
        keeps_the_contract(MariaDb::new);
    }
}

#[test]
fn a_lookup_uses_the_primary_key() {
    if is_skipped("mariadb") {
        return;
    }
    let store = MariaDb::new();
    publish(&mut *store.sink(), "one", &run_of("one")).unwrap();
    let mut reader = store.reader();
    for (view, key) in [
        ("recommendations_current", "user_id = 'user-3'"),
        ("similar_items_current", "item_id = 'b'"),
        ("campaign_members_current", "campaign = 'spring'"),
    ] {
        let plan = reader.rows(&format!("EXPLAIN SELECT * FROM {view} WHERE {key}"));
        // Table, way of access, index.
        let of = |table: &str| {
            let row = plan.iter().find(|row| row[2].as_deref() == Some(table)).unwrap();
            (row[3].clone().unwrap(), row[5].clone().unwrap())
        };
        let (access, index) = of(if view.starts_with("campaign") { "c" } else { "l" });
        assert!(["const", "ref"].contains(&access.as_str()) && index == "PRIMARY", "{plan:?}");
    }
}

#[test]
fn keys_that_are_too_long_are_refused_with_the_row() {
    if is_skipped("mariadb") {
        return;
    }
    let store = MariaDb::new();
    let mut sink = store.sink();
    sink.begin(&super::header("long")).unwrap();
    let kind = nightshelf::recommendations::ListKind::Popular;
    let fits = list(kind, &"é".repeat(512), &[("x", 1.0)]);
    write(&mut *sink, &fits.clone().into()).unwrap();
    let error = write(&mut *sink, &list(kind, &"é".repeat(513), &[]).into()).unwrap_err();
    assert!(matches!(&error, PublishError::Unstorable { key, .. } if key.chars().count() == 513), "{error}");
    sink.verify(&super::expected(&*sink, &fits.clone().into())).unwrap();
    sink.commit().unwrap();
    assert_eq!(store.read(), shown(&fits.into()));
}

#[test]
fn a_publisher_and_a_reader_need_no_more_than_is_documented() {
    if is_skipped("mariadb") {
        return;
    }
    let store = MariaDb::new();
    let database = &store.config.database;
    let mut admin = store.reader();
    // As docs/publish-sql.md has it.
    for sql in [
        format!("CREATE USER {database}_publisher@'%' IDENTIFIED BY '{PASSWORD}'"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO {database}_publisher@'%'"),
        format!("CREATE USER {database}_reader@'%' IDENTIFIED BY '{PASSWORD}'"),
    ] {
        admin.run(&sql);
    }
    for view in [
        "recommendations_current",
        "similar_items_current",
        "popular_current",
        "bought_together_current",
        "trending_current",
        "campaign_runs_current",
        "campaign_members_current",
    ] {
        admin.run(&format!("GRANT SELECT ON {database}.{view} TO {database}_reader@'%'"));
    }
    let user = format!("{database}_publisher");
    let publisher = MariaDb { config: MySqlConfig { user, create: false, ..store.config.clone() } };
    let data = run_of("one");
    publish(&mut *publisher.sink(), "one", &data).unwrap();
    publish(&mut *publisher.sink(), "two", &data).unwrap();
    assert_eq!(publisher.sink().drop_old(1).unwrap().len(), 1);
    let mut reader = sql::mysql(&MySqlConfig { user: format!("{database}_reader"), ..store.config.clone() });
    assert_eq!(Snapshot::of(|sql| reader.rows(sql)), shown(&data));
    for forbidden in ["SELECT * FROM recommendations", "SELECT * FROM publish_pointer", "DELETE FROM campaign_runs"] {
        assert!(reader.try_run(forbidden).unwrap_err().to_string().contains("denied"), "{forbidden}");
    }
}
