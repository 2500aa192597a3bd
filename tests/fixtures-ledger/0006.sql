PRAGMA application_id = 0x696E7674;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
    VALUES (1, 'ledger', '2026-11-23 08:35:00', 1, X'A5E43BF24304820D38DC853BC8C78267F99D61E72ADDEF907D87D9307A849E0BAB6B1F905F2562D1DE0C13D8BE6D4BC1', 9894755);
INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
    VALUES (2, 'suspects', '2026-11-23 08:35:00', 1, X'A1D85B8B888C3BB9ACA81D4B9DF6FF4B72BDB18C80379F2185CB804EBB35D9B0ACCD3EDD880F234E6B8330DC44B905CE', 291772);
INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
    VALUES (3, 'operations', '2026-11-23 08:35:00', 1, X'489958E0236A04DCB8FC80DC046B4F3E65A3E5AC14456875EED7DFA6061DE2A2245789BFA2CF7B985E1889036E7E6F85', 13325787);
INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
    VALUES (4, 'waiting', '2026-11-23 08:35:00', 1, X'695CE59CAAAAEF022E17C346A6BEA8D1F48A58E80C33C0A8AFE30BBE821AF28C669B015C4DB1D4E5F2E581BF2172BC48', 6355530);
INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
    VALUES (5, 'due', '2026-11-23 08:35:00', 1, X'9ABE0C5FB005F92DED891503F5C849DF9418AB5E00DA87CEEDBCDEE8B9837226F54EC5D85B31BC3E7EB1E73073F7C29F', 23884783);
INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
    VALUES (6, 'handoff', '2026-11-23 08:35:00', 1, X'316A3931D19EA3AD9965CEBD62280960B5BAC2C3EFDF30DBA1F37160F812D0413CF0503FCCEC7942F486B113F4474385', 11729118);
CREATE TABLE ledger (
    -- Always 1, so that there is never a second row.
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- When the ledger was created; what is older than it is history.
    created_at TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??.???Z')
) STRICT;
INSERT INTO ledger (one, created_at)
    VALUES (1, '2026-01-20T04:00:00.250Z');
CREATE TABLE evidence (
    -- A number without further meaning.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The message.
    message_id INTEGER NOT NULL REFERENCES message (id),
    -- The verdict.
    result TEXT NOT NULL CHECK (result IN ('pass', 'fail', 'none', 'temperror', 'not_required')),
    -- Why not, in one sentence; null where nothing was wanting.
    detail TEXT,
    -- 'dkim' or 'authentication-results'; null where neither was asked for.
    method TEXT,
    -- The signing domain.
    domain TEXT,
    -- The DKIM selector.
    selector TEXT,
    -- The text of the key record.
    key TEXT,
    -- The header fields under the signature, lower case, with colons between them as in DKIM's
    -- h=; null where the method says nothing of fields. RFC 6376 section 3.5.
    signed_fields TEXT,
    -- When the verdict was given.
    judged_at TEXT NOT NULL CHECK (judged_at GLOB '????-??-??T??:??:??.???Z')
, algorithm TEXT) STRICT;
INSERT INTO evidence (id, message_id, result, detail, method, domain, selector, key, signed_fields, judged_at, algorithm)
    VALUES (1, 1, 'not_required', NULL, NULL, NULL, NULL, NULL, NULL, '2026-01-20T04:00:00.250Z', NULL);
INSERT INTO evidence (id, message_id, result, detail, method, domain, selector, key, signed_fields, judged_at, algorithm)
    VALUES (2, 2, 'not_required', NULL, NULL, NULL, NULL, NULL, NULL, '2026-01-20T04:00:00.250Z', NULL);
INSERT INTO evidence (id, message_id, result, detail, method, domain, selector, key, signed_fields, judged_at, algorithm)
    VALUES (3, 4, 'temperror', 'no answer within 5 s', NULL, NULL, NULL, NULL, NULL, '2026-01-20T04:00:00.250Z', NULL);
CREATE TABLE finding (
    -- The message.
    message_id INTEGER NOT NULL REFERENCES message (id),
    -- A defect stops an import, a warning travels with it.
    severity TEXT NOT NULL CHECK (severity IN ('defect', 'warning')),
    -- Its place among the message's findings of that severity, from 0.
    position INTEGER NOT NULL CHECK (position >= 0),
    -- The stable code.
    code TEXT NOT NULL CHECK (code <> '' AND code NOT GLOB '*[^a-z_]*'),
    -- What was expected and what was found, in one English sentence.
    detail TEXT NOT NULL,
    -- The same in 繁體中文.
    detail_zh TEXT NOT NULL,
    PRIMARY KEY (message_id, severity, position)
) STRICT, WITHOUT ROWID;
INSERT INTO finding (message_id, severity, position, code, detail, detail_zh)
    VALUES (1, 'warning', 0, 'period_past', '107/05 is over', '107/05 已經過了');
