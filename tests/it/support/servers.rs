//! Throwaway database servers: one of a kind for the whole test process, in a temporary directory, on a unix socket and
//! a free port.
//!
//! Postgres refuses to run as root, and MariaDB had better not, so as root they run as another user. A shell keeps each
//! server: when the test process ends, however it ends, the shell's input ends, and it ends the server and removes the
//! directory.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use nightshelf::publish::{MySqlConfig, MySqlSink, PostgresConfig, PostgresSink, Section};

use super::sql::Speaks as _;

/// What the servers' users log in with.
pub(crate) const PASSWORD: &str = "canary-5f2c7e";

/// How long a server may take to start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// Runs a server until the input ends: arguments are the directory, the signal that ends it, and its command.
const KEEPER: &str = r#"
directory=$1; signal=$2; shift 2; exec 3<&0
"$@" >"$directory/log" 2>&1 &
server=$!
(cat <&3 >/dev/null; kill -s "$signal" "$server" 2>/dev/null) &
wait "$server"; : >"$directory/ended"
cat <&3 >/dev/null
rm -rf "$directory"
"#;

/// A server that runs until the process ends.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its own directory.
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    /// PEM of the authority that signed its certificate.
    pub(crate) ca: PathBuf,
    /// Its input is what keeps it running.
    _keeper: Child,
}

/// Whether the suite was told to leave a kind of server out; says so.
pub(crate) fn is_skipped(kind: &str) -> bool {
    let skip = std::env::var("NIGHTSHELF_SKIP").unwrap_or_default();
    let skipped = skip.split(',').any(|name| name == kind);
    if skipped {
        eprintln!("SKIPPED: tests on {kind} (NIGHTSHELF_SKIP={skip})");
    }
    skipped
}

/// The Postgres server, started by whoever asks first.
pub(crate) fn postgres() -> &'static Server {
    static SERVER: LazyLock<Server> = LazyLock::new(start_postgres);
    &SERVER
}

/// The MariaDB server, started by whoever asks first.
pub(crate) fn mariadb() -> &'static Server {
    static SERVER: LazyLock<Server> = LazyLock::new(start_mariadb);
    &SERVER
}

/// A program of a server, looked for where distributions put it.
fn program(name: &str, package: &str) -> PathBuf {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("PATH").iter().flat_map(std::env::split_paths).chain([PathBuf::from("/usr/sbin")]).collect();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.map(|entry| entry.unwrap().path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file()).unwrap_or_else(|| {
        panic!(
            "{name} is not installed: `apt-get install {package}` (scripts/test.sh does it as root on Debian), or leave \
             its tests out with NIGHTSHELF_SKIP=postgres,mariadb"
        )
    })
}

/// A user for servers: `nobody` where this process is root. `None`: this process's own.
fn other_user() -> Option<(u32, u32)> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let id = |line: &str| -> u32 {
        let line = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    (id("Uid:") == 0).then(|| {
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let nobody = users.lines().find(|line| line.starts_with("nobody:")).unwrap();
        let fields: Vec<&str> = nobody.split(':').collect();
        (fields[2].parse().unwrap(), fields[3].parse().unwrap())
    })
}

/// A program as the servers' user.
fn arguments(program: &Path) -> Vec<String> {
    let mut arguments = Vec::new();
    if let Some((user, group)) = other_user() {
        let user = [format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into(), "--".into()];
        arguments.push("setpriv".into());
        arguments.extend(user);
    }
    arguments.push(program.to_str().unwrap().into());
    arguments
}

/// A directory that belongs to the servers' user.
fn folder() -> PathBuf {
    // Short: a socket's path has at most 107 bytes.
    let folder = tempfile::Builder::new().prefix("ns-").tempdir_in("/tmp").unwrap().keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    give(&folder);
    fs::write(folder.join("password"), PASSWORD).unwrap();
    give(&folder.join("password"));
    folder
}

