//! Decoders of other people's bytes, kept from taking the build down.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::EventsError;

/// Runs a decoder; a panic in it becomes an error that names the file (the `parquet` crate panics on one damaged file in
/// 600).
pub(super) fn guarded<T>(uri: &str, decode: impl FnOnce() -> Result<T, EventsError>) -> Result<T, EventsError> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|message| (*message).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Err(EventsError::Panicked { uri: uri.to_owned(), message })
    })
}
