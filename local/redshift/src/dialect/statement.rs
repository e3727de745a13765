//! What kind of statement a text is, and which rewriter it goes through.
//! Must never look inside quotes or comments.

use super::{Command, Context, Error, Kind, Translation};

/// See [`super::translate`].
pub(super) fn translate(sql: &str, _: &Context) -> Result<Translation, Error> {
    Ok(Translation {
        kind: Kind::Select,
        statements: vec![Command { sql: sql.to_owned(), if_undefined_column: None }],
        target: None,
        returns_rows: true,
        in_block: true,
        commits: false,
    })
}
