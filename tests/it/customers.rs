//! Customers and orders: from Parquet and from real servers the same, and what is wrong with either is said.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    path::Path,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Instant,
};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Schema, TimestampMillisecondType};
use nightshelf::{
    artifacts::open_run,
    customers::{CustomersConfig, CustomersInput, CustomersRead, read_customers},
    storage::Storage,
    synth::{self, generate},
};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::properties::WriterProperties,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    program::{Ran, nightshelf},
    s3::S3Server,
    servers::{PASSWORD, fresh_mariadb, fresh_postgres, is_skipped},
    sql::{self, Speaks},
    tables::{DAY, NEW_YEAR, canonical, instants, integers, numbers, texts, write},
};

/// What makes builds small.
const CONFIG: &str = r#"
[events]
paths = ["shop/events/"]
[catalog]
path = "shop/catalog.parquet"
[interactions]
n_buckets = 4
[model.als]
n_factors = 8
iterations = 2
[recommendations]
k = 5
[publish]
targets = []
[orders]
purchases_from = "orders"
[orders.columns]
order_id = "order_id"
[customers.columns]
created_at = "created_at"
locale = "locale"
[customers.consent]
email = "marketing_consent"
[customers.attributes]
country = "country"
"#;

/// Never seen outside of its table.
const CANARY: &str = "canary-7f3a@example.org";

fn shop(directory: &Path) {
    let config = synth::Config {
        users: 300,
        items: 80,
        events: 8_000,
        categories: 6,
        brands: 10,
        days: 30,
        start: jiff::civil::date(2024, 6, 1),
        ..synth::Config::default()
    };
    generate(&config, &directory.join("shop"), &|_| ()).unwrap();
}

/// Reading a page at a time, each by a request of its own to the end of the file, took 20 of 23 seconds of 5 million customers.
#[test]
fn a_column_chunk_is_fetched_once_however_many_pages_it_has() {
    let server = S3Server::start();
    let (n_groups, n_rows) = (3, 9_000);
    let schema = Arc::new(Schema::new(vec![
        Field::new("user_id", DataType::Utf8, false),
        Field::new("email", DataType::Utf8, false),
        Field::new("marketing_consent", DataType::Boolean, false),
    ]));
    let pages = WriterProperties::builder().set_data_page_row_count_limit(200).set_write_batch_size(100).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(pages)).unwrap();
    for group in 0..n_groups {
        let ids = (0..n_rows).map(|row| format!("u{:06}", group * n_rows + row));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(ids)),
            Arc::new(StringArray::from_iter_values((0..n_rows).map(|_| CANARY))),
            Arc::new(BooleanArray::from_iter((0..n_rows).map(|row| Some(row % 3 == 0)))),
        ];
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()).unwrap();
        writer.flush().unwrap();
    }
    server.put("shop", "customers.parquet", &writer.into_inner().unwrap());
    let config = CustomersConfig {
        paths: vec!["s3://shop/customers.parquet".into()],
        consent: BTreeMap::from([("email".to_owned(), "marketing_consent".to_owned())]),
        ..CustomersConfig::default()
    };
    let storage = server.storage();
    let input = CustomersInput { storage: &storage, config: &config, n_buckets: 4, max_id_bytes: 64 };
    let table = read_customers(&input).unwrap().unwrap().table.unwrap();
    let mut n_agree = 0;
    for bucket in 0..4 {
        n_agree += table.frame(bucket).unwrap().column("consent_email").unwrap().bool().unwrap().sum().unwrap();
    }
    assert_eq!((table.n_customers(), n_agree), (n_groups * n_rows, (n_groups * n_rows / 3) as u32));
    let n_gets = server.faults.n_gets.load(SeqCst);
    assert!(n_gets <= 2 * n_groups + 3, "{n_gets} requests for {n_groups} row groups of 2 columns and the footer");
}

fn batches(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    reader.map(Result::unwrap).collect()
}

