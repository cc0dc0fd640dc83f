//! The server's own clock, so that ages do not depend on this machine's.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_s3::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextRef},
    error::BoxError,
    primitives::{DateTime, DateTimeFormat},
};

/// Keeps the `Date` of the last answer.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerClock(Arc<Mutex<Option<DateTime>>>);

impl Intercept for ServerClock {
    fn name(&self) -> &'static str {
        "server clock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

impl ServerClock {
    /// How long ago `then` was at the time of the last answer; `None` when the answer had no date.
    pub(super) fn since(&self, then: &DateTime) -> Option<Duration> {
        let now = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(Duration::from_secs_f64((now.as_secs_f64() - then.as_secs_f64()).max(0.0)))
    }
}
