//! `podgraft serve` from outside: limits and deadlines, presets and certificates that change under traffic, and the way out.
//!
//! Every row of the table of limits has a test here that fails when the limit is taken out.

#[path = "support/client.rs"]
mod client;
#[path = "support/clock.rs"]
mod clock;
#[path = "support/debian.rs"]
mod debian;
#[path = "support/made.rs"]
mod made;
#[path = "support/process.rs"]
mod process;

#[path = "server/certificates.rs"]
mod certificates;
#[path = "server/connections.rs"]
mod connections;
#[path = "server/deadlines.rs"]
mod deadlines;
#[path = "server/lasting.rs"]
mod lasting;
#[path = "server/leaving.rs"]
mod leaving;
#[path = "server/memory.rs"]
mod memory;
#[path = "server/presets.rs"]
mod presets;
#[path = "server/reviews.rs"]
mod reviews;
#[path = "server/start.rs"]
mod start;
#[path = "server/surroundings.rs"]
mod surroundings;
#[path = "server/traffic.rs"]
mod traffic;
#[path = "server/validate.rs"]
mod validate;
