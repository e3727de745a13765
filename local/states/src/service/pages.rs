//! Pages of lists. A page's token says where the next one starts; a list that only grows at its end keeps its pages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::arguments::Arguments;
use crate::ApiError;

/// Which part of a list of `length` is asked for, and the token for the next part.
pub(super) fn page(
    arguments: &Arguments<'_>,
    length: usize,
) -> Result<(std::ops::Range<usize>, Option<String>), ApiError> {
    let most = arguments.max_results()?;
    let start = match arguments.text("nextToken")? {
        None => 0,
        Some(token) => read(token).ok_or_else(|| ApiError::new("InvalidToken", "Invalid Token: 'Invalid token'"))?,
    };
    let end = start.saturating_add(most).min(length);
    let next = (end < length).then(|| STANDARD.encode(format!("page:{end}")));
    Ok((start.min(length)..end.max(start.min(length)), next))
}

fn read(token: &str) -> Option<usize> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    text.strip_prefix("page:")?.parse().ok()
}