INSERT INTO finding (message_id, severity, position, code, detail, detail_zh)
    VALUES (2, 'defect', 0, 'range_reversed', 'end before begin', '迄號小於起號');
INSERT INTO finding (message_id, severity, position, code, detail, detail_zh)
    VALUES (2, 'defect', 1, 'ban_invalid', '`12345678`', '統一編號 `12345678`');
CREATE TABLE allocation (
    -- The handle by which people name the range.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- 營業人統編 of the company it was allocated to.
    ban TEXT NOT NULL CHECK (length(ban) = 8 AND ban NOT GLOB '*[^0-9]*'),
    -- 發票類別: '07' 一般稅額計算, '08' 特種稅額計算.
    invoice_type TEXT NOT NULL CHECK (invoice_type IN ('07', '08')),
    -- 發票期別 as MIG writes it: ROC year and even month, e.g. '10706'.
    year_month TEXT NOT NULL CHECK (length(year_month) = 5 AND year_month NOT GLOB '*[^0-9]*'
        AND substr(year_month, 4) IN ('02', '04', '06', '08', '10', '12')),
    -- 字軌: two capital letters.
    invoice_track TEXT NOT NULL CHECK (invoice_track GLOB '[A-Z][A-Z]'),
    -- 發票起號: 8 digits, the first number of a booklet.
    invoice_begin_no TEXT NOT NULL CHECK (length(invoice_begin_no) = 8
        AND invoice_begin_no NOT GLOB '*[^0-9]*' AND substr(invoice_begin_no, 7) IN ('00', '50')),
    -- 發票迄號: 8 digits, the last number of a booklet.
    invoice_end_no TEXT NOT NULL CHECK (length(invoice_end_no) = 8
        AND invoice_end_no NOT GLOB '*[^0-9]*' AND substr(invoice_end_no, 7) IN ('49', '99')),
    -- 本: how many booklets of 50 numbers the range holds.
    invoice_booklet INTEGER NOT NULL CHECK (invoice_booklet > 0),
    -- 申請本數 as the source states it; null where it does not.
    requested_booklets INTEGER CHECK (requested_booklets >= 0),
    -- 增加本數 as the source states it; null where it does not.
    added_booklets INTEGER CHECK (added_booklets >= 0),
    -- The message or file that granted it.
    message_id INTEGER NOT NULL REFERENCES message (id),
    -- When it was recorded.
    imported_at TEXT NOT NULL CHECK (imported_at GLOB '????-??-??T??:??:??.???Z'),
    -- When a person took it out of use; null while it is in force.
    withdrawn_at TEXT CHECK (withdrawn_at GLOB '????-??-??T??:??:??.???Z'),
    -- What granted it: a notice by mail, or a file of the platform's (its CSV, or MIG E0501).
    source TEXT NOT NULL CHECK (source IN ('mail', 'csv', 'e0501')),
    CHECK (CAST(invoice_end_no AS INTEGER) - CAST(invoice_begin_no AS INTEGER) + 1
        = 50 * invoice_booklet)
) STRICT;
INSERT INTO allocation (id, ban, invoice_type, year_month, invoice_track, invoice_begin_no, invoice_end_no, invoice_booklet, requested_booklets, added_booklets, message_id, imported_at, withdrawn_at, source)
    VALUES (1, '53567686', '07', '10706', 'EC', '22628000', '22634399', 128, 0, 128, 1, '2026-01-20T04:00:00.250Z', NULL, 'mail');
CREATE TABLE uid_run (
    -- The configured mailbox.
    mailbox TEXT NOT NULL,
    -- The folder's UIDVALIDITY.
    uidvalidity INTEGER NOT NULL CHECK (uidvalidity BETWEEN 1 AND 4294967295),
    -- 'unrelated': the header said that it is nothing of ours. 'older': left out by the scan's
    -- since, and looked at after all should since be set to an earlier day.
    reason TEXT NOT NULL CHECK (reason IN ('unrelated', 'older')),
    -- The first UID of the run.
    first_uid INTEGER NOT NULL CHECK (first_uid >= 1),
    -- The last UID of the run, included.
    last_uid INTEGER NOT NULL CHECK (last_uid BETWEEN first_uid AND 4294967295),
    PRIMARY KEY (mailbox, uidvalidity, reason, first_uid)
) STRICT, WITHOUT ROWID;
INSERT INTO uid_run (mailbox, uidvalidity, reason, first_uid, last_uid)
    VALUES ('einvoice', 7, 'older', 1, 9);
