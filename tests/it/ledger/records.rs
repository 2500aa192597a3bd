//! Messages and allocations: together or not at all, and each place once.

use super::*;

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let mut transaction = ledger.begin().await.unwrap();
    let id = Mail::granting(imap(1), &[specimen()])
        .record(&mut transaction)
        .await;
    transaction
        .record_unrelated("einvoice", 7, &uids(&[(2, 9)]))
        .await
        .unwrap();
    transaction
        .post(&letter(Kind::Confirmation, "lost"), id, noon())
        .await
        .unwrap();
    transaction
        .tell("lost", &quarantine_alert(1), noon())
        .await
        .unwrap();
    let found = transaction.neighbours(&[specimen().block]).await.unwrap();
    assert_eq!(found.len(), 1, "visible from inside");
    drop(transaction);

    // The next writer of the same pool starts from what was committed.
    let mut transaction = ledger.begin().await.unwrap();
    assert!(
        transaction
            .neighbours(&[specimen().block])
            .await
            .unwrap()
            .is_empty()
    );
    drop(transaction);
    let mut sql = scratch.sql().await;
    for table in [
        "SELECT count(*) FROM message",
        "SELECT count(*) FROM evidence",
        "SELECT count(*) FROM finding",
        "SELECT count(*) FROM allocation",
        "SELECT count(*) FROM uid_run",
        "SELECT count(*) FROM outbox",
        "SELECT count(*) FROM outbox_recipient",
        "SELECT count(*) FROM news",
    ] {
        assert_eq!(count(&mut sql, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn other_programs_find_the_columns_they_were_promised() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let mut mail = Mail::granting(imap(31), &[specimen()]);
    mail.evidence = Evidence {
        verdict: Authenticity::Proven {
            signed: Some(vec!["from".to_owned(), "subject".to_owned()]),
        },
        proof: Some(Proof {
            method: Method::Dkim,
            domain: Some("einvoice.nat.gov.tw".to_owned()),
            selector: Some("s1".to_owned()),
            algorithm: Some("rsa-sha256".to_owned()),
            key: Some("v=DKIM1; p=…".to_owned()),
        }),
    };
    let detail = Sentence::new("128, was 100", "128，原為 100");
    mail.judgement.warnings = vec![Warning::new(WarningCode::CountsDiffer, detail)];
    record(&ledger, &mail).await;

    let mut sql = scratch.sql().await;
    let row = async |statement: &'static str, sql: &mut SqliteConnection| -> String {
        sqlx::query_scalar(statement).fetch_one(sql).await.unwrap()
    };
    let columns = "SELECT group_concat(name, ' ') FROM pragma_table_info('allocation')";
    assert_eq!(
        row(columns, &mut sql).await,
        "id ban invoice_type year_month invoice_track invoice_begin_no invoice_end_no \
         invoice_booklet requested_booklets added_booklets message_id imported_at withdrawn_at \
         source"
    );
    let allocation = "SELECT concat_ws('|', id, ban, invoice_type, year_month, invoice_track,
             invoice_begin_no, invoice_end_no, invoice_booklet, requested_booklets,
             added_booklets, message_id, imported_at, quote(withdrawn_at), source)
         FROM allocation";
    assert_eq!(
        row(allocation, &mut sql).await,
        "1|53567686|07|10706|EC|22628000|22634399|128|0|128|1|2026-01-20T04:00:00.250Z|NULL|mail"
    );
    let message = "SELECT concat_ws('|', id, mailbox, uidvalidity, uid, disposition, received_at,
             quote(file), internal_date, size, from_address, subject, company_ban,
             company_source)
         FROM message";
    assert_eq!(
        row(message, &mut sql).await,
        format!(
            "1|einvoice|7|31|imported|2026-01-20T04:00:00.250Z|NULL|2026-01-20T01:00:00.000Z|{}|\
             einvoice@einvoice.nat.gov.tw|電子發票配號結果通知|53567686|body",
            mail.message.size
        )
    );
    assert_eq!(
        row("SELECT sha256 FROM message", &mut sql).await,
        mail.sha256
    );
    let evidence = "SELECT concat_ws('|', result, quote(detail), method, domain, selector, key,
             signed_fields) FROM evidence WHERE message_id = 1";
    assert_eq!(
        row(evidence, &mut sql).await,
        "pass|NULL|dkim|einvoice.nat.gov.tw|s1|v=DKIM1; p=…|from:subject"
    );
    let finding = "SELECT concat_ws('|', message_id, severity, position, code, detail,
             detail_zh) FROM finding";
    assert_eq!(
        row(finding, &mut sql).await,
        "1|warning|0|counts_differ|128, was 100|128，原為 100"
    );
}

