//! The long haul, in minutes: the real binary takes in a notice every few milliseconds and loses
//! its mailboxes a thousand times, in one process.
//!
//! Left out on purpose: how fast it is, which says nothing on a machine that is busy with other
//! tests. Guarantee: what is looked at is looked at in quiet, when everything that was sent is
//! recorded, every mail has gone out and every mailbox is open; a leak never becomes quiet enough.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{Connection as _, SqliteConnection};

use crate::{
    end_to_end::{SECRETS, imap_mailbox, mail, message_ids},
    support::{
        daemon::{COMPANY, House, Notice, Running},
        dovecot::Dovecot,
        exim::Exim,
        is_long,
    },
};

const MAILBOXES: usize = 8;

/// In each round so many notices come, and every mailbox is opened anew once.
const NOTICES: usize = 160;

/// Quiet is waited for after so many rounds.
const STRETCH: usize = 5;

/// The stretches that end with notice 2,400 to 4,000: by then all has been taken that is taken once.
const WARM: std::ops::Range<usize> = 2..5;

/// A round takes a second or two; much longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What four connections have open, each the ledger and its journal, and what they share: the
/// journal's index, the lock and the file as it was opened.
const FULL_POOL: u64 = 2 * 4 + 3;

fn rounds() -> usize {
    if is_long() { 1_250 } else { 125 }
}

/// What the process holds while it has nothing to do.
#[derive(Debug, Clone, Copy)]
struct Quiet {
    anonymous: u64,
    resident: u64,
    files: u64,
    ledger_files: u64,
    threads: u64,
    wal: u64,
}

impl Quiet {
    /// Whether there is more open or running than there was.
    fn holds_more_than(&self, before: &Self) -> bool {
        self.files > before.files
            // A pool of connections fills when it must, and stays so.
            || self.ledger_files > before.ledger_files.max(FULL_POOL)
            || self.threads > before.threads
    }
}

/// Who closes the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Close {
    /// The daemon, told to look back to another day.
    Daemon,
    /// The server, which ends its processes.
    Server,
}

/// The daemon and all that is outside it.
struct Soak {
    house: House,
    dovecot: Arc<Dovecot>,
    exim: Exim,
    sql: Option<SqliteConnection>,
}

impl Soak {
    fn new() -> Self {
        let soak = Self {
            dovecot: Arc::new(Dovecot::start()),
            exim: Exim::start(),
            house: House::new(""),
            sql: None,
        };
        soak.configure(0);
        soak
    }

    /// Another day in every round, so that no connection may stay; and now and then each notice is
    /// confirmed by itself.
    fn configure(&self, round: usize) {
        let since = format!("since = \"2020-01-{:02}\"\n", 1 + round % 2);
        let confirm = if round % 40 == 9 { "each" } else { "digest" };
        let mailboxes: String = (0..MAILBOXES)
            .map(|n| imap_mailbox(&format!("m{n}"), &format!("user{n}"), &self.dovecot) + &since)
            .collect();
        let mail = mail(&self.exim).replace(
            "[mail.smtp]",
            &format!("confirm = \"{confirm}\"\nconfirm_window = \"1s\"\n[mail.smtp]"),
        );
        self.house.configure(&format!("{COMPANY}{mailboxes}{mail}"));
    }

    /// One answer from the ledger, past the pool of the daemon.
    async fn count(&mut self, query: &'static str) -> usize {
        let sql = match &mut self.sql {
            Some(sql) => sql,
            none => {
                let path = self.house.path("ledger.db");
                let url = format!("sqlite://{}?mode=ro", path.display());
                none.insert(SqliteConnection::connect(&url).await.unwrap())
            }
        };
        let count: i64 = sqlx::query_scalar(query).fetch_one(sql).await.unwrap();
        usize::try_from(count).unwrap()
    }

    /// How often the daemon has logged in to each mailbox; whoever delivers does so without TLS.
    fn logins(&self) -> [usize; MAILBOXES] {
        let log = self.dovecot.log();
        let mut logins = [0; MAILBOXES];
        for line in log.lines().filter(|line| line.contains(", TLS")) {
            if let Some((_, after)) = line.split_once(" Login: user=<user") {
                let (user, _) = after.split_once('>').unwrap();
                logins[user.parse::<usize>().unwrap()] += 1;
            }
        }
        logins
    }

    fn fail(&self, what: &str) -> ! {
        let log = self.house.log();
        let told = log.lines().filter(|line| !line.contains(" message "));
        let last: Vec<&str> = told.rev().take(40).collect();
        panic!("waited for {what} in vain; the log, last line first:\n{last:#?}");
    }

