//! The three functions together over ports in memory: what they guarantee, each guarantee broken first.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod completion;
mod cut_off;
mod reconciler;
mod resource;
mod tasker;
mod world;
