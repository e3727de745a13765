//! The functions' programs, by cargo-lambda: it links against a glibc that is old enough for Lambda, whatever this machine
//! has. Used as found; missing, it is installed into a folder of the project.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ::deploy::program::{self, Architecture};

use crate::Error;
use crate::project::Project;

/// The version that is installed where there is none.
const VERSION: &str = "1.9.2";
/// Where, below the project.
const TOOLS: &str = ".tasker/tools/cargo-lambda";
const PROGRAM: &str = "cargo-lambda";

/// The processor to build for when nobody says: Graviton where Rust can, because it costs less. Programs that were built
/// already say it themselves.
pub fn usual(functions: Option<&Path>) -> Architecture {
    if let Some(folder) = functions {
        let program = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let program = program.filter_map(|entry| std::fs::read(entry.path().join("bootstrap")).ok()).next();
        let arm = program.is_some_and(|program| program::check(&program, Architecture::Arm64).is_ok());
        return if arm { Architecture::Arm64 } else { Architecture::X86 };
    }
    if has_target(Architecture::Arm64) {
        return Architecture::Arm64;
    }
    eprintln!(
        "building for x86_64; for arm64, which costs a fifth less: rustup target add {}",
        Architecture::Arm64.target()
    );
    Architecture::X86
}

/// Builds these packages with the profile `lambda`; the folder with `<package>/bootstrap`.
///
/// # Errors
/// [`Error::Usage`] saying what to install; [`Error::Function`] where the build failed.
pub fn build(project: &Project, packages: &BTreeSet<String>, architecture: Architecture) -> Result<PathBuf, Error> {
    if !has_target(architecture) {
        return Err(Error::Usage(format!(
            "Rust cannot build for {name} here: run `rustup target add {target}` (or install the standard library of {target} \
             beside your Rust), or choose the other --architecture",
            name = architecture.name(),
            target = architecture.target(),
        )));
    }
    let (program, path) = cargo_lambda(project)?;
    let folder = project.path("target/lambda");
    let mut command = Command::new(program);
    command.args(["lambda", "build", "--profile", "lambda", "--lambda-dir"]).arg(&folder);
    command.arg(match architecture {
        Architecture::Arm64 => "--arm64",
        Architecture::X86 => "--x86-64",
    });
    for package in packages {
        command.args(["--package", package]);
    }
    if let Some(path) = path {
        command.env("PATH", path);
    }
    // stdout is the command's own.
    command.current_dir(project.path("")).stdin(Stdio::null()).stdout(std::io::stderr());
    eprintln!("building {} functions for {}; the first time takes some minutes", packages.len(), architecture.name());
    let status = command.status().map_err(|error| Error::Machine(format!("starting {PROGRAM}"), error))?;
    if status.success() {
        Ok(folder)
    } else {
        Err(Error::Function(format!("{PROGRAM} could not build the functions ({status})")))
    }
}

/// Whether the standard library of the target is there.
fn has_target(architecture: Architecture) -> bool {
    let printed = Command::new("rustc").args(["--print", "target-libdir", "--target", architecture.target()]).output();
    printed.is_ok_and(|printed| {
        printed.status.success() && Path::new(String::from_utf8_lossy(&printed.stdout).trim()).is_dir()
    })
}

/// The program, and the PATH under which it finds its linker where it is ours.
fn cargo_lambda(project: &Project) -> Result<(PathBuf, Option<std::ffi::OsString>), Error> {
    let runs = |program: &Path| {
        let output = Command::new(program).args(["lambda", "--version"]).stdin(Stdio::null()).output();
        output.is_ok_and(|output| output.status.success())
    };
    let found = PathBuf::from(PROGRAM);
    if runs(&found) {
        return Ok((found, None));
    }
    // Programs are named from the project's folder, where they are started.
    let home =
        std::path::absolute(project.path(TOOLS)).map_err(|error| Error::Machine(format!("finding {TOOLS}"), error))?;
    let bin = home.join("bin");
    let program = bin.join(PROGRAM);
    if !home.join(VERSION).is_file() || !runs(&program) {
        install(&home)?;
    }
    let old = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&old)))
        .map_err(|error| Error::Function(format!("the PATH cannot be extended: {error}")))?;
    Ok((program, Some(path)))
}

/// From the Python package index, which brings the linker too.
fn install(home: &Path) -> Result<(), Error> {
    eprintln!("installing {PROGRAM} {VERSION} into {}", home.display());
    let failed = |what: &str| {
        Error::Usage(format!(
            "{PROGRAM} is missing and {what}. Install it yourself: `pip install {PROGRAM}=={VERSION}` or `cargo install \
             {PROGRAM}` (https://www.cargo-lambda.info), or build elsewhere and name the folder with --functions"
        ))
    };
    let done = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(std::io::stderr()).status().is_ok_and(|status| status.success())
    };
    if !done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home)) {
        return Err(failed("Python 3 with venv, which would install it, is not there"));
    }
    let mut pip = Command::new(home.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).arg(format!("{PROGRAM}=={VERSION}"));
    if !done(&mut pip) {
        return Err(failed("pip could not install it"));
    }
    // Says that it is whole, and which one it is.
    std::fs::write(home.join(VERSION), "").map_err(|error| Error::Machine(format!("writing {}", home.display()), error))
}
