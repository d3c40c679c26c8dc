//! What the tests share. Each test program uses part of it.
#![allow(dead_code, reason = "every test program takes what it needs")]

pub mod case;
pub mod defaults;
