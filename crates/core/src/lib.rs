//! The contract between stages and the runtime: messages, stage traits, values, ledger, environment
