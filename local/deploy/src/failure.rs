//! From the SDK's errors to words for the person at the keyboard.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::Error;

/// What to do when no credentials are found.
const CREDENTIALS: &str = "no credentials were found: set AWS_PROFILE (and sign in), or AWS_ACCESS_KEY_ID and \
                           AWS_SECRET_ACCESS_KEY, as for the AWS CLI";

/// Reads an SDK's error. The SDK has repeated what may be repeated already.
pub(crate) fn of<E>(service: &'static str, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default().to_owned();
    if let SdkError::ServiceError(answer) = &error {
        let status = answer.raw().status().as_u16();
        let said = error.message().unwrap_or_default();
        let code = if code.is_empty() { format!("HTTP {status}") } else { code };
        let message = if said.is_empty() { code.clone() } else { format!("{code}: {said}") };
        return Error::Service { service, code, message };
    }
    let whole = DisplayErrorContext(&error).to_string();
    let no_credentials = ["CredentialsNotLoaded", "no providers in chain", "NoIdentityResolved", "missing credentials"];
    let message = if no_credentials.iter().any(|sign| whole.contains(sign)) {
        CREDENTIALS.to_owned()
    } else {
        // The context ends with the whole error as Rust shows it.
        format!("could not be reached: {}", whole.split(" (DispatchFailure").next().unwrap_or(&whole))
    };
    Error::Service { service, code, message }
}