INSERT INTO uid_run (mailbox, uidvalidity, reason, first_uid, last_uid)
    VALUES ('einvoice', 7, 'unrelated', 10, 11);
INSERT INTO uid_run (mailbox, uidvalidity, reason, first_uid, last_uid)
    VALUES ('einvoice', 7, 'unrelated', 14, 20);
CREATE TABLE scan (
    -- The configured mailbox.
    mailbox TEXT NOT NULL,
    -- The folder's UIDVALIDITY.
    uidvalidity INTEGER NOT NULL CHECK (uidvalidity BETWEEN 1 AND 4294967295),
    -- The day before which messages were left out.
    since TEXT NOT NULL CHECK (since GLOB '????-??-??'),
    PRIMARY KEY (mailbox, uidvalidity)
) STRICT, WITHOUT ROWID;
INSERT INTO scan (mailbox, uidvalidity, since)
    VALUES ('einvoice', 7, '2026-01-01');
CREATE TABLE mailbox (
    -- The configured name.
    name TEXT NOT NULL PRIMARY KEY,
    -- Where it is, in words: what is accounted for under the name is only true there.
    place TEXT,
    -- Its last tagged OK, or the last complete look at a Maildir; null while there was none.
    last_ok_at TEXT CHECK (last_ok_at GLOB '????-??-??T??:??:??.???Z'),
    -- Why it does not answer, in the words of the error; null while it does.
    trouble TEXT
, alarmed_at TEXT
    CHECK (alarmed_at GLOB '????-??-??T??:??:??.???Z')) STRICT, WITHOUT ROWID;
INSERT INTO mailbox (name, place, last_ok_at, trouble, alarmed_at)
    VALUES ('einvoice', NULL, '2026-01-20T04:00:00.250Z', NULL, NULL);
INSERT INTO mailbox (name, place, last_ok_at, trouble, alarmed_at)
    VALUES ('local', NULL, NULL, 'connect: refused', NULL);
CREATE TABLE outbox_recipient (
    -- The mail.
    outbox_id INTEGER NOT NULL REFERENCES outbox (id),
    -- Its place among the recipients, from 0.
    position INTEGER NOT NULL CHECK (position >= 0),
    -- The envelope address, lower case.
    address TEXT NOT NULL,
    -- Still due to get it, has it, or refused for good.
    state TEXT NOT NULL CHECK (state IN ('due', 'sent', 'refused')),
    -- The server's words of refusal; null where it did not refuse.
    answer TEXT,
    PRIMARY KEY (outbox_id, position),
    UNIQUE (outbox_id, address),
    CHECK ((answer IS NULL) = (state <> 'refused'))
) STRICT, WITHOUT ROWID;
INSERT INTO outbox_recipient (outbox_id, position, address, state, answer)
    VALUES (1, 0, 'ops@example.com', 'sent', NULL);
INSERT INTO outbox_recipient (outbox_id, position, address, state, answer)
    VALUES (1, 1, 'boss@example.com', 'due', NULL);
CREATE TABLE "news" (
    -- A number that ascends in the order in which alerts were raised.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- What is told; the same key is the same alert.
    key TEXT NOT NULL UNIQUE,
    -- All that the mail will say, as JSON with its kind under "cause".
    cause TEXT NOT NULL CHECK (json_valid(cause)),
    -- When it was raised.
    raised_at TEXT NOT NULL CHECK (raised_at GLOB '????-??-??T??:??:??.???Z'),
    -- The mail that tells it; null while it waits.
    outbox_id INTEGER REFERENCES outbox (id),
    -- When it was gathered into that mail.
    gathered_at TEXT CHECK (gathered_at GLOB '????-??-??T??:??:??.???Z'), channel TEXT NOT NULL DEFAULT 'alert'
    CHECK (channel IN ('confirmation', 'summary', 'alert')), audience TEXT CHECK (audience <> ''),
    CHECK ((outbox_id IS NULL) = (gathered_at IS NULL))
) STRICT;
INSERT INTO news (id, key, cause, raised_at, outbox_id, gathered_at, channel, audience)
    VALUES (1, 'quarantined:2', '{"cause":"quarantined","message_id":2,"sha256":"1d95e4e5fab39149447f54dfe084891b2081c3f7d5900f0c23df284c7b6519dd","found_in":{"mailbox":"einvoice"},"from":null,"subject":"配號","defects":[{"code":"range_reversed","detail":"end before begin","detail_zh":"迄號小於起號"}]}', '2026-01-20T04:00:00.250Z', NULL, NULL, 'alert', NULL);
