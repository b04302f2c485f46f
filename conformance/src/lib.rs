//! Checks a stage program of any language against the stage protocol.