#[tokio::test]
async fn only_an_import_grants_and_only_what_is_fresh() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let next = allocation(BAN, "10708", "GH", "00000000", "00000049");
    let mut refused = Mail::granting(imap(1), &[specimen()]);
    refused.judgement.disposition = Disposition::Quarantined;
    record(&ledger, &refused).await;
    record(&ledger, &Mail::granting(imap(2), &[specimen()])).await;
    let mut partly = Mail::granting(imap(3), &[specimen(), next]);
    partly.judgement.allocations[0].known = Some(1);
    record(&ledger, &partly).await;

    let rows = ledger
        .allocations(AllocationFilter::default())
        .await
        .unwrap();
    let rows: Vec<_> = rows.iter().map(|r| (r.allocation, r.message_id)).collect();
    assert_eq!(rows, [(specimen(), 2), (next, 3)]);
}

#[tokio::test]
async fn a_place_that_is_recorded_is_left_as_it_is() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let maildir = Origin::Maildir {
        mailbox: "local".to_owned(),
        file: "a".to_owned(),
    };
    let file = Origin::File {
        path: "/tmp/a.eml".to_owned(),
    };
    for origin in [imap(1), maildir, file.clone()] {
        let first = Mail::new(origin.clone(), Disposition::Quarantined);
        assert!(record(&ledger, &first).await.is_some());
        let mut again = Mail::granting(origin, &[specimen()]);
        again.sha256 = first.sha256.clone();
        assert_eq!(record(&ledger, &again).await, None);
    }
    assert_eq!(ledger.counts().await.unwrap()["quarantined"], 3);
    assert!(
        ledger
            .allocations(AllocationFilter::default())
            .await
            .unwrap()
            .is_empty()
    );

    let mut changed = Mail::new(file, Disposition::Unrelated);
    changed.sha256 = sha256("the operator wrote another mail to the same path");
    assert!(record(&ledger, &changed).await.is_some());
}

#[tokio::test]
async fn bytes_judged_before_take_over_the_decision_without_their_bytes() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    for (uid, disposition, here) in [
        (1, Disposition::Imported, Disposition::Duplicate),
        (2, Disposition::Quarantined, Disposition::Quarantined),
    ] {
        let original = Mail::new(imap(uid), disposition);
        let id = record(&ledger, &original).await.unwrap();
        // Twice: the second time finds the first decision, not its copy.
        for copy in [uid + 10, uid + 20] {
            let mut transaction = ledger.begin().await.unwrap();
            let earlier = transaction
                .judged_before(&original.message, &original.sha256)
                .await
                .unwrap();
            let earlier = earlier.unwrap();
            assert_eq!((earlier.id, earlier.disposition), (id, disposition));
            let message = RawMessage {
                origin: imap(copy),
                ..original.message.clone()
            };
            for _ in 0..2 {
                let became = transaction
                    .record_copy(&message, &original.sha256, earlier, noon())
                    .await;
                assert_eq!(became.unwrap(), here);
            }
            transaction.commit().await.unwrap();
        }
    }
    let mut sql = scratch.sql().await;
    let copies = "SELECT count(*) FROM message
         WHERE copy_of IS NOT NULL AND raw IS NULL AND subject <> '' AND from_address IS NOT NULL";
    assert_eq!(count(&mut sql, copies).await, 4);
    assert_eq!(ledger.quarantine().await.unwrap().len(), 1, "listed once");

    // What is unrelated by today's rules may be a notice by tomorrow's.
    let unrelated = Mail::new(imap(3), Disposition::Unrelated);
    record(&ledger, &unrelated).await.unwrap();
    let mut transaction = ledger.begin().await.unwrap();
    let judged = transaction
        .judged_before(&unrelated.message, &unrelated.sha256)
        .await;
    assert_eq!(judged.unwrap(), None);
    let other = Mail::new(imap(1), Disposition::Imported);
    let nowhere = transaction
        .judged_before(&other.message, &sha256("never seen"))
        .await;
    assert_eq!(nowhere.unwrap(), None);
}

