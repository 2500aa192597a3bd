//! Files in a directory: which, for whom, and each once.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
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
