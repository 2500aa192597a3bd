//! The messages of an mbox file, one at a time.
//!
//! There is no one format. RFC 4155 §A: a line that begins with `From ` and holds a time, after an
//! empty line, begins a message; writers quote such lines in the text with `>` (mboxo), those
//! quoted already once more (mboxrd), or not at all, and count bytes instead (mboxcl2). Read here:
//! one `>` is taken off; what begins a message must also be followed by a header field, so that a
//! sentence that happens to begin with `From ` parts nothing. Left out on purpose: Content-Length,
//! which is wrong as soon as anybody has touched the file.
//!
//! Guarantee: of a message no more than asked for is held in memory, whatever the file holds; a
//! message has the same bytes however many come to stand behind it.

use std::io::{self, BufRead, Read as _};

/// A longer line is read in pieces.
const PIECE: u64 = 64 * 1024;

/// Splits an mbox.
#[derive(Debug)]
pub(super) struct Mbox<R> {
    from: R,
    most: usize,
    ahead: Option<Piece>,
    /// Whether what was read last ended its line.
    line_ended: bool,
    begun: bool,
}

/// One message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Its bytes, or as many of them as are wanted and one more.
    pub(super) bytes: Vec<u8>,
    /// Its size, bytes.
    pub(super) size: u64,
}

/// A line with its end, or a piece of a long one.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    begins_a_line: bool,
}

impl<R: BufRead> Mbox<R> {
    /// Reads from the beginning of the file; of each message at most one byte more than `most` is
    /// kept.
    pub(super) fn new(from: R, most: u64) -> Self {
        Self {
            from,
            most: usize::try_from(most).unwrap_or(usize::MAX),
            ahead: None,
            line_ended: true,
            begun: false,
        }
    }

    fn piece(&mut self) -> io::Result<Option<Piece>> {
        if let Some(piece) = self.ahead.take() {
            return Ok(Some(piece));
        }
        let mut bytes = Vec::new();
        self.from
            .by_ref()
            .take(PIECE)
            .read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let begins_a_line = self.line_ended;
        self.line_ended = bytes.ends_with(b"\n");
        Ok(Some(Piece {
            bytes,
            begins_a_line,
        }))
    }

    /// Whether `piece`, which stands after an empty line, begins a message.
    fn begins_a_message(&mut self, piece: &Piece) -> io::Result<bool> {
        if !piece.begins_a_line || !piece.bytes.starts_with(b"From ") || !has_time(&piece.bytes) {
            return Ok(false);
        }
        self.ahead = self.piece()?;
        Ok(self
            .ahead
            .as_ref()
            .is_some_and(|next| is_header_field(&next.bytes)))
    }

    fn message(&mut self) -> io::Result<Option<Message>> {
        if !self.begun {
            self.begun = true;
            while let Some(piece) = self.piece()?
                && !piece.bytes.ends_with(b"\n")
            {}
        }
        let mut message = Message::default();
        // The empty line before the next message is the file's, not the message's.
        let mut empty: Option<Piece> = None;
        let mut any = false;
        while let Some(piece) = self.piece()? {
            if empty.is_some() && self.begins_a_message(&piece)? {
                return Ok(Some(message));
            }
            any = true;
            if let Some(empty) = empty.take() {
                self.keep(&mut message, &empty.bytes);
            }
            if piece.begins_a_line && matches!(piece.bytes.as_slice(), b"\n" | b"\r\n") {
                empty = Some(piece);
            } else if piece.begins_a_line {
                self.keep(&mut message, unquoted(&piece.bytes));
            } else {
                self.keep(&mut message, &piece.bytes);
            }
        }
        Ok(any.then_some(message))
    }

    fn keep(&self, message: &mut Message, bytes: &[u8]) {
        let room = self.most.saturating_add(1) - message.bytes.len();
        message
            .bytes
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        message.size += bytes.len() as u64;
    }
}

impl<R: BufRead> Iterator for Mbox<R> {
    type Item = io::Result<Message>;

    fn next(&mut self) -> Option<Self::Item> {
        self.message().transpose()
    }
}

/// `09:00`, as every date that follows `From ` has it, and few sentences.
fn has_time(line: &[u8]) -> bool {
    line.windows(4).any(|four| match four {
        [hour, b':', tens, ones] => [hour, tens, ones].iter().all(|d| d.is_ascii_digit()),
        _ => false,
    })
}

