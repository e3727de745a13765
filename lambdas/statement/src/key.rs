//! Everything that is a hash: row keys, client tokens, statement names, lock keys, physical ids. Hashes are SHA-256 in
//! hex over length-prefixed parts, so that no two lists of parts run together.

use sha2::{Digest, Sha256};

/// SHA-256 over the parts, each preceded by its length, as 64 hex digits.
#[must_use]
pub fn hash<I, S>(parts: I) -> String
where
    I: IntoIterator<Item = S>,
    S: AsRef<[u8]>,
{
    let mut digest = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex::encode(digest.finalize())
}

/// The row of an idempotency key, which belongs to the stack that it was used with.
#[must_use]
pub fn row(stack: &str, idempotency_key: &str) -> String {
    hash(["row", stack, idempotency_key])
}

/// The Data API's ClientToken of one attempt: at most 64 characters (API limit), remembered by the API for 8 hours.
#[must_use]
pub fn client_token(row: &str, attempt: u32) -> String {
    hash(["client-token", row, &attempt.to_string()])
}

/// How a caller is recognised: by its task token, its response URL's request or its invocation's id. The hash may be
/// stored in the clear, what it is made of may not.
#[must_use]
pub fn caller(kind: &str, secret: &str) -> String {
    hash(["caller", kind, secret])
}

/// [`caller`] of a task token.
#[must_use]
pub fn token(task_token: &str) -> String {
    caller("task", task_token)
}

/// The lock that one SQL on one target takes; `sql` is in normal form.
#[must_use]
pub fn lock(target: &str, sql: &[String]) -> String {
    format!("lock#{}", hash(["lock", target].into_iter().chain(sql.iter().map(String::as_str))))
}

/// A custom resource's PhysicalResourceId. It never changes over the resource's life, so that an update never makes
/// CloudFormation delete the "old" one.
#[must_use]
pub fn physical_id(stack_id: &str, logical_id: &str) -> String {
    format!("redshift-{}", &hash(["resource", stack_id, logical_id])[..32])
}

/// The Data API's StatementName of one attempt: `<stack>/<row>.<attempt>`.
#[must_use]
pub fn statement_name(stack: &str, row: &str, attempt: u32) -> String {
    format!("{stack}/{row}.{attempt}")
}

/// Row and attempt of a statement name of this stack; nothing for a foreign name.
#[must_use]
pub fn parse_statement_name<'a>(stack: &str, name: &'a str) -> Option<(&'a str, u32)> {
    let (row, attempt) = name.strip_prefix(stack)?.strip_prefix('/')?.rsplit_once('.')?;
    let attempt = attempt.parse().ok().filter(|n: &u32| *n > 0 && attempt == n.to_string())?;
    (row.len() == 64 && row.bytes().all(|b| b.is_ascii_hexdigit())).then_some((row, attempt))
}

/// Which of an index's shards a row stands in: the load of one moment spreads over [`SHARDS`] partitions.
#[must_use]
pub fn shard(row: &str) -> u8 {
    row.bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte)) % SHARDS
}

/// The number of shards of the indexes by time.
pub const SHARDS: u8 = 8;

/// The span of 30 days that a time (epoch milliseconds) is in, counted from the epoch: the index of all statements by
/// time has a partition for each span and shard, so that the newest are found without the others.
#[must_use]
pub const fn period(at_ms: i64) -> i64 {
    at_ms.div_euclid(30 * 86_400_000)
}

/// The partition of that index for a period and a shard.
#[must_use]
pub fn partition(period: i64, shard: u8) -> String {
    format!("{period}/{shard}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(hash(["ab", "c"]), hash(["a", "bc"]));
        assert_eq!(client_token("r", 1).len(), 64);
        assert_ne!(client_token("r", 1), client_token("r", 2));
    }

    #[test]
    fn only_own_names_are_read() {
        let row = row("prod", "k");
        assert_eq!(parse_statement_name("prod", &statement_name("prod", &row, 12)), Some((row.as_str(), 12)));
        for name in [
            statement_name("prod-eu", &row, 1),
            format!("prod/{row}"),
            format!("prod/{row}."),
            format!("prod/{row}.0"),
            format!("prod/{row}.01"),
            "prod/x.1".to_owned(),
            "test.testtable".to_owned(),
            String::new(),
        ] {
            assert_eq!(parse_statement_name("prod", &name), None, "{name}");
        }
    }

    #[test]
    fn shards_are_all_used() {
        let used: std::collections::BTreeSet<u8> = (0..200).map(|n| shard(&row("s", &n.to_string()))).collect();
        assert_eq!(used.len(), usize::from(SHARDS));
    }

    #[test]
    fn a_period_is_thirty_days() {
        let day = 86_400_000;
        assert_eq!([-1, 0, 30 * day - 1, 30 * day].map(period), [-1, 0, 0, 1]);
        assert_eq!(partition(period(1_795_264_603_420), 3), "692/3");
    }
}
