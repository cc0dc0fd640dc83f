//! The `[s3]` section.

use serde::{Deserialize, Serialize};

/// How S3 is reached. Credentials never stand here: they come from the standard AWS environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Config {
    /// Region; without it AWS_REGION, AWS_DEFAULT_REGION or the profile's.
    pub region: Option<String>,
    /// Address of an S3-compatible store; without it AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or AWS itself.
    pub endpoint_url: Option<String>,
    /// Puts the bucket into the path instead of the host name. Endpoints whose host is an IP address always do.
    pub path_style: bool,
    /// Requests under way at once, over all readers.
    pub max_in_flight: usize,
    /// Attempts of one request, the first included.
    pub max_attempts: u32,
    /// Longest wait for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest wait for the first byte of an answer, and for more bytes of a body that stalls, in milliseconds.
    pub read_timeout_ms: u64,
    /// Files above this size go up in parts of this size, in bytes.
    pub part_bytes: u64,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            region: None,
            endpoint_url: None,
            path_style: false,
            max_in_flight: 16,
            max_attempts: 5,
            connect_timeout_ms: 5_000,
            read_timeout_ms: 20_000,
            part_bytes: 8 << 20,
        }
    }
}

impl S3Config {
    /// Checks the values; `path` is the section's name in the config.
    ///
    /// # Errors
    /// The first value out of its range, with the key's full path.
    pub fn check(&self, path: &str) -> Result<(), String> {
        fn within(path: &str, key: &str, value: u64, low: u64, high: u64) -> Result<(), String> {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(format!("{path}.{key} must be {low} to {high}, is {value}"))
        }
        within(path, "max_in_flight", self.max_in_flight as u64, 1, 1_024)?;
        within(path, "max_attempts", u64::from(self.max_attempts), 1, 20)?;
        within(path, "connect_timeout_ms", self.connect_timeout_ms, 1, 600_000)?;
        within(path, "read_timeout_ms", self.read_timeout_ms, 1, 600_000)?;
        // S3 takes parts of 5 MiB to 5 GiB; eight of them are held in memory.
        within(path, "part_bytes", self.part_bytes, 5 << 20, 1 << 30)?;
        if self.region.as_deref() == Some("") {
            return Err(format!("{path}.region must not be empty; leave it out to take AWS_REGION"));
        }
        match self.endpoint_url.as_deref() {
            Some(url) if !url.starts_with("http://") && !url.starts_with("https://") => {
                Err(format!("{path}.endpoint_url must start with http:// or https://, is `{url}`"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_named_with_its_full_path() {
        assert_eq!(S3Config::default().check("s3"), Ok(()));
        let bad = S3Config { max_in_flight: 0, ..S3Config::default() };
        assert_eq!(bad.check("s3").unwrap_err(), "s3.max_in_flight must be 1 to 1024, is 0");
        let bad = S3Config { endpoint_url: Some("localhost:9000".into()), ..S3Config::default() };
        assert!(bad.check("s3").unwrap_err().starts_with("s3.endpoint_url must start with http"));
    }
}
