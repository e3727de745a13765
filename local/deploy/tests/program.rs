//! Programs that do and do not run on Lambda.

#![allow(clippy::unwrap_used, reason = "a test program")]

use deploy::program::{Architecture, check};
use object::write::elf::{FileHeader, Sym, Vernaux, Verneed, Writer};
use object::{Endianness, elf};

/// A program of this machine that wants each of these symbols from the C library, at this version.
fn program(machine: u16, wanted: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(Endianness::Little, true, &mut bytes);
    let count = u16::try_from(wanted.len()).unwrap();
    let libc = writer.add_dynamic_string(b"libc.so.6");
    let names: Vec<_> = wanted
        .iter()
        .map(|(symbol, version)| {
            (writer.add_dynamic_string(symbol.as_bytes()), writer.add_dynamic_string(version.as_bytes()))
        })
        .collect();
    writer.reserve_file_header();
    writer.reserve_null_dynamic_symbol_index();
    for _ in wanted {
        writer.reserve_dynamic_symbol_index();
    }
    writer.reserve_dynstr();
    writer.reserve_dynsym();
    writer.reserve_gnu_versym();
    writer.reserve_gnu_verneed(1, wanted.len());
    writer.reserve_null_section_index();
    writer.reserve_dynstr_section_index();
    writer.reserve_dynsym_section_index();
    writer.reserve_gnu_versym_section_index();
    writer.reserve_gnu_verneed_section_index();
    writer.reserve_shstrtab_section_index();
    writer.reserve_shstrtab();
    writer.reserve_section_headers();
    let header =
        FileHeader { os_abi: 0, abi_version: 0, e_type: elf::ET_DYN, e_machine: machine, e_entry: 0, e_flags: 0 };
    writer.write_file_header(&header).unwrap();
    writer.write_dynstr();
    writer.write_null_dynamic_symbol();
    for (name, _) in &names {
        writer.write_dynamic_symbol(&Sym {
            name: Some(*name),
            section: None,
            st_info: (elf::STB_GLOBAL << 4) + elf::STT_FUNC,
            st_other: 0,
            st_shndx: elf::SHN_UNDEF,
            st_value: 0,
            st_size: 0,
        });
    }
    writer.write_null_gnu_versym();
    for index in 0..count {
        writer.write_gnu_versym(index + 2);
    }
    writer.write_align_gnu_verneed();
    writer.write_gnu_verneed(&Verneed { version: elf::VER_NEED_CURRENT, aux_count: count, file: libc });
    for (index, (_, version)) in (0..count).zip(&names) {
        writer.write_gnu_vernaux(&Vernaux { flags: 0, index: index + 2, name: *version });
    }
    writer.write_shstrtab();
    writer.write_null_section_header();
    writer.write_dynstr_section_header(0);
    writer.write_dynsym_section_header(0, 1);
    writer.write_gnu_versym_section_header(0);
    writer.write_gnu_verneed_section_header(0);
    writer.write_shstrtab_section_header();
    bytes
}

#[test]
fn a_program_that_wants_no_newer_glibc_is_fine() {
    let old = [("memcpy", "GLIBC_2.14"), ("pthread_create", "GLIBC_2.34"), ("_Unwind_Resume", "GCC_3.0")];
    assert_eq!(check(&program(elf::EM_X86_64, &old), Architecture::X86), Ok(()));
    assert_eq!(check(&program(elf::EM_AARCH64, &old), Architecture::Arm64), Ok(()));
}

#[test]
fn a_newer_symbol_is_named() {
    let new = [("memcpy", "GLIBC_2.14"), ("__isoc23_strtol", "GLIBC_2.38"), ("arc4random", "GLIBC_2.36")];
    let problem = check(&program(elf::EM_X86_64, &new), Architecture::X86).unwrap_err();
    assert!(problem.contains("__isoc23_strtol@GLIBC_2.38, arc4random@GLIBC_2.36"), "{problem}");
    assert!(problem.contains("(2.34)") && !problem.contains("memcpy"), "{problem}");
}

#[test]
fn another_architecture_or_no_program_at_all_is_said() {
    let arm = program(elf::EM_AARCH64, &[("memcpy", "GLIBC_2.17")]);
    assert_eq!(check(&arm, Architecture::X86).unwrap_err(), "was built for arm64, not for x86_64");
    assert!(check(b"#!/bin/sh", Architecture::X86).unwrap_err().contains("not a Linux program"));
    assert!(check(&arm[..40], Architecture::Arm64).is_err());
    assert!(check(&[], Architecture::X86).is_err());
}
