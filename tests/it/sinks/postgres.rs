//! The contract on Postgres, and what only it promises.

use nightshelf::publish::{PostgresConfig, PostgresSink, PublishError, Section, Sink};

use super::{Data, Snapshot, Store, expected, header, keeps_the_contract, publish, run_of, shown, write};
use crate::support::{
    servers::{fresh_postgres, is_skipped},
    sql::{self, Speaks},
};

/// A schema of its own.
pub(crate) struct Postgres {
    pub(crate) config: PostgresConfig,
}

impl Postgres {
    pub(crate) fn new() -> Self {
        let store = Self { config: fresh_postgres() };
        drop(store.sink());
        store
    }

    /// Somebody who reads.
    pub(crate) fn reader(&self) -> sql::Client<sqlx::PgConnection> {
        sql::postgres(&self.config)
    }
}

impl Store for Postgres {
    fn sink(&self) -> Box<dyn Sink> {
        Box::new(PostgresSink::open(&self.config).unwrap())
    }

    fn read(&self) -> Snapshot {
        let mut reader = self.reader();
        Snapshot::of(|sql| reader.rows(sql))
    }

    fn holds_nul(&self) -> bool {
        false
    }
}

#[test]
fn postgres_keeps_the_contract() {
    if !is_skipped("postgres") {
        keeps_the_contract(Postgres::new);
    }
}

#[test]
fn a_lookup_reads_one_partition_by_its_key() {
    if is_skipped("postgres") {
        return;
    }
    let store = Postgres::new();
    let mut sink = store.sink();
    publish(&mut *sink, "one", &run_of("one")).unwrap();
    publish(&mut *sink, "two", &run_of("two")).unwrap();
    let mut reader = store.reader();
    reader.run("SET enable_seqscan = off");
    for (view, key) in [
        ("recommendations_current", "user_id"),
        ("similar_items_current", "item_id"),
        ("campaign_members_current", "campaign"),
    ] {
        let plan = reader.rows(&format!("EXPLAIN ANALYZE SELECT * FROM {view} WHERE {key} = 'b' ORDER BY rank"));
        let plan: Vec<String> = plan.into_iter().map(|mut row| row.remove(0).unwrap()).collect();
        let of_run = |n: usize| {
            let table = view.replace("current", &n.to_string());
            plan.iter().find(|line| line.contains(&format!("{table}_pkey"))).unwrap().clone()
        };
        assert!(of_run(1).contains("never executed"), "{plan:#?}");
        assert!(!of_run(2).contains("never executed"), "{plan:#?}");
    }
}

/// A session that used the tables before, in a transaction, plans with the partitions that it knew then. Were the run
/// looked up by the pointer, it would look for the new one and find no rows at all.
#[test]
fn a_reader_in_a_transaction_sees_a_whole_run_after_every_flip() {
    if is_skipped("postgres") {
        return;
    }
    for plans in ["force_custom_plan", "force_generic_plan"] {
        for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
            let store = Postgres::new();
            let mut sink = store.sink();
            publish(&mut *sink, "0", &run_of("0")).unwrap();
            let mut reader = store.reader();
            reader.run(&format!("SET plan_cache_mode = {plans}"));
            for kind in ["recommendations", "popular", "campaign_members"] {
                reader.run(&format!("PREPARE of_{kind} AS SELECT count(*) FROM {kind}_current"));
            }
            reader.run(&format!("BEGIN ISOLATION LEVEL {isolation}"));
            let mut counts = || {
                ["recommendations", "popular", "campaign_members"]
                    .map(|kind| reader.value(&format!("EXECUTE of_{kind}")))
                    .map(|count| count.parse::<usize>().unwrap())
            };
            let before = counts();
            assert_eq!(before, [60, 2, 20]);
            for flip in 1..=3 {
                publish(&mut *sink, "next", &run_of(&flip.to_string())).unwrap();
                sink.drop_old(2).unwrap();
                assert_eq!(counts(), before, "{plans} {isolation} flip {flip}");
            }
            sink.rollback(None).unwrap();
            assert_eq!(counts(), before, "{plans} {isolation} rollback");
            reader.run("COMMIT");
            // The tables that the reader held are gone with the next publish.
            publish(&mut *sink, "last", &run_of("last")).unwrap();
            sink.drop_old(1).unwrap();
            let left = store.reader().value(&format!(
                "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = '{}' AND c.relname LIKE 'popular\\_%' AND c.relkind = 'r'",
                store.config.schema
            ));
            assert_eq!(left, "1");
        }
    }
}

