//! Whether the kit notices: every fault of the broken stage makes the right case fail, for the right reason; without a
//! fault the same cases pass.

use std::ffi::OsString;

use modrun_conformance::report::Status;
use modrun_conformance::runner::{Choice, chosen, perform};

/// A fault, a case that must notice it, and words of its complaint.
const FAULTS: &[(&str, &str, &str)] = &[
    ("silent_exit_alone", "start/without_variable/event/inline", "exit status 0"),
    ("takes_any_protocol", "open/newer_protocol/event/inline", "silence"),
    ("speaks_version_2", "order/one_by_one/event/shm", "breaks S3"),
    ("says_it_is_a_sink", "order/one_by_one/event/shm", "breaks S3"),
    ("says_it_is_stateless", "drain/counts/event/shm", "breaks S3"),
    ("batch_before_ready", "order/one_by_one/event/shm", "breaks S3"),
    ("exits_with_0", "end/before_end/event/inline", "exit status 0 instead of 1"),
    ("stays_after_the_end", "open/nothing_to_do/event/shm", "silence: the stage closes its socket"),
    ("wrong_length", "order/one_by_one/batch/inline", "breaks F2"),
    ("takes_any_seq", "frame/gap_in_seq/event/inline", "which was not sent"),
    ("dies_without_a_word", "frame/not_protobuf/event/inline", "did not say that it failed"),
    ("exits_with_0", "frame/not_protobuf/event/inline", "exit status 0 instead of 1"),
    ("all_inline", "order/one_by_one/event/shm", "breaks F2"),
    ("odd_offset", "order/one_by_one/event/shm", "breaks F2"),
    ("outside_the_segment", "order/one_by_one/event/shm", "breaks P1"),
    ("frees_slots_early", "window/waits_for_credit/event/shm", "breaks P2"),
    // Whether the slot holds other rows by then, or rubbish, is a matter of time.
    ("looks_after_credit", "keep/slots_used_again/batch/shm", ""),
    ("sets_unused_bits", "types/nulls_of_one_column/event/shm", "breaks P4"),
    ("sets_unused_bits", "selection/some/event/shm", "breaks P4"),
    ("one_row_more", "order/one_by_one/event/shm", "breaks P4"),
    ("one_row_more", "selection/some/event/shm", "breaks P8"),
    ("table_for_a_selection", "selection/some/event/shm", "where a selection would do"),
    ("another_value", "order/one_by_one/event/shm", "instead of"),
    ("loses_a_row", "bits/edges/event/shm", "instead of"),
    ("believes_everything", "garbage/not_utf8/event/shm", "silence: Failed"),
    ("aborts", "garbage/not_utf8/event/shm", "signal"),
    ("seq_from_1", "order/one_by_one/event/shm", "breaks B1"),
    ("credit_before_output", "order/one_by_one/event/shm", "breaks B3"),
    ("credit_twice", "order/one_by_one/event/shm", "breaks B3"),
    ("no_credit", "order/one_by_one/event/shm", "silence: credit"),
    ("names_no_input", "order/one_by_one/event/shm", "is from batch None"),
    ("counts_no_events", "order/one_by_one/event/shm", "breaks B4"),
    ("filters_nothing", "filtered/filter/event/shm", "filtered instead of 3"),
    ("ignores_the_window", "window/waits_for_credit/event/shm", "breaks B2"),
    ("ignores_the_window", "window/source_waits_for_credit/event/shm", "breaks B2"),
    ("does_not_read_while_it_waits", "window/waits_for_credit/event/shm", "silence"),
    ("ignores_the_policy", "source/of_so_many_rows/event/shm", "instead of 100"),
    ("says_nothing", "error/in_the_middle/event/shm", "breaks E1"),
    ("internal_events", "error/in_the_middle/event/shm", "breaks E1"),
    ("fails_another_row", "error/in_the_middle/event/shm", "event 2 failed"),
    ("fails_a_row_that_is_not_there", "error/first_and_last_event/event/shm", "breaks E1"),
    ("done_before_end", "order/one_by_one/event/shm", "breaks N1"),
    ("drops_what_it_held", "drain/held_back/batch/shm", "the next one is"),
    ("no_activity", "order/one_by_one/event/shm", "breaks A1"),
    ("forgets_its_time", "activity/starved/event/inline", "breaks A4"),
    ("takes_waiting_for_work", "activity/starved/event/inline", "breaks A4"),
    ("loses_some_time", "activity/starved/event/inline", "breaks A3"),
    ("activity_after_done", "order/one_by_one/event/shm", "breaks N3"),
    ("failed_after_done", "order/one_by_one/event/shm", "breaks N3"),
    ("committed_by_itself", "sink/lines/event/shm", "breaks N2"),
    ("commits_at_once", "sink/without_commit/event/shm", "which must not be"),
    ("commits_nothing", "sink/lines/event/shm", "there is no file `out.ndjson`"),
    ("forgets_its_state", "state/everything_counted/event/shm", "the next one is"),
    ("chunks_from_1", "state/everything_counted/event/shm", "breaks T1"),
    ("another_epoch", "state/everything_counted/event/shm", "breaks T1"),
    ("chunks_without_state", "state/stateless/event/shm", "its state has 1 chunks"),
];

/// Runs one case against the broken stage; why it failed, or nothing.
fn complaint(fault: &str, id: &str) -> String {
    let choice = Choice::default();
    let mut runs = chosen(&choice).expect("the cases can be read");
    runs.retain(|run| run.id == id);
    assert_eq!(runs.len(), 1, "`{id}` is a run");
    // Silence is waited for, so that it should be short.
    runs[0].case.seconds = 1;
    let command = [OsString::from(env!("CARGO_BIN_EXE_broken-stage")), OsString::from(fault)];
    let report = perform(&runs, &command, &choice, |_| {});
    match &report.outcomes[..] {
        [outcome] if outcome.status == Status::Passed => String::new(),
        [outcome] => outcome.reason.clone(),
        _ => panic!("one run has one outcome"),
    }
}

#[test]
fn every_fault_is_noticed() {
    let unnoticed: Vec<String> = FAULTS
        .iter()
        .filter_map(|(fault, id, words)| {
            let complaint = complaint(fault, id);
            (complaint.is_empty() || !complaint.contains(words))
                .then(|| format!("{fault}: {id}: `{complaint}` without `{words}`"))
        })
        .collect();
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}

#[test]
fn the_same_cases_pass_without_a_fault() {
    let mut ids: Vec<&str> = FAULTS.iter().map(|(_, id, _)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    let failing: Vec<String> = ids
        .into_iter()
        .map(|id| (id, complaint("none", id)))
        .filter(|(_, complaint)| !complaint.is_empty())
        .map(|(id, complaint)| format!("{id}: {complaint}"))
        .collect();
    assert!(failing.is_empty(), "{}", failing.join("\n"));
}
