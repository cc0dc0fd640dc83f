//! What a run may be called.

use super::ArtifactError;

/// Ending of the directory of a run being written.
pub(super) const PARTIAL_SUFFIX: &str = ".partial";

/// Run names are directory names that a shell, a URL and an S3 key take as they are.
///
/// # Errors
/// Another name, with what is wrong with it.
pub fn check_run_name(name: &str) -> Result<(), ArtifactError> {
    let refuse = |reason| Err(ArtifactError::BadRunName { name: name.into(), reason });
    if name.is_empty() || name.len() > 128 {
        return refuse("it must have 1 to 128 characters");
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte)) || name.starts_with('.') {
        return refuse("only letters, digits, `-`, `_`, `+` and, not in front, `.` are allowed");
    }
    if name == "latest" || name.ends_with(PARTIAL_SUFFIX) {
        return refuse("the name is reserved");
    }
    Ok(())
}
