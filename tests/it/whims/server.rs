//! A server that knows every command of a whole session, behaves, and has one whim at one step.
//!
//! Its folder is a value that a test changes while it runs; whoever is in IDLE is told. What it was
//! asked is kept, so that a test can count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard},
};

use invoice_trackd::mailbox::{Bounds, ImapSettings};
use tokio::sync::watch;

use crate::support::scripted_imap::{Peer, ScriptedImap, body, fetched, head, in_set};

/// A moment of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Greeting,
    /// CAPABILITY before LOGIN.
    Capability,
    Login,
    /// CAPABILITY after it.
    CapabilityAgain,
    Open,
    SearchBefore,
    SearchAll,
    FetchHeads,
    FetchBodies,
    FetchOversized,
    Noop,
    /// IDLE, up to the continuation.
    Idle,
    /// IDLE, after it.
    Idling,
    Done,
    Move,
    Copy,
    Store,
    Expunge,
}

/// What a server does instead of answering, or besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whim {
    ByeBefore,
    ByeInstead,
    ByeAfter,
    No,
    Bad,
    /// The right answer under another command's tag.
    OtherTag,
    Cut,
    Garbage,
    /// A tagged OK without the data.
    Bare,
    /// As many updates of flags as an answer may hold, before it.
    Flood,
    /// As many bytes of them as no answer may have.
    Deluge,
    /// EXISTS that repeats, and lies.
    Exists,
    /// More EXPUNGE than there is mail.
    Expunges,
    UidValidity,
    /// The folder is another one from here on, and the server says so; UIDs begin anew.
    Replaced,
}

impl Whim {
    pub const ALL: [Self; 14] = [
        Self::ByeBefore,
        Self::ByeInstead,
        Self::ByeAfter,
        Self::No,
        Self::Bad,
        Self::OtherTag,
        Self::Cut,
        Self::Garbage,
        Self::Bare,
        Self::Flood,
        Self::Deluge,
        Self::Exists,
        Self::Expunges,
        Self::UidValidity,
    ];
}

/// One message as the server has it.
#[derive(Debug, Clone)]
pub struct Mail {
    pub text: String,
    /// RFC822.SIZE, true or not.
    pub size: usize,
    /// What is said in place of its body, and then nothing more; if it is empty, the connection is
    /// closed.
    pub instead: Option<&'static str>,
}

impl Mail {
    pub fn new(text: String) -> Self {
        Self {
            size: text.len(),
            text,
            instead: None,
        }
    }
}

/// The folder, and the one into which mail is moved.
#[derive(Debug, Clone)]
pub struct Folder {
    pub uidvalidity: u32,
    pub mails: BTreeMap<u32, Mail>,
    /// Before `since`, as SEARCH BEFORE sees it.
    pub older: BTreeSet<u32>,
    pub moved: Vec<u32>,
    pub seen: BTreeSet<u32>,
    pub deleted: BTreeSet<u32>,
}

pub struct State {
    folder: Mutex<Folder>,
    /// What comes after [`Whim::Replaced`].
    pub next: Mutex<BTreeMap<u32, Mail>>,
    /// Said once, with the next news.
    announcement: Mutex<String>,
    changed: watch::Sender<u64>,
    whim: Mutex<Option<(Step, Whim)>>,
    capabilities: &'static str,
    nagging: Option<String>,
    restless: bool,
    asked: Mutex<Vec<String>>,
    idling: watch::Sender<bool>,
}

impl State {
    pub fn new(capabilities: &'static str, mails: impl IntoIterator<Item = (u32, Mail)>) -> Self {
        Self {
            folder: Mutex::new(Folder {
                uidvalidity: 7,
                mails: mails.into_iter().collect(),
                older: BTreeSet::new(),
                moved: Vec::new(),
                seen: BTreeSet::new(),
                deleted: BTreeSet::new(),
            }),
            next: Mutex::default(),
            announcement: Mutex::default(),
            changed: watch::Sender::new(0),
            whim: Mutex::new(None),
            capabilities,
            nagging: None,
            restless: false,
            asked: Mutex::default(),
            idling: watch::Sender::new(false),
        }
    }

