-- What is due, and who is told of it.

-- Of what people were told that it is due, or that it has not come; a row for each company and what
-- it awaits. A row stays when it has come, so that nothing is told twice.
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

-- How many booklets a company has for a period, for thousands of companies every minute. The last
-- column spares SQLite the look at the row.
CREATE INDEX allocation_booklets ON allocation (year_month, ban, invoice_booklet, withdrawn_at)
    WHERE withdrawn_at IS NULL;

-- For whom it is, as addresses with a comma between them; null for those whom everything is for.
ALTER TABLE news ADD COLUMN audience TEXT CHECK (audience <> '');

-- Alerts of one cause wait for those to the same people only.
CREATE TABLE alert_window_new (
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

INSERT INTO alert_window_new (audience, theme, gathered_at, seconds)
SELECT '', theme, gathered_at, seconds FROM alert_window;
DROP TABLE alert_window;
ALTER TABLE alert_window_new RENAME TO alert_window;
