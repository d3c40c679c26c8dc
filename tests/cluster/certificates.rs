//! Certificates on a real API server: what is shown is always trusted by whoever calls, whoever rotates it, and however.

mod managed;
mod renewed;
mod scene;
mod waits;

use crate::harness::story::Stories;

pub const STORIES: Stories = &[
    ("managed_five_start_with_nothing", managed::nothing),
    ("managed_expired_ones_are_replaced_before_ready", managed::expired),
    ("managed_twenty_rotations_on_kept_connections", managed::rotations_kept),
    ("managed_twenty_rotations_on_new_connections", managed::rotations_new),
    ("managed_lives_of_half_a_minute", managed::short_lives),
    ("managed_a_bundle_that_was_emptied_is_back", managed::drift),
    ("a_pair_of_a_secret_waits_for_the_bundle", waits::secret),
    ("a_pair_of_files_waits_for_the_bundle", waits::files),
    ("cert_manager_twenty_renewals_merged", renewed::merging),
    ("cert_manager_twenty_renewals_replaced", renewed::replacing),
    ("cert_manager_twenty_renewals_replaced_with_files", renewed::replacing_files),
    ("without_rights_a_pair_is_taken_at_once", waits::unreadable),
];
