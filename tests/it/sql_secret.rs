//! A login whose password is a secret of AWS Secrets Manager.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::support::{
    program::{Ran, nightshelf_in},
    servers::{PASSWORD, fresh_postgres, is_skipped},
};

/// The Authorization headers of all requests.
type Seen = Arc<Mutex<Vec<String>>>;

/// GetSecretValue over real HTTP for these secrets, until the process ends. Not covered: signatures, versions, binary secrets.
fn secrets_manager(secrets: BTreeMap<String, String>) -> (String, Seen) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    std::thread::spawn({
        let seen = Arc::clone(&seen);
        move || listener.incoming().for_each(|client| answer(client.unwrap(), &secrets, &seen))
    });
    (endpoint, seen)
}

/// Answers one request and closes the connection.
fn answer(client: TcpStream, secrets: &BTreeMap<String, String>, seen: &Seen) {
    let mut client = BufReader::new(client);
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    while client.read_line(&mut line).unwrap() > 0 && !line.trim().is_empty() {
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        line.clear();
    }
    assert_eq!(headers["x-amz-target"], "secretsmanager.GetSecretValue");
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    client.read_exact(&mut body).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let arn = body["SecretId"].as_str().unwrap().to_owned();
    seen.lock().unwrap().push(headers["authorization"].clone());
    let (status, text) = match secrets.get(&arn) {
        Some(secret) => ("200 OK", json!({"ARN": arn, "Name": "shop", "SecretString": secret})),
        None => (
            "400 Bad Request",
            json!({"__type": "ResourceNotFoundException", "Message": "Secrets Manager can't find the specified secret."}),
        ),
    };
    let text = text.to_string();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}", text.len());
    write!(client.get_mut(), "{head}\r\nConnection: close\r\n\r\n{text}").unwrap();
}

#[test]
fn a_secret_of_secrets_manager_logs_in_and_is_seen_nowhere() {
    if is_skipped("postgres") {
        return;
    }
    let server = fresh_postgres();
    let arn = |name: &str| format!("arn:aws:secretsmanager:eu-west-3:123456789012:secret:{name}-Ab12Cd");
    let as_rds_keeps_it = json!({"engine": "postgres", "username": server.user, "password": PASSWORD});
    let (endpoint, seen) = secrets_manager(BTreeMap::from([
        (arn("whole"), as_rds_keeps_it.to_string()),
        (arn("text"), PASSWORD.to_owned()),
        (arn("wrong"), "canary-of-a-wrong-password".to_owned()),
        (arn("other"), json!({"token": "canary-of-another-secret"}).to_string()),
    ]));
    let folder = tempfile::tempdir().unwrap();
    let run = |secret: &str, user: &str| -> Ran {
        let config = format!(
            "[publish]\ntargets = [\"postgres\"]\n[publish.postgres]\nhost = {:?}\nport = {}\ndatabase = {:?}\n\
             schema = {:?}\nuser = {user:?}\nsecret_arn = {:?}\n",
            server.host,
            server.port,
            server.database,
            server.schema,
            arn(secret)
        );
        fs::write(folder.path().join("nightshelf.toml"), config).unwrap();
        let environment = [
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", "AKIDNIGHTSHELF".into()),
            ("AWS_SECRET_ACCESS_KEY", "not-a-secret".into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("RUST_LOG", "trace".into()),
        ];
        let ran = nightshelf_in(folder.path(), &["publish", "migrate"], &environment);
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains(PASSWORD) && !text.contains("canary"), "{secret}: {text}");
        }
        assert!(ran.stderr.contains("GetSecretValue"), "the log tells of the request: {}", ran.stderr);
        ran
    };
    // The user comes with the secret, or else from the config.
    run("whole", "somebody-else").ok();
    run("text", &server.user).ok();
    for (secret, said) in [
        ("wrong", "cannot connect"),
        ("other", "neither text nor JSON with a text `password`"),
        ("absent", "Secrets Manager can't find the specified secret"),
    ] {
        let refused = run(secret, &server.user);
        assert_eq!(refused.code, Some(1), "{secret}: {}", refused.stderr);
        assert!(refused.stderr.contains(said), "{secret}: {}", refused.stderr);
        assert!(secret == "wrong" || refused.stderr.contains(&arn(secret)), "{secret}: {}", refused.stderr);
    }
    // The region is the ARN's: nothing else says one.
    let seen = seen.lock().unwrap();
    assert!(seen.len() >= 5, "{seen:?}");
    for authorization in seen.iter() {
        assert!(authorization.contains("/eu-west-3/secretsmanager/aws4_request"), "{authorization}");
    }
}