/// Rows of a Parquet file as SQL values: text and times quoted.
fn values(path: &Path) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in batches(path) {
        for row in 0..batch.num_rows() {
            let mut line = String::new();
            for column in batch.columns() {
                if !line.is_empty() {
                    line.push(',');
                }
                use arrow::datatypes::DataType as T;
                match column.data_type() {
                    _ if column.is_null(row) => line.push_str("NULL"),
                    T::Utf8 => write!(line, "'{}'", column.as_string::<i32>().value(row)).unwrap(),
                    T::Boolean => line.push_str(if column.as_boolean().value(row) { "TRUE" } else { "FALSE" }),
                    T::Float64 => write!(line, "{:?}", column.as_primitive::<Float64Type>().value(row)).unwrap(),
                    T::Int32 => write!(line, "{}", column.as_primitive::<Int32Type>().value(row)).unwrap(),
                    T::Timestamp(..) => {
                        let millis = column.as_primitive::<TimestampMillisecondType>().value(row);
                        let time = jiff::Timestamp::from_millisecond(millis).unwrap();
                        write!(line, "'{}'", time.strftime("%Y-%m-%d %H:%M:%S.%f")).unwrap();
                    }
                    other => panic!("{other}"),
                }
            }
            rows.push(format!("({line})"));
        }
    }
    rows
}

/// Makes both tables in a database, and a reader who may not see addresses.
fn fill(client: &mut dyn Speaks, directory: &Path, time: &str) {
    let sql = format!(
        "CREATE TABLE order_lines (order_id varchar(40), user_id varchar(40), item_id varchar(40), quantity integer,
         price double precision, ordered_at {time}, status varchar(20));
         CREATE TABLE people (user_id varchar(40), email varchar(99), country varchar(9), locale varchar(9),
         marketing_consent boolean, created_at {time})"
    );
    for statement in sql.split(';') {
        client.run(statement);
    }
    for (table, file) in [("order_lines", "orders"), ("people", "customers")] {
        let rows = values(&directory.join(format!("shop/{file}.parquet")));
        assert!(rows.len() > 100, "{} {file}", rows.len());
        // Newest first: the order of rows is not the Parquet file's.
        let rows: Vec<String> = rows.into_iter().rev().collect();
        for rows in rows.chunks(200) {
            client.run(&format!("INSERT INTO {table} VALUES {}", rows.join(",")));
        }
    }
    client.run(&format!("UPDATE people SET email = '{CANARY}'"));
}

/// Builds with some more config, into the run `name`.
fn build(directory: &Path, name: &str, more: &str) -> Ran {
    fs::write(directory.join(format!("{name}.toml")), format!("{CONFIG}{more}")).unwrap();
    nightshelf(directory, &["build", "--config", &format!("{name}.toml"), "--run", name, "--json", "--quiet"])
}

/// Path and SHA-256 of each file that the input determines.
fn files(directory: &Path, run: &str) -> BTreeMap<String, String> {
    let run = open_run(&directory.join("runs"), run).unwrap();
    run.manifest().content.files.iter().map(|file| (file.path.clone(), file.sha256.clone())).collect()
}

fn inputs(directory: &Path, run: &str) -> Vec<(String, String)> {
    let run = open_run(&directory.join("runs"), run).unwrap();
    run.manifest().content.inputs.iter().map(|input| (input.role.clone(), input.checksum.clone())).collect()
}

fn customers(config: &CustomersConfig) -> CustomersRead {
    let storage = Storage::default();
    read_customers(&CustomersInput { storage: &storage, config, n_buckets: 4, max_id_bytes: 1_024 }).unwrap().unwrap()
}

/// The section of a replica under `table`.
fn replica(section: &str, login: &str, table: &str, more: &str) -> String {
    format!("\n[{section}.replica]\n{login}table = \"{table}\"\n{more}\n")
}

