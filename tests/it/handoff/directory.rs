//! Files in a directory: which, for whom, and each once.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
};

use invoice_trackd::{
    delivery::{Attempt, Unreachable},
    platform::{self, Source},
};

use super::*;

/// Names that a consumer sees, in order.
pub(super) fn visible(place: &Path) -> Vec<String> {
    let names = fs::read_dir(place).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

async fn hands(place: &Path, formats: &[Format], event: Event) -> Result<Attempt, Unreachable> {
    let from = style().from.address;
    let letter = letter(event, "EC");
    let within = Duration::from_secs(20);
    to_directory(place, formats)
        .send(&from, &letter, now(), within)
        .await
}

#[tokio::test]
async fn an_import_is_one_file_a_format_and_each_is_what_its_reader_expects() {
    let place = tempfile::tempdir().unwrap();
    let attempt = hands(place.path(), &Format::ALL, Event::Imported).await;
    assert_eq!(attempt.unwrap().accepted.len(), 1);
    let letter = letter(Event::Imported, "EC");
    let id = &letter.message_id;
    let expected = ["csv", "json", "xml"].map(|extension| format!("{id}.{extension}"));
    assert_eq!(visible(place.path()), expected);
    for (name, source) in [("csv", Source::Csv), ("xml", Source::E0501)] {
        let path = place.path().join(format!("{id}.{name}"));
        let file = platform::read(source, &fs::read(&path).unwrap()).unwrap();
        let [row] = &file.rows[..] else {
            panic!("{file:?}")
        };
        assert_eq!(row.allocation.block.range.to_string(), "22628000-22634399");
        assert_eq!(row.allocation.block.track.as_str(), "EC");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "another user reads it");
    }
    let json = fs::read(place.path().join(format!("{id}.json"))).unwrap();
    assert_eq!(json, letter.eml);
}

#[tokio::test]
async fn a_withdrawal_is_json_only_so_that_nobody_loads_it() {
    for formats in [&Format::ALL[..], &[Format::Csv]] {
        let place = tempfile::tempdir().unwrap();
        hands(place.path(), formats, Event::Withdrawn)
            .await
            .unwrap();
        let [only] = &visible(place.path())[..] else {
            panic!("{:?}", visible(place.path()))
        };
        assert!(only.ends_with(".json"), "{only}");
    }
}

#[tokio::test]
async fn what_was_taken_away_does_not_come_back() {
    let place = tempfile::tempdir().unwrap();
    hands(place.path(), &Format::ALL, Event::Imported)
        .await
        .unwrap();
    for name in visible(place.path()) {
        fs::remove_file(place.path().join(name)).unwrap();
    }
    hands(place.path(), &Format::ALL, Event::Imported)
        .await
        .unwrap();
    assert_eq!(visible(place.path()), [""; 0]);
}

#[tokio::test]
async fn half_a_file_of_a_format_that_is_wanted_no_more_never_appears() {
    let place = tempfile::tempdir().unwrap();
    let id = letter(Event::Imported, "EC").message_id;
    let hidden = place.path().join(".invoice-trackd");
    fs::create_dir(&hidden).unwrap();
    fs::write(hidden.join(format!("{id}.xml")), "<?xml vers").unwrap();
    hands(place.path(), &[Format::Csv], Event::Imported)
        .await
        .unwrap();
    assert_eq!(visible(place.path()), [format!("{id}.csv")]);
}

/// Only root can be in the way of somebody else; without root there is nothing to see.
#[tokio::test]
async fn what_root_has_begun_the_service_can_go_on_with() {
    let place = tempfile::tempdir().unwrap();
    if chown(place.path(), Some(40_123), Some(40_124)).is_err() {
        return;
    }
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o770)).unwrap();
    hands(place.path(), &[Format::Csv], Event::Imported)
        .await
        .unwrap();
    let hidden = place.path().join(".invoice-trackd");
    for made in [hidden.join("lock"), hidden] {
        let found = fs::metadata(&made).unwrap();
        let whose = (found.uid(), found.gid(), found.mode() & 0o777);
        assert_eq!(whose, (40_123, 40_124, 0o770), "{made:?}");
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_not_made() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("inbox");
    let trouble = hands(&place, &Format::ALL, Event::Imported).await;
    let words = trouble.unwrap_err().to_string();
    assert!(
        words.contains("expected a directory that exists"),
        "{words}"
    );
    assert!(!place.exists());
    // A file is none either.
    fs::write(&place, b"").unwrap();
    assert!(hands(&place, &Format::ALL, Event::Imported).await.is_err());
}

