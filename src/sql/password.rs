//! Where the password comes from.

use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, ProvideCredentials};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningParams, SigningSettings, sign},
    sign::v4,
};

use super::{login::Login, secret::Secret};

/// Why there is no password. What a secret holds is in no variant.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("the variable {name} is not set or not text")]
    Variable { name: String },
    #[error("cannot read the password file {path}")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot read the secret {arn}")]
    Secret {
        arn: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the secret {arn} is neither text nor JSON with a text `password`")]
    SecretForm { arn: String },
    #[error("no AWS region: set region, or AWS_REGION")]
    NoRegion,
    #[error("there are no AWS credentials to sign a token with")]
    Credentials {
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    #[error("cannot sign a token")]
    Sign {
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What to log in with.
#[derive(Debug)]
pub(crate) struct Access {
    /// Who, where the secret says so.
    pub(crate) user: Option<String>,
    /// `None`: the server asks for none.
    pub(crate) password: Option<Secret>,
}

impl Access {
    /// Asked anew for each connection: tokens last minutes, and secrets are rotated.
    pub(crate) async fn obtain(login: &Login<'_>) -> Result<Self, PasswordError> {
        let own = |password: String| Ok(Self { user: None, password: Some(Secret::new(password)) });
        if let Some(name) = login.password_env {
            return own(std::env::var(name).map_err(|_| PasswordError::Variable { name: name.to_owned() })?);
        }
        if let Some(path) = login.password_file {
            let mut text = std::fs::read_to_string(path)
                .map_err(|source| PasswordError::File { path: path.to_owned(), source })?;
            for end in ['\n', '\r'] {
                if text.ends_with(end) {
                    text.pop();
                }
            }
            return own(text);
        }
        if let Some(arn) = login.secret_arn {
            // arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME
            let region = login.region.or_else(|| arn.split(':').nth(3).filter(|region| !region.is_empty()));
            let client = aws_sdk_secretsmanager::Client::new(&aws(region).await);
            let answer = client
                .get_secret_value()
                .secret_id(arn)
                .send()
                .await
                .map_err(|source| PasswordError::Secret { arn: arn.to_owned(), source: source.into() })?;
            return parse_secret(answer.secret_string())
                .ok_or_else(|| PasswordError::SecretForm { arn: arn.to_owned() });
        }
        if login.iam {
            let config = aws(login.region.or_else(|| region_of(login.host))).await;
            let region = config.region().ok_or(PasswordError::NoRegion)?;
            let provider = config.credentials_provider().ok_or(PasswordError::Credentials { source: None })?;
            let credentials = provider
                .provide_credentials()
                .await
                .map_err(|source| PasswordError::Credentials { source: Some(source.into()) })?;
            return own(token(login, region.as_ref(), credentials, SystemTime::now())?);
        }
        Ok(Self { user: None, password: None })
    }
}

async fn aws(region: Option<&str>) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::latest());
    match region {
        Some(region) => loader.region(Region::new(region.to_owned())),
        None => loader,
    }
    .load()
    .await
}

/// The region in `name.id.REGION.rds.amazonaws.com`.
fn region_of(host: &str) -> Option<&str> {
    let before = host.split_once(".rds.amazonaws.com")?.0;
    before.rsplit('.').next().filter(|region| region.contains('-'))
}

/// Plain text, or an object as RDS keeps it.
fn parse_secret(text: Option<&str>) -> Option<Access> {
    let text = text?;
    let access = |user: Option<&str>, password: &str| Access {
        user: user.map(str::to_owned),
        password: Some(Secret::new(password.to_owned())),
    };
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(fields)) => {
            let field = |name: &str| fields.get(name).and_then(serde_json::Value::as_str);
            Some(access(field("username"), field("password")?))
        }
        _ => Some(access(None, text)),
    }
}

