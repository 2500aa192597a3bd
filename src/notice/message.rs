//! Our narrow view of an RFC 5322 message, over mail-parser.
