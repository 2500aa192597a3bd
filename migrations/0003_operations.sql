-- What people decide, and what they are told in one go. Tables whose checks change are built anew,
-- as <https://sqlite.org/lang_altertable.html#otheralter> describes; foreign keys are off meanwhile
-- and checked before the commit.

-- A message may be dismissed, its company told by a person, and its mail moved or marked.
CREATE TABLE message_new (
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
    filed_at TEXT CHECK (filed_at GLOB '????-??-??T??:??:??.???Z'),
    CHECK ((uid IS NULL) = (uidvalidity IS NULL)),
    CHECK ((uid IS NULL) <> (file IS NULL)),
    CHECK (uid IS NULL OR mailbox IS NOT NULL),
    CHECK ((company_ban IS NULL) = (company_source IS NULL)),
    CHECK (dismissed_at IS NULL OR disposition = 'quarantined')
) STRICT;

INSERT INTO message_new (id, mailbox, uidvalidity, uid, sha256, disposition, received_at, file,
    copy_of, internal_date, size, from_address, subject, company_ban, company_source, raw)
SELECT id, mailbox, uidvalidity, uid, sha256, disposition, received_at, file,
    copy_of, internal_date, size, from_address, subject, company_ban, company_source, raw
FROM message ORDER BY id;

-- The rows live on in the new table.
DROP TRIGGER message_is_kept;
DROP TABLE message;
ALTER TABLE message_new RENAME TO message;

-- One row for one place. A file outside every mailbox may change, so there its content counts.
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

-- Mails that must go out, complete as they stand: what is retried is what was written down.
CREATE TABLE outbox_new (
    -- The handle by which people name the mail.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- What it is for.
    kind TEXT NOT NULL CHECK (kind IN ('confirmation', 'summary', 'withdrawal', 'alert')),
    -- The Message-ID field with its angle brackets; the same one is the same mail.
    rfc_message_id TEXT NOT NULL UNIQUE CHECK (rfc_message_id GLOB '<?*>'),
    -- The message it is about; null where it is about several or none.
    about INTEGER REFERENCES message (id),
    -- The Subject in plain text.
    subject TEXT NOT NULL,
    -- The whole mail as it is sent. RFC 5322.
    eml BLOB NOT NULL,
    -- Where it stands: waits, is being attempted, was taken by the server, will not be, or was
    -- called off by a person.
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
    -- When the server took it for everybody who could get it.
    sent_at TEXT CHECK (sent_at GLOB '????-??-??T??:??:??.???Z'),
    -- The last words spoken against it, the server's or ours; null while there were none.
    last_answer TEXT,
    CHECK ((next_attempt_at IS NULL) = (state IN ('sent', 'failed', 'dropped'))),
    CHECK ((sent_at IS NULL) = (state <> 'sent'))
) STRICT;

INSERT INTO outbox_new (id, kind, rfc_message_id, about, subject, eml, state, attempts, posted_at,
    patient_since, next_attempt_at, sent_at, last_answer)
SELECT id, kind, rfc_message_id, about, subject, eml, state, attempts, posted_at,
    posted_at, next_attempt_at, sent_at, last_answer
FROM outbox ORDER BY id;

DROP TABLE outbox;
ALTER TABLE outbox_new RENAME TO outbox;

CREATE INDEX outbox_due ON outbox (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX outbox_state ON outbox (state);
CREATE INDEX outbox_attempted ON outbox (attempted_at) WHERE attempted_at IS NOT NULL;

-- What people must be told is not always an alert.
ALTER TABLE alert RENAME TO news;
-- Into which mail it goes: an alert, a digest of confirmations, or the summary of a mailbox's past.
ALTER TABLE news ADD COLUMN channel TEXT NOT NULL DEFAULT 'alert'
    CHECK (channel IN ('confirmation', 'summary', 'alert'));
DROP INDEX alert_waits;
DROP INDEX alert_gathered;
CREATE INDEX news_waits ON news (channel, id) WHERE outbox_id IS NULL;
CREATE INDEX news_letter ON news (channel, outbox_id) WHERE outbox_id IS NOT NULL;
-- Written so that the SQLite of other programs, which read `allocation`, knows it: `->>` is of 2022.
CREATE INDEX news_about ON news (json_extract(cause, '$.message_id')) WHERE outbox_id IS NULL;

-- How long alerts of one cause wait for each other.
CREATE TABLE alert_window (
    -- What the alerts have in common.
    theme TEXT NOT NULL PRIMARY KEY,
    -- When the last letter about it was gathered.
    gathered_at TEXT NOT NULL CHECK (gathered_at GLOB '????-??-??T??:??:??.???Z'),
    -- How long those that follow wait from then on.
    seconds INTEGER NOT NULL CHECK (seconds >= 0)
) STRICT, WITHOUT ROWID;

-- When people were told that a mailbox does not answer; null while it does, or they were not.
ALTER TABLE mailbox ADD COLUMN alarmed_at TEXT
    CHECK (alarmed_at GLOB '????-??-??T??:??:??.???Z');

-- What a person decided; never changed, never deleted.
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
