//! The Data API against a real PostgreSQL server: each documented rule, one server for the whole file, a database for
//! each test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod batches;
mod cancel;
mod copy;
mod lists;
mod logins;
mod metadata;
mod model;
mod objects;
mod polling;
mod rates;
mod results;
mod rules;
mod sessions;
mod setting;
mod statements;
mod super_values;
mod unload;
