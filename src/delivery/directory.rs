//! Letters as files.
