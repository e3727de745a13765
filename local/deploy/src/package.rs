//! What a deployment needs in S3, from the project's folder: the functions' zips, the state machines' definitions, the
//! assets, and the templates with all of it in the place of local paths. Everything lies under its content's hash, so
//! what has not changed is not uploaded, and what has changed is another address, which CloudFormation sees.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::objects::Bucket;
use crate::program::{self, Architecture};
use crate::stack::STACK;
use crate::{Error, Outcome, archive, template};

/// The folders of the project that are its assets.
const ASSETS: [&str; 2] = ["config", "scripts"];
/// Uploads at the same time.
const UPLOADS: usize = 8;
/// Nested stacks in nested stacks.
const DEPTH: usize = 8;

/// What is packaged.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The project's folder: `infra/root.yaml`, `config/`, `scripts/`.
    pub project: &'a Path,
    /// Where the functions' programs are: `<package>/bootstrap`.
    pub functions: &'a Path,
    /// What they were built for.
    pub architecture: Architecture,
}

/// Where it goes.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// Before every key; ends in a slash, or is empty.
    pub prefix: &'a str,
    /// The URL that CloudFormation reads a key of the bucket under.
    pub url: &'a dyn Fn(&str) -> String,
}

/// One object to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// Its key.
    pub key: String,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Its type.
    pub content_type: &'static str,
    /// The function's package, of a zip.
    pub package: Option<String>,
    /// What it was made from.
    pub from: PathBuf,
}

/// A packaged project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packaged {
    /// The root template, JSON.
    pub root: String,
    /// Its key; it is among the artefacts.
    pub root_key: String,
    /// The value of the parameter `AssetsPrefix`.
    pub assets_prefix: String,
    /// Everything to upload; what is named goes before what names it.
    pub artefacts: Vec<Artefact>,
}

/// The packages of the functions that the templates name.
///
/// # Errors
/// Templates that are missing or broken.
pub fn functions(project: &Path) -> Outcome<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut open = vec![(root(project), 0)];
    while let Some((file, depth)) = open.pop() {
        let mut template = read(&file)?;
        for (local, _) in locals(&file, &mut template) {
            match local {
                Local::Template(nested) if depth < DEPTH => open.push((nested, depth + 1)),
                Local::Function(path) => drop(names.insert(package_of(&path)?)),
                Local::Template(_) | Local::Definition(_) => {}
            }
        }
    }
    Ok(names)
}

/// Packages the project. Nothing is sent.
///
/// # Errors
/// What is missing, broken, or built for something else.
pub fn package(source: &Source<'_>, place: &Place<'_>) -> Outcome<Packaged> {
    let mut artefacts = Vec::new();
    let root_key = pack_template(source, place, &root(source.project), 0, &mut artefacts)?;
    let root = artefacts.last().map(|root| String::from_utf8_lossy(&root.bytes).into_owned()).unwrap_or_default();
    let assets_prefix = pack_assets(source, place, &mut artefacts)?;
    let mut keys = BTreeSet::new();
    artefacts.retain(|artefact| keys.insert(artefact.key.clone()));
    Ok(Packaged { root, root_key, assets_prefix, artefacts })
}

/// Uploads what is not there yet; `said` hears of each object, and whether it was sent.
///
/// # Errors
/// What S3 refuses.
pub async fn upload(bucket: Bucket<'_>, packaged: &Packaged, said: impl Fn(&Artefact, bool)) -> Outcome<()> {
    // The assets are many and lie below one prefix: one look instead of one for each.
    let listed = bucket.list(&packaged.assets_prefix).await?;
    let there: BTreeSet<String> = listed.into_iter().map(|object| object.key).collect();
    stream::iter(&packaged.artefacts)
        .map(|artefact| async {
            let known = there.contains(&artefact.key)
                || (!artefact.key.starts_with(&packaged.assets_prefix) && bucket.has(&artefact.key).await?);
            if !known {
                let metadata: Vec<(&str, &str)> =
                    artefact.package.iter().map(|name| ("package", name.as_str())).collect();
                bucket.put(&artefact.key, artefact.bytes.clone(), artefact.content_type, &metadata).await?;
            }
            said(artefact, !known);
            Ok::<(), Error>(())
        })
        .buffer_unordered(UPLOADS)
        .try_collect::<()>()
        .await
}

/// A local path in a template.
enum Local {
    Template(PathBuf),
    Function(PathBuf),
    Definition(PathBuf),
}

fn root(project: &Path) -> PathBuf {
    project.join("infra/root.yaml")
}

fn read(file: &Path) -> Outcome<Value> {
    let text =
        std::fs::read_to_string(file).map_err(|error| Error::Machine(format!("reading {}", file.display()), error))?;
    template::read(&file.display().to_string(), &text)
}

