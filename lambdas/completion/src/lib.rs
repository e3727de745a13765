//! The completion function.