/// Builds from Parquet and from a server, and compares.
fn same_as_parquet(directory: &Path, kind: &str, login: &str, schema: &str) {
    let from_files = CONFIG
        .replace("purchases_from = \"orders\"", "purchases_from = \"orders\"\npaths = [\"shop/orders.parquet\"]")
        .replace("[customers.columns]", "[customers]\npaths = [\"shop/customers.parquet\"]\n[customers.columns]");
    fs::write(directory.join("files.toml"), from_files).unwrap();
    let ran = nightshelf(directory, &["build", "--config", "files.toml", "--run", "files", "--json", "--quiet"]).json();
    assert!(ran["events"]["purchase"].as_u64().unwrap() > 50, "{ran}");
    let (orders, people) = (format!("{schema}order_lines"), format!("{schema}people"));
    let both = replica("orders", login, &orders, "") + &replica("customers", login, &people, "");
    build(directory, kind, &both).ok();
    assert_eq!(files(directory, "files"), files(directory, kind));

    // Rows are known by their digest: the same again gives the same hash, one more line another.
    build(directory, &format!("{kind}-again"), &both).ok();
    let hash = |run: &str| open_run(&directory.join("runs"), run).unwrap().manifest().content_sha256.clone();
    assert_eq!(hash(kind), hash(&format!("{kind}-again")));
    let roles: Vec<String> = inputs(directory, kind).into_iter().map(|input| input.0).collect();
    assert!(roles.contains(&"orders".to_owned()) && roles.contains(&"customers".to_owned()), "{roles:?}");

    // A query of the shop's own.
    let select = format!(
        "SELECT order_id, user_id, item_id, quantity, price, ordered_at AS placed, status FROM {orders} WHERE quantity > 0"
    );
    let own = format!("\n[orders.replica]\n{login}query = \"{select}\"\n");
    let text =
        format!("{CONFIG}{own}").replace("order_id = \"order_id\"", "order_id = \"order_id\"\nordered_at = \"placed\"");
    fs::write(directory.join("query.toml"), text).unwrap();
    nightshelf(directory, &["build", "--config", "query.toml", "--run", &format!("{kind}-query"), "--quiet"]).ok();
    assert_eq!(files(directory, "files"), files(directory, &format!("{kind}-query")));

    // The tables of customers are the same, too.
    let mut config: CustomersConfig = toml::from_str::<nightshelf::config::Config>(CONFIG).unwrap().customers;
    config.paths = vec![directory.join("shop/customers.parquet").to_str().unwrap().to_owned()];
    let files = customers(&config).table.unwrap();
    config.paths.clear();
    let section = replica("customers", login, &people, "");
    config.replica = toml::from_str::<nightshelf::config::Config>(&section).unwrap().customers.replica;
    let read = customers(&config);
    let served = read.table.unwrap();
    assert_eq!(read.report.customers, 300);
    for bucket in 0..4 {
        let (files, served) = (files.frame(bucket).unwrap(), served.frame(bucket).unwrap());
        assert!(files.equals_missing(&served), "{files}\n{served}");
        assert!(served.height() > 30);
    }
    let names: Vec<String> =
        served.empty_frame().unwrap().get_column_names().iter().map(|name| name.to_string()).collect();
    assert_eq!(names, config.column_names());

    bad_tables(directory, kind, login, &orders, &people);
}

