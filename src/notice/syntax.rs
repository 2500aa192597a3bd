//! The tokens of structured header fields: RFC 5322 §3.2, which MIME shares.
//!
//! Guarantee: white space, folding and comments, however nested, never reach the caller, and
//! what stands inside quotes or a comment is never taken for structure.

/// One token of a structured field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A run of anything that is not special.
    Atom(&'a [u8]),
    /// What stands between double quotes, backslashes still in place.
    Quoted(&'a [u8]),
    /// One of the special characters asked for.
    Special(u8),
}

/// The tokens of one field body.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    rest: &'a [u8],
    specials: &'static [u8],
}

impl<'a> Tokens<'a> {
    /// Splits at `specials`, quotes, comments and white space.
    pub(super) fn new(field: &'a [u8], specials: &'static [u8]) -> Self {
        Self {
            rest: field,
            specials,
        }
    }

    /// Takes what lies before byte `at`, and drops `skip` bytes after it.
    fn take(&mut self, at: usize, skip: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(at).unwrap_or((self.rest, &[]));
        self.rest = rest.get(skip..).unwrap_or_default();
        taken
    }

    fn skip_comment(&mut self) {
        let mut depth = 0_usize;
        let mut escaped = false;
        let end = self.rest.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'(' => depth += 1,
                b')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        });
        self.take(end.unwrap_or(self.rest.len()), 1);
    }

    fn quoted(&mut self) -> &'a [u8] {
        self.take(0, 1);
        let mut escaped = false;
        let end = self.rest.iter().position(|byte| match byte {
            _ if escaped => {
                escaped = false;
                false
            }
            b'\\' => {
                escaped = true;
                false
            }
            byte => *byte == b'"',
        });
        self.take(end.unwrap_or(self.rest.len()), 1)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            self.rest = self.rest.trim_ascii_start();
            match *self.rest.first()? {
                b'(' => self.skip_comment(),
                b'"' => return Some(Token::Quoted(self.quoted())),
                special if self.specials.contains(&special) => {
                    self.take(0, 1);
                    return Some(Token::Special(special));
                }
                _ => {
                    let ends = |b: &u8| {
                        b.is_ascii_whitespace() || b"(\"".contains(b) || self.specials.contains(b)
                    };
                    let end = self.rest.iter().position(ends).unwrap_or(self.rest.len());
                    return Some(Token::Atom(self.take(end, 0)));
                }
            }
        }
    }
}

/// The content of a quoted string without its backslashes.
pub(super) fn unescaped(quoted: &[u8]) -> impl Iterator<Item = u8> {
    let mut escaped = false;
    quoted.iter().copied().filter(move |byte| {
        escaped = *byte == b'\\' && !escaped;
        !escaped
    })
}

#[cfg(test)]
mod tests {
    use super::{Token::*, *};

    fn tokens(field: &str) -> Vec<Token<'_>> {
        Tokens::new(field.as_bytes(), b"<>,@").collect()
    }

    #[test]
    fn comments_and_quotes_hide_what_they_hold() {
        assert_eq!(
            tokens("(a, (b) \\) <)x\r\n \"q, \\\" <\"<y@z>"),
            [
                Atom(b"x"),
                Quoted(b"q, \\\" <"),
                Special(b'<'),
                Atom(b"y"),
                Special(b'@'),
                Atom(b"z"),
                Special(b'>'),
            ]
        );
    }

    #[test]
    fn what_is_never_closed_reaches_to_the_end() {
        assert_eq!(tokens("a (b <c>"), [Atom(b"a")]);
        assert_eq!(tokens("a \"b <c>"), [Atom(b"a"), Quoted(b"b <c>")]);
        assert_eq!(tokens("\""), [Quoted(b"")]);
    }

    #[test]
    fn backslashes_go_and_what_they_guard_stays() {
        assert_eq!(unescaped(br#"a\"b\\c"#).collect::<Vec<_>>(), br#"a"b\c"#);
    }
}