#[tokio::test]
async fn a_message_that_waits_has_not_been_judged() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let waiting = Mail::new(imap(1), Disposition::Waiting);
    record(&ledger, &waiting).await;
    let mut transaction = ledger.begin().await.unwrap();
    let earlier = transaction
        .judged_before(&waiting.message, &waiting.sha256)
        .await
        .unwrap();
    assert_eq!(earlier, None);
}

#[tokio::test]
async fn no_more_bytes_are_kept_than_are_needed() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let long = vec![b'x'; 100_000];
    let unproven = || Authenticity::Unproven(Sentence::new("no signature", "沒有簽章"));
    let cases = [
        (
            Disposition::Imported,
            Authenticity::NotRequired,
            Some(100_000),
        ),
        (
            Disposition::Quarantined,
            Authenticity::Proven { signed: None },
            Some(100_000),
        ),
        (Disposition::Quarantined, unproven(), Some(65_536)),
        (
            Disposition::Waiting,
            Authenticity::Unknown("SERVFAIL".to_owned()),
            Some(100_000),
        ),
        (Disposition::Unrelated, Authenticity::NotRequired, None),
    ];
    let mut sql = scratch.sql().await;
    let mut kept = async |id: Option<i64>| -> Option<i64> {
        sqlx::query_scalar("SELECT length(raw) FROM message WHERE id = ?")
            .bind(id.unwrap())
            .fetch_one(&mut sql)
            .await
            .unwrap()
    };
    for (uid, (disposition, verdict, bytes)) in (1..).zip(cases) {
        let mut mail = Mail::new(imap(uid), disposition);
        mail.message.content = Content::Whole(long.clone());
        mail.evidence.verdict = verdict;
        assert_eq!(kept(record(&ledger, &mail).await).await, bytes, "{uid}");
    }
    let mut short = Mail::new(imap(20), Disposition::Quarantined);
    short.evidence.verdict = unproven();
    let size = i64::try_from(short.message.size).unwrap();
    assert_eq!(kept(record(&ledger, &short).await).await, Some(size));
    let mut oversized = Mail::new(imap(21), Disposition::Quarantined);
    oversized.message.content = Content::Oversized(b"Subject: x\r\n\r\n".to_vec());
    assert_eq!(kept(record(&ledger, &oversized).await).await, Some(14));
    let mut unwanted = Mail::new(imap(22), Disposition::Unrelated);
    unwanted.message.content = Content::Unwanted;
    assert_eq!(kept(record(&ledger, &unwanted).await).await, None);
}

