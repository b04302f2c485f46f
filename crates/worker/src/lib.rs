//! The loop that runs one chain of stages and keeps its ledger
