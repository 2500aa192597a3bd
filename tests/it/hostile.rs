//! Mail that is written to do harm, under the real binary: it ends in one disposition and at most
//! one alert of bounded size, takes little memory, and holds up no notice behind it.
//!
//! Left out on purpose: how long each kind takes, which `benches/hostile.rs` states; what takes
//! minutes here, fails by its deadline.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::support::{
    daemon::{COMPANY, House, Notice, PROGRAM, Running, maildir},
    dovecot::{self, Dovecot},
    hostile::{KINDS, Kind, notice_of, text},
    is_long,
};

const MAILDIR: &str = r#"
[[mailbox]]
name = "m"
kind = "maildir"
path = "@ROOT@/mailbox"
company = "53567686"
"#;

/// `max_message_bytes` unless somebody sets it, and room for the header around what is written.
const SIZE: usize = (1 << 20) - 4096;

/// A mail of this size claims to be a notice.
const HUGE: u64 = 100 << 20;

/// What an ordinary day takes, twice over: less than [`HUGE`].
const MOST_KIBIBYTES: u64 = 96 << 10;

/// What the worst of the hostile takes, with a batch of 4 MiB around it, twice over.
const MOST_OF_HOSTILE: u64 = 256 << 10;

/// For as long one batch may take without optimisation, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// No letter is longer, whatever it tells of.
const LETTER: usize = 64 << 10;