#[tokio::test]
async fn neighbours_are_of_the_same_track_and_year_and_in_force() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let near = [
        specimen(),
        allocation(OTHER_BAN, "10706", "EC", "00000000", "00000049"),
        allocation(BAN, "10712", "EC", "90000000", "90000049"),
        allocation(BAN, "10706", "AB", "22628000", "22628049"),
    ];
    let far = [
        allocation(BAN, "10706", "ED", "22628000", "22634399"),
        allocation(BAN, "10806", "EC", "22628000", "22634399"),
        allocation(BAN, "10702", "EC", "10000000", "10000049"),
    ];
    record(&ledger, &Mail::granting(imap(1), &near)).await;
    record(&ledger, &Mail::granting(imap(2), &far)).await;
    scratch
        .allow(
            "UPDATE allocation SET withdrawn_at = '2026-02-01T00:00:00.000Z'
         WHERE year_month = '10702'",
        )
        .await;
    let blocks = [near[0].block, near[2].block, near[3].block];
    let mut found = ledger.neighbours(&blocks).await.unwrap();
    found.sort_by_key(|recorded| recorded.id);
    let found: Vec<_> = found.iter().map(|r| (r.allocation, r.from_file)).collect();
    assert_eq!(found, near.map(|allocation| (allocation, false)));
    assert!(ledger.neighbours(&[]).await.unwrap().is_empty());

    scratch.allow("INSERT INTO allocation (ban, invoice_type, year_month, invoice_track, invoice_begin_no,
             invoice_end_no, invoice_booklet, message_id, imported_at, source)
         VALUES ('53567686', '07', '11002', 'ZZ', '00000000', '00000049', 1, 1,
             '2026-01-21T00:00:00.000Z', 'csv')",
    )
    .await;
    let mut block = allocation(BAN, "11012", "ZZ", "00000000", "00000049").block;
    block.requested_booklets = None;
    let [from_file] = ledger.neighbours(&[block]).await.unwrap()[..] else {
        panic!("expected the row of the file");
    };
    assert!(from_file.from_file);
    assert_eq!(from_file.allocation.block.requested_booklets, None);
}

#[tokio::test]
async fn of_a_crowded_track_every_range_that_shares_a_number_is_a_neighbour_and_few_others() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    // Ranges of one to three booklets with gaps between them, in no order of their own.
    let crowd: Vec<Allocation> = (0..300_u32)
        .map(|n| (n * 7) % 300)
        .map(|n| {
            let (begin, booklets) = (n * 200, n % 3 + 1);
            let end = format!("{:08}", begin + booklets * 50 - 1);
            allocation(BAN, "10706", "EC", &format!("{begin:08}"), &end)
        })
        .collect();
    record(&ledger, &Mail::granting(imap(1), &crowd)).await;
    let elsewhere = allocation(OTHER_BAN, "10712", "EC", "00000000", "00000049");
    record(&ledger, &Mail::granting(imap(2), &[elsewhere])).await;

    for begin in (0..61_000_u32).step_by(650) {
        for booklets in [1, 4, 40] {
            let end = format!("{:08}", begin + booklets * 50 - 1);
            let asked = allocation(BAN, "10706", "EC", &format!("{begin:08}"), &end).block;
            let found = ledger.neighbours(&[asked]).await.unwrap();
            let shares = |a: &&Allocation| a.block.range.overlaps(asked.range);
            for sharer in crowd.iter().filter(shares) {
                assert!(
                    found.iter().any(|near| near.allocation == *sharer),
                    "{asked:?}"
                );
            }
            let sharers = crowd.iter().filter(shares).count();
            assert!(found.len() <= sharers + 2, "{asked:?}: {}", found.len());
            assert!(found.iter().any(|near| near.allocation == elsewhere));
        }
    }
}

#[tokio::test]
async fn allocations_are_found_by_company_and_period_in_a_steady_order() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let in_order = [
        allocation(OTHER_BAN, "10706", "EC", "10000000", "10000049"),
        allocation(BAN, "09912", "ZZ", "00000000", "00000049"),
        allocation(BAN, "10706", "EB", "90000000", "90000049"),
        allocation(BAN, "10706", "EC", "00000000", "00000049"),
        allocation(BAN, "10706", "EC", "20000000", "20000049"),
    ];
    let mut shuffled = in_order;
    shuffled.reverse();
    record(&ledger, &Mail::granting(imap(1), &shuffled)).await;
    let find = async |ban: Option<&str>, period: Option<&str>| {
        let filter = AllocationFilter {
            ban: ban.map(|ban| ban.parse().unwrap()),
            period: period.map(|period| period.parse().unwrap()),
        };
        let rows = ledger.allocations(filter).await.unwrap();
        rows.iter().map(|row| row.allocation).collect::<Vec<_>>()
    };
    assert_eq!(find(None, None).await, in_order);
    assert_eq!(find(Some(BAN), None).await, in_order[1..]);
    assert_eq!(find(Some(BAN), Some("10706")).await, in_order[2..]);
    assert_eq!(find(Some(OTHER_BAN), Some("09912")).await, []);
}