CREATE TABLE suspect (
    -- The configured mailbox.
    mailbox TEXT NOT NULL,
    -- The folder's UIDVALIDITY.
    uidvalidity INTEGER NOT NULL CHECK (uidvalidity BETWEEN 1 AND 4294967295),
    -- The message's UID.
    uid INTEGER NOT NULL CHECK (uid BETWEEN 1 AND 4294967295),
    -- Failures of this message alone, each after another message came over the same connection.
    failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
    -- When it first failed alone, counted or not; null while it has only failed beside others.
    first_failed_at TEXT CHECK (first_failed_at GLOB '????-??-??T??:??:??.???Z'),
    -- When it last failed alone; null while it has only failed beside others.
    last_failed_at TEXT CHECK (last_failed_at GLOB '????-??-??T??:??:??.???Z'),
    -- The last error's words; null while it has only failed beside others.
    words TEXT,
    -- When it is asked for again.
    next_try_at TEXT NOT NULL CHECK (next_try_at GLOB '????-??-??T??:??:??.???Z'),
    -- The message row that stands in for it since it was quarantined; null before.
    message_id INTEGER UNIQUE REFERENCES message (id),
    PRIMARY KEY (mailbox, uidvalidity, uid),
    CHECK ((first_failed_at IS NULL) = (last_failed_at IS NULL)),
    CHECK ((words IS NULL) = (last_failed_at IS NULL)),
    CHECK (failures = 0 OR last_failed_at IS NOT NULL),
    CHECK (message_id IS NULL OR last_failed_at IS NOT NULL)
) STRICT, WITHOUT ROWID;
INSERT INTO suspect (mailbox, uidvalidity, uid, failures, first_failed_at, last_failed_at, words, next_try_at, message_id)
    VALUES ('einvoice', 7, 21, 1, '2026-01-20T04:00:00.250Z', '2026-01-20T04:00:00.250Z', 'the server answered NO', '2026-01-20T04:01:00.250Z', NULL);
CREATE TABLE "message" (
    -- The handle by which people and other tables name the message.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The configured mailbox in which it was found; null for a file that the operator named.
    mailbox TEXT,
    -- The folder's UIDVALIDITY; null outside IMAP. RFC 9051 section 2.3.1.1.
    uidvalidity INTEGER CHECK (uidvalidity BETWEEN 1 AND 4294967295),
    -- The message's UID; null outside IMAP.
    uid INTEGER CHECK (uid BETWEEN 1 AND 4294967295),
    -- SHA-256 of what was fetched, lower-case hexadecimal.
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64 AND sha256 NOT GLOB '*[^0-9a-f]*'),
    -- What became of it.
    disposition TEXT NOT NULL CHECK (disposition IN
        ('imported', 'duplicate', 'quarantined', 'unrelated', 'waiting')),
    -- When it was recorded here.
    received_at TEXT NOT NULL CHECK (received_at GLOB '????-??-??T??:??:??.???Z'),
    -- A Maildir file's unique name, or the path that the operator gave; null for IMAP.
    file TEXT,
    -- The message whose bytes these are, when they were judged before.
    copy_of INTEGER REFERENCES message (id),
    -- INTERNALDATE, or the file's modification time; null where neither is known.
    internal_date TEXT CHECK (internal_date GLOB '????-??-??T??:??:??.???Z'),
    -- The size of the whole message in bytes, however much of it was fetched.
    size INTEGER NOT NULL CHECK (size >= 0),
    -- From, when there was exactly one.
    from_address TEXT,
    -- The decoded Subject.
    subject TEXT NOT NULL,
    -- The company that was told from it; null where none was, and for copies.
    company_ban TEXT CHECK (length(company_ban) = 8 AND company_ban NOT GLOB '*[^0-9]*'),
    -- How the company was told; null where none was.
    company_source TEXT CHECK (company_source IN
        ('body', 'name', 'recipient', 'mailbox', 'file', 'person')),
    -- What was fetched, or its first 64 KiB where nothing proved it genuine; null where no bytes
    -- are kept.
    raw BLOB,
    -- When a person put a quarantined message aside; its bytes go 90 days later.
    dismissed_at TEXT CHECK (dismissed_at GLOB '????-??-??T??:??:??.???Z'),
    -- When it was moved or marked on the server as after_import asks; null while it was not.
    filed_at TEXT CHECK (filed_at GLOB '????-??-??T??:??:??.???Z'), source TEXT NOT NULL DEFAULT 'mail'
    CHECK (source IN ('mail', 'csv', 'e0501')),
    CHECK ((uid IS NULL) = (uidvalidity IS NULL)),
    CHECK ((uid IS NULL) <> (file IS NULL)),
    CHECK (uid IS NULL OR mailbox IS NOT NULL),
    CHECK ((company_ban IS NULL) = (company_source IS NULL)),
    CHECK (dismissed_at IS NULL OR disposition = 'quarantined')
) STRICT;
INSERT INTO message (id, mailbox, uidvalidity, uid, sha256, disposition, received_at, file, copy_of, internal_date, size, from_address, subject, company_ban, company_source, raw, dismissed_at, filed_at, source)
    VALUES (1, 'einvoice', 7, 12, 'c45fc252c6d0cec10b51706c04990f9f49d3e51525a44e1bc8a11695553ad8db', 'imported', '2026-01-20T04:00:00.250Z', NULL, NULL, '2026-01-20T01:00:00.000Z', 61, 'einvoice@einvoice.nat.gov.tw', '電子發票配號結果通知', '53567686', 'body', X'6D61696C20617420496D6170207B206D61696C626F783A202265696E766F696365222C2075696476616C69646974793A20372C207569643A203132207D', NULL, NULL, 'mail');
