//! A Maildir: each file once, wherever it stands and whatever moves it.

use std::{
    collections::HashSet, fs, os::unix::fs::symlink, path::Path, process::Command, time::Duration,
};

use crate::support::daemon::unwatched;
use invoice_trackd::mailbox::{
    Content, Known, Link, MailboxError, Maildir, Origin, RawMessage, Source, Want,
};
use jiff::{Timestamp, civil::Date};
use tempfile::TempDir;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

fn maildir() -> TempDir {
    let directory = TempDir::new().unwrap();
    for folder in ["new", "cur", "tmp"] {
        fs::create_dir(directory.path().join(folder)).unwrap();
    }
    directory
}

async fn open(path: &Path) -> Link {
    source(path).open(&unwatched()).await.unwrap()
}

fn source(path: &Path) -> Source {
    source_since(path, None)
}

fn source_since(path: &Path, since: Option<Date>) -> Source {
    let name = "trial".to_owned();
    Source::Maildir(Maildir::new(name, path.to_owned(), POLL, since))
}

fn mail(subject: &str) -> Vec<u8> {
    format!("From: a@example.com\nSubject: {subject}\n\nGood day.\n").into_bytes()
}

fn known(files: &[&str]) -> Known {
    Known {
        files: files.iter().map(|&file| file.to_owned()).collect(),
        ..Known::default()
    }
}

fn file(message: &RawMessage) -> &str {
    match &message.origin {
        Origin::Maildir { mailbox, file } if mailbox == "trial" => file,
        _ => panic!("not from the Maildir: {message:?}"),
    }
}

async fn fetch(link: &mut Link, known: &Known) -> Vec<RawMessage> {
    let missing = link.survey(known).await.unwrap();
    let mut all = Vec::new();
    while let Some(batch) = link.next_batch(&|_, _| Want::Whole).await.unwrap() {
        all.extend(batch);
    }
    assert_eq!(all.len(), missing);
    all
}

#[tokio::test]
async fn files_in_new_and_cur_are_messages_and_nothing_else_is() {
    let directory = maildir();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("new/1.host"), mail("one")).unwrap();
    fs::write(at("cur/2.host,S=50:2,FS"), mail("two")).unwrap();
    fs::write(at("tmp/3.host"), mail("not yet")).unwrap();
    fs::write(at("new/.hidden"), mail("not a message")).unwrap();
    fs::create_dir(at("cur/directory")).unwrap();
    fs::create_dir(at("elsewhere")).unwrap();
    symlink(at("elsewhere"), at("cur/link")).unwrap();
    // Reading it would never end.
    let pipe = at("new/pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );

    let mut link = open(directory.path()).await;
    assert_eq!(link.uidvalidity(), None);
    let fetched = fetch(&mut link, &Known::default()).await;
    assert_eq!(
        fetched.iter().map(file).collect::<Vec<_>>(),
        ["1.host", "2.host,S=50"]
    );
    assert_eq!(fetched[0].content, Content::Whole(mail("one")));
    assert_eq!(fetched[0].size, mail("one").len() as u64);
    let written = fs::metadata(at("new/1.host")).unwrap().modified().unwrap();
    assert_eq!(
        fetched[0].internal_date.unwrap(),
        written.try_into().unwrap()
    );
}

#[tokio::test]
async fn a_message_that_is_known_or_moved_is_not_handed_over_again() {
    let directory = maildir();
    let at = |name: &str| directory.path().join(name);
    for name in ["new/1.host", "new/2.host", "new/3.host"] {
        fs::write(at(name), mail(name)).unwrap();
    }
    let mut link = open(directory.path()).await;
    fs::rename(at("new/1.host"), at("cur/1.host:2,S")).unwrap();
    let known = known(&["1.host", "3.host"]);
    let fetched = fetch(&mut link, &known).await;
    assert_eq!(fetched.iter().map(file).collect::<Vec<_>>(), ["2.host"]);
}

#[tokio::test]
async fn a_message_moved_or_removed_after_the_survey_is_followed_or_absent() {
    let directory = maildir();
    let at = |name: &str| directory.path().join(name);
    for name in ["new/1.host", "new/2.host", "new/3.host"] {
        fs::write(at(name), mail(name)).unwrap();
    }
    let mut link = open(directory.path()).await;
    assert_eq!(link.survey(&Known::default()).await.unwrap(), 3);
    fs::rename(at("new/1.host"), at("cur/1.host:2,S")).unwrap();
    fs::remove_file(at("new/2.host")).unwrap();
    let batch = link.next_batch(&|_, _| Want::Whole).await.unwrap().unwrap();
    assert_eq!(
        batch.iter().map(file).collect::<Vec<_>>(),
        ["1.host", "3.host"]
    );
    assert_eq!(batch[0].content, Content::Whole(mail("new/1.host")));

    assert_eq!(link.survey(&known(&["1.host"])).await.unwrap(), 1);
    fs::remove_file(at("new/3.host")).unwrap();
    assert_eq!(
        link.next_batch(&|_, _| Want::Whole).await.unwrap(),
        Some(Vec::new())
    );
    assert_eq!(link.next_batch(&|_, _| Want::Whole).await.unwrap(), None);
}

