//! S5: to whom a password is sent, and that it is seen nowhere else.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
};

use nightshelf::publish::{MySqlConfig, MySqlSink, PostgresConfig, PostgresSink, PublishError, Tls};

use crate::support::{
    certificates::{Authority, Validity},
    proxy::Proxy,
    servers::{PASSWORD, Server, fresh_mariadb, is_skipped, mariadb, postgres, start_mariadb, start_postgres},
    sql::{self, Speaks},
};

/// What is wrong with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing: the control.
    None,
    OtherName,
    SelfSigned,
    OtherAuthority,
    Expired,
}

const FAULTS: [Fault; 5] = [Fault::None, Fault::OtherName, Fault::SelfSigned, Fault::OtherAuthority, Fault::Expired];

/// Gives a server a certificate with a fault; it must be told to read it again.
fn install(server: &Server, authority: &Authority, fault: Fault) {
    let stranger = Authority::new();
    let (names, validity): (&[&str], _) = match fault {
        Fault::OtherName => (&["db.example.com"], Validity::Now),
        Fault::Expired => (&["localhost"], Validity::Expired),
        _ => (&["localhost"], Validity::Now),
    };
    let (certificate, key) = match fault {
        Fault::SelfSigned => Authority::self_signed(names),
        Fault::OtherAuthority => stranger.issue(names, validity),
        _ => authority.issue(names, validity),
    };
    // Written in place: the files keep their owner and mode.
    fs::write(server.folder.join("server.crt"), certificate).unwrap();
    fs::write(server.folder.join("server.key"), key).unwrap();
    fs::write(server.folder.join("ca.crt"), authority.pem()).unwrap();
}

/// Whether bytes on the wire hold a text.
fn holds(sent: &[u8], text: &str) -> bool {
    sent.windows(text.len()).any(|at| at == text.as_bytes())
}

/// Tries to log in to a server with each fault.
fn tries(server: &Server, reload: &mut dyn FnMut(), open: &dyn Fn(u16, &Path) -> Result<(), PublishError>) {
    let authority = Authority::new();
    let proxy = Proxy::start(server.port);
    let mut n_refused = 0;
    for fault in FAULTS {
        install(server, &authority, fault);
        reload();
        // A server that has been told may still serve the old certificate for a moment.
        let outcome = (0..50)
            .map(|_| {
                std::thread::sleep(std::time::Duration::from_millis(20));
                proxy.take_sent();
                open(proxy.port, &server.ca)
            })
            .find(|outcome| outcome.is_ok() == (fault == Fault::None));
        let sent = proxy.take_sent();
        assert!(!holds(&sent, "nightshelf") && !holds(&sent, PASSWORD), "{fault:?}: {sent:?}");
        match outcome {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                let PublishError::Store { source, .. } = &error else { panic!("{fault:?}: {error}") };
                let why = source.to_string();
                let wanted = match fault {
                    Fault::OtherName => "NotValidForName",
                    Fault::Expired => "xpired",
                    _ => "UnknownIssuer",
                };
                assert!(why.contains(wanted) || why.to_lowercase().contains("certificate"), "{fault:?}: {why}");
                n_refused += 1;
            }
            None => panic!("{fault:?}: it never went as it should"),
        }
    }
    assert_eq!(n_refused, FAULTS.len() - 1);
}

#[test]
fn s5_postgres_is_told_no_password_unless_it_is_who_it_should_be() {
    if is_skipped("postgres") {
        return;
    }
    // A server of its own: its certificates change.
    let server = start_postgres();
    let local = server.postgres_config();
    let mut admin = sql::postgres(&local);
    // The plainest way to ask for a password, so that one that is sent can be read.
    let rules = "local all all password\nhost all all 127.0.0.1/32 password\n";
    fs::write(server.folder.join("data/pg_hba.conf"), rules).unwrap();
    let open = |port: u16, ca: &Path| {
        let ca_file = Some(ca.to_str().unwrap().to_owned());
        PostgresSink::open(&PostgresConfig { host: "localhost".into(), port, ca_file, ..local.clone() }).map(drop)
    };
    tries(&server, &mut || admin.run("SELECT pg_reload_conf()"), &open);

    // Without TLS: the client hears so, and leaves.
    admin.run("ALTER SYSTEM SET ssl = off");
    admin.run("SELECT pg_reload_conf()");
    let proxy = Proxy::start(server.port);
    let refused = (0..50).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        proxy.take_sent();
        open(proxy.port, &server.ca).is_err_and(|error| {
            let PublishError::Store { source, .. } = &error else { return false };
            source.to_string().contains("does not support TLS")
        })
    });
    assert!(refused);
    assert_eq!(proxy.take_sent().len(), 8, "an SSLRequest and nothing more");
    // Told to, it does without; this shows that the proxy would have seen the password.
    let config =
        PostgresConfig { host: "localhost".into(), port: proxy.port, tls: Tls::DisableAnywhere, ..local.clone() };
    PostgresSink::open(&config).unwrap();
    assert!(holds(&proxy.take_sent(), PASSWORD));
}

