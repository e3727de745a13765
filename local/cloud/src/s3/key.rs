//! Object keys as paths: every key has exactly one path inside its bucket's folder, and no path leads out of it.
//!
//! A key of ordinary characters is its own path. A segment that a file system reads in its own way (empty, `.`, `..`,
//! control characters, backslash) is written with percent signs.

use std::fmt::Write as _;
use std::path::PathBuf;

/// Bytes of a key (S3 user guide, "Naming Amazon S3 objects").
const MAX_KEY: usize = 1024;
/// Bytes of a file name on the usual file systems, less room for [`FILE_MARK`].
const MAX_NAME: usize = 250;
/// Ends the file name of a key that is also a folder on the way to others, as `a` is for `a/b`. No segment is encoded
/// to something that contains it.
pub(super) const FILE_MARK: &str = "%f";

/// Why a key cannot be stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// No key at S3 either.
    TooLong,
    /// One part of it is longer than a file name.
    LongSegment,
    /// Empty.
    Empty,
}

/// The path of a key, relative to the bucket's folder.
pub(super) fn path(key: &str) -> Result<PathBuf, Problem> {
    if key.is_empty() {
        return Err(Problem::Empty);
    }
    if key.len() > MAX_KEY {
        return Err(Problem::TooLong);
    }
    let mut path = PathBuf::new();
    for segment in key.split('/') {
        let name = encode(segment);
        if name.len() > MAX_NAME {
            return Err(Problem::LongSegment);
        }
        path.push(name);
    }
    Ok(path)
}

/// A segment as a file name.
fn encode(segment: &str) -> String {
    if segment.is_empty() {
        return "%".into();
    }
    if segment.bytes().all(|byte| byte == b'.') && segment.len() <= 2 {
        return "%2E".repeat(segment.len());
    }
    let mut name = String::with_capacity(segment.len());
    for c in segment.chars() {
        if c.is_ascii_control() || c == '%' || c == '\\' {
            // Writing to a string does not fail.
            let _ = write!(name, "%{:02X}", u32::from(c));
        } else {
            name.push(c);
        }
    }
    name
}

/// The segment behind a file name that [`encode`] could have made, [`FILE_MARK`] taken off. Others are no objects.
pub(super) fn decode(name: &str) -> Option<String> {
    let name = name.strip_suffix(FILE_MARK).unwrap_or(name);
    if name == "%" {
        return Some(String::new());
    }
    let mut segment = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('%') {
        segment.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3)?;
        segment.push(char::from(u8::from_str_radix(code, 16).ok()?));
        rest = &rest[at + 3..];
    }
    segment.push_str(rest);
    (encode(&segment) == name).then_some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    #[test]
    fn ordinary_keys_are_their_own_path() {
        for key in ["a", "a/b.sql", "ü/日本.csv", "a b/c+d=e&f", ".hidden", "...", "a.", "%f"] {
            let path = path(key).unwrap();
            let shown = path.to_str().unwrap();
            assert_eq!(shown == key, key != "%f", "{key}: {shown}");
        }
    }

    proptest! {
        #[test]
        fn a_path_stays_inside_and_gives_its_key_back(
            key in prop_oneof![".{1,60}", "[./%\\\\a]{1,20}", "(\\.\\./){1,5}[a-z]{1,3}"],
        ) {
            let path = path(&key).unwrap();
            prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
            let segments: Option<Vec<String>> =
                path.iter().map(|name| decode(name.to_str().unwrap())).collect();
            prop_assert_eq!(segments.unwrap().join("/"), key);
        }

        #[test]
        fn two_keys_have_two_paths(one in "[./%fa2E]{1,8}", two in "[./%fa2E]{1,8}") {
            prop_assume!(one != two);
            prop_assert_ne!(path(&one).unwrap(), path(&two).unwrap());
        }
    }
}