INSERT INTO message (id, mailbox, uidvalidity, uid, sha256, disposition, received_at, file, copy_of, internal_date, size, from_address, subject, company_ban, company_source, raw, dismissed_at, filed_at, source)
    VALUES (2, 'einvoice', 7, 13, 'fe02c380e34d041f2d340a69f0dcabb68e4d43569a4157d907d8503207ff8fb2', 'quarantined', '2026-01-20T04:00:00.250Z', NULL, NULL, '2026-01-20T01:00:00.000Z', 61, 'einvoice@einvoice.nat.gov.tw', '電子發票配號結果通知', NULL, NULL, X'6D61696C20617420496D6170207B206D61696C626F783A202265696E766F696365222C2075696476616C69646974793A20372C207569643A203133207D', NULL, NULL, 'mail');
INSERT INTO message (id, mailbox, uidvalidity, uid, sha256, disposition, received_at, file, copy_of, internal_date, size, from_address, subject, company_ban, company_source, raw, dismissed_at, filed_at, source)
    VALUES (3, 'local', NULL, NULL, 'c45fc252c6d0cec10b51706c04990f9f49d3e51525a44e1bc8a11695553ad8db', 'duplicate', '2026-01-20T04:00:00.250Z', '1768881600.M1P2.host', 1, '2026-01-20T01:00:00.000Z', 61, 'einvoice@einvoice.nat.gov.tw', '電子發票配號結果通知', NULL, NULL, NULL, NULL, NULL, 'mail');
INSERT INTO message (id, mailbox, uidvalidity, uid, sha256, disposition, received_at, file, copy_of, internal_date, size, from_address, subject, company_ban, company_source, raw, dismissed_at, filed_at, source)
    VALUES (4, 'einvoice', 7, 22, '97197f166b9bf73b8634538d1141961cec982417df981610186c69e1126d44ad', 'waiting', '2026-01-20T04:00:00.250Z', NULL, NULL, '2026-01-20T01:00:00.000Z', 61, 'einvoice@einvoice.nat.gov.tw', '電子發票配號結果通知', NULL, NULL, X'6D61696C20617420496D6170207B206D61696C626F783A202265696E766F696365222C2075696476616C69646974793A20372C207569643A203232207D', NULL, NULL, 'mail');
