//! Tests, see the parts.