#[test]
fn s5_mariadb_is_told_no_password_unless_it_is_who_it_should_be() {
    if is_skipped("mariadb") {
        return;
    }
    let server = start_mariadb();
    let local = server.mariadb_config();
    let mut admin = sql::mysql(&local);
    let open = |port: u16, ca: &Path| {
        let ca_file = Some(ca.to_str().unwrap().to_owned());
        MySqlSink::open(&MySqlConfig { host: "localhost".into(), port, ca_file, ..local.clone() }).map(drop)
    };
    tries(&server, &mut || admin.run("FLUSH SSL"), &open);
}

/// A server that says it is MariaDB and has no TLS.
#[test]
fn s5_mariadb_without_tls_is_told_nothing() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        // Protocol 10, version, connection, first part of the challenge, capabilities without SSL (0x0800), and so on.
        let mut greeting = vec![10];
        greeting.extend_from_slice(b"10.11.6-MariaDB\0\x01\0\0\0abcdefgh\0");
        greeting.extend_from_slice(&[0xfe, 0xf7 & !0x08, 45, 2, 0, 0xff, 0x81, 21]);
        greeting.extend_from_slice(&[0; 10]);
        greeting.extend_from_slice(b"ijklmnopqrst\0mysql_native_password\0");
        let mut packet = vec![u8::try_from(greeting.len()).unwrap(), 0, 0, 0];
        packet.extend(greeting);
        client.write_all(&packet).unwrap();
        let mut sent = Vec::new();
        client.read_to_end(&mut sent).unwrap();
        sent
    });
    let folder = tempfile::tempdir().unwrap();
    let password_file = folder.path().join("password");
    fs::write(&password_file, PASSWORD).unwrap();
    let config = MySqlConfig {
        host: "localhost".into(),
        port,
        password_file: Some(password_file.to_str().unwrap().into()),
        ..Default::default()
    };
    let error = MySqlSink::open(&config).unwrap_err();
    let PublishError::Store { source, .. } = &error else { panic!("{error}") };
    assert!(source.to_string().contains("does not support TLS"), "{source}");
    assert_eq!(server.join().unwrap(), b"", "nothing was sent");
}

#[test]
fn passwords_are_in_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("password"), "canary-wrong-password\n").unwrap();
    let mut seen = Vec::new();
    if !is_skipped("postgres") {
        let config = PostgresConfig { password_file: Some(path("password")), ..postgres().postgres_config() };
        let error = PostgresSink::open(&config).unwrap_err();
        seen.push(format!("{error} {error:?} {config:?}"));
        let sink = PostgresSink::open(&postgres().postgres_config()).unwrap();
        seen.push(format!("{sink:?}"));
    }
    if !is_skipped("mariadb") {
        let config = MySqlConfig { password_file: Some(path("password")), ..fresh_mariadb() };
        let error = MySqlSink::open(&config).unwrap_err();
        seen.push(format!("{error} {error:?} {config:?}"));
        let sink = MySqlSink::open(&mariadb().mariadb_config()).unwrap();
        seen.push(format!("{sink:?}"));
    }
    for (key, missing) in [("password_file", path("absent")), ("password_env", "NIGHTSHELF_ABSENT".into())] {
        let mut config = PostgresConfig::default();
        if key == "password_file" {
            config.password_file = Some(missing.clone());
        } else {
            config.password_env = Some(missing.clone());
        }
        let PublishError::Store { source, .. } = PostgresSink::open(&config).unwrap_err() else { panic!("{key}") };
        assert!(source.to_string().contains(&missing), "{source}");
    }
    for text in seen {
        assert!(!text.contains("canary"), "{text}");
    }
}