CREATE TABLE decision (
    -- A number that ascends in the order of decisions.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- What was decided.
    action TEXT NOT NULL CHECK (action IN ('release', 'dismiss', 'withdraw', 'retry', 'drop')),
    -- The message that was released or dismissed.
    message_id INTEGER REFERENCES message (id),
    -- The range that was withdrawn.
    allocation_id INTEGER REFERENCES allocation (id),
    -- The mail that was retried or dropped.
    outbox_id INTEGER REFERENCES outbox (id),
    -- The person's login name.
    who TEXT NOT NULL CHECK (who <> ''),
    -- Why, in the person's words; null where nobody asks for it.
    reason TEXT CHECK (reason <> ''),
    -- The codes of the defects that were overruled, with commas between them; null where none were.
    overruled TEXT CHECK (overruled <> ''),
    -- When.
    decided_at TEXT NOT NULL CHECK (decided_at GLOB '????-??-??T??:??:??.???Z'),
    CHECK ((action IN ('release', 'dismiss')) = (message_id IS NOT NULL)),
    CHECK ((action = 'withdraw') = (allocation_id IS NOT NULL)),
    CHECK ((action IN ('retry', 'drop')) = (outbox_id IS NOT NULL)),
    CHECK (reason IS NOT NULL OR action IN ('retry', 'drop'))
) STRICT;
CREATE TABLE waiting (
    -- The message; its disposition is 'waiting'.
    message_id INTEGER PRIMARY KEY REFERENCES message (id),
    -- When it began to wait.
    since TEXT NOT NULL CHECK (since GLOB '????-??-??T??:??:??.???Z'),
    -- How often it was asked about, each time in vain.
    asked INTEGER NOT NULL CHECK (asked >= 1),
    -- When it was asked about last.
    asked_at TEXT NOT NULL CHECK (asked_at GLOB '????-??-??T??:??:??.???Z'),
    -- When it is asked about again.
    next_ask_at TEXT NOT NULL CHECK (next_ask_at GLOB '????-??-??T??:??:??.???Z'),
    -- Why there was no answer, in the words of the last attempt.
    words TEXT NOT NULL,
    -- 1 where nobody is to be told what becomes of it, as `ingest --no-mail` asks.
    quietly INTEGER NOT NULL DEFAULT 0 CHECK (quietly IN (0, 1))
) STRICT;
INSERT INTO waiting (message_id, since, asked, asked_at, next_ask_at, words, quietly)
    VALUES (4, '2026-01-20T04:00:00.250Z', 1, '2026-01-20T04:00:00.250Z', '2026-01-20T04:00:05.250Z', 'no answer within 5 s', 0);
CREATE TABLE resolver_alarm (
    -- Always 1, so that there is never a second row.
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- When they were told.
    alarmed_at TEXT NOT NULL CHECK (alarmed_at GLOB '????-??-??T??:??:??.???Z')
) STRICT;
INSERT INTO resolver_alarm (one, alarmed_at)
    VALUES (1, '2026-01-20T04:00:00.250Z');
CREATE TABLE alarm (
    -- 營業人統編
    ban TEXT NOT NULL CHECK (length(ban) = 8 AND ban NOT GLOB '*[^0-9]*'),
    -- 發票期別 as MIG writes it, e.g. '11602'; or the ROC year of a 年配, e.g. '116'.
    awaited TEXT NOT NULL CHECK (length(awaited) IN (3, 5) AND awaited NOT GLOB '*[^0-9]*'),
    -- The latest stage of which people were told.
    stage TEXT NOT NULL CHECK (stage IN ('reminder', 'overdue', 'last_day', 'first_day')),
    -- When they were.
    told_at TEXT NOT NULL CHECK (told_at GLOB '????-??-??T??:??:??.???Z'),
    -- The periods that they were told have no numbers, and that have had none since: as MIG writes
    -- them, in time, with a comma between them.
    missing TEXT NOT NULL CHECK (missing GLOB '[0-9]*' AND missing NOT GLOB '*[^0-9,]*'),
    -- When it was seen to have come after they had been told that it had not; null before.
    came_at TEXT CHECK (came_at GLOB '????-??-??T??:??:??.???Z'),
    -- What is over for long is not looked at.
    PRIMARY KEY (awaited, ban),
    CHECK (came_at IS NULL OR stage <> 'reminder')
) STRICT, WITHOUT ROWID;
INSERT INTO alarm (ban, awaited, stage, told_at, missing, came_at)
    VALUES ('53567686', '116', 'overdue', '2026-01-20T04:00:00.250Z', '11610,11612', NULL);