    /// Returns once the client waits in IDLE for what is told.
    pub async fn idling(&self) {
        self.idling.subscribe().wait_for(|is| *is).await.unwrap();
    }

    pub fn with_whim(self, step: Step, whim: Whim) -> Self {
        *self.whim.lock().unwrap() = Some((step, whim));
        self
    }

    /// Says this in each IDLE, right after it has begun; `@` stands for a number that grows.
    pub fn nagging(mut self, text: String) -> Self {
        self.nagging = Some(text);
        self
    }

    /// Has a new UIDVALIDITY for every session.
    pub fn restless(mut self) -> Self {
        self.restless = true;
        self
    }

    /// Whether the server's whim is over.
    pub fn has_had_its_whim(&self) -> bool {
        self.whim.lock().unwrap().is_none()
    }

    pub fn folder(&self) -> MutexGuard<'_, Folder> {
        self.folder.lock().unwrap()
    }

    pub fn put(&self, uid: u32, mail: Mail) {
        self.folder().mails.insert(uid, mail);
        self.tell();
    }

    /// Puts another folder in the place of this one.
    pub fn replace(&self) {
        let mut folder = self.folder();
        folder.uidvalidity += 1;
        folder.mails = std::mem::take(&mut *self.next.lock().unwrap());
        folder.older.clear();
    }

    /// Says `text` to whoever is in IDLE, with what has changed.
    pub fn announce(&self, text: &str) {
        self.announcement.lock().unwrap().push_str(text);
        self.tell();
    }

    /// Tells whoever is in IDLE of what has changed.
    pub fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// How often a command that begins like this was heard.
    pub fn heard(&self, command: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|line| line.starts_with(command))
            .count()
    }

    fn whim_at(&self, step: Step) -> Option<Whim> {
        let mut whim = self.whim.lock().unwrap();
        match *whim {
            Some((at, what)) if at == step => {
                *whim = None;
                Some(what)
            }
            _ => None,
        }
    }
}

pub struct Server {
    pub state: Arc<State>,
    imap: ScriptedImap,
}

impl Server {
    pub async fn start(state: State) -> Self {
        let state = Arc::new(state);
        let imap = {
            let state = Arc::clone(&state);
            ScriptedImap::start_for_all(move |peer| {
                let mut connection = Connection {
                    state: Arc::clone(&state),
                    peer,
                    told: 0,
                };
                async move { _ = connection.serve().await }
            })
            .await
        };
        Self { state, imap }
    }

    pub fn settings(&self, bounds: Bounds) -> ImapSettings {
        self.imap.settings(bounds)
    }

    pub fn port(&self) -> u16 {
        self.imap.address.port()
    }
}

struct Connection {
    state: Arc<State>,
    peer: Peer,
    /// The last EXISTS that was said.
    told: usize,
}