#[test]
fn only_configured_sections_are_taken() {
    if is_skipped("postgres") {
        return;
    }
    let mut config = fresh_postgres();
    config.sections = vec![Section::Campaigns, Section::Popular];
    let store = Postgres { config };
    let mut sink = store.sink();
    assert_eq!(sink.sections(), [Section::Popular, Section::Campaigns]);
    let all = run_of("all");
    sink.begin(&header("all")).unwrap();
    assert!(matches!(write(&mut *sink, &all), Err(PublishError::NotTaken { section: Section::Recommendations, .. })));
    sink.abort().unwrap();
    let members = Data { lists: Vec::new(), ..all };
    publish(&mut *sink, "members", &members).unwrap();
    assert_eq!(store.read(), shown(&members));
    assert_eq!(sink.audit().unwrap()[&Section::Campaigns], expected(&*sink, &members)[&Section::Campaigns]);
}

#[test]
fn a_schema_of_another_version_is_refused() {
    if is_skipped("postgres") {
        return;
    }
    let config = PostgresConfig { create: false, ..fresh_postgres() };
    let error = PostgresSink::open(&config).unwrap_err();
    assert!(matches!(error, PublishError::OlderSchema { found: 0, .. }), "{error}");
    PostgresSink::migrate(&config).unwrap();
    PostgresSink::open(&config).unwrap();
    sql::postgres(&config).run("UPDATE nightshelf_schema SET version = 99");
    let error = PostgresSink::open(&config).unwrap_err();
    assert!(matches!(error, PublishError::NewerSchema { found: 99, .. }), "{error}");
}

#[test]
fn a_publisher_and_a_reader_need_no_more_than_is_documented() {
    if is_skipped("postgres") {
        return;
    }
    let config = fresh_postgres();
    let schema = &config.schema;
    let mut admin = sql::postgres(&config);
    // As docs/publish-sql.md has it.
    admin.run(&format!(
        "CREATE ROLE {schema}_owner NOLOGIN;
         CREATE ROLE {schema}_publisher LOGIN PASSWORD '{0}' IN ROLE {schema}_owner;
         CREATE ROLE {schema}_reader LOGIN PASSWORD '{0}';
         CREATE SCHEMA {schema} AUTHORIZATION {schema}_owner",
        crate::support::servers::PASSWORD
    ));
    let role = Some(format!("{schema}_owner"));
    let publisher = PostgresConfig { user: format!("{schema}_publisher"), role, create: false, ..config.clone() };
    PostgresSink::migrate(&publisher).unwrap();
    admin.run(&format!(
        "GRANT USAGE ON SCHEMA {schema} TO {schema}_reader;
         GRANT SELECT ON {schema}.recommendations_current, {schema}.similar_items_current, {schema}.popular_current,
             {schema}.bought_together_current, {schema}.trending_current, {schema}.campaign_runs_current,
             {schema}.campaign_members_current TO {schema}_reader"
    ));
    let store = Postgres { config: publisher };
    let data = run_of("one");
    publish(&mut *store.sink(), "one", &data).unwrap();
    publish(&mut *store.sink(), "two", &data).unwrap();
    assert_eq!(store.sink().drop_old(1).unwrap().len(), 1);
    let mut reader = sql::postgres(&PostgresConfig { user: format!("{schema}_reader"), ..config.clone() });
    assert_eq!(Snapshot::of(|sql| reader.rows(sql)), shown(&data));
    for forbidden in ["SELECT * FROM recommendations", "SELECT * FROM publish_pointer", "DELETE FROM campaign_runs"] {
        assert!(reader.try_run(forbidden).unwrap_err().to_string().contains("permission denied"), "{forbidden}");
    }
}
