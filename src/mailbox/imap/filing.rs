//! What happens on the server to mail whose ranges are recorded: it is moved, or marked as seen.
//!
//! Left out on purpose: which mail that is, and remembering what has been filed; both are the
//! ledger's. Left out as well: EXPUNGE without UIDs, which could remove what others have marked.
//!
//! Guarantees: a message counts as filed only after the server's tagged OK, or when a listing with
//! a tagged OK did not name it any more. Asking again is harmless; where a server has no MOVE, a
//! break between copying and removing leaves a second copy in the other folder, never none. A
//! refusal ends nothing: the session goes on, and filing rests for a while.

use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant};

use super::ImapLink;
use crate::mailbox::{AfterImport, Filing, MailboxError, UidSet};

/// Few enough that a server moves them within the time for one command.
const FILED_AT_ONCE: u32 = 200;

/// RFC 2683 §3.2.1.5: a command line stays below 1000 bytes, a folder's name among them.
const UIDS_BYTES: usize = 500;

/// Whether it is time to file. A server that refuses is left alone for a while; so is one that
/// lets the session break over it twice in a row, or filing would keep the mailbox from being
/// watched.
#[derive(Debug, Default)]
pub(super) struct Rest(Mutex<Resting>);

#[derive(Debug, Default)]
struct Resting {
    until: Option<Instant>,
    /// The last attempt has not been answered.
    unanswered: bool,
}

impl Rest {
    fn attempt(&self, rest: Duration) {
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        resting.until = resting.unanswered.then(|| Instant::now() + rest);
        resting.unanswered = true;
    }

    fn answered(&self, refused: bool, rest: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Resting {
            until: refused.then(|| Instant::now() + rest),
            unanswered: false,
        };
    }

    fn lasts(&self) -> bool {
        let resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        resting.until.is_some_and(|until| Instant::now() < until)
    }
}

impl ImapLink {
    pub(in crate::mailbox) fn files(&self) -> bool {
        self.after_import.is_some() && !self.rest.lasts()
    }

    pub(in crate::mailbox) async fn file(&mut self, uids: &UidSet) -> Result<Filing, MailboxError> {
        let Some(after_import) = self.after_import.clone() else {
            return Ok(Filing::default());
        };
        // Somebody else has put them away. Servers differ in whether they mind being asked.
        let gone = uids.difference(&self.listed);
        if !gone.is_empty() {
            return Ok(Filing {
                done: gone,
                refusal: None,
            });
        }
        let batch = for_one_command(uids);
        self.rest.attempt(self.bounds.refile);
        let answered = match &after_import {
            AfterImport::MarkSeen => self.mark_seen(&batch).await?,
            AfterImport::MoveTo(folder) => self.move_to(&batch, folder).await?,
        };
        self.rest.answered(answered.is_err(), self.bounds.refile);
        Ok(match answered {
            Ok(()) => Filing {
                done: batch,
                refusal: None,
            },
            Err(refusal) => Filing {
                done: UidSet::default(),
                refusal: Some(refusal),
            },
        })
    }

    async fn mark_seen(&mut self, uids: &UidSet) -> Result<Result<(), String>, MailboxError> {
        if !self.folder.keeps("\\Seen") {
            return Ok(Err(unkept("\\Seen")));
        }
        let answered = self.session.flag(uids, "\\Seen").await?;
        Ok(answered.map_err(|answer| refusal("mark mail as seen", &answer, None)))
    }

    async fn move_to(
        &mut self,
        uids: &UidSet,
        folder: &str,
    ) -> Result<Result<(), String>, MailboxError> {
        let moving = format!("move mail to the folder {folder}");
        let answered = match Way::announced(|capability| self.capabilities.has(capability)) {
            Some(Way::Move) => self.session.move_to(uids, folder).await?,
            Some(Way::Copy) if !self.folder.keeps("\\Deleted") => {
                return Ok(Err(unkept("\\Deleted")));
            }
            Some(Way::Copy) => self.copy_and_remove(uids, folder).await?,
            None => return Ok(Err(format!("{moving}: {NO_WAY}"))),
        };
        if answered.is_ok() {
            self.listed = self.listed.difference(uids);
        }
        Ok(answered.map_err(|answer| refusal(&moving, &answer, Some(folder))))
    }

    /// RFC 6851 §3.3 takes MOVE for these three. What was copied once in this session and could
    /// not be removed is not copied again.
    async fn copy_and_remove(
        &mut self,
        uids: &UidSet,
        folder: &str,
    ) -> Result<Result<(), String>, MailboxError> {
        let uncopied = uids.difference(&self.copied);
        if !uncopied.is_empty() {
            if let Err(answer) = self.session.copy_to(&uncopied, folder).await? {
                return Ok(Err(answer));
            }
            self.copied = self.copied.union(&uncopied);
        }
        if let Err(answer) = self.session.flag(uids, "\\Deleted").await? {
            return Ok(Err(answer));
        }
        self.session.expunge(uids).await
    }
}

/// How a server can move mail without touching anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mailbox) enum Way {
    /// RFC 6851.
    Move,
    /// RFC 4315: copy, mark, and expunge exactly those UIDs.
    Copy,
}

impl Way {
    pub(in crate::mailbox) fn announced(has: impl Fn(&str) -> bool) -> Option<Self> {
        match (has("MOVE"), has("UIDPLUS")) {
            (true, _) => Some(Self::Move),
            (false, true) => Some(Self::Copy),
            (false, false) => None,
        }
    }
}

const NO_WAY: &str = "expected a server that announces MOVE or UIDPLUS, found neither, and without \
                      them other people's deleted mail would be removed as well; set after_import \
                      = \"mark_seen\", or take it out";

/// As many of `uids` as one command holds.
fn for_one_command(uids: &UidSet) -> UidSet {
    let mut count = FILED_AT_ONCE;
    loop {
        let batch = uids.first(count);
        if batch.to_string().len() <= UIDS_BYTES || count == 1 {
            return batch;
        }
        count /= 2;
    }
}

fn unkept(flag: &str) -> String {
    format!(
        "expected a folder in which {flag} can be set for good, found one in which it cannot; give \
         the user the right to change the folder, or take after_import out"
    )
}

/// A refusal in the server's words, with what helps against it. RFC 5530 §3 names the codes.
fn refusal(operation: &str, answer: &str, target: Option<&str>) -> String {
    let says = |codes: &[&str]| {
        let answer = answer.to_ascii_uppercase();
        codes.iter().any(|code| answer.contains(code))
    };
    let advice = match target {
        Some(folder) if says(&["[TRYCREATE", "[NONEXISTENT"]) => {
            format!("create the folder {folder} there, or name another one in after_import")
        }
        _ if says(&["[OVERQUOTA", "QUOTA"]) => "make room in the account".to_owned(),
        Some(folder) => {
            format!("let the user write to the folder {folder} and remove from this one")
        }
        None => "let the user change the folder, or take after_import out".to_owned(),
    };
    format!("{operation}: the server answered {answer}; {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_holds_many_in_a_row_and_few_that_are_scattered() {
        let row = UidSet::from_runs([(1, 1000)]);
        assert_eq!(for_one_command(&row).len(), 200);
        let scattered: UidSet = (0..1000).map(|n| 4_000_000_000 + 2 * n).collect();
        let batch = for_one_command(&scattered);
        assert!(batch.to_string().len() <= UIDS_BYTES, "{batch}");
        assert!(batch.len() > 20, "{batch}");
        assert!(for_one_command(&UidSet::default()).is_empty());
    }
}
