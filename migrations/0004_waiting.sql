-- What a resolver has yet to answer about, and what signed a message and how.

-- DKIM's a=, e.g. rsa-sha256; null where no signature was looked into, and for what was judged
-- before this was written down. RFC 6376 section 3.5.
ALTER TABLE evidence ADD COLUMN algorithm TEXT;

-- Messages whose origin no resolver has told yet: each is asked about again until one does. A row
-- goes when its message is judged.
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

CREATE INDEX waiting_due ON waiting (next_ask_at);

INSERT INTO waiting (message_id, since, asked, asked_at, next_ask_at, words)
SELECT id, received_at, 1, received_at, received_at, 'not written down'
FROM message WHERE disposition = 'waiting' AND raw IS NOT NULL;

-- Without its bytes a message could not be judged again.
CREATE TRIGGER waiting_has_its_message BEFORE INSERT ON waiting
WHEN NOT EXISTS (SELECT 1 FROM message
    WHERE id = NEW.message_id AND disposition = 'waiting' AND raw IS NOT NULL)
BEGIN
    SELECT RAISE(ABORT, 'only a message that waits, and whose bytes are kept, is asked about again');
END;

-- However a message comes to be judged, nobody asks about it any more.
CREATE TRIGGER waiting_ends AFTER UPDATE OF disposition ON message
WHEN NEW.disposition <> 'waiting'
BEGIN
    DELETE FROM waiting WHERE message_id = NEW.id;
END;

-- That people were told that mail waits for a resolver; no row while none does, or they were not.
CREATE TABLE resolver_alarm (
    -- Always 1, so that there is never a second row.
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- When they were told.
    alarmed_at TEXT NOT NULL CHECK (alarmed_at GLOB '????-??-??T??:??:??.???Z')
) STRICT;
