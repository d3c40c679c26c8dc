//! Certificates on a real API server: what is shown is always trusted by whoever calls, whoever rotates it, and however.

mod calls;
mod hindered;
mod managed;
mod renewed;
mod scene;
mod waits;

use crate::harness::story::Stories;

pub const STORIES: Stories = &[
    ("cert_manager_twenty_renewals_merged", renewed::merging),
    ("cert_manager_twenty_renewals_replaced", renewed::replacing),
    ("cert_manager_twenty_renewals_replaced_with_files", renewed::replacing_files),
    ("managed_five_start_with_nothing", managed::nothing),
    ("managed_five_start_again_and_again", managed::starts),
    ("managed_a_clock_that_jumps_by_a_day", hindered::clock),
    ("managed_expired_ones_are_replaced_before_ready", managed::expired),
    ("managed_twenty_rotations_on_kept_connections", managed::rotations_kept),
    ("managed_twenty_rotations_on_new_connections", managed::rotations_new),
    ("managed_twenty_rotations_of_certificates_alone", managed::leaves),
    ("managed_lives_of_half_a_minute", managed::short_lives),
    ("managed_a_bundle_that_was_emptied_is_back", managed::drift),
    ("managed_whoever_writes_is_killed", hindered::killed),
    ("managed_without_the_right_to_write_bundles", hindered::no_right),
    ("managed_an_entry_of_the_registration_goes", hindered::entry),
    ("a_pair_of_a_secret_waits_for_the_bundle", waits::secret),
    ("a_pair_of_files_waits_for_the_bundle", waits::files),
    ("a_pair_that_is_its_own_authority", waits::itself),
    ("silent_watches_of_certificates_are_noticed", waits::deaf),
    ("without_rights_a_pair_is_taken_at_once", waits::unreadable),
];