CREATE TABLE steady_clock (
    -- Always 1, so that there is never a second row.
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- Since when.
    since TEXT NOT NULL CHECK (since GLOB '????-??-??T??:??:??.???Z'),
    -- When it was looked at last.
    last TEXT NOT NULL CHECK (last GLOB '????-??-??T??:??:??.???Z')
) STRICT;
CREATE TABLE "alert_window" (
    -- For whom they are, as in news; '' for those whom everything is for.
    audience TEXT NOT NULL,
    -- What the alerts have in common.
    theme TEXT NOT NULL,
    -- When the last letter about it was gathered.
    gathered_at TEXT NOT NULL CHECK (gathered_at GLOB '????-??-??T??:??:??.???Z'),
    -- How long those that follow wait from then on.
    seconds INTEGER NOT NULL CHECK (seconds >= 0),
    PRIMARY KEY (audience, theme)
) STRICT, WITHOUT ROWID;
CREATE TABLE "outbox" (
    -- The handle by which people name it.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- What it is for.
    kind TEXT NOT NULL CHECK (kind IN
        ('confirmation', 'summary', 'withdrawal', 'alert', 'handoff')),
    -- The configured name of the system it is handed to; null for a mail.
    target TEXT CHECK (target <> ''),
    -- The Message-ID field with its angle brackets, or the webhook-id; the same one is the same thing.
    rfc_message_id TEXT NOT NULL UNIQUE CHECK (rfc_message_id <> ''),
    -- The message it is about; null where it is about several or none.
    about INTEGER REFERENCES message (id),
    -- The Subject in plain text; of a hand-off, what it says in short.
    subject TEXT NOT NULL,
    -- The whole mail as it is sent (RFC 5322); of a hand-off the JSON.
    eml BLOB NOT NULL,
    -- Where it stands: waits, is being attempted, was taken, will not be, or was called off by a
    -- person.
    state TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'failed', 'dropped')),
    -- Attempts, each counted before it is made.
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- When it was posted.
    posted_at TEXT NOT NULL CHECK (posted_at GLOB '????-??-??T??:??:??.???Z'),
    -- From when on patience is counted: when it was posted, or when a person asked for a retry.
    patient_since TEXT NOT NULL CHECK (patient_since GLOB '????-??-??T??:??:??.???Z'),
    -- When the last attempt began; null while there was none.
    attempted_at TEXT CHECK (attempted_at GLOB '????-??-??T??:??:??.???Z'),
    -- When it is due; while it is being attempted, when to try again should nobody report.
    next_attempt_at TEXT CHECK (next_attempt_at GLOB '????-??-??T??:??:??.???Z'),
    -- When it was taken for everybody who could get it.
    sent_at TEXT CHECK (sent_at GLOB '????-??-??T??:??:??.???Z'),
    -- The last words spoken against it, the server's or ours; null while there were none.
    last_answer TEXT,
    CHECK ((next_attempt_at IS NULL) = (state IN ('sent', 'failed', 'dropped'))),
    CHECK ((sent_at IS NULL) = (state <> 'sent')),
    CHECK ((kind = 'handoff') = (target IS NOT NULL))
) STRICT;
INSERT INTO outbox (id, kind, target, rfc_message_id, about, subject, eml, state, attempts, posted_at, patient_since, attempted_at, next_attempt_at, sent_at, last_answer)
    VALUES (1, 'confirmation', NULL, '<confirmation@example.com>', 1, '配號 confirmation', X'5375626A6563743A20636F6E6669726D6174696F6E0D0A0D0A', 'pending', 1, '2026-01-20T04:00:00.250Z', '2026-01-20T04:00:00.250Z', '2026-01-20T04:00:00.250Z', '2026-01-20T04:00:05.250Z', NULL, '451 4.3.0 try later');
