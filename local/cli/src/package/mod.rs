//! `tasker package`: the functions built and everything a deployment needs uploaded, under keys that are its content's
//! hash.

mod build;

use std::path::{Path, PathBuf};

use ::deploy::Aws;
use ::deploy::objects::Bucket;
use ::deploy::package::{self, Packaged, Place, Source};
use ::deploy::program::Architecture;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::Error;
use crate::execute::print;
use crate::project::Project;
use crate::remote::Endpoint;
use crate::run::near;

/// The processor that the functions run on.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Processor {
    /// Graviton: a fifth cheaper.
    #[value(name = "arm64")]
    Arm64,
    /// Intel and AMD.
    #[value(name = "x86_64")]
    X86,
}

/// How the functions come about.
#[derive(Debug, Args)]
pub struct Functions {
    /// The processor; arm64 where its Rust target is installed, else x86_64.
    #[arg(long)]
    architecture: Option<Processor>,
    /// Take the functions that were built elsewhere, from FOLDER/FUNCTION/bootstrap, and build none.
    #[arg(long, value_name = "FOLDER")]
    functions: Option<PathBuf>,
}

/// `tasker package --bucket B [--prefix P] [--architecture A] [--out FILE]`
#[derive(Debug, Args)]
pub struct Arguments {
    /// The bucket for templates, functions, definitions and assets; created when it is not there.
    #[arg(long)]
    bucket: String,
    /// Before every key.
    #[arg(long, default_value = "", value_name = "PREFIX")]
    prefix: String,
    #[command(flatten)]
    functions: Functions,
    /// Where the packaged root template is written.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    endpoint: Endpoint,
}

/// What was packaged, with the parameters that belong to it.
pub struct Ready {
    pub packaged: Packaged,
    pub parameters: [(&'static str, String); 3],
}

/// Packages and uploads. The parameters go to stdout, as `aws cloudformation deploy --parameter-overrides` takes them.
///
/// # Errors
/// What the build, the templates or S3 refuse.
pub async fn run(project: &Project, arguments: &Arguments) -> Result<(), Error> {
    let aws = arguments.endpoint.connect().await?;
    let ready = prepare(project, &aws, &arguments.functions, &arguments.bucket, &arguments.prefix).await?;
    let out = arguments.out.clone().unwrap_or_else(|| project.path(".tasker/packaged.template"));
    write(&out, &ready.packaged.root)?;
    eprintln!("the packaged template is {}; its parameters:", near(&out).display());
    let parameters: String = ready.parameters.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    print(&parameters)
}

/// Builds, packages, uploads.
///
/// # Errors
/// As [`run`].
pub async fn prepare(
    project: &Project,
    aws: &Aws,
    functions: &Functions,
    bucket: &str,
    prefix: &str,
) -> Result<Ready, Error> {
    // A prefix is a folder, with its slash or without.
    let prefix = prefix.trim_matches('/');
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    let architecture = match functions.architecture {
        Some(Processor::Arm64) => Architecture::Arm64,
        Some(Processor::X86) => Architecture::X86,
        None => build::usual(functions.functions.as_deref()),
    };
    let folder = match &functions.functions {
        Some(folder) => folder.clone(),
        None => build::build(project, &package::functions(&project.path(""))?, architecture)?,
    };
    let source = Source { project: &project.path(""), functions: &folder, architecture };
    let url = |key: &str| aws.object_url(bucket, key);
    let packaged = package::package(&source, &Place { bucket, prefix: &prefix, url: &url })?;
    let there = Bucket::new(aws, bucket);
    if there.ensure().await? {
        eprintln!("created the bucket {bucket} for what is deployed");
    }
    upload(there, &packaged).await?;
    let parameters = [
        ("ArtifactBucket", bucket.to_owned()),
        ("AssetsPrefix", packaged.assets_prefix.clone()),
        ("Architecture", architecture.name().to_owned()),
    ];
    Ok(Ready { packaged, parameters })
}

async fn upload(bucket: Bucket<'_>, packaged: &Packaged) -> Result<(), Error> {
    let bar = ProgressBar::new(packaged.artefacts.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("uploading {bar:24} {pos}/{len} {wide_msg}") {
        bar.set_style(style);
    }
    let sent = std::cell::Cell::new(0_usize);
    let done = package::upload(bucket, packaged, |artefact, new| {
        sent.set(sent.get() + usize::from(new));
        bar.set_message(near(&artefact.from).display().to_string());
        bar.inc(1);
    })
    .await;
    bar.finish_and_clear();
    done?;
    let (all, sent) = (packaged.artefacts.len(), sent.get());
    eprintln!("{sent} of {all} objects uploaded to s3://{}; the others were there", bucket.name);
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    let refused = |error| Error::Machine(format!("writing {}", file.display()), error);
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(refused)?;
    }
    std::fs::write(file, text).map_err(refused)
}
