//! The points at which a daemon is killed, and how often at each.

/// When a daemon is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum When {
    /// While a new ledger is created.
    FirstStart,
    /// After the bodies were fetched and before the transaction that records them.
    BeforeTheTransaction,
    /// Inside the transaction, before the commit's first page.
    FirstPage,
    /// In the middle of one of the commit's pages.
    TornPage,
    /// Between two of the commit's pages.
    BetweenPages,
    /// With all of the commit written, and not synced.
    BeforeTheSync,
    /// After the commit, before anything else.
    AfterTheSync,
    /// While the log is moved into the ledger.
    Checkpoint,
    /// Between the attempt's record and the connection.
    BeforeTheConnection,
    /// Before the server's 354.
    Data,
    /// In the middle of the mail.
    Body,
    /// After the final dot, before the 250.
    BeforeThe250,
    /// Between the 250 and the mark.
    BeforeTheMark,
    /// At a random write or sync.
    AnyWrite,
    /// At a random time.
    AnyTime,
}

impl When {
    /// The named points of a daemon that was idle when its mail came, and random moments; of each
    /// as many as are wanted in one round of the whole.
    pub(super) const ROUND: [(Self, usize); 14] = [
        (Self::BeforeTheTransaction, 3),
        (Self::FirstPage, 3),
        (Self::TornPage, 4),
        (Self::BetweenPages, 4),
        (Self::BeforeTheSync, 3),
        (Self::AfterTheSync, 4),
        (Self::Checkpoint, 1),
        (Self::BeforeTheConnection, 4),
        (Self::Data, 3),
        (Self::Body, 3),
        (Self::BeforeThe250, 4),
        (Self::BeforeTheMark, 4),
        (Self::AnyWrite, 14),
        (Self::AnyTime, 14),
    ];
}
