//! Placement, threads, dead letters and the run report of one pipeline run