#[tokio::test]
async fn the_gate_sees_the_header_and_the_size_and_decides_what_is_read() {
    let directory = maildir();
    let at = |name: &str| directory.path().join(name);
    let mut large = mail("large");
    large.resize(200_000, b'x');
    let mut endless = b"Subject: endless\nX-Endless: ".to_vec();
    endless.resize(100_000, b'y');
    fs::write(at("new/1"), mail("other")).unwrap();
    fs::write(at("new/2"), &large).unwrap();
    fs::write(at("new/3"), &endless).unwrap();
    fs::write(at("new/4"), [&mail("wanted")[..], &[b'x'; 90_000]].concat()).unwrap();

    let mut link = open(directory.path()).await;
    link.survey(&Known::default()).await.unwrap();
    let gate = |header: &[u8], size: u64| {
        let header = String::from_utf8_lossy(header);
        assert!(!header.contains("Good day"), "the gate was shown a body");
        match size {
            _ if header.contains("Subject: other") => Want::Nothing,
            ..=99_999 => Want::Whole,
            _ => Want::TooLarge,
        }
    };
    let batch = link.next_batch(&gate).await.unwrap().unwrap();
    assert_eq!(batch[0].content, Content::Unwanted);
    let header = b"From: a@example.com\nSubject: large\n\n".to_vec();
    assert_eq!(
        (&batch[1].content, batch[1].size),
        (&Content::Oversized(header), 200_000)
    );
    assert_eq!(
        batch[2].content,
        Content::Oversized(endless[..64 << 10].to_vec())
    );
    assert!(
        matches!(&batch[3].content, Content::Whole(body) if body.len() as u64 == batch[3].size)
    );
}

#[tokio::test]
async fn what_stands_below_a_long_chain_of_relays_is_seen() {
    let directory = maildir();
    let at = |name: &str| directory.path().join(name);
    let below = |relays: usize| {
        let mut header = "Received: by a relay\n".repeat(relays / 21).into_bytes();
        header.extend(b"Subject: wanted\n\n");
        header
    };
    let long = below(200_000);
    fs::write(at("new/1"), [&long[..], b"Good day.\n"].concat()).unwrap();
    fs::write(at("new/2"), [&long[..], &[b'x'; 2_000_000]].concat()).unwrap();
    fs::write(at("new/3"), below(2_000_000)).unwrap();
    // A header that is all there is not looked for in the body.
    let body = b"From: a@example.com\n\nSubject: wanted\n\n".to_vec();
    fs::write(at("new/4"), [&body[..], &[b'x'; 90_000]].concat()).unwrap();

    let mut link = open(directory.path()).await;
    link.survey(&Known::default()).await.unwrap();
    let gate = |header: &[u8], size: u64| match String::from_utf8_lossy(header)
        .contains("Subject: wanted")
    {
        false => Want::Nothing,
        true if size > 1_000_000 => Want::TooLarge,
        true => Want::Whole,
    };
    let batch = link.next_batch(&gate).await.unwrap().unwrap();
    assert!(
        matches!(&batch[0].content, Content::Whole(body) if body.len() as u64 == batch[0].size)
    );
    assert_eq!(batch[1].content, Content::Oversized(long));
    assert_eq!(batch[2].content, Content::Unwanted);
    assert_eq!(batch[3].content, Content::Unwanted);
}

#[tokio::test]
async fn many_messages_come_in_batches_and_each_once() {
    let directory = maildir();
    for n in 0..250 {
        fs::write(directory.path().join(format!("new/{n:03}")), mail("many")).unwrap();
    }
    let mut link = open(directory.path()).await;
    assert_eq!(link.survey(&Known::default()).await.unwrap(), 250);
    let mut seen = HashSet::new();
    let mut batches = 0;
    while let Some(batch) = link.next_batch(&|_, _| Want::Whole).await.unwrap() {
        assert!(batch.len() <= 100);
        batches += 1;
        for message in &batch {
            assert!(
                seen.insert(file(message).to_owned()),
                "{} came twice",
                file(message)
            );
        }
    }
    assert_eq!((seen.len(), batches), (250, 3));
}

#[tokio::test]
async fn a_heavy_batch_is_a_short_one() {
    let directory = maildir();
    for n in 0..3 {
        fs::write(
            directory.path().join(format!("new/{n}")),
            vec![b'x'; 3 << 20],
        )
        .unwrap();
    }
    let mut link = open(directory.path()).await;
    link.survey(&Known::default()).await.unwrap();
    let mut sizes = Vec::new();
    while let Some(batch) = link.next_batch(&|_, _| Want::Whole).await.unwrap() {
        sizes.push(batch.len());
    }
    assert_eq!(sizes, [2, 1]);
}

