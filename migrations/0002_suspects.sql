-- Messages that a server has failed to hand over, so that they are asked for last and alone. A row
-- goes when its message has been fetched or has left the folder.
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
