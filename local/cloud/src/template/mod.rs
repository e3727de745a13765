//! Resolves CloudFormation templates: files and parameter values in, resources with resolved properties in order of
//! creation out.
//!
//! Pure but for reading the files: creates nothing, contacts nothing. Physical names and ARNs are computed, so every
//! reference resolves before anything exists. Must never pass over anything: an unknown section, type, property,
//! attribute or function is an error that names the file, the place, the problem and the remedy.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The template file.
    pub file: PathBuf,
    /// Where in it, such as `Resources.Queue.Properties.KmsMasterKeyId`.
    pub at: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}: {}: {} ({})",
            self.file.display(),
            self.at,
            self.problem,
            self.remedy
        )
    }
}

/// Everything that was found wrong, in the order of the template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, problem) in self.problems.iter().enumerate() {
            if count > 0 {
                writeln!(out)?;
            }
            write!(out, "{problem}")?;
        }
        Ok(())
    }
}