#[tokio::test]
async fn the_wait_ends_when_a_message_comes_and_not_when_one_is_moved() {
    let directory = maildir();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("new/1.host"), mail("one")).unwrap();
    let mut link = open(directory.path()).await;
    fetch(&mut link, &Known::default()).await;

    fs::rename(at("new/1.host"), at("cur/1.host:2,S")).unwrap();
    timeout(POLL * 10, link.wait(Duration::MAX))
        .await
        .expect_err("a move ended the wait");

    let delivered = async {
        tokio::task::yield_now().await;
        fs::write(at("tmp/2.host"), mail("two")).unwrap();
        fs::rename(at("tmp/2.host"), at("new/2.host")).unwrap();
    };
    let (waited, ()) = tokio::join!(timeout(DEADLINE, link.wait(Duration::MAX)), delivered);
    waited.expect("the new message was not seen").unwrap();
    let fetched = fetch(&mut link, &known(&["1.host"])).await;
    assert_eq!(fetched.iter().map(file).collect::<Vec<_>>(), ["2.host"]);

    // Delivered after the survey and before the wait.
    fs::write(at("new/3.host"), mail("three")).unwrap();
    timeout(DEADLINE, link.wait(Duration::MAX))
        .await
        .expect("it was waited for")
        .unwrap();
}

#[tokio::test]
async fn what_is_no_maildir_cannot_be_opened_and_one_that_goes_away_is_an_error() {
    let nothing = TempDir::new().unwrap();
    let error = source(nothing.path()).open(&unwatched()).await.unwrap_err();
    assert!(matches!(error, MailboxError::Io { .. }), "{error:?}");
    assert!(error.to_string().starts_with("list "), "{error}");

    let directory = maildir();
    let mut link = open(directory.path()).await;
    fs::remove_dir(directory.path().join("cur")).unwrap();
    for error in [
        link.survey(&Known::default()).await.unwrap_err(),
        link.wait(Duration::MAX).await.unwrap_err(),
    ] {
        assert!(matches!(error, MailboxError::Io { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_file_from_before_since_is_left_out() {
    let directory = maildir();
    for (name, written) in [
        ("old", "2025-12-31T15:59:59Z"),
        ("new", "2025-12-31T16:00:00Z"),
    ] {
        let path = directory.path().join("new").join(name);
        fs::write(&path, mail(name)).unwrap();
        let written: Timestamp = written.parse().unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(written.into()).unwrap();
    }
    let since = |year| Some(Date::constant(year, 1, 1));
    let mut found: Vec<Vec<String>> = Vec::new();
    for since in [since(2026), since(2025), None] {
        let mut link = source_since(directory.path(), since)
            .open(&unwatched())
            .await
            .unwrap();
        let messages = fetch(&mut link, &Known::default()).await;
        found.push(messages.iter().map(|m| file(m).to_owned()).collect());
    }
    // An earlier day brings back what was left out.
    let both = || vec!["new".to_owned(), "old".to_owned()];
    assert_eq!(found, [vec!["new".to_owned()], both(), both()]);
}

#[tokio::test]
async fn one_file_that_cannot_be_read_holds_up_no_other_and_is_said() {
    let directory = maildir();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("new/1.host"), mail("one")).unwrap();
    fs::write(at("new/2.host"), mail("two")).unwrap();
    fs::write(at("new/3.host"), mail("three")).unwrap();

    let mut link = open(directory.path()).await;
    link.survey(&Known::default()).await.unwrap();
    // A directory opens like a file and cannot be read like one, whoever asks.
    fs::remove_file(at("new/2.host")).unwrap();
    fs::create_dir(at("new/2.host")).unwrap();
    let batch = link.next_batch(&|_, _| Want::Whole).await.unwrap().unwrap();
    assert_eq!(
        batch.iter().map(file).collect::<Vec<_>>(),
        ["1.host", "3.host"]
    );
    let error = link.next_batch(&|_, _| Want::Whole).await.unwrap_err();
    assert!(error.to_string().contains("new/2.host"), "{error}");
}

#[tokio::test]
async fn what_is_not_written_yet_is_no_message() {
    let directory = maildir();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("new/1.host"), "").unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(at("new/2.host"))
            .status()
            .unwrap()
            .success()
    );
    let mut link = open(directory.path()).await;
    link.survey(&Known::default()).await.unwrap();
    let batch = timeout(DEADLINE, link.next_batch(&|_, _| Want::Nothing))
        .await
        .expect("hangs");
    assert_eq!(batch.unwrap().unwrap_or_default(), []);

    fs::write(at("new/1.host"), mail("one")).unwrap();
    let fetched = fetch(&mut link, &Known::default()).await;
    assert_eq!(fetched.iter().map(file).collect::<Vec<_>>(), ["1.host"]);
}
