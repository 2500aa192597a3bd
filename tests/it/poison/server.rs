//! A server with a folder, and a fault at each message that a test gives one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crate::support::scripted_imap::{Peer, fetched, in_set};

/// What the server does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Hands it over.
    None,
    /// Answers NO to every question about it, or only to the one for its body.
    No,
    NoBody,
    /// Closes the connection instead.
    HangUp,
    HangUpBody,
    /// Says what cannot be decoded.
    Garbage,
    /// Says OK, and that it has nothing.
    Nil,
    NilBody,
    /// Says OK and nothing else.
    Silence,
}

impl Fault {
    pub const ALL: [Self; 8] = [
        Self::No,
        Self::NoBody,
        Self::HangUp,
        Self::HangUpBody,
        Self::Garbage,
        Self::Nil,
        Self::NilBody,
        Self::Silence,
    ];

    fn applies(self, asked_for_body: bool) -> bool {
        match self {
            Self::None => false,
            Self::NoBody | Self::HangUpBody | Self::NilBody => asked_for_body,
            _ => true,
        }
    }
}

/// A folder: UIDs, messages, and what the server does with each.
pub type Folder = Arc<Mutex<BTreeMap<u32, (String, Fault)>>>;

/// Serves one connection.
pub async fn serve(folder: Folder, asked: Arc<Mutex<Vec<String>>>, mut peer: Peer) {
    peer.say("* OK ready\r\n").await;
    while let Some(line) = peer.line().await {
        let (tag, command) = line.split_once(' ').unwrap();
        let now = folder.lock().unwrap().clone();
        let mut answer = String::new();
        let mut verdict = "OK done";
        if command == "CAPABILITY" {
            answer.push_str("* CAPABILITY IMAP4rev1\r\n");
        } else if command.starts_with("EXAMINE") {
            answer = format!("* {} EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n", now.len());
        } else if command.starts_with("UID SEARCH BEFORE") {
            answer.push_str("* SEARCH\r\n");
        } else if command.starts_with("UID SEARCH") {
            let uids: String = now.keys().map(|uid| format!(" {uid}")).collect();
            answer = format!("* SEARCH{uids}\r\n");
        } else if let Some(fetch) = command.strip_prefix("UID FETCH ") {
            asked.lock().unwrap().push(fetch.to_owned());
            let (set, items) = fetch.split_once(' ').unwrap();
            let for_body = items.contains("BODY.PEEK[]");
            for (uid, (message, fault)) in &now {
                if !in_set(set, *uid) {
                    continue;
                }
                let part = fetched(items, *uid, *uid, message);
                if !fault.applies(for_body) {
                    answer.push_str(&part);
                    continue;
                }
                match fault {
                    Fault::HangUp | Fault::HangUpBody => return,
                    Fault::No | Fault::NoBody => verdict = "NO cannot read it",
                    Fault::Garbage => answer.push_str("* SEARCH one two\r\n"),
                    Fault::Nil | Fault::NilBody => {
                        let at = part.rfind(" {").unwrap();
                        answer.push_str(&format!("{} NIL)\r\n", &part[..at]));
                    }
                    Fault::Silence | Fault::None => (),
                }
            }
        }
        peer.say(&format!("{answer}{tag} {verdict}\r\n")).await;
    }
}