#[tokio::test]
async fn while_an_earlier_attempt_is_being_made_there_is_no_second() {
    let place = tempfile::tempdir().unwrap();
    hands(place.path(), &[Format::Csv], Event::Imported)
        .await
        .unwrap();
    let held = fs::File::open(place.path().join(".invoice-trackd/lock")).unwrap();
    held.lock().unwrap();
    let trouble = hands(place.path(), &[Format::Csv], Event::Withdrawn).await;
    let words = trouble.unwrap_err().to_string();
    assert!(words.contains("still being made"), "{words}");
    drop(held);
    hands(place.path(), &[Format::Csv], Event::Withdrawn)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_no_id_of_ours_names_no_file() {
    let place = tempfile::tempdir().unwrap();
    let transport = to_directory(place.path(), &[Format::Json]);
    for id in ["", "../msg_1", "msg_1/../../x", ".msg_1", "<a@b.example>"] {
        let mut letter = letter(Event::Imported, "EC");
        letter.message_id = id.to_owned();
        let within = Duration::from_secs(20);
        let sent = transport
            .send(&style().from.address, &letter, now(), within)
            .await;
        let words = format!("{:?}", sent.unwrap_err());
        assert!(words.contains("expected a webhook-id of ours"), "{words}");
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_hidden_directory_that_is_a_link_is_not_followed_and_what_waits_is_put_off() {
    let (place, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hidden = place.path().join(".invoice-trackd");
    symlink(elsewhere.path(), &hidden).unwrap();
    let (ledger, _home) = ledger().await;
    post(&ledger, &letter(Event::Imported, "EC")).await;
    let pos = dispatcher(&ledger, to_directory(place.path(), &Format::ALL));
    let pass = pos.run_once(now()).await.unwrap();
    assert_eq!((pass.sent, pass.deferred, pass.failed), (0, 1, 0));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    assert_eq!(visible(place.path()), [""; 0]);
    let words = &ledger.outbox(None).await.unwrap()[0].last_answer.clone();
    let words = words.as_deref().unwrap_or_default();
    assert!(words.contains("found a link or a file"), "{words}");

    // However long it lasts; a person who takes the link away has it all.
    let weeks = 30_000;
    pos.run_once(after(weeks)).await.unwrap();
    assert_eq!(handoffs(&ledger).await[0].0, "pending");
    fs::remove_file(&hidden).unwrap();
    pos.run_once(after(2 * weeks)).await.unwrap();
    assert_eq!(handoffs(&ledger).await[0].0, "sent");
    assert_eq!(visible(place.path()).len(), 3);
}

#[tokio::test]
async fn no_link_inside_has_anything_written_elsewhere() {
    let id = letter(Event::Imported, "EC").message_id;
    let csv = format!("{id}.csv");
    // Each with whether it is in the way.
    for (name, refused) in [
        (format!(".invoice-trackd/{csv}"), false),
        (csv.clone(), false),
        (".invoice-trackd/lock".to_owned(), true),
        (format!(".invoice-trackd/{id}"), true),
    ] {
        for victim in ["there", "not-there"] {
            let (place, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            fs::create_dir(place.path().join(".invoice-trackd")).unwrap();
            fs::write(home.path().join("there"), "theirs").unwrap();
            let victim = home.path().join(victim);
            symlink(&victim, place.path().join(&name)).unwrap();
            let handed = hands(place.path(), &[Format::Csv], Event::Imported).await;
            let words = handed
                .as_ref()
                .map_or_else(ToString::to_string, |_| String::new());
            assert_eq!(handed.is_err(), refused, "{name}: {words}");
            assert_eq!(words.contains("found a link"), refused, "{name}: {words}");
            let appeared = place.path().join(&csv);
            if !refused {
                assert!(fs::symlink_metadata(&appeared).unwrap().is_file(), "{name}");
            }
            assert_eq!(fs::read(home.path().join("there")).unwrap(), b"theirs");
            assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "{name}");
        }
    }
}

/// A pipe that nobody reads would keep whoever opens it waiting.
#[tokio::test]
async fn a_directory_or_a_pipe_where_a_file_belongs_is_refused_at_once() {
    let id = letter(Event::Imported, "EC").message_id;
    for (name, is_pipe) in [
        (".invoice-trackd", true),
        (".invoice-trackd/lock", true),
        (".invoice-trackd/lock", false),
        (&format!(".invoice-trackd/{id}.csv"), false),
        (&format!("{id}.csv"), false),
    ] {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if is_pipe {
            let made = std::process::Command::new("mkfifo").arg(&path).status();
            assert!(made.unwrap().success());
        } else {
            fs::create_dir(&path).unwrap();
        }
        let trouble = hands(place.path(), &[Format::Csv], Event::Imported).await;
        let words = trouble.unwrap_err().to_string();
        assert!(!words.contains("timed out"), "{name}: {words}");
        assert!(words.contains(name), "{name}: {words}");
    }
}
