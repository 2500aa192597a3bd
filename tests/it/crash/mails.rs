//! What the mail server has taken, held against what the ledger says of its letters.
//!
//! Guarantee: a mail is repeated only where its writer died between the server's 250 and the mark,
//! then once, and to the last byte.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::smtp_sink::{SmtpSink, Taken};

/// A letter of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub state: String,
    pub eml: Vec<u8>,
}

/// The outbox, by Message-ID.
pub type Letters = BTreeMap<String, Letter>;

/// Message-IDs of the letters in this state.
pub fn in_state<'a>(letters: &'a Letters, state: &str) -> BTreeSet<&'a str> {
    let meant = letters.iter().filter(|(_, letter)| letter.state == state);
    meant.map(|(id, _)| id.as_str()).collect()
}

/// All mail that one server ever took.
#[derive(Debug, Default)]
pub struct Mails {
    /// How many it had taken at the last kill.
    taken: usize,
    /// Each as it was.
    pub mails: BTreeMap<String, Vec<u8>>,
    /// Those that were taken while the ledger did not get to know of it, and are to come again.
    pub unmarked: BTreeSet<String>,
    pub repeats: usize,
}

impl Mails {
    /// After a kill, before the next start: what has come since the kill `before`.
    pub fn reckon(&mut self, sink: &SmtpSink, before: &Letters, now: &Letters) {
        let (was, is) = (in_state(before, "sent"), in_state(now, "sent"));
        assert!(is.is_superset(&was), "sent, and forgotten");
        for (id, letter) in before {
            assert!(now[id].eml == letter.eml, "a letter has changed");
        }
        let taken = sink.taken_since(self.taken);
        self.taken += taken.len();
        let ids: BTreeSet<&str> = taken.iter().map(|mail| mail.message_id.as_str()).collect();
        assert_eq!(ids.len(), taken.len(), "a mail twice between two kills");
        assert!(ids.is_disjoint(&was), "a mail that was sent again");
        for Taken {
            message_id, bytes, ..
        } in &taken
        {
            assert!(*bytes == now[message_id].eml, "not the letter");
            let earlier = self.mails.insert(message_id.clone(), bytes.clone());
            if let Some(earlier) = earlier {
                assert!(self.unmarked.remove(message_id), "repeated for nothing");
                assert!(earlier == *bytes, "repeated with other bytes");
                self.repeats += 1;
            }
        }
        // What counts as sent was taken, and the server said so.
        let answered = taken.iter().filter(|mail| mail.answered);
        let answered: BTreeSet<&str> = answered.map(|mail| mail.message_id.as_str()).collect();
        let fresh: BTreeSet<&str> = is.difference(&was).copied().collect();
        assert!(fresh.is_subset(&answered), "sent, but never taken");
        // And what was taken counts as sent, but for the one that was in hand.
        let open: Vec<&str> = ids.difference(&is).copied().collect();
        assert!(open.len() <= 1, "taken, and not marked: {open:?}");
        for id in open {
            assert_eq!(now[id].state, "sending");
            self.unmarked.insert(id.to_owned());
        }
    }

    /// In the end every letter was taken, and no other mail.
    pub fn are_complete(&self, letters: &Letters) {
        assert_eq!(in_state(letters, "sent").len(), letters.len());
        assert!(self.unmarked.is_empty(), "{:?}", self.unmarked);
        assert!(self.mails.keys().eq(letters.keys()));
        assert_eq!(self.taken, letters.len() + self.repeats);
    }
}