/// Starts a server and waits until it answers.
fn keep(folder: &Path, signal: &str, server: Vec<String>, is_ready: impl Fn() -> bool) -> Child {
    let keeper = Command::new("sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(folder)
        .arg(signal)
        .args(server)
        .current_dir("/")
        .env("HOME", "/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // The keeper has its work to do after a Ctrl-C in the terminal, too.
        .process_group(0)
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !is_ready() {
        if folder.join("ended").exists() || start.elapsed() > START {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            panic!("the server did not start:\n{log}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    keeper
}

/// Gives a file to the servers' user.
fn give(path: &Path) {
    if let Some((user, group)) = other_user() {
        std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn run(arguments: Vec<String>) {
    let output = Command::new(&arguments[0]).args(&arguments[1..]).current_dir("/").env("HOME", "/").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
}

/// Writes a server's certificate for `127.0.0.1` and `localhost`, and the authority that signed it.
fn write_certificate(folder: &Path) -> PathBuf {
    let authority = super::certificates::Authority::new();
    let (certificate, key) = authority.issue(&["localhost", "127.0.0.1"], super::certificates::Validity::Now);
    for (name, text) in [("server.crt", &certificate), ("server.key", &key), ("ca.crt", &authority.pem())] {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(if name == "server.key" { 0o600 } else { 0o644 }))
            .unwrap();
        give(&path);
    }
    folder.join("ca.crt")
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().into()
}

/// Starts a Postgres server.
pub(crate) fn start_postgres() -> Server {
    let (folder, port) = (folder(), free_port());
    let data = folder.join("data");
    let ca = write_certificate(&folder);
    let mut initdb = arguments(&program("initdb", "postgresql"));
    initdb.extend(["-D".into(), text(&data), "--pwfile".into(), text(&folder.join("password"))]);
    // Over the socket the password is asked for in the plain: SCRAM's thousands of hashes take a tenth of a second in a test
    // build.
    initdb.extend(["--auth-local=password", "--auth-host=scram-sha-256"].map(String::from));
    initdb.extend(["-U", "nightshelf", "-E", "UTF8", "--locale=C", "--no-sync"].map(String::from));
    run(initdb);
    let mut server = arguments(&program("postgres", "postgresql"));
    server.extend(["-D".into(), text(&data), "-p".into(), port.to_string(), "-h".into(), "127.0.0.1".into()]);
    server.extend(["-k".into(), text(&folder)]);
    let certificate = format!(
        "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
        folder.join("server.crt").display(),
        folder.join("server.key").display()
    );
    // In the file, not in the arguments: those could not be changed later.
    let settings = format!("{certificate}fsync = off\nmax_connections = 200\nmax_wal_size = 4GB\n");
    let mut file = fs::read_to_string(data.join("postgresql.conf")).unwrap();
    file.push_str(&settings);
    fs::write(data.join("postgresql.conf"), file).unwrap();
    let config = login_postgres(&folder, port);
    let keeper = keep(&folder, "QUIT", server, || PostgresSink::open(&config).is_ok());
    Server { folder, port, ca, _keeper: keeper }
}

fn login_postgres(folder: &Path, port: u16) -> PostgresConfig {
    PostgresConfig {
        host: text(folder),
        port,
        database: "postgres".into(),
        user: "nightshelf".into(),
        password_file: Some(text(&folder.join("password"))),
        sections: sections(),
        ..Default::default()
    }
}

/// Everything that an SQL store takes.
fn sections() -> Vec<Section> {
    Section::ALL.into_iter().filter(|section| *section != Section::Profiles).collect()
}

/// A name that no other test of this process has.
fn fresh(prefix: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    format!("{prefix}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A config for a schema of its own.
pub(crate) fn fresh_postgres() -> PostgresConfig {
    PostgresConfig { schema: fresh("test"), ..postgres().postgres_config() }
}

/// Starts a MariaDB server.
pub(crate) fn start_mariadb() -> Server {
    let (folder, port) = (folder(), free_port());
    let ca = write_certificate(&folder);
    let argument = |name: &str, file: &str| format!("--{name}={}", folder.join(file).display());
    let mut install = arguments(&program("mariadb-install-db", "mariadb-server"));
    install.extend(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"].map(String::from));
    install.push(argument("datadir", "data"));
    run(install);
    let init = format!(
        "CREATE USER nightshelf@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL ON *.* TO nightshelf@'%' WITH GRANT OPTION;\nCREATE DATABASE nightshelf;\n"
    );
    fs::write(folder.join("init.sql"), init).unwrap();
    give(&folder.join("init.sql"));
    let mut server = arguments(&program("mariadbd", "mariadb-server"));
    server.extend([
        "--no-defaults".into(),
        argument("datadir", "data"),
        argument("socket", "socket"),
        argument("init-file", "init.sql"),
        argument("ssl-cert", "server.crt"),
        argument("ssl-key", "server.key"),
        format!("--port={port}"),
    ]);
    let settings = [
        "--bind-address=127.0.0.1",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=256M",
        "--innodb-log-file-size=256M",
        "--max-connections=200",
        "--skip-name-resolve",
    ];
    server.extend(settings.map(String::from));
    let config = login_mariadb(&folder, port);
    let keeper = keep(&folder, "KILL", server, || MySqlSink::open(&config).is_ok());
    Server { folder, port, ca, _keeper: keeper }
}

fn login_mariadb(folder: &Path, port: u16) -> MySqlConfig {
    MySqlConfig {
        host: text(&folder.join("socket")),
        port,
        user: "nightshelf".into(),
        password_file: Some(text(&folder.join("password"))),
        sections: sections(),
        ..Default::default()
    }
}

/// A config for a database of its own, which is made.
pub(crate) fn fresh_mariadb() -> MySqlConfig {
    let config = mariadb().mariadb_config();
    let database = fresh("test");
    super::sql::mysql(&config).run(&format!("CREATE DATABASE {database}"));
    MySqlConfig { database, ..config }
}

impl Server {
    /// A login as its administrator, over its socket.
    pub(crate) fn postgres_config(&self) -> PostgresConfig {
        login_postgres(&self.folder, self.port)
    }

    /// A login as its administrator, over its socket.
    pub(crate) fn mariadb_config(&self) -> MySqlConfig {
        login_mariadb(&self.folder, self.port)
    }
}
