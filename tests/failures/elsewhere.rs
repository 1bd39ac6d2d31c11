//! Failures that are more than a row: where they are tried.

use std::fs;
use std::path::Path;

/// What happens, and the file and the test that tries it.
const TESTS: [(&str, &str, &str); 17] = [
    (
        "a close takes the old version with it and fails",
        "uploads.rs",
        "an_append_survives_a_close_that_takes_the_old_version_with_it",
    ),
    (
        "copies are not made",
        "uploads.rs",
        "copies_are_waited_for_and_counted",
    ),
    (
        "an upload takes longer than its temp row lives",
        "uploads.rs",
        "an_upload_that_gets_old_is_not_left_to_its_temp_row",
    ),
    (
        "two clients store the same name",
        "doubt.rs",
        "who_stores_the_same_name_at_once_leaves_one_whole_file",
    ),
    (
        "a rename answers twice",
        "doubt.rs",
        "the_second_line_of_anothers_rename_is_no_answer_of_ours",
    ),
    (
        "a rename would answer twice",
        "doubt.rs",
        "a_rename_onto_a_name_never_makes_a_tracker_answer_twice",
    ),
    (
        "the copies are not what was stored",
        "doubt.rs",
        "bytes_that_are_not_those_of_the_file_are_never_a_whole_file",
    ),
    (
        "one of two trackers is dead",
        "dead_trackers.rs",
        "a_dead_tracker_is_waited_for_once_and_then_by_the_clerk_alone",
    ),
    (
        "the only tracker is frozen",
        "deaths.rs",
        "the_only_tracker_that_is_frozen_is_waited_for_only_so_long",
    ),
    (
        "a node is killed during a download",
        "deaths.rs",
        "a_node_that_is_killed_in_the_middle_of_a_download_is_not_noticed",
    ),
    (
        "a node is killed during an upload",
        "deaths.rs",
        "a_node_that_is_killed_in_the_middle_of_an_upload_is_not_noticed",
    ),
    (
        "all spools together have their share",
        "deaths.rs",
        "all_spools_together_have_a_limit_and_leave_nothing",
    ),
    (
        "a size that no device has room for",
        "uploads.rs",
        "an_announced_size_that_no_device_has_room_for_is_refused_at_once",
    ),
    (
        "tmpdir is full",
        "full_disk.rs",
        "an_upload_that_fills_tmpdir_is_refused_and_harms_nobody_else",
    ),
    (
        "a client resets",
        "faults.rs",
        "a_client_that_resets_its_data_connection_stores_nothing",
    ),
    (
        "a client vanishes",
        "faults.rs",
        "a_client_that_vanishes_stores_nothing",
    ),
    (
        "fewer bytes than were announced",
        "deaths.rs",
        "uploads_go_on_where_they_broke_off_and_grow_at_their_end",
    ),
];

#[test]
fn what_is_tried_elsewhere_is_there() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for (what, file, test) in TESTS {
        let text = fs::read_to_string(tests.join(file)).unwrap();
        let head = format!("#[test]\nfn {test}()");
        assert!(text.contains(&head), "{what}: {file} has no {test}");
    }
}
