//! The platform's own 7-column CSV.