impl Connection {
    /// Until the client leaves or a whim ends it.
    async fn serve(&mut self) -> Option<()> {
        self.say(Step::Greeting, "*", "* OK ready\r\n").await?;
        let mut logged_in = false;
        loop {
            let line = self.peer.line().await?;
            let (tag, command) = line.split_once(' ').unwrap();
            self.state.asked.lock().unwrap().push(command.to_owned());
            let ok = format!("{tag} OK done\r\n");
            let words: Vec<&str> = command.splitn(4, ' ').collect();
            let (step, untagged) = match words[..] {
                ["CAPABILITY", ..] => {
                    let capabilities = self.state.capabilities;
                    let step = match logged_in {
                        false => Step::Capability,
                        true => Step::CapabilityAgain,
                    };
                    (step, format!("* CAPABILITY IMAP4rev1 {capabilities}\r\n"))
                }
                ["LOGIN", ..] => {
                    logged_in = true;
                    (Step::Login, String::new())
                }
                ["EXAMINE" | "SELECT", ..] => (Step::Open, self.open()),
                // A large folder is asked about in pieces; this one's first holds all of it.
                ["UID", "SEARCH", ref criteria @ ..] => {
                    let is_first = criteria.len() == 1 || !criteria[0].ends_with(char::is_numeric);
                    let folder = self.state.folder();
                    let (step, found): (_, Vec<&u32>) = match command.contains("BEFORE") {
                        true => (Step::SearchBefore, folder.older.iter().collect()),
                        false => (Step::SearchAll, folder.mails.keys().collect()),
                    };
                    (step, search(found.into_iter().filter(|_| is_first)))
                }
                ["UID", "FETCH", set, items] => match self.fetch(set, items) {
                    Ok(answer) => answer,
                    Err("") => return None,
                    Err(instead) => {
                        self.peer.try_say(instead).await;
                        return self.peer.line().await.map(|_| ());
                    }
                },
                ["NOOP", ..] => (Step::Noop, self.news()),
                ["IDLE", ..] => {
                    self.say(Step::Idle, tag, "+ idling\r\n").await?;
                    self.idle(tag).await?;
                    (Step::Done, String::new())
                }
                ["UID", "MOVE", set, _] => {
                    let moved = self.take_out(|uid| in_set(set, uid));
                    self.state.folder().moved.extend(moved.keys());
                    (Step::Move, String::new())
                }
                ["UID", "COPY", set, _] => {
                    let mut folder = self.state.folder();
                    let copied: Vec<u32> = folder.mails.keys().copied().collect();
                    let copied = copied.into_iter().filter(|&uid| in_set(set, uid));
                    folder.moved.extend(copied);
                    (Step::Copy, String::new())
                }
                ["UID", "STORE", set, flags] => {
                    let mut folder = self.state.folder();
                    let marked: Vec<u32> = folder.mails.keys().copied().collect();
                    let marked = marked.into_iter().filter(|&uid| in_set(set, uid));
                    match flags.contains("Deleted") {
                        true => folder.deleted.extend(marked),
                        false => folder.seen.extend(marked),
                    }
                    (Step::Store, String::new())
                }
                ["UID", "EXPUNGE", ref set @ ..] => {
                    let deleted = self.state.folder().deleted.clone();
                    self.take_out(|uid| deleted.contains(&uid) && in_set(set[0], uid));
                    (Step::Expunge, String::new())
                }
                _ => panic!("expected a command of ours, found {command}"),
            };
            self.say(step, tag, &format!("{untagged}{ok}")).await?;
        }
    }

    /// Says `normal`, unless there is a whim; `None` when that was the last of this connection.
    async fn say(&mut self, step: Step, tag: &str, normal: &str) -> Option<()> {
        let bye = "* BYE a whim\r\n";
        let (text, goes_on) = match self.state.whim_at(step) {
            None => (normal.to_owned(), true),
            Some(Whim::ByeBefore) => (format!("{bye}{normal}"), false),
            Some(Whim::ByeInstead) => (bye.to_owned(), false),
            Some(Whim::ByeAfter) => (format!("{normal}{bye}"), false),
            Some(Whim::No) => (format!("{tag} NO a whim\r\n"), true),
            Some(Whim::Bad) => (format!("{tag} BAD a whim\r\n"), true),
            Some(Whim::OtherTag) => {
                let other = normal.replace(&format!("{tag} OK"), "zz OK");
                // Where the answer has no tag to begin with.
                (other.replace("+ idling", "zz OK idling"), true)
            }
            Some(Whim::Cut) => (String::new(), false),
            Some(Whim::Garbage) => (format!("%%% 配號 \u{0} (((\r\n{normal}"), true),
            Some(Whim::Bare) => (format!("{tag} OK done\r\n"), true),
            Some(Whim::Flood) => (format!("{}{normal}", updates(20_000)), true),
            Some(Whim::Deluge) => (format!("{}{normal}", updates(40_000)), true),
            Some(Whim::Exists) => {
                let lies =
                    "* 3 EXISTS\r\n* 3 EXISTS\r\n* 0 EXISTS\r\n* 5 EXISTS\r\n* 70000 EXISTS\r\n";
                (format!("{lies}{normal}"), true)
            }
            Some(Whim::Expunges) => (format!("{}{normal}", "* 1 EXPUNGE\r\n".repeat(9)), true),
            Some(Whim::Replaced) => {
                self.state.replace();
                (format!("* OK [UIDVALIDITY 8] replaced\r\n{normal}"), true)
            }
            Some(Whim::UidValidity) => (format!("* OK [UIDVALIDITY 8] a whim\r\n{normal}"), true),
        };
        let heard = self.peer.try_say(&text).await;
        (heard && goes_on).then_some(())
    }

