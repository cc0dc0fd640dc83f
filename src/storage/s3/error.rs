//! From the SDK's errors to ours.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::storage::StorageError;

/// A request as its error message names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) action: &'static str,
    pub(super) uri: &'a str,
    pub(super) bucket: &'a str,
}

/// Says what S3's answer means for `request`.
pub(super) fn explained<E>(request: Request<'_>, error: SdkError<E>) -> StorageError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let Request { action, uri, bucket } = request;
    let (uri, bucket) = (uri.to_owned(), bucket.to_owned());
    let status = error.raw_response().map(|response| response.status().as_u16());
    let header = |name: &str| error.raw_response().and_then(|response| response.headers().get(name)).map(str::to_owned);
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or("").to_owned();
    match (code.as_str(), status) {
        ("NoSuchBucket", _) => StorageError::NoSuchBucket { action, uri, bucket },
        ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _)
        | (_, Some(301 | 307)) => StorageError::WrongRegion { action, uri, region: header("x-amz-bucket-region") },
        ("PreconditionFailed", _) | (_, Some(412)) => {
            StorageError::ObjectChanged { uri, change: "it has another ETag than when it was listed".into() }
        }
        ("InvalidRange", _) | (_, Some(416)) => {
            StorageError::ObjectChanged { uri, change: "it is shorter than when it was listed".into() }
        }
        ("NoSuchKey" | "NoSuchVersion", _) | (_, Some(404)) => StorageError::ObjectGone { uri },
        // Skewed clocks also answer 403, and deserve their own words, which the source has.
        ("RequestTimeTooSkewed", _) => StorageError::S3 { action, uri, source: Box::new(error) },
        (_, Some(401 | 403)) | ("InvalidToken" | "ExpiredToken" | "TokenRefreshRequired" | "NotSignedUp", _) => {
            let code = if code.is_empty() { "403 Forbidden".to_owned() } else { code };
            StorageError::AccessDenied { action, uri, code, source: Box::new(error) }
        }
        _ => StorageError::S3 { action, uri, source: Box::new(error) },
    }
}
