//! The tasker function.