/// RFC 5322 §2.2. UUCP's way to name the stations stands quoted before the header.
fn is_header_field(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    line.starts_with(b">From ") || is_name && name.len() < line.len()
}

/// mboxrd: a line of the text that began with `From ` has one `>` more than it had.
fn unquoted(line: &[u8]) -> &[u8] {
    let marks = line.iter().take_while(|byte| **byte == b'>').count();
    let (_, bare) = line.split_at(marks);
    match line.split_first() {
        Some((b'>', behind)) if bare.starts_with(b"From ") => behind,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(mbox: &str) -> Vec<String> {
        Mbox::new(mbox.as_bytes(), 1_000_000)
            .map(|message| {
                let message = message.unwrap();
                assert_eq!(message.bytes.len() as u64, message.size);
                String::from_utf8(message.bytes).unwrap()
            })
            .collect()
    }

    const A: &str = "From a@x Fri Apr 20 09:00:00 2018\nSubject: a\n\none\n";
    const B: &str = "From - Sat Apr 21 09:00:00 2018\nSubject: b\n\ntwo\n";

    #[test]
    fn messages_stand_apart_with_lf_and_with_crlf() {
        let mbox = format!("{A}\n{B}\n");
        let expected = ["Subject: a\n\none\n", "Subject: b\n\ntwo\n"];
        assert_eq!(split(&mbox), expected);
        let crlf = |text: &str| text.replace('\n', "\r\n");
        assert_eq!(split(&crlf(&mbox)), expected.map(crlf));
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split("From a@x Fri Apr 20 09:00:00 2018\n"), [""; 0]);
    }

    #[test]
    fn a_message_is_the_same_when_another_has_come_behind_it() {
        for end in ["", "\n"] {
            let alone = split(&format!("{A}{end}"));
            let followed = split(&format!("{A}\n{B}"));
            assert_eq!(alone[0], followed[0]);
        }
        // A text that ends in empty lines of its own keeps them.
        assert_eq!(split(&format!("{A}\n\n{B}"))[0], "Subject: a\n\none\n\n");
    }

    #[test]
    fn a_sentence_that_begins_with_from_parts_nothing() {
        for line in [
            "text\nFrom a@x Fri Apr 20 09:00:00 2018\nSubject: no empty line before\n",
            "text\n\nFrom here on there is no time\nNote: though a field follows\n",
            "text\n\nFrom 09:00 to 17:00 we are there,\nand no field follows\n",
            "text\n\nFrom a@x Fri Apr 20 09:00:00 2018",
        ] {
            let mbox = format!("{A}{line}");
            assert_eq!(split(&mbox).len(), 1, "{line}");
            assert!(split(&mbox)[0].ends_with(line), "{line}");
        }
    }

    #[test]
    fn one_mark_is_taken_off_a_quoted_line() {
        let mbox = format!("{A}\n>From x 09:00\n>>From y\n> From z\n>Fromage\n");
        assert!(
            split(&mbox)[0].ends_with("\n\nFrom x 09:00\n>From y\n> From z\n>Fromage\n"),
            "{:?}",
            split(&mbox)
        );
    }

    #[test]
    fn of_a_message_no_more_is_held_than_asked_for() {
        let long = "x".repeat(300_000);
        let mbox = format!("{A}{long}\n\n{B}");
        let messages: Vec<Message> = Mbox::new(mbox.as_bytes(), 50).map(Result::unwrap).collect();
        assert_eq!(messages[0].bytes.len(), 51);
        assert_eq!(messages[0].size, 16 + 300_001);
        assert_eq!(messages[1].bytes, b"Subject: b\n\ntwo\n");
    }

    #[test]
    fn a_piece_of_a_long_line_is_no_line() {
        let piece = usize::try_from(PIECE).unwrap();
        let long = "x".repeat(piece);
        let mbox = format!("{A}\n{long}From a@x Fri Apr 20 09:00:00 2018\nSubject: c\n");
        assert_eq!(split(&mbox).len(), 1);
        let mbox = format!("{A}{long}>From a\n");
        assert!(split(&mbox)[0].ends_with("x>From a\n"));
    }
}
