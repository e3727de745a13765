//! The reconciler function.