/// Waits for one message after another, each in its time, until there are `count`.
async fn accounted(house: &House, daemon: &Running, count: u64) {
    let total = async || house.counts().await.values().sum::<u64>();
    let mut seen = 0;
    let mut deadline = Instant::now() + PATIENCE;
    loop {
        let now = total().await;
        if now > seen {
            seen = now;
            deadline = Instant::now() + PATIENCE;
        }
        if seen >= count {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{seen} of {count} after all patience, {} KiB\n{}",
            daemon.kibibytes("VmRSS"),
            house.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A mail of this kind, as large as may be. Without optimisation what takes a tenth of a second takes
/// ten: such a kind is written smaller.
fn written(kind: &Kind) -> Vec<u8> {
    let small = kind.is_slow && !is_long();
    (kind.write)(if small { SIZE / 4 } else { SIZE })
}

/// An ordinary notice that stands behind what is hostile.
fn next_notice() -> Vec<u8> {
    let notice = Notice {
        track: "ZZ",
        message_id: "next@einvoice.nat.gov.tw",
        ..Notice::default()
    };
    notice.eml()
}

/// The letters that went out; their headers' encoded words are left as they are.
fn letters(house: &House) -> Vec<String> {
    let files = fs::read_dir(house.path("sent")).unwrap();
    files
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect()
}

/// What is told of: each message at most once, all letters of bounded length.
async fn nothing_is_told_twice(house: &House, alerts: usize) {
    house
        .until("no letter waits", || async {
            let outbox = house.outbox().await;
            outbox.get("pending").is_none_or(|waiting| *waiting == 0) && !letters(house).is_empty()
        })
        .await;
    let letters = letters(house);
    assert!(letters.len() <= alerts + 1, "{} letters", letters.len());
    for letter in letters {
        assert!(letter.len() <= LETTER, "a letter of {} bytes", letter.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_mail_of_every_kind_ends_in_one_thing_and_holds_up_nothing() {
    let house = House::with_mail(&format!("{COMPANY}{MAILDIR}"));
    maildir(&house.path("mailbox"));
    for (number, kind) in KINDS.iter().enumerate() {
        house.write(&format!("mailbox/new/{number:03}"), written(kind));
    }
    house.write("mailbox/new/next", next_notice());

    let daemon = house.run(&[]);
    let all = KINDS.len() as u64 + 1;
    accounted(&house, &daemon, all).await;
    let most = daemon.kibibytes("VmHWM");
    assert!(most < MOST_OF_HOSTILE, "{most} KiB");

    let (_, listed) = house.json(&["quarantine", "list", "--json"]);
    let listed = listed.as_array().unwrap();
    assert_eq!(house.messages("quarantined").await, listed.len() as u64);
    assert_eq!(house.counts().await.values().sum::<u64>(), all);
    assert!(
        house.log().matches(" message ").count() <= all as usize,
        "{}",
        house.log()
    );
    let tracks: BTreeSet<String> = house
        .allocations()
        .await
        .iter()
        .map(|row| row.allocation.block.track.as_str().to_owned())
        .collect();
    assert!(tracks.contains("ZZ"), "{tracks:?}");
    nothing_is_told_twice(&house, KINDS.len()).await;
}

/// The beginning of a mail that claims to be a notice.
fn beginning() -> Vec<u8> {
    text("貴公司(53567686)\r\n")
}

/// A file of [`HUGE`] bytes that takes no room on the disk: NULs behind `beginning`.
fn huge(path: &Path, beginning: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.write_all(beginning).unwrap();
    file.set_len(HUGE).unwrap();
}

/// What a process has read so far, bytes.
fn bytes_read(daemon: &Running) -> u64 {
    let counts = daemon.seen_by_root(&["cat"], "io");
    let count = counts.strip_prefix("rchar: ").unwrap();
    count.lines().next().unwrap().parse().unwrap()
}

/// The one mail that waits, with its one defect.
async fn only_oversized(house: &House) {
    let (_, listed) = house.json(&["quarantine", "list", "--json"]);
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(listed[0].to_string().contains("oversized"), "{listed:?}");
    assert_eq!(house.allocations().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_100_megabytes_in_a_maildir_is_not_read_in_full() {
    let house = House::with_mail(&format!("{COMPANY}{MAILDIR}"));
    maildir(&house.path("mailbox"));
    huge(&house.path("mailbox/new/1"), &beginning());
    house.write("mailbox/new/2", next_notice());
    let daemon = house.run(&[]);
    accounted(&house, &daemon, 2).await;
    let (most, read) = (daemon.kibibytes("VmHWM"), bytes_read(&daemon));
    assert!(most < MOST_KIBIBYTES, "{most} KiB");
    assert!(read < HUGE / 10, "{read} bytes read");
    only_oversized(&house).await;
    nothing_is_told_twice(&house, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_of_100_megabytes_on_a_server_is_not_fetched_in_full() {
    let dovecot = Dovecot::start();
    let mut mail = beginning();
    mail.resize(HUGE as usize, b'x');
    dovecot.deliver("user1", "INBOX", &mail);
    drop(mail);
    dovecot.deliver("user1", "INBOX", &next_notice());
    let house = House::with_mail(&format!(
        "{COMPANY}{}company = \"53567686\"\n",
        dovecot.mailbox("m", "user1")
    ));
    let daemon = house.run(&[("TEST_IMAP_PASSWORD", dovecot::PASSWORD)]);
    accounted(&house, &daemon, 2).await;
    let most = daemon.kibibytes("VmHWM");
    assert!(most < MOST_KIBIBYTES, "{most} KiB");
    only_oversized(&house).await;
    nothing_is_told_twice(&house, 1).await;
    // As the server counts it when the connection ends.
    assert_eq!(daemon.terminate(Duration::from_secs(30)), Some(0));
    let sent = || {
        let log = dovecot.log();
        let (_, after) = log.rsplit_once(" out=")?;
        after
            .split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse::<u64>()
            .ok()
    };
    house
        .until("the server says what it sent", || async {
            sent().is_some()
        })
        .await;
    assert!(sent().unwrap() < HUGE / 10, "{:?} bytes sent", sent());
}

/// A command that may take no more than [`MOST_KIBIBYTES`] of memory, stacks included.
fn frugal(house: &House, arguments: &[&str], input: Stdio) -> Output {
    let child = Command::new("sh")
        .args([
            "-c",
            &format!("ulimit -d {MOST_KIBIBYTES}; exec \"$@\""),
            "sh",
            PROGRAM,
        ])
        .arg("--config")
        .arg(house.path("config.toml"))
        .args(arguments)
        .env_remove("RUST_LOG")
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn the_commands_do_not_take_a_file_of_100_megabytes_into_memory() {
    let house = House::with_mail(COMPANY);
    let path = house.path("huge.eml");
    huge(&path, &beginning());
    let file = path.to_str().unwrap();

    let named = frugal(&house, &["explain", "--json", file], Stdio::null());
    let given = frugal(
        &house,
        &["explain", "--json", "-"],
        File::open(&path).unwrap().into(),
    );
    for explained in [named, given] {
        let said = String::from_utf8_lossy(&explained.stdout);
        assert_eq!(explained.status.code(), Some(65), "{explained:?}");
        assert!(said.contains("oversized"), "{said}");
    }
    let taken = frugal(&house, &["ingest", "--json", file], Stdio::null());
    assert!(taken.status.success(), "{taken:?}");
    assert_eq!(house.messages("quarantined").await, 1);
}

#[tokio::test]
async fn a_message_of_100_megabytes_in_an_mbox_does_not_hide_the_next() {
    let house = House::with_mail(COMPANY);
    let separator = b"From x@example.com Fri Apr 20 09:00:00 2018\n";
    let path = house.path("mail.mbox");
    huge(&path, &[separator, &beginning()[..]].concat());
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b"\n\n").unwrap();
    file.write_all(separator).unwrap();
    file.write_all(&next_notice()).unwrap();
    drop(file);
    let taken = frugal(&house, &["ingest", path.to_str().unwrap()], Stdio::null());
    assert!(taken.status.success(), "{taken:?}");
    only_oversized(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_headers_on_a_server_hold_up_nothing() {
    let in_header = [
        "From",
        "To",
        "header",
        "Received",
        "subject",
        "encoded",
        "multipart",
    ];
    let mut mails: Vec<Vec<u8>> = KINDS
        .iter()
        .filter(|kind| in_header.iter().any(|word| kind.name.contains(word)))
        .map(written)
        .collect();
    let hostile = mails.len();
    assert!(hostile > 12, "{hostile} kinds");
    mails.push(next_notice());
    let dovecot = Dovecot::start();
    dovecot.deliver_all("user1", &mails);
    drop(mails);
    let house = House::with_mail(&format!(
        "{COMPANY}{}company = \"53567686\"\n",
        dovecot.mailbox("m", "user1")
    ));
    let daemon = house.run(&[("TEST_IMAP_PASSWORD", dovecot::PASSWORD)]);
    accounted(&house, &daemon, hostile as u64 + 1).await;
    let most = daemon.kibibytes("VmHWM");
    assert!(most < MOST_OF_HOSTILE, "{most} KiB");
    assert_eq!(
        house.counts().await.values().sum::<u64>(),
        hostile as u64 + 1
    );
    let recorded = house.allocations().await;
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0].allocation.block.track.as_str(), "ZZ");
    nothing_is_told_twice(&house, hostile).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_ranges_as_are_read_are_recorded_whole_and_one_more_is_none() {
    let house = House::with_mail(&format!("{COMPANY}{MAILDIR}"));
    maildir(&house.path("mailbox"));
    house.write("mailbox/new/1", notice_of(2001));
    house.write("mailbox/new/2", notice_of(2000));
    house.write("mailbox/new/3", next_notice());
    let daemon = house.run(&[]);
    accounted(&house, &daemon, 3).await;
    assert_eq!(house.messages("quarantined").await, 1);
    assert_eq!(house.messages("imported").await, 2);
    assert_eq!(house.allocations().await.len(), 2001);
    house
        .until("all three are told of", || async {
            letters(&house).len() == 3
        })
        .await;
    assert!(letters(&house).iter().all(|letter| letter.len() < 1 << 20));
}
