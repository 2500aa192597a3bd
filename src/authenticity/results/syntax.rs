//! The grammar of an Authentication-Results field: RFC 8601 §2.2.
//!
//! Wider than the grammar where servers are: no authserv-id (Microsoft 365), a property without a
//! ptype (`action=none`, `x-bits=2048`), an underscore in a name, and any visible character in a
//! value that needs no quotes to be told from its neighbours (`smtp.bits=256/256`).
//!
//! Guarantee: a field is read as a whole or not at all, in one pass and without recursion; what
//! stands in a comment or between quotes is never taken for structure.

use super::{Malformed, MethodResult};
use crate::notice::{Sentence, shown};

/// Comments in comments in comments: no server goes this far.
const MAX_DEPTH: usize = 16;

/// What a field says: who writes it, and each method's result.
pub(super) type Payload = (Option<String>, Vec<MethodResult>);

/// Reads the body of a field.
pub(super) fn payload(body: &[u8]) -> Result<Payload, Malformed> {
    let text = unfolded(body)?;
    let mut cursor = Cursor { rest: &text };
    cursor.cfws()?;
    let authserv_id = cursor.authserv_id()?;
    let mut results = Vec::new();
    let mut says_none = false;
    // Without an authserv-id, no semicolon stands before the first result.
    let mut begun = authserv_id.is_none();
    while begun || !cursor.rest.is_empty() {
        if !std::mem::take(&mut begun) {
            cursor.expect(';', "`;`")?;
        }
        cursor.cfws()?;
        if cursor.ends_result() {
            continue;
        }
        if says_none {
            return Err(cursor.unexpected("nothing after `none`", "`none` 之後沒有其他內容"));
        }
        match cursor.result()? {
            Some(result) => results.push(result),
            None if results.is_empty() => says_none = true,
            None => return Err(cursor.unexpected("`=` after `none`", "`none` 之後有 `=`")),
        }
    }
    Ok((authserv_id, results))
}

/// The body on one line (RFC 5322 §2.2.3). RFC 8601 §2.2 would let UTF-8 stand in it; we expect a
/// field about ASCII domains to be ASCII.
fn unfolded(body: &[u8]) -> Result<String, Malformed> {
    let body = body
        .strip_suffix(b"\r\n")
        .or_else(|| body.strip_suffix(b"\n"))
        .unwrap_or(body);
    let mut text = String::with_capacity(body.len());
    let mut lines = body.split(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        let folds = lines.peek().is_some();
        let line = line.strip_suffix(b"\r").filter(|_| folds).unwrap_or(line);
        // RFC 5322 §3.2.2 forbids to write it, and some servers end the header there.
        if at > 0 && line.trim_ascii().is_empty() {
            return Err(Malformed(Sentence::new(
                "expected no empty line within it, found one",
                "欄位中不應有空白行",
            )));
        }
        for byte in line {
            if !matches!(byte, b'\t' | b' '..=b'~') {
                return Err(Malformed(Sentence::new(
                    format!("expected visible ASCII, found the byte `{byte:#04x}`"),
                    format!("只能有可見的 ASCII 字元，出現了位元組 `{byte:#04x}`"),
                )));
            }
            text.push(char::from(*byte));
        }
    }
    Ok(text)
}

