//! `Custom::Assets`: afterwards the assets bucket holds below `config/` and `scripts/` exactly what the artefact bucket
//! holds there. First everything is copied, then what is no longer there is deleted: a run that begins in between finds
//! every file.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use statement::resource::ResourceRequest;

use crate::ports::Deployment;

/// The folders that are assets. Nothing else in either bucket is touched.
const FOLDERS: [&str; 2] = ["config/", "scripts/"];
/// Copies at a time.
const CONCURRENCY: usize = 16;

pub(crate) async fn bring(
    deployment: &dyn Deployment,
    request: &ResourceRequest,
) -> Result<Vec<(&'static str, String)>, String> {
    let property = |name| request.text(name).ok_or_else(|| format!("{name} is missing"));
    let (bucket, prefix) = (property("ArtifactBucket")?, property("AssetsPrefix")?);
    if !prefix.ends_with('/') {
        return Err("AssetsPrefix does not end in a slash".to_owned());
    }
    let refused = |failure: statement::ports::Failure| format!("S3: {}: {}", failure.code, failure.message);
    let mut wanted = BTreeSet::new();
    let mut there = Vec::new();
    for folder in FOLDERS {
        let found = deployment.artifacts(bucket, &format!("{prefix}{folder}")).await.map_err(refused)?;
        // A key that ends in a slash is what a console shows as a folder.
        wanted.extend(
            found.iter().filter_map(|key| key.strip_prefix(prefix)).filter(|k| !k.ends_with('/')).map(str::to_owned),
        );
        there.extend(deployment.assets(folder).await.map_err(refused)?);
    }
    // A wrong prefix must not empty the bucket.
    if wanted.is_empty() {
        return Err(format!("there is nothing below s3://{bucket}/{prefix}config/ and scripts/"));
    }
    let copies = futures::stream::iter(&wanted).map(|key| async move {
        deployment
            .copy(bucket, &format!("{prefix}{key}"), key)
            .await
            .map_err(|failure| format!("{key}: {}", refused(failure)))
    });
    copies.buffer_unordered(CONCURRENCY).try_collect::<Vec<()>>().await?;
    let mut removed = 0_usize;
    for key in there.iter().filter(|key| !wanted.contains(*key)) {
        deployment.delete(key).await.map_err(|failure| format!("{key}: {}", refused(failure)))?;
        removed += 1;
    }
    tracing::info!(prefix, copied = wanted.len(), removed, "assets");
    Ok(vec![("Prefix", prefix.to_owned()), ("Copied", wanted.len().to_string()), ("Removed", removed.to_string())])
}
