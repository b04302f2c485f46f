//! Ordered, credit-limited edges between chains of stages