/// Where the reader stands; the text is ASCII.
#[derive(Debug, Clone, Copy)]
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    fn eat(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn run(&mut self, is: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !is(c)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        run
    }

    /// What was expected here, and what stands here instead.
    fn unexpected(&self, en: &str, zh: &str) -> Malformed {
        let found = if self.rest.is_empty() {
            Sentence::new("its end", "欄位結尾")
        } else {
            Sentence::new(shown(self.rest), shown(self.rest))
        };
        Malformed(Sentence::new(
            format!("expected {en}, found {}", found.en),
            format!("應有{zh}，實際是{}", found.zh),
        ))
    }

    fn expect(&mut self, c: char, quoted: &str) -> Result<(), Malformed> {
        if self.eat(c) {
            Ok(())
        } else {
            Err(self.unexpected(quoted, &format!(" {quoted}")))
        }
    }

    /// White space and comments (RFC 5322 §3.2.2); whether there were any.
    fn cfws(&mut self) -> Result<bool, Malformed> {
        let before = self.rest.len();
        loop {
            self.run(|c| matches!(c, ' ' | '\t'));
            if self.peek() != Some('(') {
                return Ok(self.rest.len() < before);
            }
            self.comment()?;
        }
    }

    fn comment(&mut self) -> Result<(), Malformed> {
        let begin = *self;
        let mut depth = 0_usize;
        loop {
            match self.next() {
                Some('(') if depth == MAX_DEPTH => {
                    return Err(begin.unexpected(
                        &format!("at most {MAX_DEPTH} comments in each other"),
                        &format!("最多 {MAX_DEPTH} 層註解"),
                    ));
                }
                Some('(') => depth += 1,
                Some(')') if depth == 1 => return Ok(()),
                Some(')') => depth -= 1,
                Some('\\') => {
                    self.next();
                }
                Some(_) => {}
                None => return Err(begin.unexpected("a comment that ends", "有結尾的註解")),
            }
        }
    }

    /// A quoted string's content. RFC 5322 §3.2.4.
    fn quoted(&mut self) -> Result<String, Malformed> {
        let begin = *self;
        let mut content = String::new();
        self.eat('"');
        loop {
            match self.next() {
                Some('"') => return Ok(content),
                Some('\\') => content.extend(self.next()),
                Some(c) => content.push(c),
                None => return Err(begin.unexpected("a quoted text that ends", "有結尾的引號")),
            }
        }
    }

    fn ends_result(&self) -> bool {
        matches!(self.peek(), None | Some(';'))
    }

    /// The authserv-id and its version, where the field begins with one. Never between quotes: no
    /// server writes its name so, and one name has one form then.
    fn authserv_id(&mut self) -> Result<Option<String>, Malformed> {
        let begin = *self;
        let id = self.run(is_token).to_ascii_lowercase();
        if id.is_empty() {
            return Err(self.unexpected("the server's name or a method", "伺服器名稱或驗證方法"));
        }
        self.cfws()?;
        if matches!(self.peek(), Some('=' | '/')) {
            *self = begin;
            return Ok(None);
        }
        if !self.ends_result() {
            let version = *self;
            if self.run(|c| c.is_ascii_digit()) != "1" {
                return Err(version.unexpected("version `1` or `;`", "版本 `1` 或 `;`"));
            }
            self.cfws()?;
            if !self.ends_result() {
                return Err(self.unexpected("`;`", " `;`"));
            }
        }
        Ok(Some(id))
    }

    /// One method's result; `None` for the word `none` alone.
    fn result(&mut self) -> Result<Option<MethodResult>, Malformed> {
        let mut method = self.keyword("a method", "驗證方法")?;
        self.cfws()?;
        if method == "none" && self.ends_result() {
            return Ok(None);
        }
        if self.eat('/') {
            self.cfws()?;
            let version = self.run(|c| c.is_ascii_digit());
            if version.is_empty() {
                return Err(self.unexpected("the method's version", "驗證方法的版本"));
            }
            // Of another version nothing is known here, so it is another method.
            if version != "1" {
                method = format!("{method}/{version}");
            }
            self.cfws()?;
        }
        self.expect('=', "`=`")?;
        self.cfws()?;
        let result = self.keyword("the method's result", "驗證結果")?;
        let mut properties = Vec::new();
        loop {
            let apart = self.cfws()?;
            if self.ends_result() {
                return Ok(Some(MethodResult {
                    method,
                    result,
                    properties,
                }));
            }
            if !apart {
                return Err(self.unexpected("a space or `;`", "空白或 `;`"));
            }
            properties.push(self.property()?);
        }
    }

    /// `ptype.property=pvalue`, or `reason=…`.
    fn property(&mut self) -> Result<(String, String), Malformed> {
        let words = ("a property", "屬性名稱");
        let mut name = self.keyword(words.0, words.1)?;
        self.cfws()?;
        while self.eat('.') {
            self.cfws()?;
            name.push('.');
            name.push_str(&self.keyword(words.0, words.1)?);
            self.cfws()?;
        }
        self.expect('=', "`=`")?;
        self.cfws()?;
        let mut value = String::new();
        if self.peek() == Some('"') {
            value = self.quoted()?;
            // A local part between quotes.
            if self.peek() == Some('@') {
                value.push_str(self.run(is_plain));
            }
        } else {
            value.push_str(self.run(is_plain));
            // Microsoft 365 writes `smtp.mailfrom=;` for a bounce.
            if value.is_empty() && !self.ends_result() {
                return Err(self.unexpected("a value", "屬性的值"));
            }
        }
        Ok((name, value))
    }

    /// RFC 5321 §4.1.2 Ldh-str, and the underscore; lower case.
    fn keyword(&mut self, en: &str, zh: &str) -> Result<String, Malformed> {
        let keyword = self.run(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if keyword.is_empty() {
            return Err(self.unexpected(en, zh));
        }
        Ok(keyword.to_ascii_lowercase())
    }
}

/// What stands in a token, as an authserv-id is one (RFC 8601 §2.2). RFC 2045 §5.1.
pub fn is_token(c: char) -> bool {
    c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c)
}

/// What may stand in a value without quotes.
pub(super) fn is_plain(c: char) -> bool {
    c.is_ascii_graphic() && !"();\"\\".contains(c)
}

#[cfg(test)]
mod tests;