CREATE TABLE handoff_target (
    -- The configured name.
    name TEXT PRIMARY KEY CHECK (name <> ''),
    -- When it said that it wants nothing any more (HTTP 410); null while it takes what comes.
    stopped_at TEXT CHECK (stopped_at GLOB '????-??-??T??:??:??.???Z'),
    -- When people were told that it does not take anything; null while it does, or they were not.
    alarmed_at TEXT CHECK (alarmed_at GLOB '????-??-??T??:??:??.???Z')
) STRICT, WITHOUT ROWID;
CREATE TABLE confirmed (
    -- The range.
    allocation_id INTEGER NOT NULL REFERENCES allocation (id),
    -- The file.
    message_id INTEGER NOT NULL REFERENCES message (id),
    -- What kind of file: the platform's CSV, or MIG E0501.
    source TEXT NOT NULL CHECK (source IN ('csv', 'e0501')),
    -- When it was read.
    confirmed_at TEXT NOT NULL CHECK (confirmed_at GLOB '????-??-??T??:??:??.???Z'),
    PRIMARY KEY (allocation_id, message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX evidence_message ON evidence (message_id);
CREATE UNIQUE INDEX allocation_in_force
    ON allocation (ban, invoice_type, year_month, invoice_track, invoice_begin_no, invoice_end_no)
    WHERE withdrawn_at IS NULL;
CREATE INDEX allocation_neighbours ON allocation (invoice_track, year_month, invoice_begin_no)
    WHERE withdrawn_at IS NULL;
CREATE INDEX allocation_message ON allocation (message_id);
CREATE TRIGGER allocation_is_kept BEFORE DELETE ON allocation
BEGIN
    SELECT RAISE(ABORT, 'a recorded allocation is never deleted; withdraw it');
END;
CREATE TRIGGER allocation_is_not_replaced BEFORE INSERT ON allocation
WHEN EXISTS (SELECT 1 FROM allocation WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM allocation
        WHERE ban = NEW.ban AND invoice_type = NEW.invoice_type AND year_month = NEW.year_month
            AND invoice_track = NEW.invoice_track AND invoice_begin_no = NEW.invoice_begin_no
            AND invoice_end_no = NEW.invoice_end_no
            AND withdrawn_at IS NULL AND NEW.withdrawn_at IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'this allocation is recorded already');
END;
CREATE TRIGGER allocation_is_final BEFORE UPDATE ON allocation
WHEN NEW.id IS NOT OLD.id OR NEW.ban IS NOT OLD.ban
    OR NEW.invoice_type IS NOT OLD.invoice_type OR NEW.year_month IS NOT OLD.year_month
    OR NEW.invoice_track IS NOT OLD.invoice_track
    OR NEW.invoice_begin_no IS NOT OLD.invoice_begin_no
    OR NEW.invoice_end_no IS NOT OLD.invoice_end_no
    OR NEW.invoice_booklet IS NOT OLD.invoice_booklet
    OR NEW.requested_booklets IS NOT OLD.requested_booklets
    OR NEW.added_booklets IS NOT OLD.added_booklets
    OR NEW.message_id IS NOT OLD.message_id OR NEW.imported_at IS NOT OLD.imported_at
    OR NEW.source IS NOT OLD.source
BEGIN
    SELECT RAISE(ABORT, 'a recorded allocation is never changed; withdraw it');
END;
CREATE TRIGGER allocation_is_withdrawn_once BEFORE UPDATE OF withdrawn_at ON allocation
WHEN OLD.withdrawn_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a withdrawn allocation stays withdrawn');
END;
CREATE UNIQUE INDEX message_uid ON message (mailbox, uidvalidity, uid);
CREATE UNIQUE INDEX message_file ON message (mailbox, file);
CREATE UNIQUE INDEX message_file_content ON message (file, sha256) WHERE mailbox IS NULL;
CREATE INDEX message_original ON message (sha256) WHERE copy_of IS NULL;
CREATE INDEX message_copy ON message (copy_of) WHERE copy_of IS NOT NULL;
CREATE INDEX message_disposition ON message (disposition);
CREATE INDEX message_dismissed ON message (dismissed_at) WHERE dismissed_at IS NOT NULL;
CREATE INDEX message_unfiled ON message (mailbox, uidvalidity)
    WHERE filed_at IS NULL AND disposition IN ('imported', 'duplicate');
CREATE TRIGGER message_is_kept BEFORE DELETE ON message
BEGIN
    SELECT RAISE(ABORT, 'a recorded message is never deleted');
END;
CREATE INDEX news_waits ON news (channel, id) WHERE outbox_id IS NULL;
CREATE INDEX news_letter ON news (channel, outbox_id) WHERE outbox_id IS NOT NULL;
CREATE INDEX news_about ON news (json_extract(cause, '$.message_id')) WHERE outbox_id IS NULL;
CREATE INDEX decision_message ON decision (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX decision_allocation ON decision (allocation_id) WHERE allocation_id IS NOT NULL;
CREATE INDEX decision_outbox ON decision (outbox_id) WHERE outbox_id IS NOT NULL;
CREATE TRIGGER decision_is_kept BEFORE DELETE ON decision
BEGIN
    SELECT RAISE(ABORT, 'a decision is never deleted');
END;
CREATE TRIGGER decision_is_final BEFORE UPDATE ON decision
BEGIN
    SELECT RAISE(ABORT, 'a decision is never changed');
END;
CREATE INDEX waiting_due ON waiting (next_ask_at);
CREATE TRIGGER waiting_has_its_message BEFORE INSERT ON waiting
WHEN NOT EXISTS (SELECT 1 FROM message
    WHERE id = NEW.message_id AND disposition = 'waiting' AND raw IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'only a message that waits, and whose bytes are kept, is asked about again');
END;
CREATE TRIGGER waiting_ends AFTER UPDATE OF disposition ON message
WHEN NEW.disposition <> 'waiting'
BEGIN
    DELETE FROM waiting WHERE message_id = NEW.id;
END;
CREATE INDEX allocation_booklets ON allocation (year_month, ban, invoice_booklet, withdrawn_at)
    WHERE withdrawn_at IS NULL;
CREATE INDEX outbox_due ON outbox (target, next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX outbox_state ON outbox (state);
CREATE INDEX outbox_attempted ON outbox (target, attempted_at) WHERE attempted_at IS NOT NULL;
CREATE INDEX outbox_about ON outbox (about) WHERE about IS NOT NULL;
