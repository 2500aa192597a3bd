//! What the file itself refuses to every program, and what a reader makes of it all the same.

use super::*;

#[tokio::test]
async fn nobody_can_change_or_delete_what_is_recorded() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    record(&ledger, &Mail::granting(imap(1), &[specimen()])).await;
    record(&ledger, &Mail::new(imap(2), Disposition::Imported)).await;
    for (column, value) in [
        ("id", "2"),
        ("rowid", "2"),
        ("ban", "'24634102'"),
        ("invoice_type", "'08'"),
        ("year_month", "'10708'"),
        ("invoice_track", "'EB'"),
        ("invoice_begin_no", "'22628050', invoice_booklet = 127"),
        ("invoice_end_no", "'22634349', invoice_booklet = 127"),
        ("requested_booklets", "NULL"),
        ("added_booklets", "127"),
        ("message_id", "2"),
        ("imported_at", "'2026-01-21T00:00:00.000Z'"),
        ("source", "'csv'"),
    ] {
        let error = scratch
            .refusal(&format!("UPDATE allocation SET {column} = {value}"))
            .await;
        assert!(error.contains("never changed"), "{column}: {error}");
    }
    let replacement = "ban, invoice_type, year_month, invoice_track, invoice_begin_no,
        invoice_end_no, invoice_booklet, message_id, imported_at, source)";
    let values = "'53567686', '07', '10706', 'EC', '22628000', '22634399', 128, 2,
        '2026-01-21T00:00:00.000Z', 'csv')";
    for (statement, expected) in [
        ("DELETE FROM allocation".to_owned(), "never deleted"),
        (
            "DELETE FROM message WHERE id = 2".to_owned(),
            "never deleted",
        ),
        (
            format!("INSERT OR REPLACE INTO allocation (id, {replacement} VALUES (1, {values}"),
            "recorded already",
        ),
        (
            format!("INSERT OR REPLACE INTO allocation ({replacement} VALUES ({values}"),
            "recorded already",
        ),
    ] {
        let error = scratch.refusal(&statement).await;
        assert!(error.contains(expected), "{statement}: {error}");
    }

    scratch
        .allow("UPDATE allocation SET withdrawn_at = '2026-02-01T00:00:00.000Z'")
        .await;
    for value in ["NULL", "'2026-02-02T00:00:00.000Z'"] {
        let statement = format!("UPDATE allocation SET withdrawn_at = {value}");
        let error = scratch.refusal(&statement).await;
        assert!(error.contains("stays withdrawn"), "{error}");
    }
    let [row] = &ledger
        .allocations(AllocationFilter::default())
        .await
        .unwrap()[..]
    else {
        panic!("expected one allocation");
    };
    assert_eq!(row.allocation, specimen());
    assert_eq!(row.withdrawn_at, Some(at("2026-02-01T00:00:00Z")));
}

#[tokio::test]
async fn an_identical_range_is_in_force_at_most_once() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    record(&ledger, &Mail::granting(imap(1), &[specimen()])).await;
    let again = Mail::granting(imap(2), &[specimen()]);
    let entry = Entry {
        message: &again.message,
        sha256: &again.sha256,
        reading: &again.reading,
        evidence: &again.evidence,
        judgement: &again.judgement,
        now: noon(),
    };
    let mut transaction = ledger.begin().await.unwrap();
    let error = transaction.record(&entry).await.unwrap_err().to_string();
    assert!(error.contains("recorded already"), "{error}");
    drop(transaction);
    assert_eq!(
        ledger.counts().await.unwrap()["imported"],
        1,
        "nor the mail"
    );

    // Without the trigger the index still stands.
    scratch
        .allow("DROP TRIGGER allocation_is_not_replaced")
        .await;
    let copy = "INSERT INTO allocation (ban, invoice_type, year_month, invoice_track,
             invoice_begin_no, invoice_end_no, invoice_booklet, message_id, imported_at, source)
         SELECT ban, invoice_type, year_month, invoice_track, invoice_begin_no, invoice_end_no,
             invoice_booklet, message_id, imported_at, source FROM allocation";
    let error = scratch.refusal(copy).await;
    assert!(error.contains("UNIQUE"), "{error}");
    scratch
        .allow("UPDATE allocation SET withdrawn_at = '2026-02-01T00:00:00.000Z'")
        .await;
    scratch.allow(copy).await;
}

#[tokio::test]
async fn forms_are_checked_by_the_file_itself() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    record(&ledger, &Mail::new(imap(1), Disposition::Imported)).await;
    let good = [
        ("ban", "'53567686'"),
        ("invoice_type", "'07'"),
        ("year_month", "'10706'"),
        ("invoice_track", "'EC'"),
        ("invoice_begin_no", "'22628000'"),
        ("invoice_end_no", "'22628049'"),
        ("invoice_booklet", "1"),
        ("requested_booklets", "NULL"),
        ("message_id", "1"),
        ("imported_at", "'2026-01-21T00:00:00.000Z'"),
        ("withdrawn_at", "NULL"),
        ("source", "'e0501'"),
    ];
    let insert = |column: &str, value: &str| {
        let names: Vec<_> = good.iter().map(|(name, _)| *name).collect();
        let values: Vec<_> = good
            .iter()
            .map(|(name, usual)| if *name == column { value } else { *usual })
            .collect();
        let (names, values) = (names.join(", "), values.join(", "));
        format!("INSERT INTO allocation ({names}) VALUES ({values})")
    };
    for (column, bad) in [
        ("ban", "'5356768'"),
        ("ban", "'5356768O'"),
        ("invoice_type", "'7'"),
        ("year_month", "'10705'"),
        ("year_month", "'1076'"),
        ("invoice_track", "'ec'"),
        ("invoice_track", "'ECX'"),
        ("invoice_begin_no", "'22628001'"),
        ("invoice_begin_no", "'2262800'"),
        ("invoice_end_no", "'22628099'"),
        ("invoice_booklet", "2"),
        ("invoice_booklet", "'one'"),
        ("requested_booklets", "-1"),
        ("imported_at", "'2026-01-21T00:00:00Z'"),
        ("withdrawn_at", "'today'"),
        ("source", "'fax'"),
        ("source", "NULL"),
    ] {
        scratch.refusal(&insert(column, bad)).await;
    }
    scratch.allow(&insert("", "")).await;
}

#[tokio::test]
async fn a_row_that_nobody_should_have_written_is_an_error_and_no_panic() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    record(&ledger, &Mail::new(imap(1), Disposition::Imported)).await;
    scratch.allow("INSERT INTO allocation (ban, invoice_type, year_month, invoice_track, invoice_begin_no,
             invoice_end_no, invoice_booklet, message_id, imported_at, source)
         VALUES ('53567680', '07', '10706', 'EC', '00000000', '00000049', 1, 1,
             '2026-01-21T00:00:00.000Z', 'mail')",
    )
    .await;
    let error = ledger
        .allocations(AllocationFilter::default())
        .await
        .unwrap_err();
    let sentence = error.to_string();
    assert!(sentence.contains("allocation.ban"), "{sentence}");
    assert!(sentence.contains("53567680"), "{sentence}");
    assert!(!error.is_temporary());
}