/// The properties of a template that name local paths, as `aws cloudformation package` knows them.
fn locals<'t>(file: &Path, template: &'t mut Value) -> Vec<(Local, &'t mut Value)> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let resources = template.get_mut("Resources").and_then(Value::as_object_mut);
    let mut found = Vec::new();
    for resource in resources.into_iter().flat_map(serde_json::Map::values_mut) {
        let kind = resource["Type"].as_str().unwrap_or_default();
        let (property, local): (_, fn(PathBuf) -> Local) = match kind {
            STACK => ("TemplateURL", Local::Template),
            "AWS::Lambda::Function" => ("Code", Local::Function),
            "AWS::StepFunctions::StateMachine" => ("DefinitionS3Location", Local::Definition),
            _ => continue,
        };
        let Some(value) = resource.get_mut("Properties").and_then(|properties| properties.get_mut(property)) else {
            continue;
        };
        if let Some(path) = value.as_str().filter(|path| !path.contains("://")) {
            found.push((local(folder.join(path)), value));
        }
    }
    found
}

/// The template and what it names; its key. It is the last of the artefacts.
fn pack_template(
    source: &Source<'_>,
    place: &Place<'_>,
    file: &Path,
    depth: usize,
    artefacts: &mut Vec<Artefact>,
) -> Outcome<String> {
    if depth > DEPTH {
        return Err(Error::Broken(format!("{} is nested too deep: does a template name itself?", file.display())));
    }
    let mut template = read(file)?;
    for (local, value) in locals(file, &mut template) {
        *value = match local {
            Local::Template(nested) => {
                let key = pack_template(source, place, &nested, depth + 1, artefacts)?;
                json!((place.url)(&key))
            }
            Local::Function(path) => {
                let key = pack_function(source, place, &package_of(&path)?, artefacts)?;
                json!({"S3Bucket": place.bucket, "S3Key": key})
            }
            Local::Definition(definition) => {
                let bytes = bytes(&definition)?;
                let key = format!("{}{}.asl.json", place.prefix, digest(&bytes));
                push(artefacts, &key, bytes, "application/json", None, &definition);
                json!({"Bucket": place.bucket, "Key": key})
            }
        };
    }
    let bytes = format!("{template:#}\n").into_bytes();
    let key = format!("{}{}.template", place.prefix, digest(&bytes));
    push(artefacts, &key, bytes, "application/json", None, file);
    Ok(key)
}

fn pack_function(
    source: &Source<'_>,
    place: &Place<'_>,
    package: &str,
    artefacts: &mut Vec<Artefact>,
) -> Outcome<String> {
    let file = source.functions.join(package).join(archive::BOOTSTRAP);
    let program = bytes(&file)?;
    program::check(&program, source.architecture)
        .map_err(|problem| Error::Broken(format!("{} {problem}", file.display())))?;
    let zip = archive::pack(&program)?;
    let key = format!("{}{}.zip", place.prefix, digest(&zip));
    push(artefacts, &key, zip, "application/zip", Some(package.to_owned()), &file);
    Ok(key)
}

/// The assets below their digest; their prefix.
fn pack_assets(source: &Source<'_>, place: &Place<'_>, artefacts: &mut Vec<Artefact>) -> Outcome<String> {
    let mut files = Vec::new();
    for folder in ASSETS {
        walk(&source.project.join(folder), &mut files)?;
    }
    files.sort();
    let mut whole = Sha256::new();
    let mut assets = Vec::new();
    for file in files {
        let path = file.strip_prefix(source.project).unwrap_or(&file);
        let name = path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        let bytes = bytes(&file)?;
        whole.update(format!("{name}\0{}\n", digest(&bytes)));
        assets.push((name, bytes, file));
    }
    let prefix = format!("{}assets/{}/", place.prefix, hex::encode(whole.finalize()));
    for (name, bytes, file) in assets {
        let content_type = match file.extension().and_then(|ending| ending.to_str()) {
            Some("json") => "application/json",
            Some("html") => "text/html; charset=utf-8",
            _ => "text/plain; charset=utf-8",
        };
        push(artefacts, &format!("{prefix}{name}"), bytes, content_type, None, &file);
    }
    Ok(prefix)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Outcome<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let refused = |error| Error::Machine(format!("reading {}", folder.display()), error);
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        // Editors and systems leave hidden files about.
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        match () {
            () if hidden => {}
            () if path.is_dir() => walk(&path, files)?,
            () => files.push(path),
        }
    }
    Ok(())
}

fn package_of(path: &Path) -> Outcome<String> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    name.ok_or_else(|| Error::Broken(format!("{} names no function", path.display())))
}

fn bytes(file: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(file).map_err(|error| Error::Machine(format!("reading {}", file.display()), error))
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn push(
    artefacts: &mut Vec<Artefact>,
    key: &str,
    bytes: Vec<u8>,
    content_type: &'static str,
    package: Option<String>,
    from: &Path,
) {
    artefacts.push(Artefact { key: key.to_owned(), bytes, content_type, package, from: from.to_owned() });
}
