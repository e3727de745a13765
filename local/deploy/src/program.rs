//! Whether a program runs on Lambda's provided.al2023: its architecture, and the symbols it wants from glibc. Pure.

use std::collections::BTreeSet;

use object::elf;
use object::read::elf::{ElfFile64, FileHeader as _, Sym as _};
use object::{Endianness, SymbolIndex};

/// The glibc of Amazon Linux 2023.
pub const GLIBC: (u32, u32) = (2, 34);

/// A processor architecture of Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Graviton.
    Arm64,
    /// Intel and AMD.
    X86,
}

impl Architecture {
    /// As Lambda and the templates spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86 => "x86_64",
        }
    }

    /// The Rust target.
    #[must_use]
    pub fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            Self::X86 => "x86_64-unknown-linux-gnu",
        }
    }
}

/// Looks a program over; what is wrong with it, in words.
///
/// # Errors
/// The problem.
pub fn check(program: &[u8], wanted: Architecture) -> Result<(), String> {
    let unreadable = |error: object::Error| format!("cannot be read: {error}");
    if !program.starts_with(&elf::ELFMAG) {
        return Err("is not a Linux program (ELF)".to_owned());
    }
    let file = ElfFile64::<Endianness>::parse(program).map_err(|_| "is not a 64-bit Linux program".to_owned())?;
    let (header, endian) = (file.elf_header(), file.endian());
    let found = match header.e_machine(endian) {
        elf::EM_AARCH64 => "arm64".to_owned(),
        elf::EM_X86_64 => "x86_64".to_owned(),
        other => format!("another machine ({other})"),
    };
    if found != wanted.name() {
        return Err(format!("was built for {found}, not for {}", wanted.name()));
    }
    let sections = header.sections(endian, program).map_err(unreadable)?;
    // A program without versions is linked statically and needs no glibc.
    let Some(versions) = sections.versions(endian, program).map_err(unreadable)? else { return Ok(()) };
    let symbols = sections.symbols(endian, program, elf::SHT_DYNSYM).map_err(unreadable)?;
    let mut too_new = BTreeSet::new();
    for (index, symbol) in symbols.iter().enumerate() {
        let version = versions.version(versions.version_index(endian, SymbolIndex(index))).map_err(unreadable)?;
        let Some(version) = version.and_then(|version| std::str::from_utf8(version.name()).ok()) else { continue };
        let Some(number) = glibc(version) else { continue };
        if number > GLIBC {
            let name = symbol.name(endian, symbols.strings()).map_err(unreadable)?;
            too_new.insert(format!("{}@{version}", String::from_utf8_lossy(name)));
        }
    }
    if too_new.is_empty() {
        return Ok(());
    }
    let named: Vec<&str> = too_new.iter().take(5).map(String::as_str).collect();
    Err(format!(
        "needs a newer glibc than Lambda's provided.al2023 has ({}.{}): {}{}",
        GLIBC.0,
        GLIBC.1,
        named.join(", "),
        if too_new.len() > 5 { ", …" } else { "" }
    ))
}

/// `GLIBC_2.34`; `None` for other libraries' versions and for GLIBC_PRIVATE.
fn glibc(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.strip_prefix("GLIBC_")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