/// A login token of RDS: the URL of a presigned `connect`, without its scheme. It is good for 15 minutes.
///
/// Source: AWS, "Connecting to your DB instance using IAM authentication".
fn token(login: &Login<'_>, region: &str, credentials: Credentials, now: SystemTime) -> Result<String, PasswordError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| PasswordError::Sign { source };
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(900));
    let identity = credentials.into();
    let params: SigningParams<'_> = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("rds-db")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|source| failed(source.into()))?
        .into();
    let host = format!("{}:{}", login.host, login.port);
    let mut url = format!("https://{host}/?Action=connect&DBUser={}", percent_encoded(login.user));
    let request =
        SignableRequest::new("GET", url.as_str(), std::iter::once(("host", host.as_str())), SignableBody::Bytes(&[]))
            .map_err(|source| failed(source.into()))?;
    let (instructions, _) = sign(request, &params).map_err(|source| failed(source.into()))?.into_parts();
    for (name, value) in instructions.params() {
        url.push_str(&format!("&{name}={}", percent_encoded(value)));
    }
    Ok(url.split_off("https://".len()))
}

/// As SigV4 wants it: everything but unreserved characters.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::sql::Tls;

    #[test]
    fn secrets_are_text_or_objects() {
        let parsed = |text: &str| {
            let access = parse_secret(Some(text))?;
            Some((access.user, access.password?.reveal().to_owned()))
        };
        assert_eq!(parsed("plain"), Some((None, "plain".into())));
        assert_eq!(parsed("12"), Some((None, "12".into())));
        assert_eq!(parsed(r#"{"username":"u","password":"p","port":1}"#), Some((Some("u".into()), "p".into())));
        assert_eq!(parsed(r#"{"password":"p"}"#), Some((None, "p".into())));
        assert_eq!(parsed(r#"{"username":"u"}"#), None);
        assert!(parse_secret(None).is_none());
    }

    #[test]
    fn regions_are_read_off_host_names() {
        assert_eq!(region_of("shop.abc123.eu-central-1.rds.amazonaws.com"), Some("eu-central-1"));
        assert_eq!(region_of("shop.cn-north-1.rds.amazonaws.com.cn"), Some("cn-north-1"));
        assert_eq!(region_of("db.example.com"), None);
    }

    /// Against a SigV4 of its own, of HMAC-SHA-256 written out.
    #[test]
    fn a_token_is_a_presigned_connect() {
        let login = Login {
            host: "shop.abc.eu-west-1.rds.amazonaws.com",
            port: 5432,
            database: "nightshelf",
            user: "nightshelf publisher",
            password_env: None,
            password_file: None,
            secret_arn: None,
            iam: true,
            region: None,
            tls: Tls::Auto,
            ca_file: None,
        };
        let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI", Some("a/b+c=".into()), None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        let token = token(&login, "eu-west-1", credentials, now).unwrap();
        let (host, query) = token.split_once("/?").unwrap();
        assert_eq!(host, "shop.abc.eu-west-1.rds.amazonaws.com:5432");
        let (signatures, mut fields): (Vec<&str>, Vec<&str>) =
            query.split('&').partition(|field| field.starts_with("X-Amz-Signature="));
        let [signature] = signatures.as_slice() else { panic!("{token}") };
        let signature = signature.trim_start_matches("X-Amz-Signature=");
        fields.sort_unstable();
        let scope = "20150830/eu-west-1/rds-db/aws4_request";
        let wanted = [
            "Action=connect".to_owned(),
            "DBUser=nightshelf%20publisher".to_owned(),
            "X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned(),
            format!("X-Amz-Credential=AKIDEXAMPLE%2F{}", scope.replace('/', "%2F")),
            "X-Amz-Date=20150830T123600Z".to_owned(),
            "X-Amz-Expires=900".to_owned(),
            "X-Amz-Security-Token=a%2Fb%2Bc%3D".to_owned(),
            "X-Amz-SignedHeaders=host".to_owned(),
        ];
        assert_eq!(fields, wanted);
        let request = format!("GET\n/\n{}\nhost:{host}\n\nhost\n{}", wanted.join("&"), hex(&sha256(b"")));
        let to_sign = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{}", hex(&sha256(request.as_bytes())));
        let key = ["20150830", "eu-west-1", "rds-db", "aws4_request"]
            .iter()
            .fold(b"AWS4wJalrXUtnFEMI".to_vec(), |key, part| hmac(&key, part.as_bytes()));
        assert_eq!(signature, hex(&hmac(&key, to_sign.as_bytes())));
    }

    fn sha256(bytes: &[u8]) -> Vec<u8> {
        use sha2::Digest;
        sha2::Sha256::digest(bytes).to_vec()
    }

    fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
        let pad = |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect() };
        let inner = sha256(&[pad(0x36), text.to_vec()].concat());
        sha256(&[pad(0x5c), inner].concat())
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
