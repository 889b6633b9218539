//! A node: the parts of the other crates, joined.
