//! Bytes and a declared charset to text; undecodable is said, never U+FFFD.
