-- Hand-offs to the systems that issue invoices, and what the platform's own files say.

-- The outbox holds what is handed to systems as well; built anew, for its checks change.
CREATE TABLE outbox_new (
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

INSERT INTO outbox_new (id, kind, rfc_message_id, about, subject, eml, state, attempts, posted_at,
    patient_since, attempted_at, next_attempt_at, sent_at, last_answer)
SELECT id, kind, rfc_message_id, about, subject, eml, state, attempts, posted_at,
    patient_since, attempted_at, next_attempt_at, sent_at, last_answer
FROM outbox ORDER BY id;

DROP TABLE outbox;
ALTER TABLE outbox_new RENAME TO outbox;

CREATE INDEX outbox_due ON outbox (target, next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX outbox_state ON outbox (state);
CREATE INDEX outbox_attempted ON outbox (target, attempted_at) WHERE attempted_at IS NOT NULL;
CREATE INDEX outbox_about ON outbox (about) WHERE about IS NOT NULL;

-- A system that numbers are handed to, once there was trouble with it.
CREATE TABLE handoff_target (
    -- The configured name.
    name TEXT PRIMARY KEY CHECK (name <> ''),
    -- When it said that it wants nothing any more (HTTP 410); null while it takes what comes.
    stopped_at TEXT CHECK (stopped_at GLOB '????-??-??T??:??:??.???Z'),
    -- When people were told that it does not take anything; null while it does, or they were not.
    alarmed_at TEXT CHECK (alarmed_at GLOB '????-??-??T??:??:??.???Z')
) STRICT, WITHOUT ROWID;

-- What it is: a mail, or a file of the platform's (its CSV, or MIG E0501). A row of such a file that
-- could not be recorded has a row of its own here, so that a person can decide about it.
ALTER TABLE message ADD COLUMN source TEXT NOT NULL DEFAULT 'mail'
    CHECK (source IN ('mail', 'csv', 'e0501'));

-- What a file of the platform's said again of a range that was recorded before.
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