    /// Until the client says DONE.
    async fn idle(&mut self, tag: &str) -> Option<()> {
        let mut changed = self.state.changed.subscribe();
        let news = self.news();
        self.say(Step::Idling, tag, &news).await?;
        if let Some(nagging) = &self.state.nagging {
            let count = 100 + self.state.heard("IDLE");
            let nagging = nagging.replace('@', &count.to_string());
            self.peer.try_say(&nagging).await.then_some(())?;
        }
        self.state.idling.send_replace(true);
        loop {
            tokio::select! {
                () = self.peer.stirs() => {
                    self.state.idling.send_replace(false);
                    return self.peer.line().await.filter(|line| line == "DONE").map(|_| ());
                }
                _ = changed.changed() => {
                    let news = self.news();
                    if !self.peer.try_say(&news).await {
                        self.state.idling.send_replace(false);
                        return None;
                    }
                }
            }
        }
    }

    fn open(&mut self) -> String {
        let mut folder = self.state.folder();
        if self.state.restless {
            folder.uidvalidity += 1;
        }
        self.told = folder.mails.len();
        format!(
            "* {} EXISTS\r\n* OK [UIDVALIDITY {}] ok\r\n",
            folder.mails.len(),
            folder.uidvalidity
        )
    }

    /// EXISTS, where it has changed.
    fn news(&mut self) -> String {
        let mut news = std::mem::take(&mut *self.state.announcement.lock().unwrap());
        let exists = self.state.folder().mails.len();
        if std::mem::replace(&mut self.told, exists) != exists {
            write!(news, "* {exists} EXISTS\r\n").unwrap();
        }
        news
    }

    fn fetch(&self, set: &str, items: &str) -> Result<(Step, String), &'static str> {
        let folder = self.state.folder();
        let mut answer = String::new();
        let mut step = Step::FetchBodies;
        for (sequence, (&uid, mail)) in (1..).zip(&folder.mails) {
            if !in_set(set, uid) {
                continue;
            }
            let end = mail.text.find("\r\n\r\n").unwrap() + 4;
            let header = &mail.text[..end];
            let part = if items.contains("HEADER.FIELDS") {
                step = Step::FetchHeads;
                head(sequence, uid, mail.size, header)
            } else if items.contains("BODY.PEEK[HEADER]") {
                step = Step::FetchOversized;
                body(sequence, uid, header).replace("BODY[]", "BODY[HEADER]<0>")
            } else if let Some(instead) = mail.instead {
                return Err(instead);
            } else {
                fetched(items, sequence, uid, &mail.text)
            };
            answer.push_str(&part);
        }
        Ok((step, answer))
    }

    /// Removes mail from the folder, told of by what is said next.
    fn take_out(&self, which: impl Fn(u32) -> bool) -> BTreeMap<u32, Mail> {
        let mut folder = self.state.folder();
        let (out, left) = std::mem::take(&mut folder.mails)
            .into_iter()
            .partition(|(uid, _)| which(*uid));
        folder.mails = left;
        out
    }
}

fn search<'a>(uids: impl Iterator<Item = &'a u32>) -> String {
    let mut answer = "* SEARCH".to_owned();
    for uid in uids {
        write!(answer, " {uid}").unwrap();
    }
    answer + "\r\n"
}

fn updates(count: usize) -> String {
    let mut text = String::new();
    for n in 1..=count {
        write!(text, "* {} FETCH (FLAGS (\\Seen))\r\n", n % 5 + 1).unwrap();
    }
    text
}