/// What is wrong with a table is said, with its name and the key.
fn bad_tables(directory: &Path, kind: &str, login: &str, orders: &str, people: &str) {
    let fails = |name: &str, text: String, wanted: &[&str]| {
        fs::write(directory.join("bad.toml"), text).unwrap();
        let start = Instant::now();
        let ran = nightshelf(directory, &["build", "--config", "bad.toml", "--run", name, "--quiet"]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        for wanted in wanted {
            assert!(ran.stderr.contains(wanted), "{name}: no `{wanted}` in\n{}", ran.stderr);
        }
        assert!(!directory.join("runs").join(name).exists());
        start.elapsed()
    };
    let with_orders = |more: &str| format!("{CONFIG}{}", replica("orders", login, orders, more));
    fails(
        "no-column",
        with_orders("").replace("order_id = \"order_id\"", "order_id = \"order_idd\""),
        &["order_lines", "order_idd", "orders.columns.order_id", "did you mean `order_id`?", "ordered_at"],
    );
    fails(
        "wrong-type",
        with_orders("").replace("order_id = \"order_id\"", "order_id = \"order_id\"\nprice = \"status\""),
        &["order_lines", "column `status` (orders.columns.price) must be a number"],
    );
    fails(
        "no-consent",
        format!("{CONFIG}{}", replica("customers", login, people, ""))
            .replace("purchases_from = \"orders\"", "")
            .replace("\"marketing_consent\"", "\"marketing_consents\""),
        &["people", "marketing_consents", "customers.consent.email", "did you mean `marketing_consent`?"],
    );
    // Behind: the newest order is of 2024.
    let late = "lag_from = \"newest_row\"\nmax_lag_minutes = 90\n";
    fails("late", with_orders(late), &["order_lines", "minutes behind, orders.replica.max_lag_minutes allows 90"]);
    let run = format!("{kind}-late");
    let ran =
        build(directory, &run, &replica("orders", login, orders, &format!("{late}when_lagging = \"read_anyway\"")))
            .json();
    assert!(warnings(&ran).contains("max_lag_minutes allows 90"), "{ran}");
    assert_eq!(files(directory, "files"), files(directory, &run));
    let run = format!("{kind}-without");
    let ran =
        build(directory, &run, &replica("orders", login, orders, &format!("{late}when_lagging = \"go_on_without\"")))
            .json();
    assert!(warnings(&ran).contains("orders were left out, and purchases of the clickstream count"), "{ran}");
    assert_ne!(files(directory, "files"), files(directory, &run));
}

fn warnings(summary: &Value) -> String {
    summary["warnings"].to_string()
}

#[test]
fn postgres_gives_what_parquet_gives() {
    if is_skipped("postgres") {
        return;
    }
    let directory = TempDir::new().unwrap();
    shop(directory.path());
    let config = fresh_postgres();
    let mut client = sql::postgres(&config);
    client.run(&format!("CREATE SCHEMA {}", config.schema));
    client.run("SET TimeZone = 'UTC'");
    fill(&mut client, directory.path(), "timestamptz");
    let reader = format!("reader_{}", config.schema);
    for grant in [
        format!("CREATE ROLE {reader} LOGIN PASSWORD '{PASSWORD}'"),
        format!("GRANT USAGE ON SCHEMA {} TO {reader}", config.schema),
        format!("GRANT SELECT ON order_lines TO {reader}"),
        // Not the address.
        format!("GRANT SELECT (user_id, country, locale, marketing_consent, created_at) ON people TO {reader}"),
    ] {
        client.run(&grant);
    }
    let login = format!(
        "host = \"{}\"\nport = {}\ndatabase = \"{}\"\nuser = \"{reader}\"\npassword_file = \"{}\"\n",
        config.host,
        config.port,
        config.database,
        config.password_file.clone().unwrap()
    );
    same_as_parquet(directory.path(), "postgres", &login, &format!("{}.", config.schema));
}

#[test]
fn mariadb_gives_what_parquet_gives() {
    if is_skipped("mariadb") {
        return;
    }
    let directory = TempDir::new().unwrap();
    shop(directory.path());
    let config = fresh_mariadb();
    let mut client = sql::mysql(&config);
    client.run("SET time_zone = '+00:00'");
    fill(&mut client, directory.path(), "datetime(6)");
    let reader = format!("reader_{}", config.database);
    for grant in [
        format!("CREATE USER {reader}@'%' IDENTIFIED BY '{PASSWORD}'"),
        format!("GRANT SELECT ON {}.order_lines TO {reader}@'%'", config.database),
        format!(
            "GRANT SELECT (user_id, country, locale, marketing_consent, created_at) ON {}.people TO {reader}@'%'",
            config.database
        ),
        format!("GRANT REPLICA MONITOR ON *.* TO {reader}@'%'"),
    ] {
        client.run(&grant);
    }
    let login = format!(
        "kind = \"mysql\"\nhost = \"{}\"\nport = {}\ndatabase = \"{}\"\nuser = \"{reader}\"\npassword_file = \"{}\"\n",
        config.host,
        config.port,
        config.database,
        config.password_file.clone().unwrap()
    );
    same_as_parquet(directory.path(), "mariadb", &login, "");
}

#[test]
fn a_replica_that_is_not_there_stops_the_build_at_once_or_is_left_out() {
    let directory = TempDir::new().unwrap();
    shop(directory.path());
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    for kind in ["postgres", "mysql"] {
        let login = format!("kind = \"{kind}\"\nport = {port}\n");
        let ran = build(directory.path(), "absent", &replica("orders", &login, "order_lines", ""));
        assert_eq!(ran.code, Some(1));
        let wanted = format!("cannot connect to {kind}://127.0.0.1:{port}/shop table order_lines");
        assert!(ran.stderr.contains(&wanted) && ran.stderr.contains("when_unavailable"), "{}", ran.stderr);
        // Before the events: nothing was read of them.
        let go_on = "when_unavailable = \"go_on\"";
        let more = replica("orders", &login, "order_lines", go_on) + &replica("customers", &login, "people", go_on);
        let ran = build(directory.path(), &format!("{kind}-without"), &more).json();
        let warnings = warnings(&ran);
        assert!(warnings.contains("orders were left out, and purchases of the clickstream count"), "{warnings}");
        assert!(warnings.contains("customers were left out, so nobody's consent is known"), "{warnings}");
        assert!(ran["events"]["purchase"].as_u64().unwrap() > 50, "{ran}");
    }
    assert_eq!(files(directory.path(), "postgres-without"), files(directory.path(), "mysql-without"));
}

/// A file of customers, and a config that reads it.
fn people_file(directory: &Path, columns: crate::support::tables::Columns, more: &str) -> CustomersConfig {
    write(&directory.join("people.parquet"), columns);
    let mut config: CustomersConfig = toml::from_str(more).unwrap();
    config.paths = vec![directory.join("people.parquet").to_str().unwrap().to_owned()];
    config.check("customers").unwrap();
    config
}

#[test]
fn rows_without_a_user_and_values_that_mean_nothing_are_counted() {
    let directory = TempDir::new().unwrap();
    let columns = vec![
        ("user_id", texts([Some("u1"), None, Some(""), Some("u2"), Some("u2"), Some("u3"), Some("u4")])),
        ("ok", texts([Some("yes"), Some("yes"), Some("yes"), Some("yes"), Some("no"), Some("perhaps"), None])),
        ("gone", instants([None, None, None, None, Some(NEW_YEAR), None, None])),
        ("at", instants([Some(NEW_YEAR), None, None, Some(NEW_YEAR + DAY), Some(NEW_YEAR), None, None])),
        ("age", integers([Some(30), None, None, Some(41), Some(40), None, Some(7)])),
        ("score", numbers([Some(0.5), None, None, None, None, None, None])),
        ("email", texts([CANARY; 7])),
    ];
    let config = people_file(
        directory.path(),
        columns,
        "max_rejected_ratio = 0.3\n[columns]\nunsubscribed = \"gone\"\ncreated_at = \"at\"\n\
         [consent]\nemail = \"ok\"\n[attributes]\nage = \"age\"\nscore = \"score\"",
    );
    let read = customers(&config);
    let noted = |name: &str| read.report.noted.get(name).copied();
    assert_eq!((read.report.rows, read.report.customers, read.report.n_rejected()), (7, 4, 2));
    assert_eq!(read.report.rejected, [("empty_user".to_owned(), 1), ("null_user".to_owned(), 1)].into());
    assert_eq!((noted("repeated_user"), noted("unreadable_consent_email")), (Some(1), Some(1)));
    let table = read.table.unwrap();
    assert!(!format!("{table:?}").contains("canary"));
    let mut found = BTreeMap::new();
    for bucket in 0..4 {
        let frame = table.frame(bucket).unwrap();
        let text = |name: &str, row: usize| frame.column(name).unwrap().get(row).unwrap().to_string();
        for row in 0..frame.height() {
            let names = ["consent_email", "unsubscribed", "suppressed", "age", "score"];
            found.insert(text("user_id", row), names.map(|name| text(name, row)).join(" "));
        }
    }
    // The newer row of u2 counts, but the older one says no and unsubscribes.
    let wanted = [
        ("\"u1\"", "true false false 30 0.5"),
        ("\"u2\"", "false true false 41 null"),
        ("\"u3\"", "false false false null null"),
        ("\"u4\"", "false false false 7 null"),
    ];
    assert_eq!(found, wanted.map(|(user, row)| (user.to_owned(), row.to_owned())).into());
}

#[test]
fn an_address_is_never_read_as_an_attribute() {
    let directory = TempDir::new().unwrap();
    let columns = || vec![("user_id", texts(["u1", "u2"])), ("contact", texts([None, Some(CANARY)]))];
    let config = people_file(directory.path(), columns(), "[attributes]\nreach = \"contact\"");
    let storage = Storage::default();
    let read = |config: &CustomersConfig| {
        read_customers(&CustomersInput { storage: &storage, config, n_buckets: 4, max_id_bytes: 1_024 })
    };
    let error = read(&config).unwrap_err().to_string();
    assert!(error.contains("column `contact` (customers.attributes.reach) holds contact addresses"), "{error}");
    assert!(!error.contains("canary"), "{error}");
    let config = people_file(directory.path(), columns(), "[columns]\nlocale = \"kontact\"");
    let error = read(&config).unwrap_err().to_string();
    assert!(error.contains("people.parquet") && error.contains("did you mean `contact`?"), "{error}");
    let config = people_file(directory.path(), columns(), "[columns]\ncreated_at = \"user_id\"\nuser_id = \"contact\"");
    let error = read(&config).unwrap_err().to_string();
    assert!(error.contains("1 of 2 customers have no usable user id"), "{error}");
}

#[test]
fn a_run_holds_nothing_of_an_address() {
    let directory = TempDir::new().unwrap();
    let rows: Vec<(String, String)> = (0..40).map(|n| (format!("u{}", n % 8), format!("i{}", n % 5))).collect();
    let events: Vec<(&str, &str, &str, i64)> =
        rows.iter().enumerate().map(|(n, row)| (row.0.as_str(), row.1.as_str(), "view", NEW_YEAR + n as i64)).collect();
    write(&directory.path().join("events/a.parquet"), canonical(&events));
    let users: Vec<String> = (0..8).map(|n| format!("u{n}")).collect();
    let columns = vec![
        ("user_id", texts(users.iter().map(String::as_str))),
        ("email", texts([CANARY; 8])),
        ("consent", integers([1; 8])),
    ];
    write(&directory.path().join("people.parquet"), columns);
    let config = "[events]\npaths = [\"events/\"]\n[interactions]\nn_buckets = 2\n[model.als]\nn_factors = 4\n[publish]\ntargets = []\n\
                  [customers]\npaths = [\"people.parquet\"]\n[customers.consent]\nemail = \"consent\"\n";
    fs::write(directory.path().join("c.toml"), config).unwrap();
    let ran = nightshelf(directory.path(), &["build", "--config", "c.toml", "--run", "r", "--json"]).ok();
    assert!(!ran.stderr.contains("canary-7f3a"), "{}", ran.stderr);
    let run = open_run(&directory.path().join("runs"), "r").unwrap();
    assert_eq!(run.manifest().content.counts["customers"]["customers"], 8);
    let mut n_files = 0;
    for file in run.manifest().files() {
        let path = run.path().join(&file.path);
        let mut text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        if file.path.ends_with(".parquet") {
            text.extend(batches(&path).iter().map(|batch| format!("{batch:?}")));
            assert!(text.contains("RecordBatch") || file.rows == Some(0), "{}", file.path);
        }
        assert!(!text.contains("canary-7f3a") && !file.path.starts_with("customers"), "{}", file.path);
        n_files += 1;
    }
    assert!(n_files > 6);
}

/// Resident memory of this process in MiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

#[test]
#[ignore = "measures memory, so it wants a process of its own: --ignored --exact, then this name"]
fn memory_does_not_grow_with_the_rows_of_a_table() {
    use nightshelf::sql::{Holds, Outcome, ReplicaConfig, ServerKind, SqlColumn, SqlError, read_table};
    let (postgres, mysql) = (fresh_postgres(), fresh_mariadb());
    let text = "'0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789'";
    let base = ReplicaConfig { max_lag_minutes: 0.0, user: "nightshelf".into(), ..Default::default() };
    let replicas = [
        ReplicaConfig {
            host: postgres.host,
            port: Some(postgres.port),
            database: postgres.database,
            password_file: postgres.password_file,
            query: Some(format!("SELECT n AS id, {text} AS filler FROM generate_series(1, 2000000) AS n")),
            ..base.clone()
        },
        ReplicaConfig {
            kind: ServerKind::Mysql,
            host: mysql.host,
            database: mysql.database,
            password_file: mysql.password_file,
            query: Some(format!("SELECT seq AS id, {text} AS filler FROM seq_1_to_2000000")),
            ..base
        },
    ];
    let column = |name: &str| SqlColumn { key: "x".into(), name: name.into(), holds: Holds::Id };
    for replica in replicas {
        let start = Instant::now();
        let outcome = read_table(
            &replica,
            "x.replica",
            &[column("id"), column("filler")],
            None,
            |_| Ok::<_, SqlError>((0, 0)),
            |(rows, most), arrays| {
                (*rows, *most) = (*rows + arrays[0].len(), resident().max(*most));
                Ok(())
            },
        );
        let Outcome::Read((rows, most), read) = outcome.unwrap() else { panic!("left out") };
        println!(
            "{}: {rows} rows, {} MiB, at most {most} MiB resident, {:.1} s",
            read.place,
            read.bytes >> 20,
            start.elapsed().as_secs_f64()
        );
        assert!(rows == 2_000_000 && read.rows == 2_000_000 && read.bytes > 200 << 20, "{read:?}");
        assert!(most < 150, "{most} MiB resident");
    }
}