    /// Every mailbox has been opened anew since the server had counted `before`.
    async fn until_opened(&self, before: [usize; MAILBOXES], close: Close, daemon: &Running) {
        let deadline = Instant::now() + PATIENCE;
        let mut again = Instant::now() + PATIENCE / 10;
        loop {
            let logins = self.logins();
            if (logins.iter().zip(before)).all(|(now, before)| *now > before) {
                return;
            }
            if Instant::now() > deadline {
                self.fail(&format!("logins after {before:?}, {logins:?} by now"));
            }
            // On a busy machine a reload can take too long and be refused, and Dovecot overlooks a
            // connection of which it has not yet heard by itself.
            if Instant::now() > again {
                match close {
                    Close::Daemon => daemon.reload(),
                    Close::Server => self.dovecot.kick("user*"),
                }
                again += PATIENCE / 10;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Nothing is in hand any more: so many notices are recorded, and no mail waits.
    async fn until_quiet(&mut self, imported: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let recorded = self
                .count("SELECT count(*) FROM message WHERE disposition = 'imported'")
                .await;
            let waiting = self
                .count(
                    "SELECT (SELECT count(*) FROM news WHERE outbox_id IS NULL)
                         + (SELECT count(*) FROM outbox WHERE state IN ('pending', 'sending'))",
                )
                .await;
            if recorded >= imported && waiting == 0 {
                return;
            }
            if Instant::now() > deadline {
                self.fail(&format!(
                    "{imported} notices ({recorded} came) and no mail that waits ({waiting} do)"
                ));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn look(&self, daemon: &Running) -> Quiet {
        // One may be closed meanwhile, of which `find` says nothing here.
        let files = daemon.seen_by_root(&["find", "-type", "l", "-printf", "%l\\n"], "fd");
        let files: Vec<&str> = files.lines().collect();
        let ledger = files.iter().filter(|target| target.contains("/ledger.db"));
        let ledger_files = ledger.count() as u64;
        Quiet {
            anonymous: daemon.kibibytes("RssAnon"),
            resident: daemon.kibibytes("VmRSS"),
            files: files.len() as u64 - ledger_files,
            ledger_files,
            threads: daemon.kibibytes("Threads"),
            wal: size(&self.house.path("ledger.db-wal")),
        }
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// The `n`th notice of all: neighbours in number are far apart in time, so that each new range
/// comes between recorded ones.
fn notice(n: usize) -> Vec<u8> {
    let (track, begin) = range(n);
    Notice {
        track: &track,
        message_id: &format!("{n}@einvoice.nat.gov.tw"),
        begin,
        booklets: 1,
        ..Notice::default()
    }
    .eml()
}

/// Its track and first number.
fn range(n: usize) -> (String, u32) {
    let place = u32::try_from(n * 7_919 % (rounds() * NOTICES)).unwrap();
    let letter = char::from(b'A' + u8::try_from(place % 26).unwrap());
    (format!("S{letter}"), place / 26 * 50)
}

/// What one round brings: its notices, one from the round before once more, and something else.
fn post(round: usize) -> Vec<Vec<u8>> {
    let first = round * NOTICES;
    let mut mails: Vec<_> = (first..first + NOTICES).map(notice).collect();
    mails.push(notice(first.saturating_sub(NOTICES)));
    mails.push(b"From: a@b.example\r\nSubject: lunch\r\n\r\nat noon?\r\n".to_vec());
    mails
}

/// The ranges in the files that were mailed, each with how often.
fn confirmed(mails: &[String]) -> BTreeMap<(String, u32), usize> {
    let mut ranges = BTreeMap::new();
    for mail in mails {
        let mail = mail_parser::MessageParser::default().parse(mail).unwrap();
        let file = mail.attachment(0).expect("only confirmations were due");
        let text = String::from_utf8(file.contents().to_vec()).unwrap();
        for line in text.lines().skip(1) {
            let columns: Vec<&str> = line.split(',').collect();
            let range = (columns[4].to_owned(), columns[5].parse().unwrap());
            *ranges.entry(range).or_default() += 1;
        }
    }
    ranges
}

/// The memory in the middle: one look may meet a moment in which something is in hand after all.
fn median(looks: &[Quiet]) -> u64 {
    let mut values: Vec<u64> = looks.iter().map(|look| look.resident).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_notices_and_a_thousand_connections_leave_nothing_behind() {
    let mut soak = Soak::new();
    // As the unit has it.
    let environment = [SECRETS, &[("MALLOC_ARENA_MAX", "2")]].concat();
    let daemon = soak.house.run(&environment);
    soak.until_opened([0; MAILBOXES], Close::Daemon, &daemon)
        .await;
    let (mut looks, mut reloads, mut kicks) = (Vec::new(), 0, 0);
    let mut began = Instant::now();
    for round in 0..rounds() {
        let logins = soak.logins();
        let (dovecot, user) = (
            Arc::clone(&soak.dovecot),
            format!("user{}", round % MAILBOXES),
        );
        let delivering =
            tokio::task::spawn_blocking(move || dovecot.deliver_all(&user, &post(round)));
        let close = match round % STRETCH {
            4 => Close::Server,
            _ => Close::Daemon,
        };
        match close {
            Close::Daemon => {
                reloads += 1;
                soak.configure(reloads);
                daemon.reload();
                delivering.await.unwrap();
            }
            Close::Server => {
                // Earlier it would cut off the delivery as well.
                delivering.await.unwrap();
                kicks += 1;
                soak.dovecot.kick("user*");
            }
        }
        soak.until_opened(logins, close, &daemon).await;
        if round % STRETCH == STRETCH - 1 {
            soak.until_quiet((round + 1) * NOTICES).await;
            let look = soak.look(&daemon);
            // Past the harness, which shows what a test prints only when it fails.
            writeln!(
                std::io::stderr(),
                "{} notices, the last {} in {:.1?}: {} KiB, of which {} are not mapped from files; {look:?}",
                (round + 1) * NOTICES,
                STRETCH * NOTICES,
                began.elapsed(),
                look.resident,
                look.anonymous,
            )
            .unwrap();
            looks.push(look);
            began = Instant::now();
        }
    }

    // Threads for files and names are let go after a while of doing nothing.
    let warm = &looks[WARM];
    let deadline = Instant::now() + PATIENCE;
    while warm
        .iter()
        .all(|look| soak.look(&daemon).holds_more_than(look))
    {
        assert!(
            Instant::now() < deadline,
            "files, connections or threads: {warm:#?} before, {:#?} now",
            soak.look(&daemon)
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What is mapped from files counts as well. Without it, some 10 MB are left, of which the
    // allocator keeps one more or one less after a busy moment; 200 bytes a notice would show here.
    let end = &looks[looks.len() - 3..];
    let (before, after) = (median(warm), median(end));
    assert!(
        after * 10 <= before * 11,
        "memory grew from {before} KiB to {after} KiB, more than a tenth: {looks:#?}"
    );
    // SQLite begins it anew at 1000 pages, 4 MB, whenever nobody reads from it.
    let wal = looks.iter().map(|look| look.wal).max().unwrap();
    assert!(
        wal < 16 << 20,
        "the write-ahead log has grown to {wal} bytes"
    );
    assert_eq!(size(&soak.house.path("ledger.db.lock")), 1024);

    // Nothing lost, nothing doubled.
    let logins: usize = soak.logins().iter().sum();
    assert!(logins >= rounds() * MAILBOXES, "{logins} logins");
    let total = rounds() * NOTICES;
    let (each, once) = (total as u64, rounds() as u64);
    let counts = soak.house.counts().await;
    let expected = [
        ("duplicate", once),
        ("imported", each),
        ("quarantined", 0),
        ("unrelated", once),
        ("waiting", 0),
    ];
    assert_eq!(
        counts,
        expected.map(|(word, n)| (word.to_owned(), n)).into()
    );
    let expected: BTreeMap<_, _> = (0..total).map(|n| (range(n), 1)).collect();
    let mut recorded = BTreeMap::new();
    for row in soak.house.allocations().await {
        assert_eq!(row.withdrawn_at, None);
        let block = row.allocation.block;
        let begin = block.range.begin().to_string().parse().unwrap();
        *recorded
            .entry((block.track.to_string(), begin))
            .or_default() += 1;
    }
    assert!(recorded == expected, "{} ranges recorded", recorded.len());

    let outbox = soak.house.outbox().await;
    let letters = outbox.values().sum::<u64>();
    assert_eq!(outbox["sent"], letters, "{outbox:?}");
    let letters = usize::try_from(letters).unwrap();
    let mails = soak.exim.mails(letters).await;
    assert_eq!((mails.len(), message_ids(&mails).len()), (letters, letters));
    let confirmed = confirmed(&mails);
    assert!(
        confirmed == expected,
        "{} ranges confirmed",
        confirmed.len()
    );
    assert!(letters > NOTICES, "some were confirmed by themselves");

    // And all of it stands when the process has gone.
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
    let bytes = size(&soak.house.path("ledger.db"));
    writeln!(
        std::io::stderr(),
        "{total} notices, {logins} logins ({reloads} reloads, {kicks} times cut off by the server), \
         {letters} mails; {} bytes of ledger a notice; write-ahead log {wal} bytes at most",
        bytes / each
    )
    .unwrap();
}
